"""The media store: files in, made playable, announced; listed, changed, deleted, kept within their limits.

The road of every file, wherever it came from: blob durable → row written → facts, conversion, preview → row READY →
log `media_file_uploaded` → device message (mqtt-api.md 6.5) → command completed. Each step is taken up again at the
next start if the server died in between; only whole files ever have a row.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from wayframe.expressions import Environment
from wayframe.model import (
    BadRequest,
    Blocked,
    Clock,
    Json,
    MediaFile,
    MediaState,
    NotFound,
    OriginType,
    TooLarge,
    WayframeError,
)
from wayframe.model.gallery import GalleryEvent
from wayframe.model.log_codes import Log
from wayframe.storage import Blob, BlobStore, MediaTable

from .bodies import given, parse_body
from .directory import Directory
from .entries import Entry
from .history import History, compiled_filter
from .journal import Journal
from .links import Links
from .media_files import (
    MediaChange,
    NewFile,
    Upload,
    UploadData,
    clean_name,
    described,
    media_parameter,
    message_object,
)
from .media_rows import MediaRows
from .processing import Processing
from .quota import Quota

log = structlog.get_logger(__name__)

_ANSWER_WAIT_S = 3.0
"""An upload's answer waits this long for duration, size and preview; it is durable before."""
_SWEEP_SLICE = 200


