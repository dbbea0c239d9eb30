"""What a limited token sees and publishes over MQTT is what it may do over REST; what sessions hold together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wire import Wire

from inside import InsideHouse, until
from wayframe.mqtt import Publish, Wish

MIB = 1 << 20


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideHouse]:
    inside = InsideHouse(tmp_path_factory.mktemp("rights"), mqtt_all_sessions_bytes=2 * MIB)
    yield inside
    inside.close()


def listener(house: InsideHouse, key: str, *filters: str, **said: Any) -> Wire:
    wire = Wire(house.node.mqtt.port, key)
    assert wire.connect(**said).reason == 0
    wire.subscribe(*(Wish(each, 1) for each in filters))
    return wire


def limited(house: InsideHouse, *acl: dict[str, Any]) -> str:
    return house.token({"type": 2, "acl": list(acl)})


def test_what_is_assigned_is_seen_by_whoever_may_read_both(house: InsideHouse) -> None:
    seen, hidden = house.device("linked-seen"), house.device("linked-hidden")
    group = house.result("POST", "/gw/groups", [{"name": "north"}])[0]["id"]
    parts = [{"name": "devices", "methods": ["GET"]}]
    groups = {"uri": "gw/groups", "methods": ["GET"], "submodules": parts}
    one = {"uri": "gw/devices", "methods": ["GET"], "ids": [seen]}
    filters = "flespi/state/gw/groups/+/devices/+"
    nothing, some = (listener(house, limited(house, *acl), filters) for acl in ((groups,), (groups, one)))
    everything = listener(house, house.key, filters)
    house.result("POST", f"/gw/groups/{group}/devices/{seen},{hidden}")
    topics = {f"flespi/state/gw/groups/{group}/devices/{each}" for each in (seen, hidden)}
    assert {everything.message().topic for _ in range(2)} == topics
    assert some.message().topic == f"flespi/state/gw/groups/{group}/devices/{seen}"
    assert some.silent() and nothing.silent()
    late = listener(house, limited(house, groups, one), filters)
    assert late.message().topic == f"flespi/state/gw/groups/{group}/devices/{seen}"
    assert late.silent()


def test_a_limited_token_publishes_where_its_list_says_again_and_again(house: InsideHouse) -> None:
    key = limited(house, {"uri": "mqtt", "topic": "mine/+", "actions": ["publish"]})
    reader = listener(house, house.key, "mine/#", "yours/#")
    publisher = Wire(house.node.mqtt.port, key)
    publisher.connect()
    for number in range(1100):  # more topics than it remembers
        publisher.publish(f"mine/{number}", b"x")
        publisher.publish(f"yours/{number}", b"x")
    publisher.publish("mine/0", b"last", 1)
    topics = [reader.message().topic for _ in range(1101)]
    assert topics == [f"mine/{number}" for number in range(1100)] + ["mine/0"]
    assert reader.silent()


def test_all_sessions_together_hold_so_much_and_the_fullest_lose_their_oldest(house: InsideHouse) -> None:
    sizes = {"heavy": 30, "light": 3}
    for name in sizes:
        listener(house, house.key, f"to/{name}", client_id=name, session_expiry_interval=600).close()
    publisher = Wire(house.node.mqtt.port, house.key)
    publisher.connect()
    for name, count in sizes.items():
        for number in range(count):
            publisher.publish(f"to/{name}", b"%d " % number + bytes(100_000), 1)
    held = lambda: sum(each["size"] for each in sessions(house).values())  # noqa: E731  # asked again and again
    until(lambda: held() <= 2 * MIB)
    now = sessions(house)
    assert now["light"]["messages"] == 3
    assert 1 <= now["heavy"]["messages"] < 20
    until(lambda: bool(dropped(house)))
    assert dropped(house) == ["heavy"]
    back = Wire(house.node.mqtt.port, house.key)
    back.connect("heavy", clean=False)
    first = back.message().payload.split()[0]
    assert int(first) == 30 - now["heavy"]["messages"]  # the oldest went


def sessions(house: InsideHouse) -> dict[str, dict[str, Any]]:
    return {each["client_id"]: each for each in house.result("GET", "/mqtt/sessions/all")}


def dropped(house: InsideHouse) -> list[str]:
    records = house.result("GET", house.data("/mqtt/logs", filter="event_code==403"))
    return [record["client_id"] for record in records]


def test_a_device_that_comes_back_brings_its_telemetry(house: InsideHouse) -> None:
    device = house.device("comes-back")
    body = [{"timestamp": 1_700_000_000, "speed": 7}, {"timestamp": 1_700_000_100, "fuel": 40}]
    house.result("POST", f"/gw/devices/{device}/messages", body)
    wire = listener(house, house.key, f"flespi/state/gw/devices/{device}/telemetry/speed,fuel")
    assert {wire.message().payload for _ in range(2)} == {b"7", b"40"}
    house.result("DELETE", f"/gw/devices/{device}")
    assert [wire.message().payload for _ in range(2)] == [b"", b""]
    lying = house.result("GET", f"/platform/deleted/item_id={device}")[0]["id"]
    house.result("POST", f"/platform/deleted/{lying}/restore")
    told = [wire.message() for _ in range(2)]
    times = {each.topic.rpartition("/")[2]: dict(each.properties["user_property"])["timestamp"] for each in told}
    assert [json.loads(each.payload) for each in told] == [7, 40]
    assert {name: float(time) for name, time in times.items()} == {"speed": 1_700_000_000, "fuel": 1_700_000_100}


def test_a_session_whose_token_went_while_the_server_was_down_is_logged(tmp_path: Path) -> None:
    first = InsideHouse(tmp_path)
    made = first.result("POST", "/platform/tokens", [{"ttl": 3600}])[0]
    listener(first, made["key"], "a", client_id="orphan", session_expiry_interval=600).close()
    until(lambda: not sessions(first)["orphan"]["connected"])
    # As after a restore of a backup, or a token deleted by hand: its row is gone, and nobody was told.
    first.run(first.node.services.directory.kind("platform/tokens").table.delete([made["id"]]))
    key = first.key
    first.close()
    second = InsideHouse(tmp_path)
    try:
        second.run(second.node.services.journal.settled())
        found = second.result("GET", second.data("/mqtt/logs", filter="event_code==404"), key=key)
        assert [(record["client_id"], record["token_id"]) for record in found] == [("orphan", made["id"])]
        assert second.result("GET", "/mqtt/sessions/all", key=key) == []
    finally:
        second.close()


def test_a_token_that_was_just_disabled_calls_nothing_while_its_connection_ends(house: InsideHouse) -> None:
    made = house.result("POST", "/platform/tokens", [{"ttl": 3600}])[0]
    wire = listener(house, made["key"], "flespi/rest/get/auth/info", client_id="late")
    directory, broker = house.node.services.directory, house.node.mqtt.broker
    entry = directory.find("platform/tokens", made["id"])
    assert entry is not None
    client = broker.spaces.of(1).clients["late"]

    async def late() -> None:
        master = directory.caller(directory.authenticate(house.key, "127.0.0.1"))
        await directory.update(master, "platform/tokens", entry, {"enabled": False}, patch=True)
        connection = client.connection
        assert connection is not None
        broker.publish(connection, Publish("flespi/rest/get/auth/info", b""))

    house.run(late())
    codes = [dict(each.properties["user_property"])["http_code"] for each in wire.rest() if isinstance(each, Publish)]
    assert codes in (["401"], [])  # empty where the connection ended before the answer
