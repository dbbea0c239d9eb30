"""What must not stay behind: sessions and retained messages of an account that is gone, messages that have expired,
and work for somebody who subscribes again and again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mqtt_clients import PahoClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from inside import InsideHouse, until


@pytest.fixture
def house(tmp_path: Path) -> Iterator[InsideHouse]:
    inside = InsideHouse(tmp_path)
    yield inside
    inside.close()


def client(house: InsideHouse, key: str = "", **said: object) -> PahoClient:
    return PahoClient(house.node.mqtt.port, key or house.key, **said).open()  # type: ignore[arg-type]  # as it says


def test_an_account_takes_its_sessions_and_retained_messages_with_it(house: InsideHouse) -> None:
    branch = house.result("POST", "/platform/subaccounts", [{"name": "branch"}])[0]["id"]
    as_branch = {"headers": {"x-flespi-cid": str(branch)}}
    key = house.result("POST", "/platform/tokens", [{"ttl": 3600, "access": {"type": 1}}], **as_branch)[0]["key"]
    away = client(house, key, client_id="away", persistent=True).subscribe("a/#")
    away.publish("a/b", "kept", retain=True)
    away.close()
    there = client(house, key, client_id="there", persistent=True)
    spaces = house.node.mqtt.broker.spaces
    assert {each.session.client_id for each in spaces.of(branch).clients.values()} == {"away", "there"}
    house.result("DELETE", f"/platform/subaccounts/{branch}")
    until(lambda: not spaces.of(branch).clients)
    house.run(house.node.mqtt.keeper.settle())
    table = house.node.mqtt.keeper.table
    assert house.run(table.sessions()) == []
    assert house.run(table.retained()) == []
    there.client.loop_stop()


def test_what_has_expired_is_not_listed_and_not_kept(house: InsideHouse) -> None:
    publisher = client(house)
    said = Properties(PacketTypes.PUBLISH)
    said.MessageExpiryInterval = 1
    publisher.client.publish("a/b", "soon over", 1, True, said).wait_for_publish(10)
    listed = "/mqtt/messages/all?fields=topic"
    assert house.result("GET", listed) == [{"topic": "a/b"}]
    until(lambda: house.result("GET", listed) == [])
    house.run(house.node.mqtt.keeper.settle())
    assert house.run(house.node.mqtt.keeper.table.retained()) == []
    publisher.close()


def test_who_subscribes_again_and_again_gets_what_is_retained_and_leaves_no_work(house: InsideHouse) -> None:
    subscriber = client(house)
    for number in range(300):
        subscriber.publish(f"a/{number:03}", "x", retain=True)
    for _ in range(50):
        subscriber.client.subscribe("a/#", 1)
    subscriber.subscribe("a/#").subscribe("a/299")
    seen = [subscriber.next()[0] for _ in range(301)]
    assert {f"a/{number:03}" for number in range(300)} <= set(seen)
    subscriber.close()
