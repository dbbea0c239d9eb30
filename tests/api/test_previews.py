"""Previews answered from memory: nothing about them differs from the road through the application."""

from __future__ import annotations

import io
import re
import socket
from collections.abc import Sequence
from typing import Any, BinaryIO

import httpx
import pytest
from PIL import Image

from inside import InsideHouse

_EACH_TIME = ("date", "x-request-id")


@pytest.fixture(scope="module")
def device(house: InsideHouse) -> int:
    return house.device("gallery")


@pytest.fixture
def photo(house: InsideHouse, device: int) -> dict[str, Any]:
    """A photo whose preview was fetched once."""
    out = io.BytesIO()
    Image.new("RGB", (320, 240), (200, 30, 60)).save(out, "JPEG")
    file = house.upload(device, out.getvalue(), "photo.jpg", type="image")
    preview(house, file)
    return file


def preview(house: InsideHouse, file: dict[str, Any], method: str = "GET", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return house.ask(method, f"/media/{file['uuid']}?preview=jpeg", key="", headers=named)


def requests(house: InsideHouse, text: bytes, count: int) -> list[tuple[int, dict[str, str], bytes]]:
    """Send bytes on one connection; status, headers and body of `count` answers."""
    with socket.create_connection(("127.0.0.1", house.node.http.port), 20) as connection:
        connection.sendall(text)
        answers = connection.makefile("rb")
        return [_answer(answers) for _ in range(count)]


def _answer(stream: BinaryIO) -> tuple[int, dict[str, str], bytes]:
    status = int(stream.readline().split()[1])
    headers: dict[str, str] = {}
    while (line := stream.readline()) != b"\r\n":
        name, _, value = line.decode().strip().partition(": ")
        assert name not in headers
        headers[name] = value
    return status, headers, stream.read(int(headers["content-length"]))


def get(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def test_the_second_answer_is_the_first_one_again(house: InsideHouse, photo: dict[str, Any]) -> None:
    # A trace takes the road through the application.
    slow, fast = preview(house, photo, x_flespi_trace="7"), preview(house, photo)
    assert fast.content == slow.content
    left_out = {name: slow.headers.pop(name) and fast.headers.pop(name) for name in _EACH_TIME}
    assert fast.headers.multi_items() == slow.headers.multi_items()
    assert re.fullmatch("[0-9a-f]{32}", left_out["x-request-id"])
    assert preview(house, photo).headers["x-request-id"] != left_out["x-request-id"]
    assert fast.headers["access-control-allow-origin"] == "*"
    assert fast.headers["x-content-type-options"] == "nosniff"


def test_conditions_ranges_head_and_a_given_id_are_answered_as_ever(house: InsideHouse, photo: dict[str, Any]) -> None:
    whole = preview(house, photo)
    assert preview(house, photo, if_none_match=whole.headers["etag"]).status_code == 304
    assert preview(house, photo, if_modified_since=whole.headers["last-modified"]).status_code == 304
    assert preview(house, photo, range="bytes=0-4").content == whole.content[:5]
    head = preview(house, photo, method="HEAD")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(whole.content)))
    assert preview(house, photo, x_request_id="mine").headers["x-request-id"] == "mine"
    assert house.ask("DELETE", f"/media/{photo['uuid']}?preview=jpeg", key="").status_code == 405


def test_an_unchanged_picture_is_304_with_the_headers_of_ever(house: InsideHouse, photo: dict[str, Any]) -> None:
    tag = preview(house, photo).headers["etag"]
    for tags in (tag, f'"other", W/{tag}', "*"):
        slow, fast = (preview(house, photo, if_none_match=tags, **more) for more in ({"x_flespi_trace": "7"}, {}))
        assert (fast.status_code, fast.content) == (304, b"")
        for name in _EACH_TIME:
            assert slow.headers.pop(name) and fast.headers.pop(name)
        assert fast.headers.multi_items() == slow.headers.multi_items()
    assert preview(house, photo, if_none_match='"other"').status_code == 200


