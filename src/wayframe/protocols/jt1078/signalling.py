"""Bodies of the video messages on the 808 link, both directions (JT/T 1078-2016 5.4 to 5.6, tables 17 to 28).

Values stay as sent: codes are plain integers (terminals send ones no table lists), times are twelve BCD digits of
local time (see `times`). Every record has `ID`, `decode(body)` and `encode()`; `DECODERS` finds them by message id.
Attachment messages are in `attachment_messages`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from . import attachment_messages as attachments
from .times import NO_TIME
from .wire import BodyError, Reader, bcd, counted, text, unpack

_BYTES_2: Final = struct.Struct(">BB")
_BYTES_3: Final = struct.Struct(">BBB")
_BYTES_4: Final = struct.Struct(">BBBB")
_SERIAL_BYTE: Final = struct.Struct(">HB")
_ATTRIBUTES: Final = struct.Struct(">BBBBHBBBB")


@dataclass(frozen=True, slots=True)
class QueryAvAttributes:
    """0x9003, platform: ask for the audio and video attributes; empty body."""

    ID: ClassVar[int] = 0x9003

    @classmethod
    def decode(cls, body: bytes) -> QueryAvAttributes:
        """Read a body."""
        return cls()

    def encode(self) -> bytes:
        """Write the body."""
        return b""


@dataclass(frozen=True, slots=True)
class AvAttributes:
    """0x1003, terminal: audio and video attributes."""

    audio_codec: int
    """Payload type of audio."""
    audio_channels: int
    """Number of audio channels."""
    audio_rate: int
    """0 8 kHz, 1 22.05 kHz, 2 44.1 kHz, 3 48 kHz."""
    audio_bits: int
    """0 8 bits, 1 16 bits, 2 32 bits."""
    audio_frame_length: int
    """Length of an audio frame."""
    audio_output: int
    """1 if the terminal can play audio."""
    video_codec: int
    """Payload type of video."""
    max_audio_channels: int
    """Physical audio channels."""
    max_video_channels: int
    """Physical video channels."""

    ID: ClassVar[int] = 0x1003

    @classmethod
    def decode(cls, body: bytes) -> AvAttributes:
        """Read a body. Raises `BodyError`."""
        return unpack(cls, _ATTRIBUTES, body)

    def encode(self) -> bytes:
        """Write the body."""
        return _ATTRIBUTES.pack(
            self.audio_codec,
            self.audio_channels,
            self.audio_rate,
            self.audio_bits,
            self.audio_frame_length,
            self.audio_output,
            self.video_codec,
            self.max_audio_channels,
            self.max_video_channels,
        )


@dataclass(frozen=True, slots=True)
class PassengerFlow:
    """0x1005, terminal: passengers counted in a span of time."""

    start: str
    """BCD digits."""
    end: str
    """BCD digits."""
    boarded: int
    """Passengers that got on."""
    alighted: int
    """Passengers that got off."""

    ID: ClassVar[int] = 0x1005

    @classmethod
    def decode(cls, body: bytes) -> PassengerFlow:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.time(), reader.time(), reader.word(), reader.word())

    def encode(self) -> bytes:
        """Write the body."""
        return bcd(self.start) + bcd(self.end) + struct.pack(">HH", self.boarded, self.alighted)


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """0x9101, platform: send live media to this address."""

    host: str
    """Address or host name the terminal shall connect to."""
    tcp_port: int
    """0 for none."""
    udp_port: int
    """0 for none."""
    channel: int
    """Logical channel."""
    data_type: int
    """0 audio and video, 1 video, 2 two-way talk, 3 listen, 4 broadcast, 5 transparent."""
    stream: int
    """0 main, 1 sub (unlike the playback messages)."""

    ID: ClassVar[int] = 0x9101

    @classmethod
    def decode(cls, body: bytes) -> LiveRequest:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        host = text(reader.counted())
        return cls(host, reader.word(), reader.word(), reader.byte(), reader.byte(), reader.byte())

    def encode(self) -> bytes:
        """Write the body."""
        tail = (self.tcp_port, self.udp_port, self.channel, self.data_type, self.stream)
        return counted(self.host) + struct.pack(">HHBBB", *tail)


@dataclass(frozen=True, slots=True)
class LiveControl:
    """0x9102, platform: close, switch, pause or resume a live stream."""

    channel: int
    """Logical channel."""
    command: int
    """0 close, 1 switch stream, 2 pause, 3 resume, 4 close talk."""
    close_type: int = 0
    """0 all, 1 audio only, 2 video only."""
    stream: int = 0
    """0 main, 1 sub."""

    ID: ClassVar[int] = 0x9102

    @classmethod
    def decode(cls, body: bytes) -> LiveControl:
        """Read a body. Raises `BodyError`."""
        return unpack(cls, _BYTES_4, body)

    def encode(self) -> bytes:
        """Write the body."""
        return _BYTES_4.pack(self.channel, self.command, self.close_type, self.stream)


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """0x9105, platform: reception quality of a live stream, sent periodically."""

    channel: int
    """Logical channel."""
    loss_percent: int = 0
    """Packets lost; 0 on TCP."""

    ID: ClassVar[int] = 0x9105

    @classmethod
    def decode(cls, body: bytes) -> LiveStatus:
        """Read a body. Raises `BodyError`."""
        return unpack(cls, _BYTES_2, body)

    def encode(self) -> bytes:
        """Write the body."""
        return _BYTES_2.pack(self.channel, self.loss_percent)


@dataclass(frozen=True, slots=True)
class PlaybackRequest:
    """0x9201, platform: send a recording to this address."""

    host: str
    """Address or host name the terminal shall connect to."""
    tcp_port: int
    """0 for none."""
    udp_port: int
    """0 for none."""
    channel: int
    """Logical channel."""
    media_type: int
    """0 audio and video, 1 audio, 2 video, 3 video or both."""
    stream: int
    """0 any, 1 main, 2 sub."""
    storage: int
    """0 any, 1 main, 2 backup."""
    mode: int
    """0 normal, 1 fast, 2 key frames backwards, 3 key frames, 4 single frame."""
    speed: int
    """0 none, 1..5 = 1, 2, 4, 8, 16 times; modes 1 and 2 only."""
    start: str
    """BCD digits."""
    end: str = NO_TIME
    """BCD digits; zeros = until stopped."""

    ID: ClassVar[int] = 0x9201

    @classmethod
    def decode(cls, body: bytes) -> PlaybackRequest:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        host = text(reader.counted())
        ports = reader.word(), reader.word()
        what = reader.byte(), reader.byte(), reader.byte(), reader.byte()
        return cls(host, *ports, *what, reader.byte(), reader.byte(), reader.time(), reader.time())

    def encode(self) -> bytes:
        """Write the body."""
        codes = (self.channel, self.media_type, self.stream, self.storage, self.mode, self.speed)
        ports = struct.pack(">HH", self.tcp_port, self.udp_port)
        return counted(self.host) + ports + bytes(codes) + bcd(self.start) + bcd(self.end)


@dataclass(frozen=True, slots=True)
class PlaybackControl:
    """0x9202, platform: pause, stop or seek a playback."""

    channel: int
    """Logical channel."""
    command: int
    """0 start, 1 pause, 2 stop, 3 fast, 4 key frames backwards, 5 seek, 6 key frames."""
    speed: int = 0
    """As in `PlaybackRequest`."""
    position: str = NO_TIME
    """BCD digits, seek only."""

    ID: ClassVar[int] = 0x9202

    @classmethod
    def decode(cls, body: bytes) -> PlaybackControl:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.byte(), reader.byte(), reader.byte(), reader.time())

    def encode(self) -> bytes:
        """Write the body."""
        return _BYTES_3.pack(self.channel, self.command, self.speed) + bcd(self.position)


@dataclass(frozen=True, slots=True)
class RecordingQuery:
    """0x9205, platform: which recordings exist."""

    channel: int
    """Logical channel, 0 all."""
    start: str = NO_TIME
    """BCD digits, zeros = open."""
    end: str = NO_TIME
    """BCD digits, zeros = open."""
    alarm: int = 0
    """64 bits: low half 808 alarm bits, high half video alarm bits; 0 = whatever."""
    media_type: int = 0
    """0 audio and video, 1 audio, 2 video, 3 video or both."""
    stream: int = 0
    """0 any, 1 main, 2 sub."""
    storage: int = 0
    """0 any, 1 main, 2 backup."""

    ID: ClassVar[int] = 0x9205

    @classmethod
    def decode(cls, body: bytes) -> RecordingQuery:
        """Read a body. Raises `BodyError`."""
        r = Reader(body)
        return cls(r.byte(), r.time(), r.time(), r.long(), r.byte(), r.byte(), r.byte())

    def encode(self) -> bytes:
        """Write the body."""
        span = bytes((self.channel,)) + bcd(self.start) + bcd(self.end)
        return span + struct.pack(">QBBB", self.alarm, self.media_type, self.stream, self.storage)


@dataclass(frozen=True, slots=True)
class RecordingItem:
    """One recording of a 0x1205 list, 28 bytes on the wire."""

    channel: int
    """Logical channel."""
    start: str
    """BCD digits."""
    end: str
    """BCD digits."""
    alarm: int
    """64 alarm bits, as in `RecordingQuery`."""
    media_type: int
    """0 audio and video, 1 audio, 2 video."""
    stream: int
    """1 main, 2 sub."""
    storage: int
    """1 main, 2 backup."""
    size: int
    """Bytes."""

    SIZE: ClassVar[int] = 28

    def encode(self) -> bytes:
        """Write the item."""
        codes = struct.pack(">QBBBI", self.alarm, self.media_type, self.stream, self.storage, self.size)
        return bytes((self.channel,)) + bcd(self.start) + bcd(self.end) + codes


@dataclass(frozen=True, slots=True)
class RecordingList:
    """0x1205, terminal: the recordings asked for. Decode the joined parts: items may be cut at part borders."""

    reply_serial: int
    """Serial number of the query or playback request."""
    items: tuple[RecordingItem, ...]
    """Whole items found in the body, whatever the total says."""
    total: int
    """Number of recordings as stated; wrong totals occur."""

    ID: ClassVar[int] = 0x1205

    @classmethod
    def decode(cls, body: bytes) -> RecordingList:
        """Read a body; an item cut short at the end is left out. Raises `BodyError`."""
        r = Reader(body)
        serial, total = r.word(), r.dword()
        items = []
        while r.left >= RecordingItem.SIZE:
            span = r.byte(), r.time(), r.time(), r.long()
            items.append(RecordingItem(*span, r.byte(), r.byte(), r.byte(), r.dword()))
        return cls(serial, tuple(items), total)

    def encode(self) -> bytes:
        """Write the body."""
        return struct.pack(">HI", self.reply_serial, self.total) + b"".join(i.encode() for i in self.items)


@dataclass(frozen=True, slots=True)
class FtpUpload:
    """0x9206, platform: upload recordings by FTP."""

    host: str
    """FTP server."""
    port: int
    """FTP port."""
    user: str
    """User name."""
    password: str
    """Password."""
    path: str
    """Target folder."""
    channel: int
    """Logical channel."""
    start: str
    """BCD digits."""
    end: str
    """BCD digits."""
    alarm: int = 0
    """64 alarm bits, as in `RecordingQuery`."""
    media_type: int = 0
    """0 audio and video, 1 audio, 2 video, 3 video or both."""
    stream: int = 0
    """0 any, 1 main, 2 sub."""
    storage: int = 0
    """0 any, 1 main, 2 backup."""
    condition: int = 7
    """Networks allowed: bit 0 Wi-Fi, bit 1 LAN, bit 2 3G/4G."""

    ID: ClassVar[int] = 0x9206

    @classmethod
    def decode(cls, body: bytes) -> FtpUpload:
        """Read a body. Raises `BodyError`."""
        r = Reader(body)
        host, port = text(r.counted()), r.word()
        user, password, path = text(r.counted()), text(r.counted()), text(r.counted())
        span = r.byte(), r.time(), r.time(), r.long()
        return cls(host, port, user, password, path, *span, r.byte(), r.byte(), r.byte(), r.byte())

    def encode(self) -> bytes:
        """Write the body."""
        login = counted(self.user) + counted(self.password) + counted(self.path)
        span = bytes((self.channel,)) + bcd(self.start) + bcd(self.end)
        codes = (self.alarm, self.media_type, self.stream, self.storage, self.condition)
        return counted(self.host) + struct.pack(">H", self.port) + login + span + struct.pack(">QBBBB", *codes)


@dataclass(frozen=True, slots=True)
class FtpUploadFinished:
    """0x1206, terminal: an FTP upload ended."""

    reply_serial: int
    """Serial number of the 0x9206."""
    result: int
    """0 ok, 1 failed."""

    ID: ClassVar[int] = 0x1206

    @classmethod
    def decode(cls, body: bytes) -> FtpUploadFinished:
        """Read a body. Raises `BodyError`."""
        return unpack(cls, _SERIAL_BYTE, body)

    def encode(self) -> bytes:
        """Write the body."""
        return _SERIAL_BYTE.pack(self.reply_serial, self.result)


@dataclass(frozen=True, slots=True)
class FtpUploadControl:
    """0x9207, platform: pause, resume or cancel an FTP upload."""

    reply_serial: int
    """Serial number of the 0x9206."""
    command: int
    """0 pause, 1 resume, 2 cancel."""

    ID: ClassVar[int] = 0x9207

    @classmethod
    def decode(cls, body: bytes) -> FtpUploadControl:
        """Read a body. Raises `BodyError`."""
        return unpack(cls, _SERIAL_BYTE, body)

    def encode(self) -> bytes:
        """Write the body."""
        return _SERIAL_BYTE.pack(self.reply_serial, self.command)


@dataclass(frozen=True, slots=True)
class PtzRotate:
    """0x9301, platform: turn a camera."""

    channel: int
    """Logical channel."""
    direction: int
    """0 stop, 1 up, 2 down, 3 left, 4 right."""
    speed: int = 0
    """0..255."""

    ID: ClassVar[int] = 0x9301

    @classmethod
    def decode(cls, body: bytes) -> PtzRotate:
        """Read a body. Raises `BodyError`."""
        return unpack(cls, _BYTES_3, body)

    def encode(self) -> bytes:
        """Write the body."""
        return _BYTES_3.pack(self.channel, self.direction, self.speed)


@dataclass(frozen=True, slots=True)
class _PtzSwitch:
    """Common body of 0x9302 to 0x9306: channel and one value."""

    channel: int
    """Logical channel."""
    value: int
    """0 or 1; the message says of what."""

    def encode(self) -> bytes:
        """Write the body."""
        return _BYTES_2.pack(self.channel, self.value)


class PtzFocus(_PtzSwitch):
    """0x9302, platform: focus, 0 farther, 1 nearer."""

    __slots__ = ()
    ID: ClassVar[int] = 0x9302

    @classmethod
    def decode(cls, body: bytes) -> PtzFocus:
        """Read a body. Raises `BodyError`."""
        return unpack(cls, _BYTES_2, body)


class PtzIris(_PtzSwitch):
    """0x9303, platform: iris, 0 open, 1 close."""

    __slots__ = ()
    ID: ClassVar[int] = 0x9303

    @classmethod
    def decode(cls, body: bytes) -> PtzIris:
        """Read a body. Raises `BodyError`."""
        return unpack(cls, _BYTES_2, body)


class PtzWiper(_PtzSwitch):
    """0x9304, platform: wiper, 0 stop, 1 start."""

    __slots__ = ()
    ID: ClassVar[int] = 0x9304

    @classmethod
    def decode(cls, body: bytes) -> PtzWiper:
        """Read a body. Raises `BodyError`."""
        return unpack(cls, _BYTES_2, body)


class PtzInfrared(_PtzSwitch):
    """0x9305, platform: infrared light, 0 off, 1 on."""

    __slots__ = ()
    ID: ClassVar[int] = 0x9305

    @classmethod
    def decode(cls, body: bytes) -> PtzInfrared:
        """Read a body. Raises `BodyError`."""
        return unpack(cls, _BYTES_2, body)


class PtzZoom(_PtzSwitch):
    """0x9306, platform: zoom, 0 in, 1 out."""

    __slots__ = ()
    ID: ClassVar[int] = 0x9306

    @classmethod
    def decode(cls, body: bytes) -> PtzZoom:
        """Read a body. Raises `BodyError`."""
        return unpack(cls, _BYTES_2, body)


SignallingMessage = (
    QueryAvAttributes
    | AvAttributes
    | PassengerFlow
    | LiveRequest
    | LiveControl
    | LiveStatus
    | PlaybackRequest
    | PlaybackControl
    | RecordingQuery
    | RecordingList
    | FtpUpload
    | FtpUploadFinished
    | FtpUploadControl
    | PtzRotate
    | PtzFocus
    | PtzIris
    | PtzWiper
    | PtzInfrared
    | PtzZoom
    | attachments.AttachmentRequest
    | attachments.AttachmentList
    | attachments.FileStart
    | attachments.FileEnd
    | attachments.FileEndReply
)
"""Any body of this package."""

DECODERS: Final[dict[int, Callable[[bytes], SignallingMessage]]] = {
    kind.ID: kind.decode
    for kind in (
        QueryAvAttributes,
        AvAttributes,
        PassengerFlow,
        LiveRequest,
        LiveControl,
        LiveStatus,
        PlaybackRequest,
        PlaybackControl,
        RecordingQuery,
        RecordingList,
        FtpUpload,
        FtpUploadFinished,
        FtpUploadControl,
        PtzRotate,
        PtzFocus,
        PtzIris,
        PtzWiper,
        PtzInfrared,
        PtzZoom,
        attachments.AttachmentRequest,
        attachments.AttachmentList,
        attachments.FileStart,
        attachments.FileEnd,
        attachments.FileEndReply,
    )
}
"""Decoder by message id; each raises `BodyError` for a body that does not fit."""


def decode_body(message_id: int, body: bytes) -> SignallingMessage:
    """Read the assembled body of a video or attachment message; the header's layout makes no difference.

    Raises `BodyError` for a body that does not fit, `KeyError` for a message id that is not in `DECODERS`.
    """
    return DECODERS[message_id](body)


__all__ = [
    "DECODERS",
    "AvAttributes",
    "BodyError",
    "FtpUpload",
    "FtpUploadControl",
    "FtpUploadFinished",
    "LiveControl",
    "LiveRequest",
    "LiveStatus",
    "PassengerFlow",
    "PlaybackControl",
    "PlaybackRequest",
    "PtzFocus",
    "PtzInfrared",
    "PtzIris",
    "PtzRotate",
    "PtzWiper",
    "PtzZoom",
    "QueryAvAttributes",
    "RecordingItem",
    "RecordingList",
    "RecordingQuery",
    "SignallingMessage",
    "decode_body",
]
