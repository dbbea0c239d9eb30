"""Every parameter a message of this protocol can carry: name, JSON type, unit. A trailing number is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..jt1078.alarms import ADAS_TYPES, BLIND_SPOT_TYPES, DSM_TYPES, HARSH_TYPES
from .mapping import names_of_bits

Parameter = tuple[str, str, str]
"""Name, JSON type, unit."""

_OTHERS = """
timestamp number seconds
event.seqnum number
event.enum number
event.name string
message.buffered.status boolean
position.latitude number degrees
position.longitude number degrees
position.altitude number meters
position.speed number km/h
position.direction number degrees
position.satellites number
alarm.sign.bitmask number
alarm.id string
status.bitmask number
vehicle.oil.circuit.status boolean
door.open.status boolean
movement.status boolean
vehicle.mileage number km
fuel.volume number liters
fuel.level number percentage
can.tacho.position.speed number km/h
cabin.inside.temperature number celsius
geofence.id number
geofence.shape string
geofence.in.alarm boolean
geofence.out.alarm boolean
video.alarm.bitmask number
video.loss.alarm boolean
video.blind.alarm boolean
memory.fault.status.bitmask number
driving.alarm.bitmask number
vehicle.signal.status.bitmask number
din number
sleep.mode.status boolean
ain number volts
gsm.signal.quality number
brake.status boolean
dsm.fatigue.degree number
dsm.alarm.level number
dsm.alarm.start boolean
dsm.alarm.stop boolean
dsm.event.enum number
dsm.event.name string
adas.alarm.level number
adas.alarm.start boolean
adas.alarm.stop boolean
adas.event.enum number
adas.event.name string
adas.blindspot.side number
driver.name string
driver.id string
driver.registration.status boolean
driver.card.reading.error string
media boolean
media.id number
media.channel number
media.type string
media.format string
media.image object
media.video object
payload.hex string
payload.source.type number
upgrade.type string
upgrade.status.name string
passengers.in.count number
passengers.out.count number
custom.jt808.time string
custom.jt808.rest string
custom.jt808.door.bitmask number
custom.jt808.load number
custom.jt808.tire.pressure number
custom.jt808.tire.alarm.bitmask number
custom.jt808.tire.temperature number celsius
custom.jt808.tire.battery.level number percentage
custom.jt808.area.direction number
custom.jt808.segment.id number
custom.jt808.segment.duration number seconds
custom.jt808.segment.result number
custom.jt808.can.time string
custom.jt808.driver.issuer string
custom.jt808.driver.id.number string
custom.jt808.driver.valid.until string
custom.jt808.question.serial number
custom.jt808.question.answer number
custom.jt808.information.type number
custom.jt808.information.on boolean
custom.jt808.waybill string
custom.jt808.adas.distance.time number seconds
custom.jt808.adas.front.speed number km/h
custom.jt808.adas.deviation.side number
custom.jt808.adas.sign.type number
custom.jt808.adas.sign.value number
"""


def _events() -> Iterator[str]:
    """Booleans that bits and alarm types set."""
    yield from names_of_bits()
    for types in (ADAS_TYPES, DSM_TYPES, BLIND_SPOT_TYPES, HARSH_TYPES):
        yield from (name for name, _ in types.values())


def _table(lines: Iterable[str]) -> Iterator[Parameter]:
    for line in lines:
        name, kind, *unit = line.split()
        yield name, kind, unit[0] if unit else ""
    for name in _events():
        yield name, "boolean", ""


MESSAGE_PARAMETERS: tuple[Parameter, ...] = tuple(sorted(set(_table(_OTHERS.strip().splitlines()))))
"""Parameters by name. Items nobody names are `custom.jt808.0x<id>`, bus frames `custom.jt808.can.<id>`, both hex."""
