"""The database opens, migrates, and says what is wrong; and no question reads a growing table from end to end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from storage.plans import QUESTIONS, plan, scans, watched
from wayframe.model import Account, Device, StorageFull, StoredMessage, Unavailable
from wayframe.storage import (
    AccountTable,
    Database,
    DatabaseTooNew,
    DeviceTable,
    MessageStore,
    StateTable,
)
from wayframe.storage.schema import metadata

pytestmark = pytest.mark.anyio


async def test_migrations_make_the_schema_the_code_uses(db: Database) -> None:
    differences = await db.ask(lambda conn: compare_metadata(MigrationContext.configure(conn), metadata))
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


async def test_a_question_sees_one_moment(db: Database) -> None:
    table = StateTable(db)
    await table.put({"a": b"1"})
    asked, written = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def count(conn: Connection) -> list[int | None]:
        query = text("SELECT count(*) FROM state")
        before = conn.scalar(query)
        loop.call_soon_threadsafe(asked.set)
        while not written.is_set():
            written.wait(0.001)
            db.pause(conn)
        return [before, conn.scalar(query)]

    async def write() -> None:
        await asked.wait()
        await table.put({"b": b"1"})
        written.set()

    seen, _ = await asyncio.gather(db.ask(count), write())
    assert seen == [1, 1]
    assert len(await table.all()) == 2


async def test_many_questions_wait_for_their_turn(db: Database) -> None:
    table = StateTable(db)
    await table.put({"a": b"1"})
    assert await asyncio.gather(*(table.get("a") for _ in range(100))) == [b"1"] * 100


async def test_a_question_that_nobody_waits_for_any_more_harms_no_other(empty: Database) -> None:
    for _ in range(20):
        asking = asyncio.create_task(empty.ask(lambda conn: conn.scalar(text("SELECT 1"))))
        await asyncio.sleep(0)
        asking.cancel()
    await empty.ping()


async def test_a_question_changes_nothing(fresh_url: Callable[[str], str], anyio_backend: str) -> None:
    db = Database(fresh_url("sqlite"))
    await db.open()
    await db.migrate()
    with pytest.raises(OperationalError, match="readonly"):
        await db.ask(lambda conn: conn.execute(text("DELETE FROM state")))
    await db.ping()
    await db.close()


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
