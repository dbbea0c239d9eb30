"""Events of the gallery and their counts, which change together, in the transaction of the media file they tell of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, text
from sqlalchemy import insert as sql_insert
from sqlalchemy import update as sql_update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from wayframe.model import Conflict, MediaFile
from wayframe.model.gallery import (
    OPEN,
    EventCount,
    EventQuery,
    EventSource,
    EventState,
    GalleryEvent,
    event_of,
    fingerprint,
)

from . import _gallery_pages as pages
from . import _gallery_schema as schema
from ._rows import Rows
from .database import Database
from .schema import media as media_table

_C = schema.gallery_events.c
_COUNTS = schema.gallery_counts
_COUNT = text(
    "INSERT INTO gallery_counts (device_id, media_type, events, size, fresh, viewed) "
    "VALUES (:device_id, :media_type, :events, :size, :fresh, :viewed) "
    "ON CONFLICT (device_id, media_type) DO UPDATE SET events = gallery_counts.events + excluded.events, "
    "size = gallery_counts.size + excluded.size, fresh = gallery_counts.fresh + excluded.fresh, "
    "viewed = gallery_counts.viewed + excluded.viewed"
)
_COUNTS_OF = select(*_COUNTS.c).where(_COUNTS.c.device_id == bindparam("device")).order_by(_COUNTS.c.media_type)
_NUMBERS = ("events", "size", "fresh", "viewed")
_SLICE = 1000

Deltas = dict[tuple[int, str], list[int]]
"""(device, media type) → what its count changes by, in the order of `_NUMBERS`."""


class GalleryTable(Rows[GalleryEvent]):
    """Events. Whatever changes one here changes its count with it."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, schema.gallery_events, GalleryEvent)

    def values(self, item: GalleryEvent) -> dict[str, Any]:
        return super().values(item) | {
            "stem": item.stem,
            "file_uuid": item.file_uuid or None,
            "viewed": bool(item.viewed_by),
        }

    def items(self, rows: Iterable[Any]) -> list[GalleryEvent]:
        return [replace(event, file_uuid=event.file_uuid or "") for event in super().items(rows)]

    # --- reading ------------------------------------------------------------------------------------------------

    async def page(
        self, device_id: int, query: EventQuery
    ) -> tuple[list[GalleryEvent], dict[str, MediaFile], int | None]:
        """Events of a device, the files they have (by uuid), and how many events fit in all; as of one moment.

        How many is None where neither the page nor the counts say it, and there are more than some thousand.
        """
        chosen = self.select().where(*pages.conditions(device_id, query)).order_by(*pages.order(query.sort))

        def look(conn: Connection) -> tuple[list[GalleryEvent], dict[str, MediaFile], int | None]:
            events = self.items(conn.execute(chosen.limit(query.limit).offset(query.offset)))
            if query.counted:
                counts = _counts(conn, device_id)
                total = sum(one.events for one in counts if query.media_type in (None, one.media_type))
                return events, self._files(conn, events), total
            if len(events) < query.limit and (events or not query.offset):
                return events, self._files(conn, events), query.offset + len(events)
            seen = int(conn.execute(pages.counting(device_id, query)).scalar_one())
            return events, self._files(conn, events), seen if seen <= pages.MOST_COUNTED else None

        return await self._db.ask(look)

    def _files(self, conn: Connection, events: Sequence[GalleryEvent]) -> dict[str, MediaFile]:
        uuids = [event.file_uuid for event in events if event.file_uuid]
        if not uuids:
            return {}
        files = Rows(self._db, media_table, MediaFile, key="uuid")
        query = files.select().where(self._db.among(media_table.c.uuid, uuids))
        return {file.uuid: file for file in files.items(conn.execute(query))}

    async def of_file(self, uuid: str) -> GalleryEvent | None:
        """The event of a media file."""
        return await self._one(_C.file_uuid == uuid)

    async def named(self, device_id: int, name: str, stem: str) -> list[GalleryEvent]:
        """Visible events of a device that go by this name, or by this stem; two at most: more is ambiguous."""
        # The stems first, in one list: planners find them by the index, and an OR of pairs by reading the whole device.
        mine = (_C.device_id == device_id, schema.EVENT_VISIBLE, _C.stem.in_({stem, name}))
        query = self.select().where(*mine, (_C.name == name) | (_C.stem == name))
        return await self.found(query.limit(2))

    async def same(self, device_id: int, source_key: str, sha256: str) -> GalleryEvent | None:
        """An event of a device whose file came under this name with these very bytes."""
        media = media_table.c
        query = (
            self.select()
            .join(media_table, media.uuid == _C.file_uuid)
            .where(
                _C.device_id == device_id,
                _C.fingerprint == fingerprint(sha256),
                _C.source_key == source_key,
                media.source_sha256 == sha256,
            )
        )
        found = await self.found(query.limit(1))
        return found[0] if found else None

    async def harvested(self, device_id: int, source_keys: Sequence[str]) -> set[str]:
        """Which of these paths of a device are known already, deleted ones too."""
        query = select(_C.source_key).where(
            _C.device_id == device_id, schema.EVENT_HARVESTED, self._db.among(_C.source_key, source_keys)
        )
        return await self._db.ask(lambda conn: set(conn.execute(query).scalars()))

    async def open_pulls(self) -> list[GalleryEvent]:
        """Every event that is to be pulled."""
        return await self._many(schema.EVENT_OPEN)

    async def to_pull(self, device_id: int, now: float, since: float, most: int) -> list[GalleryEvent]:
        """Events of a device that may be pulled without being asked for, oldest first: new ones, and those added since
        whose pull came to nothing and may be tried again. With those that are to be pulled already at most `most`."""
        mine = self.select().where(_C.device_id == device_id, schema.EVENT_FRESH)
        failed = (_C.state == EventState.FAILED) & (_C.not_before <= now) & (_C.added > since)
        open_ = mine.where(_C.state.in_(OPEN)).order_by(_C.created, _C.id).limit(most)
        wanted = mine.where((_C.state == EventState.NEW) | failed).order_by(_C.created, _C.id)

        def look(conn: Connection) -> list[GalleryEvent]:
            room = most - len(self.items(conn.execute(open_)))
            return self.items(conn.execute(wanted.limit(max(0, room))))

        return await self._db.ask(look)

    async def stale_links(self, now: float, limit: int = 1000) -> list[GalleryEvent]:
        """Events of upload links that ended without a file."""
        query = self.select().where(schema.EVENT_PENDING, _C.expires < now)
        return await self.found(query.limit(limit))

    async def counts(self, device_id: int) -> list[EventCount]:
        """The counts of a device, by type; none for types without events."""
        return await self._db.ask(lambda conn: _counts(conn, device_id))

    async def thumbnails(self) -> set[str]:
        """Blobs of thumbnails that wait for their media."""
        query = select(_C.thumbnail).where(schema.EVENT_PICTURED)
        return await self._db.ask(lambda conn: set(conn.execute(query).scalars()))

    async def _one(self, where: ColumnElement[bool]) -> GalleryEvent | None:
        found = await self.found(self.select().where(where).limit(1))
        return found[0] if found else None

    async def _many(self, where: Any) -> list[GalleryEvent]:
        return await self.found(self.select().where(where).order_by(_C.added))

    # --- writing ------------------------------------------------------------------------------------------------

    async def insert_many(self, items: Sequence[GalleryEvent]) -> list[GalleryEvent]:
        """Add several, all or none. Raises `Conflict` for a harvested path that is known, `NotFound` without its
        device."""
        if not items:
            return []
        try:
            async with self._db.write() as conn:
                await self.add(conn, items)
        except IntegrityError as error:
            raise await self._refusal(items, error) from error
        return list(items)

    async def change(self, event_id: str, allowed: Sequence[EventState] | None = None, **changes: Any) -> GalleryEvent:
        """Change fields of an event, if it is in one of these states. Returns it as it is then.

        Raises `Conflict` where it is gone or in another state.
        """
        async with self._db.write() as conn:
            before = await self._locked(conn, _C.id == event_id)
            if before is None or (allowed is not None and before.state not in allowed):
                raise Conflict(f"the event {event_id} was changed meanwhile")
            after = replace(before, **changes)
            await self._write(conn, before, after)
        return after

    async def remove(self, event_id: str) -> None:
        """Forget an event without a file; a harvested one stays hidden."""
        async with self._db.write() as conn:
            before = await self._locked(conn, _C.id == event_id)
            if before is not None:
                await self._forget(conn, [before])

    # --- in the transaction of media files ----------------------------------------------------------------------

    async def add(self, conn: AsyncConnection, events: Sequence[GalleryEvent]) -> None:
        """Insert events and count them."""
        await conn.execute(sql_insert(schema.gallery_events), [self.values(event) for event in events])
        await _count(conn, _deltas([], events))

    async def filed(self, conn: AsyncConnection, file: MediaFile, event: GalleryEvent | None) -> None:
        """A file was inserted: give it its event.

        `event`: the one it belongs to, new or known; None: that of the command which asked for it, else a new one.
        """
        waiting = None
        if event is not None:
            waiting = await self._locked(conn, _C.id == event.id)
        elif file.command_id:
            by_command = (_C.device_id == file.device_id) & (_C.command_id == file.command_id) & schema.EVENT_OPEN
            waiting = await self._locked(conn, by_command)
        made = event or event_of(file)
        if waiting is None:
            await self.add(conn, [_with_file(made, file, EventState.STORED)])
            return
        if waiting.file_uuid:
            raise Conflict(f"the event {waiting.id} has its file already")
        pulled = waiting.state is not EventState.PENDING
        state = EventState.PULLED if pulled else EventState.STORED
        after = replace(
            _with_file(waiting, file, state),
            pulled_at=file.uploaded if pulled else 0.0,
            thumbnail="", expires=0.0, not_before=0.0, mark="", error="",
        )  # fmt: skip
        await self._write(conn, waiting, after)

    async def followed(self, conn: AsyncConnection, file: MediaFile) -> None:
        """A file changed: its event follows."""
        before = await self._locked(conn, _C.file_uuid == file.uuid)
        if before is not None and (before.name, before.size) != (file.name, file.size):
            await self._write(conn, before, replace(before, name=file.name, size=file.size))

    async def unfiled(self, conn: AsyncConnection, uuids: Iterable[str]) -> list[GalleryEvent]:
        """Files were deleted: their events go too. Returns those."""
        query = self.select().where(self._db.among(_C.file_uuid, uuids)).order_by(_C.id).with_for_update()
        events = self.items(await conn.execute(query))
        await self._forget(conn, events)
        return events

    async def _forget(self, conn: AsyncConnection, events: Sequence[GalleryEvent]) -> None:
        if not events:
            return
        kept = [event.id for event in events if event.source is EventSource.HARVEST]
        gone = [event.id for event in events if event.source is not EventSource.HARVEST]
        if gone:
            await conn.execute(delete(schema.gallery_events).where(self._db.among(_C.id, gone)))
        if kept:
            hidden = {
                "state": EventState.DELETED, "file_uuid": None, "fingerprint": 0, "command_id": 0, "thumbnail": ""
            }  # fmt: skip
            await conn.execute(sql_update(schema.gallery_events).where(self._db.among(_C.id, kept)).values(hidden))
        await _count(conn, _deltas(events, []))

    async def _locked(self, conn: AsyncConnection, where: Any) -> GalleryEvent | None:
        """An event, nobody else's to change until the transaction ends."""
        found = self.items(await conn.execute(self.select().where(where).limit(1).with_for_update()))
        return found[0] if found else None

    async def _write(self, conn: AsyncConnection, before: GalleryEvent, after: GalleryEvent) -> None:
        values = self.values(after)
        del values["id"]
        await conn.execute(sql_update(schema.gallery_events).where(_C.id == before.id).values(values))
        await _count(conn, _deltas([before], [after]))

    # --- at the start -------------------------------------------------------------------------------------------

    async def repair(self) -> list[str]:
        """Make events agree with files, and counts with events. Returns sentences about what was wrong."""
        repaired: list[str] = []
        async with self._db.write() as conn:
            media = media_table.c
            there = select(_C.file_uuid).where(_C.file_uuid == media.uuid).exists()
            files = Rows(self._db, media_table, MediaFile, key="uuid")
            lacking = files.items(await conn.execute(files.select().where(~there)))
            for start in range(0, len(lacking), _SLICE):
                await self.add(conn, [event_of(file) for file in lacking[start : start + _SLICE]])
            if lacking:
                repaired.append(f"made gallery events for {len(lacking)} media files that had none")
            known = select(media.uuid).where(media.uuid == _C.file_uuid).exists()
            stray = self.items(await conn.execute(self.select().where(_C.file_uuid.is_not(None), ~known)))
            await self._forget(conn, stray)
            if stray:
                repaired.append(f"removed {len(stray)} gallery events whose files are gone")
            wrong = await self._recount(conn)
            if wrong:
                repaired.append(f"corrected the gallery counts of {wrong} devices and types")
        return repaired

    async def _recount(self, conn: AsyncConnection) -> int:
        grouped = (
            select(
                _C.device_id,
                _C.media_type,
                func.count(),
                func.sum(_C.size),
                func.count().filter(_C.file_uuid.is_(None)),
                func.count().filter(_C.viewed.is_(True)),
            )
            .where(schema.EVENT_VISIBLE)
            .group_by(_C.device_id, _C.media_type)
        )
        right = {(row[0], row[1]): [int(number) for number in row[2:]] for row in await conn.execute(grouped)}
        noted = {
            (row.device_id, row.media_type): [row.events, row.size, row.fresh, row.viewed]
            for row in await conn.execute(select(*_COUNTS.c))
        }
        zero = [0, 0, 0, 0]
        deltas = {
            key: [be - is_ for be, is_ in zip(right.get(key, zero), noted.get(key, zero), strict=True)]
            for key in right.keys() | noted.keys()
        }
        wrong = {key: delta for key, delta in deltas.items() if any(delta)}
        await _count(conn, wrong)
        return len(wrong)


