"""Message history: hot rows for the last minutes, then one compressed chunk a device and time span.

A message is durable when `append` returns and is stored once: the same device, timestamp and digest again is a
duplicate, in the hot rows and in the chunks alike.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from wayframe.model import StoredMessage

from . import _chunk_rows as chunk_rows
from . import _compaction as compaction
from . import schema
from ._chunk_rows import SPAN, C, ChunkRow
from ._chunks import DIGEST, unpack_bodies, unpack_heads
from .database import Database
from .schema import micros, seconds

_H = schema.hot_messages.c
_MANY = 500
"""Beyond so many devices a query goes along the index on time."""
_WINDOW = 86400 * 1_000_000
_PAGE = 1000
_LARGEST_PAGE = 50_000
_GROUP = 50
"""Chunks fetched, or devices changed, at a time."""

Key = tuple[int, int, bytes]
"""Device, timestamp in microseconds, digest: what makes a message the same."""


class HistoryMessage(NamedTuple):
    """A message as read back."""

    device_id: int
    timestamp: float
    """Device time, Unix seconds."""
    server_timestamp: float
    """Arrival, Unix seconds."""
    body: bytes
    """The flat JSON object, byte for byte as stored."""


class _Found(NamedTuple):
    """A message in a window; sorts by time, arrival, device."""

    timestamp: int
    arrival: int
    device_id: int
    body: bytes

    def out(self) -> HistoryMessage:
        return HistoryMessage(self.device_id, seconds(self.timestamp), seconds(self.arrival), self.body)


class MessageStore:
    """The messages of all devices."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._turn = asyncio.Lock()
        self._fresh: Counter[int] = Counter()
        """Rows appended since a device was compacted last; devices far ahead of the others do not wait their turn."""

    async def append(self, messages: Sequence[StoredMessage]) -> list[bool]:
        """Store a batch (100..1,000 is best); durable when it returns. False for each message that was there already.

        Raises `StorageFull` and `Unavailable` as `Database.write`; then none of the batch is stored.
        """
        if not messages:
            return []
        keys = [(m.device_id, micros(m.timestamp), m.digest) for m in messages]
        arrivals = [micros(m.server_timestamp) for m in messages]
        bodies = [m.body for m in messages]
        # One batch at a time, so that `seq` rises in the order of commits and nobody reading behind misses a row.
        async with self._turn, self._db.write() as conn:
            if self._db.sqlite:
                new = await _insert_sqlite(conn, keys, arrivals, bodies)
            else:
                new = await _insert_postgresql(conn, keys, arrivals, bodies)
            late = await self._in_chunks(conn, new)
            for device_id, timestamp, digest in late:
                same = (_H.device_id == device_id, _H.timestamp == timestamp, _H.digest == digest)
                await conn.execute(delete(schema.hot_messages).where(*same))
        new -= late
        stored = []
        for key in keys:
            stored.append(key in new)
            new.discard(key)
        self._fresh.update(key[0] for key, is_new in zip(keys, stored, strict=True) if is_new)
        return stored

    async def last_seq(self) -> int:
        """Number of the row written last, 0 if there never was one. Rows in chunks had smaller numbers."""
        query = select(func.coalesce(func.max(_H.seq), 0))
        return int(await self._db.ask(lambda conn: conn.scalar(query)) or 0)

    async def after(self, seq: int, limit: int = 1000) -> list[tuple[int, StoredMessage]]:
        """Hot rows with a greater number, in that order: what was written and perhaps not announced."""
        query = select(_H.seq, _H.device_id, _H.timestamp, _H.server_timestamp, _H.body, _H.digest)
        query = query.where(_H.seq > seq).order_by(_H.seq).limit(limit)
        rows = await self._db.ask(lambda conn: conn.execute(query).all())
        return [
            (
                row[0],
                StoredMessage(
                    device_id=row[1],
                    timestamp=seconds(row[2]),
                    server_timestamp=seconds(row[3]),
                    body=row[4],
                    digest=row[5],
                ),
            )
            for row in rows
        ]

    async def query(
        self,
        device_ids: Sequence[int],
        from_: float | None = None,
        to: float | None = None,
        count: int | None = None,
        reverse: bool = False,
    ) -> list[HistoryMessage]:
        """Messages of these devices in `from_`..`to` (both inclusive, to the microsecond), oldest first.

        At most `count` over all devices; `reverse` gives the newest first.
        """
        found: list[HistoryMessage] = []
        async for page in self.scan(device_ids, from_, to, reverse, page=min(count or _PAGE, _LARGEST_PAGE)):
            found += page
            if count is not None and len(found) >= count:
                return found[:count]
        return found

    async def scan(
        self,
        device_ids: Sequence[int],
        from_: float | None = None,
        to: float | None = None,
        reverse: bool = False,
        page: int = _PAGE,
        arrived: float | None = None,
    ) -> AsyncIterator[list[HistoryMessage]]:
        """As `query`, in pages of about `page` messages as they are asked for, so that a filter need not load all.

        Each page is a view of one moment; nothing is held between pages. Where all of a chunk came before `arrived` it
        is passed over; messages that came earlier may still be among the others.
        """
        if not device_ids:
            return
        low, high = await self._bounds(device_ids, from_, to)
        width = _WINDOW
        while low <= high:
            window = (max(low, high - width), high) if reverse else (low, min(high, low + width))
            look = partial(
                self._window, device_ids=device_ids, window=window, reverse=reverse, page=page, arrived=arrived
            )
            (start, end), found = await self._db.ask(look)
            if found:
                found.sort(reverse=reverse)
                yield [one.out() for one in found]
            if reverse:
                high = start - 1
            else:
                low = end + 1
            width = max(1, end - start)
            if len(found) < page:
                width *= 4 if found else 16

    async def delete(self, device_ids: Sequence[int], from_: float | None = None, to: float | None = None) -> int:
        """Remove messages of these devices in `from_`..`to` (inclusive); how many there were."""
        low, high = micros(-1e300 if from_ is None else from_), micros(1e300 if to is None else to)
        removed = 0
        for at in range(0, len(device_ids), _GROUP):
            ids = device_ids[at : at + _GROUP]
            async with self._turn, self._db.write() as conn:
                hot = delete(schema.hot_messages).where(self._db.among(_H.device_id, ids))
                removed += (await conn.execute(hot.where(_H.timestamp.between(low, high)))).rowcount
                removed += await self._delete_chunks(conn, ids, low, high)
        return removed

    async def compact(self, now: float, *, older_s: float = 600, rows: int = 1000, announced: int | None = None) -> int:
        """Move messages of devices whose oldest hot row is `older_s` old, or who have more than `rows`, into chunks.

        Small chunks are merged on the way. Rows numbered above `announced` stay. Returns how many rows moved.
        """
        busy = [device_id for device_id, fresh in self._fresh.items() if fresh > rows]
        cutoff, limit = micros(now - older_s), 2**62 if announced is None else announced
        moved = 0
        while busy or (busy := await compaction.due(self._db, cutoff, limit)):
            for device_id in busy:
                self._fresh.pop(device_id, None)
            moved += await compaction.compact(self._db, self._turn, busy, limit)
            busy = []
        return moved

    async def retain(self, limits: Mapping[int, tuple[int, int]], now: float) -> int:
        """Remove what is past its device's limits: device id → (`messages_ttl` s, `messages_rotate` bytes, 0 for none).

        A message lives `ttl` seconds from arrival (in a chunk up to 5 % longer); over `rotate` bytes of plain JSON the
        ones that arrived first go. Returns how many went.
        """
        removed = 0
        devices = sorted(limits)
        for at in range(0, len(devices), _MANY):
            some = {device_id: limits[device_id] for device_id in devices[at : at + _MANY]}
            removed += await compaction.expire(self._db, self._turn, some, now)
            removed += await compaction.rotate(self._db, self._turn, some)
        return removed

    async def _in_chunks(self, conn: AsyncConnection, keys: set[Key]) -> set[Key]:
        """Which of these keys chunks hold already."""
        moments = {(device_id, timestamp) for device_id, timestamp, _ in keys}
        if not moments:
            return set()
        if self._db.sqlite:
            rows = await _rows(conn, _AROUND_SQLITE, msgspec.json.encode(moments).decode())
        else:
            rows = await _rows(conn, _AROUND_POSTGRESQL, *map(list, zip(*moments, strict=True)))
        held: set[Key] = set()
        for device_id, first, last, count, heads in rows:
            inside = [key for key in keys if key[0] == device_id and first <= key[1] <= last]
            there = unpack_heads(heads, count)
            known = set(zip(there.timestamps, there.digests, strict=True))
            held.update(key for key in inside if (key[1], key[2][:DIGEST]) in known)
        return held

    async def _bounds(self, device_ids: Sequence[int], from_: float | None, to: float | None) -> tuple[int, int]:
        """The range asked for, narrowed to where there are messages at all."""
        # Each extreme is one step in an index for one device or for all, but not for some.
        mine = f"WHERE device_id = {device_ids[0]:d}" if len(device_ids) == 1 else ""
        extremes = _EXTREMES.format(mine=mine)
        hot_low, hot_high, cold_low, cold_high = await self._db.ask(lambda conn: conn.exec_driver_sql(extremes).one())
        low = min((value for value in (hot_low, cold_low and cold_low - SPAN) if value is not None), default=1)
        high = max((value for value in (hot_high, cold_high) if value is not None), default=0)
        return (
            low if from_ is None else max(low, micros(from_)),
            high if to is None else min(high, micros(to)),
        )

    def _window(
        self,
        conn: Connection,
        device_ids: Sequence[int],
        window: tuple[int, int],
        reverse: bool,
        page: int,
        arrived: float | None,
    ) -> tuple[tuple[int, int], list[_Found]]:
        """What the window holds; the window returned is smaller than the one asked for if that would be too much."""
        start, end = window
        chunks = self._chunks_in(conn, device_ids, start, end)
        if arrived is not None:
            chunks = [chunk for chunk in chunks if chunk.last_arrival >= micros(arrived)]
        room = min(max(page, 20 * len(chunks)), _LARGEST_PAGE)
        start, end = _narrowed(chunks, start, end, room, reverse)
        rows, (start, end) = self._hot_in(conn, device_ids, start, end, room, reverse)
        found = [_Found(*row) for row in rows]
        overlapping = [chunk for chunk in chunks if chunk.first <= end and chunk.last >= start]
        for at in range(0, len(overlapping), _GROUP):
            found += self._unpacked(conn, overlapping[at : at + _GROUP], start, end)
        return (start, end), found

    def _hot_in(
        self, conn: Connection, device_ids: Sequence[int], start: int, end: int, room: int, reverse: bool
    ) -> tuple[list[tuple[int, int, int, bytes]], tuple[int, int]]:
        """Hot rows in the window, which shrinks if there are more than `room`; never through one microsecond."""
        column = _H.device_id if len(device_ids) <= _MANY else _H.device_id + 0
        query = select(_H.timestamp, _H.server_timestamp, _H.device_id, _H.body)
        query = query.where(self._db.among(column, device_ids), _H.timestamp.between(start, end))
        order = _H.timestamp.desc() if reverse else _H.timestamp
        rows = [tuple(row) for row in conn.execute(query.order_by(order).limit(room + 1))]
        if len(rows) <= room:
            return rows, (start, end)
        edge = rows[-1][0]
        if edge == rows[0][0]:  # more than fits at one moment: take that moment whole
            rows = [tuple(row) for row in conn.execute(query.where(_H.timestamp == edge))]
            return rows, (edge, end) if reverse else (start, edge)
        rows = [row for row in rows if row[0] != edge]
        return rows, (edge + 1, end) if reverse else (start, edge - 1)

    def _chunks_in(self, conn: Connection, device_ids: Sequence[int], start: int, end: int) -> list[ChunkRow]:
        column = C.device_id if len(device_ids) <= _MANY else C.device_id + 0
        return chunk_rows.find(
            conn, self._db.among(column, device_ids), C.last.between(start, end + SPAN), C.first <= end
        )

    def _unpacked(self, conn: Connection, chunks: Iterable[ChunkRow], start: int, end: int) -> list[_Found]:
        found: list[_Found] = []
        wanted = self._db.among(C.id, [chunk.id for chunk in chunks])
        for device_id, count, heads, body in list(
            conn.execute(select(C.device_id, C.messages, C.heads, C.body).where(wanted))
        ):
            there = unpack_heads(heads, count)
            inside = [start <= timestamp <= end for timestamp in there.timestamps]
            if True not in inside:
                continue
            first = inside.index(True)
            stop = first + inside.count(True)  # timestamps ascend, so those inside are neighbours
            bodies = unpack_bodies(body, first, stop)
            found += [
                _Found(there.timestamps[at], there.arrivals[at], device_id, text)
                for at, text in enumerate(bodies, start=first)
            ]
            self._db.pause(conn)  # a chunk takes a millisecond or two: others get their turn between
        return found

    async def _delete_chunks(self, conn: AsyncConnection, ids: Sequence[int], low: int, high: int) -> int:
        mine = self._db.among(C.device_id, ids)
        chunks = await conn.run_sync(chunk_rows.find, mine, C.last >= low, C.first <= high)
        whole = [chunk for chunk in chunks if low <= chunk.first and chunk.last <= high]
        await chunk_rows.remove(conn, self._db, [chunk.id for chunk in whole])
        removed = sum(chunk.messages for chunk in whole)
        for chunk in set(chunks) - set(whole):
            removed += await chunk_rows.rewrite(
                conn, self._db, [chunk], lambda entry: not low <= entry.timestamp <= high
            )
        return removed


