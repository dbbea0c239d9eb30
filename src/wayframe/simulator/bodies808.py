"""JT/T 808 message bodies as the simulated terminal sends and reads them (S13 and S19 chapters 8, tables by message).

Pure functions: facts in, bytes out, and the reverse for what the platform sends."""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .wire808 import Cursor, Layout, Result, bcd_time, decode_text, encode_text, padded


@dataclass(frozen=True, slots=True)
class Identity:
    """What a terminal says about itself in 0x0100, 0x0102 and 0x0107."""

    province: int = 31
    """Province id, GB/T 2260."""
    city: int = 115
    """City id, GB/T 2260."""
    maker: str = "WAYFR"
    """Maker id, 5 bytes (11 in 2019)."""
    model: str = "WF-SIM-4CH"
    """Terminal model, 20 bytes (30)."""
    terminal_id: str = "SIM0001"
    """Terminal id, 7 bytes (30)."""
    plate_colour: int = 2
    """1 blue, 2 yellow, 3 black, 4 white, 9 other, 0 none."""
    plate: str = "B-WF 1001"
    """Licence plate."""
    imei: str = "861234050000011"
    """IMEI, 15 digits (2019 authentication)."""
    software: str = "WF-1.0.0"
    """Software version, 20 bytes."""
    iccid: str = "89860000000000000001"
    """SIM card number, 20 hex digits."""
    hardware: str = "WF-HW-2"
    """Hardware version."""


@dataclass(frozen=True, slots=True)
class Position:
    """The facts of one location report."""

    timestamp: float
    """Unix seconds."""
    latitude: float
    """Degrees, south negative."""
    longitude: float
    """Degrees, west negative."""
    altitude_m: int
    """Metres above sea level."""
    speed_kmh: float
    """Ground speed in km/h."""
    course: int
    """Degrees clockwise from north, 0..359."""
    acc: bool
    """Ignition on."""
    mileage_km: float
    """Odometer in km."""
    fuel_l: float
    """Fuel in the tank, litres."""
    signal: int
    """Mobile signal strength 0..31."""
    satellites: int
    """Satellites used."""
    alarm_bits: int = 0
    """DWORD alarm bits of the report."""
    valid: bool = True
    """Whether the receiver had a fix."""


def register(identity: Identity, layout: Layout) -> bytes:
    """0x0100; field widths of 2013 or 2019 by layout."""
    maker, model, terminal = (11, 30, 30) if layout.newer else (5, 20, 7)
    return (
        struct.pack(">HH", identity.province, identity.city)
        + padded(identity.maker, maker)
        + padded(identity.model, model)
        + padded(identity.terminal_id, terminal)
        + bytes([identity.plate_colour])
        + encode_text(identity.plate)
    )


def authenticate(identity: Identity, code: str, layout: Layout) -> bytes:
    """0x0102; 2019 adds the length of the code, IMEI[15] and software version[20]."""
    raw = encode_text(code)
    if not layout.newer:
        return raw
    return bytes([len(raw)]) + raw + padded(identity.imei, 15) + padded(identity.software, 20)


def properties(identity: Identity, layout: Layout) -> bytes:
    """0x0107 terminal properties (S13 table 20, S19 table 20)."""
    model, terminal = (30, 30) if layout.newer else (20, 7)
    hardware, firmware = encode_text(identity.hardware), encode_text(identity.software)
    return (
        struct.pack(">H", 0b0100_0001)  # passenger vehicle, disk recording
        + padded(identity.maker, 5)
        + padded(identity.model, model)
        + padded(identity.terminal_id, terminal)
        + bytes.fromhex(identity.iccid)
        + bytes([len(hardware)])
        + hardware
        + bytes([len(firmware)])
        + firmware
        + bytes([0b0011, 0b0010_0000])  # GPS and Beidou; TD-LTE
    )


