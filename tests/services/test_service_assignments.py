"""Assignments, the bin and removal: over restarts and crashes, on each database, and what is announced of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rooms import NOW, Rooms

from wayframe.model import Conflict, NotFound
from wayframe.model.items import Assignment
from wayframe.model.query import HistoryQuery
from wayframe.services import DEVICES, Entry
from wayframe.services.entries import GROUPS, PLUGINS, STREAMS
from wayframe.storage import AssignmentTable

pytestmark = pytest.mark.anyio
FIELDS = {"fields": [{"name": "driver.name", "type": "string"}, {"name": "speed", "type": "number", "default": 90}]}


async def make(rooms: Rooms, entity: str, **body: Any) -> Entry:
    return await rooms.directory.create(rooms.master(), entity, body)


async def assign(rooms: Rooms, parent: str, entry: Entry, child: str, *others: Entry, **fields: Any) -> None:
    body = {"fields": fields} if fields else None
    await rooms.assignments.assign(rooms.master(), parent, entry, child, others, body, patch=False)


def again(rooms: Rooms, entity: str, entry: Entry) -> Entry:
    found = rooms.directory.find(entity, entry.id)
    assert found is not None
    return found


async def test_assignments_are_there_after_a_restart(rooms: Rooms) -> None:
    device, north, drivers = (
        await rooms.device("a"),
        await make(rooms, GROUPS, name="North"),
        await make(rooms, PLUGINS, item_type="item-fields", name="drivers", configuration=FIELDS),
    )
    await assign(rooms, GROUPS, north, DEVICES, device)
    await assign(rooms, PLUGINS, drivers, GROUPS, north, speed=80)
    await assign(rooms, PLUGINS, drivers, DEVICES, device, **{"driver.name": "Ada"})
    shown = dict(device.view)
    assert shown["groups"] == [{"id": north.id, "name": "North"}]
    assert shown["fields"] == {"driver.name": "Ada", "speed": 80}
    assert (shown["plugins_count"], north.view["devices_count"], drivers.view["groups_count"]) == (1, 1, 1)
    await rooms.restart()
    assert again(rooms, DEVICES, device).view == shown
    assert again(rooms, GROUPS, north).view["devices_count"] == 1
    assert rooms.assignments.effective(device.id, PLUGINS) == {drivers.id: {"driver.name": "Ada", "speed": 80}}


async def test_an_assignment_is_announced_and_its_state_goes_with_it(one: Rooms) -> None:
    device, north = await one.device("a"), await make(one, GROUPS, name="North")
    drivers = await make(one, PLUGINS, item_type="item-fields", configuration=FIELDS)
    await assign(one, GROUPS, north, DEVICES, device)
    await assign(one, PLUGINS, drivers, DEVICES, device, **{"driver.name": "Ada"})
    await one.journal.settled()
    link = f"flespi/state/gw/plugins/{drivers.id}/devices/{device.id}"
    assert one.retained()[link] == {
        "plugin_id": drivers.id, "device_id": device.id, "fields": {"driver.name": "Ada"},
    }  # fmt: skip
    base = f"flespi/state/gw/devices/{device.id}"
    assert one.retained()[f"{base}/plugins_count"] == 1
    assert one.retained()[f"{base}/groups"] == [{"id": north.id, "name": "North"}]
    assert f"flespi/log/gw/groups/{north.id}/devices/{device.id}/assigned" in one.topics()
    assert dict(one.assignments.states(PLUGINS, drivers.id))["devices"] == {device.id: one.retained()[link]}
    await one.directory.update(one.master(), GROUPS, north, {"name": "South"}, patch=True)
    await one.removal.remove(one.master(), PLUGINS, drivers)
    await one.journal.settled()
    assert link not in one.retained()
    assert one.retained()[f"{base}/plugins_count"] == 0
    assert one.retained()[f"{base}/groups"] == [{"id": north.id, "name": "South"}]
    assert f"flespi/log/gw/plugins/{drivers.id}/devices/{device.id}/unassigned" in one.topics()
    left = one.retained(f"flespi/state/gw/plugins/{drivers.id}")
    assert set(left) <= {f"flespi/state/gw/plugins/{drivers.id}/deleted"}


async def test_assignments_at_the_same_time_do_not_lose_one_another(rooms: Rooms) -> None:
    devices = [await rooms.device(str(number)) for number in range(5)]
    groups = [await make(rooms, GROUPS, name=str(number)) for number in range(3)]
    await asyncio.gather(*(assign(rooms, GROUPS, group, DEVICES, *devices) for group in groups for _ in range(3)))
    await asyncio.gather(
        *(rooms.assignments.unassign(rooms.master(), GROUPS, groups[0], DEVICES, [device]) for device in devices)
    )
    await rooms.restart()
    for device in devices:
        assert [shown["name"] for shown in again(rooms, DEVICES, device).view["groups"]] == ["1", "2"]


async def test_what_is_left_over_by_a_crash_is_cleared_away(rooms: Rooms) -> None:
    device, north = await rooms.device("a"), await make(rooms, GROUPS, name="North")
    await AssignmentTable(rooms.db).put(
        [Assignment(parent_type=31, parent_id=north.id, child_type=11, child_id=99)]  # its device is gone
    )
    await rooms.bin.keep(DEVICES, device)  # in the bin, and not deleted any more
    await rooms.restart()
    assert await rooms.bin.select(rooms.master(), "all", "GET") == []
    assert rooms.assignments.of(GROUPS, north.id, DEVICES) == []
    assert await AssignmentTable(rooms.db).all() == []


async def test_streams_of_groups_and_devices(one: Rooms) -> None:
    device, north = await one.device("a"), await make(one, GROUPS)
    stream = await make(one, STREAMS, protocol_id=1, configuration={"uri": "https://example.com/"}, name="out")
    await assign(one, GROUPS, north, DEVICES, device)
    await assign(one, STREAMS, stream, GROUPS, north)
    assert device.view["streams"] == [{"id": stream.id, "name": "out"}]
    await one.removal.remove(one.master(), GROUPS, north)
    assert device.view["streams"] == [] == device.view["groups"]


# --- removal and the bin ----------------------------------------------------------------------------------------------


async def test_a_device_lies_in_the_bin_over_a_restart_and_comes_back(rooms: Rooms) -> None:
    device = await rooms.device("a", metadata={"k": "v"})
    await rooms.history.store(device, [{"timestamp": NOW, "speed": 5}])
    await rooms.upload(device, b"text")
    rooms.directory.heard(device, NOW - 5)
    before = dict(device.view)
    await rooms.removal.remove(rooms.master(), DEVICES, device)
    assert not rooms.on_disk()
    await rooms.restart()
    assert rooms.directory.device(device.id) is None
    lying = (await rooms.bin.select(rooms.master(), "type=11", "GET"))[0]
    restored = await rooms.bin.restore(rooms.master(), lying)
    shown = {**restored.view, "media_size": before["media_size"], "telemetry_times": before["telemetry_times"]}
    assert shown == before
    assert rooms.directory.device_by_ident(552, ["a"]) is restored
    speeds = [m.get("speed") for m in await rooms.history.messages([restored], HistoryQuery())]
    assert 5 in speeds
    with pytest.raises(NotFound):
        await rooms.bin.restore(rooms.master(), lying)
    await rooms.restart()
    assert again(rooms, DEVICES, device).view["metadata"] == {"k": "v"}
    assert await rooms.bin.select(rooms.master(), "all", "GET") == []


async def test_the_bin_is_emptied_after_30_days(rooms: Rooms) -> None:
    device, north = await rooms.device("a"), await make(rooms, GROUPS, name="North")
    await rooms.history.store(device, [{"timestamp": NOW, "speed": 5}])
    await rooms.removal.remove(rooms.master(), DEVICES, device)
    rooms.clock.advance(86_400)
    await rooms.removal.remove(rooms.master(), GROUPS, north)
    rooms.clock.advance(29 * 86_400 - 1)
    await rooms.removal.expire()
    assert len(await rooms.bin.select(rooms.master(), "all", "GET")) == 2
    rooms.clock.advance(1)
    await rooms.removal.expire()
    assert [entry.view["name"] for entry in await rooms.bin.select(rooms.master(), "all", "GET")] == ["North"]
    async with asyncio.timeout(10):
        assert [page async for page in rooms.messages.scan([device.id], None, None, False, 10)] == []


async def test_an_ident_that_is_taken_stops_the_restoration(rooms: Rooms) -> None:
    device = await rooms.device("a")
    await rooms.removal.remove(rooms.master(), DEVICES, device)
    taker = await rooms.device("a")
    lying = (await rooms.bin.select(rooms.master(), "all", "GET"))[0]
    with pytest.raises(Conflict, match="ident"):
        await rooms.bin.restore(rooms.master(), lying)
    await rooms.removal.remove(rooms.master(), DEVICES, taker)
    assert (await rooms.bin.restore(rooms.master(), lying)).id == device.id


async def test_a_thing_is_removed_once(one: Rooms) -> None:
    north = await make(one, GROUPS, name="North")
    caller = one.master()
    outcomes = await asyncio.gather(
        *(one.directory.delete(caller, GROUPS, north) for _ in range(3)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes].count(NotFound) == 2
    device = await one.device("a")
    removals = (one.removal.remove(caller, DEVICES, device) for _ in range(3))
    assert [type(outcome) for outcome in await asyncio.gather(*removals, return_exceptions=True)].count(NotFound) == 2
    assert len(await one.bin.select(caller, "all", "GET")) == 1
    with pytest.raises(NotFound):
        await one.directory.update(caller, GROUPS, north, {"name": "x"}, patch=True)
    await one.journal.settled()
    assert one.topics().count(f"flespi/log/gw/groups/{north.id}/deleted") == 1


async def test_who_did_it_is_in_the_log(one: Rooms) -> None:
    token = one.master().token
    caller = one.directory.caller(token, app="desk", trace="t1", source="192.0.2.7")
    north = await one.directory.create(caller, GROUPS, {"name": "North"})
    record = (await one.logs(north, 31))[0]
    assert (record["app"], record["trace"], record["host"]) == ("desk", "t1", "192.0.2.7")
    truck = await one.device("a")
    await one.commands.enqueue(caller, [truck], [{"name": "reboot"}])
    queued = next(record for record in await one.logs(truck) if record["event_code"] == 330)
    assert (queued["app"], queued["trace"]) == ("desk", "t1")
