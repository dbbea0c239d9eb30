"""Accounts as an attacker sees them: four levels and a sibling; ids of others in paths, bodies, selectors, headers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from inside import InsideHouse, until

ENTITIES = ("gw/devices", "gw/channels", "gw/groups", "gw/streams", "gw/plugins", "gw/geofences", "platform/webhooks")
"""What can be moved and has logs."""
BODIES: dict[str, Any] = {
    "gw/devices": {"device_type_id": 5},
    "gw/channels": {"protocol_id": 552, "enabled": False},
    "gw/groups": {},
    "gw/streams": {"protocol_name": "http", "configuration": {"uri": "https://example.com/x"}},
    "gw/plugins": {"item_type": "item-fields"},
    "gw/geofences": {"geometry": {"type": "circle", "center": {"lat": 1, "lon": 1}, "radius": 1}},
    "platform/webhooks": {
        "triggers": [{"topic": "a"}],
        "configuration": {"type": "custom-server", "uri": "https://example.com/x"},
    },
}


@dataclass
class Holding:
    """An account with one of everything, and the key of its own master token."""

    cid: int
    key: str
    items: dict[str, int] = field(default_factory=dict)
    file: str = ""
    deleted: int = 0
    user: int = 0
    limit: int = 0
    token: int = 0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideHouse]:
    made = InsideHouse(tmp_path_factory.mktemp("isolation"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def line(house: InsideHouse) -> list[Holding]:
    """Accounts, each below the one before; the last is a sibling of the first."""
    found: list[Holding] = []
    parent = 1
    for level in range(4):
        found.append(holding(house, parent, f"level-{level}"))
        parent = found[-1].cid
    return [*found, holding(house, 1, "sibling")]


def holding(house: InsideHouse, parent: int, name: str) -> Holding:
    cid = int(acting(house, parent, "POST", "/platform/subaccounts", [{"name": name}])[0]["id"])
    token = acting(house, cid, "POST", "/platform/tokens", [{"ttl": 3600, "access": {"type": 1}}])[0]
    found = Holding(cid, str(token["key"]), token=int(token["id"]))
    for entity, body in BODIES.items():
        mine = {"name": f"secret-{name}", **body}
        if entity == "gw/devices":
            mine["configuration"] = {"ident": f"ident-{name}"}
        found.items[entity] = int(acting(house, cid, "POST", f"/{entity}", [mine])[0]["id"])
    device = found.items["gw/devices"]
    found.file = house.upload(device, f"bytes of {name}".encode(), "secret.bin")["uuid"]
    gone = {"name": f"gone-{name}", "device_type_id": 5, "configuration": {"ident": f"gone-{name}"}}
    lying = int(acting(house, cid, "POST", "/gw/devices", [gone])[0]["id"])
    acting(house, cid, "DELETE", f"/gw/devices/{lying}")
    found.deleted = int(acting(house, cid, "GET", f"/platform/deleted/item_id={lying}")[0]["id"])
    person = {"identity": f"{name}@example.org", "password": "correct horse battery"}
    found.user = int(acting(house, cid, "POST", "/platform/users", [person])[0]["id"])
    found.limit = int(acting(house, cid, "POST", "/platform/limits", [{"name": name}])[0]["id"])
    return found


def acting(house: InsideHouse, cid: int, method: str, path: str, body: Any = None) -> list[Any]:
    return house.result(method, path, body, headers={"x-flespi-cid": str(cid)})


def strangers(line: list[Holding]) -> Iterator[tuple[Holding, Holding]]:
    """Attacker and victim: sideways, and upwards at every step."""
    *levels, sibling = line
    for one in levels:
        yield sibling, one
        yield one, sibling
    for upper, lower in itertools.pairwise(levels):
        yield lower, upper
    yield levels[3], levels[0]


def refused(answer: httpx.Response) -> None:
    """Not there, not allowed, or nothing of it: never a success with content."""
    if answer.status_code == 200:
        assert answer.json()["result"] == [], answer.text
    else:
        assert answer.status_code in (400, 403, 404), answer.text


def paths_of(victim: Holding) -> Iterator[tuple[str, str, Any]]:
    """Everything that can be asked of somebody else's things by id."""
    for entity, item in victim.items.items():
        one = f"/{entity}/{item}"
        yield from (("GET", one, None), ("PUT", one, {"name": "taken"}), ("PATCH", one, {"metadata": {"x": "y"}}))
        yield from (("GET", f"{one}/logs", None), ("PUT", f"{one}/cid", {"cid": 0}), ("DELETE", one, None))
        yield "GET", f"/{entity}/{quote('{id==' + str(item) + '}')}", None
        yield "GET", f"/{entity}/name=secret-*,{item}", None
    device, channel = victim.items["gw/devices"], victim.items["gw/channels"]
    for part in ("media", "messages", "telemetry", "settings/all", "connections/all", "commands-queue/all"):
        yield "GET", f"/gw/devices/{device}/{part}", None
    for part in ("commands-result", "packets", "metadata", "geofences"):
        yield "GET", f"/gw/devices/{device}/{part}", None
    yield "POST", f"/gw/devices/{device}/commands-queue", [{"name": "take_photo", "properties": {"channel": 1}}]
    yield "POST", f"/gw/devices/{device}/messages", [{"a": 1}]
    yield "DELETE", f"/gw/devices/{device}/messages", None
    yield "PUT", f"/gw/devices/{device}/media", {"uuid": victim.file, "shared": False}
    yield "DELETE", f"/gw/devices/{device}/media", {"uuid": victim.file}
    yield "DELETE", f"/gw/devices/{device}/telemetry", ["x"]
    yield "PUT", f"/gw/devices/{device}/settings/parameters", {"properties": {"report_interval": 9}}
    for part in ("connections/all", "idents", "messages", "logs"):
        yield "GET", f"/gw/channels/{channel}/{part}", None
    for path in (f"/platform/tokens/{victim.token}", f"/platform/limits/{victim.limit}"):
        yield from (("GET", path, None), ("PUT", path, {"metadata": {}}), ("GET", f"{path}/logs", None))
        yield "DELETE", path, None
    for path in (f"/platform/subaccounts/{victim.cid}", f"/platform/users/{victim.user}"):
        yield from (("GET", path, None), ("PUT", path, {"name": "taken"}), ("DELETE", path, None))
    bin_ = f"/platform/deleted/{victim.deleted}"
    yield from (("GET", bin_, None), ("POST", f"{bin_}/restore", None), ("GET", f"{bin_}/logs", None))
    yield "DELETE", bin_, None
    for path in ("events", "stats", "paths", "upload-url?filename=x", "source"):
        yield "GET", f"/api/gallery/{device}/{path}", None
    yield "GET", f"/api/gallery/ident-level-0/events/{victim.file}", None
    yield "GET", f"/mqtt/messages/%23,cid={victim.cid}", None