def location_base(position: Position, offset_s: int) -> bytes:
    """The 28 fixed bytes of 0x0200 (S13 table 23); BCD time in the zone `offset_s` east of UTC."""
    status = (
        (1 if position.acc else 0)
        | (2 if position.valid else 0)
        | (4 if position.latitude < 0 else 0)
        | (8 if position.longitude < 0 else 0)
        | 0b11 << 18
    )
    return struct.pack(
        ">IIIIhHH",
        position.alarm_bits,
        status,
        round(abs(position.latitude) * 1e6),
        round(abs(position.longitude) * 1e6),
        position.altitude_m,
        round(position.speed_kmh * 10),
        position.course % 360,
    ) + bcd_time(position.timestamp, offset_s)


def item(item_id: int, value: bytes) -> bytes:
    """One additional item: id BYTE, length BYTE, value."""
    return bytes([item_id, len(value)]) + value


def location(position: Position, offset_s: int, extra: bytes = b"", network_items: bool = True) -> bytes:
    """0x0200 with mileage 01, fuel 02, recorder speed 03, signals 25, network 30, satellites 31, then `extra`."""
    body = location_base(position, offset_s)
    body += item(0x01, struct.pack(">I", round(position.mileage_km * 10)))
    body += item(0x02, struct.pack(">H", round(position.fuel_l * 10) & 0x7FFF))
    body += item(0x03, struct.pack(">H", round(position.speed_kmh * 10)))
    if network_items:
        braking = 1 << 4 if position.acc and position.speed_kmh < 1 else 0
        body += item(0x25, struct.pack(">I", braking | (1 if position.acc else 0)))
        body += item(0x30, bytes([position.signal])) + item(0x31, bytes([position.satellites]))
    return body + extra


def location_batch(bodies: Sequence[bytes], blind_zone: bool = True) -> bytes:
    """0x0704: WORD count, BYTE type (1 blind-zone resend), then WORD length + location each."""
    return struct.pack(">HB", len(bodies), 1 if blind_zone else 0) + b"".join(
        struct.pack(">H", len(body)) + body for body in bodies
    )


def general(serial: int, message_id: int, result: int) -> bytes:
    """0x0001 general response."""
    return struct.pack(">HHB", serial, message_id, result)


@dataclass(frozen=True, slots=True)
class GeneralAnswer:
    """0x8001 from the platform."""

    serial: int
    """Serial of the message answered."""
    message_id: int
    """Id of the message answered."""
    result: int
    """0 ok, 1 failure, 2 malformed, 3 unsupported, 4 alarm confirmed."""


def parse_general(body: bytes) -> GeneralAnswer:
    """0x8001."""
    cursor = Cursor(body)
    return GeneralAnswer(cursor.word(), cursor.word(), cursor.byte())


@dataclass(frozen=True, slots=True)
class RegisterAnswer:
    """0x8100 from the platform."""

    serial: int
    """Serial of the 0x0100."""
    result: int
    """0 ok, 1 vehicle known, 2 no such vehicle, 3 terminal known, 4 no such terminal."""
    code: str
    """Authentication code; empty unless the result is 0."""


def parse_register_answer(body: bytes) -> RegisterAnswer:
    """0x8100."""
    cursor = Cursor(body)
    return RegisterAnswer(cursor.word(), cursor.byte(), decode_text(cursor.rest()))


