"""Short-lived bytes on disk instead of in memory: the older segments of live streams. Empty after every start."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_FILE_BYTES = 64 * 1024 * 1024
"""A new file is begun beyond this size."""


@dataclass(slots=True)
class _File:
    path: str
    handle: int
    size: int = 0
    kept: int = 0
    """Things in it that are still wanted; without any it is removed."""


class _Place(NamedTuple):
    file: _File
    offset: int
    size: int


class DirectorySpool:
    """Named bytes, one behind the other in a few large files of one folder.

    A file of its own for each would cost five times as much: making it is dearer than filling it. What comes together
    goes together, so that whole files become free again.
    Writing is not awaited: a segment is a few hundred kilobytes into the page cache, never synced, cheaper than a hop
    to a thread; and what a crash loses here nobody misses.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        """Folder that holds them; nothing else may live there."""
        self._places: dict[str, _Place] = {}
        self._newest: _File | None = None
        self._made = 0

    async def open(self) -> None:
        """Wipe what an earlier run left."""
        for name in list(self._places):
            self.delete(name)
        await asyncio.to_thread(self._wipe)

    def put(self, name: str, data: bytes) -> None:
        """Write; replaces what was there. Raises `OSError` when the disk is full."""
        self.delete(name)
        file = self._file()
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(file.handle, data[written:] if written else data, file.size + written)
        except OSError:
            self._remove_unused(file)
            raise
        self._places[name] = _Place(file, file.size, len(data))
        file.size += len(data)
        file.kept += 1

    def get(self, name: str) -> bytes | None:
        """Read; None if there is none."""
        place = self._places.get(name)
        return os.pread(place.file.handle, place.size, place.offset) if place is not None else None

    def delete(self, name: str) -> None:
        """Remove; no harm if it is gone."""
        place = self._places.pop(name, None)
        if place is not None:
            place.file.kept -= 1
            self._remove_unused(place.file)

    def _file(self) -> _File:
        """The file to append to."""
        if self._newest is None or self._newest.size >= _FILE_BYTES:
            self._made += 1
            path = f"{self.root}/{self._made}"
            self._newest = _File(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640))
        return self._newest

    def _remove_unused(self, file: _File) -> None:
        if file.kept:
            return
        if self._newest is file:
            self._newest = None
        os.close(file.handle)
        Path(file.path).unlink(missing_ok=True)

    def _wipe(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True, exist_ok=True)
