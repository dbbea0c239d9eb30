"""Events of the gallery: one for every file, in one transaction with it, and counts that are always their sum."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from storage import plans
from wayframe.model import Account, Conflict, Device, MediaFile, MediaState
from wayframe.model.gallery import (
    FRESH,
    SORTS,
    EventCount,
    EventQuery,
    EventSource,
    EventState,
    GalleryEvent,
    UploadKey,
    event_id,
    event_of,
    fingerprint,
    type_of_file,
)
from wayframe.storage import AccountTable, Database, DeviceTable, GalleryKeyTable, GalleryTable, MediaTable

pytestmark = pytest.mark.anyio
NOW = 1_760_000_000.5


def media(number: int, device_id: int = 1, **changes: Any) -> MediaFile:
    base = MediaFile(
        uuid=f"{number:064X}", device_id=device_id, cid=1, name=f"photo{number}.jpg", size=100 + number,
        mime="image/jpeg", kind="image", created=NOW + number, modified=NOW, uploaded=NOW + number,
        state=MediaState.READY, announced=True, blob=f"blob{number}", source_sha256=f"{number:064x}",
    )  # fmt: skip
    return replace(base, **changes)


def event(number: int, device_id: int = 1, **changes: Any) -> GalleryEvent:
    base = GalleryEvent(
        id=event_id(NOW + number, number.to_bytes(10)), device_id=device_id, source=EventSource.REGISTERED,
        source_key=f"/sd/clip{number}.mp4", name=f"clip{number}.mp4", media_type="video", size=1000,
        created=NOW + number, added=NOW, state=EventState.NEW,
    )  # fmt: skip
    return replace(base, **changes)


@pytest.fixture
async def devices(db: Database) -> list[Device]:
    await AccountTable(db).insert(Account(id=1, name="main"))
    made = [Device(id=n, cid=1, device_type_id=171, protocol_id=0, created=NOW) for n in (1, 2)]
    return await DeviceTable(db).insert_many(made)


async def counts(db: Database, device_id: int = 1) -> dict[str, tuple[int, int, int, int]]:
    found = await GalleryTable(db).counts(device_id)
    return {count.media_type: (count.events, count.size, count.fresh, count.viewed) for count in found}


async def test_a_file_has_its_event_from_its_first_to_its_last_moment(db: Database, devices: list[Device]) -> None:
    table, events = MediaTable(db), GalleryTable(db)
    file = await table.insert(media(1, name="clip.mov", kind="video", mime="video/quicktime"))
    made = await events.of_file(file.uuid)
    assert made == event_of(file)
    assert (made.name, made.size, made.media_type, made.state) == ("clip.mov", 101, "video", EventState.STORED)
    assert await counts(db) == {"video": (1, 101, 0, 0)}
    await table.update(replace(file, name="clip.mp4", size=77))
    changed = await events.get(made.id)
    assert changed is not None
    assert (changed.name, changed.size, changed.source_key) == ("clip.mp4", 77, "clip.mov")
    assert await counts(db) == {"video": (1, 77, 0, 0)}
    await table.delete([file.uuid])
    assert await events.get(made.id) is None
    assert await counts(db) == {}


async def test_a_file_fills_the_event_that_waits_for_it(db: Database, devices: list[Device]) -> None:
    table, events = MediaTable(db), GalleryTable(db)
    pending = await events.insert(event(1, state=EventState.PENDING, source=EventSource.PRESIGNED, expires=NOW))
    assert await counts(db) == {}
    await table.insert_of(media(1, name="clip1.mp4"), pending)
    stored = await events.get(pending.id)
    assert stored is not None
    assert (stored.state, stored.file_uuid, stored.size, stored.expires) == (EventState.STORED, media(1).uuid, 101, 0)
    assert await counts(db) == {"video": (1, 101, 0, 0)}
    with pytest.raises(Conflict):
        await table.insert_of(media(2), pending)
    assert await table.get(media(2).uuid) is None


async def test_the_file_of_a_command_fills_the_event_that_asked(db: Database, devices: list[Device]) -> None:
    table, events = MediaTable(db), GalleryTable(db)
    wanted = await events.insert(event(1, state=EventState.QUEUED, command_id=99))
    other = await events.insert(event(2, device_id=2, state=EventState.QUEUED, command_id=99))
    assert await counts(db) == {"video": (1, 1000, 1, 0)}
    await table.insert(media(1, command_id=99))
    filled = await events.get(wanted.id)
    assert filled is not None
    assert (filled.state, filled.file_uuid, filled.pulled_at) == (EventState.PULLED, media(1).uuid, NOW + 1)
    assert await counts(db) == {"video": (1, 101, 0, 0)}
    assert await events.get(other.id) == other
    await table.insert(media(2, command_id=99))
    alone = await events.of_file(media(2).uuid)
    assert alone is not None
    assert alone.source is EventSource.COMMAND


async def test_a_harvested_event_leaves_a_trace(db: Database, devices: list[Device]) -> None:
    table, events = MediaTable(db), GalleryTable(db)
    found = await events.insert(event(1, source=EventSource.HARVEST))
    with pytest.raises(Conflict):
        await events.insert(event(2, source=EventSource.HARVEST, source_key=found.source_key))
    await events.insert(event(3, source=EventSource.HARVEST, source_key=found.source_key, device_id=2))
    await table.insert_of(media(1), found)
    await table.delete([media(1).uuid])
    hidden = await events.get(found.id)
    assert hidden is not None
    assert (hidden.state, hidden.file_uuid) == (EventState.DELETED, "")
    assert await events.harvested(1, [found.source_key, "/other"]) == {found.source_key}
    assert (await events.page(1, EventQuery(limit=10)))[0] == []
    assert await counts(db) == {}


async def test_pages_are_newest_first_and_whole(db: Database, devices: list[Device]) -> None:
    table, events = MediaTable(db), GalleryTable(db)
    files = [await table.insert(media(n, created=NOW + n // 3)) for n in range(20)]
    await events.insert(event(50))
    await events.insert(event(51, state=EventState.PENDING))
    seen = []
    for offset in range(0, 30, 7):
        page, found, total = await events.page(1, EventQuery(limit=7, offset=offset))
        assert total == 21
        assert set(found) == {made.file_uuid for made in page if made.file_uuid}
        seen += page
    assert len(seen) == len({made.id for made in seen}) == 21
    assert [(made.created, made.id) for made in seen] == sorted([(m.created, m.id) for m in seen], reverse=True)
    images, _, total = await events.page(1, EventQuery(limit=100, media_type="image"))
    assert {made.file_uuid for made in images} == {file.uuid for file in files}
    new, _, _ = await events.page(1, EventQuery(limit=100, states=(EventState.NEW,)))
    assert [made.name for made in new] == ["clip50.mp4"]
    between, _, _ = await events.page(1, EventQuery(limit=100, from_=NOW + 2, to=NOW + 3))
    assert len(between) == 6


async def test_every_filter_and_order_says_what_it_means(db: Database, devices: list[Device]) -> None:
    events = GalleryTable(db)
    chance = random.Random(3)
    kept = [
        await events.insert(
            event(
                number,
                created=NOW + number // 4,
                name=chance.choice(["Trip_1%.mp4", "trip 2.MP4", "stop.jpg", "Stopp.jpg"]),
                size=chance.randrange(5),
                media_type=chance.choice(["video", "image"]),
                state=chance.choice([EventState.NEW, EventState.FAILED, EventState.STORED, EventState.PENDING]),
                flagged=chance.random() < 0.3,
                viewed_by=chance.choice([[], ["token:1"], ["token:11", "user:1"]]),
            )
        )
        for number in range(80)
    ]
    await events.insert(event(90, device_id=2, flagged=True))
    visible = [one for one in kept if one.visible]
    wanted: dict[EventQuery, Callable[[GalleryEvent], bool]] = {
        EventQuery(flagged=True): lambda one: one.flagged,
        EventQuery(flagged=False): lambda one: not one.flagged,
        EventQuery(viewer="token:1"): lambda one: "token:1" in one.viewed_by,
        EventQuery(states=FRESH): lambda one: one.state is not EventState.STORED,
        EventQuery(states=(EventState.FAILED,), flagged=True): lambda one: (
            one.flagged and one.state is EventState.FAILED
        ),
        EventQuery(states=(EventState.STORED,), viewer="user:1"): lambda one: (
            one.state is EventState.STORED and "user:1" in one.viewed_by
        ),
        EventQuery(q="TRIP"): lambda one: "trip" in one.name.lower(),
        EventQuery(q="_1%"): lambda one: one.name == "Trip_1%.mp4",
        EventQuery(q="stop", media_type="image", flagged=True): lambda one: (
            "stop" in one.name.lower() and one.flagged and one.media_type == "image"
        ),
        EventQuery(from_=NOW + 3, to=NOW + 9, flagged=True): lambda one: (
            one.flagged and NOW + 3 <= one.created <= NOW + 9
        ),
        EventQuery(): lambda one: True,
    }
    for query, fits in wanted.items():
        found, _, total = await events.page(1, replace(query, limit=1000))
        assert {one.id for one in found} == {one.id for one in visible if fits(one)}, query
        assert found, query
        assert total == len(found)
        _, _, counted = await events.page(1, replace(query, limit=1))
        assert counted == total, query
    for name in SORTS:
        for sign in ("", "-"):
            found, _, _ = await events.page(1, EventQuery(limit=1000, sort=sign + name, flagged=True))
            keys = [(getattr(one, name), one.id) for one in found]
            assert {key[1] for key in keys} == {one.id for one in visible if one.flagged}
            if name != "name":  # texts stand in the order of the database's own language
                assert keys == sorted(keys, reverse=bool(sign))


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (EventQuery(), "gallery_created"),
        (EventQuery(media_type="video"), "gallery_typed"),
        (EventQuery(sort="name"), "gallery_named"),
        (EventQuery(sort="-size"), "gallery_sized"),
        (EventQuery(states=FRESH, sort="name"), "gallery_fresh"),
        (EventQuery(states=(EventState.FAILED,), media_type="video", q="a"), "gallery_fresh"),
        (EventQuery(flagged=True, media_type="video"), "gallery_flagged"),
        (EventQuery(viewer="user:1", sort="size"), "gallery_viewed"),
        (EventQuery(from_=5, to=6, q="a"), "gallery_created"),
    ],
)
async def test_every_list_has_its_index(db: Database, query: EventQuery, index: str) -> None:
    if not db.sqlite:
        return  # its choice goes by how many rows there are: bench/rest_cost.py looks at that
    async with plans.watched(db) as seen:
        await GalleryTable(db).page(1, query)
    steps = [step for statement, parameters in seen for step in await plans.plan(db, statement, parameters)]
    assert f"INDEX {index} " in steps[0]


async def test_a_key_is_kept_for_a_day(db: Database, devices: list[Device]) -> None:
    keys = GalleryKeyTable(db)
    made = UploadKey(device_id=1, key="k", body="ab", answer=None, made=NOW)
    await keys.put(made)
    assert await keys.of_device(1, "k") == made
    assert await keys.of_device(2, "k") is None
    answered = replace(made, answer={"success": True})
    await keys.put(answered)
    assert await keys.of_device(1, "k") == answered
    await keys.put(replace(made, key="old", made=NOW - 100))
    assert await keys.purge(NOW - 50) == 1
    assert await keys.of_device(1, "old") is None
    await keys.forget(1, "k")
    assert await keys.of_device(1, "k") is None
    await keys.put(made)
    await DeviceTable(db).delete([1])
    assert await keys.of_device(1, "k") is None


async def test_events_are_found_by_name_and_by_bytes(db: Database, devices: list[Device]) -> None:
    table, events = MediaTable(db), GalleryTable(db)
    await table.insert(media(1, name="a.jpg"))
    await table.insert(media(2, name="a.png"))
    await table.insert(media(3, name="a.jpg", device_id=2))
    assert [e.file_uuid for e in await events.named(1, "a.png", "a")] == [media(2).uuid]
    assert len(await events.named(1, "a", "a")) == 2
    assert await events.named(1, "b", "b") == []
    same = await events.same(1, "a.jpg", f"{1:064x}")
    assert same is not None
    assert same.file_uuid == media(1).uuid
    assert await events.same(1, "a.png", f"{1:064x}") is None
    assert await events.same(2, "a.jpg", f"{1:064x}") is None


async def test_counts_stay_the_sum_whatever_happens(db: Database, devices: list[Device]) -> None:
    table, events = MediaTable(db), GalleryTable(db)
    chance = random.Random(7)
    files: list[MediaFile] = []
    made: list[GalleryEvent] = []
    for number in range(120):
        match chance.choice(["file", "file", "event", "size", "view", "delete", "remove", "fill"]):
            case "file":
                kind = chance.choice(["image", "video", "audio", "other"])
                files.append(await table.insert(media(number, chance.choice([1, 2]), kind=kind)))
            case "event":
                made.append(await events.insert(event(number, chance.choice([1, 2]))))
            case "size" if files:
                file = chance.choice(files)
                files[files.index(file)] = file = replace(file, size=chance.randrange(1000))
                await table.update(file)
            case "view" if made:
                await events.change(chance.choice(made).id, viewed_by=chance.choice([[], ["user:1"]]))
            case "delete" if files:
                gone = [files.pop(chance.randrange(len(files))).uuid for _ in range(min(2, len(files)))]
                await table.delete(gone)
            case "remove" if made:
                await events.remove(made.pop().id)
            case "fill" if made:
                known = made.pop()
                files.append(replace(media(number, known.device_id), kind="video"))
                await table.insert_of(files[-1], known)
    assert await events.repair() == []
    for device_id in (1, 2):
        page, _, _ = await events.page(device_id, EventQuery(limit=1000))
        found = {}
        for one in page:
            numbers = found.setdefault(one.media_type, [0, 0, 0, 0])
            for index, value in enumerate((1, one.size, not one.file_uuid, bool(one.viewed_by))):
                numbers[index] += int(value)
        assert await counts(db, device_id) == {kind: tuple(numbers) for kind, numbers in found.items()}


async def test_what_disagrees_at_the_start_is_put_right(db: Database, devices: list[Device]) -> None:
    table, events = MediaTable(db), GalleryTable(db)
    for number in range(3):
        await table.insert(media(number))
    async with db.write() as conn:
        await conn.execute(text("DELETE FROM gallery_events WHERE name = 'photo1.jpg'"))
        await conn.execute(text("DELETE FROM media WHERE name = 'photo2.jpg'"))
        await conn.execute(text("UPDATE gallery_counts SET size = 5"))
    said = await events.repair()
    assert [sentence.split()[0] for sentence in said] == ["made", "removed", "corrected"]
    assert await counts(db) == {"image": (2, 201, 0, 0)}
    assert await events.of_file(media(1).uuid) == event_of(media(1))
    assert await events.repair() == []


async def test_a_deleted_device_takes_events_and_counts_along(db: Database, devices: list[Device]) -> None:
    await MediaTable(db).insert(media(1))
    await DeviceTable(db).delete([1])
    assert await GalleryTable(db).all() == []
    assert await counts(db) == {}


async def test_existing_files_get_their_events_when_the_schema_comes(empty: Database) -> None:
    db = empty
    await db.upgrade("0002")
    async with db.write() as conn:
        await conn.execute(text("INSERT INTO accounts VALUES (1, 0, 'main', 0, '{}', false)"))
        await conn.execute(
            text(
                "INSERT INTO devices (id, cid, name, enabled, device_type_id, protocol_id, configuration, "
                "messages_ttl, messages_rotate, media_ttl, media_rotate, metadata, created, ident) "
                "VALUES (1, 1, 'd', true, 171, 0, '{}', 60, 0, 60, 0, '{}', 0, '')"
            )
        )
        for number in range(3):
            file = media(number)
            await conn.execute(
                text(
                    "INSERT INTO media VALUES (:uuid, 1, 1, 0, :name, :size, :mime, :kind, :created, 0, :uploaded, "
                    "false, true, '{}', '{}', 'ready', true, 'b', '', '', 0, 's', :sha, '{}', 0)"
                ),
                {
                    "uuid": file.uuid, "name": file.name, "size": file.size, "mime": file.mime, "kind": file.kind,
                    "created": int(file.created * 1e6), "uploaded": int(file.uploaded * 1e6),
                    "sha": file.source_sha256,
                },
            )  # fmt: skip
    await db.migrate()
    events = GalleryTable(db)
    assert await events.repair() == []
    assert [e.name for e in (await events.page(1, EventQuery(limit=10)))[0]] == [
        "photo2.jpg",
        "photo1.jpg",
        "photo0.jpg",
    ]
    assert await events.counts(1) == [EventCount(device_id=1, media_type="image", events=3, size=303)]
    assert await events.of_file(media(1).uuid) == event_of(media(1))


@pytest.mark.parametrize(
    ("kind", "mime", "name", "expected"),
    [
        ("tacho", "application/octet-stream", "card.ddd", "document"),
        ("other", "application/pdf", "x", "document"),
        ("other", "application/octet-stream", "notes.txt", "document"),
        ("other", "application/octet-stream", "pretended.mp4", "other"),
        ("other", "application/octet-stream", "noname", "other"),
        ("audio", "audio/mpeg", "x.txt", "audio"),
    ],
)
def test_media_types(kind: str, mime: str, name: str, expected: str) -> None:
    assert type_of_file(media(1, kind=kind, mime=mime, name=name)) == expected


def test_ids_sort_by_time_and_have_the_form_of_the_contract() -> None:
    first, second = event_id(NOW, bytes(10)), event_id(NOW + 0.001, bytes(10))
    assert first < second
    assert len(first) == 30
    assert first.startswith("evt_")
    assert first == first.lower()
    assert fingerprint("") == 0
    assert 0 < fingerprint("f" * 64) < 2**63