def test_nobody_reaches_sideways_or_upwards_by_id(house: InsideHouse, line: list[Holding]) -> None:
    for attacker, victim in strangers(line):
        for method, path, body in paths_of(victim):
            if path.endswith("/cid"):
                body = {"cid": attacker.cid}
            refused(house.ask(method, path, body, key=attacker.key))


def test_nobody_acts_for_accounts_above_or_beside(house: InsideHouse, line: list[Holding]) -> None:
    for attacker, victim in strangers(line):
        for said in ({"headers": {"x-flespi-cid": str(victim.cid)}}, {"params": {"cid": str(victim.cid)}}):
            for path in ("/platform/customer", "/gw/devices/all", f"/api/gallery/{victim.items['gw/devices']}/stats"):
                assert house.ask("GET", path, key=attacker.key, **said).status_code == 403
        body = [{"name": "planted", "cid": victim.cid}]
        assert house.ask("POST", "/gw/groups", body, key=attacker.key).status_code == 400
        assert house.ask("POST", "/platform/subaccounts", body, key=attacker.key).status_code in (400, 403)


def test_lists_and_expressions_hold_only_ones_own(house: InsideHouse, line: list[Holding]) -> None:
    *levels, sibling = line
    for entity in ENTITIES:
        every = [one.items[entity] for one in line]
        for number, one in enumerate(levels):
            mine = sorted(each.items[entity] for each in levels[number:])
            for selector in ("all", "{true}", "name=secret-*", ",".join(map(str, every))):
                found = house.result("GET", f"/{entity}/{quote(selector)}?fields=id", key=one.key)
                assert sorted(item["id"] for item in found) == mine, (entity, selector)
        assert house.result("GET", f"/{entity}/all?fields=id", key=sibling.key) == [{"id": sibling.items[entity]}]
    counted = house.result("GET", "/gw/devices/all?limit=1", key=sibling.key)
    assert len(counted) == 1
    assert house.ask("GET", "/gw/devices/all?limit=1", key=sibling.key).json()["pagination"]["count"] == 1


def test_logs_tell_of_ones_own_only(house: InsideHouse, line: list[Holding]) -> None:
    house.run(house.node.services.journal.settled())
    *levels, sibling = line
    for one in line:
        below = {each.cid for each in levels[levels.index(one) :]} if one is not sibling else {one.cid}
        for path in ("/platform/customer/logs", "/mqtt/logs", "/platform/tokens/all/logs", "/gw/devices/all/logs"):
            records = house.result("GET", path, key=one.key)
            assert {record["cid"] for record in records} <= below, path
            text = json.dumps(records)
            assert not any(other.key in text for other in line if other is not one)


