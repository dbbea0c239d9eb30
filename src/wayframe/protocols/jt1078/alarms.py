"""Active safety alarms: location items 0x64 to 0x67 and 0x70, and the alarm identifier (T/JSATL 12-2017 4.3 and 4.4).

The dialect shows in the length of the item, not in the edition of the 808 header: whatever stands behind the fixed
fields is the alarm identifier, 16 bytes in Su-biao, 40 in Yue-biao, 38 or 39 in provincial ones.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .times import DEFAULT_OFFSET_S, bcd_to_unix
from .wire import BodyError, Reader, bcd, text

IDENTIFIER_LENGTHS: Final = frozenset({16, 32, 38, 39, 40})
"""Identifier lengths met in documents and code."""

Parameters = dict[str, object]
"""Flat flespi-style parameters."""


class Flag(enum.IntEnum):
    """Whether an alarm is an instant or a span."""

    NONE = 0
    START = 1
    END = 2


@dataclass(frozen=True, slots=True)
class AlarmIdentifier:
    """The terminal's name of one alarm; echoed unchanged to ask for attachments."""

    raw: bytes
    """As sent."""

    @property
    def _id_length(self) -> int:
        return 30 if len(self.raw) >= 38 else 7

    @property
    def terminal_id(self) -> str:
        """Terminal id without padding."""
        return text(self.raw[: self._id_length])

    @property
    def time(self) -> str:
        """Time of the alarm, BCD digits."""
        return self.raw[self._id_length : self._id_length + 6].hex()

    @property
    def sequence(self) -> int:
        """Number of the alarm among those of the same second."""
        return self._byte(6)

    @property
    def attachments(self) -> int:
        """How many files the terminal holds for the alarm."""
        return self._byte(7)

    @property
    def reserved(self) -> bytes:
        """What follows."""
        return self.raw[self._id_length + 8 :]

    def unix_time(self, offset_s: int = DEFAULT_OFFSET_S) -> float | None:
        """Time of the alarm in Unix seconds."""
        return bcd_to_unix(self.time, offset_s)

    def _byte(self, at: int) -> int:
        at += self._id_length
        return self.raw[at] if at < len(self.raw) else 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when an alarm happened, and what the vehicle was doing."""

    speed: int
    """km/h."""
    altitude: int
    """Metres."""
    latitude: int
    """10⁻⁶ degrees without sign; the hemisphere is in the status bits of the location report."""
    longitude: int
    """10⁻⁶ degrees without sign."""
    time: str
    """BCD digits."""
    status: int
    """Bit 0 ACC, 1 left, 2 right indicator, 3 wiper, 4 brake, 5 driver card, 10 position fixed."""

    def parameters(self, *, south: bool = False, west: bool = False, offset_s: int = DEFAULT_OFFSET_S) -> Parameters:
        """Position, time and vehicle state at the alarm; for a message of its own, not beside a location report's."""
        found: Parameters = {
            "position.speed": self.speed,
            "position.altitude": self.altitude,
            "position.valid": bool(self.status & 1 << 10),
            "engine.ignition.status": bool(self.status & 1),
            "status.bitmask": self.status,
        }
        if self.latitude or self.longitude:
            found["position.latitude"] = self.latitude / (-1e6 if south else 1e6)
            found["position.longitude"] = self.longitude / (-1e6 if west else 1e6)
        moment = bcd_to_unix(self.time, offset_s)
        if moment is not None:
            found["timestamp"] = moment
        return found

    def vehicle_parameters(self) -> Parameters:
        """The vehicle's state without what every location report carries anyway."""
        return {
            "brake.status": bool(self.status & 1 << 4),
            "turn.left.status": bool(self.status & 1 << 1),
            "turn.right.status": bool(self.status & 1 << 2),
        }

    def encode(self) -> bytes:
        """Speed to status, 19 bytes."""
        numbers = struct.pack(">BHII", self.speed, self.altitude, self.latitude, self.longitude)
        return numbers + bcd(self.time) + struct.pack(">H", self.status)

    @classmethod
    def read(cls, r: Reader) -> Place:
        """Read speed to status."""
        return cls(r.byte(), r.word(), r.dword(), r.dword(), r.time(), r.word())


