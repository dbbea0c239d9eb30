"""The questions the storage modules ask growing tables, and how a database means to answer them.

`test_storage_database` asks them on a small database, `bench/rest_cost.py` on a large one.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from wayframe.model import StoredMessage
from wayframe.model.gallery import FRESH, EventQuery, EventState
from wayframe.storage import (
    CommandTable,
    Database,
    DeviceTable,
    GalleryKeyTable,
    GalleryTable,
    LogTable,
    MediaTable,
    MessageStore,
    PacketTable,
)

GROWING = (
    "devices", "media", "commands", "logs", "hot_messages", "message_chunks", "gallery_events", "gallery_counts",
    "gallery_keys", "packets",
)  # fmt: skip
OPEN_THINGS = ("media_processing", "media_unannounced", "commands_open", "gallery_open", "gallery_pending",
               "gallery_pictured")  # fmt: skip
"""Indexes that hold only what is still to be done."""

QUESTIONS: dict[str, Callable[[Database], Any]] = {
    "media of some": lambda db: MediaTable(db).list([1, 2], from_=5, to=6),
    "media columns": lambda db: MediaTable(db).columns(("name", "meta"), [1], from_=5, to=6),
    "media newest": lambda db: MediaTable(db).list([1], count=10, reverse=True),
    "media newest of some": lambda db: MediaTable(db).list([1, 2, 3], count=10, reverse=True),
    "media by uuid": lambda db: MediaTable(db).get("A"),
    "media unannounced": lambda db: MediaTable(db).unannounced(),
    "media processing": lambda db: MediaTable(db).processing(),
    "media to rotate": lambda db: MediaTable(db).oldest_unprotected(1),
    "media expired": lambda db: MediaTable(db).expired(1e9),
    "media sums of some": lambda db: MediaTable(db).sums([1, 2]),
    "media delete": lambda db: MediaTable(db).delete(["A", "B"]),
    "events of a device": lambda db: GalleryTable(db).page(1, EventQuery(offset=100)),
    "events of a type": lambda db: GalleryTable(db).page(1, EventQuery(media_type="video")),
    "events that failed": lambda db: GalleryTable(db).page(1, EventQuery(states=(EventState.FAILED,))),
    "events with bytes": lambda db: GalleryTable(db).page(1, EventQuery(states=(EventState.STORED, EventState.PULLED))),
    "events between": lambda db: GalleryTable(db).page(1, EventQuery(from_=5, to=6, flagged=False)),
    "events flagged of a type": lambda db: GalleryTable(db).page(1, EventQuery(flagged=True, media_type="video")),
    "events viewed": lambda db: GalleryTable(db).page(1, EventQuery(viewer="token:1", sort="name")),
    "events searched": lambda db: GalleryTable(db).page(1, EventQuery(q="clip", states=FRESH, sort="-size")),
    "events by name": lambda db: GalleryTable(db).page(1, EventQuery(sort="name", q="a")),
    "events by size": lambda db: GalleryTable(db).page(1, EventQuery(sort="-size", media_type="video")),
    "event by id": lambda db: GalleryTable(db).get("evt_1"),
    "event of a file": lambda db: GalleryTable(db).of_file("AB"),
    "event by name": lambda db: GalleryTable(db).named(1, "a.jpg", "a"),
    "event with the same bytes": lambda db: GalleryTable(db).same(1, "a.jpg", "ab" * 32),
    "events harvested": lambda db: GalleryTable(db).harvested(1, ["/a", "/b"]),
    "events to pull": lambda db: GalleryTable(db).open_pulls(),
    "events to pull of a device": lambda db: GalleryTable(db).to_pull(1, 9, 5, 10),
    "events of stale links": lambda db: GalleryTable(db).stale_links(5),
    "event counts": lambda db: GalleryTable(db).counts(1),
    "upload key": lambda db: GalleryKeyTable(db).of_device(1, "k"),
    "upload keys purged": lambda db: GalleryKeyTable(db).purge(5),
    "event thumbnails": lambda db: GalleryTable(db).thumbnails(),
    "event removal": lambda db: GalleryTable(db).remove("evt_1"),
    "device delete": lambda db: DeviceTable(db).delete([3]),
    "commands pending": lambda db: CommandTable(db).pending_for(1),
    "commands unfinished": lambda db: CommandTable(db).unfinished(),
    "commands results": lambda db: CommandTable(db).results([1, 2], from_=5, to=6),
    "commands newest results": lambda db: CommandTable(db).results([1, 2], count=5, reverse=True),
    "commands one result": lambda db: CommandTable(db).results([1, 2], id=5),
    "commands purge": lambda db: CommandTable(db).purge(5),
    "logs of one": lambda db: LogTable(db).query(11, [1], from_=5, to=6, count=10),
    "logs newest of some": lambda db: LogTable(db).query(11, [1, 2], count=10, reverse=True),
    "logs newest of many": lambda db: LogTable(db).query(11, range(2000), from_=5, count=10, reverse=True),
    "logs newest of an account": lambda db: LogTable(db).of_accounts([1], count=10, reverse=True),
    "logs of one type of accounts": lambda db: LogTable(db).of_accounts([1, 2], origin_type=11, from_=5, count=10),
    "logs purge": lambda db: LogTable(db).purge(5),
    "packets of some": lambda db: PacketTable(db).query([1, 2], from_=5, to=6),
    "packets newest": lambda db: PacketTable(db).query([1], count=5, reverse=True),
    "packets kept": lambda db: PacketTable(db).keep_newest(1, 2),
    "packets of a device purged": lambda db: PacketTable(db).purge_of([1], 5),
    "packets of idents purged": lambda db: PacketTable(db).purge_of([-1, -2], 5),
    "packets purge": lambda db: PacketTable(db).purge(5),
    "packets delete": lambda db: PacketTable(db).delete([1, 2]),
    "messages append": lambda db: MessageStore(db).append(
        [StoredMessage(device_id=n, timestamp=9, server_timestamp=9, body=b"{}", digest=bytes(16)) for n in (1, 2)]
    ),
    "messages of one": lambda db: MessageStore(db).query([1], 5, 6),
    "messages newest of some": lambda db: MessageStore(db).query([1, 2, 3], count=10, reverse=True),
    "messages newest of many": lambda db: MessageStore(db).query(range(2000), count=10, reverse=True),
    "messages after": lambda db: MessageStore(db).after(0),
    "messages last": lambda db: MessageStore(db).last_seq(),
    "messages delete": lambda db: MessageStore(db).delete([1, 2], 5, 6),
    "messages compact": lambda db: MessageStore(db).compact(1e6),
    "messages retain": lambda db: MessageStore(db).retain({1: (60, 1000), 2: (60, 0), 3: (90, 10)}, 1e6),
}


@asynccontextmanager
async def watched(db: Database) -> AsyncIterator[list[tuple[str, Any]]]:
    """Statements that touch a growing table, as they reach the database."""
    seen: list[tuple[str, Any]] = []

    def note(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "DELETE", "UPDATE")):
            seen.append((statement, parameters[0] if many and parameters else parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def scans(steps: list[str], statement: str) -> set[str]:
    """Growing tables that a plan reads from end to end.

    An index of open things only is meant to be read whole. SQLite also says SCAN for reading in the order of the key
    until a LIMIT; that is no scan unless it sorts after.
    """
    steps = [step for step in steps if not step.endswith(OPEN_THINGS)]
    found = {name for step in steps for name in re.findall(r"(?:SCAN|Seq Scan on) (\w+)", step)}
    if "LIMIT" in statement and not any("TEMP B-TREE FOR ORDER BY" in step for step in steps):
        found -= {name for step in steps for name in re.findall(r"SCAN (\w+)", step)}
    return found & set(GROWING)


async def plan(db: Database, statement: str, parameters: Any, *, large: bool = False) -> list[str]:
    """The steps of a statement's plan.

    `large`: take PostgreSQL's own choice; it prefers reading a small table whole, and is talked out of it.
    """
    async with db.write() as conn:
        if db.sqlite:
            rows = await conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return [str(step) for step in rows.scalars(3)]
        if not large:
            await conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return [str(step) for step in (await conn.exec_driver_sql(f"EXPLAIN {statement}", parameters)).scalars()]
