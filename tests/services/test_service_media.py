"""The media store: the road of a file, its limits, and what is left after a crash at any point of it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from rooms import ALL, NOW, TACHOBOX, Rooms, SentLink

from wayframe.model import BadRequest, MediaState, NotFound, StorageFull, TooLarge
from wayframe.services import DEVICES, Entry, NewFile

pytestmark = pytest.mark.anyio
MB = 1 << 20


def jpeg(side: int = 64) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side // 2), (200, 90, 30)).save(out, "JPEG")
    return out.getvalue()


PHOTO = jpeg()


async def listed(rooms: Rooms, *entries: Entry, **asked: Any) -> list[str]:
    return [file.name for file in await rooms.media.files(entries, **asked)]


async def change(rooms: Rooms, entry: Entry, **body: Any) -> None:
    await rooms.directory.update(rooms.master(), DEVICES, entry, body, patch=True)


async def assert_true(rooms: Rooms) -> None:
    """Counters, rows and bytes on disk agree."""
    files = await rooms.media_table.all()
    sums: dict[int, int] = {}
    for file in files:
        sums[file.device_id] = sums.get(file.device_id, 0) + file.size + file.original_size
        assert (rooms.blobs.path(file.blob)).stat().st_size == file.size
    for entry in rooms.directory.entries(DEVICES):
        assert rooms.quota.stored(entry.id) == rooms.quota.used(entry.id) == sums.get(entry.id, 0)
        assert entry.view["media_size"] == -(-sums.get(entry.id, 0) // 1024)
    keys = {key for file in files for key in (file.blob, file.preview, file.original) if key}
    assert rooms.on_disk() == keys and rooms.temporary() == []


# --- what a file is ---------------------------------------------------------------------------------------------------


async def test_an_uploaded_file_is_described_by_its_bytes_not_by_word(rooms: Rooms) -> None:
    truck = await rooms.device()
    data = {
        "type": "video",
        "meta": {"type": "video", "channel": 2, "created": 1_775_000_000},
        "params": {"case": "A1"},
    }
    file = await rooms.upload(truck, PHOTO, "clip.mp4", **data)
    assert (file["mime"], file["meta"]["type"], file["name"]) == ("image/jpeg", "image", "clip.mp4")
    assert file["created"] == 1_775_000_000 and file["uploaded"] == file["modified"] == NOW
    assert file["meta"]["channel"] == 2 and file["params"] == {"case": "A1"} and "created" not in file["meta"]
    assert file["size"] == len(PHOTO) and len(file["uuid"]) == 64 and file["uuid"].isupper()
    assert file["url"].endswith(f"/media/{file['uuid']}")
    assert (await rooms.file(file["uuid"])).sha256 and file["protected"] is False and file["shared"] is True
    await assert_true(rooms)


@pytest.mark.parametrize(
    ("name", "data", "kind", "parameter"),
    [
        ("card.ddd", {}, "tacho", "media.tacho"),
        ("CARD.V1B", {}, "tacho", "media.tacho"),
        ("card.bin", {"type": "tacho", "meta": {"driver_id": "D1"}}, "tacho", "media.tacho"),
        ("card.bin", {}, "other", "custom.media.other.1"),
        ("card.ddd", {"type": "image"}, "other", "custom.media.other.1"),
    ],
)
async def test_unknown_bytes_are_what_name_and_word_say(
    one: Rooms, name: str, data: dict[str, Any], kind: str, parameter: str
) -> None:
    box = await one.device("box", TACHOBOX)
    file = await one.upload(box, b"\x76\x21" + bytes(200), name, **data)
    message = (await one.history.messages([box], ALL))[0]
    assert file["meta"]["type"] == kind and file["mime"] == "application/octet-stream"
    assert message["media"] is True and message[parameter]["uuid"] == file["uuid"]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"type": "sound"}, "data.type"),
        ({"meta": {"created": "now"}}, "data.meta.created"),
        ({"meta": {"created": True}}, "data.meta.created"),
        ({"meta": {"created": -1}}, "data.meta.created"),
        ({"meta": {"channel": "1"}}, "data.meta.channel"),
        ({"meta": {"channel": 256}}, "data.meta.channel"),
        ({"meta": []}, "meta"),
        ({"params": 5}, "params"),
    ],
)
async def test_bad_data_is_refused_and_nothing_stored(one: Rooms, data: dict[str, Any], named: str) -> None:
    truck = await one.device()
    with pytest.raises(BadRequest) as refused:
        await one.upload(truck, PHOTO, **data)
    assert named in refused.value.reason
    with pytest.raises(BadRequest, match="empty"):
        await one.upload(truck, b"")
    await assert_true(one)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\clips\\a.jpg", "a.jpg"),
        ("a\x00b\n.jpg", "ab.jpg"),
        ("\u202egpj.exe", "gpj.exe"),
        ("", "upload.jpg"),
        ("..", "upload.jpg"),
        ("x" * 300 + ".jpg", "x" * 251 + ".jpg"),
        ("Überfall 1.jpg", "Überfall 1.jpg"),
    ],
)
async def test_a_name_is_only_ever_a_name(one: Rooms, name: str, shown: str) -> None:
    assert (await one.upload(await one.device(), PHOTO, name))["name"] == shown


async def test_one_upload_for_several_devices_is_a_file_for_each(rooms: Rooms) -> None:
    entries = [await rooms.device(ident) for ident in "ab"]
    upload = await rooms.media.begin_upload(entries)
    await upload.write(PHOTO)
    files = await rooms.media.finish_upload(upload, "a.jpg", {})
    assert [file["device_id"] for file in files] == [entry.id for entry in entries]
    assert files[0]["uuid"] != files[1]["uuid"]
    await rooms.media.delete([entries[0]])
    assert rooms.media.path(await rooms.file(files[1]["uuid"])).read_bytes() == PHOTO
    await assert_true(rooms)


# --- the road ---------------------------------------------------------------------------------------------------------


async def test_a_file_is_readable_then_logged_then_a_message(rooms: Rooms) -> None:
    truck = await rooms.device()
    seen: list[tuple[str, bool, MediaState]] = []
    looks: list[asyncio.Task[None]] = []

    async def look(topic: str, uuid: str) -> None:
        file = await rooms.file(uuid)
        seen.append((topic.rpartition("/")[2], rooms.media.path(file).is_file(), file.state))

    def hear(event: Any) -> None:
        uuid = event.payload.get("uuid") or event.payload["media.image.1"]["uuid"]
        looks.append(asyncio.get_running_loop().create_task(look(event.topic, uuid)))

    rooms.bus.listen(f"flespi/log/gw/devices/{truck.id}/media_file_uploaded", hear)
    rooms.bus.listen(f"flespi/message/gw/devices/{truck.id}", hear)
    file = await rooms.upload(truck, PHOTO, message_params={"event": "harsh"}, meta={"created": NOW - 50})
    await asyncio.gather(*looks)
    assert seen == [("media_file_uploaded", True, MediaState.READY), (str(truck.id), True, MediaState.READY)]
    logged = rooms.payloads(f"flespi/log/gw/devices/{truck.id}/media_file_uploaded")[0]
    assert {**file, "timestamp": logged["timestamp"]} == {name: logged[name] for name in [*file, "timestamp"]}
    assert logged["event_code"] == 24 and "preview" not in logged
    message = (await rooms.history.messages([truck], ALL))[0]
    assert (message["timestamp"], message["event"], message["media"]) == (NOW - 50, "harsh", True)
    assert message["media.image.1"]["url"] == file["url"]
    assert rooms.payloads(f"flespi/state/gw/devices/{truck.id}/media_size")[-1] == -(-len(PHOTO) // 1024)


async def test_facts_and_preview_come_from_a_worker(seeing: Rooms) -> None:
    truck = await seeing.device()
    file = await seeing.upload(truck, jpeg(640), meta={"width": 1, "vin": "V1"})
    assert file["meta"] == {"type": "image", "channel": 1, "width": 640, "height": 320, "vin": "V1"}
    preview = seeing.media.preview_path(await seeing.file(file["uuid"]))
    assert preview is not None and Image.open(preview).size == (320, 160)
    await assert_true(seeing)
    torn = await seeing.upload(truck, PHOTO[:200], "torn.jpg")
    assert "unreadable" in torn["meta"] and torn["mime"] == "image/jpeg"
    await seeing.media.delete([truck])
    await assert_true(seeing)


async def test_a_requested_file_completes_its_command(rooms: Rooms) -> None:
    truck = await rooms.device()
    link = SentLink()
    rooms.connect(truck, link)
    body = {"name": "take_photo", "properties": {"channel": 1}}
    created, _ = await rooms.commands.enqueue(rooms.master(), [truck], [body])
    await link.received(1)
    number = created[0]["id"]
    writer = await rooms.blobs.begin()
    writer.write(PHOTO)
    facts = NewFile("a.jpg", "image", "image/jpeg", NOW, channel=1, channel_id=3, command_id=number)
    file = await rooms.media.store_blob(truck, await writer.commit(), facts)
    assert rooms.media.carries(number)
    state = f"flespi/state/gw/devices/{truck.id}/commands-queue/{number}"
    await rooms.until(lambda: None in rooms.payloads(state))
    result = (await rooms.commands.results([truck], ALL))[0]
    assert result["executed"] is True and result["response"]["uuid"] == file.uuid
    assert result["response"]["meta"]["command_id"] == number and result["response"]["channel_id"] == 3
    order = [topic.rpartition("/")[2] for topic in rooms.topics()]
    assert order.index("media_file_uploaded") < order.index("processed")


# --- crashes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["processing", "ready", "announced"])
async def test_a_crash_on_the_road_is_caught_up_with(rooms: Rooms, stage: str) -> None:
    truck = await rooms.device()
    body = {"name": "take_photo", "properties": {"channel": 1}}
    created, _ = await rooms.commands.enqueue(rooms.master(), [truck], [body])
    number = created[0]["id"]
    file = await rooms.file((await rooms.upload(truck, PHOTO))["uuid"])
    await rooms.history.delete([truck], ALL)
    states = {"processing": MediaState.PROCESSING}
    left = msgspec.structs.replace(
        file, state=states.get(stage, MediaState.READY), announced=stage == "announced", command_id=number
    )
    await rooms.media_table.update(left)
    await rooms.restart()
    again = rooms.directory.device(truck.id)
    assert again is not None
    if stage == "announced":
        assert rooms.media.waiting == 0 and len(rooms.commands.queue([again])) == 1
        return
    link = SentLink()
    rooms.connect(again, link)
    state = f"flespi/state/gw/devices/{truck.id}/commands-queue/{number}"
    await rooms.until(lambda: None in rooms.payloads(state))
    assert link.requests == []  # the file is here: the device is not asked again
    await rooms.until(lambda: rooms.media.waiting == 0)
    messages = await rooms.history.messages([again], ALL)
    assert [message["media.image.1"]["uuid"] for message in messages] == [file.uuid]
    assert (await rooms.commands.results([again], ALL))[0]["response"]["uuid"] == file.uuid
    assert len(rooms.payloads(f"flespi/log/gw/devices/{truck.id}/media_file_uploaded")) == 1
    await assert_true(rooms)


async def test_rows_without_bytes_and_bytes_without_rows_are_cleared_at_the_start(rooms: Rooms) -> None:
    truck = await rooms.device()
    lost, kept = [await rooms.upload(truck, PHOTO, name) for name in ("lost.jpg", "kept.jpg")]
    file = await rooms.file(kept["uuid"])
    gone = rooms.blobs.path("ab" * 16).name
    await rooms.media_table.update(msgspec.structs.replace(file, preview=gone, original=gone, original_size=5))
    orphan = await rooms.blobs.begin()
    orphan.write(b"nobody's")
    await orphan.commit()
    unfinished = await rooms.blobs.begin()
    unfinished.write(b"half")
    preview = await rooms.blobs.begin()
    preview.write(b"a preview")
    row = await rooms.file(lost["uuid"])
    await rooms.media_table.update(msgspec.structs.replace(row, preview=(await preview.commit()).key))
    rooms.media.path(row).unlink()
    await rooms.restart()
    again = rooms.directory.device(truck.id)
    assert again is not None and await listed(rooms, again) == ["kept.jpg"]
    assert any(lost["uuid"][:8] in sentence for sentence in rooms.repaired)
    mended = await rooms.file(kept["uuid"])
    assert (mended.preview, mended.original, mended.original_size) == ("", "", 0)
    await assert_true(rooms)


# --- reading and changing ---------------------------------------------------------------------------------------------


async def test_files_are_listed_by_recording_time_and_filter(rooms: Rooms) -> None:
    a, b = await rooms.device("a"), await rooms.device("b")
    for index, entry in enumerate((a, b, a)):
        await rooms.upload(entry, PHOTO, f"{index}.jpg", meta={"created": NOW - index, "channel": index})
    assert await listed(rooms, a, b) == ["2.jpg", "1.jpg", "0.jpg"]
    assert await listed(rooms, a) == ["2.jpg", "0.jpg"]
    assert await listed(rooms, a, b, from_=NOW - 1, to=NOW - 1) == ["1.jpg"]
    assert await listed(rooms, a, b, filter_text=f"created>{NOW - 2}&&created<{NOW}") == ["1.jpg"]
    assert await listed(rooms, a, b, filter_text="meta.channel==2") == ["2.jpg"]
    with pytest.raises(BadRequest):
        await listed(rooms, a, filter_text="size>")
    assert await rooms.media.get("short") is None and await rooms.media.get("0" * 64) is None


async def test_a_file_is_changed_and_says_so(rooms: Rooms) -> None:
    truck, other = await rooms.device("a"), await rooms.device("b")
    file = await rooms.upload(truck, PHOTO, params={"case": "A1", "old": "x"})
    rooms.clock.advance(10)
    body = {"protected": True, "shared": False, "name": "b/../new.jpg", "params": {"case": "A2", "old": None}}
    changed = (await rooms.media.update([truck], [file["uuid"]], body))[0]
    assert (changed["protected"], changed["shared"], changed["name"]) == (True, False, "new.jpg")
    assert changed["params"] == {"case": "A2"} and changed["modified"] == NOW + 10 and changed["uploaded"] == NOW
    await rooms.journal.settled()
    logged = rooms.payloads(f"flespi/log/gw/devices/{truck.id}/media_file_updated")[0]
    assert logged["event_code"] == 25 and logged["uuid"] == file["uuid"] and logged["protected"] is True
    for bad in ({}, {"size": 1}, {"protected": "yes"}, {"name": ""}, {"params": []}):
        with pytest.raises(BadRequest):
            await rooms.media.update([truck], [file["uuid"]], bad)
    with pytest.raises(NotFound):
        await rooms.media.update([other], [file["uuid"]], {"protected": False})


async def test_files_are_deleted_by_uuid_by_filter_and_all_protected_or_not(rooms: Rooms) -> None:
    truck, other = await rooms.device("a"), await rooms.device("b")
    files = [await rooms.upload(truck, PHOTO, f"{n}.jpg") for n in range(4)]
    foreign = await rooms.upload(other, PHOTO)
    await rooms.media.update([truck], [files[0]["uuid"]], {"protected": True})
    with pytest.raises(NotFound):
        await rooms.media.delete([truck], uuids=[foreign["uuid"]])
    named = await rooms.media.delete([truck], uuids=[files[0]["uuid"], foreign["uuid"]])
    assert named == [{"uuid": files[0]["uuid"], "device_id": truck.id}]
    await rooms.media.delete([truck], filter_text='name=="1.jpg"')
    assert sorted(await listed(rooms, truck)) == ["2.jpg", "3.jpg"]
    await rooms.media.delete([truck])
    assert await listed(rooms, truck) == [] and len(await listed(rooms, other)) == 1
    await rooms.journal.settled()
    topic = f"flespi/log/gw/devices/{truck.id}/media_file_deleted"
    assert [record["event_code"] for record in rooms.payloads(topic)] == [26] * 4
    await assert_true(rooms)


async def test_a_file_deleted_or_changed_twice_at_once_is_counted_once(rooms: Rooms) -> None:
    truck = await rooms.device()
    files = [await rooms.upload(truck, PHOTO, f"{n}.jpg") for n in range(3)]
    uuid = files[0]["uuid"]
    await asyncio.gather(
        *(rooms.media.update([truck], [uuid], {"params": {str(n): n}}) for n in range(3)),
    )
    assert (await rooms.file(uuid)).params == {"0": 0, "1": 1, "2": 2}
    outcomes = await asyncio.gather(
        *(rooms.media.delete([truck], uuids=[uuid]) for _ in range(3)),
        rooms.media.delete([truck]),
        return_exceptions=True,
    )
    assert all(isinstance(outcome, list | NotFound) for outcome in outcomes)
    await rooms.journal.settled()
    assert len(rooms.topics(f"flespi/log/gw/devices/{truck.id}/media_file_deleted")) == 3
    await assert_true(rooms)


async def test_a_change_while_a_file_is_in_work_stays_and_harms_nothing(seeing: Rooms) -> None:
    truck = await seeing.device()
    writer = await seeing.blobs.begin()
    writer.write(jpeg(800))
    facts = NewFile("a.jpg", "image", "image/jpeg", NOW)
    file = await seeing.media.store_blob(truck, await writer.commit(), facts)
    await seeing.media.update([truck], [file.uuid], {"protected": True, "params": {"a": 1}, "name": "mine.jpg"})
    await seeing.until(lambda: seeing.topics(f"flespi/message/gw/devices/{truck.id}"))
    done = await seeing.file(file.uuid)
    assert done.state is MediaState.READY and done.meta["width"] == 800
    assert (done.protected, done.params, done.name) == (True, {"a": 1}, "mine.jpg")


async def test_a_file_deleted_while_it_is_in_work_leaves_nothing(seeing: Rooms) -> None:
    truck = await seeing.device()
    writer = await seeing.blobs.begin()
    writer.write(jpeg(800))
    facts = NewFile("a.jpg", "image", "image/jpeg", NOW, command_id=0)
    file = await seeing.media.store_blob(truck, await writer.commit(), facts)
    await seeing.media.delete([truck], uuids=[file.uuid])
    await seeing.upload(truck, PHOTO, "next.jpg")
    assert await listed(seeing, truck) == ["next.jpg"]
    await assert_true(seeing)


# --- limits -----------------------------------------------------------------------------------------------------------


async def filled(rooms: Rooms, entry: Entry, *sizes: int) -> list[str]:
    """Files named by their order, each a second later than the one before."""
    names = []
    for index, size in enumerate(sizes):
        rooms.clock.advance(1)
        names.append((await rooms.upload(entry, PHOTO + bytes(size - len(PHOTO)), f"{index}.jpg"))["uuid"])
    return names


async def test_the_oldest_unprotected_files_make_room(rooms: Rooms) -> None:
    truck = await rooms.device(media_rotate=4 * MB)
    uuids = await filled(rooms, truck, MB, MB, MB)
    await rooms.media.update([truck], [uuids[0]], {"protected": True})
    rooms.clock.advance(1)
    await rooms.upload(truck, PHOTO + bytes(2 * MB), "new.jpg", meta={"created": NOW - 10_000})
    assert sorted(await listed(rooms, truck)) == ["0.jpg", "new.jpg"]
    await rooms.journal.settled()
    gone = rooms.payloads(f"flespi/log/gw/devices/{truck.id}/media_file_expired")
    assert [record["uuid"] for record in gone] == uuids[1:] and gone[0]["event_code"] == 27
    await assert_true(rooms)


async def test_a_store_of_protected_files_is_full_and_says_so(rooms: Rooms) -> None:
    truck = await rooms.device(media_rotate=2 * MB)
    uuids = await filled(rooms, truck, MB, MB - 1)
    for uuid in uuids:
        await rooms.media.update([truck], [uuid], {"protected": True})
    with pytest.raises(StorageFull, match="protected"):
        await rooms.upload(truck, PHOTO)
    writer = await rooms.blobs.begin()
    writer.write(PHOTO)
    with pytest.raises(StorageFull):
        await rooms.media.store_blob(truck, await writer.commit(), NewFile("a.jpg", "image", "image/jpeg", NOW))
    refused = (await rooms.logs(truck))[-1]
    assert (refused["event_code"], refused["name"]) == (28, "a.jpg") and "protected" in refused["error_text"]
    await assert_true(rooms)


async def test_no_file_is_given_up_for_one_that_will_not_fit(rooms: Rooms) -> None:
    truck = await rooms.device(media_rotate=4 * MB)
    uuids = await filled(rooms, truck, MB, 2 * MB)
    await rooms.media.update([truck], [uuids[1]], {"protected": True})
    with pytest.raises(StorageFull, match="protected"):
        await rooms.upload(truck, PHOTO + bytes(3 * MB))
    assert sorted(await listed(rooms, truck)) == ["0.jpg", "1.jpg"]
    await assert_true(rooms)


async def test_without_rotation_a_full_store_refuses(small: Rooms) -> None:
    rooms = small
    truck = await rooms.device()
    await filled(rooms, truck, MB)
    with pytest.raises(StorageFull):
        await rooms.upload(truck, PHOTO + bytes(MB))
    with pytest.raises(TooLarge):
        await rooms.upload(truck, bytes(5 * MB))
    upload = await rooms.media.begin_upload([truck])
    with pytest.raises(TooLarge):
        await upload.write(bytes(2 * MB + 1))
    await upload.writer.abandon()
    outcomes = await asyncio.gather(
        *(rooms.upload(truck, PHOTO + bytes(600_000)) for _ in range(3)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["StorageFull", "StorageFull", "dict"]
    await assert_true(rooms)


async def test_a_disk_at_its_reserve_refuses(one: Rooms) -> None:
    truck = await one.device()
    one.free = 1000
    with pytest.raises(StorageFull, match="disk"):
        await one.upload(truck, bytes(5000))
    one.free = -1
    with pytest.raises(StorageFull, match="disk"):
        await one.upload(truck, bytes(1))
    await assert_true(one)


async def test_files_past_their_time_go_and_protected_ones_stay(rooms: Rooms) -> None:
    truck = await rooms.device("a", media_ttl=100)
    keeper = await rooms.device("b", media_ttl=1000)
    old, safe = await filled(rooms, truck, MB, MB)
    await rooms.upload(keeper, PHOTO)
    await rooms.upload(truck, PHOTO, "historic.jpg", meta={"created": 5})  # retention counts from arrival
    await rooms.media.update([truck], [safe], {"protected": True})
    rooms.clock.advance(99.5)
    assert await rooms.media.expire() == 1
    rooms.clock.advance(100)
    assert await rooms.media.expire() == 1
    assert await listed(rooms, truck) == ["1.jpg"] and len(await listed(rooms, keeper)) == 1
    await rooms.journal.settled()
    assert rooms.payloads(f"flespi/log/gw/devices/{truck.id}/media_file_expired")[0]["uuid"] == old
    await assert_true(rooms)


async def test_a_device_that_may_keep_less_is_rotated_at_its_next_file(one: Rooms) -> None:
    truck = await one.device()
    await filled(one, truck, MB, MB, MB)
    await change(one, truck, media_rotate=2 * MB)
    await one.upload(truck, PHOTO, "new.jpg")
    await one.until(lambda: one.quota.used(truck.id) <= 2 * MB)
    assert sorted(await listed(one, truck)) == ["2.jpg", "new.jpg"]
    await assert_true(one)


# --- the counters, against a model ------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("store"), st.integers(0, 1), st.integers(1, 3)),
        st.tuples(st.just("delete"), st.integers(0, 1), st.integers(0, 5)),
        st.tuples(st.just("protect"), st.integers(0, 1), st.integers(0, 5)),
        st.tuples(st.just("expire"), st.just(0), st.integers(1, 60)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture
def folder_of_runs(tmp_path: Path, sqlite_template: Path) -> Iterator[tuple[Path, Path]]:
    """Where each example makes its own house."""
    yield tmp_path, sqlite_template


@given(steps=STEPS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_counters_are_the_sums_after_any_sequence(
    folder_of_runs: tuple[Path, Path], steps: list[tuple[str, int, int]]
) -> None:
    folder, template = folder_of_runs
    home = folder / str(len(list(folder.iterdir())))
    home.mkdir()
    (home / "w.db").write_bytes(template.read_bytes())
    rooms = await Rooms(f"sqlite:///{home}/w.db", home).start()
    limits = (4 * MB, 0)
    try:
        made = [await rooms.device(str(n), media_rotate=limit, media_ttl=60) for n, limit in enumerate(limits)]
        model: list[list[tuple[str, int, bool, float]]] = [[], []]  # uuid, size, protected, uploaded
        for step, which, amount in steps:
            entry = rooms.directory.device(made[which].id)
            assert entry is not None
            await run_step(rooms, entry, model[which], limits[which], step, amount)
            if step in ("expire", "restart"):
                now = rooms.clock.now()
                for files in model:
                    files[:] = [file for file in files if step == "restart" or file[2] or file[3] >= now - 60]
            for index, files in enumerate(model):
                there = await rooms.media_table.list([made[index].id])
                assert {file.uuid for file in there} == {file[0] for file in files}
            await assert_true(rooms)
    finally:
        await rooms.stop()


async def run_step(
    rooms: Rooms, entry: Entry, files: list[tuple[str, int, bool, float]], limit: int, step: str, amount: int
) -> None:
    """Do one step in the house and in the model; the model's own rules for rotation are here."""
    if step == "store":
        rooms.clock.advance(1)
        size = amount * MB
        while limit and sum(file[1] for file in files) + size > limit and not all(file[2] for file in files):
            files.remove(min((file for file in files if not file[2]), key=lambda file: file[3]))
        if limit and sum(file[1] for file in files) + size > limit:
            with pytest.raises(StorageFull):
                await rooms.upload(entry, PHOTO + bytes(size - len(PHOTO)))
            return
        uuid = (await rooms.upload(entry, PHOTO + bytes(size - len(PHOTO))))["uuid"]
        files.append((uuid, size, False, rooms.clock.now()))
    elif step == "delete" and files:
        uuid = files.pop(amount % len(files))[0]
        await rooms.media.delete([entry], uuids=[uuid])
    elif step == "protect" and files:
        chosen = files[amount % len(files)]
        await rooms.media.update([entry], [chosen[0]], {"protected": not chosen[2]})
        files[files.index(chosen)] = (chosen[0], chosen[1], not chosen[2], chosen[3])
    elif step == "expire":
        rooms.clock.advance(amount)
        await rooms.media.expire()
    elif step == "restart":
        await rooms.restart()