def _narrowed(chunks: Sequence[ChunkRow], start: int, end: int, room: int, reverse: bool) -> tuple[int, int]:
    """The part of a window, from where reading goes on, that holds about `room` messages of these chunks."""
    if _expected(chunks, start, end) <= 2 * room:
        return start, end
    near, far = (end, start) if reverse else (start, end)
    short, long = near, far
    while abs(long - short) > 1:
        middle = (short + long) // 2
        expected = _expected(chunks, min(near, middle), max(near, middle))
        if room <= expected <= 1.5 * room:
            short = middle
            break
        if expected < room:
            short = middle
        else:
            long = middle
    return min(near, short), max(near, short)


def _expected(chunks: Sequence[ChunkRow], start: int, end: int) -> float:
    """Messages of these chunks in a span, taking each chunk to be spread evenly."""
    expected = 0.0
    for chunk in chunks:
        inside = min(chunk.last, end) - max(chunk.first, start) + 1
        if inside > 0:
            expected += chunk.messages * inside / (chunk.last - chunk.first + 1)
    return expected


async def _insert_sqlite(
    conn: AsyncConnection, keys: Sequence[Key], arrivals: Sequence[int], bodies: Sequence[bytes]
) -> set[Key]:
    """Insert what is new; returns its keys. The writer is alone, so what has a greater number is of this batch."""
    ((last,),) = await _rows(conn, "SELECT coalesce(max(seq), 0) FROM hot_messages")
    rows = [(*key, arrival, body) for key, arrival, body in zip(keys, arrivals, bodies, strict=True)]
    await conn.exec_driver_sql(
        "INSERT INTO hot_messages (device_id, timestamp, digest, server_timestamp, body) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (device_id, timestamp, digest) DO NOTHING",
        rows,
    )
    new = await _rows(conn, "SELECT device_id, timestamp, digest FROM hot_messages WHERE seq > ?", last)
    return {(row[0], row[1], row[2]) for row in new}


