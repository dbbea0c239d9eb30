"""Attachment file names and the vehicle state blocks of `bin` attachments (T/JSATL 12-2017 4.6).

Names are data, never paths: they are read for what they say and stored under own ids.
"""

from __future__ import annotations

import enum
import re
import struct
from dataclasses import dataclass
from typing import Final

from .times import DEFAULT_OFFSET_S, bcd_to_unix


class FileKind(enum.IntEnum):
    """First field of a name, and type byte of 0x1211 in Su-biao."""

    IMAGE = 0
    AUDIO = 1
    VIDEO = 2
    TEXT = 3
    OTHER = 4


_NAME: Final = re.compile(
    r"(?P<kind>\d{1,2})_(?P<channel>\d{1,3})_(?P<alarm>[0-9A-Fa-f]{1,4})_(?P<sequence>\d{1,4})_"
    r"(?P<number>[^/\\]*?)(?:\.(?P<extension>[0-9A-Za-z]{1,8}))?"
)


@dataclass(frozen=True, slots=True)
class AttachmentName:
    """What a name of the form kind_channel_alarm_sequence_number.extension says."""

    kind: FileKind
    """Image, audio, video, text or other."""
    channel: int
    """Logical channel; 64 the road-facing, 65 the driver-facing camera."""
    alarm: str
    """Item and type as four hex digits, lower case, e.g. 6401; empty if the terminal writes 0."""
    sequence: int
    """Number of the file among those of the alarm."""
    alarm_number: str
    """The platform's alarm number."""
    extension: str
    """Lower case without dot; empty if missing."""

    @property
    def item(self) -> int | None:
        """Location item of the alarm (0x64 to 0x67), None if the name does not say."""
        return int(self.alarm[:2], 16) if len(self.alarm) == 4 else None

    @property
    def alarm_type(self) -> int | None:
        """Type of the alarm within its item, None if the name does not say."""
        return int(self.alarm[2:], 16) if len(self.alarm) == 4 else None


def parse_name(name: str) -> AttachmentName | None:
    """Read a file name; None when it does not follow the rule (then only the 0x1211 type is known)."""
    match = _NAME.fullmatch(name)
    if match is None or int(match["kind"]) > FileKind.OTHER:
        return None
    alarm = match["alarm"].lower()
    return AttachmentName(
        FileKind(int(match["kind"])),
        int(match["channel"]),
        alarm if len(alarm) == 4 else "",
        int(match["sequence"]),
        match["number"],
        (match["extension"] or "").lower(),
    )


STATE_BLOCK: Final = 64
"""Bytes of one vehicle state block."""

_STATE: Final = struct.Struct(">6I3H6s6h2H4BHhB2s")


@dataclass(frozen=True, slots=True)
class VehicleState:
    """One block of a `bin` attachment: the vehicle around an alarm."""

    total: int
    """Blocks in the file."""
    index: int
    """Number of this block."""
    alarm: int
    """Alarm bits as in a location report."""
    status: int
    """Status bits as in a location report."""
    latitude: float
    """Degrees, south negative."""
    longitude: float
    """Degrees, west negative."""
    altitude: int
    """Metres."""
    speed: float
    """km/h."""
    direction: int
    """Degrees."""
    time: str
    """BCD digits."""
    acceleration: tuple[float, float, float]
    """g on x, y and z."""
    rotation: tuple[float, float, float]
    """Degrees per second about x, y and z."""
    pulse_speed: float
    """km/h by the wheel sensor."""
    obd_speed: float
    """km/h by OBD."""
    gear: int
    """As sent."""
    accelerator: int
    """Pedal in percent."""
    brake: int
    """Pedal in percent."""
    braking: bool
    """Brake switch."""
    engine_rpm: int
    """Revolutions per minute."""
    wheel_angle: int
    """Degrees of the steering wheel, clockwise positive."""
    indicators: int
    """Bits of the lamps."""

    def unix_time(self, offset_s: int = DEFAULT_OFFSET_S) -> float | None:
        """Time of the block in Unix seconds."""
        return bcd_to_unix(self.time, offset_s)


def decode_states(data: bytes) -> tuple[list[VehicleState], int]:
    """Whole blocks with a right checksum, and how many others were left out (a cut block at the end counts)."""
    states = []
    bad = 1 if len(data) % STATE_BLOCK else 0
    for at in range(0, len(data) - STATE_BLOCK + 1, STATE_BLOCK):
        block = data[at : at + STATE_BLOCK]
        if sum(block[:-1]) & 0xFF == block[-1]:
            states.append(_state(block))
        else:
            bad += 1
    return states, bad


def encode_state(state: VehicleState) -> bytes:
    """One block with its checksum."""
    raw = _STATE.pack(
        state.total,
        state.index,
        state.alarm,
        state.status,
        round(abs(state.latitude) * 1e6),
        round(abs(state.longitude) * 1e6),
        state.altitude,
        round(state.speed * 10),
        state.direction,
        bytes.fromhex(state.time),
        *(round(axis * 100) for axis in state.acceleration + state.rotation),
        round(state.pulse_speed * 10),
        round(state.obd_speed * 10),
        state.gear,
        state.accelerator,
        state.brake,
        state.braking,
        state.engine_rpm,
        state.wheel_angle,
        state.indicators,
        bytes(2),
    )
    return raw + bytes((sum(raw) & 0xFF,))


def _state(block: bytes) -> VehicleState:
    (total, index, alarm, status, latitude, longitude, altitude, speed, direction, time, *rest) = _STATE.unpack(
        block[:-1]
    )
    ax, ay, az, gx, gy, gz, pulse, obd, gear, accelerator, brake, braking, rpm, wheel, indicators, _ = rest
    return VehicleState(
        total=total,
        index=index,
        alarm=alarm,
        status=status,
        latitude=latitude / (-1e6 if status & 4 else 1e6),
        longitude=longitude / (-1e6 if status & 8 else 1e6),
        altitude=altitude,
        speed=speed / 10,
        direction=direction,
        time=time.hex(),
        acceleration=(ax / 100, ay / 100, az / 100),
        rotation=(gx / 100, gy / 100, gz / 100),
        pulse_speed=pulse / 10,
        obd_speed=obd / 10,
        gear=gear,
        accelerator=accelerator,
        brake=brake,
        braking=bool(braking),
        engine_rpm=rpm,
        wheel_angle=wheel,
        indicators=indicators,
    )
