"""Names, paths and headers that try something; and what is lenient on purpose."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from sqlalchemy import text

from gallery_client import GalleryClient, picture, refused
from inside import InsideHouse, until
from wayframe.rest.gallery import GALLERY_ROUTES

TRICKS = ("..%2f", "..%2f..%2fetc%2fpasswd", "%2e%2e", "..%5c..%5cx", "%00", "a%00b", "%0d%0aX-Evil:%201", "....//")
NAMES = (
    "quo'te\".mp4", "$(touch owned).mp4", "`id`; rm -rf *.mp4", "truck 🚚 日本.mp4", "per%20cent%2f.mp4",
    "<b onload=x>.mp4", "semi;colon,comma.mp4", "-rf.mp4", "tilde~#hash?.mp4", "'; DROP TABLE media;--.mp4",
)  # fmt: skip


@pytest.fixture(scope="module")
def tried(house: InsideHouse) -> GalleryClient:
    client = GalleryClient(house, "tried")
    client.upload(b"x", "x.txt")
    return client


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_in_any_segment_leads_nowhere(tried: GalleryClient, trick: str) -> None:
    house = tried.house
    before = sorted(path for path in house.folder.rglob("*") if path.is_dir())
    for route in GALLERY_ROUTES:
        for device, event in ((trick, "x.txt"), (str(tried.id), trick)):
            if event == trick and "{event}" not in route.path:
                continue
            path = f"/api/gallery/{device}/{route.path.replace('{event}', event)}"
            answer = house.ask(route.method, path, b"{}", headers={"Content-Type": "application/json"})
            assert answer.status_code in (400, 404), (route.method, path, answer.text)
            assert "x-evil" not in answer.headers
    assert house.ask("PUT", f"/upload/{trick}", b"x", key="").status_code in (400, 403, 404)
    assert sorted(path for path in house.folder.rglob("*") if path.is_dir()) == before
    assert [event["name"] for event in tried.events()] == ["x.txt"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_comes_back_as_it_was_given(house: InsideHouse, name: str) -> None:
    client = GalleryClient(house, f"named {NAMES.index(name)}")
    made = client.upload(b"by form", name).json()["eventId"]
    link = client.link(f"filename={quote(name)}")
    assert client.put(link["upload_url"], b"by link").status_code == 200
    assert {event["name"] for event in client.events()} == {name}
    assert client.ask("GET", f"/events/{made}").json()["name"] == name
    file = client.ask("GET", f"/events/{made}/file")
    assert file.headers["x-content-type-options"] == "nosniff"
    assert f"filename*=UTF-8''{quote(name, safe='')}".lower() in file.headers["content-disposition"].lower() or (
        f'filename="{name}"' in file.headers["content-disposition"]
    )
    refused(client.ask("GET", f"/events/{quote(name, safe='')}"), 409)  # it is the name of two
    assert {event["id"] for event in client.events(f"?q={quote(name)}")} == {event["id"] for event in client.events()}
    renamed = client.ask("PATCH", f"/events/{made}", {"name": f"2 {name}"}).json()["event"]
    assert renamed["name"] == f"2 {name}"
    assert client.ask("GET", f"/events/{quote(f'2 {name}', safe='')}").json()["id"] == made
    assert not list(Path.cwd().glob("owned*"))


def test_a_dropped_name_comes_back_as_it_was_given(house: InsideHouse) -> None:
    client = GalleryClient(house, "named by folder")
    incoming = Path(client.ask("GET", "/paths").json()["paths"]["incoming"])
    for name in NAMES:
        (incoming / name).write_bytes(name.encode())
    until(lambda: len(client.events()) == len(NAMES))
    assert {event["name"] for event in client.events()} == {*NAMES}
    assert not list(Path.cwd().glob("owned*"))


def test_a_name_has_at_most_255_bytes_and_no_folders(house: InsideHouse) -> None:
    client = GalleryClient(house, "long names")
    for given, shown in (
        ("🚚" * 300 + ".mp4", "🚚" * 62 + ".mp4"),
        ("/sd/../../etc/passwd", "passwd"),
        ("C:\\clips\\one.mp4", "one.mp4"),
        ("new\r\nline\x00.txt", "newline.txt"),
        ("r\u202ecod.exe", "rcod.exe"),
    ):
        event = client.upload(given.encode(), given).json()["eventId"]
        assert client.ask("GET", f"/events/{event}").json()["name"] == shown


def test_parts_come_in_any_order_and_the_file_may_name_itself(house: InsideHouse) -> None:
    client = GalleryClient(house, "lenient")
    parts: list[tuple[str, tuple[str | None, bytes]]] = [
        ("event", ("own name.txt", b"content")),
        ("thumbnail", ("t.jpg", picture())),
        ("metadata", (None, b'{"timestamp": 1710928800.5, "channel": 2, "trip": {"id": 7}}')),
        ("has_thumbnail", (None, b"false")),
    ]
    headers = {"Authorization": f"Bearer {house.key}"}
    answer = httpx.post(f"{house.url}{client.base}/upload", files=parts, headers=headers, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    (event,) = client.events()
    assert (event["name"], event["has_thumbnail"], event["created"]) == (
        "own name.txt", True, "2024-03-20T10:00:00.500Z"
    )  # fmt: skip
    assert (event["metadata"]["channel"], event["metadata"]["trip"]) == (2, {"id": 7})
    assert (event["metadata"]["timestamp"], event["media_type"]) == (1710928800.5, "document")
    refused(
        client.ask("POST", "/upload", b"--x--\r\n", headers={"Content-Type": "multipart/form-data; boundary=x"}), 400
    )


def test_nobody_is_trusted_for_what_he_says_of_himself(tried: GalleryClient) -> None:
    for headers in (
        {"User-Agent": "curl/8.0"},
        {"User-Agent": "node"},
        {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"},
        {"X-API-Key": "dev-api-key-12345"},
        {"X-User": "admin"},
    ):
        answer = tried.house.ask("GET", f"{tried.base}/stats", key="", headers=headers)
        refused(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"


def test_bytes_have_ranges_and_tags(tried: GalleryClient) -> None:
    event = tried.upload(picture(), "ranged.jpg").json()["eventId"]
    for form in ("file", "thumbnail"):
        whole = tried.ask("GET", f"/events/{event}/{form}")
        tag = whole.headers["etag"]
        assert whole.headers["accept-ranges"] == "bytes"
        part = tried.ask("GET", f"/events/{event}/{form}", headers={"Range": "bytes=1-4"})
        assert (part.status_code, part.content) == (206, whole.content[1:5])
        assert tried.ask("GET", f"/events/{event}/{form}", headers={"If-None-Match": tag}).status_code == 304
        refused_range = tried.ask("GET", f"/events/{event}/{form}", headers={"Range": "bytes=99999999-"})
        assert refused_range.status_code == 416
        assert tried.ask("HEAD", f"/events/{event}/{form}").headers["content-length"] == str(len(whole.content))
    tried.ask("DELETE", f"/events/{event}")


def test_links_that_nobody_fills_are_swept_with_their_thumbnails(house: InsideHouse) -> None:
    client = GalleryClient(house, "swept")
    link = client.link("filename=never.mp4&thumbnail=true")
    assert client.put(link["thumbnail_upload_url"], picture()).status_code == 200
    blobs = {path for path in (house.folder / "data" / "blobs").rglob("*") if path.is_file() and len(path.name) == 32}
    rooms = house.node.services.gallery
    house.run(rooms.links.sweep())
    assert client.put(link["thumbnail_upload_url"], picture()).status_code == 200  # it waits for its time to end

    async def a_day_later() -> None:
        async with house.node.db.write() as conn:
            await conn.execute(
                text("UPDATE gallery_events SET expires = expires - 90000000000 WHERE id = :id"),
                {"id": link["eventId"]},
            )

    house.run(a_day_later())
    house.run(rooms.links.sweep())
    refused(client.put(urlsplit(link["upload_url"]).path, b"too late"), 410)
    left = {path for path in (house.folder / "data" / "blobs").rglob("*") if path.is_file() and len(path.name) == 32}
    assert left < blobs
    assert client.ask("GET", "/stats").json()["total_events"] == 0
    assert json.dumps(client.events()) == "[]"
