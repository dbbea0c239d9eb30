"""Bodies of the alarm attachment messages: 0x9208, 0x1210, 0x1211, 0x1212, 0x9212 (T/JSATL 12-2017 4.5 to 4.6).

The provinces' dialects differ in the length of the terminal id and of the alarm identifier; the body length tells
which one it is, not the edition of the 808 header.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from .alarms import IDENTIFIER_LENGTHS, AlarmIdentifier
from .times import bcd_to_unix
from .wire import BodyError, Reader, T, counted, padded, text

ALARM_NUMBER_LENGTH: Final = 32
"""Bytes of the alarm number the platform hands out."""

_RESERVED: Final = 16

# (terminal id, identifier) lengths of 0x1210 in the order they are tried: Su-biao, Yue-biao, Sichuan,
# Heilongjiang without terminal id, and the ones only code of others names.
_LIST_FORMS: Final = ((7, 16), (30, 40), (30, 39), (0, 38), (30, 38), (7, 32), (0, 16), (0, 40), (0, 39))


@dataclass(frozen=True, slots=True)
class AttachmentRequest:
    """0x9208, platform: upload the attachments of an alarm to this address."""

    host: str
    """Attachment server."""
    tcp_port: int
    """0 for none."""
    udp_port: int
    """0 for none."""
    identifier: AlarmIdentifier
    """The identifier from the alarm, its bytes unchanged."""
    alarm_number: str
    """The platform's number of the alarm, up to 32 characters."""
    reserved: bytes = bytes(_RESERVED)
    """16 zeros; some encoders leave them out."""

    ID: ClassVar[int] = 0x9208

    @classmethod
    def decode(cls, body: bytes) -> AttachmentRequest:
        """Read a body; its length says how long the identifier is. Raises `BodyError`."""
        reader = Reader(body)
        host = text(reader.counted())
        ports = reader.word(), reader.word()
        rest = reader.left - ALARM_NUMBER_LENGTH
        reserved = _RESERVED if rest - _RESERVED in IDENTIFIER_LENGTHS else 0
        if rest - reserved not in IDENTIFIER_LENGTHS:
            raise BodyError(f"an alarm identifier has {sorted(IDENTIFIER_LENGTHS)} bytes, got {rest - reserved}")
        identifier = AlarmIdentifier(reader.take(rest - reserved))
        number = text(reader.take(ALARM_NUMBER_LENGTH))
        return cls(host, *ports, identifier, number, reader.take(reserved))

    def encode(self) -> bytes:
        """Write the body. Raises `ValueError` for an alarm number of more than 32 bytes."""
        ports = struct.pack(">HH", self.tcp_port, self.udp_port)
        number = padded(self.alarm_number, ALARM_NUMBER_LENGTH)
        return counted(self.host) + ports + self.identifier.raw + number + self.reserved


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of a 0x1210 list."""

    raw_name: bytes
    """Name as sent."""
    size: int
    """Bytes."""

    @property
    def name(self) -> str:
        """Name as text without zero padding; data, never a path."""
        return text(self.raw_name)


@dataclass(frozen=True, slots=True)
class AttachmentList:
    """0x1210, terminal: the files of an alarm, or the unfinished ones after a broken link."""

    terminal_id: bytes
    """As sent, 7 or 30 bytes; empty in the Heilongjiang dialect."""
    identifier: AlarmIdentifier
    """The alarm's identifier."""
    alarm_number: str
    """The number from the 0x9208, without padding."""
    info_type: int
    """0 normal, 1 supplement."""
    files: tuple[ListedFile, ...]
    """What will be uploaded."""

    ID: ClassVar[int] = 0x1210

    @classmethod
    def decode(cls, body: bytes) -> AttachmentList:
        """Read a body in the dialect whose file list ends exactly at its end. Raises `BodyError`."""
        fitting = [found for form in _LIST_FORMS if (found := cls._try(body, *form)) is not None]
        if not fitting:
            raise BodyError(f"no dialect's attachment list fits {len(body)} bytes")
        # An identifier with a real time is no coincidence; the order of the forms decides the rest.
        return next((found for found in fitting if bcd_to_unix(found.identifier.time) is not None), fitting[0])

    @classmethod
    def _try(cls, body: bytes, id_length: int, identifier_length: int) -> AttachmentList | None:
        reader = Reader(body)
        try:
            terminal_id = reader.take(id_length)
            identifier = AlarmIdentifier(reader.take(identifier_length))
            number = text(reader.take(ALARM_NUMBER_LENGTH))
            info_type, count = reader.byte(), reader.byte()
            files = tuple(ListedFile(reader.counted(), reader.dword()) for _ in range(count))
        except BodyError:
            return None
        if reader.left or info_type > 1:
            return None
        return cls(terminal_id, identifier, number, info_type, files)

    def encode(self) -> bytes:
        """Write the body."""
        head = self.terminal_id + self.identifier.raw + padded(self.alarm_number, ALARM_NUMBER_LENGTH)
        files = b"".join(
            bytes((len(file.raw_name),)) + file.raw_name + struct.pack(">I", file.size) for file in self.files
        )
        return head + bytes((self.info_type, len(self.files))) + files


