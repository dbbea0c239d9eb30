"""What is written is read back the same, on both databases, and what must be unique is."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from wayframe.model import (
    Account,
    Channel,
    Command,
    CommandStage,
    Conflict,
    Device,
    LogRecord,
    MediaFile,
    MediaState,
    NotFound,
    Token,
)
from wayframe.storage import (
    AccountTable,
    ChannelTable,
    CommandTable,
    Database,
    DeviceTable,
    LogTable,
    MediaTable,
    StateTable,
    TelemetryTable,
    TokenTable,
)

pytestmark = pytest.mark.anyio
NOW = 1_760_000_000.123456
ODD = {"text": "Zoë 🚚", "nested": {"list": [1, 2.5, None, True]}, "big": 2**63, "nul": "\0"}


def device(number: int, **changes: Any) -> Device:
    base = Device(
        id=0, cid=1, device_type_id=5, protocol_id=552, configuration={"ident": f"8600000{number}"}, created=NOW
    )
    return replace(base, **changes)


def media(number: int, device_id: int, **changes: Any) -> MediaFile:
    base = MediaFile(
        uuid=f"{number:064X}",
        device_id=device_id,
        cid=1,
        name="photo.jpg",
        size=1000,
        mime="image/jpeg",
        kind="image",
        created=NOW + number,
        modified=NOW,
        uploaded=NOW + number,
        state=MediaState.READY,
        announced=True,
        blob=f"blob{number}",
    )
    return replace(base, **changes)


def command(number: int, device_id: int, **changes: Any) -> Command:
    base = Command(id=number, device_id=device_id, cid=1, name="take_photo", timestamp=NOW + number, expires=NOW + 600)
    return replace(base, **changes)


@pytest.fixture
async def devices(db: Database) -> list[Device]:
    """An account with three devices, ids 1..3."""
    await AccountTable(db).insert(Account(id=1, name="main"))
    return await DeviceTable(db).insert_many([device(n) for n in (1, 2, 3)])


async def test_accounts_tokens_and_channels_come_back_the_same(db: Database) -> None:
    accounts, tokens, channels = AccountTable(db), TokenTable(db), ChannelTable(db)
    account = await accounts.insert(Account(id=0, name="Zoë 🚚", created=NOW, metadata=ODD))
    assert account.id == 1
    assert await accounts.all() == [account]
    token = Token(id=0, cid=1, info="key", access={"type": 1}, digest=b"\0d", sealed=b"\xffs", expire=NOW)
    token = await tokens.insert(token)
    assert await tokens.get(token.id) == token
    await tokens.touch({token.id: NOW, 99: NOW})
    assert await tokens.all() == [replace(token, accessed=NOW)]
    channel = await channels.insert(Channel(id=0, cid=1, protocol_id=552, configuration=ODD))
    changed = replace(channel, name="MDVR", enabled=False)
    await channels.update(changed)
    assert await channels.all() == [changed]
    with pytest.raises(Conflict, match="still belong"):
        await accounts.delete([1])
    await tokens.delete([token.id])
    await channels.delete([channel.id])
    await accounts.delete([1])
    assert await accounts.all() == []


async def test_an_id_is_never_given_twice(db: Database) -> None:
    accounts = AccountTable(db)
    first = await accounts.insert(Account(id=0))
    await accounts.delete([first.id])
    given = await accounts.insert_many([Account(id=0), Account(id=40), Account(id=0)])
    assert [a.id for a in given] == [41, 40, 42]
    assert (await accounts.insert(Account(id=0))).id == 43
    with pytest.raises(Conflict, match="exists already"):
        await accounts.insert(Account(id=40))


async def test_what_is_missing_is_said(db: Database) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        await DeviceTable(db).insert(device(1))
    with pytest.raises(NotFound, match="no item 7"):
        await AccountTable(db).update(Account(id=7))
    assert await AccountTable(db).get(7) is None


async def test_an_ident_is_unique_within_its_protocol(db: Database, devices: list[Device]) -> None:
    table = DeviceTable(db)
    with pytest.raises(Conflict, match="86000001") as caught:
        await table.insert(device(1))
    assert caught.value.item_id == devices[0].id
    with pytest.raises(Conflict, match="86000001"):
        await table.update(replace(devices[1], configuration={"ident": "86000001"}))
    with pytest.raises(Conflict, match="86000007"):
        await table.insert_many([device(7), device(7)])
    other = await table.insert(device(1, protocol_id=13))
    without = await table.insert_many([device(0, configuration={}), device(0, configuration={})])
    assert await table.all() == [*devices, other, *without]


async def test_last_activity_survives_an_update(db: Database, devices: list[Device]) -> None:
    table = DeviceTable(db)
    await table.touch({1: NOW, 2: NOW + 1})
    await table.update(replace(devices[0], name="Truck\0"))
    assert await table.last_active() == {1: NOW, 2: NOW + 1}
    found = await table.get(1)
    assert found is not None
    assert found.name == "Truck\ufffd"


async def test_telemetry_records(db: Database) -> None:
    table = TelemetryTable(db)
    await table.save_many({1: b"one", 2: b"\0two"})
    await table.save_many({2: b"new", 3: b"three"})
    await table.delete([1])
    assert await table.load_all() == {2: b"new", 3: b"three"}


async def test_state(db: Database) -> None:
    table = StateTable(db)
    await table.put({"cursor/a": b"1", "cursor/b": b"2", "cursor%": b"3"})
    await table.put({"cursor/a": b"\0"})
    assert await table.get("cursor/a") == b"\0"
    assert await table.get("none") is None
    assert await table.all("cursor/") == {"cursor/a": b"\0", "cursor/b": b"2"}
    await table.delete(["cursor/a", "cursor%"])
    assert await table.all() == {"cursor/b": b"2"}


async def test_media_lists(db: Database, devices: list[Device]) -> None:
    table = MediaTable(db)
    files = [media(n, 1 + n % 2, meta=ODD, message_params=ODD) for n in range(6)]
    for file in reversed(files):
        await table.insert(file)
    assert await table.list([1, 2]) == files
    assert await table.list([2], from_=NOW + 1, to=NOW + 3) == [files[1], files[3]]
    assert await table.list([2], from_=NOW + 1.000001, to=NOW + 2.999999) == []
    assert await table.list([1, 2], count=2, reverse=True) == [files[5], files[4]]
    assert await table.list(range(1, 2000), count=2) == files[:2]
    assert await table.list([1, 2], uuids=[files[3].uuid, "none"]) == [files[3]]
    assert await table.list([]) == []
    assert await table.get(files[3].uuid) == files[3]
    await table.delete([files[0].uuid, files[1].uuid])
    assert await table.list([1, 2]) == files[2:]
    await DeviceTable(db).delete([1])
    assert await table.list([1, 2]) == [files[3], files[5]]
    with pytest.raises(NotFound):
        await table.insert(media(9, 1))


async def test_media_lists_of_some_columns(db: Database, devices: list[Device]) -> None:
    table = MediaTable(db)
    files = await table.insert_many([media(n, 1 + n % 2, meta={"n": n}, protected=n == 2) for n in range(6)])
    names = ("meta", "protected", "size")
    shown = [{"meta": file.meta, "protected": file.protected, "size": file.size} for file in files]

    async def read(**asked: Any) -> Any:
        return msgspec.json.decode(msgspec.json.encode(await table.columns(names, [1, 2], **asked)))

    assert await read() == shown
    assert await read(count=2, reverse=True) == [shown[5], shown[4]]
    assert await read(from_=files[1].created, to=files[3].created) == shown[1:4]
    assert await read(uuids=[files[4].uuid, files[0].uuid]) == [shown[0], shown[4]]
    assert await table.columns(("uuid",), []) == []


async def test_media_of_a_state(db: Database, devices: list[Device]) -> None:
    table = MediaTable(db)
    busy = await table.insert(media(1, 1, state=MediaState.PROCESSING, announced=False))
    quiet = await table.insert(media(2, 1, announced=False))
    done = await table.insert(media(3, 2))
    assert await table.processing() == [busy]
    assert await table.unannounced() == [quiet]
    assert await table.list([1, 2], state=MediaState.READY) == [quiet, done]
    ready = replace(busy, state=MediaState.READY, announced=True)
    await table.update(ready)
    assert await table.processing() == []


async def test_media_retention_questions(db: Database, devices: list[Device]) -> None:
    table = MediaTable(db)
    await DeviceTable(db).update(replace(devices[0], media_ttl=100))
    old = await table.insert(media(1, 1, original_size=50, original="o", preview="p"))
    kept = await table.insert(media(0, 1, protected=True))
    late = await table.insert(media(2, 1, created=NOW - 5000))
    other = await table.insert(media(3, 2))
    await table.insert(media(0, 3, uuid="F" * 64, state=MediaState.PROCESSING))
    assert await table.expired(NOW + 101) == []
    assert await table.expired(NOW + 101.000001) == [old]
    assert {f.uuid for f in await table.expired(NOW + 200)} == {old.uuid, late.uuid}
    assert len(await table.expired(NOW + 200, limit=1)) == 1
    assert await table.oldest_unprotected(1) == old
    assert await table.oldest_unprotected(2) == other
    assert await table.oldest_unprotected(3) is None
    assert await table.sums() == {1: (3050, 3), 2: (1000, 1), 3: (1000, 1)}
    assert await table.sums([2]) == {2: (1000, 1)}
    assert await table.blob_keys() == {"blob0", "blob1", "blob2", "blob3", "o", "p"}
    assert kept.protected


async def test_commands_wait_in_order_and_end_as_results(db: Database, devices: list[Device]) -> None:
    table = CommandTable(db)
    waiting = [command(1, 1), command(2, 1, priority=5), command(3, 1, priority=5, stage=CommandStage.SENT)]
    ended = [
        command(n, 1 + n % 2, stage=stage, response=ODD, executed=True)
        for n, stage in enumerate((CommandStage.PROCESSED, CommandStage.EXPIRED, CommandStage.CANCELED), start=4)
    ]
    await table.insert_many([*waiting, *ended, command(9, 2)])
    assert [c.id for c in await table.pending_for(1)] == [2, 3, 1]
    assert [c.id for c in await table.unfinished()] == [2, 3, 1, 9]
    assert await table.results([1, 2]) == ended
    assert await table.results([1, 2], count=1, reverse=True) == [ended[2]]
    assert await table.results([1], from_=NOW + 4, to=NOW + 4) == [ended[0]]
    assert await table.results([1, 2], id=5) == [ended[1]]
    done = replace(waiting[0], stage=CommandStage.PROCESSED, timestamp=NOW + 50, response={"uuid": "A"})
    await table.update(done)
    assert await table.get(1) == done
    assert await table.purge(NOW + 6) == 2
    assert [c.id for c in await table.results([1, 2])] == [6, 1]
    assert len(await table.unfinished()) == 3


async def test_logs_to_the_microsecond(db: Database) -> None:
    table = LogTable(db)
    records = [
        LogRecord(timestamp=NOW + n / 1e6, event_code=300, origin_type=11, origin_id=n % 3, cid=1, fields={"n": n})
        for n in range(30)
    ]
    await table.insert_many([*records, replace(records[0], origin_type=9)])
    assert await table.query(11, [0, 1, 2]) == records
    assert await table.query(11, [1]) == records[1::3]
    assert await table.query(11, [0, 1], count=3) == [records[0], records[1], records[3]]
    assert await table.query(11, range(1000), count=3, reverse=True) == records[:-4:-1]
    edge = records[10].timestamp
    assert await table.query(11, [0, 1, 2], to=edge) == records[:11]
    assert await table.query(11, [0, 1, 2], to=edge - 0.000001) == records[:10]
    assert await table.query(11, [0, 1, 2], from_=edge + 0.000001) == records[11:]
    assert await table.query(11, [0, 1, 2], from_=-1e300, to=float("inf"), count=1) == records[:1]
    assert await table.purge(edge) == 11
    assert await table.query(11, [0, 1, 2]) == records[10:]


async def test_records_of_one_moment_keep_their_order(db: Database) -> None:
    table = LogTable(db)
    records = [LogRecord(timestamp=NOW, event_code=n, origin_type=11, origin_id=n % 2, cid=1) for n in range(10)]
    await table.insert_many(records)
    for ids in ([0, 1], range(600)):
        assert await table.query(11, ids) == records
        assert await table.query(11, ids, count=4) == records[:4]
        assert await table.query(11, ids, count=4, reverse=True) == records[:5:-1]


async def test_more_ids_than_a_statement_takes_parameters(db: Database, devices: list[Device]) -> None:
    many = range(100_000)
    assert await MediaTable(db).list(many) == []
    assert await LogTable(db).query(11, many) == []
    await MediaTable(db).delete(f"{n:X}" for n in many)
    await DeviceTable(db).delete(many)
    assert await DeviceTable(db).all() == []


async def test_writers_take_turns(db: Database) -> None:
    table = AccountTable(db)
    given = await asyncio.gather(*(table.insert(Account(id=0, name=str(n))) for n in range(50)))
    assert sorted(a.id for a in given) == list(range(1, 51))


async def test_a_write_cut_short_leaves_nothing_and_does_no_harm(db: Database) -> None:
    table = StateTable(db)
    entered = asyncio.Event()

    async def half() -> None:
        async with db.write() as conn:
            await conn.exec_driver_sql("INSERT INTO state (key, value) VALUES ('half', '')")
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(half())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await table.put({"after": b"1"})
    assert await table.all() == {"after": b"1"}
