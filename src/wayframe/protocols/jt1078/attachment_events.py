"""What an attachment connection is told and what it says: settings with limits, known alarms, events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AttachmentSettings:
    """Limits of an attachment connection."""

    max_file: int = 512 * 1024 * 1024
    """Bytes of the largest file."""
    max_files: int = 255
    """Files of one connection."""
    max_resends: int = 5
    """Rounds of asking for missing ranges of one file."""
    max_ranges: int = 4096
    """Separate ranges of one file; more of them are an attack or a broken terminal."""
    max_noise: int = 256 * 1024
    """Bytes that are neither frame nor announced block before the connection ends."""
    max_bad_frames: int = 20
    """Damaged frames in a row before the connection ends."""
    max_parts: int = 64
    """Parts of one long message."""
    idle_timeout_s: float = 60.0
    """Seconds of silence before the connection ends."""


@dataclass(frozen=True, slots=True)
class PartialFile:
    """What arrived of an unfinished file; the gateway keeps it 24 h for a supplement."""

    name: str
    """Name without padding."""
    size: int
    """Bytes announced."""
    ranges: tuple[tuple[int, int], ...]
    """(start, end) pairs present, end exclusive."""


@dataclass(frozen=True, slots=True)
class KnownAlarm:
    """An alarm whose attachments were asked for."""

    alarm_number: str
    """The number in the 0x9208: whoever shows it may upload."""
    partial: Mapping[str, PartialFile] = field(default_factory=dict)
    """Files that began on an earlier connection, by name."""


@dataclass(frozen=True, slots=True)
class AnnouncedFile:
    """One file of a list."""

    name: str
    """Name without padding; data, never a path."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class AlarmAnnounced:
    """The terminal named the files of a known alarm."""

    alarm_number: str
    """The platform's number."""
    identifier: bytes
    """The alarm identifier, raw."""
    files: tuple[AnnouncedFile, ...]
    """What will come."""
    supplement: bool
    """True when the terminal goes on after a broken link."""


@dataclass(frozen=True, slots=True)
class FileStarted:
    """A file begins (0x1211); on a supplement parts of it may be there already."""

    alarm_number: str
    """The alarm it belongs to."""
    name: str
    """Name without padding."""
    type: int
    """Type byte of 0x1211."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes of a file: write them at `offset`. Repeats and overlaps occur."""

    alarm_number: str
    """The alarm the file belongs to."""
    name: str
    """Name without padding."""
    offset: int
    """Position in the file."""
    data: bytes
    """The bytes; a block of the terminal may leave in several pieces."""


@dataclass(frozen=True, slots=True)
class FileComplete:
    """All bytes have come: store the file, then call `stored`; only that tells the terminal."""

    alarm_number: str
    """The alarm it belongs to."""
    name: str
    """Name without padding."""
    type: int
    """Type byte."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class ResendAsked:
    """The terminal believed to be ready, and was asked for what is missing."""

    alarm_number: str
    """The alarm the file belongs to."""
    name: str
    """Name without padding."""
    ranges: tuple[tuple[int, int], ...]
    """(offset, length) pairs asked for."""
    round: int
    """1 for the first time."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Something the terminal wanted was not accepted; the connection goes on."""

    name: str
    """File name; empty if no file is meant."""
    reason: str
    """Sentence for the log."""


@dataclass(frozen=True, slots=True)
class Closing:
    """Send what `data_to_send` still holds and close the connection."""

    reason: str
    """Sentence for the log."""


AttachmentEvent = AlarmAnnounced | FileStarted | Block | FileComplete | ResendAsked | Refused | Closing
