"""Short-lived bytes on disk instead of in memory: the older segments of live streams. Empty after every start."""

from __future__ import annotations

import asyncio
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

    async def open(self) -> None:
        """Wipe what an earlier run left."""
        await asyncio.to_thread(self._wipe)

    def put(self, name: str, data: bytes) -> None:
        """Write; replaces what was there. Raises `OSError` when the disk is full, `ValueError` for a bad name."""
        path = self.path(name)
        try:
            path.write_bytes(data)
        except OSError:
            path.unlink(missing_ok=True)
            raise

    def get(self, name: str) -> bytes | None:
        """Read; None if there is none."""
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Remove; no harm if it is gone."""
        self.path(name).unlink(missing_ok=True)

    def path(self, name: str) -> Path:
        """Where the bytes of a name are."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name for the spool: {name!r}")
        return self.root / name

    def _wipe(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True, exist_ok=True)
