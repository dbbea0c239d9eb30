"""Retained messages over REST: by topic filter, of one account or of those below it too, within a token's rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from mqtt_clients import PahoClient

from inside import InsideHouse
from wayframe.services import sessions


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideHouse]:
    inside = InsideHouse(tmp_path_factory.mktemp("house"))
    yield inside
    inside.close()


def at(filter_text: str, rest: str = "") -> str:
    return f"/mqtt/messages/{quote(filter_text, safe='')}{rest}"


def token(house: InsideHouse, *acl: dict[str, Any]) -> dict[str, Any]:
    return {"key": house.token({"type": 2, "acl": list(acl)})}


def test_what_is_published_over_rest_reaches_clients_and_stays(house: InsideHouse) -> None:
    client = PahoClient(house.node.mqtt.port, house.key).open().subscribe("rest/#")
    said = {"topic": "rest/a", "payload": "péage", "retained": True, "qos": 1, "user_properties": {"trip": "A-17"}}
    assert house.result("POST", "/mqtt/messages", said) == [{"cid": 1, "topic": "rest/a", "retained": True}]
    assert client.next()[:2] == ("rest/a", "péage")
    kept = house.result("GET", at("rest/+"))
    assert [{**one, "timestamp": 0} for one in kept] == [
        {"cid": 1, "topic": "rest/a", "payload": "péage", "qos": 1, "timestamp": 0, "expires": 0,
         "user_properties": {"trip": "A-17"}}
    ]  # fmt: skip
    assert house.result("DELETE", at("rest/a")) == [{"cid": 1, "topic": "rest/a"}]
    assert house.result("GET", at("rest/#")) == []
    client.close()


def test_what_the_house_says_is_found_by_its_topics(house: InsideHouse) -> None:
    device = house.device("Van")
    topic = f"flespi/state/gw/devices/{device}/name"
    assert house.result("GET", at(topic, "?fields=topic,payload")) == [{"topic": topic, "payload": '"Van"'}]
    both = house.result("GET", at(f"flespi/state/gw/devices/{device}/name,connected", ",cid=1?fields=payload"))
    assert sorted(one["payload"] for one in both) == ['"Van"', "false"]
    assert house.result("GET", at("all")) == []  # what clients published
    foreign = token(house, {"uri": "mqtt", "methods": ["GET", "DELETE"]})
    assert house.result("GET", at(topic), **foreign) == []  # no right on the device
    assert house.refusal("DELETE", at(topic), status=403) == "topics below flespi/ are published by the server alone"


def test_to_delete_everything_is_to_delete_what_clients_published(house: InsideHouse) -> None:
    for topic in ("gone/a", "gone/b"):
        house.result("POST", "/mqtt/messages", {"topic": topic, "payload": "x", "retained": True})
    gone = {one["topic"] for one in house.result("DELETE", at("#"))}
    assert {"gone/a", "gone/b"} <= gone
    assert not any(topic.startswith("flespi/") for topic in gone)
    assert house.result("GET", at("all")) == []
    assert house.result("GET", at("flespi/state/platform/customer")) != []


def test_accounts_below_are_seen_and_may_be_left_out(house: InsideHouse) -> None:
    branch = house.result("POST", "/platform/subaccounts", [{"name": "branch"}])[0]["id"]
    as_branch = {"headers": {"x-flespi-cid": str(branch)}}
    house.result("POST", "/mqtt/messages", {"topic": "below", "payload": "x", "retained": True}, **as_branch)
    house.result("POST", "/mqtt/messages", {"topic": "below", "payload": "y", "retained": True})
    assert [one["payload"] for one in house.result("GET", at("below"))] == ["y", "x"]
    assert [one["payload"] for one in house.result("GET", at("below", ",cid=1"))] == ["y"]
    assert [one["payload"] for one in house.result("GET", at("below", f",cid={branch}"))] == ["x"]
    assert [one["payload"] for one in house.result("GET", at("below"), **as_branch)] == ["x"]
    assert house.result("GET", at("below", ",cid=1"), **as_branch) == []
    house.result("DELETE", at("below", f",cid={branch}"))
    assert [one["payload"] for one in house.result("GET", at("below"))] == ["y"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"topic": "a/+"}, "topic: a topic that is published to has no wildcards"),
        ({"topic": ""}, "topic: a topic has at least one character"),
        ({"topic": "a\0b"}, "topic"),
        ({"topic": "a", "qos": 3}, "qos"),
        ({"topic": "a", "payload": 5}, "payload"),
        ({"topic": "a", "user_properties": {"a": "\0"}}, "user_properties"),
        ({"topic": "a", "retain": True}, "retain"),
        ({"payload": "x"}, "topic"),
    ],
)
def test_bad_messages_are_refused_by_field(house: InsideHouse, body: dict[str, Any], reason: str) -> None:
    assert reason in house.refusal("POST", "/mqtt/messages", body, status=400)


def test_a_list_opens_messages_over_rest_by_methods_not_by_topics(house: InsideHouse) -> None:
    house.result("POST", "/mqtt/messages", {"topic": "other", "payload": "2", "retained": True})
    reader = token(house, {"uri": "mqtt", "methods": ["GET"]})
    assert [one["topic"] for one in house.result("GET", at("other"), **reader)] == ["other"]
    house.refusal("POST", "/mqtt/messages", {"topic": "other"}, status=403, **reader)
    topics = token(house, {"uri": "mqtt", "actions": ["publish", "subscribe"], "topic": "#"})
    house.refusal("GET", at("other"), status=403, **topics)
    house.refusal("POST", "/mqtt/messages", {"topic": "flespi/state/x"}, status=403)
    assert "topic filter" in house.refusal("GET", at("a/#/b"), status=400)


def test_an_answer_has_an_end(house: InsideHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_MESSAGES", 2)
    for number in range(3):
        house.result("POST", "/mqtt/messages", {"topic": f"many/{number}", "payload": "x", "retained": True})
    assert "name more levels" in house.refusal("GET", at("many/#"), status=413)
    assert len(house.result("GET", at("many/1"))) == 1
