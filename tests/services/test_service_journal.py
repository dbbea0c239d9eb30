"""The journal: what happens is written, then announced, in the order it was entered."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from rooms import ALL, Rooms
from sqlalchemy import text

from wayframe.model import OriginType
from wayframe.model.log_codes import Log

pytestmark = pytest.mark.anyio
UUID = "AB" * 32


async def test_log_and_state_come_out_in_the_order_they_went_in(rooms: Rooms) -> None:
    truck = await rooms.device()
    await rooms.journal.settled()
    rooms.events.clear()
    base = f"flespi/state/gw/devices/{truck.id}"
    rooms.journal.state(f"{base}/a", 1, truck.cid)
    rooms.journal.log(Log.DEVICE_NOTE, OriginType.DEVICE, truck.id, truck.cid, {"n": 1})
    rooms.journal.state_members(base, {"b": 2, "c": 3}, truck.cid)
    rooms.journal.event("flespi/message/x", {"n": 2}, truck.cid)
    rooms.journal.log(Log.DEVICE_NOTE, OriginType.DEVICE, truck.id, truck.cid, {"n": 3})
    await rooms.journal.settled()
    note = f"flespi/log/gw/devices/{truck.id}/note"
    assert rooms.topics() == [f"{base}/a", note, f"{base}/b", f"{base}/c", "flespi/message/x", note]
    assert [event.retain for event in rooms.events] == [True, False, True, True, False, False]
    assert [event.payload for event in rooms.events][0::2] == [1, 2, {"n": 2}]


async def test_a_record_is_in_the_log_before_it_is_announced(rooms: Rooms) -> None:
    truck = await rooms.device()
    await rooms.journal.settled()
    written: list[asyncio.Task[list[dict[str, object]]]] = []
    topic = f"flespi/log/gw/devices/{truck.id}/note"
    loop = asyncio.get_running_loop()

    def look(event: object) -> None:
        written.append(loop.create_task(rooms.history.logs(11, [truck], ALL)))

    rooms.bus.listen(topic, look)
    rooms.journal.log(Log.DEVICE_NOTE, OriginType.DEVICE, truck.id, truck.cid, {"n": 1})
    await rooms.journal.settled()
    assert (await written[0])[-1]["n"] == 1


async def test_timestamps_rise_strictly_even_when_the_clock_stands_or_goes_back(one: Rooms) -> None:
    truck = await one.device()
    for step in (0.0, 0.0, -5.0, 0.0, 10.0):
        one.clock.advance(step)
        one.journal.log(Log.DEVICE_NOTE, OriginType.DEVICE, truck.id, truck.cid, {})
    times = [record["timestamp"] for record in await one.logs(truck)]
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    assert times[-1] == one.clock.now()


async def test_the_news_goes_out_when_the_log_cannot_be_written(rooms: Rooms) -> None:
    truck = await rooms.device()
    await rooms.journal.settled()
    async with rooms.db.write() as conn:
        await conn.execute(text("ALTER TABLE logs RENAME TO gone"))
    rooms.events.clear()
    rooms.journal.log(Log.DEVICE_NOTE, OriginType.DEVICE, truck.id, truck.cid, {"n": 1})
    rooms.journal.state("flespi/state/x", 1, truck.cid)
    await rooms.journal.settled()
    assert rooms.topics() == [f"flespi/log/gw/devices/{truck.id}/note", "flespi/state/x"]
    async with rooms.db.write() as conn:
        await conn.execute(text("ALTER TABLE gone RENAME TO logs"))
    rooms.journal.log(Log.DEVICE_NOTE, OriginType.DEVICE, truck.id, truck.cid, {"n": 2})
    assert [record["n"] for record in await rooms.logs(truck) if "n" in record] == [2]


async def test_links_are_not_stored_and_come_back_at_reading(rooms: Rooms) -> None:
    truck = await rooms.device()
    file = {"uuid": UUID, "url": "http://old.example/media/x", "name": "a.jpg"}
    stream = {"uuid": UUID, "mediastream": "hls", "hls": "http://old.example/x"}
    rooms.journal.log(Log.DEVICE_NOTE, OriginType.DEVICE, truck.id, truck.cid, {"response": [file, stream]})
    await rooms.journal.settled()
    stored = str(await rooms.db.ask(lambda conn: conn.scalar(text("SELECT fields FROM logs ORDER BY id DESC LIMIT 1"))))
    assert "http" not in stored and UUID in stored
    link = f"http://media.example:9005/media/{UUID}"
    shown = (await rooms.logs(truck))[-1]["response"]
    assert shown == [{"uuid": UUID, "url": link, "name": "a.jpg"}, {**stream, "url": link, "hls": link}]
    assert rooms.payloads(f"flespi/log/gw/devices/{truck.id}/note")[-1]["response"] == shown


async def test_the_queue_is_bounded_and_what_does_not_fit_is_counted_and_still_announced(
    one: Rooms,
) -> None:
    await one.journal.settled()
    async with one.db.write():  # the writer is taken: nothing of this is written for now
        one.journal.log(Log.DEVICE_NOTE, OriginType.DEVICE, 1, 1, {})
        await asyncio.sleep(0)  # the journal takes the first and waits for its turn
        one.events.clear()
        for _ in range(100_000):
            one.journal.event("flespi/message/filling", None, 1)
        assert one.journal.dropped == 0
        one.journal.log(Log.DEVICE_NOTE, OriginType.DEVICE, 1, 1, {"too": "many"})
        assert one.journal.dropped == 1
        assert one.payloads("flespi/log/gw/devices/1/note")[-1]["too"] == "many"
    await one.journal.settled()
    assert one.topics().count("flespi/message/filling") == 100_000


async def test_what_is_being_written_when_the_journal_stops_is_written_and_announced(one: Rooms) -> None:
    truck = await one.device()
    await one.journal.settled()
    async with one.db.write():
        one.journal.log(Log.DEVICE_NOTE, OriginType.DEVICE, truck.id, truck.cid, {"n": 1})
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the record has left the queue, and waits for its turn to be written
        for task in one.tasks:
            task.cancel()
    await one.journal.drain()
    records = await one.history.logs(11, [truck], ALL)
    assert [record["n"] for record in records if "n" in record] == [1]
    assert len(one.topics(f"flespi/log/gw/devices/{truck.id}/note")) == 1
