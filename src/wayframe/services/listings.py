"""Looking at what lies on a device: files of its host, or recordings that it lists by its protocol, noted as events.

What was noted once is not noted again, also where its event was deleted since; one entry that cannot be used costs no
other.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from wayframe.model import BadRequest, Clock, Conflict, Json, WayframeError
from wayframe.model.gallery import EventSource, EventState, GalleryEvent, event_id, type_of_name
from wayframe.model.hooks import HookEvent
from wayframe.storage import BlobStore, GalleryTable

from . import gallery_shapes as shapes
from .commands import Commands
from .connections import Connections
from .directory import Directory
from .entries import Caller, Entry
from .fetching import Fetcher, FetchFailed, FetchOrder, NoSource, RemoteFile
from .gallery import MAX_THUMBNAIL, Gallery
from .hook_calls import HookCalls
from .media_files import clean_name
from .pull_hosts import HostAccess, PullHosts
from .time_list import Clip, clips, window

log = structlog.get_logger(__name__)

_LIST_COMMAND = "video_timeline"
_FIRST_LOOK_S = 7 * 86_400.0
"""How far back recordings are asked for the first time, and after a long absence."""
_DAY_S = 86_400.0
_DAYS_A_LOOK = 8
_INSERT_SLICE = 500
_MAX_THUMBNAILS = 100
"""Thumbnails that one look fetches."""
_PICTURED = (EventState.NEW, EventState.QUEUED, EventState.PULLING, EventState.FAILED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for."""

    types: Collection[str] = ()
    """Media types; empty: all."""
    thumbnails: bool = False
    """Whether thumbnails that the device names are fetched."""
    seen_to: float = 0.0
    """Recordings up to here were listed before; 0: none were."""


@dataclass(slots=True)
class Look:
    """What was seen."""

    seen_to: float
    """As in `Wanted`, for the next look."""
    found: int = 0
    new: int = 0
    error: str = ""
    """Why it broke off; empty if it did not."""


