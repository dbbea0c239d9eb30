"""A backup of either database comes back in either, whole, and nothing in use is overwritten by mistake."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, text

from wayframe.model import Account, BadRequest, Command, Conflict, Device, LogRecord, MediaFile, StoredMessage
from wayframe.storage import (
    AccountTable,
    CommandTable,
    Database,
    DatabaseTooNew,
    DeviceTable,
    DirectoryBlobs,
    LogTable,
    MediaTable,
    MessageStore,
    StateTable,
    TelemetryTable,
    backup,
    restore,
)
from wayframe.storage import secret as node_secret

pytestmark = pytest.mark.anyio
NOW = 1_760_000_000.123456
KINDS = ["sqlite", "postgresql"]


def report(n: int) -> StoredMessage:
    body = msgspec.json.encode({"timestamp": n, "text": "Zoë \0"})
    return StoredMessage(device_id=1, timestamp=n, server_timestamp=n, body=body, digest=n.to_bytes(16, "big"))


async def fill(db: Database, blobs: DirectoryBlobs) -> None:
    """Something in every table that services use, and a file."""
    await AccountTable(db).insert(Account(id=0, name="Zoë \0", blocked=True, created=NOW, metadata={"a": [1, None]}))
    await DeviceTable(db).insert_many(
        [Device(id=0, cid=1, device_type_id=5, protocol_id=552, configuration={"ident": str(n)}) for n in range(3)]
    )
    writer = await blobs.begin()
    writer.write(b"photo" * 100_000)
    blob = await writer.commit()
    file = MediaFile(
        uuid="A" * 64,
        device_id=1,
        cid=1,
        name="photo.jpg",
        size=blob.size,
        mime="image/jpeg",
        kind="image",
        created=NOW,
        modified=NOW,
        uploaded=NOW,
        blob=blob.key,
        preview="f" * 32,
    )
    await MediaTable(db).insert(file)
    await CommandTable(db).insert(Command(id=17, device_id=2, cid=1, name="x", timestamp=NOW, expires=NOW + 1))
    await LogTable(db).insert_many(
        [LogRecord(timestamp=NOW, event_code=n, origin_type=11, origin_id=1, cid=1) for n in range(2500)]
    )
    await StateTable(db).put({"cursor": b"\0\xff"})
    await TelemetryTable(db).save_many({1: b"{}"})
    store = MessageStore(db)
    await store.append([report(n) for n in range(100)])
    await store.compact(10_000)
    await store.append([report(n) for n in range(100, 150)])


async def everything(db: Database) -> dict[str, list[str]]:
    """Every row of every table."""
    names = await db.table_names()

    def read(conn: Connection) -> dict[str, list[str]]:
        rows: dict[str, list[str]] = {}
        for name in names:
            found = conn.execute(text(f"SELECT * FROM {name}"))
            columns = list(found.keys())
            rows[name] = sorted(repr(sorted(zip(columns, map(plain, row), strict=True))) for row in found)
        return rows

    return await db.ask(read)


def plain(value: object) -> object:
    """SQLite gives booleans as numbers."""
    return int(value) if isinstance(value, bool) else value


@pytest.fixture
async def blobs(tmp_path: Path, anyio_backend: str) -> AsyncIterator[DirectoryBlobs]:
    store = DirectoryBlobs(tmp_path / "media")
    yield store
    await store.close()


@pytest.fixture
async def other_blobs(tmp_path: Path, anyio_backend: str) -> AsyncIterator[DirectoryBlobs]:
    store = DirectoryBlobs(tmp_path / "other")
    yield store
    await store.close()


@pytest.mark.parametrize("into", KINDS)
async def test_a_backup_comes_back_whole(
    db: Database,
    into: str,
    fresh_url: Callable[[str], str],
    blobs: DirectoryBlobs,
    other_blobs: DirectoryBlobs,
    tmp_path: Path,
) -> None:
    await fill(db, blobs)
    secret = node_secret.load_or_create(tmp_path / "secret")
    target = tmp_path / "backups" / "wayframe.tar"
    made = await backup(db, blobs, target, with_blobs=True, now=NOW, version="1.2.3", secret=tmp_path / "secret")
    assert made.missing == ["f" * 32]
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert target.stat().st_mode & 0o077 == 0
    other = Database(fresh_url(into))
    await other.open()
    restored = await restore(target, other, other_blobs, secret=tmp_path / "new" / "secret")
    assert restored == made
    assert (restored.version, restored.created) == ("1.2.3", NOW)
    assert await everything(other) == await everything(db)
    assert other_blobs.path(made.blobs[0]).read_bytes() == b"photo" * 100_000
    assert node_secret.load_or_create(tmp_path / "new" / "secret") == secret
    store = MessageStore(other)
    seen = await store.last_seq()
    assert seen == await MessageStore(db).last_seq()
    assert await store.append([report(n) for n in (50, 120, 200)]) == [False, False, True]
    assert [m for _, m in await store.after(seen)] == [report(200)]
    assert len(await store.query([1])) == 151
    assert (await AccountTable(other).insert(Account(id=0))).id == 2
    await LogTable(other).insert_many([LogRecord(timestamp=NOW, event_code=1, origin_type=1, origin_id=1, cid=1)])
    await other.close()


async def test_counters_go_on_where_they_were(
    db: Database, fresh_url: Callable[[str], str], blobs: DirectoryBlobs, tmp_path: Path
) -> None:
    """With every row gone, a cursor in `state` must still be behind what is written next."""
    store = MessageStore(db)
    await store.append([report(1), report(2)])
    seen = await store.last_seq()
    await store.compact(10_000)
    await backup(db, blobs, tmp_path / "b.tar", with_blobs=False, now=NOW, version="1")
    for kind in KINDS:
        other = Database(fresh_url(kind))
        await other.open()
        await restore(tmp_path / "b.tar", other, blobs)
        await MessageStore(other).append([report(3)])
        assert await MessageStore(other).after(seen) != []
        await other.close()


async def test_a_database_in_use_is_replaced_only_if_told(db: Database, blobs: DirectoryBlobs, tmp_path: Path) -> None:
    await AccountTable(db).insert(Account(id=0, name="kept"))
    node_secret.load_or_create(tmp_path / "secret")
    target = tmp_path / "b.tar"
    await backup(db, blobs, target, with_blobs=True, now=NOW, version="1", secret=tmp_path / "secret")
    await AccountTable(db).insert(Account(id=0, name="later"))
    with pytest.raises(Conflict, match="not empty"):
        await restore(target, db, blobs)
    (tmp_path / "secret").write_bytes(bytes(32))
    await restore(target, db, blobs, replace=True)
    assert [a.name for a in await AccountTable(db).all()] == ["kept"]
    await AccountTable(db).delete([1])
    async with db.write() as conn:
        await conn.execute(text("DELETE FROM counters"))
    with pytest.raises(Conflict, match="another secret"):
        await restore(target, db, blobs, secret=tmp_path / "secret")
    await restore(target, db, blobs, secret=tmp_path / "secret", replace=True)
    assert node_secret.load_or_create(tmp_path / "secret") != bytes(32)


async def test_a_newer_or_damaged_backup_changes_nothing(db: Database, blobs: DirectoryBlobs, tmp_path: Path) -> None:
    await AccountTable(db).insert(Account(id=0, name="kept"))
    target = tmp_path / "b.tar"
    await backup(db, blobs, target, with_blobs=True, now=NOW, version="1")
    before = await everything(db)
    (tmp_path / "text").write_text("no tar")
    with pytest.raises(BadRequest, match="no backup"):
        await restore(tmp_path / "text", db, blobs, replace=True)
    with tarfile.open(target) as tar:
        tar.extractall(tmp_path / "open", filter="data")
    folder = tmp_path / "open"

    def packed(name: str) -> Path:
        with tarfile.open(tmp_path / name, "w") as tar:
            for part in ("manifest.json", "tables"):
                tar.add(folder / part, part)
        return tmp_path / name

    manifest = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(manifest.replace(b'"revision": "', b'"revision": "9'))
    with pytest.raises(DatabaseTooNew, match="newer version"):
        await restore(packed("newer.tar"), db, blobs, replace=True)
    (folder / "manifest.json").write_bytes(manifest)
    (folder / "tables" / "accounts.jsonl.zst").write_bytes(b"damaged")
    with pytest.raises(BadRequest, match="table accounts"):
        await restore(packed("damaged.tar"), db, blobs, replace=True)
    assert await everything(db) == before


async def test_a_backup_before_a_migration_can_be_restored(
    empty: Database, fresh_url: Callable[[str], str], blobs: DirectoryBlobs, tmp_path: Path
) -> None:
    await empty.upgrade("0001")
    async with empty.write() as conn:
        columns = "(id, owner_id, name, created, metadata, blocked)"
        await conn.execute(text(f"INSERT INTO accounts {columns} VALUES (1, 0, 'old', 0, '{{}}', false)"))
    target = tmp_path / "before.tar"
    calls: list[str | None] = []

    async def before() -> None:
        calls.append(await empty.revision())
        await backup(empty, blobs, target, with_blobs=False, now=NOW, version="0")

    await empty.migrate(before)
    await empty.migrate(before)
    assert calls == ["0001"]
    other = Database(fresh_url("sqlite"))
    await other.open()
    await restore(target, other, blobs)
    assert await other.revision() == await empty.revision()
    assert [a.name for a in await AccountTable(other).all()] == ["old"]
    await other.close()
