"""Background work on the history: hot rows into chunks, small chunks into larger ones, old messages out.

Every step is one transaction that removes as many rows as it read or changes nothing, so that nodes sharing a database
do not do the same work twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, case, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from . import _chunk_rows as chunk_rows
from . import schema
from ._chunk_rows import FULL, SPAN, C, ChunkRow
from ._chunks import DIGEST, Entry
from .database import Database
from .schema import micros

_H = schema.hot_messages.c
_OLDEST = 2000
_ROWS = 20_000
"""Hot rows moved in one transaction, about."""
_MERGE = 6
"""Small neighbours that are worth merging; fewer if they fill half a chunk."""


class _Lost(Exception):
    """Another node did the work first: undo this transaction and go on."""


async def due(db: Database, cutoff: int, limit: int) -> list[int]:
    """Devices among whose oldest hot rows are some that arrived before `cutoff` (microseconds)."""
    oldest = select(_H.device_id, _H.server_timestamp).where(_H.seq <= limit).order_by(_H.seq).limit(_OLDEST).subquery()
    query = select(oldest.c.device_id).where(oldest.c.server_timestamp < cutoff).distinct()
    return await db.ask(lambda conn: list(conn.execute(query).scalars()))


async def compact(db: Database, turn: asyncio.Lock, device_ids: Sequence[int], limit: int) -> int:
    """Move these devices' hot rows numbered up to `limit` into chunks, then merge their small chunks."""
    moved = 0
    waiting = list(device_ids)
    while waiting:
        taken, seqs = await db.ask(lambda conn: _taken(conn, db, waiting, limit))
        if not seqs:
            break
        packed = await asyncio.to_thread(_packed, taken)
        try:
            async with turn, db.write() as conn:
                done = await conn.execute(delete(schema.hot_messages).where(db.among(_H.seq, seqs)))
                if done.rowcount != len(seqs):
                    raise _Lost
                await chunk_rows.write(conn, packed)
        except _Lost:
            continue
        moved += len(seqs)
        for device_id in taken:
            await _merge(db, device_id)
    return moved


async def expire(db: Database, turn: asyncio.Lock, limits: Mapping[int, tuple[int, int]], now: float) -> int:
    """Remove what arrived longer ago than its device's ttl allows; how many went."""
    cutoffs = {device_id: micros(now - ttl) for device_id, (ttl, _) in limits.items()}
    removed = 0
    first = select(_H.server_timestamp).order_by(_H.seq).limit(1)
    oldest = await db.ask(lambda conn: conn.scalar(first))
    late = [device_id for device_id, cutoff in cutoffs.items() if oldest is not None and oldest < cutoff]
    if late:
        async with turn, db.write() as conn:
            for device_id in late:
                old = (_H.device_id == device_id, _H.server_timestamp < cutoffs[device_id])
                removed += (await conn.execute(delete(schema.hot_messages).where(*old))).rowcount
    by_ttl: dict[int, list[int]] = {}
    for device_id, (ttl, _) in limits.items():
        by_ttl.setdefault(ttl, []).append(device_id)
    for ttl, device_ids in by_ttl.items():
        removed += await _expire_chunks(db, device_ids, micros(now - ttl), micros(ttl * 0.05))
    return removed


async def rotate(db: Database, turn: asyncio.Lock, limits: Mapping[int, tuple[int, int]]) -> int:
    """Remove what arrived first from devices with more bytes than their limit; how many went."""
    rotating = {device_id: rotate for device_id, (_, rotate) in limits.items() if rotate > 0}
    if not rotating:
        return 0
    hot = select(_H.device_id, func.sum(func.length(_H.body))).group_by(_H.device_id)
    cold = select(C.device_id, func.sum(C.size)).group_by(C.device_id)
    sizes = dict.fromkeys(rotating, 0)

    def look(conn: Connection) -> None:
        for query, column in ((hot, _H.device_id), (cold, C.device_id)):
            for device_id, size in conn.execute(query.where(db.among(column, list(rotating)))):
                sizes[device_id] += int(size)

    await db.ask(look)
    removed = 0
    for device_id, size in sizes.items():
        if size > rotating[device_id]:
            async with turn, db.write() as conn:
                removed += await _rotate_device(conn, db, device_id, size - rotating[device_id], rotating[device_id])
    return removed


