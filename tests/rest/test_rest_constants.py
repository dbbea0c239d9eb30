"""The directories clients load once: log codes, topics, schemas. What is announced stands in them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from inside import InsideHouse, until
from wayframe.model import Event
from wayframe.model.log_codes import CLOSE_CODES, Log
from wayframe.rest import ROUTES


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideHouse]:
    made = InsideHouse(tmp_path_factory.mktemp("house"))
    yield made
    made.close()


def constants(house: InsideHouse, names: str) -> Any:
    (found,) = house.result("GET", f"/const/values?names={names}", key="")
    return found


def test_names_choose_and_unknown_ones_are_left_out(house: InsideHouse) -> None:
    assert set(constants(house, "toolbox%2Fcodes")) == {"toolbox/codes"}
    assert set(constants(house, "toolbox%2Fcodes,toolbox/topics,other")) == {"toolbox/codes", "toolbox/topics"}
    assert set(constants(house, "")) == {"toolbox/codes", "toolbox/topics"}


def test_every_code_is_described_as_toolbox_reads_it(house: InsideHouse) -> None:
    codes = constants(house, "toolbox%2Fcodes")["toolbox/codes"]["codes"]
    assert set(codes) == {str(kind.value.code) for kind in Log}
    assert len(codes) == len(Log), "no code twice"
    for number, code in codes.items():
        assert code["code"] == int(number)
        assert code["description"]
        assert code["severity"] in ("alert", "warning", "notice", "info")
        assert set(code) >= {"doc", "entity"}
    assert codes["301"]["entity"] == "devices"
    assert set(codes["301"]["extra_codes"]) == {str(code) for code in CLOSE_CODES}


def test_every_log_event_has_its_topic(house: InsideHouse) -> None:
    topics = constants(house, "toolbox/topics")["toolbox/topics"]["topics"]
    for kind in Log:
        entity, tail = kind.value.entity or "gw/groups", kind.value.topic.removeprefix("{name}/")
        assert any(topic.startswith(f"flespi/log/{entity}/") and topic.endswith(f"/{tail}") for topic in topics), kind


def test_whatever_is_announced_stands_in_the_directory(house: InsideHouse) -> None:
    """A life of items, messages, files and commands; every topic on the bus matches a pattern."""
    topics = constants(house, "toolbox/topics")["toolbox/topics"]["topics"]
    patterns = [re.compile("/".join("[^/]+" if "{" in level else re.escape(level) for level in topic.split("/")))
                for topic in topics]  # fmt: skip
    heard: list[Event] = []
    house.node.bus.listen("#", heard.append)
    device = house.device("announced")
    house.result("POST", f"/gw/devices/{device}/messages", [{"position.speed": 5, "ident": "x"}])
    file = house.upload(device, _png(), "p.png")
    house.result("PUT", f"/gw/devices/{device}/media", {"uuid": file["uuid"], "protected": True})
    house.result("DELETE", f"/gw/devices/{device}/media", {"uuid": file["uuid"]})
    body = {"name": "request_video", "properties": {"channel": 1, "from": 1760000000, "duration": 5}, "ttl": 600}
    recorder = {"name": "r", "device_type_id": 5, "configuration": {"ident": "13811112222"}}
    queue = f"/gw/devices/{house.result('POST', '/gw/devices', [recorder])[0]['id']}/commands-queue"
    command = house.result("POST", queue, [body])[0]
    house.result("DELETE", f"{queue}/{command['id']}")
    house.result("PUT", f"/gw/devices/{device}", {"name": "other"})
    (token,) = house.result("POST", "/platform/tokens", [{"ttl": 60}])
    house.result("PUT", f"/platform/tokens/{token['id']}", {"info": "x"})
    house.result("DELETE", f"/platform/tokens/{token['id']}")
    for entity, body in (("groups", {"name": "north"}), ("plugins", {"name": "p", "item_type": "item-fields"})):
        (item,) = house.result("POST", f"/gw/{entity}", [body])
        house.result("POST", f"/gw/{entity}/{item['id']}/devices/{device}")
        house.result("DELETE", f"/gw/{entity}/{item['id']}/devices/{device}")
        house.result("DELETE", f"/gw/{entity}/{item['id']}")
    house.result("DELETE", f"/gw/devices/{device}")
    (account,) = house.result("POST", "/platform/subaccounts", [{"name": "branch"}])
    house.result("DELETE", f"/platform/subaccounts/{account['id']}")
    until(lambda: any(event.topic.endswith("gw/devices/" + str(device) + "/deleted") for event in heard))
    assert len({event.topic for event in heard}) > 30
    # What is cleared may never have been there.
    said = {event.topic for event in heard if event.payload is not None}
    assert {topic for topic in said if not any(pattern.fullmatch(topic) for pattern in patterns)} == set()


def test_the_schema_of_an_upload_is_found_where_clients_look(house: InsideHouse) -> None:
    document = house.ask("GET", "/gw/api.json").json()
    schema = document["definitions"]["media.file.post"]
    for variant in schema["anyOf"]:
        assert len(variant["properties"]["type"]["enum"]) == 1
    check = Draft202012Validator({**schema, "definitions": document["definitions"]})
    check.check_schema(schema)
    assert check.is_valid({"type": "tacho", "meta": {"created": 1775000000, "vin": "W", "region": "LT"}})
    assert not check.is_valid({"type": "other"})
    assert house.ask("GET", "/gw/api.json", key="").status_code == 401


def test_generators_of_clients_find_paths_parameters_and_schemas(house: InsideHouse) -> None:
    document = house.ask("GET", "/gw/api.json").json()
    assert (document["swagger"], document["basePath"]) == ("2.0", "/gw")
    below = {route.path for route in ROUTES if route.path.startswith("/gw/")} - {"/gw/api.json"}
    assert {document["basePath"] + path for path in document["paths"]} == below
    for path, operations in document["paths"].items():
        named = [parameter["name"] for parameter in operations["parameters"] if parameter["in"] == "path"]
        assert named == re.findall(r"\{(.*?)\}", path)
        assert set(operations) - {"parameters"} <= {"get", "post", "put", "patch", "delete"}
    upload = document["paths"]["/devices/{devices}/media"]["post"]["parameters"]
    assert [parameter["name"] for parameter in upload if parameter["in"] == "formData"] == ["file", "data"]
    for name in re.findall(r'"#/definitions/([^"]+)"', house.ask("GET", "/gw/api.json").text):
        assert name in document["definitions"]


def test_the_directory_names_no_topic_that_never_comes(house: InsideHouse) -> None:
    topics = constants(house, "toolbox/topics")["toolbox/topics"]["topics"]
    assert "flespi/log/gw/devices/{device-id}/restored" in topics
    assert "flespi/log/platform/tokens/{token-id}/restored" not in topics
    assert "flespi/log/platform/customer/{customer-id}/created" not in topics
    assert "flespi/log/platform/subaccounts/{subaccount-id}/created" in topics


def _png() -> bytes:
    """A picture of one dot."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    head = chunk(b"IHDR", b"\0\0\0\x01\0\0\0\x01\x08\0\0\0\0")
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\x80")) + chunk(b"IEND", b"")
