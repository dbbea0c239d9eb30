"""History: reports in, durable, then acknowledged, then announced; messages and telemetry out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rooms import ALL, NOW, Rooms
from sqlalchemy import text

from wayframe.model import BadRequest, LogRecord, Unavailable
from wayframe.model.query import HistoryQuery
from wayframe.model.query import parse as query
from wayframe.services import Entry
from wayframe.storage import LogTable

pytestmark = pytest.mark.anyio
EXTRA = {"channel.id": 3, "protocol.id": 552, "peer": "198.51.100.7:4000"}
UUID = "CD" * 32


async def read(rooms: Rooms, *entries: Entry, **asked: Any) -> list[dict[str, Any]]:
    return await rooms.history.messages(entries, query(asked))


async def marks(rooms: Rooms, *entries: Entry, **asked: Any) -> list[Any]:
    return [message.get("n") for message in await read(rooms, *entries, **asked)]


def value(rooms: Rooms, entry: Entry, name: str) -> Any:
    return rooms.history.telemetry([entry], None)[0]["telemetry"].get(name, {}).get("value")


# --- in ---------------------------------------------------------------------------------------------------------------


async def test_a_report_is_stored_then_acknowledged_then_announced(rooms: Rooms) -> None:
    truck = await rooms.device("860112345678901", name="Truck")
    durable = rooms.history.deliver(truck, [{"timestamp": NOW - 5, "n": 1}, {"timestamp": NOW - 4, "n": 2}], EXTRA)
    assert not durable.done() and not rooms.topics("flespi/message")
    await durable
    assert await marks(rooms, truck) == [1, 2]
    message = (await read(rooms, truck))[0]
    assert message == {
        "timestamp": NOW - 5, "server.timestamp": NOW, "ident": "860112345678901", "device.id": truck.id,
        "device.name": "Truck", "device.type.id": 5, "n": 1, **EXTRA,
    }  # fmt: skip
    assert rooms.payloads(f"flespi/message/gw/devices/{truck.id}") == await read(rooms, truck)
    assert rooms.payloads("flespi/message/gw/channels/3/860112345678901") == await read(rooms, truck)
    await rooms.restart()
    again = rooms.directory.device(truck.id)
    assert again is not None and await marks(rooms, again) == [1, 2]


async def test_many_deliveries_are_committed_together(rooms: Rooms) -> None:
    trucks = [await rooms.device(str(n)) for n in range(3)]
    futures = [rooms.history.deliver(trucks[n % 3], [{"timestamp": NOW + n / 100, "n": n}], EXTRA) for n in range(300)]
    assert rooms.history.waiting == 300
    await asyncio.gather(*futures)
    assert rooms.history.stored == 300
    assert await marks(rooms, *trucks) == list(range(300))
    times = [event.timestamp for event in rooms.events if event.topic.startswith("flespi/message/gw/devices")]
    assert times == sorted(times) and len(times) == 300


async def test_an_empty_delivery_is_durable_at_once(one: Rooms) -> None:
    assert one.history.deliver(await one.device(), [], {}).done()


async def test_a_database_that_fails_fails_the_deliveries_and_only_them(rooms: Rooms) -> None:
    truck = await rooms.device()
    async with rooms.db.write() as conn:
        await conn.execute(text("ALTER TABLE hot_messages RENAME TO gone"))
    outcomes = await asyncio.gather(
        *(rooms.history.store(truck, [{"timestamp": NOW + n}]) for n in range(3)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    assert not rooms.topics("flespi/message") and value(rooms, truck, "timestamp") is None
    async with rooms.db.write() as conn:
        await conn.execute(text("ALTER TABLE gone RENAME TO hot_messages"))
    await rooms.history.store(truck, [{"timestamp": NOW, "n": 1}])
    assert await marks(rooms, truck) == [1]


async def test_more_than_the_queue_holds_is_refused_at_once(one: Rooms) -> None:
    truck = await one.device()
    async with one.db.write():
        many = [{"timestamp": NOW, "n": n} for n in range(20_000)]
        first = one.history.deliver(truck, many, {})
        with pytest.raises(Unavailable, match="queue is full"):
            await one.history.deliver(truck, [{"timestamp": NOW, "n": -1}], {})
    await first
    assert one.history.stored == 20_000


async def test_the_same_report_is_stored_and_announced_once(rooms: Rooms) -> None:
    truck, other = await rooms.device("a"), await rooms.device("b")
    report = {"timestamp": NOW - 5, "n": 1}
    await rooms.history.store(truck, [report, report], EXTRA)
    rooms.clock.advance(60)
    await rooms.history.store(truck, [report], {**EXTRA, "peer": "203.0.113.9:1"})  # after a reconnect
    await rooms.restart()
    truck, other = (rooms.directory.device(entry.id) or entry for entry in (truck, other))
    rooms.events.clear()
    await rooms.history.store(truck, [report], EXTRA)
    assert rooms.topics("flespi/message") == [] and rooms.history.duplicates == 1
    assert await marks(rooms, truck) == [1]
    await rooms.history.store(truck, [{**report, "n": 2}, {**report, "timestamp": NOW - 4}], EXTRA)
    await rooms.history.store(other, [report], EXTRA)
    assert sorted(await marks(rooms, truck)) == [1, 1, 2] and await marks(rooms, other) == [1]


@pytest.mark.parametrize("bad", [None, "yesterday", True, 0, -1, [], {}])
async def test_a_message_without_a_usable_time_gets_the_server_s(one: Rooms, bad: Any) -> None:
    truck = await one.device()
    await one.history.store(truck, [{"timestamp": bad, "n": 1}])
    assert (await read(one, truck))[0]["timestamp"] == NOW


async def test_a_time_far_ahead_is_replaced_and_kept_beside(rooms: Rooms) -> None:
    truck = await rooms.device()
    ahead = NOW + 86_401
    await rooms.history.store(truck, [{"timestamp": ahead, "speed": 10}, {"timestamp": NOW + 86_400, "speed": 20}])
    first, second = await read(rooms, truck)
    assert (first["timestamp"], first["custom.device.timestamp"]) == (NOW, ahead)
    assert second["timestamp"] == NOW + 86_400 and "custom.device.timestamp" not in second


async def test_telemetry_does_not_freeze_after_a_time_far_ahead(one: Rooms) -> None:
    truck = await one.device()
    await one.history.store(truck, [{"timestamp": NOW + 10 * 365 * 86_400, "speed": 10}])
    one.clock.advance(10)
    await one.history.store(truck, [{"timestamp": NOW + 10, "speed": 20}])
    assert value(one, truck, "speed") == 20


async def test_a_message_cannot_speak_for_another_device(one: Rooms) -> None:
    truck = await one.device("a", name="Truck")
    told = {"timestamp": NOW, "device.id": 999, "device.name": "Other", "server.timestamp": 5, "device.type.id": 1}
    await one.history.store(truck, [told])
    announced = one.payloads(f"flespi/message/gw/devices/{truck.id}")[0]
    assert announced == (await read(one, truck))[0]
    assert (announced["device.id"], announced["device.name"], announced["server.timestamp"]) == (truck.id, "Truck", NOW)


# --- telemetry --------------------------------------------------------------------------------------------------------


async def test_telemetry_moves_forward_only(rooms: Rooms) -> None:
    truck = await rooms.device()
    await rooms.history.store(truck, [{"timestamp": NOW, "speed": 50, "fuel": 9}])
    await rooms.history.store(truck, [{"timestamp": NOW - 100, "speed": 40, "door": True}])
    await rooms.history.store(truck, [{"timestamp": NOW, "fuel": 8}])
    shown = rooms.history.telemetry([truck], ["speed", "fuel", "door", "unknown"])
    assert shown == [
        {
            "id": truck.id,
            "telemetry": {
                "speed": {"ts": NOW, "value": 50},
                "fuel": {"ts": NOW, "value": 8},
                "door": {"ts": NOW - 100, "value": True},
            },
        }
    ]
    base = f"flespi/state/gw/devices/{truck.id}/telemetry"
    assert [rooms.payloads(f"{base}/{name}") for name in ("speed", "fuel", "door")] == [[50], [9, 8], [True]]
    await rooms.history.save_telemetry()
    await rooms.restart()
    again = rooms.directory.device(truck.id)
    assert again is not None and rooms.history.telemetry([again], ["speed", "fuel", "door"]) == shown


async def test_a_position_is_also_there_as_one_object(one: Rooms) -> None:
    truck = await one.device()
    here = {"position.latitude": 52.5, "position.longitude": 13.4, "position.speed": 40, "position.valid": True}
    await one.history.store(truck, [{"timestamp": NOW, **here}])
    whole = {"latitude": 52.5, "longitude": 13.4, "speed": 40, "valid": True}
    assert value(one, truck, "position") == whole
    assert one.payloads(f"flespi/state/gw/devices/{truck.id}/telemetry/position") == [whole]
    await one.history.store(truck, [{"timestamp": NOW - 1, **here, "position.latitude": 0.0}])
    await one.history.store(truck, [{"timestamp": NOW + 1, "position.speed": 0}])
    assert value(one, truck, "position") == whole and value(one, truck, "position.speed") == 0


async def test_a_part_of_the_position_that_is_removed_leaves_the_whole(one: Rooms) -> None:
    truck = await one.device()
    here = {"position.latitude": 52.5, "position.longitude": 13.4, "position.speed": 40}
    await one.history.store(truck, [{"timestamp": NOW, **here}])
    await one.history.delete_telemetry([truck], ["position.speed", "position.speed"])
    assert value(one, truck, "position") == {"latitude": 52.5, "longitude": 13.4}
    await one.history.delete_telemetry([truck], ["position.latitude"])
    assert value(one, truck, "position") is None and value(one, truck, "position.longitude") == 13.4
    await one.journal.settled()
    told = one.payloads(f"flespi/state/gw/devices/{truck.id}/telemetry/position")
    assert told[1:] == [{"latitude": 52.5, "longitude": 13.4}, None]


async def test_removed_telemetry_is_gone_and_the_messages_stay(rooms: Rooms) -> None:
    truck = await rooms.device()
    await rooms.history.store(truck, [{"timestamp": NOW, "speed": 50, "fuel": 9}])
    await rooms.history.delete_telemetry([truck], ["speed", "nothing"])
    await rooms.journal.settled()
    assert value(rooms, truck, "speed") is None and value(rooms, truck, "fuel") == 9
    topic = f"flespi/state/gw/devices/{truck.id}/telemetry/speed"
    assert rooms.payloads(topic) == [50, None]
    assert len(await read(rooms, truck)) == 1
    await rooms.history.delete_telemetry([truck], None)
    await rooms.restart()
    again = rooms.directory.device(truck.id)
    assert again is not None and rooms.history.telemetry([again], None) == [{"id": truck.id, "telemetry": {}}]


# --- after a crash ----------------------------------------------------------------------------------------------------


async def test_what_was_stored_and_not_saved_is_announced_again_and_telemetry_is_whole(rooms: Rooms) -> None:
    truck = await rooms.device("a")
    await rooms.history.store(truck, [{"timestamp": NOW, "n": 1, "speed": 10}], EXTRA)
    await rooms.history.save_telemetry()
    await rooms.history.store(truck, [{"timestamp": NOW + 1, "n": 2, "speed": 20}], EXTRA)
    await rooms.history.store(truck, [{"timestamp": NOW + 2, "n": 3, "door": True}], EXTRA)
    expected = rooms.history.telemetry([truck], None)
    await rooms.restart()
    assert rooms.announced_again == 2
    again = rooms.directory.device(truck.id)
    assert again is not None and rooms.history.telemetry([again], None) == expected
    announced = rooms.payloads(f"flespi/message/gw/devices/{truck.id}")
    assert announced == (await read(rooms, again))[1:]
    assert [message["n"] for message in rooms.payloads("flespi/message/gw/channels/3/a")] == [2, 3]
    await rooms.history.save_telemetry()
    await rooms.restart()
    assert rooms.announced_again == 0


async def test_an_orderly_stop_leaves_nothing_to_announce_again(rooms: Rooms) -> None:
    truck = await rooms.device("a")
    pending = rooms.history.deliver(truck, [{"timestamp": NOW, "n": 1}], EXTRA)
    await rooms.stop()
    assert pending.done() and pending.exception() is None
    await rooms.start()
    assert rooms.announced_again == 0
    again = rooms.directory.device(truck.id)
    assert again is not None and value(rooms, again, "n") == 1


async def test_messages_of_a_device_that_is_gone_do_not_stop_the_start(rooms: Rooms) -> None:
    truck, other = await rooms.device("a"), await rooms.device("b")
    await rooms.history.store(truck, [{"timestamp": NOW, "n": 1}])
    await rooms.history.store(other, [{"timestamp": NOW, "n": 2}])
    await rooms.directory.delete(rooms.master(), "gw/devices", truck)
    await rooms.restart()
    again = rooms.directory.device(other.id)
    assert again is not None and value(rooms, again, "n") == 2


# --- out --------------------------------------------------------------------------------------------------------------


async def test_messages_come_by_time_count_order_fields_and_filter(rooms: Rooms) -> None:
    a, b = await rooms.device("a"), await rooms.device("b")
    for n in range(10):
        entry = a if n % 2 else b
        await rooms.history.store(entry, [{"timestamp": NOW + n, "n": n, "speed": n * 10, "io.one": n}])
    assert await marks(rooms, a, b) == list(range(10))
    assert await marks(rooms, a) == [1, 3, 5, 7, 9]
    assert await marks(rooms, a, b, **{"from": NOW + 3, "to": NOW + 6}) == [3, 4, 5, 6]
    assert await marks(rooms, a, b, count=3) == [0, 1, 2]
    assert await marks(rooms, a, b, count=3, reverse=True) == [9, 8, 7]
    assert await marks(rooms, a, b, filter="speed>=40", count=2) == [4, 5]
    assert await marks(rooms, a, b, filter="speed>=40,n<7", reverse=True) == [6, 5, 4]
    assert await marks(rooms, a, b, filter=f"device.id=={a.id}") == [1, 3, 5, 7, 9]
    assert await read(rooms, a, count=1, fields="n,speed") == [{"n": 1, "speed": 10}]
    assert await read(rooms, a, count=1, fields="io.*") == [{"io.one": 1}]
    assert await read(rooms, a, filter="speed>40", count=1, fields="n") == [{"n": 5}]
    with pytest.raises(BadRequest, match="filter"):
        await read(rooms, a, filter="speed>")
    assert await read(rooms) == []


async def test_messages_of_a_span_can_be_deleted(rooms: Rooms) -> None:
    a, b = await rooms.device("a"), await rooms.device("b")
    for entry in (a, b):
        await rooms.history.store(entry, [{"timestamp": NOW + n, "n": n} for n in range(4)])
    span = HistoryQuery(from_=NOW + 1, to=NOW + 2)
    assert await rooms.history.delete([a], span) == [{"id": a.id}]
    assert await marks(rooms, a) == [0, 3] and await marks(rooms, b) == [0, 1, 2, 3]
    await rooms.history.delete([a, b], ALL)
    assert await marks(rooms, a, b) == []
    assert value(rooms, a, "n") == 3


async def test_media_links_are_added_at_reading_and_never_stored(rooms: Rooms) -> None:
    truck = await rooms.device()
    file = {"uuid": UUID, "name": "a.jpg", "meta": {"type": "image"}}
    await rooms.history.store(truck, [{"timestamp": NOW, "media": True, "media.image.1": file}])
    link = f"http://media.example:9005/media/{UUID}"
    assert (await read(rooms, truck))[0]["media.image.1"] == {**file, "url": link}
    assert rooms.payloads(f"flespi/message/gw/devices/{truck.id}")[0]["media.image.1"]["url"] == link
    assert await read(rooms, truck, filter="media") == await read(rooms, truck)
    body = await rooms.db.ask(lambda conn: conn.scalar(text("SELECT body FROM hot_messages")))
    assert body is not None and b"http" not in bytes(body)
    assert value(rooms, truck, "media.image.1") is None and value(rooms, truck, "media") is None


async def test_a_message_shows_the_name_its_device_has_now(one: Rooms) -> None:
    truck = await one.device(name="old")
    await one.history.store(truck, [{"timestamp": NOW, "n": 1}])
    await one.directory.update(one.master(), "gw/devices", truck, {"name": "new"}, patch=True)
    assert (await read(one, truck))[0]["device.name"] == "new"


async def test_logs_come_by_time_count_order_and_filter(rooms: Rooms) -> None:
    truck = await rooms.device()
    for n in range(3):
        rooms.clock.advance(10)
        await rooms.directory.update(rooms.master(), "gw/devices", truck, {"name": f"n{n}"}, patch=True)
    records = await rooms.logs(truck)
    assert [record["event_code"] for record in records] == [1, 2, 2, 2]
    assert {record["event_origin"] for record in records} == {f"gw/devices/{truck.id}"}
    assert await rooms.logs(truck, query=query({"reverse": True, "count": 2})) == records[:1:-1]
    assert await rooms.logs(truck, query=query({"from": NOW + 20})) == records[2:]
    assert await rooms.logs(truck, query=query({"filter": "event_code==1"})) == records[:1]
    assert await rooms.logs(truck, query=query({"filter": "event_code==2", "count": 1})) == records[1:2]
    assert await rooms.logs(truck, query=query({"item_type": 9})) == []
    assert await rooms.logs(truck, query=query({"fields": "event_code", "count": 1})) == [{"event_code": 1}]


async def test_a_filter_looks_through_any_number_of_logs(rooms: Rooms) -> None:
    """Records of one moment stay together wherever a page ends."""
    truck = await rooms.device()
    await rooms.journal.settled()
    moments = [NOW + 1 + number // 3 for number in range(7000)]
    await LogTable(rooms.db).insert_many(
        [
            LogRecord(
                timestamp=moment, event_code=2, origin_type=11, origin_id=truck.id, cid=truck.cid, fields={"n": number}
            )
            for number, moment in enumerate(moments)
        ]
    )
    third = [number for number in range(7000) if number % 7 == 0]
    for asked, numbers in (({}, third), ({"count": 500}, third[:500]), ({"from": NOW + 1001}, third[429:])):
        wanted = query({"filter": "event_code==2&&n%7==0", "fields": "n", **asked})
        assert [record["n"] for record in await rooms.logs(truck, query=wanted)] == numbers
    back = await rooms.logs(truck, query=query({"filter": "n%7==0", "reverse": True, "count": 800}))
    assert [record["n"] for record in back] == third[::-1][:800]
    of_account = await rooms.history.logs_of_accounts([truck.cid], query({"filter": "n%7==0", "item_type": 11}))
    assert [record["n"] for record in of_account] == third
    assert await rooms.history.logs_of_accounts([truck.cid], query({"filter": "n%7==0", "item_type": 9})) == []
    assert await rooms.history.logs_of_accounts([truck.cid + 1], query({})) == []
