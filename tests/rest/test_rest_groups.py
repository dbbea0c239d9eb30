"""Groups, streams, plugins and what is assigned to them; rights by group; over the wire."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from inside import InsideHouse

FIELDS = [
    {"name": "driver.name", "type": "string", "required": True},
    {"name": "customer_id", "type": "number", "min": 1, "default": 9},
]


def group(house: InsideHouse, name: str, **more: Any) -> int:
    return int(house.result("POST", "/gw/groups", [{"name": name, **more}])[0]["id"])


def plugin(house: InsideHouse, **body: Any) -> int:
    return int(house.result("POST", "/gw/plugins", [body])[0]["id"])


def ids(found: list[Any]) -> list[int]:
    return [item["id"] for item in found]


# --- groups -----------------------------------------------------------------------------------------------------------


def test_devices_are_assigned_to_a_group_and_show_it(house: InsideHouse) -> None:
    made = house.result("POST", "/gw/groups", [{"name": "North", "color": "#00ff00"}])[0]
    assert set(made) == {"id", "cid", "name", "color", "metadata"}
    north, a, b = made["id"], house.device("ga"), house.device("gb")
    linked = house.result("POST", f"/gw/groups/{north}/devices/{a},{b}")
    assert linked == [
        {"id": a, "group_id": north, "device_id": a, "name": "ga"},
        {"id": b, "group_id": north, "device_id": b, "name": "gb"},
    ]
    assert house.result("POST", f"/gw/groups/{north}/devices/{a}", b"null") == linked[:1]  # no error, nothing new
    assert house.result("GET", f"/gw/groups/{north}/devices/all") == linked
    assert ids(house.result("GET", f"/gw/groups/all/devices/{a}?fields=id,group_id,enabled")) == [a]
    assert house.result("GET", f"/gw/groups/{north}/devices/999999") == []
    assert house.result("GET", f"/gw/devices/{a}?fields=groups") == [{"groups": [{"id": north, "name": "North"}]}]
    assert ids(house.result("GET", f"/gw/devices/groups.id={north}")) == [a, b]
    assert house.result("GET", f"/gw/groups/{north}?fields=devices_count") == [{"devices_count": 2}]
    house.result("PUT", f"/gw/groups/{north}", {"name": "South"})
    assert ids(house.result("GET", "/gw/devices/groups.name=South")) == [a, b]
    assert house.result("DELETE", f"/gw/groups/{north}/devices/{a}") == [{"id": a, "group_id": north}]
    house.refusal("DELETE", f"/gw/groups/{north}/devices/{a}", status=404)
    house.result("DELETE", f"/gw/devices/{b}")
    assert house.result("GET", f"/gw/groups/{north}/devices/all") == []
    house.result("DELETE", f"/gw/groups/{north}")
    house.refusal("GET", f"/gw/groups/{north}/devices/all", status=404)


def test_what_does_not_exist_cannot_be_assigned(house: InsideHouse) -> None:
    there, device = group(house, "lonely"), house.device("unassigned")
    house.refusal("POST", f"/gw/groups/{there}/devices/999999", status=404)
    house.refusal("POST", f"/gw/groups/999999/devices/{device}", status=404)
    assert "fields" in house.refusal("POST", f"/gw/groups/{there}/devices/{device}", {"fields": {"a": 1}}, status=400)
    house.refusal("POST", f"/gw/groups/{there}/devices/{device}", {"colour": "red"}, status=400)
    assert house.result("GET", f"/gw/groups/{there}/devices/all") == []


def test_channels_and_geofences_are_grouped_too(house: InsideHouse) -> None:
    there = group(house, "mixed")
    channel = house.result("POST", "/gw/channels", [{"protocol_name": "jt808", "enabled": False}])[0]["id"]
    circle = {"type": "circle", "center": {"lat": 54.7, "lon": 25.3}, "radius": 0.5}
    fence = house.result("POST", "/gw/geofences", [{"name": "yard", "geometry": circle}])[0]["id"]
    house.result("POST", f"/gw/groups/{there}/channels/{channel}")
    house.result("POST", f"/gw/groups/{there}/geofences/{fence}")
    assert ids(house.result("GET", f"/gw/channels/groups.id={there}")) == [channel]
    assert ids(house.result("GET", f"/gw/geofences/groups.id={there}")) == [fence]


def test_a_token_by_groups_sees_the_members_of_the_groups_it_may_read(house: InsideHouse) -> None:
    mine, other = group(house, "mine"), group(house, "other")
    a, b, c = (house.device(f"in-{name}") for name in "abc")
    house.result("POST", f"/gw/groups/{mine}/devices/{a}")
    house.result("POST", f"/gw/groups/{other}/devices/{b}")
    acl = [
        {"uri": "gw/groups", "methods": ["GET"], "ids": [mine]},
        {
            "uri": "gw/devices", "methods": ["GET"], "ids": "in-groups",
            "submodules": [{"name": "messages", "methods": ["GET"]}],
        },
    ]  # fmt: skip
    key = house.token({"type": 2, "acl": acl})
    assert ids(house.result("GET", "/gw/devices/all", key=key)) == [a]
    for hidden in (b, c):
        house.refusal("GET", f"/gw/devices/{hidden}", status=404, key=key)
    house.result("GET", f"/gw/devices/{a}/messages", key=key)
    house.refusal("GET", f"/gw/devices/{a}/telemetry", status=403, key=key)
    # Membership counts at once, both ways.
    house.result("POST", f"/gw/groups/{mine}/devices/{c}")
    assert ids(house.result("GET", "/gw/devices/all", key=key)) == [a, c]
    house.result("DELETE", f"/gw/groups/{mine}/devices/{a}")
    assert ids(house.result("GET", "/gw/devices/all", key=key)) == [c]
    # It may not put others into its group: it has no right on that part of the group.
    house.refusal("POST", f"/gw/groups/{mine}/devices/{b}", status=403, key=key)


def test_assigning_needs_both_rights(house: InsideHouse) -> None:
    there, a, b = group(house, "guarded"), house.device("guarded-a"), house.device("guarded-b")
    entry = {
        "uri": "gw/groups", "methods": ["GET"],
        "submodules": [{"name": "devices", "methods": ["GET", "POST", "DELETE"]}],
    }  # fmt: skip
    without = house.token({"type": 2, "acl": [entry]})
    house.refusal("POST", f"/gw/groups/{there}/devices/{a}", status=403, key=without)
    key = house.token({"type": 2, "acl": [entry, {"uri": "gw/devices", "methods": ["GET"], "ids": [a]}]})
    assert ids(house.result("POST", f"/gw/groups/{there}/devices/{a}", key=key)) == [a]
    house.refusal("POST", f"/gw/groups/{there}/devices/{b}", status=404, key=key)
    house.result("POST", f"/gw/groups/{there}/devices/{b}")
    assert ids(house.result("GET", f"/gw/groups/{there}/devices/all", key=key)) == [a]
    assert ids(house.result("DELETE", f"/gw/groups/{there}/devices/all", key=key)) == [a]
    assert ids(house.result("GET", f"/gw/groups/{there}/devices/all")) == [b]


# --- plugins ----------------------------------------------------------------------------------------------------------


def test_the_wizard_of_tachobox(house: InsideHouse) -> None:
    device = house.result(
        "POST", "/gw/devices", [{"name": "t", "device_type_id": 171, "configuration": {"ident": "tachobox-1"}}]
    )[0]["id"]
    house.result("GET", "/gw/plugins/all?fields=id,name,item_type")
    made = house.result("POST", "/gw/plugins", [{"name": "tacho-file-parse", "item_type": "tacho-file-parse"}])[0]
    assert (made["item_type"], made["type_id"], made["required"], made["enabled"]) == (
        "tacho-file-parse",
        9,
        False,
        True,
    )
    assert house.result("GET", f"/gw/plugins/{made['id']}/devices/{device}") == []
    house.result("POST", f"/gw/plugins/{made['id']}/devices/{device}")
    assert ids(house.result("GET", f"/gw/plugins/{made['id']}/devices/{device}")) == [device]
    selector = quote('{exists("configuration.tacho")&&plugins_count>0}', safe="")
    assert device not in ids(house.result("GET", f"/gw/devices/{selector}"))
    house.result("PATCH", f"/gw/devices/{device}", {"configuration": {"tacho": "1"}})
    assert device in ids(house.result("GET", f"/gw/devices/{selector}?fields=id,name,configuration.ident"))
    house.result("DELETE", f"/gw/plugins/{made['id']}")
    assert device not in ids(house.result("GET", f"/gw/devices/{selector}"))


def test_a_device_in_a_group_has_the_plugins_of_the_group(house: InsideHouse) -> None:
    there, device = group(house, "with plugin"), house.device("by-group", configuration={"tacho": "1"})
    parser = plugin(house, item_type="tacho-file-parse")
    house.result("POST", f"/gw/groups/{there}/devices/{device}")
    house.result("POST", f"/gw/plugins/{parser}/groups/{there}")
    path = f"/gw/devices/{device}?fields=plugins_count"
    assert house.result("GET", path) == [{"plugins_count": 1}]
    assert ids(house.result("GET", f"/gw/devices/plugins.id={parser}")) == [device]
    house.result("POST", f"/gw/plugins/{parser}/devices/{device}")
    assert house.result("GET", path) == [{"plugins_count": 1}]  # the same plugin twice is one
    house.result("DELETE", f"/gw/plugins/{parser}/devices/{device}")
    house.result("DELETE", f"/gw/groups/{there}")
    assert house.result("GET", path) == [{"plugins_count": 0}]


def test_fields_of_a_plugin_are_selectable(house: InsideHouse) -> None:
    drivers = plugin(house, name="drivers", item_type="item-fields", configuration={"fields": FIELDS})
    a, b = house.device("andrew"), house.device("bert")
    path = f"/gw/plugins/{drivers}/devices"
    assert "driver.name" in house.refusal("POST", f"{path}/{a}", status=400)
    made = house.result("POST", f"{path}/{a}", {"fields": {"driver.name": "Andrew Smith"}})
    assert made == [
        {
            "id": a, "plugin_id": drivers, "device_id": a, "name": "andrew",
            "fields": {"driver.name": "Andrew Smith"},
        }
    ]  # fmt: skip
    house.result("POST", f"{path}/{b}", {"fields": {"driver.name": "Bert", "customer_id": 3}})
    for selector in ("fields.driver.name=Andrew*", "plugins.fields.driver.name=Andrew*", "fields.customer_id=9"):
        assert ids(house.result("GET", f"/gw/devices/{selector}")) == [a], selector
    assert house.result("GET", f"/gw/devices/{a}?fields=fields") == [
        {"fields": {"driver.name": "Andrew Smith", "customer_id": 9}}
    ]
    for wrong, said in (
        ({"driver.name": 5}, "driver.name"),
        ({"driver.name": "x", "customer_id": 0}, "customer_id"),
        ({"driver.name": "x", "colour": "red"}, "colour"),
    ):
        assert said in house.refusal("PUT", f"{path}/{a}", {"fields": wrong}, status=400)
    assert house.result("PATCH", f"{path}/{a}", {"fields": {"customer_id": 4}})[0]["fields"] == {
        "driver.name": "Andrew Smith",
        "customer_id": 4,
    }
    house.result("DELETE", f"{path}/all")
    assert house.result("GET", f"/gw/devices/{a}?fields=fields,plugins") == [{"fields": {}, "plugins": []}]


def test_a_direct_assignment_wins_over_one_by_group(house: InsideHouse) -> None:
    drivers = plugin(house, name="pool", item_type="item-fields", configuration={"fields": FIELDS})
    there, device = group(house, "pool"), house.device("pooled")
    house.result("POST", f"/gw/groups/{there}/devices/{device}")
    house.result("POST", f"/gw/plugins/{drivers}/groups/{there}", {"fields": {"driver.name": "Pool", "customer_id": 2}})
    shown = f"/gw/devices/{device}?fields=fields"
    assert house.result("GET", shown) == [{"fields": {"driver.name": "Pool", "customer_id": 2}}]
    house.result("POST", f"/gw/plugins/{drivers}/devices/{device}", {"fields": {"driver.name": "Ada"}})
    assert house.result("GET", shown) == [{"fields": {"driver.name": "Ada", "customer_id": 2}}]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "x"}, "type_id"),
        ({"item_type": "msg-pvm-code"}, "item_type"),
        ({"item_type": 11, "type_id": 1, "configuration": {"code": "x"}}, "type_id"),
        ({"item_type": 12, "type_id": 9}, "item_type"),
        ({"item_type": 11}, "type_id"),
        ({"item_type": "msg-merge", "type_id": 9}, "two types"),
        ({"item_type": "msg-merge", "configuration": {"max_age": -1}}, "failed to validate configuration, plugin"),
        ({"item_type": "msg-erase"}, "parameters"),
        ({"item_type": "msg-erase", "configuration": {"code": "x"}}, "failed to validate configuration, plugin"),
        ({"item_type": "msg-merge", "validate_message": "speed >"}, "validate_message"),
        ({"item_type": "msg-merge", "priority": "high"}, "priority"),
        (
            {"item_type": "msg-expression", "configuration": {"fields": [{"name": "a", "expression": "1+"}]}},
            "configuration.fields.0.expression",
        ),
    ],
)
def test_a_bad_plugin_is_refused(house: InsideHouse, body: dict[str, Any], said: str) -> None:
    before = house.result("GET", "/gw/plugins/all")
    assert said in house.refusal("POST", "/gw/plugins", [body], status=400)
    assert house.result("GET", "/gw/plugins/all") == before


@pytest.mark.parametrize("said", [{"item_type": 11, "type_id": 6}, {"type_id": "msg-merge"}, {"type_id": 6}])
def test_a_type_comes_in_several_spellings(house: InsideHouse, said: dict[str, Any]) -> None:
    made = house.result("POST", "/gw/plugins", [said])[0]
    assert (made["item_type"], made["type_id"]) == ("msg-merge", 6)
    house.refusal("PUT", f"/gw/plugins/{made['id']}", {"type_id": 9}, status=400)


def test_what_plugins_have_upstream_and_not_here_is_empty(house: InsideHouse) -> None:
    made = plugin(house, type_id=6)
    assert house.result("GET", f"/gw/plugins/{made}/geofences/all") == []
    assert house.result("GET", f"/gw/plugins/{made}/packets") == []
    types = house.result("GET", "/gw/plugin-types/name=msg-merge?fields=id,name,schema")
    assert types[0]["id"] == 6
    assert "max_age" in types[0]["schema"]["properties"]


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_and_its_devices(house: InsideHouse) -> None:
    protocol = house.result("GET", "/gw/stream-protocols/name=http")[0]
    body = {"name": "out", "protocol_id": protocol["id"], "configuration": {"uri": "https://example.com/in"}}
    made = house.result("POST", "/gw/streams", [body])[0]
    assert (made["protocol_name"], made["queue_ttl"], made["enabled"]) == ("http", 86400, True)
    device = house.device("streamed")
    linked = house.result("POST", f"/gw/streams/{made['id']}/devices/{device}", b"null")
    assert linked[0]["stream_id"] == made["id"]
    shown = house.result("GET", f"/gw/devices/{device}?fields=streams")
    assert shown == [{"streams": [{"id": made["id"], "name": "out"}]}]
    put = house.result("PUT", f"/gw/streams/{made['id']}", {"queue_ttl": 600, "validate_message": "position.speed>5"})
    assert put[0]["queue_ttl"] == 600
    for wrong in ("http://127.0.0.1/x", "http://10.0.0.1/", "file:///etc/passwd", "https://user:pw@example.com/"):
        change = {"configuration": {"uri": wrong}}
        assert "configuration.uri" in house.refusal("PUT", f"/gw/streams/{made['id']}", change, status=400)
    assert "uri" in house.refusal("POST", "/gw/streams", [{"protocol_name": "http"}], status=400)
    assert "validate_message" in house.refusal(
        "PUT", f"/gw/streams/{made['id']}", {"validate_message": "a >"}, status=400
    )
    house.result("DELETE", f"/gw/streams/{made['id']}")
    assert house.result("GET", f"/gw/devices/{device}?fields=streams") == [{"streams": []}]


# --- logs of every item -----------------------------------------------------------------------------------------------


def test_what_happened_to_an_item_is_in_its_log(house: InsideHouse) -> None:
    there, device = group(house, "logged"), house.device("logged-member")
    house.result("POST", f"/gw/groups/{there}/devices/{device}")
    house.result("DELETE", f"/gw/groups/{there}/devices/{device}")
    headers = {"x-flespi-app": "desk", "x-flespi-trace": "t-1"}
    house.result("PUT", f"/gw/groups/{there}", {"name": "renamed"}, headers=headers)
    house.run(house.node.services.journal.settled())
    records = house.result("GET", f"/gw/groups/{there}/logs")
    assert [record["event_code"] for record in records] == [1, 4, 5, 2]
    assert records[1]["device_id"] == device
    last = records[-1]
    assert (last["app"], last["trace"], last["event_origin"]) == ("desk", "t-1", f"gw/groups/{there}")
    assert (last["old"]["name"], last["new"]["name"]) == ("logged", "renamed")
    for path in (
        "/gw/streams/all/logs",
        "/gw/plugins/all/logs",
        "/gw/geofences/all/logs",
        "/platform/webhooks/all/logs",
    ):
        house.result("GET", path)
