"""Uploads to the gallery that are checked, sent again, slow or cut: nothing is stored twice, and nothing in part."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text

from gallery_client import GalleryClient, picture, refused
from inside import InsideHouse, until


def content_digest(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def form_body(boundary: str, **parts: str) -> bytes:
    """A form with the part `event` last."""
    lines = []
    for name, value in parts.items():
        file = '; filename="f"' if name == "event" else ""
        lines.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n{value}\r\n')
    return "".join(lines).encode() + f"--{boundary}--\r\n".encode()


def send(client: GalleryClient, boundary: str, headers: dict[str, str], **parts: str) -> httpx.Response:
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return client.ask("POST", "/upload", form_body(boundary, **parts), headers={**kind, **headers})


# --- sent again under a key ---


def test_an_upload_under_a_key_is_answered_alike(house: InsideHouse) -> None:
    client = GalleryClient(house, "keyed")
    key = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
    first = send(client, "one", key, name="a.txt", event="text")
    again = send(client, "another", key, name="a.txt", event="text")
    assert (again.status_code, again.json()) == (first.status_code, first.json()) == (200, first.json())
    assert again.headers["etag"] == first.headers["etag"]
    assert "duplicate" not in again.json()
    other = send(client, "one", key, name="a.txt", event="other text")
    refused(other, 422, "key_reused")
    refused(send(client, "one", key, name="b.txt", event="text"), 422, "key_reused")
    assert [event["name"] for event in client.events()] == ["a.txt"]
    # Another device's key is another key, and so is one that is kept for an event deleted meanwhile.
    assert send(GalleryClient(house, "keyed2"), "one", key, name="b.txt", event="t").status_code == 200
    client.ask("DELETE", f"/events/{first.json()['eventId']}")
    assert send(client, "one", key, name="a.txt", event="text").json() == first.json()
    assert client.events() == []
    until(lambda: house.temporary_files() == [])
    for bad in ("x" * 256, "t\tab"):
        refused(send(client, "one", {"Idempotency-Key": bad}, name="a.txt", event="text"), 400, "Idempotency-Key")


def test_a_registration_under_a_key_is_answered_alike(house: InsideHouse) -> None:
    client = GalleryClient(house, "keyed registration")
    headers = {"Idempotency-Key": "r1", "Content-Type": "application/json"}
    first = client.ask("POST", "/upload", {"name": "/sd/a.mp4"}, headers=headers)
    assert client.ask("POST", "/upload", {"name": "/sd/a.mp4"}, headers=headers).json() == first.json()
    refused(client.ask("POST", "/upload", {"name": "/sd/b.mp4"}, headers=headers), 422, "key_reused")
    assert len(client.events()) == 1


def test_while_an_upload_is_under_way_its_key_is_taken(house: InsideHouse) -> None:
    client = GalleryClient(house, "keyed slowly")
    half, more = threading.Event(), threading.Event()
    body = form_body("x", name="a.bin", event="z" * 200_000)

    def slowly() -> Iterator[bytes]:
        yield body[:100_000]
        half.set()
        more.wait(30)
        yield body[100_000:]

    headers = {"Content-Type": "multipart/form-data; boundary=x", "Idempotency-Key": "k"}
    answers: list[httpx.Response] = []
    whole = {**headers, "Authorization": f"Bearer {house.key}"}
    url = f"{house.url}{client.base}/upload"
    sender = threading.Thread(
        target=lambda: answers.append(httpx.post(url, content=slowly(), headers=whole, timeout=30, trust_env=False))
    )
    sender.start()
    half.wait(30)
    until(lambda: bool(house.temporary_files()))
    refused(client.ask("POST", "/upload", body, headers=headers), 409, "under way")
    more.set()
    sender.join(30)
    assert answers[0].status_code == 200
    assert client.ask("POST", "/upload", body, headers=headers).json() == answers[0].json()


def test_a_key_is_free_again_where_nothing_was_stored(house: InsideHouse) -> None:
    client = GalleryClient(house, "keyed in vain")
    key = {"Idempotency-Key": "k"}
    refused(send(client, "x", key, name="a.bin", metadata="[", event="text"), 400)
    house.result("PUT", f"/gw/devices/{client.id}", {"media_rotate": 1 << 20})
    refused(send(client, "x", key, name="a.bin", event="y" * (2 << 20)), 413)
    assert send(client, "x", key, name="a.bin", event="text").status_code == 200


def test_keys_outlive_a_restart_for_a_day(tmp_path: Any) -> None:
    first = InsideHouse(tmp_path)
    client = GalleryClient(first, "kept")
    key = {"Idempotency-Key": "k"}
    made = send(client, "x", key, name="a.txt", event="text").json()
    # As a crash between storing a file and noting its answer leaves it.
    begun = send(client, "x", {"Idempotency-Key": "begun"}, name="b.txt", event="text").json()
    rooms = first.node.services.gallery
    noted = first.run(rooms.keys.find(client.id, "begun"))
    assert noted is not None
    first.run(rooms.keys.note(client.id, "begun", noted.body))
    first.close()
    second = InsideHouse(tmp_path)
    try:
        client.house, second.key = second, first.key
        assert send(client, "y", key, name="a.txt", event="text").json() == made
        assert send(client, "y", {"Idempotency-Key": "begun"}, name="b.txt", event="text").json() == begun
        assert len(client.events()) == 2
        rooms = second.node.services.gallery
        second.run(rooms.keys.sweep())
        assert second.run(rooms.keys.find(client.id, "k")) is not None
        second.run(aged(second, 86_401))
        assert second.run(rooms.keys.find(client.id, "k")) is None
        assert send(client, "y", key, name="c.txt", event="other").status_code == 200
        second.run(aged(second, 86_401))
        second.run(rooms.keys.sweep())
        assert second.run(kept(second)) == 0
    finally:
        second.close()


async def aged(house: InsideHouse, seconds: int) -> None:
    """As so much later."""
    async with house.node.db.write() as conn:
        await conn.execute(text("UPDATE gallery_keys SET made = made - :past"), {"past": seconds * 10**6})


async def kept(house: InsideHouse) -> int:
    return int(await house.node.db.ask(lambda conn: conn.scalar(text("SELECT count(*) FROM gallery_keys"))) or 0)


# --- announced digests ---


def test_the_digest_of_a_form_is_that_of_the_whole_body(house: InsideHouse) -> None:
    client = GalleryClient(house, "digests")
    body = form_body("x", name="a.txt", event="text")
    right = {"Content-Digest": content_digest(body)}
    assert send(client, "x", right, name="a.txt", event="text").status_code == 200
    wrong = {"Content-Digest": content_digest(b"text")}
    refused(send(client, "x", wrong, name="b.txt", event="text"), 400, "Content-Digest")
    others = {"Content-Digest": f"sha-512=:AAAA:, {content_digest(body)}"}
    assert send(client, "x", others, name="a.txt", event="text").json()["duplicate"] is True
    assert send(client, "x", {"Content-Digest": "md5=:AAAA:"}, name="c.txt", event="t").status_code == 200
    for bad in ("sha-256=abc", "sha-256=:AA:", "nonsense"):
        refused(send(client, "x", {"Content-Digest": bad}, name="b.txt", event="text"), 400, "Content-Digest")
    assert {event["name"] for event in client.events()} == {"a.txt", "c.txt"}
    until(lambda: house.temporary_files() == [])


@pytest.mark.parametrize("header", ["Content-Digest", "X-Checksum-SHA256"])
def test_bytes_that_are_put_hash_to_what_was_announced(house: InsideHouse, header: str) -> None:
    client = GalleryClient(house, f"put {header}")
    shown = content_digest if header == "Content-Digest" else lambda content: hashlib.sha256(content).hexdigest()
    link = client.link("filename=a.bin&thumbnail=true")
    refused(client.put(link["upload_url"], b"bytez", headers={header: shown(b"bytes")}), 400, header)
    assert client.events() == []
    assert client.put(link["upload_url"], b"bytes", headers={header: shown(b"bytes")}).status_code == 200
    refused(client.put(link["upload_url"], b"bytes", headers={header: shown(b"other")}), 400, header)
    jpeg = picture()
    refused(client.put(link["thumbnail_upload_url"], jpeg, headers={header: shown(b"other")}), 400, header)
    assert client.events()[0]["has_thumbnail"] is False
    assert client.put(link["thumbnail_upload_url"], jpeg, headers={header: shown(jpeg)}).status_code == 200
    assert client.events()[0]["has_thumbnail"] is True
    until(lambda: house.temporary_files() == [])


# --- slow, cut, asked first ---


def test_a_put_that_goes_silent_is_ended_and_leaves_nothing(house: InsideHouse) -> None:
    client = GalleryClient(house, "silent")
    path = urlsplit(client.link()["upload_url"]).path
    narrow = house.narrow.port  # waits 0.3 s for the next bytes
    with socket.create_connection(("127.0.0.1", narrow), 10) as connection:
        connection.sendall(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode() + bytes(50_000))
        answer = connection.recv(65536)
        while not answer.endswith(b"}") and (more := connection.recv(65536)):
            answer += more
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"slow_body"' in answer
    until(lambda: house.temporary_files() == [])
    assert client.events() == []
    assert client.put(path, bytes(100_000)).status_code == 200


def test_a_put_cut_at_half_leaves_no_file_and_may_be_repeated(house: InsideHouse) -> None:
    client = GalleryClient(house, "halved")
    link = client.link()
    path = urlsplit(link["upload_url"]).path
    content = bytes(range(256)) * 8000
    for cut in (len(content) // 2, len(content) - 1):
        with socket.create_connection(("127.0.0.1", house.node.http.port), 10) as connection:
            head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            connection.sendall(head + content[:cut])
            until(lambda: bool(house.temporary_files()))
        until(lambda: house.temporary_files() == [])
        assert client.events() == []
        assert house.result("GET", f"/gw/devices/{client.id}/media") == []
    assert client.put(path, content).status_code == 200
    (event,) = client.events()
    assert client.ask("GET", f"/events/{event['id']}/file").content == content


def test_who_asks_first_hears_no_before_sending(house: InsideHouse) -> None:
    client = GalleryClient(house, "expecting")
    signing = house.node.services.gallery.signing
    ended, _ = signing.sign("upload", {"evt": "x", "dev": client.id, "kind": "media", "max": 10}, -1)
    for path, said in ((urlsplit(client.link()["upload_url"]).path, b"100 Continue"), (f"/upload/{ended}", b"410 ")):
        with socket.create_connection(("127.0.0.1", house.node.http.port), 10) as connection:
            head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
            connection.sendall(head.encode())
            first = connection.recv(65536)
            assert first.startswith(b"HTTP/1.1 " + said), first
            if said.startswith(b"100"):
                connection.sendall(b"bytes")
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_browsers_may_put_from_anywhere(house: InsideHouse) -> None:
    path = urlsplit(GalleryClient(house, "preflight").link()["upload_url"]).path
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "PUT"}
    answer = house.ask("OPTIONS", path, key="", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers
    assert {"Content-Digest", "Idempotency-Key"} <= {
        name.strip() for name in answer.headers["access-control-allow-headers"].split(",")
    }
