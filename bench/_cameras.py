"""Hundreds of cameras in one process: a loop encoded once, a true time code in every frame, three ways to send it.

`Recorder` is a JT/T 808 terminal that opens a JT/T 1078 connection when it is asked to (wire code of the simulator);
`TsSource` and `RtmpSource` send the same frames as MPEG-TS over TCP and as RTMP, for peers that cannot read JT/T 1078.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from wayframe.media import flv
from wayframe.media.access_unit import ParameterSets, length_prefixed, parameter_sets, sample_nals, split_annexb
from wayframe.media.mpegts import TsPackager
from wayframe.simulator import Codec, Identity, Layout, Render, VideoFormat
from wayframe.simulator.bodies808 import authenticate, general, parse_register_answer, register
from wayframe.simulator.footage import open_source
from wayframe.simulator.timecode import UUID, with_sei
from wayframe.simulator.wire808 import Deframer, Msg, decode_frame, encode_frame, number_bcd
from wayframe.simulator.wire1078 import FrameKind, MediaPacketizer, Payload, parse_live

FPS = 15
# Asked for 1,250 kbit/s the encoder needs 1,000 for this scene.
FORMAT = VideoFormat(Codec.H264, 1280, 720, FPS, 1250, 2 * FPS)
_LOOP_FRAMES = 6 * FORMAT.gop
_SHORTEST_SLEEP_S = 0.001


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame of the loop, without a time code."""

    key: bool
    """Whether it is a key frame."""
    data: bytes
    """Annex B."""


@lru_cache(maxsize=1)
def loop() -> tuple[Shot, ...]:
    """Twelve seconds of a camera at 1 Mbit/s; encoded at the first use and then kept on disk by the simulator."""
    source = open_source(FORMAT, 1, "BENCH", 0, Render.LOOP, align=True)
    return tuple(Shot(frame.key, _without_sei(frame.data)) for frame in (source.next() for _ in range(_LOOP_FRAMES)))


def _without_sei(data: bytes) -> bytes:
    code = data.find(UUID)
    begin, end = data.rfind(b"\x00\x00\x00\x01", 0, code), data.find(b"\x00\x00\x01", code)
    return data[:begin] + (data[end:] if data[end - 1] else data[end - 1 :])


def loop_kbit() -> float:
    """What the loop really takes."""
    shots = loop()
    return sum(len(shot.data) for shot in shots) * 8 * FPS / len(shots) / 1000


class Sink(Protocol):
    """Where the frames of one camera go."""

    def send(self, data: bytes, key: bool, pts_ms: int) -> None:
        """One frame, its time code in it."""


class Pump:
    """Gives every sink its frames in time, each sink from the beginning of the loop."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, int, Sink]] = []
        self._ids = itertools.count()
        self._gone: set[Sink] = set()
        self.frames = 0
        """Frames sent."""
        self.latest_s = 0.0
        """Worst delay of a frame; above some hundredths of a second the load is not what it should be."""

    def add(self, sink: Sink) -> None:
        """Begin a camera now."""
        heapq.heappush(self._due, (time.monotonic(), next(self._ids), 0, sink))

    def remove(self, sink: Sink) -> None:
        """End a camera."""
        self._gone.add(sink)

    async def run(self) -> None:
        """Until cancelled."""
        shots = loop()
        while True:
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                due, number, index, sink = heapq.heappop(self._due)
                if sink in self._gone:
                    continue
                shot = shots[index % len(shots)]
                self.latest_s = max(self.latest_s, now - due)
                sink.send(with_sei(shot.data, time.time_ns() // 1_000_000, False), shot.key, index * 1000 // FPS)
                self.frames += 1
                heapq.heappush(self._due, (due + 1 / FPS, number, index + 1, sink))
                now = time.monotonic()
            wait = self._due[0][0] - now if self._due else 0.02
            await asyncio.sleep(max(_SHORTEST_SLEEP_S, wait))


# ---- JT/T 808 and 1078


class Recorder(asyncio.Protocol):
    """A terminal with one camera."""

    def __init__(self, pump: Pump, ident: str) -> None:
        self._pump = pump
        self._number = number_bcd(ident, Layout.V2013)
        self._identity = Identity(terminal_id=ident[-7:])
        self._frames = Deframer()
        self._serial = 0
        self._transport: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None
        self.online = asyncio.Event()
        """Set once it is authenticated."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._write(Msg.REGISTER, register(self._identity, Layout.V2013))

    def _write(self, message_id: int, body: bytes) -> None:
        assert self._transport is not None
        self._transport.write(
            encode_frame(message_id, body, number=self._number, layout=Layout.V2013, serial=self._serial & 0xFFFF)
        )
        self._serial += 1

    def data_received(self, data: bytes) -> None:
        for piece in self._frames.feed(data):
            frame = decode_frame(piece)
            if frame.message_id == Msg.REGISTER_ANSWER:
                code = parse_register_answer(frame.body).code
                self._write(Msg.AUTHENTICATE, authenticate(self._identity, code, Layout.V2013))
            elif frame.message_id == Msg.P_GENERAL:
                self.online.set()
            else:
                self._write(Msg.T_GENERAL, general(frame.serial, frame.message_id, 0))
                if frame.message_id == Msg.LIVE:
                    self._opening = asyncio.ensure_future(self._open(frame.body))

    async def _open(self, body: bytes) -> None:
        asked = parse_live(body)
        sink = MediaSink(self._pump, self._number, asked.channel)
        await asyncio.get_running_loop().create_connection(lambda: sink, asked.host, asked.port)
        self._pump.add(sink)

    def heartbeat(self) -> None:
        """Say that it lives."""
        self._write(Msg.HEARTBEAT, b"")


