"""Active safety alarms and their attachments (T/JSATL 12-2017 4.2–4.6, T/GDRTA 002-2020), written from the standards
for the simulator alone: alarm items of 0x0200, 0x9208, 0x1210–0x1212, 0x9212 and the file block. Sans-IO."""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .bodies808 import Position
from .wire808 import Cursor, bcd_time, encode_text, padded

MAGIC = b"01cd"
BLOCK = 64 * 1024
"""Data bytes of one file block."""


class Dialect(enum.Enum):
    """Which edition's alarm identifier a terminal uses: bytes of terminal id, of the reserve, of the whole."""

    JIANGSU = (7, 1, 16)
    GUANGDONG = (30, 2, 40)

    @property
    def id_length(self) -> int:
        """Bytes of the terminal id."""
        return self.value[0]

    @property
    def length(self) -> int:
        """Bytes of the whole identifier."""
        return self.value[2]


class AlarmKind(enum.Enum):
    """Alarms a vehicle can raise: (item id of 0x0200, type, camera channel of the attachments)."""

    FORWARD_COLLISION = (0x64, 0x01, 0x64)
    LANE_DEPARTURE = (0x64, 0x02, 0x64)
    TOO_CLOSE = (0x64, 0x03, 0x64)
    PEDESTRIAN = (0x64, 0x04, 0x64)
    FATIGUE = (0x65, 0x01, 0x65)
    PHONE = (0x65, 0x02, 0x65)
    SMOKING = (0x65, 0x03, 0x65)
    DISTRACTION = (0x65, 0x04, 0x65)

    @property
    def item_id(self) -> int:
        """0x64 ADAS or 0x65 DSM."""
        return self.value[0]

    @property
    def type(self) -> int:
        """Alarm type within the item."""
        return self.value[1]

    @property
    def channel(self) -> int:
        """Camera channel number used in the attachments' names."""
        return self.value[2]


class FileKind(enum.IntEnum):
    """File type of 0x1211, and the first field of a file name."""

    IMAGE = 0
    AUDIO = 1
    VIDEO = 2
    TEXT = 3
    OTHER = 4


@dataclass(frozen=True, slots=True)
class Attachment:
    """One file of an alarm."""

    name: str
    """File name by the rule `<kind>_<channel>_<alarm type>_<seq>_<alarm number>.<ext>`."""
    kind: FileKind
    """File type."""
    data: bytes
    """Contents."""


def identifier(terminal_id: str, timestamp: float, sequence: int, count: int, dialect: Dialect, offset_s: int) -> bytes:
    """Alarm identifier: terminal id, BCD[6] time, sequence, attachment count, reserve."""
    id_length, reserve, _ = dialect.value
    return (
        padded(terminal_id, id_length)
        + bcd_time(timestamp, offset_s)
        + bytes([sequence & 0xFF, count])
        + bytes(reserve)
    )


def alarm_item(
    kind: AlarmKind, alarm_id: int, position: Position, ident: bytes, offset_s: int, level: int = 1, flag: int = 0
) -> bytes:
    """Value of item 0x64 or 0x65: 31 fixed bytes (tables 4-15 and 4-17), then the identifier."""
    if kind.item_id == 0x64:
        specific = bytes([40, 12, 1 if kind is AlarmKind.LANE_DEPARTURE else 0, 0, 0])
    else:
        specific = bytes([7 if kind is AlarmKind.FATIGUE else 0, 0, 0, 0, 0])
    status = (1 if position.acc else 0) | 1 << 10
    return (
        struct.pack(">IBBB", alarm_id, flag, kind.type, level)
        + specific
        + struct.pack(
            ">BHII",
            min(255, round(position.speed_kmh)),
            position.altitude_m & 0xFFFF,
            round(abs(position.latitude) * 1e6),
            round(abs(position.longitude) * 1e6),
        )
        + bcd_time(position.timestamp, offset_s)
        + struct.pack(">H", status)
        + ident
    )


@dataclass(frozen=True, slots=True)
class AttachmentRequest:
    """0x9208."""

    host: str
    """Attachment server."""
    port: int
    """TCP port."""
    identifier: bytes
    """Alarm identifier, echoed."""
    number: bytes
    """The platform's alarm number, 32 bytes."""


