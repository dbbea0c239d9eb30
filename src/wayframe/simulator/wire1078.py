"""JT/T 1078-2016 written from the standard for the simulator alone: the media packet (5.5.3, table 19) and the video
signalling bodies of 0x9xxx and 0x1xxx. Sans-IO."""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from .wire808 import Cursor, bcd_time

MAGIC = b"01cd"
MAX_BODY = 950
"""Body bytes of one media packet by the standard."""


class FrameKind(enum.IntEnum):
    """High nibble of the data type byte."""

    I = 0  # noqa: E741 - the standard's own name for an intra-coded frame
    P = 1
    B = 2
    AUDIO = 3
    TRANSPARENT = 4


class Part(enum.IntEnum):
    """Low nibble of the data type byte; last is 2 and middle is 3, in this order in the standard."""

    ATOMIC = 0
    FIRST = 1
    LAST = 2
    MIDDLE = 3


class Payload(enum.IntEnum):
    """Payload types of table 12 that the simulator sends."""

    G711A = 6
    AAC = 19
    H264 = 98
    H265 = 99


class MediaPacketizer:
    """Packets of one media connection: one running sequence number for all it carries.

    `number` is the terminal number as in the signalling header (6 or 10 bytes), `channel` the logical channel."""

    def __init__(self, number: bytes, channel: int, max_body: int = MAX_BODY) -> None:
        self._number = number
        self._channel = channel
        self._max_body = max_body
        self._sequence = 0

    def video(
        self, frame: bytes, kind: FrameKind, payload: Payload, timestamp_ms: int, since_key_ms: int, since_frame_ms: int
    ) -> list[bytes]:
        """All packets of one access unit (Annex B). The intervals are capped at a WORD."""
        tail = struct.pack(">QHH", timestamp_ms % (1 << 64), min(since_key_ms, 0xFFFF), min(since_frame_ms, 0xFFFF))
        return self._packets(frame, kind, payload, tail)

    def audio(self, frame: bytes, payload: Payload, timestamp_ms: int) -> list[bytes]:
        """All packets of one sound frame; they carry no intervals."""
        return self._packets(frame, FrameKind.AUDIO, payload, struct.pack(">Q", timestamp_ms % (1 << 64)))

    def transparent(self, data: bytes) -> list[bytes]:
        """Transparent data; no timestamp."""
        return self._packets(data, FrameKind.TRANSPARENT, 91, b"")

    def _packets(self, frame: bytes, kind: FrameKind, payload: int, tail: bytes) -> list[bytes]:
        pieces = [frame[at : at + self._max_body] for at in range(0, len(frame), self._max_body)] or [b""]
        return [
            self._packet(piece, kind, _part(index, len(pieces)), payload, tail) for index, piece in enumerate(pieces)
        ]

    def _packet(self, piece: bytes, kind: FrameKind, part: Part, payload: int, tail: bytes) -> bytes:
        marker = 0x80 if part in (Part.ATOMIC, Part.LAST) else 0
        head = MAGIC + struct.pack(">BBH", 0x81, marker | payload, self._sequence)
        self._sequence = (self._sequence + 1) & 0xFFFF
        kinds = bytes([self._channel, kind << 4 | part])
        return head + self._number + kinds + tail + struct.pack(">H", len(piece)) + piece


def _part(index: int, count: int) -> Part:
    if count == 1:
        return Part.ATOMIC
    if index == 0:
        return Part.FIRST
    return Part.LAST if index == count - 1 else Part.MIDDLE


@dataclass(frozen=True, slots=True)
class MediaPacket:
    """One media packet taken apart (for tests and tools on the platform's side of the wire)."""

    payload: int
    """Payload type, 7 bits."""
    marker: bool
    """Last or only packet of a frame."""
    sequence: int
    """WORD sequence number."""
    number: bytes
    """Terminal number, raw."""
    channel: int
    """Logical channel."""
    kind: FrameKind
    """Data type."""
    part: Part
    """Place within the frame."""
    timestamp_ms: int
    """Device timestamp; 0 for transparent data."""
    since_key_ms: int
    """Milliseconds since the last I frame; video only."""
    since_frame_ms: int
    """Milliseconds since the last frame; video only."""
    body: bytes
    """Payload bytes."""


