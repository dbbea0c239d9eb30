"""Messages about the terminal itself: who and what it is, and the time (S13 8.5–8.17; reference sections 3 and 6)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..jt1078.wire import BodyError, Reader, bcd, counted, padded, text
from .frames import Layout

_REGISTER_2011 = (5, 8, 7)
_REGISTER_2013 = (5, 20, 7)
_REGISTER_2019 = (11, 30, 30)
_REGISTER_2013_SIZE = 37


@dataclass(frozen=True, slots=True)
class Registration:
    """0x0100: a terminal without an authentication code asks for one."""

    province: int
    """Province part of the Chinese district code."""
    city: int
    """City part of the Chinese district code."""
    maker: str
    """Maker id."""
    model: str
    """Terminal model."""
    terminal_id: str
    """The maker's number of this terminal."""
    plate_color: int
    """0 none (then `plate` is the VIN), 1 blue, 2 yellow, 3 black, 4 white, 9 other."""
    plate: str
    """Licence plate, or VIN."""
    edition: int = 2013
    """2011, 2013 or 2019: decides the lengths of maker, model and terminal id."""
    plate_size: int = 0
    """Bytes of the plate where it is padded."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> Registration:
        """Read a body of any edition; 2011 shows by its length. Raises `BodyError`."""
        reader = Reader(body)
        edition = 2019 if layout.is_2019 else 2013 if len(body) >= _REGISTER_2013_SIZE else 2011
        lengths = _LENGTHS[edition]
        district = reader.word(), reader.word()
        maker, model, terminal_id = (text(reader.take(length)).strip(" ") for length in lengths)
        color, size = reader.byte(), reader.left
        plate = text(reader.take(size))
        return cls(*district, maker, model, terminal_id, color, plate, edition, size)

    def encode(self, layout: Layout) -> bytes:
        """Write the body of its edition. Raises `ValueError` if a text is too long."""
        maker, model, terminal_id = _LENGTHS[self.edition]
        names = padded(self.maker, maker) + padded(self.model, model) + padded(self.terminal_id, terminal_id)
        plate = bytes((self.plate_color,)) + self.plate.encode("gbk", "replace").ljust(self.plate_size, b"\0")
        return struct.pack(">HH", self.province, self.city) + names + plate


_LENGTHS = {2011: _REGISTER_2011, 2013: _REGISTER_2013, 2019: _REGISTER_2019}


@dataclass(frozen=True, slots=True)
class RegistrationAnswer:
    """0x8100: the code to authenticate with, or why there is none."""

    reply_serial: int
    """Serial of the 0x0100."""
    result: int
    """0 ok, 1 vehicle already registered, 2 no such vehicle, 3 terminal already registered, 4 no such terminal."""
    code: str = ""
    """Authentication code; only with result 0."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> RegistrationAnswer:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.word(), reader.byte(), text(reader.take(reader.left)))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return struct.pack(">HB", self.reply_serial, self.result) + self.code.encode("gbk", "replace")