async def _insert_postgresql(
    conn: AsyncConnection, keys: Sequence[Key], arrivals: Sequence[int], bodies: Sequence[bytes]
) -> set[Key]:
    """Insert what is new, as arrays in one statement; returns its keys."""
    devices, times, digests = map(list, zip(*keys, strict=True))
    rows = await _rows(
        conn,
        "INSERT INTO hot_messages (device_id, timestamp, digest, server_timestamp, body) "
        "SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bytea[]) "
        "ON CONFLICT (device_id, timestamp, digest) DO NOTHING RETURNING device_id, timestamp, digest",
        devices,
        times,
        digests,
        list(arrivals),
        list(bodies),
    )
    return {(row[0], row[1], row[2]) for row in rows}


async def _rows(conn: AsyncConnection, sql: str, *parameters: Any) -> list[Any]:
    """Rows of a statement in the database's own words, for what runs once a batch."""
    return list(await conn.exec_driver_sql(sql, parameters or None))


_EXTREMES = (
    "SELECT (SELECT min(timestamp) FROM hot_messages {mine}), (SELECT max(timestamp) FROM hot_messages {mine}), "
    "(SELECT min(last) FROM message_chunks {mine}), (SELECT max(last) FROM message_chunks {mine})"
)
_AROUND = (
    "SELECT device_id, first, last, messages, heads FROM message_chunks WHERE id IN ("
    "SELECT c.id FROM {moments} JOIN message_chunks c "
    f"ON c.device_id = {{device}} AND c.last >= {{time}} AND c.last <= {{time}} + {SPAN} AND c.first <= {{time}})"
)
_AROUND_SQLITE = _AROUND.format(
    moments="json_each(?) m CROSS",  # CROSS keeps SQLite from starting at the chunks
    device="json_extract(m.value, '$[0]')",
    time="json_extract(m.value, '$[1]')",
)
_AROUND_POSTGRESQL = _AROUND.format(
    moments="unnest($1::bigint[], $2::bigint[]) m(device_id, at)", device="m.device_id", time="m.at"
)