def _taken(conn: Connection, db: Database, waiting: list[int], limit: int) -> tuple[dict[int, list[Entry]], list[int]]:
    """Entries by device, and the numbers of their rows, of as many waiting devices as make a transaction."""
    taken: dict[int, list[Entry]] = {}
    seqs: list[int] = []
    while waiting and len(seqs) < _ROWS:
        device_id = waiting.pop()
        query = select(_H.seq, _H.timestamp, _H.server_timestamp, _H.digest, _H.body)
        query = query.where(_H.device_id == device_id, _H.seq <= limit).order_by(_H.timestamp).limit(_ROWS)
        rows = list(conn.execute(query))
        if len(rows) == _ROWS:
            waiting.append(device_id)
        if rows:
            taken[device_id] = [Entry(row[1], row[2], row[3][:DIGEST], row[4]) for row in rows]
            seqs += [row[0] for row in rows]
        db.pause(conn)
    return taken, seqs


def _packed(taken: Mapping[int, list[Entry]]) -> list[dict[str, Any]]:
    return [row for device_id, entries in taken.items() for row in chunk_rows.packed(device_id, entries)]


async def _merge(db: Database, device_id: int) -> None:
    """Merge small chunks of a device that lie in one span."""
    small = await db.ask(lambda conn: chunk_rows.find(conn, C.device_id == device_id, C.messages <= FULL // 2))
    for group in _mergeable(small):
        loaded = await db.ask(partial(chunk_rows.load, db=db, chunks=group))
        rows = await asyncio.to_thread(chunk_rows.packed, device_id, await chunk_rows.entries(loaded))
        try:
            async with db.write() as conn:
                if await chunk_rows.remove(conn, db, [chunk.id for chunk in group]) != len(group):
                    raise _Lost
                await chunk_rows.write(conn, rows)
        except _Lost:
            return


def _mergeable(small: Sequence[ChunkRow]) -> list[list[ChunkRow]]:
    """Groups of small chunks of the same span that would make one chunk."""
    spans: dict[tuple[int, int], list[ChunkRow]] = {}
    for chunk in sorted(small, key=lambda chunk: chunk.first):
        spans.setdefault((chunk.first // SPAN, chunk.first_arrival // SPAN), []).append(chunk)
    groups: list[list[ChunkRow]] = []
    for alike in spans.values():
        group: list[ChunkRow] = []
        for chunk in alike:
            if sum(one.messages for one in group) + chunk.messages > FULL:
                groups.append(group)
                group = []
            group.append(chunk)
        groups.append(group)
    return [g for g in groups if len(g) >= _MERGE or (len(g) > 1 and sum(one.messages for one in g) > FULL // 2)]


async def _expire_chunks(db: Database, device_ids: Sequence[int], cutoff: int, slack: int) -> int:
    mine = db.among(C.device_id, device_ids)
    removed = 0
    async with db.write() as conn:
        whole = await conn.run_sync(chunk_rows.find, mine, C.last_arrival < cutoff)
        await chunk_rows.remove(conn, db, [chunk.id for chunk in whole])
        removed += sum(chunk.messages for chunk in whole)
    ending = (mine, C.last_arrival.between(cutoff, cutoff + SPAN), C.first_arrival < cutoff - slack)
    part = await db.ask(lambda conn: chunk_rows.find(conn, *ending))
    for chunk in part:
        async with db.write() as conn:
            if await conn.run_sync(chunk_rows.find, C.id == chunk.id):
                removed += await chunk_rows.rewrite(conn, db, [chunk], lambda entry: entry.arrival >= cutoff)
    return removed


async def _rotate_device(conn: AsyncConnection, db: Database, device_id: int, excess: int, limit: int) -> int:
    """Take `excess` bytes away, first arrivals first: whole chunks, but of a large one only what is needed."""
    removed = 0
    chunks = await conn.run_sync(chunk_rows.find, C.device_id == device_id)
    for chunk in sorted(chunks, key=lambda chunk: chunk.last_arrival):
        if excess <= 0:
            return removed
        if chunk.size <= max(excess, limit // 20):
            await chunk_rows.remove(conn, db, [chunk.id])
            removed += chunk.messages
            excess -= chunk.size
            continue
        loaded = await conn.run_sync(chunk_rows.load, db, [chunk])
        entries = sorted(await chunk_rows.entries(loaded), key=lambda entry: entry.arrival)
        going = 0
        while excess > 0:
            excess -= len(entries[going].body)
            going += 1
        await chunk_rows.remove(conn, db, [chunk.id])
        await chunk_rows.write(conn, await asyncio.to_thread(chunk_rows.packed, device_id, entries[going:]))
        return removed + going
    if excess <= 0:
        return removed
    running = func.sum(func.length(_H.body)).over(order_by=_H.seq) - func.length(_H.body)
    ranked = select(_H.seq, running.label("before")).where(_H.device_id == device_id).subquery()
    going_rows = select(ranked.c.seq).where(case((ranked.c.before < excess, True), else_=False))
    done = await conn.execute(delete(schema.hot_messages).where(_H.seq.in_(going_rows)))
    return removed + done.rowcount
