"""What routes answer is what OpenAPI says: every key is described, every promised key is there, with its type."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from inside import InsideHouse
from wayframe.model import ConnectionInfo
from wayframe.rest import ROUTES, Route
from wayframe.rest.schemas import TYPES, LogItem, components
from wayframe.services import Connection

REF = "#/components/schemas/{name}"
BODIES: dict[str, dict[str, Any]] = {
    "gw/devices": {"device_type_id": 5, "configuration": {"ident": "shape"}},
    "gw/groups": {"name": "g"},
    "gw/streams": {"protocol_name": "http", "configuration": {"uri": "https://example.com/x"}},
    "gw/plugins": {"item_type": "item-fields"},
    "gw/geofences": {"geometry": {"type": "circle", "center": {"lat": 1, "lon": 2}, "radius": 1}},
    "platform/subaccounts": {"name": "s"},
    "platform/limits": {"name": "l"},
    "platform/webhooks": {
        "triggers": [{"topic": "a"}],
        "configuration": {"type": "custom-server", "uri": "https://example.com/x"},
    },
    "platform/users": {"identity": "somebody", "password": "correct horse battery staple"},
}
LINKS = (
    "groups/all/devices", "groups/all/channels", "groups/all/geofences", "streams/all/devices", "streams/all/channels",
    "streams/all/groups", "plugins/all/devices", "plugins/all/groups",
)  # fmt: skip
SHAPED = [
    route for route in ROUTES if route.method == "GET" and route.result in TYPES and route.path != "/auth/regions"
]


@pytest.fixture(scope="module")
def full(house: InsideHouse) -> InsideHouse:
    """A house with something of everything, as far as no device is needed for it."""
    made = {entity: house.result("POST", f"/{entity}", [body])[0]["id"] for entity, body in BODIES.items()}
    device = made["gw/devices"]
    for path in LINKS:
        house.result("POST", f"/gw/{path}/all")
    house.result("POST", f"/gw/devices/{device}/messages", [{"position.speed": 5}])
    house.upload(device, b"ten bytes.", "a.bin")
    queue, photo = f"/gw/devices/{device}/commands-queue", {"name": "take_photo", "properties": {"channel": 1}}
    house.result("DELETE", f"{queue}/{house.result('POST', queue, [photo])[0]['id']}")
    house.result("POST", queue, [photo])
    house.result("DELETE", f"/gw/groups/{house.result('POST', '/gw/groups', [{'name': 'gone'}])[0]['id']}")
    entry = house.node.services.directory.device(device)
    info = ConnectionInfo(id=7, channel_id=1, device_id=device, ident="shape", source="203.0.113.9:1", established=1.5)

    async def connect() -> None:
        assert entry is not None
        house.node.services.connections.add(entry, Connection(info, lambda code, reason: None))

    house.run(connect())
    return house


@pytest.mark.parametrize("route", SHAPED, ids=lambda route: route.path)
def test_an_answer_has_the_shape_that_is_promised(full: InsideHouse, route: Route) -> None:
    known = components(REF)
    schema = known[route.result.__name__]
    check = Draft202012Validator({**schema, "components": {"schemas": known}})
    for item in full.result("GET", re.sub(r"\{.*?\}", "all", route.path)):
        assert [error.message for error in check.iter_errors(item)] == []
        if route.result is not LogItem:
            assert set(item) <= set(schema["properties"])


def test_there_was_something_to_look_at(full: InsideHouse) -> None:
    empty = {route.path for route in SHAPED if not full.result("GET", re.sub(r"\{.*?\}", "all", route.path))}
    assert len(empty) < len(SHAPED) / 4, empty


def test_regions_have_theirs(full: InsideHouse) -> None:
    schema = components(REF)["RegionItem"]
    (region,) = full.result("GET", "/auth/regions", key="")
    assert set(region) == set(schema["properties"]) == set(schema["required"])
