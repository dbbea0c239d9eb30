"""Frames of JT/T 808: flags, escaping, checksum and header (S13 4.4, S19 4.4).

    7E | escaped( header | body | checksum ) | 7E

`FrameSplitter` cuts a byte stream into raw frames, `decode_frame` reads one, `encode_frame` writes one. A *raw frame*
is what stands between the flags after unescaping: header, body and checksum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

FLAG = 0x7E
"""Byte before and after every frame."""
MAX_BODY = 1023
"""Largest body of one frame: the length has ten bits."""
SPLIT_BODY = 900
"""Bodies longer than this are sent in parts."""
MIN_RAW = 13
"""Shortest raw frame: the 12-byte header of 2013 and a checksum."""
MAX_RAW = 21 + MAX_BODY + 1
"""Longest raw frame: the 21-byte header of 2019, a full body and a checksum."""
MAX_CONSECUTIVE_BAD = 20
"""After so many bad pieces in a row the peer does not speak this protocol."""
MAX_WITHOUT_FLAG = 128 * 1024
"""After so many bytes without a flag the peer does not speak this protocol."""

_MAX_ESCAPED = 2 * MAX_RAW
_LENGTH_MASK = 0x03FF
_ENCRYPTION_SHIFT = 10
_PACKAGE_BIT = 0x2000
_VERSION_BIT = 0x4000


class FrameError(ValueError):
    """A raw frame that no terminal following the standard sends: wrong checksum, too short, no layout fits."""


class Layout(Enum):
    """The header layouts in the field; the value is the name used in logs.

    The last two are no edition, yet sold: terminals with the bodies of 2013 that set the version flag of 2019.
    """

    V2013 = "2013"
    """Editions 2011 and 2013: no version byte, number BCD[6]."""
    V2019 = "2019"
    """Edition 2019: version flag, version byte, number BCD[10]."""
    V2019_SHORT = "2019-6"
    """Version flag and version byte, but a number of BCD[6]."""
    V2013_FLAGGED = "2013-flagged"
    """Version flag, but neither version byte nor long number."""

    @property
    def number_length(self) -> int:
        """Bytes of the terminal number."""
        return 10 if self is Layout.V2019 else 6

    @property
    def flagged(self) -> bool:
        """Whether bit 14 of the properties is set."""
        return self is not Layout.V2013

    @property
    def versioned(self) -> bool:
        """Whether there is a version byte."""
        return self in (Layout.V2019, Layout.V2019_SHORT)

    @property
    def is_2019(self) -> bool:
        """Whether message bodies follow the 2019 edition."""
        return self is Layout.V2019

    @property
    def header_length(self) -> int:
        """Bytes of the header without the package fields."""
        return 6 + self.versioned + self.number_length


_LAYOUTS = {(layout.flagged, layout.header_length): layout for layout in Layout}
"""By version flag and length of the header."""
_NUMBERS = {layout: slice(4 + layout.versioned, 4 + layout.versioned + layout.number_length) for layout in Layout}
"""Where the terminal number stands."""


@dataclass(frozen=True, slots=True)
class Header:
    """Message header (S13 table 2, S19 table 2)."""

    message_id: int
    """Message id."""
    layout: Layout
    """The layout it came in; answers go out in the same."""
    number: bytes
    """Terminal number as on the wire, 6 or 10 bytes of BCD or of what the maker put there."""
    serial: int
    """The sender's serial number, 0..65535."""
    body_length: int
    """Value of the ten length bits."""
    encryption: int = 0
    """Bits 10–12: 0 none, 1 RSA."""
    package: tuple[int, int] | None = None
    """(total, index from 1) of a part of a long message."""
    version: int = 1
    """Version byte; 1 where the layout has none."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame."""

    header: Header
    """The header."""
    body: bytes
    """The body, still encoded."""


def checksum(data: bytes) -> int:
    """XOR of all bytes; 0 over a whole raw frame that is intact."""
    folded = int.from_bytes(data, "big")
    # Folding halves keeps the work in C: a byte loop would dominate the decoder.
    length = 1 << max(0, (len(data) - 1).bit_length())
    while length > 1:
        length >>= 1
        bits = 8 * length
        folded = (folded >> bits) ^ (folded & ((1 << bits) - 1))
    return folded


def escape(raw: bytes) -> bytes:
    """Escape what stands between the flags: 7D → 7D 01, then 7E → 7D 02."""
    return raw.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02")


def unescape(piece: bytes) -> bytes:
    """Undo `escape`. Only this order is right: the other one breaks `7D 01 02`."""
    return piece.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")


def _layout_of(raw: bytes, properties: int) -> Layout | None:
    """The layout whose header and declared body fill the raw frame exactly."""
    rest = len(raw) - 1 - (properties & _LENGTH_MASK) - (4 if properties & _PACKAGE_BIT else 0)
    return _LAYOUTS.get((properties & _VERSION_BIT != 0, rest))


