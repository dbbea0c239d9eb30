"""The gallery API over a real socket: what the contract promises, and what strangers try."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from gallery_client import GalleryClient, picture, refused
from inside import InsideHouse, until
from wayframe.rest.gallery import GALLERY_ROUTES
from wayframe.rest.gallery_calls import GalleryRoute

# --- events and files are one ---


def test_an_upload_is_a_media_file_and_the_other_way_round(house: InsideHouse) -> None:
    client = GalleryClient(house, "both")
    made = client.upload(picture(), "capture.jpg", media_type="image", metadata='{"timestamp":"2024-03-20T10:00:00Z"}')
    assert {*made.json()} == {"success", "eventId", "event_id"}
    house.upload(client.id, b"from the other side", "other.pdf")
    (file,) = [one for one in house.result("GET", f"/gw/devices/{client.id}/media") if one["name"] == "capture.jpg"]
    assert file["created"] == 1710928800
    found = {event["name"]: event for event in client.events()}
    assert {*found} == {"capture.jpg", "other.pdf"}
    event = found["capture.jpg"]
    assert (event["id"], event["uuid"], event["created"]) == (
        made.json()["eventId"], file["uuid"], "2024-03-20T10:00:00.000Z"
    )  # fmt: skip
    assert (event["media_type"], event["has_thumbnail"], found["other.pdf"]["media_type"]) == (
        "image",
        True,
        "document",
    )
    house.result("DELETE", f"/gw/devices/{client.id}/media", {"uuid": file["uuid"]})
    assert [one["name"] for one in client.events()] == ["other.pdf"]
    other = found["other.pdf"]
    assert client.ask("DELETE", f"/events/{other['id']}").json() == {"success": True}
    assert house.result("GET", f"/gw/devices/{client.id}/media") == []
    refused(client.ask("DELETE", f"/events/{other['id']}"), 404)
    assert client.ask("GET", "/stats").json()["total_events"] == 0


def test_pages_types_and_sums(house: InsideHouse) -> None:
    client = GalleryClient(house, "pages")
    for number in range(7):
        client.upload(b"text %d" % number, f"{number}.txt")
    for number in range(3):
        client.upload(picture(64, 48 + number), f"{number}.jpg", media_type="image")
    seen = [event["id"] for offset in range(0, 12, 4) for event in client.events(f"?limit=4&offset={offset}")]
    assert len(seen) == len({*seen}) == 10
    assert len(client.events("?media_type=image")) == 3
    assert client.events("?offset=100") == []
    first = client.ask("GET", "/events?limit=4&media_type=document")
    assert first.headers["x-total-count"] == "7"
    assert 'rel="next"' in first.headers["link"]
    stats = client.ask("GET", "/stats").json()
    assert stats["total_events"] == sum(kind["count"] for kind in stats["by_type"].values()) == 10
    assert stats["total_size"] == sum(kind["size"] for kind in stats["by_type"].values())
    assert stats["total_size"] == sum(event["size"] for event in client.events())
    for query in ("limit=0", "limit=1001", "limit=x", "offset=-1", "media_type=movie", "state=odd", "flagged=maybe"):
        refused(client.ask("GET", f"/events?{query}"), 400)


def test_flagged_and_viewed_are_kept(house: InsideHouse) -> None:
    client = GalleryClient(house, "flags")
    event = client.upload(b"x", "x.txt").json()["eventId"]
    other = house.token()
    changed = client.ask("PATCH", f"/events/{event}", {"flagged": True, "viewed": True, "name": "../y.txt"}).json()
    assert (changed["event"]["flagged"], changed["event"]["viewed"], changed["event"]["name"]) == (True, True, "y.txt")
    assert client.ask("GET", f"/events/{event}", bearer=other).json()["viewed"] is False
    assert client.ask("GET", "/stats").json()["stats"]["viewedEvents"] == 1
    assert len(client.events("?flagged=true")) == 1
    client.ask("PATCH", f"/events/{event}", {"viewed": False, "metadata": {"case": 7}})
    shown = client.ask("GET", f"/events/{event}").json()
    assert (shown["viewed"], shown["metadata"]["case"]) == (False, 7)
    refused(client.ask("PATCH", f"/events/{event}", {"owner": 1}), 400)


def test_the_same_upload_again_is_the_same_event(house: InsideHouse) -> None:
    client = GalleryClient(house, "twice")
    first, again = client.upload(b"same", "s.txt").json(), client.upload(b"same", "s.txt").json()
    assert again == {**first, "duplicate": True}
    assert client.upload(b"other", "s.txt").json()["eventId"] != first["eventId"]
    refused(client.ask("GET", "/events/s.txt"), 409)
    right = hashlib.sha256(b"sum").hexdigest()
    assert client.upload(b"sum", "sum.txt", headers={"X-Checksum-SHA256": right}).status_code == 200
    refused(client.upload(b"sum!", "sum.txt", headers={"X-Checksum-SHA256": right}), 400, "SHA-256")


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"media_type": "movie"}, "media_type"),
        ({"metadata": "[1]"}, "object"),
        ({"metadata": "{"}, "JSON"),
        ({"metadata": '{"timestamp":"never"}'}, "timestamp"),
        ({"metadata": '{"a":' * 40 + "1" + "}" * 40}, "nested"),
        ({"metadata": json.dumps({"a": "x" * 70_000})}, "65536"),
        ({"surprise": "x"}, "unknown part"),
        ({"files": {"thumbnail": ("t.jpg", b"no picture")}}, "thumbnail"),
    ],
)
def test_a_wrong_upload_leaves_nothing(house: InsideHouse, parts: dict[str, Any], word: str) -> None:
    client = GalleryClient(house, f"wrong {word} {len(str(parts))}")
    refused(client.upload(b"content", "c.bin", **parts), 400, word)
    assert client.events() == []
    until(lambda: house.temporary_files() == [])


def test_a_thumbnail_is_made_small(house: InsideHouse) -> None:
    client = GalleryClient(house, "small")
    parts = {"thumbnail": ("t.png", picture(2000, 1000))}
    event = client.upload(b"a clip", "clip.mp4", files=parts).json()["eventId"]
    answer = client.ask("GET", f"/events/{event}/thumbnail")
    assert Image.open(io.BytesIO(answer.content)).size == (640, 320)
    assert answer.headers["content-type"] == "image/jpeg"
    file = client.ask("GET", f"/events/{event}/file", headers={"Range": "bytes=2-3"})
    assert (file.status_code, file.content) == (206, b"cl")


# --- upload links ---


def test_a_link_takes_one_file_once(house: InsideHouse) -> None:
    client = GalleryClient(house, "links")
    link = client.link("filename=video.mp4&thumbnail=true")
    assert client.events() == []
    assert client.put(link["thumbnail_upload_url"], picture()).status_code == 200
    first = client.put(link["upload_url"], b"bytes", headers={"Content-Type": "text/html"})
    assert first.json() == {"success": True, "eventId": link["eventId"], "event_id": link["eventId"]}
    assert first.headers["etag"] == f'"{hashlib.sha256(b"bytes").hexdigest()}"'
    assert client.put(link["upload_url"], b"bytes", headers={"If-None-Match": "*"}).status_code == 200
    refused(client.put(link["upload_url"], b"other"), 409)
    refused(client.ask("POST", f"/events/{link['eventId']}/file"), 405)
    (event,) = client.events()
    assert (event["id"], event["name"], event["has_thumbnail"]) == (link["eventId"], "video.mp4", True)
    before = client.ask("GET", f"/events/{event['id']}/thumbnail").content
    assert client.put(link["thumbnail_upload_url"], picture(100, 400)).status_code == 200
    assert client.ask("GET", f"/events/{event['id']}/thumbnail").content != before
    assert client.ask("DELETE", f"/events/{event['id']}").status_code == 200
    refused(client.put(link["upload_url"], b"bytes"), 410)


def test_a_chunked_body_is_taken(house: InsideHouse) -> None:
    client = GalleryClient(house, "chunked")
    link = client.link()
    assert client.put(link["upload_url"], iter([b"ab", b"cd"])).status_code == 200
    assert client.events()[0]["size"] == 4


def test_links_end_and_cannot_be_altered(house: InsideHouse) -> None:
    client = GalleryClient(house, "ends")
    link = client.link()
    head, body, mark = urlsplit(link["upload_url"]).path.removeprefix("/upload/").split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))

    def packed(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    for word in (
        f"{head}.{packed({**claims, 'max': 2**40})}.{mark}",
        f"{packed({'alg': 'none'})}.{body}.",
        f"{packed({'alg': 'HS256', 'kid': 'x'})}.{body}.{mark}",
        f"{head}.{body}.{mark[:-2]}AA",
        house.key,
        "x" * 9000,
    ):
        refused(client.put(f"/upload/{word}", b"x"), 403)
    claims["exp"] = time.time() - 1
    signing = house.node.services.gallery.signing
    ended, _ = signing.sign("upload", {"evt": claims["evt"], "dev": client.id, "kind": "media", "max": 10}, -1)
    refused(client.put(f"/upload/{ended}", b"x"), 410)
    session, _ = signing.sign("session", {"sub": "1", "evt": claims["evt"], "dev": client.id, "max": 9}, 60)
    refused(client.put(f"/upload/{session}", b"x"), 403)
    small, _ = signing.sign("upload", {"evt": claims["evt"], "dev": client.id, "kind": "media", "max": 10}, 60)
    refused(client.put(f"/upload/{small}", b"x" * 11), 413)
    refused(client.put(f"/upload/{small}", iter([b"x" * 6, b"x" * 6])), 413)
    refused(client.put(f"/upload/{small}", b""), 400)
    assert client.events() == []
    for query in ("", "filename=", "filename=a&expires=5", "filename=a&expires=9999999"):
        refused(client.ask("GET", f"/upload-url?{query}"), 400)


def test_a_transfer_that_breaks_off_leaves_nothing_and_may_be_repeated(house: InsideHouse) -> None:
    client = GalleryClient(house, "breaks")
    link = client.link()
    path = urlsplit(link["upload_url"]).path
    with socket.create_connection(("127.0.0.1", house.node.http.port), 10) as connection:
        connection.sendall(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode() + bytes(50_000))
        until(lambda: bool(house.temporary_files()))
    until(lambda: house.temporary_files() == [])
    assert client.events() == []
    assert client.put(link["upload_url"], bytes(100_000)).status_code == 200


def test_two_transfers_at_once_make_one_file(house: InsideHouse) -> None:
    client = GalleryClient(house, "racing")
    link = client.link()
    answers: list[int] = []
    contents = [b"a" * 300_000, b"b" * 300_000]
    threads = [
        threading.Thread(target=lambda c=c: answers.append(client.put(link["upload_url"], c).status_code))
        for c in contents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 409]
    assert len(client.events()) == 1


# --- who may ---


def test_devices_by_id_ident_and_gallery_id(house: InsideHouse) -> None:
    client = GalleryClient(house, "named", metadata={"gallery_id": "device123"})
    for name in (str(client.id), "id-named", "device123"):
        assert house.ask("GET", f"/api/gallery/{name}/stats").status_code == 200
    for name in ("device124", "..%2f1", "%2e%2e", "1%00", "a%20b", "*", "all", "x" * 65, f"{client.id},{client.id}"):
        answer = house.ask("GET", f"/api/gallery/{name}/paths")
        assert answer.status_code in (400, 404), (name, answer.text)
    assert house.ask("GET", "/studio/api/gallery/device123/stats").status_code == 200
    GalleryClient(house, "namesake", metadata={"gallery_id": "device125"})
    GalleryClient(house, "namesake2", metadata={"gallery_id": "device125"})
    refused(house.ask("GET", "/api/gallery/device125/stats"), 409)


def acl(house: InsideHouse, device: int, rights: list[tuple[str, str]]) -> str:
    """A token with exactly these methods on submodules of one device."""
    methods: dict[str, list[str]] = {}
    for method, submodule in rights:
        methods.setdefault(submodule, []).append(method)
    submodules = [{"name": name, "methods": allowed} for name, allowed in methods.items()]
    rule = {"uri": "gw/devices", "methods": ["GET"], "ids": [device], "submodules": submodules}
    return house.token({"type": 2, "acl": [rule]})


@pytest.mark.parametrize("route", GALLERY_ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_asks_who_and_whether(house: InsideHouse, route: GalleryRoute) -> None:
    client = GalleryClient(house, f"guarded {route.method} {route.path}")
    stranger = GalleryClient(house, f"other {route.method} {route.path}")
    event = client.upload(b"x", "x.txt").json()["eventId"]
    (account,) = house.result("POST", "/platform/subaccounts", [{"name": "other"}])
    above = {"x-flespi-cid": str(account["id"])}
    other = str(house.result("POST", "/platform/tokens", [{"ttl": 60}], headers=above)[0]["key"])
    path = "/" + route.path.replace("{event}", event) + ("?filename=a" if route.path == "upload-url" else "")
    rights = [route.right, *([route.besides] if route.besides else [])]

    def asked(token: str) -> httpx.Response:
        return client.ask(route.method, path, bearer=token)

    refused(house.ask(route.method, client.base + path, key=""), 401)
    refused(asked("x" * 64), 401)
    refused(asked(other), 404)
    refused(asked(acl(house, client.id, [])), 403)
    refused(asked(acl(house, stranger.id, rights)), 404)
    for missing in rights:
        instead = ("PUT" if missing[0] == "DELETE" else "DELETE", missing[1])
        refused(asked(acl(house, client.id, [instead, *(right for right in rights if right != missing)])), 403)
    allowed = asked(acl(house, client.id, rights))
    assert allowed.status_code in (200, 400, 404, 415, 422), allowed.text
    if allowed.status_code == 404:
        assert route.path in ("source", "events/{event}/thumbnail")


def test_events_by_id_uuid_name_and_stem(house: InsideHouse) -> None:
    client = GalleryClient(house, "event names")
    made = client.upload(b"x", "clip.one.txt").json()["eventId"]
    client.upload(b"y", "other.txt")
    uuid = client.ask("GET", f"/events/{made}").json()["uuid"]
    for name in (made, uuid, uuid.lower(), "clip.one.txt", "clip.one"):
        assert client.ask("GET", f"/events/{name}").json()["id"] == made, name
        assert client.ask("POST", f"/pull/{name}").json() == {
            "success": True, "eventId": made, "event_id": made, "state": "stored"
        }  # fmt: skip
    for name in ("clip", "clip.one.TXT", made[:-1], uuid[:-1] + "G", made.upper()):
        refused(client.ask("GET", f"/events/{name}"), 404)
    for wait in ("61", "-1", "soon", "nan"):
        answer = client.ask("POST", f"/pull/{made}?wait={wait}")
        refused(answer, 400)
        assert "wait" in answer.json()["error"]


def test_what_is_not_there_is_404_whoever_asks(house: InsideHouse) -> None:
    client, stranger = GalleryClient(house, "there"), GalleryClient(house, "stranger")
    event = client.upload(b"x", "x.txt").json()["eventId"]
    assert house.ask("GET", client.base + "/stats", key="", headers={"X-API-Key": house.key}).status_code == 200
    refused(stranger.ask("GET", f"/events/{event}"), 404)
    refused(stranger.ask("DELETE", f"/events/{event}"), 404)
    wrong = client.ask("POST", f"/events/{event}")
    refused(wrong, 405)
    assert wrong.headers["allow"] == "DELETE, GET, PATCH"
    refused(client.ask("GET", "/nothing"), 404)
    refused(client.ask("POST", "/upload", b"x", headers={"Content-Type": "text/plain"}), 415)


def test_nothing_says_where_the_bytes_are(house: InsideHouse) -> None:
    client = GalleryClient(house, "nosource")
    body = {"name": "/sd/clip.mp4", "file_size": 5, "metadata": {"channel": 1, "duration": 5}}
    made = client.ask("POST", "/upload", body, headers={"Content-Type": "application/json"}).json()
    assert made["state"] == "new"
    again = client.ask("POST", "/upload", body, headers={"Content-Type": "application/json"}).json()
    assert again["eventId"] == made["eventId"]
    refused(client.ask("POST", f"/pull/{made['eventId']}"), 422)
    assert client.ask("GET", "/stats").json()["stats"]["newEvents"] == 1
    refused(client.ask("GET", f"/events/{made['eventId']}/file"), 404)


def test_people_log_in_refresh_and_are_shut_out(house: InsideHouse) -> None:
    client = GalleryClient(house, "people")
    house.result("POST", "/platform/users", [{"identity": "Ann@example.org", "password": "correct horse"}])
    login = {"identity": "ann@EXAMPLE.org ", "password": "correct horse"}
    session = house.ask("POST", "/api/auth/login", login, key="").json()
    assert {*session} == {"success", "token", "expires_at", "user"}
    assert "password" not in session["user"]
    word = session["token"]
    assert client.ask("GET", "/stats", bearer=word).status_code == 200
    fresh = house.ask("POST", "/api/auth/refresh", {}, key="", headers={"Authorization": f"Bearer {word}"}).json()
    assert client.ask("GET", "/stats", bearer=fresh["token"]).status_code == 200
    # A session opens the gallery, and nothing else.
    assert house.ask("GET", "/gw/devices/all", key=word).status_code == 401
    head, body, mark = word.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    signing = house.node.services.gallery.signing
    ended, _ = signing.sign("session", {"sub": "1", "cid": 1, "since": time.time()}, -1)
    link = urlsplit(client.link()["upload_url"]).path.removeprefix("/upload/")
    for bad in (f"{none}.{body}.", f"{head}.{body}.{mark[:-2]}AA", f"{head}.{body}.", ended, link, "a.b.c"):
        refused(client.ask("GET", "/stats", bearer=bad), 401)
    house.run(_rotated(house))
    assert client.ask("GET", "/stats", bearer=word).status_code == 200
    house.result("PUT", "/platform/users/ann@example.org", {"password": "another horse"})
    refused(client.ask("GET", "/stats", bearer=word), 401)
    for _ in range(10):
        answer = house.ask("POST", "/api/auth/login", {"identity": "ann@example.org", "password": "guess"}, key="")
    refused(answer, 429)
    assert int(answer.headers["retry-after"]) > 0
    assert house.ask("GET", "/platform/users/all", key=house.token()).status_code == 403
    house.result("DELETE", "/platform/users/ann@example.org")


async def _rotated(house: InsideHouse) -> None:
    """As a week later: another key signs, the old one still counts."""
    signing = house.node.services.gallery.signing
    before = signing._keys[-1]
    signing._keys[-1] = type(before)(before.kid, before.secret, before.made - 8 * 86400)
    await signing.rotate()
    assert signing._keys[-1].kid != before.kid


def test_the_gallery_has_a_port_of_its_own(house: InsideHouse) -> None:
    client = GalleryClient(house, "port")
    base = f"http://127.0.0.1:{house.node.doors['gallery_port'].port}"
    assert house.ask("GET", f"{base}{client.base}/stats").status_code == 200
    assert house.ask("GET", f"{base}/healthz").status_code == 200
    refused(house.ask("GET", f"{base}/gw/devices/all"), 404)
    refused(house.ask("GET", f"{base}/metrics"), 404)