@dataclass(frozen=True, slots=True)
class Authentication:
    """0x0102: the code given at registration."""

    code: str
    """Authentication code."""
    imei: str = ""
    """2019 only."""
    software: str = ""
    """Software version, 2019 only."""
    edition: int = 2013
    """2019 if IMEI and version are there; some 2019 headers carry the body of 2013."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> Authentication:
        """Read a body. Raises `BodyError`."""
        if layout.is_2019 and body and 1 + body[0] + 35 == len(body):
            reader = Reader(body)
            return cls(text(reader.counted()), text(reader.take(15)), text(reader.take(20)), 2019)
        return cls(text(body))

    def encode(self, layout: Layout) -> bytes:
        """Write the body of its edition. Raises `ValueError` if a text is too long."""
        if self.edition == 2019:
            return counted(self.code) + padded(self.imei, 15) + padded(self.software, 20)
        return self.code.encode("gbk", "replace")


@dataclass(frozen=True, slots=True)
class Properties:
    """0x0107: what the terminal is."""

    type: int
    """Bits: 0 passenger, 1 hazardous goods, 2 freight, 3 taxi, 6 disk recorder, 7 split unit, 8 trailer (2019)."""
    maker: str
    """Maker id."""
    model: str
    """Terminal model."""
    terminal_id: str
    """The maker's number of this terminal."""
    iccid: str
    """SIM card number, 20 hex digits."""
    hardware: str
    """Hardware version."""
    firmware: str
    """Firmware version."""
    gnss: int
    """Bits: 0 GPS, 1 Beidou, 2 GLONASS, 3 Galileo."""
    network: int
    """Bits: 0 GPRS, 1 CDMA, 2 TD-SCDMA, 3 WCDMA, 4 CDMA2000, 5 TD-LTE, 7 other."""
    lengths: tuple[int, int, int] = (5, 20, 7)
    """Bytes of maker, model and terminal id on the wire."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> Properties:
        """Read a body. Raises `BodyError`.

        Some 2019 terminals send a maker of 11 bytes instead of 5: taken is what ends exactly after the network bits.
        """
        candidates = ((5, 30, 30), (11, 30, 30), (5, 20, 7)) if layout.is_2019 else ((5, 20, 7),)
        exact = (lengths for lengths in candidates if _properties_end(body, sum(lengths)) == len(body))
        return cls._read(Reader(body), next(exact, candidates[0]))

    @classmethod
    def _read(cls, reader: Reader, lengths: tuple[int, int, int]) -> Properties:
        kind = reader.word()
        maker, model, terminal_id = (text(reader.take(length)).strip(" ") for length in lengths)
        iccid, hardware, firmware = reader.take(10).hex(), text(reader.counted()), text(reader.counted())
        radio = reader.byte(), reader.byte()
        return cls(kind, maker, model, terminal_id, iccid, hardware, firmware, *radio, lengths)

    def encode(self, layout: Layout) -> bytes:
        """Write the body. Raises `ValueError` if a text is too long."""
        texts = zip((self.maker, self.model, self.terminal_id), self.lengths, strict=True)
        names = b"".join(padded(value, length) for value, length in texts)
        versions = counted(self.hardware) + counted(self.firmware)
        return (
            self.type.to_bytes(2, "big")
            + names
            + bytes.fromhex(self.iccid)
            + versions
            + bytes((self.gnss, self.network))
        )


def _properties_end(body: bytes, names: int) -> int:
    """Where a properties body ends if its three names have that many bytes; -1 if it is cut."""
    reader = Reader(body)
    try:
        reader.take(2 + names + 10)
        reader.counted()
        reader.counted()
        reader.take(2)
    except BodyError:
        return -1
    return len(body) - reader.left


UPGRADE_TYPES = {0: "terminal", 12: "IC card reader", 52: "GNSS", 0x64: "ADAS", 0x65: "DSM", 0x66: "TPMS", 0x67: "BSD"}
"""What was upgraded, by code."""
UPGRADE_RESULTS = {0: "success", 1: "failure", 2: "cancelled"}
"""How an upgrade ended, by code."""


@dataclass(frozen=True, slots=True)
class UpgradeResult:
    """0x0108: how an upgrade ended."""

    type: int
    """See `UPGRADE_TYPES`."""
    result: int
    """See `UPGRADE_RESULTS`."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> UpgradeResult:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.byte(), reader.byte())

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return bytes((self.type, self.result))


