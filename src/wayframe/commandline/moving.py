"""Moving an archive in: some files at a time, each once, through breaks of the connection and ends of this process.

What decides is the server's own list, by hash and name; a state file beside the archive spares reading again what was
read before, and remembers what was stored, so that a file somebody deleted on the server does not come back.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

from rich.progress import Progress, TaskID

from .archive import Archive, Described, Found
from .client import PASSING, Api, patiently, segment
from .errors import CommandError, Refused, Unreachable
from .options import shown
from .transfers import hash_of, held
from .upload import send, sendable

STORED, THERE, GONE, FAILED = "stored", "there", "gone", "failed"
"""What became of a file: it was stored now; it was there before; it was stored earlier and is there no more; it was not
stored."""


T = TypeVar("T")


class Stopped(CommandError):
    """Another file met something that ends everything, or the user does not want any more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    file: str
    status: str
    device_id: int = 0
    uuid: str = ""
    sha256: str = ""
    error: str = ""


@dataclass(slots=True)
class _Store:
    """What a device holds, as far as this run knows."""

    device_id: int = 0
    error: str = ""
    """Why nothing more goes there; empty: it does."""
    known: dict[tuple[str, str], str] = field(default_factory=dict)
    """Uuids by hash and name; empty for files that are under way."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Move:
    """One run."""

    def __init__(
        self,
        api: Api,
        archive: Archive,
        *,
        parallel: int,
        patience_s: float,
        again: bool,
        progress: Progress,
        report: Callable[[Outcome], None],
    ) -> None:
        self._api = api
        self._archive = archive
        self._parallel = parallel
        self._patience_s = patience_s
        self._again = again
        self._progress = progress
        self._report = report
        self._stop = threading.Event()
        self._stores: dict[str, _Store] = {}
        self._by_id: dict[int, _Store] = {}
        self._lock = threading.Lock()

    def run(self, state_file: Path) -> Counter[str]:
        """Move everything; returns how many files came to what.

        Raises CommandError for what concerns all files: a token that is refused, a server that does not come back.
        """
        total = count = 0
        for found in self._archive.files():
            total, count = total + found.size, count + 1
        whole = self._progress.add_task(f"{count} files", total=total)
        tally: Counter[str] = Counter()
        with held(state_file, "ab+", "the state file") as file:
            self._state = State(file, self._api.url)
            pool = ThreadPoolExecutor(self._parallel)
            try:
                under_way: set[Future[Outcome]] = set()
                for found in self._archive.files():
                    if len(under_way) >= 2 * self._parallel:
                        under_way = self._settle(under_way, tally)
                    under_way.add(pool.submit(self._one, found, whole))
                while under_way:
                    under_way = self._settle(under_way, tally)
            finally:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
        return tally

    def _settle(self, under_way: set[Future[Outcome]], tally: Counter[str]) -> set[Future[Outcome]]:
        done, waiting = wait(under_way, return_when=FIRST_COMPLETED)
        for future in done:
            outcome = future.result()
            tally[outcome.status] += 1
            self._report(outcome)
        return waiting

    # --- one file, in a thread of its own ---------------------------------------------------------------------------

    def _one(self, found: Found, whole: TaskID) -> Outcome:
        task = self._progress.add_task(shown(found.relative), total=found.size)
        try:
            described = self._archive.describe(found)
            store = self._store(described.device)
            return self._stored(described, store, task)
        except Stopped:
            raise
        except Unreachable:
            raise  # the server did not come back: the next file would wait as long
        except CommandError as error:
            if isinstance(error, Refused) and (error.status == 401 or error.status in PASSING):
                raise
            return Outcome(found.relative, FAILED, error=str(error))
        finally:
            self._progress.remove_task(task)
            self._progress.advance(whole, found.size)

    def _stored(self, described: Described, store: _Store, task: TaskID) -> Outcome:
        found = described.found
        entry = self._state.get(found, store.device_id)
        sha256 = entry.sha256 if entry else self._hashed(described, task)
        name = described.about.name or described.path.name
        key = (sha256, _compared(sendable(name)))
        with store.lock:
            uuid = store.known.get(key)
            gone = uuid is None and entry is not None and bool(entry.uuid) and not self._again
            if uuid is None and not gone:
                if store.error:
                    return Outcome(found.relative, FAILED, store.device_id, sha256=sha256, error=store.error)
                store.known[key] = ""  # no other file of the same bytes and name goes up beside this one
        if gone and entry is not None:
            return Outcome(found.relative, GONE, store.device_id, entry.uuid, sha256)
        status = THERE
        if uuid is None:
            uuid, status = self._sent(described, store, key, task), STORED
        if uuid and described.flags and not (entry and entry.uuid):
            body = {"uuid": uuid, **described.flags}
            self._patiently(lambda: self._api.call("PUT", f"/gw/devices/{store.device_id}/media", body=body))
        if uuid and not (entry and entry.uuid == uuid):
            self._state.add(found, store.device_id, sha256, uuid)
        return Outcome(found.relative, status, store.device_id, uuid, sha256)

    def _hashed(self, described: Described, task: TaskID) -> str:
        try:
            sha256 = hash_of(described.path, self._moved(task))
        except OSError as error:
            raise CommandError(f"it cannot be read: {error.strerror}") from None
        self._progress.reset(task)
        return sha256

    def _sent(self, described: Described, store: _Store, key: tuple[str, str], task: TaskID) -> str:
        """Upload; after a break ask first whether the file arrived all the same. Returns its uuid."""
        tries = 0

        def attempt() -> str:
            nonlocal tries
            tries += 1
            if tries > 1:
                self._progress.reset(task)
                created = described.about.created
                listed = self._listed(store.device_id, **{"from": created, "to": created})
                if uuid := listed.get(key):
                    return uuid
            made = send(self._api, str(store.device_id), described.path, described.about, self._moved(task))
            return str(made[0]["uuid"]) if made else ""

        try:
            uuid = self._patiently(attempt)
        except CommandError as error:
            with store.lock:
                del store.known[key]
                if isinstance(error, Refused) and error.status in (403, 507):
                    store.error = str(error)  # the next files would be refused one by one
            raise
        with store.lock:
            store.known[key] = uuid
        return uuid

    def _moved(self, task: TaskID) -> Callable[[int], None]:
        def moved(count: int) -> None:
            if self._stop.is_set():
                raise Stopped("stopped")
            self._progress.advance(task, count)

        return moved

    def _patiently(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            if self._stop.is_set():
                raise Stopped("stopped")
            return work()

        return patiently(guarded, self._patience_s, pause=self._stop.wait)

    # --- devices ----------------------------------------------------------------------------------------------------

    def _store(self, selector: str) -> _Store:
        """The store of the one device a selector names, its list read once. Raises CommandError."""
        with self._lock:
            store = self._stores.setdefault(selector, _Store())
        with store.lock:
            if not store.device_id and not store.error:
                self._open(store, selector)
        if not store.device_id:
            raise CommandError(store.error)
        with self._lock:
            return self._by_id.setdefault(store.device_id, store)  # two selectors may name the same device

    def _open(self, store: _Store, selector: str) -> None:
        path = f"/gw/devices/{segment(selector)}"
        try:
            found = self._patiently(lambda: self._api.call("GET", path, query={"fields": "id"}))
        except Refused as error:
            if error.status not in (400, 403, 404):
                raise
            store.error = f"device {selector}: {error}"
            return
        if len(found) != 1:
            store.error = f"the device {selector!r} must be one, it names {len(found)}"
            return
        device_id = int(found[0]["id"])
        store.known = self._patiently(lambda: self._listed(device_id))
        store.device_id = device_id

    def _listed(self, device_id: int, **span: float | None) -> dict[tuple[str, str], str]:
        files = self._api.ask(f"/gw/devices/{device_id}/media", fields="uuid,name,source_sha256", **span)
        return {(file.get("source_sha256", ""), _compared(file["name"])): file["uuid"] for file in files}


def _compared(name: str) -> str:
    """What tells a name from another of the same bytes: a conversion changes its extension, cleaning its signs."""
    return "".join(sign for sign in Path(name).stem.casefold() if sign.isalnum())


# --- the state file ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    size: int
    mtime_ns: int
    device_id: int
    sha256: str
    uuid: str


class State:
    """Lines of JSON, one for every file that is stored; a line that broke off counts as not there."""

    def __init__(self, file: IO[bytes], server: str) -> None:
        self._file = file
        self._server = server
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        file.seek(0)
        line = b"\n"
        for line in file:
            self._read(line)
        if not line.endswith(b"\n"):
            file.write(b"\n")
            file.flush()

    def _read(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            if said["server"] == self._server:
                self._entries[said["file"]] = _Entry(
                    said["size"], said["mtime_ns"], said["device_id"], said["sha256"], said["uuid"]
                )
        except (ValueError, TypeError, KeyError):
            pass  # half a line of a run that was killed

    def get(self, found: Found, device_id: int) -> _Entry | None:
        """What is remembered of a file that has not changed since, for the same device."""
        entry = self._entries.get(found.relative)
        if entry and (entry.size, entry.mtime_ns, entry.device_id) == (found.size, found.mtime_ns, device_id):
            return entry
        return None

    def add(self, found: Found, device_id: int, sha256: str, uuid: str) -> None:
        """Remember a file that is stored. Threads may call this."""
        said = {
            "server": self._server, "file": found.relative, "size": found.size, "mtime_ns": found.mtime_ns,
            "device_id": device_id, "sha256": sha256, "uuid": uuid,
        }  # fmt: skip
        with self._lock:
            self._file.write(json.dumps(said).encode() + b"\n")
            self._file.flush()
