"""Upload links: a place for one file, given out before its bytes come, and opened by the link alone (C9).

The link is a signed word that names the event it fills, the kind of bytes and the most there may be. One file fills it;
the same bytes again are answered as the first time, so a broken transfer is simply repeated.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from wayframe.model import BadRequest, Clock, Conflict, Forbidden, Json, NotFound, WayframeError
from wayframe.model.gallery import EventSource, EventState, GalleryEvent, event_id, type_of_name
from wayframe.storage import BlobStore, BlobWriter, GalleryTable

from .directory import Directory
from .entries import Caller, Entry
from .gallery import MAX_THUMBNAIL, Described, Gallery, Stored
from .media import MediaStore
from .media_files import Upload, clean_name
from .signing import LONGEST_S, BadSignature, Signing

log = structlog.get_logger(__name__)

LIFE_S = 900.0
"""How long a link is good, if nobody says otherwise."""
_SHORTEST_S = 10.0
_SWEPT_AFTER_S = 86400.0
"""A transfer that began in time may go on for so long after the link has ended."""
_MAX_PENDING = 10_000
"""Links of one device that wait for their file."""


class LinkEnded(WayframeError):
    """The link is over its time, or what it was for is gone."""

    status = code = 410


@dataclass(frozen=True, slots=True)
class Reserved:
    """A link that was given out."""

    event: GalleryEvent
    media: str
    """Last part of the path that takes the file."""
    thumbnail: str
    """Last part of the path that takes the thumbnail; empty if none was asked for."""
    expires: float
    max_size: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A link that was presented and is good."""

    entry: Entry
    event: GalleryEvent
    thumbnail: bool
    """Whether it takes the thumbnail; otherwise the file."""
    max_size: int
    by: Mapping[str, Json]
    """Who asked for the link, for log records."""


