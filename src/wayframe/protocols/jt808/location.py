"""Location messages: 0x0200 and what carries its body (S13 8.18 and 8.19, S19 8.12; reference section 4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..jt1078.wire import BodyError, Reader, bcd
from .frames import Layout

BASE_SIZE = 28
"""Bytes of the fixed part of a location report."""
_BASE = struct.Struct(">IIIIHHH6s")
SOUTH = 1 << 2
"""Status bit: the latitude is southern."""
WEST = 1 << 3
"""Status bit: the longitude is western."""


@dataclass(frozen=True, slots=True)
class Item:
    """One additional item of a location report."""

    id: int
    """Item id; what it means depends on vendor and length."""
    raw: bytes
    """Its value."""

    def encode(self) -> bytes:
        """Id, length, value."""
        return bytes((self.id, len(self.raw))) + self.raw


@dataclass(frozen=True, slots=True)
class Location:
    """0x0200: where the vehicle is and how it is. Integers as on the wire."""

    alarm: int
    """Alarm bits."""
    status: int
    """Status bits."""
    latitude: int
    """Millionths of a degree without sign; the hemisphere is in the status."""
    longitude: int
    """Millionths of a degree without sign."""
    altitude: int
    """Metres, as sent; `altitude_m` reads the sign."""
    speed: int
    """0.1 km/h."""
    direction: int
    """Degrees from north, clockwise."""
    time: str
    """Twelve BCD digits, device time."""
    items: tuple[Item, ...] = ()
    """Complete additional items in the order sent; an id may occur twice."""
    rest: bytes = b""
    """What follows the last complete item: a cut item or filling."""

    @property
    def latitude_degrees(self) -> float:
        """Degrees, south negative."""
        return self.latitude / (-1e6 if self.status & SOUTH else 1e6)

    @property
    def longitude_degrees(self) -> float:
        """Degrees, west negative."""
        return self.longitude / (-1e6 if self.status & WEST else 1e6)

    @property
    def altitude_m(self) -> int:
        """Metres; read as signed, as terminals below sea level send it."""
        return self.altitude - 0x10000 if self.altitude & 0x8000 else self.altitude

    @classmethod
    def decode(cls, body: bytes, layout: Layout = Layout.V2013) -> Location:
        """Read a body; a cut item at the end is kept raw. Raises `BodyError`."""
        if len(body) < BASE_SIZE:
            raise BodyError(f"a location has {BASE_SIZE} bytes, got {len(body)}")
        alarm, status, latitude, longitude, altitude, speed, direction, time = _BASE.unpack_from(body)
        items = []
        at = BASE_SIZE
        while at + 2 <= len(body) and (end := at + 2 + body[at + 1]) <= len(body):
            items.append(Item(body[at], body[at + 2 : end]))
            at = end
        place = latitude, longitude, altitude, speed, direction
        return cls(alarm, status, *place, time.hex(), tuple(items), body[at:])

    def encode(self, layout: Layout = Layout.V2013) -> bytes:
        """Write the body."""
        base = _BASE.pack(
            self.alarm,
            self.status,
            self.latitude,
            self.longitude,
            self.altitude,
            self.speed,
            self.direction,
            bcd(self.time),
        )
        return base + b"".join(item.encode() for item in self.items) + self.rest


@dataclass(frozen=True, slots=True)
class LocationAnswer:
    """0x0201 and 0x0500: a location that answers a question or a vehicle control."""

    reply_serial: int
    """Serial of the platform message."""
    location: Location
    """The location."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> LocationAnswer:
        """Read a body. Raises `BodyError`."""
        return cls(Reader(body).word(), Location.decode(body[2:]))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return self.reply_serial.to_bytes(2, "big") + self.location.encode()


@dataclass(frozen=True, slots=True)
class LocationBatch:
    """0x0704: locations gathered while there was no connection, in any order."""

    count: int
    """Number of locations as stated."""
    type: int
    """0 normal, 1 resend from a blind zone."""
    locations: tuple[Location, ...]
    """The complete ones found."""
    short: bool = False
    """True if the body ended before the stated count, or an entry was no location."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> LocationBatch:
        """Read a body; entries that are cut or too short are left out. Raises `BodyError`."""
        reader = Reader(body)
        count, kind = reader.word(), reader.byte()
        found: list[Location] = []
        short = False
        while len(found) < count and not short:
            try:
                found.append(Location.decode(reader.take(reader.word())))
            except BodyError:
                short = True
        return cls(count, kind, tuple(found), short)

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        entries = (location.encode() for location in self.locations)
        head = struct.pack(">HB", self.count, self.type)
        return head + b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


@dataclass(frozen=True, slots=True)
class Tracking:
    """0x8202: report at this interval for a while."""

    interval_s: int
    """Seconds between reports; 0 stops."""
    duration_s: int = 0
    """For how long."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> Tracking:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        interval = reader.word()
        return cls(interval, reader.dword() if interval else 0)

    def encode(self, layout: Layout) -> bytes:
        """Write the body; stopping has no duration."""
        if not self.interval_s:
            return b"\x00\x00"
        return struct.pack(">HI", self.interval_s, self.duration_s)


@dataclass(frozen=True, slots=True)
class AlarmConfirmation:
    """0x8203: a person has seen these alarms."""

    alarm_serial: int
    """Serial of the location message that carried the alarm; 0 for all of the types."""
    types: int
    """Alarm bits 0, 3, 20, 21, 22, 27, 28."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> AlarmConfirmation:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.word(), reader.dword())

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return struct.pack(">HI", self.alarm_serial, self.types)


@dataclass(frozen=True, slots=True)
class CanFrame:
    """One frame from the vehicle's bus."""

    id: int
    """Bit 31 channel, bit 30 extended, bit 29 averaged, bits 0–28 CAN id."""
    data: bytes
    """Eight bytes."""


@dataclass(frozen=True, slots=True)
class CanFrames:
    """0x0705: frames heard on the vehicle's buses."""

    count: int
    """Number of frames as stated."""
    time: str
    """Ten BCD digits: hh mm ss and milliseconds, of the first frame; no date."""
    frames: tuple[CanFrame, ...]
    """The complete frames found."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> CanFrames:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        count, time = reader.word(), reader.take(5).hex()
        complete = min(count, reader.left // 12)
        return cls(count, time, tuple(CanFrame(reader.dword(), reader.take(8)) for _ in range(complete)))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        frames = b"".join(frame.id.to_bytes(4, "big") + frame.data for frame in self.frames)
        return self.count.to_bytes(2, "big") + bytes.fromhex(self.time) + frames