def parse_attachment_request(body: bytes, dialect: Dialect) -> AttachmentRequest:
    """0x9208; the reserve at the end may be missing."""
    cursor = Cursor(body)
    host, port, _udp = cursor.short_text(), cursor.word(), cursor.word()
    return AttachmentRequest(host, port, cursor.take(dialect.length), cursor.take(32))


def attachment_list(
    terminal_id: str, ident: bytes, number: bytes, files: Sequence[tuple[str, int]], dialect: Dialect, supplement: bool
) -> bytes:
    """0x1210: terminal id, identifier, alarm number, 0 normal / 1 supplement, count, (name, size) each."""
    head = padded(terminal_id, dialect.id_length) + ident + number + bytes([int(supplement), len(files)])
    return head + b"".join(_short(name) + struct.pack(">I", size) for name, size in files)


def file_mark(name: str, kind: FileKind, size: int) -> bytes:
    """0x1211 and 0x1212: name, type, size."""
    return _short(name) + struct.pack(">BI", kind, size)


def file_blocks(name: str, data: bytes, offset: int, length: int, size: int = BLOCK) -> Iterator[bytes]:
    """Blocks that carry data[offset:offset+length]: magic, name[50], DWORD offset, DWORD length, data."""
    end = min(offset + length, len(data))
    for at in range(offset, end, size):
        piece = data[at : min(at + size, end)]
        yield MAGIC + padded(name, 50) + struct.pack(">II", at, len(piece)) + piece


@dataclass(frozen=True, slots=True)
class FileEndAnswer:
    """0x9212."""

    name: str
    """File name."""
    complete: bool
    """Whether the platform has every byte."""
    missing: tuple[tuple[int, int], ...]
    """(offset, length) ranges to send again."""


def parse_file_end_answer(body: bytes) -> FileEndAnswer:
    """0x9212."""
    cursor = Cursor(body)
    name, _kind, result = cursor.short_text(), cursor.byte(), cursor.byte()
    count = cursor.byte() if cursor.left else 0
    return FileEndAnswer(name, result == 0, tuple((cursor.dword(), cursor.dword()) for _ in range(count)))


def file_name(kind: FileKind, channel: int, alarm: AlarmKind, index: int, number: bytes, extension: str) -> str:
    """Name by the rule of T/JSATL 12 table 4-24; peripheral and type make the alarm field, e.g. 6401."""
    label = number.strip(b"\x00").decode("ascii", "replace")
    # Hex digits for the channel: 64 and 65 are the ADAS and DSM cameras. The block's name field holds 50 bytes.
    return f"{kind:02d}_{channel:02x}_{alarm.item_id:02x}{alarm.type:02x}_{index}_{label}.{extension}"


@dataclass(frozen=True, slots=True)
class VehicleState:
    """One 64-byte block of the `bin` attachment."""

    position: Position
    """Where and how fast."""
    brake_on: bool
    """Brake pedal pressed."""


def state_blocks(states: Sequence[VehicleState], offset_s: int) -> bytes:
    """The `bin` file: n × 64 bytes (T/JSATL 12 table 4-27), each closed by an additive checksum."""
    return b"".join(_state_block(len(states), index, state, offset_s) for index, state in enumerate(states))


def _state_block(total: int, index: int, state: VehicleState, offset_s: int) -> bytes:
    position = state.position
    speed = round(position.speed_kmh * 10)
    body = struct.pack(
        ">IIIIIIHHH",
        total,
        index,
        position.alarm_bits,
        (1 if position.acc else 0) | 2,
        round(abs(position.latitude) * 1e6),
        round(abs(position.longitude) * 1e6),
        position.altitude_m & 0xFFFF,
        speed,
        position.course,
    )
    body += bcd_time(position.timestamp, offset_s)
    body += struct.pack(">3H3H", 0, 0, 98, 0, 0, 0)  # at rest the vertical axis shows 0.98 of 0.01 g × 100
    body += struct.pack(">HH", speed, speed)
    body += bytes([4 if speed else 0, 20 if speed else 0, 30 if state.brake_on else 0, int(state.brake_on)])
    body += struct.pack(">HH", 800 + speed * 2, 0) + bytes(3)
    return body + bytes([sum(body) & 0xFF])


def _short(text: str) -> bytes:
    raw = encode_text(text)
    return bytes([len(raw)]) + raw
