"""What clients with typed fields read and send back: the public Go client and whoever keeps what the API answered."""

from __future__ import annotations

import time
from typing import Any

import pytest

from inside import GENERIC_TYPE, InsideHouse
from wayframe.config import Settings
from wayframe.rest.handlers.auth import region
from wayframe.wiring import site_of

_WHOLE = ("id", "cid", "created", "accessed", "expire", "ttl")


def test_times_of_tokens_are_whole_numbers(house: InsideHouse) -> None:
    """A typed client reads them into integers: 0.0 or 1760000000.5 would break its whole list."""
    made = house.result("POST", "/platform/tokens", [{"expire": 4_000_000_000.5}])[0]
    path = f"/platform/tokens/{made['id']}"
    (mine,) = house.result("GET", "/auth/info")
    for token in (made, mine, *house.result("GET", path), *house.result("GET", "/platform/tokens/all")):
        assert {name: type(token[name]) for name in _WHOLE} == dict.fromkeys(_WHOLE, int)
    assert made["expire"] == 4_000_000_000
    assert house.result("GET", "/auth/info?fields=id,access.type") == [{"id": mine["id"], "access": {"type": 1}}]


def test_the_last_use_of_a_token_is_known_at_once(house: InsideHouse) -> None:
    made = house.result("POST", "/platform/tokens", [{"ttl": 600}])[0]
    before = int(time.time())
    (seen,) = house.result("GET", "/auth/info", key=made["key"])
    (read,) = house.result("GET", f"/platform/tokens/{made['id']}")
    assert before <= seen["accessed"] <= read["accessed"] <= time.time()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/platform/tokens", {"info": "kept", "ttl": 600, "metadata": {"a": "b"}}),
        ("/platform/subaccounts", {"name": "kept"}),
        ("/platform/limits", {"name": "kept", "devices_count": 5}),
        ("/gw/devices", {"name": "kept", "device_type_id": GENERIC_TYPE, "configuration": {"ident": "kept"}}),
        ("/gw/channels", {"name": "kept", "protocol_id": 552}),
        ("/gw/groups", {"name": "kept"}),
    ],
)
def test_an_item_may_be_sent_back_with_its_own_id_and_account(
    house: InsideHouse, path: str, body: dict[str, Any]
) -> None:
    cid = house.result("GET", "/platform/customer")[0]["id"]
    made = house.result("POST", path, [{**body, "cid": cid}])[0]
    back = {**body, "id": made["id"], "cid": cid}
    assert house.result("PUT", f"{path}/{made['id']}", back)[0].items() >= back.items()
    assert "`cid`" in house.refusal("PUT", f"{path}/{made['id']}", {**back, "cid": cid + 1}, status=400)
    assert "`id`" in house.refusal("PUT", f"{path}/{made['id']}", {**back, "id": made["id"] + 1}, status=400)
    assert "`cid`" in house.refusal("POST", path, [{**body, "cid": cid + 1}], status=400)


def test_the_region_names_where_devices_and_their_files_go() -> None:
    site = site_of(Settings(public_device_host="203.0.113.7", ftp_port=8821, public_ftp_port=21, tls="off"))
    shown = region(site)
    assert (shown["gw"], shown["gw-ip"], shown["gw-ftp"]) == ("203.0.113.7", "203.0.113.7", "203.0.113.7:21")


def test_node_red_sends_zero_for_what_nobody_typed(house: InsideHouse) -> None:
    body = {"name": "Truck", "device_type_id": 0, "messages_ttl": 0, "configuration": {"ident": "node-red"}}
    (made,) = house.result("POST", "/gw/devices", [body])
    assert made["messages_ttl"] == 31_536_000
    path = f"/gw/devices/{made['id']}"
    assert house.result("PUT", path, {"messages_ttl": 60})[0]["messages_ttl"] == 60
    assert "messages_ttl" in house.refusal("PUT", path, {"messages_ttl": 59}, status=400)
    assert house.result("PATCH", path, {"messages_ttl": 0})[0]["messages_ttl"] == 31_536_000


def test_a_typed_client_sends_null_for_what_it_leaves_out_of_a_webhook(house: InsideHouse) -> None:
    triggers = [{"topic": "flespi/message/gw/devices/+", "filter": {"cid": 0, "payload": ""}}]
    call = {"type": "flespi-platform", "uri": "gw", "method": "GET", "body": "", "cid": "", "validate": None}
    hook = {"type": "custom-server", "uri": "https://a.example/x", "method": "POST", "body": "", "headers": None}
    body = {"name": "one", "triggers": triggers, "configuration": call}
    (made,) = house.result("POST", "/platform/webhooks", [body])
    back = {"id": made["id"], "name": "chain", "triggers": triggers, "configuration": [hook, call]}
    (changed,) = house.result("PUT", f"/platform/webhooks/{made['id']}", back)
    assert [request["type"] for request in changed["configuration"]] == ["custom-server", "flespi-platform"]
    assert "validate" not in changed["configuration"][1]


def test_a_megabyte_is_a_million_bytes(house: InsideHouse) -> None:
    device = house.device("rotating", media_rotate=1_000_000)
    assert "media_rotate" in house.refusal("PUT", f"/gw/devices/{device}", {"media_rotate": 999_999}, status=400)


def test_patch_merges_into_the_rights_of_a_token(house: InsideHouse) -> None:
    entry = {"uri": "gw/devices", "methods": ["GET"]}
    made = house.result("POST", "/platform/tokens", [{"ttl": 600, "access": {"type": 2}}])[0]
    assert made["access"] == {"type": 2, "acl": []}, "Toolbox walks through it unguarded"
    path = f"/platform/tokens/{made['id']}"
    assert house.result("PATCH", path, {"access": {"acl": [entry]}})[0]["access"] == {"type": 2, "acl": [entry]}
    house.result("GET", "/gw/devices/all", key=made["key"])
    assert "access.acl" in house.refusal("PATCH", path, {"access": {"type": 0}}, status=400)
    assert "topic" in house.refusal(
        "PATCH", path, {"access": {"acl": [{"uri": "mqtt", "topic": "a/#/b", "actions": ["subscribe"]}]}}, status=400
    )
