"""Folders on this machine that files of devices are dropped into (C10), one set a device, always by its number."""

from __future__ import annotations

import asyncio
from pathlib import Path

from .entries import Entry

INCOMING, THUMBNAILS, PROCESSED, FAILED = "incoming", "thumbnails", "processed", "failed"
NAMES = (INCOMING, THUMBNAILS, PROCESSED, FAILED)


class DropFolders:
    """Where they are."""

    def __init__(self, root: Path, public_root: str) -> None:
        """`public_root`: the same folder as those who write into it see it; empty: as the server does."""
        self.root = root.absolute()
        """Holds a folder for each device."""
        self._public = public_root.rstrip("/") or str(self.root)

    async def paths(self, entry: Entry) -> dict[str, str]:
        """`incoming` and `thumbnails` of a device, made if they are not there."""
        await asyncio.to_thread(self._make, entry.id)
        return {name: f"{self._public}/{entry.id}/{name}" for name in (INCOMING, THUMBNAILS)}

    def _make(self, device_id: int) -> None:
        for name in NAMES:
            (self.root / str(device_id) / name).mkdir(parents=True, exist_ok=True)