DEFAULT_PARAMETERS: Mapping[int, bytes] = {
    0x0001: struct.pack(">I", 60),
    0x0002: struct.pack(">I", 10),
    0x0003: struct.pack(">I", 3),
    0x0010: b"internet",
    0x0013: b"127.0.0.1",
    0x0017: b"",
    0x0018: struct.pack(">I", 8808),
    0x0020: struct.pack(">I", 0),
    0x0021: struct.pack(">I", 0),
    0x0022: struct.pack(">I", 60),
    0x0027: struct.pack(">I", 300),
    0x0028: struct.pack(">I", 5),
    0x0029: struct.pack(">I", 10),
    0x0030: struct.pack(">I", 30),
    0x0031: struct.pack(">H", 200),
    0x0050: struct.pack(">I", 0),
    0x0055: struct.pack(">I", 90),
    0x0056: struct.pack(">I", 10),
    0x0057: struct.pack(">I", 14400),
    0x0058: struct.pack(">I", 57600),
    0x0059: struct.pack(">I", 1200),
    0x005A: struct.pack(">I", 7200),
    0x0070: struct.pack(">I", 5),
    0x0071: struct.pack(">I", 127),
    0x0072: struct.pack(">I", 63),
    0x0073: struct.pack(">I", 63),
    0x0074: struct.pack(">I", 127),
    0x0080: struct.pack(">I", 123456),
    0x0081: struct.pack(">H", 31),
    0x0082: struct.pack(">H", 115),
    0x0084: bytes([2]),
    0x0090: bytes([0b11]),
    0x0091: bytes([1]),
    0x0092: bytes([1]),
    0x0093: struct.pack(">I", 1),
}
"""Terminal parameters of a fresh device, id → value (S13 table 12)."""


def parameters_answer(serial: int, values: Mapping[int, bytes]) -> bytes:
    """0x0104: WORD serial of the query, BYTE count, items of DWORD id, BYTE length, value."""
    items = b"".join(struct.pack(">IB", key, len(value)) + value for key, value in values.items())
    return struct.pack(">HB", serial, len(values)) + items


def parse_set_parameters(body: bytes) -> dict[int, bytes]:
    """0x8103: BYTE count, items of DWORD id, BYTE length, value."""
    cursor = Cursor(body)
    return {cursor.dword(): cursor.take(cursor.byte()) for _ in range(cursor.byte())}


def parse_query_parameters(body: bytes) -> list[int]:
    """0x8106: BYTE count, DWORD ids."""
    cursor = Cursor(body)
    return [cursor.dword() for _ in range(cursor.byte())]


@dataclass(frozen=True, slots=True)
class TextMessage:
    """0x8300 from the platform."""

    flags: int
    """Flags byte."""
    kind: int | None
    """Text type, 2019 only: 1 notice, 2 service."""
    text: str
    """The text itself."""


def parse_text(body: bytes, layout: Layout) -> TextMessage:
    """0x8300; 2019 inserts the type after the flags."""
    cursor = Cursor(body)
    flags = cursor.byte()
    kind = cursor.byte() if layout.newer else None
    return TextMessage(flags, kind, decode_text(cursor.rest()))


class Control(enum.IntEnum):
    """Command words of 0x8105."""

    UPGRADE = 1
    CONNECT = 2
    POWER_OFF = 3
    RESET = 4
    FACTORY_RESET = 5
    CLOSE_DATA_LINK = 6
    CLOSE_ALL_RADIO = 7


def parse_control(body: bytes) -> tuple[int, str]:
    """0x8105: (command word, arguments)."""
    cursor = Cursor(body)
    return cursor.byte(), decode_text(cursor.rest())


# ---------------------------------------------------------------------------------------------------------------------
# Multimedia (S13 8.50–8.57): photos only, as 1078 5.2 restricts video terminals to.


class MediaEvent(enum.IntEnum):
    """Why a picture was taken."""

    COMMAND = 0
    TIMER = 1
    ROBBERY = 2
    COLLISION = 3


@dataclass(frozen=True, slots=True)
class PhotoRequest:
    """0x8801 from the platform."""

    channel: int
    """Camera channel; 0x64 and 0x65 are the ADAS and DSM cameras."""
    command: int
    """0 stop, 1..n pictures, 0xFFFF record video."""
    interval_s: int
    """Seconds between pictures, 0 as fast as possible."""
    store: bool
    """Keep on the device instead of uploading."""
    resolution: int
    """Code of the picture size."""
    quality: int
    """1 best .. 10."""


PHOTO_SIZES: Mapping[int, tuple[int, int]] = {
    0x00: (176, 144),
    0x01: (320, 240),
    0x02: (640, 480),
    0x03: (800, 600),
    0x04: (1024, 768),
    0x05: (176, 144),
    0x06: (352, 288),
    0x07: (704, 288),
    0x08: (704, 576),
    0xFF: (1280, 720),
}
"""Resolution code of 0x8801 → width, height."""


