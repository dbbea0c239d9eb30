"""Chunks as rows: found by device and time, read, written and rewritten inside a caller's transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from . import schema
from ._chunks import Entry, pack, unpack
from .database import Database

C = schema.message_chunks.c
SPAN = 8 * 86400 * 1_000_000
"""Microseconds a chunk covers at most, by device time and by arrival: so that looking for what overlaps a moment, or
for what is old enough to go, need not look at every chunk."""
FULL = 512
"""Messages a chunk holds at most."""


class ChunkRow(NamedTuple):
    """A chunk without its contents. Times in microseconds."""

    id: int
    device_id: int
    first: int
    last: int
    first_arrival: int
    last_arrival: int
    messages: int
    size: int
    """Bytes of the messages as plain JSON."""


_COLUMNS = [C[name] for name in ChunkRow._fields]


def find(conn: Connection, *where: Any) -> list[ChunkRow]:
    """Chunks under a condition."""
    return [ChunkRow(*row) for row in conn.execute(select(*_COLUMNS).where(*where))]


def load(conn: Connection, db: Database, chunks: Iterable[ChunkRow]) -> list[Any]:
    """What these chunks hold, for `entries`."""
    wanted = db.among(C.id, [chunk.id for chunk in chunks])
    return list(conn.execute(select(C.heads, C.body, C.messages).where(wanted)))


async def entries(loaded: Iterable[Any]) -> list[Entry]:
    """Every entry of loaded chunks, unsorted; unpacked in a thread."""
    return await asyncio.to_thread(lambda: [entry for row in loaded for entry in unpack(row[0], row[1], row[2])])


def packed(device_id: int, unpacked: Iterable[Entry]) -> list[dict[str, Any]]:
    """Rows that hold these entries, cut so that no chunk is longer than `FULL` or covers more than `SPAN`.

    Takes milliseconds a chunk: for a thread.
    """
    return [_row(device_id, piece) for piece in _pieces(sorted(unpacked))]


async def write(conn: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Add packed rows."""
    if rows:
        await conn.execute(insert(schema.message_chunks), list(rows))


async def remove(conn: AsyncConnection, db: Database, ids: Sequence[int]) -> int:
    """Remove chunks; how many there were."""
    if not ids:
        return 0
    done = await conn.execute(delete(schema.message_chunks).where(db.among(C.id, ids)))
    return done.rowcount


async def rewrite(
    conn: AsyncConnection, db: Database, chunks: Sequence[ChunkRow], keep: Callable[[Entry], bool]
) -> int:
    """Put chunks of one device anew with only the entries to keep; how many went."""
    if not chunks:
        return 0
    held = await entries(await conn.run_sync(load, db, chunks))
    kept = [entry for entry in held if keep(entry)]
    if len(kept) == len(held):
        return 0
    await remove(conn, db, [chunk.id for chunk in chunks])
    await write(conn, await asyncio.to_thread(packed, chunks[0].device_id, kept))
    return len(held) - len(kept)


def _row(device_id: int, piece: Sequence[Entry]) -> dict[str, Any]:
    heads, body = pack(piece)
    arrivals = [entry.arrival for entry in piece]
    return {
        "device_id": device_id,
        "first": piece[0].timestamp,
        "last": piece[-1].timestamp,
        "first_arrival": min(arrivals),
        "last_arrival": max(arrivals),
        "messages": len(piece),
        "size": sum(len(entry.body) for entry in piece),
        "heads": heads,
        "body": body,
    }


def _pieces(unpacked: list[Entry]) -> Iterable[list[Entry]]:
    """Cut into chunks: the same span of time and of arrivals in one, no more than `FULL`."""
    spans = sorted(unpacked, key=_span)  # stable: the order of time stays within a span
    for _, group in groupby(spans, key=_span):
        alike = list(group)
        parts = -(-len(alike) // FULL)
        size = -(-len(alike) // parts)  # even parts rather than a full one and a rest
        for at in range(0, len(alike), size):
            yield alike[at : at + size]


def _span(entry: Entry) -> tuple[int, int]:
    return entry.timestamp // SPAN, entry.arrival // SPAN
