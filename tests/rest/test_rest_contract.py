"""The contract of the envelope, of items and of history, line by line (rest-api.md 2, 5, 6)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from inside import GENERIC_TYPE, InsideHouse
from wayframe.rest.routes import RouteTable

NOW = 1_750_000_000
HOOK = {"type": "custom-server", "uri": "https://example.com/x", "method": "POST", "body": "x"}
CIRCLE = {"type": "circle", "center": {"lat": 1.5, "lon": 2.5}, "radius": 1}
BODIES: dict[str, dict[str, Any]] = {
    "gw/devices": {"device_type_id": GENERIC_TYPE, "configuration": {"ident": "contract"}},
    "gw/channels": {"protocol_name": "jt808", "enabled": False},
    "gw/groups": {"name": "North", "color": "#ff0000"},
    "gw/streams": {"protocol_name": "http", "configuration": {"uri": "https://example.com/x"}},
    "gw/plugins": {"item_type": "tacho-file-parse"},
    "gw/geofences": {"name": "yard", "geometry": CIRCLE},
    "platform/tokens": {"ttl": 600},
    "platform/subaccounts": {"name": "branch"},
    "platform/limits": {"name": "few", "devices_count": 5},
    "platform/webhooks": {"triggers": [{"topic": "flespi/message/gw/devices/+"}], "configuration": HOOK},
}


@pytest.fixture(scope="module")
def items(house: InsideHouse) -> dict[str, int]:
    """An item of each entity, by entity."""
    return {entity: house.result("POST", f"/{entity}", [body])[0]["id"] for entity, body in BODIES.items()}


# --- paths ------------------------------------------------------------------------------------------------------------

PATHS = """
GET /auth/regions /auth/info /auth/oauth/providers /const/values /gw/api.json
GET,PUT,PATCH /platform/customer
GET /platform/customer/logs /platform/customer/statistics
POST /platform/tokens /platform/subaccounts /platform/limits /platform/webhooks
GET,PUT,PATCH,DELETE /platform/tokens/1 /platform/subaccounts/1 /platform/limits/1 /platform/webhooks/1
GET /platform/tokens/1/logs /platform/subaccounts/1/logs /platform/limits/1/logs /platform/webhooks/1/logs
GET /platform/webhooks/1/packets /platform/deleted/1 /platform/deleted/1/logs
POST /platform/deleted/1/restore
POST /gw/devices /gw/channels /gw/groups /gw/streams /gw/plugins /gw/geofences
GET,PUT,PATCH,DELETE /gw/devices/1 /gw/channels/1 /gw/groups/1 /gw/streams/1 /gw/plugins/1 /gw/geofences/1
PUT /gw/devices/1/cid /gw/channels/1/cid
GET /gw/devices/1/logs /gw/channels/1/logs /gw/groups/1/logs /gw/streams/1/logs /gw/plugins/1/logs /gw/geofences/1/logs
GET,POST,PUT,DELETE /gw/devices/1/media
GET,POST,DELETE /gw/devices/1/messages
GET,DELETE /gw/devices/1/telemetry /gw/devices/1/telemetry/all
GET,PUT,DELETE /gw/devices/1/settings/apn
GET,DELETE /gw/devices/1/connections/1 /gw/channels/1/connections/1
POST /gw/devices/1/commands /gw/devices/1/commands-queue
GET,DELETE /gw/devices/1/commands-queue/1
GET /gw/devices/1/commands-result /gw/devices/1/commands-result/1 /gw/devices/1/packets /gw/devices/1/geofences
GET,POST /gw/devices/1/sms
GET /gw/channels/1/idents /gw/channels/1/idents/1 /gw/channels/1/idents/1/packets
GET,DELETE /gw/channels/1/messages
GET /gw/channel-protocols/1 /gw/channel-protocols/1/device-types/1 /gw/stream-protocols/1 /gw/plugin-types/1
GET /gw/message-parameters/1
GET,POST,DELETE /gw/groups/1/devices/1
GET,POST,PUT,DELETE /gw/streams/1/devices/1 /gw/streams/1/channels/1 /gw/streams/1/groups/1
POST /gw/streams/1/messages
GET /gw/streams/1/packets /gw/plugins/1/packets
GET,POST,DELETE /gw/plugins/1/devices/1 /gw/plugins/1/groups/1
GET /mqtt/sessions/1 /mqtt/sessions/1/subscriptions/1
"""
"""Methods, and the paths of the contract that have them."""


def test_there_is_a_route_for_every_path_of_the_contract() -> None:
    table = RouteTable()
    for line in PATHS.split("\n")[1:-1]:
        methods, *paths = line.split()
        for path in paths:
            assert set(methods.split(",")) <= set(table.methods(path.split("/")[1:])), path


# --- the envelope -----------------------------------------------------------------------------------------------------


def test_what_fails_of_a_batch_says_which_item_it_was(house: InsideHouse) -> None:
    first, second = house.device("one"), house.device("two")
    body = {"configuration": {"ident": "the same"}}
    answer = house.ask("PUT", f"/gw/devices/{first},{second}", body)
    assert answer.status_code == 200 and [item["id"] for item in answer.json()["result"]] == [first]
    (error,) = answer.json()["errors"]
    assert (error["code"], error["id"]) == (409, second) and "2 of 2" in error["reason"]


def test_slashes_too_many_and_a_bare_key(house: InsideHouse) -> None:
    made = house.device("slashes")
    for authorization in (house.key, f"Bearer {house.key}", f"FlespiToken {house.key}"):
        headers = {"Authorization": authorization}
        answer = house.ask("GET", f"{house.url}//gw///devices/{made}//?fields=id", key="", headers=headers)
        assert answer.json() == {"result": [{"id": made}]}


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("fields=id,device_id,configuration.ident,metadata.a.b", {"configuration": {"ident": "id-shown"}}),
        ("fields=id,%20device_id%20,nothing,configuration.nothing,metadata.a.b", {}),
    ],
)
def test_fields_with_dotted_paths(house: InsideHouse, asked: str, shown: dict[str, Any]) -> None:
    found = house.result("GET", "/gw/devices/configuration.ident=id-shown?fields=id")
    made = found[0]["id"] if found else house.device("shown", metadata={"a": {"b": 1, "c": 2}})
    expected = {"id": made, "device_id": made, "metadata": {"a": {"b": 1}}, **shown}
    assert house.result("GET", f"/gw/devices/{made}?{asked}") == [expected]
    assert house.result("GET", f"/gw/devices/{made}?fields=") == house.result("GET", f"/gw/devices/{made}")


def test_pages_of_every_collection(house: InsideHouse, items: dict[str, int]) -> None:
    directories = ("gw/channel-protocols", "gw/stream-protocols", "gw/plugin-types", "gw/message-parameters")
    for entity in (*items, *directories, "gw/channel-protocols/all/device-types", "platform/deleted"):
        count = len(house.result("GET", f"/{entity}/all"))
        page = house.ask("GET", f"/{entity}/all?fields=id&limit=1&offset=1").json()
        assert page["pagination"] == {"limit": 1, "offset": 1, "count": count}
        assert len(page["result"]) == (count > 1)
        assert "pagination" not in house.ask("GET", f"/{entity}/all?offset=1").json()


# --- items ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entity", BODIES)
def test_an_item_may_be_sent_back_as_it_was_read(house: InsideHouse, items: dict[str, int], entity: str) -> None:
    path = f"/{entity}/{items[entity]}"
    (read,) = house.result("GET", path)
    for method in ("PUT", "PATCH"):
        (now,) = house.result(method, path, read)
        assert {**now, "accessed": 0} == {**read, "accessed": 0}
    reason = house.refusal("PUT", path, {**read, "id": items[entity] + 1}, status=400)
    assert "`id`" in reason


def test_a_key_is_not_written(house: InsideHouse, items: dict[str, int]) -> None:
    path = f"/platform/tokens/{items['platform/tokens']}"
    assert "`key`" in house.refusal("PUT", path, {"key": "x" * 64}, status=400)


def test_the_account_may_be_sent_back_as_it_was_read(house: InsideHouse) -> None:
    (read,) = house.result("GET", "/platform/customer")
    assert house.result("PUT", "/platform/customer", read) == [read]
    assert "owner_id" in house.refusal("PUT", "/platform/customer", {**read, "owner_id": 7}, status=400)


@pytest.mark.parametrize("entity", BODIES)
def test_every_item_has_metadata_that_merges_and_selects_and_a_log(
    house: InsideHouse, items: dict[str, int], entity: str
) -> None:
    path, made = f"/{entity}/{items[entity]}", items[entity]
    house.result("PATCH", path, {"metadata": {"fleet_id": 10, "place": {"row": 1}}})
    house.result("PATCH", path, {"metadata": {"place": {"seat": 2}, "gone": None}})
    assert house.result("GET", f"{path}?fields=metadata") == [
        {"metadata": {"fleet_id": 10, "place": {"row": 1, "seat": 2}}}
    ]
    for selector in ("metadata.fleet_id=10", "metadata.place.seat=2", "{metadata.place.row==1&&metadata.fleet_id>9}"):
        assert [item["id"] for item in house.result("GET", f"/{entity}/{quote(selector)}?fields=id")] == [made]
    assert house.result("PUT", path, {"metadata": {"only": 1}})[0]["metadata"] == {"only": 1}
    house.run(house.node.services.journal.settled())
    (record,) = house.result("GET", house.data(f"{path}/logs", count=1, reverse=True))
    assert (record["event_code"], record["origin_id"], record["event_origin"]) == (2, made, f"{entity}/{made}")
    assert isinstance(record["origin_type"], int) and isinstance(record["timestamp"], float)


def test_a_field_misspelt_is_answered_with_those_there_are(house: InsideHouse, items: dict[str, int]) -> None:
    for entity, made in items.items():
        for method, path, body in (("POST", f"/{entity}", [{"nme": 1}]), ("PATCH", f"/{entity}/{made}", {"nme": 1})):
            (error,) = house.ask(method, path, body).json()["errors"]
            assert (error["code"], "nme" in error["reason"]) == (2, True)
            assert {"info" if entity == "platform/tokens" else "name", "metadata"} <= set(error["schema_hint"])


def test_what_is_not_assigned_cannot_be_changed(house: InsideHouse, items: dict[str, int]) -> None:
    path = f"/gw/groups/{items['gw/groups']}/devices/{items['gw/devices']}"
    for method in ("PUT", "PATCH", "DELETE"):
        assert "not assigned" in house.refusal(method, path, {}, status=404)
        assert house.result(method, path.replace(str(items["gw/devices"]), "all"), {}) == []
    assert house.result("GET", path) == []
    shown = {"id": items["gw/devices"], "group_id": items["gw/groups"], "device_id": items["gw/devices"], "name": ""}
    assert house.result("POST", path, b"null") == [shown]
    assert house.result("PUT", path) == [shown]


def test_the_address_of_a_retranslator_is_a_host_and_port(house: InsideHouse) -> None:
    body = {"protocol_name": "wialon", "configuration": {"uri": "https://example.com/"}}
    assert "configuration.uri" in house.refusal("POST", "/gw/streams", [body], status=400)
    body["configuration"] = {"uri": "example.com:20332"}
    assert house.result("POST", "/gw/streams", [body])[0]["configuration"] == body["configuration"]


def test_directories_of_types(house: InsideHouse) -> None:
    for directory in ("channel-protocols", "stream-protocols", "plugin-types"):
        for kind in house.result("GET", f"/gw/{directory}/all?fields=id,name,title,features"):
            assert list(kind) == ["id", "name", "title", "features"]
    (protocol,) = house.result("GET", "/gw/channel-protocols/name=jt808?fields=message_parameters")
    speed = {"name": "position.speed", "type": "number", "unit": "km/h", "info": "position speed"}
    assert speed in protocol["message_parameters"]


# --- history ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def device(house: InsideHouse) -> int:
    """Five messages, a microsecond apart."""
    made = house.device("micro", configuration={"ident": "id-micro", "packets_ttl": "600"})
    messages = [{"timestamp": NOW + n / 1e6, "n": n, "position.speed": n, "position.valid": True} for n in range(5)]
    house.result("POST", f"/gw/devices/{made}/messages", messages)
    for n in range(5):
        house.node.services.traffic.note(made, bytes([n]), received=True, source="a:1", timestamp=NOW + n / 1e6)
    return made


@pytest.mark.parametrize(
    ("data", "numbers"),
    [
        ({"from": NOW + 2e-6}, [2, 3, 4]),
        ({"to": NOW + 2e-6}, [0, 1, 2]),
        ({"from": NOW + 1e-6, "to": NOW + 3e-6, "reverse": True}, [3, 2, 1]),
        ({"to": NOW + 3e-6, "reverse": True, "count": 2}, [3, 2]),
        ({"from": None, "to": None, "count": None, "fields": None, "filter": None, "later": 1}, [0, 1, 2, 3, 4]),
    ],
)
def test_messages_and_traffic_to_the_microsecond(
    house: InsideHouse, device: int, data: dict[str, Any], numbers: list[int]
) -> None:
    asked = f"data={quote(json.dumps(data))}"
    messages = house.result("GET", f"/gw/devices/{device}/messages?{asked}")
    assert [message["n"] for message in messages] == numbers
    packets = house.result("GET", f"/gw/devices/{device}/packets?{asked}")
    assert [int(packet["data"], 16) for packet in packets] == numbers
    brackets = "&".join(f"data[{name}]={json.dumps(value)}" for name, value in data.items())
    assert house.result("GET", f"/gw/devices/{device}/messages?{brackets}") == messages


def test_logs_page_by_the_microsecond(house: InsideHouse, device: int) -> None:
    for name in ("a", "b", "c"):
        house.result("PUT", f"/gw/devices/{device}", {"name": name})
    house.run(house.node.services.journal.settled())
    path = f"/gw/devices/{device}/logs"
    everything = house.result("GET", path)
    edge, paged = everything[-1]["timestamp"], everything[-1:]
    while page := house.result("GET", house.data(path, to=edge - 0.000001, reverse=True, count=1)):
        paged, edge = page + paged, page[0]["timestamp"]
    assert paged == everything
    chosen = house.data(path, filter="event_code>=1,event_code<2", fields="event_code", item_type=11)
    assert house.result("GET", chosen) == [{"event_code": 1}]
    assert house.result("GET", f"{path}?data[item_type]=9") == []


def test_flat_names_of_messages(house: InsideHouse, device: int) -> None:
    path = f"/gw/devices/{device}/messages"
    assert house.result("GET", house.data(path, count=1, fields="position.*,n")) == [
        {"n": 0, "position.speed": 0, "position.valid": True}
    ]
    assert house.result("GET", f"{path}?fields=position.speed&data[count]=1") == [{"position.speed": 0}]


def test_base_keys_of_a_registered_message(house: InsideHouse, device: int) -> None:
    (message,) = house.result("GET", house.data(f"/gw/devices/{device}/messages", count=1))
    assert set(message) == {
        "timestamp", "server.timestamp", "ident", "device.id", "device.name", "device.type.id", "protocol.id",
        "n", "position.speed", "position.valid",
    }  # fmt: skip
    assert (message["ident"], message["device.id"], message["protocol.id"]) == ("id-micro", device, 0)


def test_telemetry_by_name_page_and_field(house: InsideHouse, device: int) -> None:
    house.result("POST", f"/gw/devices/{device}/messages", [{"timestamp": NOW + 5, "position.altitude": 412.1}])
    path = f"/gw/devices/{device}/telemetry/position.altitude,position.speed,nothing"
    (found,) = house.result("GET", path)
    assert found["telemetry"]["position.altitude"] == {"ts": NOW + 5, "value": 412.1}
    assert isinstance(found["telemetry"]["position.altitude"]["ts"], int)
    assert found["telemetry"]["position.speed"] == {"ts": NOW + 4e-6, "value": 4}
    asked = "fields=telemetry.position.altitude&limit=1"
    answer = house.ask("GET", f"/gw/devices/{device}/telemetry?{asked}").json()
    assert answer["result"] == [{"telemetry": {"position.altitude": {"ts": NOW + 5, "value": 412.1}}}]
    assert answer["pagination"] == {"limit": 1, "offset": 0, "count": 1}


def test_traffic_is_off_unless_asked_for(house: InsideHouse) -> None:
    made = house.device("silent")
    entry = house.node.services.directory.device(made)
    assert entry is not None and not house.node.services.traffic.wanted(entry.device)
    assert house.result("GET", f"/gw/devices/{made}/packets") == []
