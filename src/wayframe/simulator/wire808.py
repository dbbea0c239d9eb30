"""JT/T 808 frames, written from the standard for the simulator alone (S13 4.4, S19 4.4): escape, checksum, header
layouts, sub-packages and cursors over message bodies. Sans-IO; bodies live in `bodies808`, video in `wire1078`."""

from __future__ import annotations

import datetime as dt
import enum
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FLAG = b"\x7e"
MAX_PART = 900
"""Body bytes in one sub-package; the header could carry 1023."""
MAX_BUFFER = 128 * 1024
"""Bytes without a flag before the platform's stream counts as nonsense."""

_SUBPACKAGE = 1 << 13
_VERSION = 1 << 14
_LENGTH = 0x3FF


class WireError(ValueError):
    """The platform sent bytes that are no JT/T 808 frame or body."""


class Layout(enum.Enum):
    """Header layouts found in the field."""

    V2013 = "2013"
    """No version byte, terminal number BCD[6] (also 2011)."""
    V2019 = "2019"
    """Version flag and byte, terminal number BCD[10]."""
    V2019_SHORT = "2019-short"
    """Version flag and byte, but a 6-byte number."""
    V2013_FLAGGED = "2013-flagged"
    """Version flag, but otherwise the layout of 2013."""

    @property
    def flagged(self) -> bool:
        """Whether bit 14 of the properties is set."""
        return self is not Layout.V2013

    @property
    def versioned(self) -> bool:
        """Whether there is a version byte."""
        return self in (Layout.V2019, Layout.V2019_SHORT)

    @property
    def newer(self) -> bool:
        """Whether bodies are those of 2019; terminals with a mixed header send those of 2013."""
        return self is Layout.V2019

    @property
    def number_length(self) -> int:
        """Bytes of the terminal number."""
        return 10 if self is Layout.V2019 else 6

    @property
    def header_length(self) -> int:
        """Bytes of the header without package fields."""
        return (5 if self.versioned else 4) + self.number_length + 2


class Msg(enum.IntEnum):
    """Message ids, terminal to platform (0x0…, 0x1…) and platform to terminal (0x8…, 0x9…)."""

    T_GENERAL = 0x0001
    HEARTBEAT = 0x0002
    LOGOUT = 0x0003
    TIME_REQUEST = 0x0004
    T_RESEND_PARTS = 0x0005
    REGISTER = 0x0100
    AUTHENTICATE = 0x0102
    PARAMETERS = 0x0104
    PROPERTIES = 0x0107
    LOCATION = 0x0200
    POSITION_ANSWER = 0x0201
    CONTROL_ANSWER = 0x0500
    DRIVER = 0x0702
    LOCATION_BATCH = 0x0704
    MEDIA_EVENT = 0x0800
    MEDIA_UPLOAD = 0x0801
    MEDIA_LIST = 0x0802
    PHOTO_ANSWER = 0x0805
    AV_ATTRIBUTES = 0x1003
    RECORDINGS = 0x1205
    FTP_DONE = 0x1206
    ATTACHMENT_LIST = 0x1210
    FILE_START = 0x1211
    FILE_END = 0x1212
    P_GENERAL = 0x8001
    P_RESEND_PARTS = 0x8003
    TIME_ANSWER = 0x8004
    REGISTER_ANSWER = 0x8100
    SET_PARAMETERS = 0x8103
    QUERY_ALL_PARAMETERS = 0x8104
    TERMINAL_CONTROL = 0x8105
    QUERY_PARAMETERS = 0x8106
    QUERY_PROPERTIES = 0x8107
    QUERY_POSITION = 0x8201
    TRACKING = 0x8202
    CONFIRM_ALARM = 0x8203
    LINK_CHECK = 0x8204
    TEXT = 0x8300
    VEHICLE_CONTROL = 0x8500
    QUERY_DRIVER = 0x8702
    MEDIA_ANSWER = 0x8800
    TAKE_PHOTO = 0x8801
    QUERY_MEDIA = 0x8802
    UPLOAD_MEDIA = 0x8803
    UPLOAD_ONE_MEDIA = 0x8805
    QUERY_AV_ATTRIBUTES = 0x9003
    LIVE = 0x9101
    LIVE_CONTROL = 0x9102
    LIVE_STATUS = 0x9105
    PLAYBACK = 0x9201
    PLAYBACK_CONTROL = 0x9202
    QUERY_RECORDINGS = 0x9205
    FTP_UPLOAD = 0x9206
    FTP_CONTROL = 0x9207
    REQUEST_ATTACHMENTS = 0x9208
    FILE_END_ANSWER = 0x9212
    PTZ_ROTATE = 0x9301
    PTZ_FOCUS = 0x9302
    PTZ_IRIS = 0x9303
    PTZ_WIPER = 0x9304
    PTZ_INFRARED = 0x9305
    PTZ_ZOOM = 0x9306


