"""Data representation (MQTT 5, section 1.5): integers, strings, binary data, and a reader that never reads too far."""

from __future__ import annotations

import struct

from .reasons import Malformed

_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")

MAX_VARINT = 268_435_455
"""Largest variable byte integer (1.5.5)."""


def varint(value: int) -> bytes:
    """A variable byte integer in its shortest form (1.5.5). Raises ValueError beyond `MAX_VARINT`."""
    if value < 128:
        return bytes((value,))
    if value > MAX_VARINT:
        raise ValueError(f"{value} is larger than a variable byte integer can be")
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def u16(value: int) -> bytes:
    """Two bytes, big endian."""
    return _U16.pack(value)


def u32(value: int) -> bytes:
    """Four bytes, big endian."""
    return _U32.pack(value)


def text(value: str) -> bytes:
    """A UTF-8 string with its length (1.5.4). Raises ValueError beyond 65,535 bytes."""
    return binary(value.encode())


def binary(value: bytes) -> bytes:
    """Binary data with its length (1.5.6). Raises ValueError beyond 65,535 bytes."""
    if len(value) > 0xFFFF:
        raise ValueError(f"{len(value)} bytes are more than a string of MQTT can hold")
    return _U16.pack(len(value)) + value


def decode_text(raw: bytes, what: str) -> str:
    """UTF-8 without U+0000 (1.5.4). Raises Malformed."""
    try:
        value = raw.decode()  # Python's decoder refuses surrogates, as [MQTT-1.5.4-1] asks
    except UnicodeDecodeError:
        raise Malformed(f"{what} is not UTF-8") from None
    if "\0" in value:
        raise Malformed(f"{what} holds the character U+0000")
    return value


class Reader:
    """Reads the body of one packet from front to back. Every method raises Malformed at its end."""

    __slots__ = ("body", "end", "position")

    def __init__(self, body: bytes, position: int = 0, end: int | None = None) -> None:
        self.body = body
        self.position = position
        self.end = len(body) if end is None else end

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return self.end - self.position

    def take(self, count: int, what: str) -> bytes:
        """The next `count` bytes."""
        position = self.position
        if count > self.end - position:
            raise Malformed(f"the packet ends inside {what}")
        self.position = position + count
        return self.body[position : position + count]

    def byte(self, what: str) -> int:
        """One byte."""
        return self.take(1, what)[0]

    def u16(self, what: str) -> int:
        """Two bytes."""
        value: int = _U16.unpack(self.take(2, what))[0]
        return value

    def u32(self, what: str) -> int:
        """Four bytes."""
        value: int = _U32.unpack(self.take(4, what))[0]
        return value

    def varint(self, what: str) -> int:
        """A variable byte integer in its shortest form ([MQTT-1.5.5-1])."""
        value = shift = 0
        while True:
            byte = self.byte(what)
            value |= (byte & 127) << shift
            if byte < 128:
                if byte == 0 and shift:
                    raise Malformed(f"{what} is a number written longer than needed")
                return value
            shift += 7
            if shift > 21:
                raise Malformed(f"{what} is a number of more than four bytes")

    def binary(self, what: str) -> bytes:
        """Binary data."""
        return self.take(self.u16(what), what)

    def text(self, what: str) -> str:
        """A UTF-8 string."""
        return decode_text(self.binary(what), what)

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(self.left, "the rest")

    def done(self, what: str) -> None:
        """Raises Malformed if something is left."""
        if self.left:
            raise Malformed(f"{what} has {self.left} bytes too many")
