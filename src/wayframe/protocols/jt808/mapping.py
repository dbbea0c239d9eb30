"""Messages of the terminal as flat device messages with flespi's parameter names.

Names come from flespi's dictionary; what has none there is `custom.jt808.<name>`. An additional item is read by id and
length, because vendors reuse ids; one that fits nothing stays as hex under `custom.jt808.0x<id>`. Events and alarms are
`true` where they occur and otherwise left out; a `*.status` carries both values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from ..jt1078.alarms import SafetyAlarm, decode_alarm
from ..jt1078.signalling import PassengerFlow
from ..jt1078.times import NO_TIME, bcd_to_unix
from .frames import Layout
from .location import CanFrames, Item, Location, LocationBatch
from .messages import Event, InformationDemand, QuestionAnswer, Transparent, Waybill
from .multimedia import MEDIA_EVENTS, MEDIA_FORMATS, MEDIA_TYPES, MediaEvent
from .terminal import UPGRADE_RESULTS, UPGRADE_TYPES, DriverIdentity, UpgradeResult

DeviceMessage = dict[str, object]
"""A flat message."""

MAX_AHEAD_S = 24 * 3600
"""A device time further in the future is replaced by the server's (ruling 6)."""

ALARM_BITS: Mapping[int, str] = {
    0: "sos.alarm",
    1: "overspeeding.event",
    2: "dsm.fatigue.event",
    3: "danger.alarm",
    4: "gnss.failure.alarm",
    5: "gnss.antenna.disconnected.alarm",
    6: "gnss.antenna.short.circuit.alarm",
    7: "battery.low.alarm",
    8: "power.cut.alarm",
    9: "lcd.failure.alarm",
    10: "tts.module.failure.alarm",
    11: "camera.failure.alarm",
    12: "ic.card.module.failure.alarm",
    13: "custom.jt808.overspeeding.warning",
    14: "custom.jt808.fatigue.warning",
    15: "custom.jt808.forbidden.driving.alarm",
    16: "abnormal.tire.pressure.alarm",
    17: "adas.blindspot.event",
    18: "cumulative.driving.alarm",
    19: "time.limit.alarm",
    20: "geofence.alarm",
    21: "route.alarm",
    22: "route.time.alarm",
    23: "route.deviation.alarm",
    24: "vss.failure.alarm",
    25: "fuel.level.alarm",
    26: "theft.alarm",
    27: "illegal.ignition.alarm",
    28: "illegal.movement.alarm",
    29: "crash.event",
    30: "rollover.event",
    31: "unauthorized.alarm",
}
"""Alarm bit → parameter that is true while it is set."""

STATUS_BITS: Mapping[int, str] = {
    0: "engine.ignition.status",
    1: "position.valid",
    4: "custom.jt808.out.of.service.status",
    5: "custom.jt808.encrypted.position.status",
    11: "custom.jt808.circuit.cut.status",
    12: "can.central.lock.status",
    18: "gps.satellites.status",
    19: "beidou.satellites.status",
    20: "glonass.satellites.status",
    21: "galileo.satellites.status",
}
"""Status bit → parameter that shows it."""

_OIL_CUT = 1 << 10
_LOAD_SHIFT = 8
_DOOR_SHIFT, _DOOR_MASK = 13, 0x1F
_MOVING_2019 = 1 << 22
_EVENTS_2019 = {6: "adas.collision.warning.event", 7: "adas.lane.departure.event"}
"""Status bits that are reserved before 2019."""

SIGNAL_BITS: Mapping[int, str] = {
    0: "can.low.beam.status",
    1: "can.high.beam.status",
    2: "turn.right.status",
    3: "turn.left.status",
    4: "can.pedal.brake.status",
    5: "can.reverse.gear.status",
    6: "can.rear.fog.lights.status",
    7: "custom.jt808.position.lights.status",
    8: "custom.jt808.horn.status",
    9: "can.air.condition.status",
    10: "can.neutral.gear.status",
    11: "custom.jt808.retarder.status",
    12: "custom.jt808.abs.status",
    13: "custom.jt808.heater.status",
    14: "can.pedal.clutch.status",
}
"""Bits of item 0x25 → parameter."""

