"""The bin, geofences, webhooks, raw traffic, metadata, moves; over the wire."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from inside import InsideHouse

CIRCLE = {"type": "circle", "center": {"lat": 54.7, "lon": 25.3}, "radius": 0.5}


# --- the bin ----------------------------------------------------------------------------------------------------------


def deleted(house: InsideHouse, origin: str) -> dict[str, Any]:
    found = house.result("GET", f"/platform/deleted/{quote(f'origin={origin}', safe='')}")
    assert len(found) == 1
    shown = found[0]
    assert isinstance(shown, dict)
    return shown


def test_a_deleted_device_comes_back_with_its_messages(house: InsideHouse) -> None:
    device = house.device("phoenix", metadata={"a": 1})
    house.result("POST", f"/gw/devices/{device}/messages", [{"timestamp": 1_700_000_000, "position.speed": 5}])
    file = house.upload(device, b"\xff\xd8\xff\xe0 no picture", "photo.jpg")
    before = house.result("GET", f"/gw/devices/{device}")
    there = house.result("POST", "/gw/groups", [{"name": "nest"}])[0]["id"]
    house.result("POST", f"/gw/groups/{there}/devices/{device}")
    house.result("DELETE", f"/gw/devices/{device}")
    house.refusal("GET", f"/gw/devices/{device}", status=404)
    lying = deleted(house, f"gw/devices/{device}")
    assert (lying["type"], lying["item_id"], lying["name"]) == (11, device, "phoenix")
    assert lying["expires"] - lying["deleted"] == 30 * 86400
    for selector in (f"type=11,item_id={device}", f"{{item_id=={device}}}", '{data.configuration.ident=="id-phoenix"}'):
        found = house.result("GET", f"/platform/deleted/{quote(selector, safe='')}")
        assert [item["id"] for item in found] == [lying["id"]], selector
    codes = [record["event_code"] for record in house.result("GET", f"/platform/deleted/{lying['id']}/logs")]
    assert codes[0] == 1
    assert 3 in codes
    restored = house.result("POST", f"/platform/deleted/{lying['id']}/restore")
    assert restored == [{"id": device, "origin": f"gw/devices/{device}"}]
    assert house.result("GET", f"/gw/devices/{device}") == before
    assert [m["position.speed"] for m in house.result("GET", f"/gw/devices/{device}/messages") if "media" not in m] == [
        5
    ]
    assert house.result("GET", f"/gw/devices/{device}?fields=telemetry.position.speed,groups") == [
        {"telemetry": {"position.speed": {"ts": 1_700_000_000, "value": 5}}, "groups": []}
    ]
    assert house.result("GET", f"/gw/devices/{device}/media") == []
    assert house.ask("GET", f"/media/{file['uuid']}").status_code == 404
    house.refusal("POST", f"/platform/deleted/{lying['id']}/restore", status=404)
    house.run(house.node.services.journal.settled())
    assert house.result("GET", f"/gw/devices/{device}/logs")[-1]["event_code"] == 6


def test_what_is_taken_meanwhile_is_not_restored(house: InsideHouse) -> None:
    types = house.result("GET", "/gw/channel-protocols/name=jt808/device-types/all?fields=id")
    body = {"device_type_id": types[0]["id"], "configuration": {"ident": "013800777777"}}
    device = house.result("POST", "/gw/devices", [body])[0]["id"]
    house.result("DELETE", f"/gw/devices/{device}")
    other = house.result("POST", "/gw/devices", [body])[0]["id"]
    assert other != device
    lying = deleted(house, f"gw/devices/{device}")
    assert "ident" in house.refusal("POST", f"/platform/deleted/{lying['id']}/restore", status=409)
    house.result("DELETE", f"/gw/devices/{other}")
    house.result("POST", f"/platform/deleted/{lying['id']}/restore")
    assert house.result("GET", f"/gw/devices/{device}?fields=id") == [{"id": device}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("gw/groups", {"name": "g", "metadata": {"a": [1]}}),
        ("gw/geofences", {"name": "f", "geometry": CIRCLE}),
        ("gw/plugins", {"name": "p", "item_type": "msg-merge", "priority": 5}),
        ("gw/streams", {"protocol_name": "http", "configuration": {"uri": "https://example.com"}}),
        ("gw/channels", {"protocol_name": "jt808", "enabled": False}),
        ("platform/webhooks", {"triggers": [{"topic": "#"}], "configuration": {
            "type": "custom-server", "uri": "https://example.com"}}),
    ],
)  # fmt: skip
def test_every_kind_comes_back_as_it_was(house: InsideHouse, path: str, body: dict[str, Any]) -> None:
    made = house.result("POST", f"/{path}", [body])[0]
    house.result("DELETE", f"/{path}/{made['id']}")
    lying = deleted(house, f"{path}/{made['id']}")
    house.result("POST", f"/platform/deleted/{lying['id']}/restore")
    assert house.result("GET", f"/{path}/{made['id']}") == [made]


def test_the_bin_is_for_masters_and_can_be_emptied(house: InsideHouse) -> None:
    made = house.result("POST", "/gw/groups", [{"name": "secret"}])[0]["id"]
    house.result("DELETE", f"/gw/groups/{made}")
    lying = deleted(house, f"gw/groups/{made}")["id"]
    for method, path in (("GET", "/platform/deleted/all"), ("POST", f"/platform/deleted/{lying}/restore")):
        house.refusal(method, path, status=403, key=house.token({"type": 0}))
    assert house.result("DELETE", f"/platform/deleted/{lying}") == [{"id": lying}]
    house.refusal("GET", f"/platform/deleted/{lying}", status=404)
    assert house.result("GET", "/platform/deleted/name=nothing") == []


# --- geofences and webhooks -------------------------------------------------------------------------------------------


def test_geofences(house: InsideHouse) -> None:
    corridor = {"type": "corridor", "path": [{"lat": 1, "lon": 1}, {"lat": 2, "lon": 2}], "width": 0.1}
    polygon = {"type": "polygon", "path": [{"lat": 0, "lon": 0}, {"lat": 1, "lon": 0}, {"lat": 0, "lon": 1}]}
    made = house.result("POST", "/gw/geofences", [{"geometry": shape} for shape in (CIRCLE, corridor, polygon)])
    assert [item["geometry"]["type"] for item in made] == ["circle", "corridor", "polygon"]
    found = house.result("GET", "/gw/geofences/geometry.type=corridor?fields=id,geometry.width")
    assert found[-1] == {"id": made[1]["id"], "geometry": {"width": 0.1}}


def test_patch_moves_or_resizes_an_area_or_puts_another_in_its_place(house: InsideHouse) -> None:
    path = f"/gw/geofences/{house.result('POST', '/gw/geofences', [{'geometry': CIRCLE}])[0]['id']}"
    (moved,) = house.result("PATCH", path, {"geometry": {"radius": 7, "center": {"lat": 3}}})
    assert moved["geometry"] == {**CIRCLE, "radius": 7, "center": {**CIRCLE["center"], "lat": 3}}
    polygon = {"type": "polygon", "path": [{"lat": 0, "lon": 0}, {"lat": 1, "lon": 0}, {"lat": 0, "lon": 1}]}
    assert house.result("PATCH", path, {"geometry": polygon})[0]["geometry"] == polygon
    assert house.result("PATCH", path, {"name": "same"})[0]["geometry"] == polygon
    assert "geometry" in house.refusal("PUT", path, {"geometry": {"radius": 7}}, status=400)
    assert "center" in house.refusal("PATCH", path, {"geometry": {"type": "circle"}}, status=400)


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        {},
        {"type": "square"},
        {**CIRCLE, "radius": 0},
        {**CIRCLE, "radius": "big"},
        {**CIRCLE, "center": {"lat": 91, "lon": 0}},
        {**CIRCLE, "center": {"lat": 0, "lon": 181}},
        {**CIRCLE, "colour": "red"},
        {"type": "polygon", "path": [{"lat": 0, "lon": 0}, {"lat": 1, "lon": 1}]},
        {"type": "polygon", "path": [{"lat": 0, "lon": 0}] * 5},
        {"type": "polygon", "path": [{"lat": n / 1000, "lon": 0} for n in range(1001)]},
        {"type": "corridor", "path": [{"lat": 0, "lon": 0}] * 3, "width": 1},
    ],
)
def test_an_area_without_a_size_is_refused(house: InsideHouse, geometry: Any) -> None:
    body = {} if geometry is None else {"geometry": geometry}
    assert "geometry" in house.refusal("POST", "/gw/geofences", [body], status=400)


HOOK = {"type": "custom-server", "uri": "https://lambda.example.com/x"}


def test_a_webhook_is_kept_with_its_defaults(house: InsideHouse) -> None:
    body = {
        "name": "clip on event",
        "triggers": [{"topic": "flespi/message/gw/devices/+", "filter": {"cid": 11, "payload": 'exists("media")'}}],
        "configuration": {
            **HOOK, "body": "%{payload}%", "headers": [{"name": "X-A", "value": "1"}],
            "validate": {"expression": "status==200", "action": "retry"},
        },
    }  # fmt: skip
    made = house.result("POST", "/platform/webhooks", [body])[0]
    assert made["triggers"] == body["triggers"]
    assert made["configuration"] == body["configuration"]
    chain = [HOOK, {"type": "flespi-platform", "uri": "gw/devices/1/commands-queue", "body": "[]", "cid": "1"}]
    put = house.result("PUT", f"/platform/webhooks/{made['id']}", {"configuration": chain})[0]
    assert [step["type"] for step in put["configuration"]] == ["custom-server", "flespi-platform"]
    house.refusal("GET", "/platform/webhooks/all", status=403, key=house.token({"type": 0}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"triggers": []}, "triggers"),
        ({"triggers": [{"topic": "#"}] * 4}, "triggers"),
        ({"triggers": [{"topic": "a/#/b"}]}, "triggers.0.topic"),
        ({"triggers": [{"topic": "a", "filter": {"payload": "x >"}}]}, "triggers.0.filter.payload"),
        ({"triggers": [{"topic": "a", "colour": "red"}]}, "colour"),
        ({"configuration": {}}, "configuration"),
        ({"configuration": []}, "configuration"),
        ({"configuration": {**HOOK, "type": "ftp"}}, "configuration"),
        ({"configuration": {**HOOK, "method": "TRACE"}}, "method"),
        ({"configuration": {**HOOK, "body": "%{a"}}, "configuration.body"),
        ({"configuration": {**HOOK, "headers": [{"name": "A B", "value": "1"}]}}, "headers"),
        ({"configuration": {**HOOK, "headers": [{"name": "A", "value": "1\r\nHost: x"}]}}, "configuration.headers.0"),
        ({"configuration": {**HOOK, "validate": {"expression": "x ==", "action": "skip"}}}, "validate.expression"),
        ({"configuration": {"type": "flespi-platform", "uri": "https://other.example.com/"}}, "configuration.uri"),
        ({"configuration": [HOOK, {**HOOK, "uri": "http://localhost/"}]}, "configuration.1.uri"),
        *(
            ({"configuration": {**HOOK, "uri": uri}}, "configuration.uri")
            for uri in (
                "", "example.com", "ftp://example.com/", "http://", "http://127.0.0.1/", "http://127.1/", "http://[::1]/",
                "http://0.0.0.0/", "http://10.1.2.3/", "http://192.168.0.1:8080/", "http://169.254.169.254/latest",
                "http://[::ffff:10.0.0.1]/", "http://[fd00::1]/", "http://2130706433/", "http://0x7f.0.0.1/",
                "http://localhost:8080/", "http://LOCALHOST./", "http://router.lan/", "http://db/", "http://a@10.0.0.1/",
                "https://user:pw@example.com/", "http://example.com\\@10.0.0.1/", "http://exa mple.com/",
                "https://%{host}%/x", "https://example.com%{x}%/", "http://224.0.0.1/", "http://100.64.0.1/",
            )
        ),
    ],
)  # fmt: skip
def test_a_bad_webhook_is_refused(house: InsideHouse, change: dict[str, Any], said: str) -> None:
    body = {"triggers": [{"topic": "#"}], "configuration": HOOK, **change}
    assert said in house.refusal("POST", "/platform/webhooks", [body], status=400)


# --- raw traffic ------------------------------------------------------------------------------------------------------


def test_raw_traffic_is_off_and_bounded_in_time(house: InsideHouse) -> None:
    device = house.device("quiet")
    assert house.result("GET", f"/gw/devices/{device}/packets") == []
    for wrong in ("-1", "1e3", "yes", True, 604_801):
        body = {"configuration": {"packets_ttl": wrong}}
        assert "packets_ttl" in house.refusal("PATCH", f"/gw/devices/{device}", body, status=400)
    put = house.result("PATCH", f"/gw/devices/{device}", {"configuration": {"packets_ttl": "3600"}})[0]
    assert put["configuration"]["packets_ttl"] == "3600"


def test_raw_traffic_by_time(house: InsideHouse) -> None:
    device = house.device("noisy", configuration={"packets_ttl": "3600"})
    traffic = house.node.services.traffic
    for number in range(4):
        traffic.note(device, bytes([number]), received=number % 2 == 0, source="192.0.2.1:5", timestamp=1000.0 + number)
    found = house.result("GET", house.data(f"/gw/devices/{device}/packets", **{"from": 1001, "to": 1002.5}))
    assert [(packet["data"], packet["direction"]) for packet in found] == [("01", "out"), ("02", "in")]
    newest = house.result("GET", house.data(f"/gw/devices/{device}/packets", count=1, reverse=True))
    assert newest[0]["timestamp"] == 1003
    filtered = house.data(f"/gw/devices/{device}/packets", filter='direction=="in"', fields="data")
    assert house.result("GET", filtered) == [{"data": "00"}, {"data": "02"}]
    house.result("DELETE", f"/gw/devices/{device}/packets")
    assert house.result("GET", f"/gw/devices/{device}/packets") == []


# --- metadata and moves -----------------------------------------------------------------------------------------------


def test_metadata_by_itself(house: InsideHouse) -> None:
    device = house.device("meta", metadata={"a": "1"})
    path = f"/gw/devices/{device}/metadata"
    assert house.result("GET", path) == [{"id": device, "metadata": {"a": "1"}}]
    assert house.result("PATCH", path, {"b": {"c": "2"}, "a": None}) == [{"id": device, "metadata": {"b": {"c": "2"}}}]
    assert house.result("PUT", path, {"x": "y"}) == [{"id": device, "metadata": {"x": "y"}}]
    house.refusal("PUT", path, [], status=400)
    assert house.result("GET", f"/gw/devices/{device}?fields=metadata") == [{"metadata": {"x": "y"}}]


def test_an_item_moves_to_an_account_below_only(house: InsideHouse) -> None:
    device = house.device("movable")
    own = house.result("GET", "/platform/customer")[0]["id"]
    assert house.result("PUT", f"/gw/devices/{device}/cid", {"cid": own})[0]["cid"] == own
    house.refusal("PUT", f"/gw/devices/{device}/cid", {"cid": 4242}, status=403)
    for wrong in ({}, {"cid": "1"}, {"cid": True}, {"cid": own, "name": "x"}, [own]):
        assert "cid" in house.refusal("PUT", f"/gw/devices/{device}/cid", wrong, status=400)


def test_settings_over_the_wire(house: InsideHouse) -> None:
    types = house.result("GET", "/gw/channel-protocols/name=jt808/device-types/name=mdvr?fields=id,settings")[0]
    assert [(item["name"], item["mode"]) for item in types["settings"]] == [
        ("parameters", 3),
        ("properties", 1),
        ("attributes", 1),
    ]
    body = {"device_type_id": types["id"], "configuration": {"ident": "013800666666"}}
    device = house.result("POST", "/gw/devices", [body])[0]["id"]
    path = f"/gw/devices/{device}/settings"
    assert [item["name"] for item in house.result("GET", f"{path}/all")] == ["attributes", "parameters", "properties"]
    put = house.result("PUT", f"{path}/parameters", {"properties": {"report_interval": 30}})[0]
    assert (put["device_id"], put["pending"]) == (device, {"report_interval": 30})
    assert house.result("GET", f"{path}/parameters,nothing?fields=name,status") == [{"name": "parameters", "status": 1}]
    assert house.result("DELETE", house.data(f"{path}/parameters", pending=True))[0]["pending"] is None
    assert house.result("GET", f"/gw/devices/{device}/commands-queue/all") == []
    assert house.result("DELETE", f"{path}/parameters")[0]["name"] == "parameters"
    assert [item["name"] for item in house.result("GET", f"/gw/devices/{device}/commands-queue/all")] == [
        "get_parameters"
    ]
    house.refusal("PUT", f"{path}/nothing", {"properties": {"a": 1}}, status=404)
    house.refusal("PUT", f"{path}/properties", {"properties": {"a": 1}}, status=400)