def test_a_file_that_is_no_longer_shared_is_refused(house: InsideHouse, device: int, photo: dict[str, Any]) -> None:
    assert preview(house, photo).status_code == 200
    house.result("PUT", f"/gw/devices/{device}/media", {"uuid": photo["uuid"], "shared": False})
    assert [preview(house, photo).status_code for _ in range(2)] == [401, 401]
    # Whoever may read it fetches it, and that opens it to nobody else.
    assert house.ask("GET", f"/media/{photo['uuid']}?preview=jpeg").status_code == 200
    assert preview(house, photo).status_code == 401
    house.result("PUT", f"/gw/devices/{device}/media", {"uuid": photo["uuid"], "shared": True})
    assert [preview(house, photo).status_code for _ in range(2)] == [200, 200]


def test_a_deleted_file_is_gone_at_once(house: InsideHouse, device: int, photo: dict[str, Any]) -> None:
    assert preview(house, photo).status_code == 200
    house.result("DELETE", f"/gw/devices/{device}/media", {"uuid": photo["uuid"]})
    assert preview(house, photo).status_code == 404
    assert preview(house, photo).status_code == 404


def test_the_files_of_a_deleted_device_are_gone_at_once(house: InsideHouse) -> None:
    device = house.device("short-lived")
    out = io.BytesIO()
    Image.new("RGB", (64, 64)).save(out, "PNG")
    file = house.upload(device, out.getvalue(), "photo.png", type="image")
    assert [preview(house, file).status_code for _ in range(2)] == [200, 200]
    house.result("DELETE", f"/gw/devices/{device}")
    assert preview(house, file).status_code == 404


def test_answers_keep_the_order_of_their_requests(house: InsideHouse, photo: dict[str, Any]) -> None:
    picture, other = f"/media/{photo['uuid']}?preview=jpeg", "/healthz"
    paths: Sequence[str] = [picture, other, other, picture, picture, other, picture] * 3
    answers = requests(house, b"".join(map(get, paths)), len(paths))
    assert [status for status, _, _ in answers] == [200] * len(paths)
    kinds = {picture: "image/jpeg", other: "application/json"}
    assert [headers["content-type"] for _, headers, _ in answers] == [kinds[path] for path in paths]


def test_a_client_that_asks_and_does_not_read_gets_everything_when_it_does(
    house: InsideHouse, photo: dict[str, Any]
) -> None:
    count = 3000  # more than the kernel and the server hold for one connection
    answers = requests(house, get(f"/media/{photo['uuid']}?preview=jpeg") * count, count)
    assert {(status, body) for status, _, body in answers} == {(200, preview(house, photo).content)}


def test_a_body_is_read_to_its_end_and_taken_for_nothing_else(house: InsideHouse, photo: dict[str, Any]) -> None:
    path = f"/media/{photo['uuid']}?preview=jpeg"
    hidden = get("/media/hidden")
    text = get(path, f"Content-Length: {len(hidden)}") + hidden + get("/healthz")
    assert [status for status, _, _ in requests(house, text, 2)] == [200, 200]
    chunked = get(path, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n" + get("/healthz")
    assert [headers["content-type"] for _, headers, _ in requests(house, chunked, 2)] == [
        "image/jpeg",
        "application/json",
    ]


@pytest.mark.parametrize("text", ["HTTP/1.0\r\n", "HTTP/1.1\r\nConnection: close\r\n"])
def test_a_connection_that_is_to_close_closes(house: InsideHouse, photo: dict[str, Any], text: str) -> None:
    with socket.create_connection(("127.0.0.1", house.node.http.port), 20) as connection:
        connection.sendall(f"GET /media/{photo['uuid']}?preview=jpeg {text}Host: x\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            everything = answer.read()  # ends with the connection
    assert everything.startswith(b"HTTP/1.1 200") and b"\r\nconnection: close\r\n" in everything


def test_they_are_counted(house: InsideHouse, photo: dict[str, Any]) -> None:
    def counted() -> float:
        text = house.ask("GET", "/metrics", key="").text
        name = r'wayframe_http_requests_total\{method="GET",route="/media/\{uuid\}",status="200"\}'
        found = re.search(rf"^{name} (\S+)$", text, re.M)
        assert found is not None
        return float(found[1])

    before = counted()
    for _ in range(3):
        preview(house, photo)
    assert counted() == before + 3
