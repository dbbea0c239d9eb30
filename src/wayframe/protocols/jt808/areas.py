"""Areas and routes that a terminal watches, and its phone book (0x8600–0x8608, 0x0608, 0x8401; S13 and S19)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..jt1078.wire import Reader, bcd, counted, text
from .frames import Layout

HAS_TIME, HAS_SPEED = 1 << 0, 1 << 1
"""Attribute bits: the area is valid in a span of time; it has a speed limit."""
_PASSING, _LIMITED = 1 << 0, 1 << 1
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Point:
    """A place."""

    latitude: int
    """Millionths of a degree; the hemisphere is an attribute of the area."""
    longitude: int
    """Millionths of a degree."""

    @classmethod
    def read(cls, reader: Reader) -> Point:
        """Two DWORDs."""
        return cls(reader.dword(), reader.dword())

    def encode(self) -> bytes:
        """Two DWORDs."""
        return struct.pack(">II", self.latitude, self.longitude)


@dataclass(frozen=True, slots=True)
class Rules:
    """When an area holds, and how fast one may be in it; which fields there are is told by `attributes`."""

    attributes: int
    """Bits: 0 time, 1 speed, 2–3 report entering to driver and platform, 4–5 leaving, 6 south, 7 west, 8 doors may not
    be opened, 14 no communication, 15 GNSS detail."""
    start: str = ""
    """Twelve BCD digits; zeros in a place mean every year, month, …"""
    end: str = ""
    """Twelve BCD digits."""
    speed: int = 0
    """Limit in km/h."""
    overspeed_s: int = 0
    """How long it may be passed."""
    night_speed: int = 0
    """Limit at night in km/h, 2019."""
    name: str = ""
    """Name, 2019."""

    def head(self) -> bytes:
        """Attributes."""
        return self.attributes.to_bytes(2, "big")

    def times(self) -> bytes:
        """The span of time, if there is one."""
        return bcd(self.start) + bcd(self.end) if self.attributes & HAS_TIME else b""

    def limits(self) -> bytes:
        """The speed limit, if there is one."""
        return struct.pack(">HB", self.speed, self.overspeed_s) if self.attributes & HAS_SPEED else b""

    def tail(self, layout: Layout) -> bytes:
        """What 2019 added."""
        if not layout.is_2019:
            return b""
        night = self.night_speed.to_bytes(2, "big") if self.attributes & HAS_SPEED else b""
        raw = self.name.encode("gbk", "replace")
        return night + len(raw).to_bytes(2, "big") + raw


def _times(reader: Reader, attributes: int) -> tuple[str, str]:
    return (reader.time(), reader.time()) if attributes & HAS_TIME else ("", "")


def _limits(reader: Reader, attributes: int) -> tuple[int, int]:
    return (reader.word(), reader.byte()) if attributes & HAS_SPEED else (0, 0)


def _tail(reader: Reader, attributes: int, layout: Layout) -> tuple[int, str]:
    if not layout.is_2019:
        return 0, ""
    night = reader.word() if attributes & HAS_SPEED else 0
    return night, text(reader.take(reader.word()))


@dataclass(frozen=True, slots=True)
class Area:
    """A circle (one point and a radius) or a rectangle (upper left and lower right point)."""

    id: int
    """Area id."""
    rules: Rules
    """When and how fast."""
    points: tuple[Point, ...]
    """Centre, or two corners."""
    radius: int | None = None
    """Metres, circles only."""

    @classmethod
    def read(cls, reader: Reader, layout: Layout, *, circle: bool) -> Area:
        """One area of a list. Raises `BodyError`."""
        id, attributes = reader.dword(), reader.word()
        points = tuple(Point.read(reader) for _ in range(1 if circle else 2))
        radius = reader.dword() if circle else None
        times, limits = _times(reader, attributes), _limits(reader, attributes)
        return cls(id, Rules(attributes, *times, *limits, *_tail(reader, attributes, layout)), points, radius)

    def encode(self, layout: Layout) -> bytes:
        """One area of a list."""
        rules = self.rules
        place = b"".join(point.encode() for point in self.points)
        place += b"" if self.radius is None else self.radius.to_bytes(4, "big")
        head = self.id.to_bytes(4, "big") + rules.head()
        return head + place + rules.times() + rules.limits() + rules.tail(layout)


@dataclass(frozen=True, slots=True)
class SetAreas:
    """0x8600 circles and 0x8602 rectangles."""

    mode: int
    """0 replace all, 1 add, 2 change."""
    areas: tuple[Area, ...]
    """The areas."""

    @classmethod
    def circles(cls, body: bytes, layout: Layout) -> SetAreas:
        """Read a 0x8600. Raises `BodyError`."""
        return cls._read(body, layout, circle=True)

    @classmethod
    def rectangles(cls, body: bytes, layout: Layout) -> SetAreas:
        """Read a 0x8602. Raises `BodyError`."""
        return cls._read(body, layout, circle=False)

    @classmethod
    def _read(cls, body: bytes, layout: Layout, *, circle: bool) -> SetAreas:
        reader = Reader(body)
        mode, count = reader.byte(), reader.byte()
        return cls(mode, tuple(Area.read(reader, layout, circle=circle) for _ in range(count)))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return bytes((self.mode, len(self.areas))) + b"".join(area.encode(layout) for area in self.areas)


@dataclass(frozen=True, slots=True)
class SetPolygon:
    """0x8604: a polygon."""

    id: int
    """Area id."""
    rules: Rules
    """When and how fast."""
    points: tuple[Point, ...]
    """Corners."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> SetPolygon:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        id, attributes = reader.dword(), reader.word()
        times, limits = _times(reader, attributes), _limits(reader, attributes)
        points = tuple(Point.read(reader) for _ in range(reader.word()))
        return cls(id, Rules(attributes, *times, *limits, *_tail(reader, attributes, layout)), points)

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        rules = self.rules
        points = len(self.points).to_bytes(2, "big") + b"".join(point.encode() for point in self.points)
        head = self.id.to_bytes(4, "big") + rules.head() + rules.times() + rules.limits()
        return head + points + rules.tail(layout)