def parse_photo_request(body: bytes) -> PhotoRequest:
    """0x8801; the brightness bytes behind the quality do not change a simulated picture."""
    cursor = Cursor(body)
    return PhotoRequest(
        channel=cursor.byte(),
        command=cursor.word(),
        interval_s=cursor.word(),
        store=cursor.byte() == 1,
        resolution=cursor.byte() if cursor.left else 4,
        quality=cursor.byte() if cursor.left else 5,
    )


def photo_answer(serial: int, result: int, media_ids: Sequence[int]) -> bytes:
    """0x0805: WORD serial, BYTE result (2 = channel unsupported), then WORD count and DWORD ids if it is 0."""
    head = struct.pack(">HB", serial, result)
    if result != Result.OK:
        return head
    return head + struct.pack(">H", len(media_ids)) + b"".join(struct.pack(">I", media_id) for media_id in media_ids)


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """A picture in the terminal's memory."""

    media_id: int
    """DWORD id."""
    channel: int
    """Camera channel."""
    event: int
    """Why it was taken (`MediaEvent`)."""
    position: Position
    """Where and when it was taken."""
    width: int
    """Picture width."""
    height: int
    """Picture height."""
    quality: int
    """1 best .. 10."""


def media_event(media: StoredMedia) -> bytes:
    """0x0800, and the head of 0x0801: DWORD id, type image, format JPEG, event, channel."""
    return struct.pack(">IBBBB", media.media_id, 0, 0, media.event, media.channel)


def media_upload(media: StoredMedia, data: bytes, offset_s: int) -> bytes:
    """0x0801 of 2013 and later: head, location base, file."""
    return media_event(media) + location_base(media.position, offset_s) + data


@dataclass(frozen=True, slots=True)
class MediaAnswer:
    """0x8800 from the platform."""

    media_id: int
    """Which upload it answers."""
    missing: tuple[int, ...]
    """Part indexes to send again; empty when all arrived."""


def parse_media_answer(body: bytes) -> MediaAnswer:
    """0x8800: the id alone when complete, else BYTE count and WORD indexes."""
    cursor = Cursor(body)
    media_id = cursor.dword()
    return MediaAnswer(media_id, tuple(cursor.word() for _ in range(cursor.byte())) if cursor.left else ())


@dataclass(frozen=True, slots=True)
class MediaFilter:
    """What 0x8802 and 0x8803 ask for."""

    channel: int
    """Channel, 0 for all."""
    event: int
    """Event code."""
    begin: float | None
    """Unix seconds, None for open."""
    end: float | None
    """Unix seconds, None for open."""
    delete: bool = False
    """Delete after upload (0x8803 only)."""

    def matches(self, media: StoredMedia) -> bool:
        """Whether a stored picture is asked for."""
        return (
            self.channel in (0, media.channel)
            and self.event == media.event
            and (self.begin is None or media.position.timestamp >= self.begin)
            and (self.end is None or media.position.timestamp <= self.end)
        )


def parse_media_filter(body: bytes, offset_s: int) -> MediaFilter:
    """0x8802 and 0x8803: type, channel, event, BCD[6] from, BCD[6] to, and for the latter the delete flag."""
    cursor = Cursor(body)
    cursor.byte()
    return MediaFilter(
        channel=cursor.byte(),
        event=cursor.byte(),
        begin=cursor.time(offset_s),
        end=cursor.time(offset_s),
        delete=bool(cursor.left) and cursor.byte() == 1,
    )


def media_list(serial: int, found: Sequence[StoredMedia], offset_s: int) -> bytes:
    """0x0802: WORD serial, WORD total, items of DWORD id, type, channel, event, location base."""
    return struct.pack(">HH", serial, len(found)) + b"".join(
        struct.pack(">IBBB", media.media_id, 0, media.channel, media.event) + location_base(media.position, offset_s)
        for media in found
    )
