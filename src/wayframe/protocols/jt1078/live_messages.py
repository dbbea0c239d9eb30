"""Bodies of the messages about attributes, live streams and camera control (JT/T 1078-2016 5.4, 5.5, 5.7)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, Final

from .wire import Reader, bcd, counted, text, unpack

_BYTES_2: Final = struct.Struct(">BB")
_BYTES_3: Final = struct.Struct(">BBB")
_BYTES_4: Final = struct.Struct(">BBBB")
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
