"""Messages are stored once, read in time order wherever they lie, and go when they must."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
from collections.abc import Sequence

import msgspec
import pytest

from wayframe.model import StoredMessage
from wayframe.storage import Database, HistoryMessage, MessageStore

pytestmark = pytest.mark.anyio
NOW = 1_760_000_000
DAY = 86400


def message(device_id: int, timestamp: float, arrival: float | None = None, **extra: object) -> StoredMessage:
    body = msgspec.json.encode({"timestamp": timestamp, "position.speed": 50.5, "ident": str(device_id), **extra})
    return StoredMessage(
        device_id=device_id,
        timestamp=timestamp,
        server_timestamp=timestamp + 0.25 if arrival is None else arrival,
        body=body,
        digest=hashlib.blake2b(body, digest_size=16).digest(),
    )


def read(messages: Sequence[StoredMessage]) -> list[HistoryMessage]:
    """What a query should give for these."""
    ordered = sorted(messages, key=lambda m: (m.timestamp, m.server_timestamp, m.device_id, m.body))
    return [HistoryMessage(m.device_id, m.timestamp, m.server_timestamp, m.body) for m in ordered]


@pytest.fixture
def store(db: Database) -> MessageStore:
    return MessageStore(db)


async def test_a_report_is_stored_once(store: MessageStore) -> None:
    first = [message(1, NOW), message(1, NOW, n=2), message(2, NOW), message(1, NOW + 0.000001)]
    assert await store.append(first) == [True] * 4
    assert await store.append([first[0], message(3, NOW), message(3, NOW)]) == [False, True, False]
    await store.compact(NOW + 1000)
    assert await store.append([*first, message(1, NOW, n=3)]) == [False, False, False, False, True]
    assert len(await store.query([1, 2, 3])) == 6
    assert await store.append([]) == []


async def test_a_duplicate_is_found_in_every_chunk(store: MessageStore) -> None:
    messages = [message(device, NOW + n * 60) for device in (1, 2) for n in range(3000)]
    await store.append(messages)
    await store.compact(NOW + 30 * DAY)
    late = [message(device, NOW + n * 60 + 30, NOW + 9 * DAY) for device in (1, 2) for n in range(0, 3000, 7)]
    await store.append(late)
    await store.compact(NOW + 30 * DAY)
    mixed = [*messages[::5], message(1, NOW + 17), *late]
    assert sum(await store.append(mixed)) == 1
    assert await store.query([1, 2]) == read([*messages, *late, message(1, NOW + 17)])


@pytest.mark.parametrize("compacted", [0, 1, 2], ids=["hot", "chunks", "both"])
async def test_history_to_the_microsecond(store: MessageStore, compacted: int) -> None:
    messages = [message(1 + n % 3, NOW + n * 0.000001, NOW + n) for n in range(300)]
    await store.append(messages[:150] if compacted == 2 else messages)
    if compacted:
        await store.compact(NOW + 10_000)
    await store.append(messages)
    assert await store.query([1, 2, 3]) == read(messages)
    assert await store.query([2]) == read(messages[1::3])
    assert await store.query([9]) == await store.query([]) == []
    edge = messages[100].timestamp
    assert await store.query([1, 2, 3], to=edge) == read(messages[:101])
    assert await store.query([1, 2, 3], to=edge - 0.000001) == read(messages[:100])
    assert await store.query([1, 2, 3], from_=edge) == read(messages[100:])
    assert await store.query([1, 2, 3], from_=edge + 0.000001) == read(messages[101:])
    assert await store.query([1, 2, 3], edge, edge) == read([messages[100]])
    assert await store.query([1, 2, 3], edge, edge - 1) == []
    assert await store.query([1, 2, 3], edge, None, 5) == read(messages[100:105])
    assert await store.query([1, 2, 3], None, edge, 5, True) == read(messages[96:101])[::-1]
    assert await store.query(range(100_000), count=2, reverse=True) == read(messages[298:])[::-1]
    assert await store.query([1], -1e300, float("inf"), 1) == read(messages[:1])


async def test_any_mix_of_hot_rows_and_chunks_reads_in_order(store: MessageStore) -> None:
    """Late, overlapping, dense and sparse messages, written and compacted in random order."""
    random_ = random.Random(5)
    centres = [NOW - random_.randrange(200 * DAY) for _ in range(8)]
    everything: dict[tuple[int, float], StoredMessage] = {}
    for round_ in range(12):
        batch = []
        for _ in range(400):
            spread = random_.choice([0.001, 60, 5000, 40 * DAY])
            at = round(random_.choice(centres) + random_.random() * spread, random_.choice([0, 3, 6]))
            batch.append(message(random_.randrange(1, 5), at, NOW + round_, n=random_.randrange(10**6)))
        fresh = {(m.device_id, m.timestamp): m for m in batch if (m.device_id, m.timestamp) not in everything}
        assert all(await store.append(list(fresh.values())))
        everything |= fresh
        if round_ % 3 != 2:
            await store.compact(NOW + round_ + 700)
    messages = list(everything.values())
    for devices in ([1], [2, 3], [1, 2, 3, 4], list(range(1, 800))):
        mine = read([m for m in messages if m.device_id in devices])
        assert await store.query(devices) == mine
        assert await store.query(devices, reverse=True) == mine[::-1]
        for _ in range(20):
            low, high = sorted(random_.choice(mine).timestamp for _ in range(2))
            count = random_.choice([1, 10, 100, 5000])
            inside = [m for m in mine if low <= m.timestamp <= high]
            assert await store.query(devices, low, high, count) == inside[:count]
            assert await store.query(devices, low, high, count, True) == inside[::-1][:count]


async def test_a_scan_gives_pages_and_stops_when_nobody_asks(store: MessageStore) -> None:
    messages = [message(1, NOW + n) for n in range(5000)]
    await store.append(messages[:4000])
    await store.compact(NOW + 10_000)
    await store.append(messages[4000:])
    pages = [page async for page in store.scan([1], page=500)]
    assert [m for page in pages for m in page] == read(messages)
    assert max(map(len, pages)) <= 2000
    async for page in store.scan([1], reverse=True, page=100):
        assert page[0] == read(messages)[-1]
        break
    assert len(await store.query([1])) == 5000


async def test_more_messages_at_one_moment_than_a_page(store: MessageStore) -> None:
    messages = [message(1, NOW, NOW, n=n) for n in range(50)]
    await store.append(messages)
    for _ in range(2):
        assert [m async for page in store.scan([1], page=10) for m in page] == await store.query([1])
        assert {m.body for m in await store.query([1])} == {m.body for m in messages}
        assert len(await store.query([1], count=10)) == 10
        await store.compact(NOW + 1000)


async def test_bodies_come_back_byte_for_byte(store: MessageStore) -> None:
    bodies = [
        b'{"a":1,"b":"x"}',
        b'{"b":"x","a":1}',
        b'{ "a" : 1 }',
        b'{"a":\n1}',
        b'{"a":1,"a":2}',
        b"{}",
        b"[1,2]",
        b"not json",
        b"",
        '{"имя %s":"Zoë 🚚"}'.encode(),
        b'{"esc":"\\u00e9\\n\\"","n":1.50,"big":123456789012345678901234567890,"o":{"x":[1, 2]}}',
        b'{"\\u0061":1}',
        b'{"bad":"\\ud800"}',
        b"\xff\xfe",
        b'{"a":1}',
    ]
    digests = [hashlib.blake2b(b"%d" % n, digest_size=16).digest() for n in range(len(bodies))]
    await store.append(
        [
            StoredMessage(device_id=1, timestamp=NOW + n, server_timestamp=NOW, body=body, digest=digest)
            for n, (body, digest) in enumerate(zip(bodies, digests, strict=True))
        ]
    )
    for _ in range(2):
        assert [m.body for m in await store.query([1])] == bodies
        assert [m.body for m in await store.query([1], NOW + 3, NOW + 9)] == bodies[3:10]
        await store.compact(NOW + 1000)


async def test_compaction_waits_for_age_number_and_announcement(store: MessageStore) -> None:
    await store.append([message(1, NOW), message(1, NOW + 599), message(2, NOW + 500)])
    assert await store.compact(NOW + 600) == 0
    assert await store.compact(NOW + 601, announced=0) == 0
    assert await store.compact(NOW + 601, announced=1) == 1
    await store.append([message(3, NOW + 590 + n) for n in range(30)])
    assert await store.compact(NOW + 600, rows=20) == 30
    assert await store.compact(NOW + 5000) == 2
    assert await store.compact(NOW + 5000) == 0
    assert len(await store.query([1, 2, 3])) == 33


async def test_small_chunks_grow_together(store: MessageStore, db: Database) -> None:
    messages = [message(1, NOW + n * 30) for n in range(1000)]
    for at in range(0, 1000, 20):
        await store.append(messages[at : at + 20])
        await store.compact(messages[at + 19].timestamp + 3000)
    query = "SELECT messages FROM message_chunks ORDER BY messages DESC"
    counts = await db.ask(lambda conn: conn.exec_driver_sql(query).all())
    assert len(counts) <= 9
    assert sum(count for (count,) in counts) == 1000
    assert await store.query([1]) == read(messages)


async def test_what_was_written_can_be_read_again_in_order(store: MessageStore) -> None:
    assert await store.last_seq() == 0
    messages = [message(device, NOW) for device in (3, 1, 2)]
    await store.append([messages[0]])
    seen = await store.last_seq()
    await store.append([messages[0], *messages[1:]])
    after = await store.after(seen)
    assert [m for _, m in after] == messages[1:]
    assert await store.after(seen, limit=1) == after[:1]
    assert await store.last_seq() == after[-1][0]
    await store.compact(NOW + 1000)
    assert await store.after(0) == []
    await store.append([message(1, NOW + 5)])
    assert await store.last_seq() > after[-1][0]


@pytest.mark.parametrize("compacted", [False, True], ids=["hot", "chunks"])
async def test_deleting_a_range(store: MessageStore, compacted: bool) -> None:
    messages = [message(device, NOW + n * 60) for device in (1, 2) for n in range(2000)]
    await store.append(messages)
    if compacted:
        await store.compact(NOW + 5 * DAY)
    low, high = NOW + 90 * 60, NOW + 1500 * 60
    assert await store.delete([1], low, high) == 1411
    left = [m for m in messages if m.device_id == 2 or not low <= m.timestamp <= high]
    assert await store.query([1, 2]) == read(left)
    assert await store.delete([1], low, high) == 0
    assert await store.append([message(1, low)]) == [True]
    assert await store.delete([1, 2]) == len(left) + 1
    assert await store.query([1, 2]) == []


@pytest.mark.parametrize("compacted", [False, True], ids=["hot", "chunks"])
async def test_a_message_lives_its_time_from_arrival(store: MessageStore, compacted: bool) -> None:
    old = [message(1, NOW - 400 * DAY + n, NOW + n) for n in range(1000)]
    other = [message(2, NOW + n) for n in range(10)]
    await store.append([*old, *other])
    if compacted:
        await store.compact(NOW + 2000)
    limits = {1: (1000, 0), 2: (DAY, 0)}
    assert await store.retain(limits, NOW + 1000) == 0
    assert await store.retain(limits, NOW + 1500) == 500
    assert await store.query([1]) == read(old[500:])
    assert await store.retain(limits, NOW + 2000) == 500
    assert await store.retain(limits, NOW + 2000) == 0
    assert await store.query([1, 2]) == read(other)


@pytest.mark.parametrize("compacted", [0, 700, 1000], ids=["hot", "both", "chunks"])
async def test_rotation_takes_what_arrived_first(store: MessageStore, compacted: int) -> None:
    messages = [message(1, NOW - n, NOW + n) for n in range(1000)]
    await store.append(messages[:compacted])
    await store.compact(NOW + 5000)
    await store.append(messages[compacted:])
    size = len(messages[0].body)
    assert await store.retain({1: (DAY, 1000 * size)}, NOW + 1000) == 0
    removed = await store.retain({1: (DAY, 600 * size), 2: (DAY, 1)}, NOW + 1000)
    assert 400 <= removed <= 430
    assert await store.query([1]) == read(messages[removed:])
    assert await store.retain({1: (DAY, 600 * size)}, NOW + 1000) == 0
    await store.retain({1: (DAY, 10 * size)}, NOW + 1000)
    assert await store.query([1]) == read(messages[-len(await store.query([1])) :])
    assert len(await store.query([1])) <= 10


_ENDLESS = """
import asyncio, hashlib, sys
from wayframe.model import StoredMessage
from wayframe.storage import Database, MessageStore

