"""Settings of devices: told, read again, written when the device connects."""

from __future__ import annotations

from typing import Any

import pytest
from rooms import MDVR, TACHOBOX, Rooms, SentLink

from wayframe.model import BadRequest, NotFound
from wayframe.services import DEVICES, Entry
from wayframe.storage import DeviceSettingTable

pytestmark = pytest.mark.anyio
EVERY_30 = {"properties": {"report_interval": 30}}


def shown(rooms: Rooms, entry: Entry, name: str = "parameters") -> dict[str, Any]:
    return rooms.settings.views(entry, [name])[0]


async def test_what_a_device_told_is_kept(rooms: Rooms) -> None:
    truck = await rooms.device("a")
    assert [view["name"] for view in rooms.settings.views(truck)] == ["attributes", "parameters", "properties"]
    assert [view["mode"] for view in rooms.settings.views(truck)] == [1, 3, 1]
    assert shown(rooms, truck)["current"] is None
    rooms.settings.told(truck, "parameters", {"report_interval": 10, "heartbeat_interval": 60})
    rooms.settings.told(truck, "parameters", {"report_interval": 20})
    await rooms.settings.settle()
    await rooms.journal.settled()
    view = shown(rooms, truck)
    assert view["current"] == {"report_interval": 20, "heartbeat_interval": 60}
    assert rooms.retained()[f"flespi/state/gw/devices/{truck.id}/settings/parameters"] == view
    assert f"flespi/log/gw/devices/{truck.id}/settings/parameters/received" in rooms.topics()
    await rooms.restart()
    again = rooms.directory.device(truck.id)
    assert again is not None and shown(rooms, again) == view


async def test_a_value_waits_for_the_device_and_becomes_current(rooms: Rooms) -> None:
    truck, caller = await rooms.device("a"), rooms.master()
    await rooms.settings.write(caller, truck, ["parameters"], {"properties": {"report_interval": 99}})
    view = (await rooms.settings.write(caller, truck, ["parameters"], EVERY_30))[0]
    assert (view["pending"], view["status"], view["current"]) == ({"report_interval": 30}, 1, None)
    assert [item["properties"] for item in rooms.commands.queue([truck])] == [{"parameters": {"report_interval": 30}}]
    await rooms.restart()
    again = rooms.directory.device(truck.id)
    assert again is not None and shown(rooms, again)["pending"] == {"report_interval": 30}
    link = SentLink()
    rooms.connect(again, link)
    request = (await link.received(1))[0]
    assert (request.name, request.properties) == ("set_parameters", {"parameters": {"report_interval": 30}})
    await rooms.commands.done(request.id, {"result": "ok"})
    await rooms.journal.settled()
    view = shown(rooms, again)
    assert (view["pending"], view["status"], view["current"]) == (None, 0, {"report_interval": 30})
    assert 312 in await rooms.codes(again)


async def test_a_value_that_was_refused_or_canceled_waits_no_more(one: Rooms) -> None:
    truck, caller = await one.device("a"), one.master()
    link = SentLink()
    one.connect(truck, link)
    await one.settings.write(caller, truck, ["parameters"], EVERY_30)
    request = (await link.received(1))[0]
    await one.commands.failed(request.id, "not supported", retry=False)
    await one.journal.settled()
    assert (shown(one, truck)["pending"], shown(one, truck)["current"]) == (None, None)
    record = next(record for record in await one.logs(truck) if record["event_code"] == 313)
    assert "not supported" in record["reason"] and record["updated"] == {"report_interval": 30}
    await one.settings.write(caller, truck, ["parameters"], EVERY_30)
    view = (await one.settings.cancel(caller, truck, ["parameters"]))[0]
    assert view["pending"] is None and one.commands.queue([truck]) == []


async def test_settings_are_read_again(one: Rooms) -> None:
    truck, caller = await one.device("a"), one.master()
    await one.settings.read(caller, truck, ["all"])
    names = {item["name"] for item in one.commands.queue([truck])}
    assert names == {"get_parameters", "get_properties", "get_attributes"}


@pytest.mark.parametrize(
    ("name", "body", "error", "said"),
    [
        ("parameters", {}, BadRequest, "properties"),
        ("parameters", {"properties": {}}, BadRequest, "properties"),
        ("parameters", {"properties": {"colour": "red"}}, BadRequest, "colour"),
        ("properties", EVERY_30, BadRequest, "cannot be written"),
        ("nonsense", EVERY_30, NotFound, "parameters"),
    ],
)
async def test_a_bad_value_is_refused(one: Rooms, name: str, body: Any, error: type[Exception], said: str) -> None:
    truck = await one.device("a", MDVR)
    with pytest.raises(error, match=said):
        await one.settings.write(one.master(), truck, [name], body)
    assert one.commands.queue([truck]) == []


async def test_a_type_without_settings_has_none(one: Rooms) -> None:
    box = await one.device("a", TACHOBOX)
    assert one.settings.views(box) == []
    with pytest.raises(NotFound):
        await one.settings.read(one.master(), box, ["all"])


async def test_settings_of_a_deleted_device_come_back_without_what_waited(rooms: Rooms) -> None:
    truck, caller = await rooms.device("a"), rooms.master()
    rooms.settings.told(truck, "properties", {"maker": "M"})
    await rooms.settings.write(caller, truck, ["parameters"], EVERY_30)
    await rooms.removal.remove(caller, DEVICES, truck)
    await rooms.journal.settled()
    assert not rooms.retained(f"flespi/state/gw/devices/{truck.id}/settings")
    lying = (await rooms.bin.select(caller, "all", "GET"))[0]
    back = await rooms.bin.restore(caller, lying)
    assert shown(rooms, back, "properties")["current"] == {"maker": "M"}
    assert shown(rooms, back)["pending"] is None
    await rooms.removal.remove(caller, DEVICES, back)
    rooms.clock.advance(31 * 86_400)
    await rooms.removal.expire()
    await rooms.restart()
    assert await DeviceSettingTable(rooms.db).all() == []
