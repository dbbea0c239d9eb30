"""Files: streamed into a temporary file, hashed on the way, and visible by one atomic step.

`BlobStore` is the shape; `DirectoryBlobs` keeps them below a folder as `ab/cd/<key>`, with `tmp/` for what is not
finished. Blocking calls (hash, write, fsync) run in a few threads of the store's own.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import secrets
import threading
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Container
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from wayframe.model import StorageFull

_PIECE = 256 * 1024
"""Bytes gathered before a thread is bothered; a hop costs 40 µs."""
_BACKLOG = 8 * 1024 * 1024
"""Bytes a writer holds at most for its thread; a caller that never waits is made to."""
_KEY = re.compile(r"[0-9a-f]{32}")
_THREADS = 4
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored file."""

    key: str
    """32 lower-case hex characters."""
    size: int
    """Bytes."""
    sha256: str
    """64 lower-case hex characters, of all its bytes."""


class BlobWriter(Protocol):
    """A file that is coming in. Ends with `commit` or `abandon`; both may be called again without harm."""

    @property
    def size(self) -> int:
        """Bytes so far: the end of what was written furthest."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add at the end. Raises `StorageFull`; nothing is left behind then."""

    def pwrite(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Put at an offset, for transfers out of order; gaps read as zeros. Raises as `write`."""

    async def drain(self) -> None:
        """Wait until what was written is on its way to disk; for writers of long streams. Raises as `write`."""

    async def commit(self, key: str = "") -> Blob:
        """Make it durable and visible, under a fresh key unless one is given (restores do). Raises `StorageFull`."""

    async def abandon(self) -> None:
        """Drop it."""


class BlobStore(Protocol):
    """Where files are kept."""

    async def begin(self) -> BlobWriter:
        """Start a file."""

    async def copy(self, blob: Blob) -> Blob:
        """The same bytes once more, under a key of their own."""

    def begin_now(self) -> BlobWriter:
        """Start a file without waiting, for blocks that are already here; costs one `open`."""

    def path(self, key: str) -> Path:
        """A local file with the bytes, for sendfile and workers; it may be gone if the key is."""

    def temporary_path(self, suffix: str = "") -> Path:
        """A fresh path for a recorder or converter to write; given back by `adopt`, or removed by the caller."""

    async def adopt(self, path: Path) -> Blob:
        """Take a finished temporary file over as it is; `path` is gone after."""

    async def exists(self, key: str) -> bool:
        """Whether the blob is there."""

    async def delete(self, key: str) -> None:
        """Remove a blob; no harm if it is gone."""

    def keys(self) -> AsyncIterator[str]:
        """Every key, in no order."""

    async def sweep(self, known_keys: Container[str], *, now: float, grace_s: float = 86400) -> int:
        """Remove leftovers of earlier runs and blobs older than `grace_s` nobody knows; returns how many went."""

    def free_bytes(self) -> int:
        """Bytes that can still be written."""


def disk_full(error: OSError) -> Exception:
    """The error for a person if a disk ran full, else the error itself."""
    if error.errno in _FULL:
        return StorageFull(f"the disk of the media store is full: {error.strerror or error}")
    return error


class DirectoryBlobs:
    """Files below `root`, made at the first use."""

    def __init__(self, root: Path) -> None:
        self.root = root
        """Folder that holds everything."""
        self._temporary = root / "tmp"
        self._run = uuid.uuid4().hex[:12]
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="blobs")

    async def close(self) -> None:
        """Let the threads go; writers still open are lost as in a crash."""
        await asyncio.to_thread(self._pool.shutdown)

    async def begin(self) -> DirectoryWriter:
        """Start a file. Raises `StorageFull`."""
        return await self._in_thread(self.begin_now)

    async def copy(self, blob: Blob) -> Blob:
        """The same bytes once more, under a key of their own. Raises `StorageFull`."""
        writer = await self.begin()
        with self.path(blob.key).open("rb") as source:
            while piece := await asyncio.to_thread(source.read, _PIECE):
                writer.write(piece)
                await writer.drain()
        return await writer.commit()

    def begin_now(self) -> DirectoryWriter:
        """Start a file without waiting. Raises `StorageFull`."""
        try:
            path = self.temporary_path()
            return DirectoryWriter(self, path, _create(path), self._pool)
        except OSError as error:
            raise disk_full(error) from error

    def path(self, key: str) -> Path:
        """Where the bytes are. Raises `ValueError` for what is no key, so that no text becomes a path."""
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a blob key: {key!r}")
        return self.root / key[:2] / key[2:4] / key

    def temporary_path(self, suffix: str = "") -> Path:
        """A fresh path in the store's own area, on the same disk."""
        self._temporary.mkdir(parents=True, exist_ok=True)
        return self._temporary / f"{self._run}-{secrets.token_hex(8)}{suffix}"

    async def adopt(self, path: Path) -> Blob:
        """Hash a finished temporary file, make it durable and visible. Raises `StorageFull`."""
        try:
            return await self._in_thread(self._take, path)
        except OSError as error:
            refused = disk_full(error)
            if isinstance(refused, StorageFull):
                await self._in_thread(path.unlink, missing_ok=True)
            raise refused from error

    async def exists(self, key: str) -> bool:
        """Whether the blob is there."""
        return await self._in_thread(self.path(key).is_file)

    async def delete(self, key: str) -> None:
        """Remove a blob; no harm if it is gone."""
        await self._in_thread(self.path(key).unlink, missing_ok=True)

    async def keys(self) -> AsyncIterator[str]:
        """Every key, folder by folder."""
        for folder in await self._in_thread(_folders, self.root):
            for name in await self._in_thread(_names, folder):
                if _KEY.fullmatch(name):
                    yield name

    async def sweep(self, known_keys: Container[str], *, now: float, grace_s: float = 86400) -> int:
        """Remove leftovers of earlier runs and blobs older than `grace_s` nobody knows; returns how many went.

        `now`: Unix seconds. Temporary files of this run are left alone. The grace keeps what is committed and has no
        row yet.
        """
        removed = await self._in_thread(self._sweep_temporary)
        batch: list[str] = []
        async for key in self.keys():
            if key not in known_keys:
                batch.append(key)
            if len(batch) >= 500:
                removed += await self._in_thread(self._sweep_orphans, batch, now - grace_s)
                batch = []
        return removed + await self._in_thread(self._sweep_orphans, batch, now - grace_s)

    def free_bytes(self) -> int:
        """Bytes an ordinary user can still write on the disk that holds the store."""
        place = self.root
        while not place.exists():
            place = place.parent
        stat = os.statvfs(place)
        return stat.f_bavail * stat.f_frsize

    def publish(self, path: Path, *, key: str = "") -> str:
        """Move a durable temporary file to its key (a fresh one unless given), durably. Blocks; returns the key."""
        key = key or secrets.token_hex(16)
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        for folder in (target.parent, target.parent.parent, self.root):
            _sync_folder(folder)
        return key

    def _take(self, path: Path) -> Blob:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            os.fsync(file.fileno())
        return Blob(self.publish(path), size, digest)

    def _sweep_temporary(self) -> int:
        leftovers = [path for path in self._temporary.glob("*") if not path.name.startswith(self._run)]
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)

    def _sweep_orphans(self, keys: list[str], before: float) -> int:
        removed = 0
        for path in map(self.path, keys):
            try:
                if path.stat().st_mtime < before:
                    path.unlink()
                    removed += 1
            except FileNotFoundError:
                continue  # deleted meanwhile by its owner
        return removed

    async def _in_thread(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await _outcome(self._pool.submit(call, *args, **kwargs))


class DirectoryWriter:
    """A file coming into `DirectoryBlobs`: gathers small writes, and hands pieces to a thread in their order."""

    def __init__(self, store: DirectoryBlobs, path: Path, handle: int, pool: ThreadPoolExecutor) -> None:
        self._store = store
        self._path = path
        self._handle = handle
        self._pool = pool
        self._size = 0
        self._gathered = bytearray()
        self._gathered_at = 0
        self._lock = threading.Lock()
        self._pieces: deque[tuple[int, bytes]] = deque()
        self._waiting = 0
        self._worker: Future[None] | None = None
        self._running = False
        self._dropped = False
        self._hash = hashlib.sha256()
        self._hashed: int | None = 0
        """Bytes hashed from the start; None once something was not written in order."""
        self._error: Exception | None = None
        self._done: Blob | None = None
        self._closed = False

    @property
    def size(self) -> int:
        """Bytes so far: the end of what was written furthest."""
        return self._size

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add at the end. Raises `StorageFull`; nothing is left behind then."""
        self.pwrite(self._size, data)

    def pwrite(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Put at an offset, for transfers out of order; gaps read as zeros. Raises as `write`."""
        if self._closed:
            raise self._error or ValueError("the file is committed or abandoned already")
        if offset != self._gathered_at + len(self._gathered):
            self._hand_over()
            self._gathered_at = offset
        self._gathered += data
        self._size = max(self._size, offset + len(data))
        if len(self._gathered) >= _PIECE:
            self._hand_over()
        self._raise_error()

    async def drain(self) -> None:
        """Wait while more than half of the backlog is waiting for its thread. Raises as `write`."""
        worker = self._worker
        if worker is not None and self._waiting > _BACKLOG // 2:
            await _outcome(worker)
        self._raise_error()

    async def commit(self, key: str = "") -> Blob:
        """Make it durable (fsync) and visible (rename), under a fresh key unless one is given. Raises `StorageFull`."""
        if self._done is not None:
            return self._done
        if self._closed:
            raise self._error or ValueError("the file is abandoned already")
        self._hand_over()
        if self._worker is not None:
            await _outcome(self._worker)
        self._raise_error()
        self._closed = True
        try:
            self._done = await _outcome(self._pool.submit(self._finish, key))
        except OSError as error:
            await _outcome(self._pool.submit(self._path.unlink, missing_ok=True))
            self._error = disk_full(error)
            raise self._error from error
        return self._done

    async def abandon(self) -> None:
        """Drop it; nothing happens after a commit."""
        if self._closed:
            return
        self._gathered.clear()
        self._close()
        if self._worker is not None:
            await _outcome(self._worker)

    def _hand_over(self) -> None:
        """Give what is gathered to the thread; blocks only if the thread is far behind."""
        if not self._gathered:
            return
        piece, at = bytes(self._gathered), self._gathered_at
        self._gathered_at += len(piece)
        self._gathered.clear()
        with self._lock:
            self._pieces.append((at, piece))
            self._waiting += len(piece)
            if not self._running:
                self._running = True
                self._worker = self._pool.submit(self._work)
            behind = self._worker if self._waiting > _BACKLOG else None
        if behind is not None:
            behind.result()

    def _work(self) -> None:
        """In the thread: write and hash the pieces there are."""
        while True:
            with self._lock:
                if not self._pieces or self._dropped or self._error is not None:
                    self._pieces.clear()
                    self._waiting = 0
                    self._running = False
                    if self._dropped:
                        self._remove()
                    return
                at, piece = self._pieces.popleft()
            try:
                _write_all(self._handle, piece, at)
            except OSError as error:
                self._error = disk_full(error)
                continue
            if self._hashed == at:
                self._hash.update(piece)
                self._hashed += len(piece)
            else:
                self._hashed = None
            with self._lock:
                self._waiting -= len(piece)

    def _finish(self, key: str) -> Blob:
        try:
            os.fsync(self._handle)
        finally:
            os.close(self._handle)
        if self._hashed is None:
            with self._path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        else:
            digest = self._hash.hexdigest()
        return Blob(self._store.publish(self._path, key=key), self._size, digest)

    def _raise_error(self) -> None:
        if self._error is not None:
            if not self._closed:
                self._close()
            raise self._error

    def _close(self) -> None:
        """Drop the file: at once, or by the thread when it lets go of it."""
        self._closed = True
        with self._lock:
            self._dropped = True
            if not self._running:
                self._remove()

    def _remove(self) -> None:
        os.close(self._handle)
        self._path.unlink(missing_ok=True)


async def _outcome(future: Future[R]) -> R:
    """Wait for a thread. A cancelled waiter does not cancel the work: half of it would be done already."""
    return await asyncio.shield(asyncio.wrap_future(future))


def _create(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)


def _write_all(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view = view[written:]
        offset += written


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _folders(root: Path) -> list[Path]:
    return [folder for folder in root.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]") if folder.is_dir()]


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in os.scandir(folder)]