class Result(enum.IntEnum):
    """Result byte of the general responses."""

    OK = 0
    FAILURE = 1
    MALFORMED = 2
    UNSUPPORTED = 3
    ALARM_CONFIRMED = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame after unescaping and checking."""

    message_id: int
    """Message id, WORD at offset 0."""
    layout: Layout
    """Which header layout it came in."""
    number: bytes
    """Terminal number as on the wire, 6 or 10 BCD bytes."""
    serial: int
    """Serial number of the sender, 0..65535."""
    body: bytes
    """Message body of this frame."""
    total: int = 1
    """Parts of the message; 1 for a whole one."""
    index: int = 1
    """Which part this is, from 1."""
    encryption: int = 0
    """Encryption bits 10–12; 0 is plain."""


def number_bcd(ident: str, layout: Layout) -> bytes:
    """The BCD terminal number of a decimal ident, zero padded in front; ValueError when it does not fit."""
    digits = layout.number_length * 2
    if not ident.isdecimal() or len(ident) > digits:
        raise ValueError(f"ident must be 1..{digits} decimal digits for layout {layout.value}, got {ident!r}")
    return bytes.fromhex(ident.zfill(digits))


def checksum(data: bytes) -> int:
    """XOR of all bytes."""
    value = 0
    for byte in data:
        value ^= byte
    return value


def escape(data: bytes) -> bytes:
    """7D → 7D 01 and 7E → 7D 02; the order keeps the escape byte itself unambiguous."""
    return data.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02")


def unescape(data: bytes) -> bytes:
    """The reverse of `escape`; 7D 02 first, else 7D 01 02 would be misread."""
    return data.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")


def encode_frame(
    message_id: int, body: bytes, *, number: bytes, layout: Layout, serial: int, part: tuple[int, int] | None = None
) -> bytes:
    """One whole frame with flags; `part` is (total, index) for a sub-package. ValueError when the body is too long."""
    if len(body) > _LENGTH:
        raise ValueError(f"a body holds at most {_LENGTH} bytes, got {len(body)}: split it")
    properties = len(body) | (_VERSION if layout.flagged else 0) | (_SUBPACKAGE if part else 0)
    head = struct.pack(">HH", message_id, properties) + (b"\x01" if layout.versioned else b"") + number
    head += struct.pack(">H", serial & 0xFFFF)
    if part:
        head += struct.pack(">HH", *part)
    raw = head + body
    return FLAG + escape(raw + bytes([checksum(raw)])) + FLAG


def split_body(body: bytes, size: int = MAX_PART) -> list[bytes]:
    """The body in pieces of at most `size` bytes; one empty piece for an empty body."""
    return [body[at : at + size] for at in range(0, len(body), size)] or [b""]


def decode_frame(piece: bytes) -> Frame:
    """A frame from the bytes between two flags (still escaped); WireError when checksum or header do not fit."""
    raw = unescape(piece)
    if len(raw) < 13:
        raise WireError(f"a frame has at least 13 bytes, got {len(raw)}")
    if checksum(raw):
        raise WireError("wrong checksum")
    message_id, properties = struct.unpack_from(">HH", raw)
    extra = 4 if properties & _SUBPACKAGE else 0
    for layout in Layout:
        start = layout.header_length + extra
        if layout.flagged == bool(properties & _VERSION) and start + (properties & _LENGTH) + 1 == len(raw):
            break
    else:
        raise WireError(f"no header layout fits a frame of {len(raw)} bytes with properties {properties:#06x}")
    at = 5 if layout.versioned else 4
    number = raw[at : at + layout.number_length]
    (serial,) = struct.unpack_from(">H", raw, at + layout.number_length)
    total, index = struct.unpack_from(">HH", raw, layout.header_length) if extra else (1, 1)
    return Frame(message_id, layout, number, serial, raw[start:-1], total, index, encryption=(properties >> 10) & 7)


class Deframer:
    """Cuts a byte stream at the flags. `feed` returns the pieces between them, still escaped."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes, take what is complete; WireError when 128 KiB arrive without a flag."""
        self._buffer += data
        *pieces, rest = self._buffer.split(FLAG)
        self._buffer = bytearray(rest)
        if len(rest) > MAX_BUFFER:
            raise WireError(f"{len(rest)} bytes without a frame flag")
        return [bytes(piece) for piece in pieces if piece]


@dataclass(slots=True)
class _Open:
    first_serial: int
    parts: dict[int, bytes]
    total: int
    since: float


