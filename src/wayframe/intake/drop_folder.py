"""The drop folder: files that somebody puts into a folder of this machine become events of a device (C10).

A file is watched until it is complete, claimed by a rename, stored on the road of every upload, and leaves a receipt in
`processed` or itself in `failed`, with the reason. A claim outlives restarts; storing it twice is noticed by its bytes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from wayframe.model import BadRequest, Blocked, Clock, TooLarge, WayframeError
from wayframe.model.gallery import EventSource, stem
from wayframe.services import gallery_shapes as shapes
from wayframe.services.directory import Directory
from wayframe.services.drop_folders import INCOMING, THUMBNAILS, DropFolders
from wayframe.services.entries import Entry
from wayframe.services.gallery import MAX_THUMBNAIL, Described, Gallery, Stored
from wayframe.services.media import MediaStore
from wayframe.storage import Blob, BlobStore

from . import drop_files
from .drop_files import PICTURES, Claim, NotPlain, Seen

log = structlog.get_logger(__name__)

_LOOK_S = 1.0
_EVERYTHING_S = 60.0
"""So often every folder is looked at, whether it seems to have changed or not (network shares)."""
_TOGETHER = 2
_A_ROUND = 20
"""Files of one device in one round; then the others have their turn."""
_HEAD = 4096
_COPY_STEP = 1 << 20
_SIDECAR_WAITS_S = 60.0
_LATE_THUMBNAIL_S = 600.0
_THUMBNAIL_WAITS_S = 86_400.0
_RECEIPTS_S = 7 * 86_400.0


@dataclass(slots=True)
class _Watched:
    """Files of one device that are not complete."""

    changed: int = -1
    files: dict[tuple[str, str], tuple[Seen, float]] = field(default_factory=dict)
    """(folder, name) → as seen last, and since when it looks so (monotonic seconds)."""


class DropIntake:
    """Looks into the drop folders."""

    def __init__(
        self,
        folders: DropFolders,
        gallery: Gallery,
        media: MediaStore,
        blobs: BlobStore,
        directory: Directory,
        clock: Clock,
    ) -> None:
        self._root = folders.root
        self._gallery = gallery
        self._media = media
        self._blobs = blobs
        self._directory = directory
        self._clock = clock
        self._watched: dict[int, _Watched] = {}
        self._everything_at = float("-inf")

    async def run(self) -> None:
        """Take in what is dropped, until cancelled."""
        while True:
            started = self._clock.monotonic()
            try:
                more = await self.look()
            except Exception:  # the next look tries again
                log.exception("drop_folders_not_read")
                more = False
            took = self._clock.monotonic() - started
            await asyncio.sleep(0 if more else max(_LOOK_S, 5 * took))

    async def look(self) -> bool:
        """One look at all folders. Returns whether more is ready than one round takes."""
        now = self._clock.monotonic()
        everything = now - self._everything_at >= _EVERYTHING_S
        if everything:
            self._everything_at = now
        claims, pictures, more = await asyncio.to_thread(self._collect, everything)
        limit = asyncio.Semaphore(_TOGETHER)

        async def one(claim: Claim) -> None:
            async with limit:
                await self._store(claim)

        await asyncio.gather(*(one(claim) for claim in claims))
        for device_id, seen in pictures:
            await self._late(device_id, seen)
        return more

    # --- in a thread --------------------------------------------------------------------------------------------

    def _collect(self, everything: bool) -> tuple[list[Claim], list[tuple[int, Seen]], bool]:
        """Claim what is complete; also says which thumbnails are without their file, and whether there is more."""
        claims: list[Claim] = []
        loose: list[tuple[int, Seen]] = []
        more = False
        for device_id, changed in drop_files.devices(self._root):
            entry = self._directory.device(device_id)
            if entry is None or self._directory.blocked(entry.cid):
                continue  # files of a blocked account wait
            watched = self._watched.setdefault(device_id, _Watched())
            if everything:
                claims += drop_files.claims(self._root, device_id)
                drop_files.forget_receipts(self._root, device_id, self._clock.now() - _RECEIPTS_S)
            if everything or changed != watched.changed or watched.files:
                watched.changed = changed
                taken, pictures = self._claim_some(device_id, watched)
                loose += [(device_id, seen) for seen in pictures]
                more = more or len(taken) >= _A_ROUND
                claims += taken
        return claims, loose, more

    def _claim_some(self, device_id: int, watched: _Watched) -> tuple[list[Claim], list[Seen]]:
        folder = self._root / str(device_id)
        incoming = drop_files.listing(folder / INCOMING)
        pictures = drop_files.listing(folder / THUMBNAILS)
        self._watch(watched, incoming, pictures)
        by_name = {seen.name.lower(): seen.name for seen in pictures}
        names = {seen.name for seen in incoming}
        claims: list[Claim] = []
        for seen in incoming:
            if len(claims) >= _A_ROUND:
                break
            if self._waits_for_media(seen, names) or not self._complete(device_id, watched, INCOMING, seen):
                continue
            sidecar = f"{seen.name}.json" if f"{seen.name}.json" in names else ""
            claim = drop_files.claim(self._root, device_id, seen, sidecar, _picture_of(seen.name, by_name))
            watched.files.pop((INCOMING, seen.name), None)
            if claim is not None:
                claims.append(claim)
        loose = [seen for seen in pictures if self._complete(device_id, watched, THUMBNAILS, seen)]
        for seen in loose:
            watched.files.pop((THUMBNAILS, seen.name), None)
        wanted = {_picture_of(name, by_name) for name in names}
        return claims, [seen for seen in loose if seen.name not in wanted]

    @staticmethod
    def _watch(watched: _Watched, incoming: Sequence[Seen], pictures: Sequence[Seen]) -> None:
        there = {(INCOMING, seen.name): seen for seen in incoming} | {
            (THUMBNAILS, seen.name): seen for seen in pictures
        }
        watched.files = {key: known for key, known in watched.files.items() if key in there}

    def _complete(self, device_id: int, watched: _Watched, folder: str, seen: Seen) -> bool:
        now, key = self._clock.monotonic(), (folder, seen.name)
        before, since = watched.files.get(key, (None, now))
        if before != seen:
            since = now
        watched.files[key] = (seen, since)
        path = self._root / str(device_id) / folder / seen.name
        return drop_files.complete(path, seen, now - since, self._clock.now())

    def _waits_for_media(self, seen: Seen, names: set[str]) -> bool:
        """Whether a file is metadata for another, which takes it along."""
        about = seen.name.removesuffix(".json")
        if about == seen.name or "." not in about:
            return False
        return about in names or self._clock.now() - seen.mtime_ns / 1e9 < _SIDECAR_WAITS_S

    # --- storing ------------------------------------------------------------------------------------------------

    async def _store(self, claim: Claim) -> None:
        entry = self._directory.device(claim.device_id)
        if entry is None:
            return
        try:
            stored = await self._taken(entry, claim)
        except WayframeError as error:
            if error.status in (429, 503) or isinstance(error, Blocked):
                log.warning("drop_waits", name=_shown(claim.name), reason=error.reason)
                return  # it stays claimed, and is tried again with the next look at everything
            await self._failed(claim, error.reason, error.status)
        except (OSError, NotPlain) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            await self._failed(claim, f"the file cannot be read: {reason}", 400)
        except Exception:
            log.exception("drop_failed", name=_shown(claim.name))
            await self._failed(claim, "internal error; the server's log knows more", 500)
        else:
            receipt: dict[str, object] = {
                "name": stored.file.name, "eventId": stored.event.id, "uuid": stored.file.uuid,
                "size": stored.file.size, "sha256": stored.file.source_sha256, "duplicate": stored.duplicate,
                "processed": shapes.iso(self._clock.now()),
            }  # fmt: skip
            await asyncio.to_thread(drop_files.done, self._root, claim, receipt)

    async def _taken(self, entry: Entry, claim: Claim) -> Stored:
        size = await asyncio.to_thread(drop_files.checked_size, claim)
        if size == 0:
            raise BadRequest("the file is empty")
        self._media.check_room(entry, size)
        metadata = await self._metadata(claim)
        head = await asyncio.to_thread(drop_files.read, claim.path, _HEAD)
        thumbnail = await self._thumbnail(claim)
        try:
            blob = await self._blob(claim)
        except BaseException:
            if thumbnail:
                await self._blobs.delete(thumbnail)
            raise
        told = Described(name=_shown(claim.name), metadata=metadata)
        try:
            return await self._gallery.take(entry, blob, head, told, EventSource.DROP, thumbnail=thumbnail)
        except WayframeError:
            if thumbnail:
                await self._blobs.delete(thumbnail)
            raise

    async def _late(self, device_id: int, seen: Seen) -> None:
        """A thumbnail whose file came before it, some minutes ago at most; or whose file does not come."""
        entry, now = self._directory.device(device_id), self._clock.now()
        if entry is None or not seen.name.lower().endswith(PICTURES):
            return
        try:
            event = await self._gallery.event(entry, stem(_shown(seen.name)))
            file = await self._gallery.file(entry, event.id)
        except WayframeError:
            file = None
        path = self._root / str(device_id) / THUMBNAILS / seen.name
        if file is not None and event.source is EventSource.DROP and now - file.uploaded < _LATE_THUMBNAIL_S:
            picture = await self._picture(device_id, seen.name, path)
            if picture:
                await self._gallery.give_thumbnail(event, picture)
            await asyncio.to_thread(path.unlink, missing_ok=True)
        elif now - seen.mtime_ns / 1e9 > _THUMBNAIL_WAITS_S:
            about: dict[str, object] = {"name": _shown(seen.name), "error": "no file of this name came", "status": 404}
            await asyncio.to_thread(drop_files.fail_thumbnail, self._root, device_id, seen.name, about)

    async def _metadata(self, claim: Claim) -> dict[str, object]:
        path = claim.folder / drop_files.SIDECAR
        if not path.exists():
            return {}
        text = await asyncio.to_thread(drop_files.read, path, shapes.MAX_METADATA)
        if len(text) > shapes.MAX_METADATA:
            raise TooLarge(f"the metadata beside it has more than {shapes.MAX_METADATA} bytes")
        found = shapes.metadata(text.decode(errors="replace"))
        shapes.declared(found)
        return found

    async def _blob(self, claim: Claim) -> Blob:
        """The file's bytes in the media store: the same bytes under a second name, or a copy from another disk."""
        target = self._blobs.temporary_path(".dropped")
        if await asyncio.to_thread(drop_files.second_name, claim.path, target):
            return await self._blobs.adopt(target)
        writer = await self._blobs.begin()
        try:
            with claim.path.open("rb") as source:
                while piece := await asyncio.to_thread(source.read, _COPY_STEP):
                    writer.write(piece)
                    await writer.drain()
            return await writer.commit()
        finally:
            await writer.abandon()

    async def _thumbnail(self, claim: Claim) -> str:
        path = claim.folder / drop_files.THUMBNAIL
        return await self._picture(claim.device_id, claim.name, path) if path.exists() else ""

    async def _picture(self, device_id: int, name: str, path: Path) -> str:
        """A thumbnail as a blob; empty, with a line in the log, where it is none (C3)."""
        try:
            content = await asyncio.to_thread(drop_files.read, path, MAX_THUMBNAIL)
            if len(content) > MAX_THUMBNAIL:
                raise TooLarge(f"it has more than {MAX_THUMBNAIL} bytes")
            writer = await self._gallery.begin_thumbnail()
            writer.write(content)
            return await self._gallery.thumbnail(writer)
        except (WayframeError, OSError, NotPlain) as error:
            log.warning("drop_thumbnail_ignored", device=device_id, name=_shown(name), reason=str(error))
            return ""

    async def _failed(self, claim: Claim, reason: str, status: int) -> None:
        log.warning("drop_refused", device=claim.device_id, name=_shown(claim.name), reason=reason)
        about: dict[str, object] = {
            "name": _shown(claim.name), "error": reason, "status": status, "failed": shapes.iso(self._clock.now())
        }  # fmt: skip
        await asyncio.to_thread(drop_files.failed, self._root, claim, about)


def _shown(name: str) -> str:
    """A name for people; bytes of a disk that are no text become replacement characters."""
    return os.fsencode(name).decode(errors="replace")


def _picture_of(name: str, pictures: dict[str, str]) -> str:
    """The thumbnail that belongs to a file: its stem or whole name, with the ending of a picture, in any case."""
    for base in (stem(name).lower(), name.lower()):
        for ending in PICTURES:
            if (found := pictures.get(base + ending)) is not None:
                return found
    return ""
