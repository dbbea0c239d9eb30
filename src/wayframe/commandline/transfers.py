"""What moving files has in common in both directions: hashes, progress bars, one run at a time."""

from __future__ import annotations

import fcntl
import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from .errors import CommandError

PIECE = 1 << 20
"""Bytes read at once."""


class Watched:
    """A file that tells how much of it was read.

    `moved` gets the bytes of each read; what it raises breaks the transfer off.
    """

    def __init__(self, file: BinaryIO, moved: Callable[[int], object]) -> None:
        self._file = file
        self._moved = moved

    def fileno(self) -> int:
        """The file's descriptor: its size is asked there."""
        return self._file.fileno()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self._file.read(size)
        self._moved(len(data))
        return data


def hash_of(path: Path, moved: Callable[[int], object] = lambda count: None) -> str:
    """SHA-256 of a file, read piece by piece. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            moved(len(piece))
    return digest.hexdigest()


def bar() -> Progress:
    """A progress bar on stderr, and only where a person looks."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty(),
    )


@contextmanager
def held(path: Path, mode: str, what: str) -> Iterator[IO[bytes]]:
    """A file opened and kept from a second run of the same. Raises CommandError, which calls it `what`."""
    try:
        file = path.open(mode)
    except OSError as error:
        raise CommandError(f"{what} {path} cannot be written: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"{what} {path} is in use: the same is already running") from None
        yield file
