"""One media connection (JT/T 1078): packets in, frames out to the live stream or the recording that waits for them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wayframe.model import ConnectionInfo
from wayframe.protocols.device import MediaKind, MediaNews
from wayframe.protocols.jt1078 import (
    AudioFormat,
    ChannelSeen,
    CodecCorrected,
    Identified,
    MediaConnection,
    MediaEvent,
    MediaFrame,
    StreamClock,
    Violation,
    audio_format,
)
from wayframe.protocols.jt1078 import MediaKind as FrameKind
from wayframe.protocols.jt1078.live_messages import AvAttributes
from wayframe.services import Connection, Feed

from .peers import Peer
from .registry import Request

if TYPE_CHECKING:
    from .gateway import Gateway

AUDIO_RATES = (8000, 22050, 44100, 48000)
"""Sampling rates by their code in 0x1003."""
_TICK_S = 1.0
_READ_BYTES = 64 * 1024
_READS = 4
"""Reads of one connection in one round."""
_PLENTY = 512 * 1024
"""A connection that brings so much in a second is read in short rounds, or the kernel's room would hold it back."""
_SOCKET_BYTES = 512 * 1024
"""What the kernel may keep between two rounds, so that a large key frame does not stop the device."""
_SILENCE_S = 20.0
"""A live device that sends nothing for this long has ended (jt1078.md 6.1)."""


@dataclass(slots=True)
class _Channel:
    """One logical channel on the connection and where its frames go."""

    request: Request
    feed: Feed
    clock: StreamClock
    begun: bool = False
    audio: AudioFormat | None = None


