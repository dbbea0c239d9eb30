"""Lists of the gallery, many events at once, sessions of tokens, and tokens in addresses."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from prometheus_client import CollectorRegistry

from gallery_client import GalleryClient, picture, refused
from inside import InsideHouse
from wayframe.api import Access, DoorSettings, HttpServer, build_app

T0 = 1_710_928_800


@pytest.fixture(scope="module")
def filled(house: InsideHouse) -> GalleryClient:
    """A device with six events of several kinds, at successive minutes."""
    client = GalleryClient(house, "filled")
    for number, (name, kind, size) in enumerate(
        [("trip a.mp4", "video", 30), ("Trip_b.mp4", "video", 10), ("stop.jpg", "image", 20), ("100% full.txt", "", 7)]
    ):
        metadata = json.dumps({"timestamp": T0 + 60 * number})
        parts = {"media_type": kind} if kind else {}
        assert client.upload(bytes([number]) * size, name, metadata=metadata, **parts).status_code == 200
    for number in (4, 5):
        body = {"name": f"/sd/late {number}.mp4", "file_size": number, "metadata": {"timestamp": T0 + 60 * number}}
        made = client.ask("POST", "/upload", body, headers={"Content-Type": "application/json"})
        assert made.status_code == 200
    by_name = {event["name"]: event["id"] for event in client.events()}
    client.ask("PATCH", f"/events/{by_name['stop.jpg']}", {"flagged": True})
    client.ask("PATCH", f"/events/{by_name['trip a.mp4']}", {"viewed": True})
    client.ask("PATCH", f"/events/{by_name['late 4.mp4']}", {"flagged": True, "viewed": True})
    return client


EVERYTHING = ["late 5.mp4", "late 4.mp4", "100% full.txt", "stop.jpg", "Trip_b.mp4", "trip a.mp4"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", EVERYTHING),
        ("sort=created", EVERYTHING[::-1]),
        ("sort=-size", ["trip a.mp4", "stop.jpg", "Trip_b.mp4", "100% full.txt", "late 5.mp4", "late 4.mp4"]),
        ("sort=size&limit=2", ["late 4.mp4", "late 5.mp4"]),
        ("state=new", ["late 5.mp4", "late 4.mp4"]),
        ("state=queued", []),
        ("state=failed", []),
        ("state=pulled", ["100% full.txt", "stop.jpg", "Trip_b.mp4", "trip a.mp4"]),
        ("state=stored", ["100% full.txt", "stop.jpg", "Trip_b.mp4", "trip a.mp4"]),
        ("state=viewed", ["late 4.mp4", "trip a.mp4"]),
        ("state=flagged", ["late 4.mp4", "stop.jpg"]),
        ("state=new&flagged=true", ["late 4.mp4"]),
        ("state=pulled&flagged=false", ["100% full.txt", "Trip_b.mp4", "trip a.mp4"]),
        ("flagged=true&media_type=image", ["stop.jpg"]),
        ("q=TRIP", ["Trip_b.mp4", "trip a.mp4"]),
        ("q=_", ["Trip_b.mp4"]),
        ("q=%25", ["100% full.txt"]),
        ("q=mp4&sort=name&state=new", ["late 4.mp4", "late 5.mp4"]),
        (f"from={T0 + 60}&to={T0 + 180}", ["100% full.txt", "stop.jpg", "Trip_b.mp4"]),
        ("from=2024-03-20T10:04:00Z", ["late 5.mp4", "late 4.mp4"]),
        (f"to={T0 + 60}&sort=name&q=trip", ["Trip_b.mp4", "trip a.mp4"]),
    ],
)
def test_lists_hold_what_was_asked_for(filled: GalleryClient, query: str, names: list[str]) -> None:
    answer = filled.ask("GET", f"/events?{query}")
    assert [event["name"] for event in answer.json()] == names
    if "limit" not in query:
        assert answer.headers["x-total-count"] == str(len(names))
    assert {event["name"] for event in filled.events(f"?{query}&offset=1")} <= {*EVERYTHING}


def test_what_is_viewed_is_the_callers_own(filled: GalleryClient) -> None:
    assert filled.ask("GET", "/events?state=viewed", bearer=filled.house.token()).json() == []


@pytest.mark.parametrize(
    "query",
    [
        "state=odd", "state=pending", "state=deleted", "sort=id", "sort=--size", "flagged=maybe", "from=yesterday",
        "to=1e300", "from=nan", "from=9&to=8", "q=" + "x" * 256, "q=%00", "state=flagged&flagged=false", "limit=1e3",
        "limit=0", "limit=1001", "offset=-1", "media_type=movie",
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named(filled: GalleryClient, query: str) -> None:
    answer = filled.ask("GET", f"/events?{query}")
    name = query.partition("=")[0]
    refused(answer, 400)
    assert name in answer.json()["error"] or "flagged" in answer.json()["error"]


def test_the_next_page_is_linked_to_the_end(filled: GalleryClient) -> None:
    path, names = "/events?limit=2&q=" + quote("."), []
    while path:
        answer = filled.ask("GET", path)
        names += [event["name"] for event in answer.json()]
        following = answer.headers.get("link", "")
        path = "/events?" + following.partition("?")[2].partition(">")[0] if following else ""
    assert names == EVERYTHING


def test_unchanged_events_come_once_while_the_list_moves(house: InsideHouse) -> None:
    client = GalleryClient(house, "moving")
    for number in range(9):
        client.upload(b"%d" % number, f"{number}.txt", metadata=json.dumps({"timestamp": T0 + number}))
    before = {event["id"] for event in client.events()}
    seen = []
    for page in range(5):
        seen += [event["id"] for event in client.events(f"?limit=3&offset={3 * page}&sort=created")]
        client.upload(b"new %d" % page, f"new{page}.txt")
    assert before <= {*seen}
    assert len(seen) == len({*seen})


# --- many at once ---


def test_a_batch_has_a_result_for_each(house: InsideHouse) -> None:
    client = GalleryClient(house, "batch")
    one, two = (client.upload(name.encode(), name).json()["eventId"] for name in ("one.txt", "two.txt"))
    known = client.ask("POST", "/upload", {"name": "/sd/three.mp4"}, headers={"Content-Type": "application/json"})
    three = known.json()["eventId"]

    def batch(action: str, *ids: str) -> dict[str, Any]:
        answer = client.ask("POST", "/events/batch", {"ids": [*ids], "action": action})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    said = batch("flag", one, "two.txt", one, "nobody")
    assert said["success"] is False
    assert said["results"][:2] == [{"id": one, "success": True}, {"id": "two.txt", "success": True}]
    missing = said["results"][2]
    assert (missing["id"], missing["success"], missing["code"]) == ("nobody", False, "not_found")
    assert [*missing] == ["id", "success", "error", "code"]
    assert {event["id"] for event in client.events("?flagged=true")} == {one, two}
    assert batch("unflag", two) == {"success": True, "results": [{"id": two, "success": True}]}
    assert batch("view", one)["success"] is True
    assert [event["id"] for event in client.events("?state=viewed")] == [one]
    pulled = batch("pull", one, three)["results"]
    assert pulled[0] == {"id": one, "success": True, "state": "stored"}
    assert (pulled[1]["success"], pulled[1]["code"]) == (False, "no_source")
    assert batch("delete", one, two, three, one)["success"] is True
    assert client.events() == []
    assert house.result("GET", f"/gw/devices/{client.id}/media") == []
    for body in (
        {"ids": [], "action": "flag"},
        {"ids": ["x"], "action": "burn"},
        {"ids": ["x"] * 501, "action": "flag"},
        {"ids": "x", "action": "flag"},
        {"action": "flag"},
        {"ids": ["x"], "action": "flag", "more": 1},
        [],
    ):
        refused(client.ask("POST", "/events/batch", body), 400)


@pytest.mark.parametrize(
    ("action", "granted"),
    [
        ("flag", [("media", ["GET", "PUT"])]),
        ("view", [("media", ["GET", "PUT"])]),
        ("delete", [("media", ["GET", "DELETE"])]),
        ("pull", [("media", ["GET", "POST"]), ("commands-queue", ["POST"])]),
    ],
)
def test_a_batch_needs_the_right_of_what_it_does(
    house: InsideHouse, action: str, granted: list[tuple[str, list[str]]]
) -> None:
    client = GalleryClient(house, f"batch right {action}")
    event = client.upload(b"x", "x.txt").json()["eventId"]

    def token(submodules: list[tuple[str, list[str]]]) -> str:
        listed = [{"name": name, "methods": methods} for name, methods in submodules]
        rule = {"uri": "gw/devices", "methods": ["GET", "POST", "PUT", "DELETE"], "submodules": listed}
        return house.token({"type": 2, "acl": [rule]})

    body = {"ids": [event], "action": action}
    for missing in range(len(granted)):
        less = [*granted[:missing], *granted[missing + 1 :]] or [("media", ["GET"])]
        refused(client.ask("POST", "/events/batch", body, bearer=token(less)), 403)
    assert client.ask("POST", "/events/batch", body, bearer=token(granted)).json()["success"] is True


def test_an_event_may_be_called_batch(house: InsideHouse) -> None:
    client = GalleryClient(house, "called batch")
    client.upload(b"x", "batch")
    assert client.ask("GET", "/events/batch").json()["name"] == "batch"
    assert client.ask("DELETE", "/events/batch").status_code == 200
    refused(client.ask("PUT", "/events/batch"), 405)


# --- sessions of tokens, and the end of logins' limits ---


def test_a_platform_token_gets_a_session_of_its_own_rights(house: InsideHouse) -> None:
    client = GalleryClient(house, "jwt")
    event = client.upload(b"x", "x.txt").json()["eventId"]
    rule = {"uri": "gw/devices", "methods": ["GET"], "ids": [client.id]}
    submodules = [{"name": "media", "methods": ["GET"]}]
    made = house.result("POST", "/platform/tokens", [{"ttl": 3600, "access": {"type": 2, "acl": [
        {**rule, "submodules": submodules}
    ]}}])[0]  # fmt: skip
    headers = {"Authorization": f"Bearer {made['key']}"}
    session = house.ask("POST", "/api/auth/session", {}, key="", headers=headers).json()
    assert {*session} == {"success", "token", "expires_at", "user"}
    word = session["token"]
    assert word.count(".") == 2
    assert made["key"] not in base64.urlsafe_b64decode(word.split(".")[1] + "==").decode()
    assert client.ask("GET", f"/events/{event}", bearer=word).status_code == 200
    refused(client.ask("DELETE", f"/events/{event}", bearer=word), 403)
    refused(GalleryClient(house, "jwt other").ask("GET", "/stats", bearer=word), 404)
    assert house.ask("GET", "/gw/devices/all", key=word).status_code == 401
    refused(house.ask("POST", "/api/auth/session", {}, key="", headers={"Authorization": f"Bearer {word}"}), 400)
    refused(house.ask("POST", "/api/auth/session", {}, key=""), 401)
    fresh = house.ask("POST", "/api/auth/refresh", {}, key="", headers={"Authorization": f"Bearer {word}"}).json()
    assert client.ask("GET", "/stats", bearer=fresh["token"]).status_code == 200
    house.result("DELETE", f"/platform/tokens/{made['id']}")
    for gone in (word, fresh["token"]):
        refused(client.ask("GET", "/stats", bearer=gone), 401)
        refused(house.ask("POST", "/api/auth/refresh", {}, key="", headers={"Authorization": f"Bearer {gone}"}), 401)


def test_good_logins_are_no_tries(house: InsideHouse) -> None:
    house.result("POST", "/platform/users", [{"identity": "busy@example.org", "password": "correct horse"}])
    good = {"identity": "busy@example.org", "password": "correct horse"}
    for _ in range(12):
        assert house.ask("POST", "/api/auth/login", good, key="").status_code == 200
    wrong = [house.ask("POST", "/api/auth/login", {**good, "password": "guess"}, key="") for _ in range(6)]
    assert [answer.status_code for answer in wrong] == [401] * 5 + [429]
    refused(house.ask("POST", "/api/auth/login", good, key=""), 429)


# --- tokens in addresses ---


@pytest.fixture(scope="module")
def open_door(house: InsideHouse) -> Iterator[tuple[str, list[Access]]]:
    """A second door with the setting on, and what it says of its requests."""
    told: list[Access] = []

    async def opened() -> HttpServer:
        limits = DoorSettings(version="0", gallery_url_tokens=True)
        app = build_app(house.node.rest, limits, metrics=CollectorRegistry(), on_access=told.append)
        server = HttpServer(app, "127.0.0.1", 0, grace_s=0.2)
        await server.start()
        return server

    server = house.run(opened())
    yield f"http://127.0.0.1:{server.port}", told
    house.run(server.stop())


def test_bytes_may_be_had_with_a_token_in_the_address_where_that_is_wanted(
    house: InsideHouse, open_door: tuple[str, list[Access]]
) -> None:
    url, told = open_door
    client = GalleryClient(house, "addressed")
    event = client.upload(picture(), "x.jpg").json()["eventId"]
    token = house.token()
    for form in ("file", "thumbnail"):
        path = f"{client.base}/events/{event}/{form}?token={token}"
        refused(house.ask("GET", path, key=""), 401)  # off by default
        assert house.ask("GET", url + path, key="").status_code == 200
        assert house.ask("HEAD", url + path, key="").status_code == 200
        refused(house.ask("GET", url + path[:-1], key=""), 401)
        refused(house.ask("GET", f"{url}{client.base}/events/{event}/{form}", key=""), 401)
    for method, path in (("GET", "/events"), ("GET", f"/events/{event}"), ("GET", "/stats"), ("POST", "/upload"),
                         ("DELETE", f"/events/{event}")):  # fmt: skip
        refused(house.ask(method, f"{url}{client.base}{path}?token={token}", key=""), 401)
    assert told
    assert all(token[:20] not in str(access) for access in told)
