"""Messages, telemetry, logs, commands, connections over the wire."""

from __future__ import annotations

from typing import Any

import pytest

from inside import InsideHouse
from wayframe.model import ConnectionInfo
from wayframe.rest.handlers.connections import DEFAULT_FIELDS
from wayframe.services import Connection

NOW = 1_700_000_000


@pytest.fixture(scope="module")
def device(house: InsideHouse) -> int:
    made = house.device("history")
    messages = [{"timestamp": NOW + number / 2, "position.speed": number, "n": number} for number in range(10)]
    assert house.result("POST", f"/gw/devices/{made}/messages", messages) == [{"id": made}]
    return made


@pytest.mark.parametrize(
    ("data", "numbers"),
    [
        ({}, list(range(10))),
        ({"reverse": True, "count": 3}, [9, 8, 7]),
        ({"from": NOW + 1, "to": NOW + 2}, [2, 3, 4]),
        ({"from": NOW + 1.000001, "to": NOW + 2}, [3, 4]),
        ({"filter": "n>7"}, [8, 9]),
        ({"filter": "n>2,n<4"}, [3]),
        ({"filter": "n%2==0", "count": 2}, [0, 2]),
        ({"from": NOW + 100}, []),
    ],
)
def test_messages_by_time_count_order_and_filter(
    house: InsideHouse, device: int, data: dict[str, Any], numbers: list[int]
) -> None:
    found = house.result("GET", house.data(f"/gw/devices/{device}/messages", **data))
    assert [message["n"] for message in found] == numbers


def test_messages_show_base_keys_and_asked_fields(house: InsideHouse, device: int) -> None:
    first = house.result("GET", house.data(f"/gw/devices/{device}/messages", count=1))[0]
    assert {"timestamp", "server.timestamp", "ident", "device.id", "device.name", "device.type.id"} <= set(first)
    asked = house.data(f"/gw/devices/{device}/messages", count=1, fields="timestamp,position.speed")
    assert house.result("GET", asked) == [{"timestamp": NOW, "position.speed": 0}]
    brackets = f"/gw/devices/{device}/messages?data[count]=1&data[reverse]=true"
    assert house.result("GET", brackets)[0]["n"] == 9


@pytest.mark.parametrize(
    ("data", "said"), [({"filter": "n >"}, "filter"), ({"count": 0}, "count"), ({"from": "x"}, "from")]
)
def test_a_bad_query_is_400(house: InsideHouse, device: int, data: dict[str, Any], said: str) -> None:
    assert said in house.refusal("GET", house.data(f"/gw/devices/{device}/messages", **data), status=400)


@pytest.mark.parametrize("body", [[], "text", [1], [{"timestamp": "now"}], [{"timestamp": -1}]])
def test_bad_messages_are_400(house: InsideHouse, device: int, body: Any) -> None:
    house.refusal("POST", f"/gw/devices/{device}/messages", body, status=400)


def test_a_span_of_messages_is_deleted_and_a_misspelt_one_is_refused(house: InsideHouse) -> None:
    made = house.device("deleting")
    house.result("POST", f"/gw/devices/{made}/messages", [{"timestamp": NOW + n, "n": n} for n in range(4)])
    path = f"/gw/devices/{made}/messages"
    assert "form" in house.refusal("DELETE", path, {"form": NOW + 2}, status=400)
    assert house.result("DELETE", path, {"from": NOW + 1, "to": NOW + 2}) == [{"id": made}]
    assert [message["n"] for message in house.result("GET", path)] == [0, 3]


def test_telemetry(house: InsideHouse, device: int) -> None:
    path = f"/gw/devices/{device}/telemetry"
    everything = house.result("GET", path)[0]
    assert everything["id"] == device
    assert everything["telemetry"]["position.speed"] == {"ts": NOW + 4.5, "value": 9}
    assert set(house.result("GET", f"{path}/n,nothing")[0]["telemetry"]) == {"n"}
    assert house.result("GET", f"{path}/all") == [everything]
    assert "which" in house.refusal("DELETE", path, status=400)
    house.result("DELETE", path, ["n"])
    assert "n" not in house.result("GET", path)[0]["telemetry"]
    house.result("DELETE", f"{path}/all")
    assert house.result("GET", path)[0]["telemetry"] == {}


