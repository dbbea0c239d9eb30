"""Rows of the media store; the bytes are in `blobs`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import starmap
from typing import Any

from msgspec import Raw, Struct, defstruct
from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Text,
    TypeDecorator,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.exc import IntegrityError

from wayframe.model import MediaFile, MediaState, NotFound
from wayframe.model.gallery import GalleryEvent

from . import schema
from ._history import History
from ._rows import Rows
from .database import Database
from .gallery import GalleryTable

_C = schema.media.c
_Files = list[MediaFile]


LISTED = frozenset(
    (
        "uuid", "name", "size", "mime", "created", "modified", "uploaded", "protected", "shared", "meta", "params",
        "channel_id", "device_id", "sha256", "source_sha256",
    )
)  # fmt: skip
"""Columns that a list may show as they are."""


class _JsonAsStored(TypeDecorator[Raw]):
    """A JSON value that goes on as it is."""

    impl = Text
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Raw]:
        return Raw


def _shown(name: str) -> ColumnElement[Any]:
    column = _C[name]
    return type_coerce(column, _JsonAsStored()) if isinstance(column.type, schema.JsonText) else column


class MediaTable(Rows[MediaFile]):
    """Files, keyed by uuid. The gallery event of a file comes, changes and goes with it, in one transaction."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, schema.media, MediaFile, key="uuid")
        self._events = GalleryTable(db)
        self._history = self._history_of(self.select().selected_columns)
        self._part = lru_cache(maxsize=64)(self._part_of)

    async def insert_many(self, items: Sequence[MediaFile]) -> _Files:
        """Add several, all or none; as `insert`."""
        await self._insert([(file, None) for file in items])
        return [*items]

    async def insert_of(self, file: MediaFile, event: GalleryEvent) -> None:
        """Add the file of this event, which may be known already or new. Raises as `insert`, and `Conflict` where the
        event has its file."""
        await self._insert([(file, event)])

    async def _insert(self, files: Sequence[tuple[MediaFile, GalleryEvent | None]]) -> None:
        if not files:
            return
        try:
            async with self._db.write() as conn:
                await conn.execute(insert(schema.media), [self.values(file) for file, _ in files])
                for file, event in files:
                    await self._events.filed(conn, file, event)
        except IntegrityError as error:
            raise await self._refusal([file for file, _ in files], error) from error

    async def update(self, item: MediaFile) -> None:
        """Write every field of one. Raises `NotFound` if it is gone."""
        values = self.values(item)
        key = values.pop("uuid")
        async with self._db.write() as conn:
            done = await conn.execute(update(schema.media).where(_C.uuid == key).values(values))
            if not done.rowcount:
                raise NotFound(f"media: no item {key}")
            await self._events.followed(conn, item)

    async def delete(self, keys: Iterable[int] | Iterable[str]) -> None:
        """Remove those there are."""
        await self.remove([str(key) for key in keys])

    async def remove(self, uuids: Sequence[str]) -> Sequence[GalleryEvent]:
        """Remove those there are. Returns the events that went with them."""
        async with self._db.write() as conn:
            await conn.execute(delete(schema.media).where(self._db.among(_C.uuid, uuids)))
            return await self._events.unfiled(conn, uuids)

    async def list(
        self,
        device_ids: Sequence[int],
        *,
        from_: float | None = None,
        to: float | None = None,
        uuids: Iterable[str] | None = None,
        state: MediaState | None = None,
        count: int | None = None,
        reverse: bool = False,
    ) -> _Files:
        """Files of these devices by recording time (`created` in `from_`..`to`, inclusive), oldest first."""
        listed = None if uuids is None else self._db.listed(uuids)
        return await self._db.ask(
            lambda conn: self.items(
                self._history.read(conn, device_ids, from_, to, count, reverse, uuids=listed, state=state)
            )
        )

    async def columns(
        self,
        names: tuple[str, ...],
        device_ids: Sequence[int],
        *,
        from_: float | None = None,
        to: float | None = None,
        uuids: Iterable[str] | None = None,
        count: int | None = None,
        reverse: bool = False,
    ) -> Sequence[Struct]:
        """Of the files that `list` finds only these columns, which are distinct and among `LISTED`: structs with these
        fields in this order, JSON in them as it is stored."""
        listed = None if uuids is None else self._db.listed(uuids)
        history, kind = self._part(names)

        def look(conn: Connection) -> list[Struct]:
            rows = history.read(conn, device_ids, from_, to, count, reverse, uuids=listed)
            return list(starmap(kind, (row[: len(names)] for row in rows)))

        return await self._db.ask(look)

    def _part_of(self, names: tuple[str, ...]) -> tuple[History, type[Struct]]:
        order = (name for name in ("created", "uuid") if name not in names)
        return self._history_of(_shown(name) for name in (*names, *order)), defstruct("MediaPart", names)

    def _history_of(self, columns: Iterable[ColumnElement[Any]]) -> History:
        conditions = {"uuids": self._db.among_named(_C.uuid, "uuids"), "state": _C.state == bindparam("state")}
        return History(self._db, select(*columns), _C.device_id, (_C.created, _C.uuid), **conditions)

    async def unannounced(self) -> _Files:
        """Files that are ready and not announced, in the order they came: the news to catch up on after a crash."""
        query = self.select().where(text("announced = false"), _C.state == MediaState.READY)
        return await self.found(query.order_by(_C.uploaded))

    async def processing(self) -> _Files:
        """Files whose facts, preview or conversion is still to come, in the order they came."""
        query = self.select().where(text("state = 'processing'"))
        return await self.found(query.order_by(_C.uploaded))

    async def oldest_unprotected(self, device_id: int) -> MediaFile | None:
        """The ready file that arrived first and may go; the next to be rotated out."""
        query = (
            self.select()
            .where(_C.device_id == device_id, _C.protected.is_(False), _C.state == MediaState.READY)
            .order_by(_C.uploaded)
            .limit(1)
        )
        found = await self.found(query)
        return found[0] if found else None

    async def rotatable(self, device_id: int) -> int:
        """Bytes that rotation could free: ready files that are not protected, kept originals counted."""
        query = select(func.coalesce(func.sum(_C.size + _C.original_size), 0)).where(
            _C.device_id == device_id, _C.protected.is_(False), _C.state == MediaState.READY
        )
        return int(await self._db.ask(lambda conn: conn.scalar(query)) or 0)

    async def expired(self, now: float, limit: int = 1000) -> _Files:
        """Unprotected files that came longer ago than their device's `media_ttl`, at most `limit`."""
        return await self._db.ask(lambda conn: self._expired(conn, now, limit))

    def _expired(self, conn: Connection, now: float, limit: int) -> _Files:
        d = schema.devices.c
        found: _Files = []
        # From one to the next along the index: DISTINCT would look at every device.
        following = select(d.media_ttl).where(d.media_ttl > bindparam("last")).order_by(d.media_ttl).limit(1)
        ttl: int | None = -1
        while (ttl := conn.scalar(following, {"last": ttl})) is not None:
            self._db.pause(conn)
            old = self.select().where(
                _C.device_id.in_(select(d.id).where(d.media_ttl == ttl)),
                _C.protected.is_(False),
                _C.uploaded < now - ttl,
            )
            found += self.items(conn.execute(old.limit(limit - len(found))))
            if len(found) >= limit:
                break
        return found

    async def sums(self, device_ids: Iterable[int] | None = None) -> dict[int, tuple[int, int]]:
        """Device id → (bytes, files), kept originals counted, previews not. Devices without files are absent."""
        query = select(_C.device_id, func.sum(_C.size + _C.original_size), func.count()).group_by(_C.device_id)
        if device_ids is not None:
            query = query.where(self._db.among(_C.device_id, device_ids))
        return await self._db.ask(
            lambda conn: {device: (int(size), files) for device, size, files in conn.execute(query)}
        )

    async def blob_keys(self) -> set[str]:
        """Every blob key that is still named: served bytes, previews, originals, thumbnails before their file."""
        query = select(_C.blob, _C.preview, _C.original)
        found = await self._db.ask(lambda conn: {key for row in conn.execute(query) for key in row if key})
        return found | await self._events.thumbnails()
