"""Bodies of the messages about recordings: query, playback, FTP upload (JT/T 1078-2016 5.6)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, Final

from .times import NO_TIME
from .wire import Reader, bcd, counted, text, unpack

_BYTES_3: Final = struct.Struct(">BBB")
_SERIAL_BYTE: Final = struct.Struct(">HB")


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