@dataclass(frozen=True, slots=True)
class AdasAlarm:
    """Item 0x64: the road-facing camera saw something."""

    alarm_id: int
    """Running number of the terminal."""
    flag: int
    """See `Flag`."""
    type: int
    """See `ADAS_TYPES`."""
    level: int
    """1 or 2."""
    front_speed: int
    """Speed of the vehicle ahead in km/h."""
    distance: int
    """Distance to the vehicle ahead, or to a pedestrian, in 100 ms."""
    deviation: int
    """1 left, 2 right."""
    sign_type: int
    """1 speed, 2 height, 3 weight."""
    sign_value: int
    """What the sign says."""
    place: Place
    """Where and when."""
    identifier: AlarmIdentifier
    """For the attachments."""

    ITEM = 0x64

    @classmethod
    def decode(cls, value: bytes) -> AdasAlarm:
        """Read an item's value. Raises `BodyError`."""
        r = Reader(value)
        head = r.dword(), r.byte(), r.byte(), r.byte()
        seen = r.byte(), r.byte(), r.byte(), r.byte(), r.byte()
        return cls(*head, *seen, Place.read(r), AlarmIdentifier(r.take(r.left)))

    def encode(self) -> bytes:
        """Write the item's value."""
        head = struct.pack(">IBBB", self.alarm_id, self.flag, self.type, self.level)
        seen = (self.front_speed, self.distance, self.deviation, self.sign_type, self.sign_value)
        return head + bytes(seen) + self.place.encode() + self.identifier.raw

    def to_parameters(self) -> Parameters:
        """The alarm as parameters of a device message."""
        found = _common("adas", self.alarm_id, self.flag, self.type, ADAS_TYPES, self.place)
        found["adas.alarm.level"] = self.level
        if self.type in (1, 3, 4):
            found["custom.jt808.adas.distance.time"] = self.distance / 10
        if self.type in (1, 3):
            found["custom.jt808.adas.front.speed"] = self.front_speed
        if self.type == 2:
            found["custom.jt808.adas.deviation.side"] = self.deviation
        if self.type in (6, 0x10):
            found["custom.jt808.adas.sign.type"] = self.sign_type
            found["custom.jt808.adas.sign.value"] = self.sign_value
        return found


@dataclass(frozen=True, slots=True)
class DsmAlarm:
    """Item 0x65: the driver-facing camera saw something."""

    alarm_id: int
    """Running number of the terminal."""
    flag: int
    """See `Flag`."""
    type: int
    """See `DSM_TYPES`."""
    level: int
    """1 or 2."""
    fatigue_degree: int
    """1 to 10, type 1 only."""
    reserved: bytes
    """Four bytes."""
    place: Place
    """Where and when."""
    identifier: AlarmIdentifier
    """For the attachments."""

    ITEM = 0x65

    @classmethod
    def decode(cls, value: bytes) -> DsmAlarm:
        """Read an item's value. Raises `BodyError`."""
        r = Reader(value)
        head = r.dword(), r.byte(), r.byte(), r.byte(), r.byte(), r.take(4)
        return cls(*head, Place.read(r), AlarmIdentifier(r.take(r.left)))

    def encode(self) -> bytes:
        """Write the item's value."""
        head = struct.pack(">IBBBB", self.alarm_id, self.flag, self.type, self.level, self.fatigue_degree)
        return head + self.reserved + self.place.encode() + self.identifier.raw

    def to_parameters(self) -> Parameters:
        """The alarm as parameters of a device message."""
        found = _common("dsm", self.alarm_id, self.flag, self.type, DSM_TYPES, self.place)
        found["dsm.alarm.level"] = self.level
        if self.type == 1 and self.fatigue_degree:
            found["dsm.fatigue.degree"] = self.fatigue_degree
        return found


@dataclass(frozen=True, slots=True)
class Tyre:
    """One tyre of a pressure alarm."""

    position: int
    """Number of the tyre, from the front left in lines."""
    position_size: int
    """Bytes of the position field: 1, in Yue-biao 2."""
    type: int
    """Bits: 0 timed report, 1 high, 2 low pressure, 3 hot, 4 sensor, 5 imbalance, 6 slow leak, 7 battery low."""
    pressure: int
    """kPa."""
    temperature: int
    """Degrees Celsius."""
    battery: int
    """Percent."""

    def encode(self) -> bytes:
        """Write one list entry."""
        numbers = struct.pack(">HHHH", self.type, self.pressure, self.temperature, self.battery)
        return self.position.to_bytes(self.position_size, "big") + numbers