async def main():
    db = Database(sys.argv[1])
    await db.open()
    store = MessageStore(db)
    batch = 0
    while True:
        messages = []
        for n in range(50):
            body = b'{"batch":%d,"n":%d}' % (batch, n)
            digest = hashlib.blake2b(body, digest_size=16).digest()
            messages.append(StoredMessage(device_id=1 + n % 3, timestamp=batch + n / 100, server_timestamp=batch,
                                          body=body, digest=digest))
        assert all(await store.append(messages))
        print(batch, flush=True)
        batch += 1
        if batch % 5 == 0:
            await store.compact(batch, older_s=3)

asyncio.run(main())
"""


def killed_after(lines: int, url: str) -> int:
    """Run the endless writer, kill it after so many batches, and return the last batch it was told is stored."""
    with subprocess.Popen([sys.executable, "-c", _ENDLESS, url], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        told += [line for line in child.stdout if line.endswith("\n")]
    return int(told[-1])


@pytest.mark.parametrize("after", [1, 6, 40])
async def test_a_killed_writer_loses_nothing_it_acknowledged(
    database_url: str, db: Database, store: MessageStore, after: int
) -> None:
    told = killed_after(after, database_url)
    bodies = [m.body for m in await store.query([1, 2, 3])]
    assert len(bodies) == len(set(bodies))
    assert len(bodies) % 50 == 0, "a batch is stored whole or not at all"
    assert len(bodies) // 50 in (told + 1, told + 2)
    await store.compact(1e9)
    assert sorted(bodies) == sorted(m.body for m in await store.query([1, 2, 3]))
