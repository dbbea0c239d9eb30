"""Pulling: the bytes of an event that lies on its device, as a job that outlives callers and restarts (C11).

A device that speaks a protocol is asked by its own command, in its own durable queue. From a host, files are fetched
over SFTP; the row of the event is the job. Either way there is one transfer an event, and one a device.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from wayframe.bus import Bus
from wayframe.model import BadRequest, Blocked, Clock, Conflict, Event, Json, NotFound, WayframeError
from wayframe.model.gallery import (
    OPEN,
    EventSource,
    EventState,
    GalleryEvent,
)
from wayframe.model.hooks import HookEvent
from wayframe.model.query import HistoryQuery
from wayframe.storage import BlobStore, GalleryTable

from .background import Background, end_all, start_when_due
from .commands import Commands
from .directory import Directory
from .entries import Caller, Entry
from .fetching import AGAIN_S, Fetcher, FetchFailed, FetchOrder, NoSource, RemoteFile
from .gallery import Described, Gallery
from .hook_calls import HookCalls
from .host_cleaning import HostCleaning
from .media import MediaStore
from .pull_hosts import HostAccess, PullHosts

log = structlog.get_logger(__name__)

_TTL_S = 86_400.0
_FIRST_RETRY_S = 5.0
_LONGEST_RETRY_S = 900.0
_MAX_JOBS = 1000
"""Files that may wait to be pulled from one device."""
_TICK_S = 1.0
_HEAD = 4096
_ENDS = "flespi/log/gw/devices/+/commands-queue/+/processed,expired,canceled"


@dataclass(slots=True)
class _Job:
    event: GalleryEvent
    not_before: float = 0.0
    received: int = 0
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class Pulled:
    """How far a pull is."""

    event: GalleryEvent
    done: bool
    received: int
    """Bytes so far."""


@dataclass(slots=True)
class _Watch:
    """Callers who wait for events to end."""

    ends: dict[str, list[asyncio.Future[None]]] = field(default_factory=dict)

    def tell(self, event_key: str) -> None:
        for waiter in self.ends.pop(event_key, []):
            if not waiter.done():
                waiter.set_result(None)

    @contextlib.contextmanager
    def waiting(self, event_key: str) -> Iterator[asyncio.Future[None]]:
        """Done when the event ends; from now on nothing is missed."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self.ends.setdefault(event_key, [])
        waiters.append(waiter)
        try:
            yield waiter
        finally:
            waiters.remove(waiter)
            if not waiters and self.ends.get(event_key) is waiters:
                del self.ends[event_key]