class UploadLinks:
    """Gives out links, and takes what comes over them."""

    def __init__(
        self,
        *,
        table: GalleryTable,
        gallery: Gallery,
        media: MediaStore,
        blobs: BlobStore,
        directory: Directory,
        signing: Signing,
        clock: Clock,
    ) -> None:
        self._table = table
        self._gallery = gallery
        self._media = media
        self._blobs = blobs
        self._directory = directory
        self._signing = signing
        self._clock = clock
        self._pending: dict[int, int] = {}

    async def reserve(
        self,
        caller: Caller,
        entry: Entry,
        filename: str,
        *,
        thumbnail: bool,
        media_type: str | None,
        life_s: float = LIFE_S,
    ) -> Reserved:
        """A link for one file. Raises `BadRequest`, `StorageFull`."""
        if not filename.strip():
            raise BadRequest("filename is required: the name of the file that will be uploaded")
        if not _SHORTEST_S <= life_s <= LONGEST_S:
            raise BadRequest(f"expires must be {_SHORTEST_S:g}..{LONGEST_S:g} s, got {life_s:g}")
        if self._pending.get(entry.id, 0) >= _MAX_PENDING:
            raise BadRequest(f"{_MAX_PENDING} links of device {entry.id} wait for their file; use those first")
        self._media.quota.check_disk()
        name, now, limit = clean_name(filename, "upload.bin"), self._clock.now(), self._media.largest(entry)
        event = await self._table.insert(
            GalleryEvent(
                id=event_id(now, secrets.token_bytes(10)), device_id=entry.id, source=EventSource.PRESIGNED,
                source_key=name, name=name, media_type=media_type or type_of_name(name), created=now, added=now,
                state=EventState.PENDING, expires=now + life_s,
            )
        )  # fmt: skip
        self._pending[entry.id] = self._pending.get(entry.id, 0) + 1
        link, ends = self._sign(caller, event, "media", limit, life_s)
        picture = self._sign(caller, event, "thumbnail", MAX_THUMBNAIL, life_s)[0] if thumbnail else ""
        return Reserved(event, link, picture, ends, limit)

    def _sign(self, caller: Caller, event: GalleryEvent, kind: str, limit: int, life_s: float) -> tuple[str, float]:
        claims = {"evt": event.id, "dev": event.device_id, "kind": kind, "max": limit, "tok": caller.token.id}
        return self._signing.sign("upload", claims, life_s)

    async def open(self, token: str) -> Opened:
        """What a link is for.

        Raises:
            Forbidden: it was not signed here, or was altered.
            LinkEnded: its time is over, or its event or device is gone.
        """
        try:
            claims = self._signing.read("upload", token)
            event_key, device_id, limit = str(claims["evt"]), int(claims["dev"]), int(claims["max"])
            token_id = int(claims.get("tok", 0))  # links given out by older versions do not say
        except (BadSignature, KeyError, ValueError):
            raise Forbidden("this upload link was not made here, or was altered") from None
        if self._signing.ended(claims):
            raise LinkEnded("this upload link is over its time; ask for another")
        entry = self._directory.device(device_id)
        event = await self._table.get(event_key) if entry is not None else None
        if entry is None or event is None or event.state is EventState.DELETED:
            raise LinkEnded("what this upload link was for has been deleted")
        self._media.check_door(entry)
        by: dict[str, Json] = {("token_id" if token_id > 0 else "user_id"): abs(token_id)} if token_id else {}
        return Opened(entry, event, claims.get("kind") == "thumbnail", min(limit, self._media.largest(entry)), by)

    async def repeat(self, opened: Opened, sha256: str) -> Stored:
        """The file came once more, after it was stored. Raises `Conflict` where it has other bytes, `NotFound`."""
        return await self._again(opened.event, sha256)

    async def finish(self, opened: Opened, upload: Upload) -> Stored:
        """The file came. Raises `Conflict` where other bytes came before, `StorageFull`, `BadRequest`."""
        if upload.writer.size == 0:
            raise BadRequest("the file is empty")
        blob = await upload.writer.commit()
        current = await self._table.get(opened.event.id)
        if current is not None and current.file_uuid:
            await self._blobs.delete(blob.key)
            return await self._again(current, blob.sha256)
        event = current or opened.event
        told = Described(name=opened.event.source_key, media_type=event.media_type)
        try:
            stored = await self._gallery.take(
                opened.entry, blob, upload.head, told, EventSource.PRESIGNED, event=event, by=upload.by
            )
        except Conflict:  # another transfer over this link was faster
            found = await self._table.get(event.id)
            if found is None:
                raise
            return await self._again(found, blob.sha256)
        self._used(opened.entry.id)
        return stored

    async def _again(self, event: GalleryEvent, sha256: str) -> Stored:
        file = await self._media.get(event.file_uuid)
        if file is None:
            raise NotFound("the file was deleted meanwhile")
        if file.source_sha256 != sha256:
            raise Conflict("this upload link was used already, with other bytes")
        return Stored(event, file, duplicate=True)

    async def finish_thumbnail(self, opened: Opened, writer: BlobWriter) -> GalleryEvent:
        """The thumbnail came, before its file or after. Raises `BadRequest` where it is no picture."""
        picture = await self._gallery.thumbnail(writer)
        async with self._gallery.storing(opened.entry.id):
            event = await self._table.get(opened.event.id)
            if event is not None and event.state is EventState.PENDING:
                await self._table.change(event.id, thumbnail=picture)
                if event.thumbnail:
                    await self._blobs.delete(event.thumbnail)
                return event
        if not await self._gallery.give_thumbnail(event or opened.event, picture):
            raise LinkEnded("what this upload link was for has been deleted")
        return event or opened.event

    async def sweep(self) -> None:
        """Forget links that ended without a file. Called every minute."""
        for event in await self._table.stale_links(self._clock.now() - _SWEPT_AFTER_S):
            await self._table.remove(event.id)
            if event.thumbnail:
                await self._blobs.delete(event.thumbnail)
            self._used(event.device_id)

    def _used(self, device_id: int) -> None:
        left = self._pending.get(device_id, 0) - 1
        if left > 0:
            self._pending[device_id] = left
        else:
            self._pending.pop(device_id, None)
