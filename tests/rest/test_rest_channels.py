"""Channels over the wire: idents, their raw traffic, messages; and what streams and modems would carry."""

from __future__ import annotations

from typing import Any

import pytest

from inside import GENERIC_TYPE, InsideHouse
from wayframe.services import CHANNELS, DEVICES

NOW = 1_750_000_000


@pytest.fixture(scope="module")
def channel(house: InsideHouse) -> int:
    """A channel over which a device reported three times, and an ident came that is none."""
    channel = int(house.result("POST", "/gw/channels", [{"protocol_name": "jt808", "enabled": False}])[0]["id"])
    body = {"device_type_id": 5, "name": "truck", "configuration": {"ident": "013800000001", "packets_ttl": "600"}}
    made = int(house.result("POST", "/gw/devices", [body])[0]["id"])
    services, ids = house.node.services, {"channel.id": channel, "peer": "192.0.2.9:2"}

    async def reports() -> None:
        device = services.directory.find(DEVICES, made)
        assert device is not None
        services.idents.came(channel, device, "192.0.2.9:2")
        stranger = services.idents.knocked(channel, "013800000002", "192.0.2.9:1")
        await services.history.store(device, [{"timestamp": NOW + n, "n": n} for n in range(3)], ids)
        services.traffic.note(made, b"~device~", received=True, source="192.0.2.9:2", timestamp=NOW)
        services.traffic.note(-stranger.id, b"~stranger~", received=True, source="192.0.2.9:1", timestamp=NOW + 1)

    house.run(reports())
    return channel


def test_idents_that_came_over_a_channel(house: InsideHouse, channel: int) -> None:
    path = f"/gw/channels/{channel}/idents"
    device, stranger = house.result("GET", path)
    assert (device["ident"], device["registered"], device["connections"]) == ("013800000001", True, 0)
    assert (stranger["ident"], stranger["registered"], stranger["device_id"]) == ("013800000002", False, 0)
    assert stranger["source"] == "192.0.2.9:1" and stranger["last_seen"] > 0
    assert house.result("GET", f"{path}/all") == [device, stranger]
    for named in ("013800000002", "13800000002", str(stranger["id"]), "ident=013800000002", "{!registered}"):
        assert house.result("GET", f"{path}/{named}") == [stranger]
    assert house.result("GET", f"{path}/registered=true?fields=ident") == [{"ident": "013800000001"}]
    assert house.result("GET", f"{path}/ident=9") == []
    house.refusal("GET", f"{path}/9", status=404)
    house.refusal("GET", f"{path}/{{ident", status=400)
    page = house.ask("GET", f"{path}?limit=1&offset=1").json()
    assert (page["result"], page["pagination"]) == ([stranger], {"limit": 1, "offset": 1, "count": 2})
    assert house.result("GET", f"/gw/devices/{device['device_id']}?fields=channels") == [
        {"channels": [{"id": channel}]}
    ]
    assert [item["id"] for item in house.result("GET", f"/gw/devices/channels.id={channel}")] == [device["device_id"]]


def test_raw_traffic_of_idents(house: InsideHouse, channel: int) -> None:
    path = f"/gw/channels/{channel}/idents"
    (packet,) = house.result("GET", f"{path}/ident=013800000002/packets")
    assert bytes.fromhex(packet["data"]) == b"~stranger~"
    assert (packet["ident"], packet["channel_id"], packet["device_id"]) == ("013800000002", channel, 0)
    both = house.result("GET", house.data(f"{path}/all/packets", reverse=True, fields="data"))
    assert [bytes.fromhex(packet["data"]) for packet in both] == [b"~stranger~", b"~device~"]
    assert house.result("GET", house.data(f"{path}/all/packets", **{"from": NOW + 2})) == []
    house.refusal("GET", f"{path}/99/packets", status=404)
    assert "packets_ttl" in house.refusal(
        "PATCH", f"/gw/channels/{channel}", {"configuration": {"packets_ttl": "x"}}, status=400
    )


def test_messages_of_a_channel(house: InsideHouse, channel: int) -> None:
    path = f"/gw/channels/{channel}/messages"

    def shown(**asked: Any) -> list[int]:
        return [message["n"] for message in house.result("GET", house.data(path, **asked))]

    assert shown() == [0, 1, 2]
    assert shown(reverse=True, count=2) == [2, 1]
    assert shown(filter="n>0", to=NOW + 1) == [1]
    assert house.result("GET", "/gw/channels/all/messages?data[count]=1&data[fields]=n,ident") == [
        {"n": 0, "ident": "013800000001"}
    ]
    assert "filter" in house.refusal("GET", house.data(path, filter="n >"), status=400)
    assert "form" in house.refusal("DELETE", path, {"form": NOW}, status=400)
    assert house.result("DELETE", path, {"from": NOW + 1, "to": NOW + 1}) == [{"id": channel}]
    assert shown() == [0, 2]
    assert len(house.result("GET", "/gw/devices/configuration.ident=013800000001/messages")) == 3
    house.result("DELETE", house.data(path, **{"from": NOW}))
    assert shown() == []