Naming = Callable[[Holding], tuple[str, str, Any]]
NAMINGS: dict[str, Naming] = {
    "limit of a stranger": lambda victim: ("POST", "/platform/subaccounts", [{"name": "x", "limit_id": victim.limit}]),
    "account of a webhook's call": lambda victim: (
        "POST",
        "/platform/webhooks",
        [
            {
                **BODIES["platform/webhooks"],
                "configuration": {"type": "flespi-platform", "uri": "gw/devices/all", "cid": str(victim.cid)},
            }
        ],
    ),
    "device of a hook": lambda victim: (
        "POST",
        "/api/hooks",
        {
            "hookName": "h",
            "eventType": "afterEventPulled",
            "actionId": "webhook",
            "deviceId": victim.items["gw/devices"],
            "parameters": {"url": "https://example.com/x"},
        },
    ),
    "a batch with one's own": lambda victim: (
        "POST",
        "/platform/subaccounts",
        [{"name": "x", "limit_id": victim.limit}, {"name": "y", "limit_id": victim.limit}],
    ),
}


@pytest.mark.parametrize("naming", NAMINGS.values(), ids=NAMINGS.keys())
def test_what_others_have_cannot_be_named_in_a_body(house: InsideHouse, line: list[Holding], naming: Naming) -> None:
    for attacker, victim in strangers(line):
        method, path, body = naming(victim)
        answer = house.ask(method, path, body, key=attacker.key)
        assert answer.status_code in (400, 403, 404), answer.text


LINKS = [
    ("gw/groups", "gw/devices"), ("gw/groups", "gw/channels"), ("gw/groups", "gw/geofences"),
    ("gw/streams", "gw/devices"), ("gw/streams", "gw/channels"), ("gw/streams", "gw/groups"),
    ("gw/plugins", "gw/devices"), ("gw/plugins", "gw/groups"),
]  # fmt: skip


@pytest.mark.parametrize(("parent", "child"), LINKS)
def test_nothing_of_others_is_assigned(house: InsideHouse, line: list[Holding], parent: str, child: str) -> None:
    noun = child.rpartition("/")[2]
    for attacker, victim in strangers(line):
        mine, theirs = attacker.items[parent], victim.items[child]
        refused(house.ask("POST", f"/{parent}/{mine}/{noun}/{theirs}", key=attacker.key))
        refused(house.ask("POST", f"/{parent}/{victim.items[parent]}/{noun}/{attacker.items[child]}", key=attacker.key))


def test_an_account_above_joins_no_siblings_and_nothing_of_its_own_to_those_below(
    house: InsideHouse, line: list[Holding]
) -> None:
    first, sibling = line[0], line[-1]
    group, device = first.items["gw/groups"], sibling.items["gw/devices"]
    said = house.refusal("POST", f"/gw/groups/{group}/devices/{device}", status=403)
    assert f"gw/devices {device} is of account {sibling.cid}" in said
    own = house.device("of-main")
    house.refusal("POST", f"/gw/plugins/{first.items['gw/plugins']}/devices/{own}", status=403)
    both = house.ask("POST", f"/gw/groups/{group}/devices/{device},{first.items['gw/devices']}")
    assert both.status_code == 403
    mains = house.result("POST", "/gw/groups", [{"name": "of all"}])[0]["id"]
    assert len(house.result("POST", f"/gw/groups/{mains}/devices/{device},{first.items['gw/devices']}")) == 2
    seen = house.result("GET", f"/gw/devices/{device}?fields=groups", key=sibling.key)[0]["groups"]
    assert seen == [{"id": mains, "name": ""}]
    house.result("DELETE", f"/gw/groups/{mains}")


def test_what_moves_leaves_behind_what_it_was_assigned_to(house: InsideHouse, line: list[Holding]) -> None:
    giver, taker = line[0], line[-1]
    device, group = giver.items["gw/devices"], giver.items["gw/groups"]
    house.result("POST", f"/gw/groups/{group}/devices/{device}", key=giver.key)
    mains = house.result("POST", "/gw/groups", [{"name": "mains"}])[0]["id"]
    house.result("POST", f"/gw/groups/{mains}/devices/{device}")
    heard: list[Any] = []

    async def listen() -> None:
        house.node.bus.listen(f"flespi/log/gw/devices/{device}/media_file_updated", heard.append)

    house.run(listen())
    house.result("PUT", f"/gw/devices/{device}/cid", {"cid": taker.cid})
    try:
        shown = house.result("GET", f"/gw/devices/{device}?fields=groups", key=taker.key)
        assert shown == [{"groups": [{"id": mains, "name": ""}]}]
        assert house.result("GET", f"/gw/groups/{group}/devices/all", key=giver.key) == []
        refused(house.ask("GET", f"/gw/devices/{device}", key=giver.key))
        house.result("PUT", f"/gw/devices/{device}/media", {"uuid": giver.file, "protected": True}, key=taker.key)
        until(lambda: bool(heard))
        assert heard[0].cid == taker.cid  # news of its files are no longer for those who had it
    finally:
        house.result("PUT", f"/gw/devices/{device}/cid", {"cid": giver.cid})
        house.result("DELETE", f"/gw/groups/{mains}")