class MediaStore:
    """Files of all devices."""

    def __init__(
        self,
        *,
        table: MediaTable,
        blobs: BlobStore,
        directory: Directory,
        history: History,
        journal: Journal,
        links: Links,
        quota: Quota,
        processing: Processing,
        clock: Clock,
        max_upload: int,
    ) -> None:
        self._table = table
        self._rows = MediaRows(table)
        self._blobs = blobs
        self._directory = directory
        self._history = history
        self._journal = journal
        self._links = links
        self._processing = processing
        self._clock = clock
        self._max_upload = max_upload
        self._todo: asyncio.Queue[str] = asyncio.Queue()
        """Uuids of stored rows on their road: nothing waits here that is not durable, and the stores bound it."""
        self._ready: dict[str, asyncio.Event] = {}
        self._locks: dict[int, asyncio.Lock] = {}
        self.quota = quota
        """Sizes by device."""
        self._owed: dict[str, int] = {}
        self._senders: dict[str, Mapping[str, Json]] = {}
        """Who sent files that are on their road, by uuid; a restart forgets it."""
        self.event_gone: Callable[[GalleryEvent], None] = lambda event: None
        """Called with each event that went with its file (set by the gallery)."""
        self.complete_command: Callable[[int, Json], Awaitable[None]] | None = None
        """Called with command id and file object when a requested file is ready (set by the composition root)."""
        self.fail_command: Callable[[int, str, bool], Awaitable[None]] | None = None
        """Called with command id and reason when a requested file came to nothing (set by the composition root)."""

    # --- start --------------------------------------------------------------------------------------------------

    async def load(self) -> list[str]:
        """Check what is there against the rows, start the counters, take up unfinished work.

        Returns:
            Sentences about what was repaired.
        """
        repaired: list[str] = []
        known = await self._table.blob_keys()
        there: set[str] = set()
        async for key in self._blobs.keys():  # a method of the store, not of a dict
            there.add(key)
        if known - there:
            repaired += await self._mend(there)
            known = await self._table.blob_keys()
        swept = await self._blobs.sweep(known, now=self._clock.now(), grace_s=0)
        if swept:
            repaired.append(f"removed {swept} leftover files that no entry belongs to")
        for device_id, (size, _) in (await self._table.sums()).items():
            self.quota.set_files(device_id, size)
            if (entry := self._directory.device(device_id)) is not None:
                entry.view["media_size"] = self._kilobytes(device_id)
        for file in [*await self._table.processing(), *await self._table.unannounced()]:
            self._todo.put_nowait(file.uuid)
            self._owe(file)
        return repaired

    async def _mend(self, there: set[str]) -> list[str]:
        """Make rows true again whose blobs are gone. Returns sentences about it."""
        repaired: list[str] = []
        for file in await self._table.all():
            lost = {file.blob, file.preview, file.original} - there - {""}
            if file.blob in lost:
                await self._rows.delete([file.uuid])
                repaired.append(f"removed the entry of media file {file.uuid[:8]}…: its bytes are gone")
                continue
            if file.preview in lost:
                file = msgspec.structs.replace(file, preview="")
                repaired.append(f"media file {file.uuid[:8]}… has no preview any more: it is gone")
            if file.original in lost:
                file = msgspec.structs.replace(file, original="", original_size=0)
                repaired.append(f"media file {file.uuid[:8]}… has no original any more: it is gone")
            if lost:
                await self._rows.update(file)
        return repaired

    def _owe(self, file: MediaFile) -> None:
        if file.command_id:
            self._owed[file.uuid] = file.command_id

    def carries(self, command_id: int) -> bool:
        """Whether the file a command asked for is here and on its road: the command must not be sent again."""
        return command_id in self._owed.values()

    @property
    def waiting(self) -> int:
        """Files waiting to be processed."""
        return self._todo.qsize()

    async def run(self, parallel: int) -> None:
        """Process files until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(parallel):
                tasks.create_task(self._work())

    # --- in -----------------------------------------------------------------------------------------------------

    async def begin_upload(
        self, entries: Sequence[Entry], expected: int | None = None, by: Mapping[str, Json] | None = None
    ) -> Upload:
        """Make room for a file of one or more devices; `by` sends it. Raises `StorageFull`, `TooLarge`."""
        for entry in entries:
            self.check_door(entry)
        limit = min([self._max_upload, *(self.quota.limit(entry.device) for entry in entries)])
        if expected is not None and expected > limit + (1 << 20):
            raise TooLarge(f"the upload has {expected} bytes, the store takes {limit}")
        self.quota.check_disk(expected or 0)
        for entry in entries:
            # What rotation would free is freed when the file is whole, not for an upload that may break off.
            if not entry.device.media_rotate and self.quota.over(entry.device, min(expected or 1, limit)):
                raise self.quota.full(entry.device)
        return Upload(entries, await self._blobs.begin(), limit, by)

    async def finish_upload(self, upload: Upload, name: str, data: Json) -> list[dict[str, Json]]:
        """Store an uploaded file with its `data` part. Returns one file object a device.

        Raises:
            BadRequest: `data` is malformed; nothing is stored.
            StorageFull: it does not fit after all.
        """
        parsed = parse_body(UploadData, {} if data is None else data)
        facts = described(upload, name, parsed, self._clock.now())
        if upload.writer.size == 0:
            raise BadRequest("`file`: the file is empty")
        files = []
        first: Blob | None = None
        size = upload.writer.size
        for entry in upload.entries:
            async with self._room(entry, size):
                first = await (self._blobs.copy(first) if first else upload.writer.commit())
                try:
                    files.append(await self.store(entry, first, facts))
                except WayframeError:
                    await self._blobs.delete(first.key)
                    raise
        return [self.view(file) for file in await self.settled(files)]

    async def settled(self, files: Sequence[MediaFile]) -> list[MediaFile]:
        """The files as they are once processed, or after some seconds: a long conversion goes on (ruling 7)."""
        waits = [self._ready[file.uuid].wait() for file in files if file.uuid in self._ready]
        try:
            async with asyncio.timeout(_ANSWER_WAIT_S):
                await asyncio.gather(*waits)
        except TimeoutError:
            pass  # what is known is answered
        return [await self._table.get(file.uuid) or file for file in files]

    async def store_blob(self, entry: Entry, blob: Blob, facts: NewFile) -> MediaFile:
        """Store a finished blob that came from a device. Raises `StorageFull`; the blob is gone then."""
        try:
            async with self._room(entry, blob.size):
                return await self.store(entry, blob, facts)
        except WayframeError as error:
            await self._blobs.delete(blob.key)
            self.refused(entry, error.reason, facts.name)
            raise

    async def store(self, entry: Entry, blob: Blob, facts: NewFile) -> MediaFile:
        """Write the row of a durable blob and put it on the road."""
        now = self._clock.now()
        meta: dict[str, Json] = {"type": facts.kind, **(facts.meta or {})}
        meta["type"] = facts.kind
        if facts.channel:
            meta["channel"] = facts.channel
        if facts.command_id:
            meta["command_id"] = facts.command_id
        file = MediaFile(
            uuid=secrets.token_hex(32).upper(), device_id=entry.id, cid=entry.cid, channel_id=facts.channel_id,
            name=clean_name(facts.name, "file"), size=blob.size, mime=facts.mime, kind=facts.kind,
            created=facts.created, modified=now, uploaded=now, meta=meta, params=dict(facts.params or {}),
            blob=blob.key, preview=facts.preview, sha256=blob.sha256, source_sha256=blob.sha256,
            message_params=dict(facts.message_params or {}), command_id=facts.command_id,
        )  # fmt: skip
        if facts.event is None:
            await self._table.insert(file)
        else:
            await self._table.insert_of(file, facts.event)
        self._owe(file)
        self._directory.meter.count("device_media_traffic", entry.cid, file.size, entry.id)
        if facts.by:
            self._senders[file.uuid] = facts.by
        self._count(entry.id, file.size)
        self._ready[file.uuid] = asyncio.Event()
        self._todo.put_nowait(file.uuid)
        return file

    def refused(self, entry: Entry, reason: str, name: str) -> None:
        """Log that a file or stream could not be taken."""
        fields = {"error_text": reason, "name": name}
        self._journal.log(Log.MEDIA_REFUSED, OriginType.DEVICE, entry.id, entry.cid, fields)

    # --- the road -----------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            uuid = await self._todo.get()
            try:
                await self._advance(uuid)
            except Exception:  # one file must not stop the road of the others; the next start takes it up again
                log.exception("media_processing_failed", uuid=uuid[:8])
            finally:
                self._senders.pop(uuid, None)
                ready = self._ready.pop(uuid, None)
                if ready is not None:
                    ready.set()
            command_id = self._owed.pop(uuid, 0)
            if command_id and self.fail_command is not None:  # no news for a command that has its file
                await self.fail_command(command_id, "the file came, but was deleted or could not be processed", False)

    async def _advance(self, uuid: str) -> None:
        file = await self._table.get(uuid)
        if file is None:
            return
        if file.state is MediaState.PROCESSING:
            entry = self._directory.device(file.device_id)
            keep = bool(entry and entry.device.configuration.get("keep_original"))
            made = await self._processing.finish(file, keep_original=keep)
            async with self._writing(file.device_id):
                current = await self._table.get(uuid)
                if current is None:  # deleted meanwhile
                    for key in {made.blob, made.preview} - {file.blob, ""}:
                        await self._blobs.delete(key)
                    return
                file = await self._take_over(file, made, current)
        if not file.announced:
            await self._announce(file)

    async def _take_over(self, before: MediaFile, made: MediaFile, current: MediaFile) -> MediaFile:
        """Write what processing made of a file. What a caller changed while the file was in work stays."""
        name = made.name if current.name == before.name else current.name
        preview = made.preview if current.preview == before.preview else current.preview
        file = msgspec.structs.replace(
            made, protected=current.protected, shared=current.shared, params=current.params, name=name, preview=preview
        )
        await self._rows.update(file)
        if made.preview not in (preview, before.preview, ""):
            await self._blobs.delete(made.preview)
        self._count(file.device_id, file.size + file.original_size - current.size)
        if current.blob not in (file.blob, file.original):
            await self._blobs.delete(current.blob)
        return file

    async def _announce(self, file: MediaFile) -> None:
        """Log, device message, command: in the order clients depend on."""
        entry = self._directory.device(file.device_id)
        if entry is None:
            return
        self._log(Log.MEDIA_UPLOADED, file, self._senders.get(file.uuid))
        await self._journal.settled()
        message = {
            "timestamp": file.created,
            "media": True,
            media_parameter(file): message_object(file),
            **file.message_params,
        }
        extra = {"channel.id": file.channel_id} if file.channel_id else {}
        await self._history.store(entry, [message], {**extra, "protocol.id": entry.device.protocol_id})
        # The command before the mark: else a crash in between leaves a command that is carried out a second time.
        if file.command_id and self.complete_command is not None:
            await self.complete_command(file.command_id, self.view(file))
        async with self._writing(file.device_id):
            current = await self._table.get(file.uuid)
            if current is not None:
                await self._rows.update(msgspec.structs.replace(current, announced=True))
        ready = self._ready.get(file.uuid)
        if ready is not None:
            ready.set()
        await self._rotate(entry)

    # --- out ----------------------------------------------------------------------------------------------------

    async def get(self, uuid: str) -> MediaFile | None:
        """A file by uuid."""
        if len(uuid) != 64:
            return None
        return self.recall(uuid) or await self._rows.read(uuid)

    def recall(self, uuid: str) -> MediaFile | None:
        """A file by uuid as it stands now, if that can be told without the database."""
        file = self._rows.recall(uuid)
        entry = self._directory.device(file.device_id) if file is not None else None
        # The rows of a deleted device go with it; the links of a blocked account do not open.
        return file if entry is not None and not self._directory.blocked(entry.cid) else None

    def path(self, file: MediaFile) -> Path:
        """Where the served bytes are."""
        return self._blobs.path(file.blob)

    def preview_path(self, file: MediaFile) -> Path | None:
        """Where the JPEG preview is, or None."""
        return self._blobs.path(file.preview) if file.preview else None

    async def files(
        self,
        entries: Sequence[Entry],
        *,
        uuids: Sequence[str] | None = None,
        from_: float | None = None,
        to: float | None = None,
        filter_text: str = "",
    ) -> list[MediaFile]:
        """Files of devices, oldest first. Raises `BadRequest` for a bad filter."""
        files = await self._rows.list([entry.id for entry in entries], uuids=uuids, from_=from_, to=to)
        wanted = compiled_filter(filter_text)
        if wanted is None:
            return files
        env = Environment(now=self._clock.now())
        return [file for file in files if wanted.matches(self.view(file), env)]

    async def columns(
        self,
        entries: Sequence[Entry],
        names: tuple[str, ...],
        *,
        uuids: Sequence[str] | None,
        from_: float | None,
        to: float | None,
        count: int | None,
        reverse: bool,
    ) -> Sequence[msgspec.Struct]:
        """Of the same files only these fields, all among `LISTED`. Whoever asks for links as well is to use `files`,
        which remembers what is about to be fetched."""
        ids = [entry.id for entry in entries]
        return await self._table.columns(names, ids, uuids=uuids, from_=from_, to=to, count=count, reverse=reverse)

    def view(self, file: MediaFile) -> dict[str, Json]:
        """The file object of rest-api.md 8.1."""
        return {
            "uuid": file.uuid, "url": self._links.url(file.uuid), "name": file.name, "size": file.size,
            "mime": file.mime, "created": file.created, "modified": file.modified, "uploaded": file.uploaded,
            "protected": file.protected, "shared": file.shared, "meta": file.meta, "params": file.params,
            "channel_id": file.channel_id, "device_id": file.device_id,
        }  # fmt: skip

    # --- changing -----------------------------------------------------------------------------------------------

    async def update(
        self, entries: Sequence[Entry], uuids: Sequence[str], body: Json, by: Mapping[str, Json] | None = None
    ) -> list[dict[str, Json]]:
        """Change files. Raises `BadRequest`, and `NotFound` where none of the files exists."""
        changes = given(parse_body(MediaChange, body))
        if not changes:
            names = list(MediaChange.__struct_fields__)
            raise BadRequest(f"nothing to change: give one of {', '.join(names)}", schema_hint=names)
        files = await self._named(entries, uuids)
        params = changes.pop("params", None)
        if "name" in changes:
            changes["name"] = clean_name(changes["name"], "file")
        views = []
        for file in files:
            async with self._writing(file.device_id):
                current = await self._table.get(file.uuid)
                if current is None:
                    continue
                merged = {**current.params, **(params or {})}
                kept = {name: value for name, value in merged.items() if value is not None}
                changed = msgspec.structs.replace(current, modified=self._clock.now(), params=kept, **changes)
                await self._rows.update(changed)
            self._log(Log.MEDIA_UPDATED, changed, by)
            views.append(self.view(changed))
        return views

    async def set_preview(self, file: MediaFile, preview: str, by: Mapping[str, Json] | None = None) -> bool:
        """Give a file another preview, a blob. Returns whether the file is still there; the blob is gone if not."""
        async with self._writing(file.device_id):
            current = await self._table.get(file.uuid)
            if current is not None:
                changed = msgspec.structs.replace(current, modified=self._clock.now(), preview=preview)
                await self._rows.update(changed)
        unused = preview if current is None else current.preview
        if unused:
            await self._blobs.delete(unused)
        if current is not None:
            self._log(Log.MEDIA_UPDATED, changed, by)
        return current is not None

    async def delete(
        self,
        entries: Sequence[Entry],
        *,
        uuids: Sequence[str] | None = None,
        filter_text: str = "",
        by: Mapping[str, Json] | None = None,
    ) -> list[dict[str, Json]]:
        """Delete files: the named ones, those a filter matches, or all. Protection does not guard against this."""
        if uuids is not None:
            files = await self._named(entries, uuids)
        else:
            files = await self.files(entries, filter_text=filter_text)
        await self._remove(files, Log.MEDIA_DELETED, by)
        return [{"uuid": file.uuid, "device_id": file.device_id} for file in files]

    async def _named(self, entries: Sequence[Entry], uuids: Sequence[str]) -> list[MediaFile]:
        files = await self._table.list([entry.id for entry in entries], uuids=uuids)
        if not files:
            raise NotFound(f"no such media file: {', '.join(uuid[:64] for uuid in list(uuids)[:5])}")
        return files

    def _writing(self, device_id: int) -> asyncio.Lock:
        """Held from reading rows of a device's files to having written them and counted their bytes."""
        return self._locks.setdefault(device_id, asyncio.Lock())

    async def _remove(self, files: Sequence[MediaFile], kind: Log, by: Mapping[str, Json] | None = None) -> None:
        """Remove files of any devices, in slices."""
        by_device: dict[int, list[str]] = {}
        for file in files:
            by_device.setdefault(file.device_id, []).append(file.uuid)
        for device_id, uuids in by_device.items():
            for start in range(0, len(uuids), _SWEEP_SLICE):
                async with self._writing(device_id):
                    await self._take_out(device_id, uuids[start : start + _SWEEP_SLICE], kind, by)

    async def _take_out(
        self, device_id: int, uuids: Sequence[str], kind: Log, by: Mapping[str, Json] | None = None
    ) -> None:
        """Rows first, bytes after: a link of a row that is gone is 404 even if the server dies in between."""
        files = await self._table.list([device_id], uuids=uuids)  # as they are now: processing may have changed them
        events = await self._rows.delete([file.uuid for file in files])
        for event in events:
            self.event_gone(event)
        for file in files:
            self._count(device_id, -(file.size + file.original_size))
            self._log(kind, file, by)
            for key in (file.blob, file.preview, file.original):
                if key:
                    await self._blobs.delete(key)

    # --- limits -------------------------------------------------------------------------------------------------

    def largest(self, entry: Entry) -> int:
        """The most bytes one file of this device may have."""
        return min(self._max_upload, self.quota.limit(entry.device))

    def check_account(self, entry: Entry) -> None:
        """Raises `Blocked` where the account of a device is blocked: nothing is taken for it."""
        if self._directory.blocked(entry.cid):
            raise Blocked(f"the account of device {entry.id} is blocked", item_id=entry.id)

    def check_door(self, entry: Entry) -> None:
        """The same, and `TooManyRequests` where its traffic is used up: no transfer may begin."""
        self.check_account(entry)
        self._directory.meter.check("device_media_traffic", entry.cid, entry.id)

    def check_room(self, entry: Entry, size: int) -> None:
        """Refuse a transfer before its bytes come if it is bound to fail. Raises as `make_room`, and `TooLarge`."""
        self.check_door(entry)
        self.quota.check_disk(size)
        limit = self.largest(entry)
        if size > limit:
            raise TooLarge(f"the file has {size} bytes, the most that device {entry.id} may store is {limit}")
        if not entry.device.media_rotate and self.quota.over(entry.device, size):
            raise self.quota.full(entry.device)

    async def make_room(self, entry: Entry, size: int) -> None:
        """Rotate the oldest unprotected files out until `size` fits. Raises `Forbidden`, `StorageFull`.

        The bytes are on the disk already, so that is only looked at for its reserve.
        """
        self.check_account(entry)
        self.quota.check_disk()
        if size > self.quota.limit(entry.device):
            raise TooLarge(
                f"the file has {size} bytes, the media store of device {entry.id} {self.quota.limit(entry.device)}"
            )
        missing = self.quota.over(entry.device, size)
        # No file is given up for one that will not fit after all.
        if missing and entry.device.media_rotate and await self._table.rotatable(entry.id) >= missing:
            await self._rotate(entry, size)
            missing = self.quota.over(entry.device, size)
        if missing:
            raise self.quota.full(entry.device)

    @contextlib.asynccontextmanager
    async def _room(self, entry: Entry, size: int) -> AsyncIterator[None]:
        """Room for a file until its row counts; without it, files that come together would share the same room."""
        await self.make_room(entry, size)
        self.quota.reserve(entry.id, size)
        try:
            yield
        finally:
            self.quota.reserve(entry.id, -size)

    async def _rotate(self, entry: Entry, more: int = 0) -> None:
        if not entry.device.media_rotate:
            return
        async with self._writing(entry.id):
            while self.quota.over(entry.device, more):
                oldest = await self._table.oldest_unprotected(entry.id)
                if oldest is None:
                    return
                await self._take_out(entry.id, [oldest.uuid], Log.MEDIA_EXPIRED)

    async def expire(self) -> int:
        """Remove files whose `media_ttl` is over. Called every minute. Returns how many went."""
        files = await self._table.expired(self._clock.now())
        await self._remove(files, Log.MEDIA_EXPIRED)
        return len(files)

    def _count(self, device_id: int, difference: int) -> None:
        self.quota.add_file(device_id, difference)
        self._show_size(device_id)

    def _show_size(self, device_id: int) -> None:
        entry = self._directory.device(device_id)
        if entry is not None:
            self._directory.set_device_field(entry, "media_size", self._kilobytes(device_id))

    def _kilobytes(self, device_id: int) -> int:
        return -(-self.quota.stored(device_id) // 1024)

    def _log(self, kind: Log, file: MediaFile, by: Mapping[str, Json] | None = None) -> None:
        entry = self._directory.device(file.device_id)
        cid = entry.cid if entry is not None else file.cid  # the device may be of another account by now
        fields = {**self.view(file), **(by or {})}
        self._journal.log(kind, OriginType.DEVICE, file.device_id, cid, fields)