def parse_packets(data: bytes, number_length: int) -> tuple[list[MediaPacket], bytes]:
    """Whole packets at the front of `data` and the unparsed rest; the length of the number must be known."""
    packets: list[MediaPacket] = []
    at = 0
    while len(data) - at >= 8 + number_length:
        if data[at : at + 4] != MAGIC:
            raise ValueError(f"no media packet at offset {at}: {data[at : at + 4].hex()}")
        mark, sequence = struct.unpack_from(">BH", data, at + 5)
        body_at = at + 8 + number_length
        kind, part = FrameKind(data[body_at + 1] >> 4), Part(data[body_at + 1] & 15)
        number, channel = data[at + 8 : body_at], data[body_at]
        body_at += 2
        fields = struct.Struct({FrameKind.AUDIO: ">QH", FrameKind.TRANSPARENT: ">H"}.get(kind, ">QHHH"))
        if len(data) < body_at + fields.size:
            break
        values = fields.unpack_from(data, body_at)
        body_at += fields.size
        if len(data) < body_at + values[-1]:
            break
        timestamp, key, frame = (*values[:-1], 0, 0, 0)[:3]
        body = data[body_at : body_at + values[-1]]
        packets.append(
            MediaPacket(
                mark & 0x7F, bool(mark & 0x80), sequence, number, channel, kind, part, timestamp, key, frame, body
            )
        )
        at = body_at + values[-1]
    return packets, data[at:]


# ---------------------------------------------------------------------------------------------------------------------
# Signalling bodies


@dataclass(frozen=True, slots=True)
class AudioVideoAttributes:
    """0x1003: what the terminal can encode (table 10)."""

    audio_codec: int
    """Payload type of the sound."""
    audio_rate: int
    """0 8k, 1 22.05k, 2 44.1k, 3 48k."""
    audio_frame: int
    """Bytes of one audio frame."""
    video_codec: int
    """Payload type of the picture."""
    audio_channels: int
    """Physical audio channels."""
    video_channels: int
    """Physical video channels."""


def attributes_answer(attributes: AudioVideoAttributes) -> bytes:
    """0x1003, 10 bytes; mono, 16 bits, no audio output."""
    return struct.pack(
        ">BBBBHBBBB",
        attributes.audio_codec,
        1,
        attributes.audio_rate,
        1,
        attributes.audio_frame,
        0,
        attributes.video_codec,
        attributes.audio_channels,
        attributes.video_channels,
    )


class DataKind(enum.IntEnum):
    """Data type of 0x9101."""

    AUDIO_VIDEO = 0
    VIDEO = 1
    TALK = 2
    LISTEN = 3
    BROADCAST = 4
    TRANSPARENT = 5


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """0x9101."""

    host: str
    """Address to connect to: IP or host name."""
    port: int
    """TCP port."""
    udp_port: int
    """UDP port, 0 for TCP."""
    channel: int
    """Logical channel."""
    data_kind: int
    """`DataKind`."""
    sub_stream: bool
    """False main (0), True sub (1)."""


def parse_live(body: bytes) -> LiveRequest:
    """0x9101."""
    cursor = Cursor(body)
    return LiveRequest(
        cursor.short_text(), cursor.word(), cursor.word(), cursor.byte(), cursor.byte(), cursor.byte() == 1
    )


class LiveCommand(enum.IntEnum):
    """Command of 0x9102."""

    CLOSE = 0
    SWITCH = 1
    PAUSE = 2
    RESUME = 3
    CLOSE_TALK = 4


@dataclass(frozen=True, slots=True)
class LiveControl:
    """0x9102."""

    channel: int
    """Logical channel."""
    command: int
    """`LiveCommand`."""
    close: int
    """0 all, 1 audio only, 2 video only."""
    sub_stream: bool
    """Stream to switch to: False main, True sub."""


def parse_live_control(body: bytes) -> LiveControl:
    """0x9102."""
    cursor = Cursor(body)
    return LiveControl(cursor.byte(), cursor.byte(), cursor.byte(), cursor.byte() == 1)


@dataclass(frozen=True, slots=True)
class PlaybackRequest:
    """0x9201."""

    host: str
    """Address to connect to."""
    port: int
    """TCP port."""
    channel: int
    """Logical channel."""
    media: int
    """0 audio and video, 1 audio, 2 video, 3 video or both."""
    stream: int
    """0 any, 1 main, 2 sub."""
    storage: int
    """0 any, 1 main, 2 backup."""
    mode: int
    """0 normal, 1 fast, 2 key frames backwards, 3 key frames, 4 single frame."""
    speed: int
    """0 none, 1..5 = 1, 2, 4, 8, 16 times."""
    begin: float | None
    """Unix seconds."""
    end: float | None
    """Unix seconds, None until stopped."""


