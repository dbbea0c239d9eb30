"""Uploads over a real socket: every way in, and nothing left of what fails."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from inside import InsideHouse, until

EDGE = "edge0f1a2b"


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"' if filename is not None else ""
    return f'--{EDGE}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


END = f"--{EDGE}--\r\n".encode()
FILE = part("file", b"bytes of a file", "a.bin")
DATA = part("data", b'{"meta":{"created":1775000000},"params":{"case":"A1"},"message_params":{"event":"harsh"}}')


@pytest.fixture(scope="module")
def device(house: InsideHouse) -> int:
    return house.device("uploads")


def post(house: InsideHouse, device: int, body: Any, **more: Any) -> Any:
    headers = {"Content-Type": f"multipart/form-data; boundary={EDGE}", **more.pop("headers", {})}
    return house.ask("POST", f"/gw/devices/{device}/media", body, headers=headers, **more)


@contextmanager
def nothing_left(house: InsideHouse, device: int) -> Iterator[None]:
    """After this block, store and disk are as they were."""
    path = f"/gw/devices/{device}?fields=media_size"
    before = (house.result("GET", f"/gw/devices/{device}/media"), house.result("GET", path))
    yield
    assert (house.result("GET", f"/gw/devices/{device}/media"), house.result("GET", path)) == before
    assert house.temporary_files() == []


@pytest.mark.parametrize("body", [FILE + DATA + END, DATA + FILE + END], ids=["file-first", "data-first"])
def test_parts_come_in_either_order(house: InsideHouse, device: int, body: bytes) -> None:
    answer = post(house, device, body)
    assert answer.status_code == 200, answer.text
    file = answer.json()["result"][0]
    assert (file["name"], file["size"], file["created"]) == ("a.bin", 15, 1775000000)
    assert file["params"] == {"case": "A1"}
    assert house.ask("GET", f"/media/{file['uuid']}", key="").content == b"bytes of a file"
    assert house.temporary_files() == []


def test_an_upload_becomes_a_device_message(house: InsideHouse) -> None:
    device = house.device("announced")
    file = house.upload(device, b"pretend", "a.bin", meta={"created": 1775000000}, message_params={"event": "harsh"})
    messages = house.result("GET", f"/gw/devices/{device}/messages")
    assert [(message["timestamp"], message["event"]) for message in messages] == [(1775000000, "harsh")]
    objects = [value for name, value in messages[0].items() if "media." in name]
    assert objects[0]["uuid"] == file["uuid"]
    assert objects[0]["url"].endswith(file["uuid"])


def test_a_body_of_unknown_length_is_taken(house: InsideHouse, device: int) -> None:
    pieces = [FILE[:20], FILE[20:], DATA, END]
    headers = {"Content-Type": f"multipart/form-data; boundary={EDGE}", "Authorization": f"FlespiToken {house.key}"}
    with socket.create_connection(("127.0.0.1", house.node.http.port), 10) as connection:
        head = [
            f"POST /gw/devices/{device}/media HTTP/1.1",
            "Host: x",
            "Connection: close",
            "Transfer-Encoding: chunked",
        ]
        head += [f"{name}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        for piece in pieces:
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 200")


def test_the_file_goes_to_every_selected_device(house: InsideHouse) -> None:
    ids = {house.device("pair-1"), house.device("pair-2")}
    answer = house.send_file("name=pair-*", b"for both", "b.bin", {})
    assert {item["device_id"] for item in answer.json()["result"]} == ids
    assert house.send_file("name=nobody", b"for none", "b.bin", {}).json() == {"result": []}
    assert house.send_file("999999", b"for none", "b.bin", {}).status_code == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (DATA + END, "`file` is missing"),
        (FILE + FILE + END, "comes twice"),
        (part("clip", b"x", "x") + END, "unknown part"),
        (FILE + part("data", b"{") + END, "data is not JSON"),
        (FILE + part("data", b"[]") + END, ""),
        (FILE + part("data", b'{"type":"music"}') + END, "type"),
        (FILE + part("data", b'{"meta":{"created":"now"}}') + END, "created"),
        (FILE + part("data", b'{"meta":{"channel":-1}}') + END, "channel"),
        (part("file", b"", "a.bin") + END, "empty"),
        (FILE + DATA, "broken"),
        (b"no multipart at all", "broken"),
        (FILE.replace(b"\r\n", b"\n") + END, "broken"),
    ],
)
def test_a_broken_upload_is_400_and_leaves_nothing(house: InsideHouse, device: int, body: bytes, said: str) -> None:
    with nothing_left(house, device):
        answer = post(house, device, body)
        assert answer.status_code == 400, answer.text
        assert said in answer.json()["errors"][0]["reason"]


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", "multipart/mixed; boundary=x"])
def test_what_is_no_form_is_told_what_would_be_right(house: InsideHouse, device: int, kind: str) -> None:
    answer = post(house, device, b"{}", headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert "multipart/form-data" in answer.json()["errors"][0]["reason"]


def test_a_client_that_goes_away_leaves_nothing(house: InsideHouse, device: int) -> None:
    with nothing_left(house, device):
        connection = begin(house, device, declared=10_000_000)
        connection.sendall(part("file", b"z" * 300_000, "cut.bin")[:-2])
        until(lambda: house.temporary_files() != [])
        connection.close()
        until(lambda: house.temporary_files() == [])


def test_a_client_that_falls_silent_is_cut_off(house: InsideHouse, device: int) -> None:
    with nothing_left(house, device), begin(house, device, declared=10_000, narrow=True) as connection:
        connection.sendall(part("file", b"z" * 300, "slow.bin")[:-2])
        assert read_all(connection).startswith(b"HTTP/1.1 408")


def test_without_a_token_no_byte_of_the_file_is_asked_for(house: InsideHouse, device: int) -> None:
    with begin(house, device, declared=10**9, key="x", expect=True) as connection:
        assert read_all(connection).startswith(b"HTTP/1.1 401")


def test_a_file_too_large_for_the_store_is_refused_before_it_is_sent(house: InsideHouse) -> None:
    small = house.device("small-store", media_rotate=1 << 20)
    with begin(house, small, declared=1 << 30, expect=True) as connection:
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"1048576" in answer
    with begin(house, small, declared=1 << 50, expect=True) as connection:
        assert read_all(connection).startswith(b"HTTP/1.1 413"), "too large whatever room the disk has"


def test_a_file_that_turns_out_too_large_is_413_and_leaves_nothing(house: InsideHouse) -> None:
    small = house.device("small-store-2", media_rotate=1 << 20)
    with nothing_left(house, small):
        body = part("file", b"z" * ((1 << 20) + 1), "large.bin") + END
        answer = house.ask(
            "POST",
            f"/gw/devices/{small}/media",
            body,
            headers={"Content-Type": f"multipart/form-data; boundary={EDGE}"},
        )
        assert answer.status_code == 413, answer.text


# --- raw sockets ------------------------------------------------------------------------------------------------------


def begin(
    house: InsideHouse,
    device: int,
    *,
    declared: int,
    key: str | None = None,
    expect: bool = False,
    narrow: bool = False,
) -> socket.socket:
    """A connection on which the head of an upload was sent."""
    port = house.narrow.port if narrow else house.node.http.port
    connection = socket.create_connection(("127.0.0.1", port), 20)
    lines = [
        f"POST /gw/devices/{device}/media HTTP/1.1", "Host: x", f"Authorization: FlespiToken {key or house.key}",
        f"Content-Type: multipart/form-data; boundary={EDGE}", f"Content-Length: {declared}",
        *(["Expect: 100-continue"] if expect else []), "", "",
    ]  # fmt: skip
    connection.sendall("\r\n".join(lines).encode())
    return connection


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes, or has said all of its answer."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
        head, end, body = received.partition(b"\r\n\r\n")
        if end and f"content-length: {len(body)}\r\n".encode() in head.lower() + b"\r\n":
            break
    return received


def test_json_text_of_the_schema_is_what_is_taken(house: InsideHouse, device: int) -> None:
    variants = house.ask("GET", "/gw/api.json").json()["definitions"]["media.file.post"]["anyOf"]
    for variant in variants:
        kind = variant["properties"]["type"]["enum"][0]
        assert house.send_file(device, b"some bytes", "x.bin", {"type": kind}).status_code == 200, json.dumps(variant)
