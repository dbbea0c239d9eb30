"""The gallery: the media store of a device as events, the way `gallery-api.md` has them.

It owns no bytes and no second truth: a stored event is a media file with a thin row beside it. Files come in by form,
by an upload link or by the drop folder, and take the road of every file.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import structlog
from msgspec import UNSET

from wayframe.media import MediaError, MediaUnavailable
from wayframe.model import (
    BadRequest,
    Clock,
    Conflict,
    Json,
    MediaFile,
    NotFound,
    Unavailable,
    WayframeError,
)
from wayframe.model.gallery import (
    EventQuery,
    EventSource,
    EventState,
    GalleryEvent,
    event_id,
    stem,
    type_of_file,
    type_of_name,
)
from wayframe.model.hooks import HookEvent
from wayframe.storage import Blob, BlobStore, BlobWriter, GalleryTable

from . import gallery_shapes as shapes
from .bodies import parse_body
from .directory import Directory
from .entries import DEVICES, Caller, Entry
from .gallery_shapes import EventChange, Registration, event_view, stats_view
from .hook_calls import HookCalls
from .links import Links
from .media import MediaStore
from .media_files import NewFile, Upload, clean_name, recognised
from .processing import Processing

log = structlog.get_logger(__name__)

MAX_THUMBNAIL = 16 << 20
"""Bytes of a thumbnail as it is sent."""
_DEVICE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_EVENT = re.compile(r"evt_[0-9a-z]{26}", re.ASCII)
_UUID = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
_VIEWERS = 200
"""Who looked at an event is remembered for so many; the oldest go."""
_NAMES = 10_000
_MAX_OFFSET = 2**31


@dataclass(frozen=True, slots=True)
class Described:
    """What is told of a file that comes in."""

    name: str
    media_type: str | None = None
    metadata: Mapping[str, Json] | None = None
    sha256: str = ""
    """What its bytes must hash to; empty: anything."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a file that came in."""

    event: GalleryEvent
    file: MediaFile
    duplicate: bool = False
    """The very same file was here under the same name."""