class Listings:
    """Looks at devices."""

    def __init__(
        self,
        *,
        table: GalleryTable,
        gallery: Gallery,
        blobs: BlobStore,
        hosts: PullHosts,
        commands: Commands,
        connections: Connections,
        directory: Directory,
        calls: HookCalls,
        clock: Clock,
        fetcher: Fetcher | None,
    ) -> None:
        """`fetcher`: None where the extra [sftp] is not installed."""
        self._table = table
        self._gallery = gallery
        self._blobs = blobs
        self._hosts = hosts
        self._commands = commands
        self._connections = connections
        self._directory = directory
        self._calls = calls
        self._clock = clock
        self._fetcher = fetcher
        self._noting = asyncio.Lock()
        """Held from asking what is known to having noted what is not."""

    async def look(self, caller: Caller, entry: Entry, wanted: Wanted) -> Look:
        """Look at a device, and note what is new. What goes wrong on the way is in `error`.

        Raises `NoSource` for a device that has neither a host nor a list.
        """
        seen = Look(wanted.seen_to)
        access = await self._hosts.access(entry.id)
        if access is not None:
            if self._fetcher is None:
                raise NoSource("looking at a host needs asyncssh: install wayframe[sftp]")
            await self._look_at_host(entry, access, self._fetcher, wanted, seen)
        elif self._lists(entry):
            await self._look_at_recordings(caller, entry, wanted, seen)
        else:
            raise NoSource("this device has no host to look at (PUT source), and no command that lists its recordings")
        return seen

    def _lists(self, entry: Entry) -> bool:
        try:
            self._directory.catalogue.command(entry.device.device_type_id, _LIST_COMMAND)
        except BadRequest:
            return False
        return True

    # --- hosts --------------------------------------------------------------------------------------------------

    async def _look_at_host(
        self, entry: Entry, access: HostAccess, fetcher: Fetcher, wanted: Wanted, seen: Look
    ) -> None:
        async def learned(host_key: str) -> None:
            await self._hosts.learned(entry.id, host_key)

        try:
            files = await fetcher.listing(access, learned)
        except FetchFailed as error:
            seen.error = error.reason
        else:
            seen.found = len(files)
            now = self._clock.now()
            fresh = [(file, _of_file(entry, file, now)) for file in files if _wants(wanted, type_of_name(file.path))]
            made = await self._note(entry, [event for _, event in fresh])
            seen.new = len(made)
            if wanted.thumbnails:
                pictures = [(event, file) for file, event in fresh if file.thumbnail and event.id in made]
                await self._fetch_thumbnails(entry, access, fetcher, pictures[:_MAX_THUMBNAILS])
        await self._hosts.looked(entry.id, self._clock.now(), seen.error)

    async def _fetch_thumbnails(
        self, entry: Entry, access: HostAccess, fetcher: Fetcher, pictures: Iterable[tuple[GalleryEvent, RemoteFile]]
    ) -> None:
        for event, file in pictures:
            target = self._blobs.temporary_path(".thumbnail")
            try:
                await self._fetch_thumbnail(entry, access, fetcher, event, file.thumbnail, target)
            except (FetchFailed, WayframeError, OSError) as error:
                log.info("no_thumbnail", event_id=event.id, reason=str(error))
            finally:
                await asyncio.to_thread(target.unlink, missing_ok=True)

    async def _fetch_thumbnail(
        self, entry: Entry, access: HostAccess, fetcher: Fetcher, event: GalleryEvent, path: str, target: Path
    ) -> None:
        """Give an event that has no bytes yet its thumbnail. Raises `FetchFailed`, `BadRequest`, `Unavailable`."""
        if not access.within(path):
            raise FetchFailed("its path lies outside the folders of the host", retry=False)

        async def accept(remote: RemoteFile, mark: str) -> None:
            if remote.size > MAX_THUMBNAIL:
                raise FetchFailed(f"a thumbnail of {remote.size} bytes is not fetched", retry=False)

        async def known(host_key: str) -> None:
            """It was learned by the look."""

        await fetcher.fetch(FetchOrder(access, path, target, "", accept, lambda received: None, known))
        picture = await self._gallery.picture(target)
        async with self._gallery.storing(entry.id):
            try:
                await self._table.change(event.id, _PICTURED, thumbnail=picture)
            except Conflict:  # deleted, or pulled, meanwhile
                await self._blobs.delete(picture)

    # --- recordings ---------------------------------------------------------------------------------------------

    async def _look_at_recordings(self, caller: Caller, entry: Entry, wanted: Wanted, seen: Look) -> None:
        """Ask for the list of recordings, a day at a time, from where the last list ended."""
        if not _wants(wanted, "video"):
            return
        now = self._clock.now()
        seen.seen_to = max(seen.seen_to, now - _FIRST_LOOK_S)
        for _ in range(_DAYS_A_LOOK):
            begin, end = window(seen.seen_to, now, _DAY_S)
            items = await self._ask(caller, entry, begin, end, seen)
            if seen.error:
                return
            listed = list(clips(items, seen.seen_to, end, now))
            seen.found += len(listed)
            seen.new += len(await self._note(entry, [_of_clip(entry, clip, now) for clip in listed]))
            seen.seen_to = float(end)
            if end >= now - 1:
                return

    async def _ask(self, caller: Caller, entry: Entry, begin: int, end: int, seen: Look) -> Sequence[dict[str, Json]]:
        if self._connections.link(entry.id) is None:
            seen.error = "the device is not connected"
            return ()
        body = {"name": _LIST_COMMAND, "properties": {"from": begin, "to": end}, "timeout": 60}
        done, errors = await self._commands.execute(caller, [entry], [body])
        if errors or not done[0]["executed"]:
            seen.error = errors[0].reason if errors else done[0].get("reason") or "the device did not list anything"
            return ()
        response: Sequence[dict[str, Json]] = done[0]["response"]
        return response

    # --- noting -------------------------------------------------------------------------------------------------

    async def _note(self, entry: Entry, events: Sequence[GalleryEvent]) -> set[str]:
        """Note events that are new; the ids of those."""
        made: set[str] = set()
        for start in range(0, len(events), _INSERT_SLICE):
            part = events[start : start + _INSERT_SLICE]
            async with self._noting:
                known = await self._table.harvested(entry.id, [event.source_key for event in part])
                fresh = list({event.source_key: event for event in part if event.source_key not in known}.values())
                await self._table.insert_many(fresh)
            made |= {event.id for event in fresh}
            for event in fresh:
                self._calls.tell(HookEvent.AFTER_EVENT_CREATED, entry.id, event)
        return made


def _wants(wanted: Wanted, kind: str) -> bool:
    return not wanted.types or kind in wanted.types


def _of_file(entry: Entry, file: RemoteFile, now: float) -> GalleryEvent:
    created = file.modified or now
    with contextlib.suppress(BadRequest):  # metadata is checked where it is read; this is for its time
        told = shapes.declared(file.metadata).created
        created = created if told is None else told
    return GalleryEvent(
        id=event_id(now, secrets.token_bytes(10)), device_id=entry.id, source=EventSource.HARVEST,
        source_key=file.path, name=clean_name(file.path, "file"), media_type=type_of_name(file.path), size=file.size,
        created=max(0.0, min(created, now)), added=now, state=EventState.NEW, metadata=dict(file.metadata),
    )  # fmt: skip


def _of_clip(entry: Entry, clip: Clip, now: float) -> GalleryEvent:
    return GalleryEvent(
        id=event_id(now, secrets.token_bytes(10)), device_id=entry.id, source=EventSource.HARVEST, source_key=clip.key,
        name=clip.name, media_type="video", size=clip.size, created=float(clip.begin), added=now, state=EventState.NEW,
        metadata=clip.metadata,
    )  # fmt: skip
