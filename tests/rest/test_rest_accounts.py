"""Subaccounts, limits and tokens over the wire (rest-api.md 3)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from inside import GENERIC_TYPE, InsideHouse, until

MASTER = {"type": 1}


def branch(house: InsideHouse, cid: int | None = None, **body: Any) -> int:
    headers = {} if cid is None else {"x-flespi-cid": str(cid)}
    return int(house.result("POST", "/platform/subaccounts", [{"name": "branch", **body}], headers=headers)[0]["id"])


def key_of(house: InsideHouse, cid: int, access: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
    made = {"ttl": 3600, "access": access or MASTER, **body}
    found = house.result("POST", "/platform/tokens", [made], headers={"x-flespi-cid": str(cid)})[0]
    assert found["cid"] == cid
    return dict(found)


def main(house: InsideHouse) -> int:
    return int(house.result("GET", "/platform/customer", headers={})[0]["id"])


def test_a_subaccount_is_made_read_changed_and_deleted(house: InsideHouse) -> None:
    body = {"name": "North", "metadata": {"region": "n"}}
    made = house.result("POST", "/platform/subaccounts", [body])[0]
    assert {"id", "cid", "name", "limit_id", "metadata"} <= set(made)
    assert (made["cid"], made["name"], made["limit_id"]) == (main(house), "North", 0)
    path = f"/platform/subaccounts/{made['id']}"
    assert house.result("GET", path) == [made]
    assert house.result("PATCH", path, {"metadata": {"x": 1}})[0]["metadata"] == {"region": "n", "x": 1}
    assert house.result("PUT", path, {"metadata": {"x": 2}})[0]["metadata"] == {"x": 2}
    assert house.result("DELETE", path) == [{"id": made["id"]}]
    house.refusal("GET", path, status=404)
    house.refusal("DELETE", path, status=404)


def test_creation_under_another_account_by_header_and_by_variable(house: InsideHouse) -> None:
    cid = branch(house)
    body = {"device_type_id": GENERIC_TYPE, "configuration": {"ident": "under-header"}}
    assert house.result("POST", "/gw/devices", [body], headers={"x-flespi-cid": str(cid)})[0]["cid"] == cid
    body = {"device_type_id": GENERIC_TYPE, "configuration": {"ident": "under-variable"}}
    assert house.result("POST", f"/gw/devices?cid={cid}", [body])[0]["cid"] == cid
    assert len(house.result("GET", f"/gw/devices/all?cid={cid}")) == 2
    assert house.result("GET", f"/platform/customer?cid={cid}")[0]["owner_id"] == main(house)
    assert [account["id"] for account in house.result("GET", f"/platform/subaccounts/id={cid}")] == [cid]


def test_nobody_acts_for_parents_siblings_or_strangers(house: InsideHouse) -> None:
    left, right = branch(house), branch(house)
    inner = branch(house, left)
    key = key_of(house, left)["key"]
    for cid in (main(house), right, 999_999):
        for where in ({"headers": {"x-flespi-cid": str(cid)}}, {"params": {"cid": str(cid)}}):
            reason = house.refusal("GET", "/gw/devices/all", status=403, key=key, **where)
            assert str(cid) in reason
    assert house.result("GET", "/platform/customer", key=key, headers={"x-flespi-cid": str(inner)})[0]["id"] == inner
    assert [item["id"] for item in house.result("GET", "/platform/subaccounts/all", key=key)] == [inner]
    for cid in (main(house), left, right):
        house.refusal("GET", f"/platform/subaccounts/{cid}", status=404, key=key)
        house.refusal("DELETE", f"/platform/subaccounts/{cid}", status=404, key=key)
    for text in ("x", "-1", "1.5", "9" * 30):
        assert house.ask("GET", "/gw/devices/all", headers={"x-flespi-cid": text}).status_code in (400, 403)


def test_the_key_of_a_token_is_for_masters_of_its_own_account(house: InsideHouse) -> None:
    cid = branch(house)
    made = key_of(house, cid)
    second = key_of(house, cid)
    assert len(made["key"]) == 64 and made["key"].isalnum()
    path = f"/platform/tokens/{made['id']}"
    assert house.result("GET", path, key=second["key"])[0]["key"] == made["key"]
    assert "key" not in house.result("GET", path)[0]
    assert "key" not in house.result("GET", path, headers={"x-flespi-cid": str(cid)})[0]
    assert "key" not in house.result("GET", "/auth/info", key=made["key"])[0]


def test_a_blocked_account_is_told_so(house: InsideHouse) -> None:
    cid = branch(house)
    key = key_of(house, cid)["key"]
    house.result("GET", "/gw/devices/all", key=key)
    house.result("PATCH", f"/platform/subaccounts/{cid}", {"blocked": True})
    assert "blocked" in house.refusal("GET", "/gw/devices/all", status=403, key=key)
    assert house.result("GET", f"/gw/devices/all?cid={cid}") == []
    house.result("PATCH", f"/platform/subaccounts/{cid}", {"blocked": False})
    house.result("GET", "/gw/devices/all", key=key)


def test_limits_hold_and_are_shown(house: InsideHouse) -> None:
    limit = house.result("POST", "/platform/limits", [{"name": "small", "devices_count": 1, "tokens_count": 5}])[0]
    assert (limit["devices_count"], limit["device_media_storage"], limit["cid"]) == (1, 0, main(house))
    cid = branch(house, limit_id=limit["id"])
    key = key_of(house, cid)["key"]
    bodies = [{"device_type_id": GENERIC_TYPE, "configuration": {"ident": f"limited-{n}"}} for n in range(3)]
    answer = house.ask("POST", "/gw/devices", bodies, key=key).json()
    assert (len(answer["result"]), [error["code"] for error in answer["errors"]]) == (1, [403, 403])
    customer = house.result("GET", "/platform/customer", key=key)[0]
    assert customer["limits"] == {"devices_count": 1, "tokens_count": 5}
    assert (customer["counters"]["devices_count"], customer["counters"]["tokens_count"]) == (1, 1)
    assert "assigned" in house.refusal("DELETE", f"/platform/limits/{limit['id']}", status=409)
    house.result("PUT", f"/platform/limits/{limit['id']}", {"devices_count": 2})
    house.result("POST", "/gw/devices", [bodies[1]], key=key)
    assert "devices_count" in house.refusal("POST", "/platform/limits", [{"devices_count": "many"}], status=400)
    house.refusal("POST", "/platform/limits", [{"horses_count": 1}], status=400)


def test_calls_of_a_limited_account_are_429_with_a_time_to_come_back(house: InsideHouse) -> None:
    limit = house.result("POST", "/platform/limits", [{"name": "slow", "api_calls": 3}])[0]
    cid = branch(house, limit_id=limit["id"])
    key = key_of(house, cid)["key"]
    answers = [house.ask("GET", "/auth/info", key=key) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    house.result("GET", "/auth/info")


def test_media_ends_where_the_account_says(house: InsideHouse) -> None:
    limit = house.result("POST", "/platform/limits", [{"name": "tight", "device_media_storage": 1000}])[0]
    cid = branch(house, limit_id=limit["id"])
    body = {"device_type_id": GENERIC_TYPE, "configuration": {"ident": "tight"}}
    device = int(house.result("POST", f"/gw/devices?cid={cid}", [body])[0]["id"])
    assert house.send_file(device, bytes(400), "a.bin", {}).status_code == 200
    assert house.send_file(device, bytes(5000), "b.bin", {}).status_code in (413, 507)
    assert house.send_file(device, bytes(400), "c.bin", {}).status_code == 200
    assert house.send_file(device, bytes(400), "d.bin", {}).status_code == 507


def test_who_did_something_stands_in_the_log(house: InsideHouse) -> None:
    who = {"x-flespi-app": "dispatcher" * 10, "x-flespi-trace": "t" * 40}
    made = house.result("POST", "/platform/subaccounts", [{"name": "logged"}], headers=who)[0]
    path = f"/platform/subaccounts/{made['id']}"
    plain = house.ask("PUT", path, {"name": "again"}, headers={"X-Request-Id": "request-7"})
    assert plain.headers["x-request-id"] == "request-7"
    created, updated = house.result("GET", f"{path}/logs")
    assert (created["app"], created["trace"], created["host"]) == (who["x-flespi-app"][:63], "t" * 31, "127.0.0.1")
    assert (created["cid"], created["origin_type"], created["event_origin"]) == (main(house), 5, path[1:])
    assert updated["trace"] == "request-7"
    assert (updated["old"]["name"], updated["new"]["name"]) == ("logged", "again")
    house.result("PATCH", "/platform/customer", {"metadata": {"a": 1}}, headers=who)
    last = house.result("GET", "/platform/customer/logs")[-1]
    assert (last["event_code"], last["origin_type"], last["app"]) == (2, 1, who["x-flespi-app"][:63])


def test_the_log_of_an_account_is_of_whatever_it_has(house: InsideHouse) -> None:
    """Clients look for deleted items there, by their kind, and so does whoever asks what happened at all."""
    left, right = branch(house), branch(house)
    key, inner = key_of(house, left)["key"], branch(house, left)
    body = {"device_type_id": GENERIC_TYPE, "configuration": {"ident": "in-the-log"}}
    device = house.result("POST", f"/gw/devices?cid={left}", [body])[0]["id"]
    house.result("DELETE", f"/gw/devices/{device}")
    path = house.data("/platform/customer/logs", item_type=11, filter="event_code==3")
    (gone,) = house.result("GET", path, key=key)
    assert (gone["event_origin"], gone["item_data"]["configuration"]) == (
        f"gw/devices/{device}",
        {"ident": "in-the-log"},
    )
    assert gone in house.result("GET", path), "those above see it, too"
    assert house.result("GET", path, key=key_of(house, right)["key"]) == []
    newest = house.result("GET", house.data("/platform/customer/logs", count=2, reverse=True), key=key)
    assert [record["event_code"] for record in newest] == [3, 1]
    made = house.result("GET", house.data("/platform/customer/logs", item_type=5), key=key)
    assert [(record["origin_id"], record["cid"]) for record in made] == [(inner, left)]
    house.refusal("GET", "/platform/customer/logs", status=403, key=house.token())


@pytest.fixture
def announced(house: InsideHouse) -> Iterator[list[str]]:
    topics: list[str] = []

    def listener(event: Any) -> None:
        topics.append(event.topic)

    async def listen() -> None:
        house.node.bus.listen("flespi/log/platform/tokens/+/deleted", listener)

    async def ignore() -> None:
        house.node.bus.ignore("flespi/log/platform/tokens/+/deleted", listener)

    house.run(listen())
    yield topics
    house.run(ignore())


def test_a_token_ends_by_itself_and_says_so_within_a_second(house: InsideHouse, announced: list[str]) -> None:
    end = time.time() + 1
    made = house.result("POST", "/platform/tokens", [{"expire": end}])[0]
    house.result("GET", "/auth/info", key=made["key"])
    until(lambda: f"flespi/log/platform/tokens/{made['id']}/deleted" in announced)
    assert time.time() >= end
    house.refusal("GET", "/auth/info", status=401, key=made["key"])
    house.refusal("GET", f"/platform/tokens/{made['id']}", status=404)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "expire"),
        ({"expire": 0, "ttl": 0}, "expire"),
        ({"ttl": -1}, "ttl"),
        ({"ttl": 60, "ips": "10.0.0.0/99"}, "ips"),
        ({"ttl": 60, "access": {"type": 3}}, "access.type"),
        ({"ttl": 60, "access": {"type": 1, "acl": [{"uri": "gw"}]}}, "access.acl"),
        ({"ttl": 60, "access": {"type": 2, "acl": [{"uri": "platform"}]}}, "uri"),
        ({"ttl": 60, "access": {"type": 2, "acl": [{"uri": "gw/devices", "methods": ["HEADS"]}]}}, "methods"),
        ({"ttl": 60, "access": {"type": 2, "acl": [{"uri": "gw/devices", "ids": "some"}]}}, "ids"),
        (
            {"ttl": 60, "access": {"type": 2, "acl": [{"uri": "gw/devices", "submodules": [{"name": "x"}]}]}},
            "submodules",
        ),
        ({"ttl": 60, "key": "mine"}, "key"),
    ],
)
def test_a_bad_token_is_refused_with_the_field_named(house: InsideHouse, body: dict[str, Any], said: str) -> None:
    assert said in house.refusal("POST", "/platform/tokens", [body], status=400)


def test_with_an_account_everything_it_has_goes(house: InsideHouse) -> None:
    cid = branch(house)
    inner = branch(house, cid)
    key = key_of(house, inner)["key"]
    body = {"device_type_id": GENERIC_TYPE, "configuration": {"ident": "goes-along"}}
    device = int(house.result("POST", "/gw/devices", [body], key=key)[0]["id"])
    file = house.upload(device, b"goes too", "x.bin")
    house.result("DELETE", f"/platform/subaccounts/{cid}")
    house.refusal("GET", "/auth/info", status=401, key=key)
    house.refusal("GET", f"/gw/devices/{device}", status=404)
    house.refusal("GET", f"/platform/subaccounts/{inner}", status=404)
    assert house.ask("GET", f"/media/{file['uuid']}", key="").status_code == 404
    house.result("POST", "/gw/devices", [body])
