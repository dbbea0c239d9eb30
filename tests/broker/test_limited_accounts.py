"""Limits of accounts at the doors they hold: REST, MQTT, device sockets, media links (reference/limits.md)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from wire import Wire

from e2e.house import free_ports
from e2e.terminal import Terminal
from inside import InsideHouse, until
from wayframe.mqtt import V5, Reason, Wish

MDVR = 5
_numbers = itertools.count(13900000400)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideHouse]:
    inside = InsideHouse(tmp_path_factory.mktemp("limited"))
    yield inside
    inside.close()


class Branch:
    """A subaccount with limits, and one below it without any of its own."""

    def __init__(self, house: InsideHouse, **limits: int) -> None:
        self.house = house
        limit = house.result("POST", "/platform/limits", [{"name": "small", **limits}])[0]["id"]
        self.id = int(house.result("POST", "/platform/subaccounts", [{"name": "b", "limit_id": limit}])[0]["id"])
        self.below = int(self.make("/platform/subaccounts", {"name": "c"})["id"])
        self.key = str(self.make("/platform/tokens", {"ttl": 3600, "access": {"type": 1}})["key"])
        self.key_below = str(self.make("/platform/tokens", {"ttl": 3600}, self.below)["key"])

    def make(self, path: str, body: dict[str, Any], cid: int = 0) -> dict[str, Any]:
        found = self.house.result("POST", path, [body], headers={"x-flespi-cid": str(cid or self.id)})[0]
        assert isinstance(found, dict)
        return found

    def wire(self, key: str = "", version: int = V5) -> Wire:
        return Wire(self.house.node.mqtt.port, key or self.key, version)

    def client(self, key: str = "", version: int = V5, **said: Any) -> Wire:
        wire = self.wire(key, version)
        assert wire.connect(**said).reason == 0
        return wire

    def reached(self, cid: int = 0) -> list[str]:
        """Names of the limits in the account's log."""
        self.house.run(self.house.node.services.journal.settled())
        path = self.house.data("/platform/customer/logs", filter="event_code==200")
        records = self.house.result("GET", path, headers={"x-flespi-cid": str(cid or self.id)})
        return [record["limit"] for record in records]

    def channel(self) -> tuple[int, int]:
        """A channel of the account below; its id and port."""
        port = free_ports(1)[0]
        body = {"protocol_id": 552, "configuration": {"port": str(port), "unknown_idents": "create"}}
        channel = int(self.make("/gw/channels", body, self.below)["id"])
        until(lambda: f"channel-{channel}" in self.house.device_ports())
        return channel, port

    def refusals(self, channel: int) -> list[dict[str, Any]]:
        self.house.run(self.house.node.services.journal.settled())
        path = self.house.data(f"/gw/channels/{channel}/logs", filter="event_code==103")
        return self.house.result("GET", path)


def terminal(house: InsideHouse, port: int) -> Terminal:
    return house.run(Terminal(str(next(_numbers)), port).sign_in())