_ABNORMAL_BITS = {0: "dsm.fatigue.event", 1: "dsm.driver.phone.event", 2: "dsm.smoking.event"}
_AREA_SHAPES = {0: "none", 1: "circle", 2: "rectangle", 3: "polygon", 4: "route"}
_CARD_ERRORS = {1: "wrong key", 2: "card locked", 3: "card pulled out", 4: "bad data"}


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _bits(value: int, names: Mapping[int, str]) -> DeviceMessage:
    """Events of the bits that are set."""
    return {name: True for bit, name in names.items() if value >> bit & 1} if value else {}


def _states(value: int, names: Mapping[int, str]) -> DeviceMessage:
    """States of all bits."""
    return {name: bool(value >> bit & 1) for bit, name in names.items()}


@lru_cache(maxsize=1024)
def _status(value: int) -> DeviceMessage:
    """States of the status word; to be copied from, not changed."""
    return _states(value, STATUS_BITS)


@lru_cache(maxsize=1024)
def _signal(value: int) -> DeviceMessage:
    """States of item 0x25; to be copied from, not changed."""
    return _states(value, SIGNAL_BITS)


def _channels(name: str, raw: bytes) -> DeviceMessage:
    """Bit n is logical channel n + 1."""
    value = _number(raw)
    return {f"{name}.{bit + 1}": True for bit in range(8 * len(raw)) if value >> bit & 1}


def _fuel(raw: bytes) -> DeviceMessage:
    value = _number(raw)
    return {"fuel.level": value & 0x7FFF} if value & 0x8000 else {"fuel.volume": value / 10}


def _tyres(raw: bytes) -> DeviceMessage:
    return {f"custom.jt808.tire.pressure.{n}": value for n, value in enumerate(raw, 1) if value != 0xFF}


def _temperature(raw: bytes) -> DeviceMessage:
    value = _number(raw)
    return {"cabin.inside.temperature": -(value & 0x7FFF) if value & 0x8000 else value}


def _shape(code: int) -> str:
    return _AREA_SHAPES.get(code, str(code))


def _overspeed_area(raw: bytes) -> DeviceMessage:
    found: DeviceMessage = {"geofence.shape": _shape(raw[0])}
    if len(raw) == 5 and raw[0]:
        found["geofence.id"] = _number(raw[1:])
    return found


def _area(raw: bytes) -> DeviceMessage:
    passed = {0: "geofence.in.alarm", 1: "geofence.out.alarm"}.get(raw[5])
    found: DeviceMessage = {"geofence.shape": _shape(raw[0]), "geofence.id": _number(raw[1:5])}
    return {**found, passed: True} if passed else {**found, "custom.jt808.area.direction": raw[5]}


def _segment(raw: bytes) -> DeviceMessage:
    return {
        "custom.jt808.segment.id": _number(raw[:4]),
        "custom.jt808.segment.duration": _number(raw[4:6]),
        "custom.jt808.segment.result": raw[6],
    }


def _video_alarm(raw: bytes) -> DeviceMessage:
    return {"video.alarm.bitmask": _number(raw)}


def _abnormal_driving(raw: bytes) -> DeviceMessage:
    bits = _number(raw[:2])
    found: DeviceMessage = {"driving.alarm.bitmask": bits, **_bits(bits, _ABNORMAL_BITS)}
    return {**found, "dsm.fatigue.degree": raw[2]} if len(raw) == 3 else found


def _signals(raw: bytes) -> DeviceMessage:
    bits = _number(raw)
    return {"vehicle.signal.status.bitmask": bits, **_signal(bits)}


def _inputs(raw: bytes) -> DeviceMessage:
    bits = _number(raw)
    return {"din": bits, "sleep.mode.status": bool(bits & 3)}


def _analog(raw: bytes) -> DeviceMessage:
    return {"ain.1": _number(raw[2:]), "ain.2": _number(raw[:2])}