class Gallery:
    """Events of all devices."""

    def __init__(
        self,
        *,
        table: GalleryTable,
        media: MediaStore,
        blobs: BlobStore,
        processing: Processing,
        directory: Directory,
        links: Links,
        calls: HookCalls,
        clock: Clock,
    ) -> None:
        self._table = table
        self._media = media
        self._blobs = blobs
        self._processing = processing
        self._directory = directory
        self._links = links
        self._calls = calls
        media.event_gone = lambda event: calls.tell(HookEvent.AFTER_EVENT_DELETED, event.device_id, event)
        self._clock = clock
        self._storing: dict[int, asyncio.Lock] = {}
        self._named: OrderedDict[tuple[int, str], int] = OrderedDict()

    async def load(self) -> list[str]:
        """Make events agree with files. Returns sentences about what was repaired."""
        return await self._table.repair()

    # --- finding ------------------------------------------------------------------------------------------------

    async def device(self, caller: Caller, name: str, method: str, submodule: str = "media") -> Entry:
        """The device of a path: by id, ident or `metadata.gallery_id` (C5).

        Raises:
            NotFound: no such device, or not visible.
            Forbidden: the token has this right on no device at all.
            Conflict: the name is that of several devices.
        """
        self._directory.granted(caller, DEVICES, method, submodule)
        if not _DEVICE.fullmatch(name) or name in (".", ".."):
            raise NotFound(f"no device {name[:64]!r}")
        selectors = [f'configuration.ident="{name}"']
        if name.isdecimal() and len(name) < 16:
            selectors.insert(0, name)
        if (known := self._named.get((caller.cid, name))) is not None:
            entry = self._directory.device(known)
            if entry is not None and entry.device.metadata.get("gallery_id") == name:
                selectors.append(str(known))
        selectors.append(f'metadata.gallery_id="{name}"')
        for selector in selectors:
            try:
                found = await self._directory.select(caller, DEVICES, selector, method, submodule)
            except NotFound:
                continue
            if len(found) > 1:
                raise Conflict(f"{name!r} is the gallery_id or ident of several devices; use the device id")
            if found:
                if selector.startswith("metadata"):
                    self._named[caller.cid, name] = found[0].id
                    if len(self._named) > _NAMES:
                        self._named.popitem(last=False)
                return found[0]
        raise NotFound(f"no device {name!r}")

    async def event(self, entry: Entry, name: str) -> GalleryEvent:
        """A visible event of a device: by its id, its file's uuid, or its name or stem.

        Raises `NotFound`, and `Conflict` where a name is that of several.
        """
        found: GalleryEvent | None = None
        if _EVENT.fullmatch(name):
            found = await self._table.get(name)
        elif _UUID.fullmatch(name):
            found = await self._table.of_file(name.upper())
        if found is None and len(name) <= 255:
            named = await self._table.named(entry.id, name, stem(name))
            if len(named) > 1:
                raise Conflict(f"{name[:100]!r} is the name of several events; use the event id")
            found = named[0] if named else None
        if found is None or found.device_id != entry.id or not found.visible:
            raise NotFound(f"no event {name[:100]!r} of device {entry.id}")
        return found

    async def file(self, entry: Entry, name: str) -> MediaFile:
        """The file of an event. Raises as `event`, and `NotFound` where its bytes are not here."""
        event = await self.event(entry, name)
        file = await self._media.get(event.file_uuid)
        if file is None:
            raise NotFound(f"the bytes of event {event.id} are not here; pull it first")
        return file

    def thumbnail_path(self, event: GalleryEvent) -> Path:
        """Where the thumbnail of an event lies whose bytes are still to come. Raises `NotFound` without one."""
        if not event.thumbnail:
            raise NotFound(f"the event {event.id} has no thumbnail")
        return self._blobs.path(event.thumbnail)

    # --- reading ------------------------------------------------------------------------------------------------

    async def events(self, caller: Caller, entry: Entry, query: EventQuery) -> tuple[list[dict[str, Json]], int | None]:
        """Events of a device, and how many fit in all where that is known."""
        chosen = msgspec.structs.replace(query, offset=min(query.offset, _MAX_OFFSET))
        events, files, total = await self._table.page(entry.id, chosen)
        viewer = viewer_of(caller)
        return [event_view(event, files.get(event.file_uuid), self._links, viewer) for event in events], total

    async def view(self, caller: Caller, event: GalleryEvent) -> dict[str, Json]:
        """One event as the API shows it."""
        return event_view(event, await self._media.get(event.file_uuid), self._links, viewer_of(caller))

    async def stats(self, entry: Entry) -> dict[str, Json]:
        """Counts and sizes by type (A5), without looking at the events."""
        return stats_view(await self._table.counts(entry.id))

    # --- changing -----------------------------------------------------------------------------------------------

    async def change(self, caller: Caller, entry: Entry, event: GalleryEvent, body: Json) -> GalleryEvent:
        """Flag, mark as viewed by the caller, rename, annotate. Raises `BadRequest`, `NotFound`."""
        asked = parse_body(EventChange, body)
        changes: dict[str, Json] = {}
        if asked.flagged is not UNSET:
            changes["flagged"] = asked.flagged
        if asked.viewed is not UNSET:
            viewer = viewer_of(caller)
            others = [known for known in event.viewed_by if known != viewer]
            changes["viewed_by"] = [*others, viewer][-_VIEWERS:] if asked.viewed else others
        about: dict[str, Json] = {}
        if asked.name is not UNSET:
            about["name"] = clean_name(asked.name, "file")
        if asked.metadata is not UNSET:
            shapes.declared(shapes.checked_metadata(asked.metadata))
            merged = {**event.metadata, **asked.metadata}
            if event.file_uuid:  # the file has what is new; what was known before its bytes is not to come back
                about["params"] = asked.metadata
                merged = {name: merged[name] for name in event.metadata}
            kept = {name: value for name, value in merged.items() if value is not None}
            changes["metadata"] = shapes.checked_metadata(kept)
        if about and event.file_uuid:
            await self._media.update([entry], [event.file_uuid], about, caller.said())
        else:
            changes |= about
        if changes:
            return await self._table.change(event.id, **changes)
        return await self.event(entry, event.id)

    async def delete(self, caller: Caller, entry: Entry, event: GalleryEvent) -> None:
        """Remove an event, and its file with it: in both APIs. A pull of it must have been given up before."""
        if event.file_uuid:
            await self._media.delete([entry], by=caller.said(), uuids=[event.file_uuid])
        else:
            await self._table.remove(event.id)
            if event.thumbnail:
                await self._blobs.delete(event.thumbnail)
            self._calls.tell(HookEvent.AFTER_EVENT_DELETED, entry.id, event)

    async def register(self, entry: Entry, body: Json) -> GalleryEvent:
        """Note an event that lies on the device, to be pulled. The same path again is the same event."""
        asked = parse_body(Registration, body)
        kind = shapes.media_type(asked.media_type)
        about = shapes.declared(shapes.checked_metadata(asked.metadata))
        name, now = clean_name(asked.name, "file"), self._clock.now()
        size = asked.file_size if asked.size is UNSET else asked.size
        async with self.storing(entry.id):
            for known in await self._table.named(entry.id, name, stem(name)):
                if known.source is EventSource.REGISTERED and known.source_key == asked.name and not known.file_uuid:
                    return known
            made = await self._table.insert(
                GalleryEvent(
                    id=event_id(now, secrets.token_bytes(10)), device_id=entry.id, source=EventSource.REGISTERED,
                    source_key=asked.name, name=name, media_type=kind or type_of_name(name), size=size,
                    created=now if about.created is None else about.created, added=now, state=EventState.NEW,
                    metadata=dict(asked.metadata),
                )
            )  # fmt: skip
        self._calls.tell(HookEvent.AFTER_EVENT_CREATED, entry.id, made)
        return made

    # --- files in -----------------------------------------------------------------------------------------------

    async def begin(self, entry: Entry, expected: int | None, by: Mapping[str, Json]) -> Upload:
        """Make room for a file of a device. `by`: who sends it, for log records. Raises `StorageFull`, `TooLarge`."""
        return await self._media.begin_upload([entry], expected, by)

    async def begin_thumbnail(self) -> BlobWriter:
        """Where the bytes of a thumbnail go; at most `MAX_THUMBNAIL`."""
        self._media.quota.check_disk()
        return await self._blobs.begin()

    async def thumbnail(self, writer: BlobWriter) -> str:
        """A picture somebody sent as a thumbnail: the blob of the JPEG made of it.

        Raises `BadRequest` where it is no picture.
        """
        picture = await writer.commit()
        try:
            return await self.picture(self._blobs.path(picture.key))
        finally:
            await self._blobs.delete(picture.key)

    async def picture(self, path: Path) -> str:
        """A picture as a thumbnail: the blob of the JPEG made of it. Raises `BadRequest` where it is none."""
        try:
            return await self._processing.thumbnail(path)
        except MediaUnavailable as error:
            raise Unavailable(str(error)) from None
        except MediaError as error:
            raise BadRequest(f"the thumbnail is no picture: {error}") from None

    async def finish(
        self, entry: Entry, upload: Upload, told: Described, *, thumbnail: str = "", event: GalleryEvent | None = None
    ) -> Stored:
        """Store what was uploaded. `thumbnail`: a blob, which is gone if nothing is stored; `event`: as `take`.

        Raises `BadRequest`, `StorageFull`, `Conflict`.
        """
        try:
            if upload.writer.size == 0:
                raise BadRequest("`event`: the file is empty")
            blob = await upload.writer.commit()
            return await self.take(
                entry, blob, upload.head, told, EventSource.UPLOAD, thumbnail=thumbnail, event=event, by=upload.by
            )
        except WayframeError:
            if thumbnail:
                await self._blobs.delete(thumbnail)
            raise

    async def take(
        self,
        entry: Entry,
        blob: Blob,
        head: bytes,
        told: Described,
        source: EventSource,
        *,
        thumbnail: str = "",
        event: GalleryEvent | None = None,
        by: Mapping[str, Json] | None = None,
    ) -> Stored:
        """Store a finished blob as an event and a file; the blob is gone if that fails.

        Args:
            head: its first bytes.
            event: the event it fills; None: a new one, or the one that has these very bytes under this name already.
            by: who sent it, for log records; None: nobody who called.
        """
        try:
            if told.sha256 and told.sha256.lower() != blob.sha256:
                raise BadRequest(f"the bytes have the SHA-256 {blob.sha256}, announced was {told.sha256[:64]}")
            shapes.declared(told.metadata or {})
        except WayframeError:
            await self._blobs.delete(blob.key)
            raise
        async with self.storing(entry.id):
            if event is not None:
                event = await self._table.get(event.id) or event
                thumbnail = thumbnail or event.thumbnail
            facts = replace(self._facts(entry, blob, head, told, source, event, thumbnail), by=by)
            if event is None and (known := await self._known(entry, facts.name, blob)) is not None:
                await self._blobs.delete(blob.key)
                if thumbnail and not known.file.preview:
                    await self._media.set_preview(known.file, thumbnail, by)
                elif thumbnail:
                    await self._blobs.delete(thumbnail)
                return known
            file = await self._media.store_blob(entry, blob, facts)
        (settled,) = await self._media.settled([file])
        made = await self._table.of_file(file.uuid)
        if made is None:
            raise NotFound("the file was deleted while it was being stored")
        return Stored(made, settled)

    async def _known(self, entry: Entry, name: str, blob: Blob) -> Stored | None:
        """The same file, if it is here under the same name."""
        event = await self._table.same(entry.id, name, blob.sha256)
        file = await self._media.get(event.file_uuid) if event is not None else None
        return Stored(event, file, duplicate=True) if event is not None and file is not None else None

    def _facts(
        self,
        entry: Entry,
        blob: Blob,
        head: bytes,
        told: Described,
        source: EventSource,
        event: GalleryEvent | None,
        thumbnail: str,
    ) -> NewFile:
        """What the media store is told, with the event the file belongs to."""
        now = self._clock.now()
        about = shapes.declared(told.metadata or {})
        kind, mime, extension = recognised(head, told.name)
        name = clean_name(told.name, f"upload.{extension or 'bin'}")
        created = event.created if event is not None else now
        if about.created is not None:
            created = about.created
        shown = MediaFile(
            uuid="", device_id=entry.id, cid=entry.cid, name=name, size=blob.size, mime=mime, kind=kind,
            created=created, modified=now, uploaded=now,
        )  # fmt: skip
        filled = event or GalleryEvent(
            id=event_id(now, secrets.token_bytes(10)), device_id=entry.id, source=source, source_key=name, name=name,
            media_type=told.media_type or type_of_file(shown), size=blob.size, created=created, added=now,
            state=EventState.STORED,
        )  # fmt: skip
        return NewFile(
            name=name, kind=kind, mime=mime, created=created,
            channel=about.channel or (1 if kind in ("video", "image") else 0), meta=about.meta, params=about.params,
            event=filled, preview=thumbnail,
        )  # fmt: skip

    async def give_thumbnail(self, event: GalleryEvent, thumbnail: str) -> bool:
        """Give a stored event another thumbnail, a blob. Returns whether it is still there; the blob is gone if not."""
        file = await self._media.get(event.file_uuid)
        if file is not None:
            return await self._media.set_preview(file, thumbnail)
        await self._blobs.delete(thumbnail)
        return False

    def limit(self, entry: Entry) -> int:
        """The most bytes a file of this device may have."""
        return self._media.largest(entry)

    def storing(self, device_id: int) -> asyncio.Lock:
        """Held from looking for the same file to having stored it."""
        return self._storing.setdefault(device_id, asyncio.Lock())


def viewer_of(caller: Caller) -> str:
    """Who looks, as events remember it."""
    return f"user:{-caller.token.id}" if caller.token.id < 0 else f"token:{caller.token.id}"