@dataclass(frozen=True, slots=True)
class TyreAlarm:
    """Item 0x66: tyre pressure monitoring."""

    alarm_id: int
    """Running number of the terminal."""
    flag: int
    """See `Flag`."""
    place: Place
    """Where and when."""
    identifier: AlarmIdentifier
    """For the attachments."""
    tyres: tuple[Tyre, ...]
    """Tyres concerned."""

    ITEM = 0x66

    @classmethod
    def decode(cls, value: bytes) -> TyreAlarm:
        """Read an item's value in the dialect whose tyre list ends exactly at its end. Raises `BodyError`."""
        for identifier_length, position_size in _TYRE_FORMS:
            at = 24 + identifier_length
            size = 8 + position_size
            if len(value) > at and len(value) - at - 1 == value[at] * size:
                r = Reader(value)
                head = r.dword(), r.byte(), Place.read(r), AlarmIdentifier(r.take(identifier_length))
                return cls(*head, tuple(_tyre(r, position_size) for _ in range(r.byte())))
        raise BodyError(f"no dialect's tyre list fits {len(value)} bytes")

    def encode(self) -> bytes:
        """Write the item's value."""
        head = struct.pack(">IB", self.alarm_id, self.flag) + self.place.encode() + self.identifier.raw
        return head + bytes((len(self.tyres),)) + b"".join(tyre.encode() for tyre in self.tyres)

    def to_parameters(self) -> Parameters:
        """The alarm as parameters of a device message."""
        bits = 0
        found: Parameters = {"alarm.id": str(self.alarm_id), **self.place.vehicle_parameters()}
        for tyre in self.tyres:
            bits |= tyre.type
            name = f"custom.jt808.tire.{tyre.position}"
            found[f"{name}.alarm.bitmask"] = tyre.type
            found[f"{name}.pressure"] = tyre.pressure
            found[f"{name}.temperature"] = tyre.temperature
            found[f"{name}.battery.level"] = tyre.battery
        found["event.enum"] = bits
        # Bit 0 alone is the timed report: values without an alarm.
        if bits & ~1 and self.flag != Flag.END:
            found["abnormal.tire.pressure.alarm"] = True
        return found


@dataclass(frozen=True, slots=True)
class BlindSpotAlarm:
    """Item 0x67: something approaches in a blind spot."""

    alarm_id: int
    """Running number of the terminal."""
    flag: int
    """See `Flag`."""
    type: int
    """1 rear, 2 left rear, 3 right rear."""
    place: Place
    """Where and when."""
    identifier: AlarmIdentifier
    """For the attachments."""

    ITEM = 0x67

    @classmethod
    def decode(cls, value: bytes) -> BlindSpotAlarm:
        """Read an item's value. Raises `BodyError`."""
        r = Reader(value)
        head = r.dword(), r.byte(), r.byte(), Place.read(r)
        return cls(*head, AlarmIdentifier(r.take(r.left)))

    def encode(self) -> bytes:
        """Write the item's value."""
        head = struct.pack(">IBB", self.alarm_id, self.flag, self.type)
        return head + self.place.encode() + self.identifier.raw

    def to_parameters(self) -> Parameters:
        """The alarm as parameters of a device message."""
        found = _common("adas", self.alarm_id, self.flag, self.type, BLIND_SPOT_TYPES, self.place)
        found["adas.blindspot.side"] = self.type
        return found


@dataclass(frozen=True, slots=True)
class HarshDrivingAlarm:
    """Item 0x70 of some dialects: aggressive driving; head, place and identifier as in 0x64."""

    alarm_id: int
    """Running number of the terminal."""
    flag: int
    """See `Flag`."""
    type: int
    """See `HARSH_TYPES`."""
    thresholds: bytes
    """Six bytes whose meaning depends on the vendor."""
    place: Place
    """Where and when."""
    identifier: AlarmIdentifier
    """For the attachments."""

    ITEM = 0x70

    @classmethod
    def decode(cls, value: bytes) -> HarshDrivingAlarm:
        """Read an item's value. Raises `BodyError`."""
        r = Reader(value)
        head = r.dword(), r.byte(), r.byte(), r.take(6), Place.read(r)
        return cls(*head, AlarmIdentifier(r.take(r.left)))

    def encode(self) -> bytes:
        """Write the item's value."""
        head = struct.pack(">IBB", self.alarm_id, self.flag, self.type)
        return head + self.thresholds + self.place.encode() + self.identifier.raw

    def to_parameters(self) -> Parameters:
        """The alarm as parameters of a device message."""
        return _common("", self.alarm_id, self.flag, self.type, HARSH_TYPES, self.place)


SafetyAlarm = AdasAlarm | DsmAlarm | TyreAlarm | BlindSpotAlarm | HarshDrivingAlarm
"""Any decoded alarm item."""

# type → (parameter that is true while it lasts, readable name)
_Types = dict[int, tuple[str, str]]