ITEMS: Mapping[tuple[int, int], Callable[[bytes], DeviceMessage]] = {
    (0x01, 4): lambda raw: {"vehicle.mileage": _number(raw) / 10},
    (0x02, 2): _fuel,
    (0x03, 2): lambda raw: {"can.tacho.position.speed": _number(raw) / 10},
    (0x04, 2): lambda raw: {"event.enum": _number(raw)},
    (0x05, 30): _tyres,
    (0x06, 2): _temperature,
    (0x11, 1): _overspeed_area,
    (0x11, 5): _overspeed_area,
    (0x12, 6): _area,
    (0x13, 7): _segment,
    (0x14, 4): _video_alarm,
    (0x15, 4): lambda raw: _channels("video.loss.alarm", raw),
    (0x16, 4): lambda raw: _channels("video.blind.alarm", raw),
    (0x17, 2): lambda raw: {"memory.fault.status.bitmask": _number(raw)},
    (0x18, 2): _abnormal_driving,
    (0x18, 3): _abnormal_driving,
    (0x25, 4): _signals,
    (0x2A, 2): _inputs,
    (0x2B, 4): _analog,
    (0x30, 1): lambda raw: {"gsm.signal.quality": raw[0]},
    (0x31, 1): lambda raw: {"position.satellites": raw[0]},
}
"""(item id, length) → parameters (reference section 4.2)."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What is needed to read a device's times."""

    now: float
    """Server time, Unix seconds."""
    offset_s: int
    """The device clock's offset from UTC."""

    def stamp(self, bcd: str) -> DeviceMessage:
        """`timestamp`, and the raw value where the device's time cannot be right (ruling 6)."""
        time = bcd_to_unix(bcd, self.offset_s)
        if time is not None and time <= self.now + MAX_AHEAD_S:
            return {"timestamp": time}
        return {"timestamp": self.now} if bcd == NO_TIME else {"timestamp": self.now, "custom.jt808.time": bcd}


@dataclass(frozen=True, slots=True)
class Mapped:
    """A location report as device messages."""

    messages: tuple[DeviceMessage, ...]
    """The report; and one more message for every further active safety alarm in it."""
    alarms: tuple[tuple[SafetyAlarm, DeviceMessage], ...]
    """Active safety alarms with the message each became."""


def map_location(location: Location, layout: Layout, moment: Moment, serial: int | None = None) -> Mapped:
    """A location as device messages; `serial` is the number of the message that carried it alone."""
    message = map_base(location, layout, moment)
    if serial is not None:
        message["event.seqnum"] = serial
    alarms: list[SafetyAlarm] = []
    for item in location.items:
        alarm = decode_alarm(item.id, item.raw)
        if alarm is not None:
            alarms.append(alarm)
        else:
            _add_item(message, item)
    _name_lost_channels(message)
    if location.rest:
        message["custom.jt808.rest"] = location.rest.hex()
    # Two alarms share parameter names (alarm.id, event.enum), so each needs a message of its own.
    messages = [{**message, **alarm.to_parameters()} for alarm in alarms] or [message]
    return Mapped(tuple(messages), tuple(zip(alarms, messages, strict=False)))


def map_base(location: Location, layout: Layout, moment: Moment) -> DeviceMessage:
    """The fixed part of a location report."""
    message = moment.stamp(location.time)
    message.update(_status(location.status))
    latitude, longitude = location.latitude_degrees, location.longitude_degrees
    # 0,0 is what terminals send without a fix; outside the globe is damage. Neither is a position.
    if (latitude or longitude) and abs(latitude) <= 90 and abs(longitude) <= 180:
        message["position.latitude"] = latitude
        message["position.longitude"] = longitude
    message["position.altitude"] = location.altitude_m
    message["position.speed"] = location.speed / 10
    message["position.direction"] = location.direction
    message["alarm.sign.bitmask"] = location.alarm
    message["status.bitmask"] = location.status
    message.update(_bits(location.alarm, ALARM_BITS))
    message["vehicle.oil.circuit.status"] = not location.status & _OIL_CUT
    message["door.open.status"] = bool(location.status >> _DOOR_SHIFT & _DOOR_MASK)
    message["custom.jt808.door.bitmask"] = location.status >> _DOOR_SHIFT & _DOOR_MASK
    message["custom.jt808.load"] = location.status >> _LOAD_SHIFT & 3
    if layout.is_2019:
        message["movement.status"] = bool(location.status & _MOVING_2019)
        message.update(_bits(location.status, _EVENTS_2019))
    return message


def _add_item(message: DeviceMessage, item: Item) -> None:
    decode = ITEMS.get((item.id, len(item.raw)))
    found = decode(item.raw) if decode else {f"custom.jt808.0x{item.id:02x}": item.raw.hex()}
    for name, value in found.items():
        message[_free_name(message, name) if decode is None else name] = value