def decode_frame(raw: bytes, *, intact: bool = False) -> Frame:
    """Read a raw frame (unescaped, without flags). Raises FrameError if it is damaged.

    `intact`: its checksum was checked before, as a `FrameSplitter` does.
    """
    if len(raw) < MIN_RAW:
        raise FrameError(f"frame of {len(raw)} bytes, at least {MIN_RAW} needed")
    if not intact and checksum(raw):
        raise FrameError(f"checksum does not match in a frame of {len(raw)} bytes")
    properties = int.from_bytes(raw[2:4], "big")
    layout = _layout_of(raw, properties)
    if layout is None:
        raise FrameError(f"{len(raw)} bytes fit no header layout with a body of {properties & _LENGTH_MASK}")
    place = _NUMBERS[layout]
    number, at = raw[place], place.stop
    serial = int.from_bytes(raw[at : at + 2], "big")
    at += 2
    package = None
    if properties & _PACKAGE_BIT:
        package = (int.from_bytes(raw[at : at + 2], "big"), int.from_bytes(raw[at + 2 : at + 4], "big"))
        at += 4
    header = Header(
        message_id=int.from_bytes(raw[0:2], "big"),
        layout=layout,
        number=number,
        serial=serial,
        body_length=properties & _LENGTH_MASK,
        encryption=properties >> _ENCRYPTION_SHIFT & 7,
        package=package,
        version=raw[4] if place.start == 5 else 1,
    )
    return Frame(header, raw[at:-1])


def encode_frame(
    message_id: int,
    body: bytes,
    *,
    layout: Layout,
    number: bytes,
    serial: int,
    package: tuple[int, int] | None = None,
    version: int = 1,
) -> bytes:
    """Write one frame with both flags. Raises ValueError if the body or the number does not fit."""
    if len(body) > MAX_BODY:
        raise ValueError(f"a frame holds {MAX_BODY} body bytes, got {len(body)}; use split_body")
    if len(number) != layout.number_length:
        raise ValueError(f"layout {layout.value} has numbers of {layout.number_length} bytes, got {len(number)}")
    properties = len(body)
    if package is not None:
        properties |= _PACKAGE_BIT
    if layout.flagged:
        properties |= _VERSION_BIT
    raw = bytearray(message_id.to_bytes(2, "big") + properties.to_bytes(2, "big"))
    if layout.versioned:
        raw.append(version)
    raw += number + (serial & 0xFFFF).to_bytes(2, "big")
    if package is not None:
        raw += package[0].to_bytes(2, "big") + package[1].to_bytes(2, "big")
    raw += body
    raw.append(checksum(bytes(raw)))
    return b"\x7e" + escape(bytes(raw)) + b"\x7e"


def split_body(body: bytes, limit: int = SPLIT_BODY) -> Sequence[bytes]:
    """Cut a long body into parts of at most `limit` bytes; a short one comes back alone."""
    return [body[at : at + limit] for at in range(0, len(body), limit)] or [b""]


@dataclass(slots=True)
class FrameSplitter:
    """Cuts a byte stream into raw frames; never keeps more than one frame of it.

    Empty pieces are idle flags. Damaged pieces and bytes before the first flag are dropped and counted.
    """

    bad: int = 0
    """Damaged pieces so far."""
    noise: int = 0
    """Bytes dropped so far because they stood before the first flag or in an overlong piece."""
    _buffer: bytearray = field(default_factory=bytearray)
    _in_frame: bool = False
    _overlong: bool = False
    _without_flag: int = 0
    _consecutive_bad: int = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the raw frames they complete: intact checksum, and a header layout that fits."""
        frames: list[bytes] = []
        pieces = data.split(b"\x7e")
        for piece in pieces[:-1]:
            self._take(piece)
            self._without_flag = 0
            self._finish(frames)
            self._in_frame = True
        self._take(pieces[-1])
        return frames

    @property
    def hopeless(self) -> str:
        """Why this peer does not speak the protocol and should be disconnected; empty while it may."""
        if self._consecutive_bad >= MAX_CONSECUTIVE_BAD:
            return f"{self._consecutive_bad} damaged frames in a row"
        if self._without_flag >= MAX_WITHOUT_FLAG:
            return f"{self._without_flag} bytes without a 0x7e flag"
        return ""

    def _take(self, piece: bytes) -> None:
        self._without_flag += len(piece)
        if not self._in_frame or self._overlong:
            self.noise += len(piece)
        elif len(self._buffer) + len(piece) > _MAX_ESCAPED:
            self._overlong = True
            self.noise += len(self._buffer) + len(piece)
            self._buffer.clear()
        else:
            self._buffer += piece

    def _finish(self, frames: list[bytes]) -> None:
        if self._overlong:
            self._overlong = False
            self._count_bad()
        elif self._buffer:
            raw = unescape(bytes(self._buffer))
            self._buffer.clear()
            if len(raw) >= MIN_RAW and not checksum(raw) and _layout_of(raw, int.from_bytes(raw[2:4], "big")):
                self._consecutive_bad = 0
                frames.append(raw)
            else:
                self._count_bad()

    def _count_bad(self) -> None:
        self.bad += 1
        self._consecutive_bad += 1