def _counts(conn: Connection, device_id: int) -> list[EventCount]:
    counts = [EventCount(**row._mapping) for row in conn.execute(_COUNTS_OF, {"device": device_id})]
    return [count for count in counts if count.events]


def _with_file(event: GalleryEvent, file: MediaFile, state: EventState) -> GalleryEvent:
    return replace(
        event, state=state, file_uuid=file.uuid, name=file.name, size=file.size, created=file.created,
        fingerprint=fingerprint(file.source_sha256),
    )  # fmt: skip


def _deltas(before: Iterable[GalleryEvent], after: Iterable[GalleryEvent]) -> Deltas:
    deltas: Deltas = {}
    for sign, events in ((-1, before), (1, after)):
        for event in events:
            if event.visible:
                numbers = deltas.setdefault((event.device_id, event.media_type), [0, 0, 0, 0])
                for index, value in enumerate((1, event.size, not event.file_uuid, bool(event.viewed_by))):
                    numbers[index] += sign * int(value)
    return deltas


async def _count(conn: AsyncConnection, deltas: Mapping[tuple[int, str], Sequence[int]]) -> None:
    """Add to the counts, always in one order, so that transactions do not lock each other out."""
    rows = [
        {"device_id": device_id, "media_type": media_type, **dict(zip(_NUMBERS, numbers, strict=True))}
        for (device_id, media_type), numbers in sorted(deltas.items())
        if any(numbers)
    ]
    if rows:
        await conn.execute(_COUNT, rows)