def test_messages_for_a_stream_nothing_runs(house: InsideHouse) -> None:
    body = {"protocol_name": "http", "configuration": {"uri": "https://example.com/x"}}
    stream = house.result("POST", "/gw/streams", [body])[0]["id"]
    path = f"/gw/streams/{stream}"
    assert "not running" in house.refusal("POST", f"{path}/messages", [{"timestamp": NOW}], status=409)
    assert "timestamp" in house.refusal("POST", f"{path}/messages", [{"timestamp": "now"}], status=400)
    house.refusal("POST", f"{path}/messages", b"", status=400)
    house.result("PATCH", path, {"enabled": False})
    assert "not enabled" in house.refusal("POST", f"{path}/messages", {"a": 1}, status=409)
    assert house.result("GET", f"{path}/packets") == []
    house.refusal("GET", f"{path}9/packets", status=404)


def test_text_to_devices(house: InsideHouse) -> None:
    device = house.device("texts")
    path = f"/gw/devices/{device}/sms"
    assert house.result("GET", path) == []
    assert "phone" in house.refusal("POST", path, [{"text": "WAKEUP10"}], status=409)
    house.result("PATCH", f"/gw/devices/{device}", {"configuration": {"phone": "+37060000000"}})
    assert "modem" in house.refusal("POST", path, {"text": "WAKEUP10"}, status=409)
    for wrong in ([{}], [{"text": ""}], [{"text": "x", "to": "1"}], [], None):
        house.refusal("POST", path, wrong, status=400)


def test_geofences_in_a_group_with_a_device(house: InsideHouse) -> None:
    device, alone = house.device("fenced"), house.device("alone")
    circle = {"type": "circle", "center": {"lat": 1.5, "lon": 2.5}, "radius": 1}
    yard, port, _ = (
        house.result("POST", "/gw/geofences", [{"name": name, "geometry": circle}])[0]["id"]
        for name in ("yard", "port", "nobody's")
    )
    for name in ("north", "south"):  # in both: listed once
        group = house.result("POST", "/gw/groups", [{"name": name}])[0]["id"]
        house.result("POST", f"/gw/groups/{group}/devices/{device}")
        house.result("POST", f"/gw/groups/{group}/geofences/{yard},{port}")
    shown = house.result("GET", f"/gw/devices/{device}/geofences")
    assert shown[0] == {"id": yard, "geofence_id": yard, "device_id": device, "name": "yard", "geometry": circle}
    assert [fence["id"] for fence in shown] == [yard, port]
    found = house.result("GET", f"/gw/devices/{device},{alone}/geofences/name=p*?fields=name,device_id")
    assert found == [{"name": "port", "device_id": device}]
    assert house.result("GET", f"/gw/devices/{alone}/geofences/all") == []


def test_how_much_an_account_has(house: InsideHouse) -> None:
    (before,) = house.result("GET", "/platform/customer/statistics")
    house.device("counted")
    (after,) = house.result("GET", "/platform/customer/statistics")
    assert after["devices_count"] == before["devices_count"] + 1 == house.node.services.directory.count(DEVICES)
    assert after["channels_count"] == house.node.services.directory.count(CHANNELS)
    assert after["timestamp"] > before["timestamp"] and after["connected_devices_count"] == 0
    path = "/platform/customer/statistics"
    assert house.result("GET", house.data(path, fields="devices_count")) == [{"devices_count": after["devices_count"]}]
    assert house.result("GET", house.data(path, to=0)) == []
    assert house.result("GET", house.data(path, filter="devices_count<0")) == []
    child = house.result("POST", "/platform/subaccounts", [{"name": "child"}])[0]["id"]
    headers = {"x-flespi-cid": str(child)}
    body = [{"device_type_id": GENERIC_TYPE, "configuration": {"ident": "of-the-child"}}]
    house.result("POST", "/gw/devices", body, headers=headers)
    assert house.result("GET", path, headers=headers)[0]["devices_count"] == 1


@pytest.mark.parametrize("what", ["/gw/plugins", "/platform/webhooks"])
def test_outside_traffic_of_what_nothing_runs_is_empty(house: InsideHouse, what: str) -> None:
    hook = {"type": "custom-server", "uri": "https://example.com/x", "method": "POST", "body": "x"}
    body = {"triggers": [{"topic": "a"}], "configuration": hook} if "hook" in what else {"item_type": "item-fields"}
    made = house.result("POST", what, [body])[0]["id"]
    assert house.result("GET", house.data(f"{what}/{made}/packets", count=1)) == []
    house.refusal("GET", f"{what}/{made}9/packets", status=404)