@dataclass(frozen=True, slots=True)
class _FileMessage:
    """Common body of 0x1211 and 0x1212."""

    raw_name: bytes
    """Name as sent."""
    type: int
    """Su-biao: 0 image, 1 audio, 2 video, 3 text, 4 other; Yue-biao: 0 panorama, 4 face, 5 other."""
    size: int
    """Bytes."""

    @property
    def name(self) -> str:
        """Name as text without zero padding; data, never a path."""
        return text(self.raw_name)

    def encode(self) -> bytes:
        """Write the body."""
        return bytes((len(self.raw_name),)) + self.raw_name + struct.pack(">BI", self.type, self.size)


class FileStart(_FileMessage):
    """0x1211, terminal: a file begins."""

    __slots__ = ()
    ID: ClassVar[int] = 0x1211

    @classmethod
    def decode(cls, body: bytes) -> FileStart:
        """Read a body. Raises `BodyError`."""
        return _file_message(cls, body)


class FileEnd(_FileMessage):
    """0x1212, terminal: a file has been sent, as far as the terminal knows."""

    __slots__ = ()
    ID: ClassVar[int] = 0x1212

    @classmethod
    def decode(cls, body: bytes) -> FileEnd:
        """Read a body. Raises `BodyError`."""
        return _file_message(cls, body)


@dataclass(frozen=True, slots=True)
class FileEndReply:
    """0x9212, platform: the file is complete, or these ranges have to come again."""

    raw_name: bytes
    """Name as the terminal sent it."""
    type: int
    """File type as the terminal sent it."""
    ranges: tuple[tuple[int, int], ...] = ()
    """(offset, length) of what is missing; empty = complete. At most 255."""

    ID: ClassVar[int] = 0x9212

    @property
    def result(self) -> int:
        """0 complete, 1 resend."""
        return 1 if self.ranges else 0

    @property
    def name(self) -> str:
        """Name as text without zero padding."""
        return text(self.raw_name)

    @classmethod
    def decode(cls, body: bytes) -> FileEndReply:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        name, kind, _ = reader.counted(), reader.byte(), reader.byte()
        count = reader.byte()
        return cls(name, kind, tuple((reader.dword(), reader.dword()) for _ in range(count)))

    def encode(self) -> bytes:
        """Write the body."""
        head = bytes((len(self.raw_name),)) + self.raw_name
        ranges = b"".join(struct.pack(">II", *missing) for missing in self.ranges)
        return head + bytes((self.type, self.result, len(self.ranges))) + ranges


def _file_message(make: Callable[[bytes, int, int], T], body: bytes) -> T:
    reader = Reader(body)
    return make(reader.counted(), reader.byte(), reader.dword())