ADAS_TYPES: Final[_Types] = {
    0x01: ("adas.collision.warning.event", "forward collision"),
    0x02: ("adas.lane.departure.event", "lane departure"),
    0x03: ("adas.distance.event", "vehicle too close"),
    0x04: ("adas.pedestrian.event", "pedestrian collision"),
    0x05: ("adas.lane.departure.event", "frequent lane change"),
    0x06: ("adas.traffic.sign.violation.event", "road sign exceeded"),
    0x07: ("adas.obstacle.event", "obstacle"),
    0x10: ("custom.jt808.adas.sign.event", "road sign recognised"),
    0x11: ("media.requested.event", "snapshot"),
    0x12: ("custom.jt808.adas.solid.line.event", "solid line crossed"),
    0x13: ("custom.jt808.adas.aisle.pedestrian.event", "pedestrian in the aisle"),
}
"""Item 0x64; 12h and 13h are Yue-biao's."""

DSM_TYPES: Final[_Types] = {
    0x01: ("dsm.fatigue.event", "fatigue"),
    0x02: ("dsm.driver.phone.event", "phone call"),
    0x03: ("dsm.smoking.event", "smoking"),
    0x04: ("dsm.distraction.event", "distraction"),
    0x05: ("dsm.driver.abnormal.event", "driver abnormal"),
    0x06: ("dsm.camera.blocked.event", "camera covered"),
    0x08: ("custom.jt808.dsm.driving.overtime.event", "driving too long"),
    0x0A: ("dsm.seatbelt.event", "seat belt not fastened"),
    0x0B: ("dsm.driver.glasses.event", "infrared-blocking glasses"),
    0x0C: ("dsm.driver.hands.event", "hands off the wheel"),
    0x0D: ("dsm.driver.phone.event", "playing with the phone"),
    0x10: ("media.requested.event", "snapshot"),
    0x11: ("dsm.driver.change.event", "driver change"),
}
"""Item 0x65; 6 to 0Dh are Yue-biao's."""

BLIND_SPOT_TYPES: Final[_Types] = {
    1: ("adas.blindspot.event", "approach from the rear"),
    2: ("adas.blindspot.event", "approach from the left rear"),
    3: ("adas.blindspot.event", "approach from the right rear"),
}
"""Item 0x67."""

HARSH_TYPES: Final[_Types] = {
    0x01: ("harsh.acceleration.event", "harsh acceleration"),
    0x02: ("harsh.braking.event", "harsh braking"),
    0x03: ("harsh.cornering.event", "harsh cornering"),
    0x16: ("crash.event", "collision"),
}
"""Item 0x70, vendor-specific (jt808.md 4.2 names it only); types as devices of the field commonly use them."""

# (identifier length, bytes of a tyre's position) in the order they are tried.
_TYRE_FORMS: Final = ((16, 1), (40, 2), (40, 1), (16, 2))

ALARM_DECODERS: Final[dict[int, Callable[[bytes], SafetyAlarm]]] = {
    AdasAlarm.ITEM: AdasAlarm.decode,
    DsmAlarm.ITEM: DsmAlarm.decode,
    TyreAlarm.ITEM: TyreAlarm.decode,
    BlindSpotAlarm.ITEM: BlindSpotAlarm.decode,
    HarshDrivingAlarm.ITEM: HarshDrivingAlarm.decode,
}
"""Decoder by item id; each raises `BodyError`."""

# Bytes in front of the identifier; the tyre alarm finds its own.
_FIXED: Final = {0x64: 31, 0x65: 31, 0x67: 25, 0x70: 31}


def decode_alarm(item: int, value: bytes) -> SafetyAlarm | None:
    """The alarm in a location item, or None when id and exact length are no alarm's (other vendors reuse the ids)."""
    fixed = _FIXED.get(item)
    if item not in ALARM_DECODERS or (fixed is not None and len(value) - fixed not in IDENTIFIER_LENGTHS):
        return None
    try:
        return ALARM_DECODERS[item](value)
    except BodyError:
        return None


def _tyre(r: Reader, position_size: int) -> Tyre:
    position = int.from_bytes(r.take(position_size), "big")
    return Tyre(position, position_size, r.word(), r.word(), r.word(), r.word())


def _common(family: str, alarm_id: int, flag: int, kind: int, types: _Types, place: Place) -> Parameters:
    """What all alarms report alike. Events and starts are sent where they occur, an end only as an end."""
    found: Parameters = {"alarm.id": str(alarm_id), "event.enum": kind, **place.vehicle_parameters()}
    name, readable = types.get(kind, ("", ""))
    if family:
        found[f"{family}.event.enum"] = kind
        if readable:
            found[f"{family}.event.name"] = readable
        if flag in (Flag.START, Flag.END):
            found[f"{family}.alarm.start" if flag == Flag.START else f"{family}.alarm.stop"] = True
    elif readable:
        found["event.name"] = readable
    if name and flag != Flag.END:
        found[name] = True
    return found