def test_bytes_of_rest_are_429_with_a_time_to_come_back(house: InsideHouse) -> None:
    branch = Branch(house, api_traffic=3000)
    answers = [house.ask("GET", "/platform/tokens/all", key=branch.key) for _ in range(30)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    refused = answers[-1]
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "`api_traffic` is 3000" in refused.json()["errors"][0]["reason"]
    assert house.ask("GET", "/auth/info", key=branch.key_below).status_code == 429
    assert house.ask("GET", "/auth/info").status_code == 200
    assert branch.reached() == ["api_traffic"]


def test_sessions_are_counted_with_those_below_and_kept_ones(house: InsideHouse) -> None:
    branch = Branch(house, mqtt_sessions=2)
    kept = branch.client(client_id="kept", session_expiry_interval=600)
    other = branch.client(branch.key_below, client_id="below")
    kept.close()
    assert branch.wire().connect("third").reason == Reason.QUOTA_EXCEEDED
    assert branch.wire(branch.key_below, 4).connect("third").reason == 5  # older versions know no more
    back = branch.wire()
    assert back.connect("kept", clean=False, session_expiry_interval=600).session_present
    other.leave()
    until(lambda: house.node.mqtt.broker.spaces.sessions(branch.below) == 0)
    assert branch.wire(branch.key_below).connect("third").reason == 0
    house.run(house.node.services.journal.settled())
    logged = house.result("GET", house.data("/mqtt/logs", filter="event_code==402"), key=branch.key)
    assert any("`mqtt_sessions` is 2" in record["reason"] for record in logged)


def test_subscriptions_end_where_the_limit_says(house: InsideHouse) -> None:
    branch = Branch(house, mqtt_subscriptions=3)
    first, below = branch.client(), branch.client(branch.key_below)
    assert first.subscribe("a", "b") == [1, 1]
    assert below.subscribe("c", "d") == [1, Reason.QUOTA_EXCEEDED]
    assert first.subscribe("a") == [1]  # again is not one more
    first.unsubscribe("b")
    assert below.subscribe("d") == [1]


def test_messages_of_clients_are_counted_by_the_minute(house: InsideHouse) -> None:
    branch = Branch(house, mqtt_messages=3)
    fresh, old = branch.client(), branch.client(branch.key_below, 4)
    listener = branch.client()
    listener.subscribe(Wish("x/#", 1))
    old.publish("x/1", b"1")
    old.publish("x/1", b"2")  # the short way of older clients is counted, too
    assert (fresh.publish("x/2", b"3", 1) or None) is not None
    ack = fresh.publish("x/2", b"4", 1)
    assert ack is not None and ack.reason == Reason.QUOTA_EXCEEDED
    old.publish("x/1", b"5")
    assert old.closed()
    assert sorted(listener.message().payload for _ in range(3)) == [b"1", b"2", b"3"]
    assert listener.silent()
    assert branch.reached() == ["mqtt_messages"]


def test_retained_messages_and_waiting_ones_have_their_size(house: InsideHouse) -> None:
    branch = Branch(house, mqtt_retained_storage=2000, mqtt_session_storage=5000)
    client = branch.client(client_id="small", session_expiry_interval=600)
    client.publish("kept/1", bytes(1000), 1, retain=True)
    client.publish("kept/2", bytes(1000), 1, retain=True)
    listed = house.result("GET", "/mqtt/messages/all?fields=topic", key=branch.key)
    assert [message["topic"] for message in listed] == ["kept/1"]
    client.publish("kept/1", b"smaller", 1, retain=True)
    client.publish("kept/2", b"fits now", 1, retain=True)
    client.subscribe(Wish("queue", 1))
    client.close()
    other = branch.client()
    for number in range(10):
        other.publish("queue", b"%d" % number + bytes(1000), 1)
    (session,) = [each for each in house.result("GET", "/mqtt/sessions/all", key=branch.key) if not each["connected"]]
    assert session["client_id"] == "small"
    assert session["size"] <= 5000


def test_connections_of_a_channel(house: InsideHouse) -> None:
    branch = Branch(house, channel_connections=2)
    channel, port = branch.channel()
    first, second = terminal(house, port), terminal(house, port)
    for _ in range(3):
        refused = house.run(Terminal("13900000499", port).dial())
        assert house.run(refused.closed()) == b""
    (record,) = branch.refusals(channel)
    assert "`channel_connections` is 2" in record["error_text"]
    assert (record["close_code"], record["count"]) == (21, 1)
    before = house.node.gateway.admission.open
    first.close()
    until(lambda: house.node.gateway.admission.open < before)
    third = terminal(house, port)
    for each in (second, third):
        each.close()


@pytest.mark.parametrize(("name", "most"), [("channel_messages", 3), ("channel_traffic", 1500)])
def test_what_a_channel_takes_in_a_minute(house: InsideHouse, name: str, most: int) -> None:
    branch = Branch(house, **{name: most})
    channel, port = branch.channel()
    device = terminal(house, port)

    async def report() -> int:
        count = 0
        try:
            while True:
                assert await device.acknowledged(device.report(count)) == 0
                count += 1
        except ConnectionError:
            return count

    stored = house.run(report())
    assert stored >= 2  # what used it up was taken, and is stored
    ids = house.result("GET", "/gw/devices/all?fields=id", key=branch.key_below)
    messages = house.result("GET", f"/gw/devices/{ids[0]['id']}/messages", key=branch.key_below)
    assert len(messages) >= stored
    late = house.run(Terminal("13900000498", port).dial())
    house.run(late.closed())
    assert any(f"`{name}` is {most}" in record["error_text"] for record in branch.refusals(channel))
    assert branch.reached() == [name]


def test_files_of_a_device_in_and_out(house: InsideHouse) -> None:
    branch = Branch(house, device_media_traffic=5000)
    body = {"device_type_id": 171, "configuration": {"ident": "traffic"}}
    device = int(branch.make("/gw/devices", body, branch.below)["id"])
    other = int(branch.make("/gw/devices", {**body, "configuration": {"ident": "other"}})["id"])
    file = house.send_file(device, bytes(2000), "a.bin", {}).json()["result"][0]["uuid"]
    link = f"/media/{file}"
    assert house.ask("GET", link, key="").status_code == 200
    assert house.ask("GET", link, key="").status_code == 200  # 6000 bytes by now
    refused = house.ask("GET", link, key="")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) <= 60
    assert house.send_file(device, b"x", "b.bin", {}).status_code == 429
    assert house.ask("GET", f"/api/gallery/{device}/upload-url?filename=x").status_code == 200
    assert house.send_file(other, b"x", "b.bin", {}).status_code == 200
    assert branch.reached() == ["device_media_traffic"]


def test_a_door_that_opens_again(house: InsideHouse) -> None:
    branch = Branch(house, mqtt_messages=1, blocking_duration=3600)
    client = branch.client()
    client.publish("x", b"1", 1)
    ack = client.publish("x", b"2", 1)
    assert ack is not None and ack.reason == Reason.QUOTA_EXCEEDED
    limit = house.result("GET", f"/platform/subaccounts/{branch.id}?fields=limit_id")[0]["limit_id"]
    house.result("PUT", f"/platform/limits/{limit}", {"mqtt_messages": 0})
    ack = client.publish("x", b"3", 1)
    assert ack is not None and not Reason(ack.reason).failed


def test_limits_are_shown_to_whom_they_hold_for(house: InsideHouse) -> None:
    branch = Branch(house, mqtt_sessions=5, blocking_duration=30)
    shown = house.result("GET", "/platform/customer?fields=limits", headers={"x-flespi-cid": str(branch.below)})
    assert shown == [{"limits": {"mqtt_sessions": 5}}]