def _free_name(message: DeviceMessage, name: str) -> str:
    """The name, with a number if an item of the same id came before."""
    number, free = 1, name
    while free in message:
        number += 1
        free = f"{name}.{number}"
    return free


def _name_lost_channels(message: DeviceMessage) -> None:
    """Show signal loss and covered cameras as such where item 0x14 tells of them and no item says which channel."""
    bits = message.get("video.alarm.bitmask")
    if isinstance(bits, int):
        for bit, name in ((0, "video.loss.alarm"), (1, "video.blind.alarm")):
            if bits >> bit & 1 and not any(known.startswith(name) for known in message):
                message[name] = True


def map_batch(batch: LocationBatch, layout: Layout, moment: Moment) -> Mapped:
    """All locations of a 0x0704."""
    parts = [map_location(location, layout, moment) for location in batch.locations]
    buffered: DeviceMessage = {"message.buffered.status": True} if batch.type == 1 else {}
    messages = tuple({**message, **buffered} for part in parts for message in part.messages)
    return Mapped(messages, tuple(alarm for part in parts for alarm in part.alarms))


def map_media_event(event: MediaEvent) -> DeviceMessage:
    """What a 0x0800, or the head of a 0x0801, says."""
    return {
        "media.id": event.media_id,
        "media.channel": event.channel,
        "media.type": MEDIA_TYPES.get(event.type, str(event.type)),
        "media.format": MEDIA_FORMATS.get(event.format, str(event.format)),
        "event.enum": event.event,
        "event.name": MEDIA_EVENTS.get(event.event, str(event.event)),
    }


def map_driver(driver: DriverIdentity, moment: Moment) -> DeviceMessage:
    """A 0x0702."""
    message = moment.stamp(driver.time or NO_TIME)
    if driver.status in (1, 2):
        message["driver.registration.status"] = driver.status == 1
    texts = (
        ("driver.name", driver.name),
        ("driver.id", driver.licence),
        ("custom.jt808.driver.issuer", driver.issuer),
        ("custom.jt808.driver.id.number", driver.id_number or ""),
        ("custom.jt808.driver.valid.until", driver.valid_until.strip("0") and driver.valid_until),
        ("driver.card.reading.error", _CARD_ERRORS.get(driver.result, str(driver.result)) if driver.result else ""),
    )
    message.update({name: value for name, value in texts if value})
    return message


def map_can(frames: CanFrames, moment: Moment) -> DeviceMessage:
    """A 0x0705. It has a time of day but no date, so the server's time stands."""
    message: DeviceMessage = {"timestamp": moment.now, "custom.jt808.can.time": frames.time}
    for frame in frames.frames:
        message[_free_name(message, f"custom.jt808.can.{frame.id:08x}")] = frame.data.hex()
    return message


def map_report(message: object, moment: Moment) -> DeviceMessage | None:
    """Any other report as a device message, None if it is none."""
    found: DeviceMessage | None = None
    match message:
        case DriverIdentity():
            return map_driver(message, moment)
        case CanFrames():
            return map_can(message, moment)
        case MediaEvent():
            found = map_media_event(message)
        case Transparent():
            found = {"payload.source.type": message.type, "payload.hex": message.payload.hex()}
        case UpgradeResult():
            found = {
                "upgrade.type": UPGRADE_TYPES.get(message.type, str(message.type)),
                "upgrade.status.name": UPGRADE_RESULTS.get(message.result, str(message.result)),
            }
        case Event():
            found = {"event.enum": message.id}
        case QuestionAnswer():
            found = {
                "custom.jt808.question.serial": message.reply_serial,
                "custom.jt808.question.answer": message.answer,
            }
        case InformationDemand():
            found = {"custom.jt808.information.type": message.type, "custom.jt808.information.on": bool(message.on)}
        case Waybill():
            found = {"custom.jt808.waybill": message.content.decode("gbk", "backslashreplace")}
        case PassengerFlow():
            found = {"passengers.in.count": message.boarded, "passengers.out.count": message.alighted}
            return {**moment.stamp(message.end), **found}
    return None if found is None else {"timestamp": moment.now, **found}


def names_of_bits() -> Iterable[str]:
    """Every parameter that a bit of the fixed part may set."""
    return (*ALARM_BITS.values(), *STATUS_BITS.values(), *_EVENTS_2019.values(), *SIGNAL_BITS.values())
