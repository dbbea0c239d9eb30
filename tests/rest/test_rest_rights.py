"""Every route of the table, asked with every kind of token: the right it names is the right it needs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import msgspec
import pytest

from inside import GENERIC_TYPE, InsideHouse
from wayframe.model.access import SUBMODULES
from wayframe.rest import ROUTES, Route
from wayframe.services.command_shapes import CommandBody
from wayframe.services.item_bodies import SmsBody
from wayframe.services.sessions import MessageBody

METHODS = ["GET", "POST", "PUT", "DELETE"]
HOOK = {"type": "custom-server", "uri": "https://example.com/x", "method": "POST", "body": "x"}
CIRCLE = {"type": "circle", "center": {"lat": 1.5, "lon": 2.5}, "radius": 1}
CREATION: Mapping[str, dict[str, Any]] = {
    "gw/devices": {"device_type_id": GENERIC_TYPE},
    "gw/channels": {"protocol_name": "jt808", "enabled": False},
    "gw/groups": {"name": "g"},
    "gw/streams": {"protocol_id": 1, "configuration": {"uri": "https://example.com/x"}},
    "gw/plugins": {"item_type": "item-fields"},
    "gw/geofences": {"name": "f", "geometry": CIRCLE},
    "platform/tokens": {"ttl": 600},
    "platform/subaccounts": {"name": "s"},
    "platform/limits": {"name": "l"},
    "platform/users": {},
    "platform/webhooks": {"triggers": [{"topic": "flespi/message/gw/devices/+"}], "configuration": HOOK},
}
"""A body that makes an item of each entity."""

routes = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
guarded = pytest.mark.parametrize(
    "route", [route for route in ROUTES if not route.open], ids=lambda route: f"{route.method} {route.path}"
)


class World:
    """A house with items to ask for, two accounts, and a token of each kind."""

    def __init__(self, house: InsideHouse) -> None:
        self.house = house
        self.main = int(house.result("GET", "/platform/customer")[0]["id"])
        self.child = int(house.result("POST", "/platform/subaccounts", [{"name": "child"}])[0]["id"])
        self.stranger = self._key({"type": 1}, self.child)
        self.expired = str(house.result("POST", "/platform/tokens", [{"expire": 1}])[0]["key"])
        self.standard = self._key({"type": 0})
        self._numbers = itertools.count()
        self._kept: dict[str, int] = {}

    def _key(self, access: dict[str, Any], cid: int | None = None) -> str:
        headers = {"x-flespi-cid": str(cid or self.main)}
        made = self.house.result("POST", "/platform/tokens", [{"ttl": 3600, "access": access}], headers=headers)
        return str(made[0]["key"])

    def acl(self, *lines: dict[str, Any]) -> str:
        """A new token with this list."""
        return self._key({"type": 2, "acl": list(lines)})

    def item(self, entity: str) -> int:
        """A new item of the main account."""
        if entity == "platform/deleted":
            group = self.item("gw/groups")
            self.house.result("DELETE", f"/gw/groups/{group}")
            return int(self.house.result("GET", f"/platform/deleted/item_id={group}")[-1]["id"])
        return int(self.house.result("POST", f"/{entity}", [self.creation(entity)])[0]["id"])

    def creation(self, entity: str) -> dict[str, Any]:
        """A body that makes an item, unlike others where it must be."""
        number = next(self._numbers)
        unlike: Mapping[str, dict[str, Any]] = {
            "gw/devices": {"configuration": {"ident": f"ident-{number}"}},
            "platform/users": {"identity": f"somebody-{number}", "password": "correct horse battery staple"},
        }
        return {**CREATION[entity], **unlike.get(entity, {})}

    def kept(self, entity: str) -> int:
        """An item that stays, for requests that are refused or change nothing."""
        if entity not in self._kept:
            self._kept[entity] = self.item(entity)
        return self._kept[entity]

    def path(self, route: Route, *, fresh: bool = False) -> tuple[str, int, int]:
        """The path of a route with an item in it, the item, and the item that is linked to it."""
        item_of = self.item if fresh else self.kept
        entity, item, linked = route.entity, 0, 0
        variables = [part for part in route.segments if part.startswith("{")]
        values = ["all"] * len(variables)
        if entity in (*CREATION, "platform/deleted") and variables:
            item = item_of(str(entity))
            values[0] = str(item)
        if route.linked is not None:
            linked = item_of(route.linked)
            values[1] = str(linked)
            if route.method != "POST":
                self.house.result("POST", f"/{entity}/{item}/{route.linked.partition('/')[2]}/{linked}")
        filled = iter(values)
        return "/" + "/".join(next(filled) if part.startswith("{") else part for part in route.segments), item, linked

    def body(self, route: Route, item: int) -> Any:
        """A body the route takes."""
        if route.body is None:
            return None
        if route.path.endswith("/cid"):
            return {"cid": self.main}
        if "/settings/" in route.path:
            return {"properties": {"a": 1}}
        if route.path.endswith("/media"):
            return {"uuid": self.house.upload(item, b"x", "x.bin")["uuid"]} | (
                {"name": "y"} if route.method == "PUT" else {}
            )
        if route.body is MessageBody:
            return [{"topic": "a/b"}]
        if route.path.endswith("/messages"):
            return [{"timestamp": 1_700_000_000}] if route.method == "POST" else {}
        if route.body is SmsBody:
            return [{"text": "WAKEUP10"}]
        if route.body is CommandBody:
            return [{"name": "custom", "properties": {}, "timeout": 5}]
        if route.body == list[str]:
            return ["position.speed"]
        if route.method == "POST" and route.path == f"/{route.entity}":
            return [self.creation(str(route.entity))]
        if isinstance(route.body, type) and issubclass(route.body, msgspec.Struct) and "name" in fields(route.body):
            return {"name": f"n{next(self._numbers)}"}
        return {}

    def ask(self, route: Route, path: str, item: int, key: str) -> httpx.Response:
        """The request, uploads as forms."""
        if route.upload:
            return self.house.send_file(item, b"x", "x.bin", {}, key=key)
        return self.house.ask(route.method, path, self.body(route, item), key=key)


UNCARRIED = ("/gw/streams/{streams}/messages", "/gw/devices/{devices}/sms")


def done(route: Route) -> int:
    """The status where the rights are there: a generic device takes no commands and has no settings, and nothing
    carries messages on."""
    if route.body is CommandBody:
        return 400
    if route.path in UNCARRIED and route.method == "POST":
        return 409
    return 404 if "/settings/" in route.path and route.method != "GET" else 200


def fields(shape: type[msgspec.Struct]) -> tuple[str, ...]:
    return shape.__struct_fields__


def line(route: Route, item: int, **changes: Any) -> dict[str, Any]:
    """The line of an ACL with exactly the right a route needs."""
    method = "PUT" if route.method == "PATCH" else route.method
    uri = str(route.entity)
    entry: dict[str, Any] = {"uri": "mqtt" if uri.startswith("mqtt/") else uri, "methods": [method], "submodules": []}
    if item:
        entry["ids"] = [item]
    if route.submodule is not None:
        entry |= {"methods": ["GET"], "submodules": [{"name": route.submodule, "methods": [method]}]}
    return entry | changes


def other(route: Route, linked: int) -> list[dict[str, Any]]:
    """The line for the linked items."""
    return (
        [] if route.linked is None else [{"uri": route.linked, "methods": ["GET"], "ids": [linked], "submodules": []}]
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = InsideHouse(tmp_path_factory.mktemp("rights"))
    yield World(made)
    made.close()


@routes
def test_without_a_good_token_nothing_but_what_is_open(world: World, route: Route) -> None:
    path, item, _ = world.path(route)
    for key in ("", "x" * 64, world.expired, "ä"):
        headers: dict[str, Any] = {"Authorization": key.encode()} if key == "ä" else {}
        if route.upload:
            headers["Content-Type"] = "multipart/form-data; boundary=b"
        key = "" if "Authorization" in headers else key
        answer = world.house.ask(route.method, path, world.body(route, item), key=key, headers=headers)
        assert answer.status_code == (200 if route.open else 401), (key, answer.text)
        assert route.open or answer.headers["www-authenticate"] == "FlespiToken"


@guarded
def test_a_master_token_has_every_right(world: World, route: Route) -> None:
    path, item, _ = world.path(route, fresh=True)
    answer = world.ask(route, path, item, world.house.key)
    assert answer.status_code == done(route), answer.text


@guarded
def test_another_account_sees_no_item_of_ours(world: World, route: Route) -> None:
    path, item, _ = world.path(route)
    answer = world.ask(route, path, item, world.stranger)
    if item:
        assert answer.status_code == 404, answer.text
    elif route.path.startswith("/platform/customer"):
        assert answer.json()["result"] == [] or answer.json()["result"][0].get("id", world.child) == world.child
    elif route.method == "POST":
        assert answer.json()["result"][0]["cid"] == world.child
    else:
        assert answer.status_code == 200


@guarded
def test_a_standard_token_reaches_all_but_the_platform(world: World, route: Route) -> None:
    path, item, _ = world.path(route, fresh=True)
    answer = world.ask(route, path, item, world.standard)
    assert answer.status_code == (403 if str(route.entity).startswith("platform/") else done(route)), answer.text


@guarded
def test_an_acl_with_exactly_the_right_is_enough(world: World, route: Route) -> None:
    path, item, linked = world.path(route, fresh=True)
    if str(route.entity).startswith("platform/"):
        key = world.acl({"uri": "gw", "methods": METHODS}, {"uri": "mqtt", "methods": METHODS})
        assert world.ask(route, path, item, key).status_code == 403
        return
    key = world.acl(*([] if route.entity is None else [line(route, item)]), *other(route, linked))
    answer = world.ask(route, path, item, key)
    assert answer.status_code == done(route), answer.text


@guarded
def test_an_acl_without_the_item_does_not_show_it(world: World, route: Route) -> None:
    if not str(route.entity).startswith("gw/"):
        return
    path, item, linked = world.path(route)
    if not item:
        return
    for ids in ([item + 1_000_000], "in-groups"):
        answer = world.ask(route, path, item, world.acl(line(route, item, ids=ids), *other(route, linked)))
        # in-groups without a readable group covers nothing at all.
        assert answer.status_code in (404, 403), answer.text
        assert answer.status_code == 404 or ids == "in-groups"


@guarded
def test_an_acl_without_the_method_or_submodule_is_403(world: World, route: Route) -> None:
    if route.entity is None or route.entity.startswith("platform/"):
        return
    path, item, linked = world.path(route)
    needed = "PUT" if route.method == "PATCH" else route.method
    lacking = [method for method in METHODS if method != needed]
    lines = [line(route, item, methods=lacking)] if route.submodule is None else [
        line(route, item, submodules=[]),
        line(route, item, methods=METHODS, submodules=[{"name": route.submodule, "methods": lacking}]),
        line(route, item, methods=METHODS, submodules=[
            {"name": name, "methods": METHODS} for name in SUBMODULES if name != route.submodule]),
        line(route, item, methods=["POST", "PUT", "DELETE"]),
    ]  # fmt: skip
    lines.append({"uri": "gw/assets", "methods": METHODS})
    for entry in lines:
        answer = world.ask(route, path, item, world.acl(entry, *other(route, linked)))
        assert answer.status_code == 403, (entry, answer.text)


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.linked], ids=lambda route: f"{route.method} {route.path}"
)
def test_what_is_linked_must_be_readable_too(world: World, route: Route) -> None:
    path, item, linked = world.path(route)
    answer = world.ask(route, path, item, world.acl(line(route, item)))
    assert answer.status_code in (403, 404) or answer.json()["result"] == [], answer.text
    hidden = {"uri": str(route.linked), "methods": ["GET"], "ids": [linked + 1_000_000]}
    answer = world.ask(route, path, item, world.acl(line(route, item), hidden))
    assert answer.status_code == 404 or answer.json()["result"] == [], answer.text


# --- the token of an embedded client ----------------------------------------------------------------------------------

PARTS = ("commands", "commands-queue", "commands-result", "connections", "media", "logs")


def test_the_embedding_token_carries_the_web_client_through_every_step(world: World) -> None:
    """rest-api.md 11, call by call, with what the client sends."""
    house = world.house
    types = house.result("GET", "/gw/channel-protocols/all/device-types/name=mdvr?fields=id,protocol_id")
    device = house.device("embedded", device_type_id=types[0]["id"], configuration={"ident": "13990000001"})
    hidden = house.device("not-embedded")
    parts = [{"name": name, "methods": METHODS} for name in PARTS]
    key = world.acl({"uri": "gw/devices", "methods": ["GET"], "ids": [device], "submodules": parts})
    base = f"/gw/devices/{device}"

    house.result("GET", "/auth/regions", key="")
    assert house.result("GET", "/auth/info", key=key)[0]["access"]["type"] == 2
    assert house.result("GET", base, key=key)[0]["device_type_id"] == types[0]["id"]
    wanted = "id,name,cid,configuration,media_size,connected,device_type_id"
    assert [item["id"] for item in house.result("GET", f"/gw/devices/all?fields={wanted}", key=key)] == [device]
    kinds = house.result("GET", "/gw/channel-protocols/all/device-types/all/?fields=id,commands", key=key)
    assert any(kind["id"] == types[0]["id"] and kind["commands"] for kind in kinds)
    house.result("GET", house.data(f"{base}/commands-result", **{"from": 1, "to": 2e9}), key=key)
    listing = house.data(f"{base}/media", filter="created>1&&created<4000000000", fields="uuid,meta,created,url,name")
    assert house.result("GET", listing, key=key) == []

    assert "media.file.post" in house.ask("GET", "/gw/api.json", key=key).json()["definitions"]
    file = house.send_file(device, b"data", "x.bin", {}, key=key).json()["result"][0]
    labelled = {"Content-Type": "application/x-www-form-urlencoded"}
    change = {"uuid": file["uuid"], "protected": True}
    assert house.result("PUT", f"{base}/media", change, key=key, headers=labelled)[0]["protected"] is True
    assert [item["uuid"] for item in house.result("GET", listing, key=key)] == [file["uuid"]]
    assert house.ask("GET", f"/media/{file['uuid']}", key="", headers={"Range": "bytes=0-"}).status_code == 206
    assert house.ask("GET", f"/media/{file['uuid']}?preview=json", key="").json()["uuid"] == file["uuid"]
    house.result("PUT", f"{base}/media", {"uuid": file["uuid"], "shared": False}, key=key)
    assert house.ask("GET", f"/media/{file['uuid']}", key=key).content == b"data"
    house.result("DELETE", f"{base}/media", {"uuid": file["uuid"]}, key=key)

    command = {"name": "request_video", "properties": {"channel": 1, "from": 1_700_000_000, "duration": 10}, "ttl": 600}
    queued = house.result("POST", f"{base}/commands-queue", [command], key=key)[0]
    assert house.result("GET", f"{base}/commands-queue/all", key=key)[0]["id"] == queued["id"]
    house.result("DELETE", f"{base}/commands-queue/{queued['id']}", key=key)
    at_once = {"name": "take_photo", "properties": {"channel": 1}, "timeout": 5}
    assert house.result("POST", f"{base}/commands", [at_once], key=key)[0]["executed"] is False
    assert house.result("GET", f"{base}/connections/all", key=key) == []
    house.result("DELETE", f"{base}/connections/all", key=key)
    codes = {record["event_code"] for record in house.result("GET", f"{base}/logs", key=key)}
    assert {24, 25, 26, 330, 332} <= codes

    for method, path, body in (
        ("PUT", base, {"name": "x"}), ("DELETE", base, None), ("POST", "/gw/devices", [CREATION["gw/devices"]]),
        ("GET", f"{base}/messages", None), ("GET", f"{base}/telemetry", None), ("GET", f"{base}/packets", None),
        ("GET", "/gw/channels/all", None), ("GET", "/gw/groups/all", None), ("GET", "/platform/customer", None),
        ("GET", "/platform/tokens/all", None),
    ):  # fmt: skip
        house.refusal(method, path, body, status=403, key=key)
    for path in (f"/gw/devices/{hidden}", f"/gw/devices/{hidden}/media", f"/gw/devices/{hidden}/logs"):
        house.refusal("GET", path, status=404, key=key)
