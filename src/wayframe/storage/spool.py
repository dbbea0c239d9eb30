"""Short-lived bytes on disk instead of in memory: the older segments of live streams. Empty after every start."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")


class DirectorySpool:
    """Named bytes in one folder; names are letters, digits, `_`, `-` and `.`.

    Writing is not awaited: a segment is a few hundred kilobytes into the page cache, never synced, cheaper than a hop
    to a thread; and what a crash loses here nobody misses.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        """Folder that holds them; nothing else may live there."""
        self._folder = str(root)

    async def open(self) -> None:
        """Wipe what an earlier run left."""
        await asyncio.to_thread(self._wipe)

    def put(self, name: str, data: bytes) -> None:
        """Write; replaces what was there. Raises `OSError` when the disk is full, `ValueError` for a bad name."""
        path = self.path(name)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            written = os.write(handle, data)
            while written < len(data):
                written += os.write(handle, data[written:])
        except OSError:
            Path(path).unlink()
            raise
        finally:
            os.close(handle)

    def get(self, name: str) -> bytes | None:
        """Read; None if there is none."""
        try:
            return Path(self.path(name)).read_bytes()
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Remove; no harm if it is gone."""
        Path(self.path(name)).unlink(missing_ok=True)

    def path(self, name: str) -> str:
        """Where the bytes of a name are; text, for `Path` costs more than the write."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name for the spool: {name!r}")
        return f"{self._folder}/{name}"

    def _wipe(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True, exist_ok=True)
