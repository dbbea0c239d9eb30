"""The database opens, migrates, and says what is wrong; and no question reads a growing table from end to end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from wayframe.model import Account, Device, StorageFull, StoredMessage, Unavailable
from wayframe.model.gallery import EventState
from wayframe.storage import (
    AccountTable,
    CommandTable,
    Database,
    DatabaseTooNew,
    DeviceTable,
    GalleryTable,
    LogTable,
    MediaTable,
    MessageStore,
    PacketTable,
    StateTable,
)
from wayframe.storage.schema import metadata

pytestmark = pytest.mark.anyio
GROWING = ("media", "commands", "logs", "hot_messages", "message_chunks", "gallery_events", "gallery_counts", "packets")
OPEN_THINGS = ("media_processing", "media_unannounced", "commands_open", "gallery_open", "gallery_pending")
"""Indexes that hold only what is still to be done."""


async def test_migrations_make_the_schema_the_code_uses(db: Database) -> None:
    async with db.read() as conn:
        differences = await conn.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), metadata))
    assert differences == []


async def test_a_fresh_database_is_migrated_without_a_backup(empty: Database) -> None:
    async def before() -> None:
        raise AssertionError("nothing to save")

    assert await empty.revision() is None
    await empty.migrate(before)
    await empty.migrate(before)
    assert set(metadata.tables) < set(await empty.table_names())


async def test_two_nodes_may_start_together(database_url: str, anyio_backend: str) -> None:
    nodes = [Database(database_url) for _ in range(3)]
    await asyncio.gather(*(node.open() for node in nodes))
    await asyncio.gather(*(node.migrate() for node in nodes))
    await StateTable(nodes[0]).put({"a": b"1"})
    assert await StateTable(nodes[2]).all() == {"a": b"1"}
    await asyncio.gather(*(node.close() for node in nodes))


async def test_a_newer_schema_is_refused(db: Database) -> None:
    async with db.write() as conn:
        await conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseTooNew, match=r"schema revision 9999.*start the newer version"):
        await db.migrate()


async def test_a_reader_sees_one_moment(db: Database) -> None:
    table = StateTable(db)
    await table.put({"a": b"1"})
    async with db.read() as conn:
        query = text("SELECT count(*) FROM state")
        assert await conn.scalar(query) == 1
        await table.put({"b": b"1"})
        assert await conn.scalar(query) == 1
    assert len(await table.all()) == 2


async def test_what_is_committed_is_on_disk(db: Database) -> None:
    async with db.write() as conn:
        if db.sqlite:
            assert await conn.scalar(text("PRAGMA synchronous")) == 2
            assert await conn.scalar(text("PRAGMA journal_mode")) == "wal"
            assert await conn.scalar(text("PRAGMA foreign_keys")) == 1
        else:
            assert await conn.scalar(text("SHOW synchronous_commit")) == "on"


async def test_a_closed_database_says_so(empty: Database) -> None:
    await empty.ping()
    await empty.close()
    await empty.close()
    with pytest.raises(Unavailable, match="not open"):
        await empty.ping()


async def test_nobody_at_home(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be reached"):
        await Database(f"postgresql://wayframe@/none?host={tmp_path}&port=5498").open()
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unavailable, match="cannot be reached"):
        await Database(f"sqlite:///{tmp_path}/folder").open()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://x/y", "must begin with"),
        ("nonsense", "must look like"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
    ],
)
def test_a_url_that_cannot_be(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Database(url)


async def test_a_full_disk_is_said_and_survived(fresh_url: Callable[[str], str], anyio_backend: str) -> None:
    """A limit on the size of the database stands in for a full disk: SQLite fails in the same place."""
    db = Database(fresh_url("sqlite"))
    await db.open()
    await db.migrate()
    async with db.write() as conn:
        pages = await conn.scalar(text("PRAGMA page_count"))
        await conn.execute(text(f"PRAGMA max_page_count = {pages + 20}"))
    store = MessageStore(db)

    def batch(n: int) -> list[StoredMessage]:
        digest = n.to_bytes(16, "big")
        return [StoredMessage(device_id=1, timestamp=n, server_timestamp=n, body=bytes(9000), digest=digest)]

    stored = 0
    with pytest.raises(StorageFull, match="the disk of the database is full"):
        for n in range(100):
            await store.append(batch(n))
            stored += 1
    assert len(await store.query([1])) == stored
    await store.delete([1])
    assert await store.append(batch(100)) == [True]
    await db.close()


async def devices(db: Database) -> list[int]:
    await AccountTable(db).insert(Account(id=1))
    made = await DeviceTable(db).insert_many(
        [Device(id=0, cid=1, device_type_id=5, protocol_id=552, configuration={"ident": str(n)}) for n in range(3)]
    )
    return [device.id for device in made]


QUESTIONS: dict[str, Callable[[Database], Any]] = {
    "media of some": lambda db: MediaTable(db).list([1, 2], from_=5, to=6),
    "media newest": lambda db: MediaTable(db).list([1], count=10, reverse=True),
    "media newest of some": lambda db: MediaTable(db).list([1, 2, 3], count=10, reverse=True),
    "media by uuid": lambda db: MediaTable(db).get("A"),
    "media unannounced": lambda db: MediaTable(db).unannounced(),
    "media processing": lambda db: MediaTable(db).processing(),
    "media to rotate": lambda db: MediaTable(db).oldest_unprotected(1),
    "media expired": lambda db: MediaTable(db).expired(1e9),
    "media sums of some": lambda db: MediaTable(db).sums([1, 2]),
    "media delete": lambda db: MediaTable(db).delete(["A", "B"]),
    "events of a device": lambda db: GalleryTable(db).page(1, limit=50, offset=100),
    "events of a type": lambda db: GalleryTable(db).page(1, limit=50, offset=0, media_type="video"),
    "events in a state": lambda db: GalleryTable(db).page(1, limit=50, offset=0, states=[EventState.FAILED]),
    "events between": lambda db: GalleryTable(db).page(1, limit=50, offset=0, from_=5, to=6, flagged=True),
    "event by id": lambda db: GalleryTable(db).get("evt_1"),
    "event of a file": lambda db: GalleryTable(db).of_file("AB"),
    "event by name": lambda db: GalleryTable(db).named(1, "a.jpg", "a"),
    "event with the same bytes": lambda db: GalleryTable(db).same(1, "a.jpg", "ab" * 32),
    "events harvested": lambda db: GalleryTable(db).harvested(1, ["/a", "/b"]),
    "events to pull": lambda db: GalleryTable(db).open_pulls(),
    "events of stale links": lambda db: GalleryTable(db).stale_links(5),
    "event counts": lambda db: GalleryTable(db).counts(1),
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
    "logs purge": lambda db: LogTable(db).purge(5),
    "packets of some": lambda db: PacketTable(db).query([1, 2], from_=5, to=6),
    "packets newest": lambda db: PacketTable(db).query([1], count=5, reverse=True),
    "packets kept": lambda db: PacketTable(db).keep_newest(1, 2),
    "packets of a device purged": lambda db: PacketTable(db).purge_device(1, 5),
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


@pytest.mark.parametrize("question", QUESTIONS)
async def test_no_question_reads_a_growing_table_from_end_to_end(db: Database, question: str) -> None:
    ids = await devices(db)
    store = MessageStore(db)
    await store.append(
        [
            StoredMessage(device_id=id_, timestamp=n, server_timestamp=n, body=b"{}", digest=n.to_bytes(16, "big"))
            for id_ in ids
            for n in range(20)
        ]
    )
    await store.compact(1000)
    await QUESTIONS["messages append"](db)
    async with watched(db) as seen:
        await QUESTIONS[question](db)
    assert seen or question == "messages append"
    for statement, parameters in seen:
        steps = await plan(db, statement, parameters)
        assert not scans(steps, statement), f"{steps}\n{statement}"


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


async def plan(db: Database, statement: str, parameters: Any) -> list[str]:
    """The steps of a statement's plan. PostgreSQL prefers reading a small table whole, so it is talked out of it."""
    async with db.write() as conn:
        if db.sqlite:
            rows = await conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return [str(step) for step in rows.scalars(3)]
        await conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return [str(step) for step in (await conn.exec_driver_sql(f"EXPLAIN {statement}", parameters)).scalars()]
