"""Devices, channels, tokens, the account: create, read, change, delete, over the wire."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from inside import GENERIC_TYPE, InsideHouse

DEFAULT = {
    "id", "cid", "name", "enabled", "device_type_id", "protocol_id", "configuration", "messages_ttl",
    "messages_rotate", "media_ttl", "media_rotate", "metadata",
}  # fmt: skip


def test_a_device_is_created_with_the_default_fields(house: InsideHouse) -> None:
    body = {"name": "Truck 1", "device_type_id": GENERIC_TYPE, "configuration": {"ident": "t1"}, "metadata": {"a": "b"}}
    made = house.result("POST", "/gw/devices", [body])[0]
    assert set(made) == DEFAULT
    assert made["configuration"]["ident"] == "t1"
    assert house.result("GET", f"/gw/devices/{made['id']}") == [made]


def test_one_object_is_taken_like_an_array_and_the_content_type_is_ignored(house: InsideHouse) -> None:
    body = {"name": "single", "device_type_id": GENERIC_TYPE, "configuration": {"ident": "single"}}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert house.result("POST", "/gw/devices", body, headers=headers)[0]["name"] == "single"


def test_a_batch_says_what_worked_and_what_did_not(house: InsideHouse) -> None:
    good = {"device_type_id": GENERIC_TYPE, "configuration": {"ident": "batch"}}
    answer = house.ask("POST", "/gw/devices", [good, {**good, "colour": "red"}, {"name": "untyped"}])
    assert answer.status_code == 200
    document = answer.json()
    assert len(document["result"]) == 1
    assert [error["reason"][:11] for error in document["errors"]] == ["item 2 of 3", "item 3 of 3"]
    assert "colour" in document["errors"][0]["reason"]
    assert "name" in document["errors"][0]["schema_hint"]


def test_put_replaces_and_patch_merges(house: InsideHouse) -> None:
    device = house.device("changing", metadata={"a": 1, "b": {"c": 2}})
    put = house.result("PUT", f"/gw/devices/{device}", {"metadata": {"b": {"d": 3}}})[0]
    assert put["metadata"] == {"b": {"d": 3}}
    merged = house.result("PATCH", f"/gw/devices/{device}", {"metadata": {"b": {"e": 4}}, "name": "new"})[0]
    assert (merged["metadata"], merged["name"]) == ({"b": {"d": 3, "e": 4}}, "new")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "body is not JSON"),
        (b"[]", "one JSON object"),
        ({"media_ttl": 1}, "media_ttl"),
        ({"media_rotate": 5}, "media_rotate"),
        ({"configuration": {"ident": 5}}, "configuration.ident"),
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(house: InsideHouse, body: Any, said: str) -> None:
    device = house.device(f"stays-{said}")
    before = house.result("GET", f"/gw/devices/{device}")
    assert said in house.refusal("PUT", f"/gw/devices/{device}", body, status=400)
    assert house.result("GET", f"/gw/devices/{device}") == before


def test_a_deleted_device_is_gone_with_its_links(house: InsideHouse) -> None:
    device = house.device("doomed")
    house.result("POST", f"/gw/devices/{device}/messages", [{"timestamp": 1, "x": 1}])
    assert house.result("DELETE", f"/gw/devices/{device}") == [{"id": device}]
    house.refusal("GET", f"/gw/devices/{device}", status=404)
    house.refusal("DELETE", f"/gw/devices/{device}", status=404)


def test_explicit_ids_that_do_not_exist_are_404_and_selections_may_be_empty(house: InsideHouse) -> None:
    device = house.device("exists")
    house.refusal("GET", "/gw/devices/999999", status=404)
    assert [item["id"] for item in house.result("GET", f"/gw/devices/{device},999999")] == [device]
    assert house.result("GET", "/gw/devices/name=nobody") == []
    assert house.result("PUT", "/gw/devices/name=nobody", {"name": "x"}) == []


@pytest.mark.parametrize("selector", ["ALL", "-1", "1,,2", "{name==", '{exists("a"', "1.5", "%2C"])
def test_a_bad_selector_is_400(house: InsideHouse, selector: str) -> None:
    house.refusal("GET", f"/gw/devices/{selector}", status=400)


def test_selectors_come_encoded_with_slashes_or_raw(house: InsideHouse) -> None:
    device = house.device("a/b {c}", configuration={"ident": "slash"})
    for selector in (
        quote('{name=="a/b {c}"}', safe=""),
        quote("name=a/b*", safe=""),
        "configuration.ident=sla?h".replace("?", "%3F"),
    ):
        assert [item["id"] for item in house.result("GET", f"/gw/devices/{selector}")] == [device], selector


def test_fields_and_pages(house: InsideHouse) -> None:
    ids = [house.device(f"paged-{number}") for number in range(5)]
    answer = house.ask("GET", "/gw/devices/name=paged-*?fields=id,configuration.ident&limit=2&offset=3").json()
    assert answer["pagination"] == {"limit": 2, "offset": 3, "count": 5}
    assert answer["result"] == [
        {"id": ids[3], "configuration": {"ident": "id-paged-3"}},
        {"id": ids[4], "configuration": {"ident": "id-paged-4"}},
    ]
    assert "pagination" not in house.ask("GET", "/gw/devices/name=paged-*").json()
    assert set(house.result("GET", f"/gw/devices/{ids[0]}?fields=")[0]) == DEFAULT
    assert "limit" in house.refusal("GET", "/gw/devices/all?limit=-1", status=400)


def test_worked_out_fields_of_a_device(house: InsideHouse) -> None:
    device = house.device("rich")
    house.result("POST", f"/gw/devices/{device}/messages", [{"timestamp": 1_700_000_000, "position.speed": 5}])
    path = f"/gw/devices/{device}?fields=connected,media_size,telemetry.position.speed,commands,device_type_name"
    shown = house.result("GET", path)[0]
    assert shown["telemetry"] == {"position.speed": {"ts": 1_700_000_000, "value": 5}}
    assert (shown["connected"], shown["media_size"]) == (False, 0)
    assert isinstance(shown["commands"], list)
    assert "telemetry_times" not in house.result("GET", f"/gw/devices/{device}?fields=telemetry_times,id")[0]


def test_a_duplicate_ident_is_a_conflict(house: InsideHouse) -> None:
    types = house.result("GET", "/gw/channel-protocols/all/device-types/all?fields=id,protocol_id")
    kind = next(item["id"] for item in types if item["id"] != GENERIC_TYPE and item["protocol_id"])
    body = {"device_type_id": kind, "configuration": {"ident": "twice"}}
    house.result("POST", "/gw/devices", [body])
    assert "ident" in house.refusal("POST", "/gw/devices", [body], status=409)


# --- channels and the catalogue ---------------------------------------------------------------------------------------


def test_channels(house: InsideHouse) -> None:
    protocol = house.result("GET", "/gw/channel-protocols/name=jt808?fields=id,name,features")[0]
    body = {"name": "second", "protocol_name": "jt808", "enabled": False, "configuration": {"any": [1]}}
    made = house.result("POST", "/gw/channels", [body])[0]
    assert (made["protocol_id"], made["protocol_name"]) == (protocol["id"], "jt808")
    assert house.result("GET", f"/gw/channels/{made['id']}/connections/all") == []
    assert house.result("GET", f"/gw/channels/{made['id']}/idents/all") == []
    assert house.result("DELETE", f"/gw/channels/{made['id']}") == [{"id": made["id"]}]
    assert "protocol" in house.refusal("POST", "/gw/channels", [{"name": "untyped"}], status=400)


def test_device_types_carry_commands_and_take_a_trailing_slash(house: InsideHouse) -> None:
    types = house.result("GET", "/gw/channel-protocols/all/device-types/all/?fields=id,commands")
    assert GENERIC_TYPE in {item["id"] for item in types}
    commands = {command["name"] for item in types for command in item["commands"]}
    assert {"request_video", "take_photo", "start_videostream", "video_timeline"} <= commands
    house.refusal("GET", "/gw/channel-protocols/all/device-types/999999", status=404)


def test_message_parameters(house: InsideHouse) -> None:
    found = house.result("GET", "/gw/message-parameters/name=position.speed")
    assert [(item["name"], item["type"]) for item in found] == [("position.speed", "number")]


# --- tokens and the account -------------------------------------------------------------------------------------------


def test_a_token_shows_its_key_and_works(house: InsideHouse) -> None:
    made = house.result("POST", "/platform/tokens", [{"ttl": 3600, "info": "dispatcher"}])[0]
    assert len(made["key"]) == 64
    assert made["key"].isalnum()
    for spelling in (f"FlespiToken {made['key']}", f"Bearer {made['key']}", made["key"]):
        info = house.result("GET", "/auth/info", key="", headers={"Authorization": spelling})[0]
        assert (info["id"], info["info"]) == (made["id"], "dispatcher")
        assert "key" not in info
    assert house.result("GET", f"/platform/tokens/{made['id']}")[0]["key"] == made["key"]


def test_a_deleted_or_disabled_token_is_refused(house: InsideHouse) -> None:
    made = house.result("POST", "/platform/tokens", [{"ttl": 3600}])[0]
    house.result("PUT", f"/platform/tokens/{made['id']}", {"enabled": False})
    house.refusal("GET", "/auth/info", status=401, key=made["key"])
    house.result("DELETE", f"/platform/tokens/{made['id']}")
    house.refusal("GET", "/auth/info", status=401, key=made["key"])


@pytest.mark.parametrize("key", ["", "x" * 64, "\u00e4"])
def test_no_or_an_unknown_token_is_401(house: InsideHouse, key: str) -> None:
    headers = {"Authorization": key.encode()} if key else {}
    answer = house.ask("GET", "/gw/devices/all", key="", headers=headers)
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers


def test_a_token_needs_an_end(house: InsideHouse) -> None:
    assert "ttl" in house.refusal("POST", "/platform/tokens", [{"info": "forever"}], status=400)


def test_a_standard_token_does_not_reach_the_platform(house: InsideHouse) -> None:
    key = house.token({"type": 0})
    house.result("GET", "/gw/devices/all", key=key)
    for path in ("/platform/tokens/all", "/platform/customer"):
        house.refusal("GET", path, status=403, key=key)


def test_an_acl_token_reaches_what_it_lists(house: InsideHouse) -> None:
    mine, other = house.device("acl-mine"), house.device("acl-other")
    entry = {
        "uri": "gw/devices",
        "methods": ["GET"],
        "ids": [mine],
        "submodules": [{"name": "media", "methods": ["GET"]}],
    }
    key = house.token({"type": 2, "acl": [entry]})
    assert [item["id"] for item in house.result("GET", "/gw/devices/all", key=key)] == [mine]
    house.refusal("GET", f"/gw/devices/{other}", status=404, key=key)
    assert house.result("GET", f"/gw/devices/{mine}/media", key=key) == []
    house.refusal("DELETE", f"/gw/devices/{mine}/media", status=403, key=key)
    house.refusal("GET", f"/gw/devices/{mine}/messages", status=403, key=key)
    house.refusal("PUT", f"/gw/devices/{mine}", {"name": "x"}, status=403, key=key)
    house.refusal("POST", "/gw/devices", [{}], status=403, key=key)
    house.result("GET", "/gw/channel-protocols/all", key=key)
    assert "media.file.post" in house.ask("GET", "/gw/api.json", key=key).json()["definitions"]


def test_the_account(house: InsideHouse) -> None:
    account = house.result("GET", "/platform/customer")[0]
    assert {"id", "name", "metadata", "limits", "counters"} <= set(account)
    assert house.result("PUT", "/platform/customer", {"name": "Fleet"})[0]["name"] == "Fleet"
    own = {"x-flespi-cid": str(account["id"])}
    assert house.result("GET", "/platform/customer", headers=own)[0]["id"] == account["id"]
    house.refusal("GET", "/gw/devices/all", status=403, headers={"x-flespi-cid": "424242"})


# --- open directories -------------------------------------------------------------------------------------------------


def test_regions_and_codes_need_no_token(house: InsideHouse) -> None:
    region = house.result("GET", "/auth/regions", key="")[0]
    assert region["rest"] == "http://media.example:9005"
    assert region["media"] == "http://media.example:9005/media"
    assert region["default"] is True
    assert (region["gw"], region["gw-ip"], region["gw-ftp"]) == ("media.example", "", "")
    codes = house.result("GET", "/const/values?names=toolbox%2Fcodes", key="")[0]["toolbox/codes"]["codes"]
    assert codes["25"]["severity"] in ("alert", "warning", "notice", "info")
    assert codes["301"]["extra_codes"]["17"]["description"] == "inactivity"
    assert house.result("GET", "/const/values?names=toolbox/topics", key="")[0]["toolbox/topics"]["topics"]


def test_every_log_code_that_was_written_is_in_the_directory(house: InsideHouse) -> None:
    device = house.device("logged")
    codes = house.result("GET", "/const/values?names=toolbox/codes", key="")[0]["toolbox/codes"]["codes"]
    for record in house.result("GET", f"/gw/devices/{device}/logs"):
        assert str(record["event_code"]) in codes