def test_logs_of_devices_tokens_and_the_account(house: InsideHouse, device: int) -> None:
    house.run(house.node.services.journal.settled())
    codes = [record["event_code"] for record in house.result("GET", f"/gw/devices/{device}/logs")]
    assert codes[0] == 1
    record = house.result("GET", house.data(f"/gw/devices/{device}/logs", count=1, item_type=11))[0]
    assert (record["origin_id"], record["origin_type"]) == (device, 11)
    assert house.result("GET", house.data(f"/gw/devices/{device}/logs", item_type=9)) == []
    for path in ("/platform/tokens/all/logs", "/platform/customer/logs", "/gw/channels/all/logs"):
        house.result("GET", path)


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def camera(house: InsideHouse) -> int:
    types = house.result("GET", "/gw/channel-protocols/name=jt808/device-types/all?fields=id,commands")
    kind = next(item["id"] for item in types if any(c["name"] == "request_video" for c in item["commands"]))
    body = {"name": "camera", "device_type_id": kind, "configuration": {"ident": "013800138000"}}
    return int(house.result("POST", "/gw/devices", [body])[0]["id"])


VIDEO = {"name": "request_video", "properties": {"channel": 1, "from": NOW, "duration": 30}}


def test_a_command_waits_in_the_queue_and_is_cancelled(house: InsideHouse, camera: int) -> None:
    path = f"/gw/devices/{camera}/commands-queue"
    queued = house.result("POST", path, [{**VIDEO, "ttl": 600, "meta": {"case": 1}}])[0]
    assert queued["properties"] == VIDEO["properties"]
    assert queued["id"] > NOW * 1_000_000
    assert [item["id"] for item in house.result("GET", f"{path}/all")] == [queued["id"]]
    assert house.result("GET", f"{path}/{queued['id']}?fields=name") == [{"name": "request_video"}]
    assert house.result("DELETE", f"{path}/{queued['id']}") == [{"id": queued["id"]}]
    house.refusal("DELETE", f"{path}/{queued['id']}", status=404)
    done = house.result("GET", f"/gw/devices/{camera}/commands-result/{queued['id']}")[0]
    assert (done["executed"], done["name"]) == (False, "request_video")
    assert done in house.result("GET", house.data(f"/gw/devices/{camera}/commands-result", **{"from": NOW}))


def test_wrong_commands_stand_in_errors_beside_the_right_ones(house: InsideHouse, camera: int) -> None:
    path = f"/gw/devices/{camera}/commands-queue"
    wrong = {"name": "request_video", "properties": {"channel": 1, "from": NOW, "duration": 0}}
    document = house.ask("POST", path, [VIDEO, wrong, {"name": "fly"}]).json()
    assert len(document["result"]) == 1
    assert "duration" in document["errors"][0]["reason"]
    assert "request_video" in document["errors"][1]["reason"]
    house.result("DELETE", f"{path}/all")
    assert house.ask("POST", path, [wrong]).status_code == 400
    house.refusal("POST", path, b"", status=400)


def test_connections_of_a_device_nobody_hears(house: InsideHouse, camera: int) -> None:
    assert house.result("GET", f"/gw/devices/{camera}/connections/all") == []
    house.refusal("DELETE", f"/gw/devices/{camera}/connections/1", status=404)
    assert house.result("DELETE", f"/gw/devices/{camera}/connections/all") == []


def test_a_connection_shows_its_address_to_who_asks_for_it(house: InsideHouse, camera: int) -> None:
    """The fields MQTT Board asks for, and the whole object of everybody else."""
    info = ConnectionInfo(
        id=7, channel_id=1, device_id=camera, ident="013800138000", source="203.0.113.9:51100", established=NOW
    )
    connections, entry = house.node.services.connections, house.node.services.directory.device(camera)
    assert entry is not None

    async def open_and_read() -> None:
        connections.add(entry, Connection(info, lambda code, reason: None))

    async def close() -> None:
        connections.remove(entry, 7, 0, {})

    house.run(open_and_read())
    path = f"/gw/devices/{camera}/connections/all"
    (shown,) = house.result("GET", f"{path}?fields=connection_id,ident,ip")
    assert shown == {"connection_id": 7, "ident": "013800138000", "ip": "203.0.113.9"}
    assert list(house.result("GET", path)[0]) == list(DEFAULT_FIELDS)
    house.run(close())