class Pulls:
    """The pulls of all devices."""

    def __init__(
        self,
        *,
        table: GalleryTable,
        gallery: Gallery,
        media: MediaStore,
        blobs: BlobStore,
        commands: Commands,
        hosts: PullHosts,
        directory: Directory,
        calls: HookCalls,
        bus: Bus,
        clock: Clock,
        fetcher: Fetcher | None,
        cleaning: HostCleaning,
        parts: Path,
        parallel: int,
    ) -> None:
        """`fetcher`: None where the extra [sftp] is not installed; `parts`: folder of unfinished files, on the disk of
        the media store; `parallel`: transfers at once."""
        self._table = table
        self._gallery = gallery
        self._media = media
        self._blobs = blobs
        self._commands = commands
        self._hosts = hosts
        self._directory = directory
        self._calls = calls
        self._clock = clock
        self._fetcher = fetcher
        self._cleaning = cleaning
        self._parts = parts
        self._parallel = parallel
        self._jobs: dict[int, dict[str, _Job]] = {}
        """Files to fetch over SFTP, by device and event."""
        self._asked: dict[int, GalleryEvent] = {}
        """Commands under way, and the events they are for."""
        self._pulled: dict[int, int] = {}
        """By device, events pulled since nothing of it waited."""
        self._watch = _Watch()
        self._asking = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._background = Background("pulls")
        bus.listen(_ENDS, self._command_ended)

    # --- life ---------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Take up what a stop or crash left. Called when commands are loaded."""
        await asyncio.to_thread(self._parts.mkdir, parents=True, exist_ok=True)
        known: set[str] = set()
        for event in await self._table.open_pulls():
            entry = self._directory.device(event.device_id)
            if entry is None:
                continue
            if event.command_id or _command_of(self._directory, entry, event) is not None:
                await self._take_up(entry, event)
                continue
            queued = await self._table.change(event.id, state=EventState.QUEUED)
            self._jobs.setdefault(entry.id, {})[event.id] = _Job(queued, queued.not_before)
            known.add(event.id)
        await asyncio.to_thread(self._sweep_parts, known)

    async def _take_up(self, entry: Entry, event: GalleryEvent) -> None:
        """An event whose device was asked by a command, or was about to be."""
        waiting = self._commands.queue([entry])
        mine = [c for c in waiting if c["id"] == event.command_id or c["meta"].get("gallery_event") == event.id]
        if mine:
            self._asked[mine[0]["id"]] = event
            await self._table.change(event.id, command_id=mine[0]["id"])
        elif event.command_id and await self._was_queued(entry, event.command_id):
            # Its file would have filled the event.
            await self._failed(event, "the command ended while the server was down, without a file")
        else:
            await self._table.change(event.id, state=EventState.NEW, command_id=0)

    async def _was_queued(self, entry: Entry, command_id: int) -> bool:
        """Whether a command came as far as its queue, before it ended."""
        try:
            return bool(await self._commands.results([entry], HistoryQuery(), str(command_id)))
        except NotFound:
            return False

    def _sweep_parts(self, known: set[str]) -> None:
        for path in self._parts.iterdir():
            if path.stem not in known:
                path.unlink(missing_ok=True)

    async def run(self) -> None:
        """Fetch what is due, until cancelled."""
        try:
            await start_when_due(self._start_due, self._wanted, _TICK_S)
        finally:
            await end_all([job.task for job in self._running() if job.task is not None])

    def _running(self) -> list[_Job]:
        return [job for jobs in self._jobs.values() for job in jobs.values() if job.task is not None]

    def _start_due(self) -> None:
        now, running = self._clock.now(), len(self._running())
        for jobs in self._jobs.values():
            if running >= self._parallel:
                return
            if any(job.task is not None for job in jobs.values()):
                continue
            due = next((job for job in jobs.values() if job.not_before <= now), None)
            if due is not None:
                due.task = asyncio.get_running_loop().create_task(self._work(due))
                running += 1

    @property
    def waiting(self) -> int:
        """Pulls that are not at their end."""
        return len(self._asked) + sum(len(jobs) for jobs in self._jobs.values())

    # --- asked by callers ---------------------------------------------------------------------------------------

    async def pull(self, caller: Caller, entry: Entry, event: GalleryEvent, wait_s: float) -> Pulled:
        """Want the bytes of an event; joins a pull that is under way. Waits up to `wait_s` for its end.

        Raises:
            NoSource: nothing says where the bytes are.
            BadRequest: too many files of this device wait already.
        """
        with self._watch.waiting(event.id) as ended:
            if not event.file_uuid:
                async with self._asking:
                    event = await self._current(event)
                    if not event.file_uuid and event.state not in OPEN:
                        event = await self._ask(caller, entry, event)
            if not event.file_uuid and wait_s:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await ended
                event = await self._current(event)
        job = self._jobs.get(entry.id, {}).get(event.id)
        return Pulled(event, bool(event.file_uuid), job.received if job is not None else 0)

    async def _current(self, event: GalleryEvent) -> GalleryEvent:
        found = await self._table.get(event.id)
        if found is None or not found.visible:
            raise NotFound(f"event {event.id} was deleted")
        return found

    async def _ask(self, caller: Caller, entry: Entry, event: GalleryEvent) -> GalleryEvent:
        wish = _command_of(self._directory, entry, event)
        fresh: dict[str, Any] = {"attempts": 0, "error": "", "not_before": 0.0, "expires": self._clock.now() + _TTL_S}
        if wish is not None:
            self._calls.tell(HookEvent.BEFORE_EVENT_PULL, entry.id, event)
            # The event knows its command before the device does: a file may come as soon as that hears of it.
            number = self._commands.next_id()
            queued = await self._table.change(event.id, state=EventState.QUEUED, command_id=number, **fresh)
            self._asked[number] = event
            try:
                body = {**wish, "ttl": int(_TTL_S), "meta": {"gallery_event": event.id}}
                await self._commands.enqueue_as(number, caller, entry, body)
            except WayframeError:
                self._asked.pop(number, None)
                await self._table.change(event.id, state=event.state, command_id=0, expires=0.0)
                raise
            return queued
        access = await self._hosts.access(entry.id)
        if access is None or not access.within(event.source_key):
            raise NoSource(
                "this event cannot be pulled: its device has neither a command for it (metadata.channel, from and "
                "duration, or media_id) nor a host whose folders hold its path"
            )
        if self._fetcher is None:
            raise NoSource("pulling over SFTP needs asyncssh: install wayframe[sftp]")
        jobs = self._jobs.setdefault(entry.id, {})
        if len(jobs) >= _MAX_JOBS:
            raise BadRequest(f"{_MAX_JOBS} files of device {entry.id} wait to be pulled; wait for those")
        queued = await self._table.change(event.id, state=EventState.QUEUED, command_id=0, **fresh)
        jobs[event.id] = _Job(queued)
        self._calls.tell(HookEvent.BEFORE_EVENT_PULL, entry.id, queued)
        self._wanted.set()
        return queued

    async def give_up(self, caller: Caller, entry: Entry, event: GalleryEvent) -> None:
        """Stop a pull: its event is about to be deleted."""
        job = self._jobs.get(entry.id, {}).pop(event.id, None)
        if job is not None and job.task is not None:
            job.task.cancel()
            await asyncio.gather(job.task, return_exceptions=True)
        for command_id in [number for number, wanted in self._asked.items() if wanted.id == event.id]:
            del self._asked[command_id]
            with contextlib.suppress(NotFound):
                await self._commands.cancel(caller, [entry], str(command_id))
        self._tell_end(entry.id)
        await asyncio.to_thread(self._part(event).unlink, missing_ok=True)

    # --- by command ---------------------------------------------------------------------------------------------

    def _command_ended(self, news: Event) -> None:
        payload: Json = news.payload
        wanted = self._asked.pop(payload.get("id", 0), None) if isinstance(payload, dict) else None
        if wanted is not None:
            reason = payload.get("reason") or "the device sent no file"
            self._background.spawn(self._judge(wanted.id, str(reason)))

    async def _judge(self, event_key: str, reason: str) -> None:
        """A command is at its end: the file has filled its event by now, or there is none."""
        event = await self._table.get(event_key)
        if event is not None and event.state in OPEN:
            await self._failed(event, reason)
        elif event is not None and event.state is EventState.PULLED:
            self._calls.tell(HookEvent.AFTER_FILE_DOWNLOADED, event.device_id, event)
            self._tell_pulled(event)
        if event is not None:
            self._tell_end(event.device_id)
        self._watch.tell(event_key)

    # --- what hooks are told ------------------------------------------------------------------------------------

    def _tell_pulled(self, event: GalleryEvent) -> None:
        self._pulled[event.device_id] = self._pulled.get(event.device_id, 0) + 1
        self._calls.tell(HookEvent.AFTER_EVENT_PULLED, event.device_id, event)

    def _tell_end(self, device_id: int) -> None:
        """A pull is at its end; where no other of its device waits, that is told."""
        if self._jobs.get(device_id) or device_id not in self._pulled:
            return
        if not any(event.device_id == device_id for event in self._asked.values()):
            total = self._pulled.pop(device_id)
            self._calls.tell(HookEvent.AFTER_ALL_EVENTS_PULLED, device_id, total=total)

    # --- over SFTP ----------------------------------------------------------------------------------------------

    def _part(self, event: GalleryEvent) -> Path:
        return self._parts / f"{event.id}.part"

    async def _work(self, job: _Job) -> None:
        """One attempt."""
        event = job.event
        done = True
        try:
            event = job.event = await self._table.change(
                event.id, OPEN, state=EventState.PULLING, attempts=event.attempts + 1
            )
            done = await self._attempt(job)
        except Conflict:
            log.info("pull_given_up", pulled=event.id)  # deleted or changed meanwhile
        except Exception:  # one file must not stop the pulls of the others
            log.exception("pull_failed", pulled=event.id)
            await self._failed(event, "internal error; the server's log knows more")
        finally:
            job.task = None
            if done:
                self._jobs.get(event.device_id, {}).pop(event.id, None)
                if not self._jobs.get(event.device_id):
                    self._jobs.pop(event.device_id, None)
            self._wanted.set()
        if done:
            self._tell_end(event.device_id)
            self._watch.tell(event.id)

    async def _attempt(self, job: _Job) -> bool:
        """Fetch and store. Returns whether the job is at its end, well or not."""
        event, entry = job.event, self._directory.device(job.event.device_id)
        access = await self._hosts.access(event.device_id)
        if entry is None or access is None or self._fetcher is None:
            await self._failed(event, "the device or its host was deleted")
            return True
        try:
            pulled = await self._fetch(job, entry, access, self._fetcher)
        except FetchFailed as error:
            return await self._retried(job, error.reason, error.retry)
        except WayframeError as error:
            # A full store may have room later, traffic that is used up comes back, an account is unblocked.
            later = error.status in (429, 503, 507) or isinstance(error, Blocked)
            return await self._retried(job, error.reason, later)
        except OSError as error:
            return await self._retried(job, f"the file could not be written here: {error.strerror}", True)
        self._tell_pulled(pulled)
        await self._cleaning.pulled(access, event.source_key, job.event.mark)
        return True

    async def _fetch(self, job: _Job, entry: Entry, access: HostAccess, fetcher: Fetcher) -> GalleryEvent:
        """Fetch a file, and store it. Returns its event."""
        event, part = job.event, self._part(job.event)
        if not access.within(event.source_key):
            raise FetchFailed("its path lies outside the folders of the host", retry=False)
        reserved = 0

        async def accept(remote: RemoteFile, mark: str) -> None:
            nonlocal reserved
            self._media.check_room(entry, remote.size)
            self._media.quota.reserve(entry.id, remote.size)
            reserved = remote.size
            job.event = await self._table.change(event.id, OPEN, mark=mark, size=remote.size)

        def progress(received: int) -> None:
            job.received = received

        async def learned(host_key: str) -> None:
            await self._hosts.learned(entry.id, host_key)

        try:
            await fetcher.fetch(FetchOrder(access, event.source_key, part, event.mark, accept, progress, learned))
        finally:
            self._media.quota.reserve(entry.id, -reserved)
        self._calls.tell(HookEvent.AFTER_FILE_DOWNLOADED, entry.id, job.event)
        head = await asyncio.to_thread(_head, part)
        # A second name for the same bytes: the first one stays until the row is written.
        adopted = self._blobs.temporary_path(".pulled")
        await asyncio.to_thread(os.link, part, adopted)
        blob = await self._blobs.adopt(adopted)
        told = Described(name=event.name, media_type=event.media_type, metadata=event.metadata)
        stored = await self._gallery.take(entry, blob, head, told, event.source, event=job.event)
        await asyncio.to_thread(part.unlink, missing_ok=True)
        return stored.event

    async def _retried(self, job: _Job, reason: str, again: bool) -> bool:
        event = job.event
        now = self._clock.now()
        pause = min(_LONGEST_RETRY_S, _FIRST_RETRY_S * 2 ** min(event.attempts - 1, 20)) * random.uniform(0.8, 1.2)
        if again and now + pause < event.expires:
            job.not_before = now + pause
            job.event = await self._table.change(
                event.id, OPEN, state=EventState.QUEUED, error=reason, not_before=job.not_before
            )
            return False
        await self._failed(event, reason)
        return True

    async def _failed(self, event: GalleryEvent, reason: str) -> None:
        with contextlib.suppress(Conflict):
            await self._table.change(
                event.id, OPEN, state=EventState.FAILED, error=reason, command_id=0, expires=0.0,
                not_before=self._clock.now() + AGAIN_S,
            )  # fmt: skip
        await asyncio.to_thread(self._part(event).unlink, missing_ok=True)


def _command_of(directory: Directory, entry: Entry, event: GalleryEvent) -> dict[str, Json] | None:
    """The command by which a device hands out an event's bytes, from the event's metadata; None if there is none."""
    about = event.metadata
    if event.source is EventSource.HARVEST and event.source_key.startswith("/"):
        return None  # a file of its host, whatever else is told of it
    wish: dict[str, Json] | None = None
    if isinstance(about.get("media_id"), int):
        wish = {"name": "request_media", "properties": {"media_id": about["media_id"]}}
    elif "channel" in about and "duration" in about:
        start = about.get("from", event.created)
        wish = {
            "name": "request_video",
            "properties": {"channel": about["channel"], "from": start, "duration": about["duration"]},
        }
    if wish is None:
        return None
    try:
        directory.catalogue.check_command(entry.device.device_type_id, wish["name"], wish["properties"])
    except BadRequest:
        return None
    return wish


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)