@dataclass(frozen=True, slots=True)
class Turn:
    """A turning point of a route, and the segment that begins there."""

    id: int
    """Id of the turning point."""
    segment: int
    """Id of the segment."""
    point: Point
    """Where."""
    width: int
    """Metres."""
    attributes: int
    """Bits: 0 passing time, 1 speed limit, 2 south, 3 west."""
    longest_s: int = 0
    """Longest passing time."""
    shortest_s: int = 0
    """Shortest passing time."""
    speed: int = 0
    """Limit in km/h."""
    overspeed_s: int = 0
    """How long it may be passed."""
    night_speed: int = 0
    """Limit at night in km/h, 2019."""

    @classmethod
    def read(cls, reader: Reader, layout: Layout) -> Turn:
        """One turn of a list. Raises `BodyError`."""
        id, segment, point = reader.dword(), reader.dword(), Point.read(reader)
        width, attributes = reader.byte(), reader.byte()
        passing = (reader.word(), reader.word()) if attributes & _PASSING else (0, 0)
        limited = attributes & _LIMITED
        limits = (reader.word(), reader.byte()) if limited else (0, 0)
        night = reader.word() if limited and layout.is_2019 else 0
        return cls(id, segment, point, width, attributes, *passing, *limits, night)

    def encode(self, layout: Layout) -> bytes:
        """One turn of a list."""
        raw = struct.pack(">II", self.id, self.segment) + self.point.encode() + bytes((self.width, self.attributes))
        if self.attributes & _PASSING:
            raw += struct.pack(">HH", self.longest_s, self.shortest_s)
        if self.attributes & _LIMITED:
            raw += struct.pack(">HB", self.speed, self.overspeed_s)
            raw += self.night_speed.to_bytes(2, "big") if layout.is_2019 else b""
        return raw


