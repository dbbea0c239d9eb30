"""Short-lived bytes on disk instead of in memory: the older segments of live streams. Empty after every start."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

from .blobs import disk_full

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}(/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127})?")


class DirectorySpool:
    """Named bytes below `root`; names are `name` or `group/name` of letters, digits, `_`, `-` and `.`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        """Folder that holds them; nothing else may live there."""

    async def open(self) -> None:
        """Wipe what an earlier run left."""
        await asyncio.to_thread(self._wipe, self.root)

    async def put(self, name: str, data: bytes) -> None:
        """Write; replaces what was there in one step. Raises `StorageFull`, `ValueError` for a bad name."""
        try:
            await asyncio.to_thread(_write, self.path(name), data)
        except OSError as error:
            raise disk_full(error) from error

    async def get(self, name: str) -> bytes | None:
        """Read; None if there is none."""
        return await asyncio.to_thread(_read, self.path(name))

    async def delete(self, name: str) -> None:
        """Remove; no harm if it is gone."""
        await asyncio.to_thread(self.path(name).unlink, missing_ok=True)

    async def delete_group(self, group: str) -> None:
        """Remove everything named `group/…`."""
        await asyncio.to_thread(shutil.rmtree, self.path(group), ignore_errors=True)

    def path(self, name: str) -> Path:
        """Where the bytes of a name are, for sendfile."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name for the spool: {name!r}")
        return self.root / name

    @staticmethod
    def _wipe(root: Path) -> None:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True, exist_ok=True)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    try:
        unfinished.write_bytes(data)
        unfinished.rename(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