@dataclass(frozen=True, slots=True)
class Upgrade:
    """0x8108: a new firmware, usually in many parts."""

    type: int
    """See `UPGRADE_TYPES`."""
    maker: str
    """Maker id, 5 bytes (2019 11)."""
    version: str
    """Version of the firmware."""
    data: bytes
    """The firmware."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> Upgrade:
        """Read an assembled body. Raises `BodyError`."""
        reader = Reader(body)
        kind, maker = reader.byte(), text(reader.take(_upgrade_maker(layout)))
        version = text(reader.counted())
        return cls(kind, maker, version, reader.take(reader.dword()))

    def encode(self, layout: Layout) -> bytes:
        """Write the body. Raises `ValueError` if a text is too long."""
        head = bytes((self.type,)) + padded(self.maker, _upgrade_maker(layout)) + counted(self.version)
        return head + len(self.data).to_bytes(4, "big") + self.data


def _upgrade_maker(layout: Layout) -> int:
    return 11 if layout.is_2019 else 5


@dataclass(frozen=True, slots=True)
class ServerTime:
    """0x8004: the time, in UTC unlike all other times of the protocol."""

    time: str
    """Twelve BCD digits, UTC."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> ServerTime:
        """Read a body. Raises `BodyError`."""
        return cls(Reader(body).time())

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return bcd(self.time)


@dataclass(frozen=True, slots=True)
class VendorTime:
    """0x8109: the time as some trackers ask for it with 0x0109; no standard has it."""

    year: int
    """Year."""
    rest: tuple[int, int, int, int, int]
    """Month, day, hour, minute, second."""
    result: int = 0
    """0 ok."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> VendorTime:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        year, rest = reader.word(), tuple(reader.take(5))
        return cls(year, (rest[0], rest[1], rest[2], rest[3], rest[4]), reader.byte())

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return self.year.to_bytes(2, "big") + bytes((*self.rest, self.result))


@dataclass(frozen=True, slots=True)
class DriverIdentity:
    """0x0702: a driver's professional card was put in or taken out."""

    status: int
    """1 in, 2 out; 0 in the 2011 edition, which does not say."""
    time: str
    """Twelve BCD digits; empty in 2011."""
    result: int | None = None
    """Reading the card: 0 ok, 1 wrong key, 2 locked, 3 pulled out, 4 bad data; None when it was not read."""
    name: str = ""
    """Driver's name."""
    licence: str = ""
    """Number of the professional licence; in 2011 of the identity card."""
    issuer: str = ""
    """Authority."""
    valid_until: str = ""
    """Eight BCD digits, year month day."""
    id_number: str | None = None
    """Number of the identity card, 2019 only."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> DriverIdentity:
        """Read a body of any edition; 2011 shows by its length. Raises `BodyError`."""
        if not layout.is_2019 and (legacy := _legacy_driver(body)):
            return cls(0, "", 0, *legacy)
        reader = Reader(body)
        status, time = reader.byte(), reader.time()
        # Terminals that report a card taken out often send what they read when it was put in.
        result = reader.byte() if reader.left else None
        if result != 0 or not reader.left:
            return cls(status, time, result)
        name, licence = text(reader.counted()), text(reader.take(20))
        issuer, until = text(reader.counted()), reader.take(4).hex()
        return cls(
            status, time, result, name, licence, issuer, until, text(reader.take(20)) if reader.left >= 20 else None
        )

    def encode(self, layout: Layout) -> bytes:
        """Write the body of 2013 or, with an `id_number`, of 2019. Raises `ValueError` if a text is too long."""
        head = bytes((self.status,)) + bcd(self.time)
        if self.result is None:
            return head
        if self.result:
            return head + bytes((self.result,))
        card = counted(self.name) + padded(self.licence, 20) + counted(self.issuer) + bytes.fromhex(self.valid_until)
        tail = b"" if self.id_number is None else padded(self.id_number, 20)
        return head + b"\x00" + card + tail


def _legacy_driver(body: bytes) -> tuple[str, str, str] | None:
    """Name, identity card and issuer of a 2011 body, or None if it is no such body."""
    reader = Reader(body)
    try:
        name, identity, _licence, issuer = reader.counted(), reader.take(20), reader.take(40), reader.counted()
    except BodyError:
        return None
    return None if reader.left else (text(name), text(identity), text(issuer))