def test_a_token_by_groups_counts_only_groups_its_account_sees(house: InsideHouse, line: list[Holding]) -> None:
    child = line[0]
    device = child.items["gw/devices"]
    mains = house.result("POST", "/gw/groups", [{"name": "of main"}])[0]["id"]
    house.result("POST", f"/gw/groups/{mains}/devices/{device}")
    acl = [
        {"uri": "gw/devices", "methods": ["GET"], "ids": "in-groups"},
        {"uri": "gw/groups", "methods": ["GET"]},
    ]
    body = [{"ttl": 3600, "access": {"type": 2, "acl": acl}}]
    made = house.result("POST", "/platform/tokens", body, key=child.key)[0]
    assert house.result("GET", "/gw/devices/all", key=made["key"]) == []
    entry = house.node.services.directory.find("platform/tokens", made["id"])
    assert entry is not None
    who = house.node.mqtt.broker.principal(entry.item)
    assert not who.sees(f"flespi/state/gw/devices/{device}")
    house.result("POST", f"/gw/groups/{child.items['gw/groups']}/devices/{device}", key=child.key)
    assert len(house.result("GET", "/gw/devices/all", key=made["key"])) == 1
    assert who.sees(f"flespi/state/gw/devices/{device}")
    house.result("DELETE", f"/gw/groups/{child.items['gw/groups']}/devices/{device}", key=child.key)
    house.result("DELETE", f"/gw/groups/{mains}")


def test_people_reach_their_own_account_only(house: InsideHouse, line: list[Holding]) -> None:
    first, sibling = line[0], line[-1]
    login = {"identity": "sibling@example.org", "password": "correct horse battery"}
    session = house.ask("POST", "/api/auth/login", login, key="").json()["token"]
    bearer = {"Authorization": f"Bearer {session}"}
    own, others = sibling.items["gw/devices"], first.items["gw/devices"]
    assert house.ask("GET", f"/api/gallery/{own}/events", key="", headers=bearer).status_code == 200
    for path in ("events", "stats", "source", f"events/{first.file}", "upload-url?filename=x"):
        assert house.ask("GET", f"/api/gallery/{others}/{path}", key="", headers=bearer).status_code == 404
    for cid in (first.cid, 1):
        headers = {**bearer, "x-flespi-cid": str(cid)}
        assert house.ask("GET", f"/api/gallery/{others}/stats", key="", headers=headers).status_code == 403
    assert house.ask("GET", "/gw/devices/all", key="", headers=bearer).status_code == 401
    assert house.ask("GET", f"/api/gallery/{own}/events/{first.file}", key="", headers=bearer).status_code == 404


def test_files_that_are_not_shared_open_for_their_own_line_only(house: InsideHouse, line: list[Holding]) -> None:
    *levels, sibling = line
    victim = levels[1]
    device = victim.items["gw/devices"]
    house.result("PUT", f"/gw/devices/{device}/media", {"uuid": victim.file, "shared": False}, key=victim.key)
    for one, status in ((levels[0], 200), (victim, 200), (levels[2], 404), (sibling, 404)):
        assert house.ask("GET", f"/media/{victim.file}", key=one.key).status_code == status
    foreign = {"uuid": victim.file, "shared": True}
    refused(house.ask("PUT", f"/gw/devices/{sibling.items['gw/devices']}/media", foreign, key=sibling.key))
    refused(house.ask("DELETE", f"/gw/devices/{sibling.items['gw/devices']}/media", foreign, key=sibling.key))
    house.result("PUT", f"/gw/devices/{device}/media", {"uuid": victim.file, "shared": True}, key=victim.key)


def test_a_deleted_item_comes_back_where_it_was(house: InsideHouse, line: list[Holding]) -> None:
    lower = line[3]
    house.result("POST", f"/platform/deleted/{lower.deleted}/restore", headers={"x-flespi-cid": str(line[1].cid)})
    found = house.result("GET", "/gw/devices/name=gone-level-3?fields=cid", key=lower.key)
    assert found == [{"cid": lower.cid}]