class MediaPeer(Peer):
    """Routes the frames of one connection by channel."""

    __slots__ = (
        "_channels", "_connection_id", "_file", "_gateway", "_heard", "_kind", "_media", "_next_tick", "_number",
        "_plenty", "_ticked_bytes",
    )  # fmt: skip

    def __init__(self, gateway: Gateway, kind: MediaKind) -> None:
        super().__init__(gateway.admission)
        self._gateway = gateway
        self._kind = kind
        self._media = MediaConnection(self._asked)
        self._number = b""
        self._channels: dict[int, _Channel] = {}
        self._connection_id = 0
        self._heard = 0.0
        self._next_tick = 0.0
        self._file = -1
        self._plenty = False
        self._ticked_bytes = 0

    def _asked(self, number: bytes, channel: int) -> bool:
        return self._gateway.registry.match(self._kind, number, channel) is not None

    # --- socket -------------------------------------------------------------------------------------------------

    def opened(self) -> None:
        self._connection_id = self._gateway.ids.next()
        self.log = self.log.bind(connection=self._connection_id, port=self._kind.value)
        self._gateway.peers.add(self)
        self._heard = self._gateway.clock.now()
        self.wake_at(_TICK_S)

    def received(self, data: bytes) -> None:
        now = self._gateway.clock.now()
        self._heard = now
        for event in self._media.receive(data, now):
            self._handle(event, now)

    def _read_in_rounds(self) -> None:
        """From now on the socket is read together with those of all other streams."""
        assert self._transport is not None
        self._transport.pause_reading()
        opened = self._transport.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BYTES)
        self._file = opened.fileno()
        self.wake_at(None)
        self._gateway.rounds.add(self)

    @property
    def urgent(self) -> bool:
        """Whether frames must not wait: many come, viewers are in a hurry, or only their arrival tells their time."""
        return self._plenty or any(
            channel.feed.urgent or channel.clock.by_arrival for channel in self._channels.values()
        )

    def take(self) -> None:
        """Read what came since the last round."""
        for _ in range(_READS):
            try:
                data = os.read(self._file, _READ_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                self.end(0, f"lost: {error}", abort=True)
                return
            if not data:
                self._gateway.rounds.remove(self)
                if self._transport is not None and not self._transport.is_closing():
                    self._transport.resume_reading()  # it finds the end itself
                return
            self.data_received(data)
            if len(data) < _READ_BYTES:
                break
        if self._loop.time() >= self._next_tick:
            self.tick()

    def tick(self) -> None:
        now = self._gateway.clock.now()
        for event in self._media.tick(now):
            self._handle(event, now)
        for channel in list(self._channels.values()):
            channel.feed.tick(now)
        if self._channels and self._kind is MediaKind.LIVE and now - self._heard > _SILENCE_S:
            self.end(17, f"no live data for {_SILENCE_S:.0f} s")
        came = self.received_bytes - self._ticked_bytes
        self._plenty = came > _PLENTY
        self._ticked_bytes = self.received_bytes
        if not self._gateway.services.directory.meter.idle:
            self._count(came)
        self._next_tick = self._loop.time() + _TICK_S
        if self._file < 0:
            self.wake_at(_TICK_S)

    def _count(self, size: int) -> None:
        """Count what came since the last look as traffic of its channel."""
        request = next((channel.request for channel in self._channels.values()), None)
        if request is not None and (reason := self._gateway.count_traffic(request.channel_id, size)):
            self.end(21, reason)

    def lost(self, reason: str) -> None:
        self._gateway.rounds.remove(self)
        self._gateway.peers.discard(self)
        now = self._gateway.clock.now()
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.request.connected = False
            channel.feed.closed(now)
            channel.request.news(MediaNews.CLOSED)
        entries = {channel.request.entry.id: channel.request.entry for channel in channels.values()}
        counters = {"duration": round(self.duration_s, 3), "recv": self.received_bytes, "send": self.sent_bytes}
        for entry in entries.values():
            self._gateway.services.connections.remove(entry, self._connection_id, self.close_code, counters)
        self.log.info("media_closed", reason=reason, **self._totals())

    def _totals(self) -> dict[str, int]:
        counters = self._media.counters
        return {
            "frames": counters.frames, "dropped": counters.dropped_frames, "gaps": counters.gaps,
            "resyncs": counters.resyncs, "bytes": counters.bytes,
        }  # fmt: skip

    # --- events -------------------------------------------------------------------------------------------------

    def _handle(self, event: MediaEvent, now: float) -> None:
        if type(event) is MediaFrame:
            self._frame(event, now)
        elif isinstance(event, Identified):
            self._number = event.number
            if event.matched:
                self._join(event.channel)
        elif isinstance(event, ChannelSeen):
            if event.matched:
                self._join(event.channel)
        elif isinstance(event, CodecCorrected):
            self.log.warning("payload_type_wrong", camera=event.channel, said=event.payload_type, codec=event.codec)
        elif isinstance(event, Violation):
            self.log.warning("media_violation", reason=event.reason, source=self.source)
            self.end(4, event.reason)

    def _join(self, number: int) -> None:
        """A channel belongs to a request: its frames have somewhere to go from now on."""
        request = self._gateway.registry.match(self._kind, self._number, number)
        if request is None:
            return
        if request.connected:  # its frames have nowhere to go
            self.end(12, f"camera {number} is being received over another connection")
            return
        request.connected = True
        if not self._channels:
            info = ConnectionInfo(
                id=self._connection_id, channel_id=request.channel_id, device_id=request.entry.id,
                ident=request.entry.device.ident, source=self.source, established=self._gateway.clock.now(),
                secondary=True,
            )  # fmt: skip
            self._gateway.services.connections.add(request.entry, Connection(info, self._closed_by_api))
        self.log = self.log.bind(device=request.entry.id)
        self.log.info("media_connected", camera=number, command=request.expected.command_id)
        feed = self._gateway.feed(request, self._connection_id, self.end)
        live = self._kind is MediaKind.LIVE or request.expected.purpose == "stream"
        self._channels[number] = _Channel(request, feed, StreamClock(live=live))
        request.news(MediaNews.CONNECTED)
        if self._file < 0:
            self._read_in_rounds()

    def _closed_by_api(self, code: int, reason: str) -> None:
        for channel in list(self._channels.values()):
            channel.feed.stop(reason)
        self.end(code, reason)

    def _frame(self, frame: MediaFrame, now: float) -> None:
        channel = self._channels.get(frame.channel)
        if channel is None:
            return
        if frame.kind is FrameKind.VIDEO:
            pts = channel.clock.output_ms(
                frame.kind, frame.timestamp_ms, now, frame_interval_ms=frame.frame_interval_ms
            )
            channel.feed.video(frame.codec, frame.data, frame.key, pts, now)
            if not channel.begun and frame.key:
                channel.begun = True
                channel.request.news(MediaNews.KEY_FRAME)
        elif frame.kind is FrameKind.AUDIO:
            pts = channel.clock.output_ms(frame.kind, frame.timestamp_ms, now)
            if channel.audio is None:
                told = attributes(self._gateway.services.settings.current(channel.request.entry.id, "attributes"))
                channel.audio = audio_format(frame.codec, frame.data, payload_type=frame.payload_type, attributes=told)
            sound = channel.audio
            channel.feed.audio(sound.codec, frame.data, pts, sound.sample_rate, sound.channels)


def attributes(said: Mapping[str, Any]) -> AvAttributes | None:
    """What the device said of its sound and pictures (0x1003), as far as it is known."""
    if not said:
        return None
    rate = AUDIO_RATES.index(said["audio_sample_rate"]) if said["audio_sample_rate"] in AUDIO_RATES else 0
    return AvAttributes(
        said["audio_codec"], said["audio_channels"], rate, 0, said["audio_frame_length"], int(said["audio_output"]),
        said["video_codec"], said["max_audio_channels"], said["max_video_channels"],
    )  # fmt: skip