def parse_playback(body: bytes, offset_s: int) -> PlaybackRequest:
    """0x9201; BCD times in the zone `offset_s` east of UTC."""
    cursor = Cursor(body)
    host, port, _udp = cursor.short_text(), cursor.word(), cursor.word()
    channel, media, stream, storage, mode, speed = cursor.take(6)
    begin, end = cursor.time(offset_s), cursor.time(offset_s)
    return PlaybackRequest(host, port, channel, media, stream, storage, mode, speed, begin, end)


class PlaybackCommand(enum.IntEnum):
    """Command of 0x9202."""

    START = 0
    PAUSE = 1
    STOP = 2
    FAST = 3
    KEY_FRAMES_BACKWARDS = 4
    SEEK = 5
    KEY_FRAMES = 6


@dataclass(frozen=True, slots=True)
class PlaybackControl:
    """0x9202."""

    channel: int
    """Logical channel."""
    command: int
    """`PlaybackCommand`."""
    speed: int
    """0 none, 1..5 = 1, 2, 4, 8, 16 times."""
    position: float | None
    """Unix seconds to seek to."""


def parse_playback_control(body: bytes, offset_s: int) -> PlaybackControl:
    """0x9202; the position may be missing when it is no seek."""
    cursor = Cursor(body)
    channel, command, speed = cursor.take(3)
    return PlaybackControl(channel, command, speed, cursor.time(offset_s) if cursor.left >= 6 else None)


@dataclass(frozen=True, slots=True)
class RecordingQuery:
    """0x9205, and the selection part of 0x9206."""

    channel: int
    """Logical channel, 0 all."""
    begin: float | None
    """Unix seconds, None open."""
    end: float | None
    """Unix seconds, None open."""
    alarm_mask: int
    """64 alarm bits; 0 none asked."""
    media: int
    """0 audio and video, 1 audio, 2 video, 3 video or both."""
    stream: int
    """0 any, 1 main, 2 sub."""
    storage: int
    """0 any, 1 main, 2 backup."""


def parse_recording_query(body: bytes, offset_s: int) -> RecordingQuery:
    """0x9205."""
    return _selection(Cursor(body), offset_s)


def _selection(cursor: Cursor, offset_s: int) -> RecordingQuery:
    channel = cursor.byte()
    begin, end = cursor.time(offset_s), cursor.time(offset_s)
    alarm = int.from_bytes(cursor.take(8), "big")
    return RecordingQuery(channel, begin, end, alarm, cursor.byte(), cursor.byte(), cursor.byte())


@dataclass(frozen=True, slots=True)
class Recording:
    """One item of 0x1205."""

    channel: int
    """Logical channel."""
    begin: float
    """Unix seconds."""
    end: float
    """Unix seconds."""
    media: int
    """0 audio and video, 1 audio, 2 video."""
    stream: int
    """1 main, 2 sub."""
    storage: int
    """1 main, 2 backup."""
    size: int
    """Bytes."""
    alarm: int = 0
    """64 alarm bits."""


def recordings_answer(serial: int, found: Sequence[Recording], offset_s: int) -> bytes:
    """0x1205: WORD serial of the query, DWORD total, 28-byte items."""
    return struct.pack(">HI", serial, len(found)) + b"".join(_recording(entry, offset_s) for entry in found)


def _recording(entry: Recording, offset_s: int) -> bytes:
    return (
        bytes([entry.channel])
        + bcd_time(entry.begin, offset_s)
        + bcd_time(entry.end, offset_s)
        + struct.pack(">QBBBI", entry.alarm, entry.media, entry.stream, entry.storage, entry.size)
    )


@dataclass(frozen=True, slots=True)
class FtpRequest:
    """0x9206."""

    host: str
    """FTP server."""
    port: int
    """FTP port."""
    user: str
    """User name."""
    password: str
    """Password."""
    path: str
    """Folder to store into."""
    selection: RecordingQuery
    """What to upload."""
    conditions: int
    """Bit 0 Wi-Fi, 1 LAN, 2 mobile network."""


def parse_ftp_request(body: bytes, offset_s: int) -> FtpRequest:
    """0x9206."""
    cursor = Cursor(body)
    host, port = cursor.short_text(), cursor.word()
    user, password, path = cursor.short_text(), cursor.short_text(), cursor.short_text()
    return FtpRequest(host, port, user, password, path, _selection(cursor, offset_s), cursor.byte())