@dataclass(frozen=True, slots=True)
class SetRoute:
    """0x8606: a route."""

    id: int
    """Route id."""
    attributes: int
    """Bits: 0 time, 2–3 report entering to driver and platform, 4–5 leaving."""
    turns: tuple[Turn, ...]
    """Turning points."""
    start: str = ""
    """Twelve BCD digits."""
    end: str = ""
    """Twelve BCD digits."""
    name: str = ""
    """Name, 2019."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> SetRoute:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        id, attributes = reader.dword(), reader.word()
        times = _times(reader, attributes)
        turns = tuple(Turn.read(reader, layout) for _ in range(reader.word()))
        return cls(id, attributes, turns, *times, text(reader.take(reader.word())) if layout.is_2019 else "")

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        times = bcd(self.start) + bcd(self.end) if self.attributes & HAS_TIME else b""
        turns = len(self.turns).to_bytes(2, "big") + b"".join(turn.encode(layout) for turn in self.turns)
        raw = self.name.encode("gbk", "replace")
        tail = len(raw).to_bytes(2, "big") + raw if layout.is_2019 else b""
        return struct.pack(">IH", self.id, self.attributes) + times + turns + tail


@dataclass(frozen=True, slots=True)
class DeleteAreas:
    """0x8601, 0x8603, 0x8605, 0x8607: forget circles, rectangles, polygons, routes."""

    ids: tuple[int, ...] = ()
    """Which; none for all."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> DeleteAreas:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(tuple(reader.dword() for _ in range(reader.byte())))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return bytes((len(self.ids),)) + struct.pack(f">{len(self.ids)}I", *self.ids)


@dataclass(frozen=True, slots=True)
class QueryAreas:
    """0x8608 (2019): which areas does the terminal have?"""

    type: int
    """1 circles, 2 rectangles, 3 polygons, 4 routes."""
    ids: tuple[int, ...] = ()
    """Which; none for all."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> QueryAreas:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        kind, count = reader.byte(), reader.dword()
        return cls(kind, tuple(reader.dword() for _ in range(min(count, reader.left // 4))))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return struct.pack(f">BI{len(self.ids)}I", self.type, len(self.ids), *self.ids)


@dataclass(frozen=True, slots=True)
class AreaAnswer:
    """0x0608 (2019): areas as they were set; each in the form of its 0x86xx message."""

    type: int
    """As in the question."""
    count: int
    """Number of areas."""
    data: bytes
    """The areas."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> AreaAnswer:
        """Read an assembled body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.byte(), reader.dword(), reader.take(reader.left))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return struct.pack(">BI", self.type, self.count) + self.data


@dataclass(frozen=True, slots=True)
class Contact:
    """One entry of a phone book."""

    flag: int
    """1 may call in, 2 may be called, 3 both."""
    phone: str
    """Number."""
    name: str
    """Name."""


@dataclass(frozen=True, slots=True)
class PhoneBook:
    """0x8401: whom the terminal may call."""

    mode: int
    """0 delete all, 1 replace, 2 add, 3 change by name."""
    contacts: tuple[Contact, ...] = ()
    """Entries; none when all are deleted."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> PhoneBook:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        mode = reader.byte()
        count = reader.byte() if reader.left else 0
        return cls(mode, _many(count, lambda: Contact(reader.byte(), text(reader.counted()), text(reader.counted()))))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        if not self.mode:
            return b"\x00"
        entries = (bytes((c.flag,)) + counted(c.phone) + counted(c.name) for c in self.contacts)
        return bytes((self.mode, len(self.contacts))) + b"".join(entries)


def _many(count: int, read: Callable[[], T]) -> tuple[T, ...]:
    return tuple(read() for _ in range(count))
