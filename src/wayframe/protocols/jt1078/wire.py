"""Reading and writing the bodies of JT/T 808 messages: a cursor that refuses to run past the end, and text."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class BodyError(ValueError):
    """A message body that does not fit its table; the message says what is missing."""


class Reader:
    """Cursor over a message body; every method raises `BodyError` when the body ends too early."""

    def __init__(self, body: bytes) -> None:
        """`body`: the assembled message body."""
        self._body = body
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._body) - self._at

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > self.left:
            raise BodyError(f"{count} bytes wanted at offset {self._at}, {self.left} left")
        self._at += count
        return self._body[self._at - count : self._at]

    def byte(self) -> int:
        """BYTE."""
        return self.take(1)[0]

    def word(self) -> int:
        """WORD."""
        return int.from_bytes(self.take(2), "big")

    def dword(self) -> int:
        """DWORD."""
        return int.from_bytes(self.take(4), "big")

    def long(self) -> int:
        """Eight bytes."""
        return int.from_bytes(self.take(8), "big")

    def time(self) -> str:
        """BCD[6] as twelve hex digits."""
        return self.take(6).hex()

    def counted(self) -> bytes:
        """BYTE length, then that many bytes."""
        return self.take(self.byte())


def unpack(make: Callable[..., T], form: struct.Struct, body: bytes) -> T:
    """A record whose fields are exactly those of `form`; bytes behind them are ignored."""
    if len(body) < form.size:
        raise BodyError(f"body has {len(body)} bytes, at least {form.size} needed")
    return make(*form.unpack_from(body))


def text(raw: bytes) -> str:
    """GBK text without its zero padding (on either side); bytes that are no GBK show as escapes."""
    return raw.strip(b"\x00").decode("gbk", "backslashreplace")


def counted(value: str) -> bytes:
    """BYTE length and GBK text. Raises `ValueError` above 255 bytes."""
    raw = value.encode("gbk", "replace")
    if len(raw) > 255:
        raise ValueError(f"text has {len(raw)} bytes, 255 fit")
    return bytes((len(raw),)) + raw


def padded(value: str, size: int) -> bytes:
    """GBK text padded with zeros to `size` bytes. Raises `ValueError` if it is longer."""
    raw = value.encode("gbk", "replace")
    if len(raw) > size:
        raise ValueError(f"text has {len(raw)} bytes, {size} fit")
    return raw.ljust(size, b"\x00")


def bcd(value: str) -> bytes:
    """The six bytes of twelve BCD digits. Raises `ValueError` for anything else."""
    raw = bytes.fromhex(value)
    if len(raw) != 6:
        raise ValueError(f"a BCD time has 12 digits, got {value!r}")
    return raw