class PartAssembler:
    """Joins sub-packaged platform messages; holds at most four open ones, each for 60 s."""

    LIMIT = 4
    KEEP_S = 60.0

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}

    def add(self, frame: Frame, now: float) -> bytes | None:
        """The complete body once all parts are there, else None. Whole frames come straight back."""
        if frame.total <= 1:
            return frame.body
        if not 1 <= frame.index <= frame.total:
            return None
        for key in [key for key, held in self._open.items() if now - held.since > self.KEEP_S]:
            del self._open[key]
        held = self._open.get(frame.message_id)
        if held is None or held.total != frame.total or held.parts.get(frame.index, frame.body) != frame.body:
            held = self._open[frame.message_id] = _Open((frame.serial - frame.index + 1) & 0xFFFF, {}, frame.total, now)
            while len(self._open) > self.LIMIT:
                del self._open[next(iter(self._open))]
        held.parts[frame.index] = frame.body
        held.since = now
        if len(held.parts) < held.total:
            return None
        del self._open[frame.message_id]
        return b"".join(held.parts[index] for index in range(1, held.total + 1))

    def overdue(self, now: float, after_s: float = 5.0) -> list[tuple[int, list[int]]]:
        """(first serial, missing indexes) of assemblies that waited longer than `after_s`; resets their wait."""
        late = [held for held in self._open.values() if now - held.since > after_s]
        for held in late:
            held.since = now
        return [
            (held.first_serial, [index for index in range(1, held.total + 1) if index not in held.parts])
            for held in late
        ]


class Cursor:
    """Reads a message body from front to back; WireError when it ends too early."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > self.left:
            raise WireError(f"body ends at {len(self.data)}, wanted {count} bytes from {self.at}")
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self) -> int:
        """BYTE."""
        return self.take(1)[0]

    def word(self) -> int:
        """WORD, big-endian."""
        return int.from_bytes(self.take(2), "big")

    def dword(self) -> int:
        """DWORD, big-endian."""
        return int.from_bytes(self.take(4), "big")

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.take(self.left)

    def text(self, count: int) -> str:
        """GBK text of fixed length, padding stripped."""
        return decode_text(self.take(count))

    def short_text(self) -> str:
        """BYTE length + GBK text."""
        return self.text(self.byte())

    def time(self, offset_s: int) -> float | None:
        """BCD[6] time as Unix seconds; None for all zeros; WireError for an impossible one."""
        return time_from_bcd(self.take(6), offset_s)


def encode_text(text: str) -> bytes:
    """GBK bytes; characters GBK does not know become `?`."""
    return text.encode("gbk", "replace")


def decode_text(data: bytes) -> str:
    """GBK text with zero padding stripped on both sides."""
    return data.strip(b"\x00").decode("gbk", "replace")


def padded(text: str, length: int) -> bytes:
    """GBK text cut and zero padded to exactly `length` bytes."""
    return encode_text(text)[:length].ljust(length, b"\x00")


def bcd_time(timestamp: float, offset_s: int) -> bytes:
    """Unix seconds as BCD[6] YY MM DD hh mm ss in the zone `offset_s` east of UTC."""
    moment = dt.datetime.fromtimestamp(int(timestamp) + offset_s, dt.UTC)
    return bytes.fromhex(moment.strftime("%y%m%d%H%M%S"))


def time_from_bcd(data: bytes, offset_s: int) -> float | None:
    """Reverse of `bcd_time`; None for all zeros; WireError for an impossible time."""
    if not any(data):
        return None
    try:
        moment = dt.datetime.strptime(data.hex(), "%y%m%d%H%M%S").replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise WireError(f"impossible BCD time {data.hex()}") from error
    return moment.timestamp() - offset_s


def resend_request(first_serial: int, indexes: Sequence[int], layout: Layout) -> bytes:
    """Body of 0x0005: WORD first serial, WORD count (BYTE before 2019), WORD indexes."""
    count = struct.pack(">H" if layout.newer else ">B", len(indexes))
    return struct.pack(">H", first_serial) + count + _words(indexes)


def parse_resend(body: bytes) -> tuple[int, list[int]]:
    """(first serial, indexes) of 0x8003, with a BYTE or a WORD count: the length of the body tells which."""
    for width in (1, 2):
        cursor = Cursor(body)
        serial = cursor.word()
        count = int.from_bytes(cursor.take(min(width, cursor.left)), "big")
        if cursor.left == 2 * count:
            return serial, [cursor.word() for _ in range(count)]
    raise WireError(f"no resend list in {len(body)} bytes")


def _words(values: Iterable[int]) -> bytes:
    return b"".join(struct.pack(">H", value) for value in values)