class MediaSink(asyncio.Protocol):
    """A JT/T 1078 connection."""

    def __init__(self, pump: Pump, number: bytes, channel: int) -> None:
        self._pump = pump
        self._packets = MediaPacketizer(number, channel)
        self._key_ms = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._pump.remove(self)

    def send(self, data: bytes, key: bool, pts_ms: int) -> None:
        """All packets of the frame at once, as they would come in a burst over a mobile link."""
        assert self._transport is not None
        if key:
            self._key_ms = pts_ms
        kind = FrameKind.I if key else FrameKind.P
        packets = self._packets.video(data, kind, Payload.H264, pts_ms, pts_ms - self._key_ms, 1000 // FPS)
        self._transport.write(b"".join(packets))


async def recorders(pump: Pump, port: int, idents: Sequence[str]) -> list[Recorder]:
    """Connect terminals and wait until they are authenticated."""
    found = [Recorder(pump, ident) for ident in idents]
    event_loop = asyncio.get_running_loop()
    for recorder in found:
        await event_loop.create_connection(lambda made=recorder: made, "127.0.0.1", port)
    async with asyncio.timeout(60):
        for recorder in found:
            await recorder.online.wait()
    return found


# ---- for peers


class TsSource:
    """MPEG-TS over TCP."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._packager = TsPackager("h264")

    def send(self, data: bytes, key: bool, pts_ms: int) -> None:
        """Tables before every key frame."""
        tables = self._packager.tables(False) if key else []
        self._writer.write(b"".join(tables + self._packager.video(data, pts_ms, key)))


class RtmpSource:
    """A minimal RTMP publisher (Adobe RTMP 1.0: plain handshake, AMF0 commands, one chunk a message)."""

    _CHUNK = 1 << 20

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._sets: ParameterSets | None = None

    @classmethod
    async def open(cls, port: int, name: str) -> RtmpSource:
        """Connect and publish `live/name`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x03" + bytes(1536))
        answer = await reader.readexactly(1 + 1536)
        writer.write(answer[1:])
        await reader.readexactly(1536)
        source = cls(writer)
        source._message(2, 1, 0, 0, struct.pack(">I", cls._CHUNK))
        app = {"app": "live", "tcUrl": f"rtmp://127.0.0.1:{port}/live"}
        for command in (("connect", 1.0, app), ("createStream", 2.0, None)):
            source._message(3, 20, 0, 0, b"".join(map(_amf, command)))
            await reader.read(4096)
        source._message(8, 20, 1, 0, b"".join(map(_amf, ("publish", 3.0, None, name, "live"))))
        await reader.read(4096)
        return source

    def _message(self, chunk_stream: int, kind: int, stream: int, time_ms: int, body: bytes) -> None:
        head = time_ms.to_bytes(3, "big") + len(body).to_bytes(3, "big") + bytes([kind]) + struct.pack("<I", stream)
        self._writer.write(bytes([chunk_stream]) + head + body)

    def send(self, data: bytes, key: bool, pts_ms: int) -> None:
        """The body of an FLV tag is the body of an RTMP message."""
        nals = split_annexb(data)
        if key and self._sets is None:
            self._sets = parameter_sets("h264", nals)
            assert self._sets is not None
            self._message(6, 9, 1, pts_ms, flv.video_config_tag(self._sets.record, pts_ms)[11:-4])
        sample = length_prefixed(sample_nals("h264", nals))
        self._message(6, 9, 1, pts_ms, flv.video_tag(sample, pts_ms, key)[11:-4])


def _amf(value: object) -> bytes:
    """AMF0 of what the three commands need."""
    if isinstance(value, str):
        return b"\x02" + _amf_text(value)
    if isinstance(value, float):
        return b"\x00" + struct.pack(">d", value)
    if isinstance(value, dict):
        return b"\x03" + b"".join(_amf_text(name) + _amf(item) for name, item in value.items()) + b"\x00\x00\x09"
    return b"\x05"


def _amf_text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()
