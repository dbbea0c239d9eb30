"""Bad input and bad people over HTTP: whatever is sent, the answer is an envelope, and the server stays as it was."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import random
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from PIL import Image

from inside import InsideHouse

from .attacks import (
    BAD_NAMES,
    BODIES,
    BOMBS,
    FRAMES,
    HALF,
    HEADS,
    JPEG,
    NAMES,
    NUMBERS,
    RUN,
    SECOND,
    SEGMENTS,
    SMUGGLED,
    UNSHAKEN,
    UPLOADS,
)
from .house import House
from .test_crash import photo, upload
from .test_hostile import memory

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

GENERIC = 171
"""A device type that takes uploads and needs no connection."""
KEY = re.compile(r"[0-9A-Za-z]{64}")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server that all of them attack; at the end it must have had no fault of its own."""
    opened = House(tmp_path_factory.mktemp("hostile-http"), max_upload_bytes=32 << 20).start()
    yield opened
    assert opened.client.get("/readyz").status_code == 200
    failures = [opened.logged(event) for event in ("request_failed", "part_failed", "background_task_failed")]
    opened.close()
    assert failures == [[], [], []]


def device(house: House, ident: str, **fields: Any) -> int:
    body = {"name": ident, "device_type_id": GENERIC, "configuration": {"ident": ident}, **fields}
    return int(house.result("POST", "/gw/devices", [body])[0]["id"])


def ask(house: House, method: str, path: str, content: bytes | None = None, **headers: str) -> httpx.Response:
    """A request whose path goes out exactly as it is written here."""
    url = httpx.URL(house.base).copy_with(raw_path=path.encode("latin-1"))
    return house.client.request(method, url, content=content, headers=house.headers | headers)


def reason(answer: httpx.Response) -> str:
    return str(answer.json()["errors"][0]["reason"])


# --- names and paths --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_strange_name_is_only_a_name(house: House, name: str) -> None:
    made = device(house, f"strange-{NAMES.index(name)}", name=name)
    # Quoted in a selector as any value that begins with a quote or a space (selectors.md 2).
    found = house.result(
        "GET", f"/gw/devices/{quote(f'name={json.dumps(name, ensure_ascii=False)}', safe='')}?fields=id,name"
    )
    assert {"id": made, "name": name} in found
    equal = quote(f"{{name=={json.dumps(name, ensure_ascii=False)}}}", safe="")
    assert {"id": made, "name": name} in house.result("GET", f"/gw/devices/{equal}?fields=id,name")


@pytest.mark.parametrize("name", BAD_NAMES, ids=range(len(BAD_NAMES)))
def test_a_name_that_nobody_can_read_is_refused(house: House, name: str) -> None:
    body = json.dumps([{"name": name, "device_type_id": GENERIC, "configuration": {"ident": "unread"}}]).encode()
    answer = ask(house, "POST", "/gw/devices", body)
    assert answer.status_code == 400
    assert "name" in reason(answer)


@pytest.mark.parametrize(
    "name", [*NAMES, *BAD_NAMES[:5], "x" * 5000 + ".jpg", 'a"; filename="b', "x\r\nSet-Cookie: a=b"]
)
def test_a_strange_file_name_is_only_a_name(house: House, name: str) -> None:
    before = {path for path in house.folder.rglob("*") if path.is_file()}
    made = device(house, f"file-{abs(hash(name))}-{random.random()}")
    answer = upload(house, made, photo(len(name)), name)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        file = answer.json()["result"][0]
        assert len(file["name"]) <= 255
        assert not {"/", "\\", "\0", "\n", "\r", "\x1b"} & set(file["name"])
        link = house.client.get(f"/media/{file['uuid']}")
        assert link.status_code == 200
        assert "set-cookie" not in link.headers
        assert not re.search(r"[\x00-\x1f\x7f]", link.headers["content-disposition"])
    after = {path for path in house.folder.rglob("*") if path.is_file()} - before
    assert {path.parent.parent.parent.name for path in after if "blobs" in path.parts} <= {"blobs"}
    assert all("passwd" not in path.name and "etc" not in path.parts[-2] for path in after)


@pytest.mark.parametrize("segment", SEGMENTS, ids=range(len(SEGMENTS)))
def test_a_strange_selector_finds_nothing_and_breaks_nothing(house: House, segment: str) -> None:
    victim = device(house, f"victim-{SEGMENTS.index(segment)}-{random.random()}")
    for path in (f"/gw/devices/{segment}?fields=id", f"/gw/devices/{segment}/media", f"/gw/channels/{segment}/logs"):
        answer = ask(house, "GET", path)
        assert answer.status_code in (200, 400, 404, 405), (path[:100], answer.text[:500])
        assert "root:" not in answer.text
        assert "x-evil" not in answer.headers
    assert ask(house, "GET", f"/gw/devices/{victim}").status_code == 200


@pytest.mark.parametrize("part", ["data", "fields", "filter", "limit", "cid"])
@pytest.mark.parametrize("text", ["%00", "%FF", "9" * 400, "'; DROP TABLE logs; --", "[" * 5000, '{"a":' * 2000, "-1"])
def test_strange_variables_of_the_query_are_refused_or_ignored(house: House, part: str, text: str) -> None:
    made = device(house, f"query-{random.random()}")
    for path in (f"/gw/devices/{made}", f"/gw/devices/{made}/logs", f"/gw/devices/{made}/media"):
        answer = ask(house, "GET", f"{path}?{part}={quote(text, safe='%')}")
        assert answer.status_code in (200, 400, 403), (path, answer.text[:500])
        assert isinstance(answer.json(), dict)


# --- JSON -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_broken_body_is_400_on_every_method(house: House, body: bytes) -> None:
    made = device(house, f"json-{random.random()}")
    before = house.result("GET", f"/gw/devices/{made}")
    paths = (
        ("POST", "/gw/devices"), ("POST", "/gw/channels"), ("POST", "/platform/tokens"), ("PUT", f"/gw/devices/{made}"),
        ("PATCH", f"/gw/devices/{made}"), ("POST", f"/gw/devices/{made}/commands-queue"),
        ("PUT", f"/gw/devices/{made}/media"),
    )  # fmt: skip
    for method, path in paths:
        answer = ask(house, method, path, body)
        assert answer.status_code in (400, 413), (method, path, answer.status_code, answer.text[:300])
    assert house.result("GET", f"/gw/devices/{made}") == before


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_beyond_doubles_are_kept_or_refused_and_never_break_a_list(house: House, number: str) -> None:
    made = device(house, f"number-{random.random()}")
    bodies = (
        ("PUT", f"/gw/devices/{made}", f'{{"metadata":{{"n":{number}}}}}'),
        ("PUT", f"/gw/devices/{made}", f'{{"configuration":{{"ident":"n{number}","n":{number}}}}}'),
        ("PUT", f"/gw/devices/{made}", f'{{"media_ttl":{number}}}'),
        ("PUT", f"/gw/devices/{made}", f'{{"messages_rotate":{number}}}'),
        ("POST", f"/gw/devices/{made}/messages", f'[{{"timestamp":{number},"a":1}}]'),
        ("POST", f"/gw/devices/{made}/messages", f'[{{"timestamp":1700000000,"a":{number}}}]'),
        ("POST", "/platform/tokens", f'[{{"expire":{number}}}]'),
        ("POST", "/platform/tokens", f'[{{"ttl":{number}}}]'),
        ("POST", "/platform/tokens", f'[{{"ttl":60,"access":{{"type":{number}}}}}]'),
        ("POST", "/platform/tokens",
         f'[{{"ttl":60,"access":{{"type":2,"acl":[{{"uri":"gw/devices","methods":["GET"],"ids":[{number}]}}]}}}}]'),
        ("POST", f"/gw/devices/{made}/commands-queue",
         f'[{{"name":"x","ttl":{number},"properties":{{"n":{number}}}}}]'),
    )  # fmt: skip
    for method, path, body in bodies:
        answer = ask(house, method, path, body.encode())
        assert answer.status_code in (200, 400), (path, body, answer.text)
    for path in ("/gw/devices/all?fields=id,metadata,configuration,telemetry,media_ttl", "/platform/tokens/all",
                 f"/gw/devices/{made}/messages", f"/gw/devices/{made}/logs", f"/gw/devices/{made}/commands-queue/all",
                 quote(f"/gw/devices/{{metadata.n>{number}}}")):  # fmt: skip
        assert ask(house, "GET", path).status_code == 200, path
    for data in (f'{{"from":{number}}}', f'{{"to":{number}}}', f'{{"count":{number}}}', f'{{"item_type":{number}}}'):
        answer = ask(house, "GET", f"/gw/devices/{made}/logs?data={quote(data)}")
        assert answer.status_code in (200, 400), (data, answer.text)
    assert ask(house, "GET", f"/gw/devices/all?limit={number}").status_code in (200, 400)


def test_what_was_stored_comes_back_after_a_restart(tmp_path: Path) -> None:
    odd = {"n": 2**63, "f": 1e308, "t": "\u202e\U0001f69a"}
    seen = []
    key = ""
    for _ in range(2):
        inside = InsideHouse(tmp_path)
        try:
            key = key or inside.key
            if not seen:
                body = [{"device_type_id": GENERIC, "configuration": {"ident": "odd"}, "metadata": odd}]
                inside.ask("POST", "/gw/devices", body, key=key)
            seen.append(inside.ask("GET", "/gw/devices/all", key=key).json()["result"])
        finally:
            inside.close()
    assert seen[0][0]["metadata"] == odd
    assert seen[0] == seen[1]


# --- HTTP itself ------------------------------------------------------------------------------------------------------


def dial(house: House, door: str) -> socket.socket:
    """A connection to one of the doors, over TLS where it speaks that."""
    connection = socket.create_connection(("127.0.0.1", house.ports[door]), 20)
    if door != "https":
        return connection
    return ssl._create_unverified_context().wrap_socket(connection)


def raw(house: House, data: bytes, door: str = "http") -> bytes:
    """What the server says to bytes."""
    with dial(house, door) as connection:
        received = b""
        try:
            connection.sendall(data)
            while piece := connection.recv(65536):
                received += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
        return received


@pytest.mark.parametrize(("head", "allowed"), HEADS, ids=range(len(HEADS)))
def test_a_strange_head_is_refused(house: House, head: bytes, allowed: tuple[bytes, ...]) -> None:
    answer = raw(house, head)
    status = answer[9:12] if answer.startswith(b"HTTP/1.1 ") else b""
    assert any(status.startswith(each) if each else not status for each in allowed), answer[:300]
    assert house.client.get("/healthz").status_code == 200


@pytest.mark.parametrize("door", ["gallery", "https"])
def test_a_giant_head_is_refused_at_every_door(house: House, door: str) -> None:
    for head in (
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 20_000 + b"\r\n",
        b"GET /api/gallery/x/events HTTP/1.1\r\nAuthorization: " + b"k" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        assert raw(house, head, door)[9:12] in (b"431", b"400", b"414", b"")
    assert house.client.get("/healthz").status_code == 200


def websocket(house: House, door: str, frames: bytes = b"") -> bytes:
    """What is said to an upgrade, and to frames after it."""
    head = (
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )
    with dial(house, door) as connection:
        connection.sendall(head)
        received = connection.recv(65536)
        try:
            connection.sendall(frames)
            while frames and (piece := connection.recv(65536)):
                received += piece
                if received.partition(b"\r\n\r\n")[2]:
                    break
        except OSError:
            return b""
    return received


@pytest.mark.parametrize("name", FRAMES)
def test_a_strange_frame_ends_its_websocket(house: House, name: str) -> None:
    before = memory(house)
    said = websocket(house, "http", FRAMES[name]).partition(b"\r\n\r\n")[2]
    assert said == b"" or said[0] == 0x88, "closed, or cut off"
    assert memory(house) - before < 64 << 20
    assert house.client.get("/healthz").status_code == 200


def test_the_port_of_the_gallery_speaks_no_mqtt(house: House) -> None:
    assert websocket(house, "gallery").startswith(b"HTTP/1.1 403")


def test_requests_nobody_waits_for_are_not_gathered(house: House) -> None:
    """A read holds thousands of small requests; each that waits takes twenty times its bytes."""
    assert raw(house, b"GET /auth/regions HTTP/1.1\r\nHost: x\r\n\r\n" * 50_000).count(b"HTTP/1.1 ") < 50_000
    few = raw(house, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 99 + b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert few.count(b"HTTP/1.1 200") == 99, "some are answered in their order"


@pytest.fixture(scope="module", autouse=True)
def silent(house: House) -> Iterator[list[socket.socket]]:
    """Who says half a thing at the first test, and nothing more."""
    quiet = [dial(house, door) for door, _ in HALF]
    quiet += [socket.create_connection(("127.0.0.1", house.ports[door]), 20) for door, _ in UNSHAKEN]
    for connection, (_, said) in zip(quiet, [*HALF, *UNSHAKEN], strict=True):
        connection.sendall(said)
    yield quiet
    for connection in quiet:
        connection.close()


@pytest.mark.parametrize("rest", SMUGGLED, ids=range(len(SMUGGLED)))
def test_a_request_that_can_be_read_in_two_ways_is_the_last_of_its_connection(house: House, rest: bytes) -> None:
    head = b"POST /gw/devices HTTP/1.1\r\nHost: x\r\nAuthorization: " + house.key.encode() + b"\r\n"
    answer = raw(house, head + rest + SECOND)
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1 ") == 1


def chunked(house: House, *, key: str, end: bytes) -> bytes:
    """What is said to a creation in chunks, with these bytes after its last chunk."""
    head = f"POST /gw/devices HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{key}\r\n"
    return raw(house, head.encode() + b"2\r\n[]\r\n" + end)


def test_trailers_are_no_headers_and_come_to_an_end(house: House) -> None:
    authorization = f"Authorization: {house.key}\r\n"
    assert chunked(house, key="", end=f"0\r\n{authorization}\r\n".encode()).startswith(b"HTTP/1.1 401")
    assert chunked(house, key=authorization, end=b"0\r\n\r\n").startswith(b"HTTP/1.1 400"), "an empty list"
    for endless in (b"0\r\n" + b"X-A: b\r\n" * 100_000, b"0\r\nX-A: " + b"b" * 1_000_000, b"2;" + b"a" * 1_000_000):
        assert chunked(house, key=authorization, end=endless) == b"", "cut off: the request never ended"


@pytest.mark.parametrize(
    "ranges", ["0-0," * 1000 + "1-1", ",".join(f"{n}-" for n in range(500)), "1" * 5000 + "-", "0-" + "9" * 30, "a-b"]
)
def test_ranges_cost_one_file_at_most(house: House, ranges: str) -> None:
    made = device(house, f"ranges-{random.random()}")
    uuid = upload(house, made, JPEG, "a.jpg").json()["result"][0]["uuid"]
    answer = house.client.get(f"/media/{uuid}", headers={"Range": f"bytes={ranges}"})
    assert answer.status_code in (200, 206)
    assert answer.content == JPEG


@pytest.mark.parametrize("header", ["x-flespi-cid", "If-Modified-Since", "If-Range", "x-flespi-trace", "x-flespi-app"])
@pytest.mark.parametrize("text", ["9" * 5000, "-1", "\xb2", "Thu, 99 Foo 99999999999999999999 99:99:99 +99999999"])
def test_strange_headers_are_refused_or_ignored(house: House, header: str, text: str) -> None:
    made = device(house, f"header-{random.random()}")
    uuid = upload(house, made, JPEG, "a.jpg").json()["result"][0]["uuid"]
    for path in (f"/gw/devices/{made}", f"/media/{uuid}", f"/api/gallery/{made}/events"):
        headers = {name: value.encode("latin-1") for name, value in (house.headers | {header: text}).items()}
        answer = house.client.get(path, headers=headers | {"Range": b"bytes=0-"})
        assert answer.status_code in (200, 206, 400), (path, answer.text[:300])


async def test_slow_bodies_hold_up_nobody(house: House) -> None:
    writers = []
    for number in range(200):
        _, writer = await asyncio.open_connection("127.0.0.1", house.ports["http"])
        key = house.key if number % 2 else "x" * 64
        head = f"POST /gw/devices HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Length: 100000\r\n\r\n["
        writer.write(head.encode())
        writers.append(writer)
    answers = await asyncio.gather(
        *(asyncio.to_thread(ask, house, "GET", "/gw/devices/all?limit=1") for _ in range(20))
    )
    assert [answer.status_code for answer in answers] == [200] * 20
    for writer in writers:
        writer.transport.abort()


def test_nobody_without_a_token_gets_a_body_read(house: House) -> None:
    with dial(house, "http") as connection:
        connection.sendall(b"POST /gw/devices HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 401")


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_a_key_in_a_url_or_header_is_never_written_down(house: House) -> None:
    made = house.result("POST", "/platform/tokens", [{"ttl": 600, "info": "leaky"}])[0]
    key = made["key"]
    for path in (f"/gw/devices/all?token={key}", f"/gw/devices/{key}", f"/gw/devices/name={key}", f"/{key}",
                 f"/gw/FlespiToken%20{key}/x", f"/media/{key}", f"/gw/devices/all?Authorization=FlespiToken%20{key}",
                 f"/watch/{key}?token={key}", f"/gw/devices/%7Bname==%22{key}%22%7D"):  # fmt: skip
        for authorization in (house.headers["Authorization"], f"FlespiToken {key}", key):
            headers = {"X-Request-Id": key, "x-flespi-trace": key, "x-flespi-app": key}
            ask(house, "GET", path, Authorization=authorization, **headers)
    ask(house, "POST", f"/gw/devices?key={key}", b'[{"name":"' + key.encode() + b'"', Authorization=key)
    raw(house, f"GET /{key} HTTP/9.9\r\nAuthorization: {key}\r\n\r\n".encode())
    house.until(lambda: len(house.logged("request")) > 20, "requests are logged")
    written = house.log.read_text(errors="replace")
    assert key not in written
    logs = json.dumps(house.result("GET", "/platform/tokens/all/logs") + house.result("GET", "/platform/customer/logs"))
    assert key not in logs


def test_a_uuid_cannot_be_found_step_by_step(house: House) -> None:
    made = device(house, "guessed")
    uuids = [upload(house, made, photo(number)).json()["result"][0]["uuid"] for number in range(20)]
    bits = [int(uuid, 16) for uuid in uuids]
    assert len(set(uuids)) == 20
    assert all(
        any(value >> bit & 1 for value in bits) and any(~value >> bit & 1 for value in bits) for bit in range(256)
    )
    real = uuids[0]
    near = real[:-1] + ("0" if real[-1] != "0" else "1")
    guesses = [near, "0" * 64, "F" * 64, real[:32] + "0" * 32]
    for form in ("", "?preview=jpeg", "?preview=json", "/0.ts"):
        answers = [house.client.get(f"/media/{guess}{form}") for guess in guesses]
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.text for answer in answers}) == 1
        volatile = {"date", "x-request-id"}
        shown = [{k: v for k, v in answer.headers.items() if k not in volatile} for answer in answers]
        assert all(headers == shown[0] for headers in shown)
    assert house.client.get("/media/").status_code == house.client.get("/media").status_code == 404


# --- what others upload -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "content"), UPLOADS)
def test_nothing_uploaded_runs_on_our_origin(house: House, name: str, content: bytes) -> None:
    made = device(house, f"upload-{random.random()}")
    for data in (
        "{}",
        '{"type":"image","meta":{"mime":"text/html"}}',
        '{"type":"video","params":{"mime":"text/html"}}',
    ):
        parts = {"file": (name, content, "text/html"), "data": (None, data)}
        answer = house.client.post(f"/gw/devices/{made}/media", headers=house.headers, files=parts)
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 400:
            continue
        uuid = answer.json()["result"][0]["uuid"]
        for form in ("", "?preview=jpeg", "?preview=json"):
            shown = house.client.get(f"/media/{uuid}{form}", headers={"Accept": "text/html"})
            kind = shown.headers["content-type"].partition(";")[0]
            assert shown.headers["x-content-type-options"] == "nosniff"
            assert kind not in RUN
            policy = shown.headers.get("content-security-policy", "")
            assert form or re.match("(image|video|audio)/|application/pdf", kind) or "sandbox" in policy


def test_no_answer_is_a_page_that_holds_what_was_asked(house: House) -> None:
    for path in (f"/{quote('<script>')}", f"/gw/devices/{quote('<script>')}", f"/media/{quote('<script>')}"):
        answer = house.client.get(path, headers=house.headers | {"Accept": "text/html"})
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"


# --- nobody is sent anywhere ------------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """An address that must never be visited, and who came."""
    visits: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                visits.append(connection.recv(1000))

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}", visits
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(5)


def test_no_stored_address_makes_the_server_go_there(house: House, listener: tuple[str, list[bytes]]) -> None:
    url, visits = listener
    made = device(house, "elsewhere", metadata={"url": url, "avatar": f"{url}/x.png"})
    ask(house, "POST", "/gw/channels", json.dumps([{"protocol_id": 552, "configuration": {"uri": url}}]).encode())
    for path, body in (
        ("/platform/webhooks", {"name": "x", "triggers": [{"topic": "#"}],
                                "configuration": {"type": "custom-server", "uri": url, "method": "POST", "body": "x"}}),
        ("/gw/streams", {"name": "x", "protocol_id": 2, "configuration": {"uri": url}}),
        ("/gw/plugins", {"name": "x", "item_type": "item-fields", "configuration": {"uri": url}}),
    ):  # fmt: skip
        ask(house, "POST", path, json.dumps([body]).encode())
    playlists = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}/a.ts\n#EXT-X-ENDLIST\n".encode(),
        "list.mp4": f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\n{url}/a.ts\n".encode(),
        "list.txt": f"ffconcat version 1.0\nfile '{url}/a.mp4'\n".encode(),
        "list.mpd": f"<MPD><BaseURL>{url}/</BaseURL></MPD>".encode(),
        "s.sdp": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n",
        "x.svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}/x.png"/></svg>'.encode(),
        "x.avi": f"RIFF....AVI \n{url}".encode(),
    }
    for name, content in playlists.items():
        for data in ("{}", '{"type":"video"}'):
            parts = {"file": (name, content), "data": (None, data)}
            answer = house.client.post(f"/gw/devices/{made}/media", headers=house.headers, files=parts)
            assert answer.status_code in (200, 400)
    last = f"/media/{upload(house, made, photo(99), 'last.jpg').json()['result'][0]['uuid']}?preview=jpeg"
    house.until(lambda: house.client.get(last).status_code == 200, "what was uploaded has been processed")
    house.result("POST", f"/gw/devices/{made}/messages", [{"timestamp": 1_700_000_000, "url": url}])
    assert visits == []


# --- bombs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_stored_unread_and_the_next_picture_is_seen(house: House, name: str) -> None:
    made = device(house, f"bomb-{name}")
    answer = upload(house, made, BOMBS[name], name)
    assert answer.status_code in (200, 400), answer.text
    picture = upload(house, made, photo(3), "good.jpg").json()["result"][0]
    house.until(lambda: house.client.get(f"/media/{picture['uuid']}?preview=jpeg").status_code == 200, "a preview")
    if answer.status_code == 200:
        file = answer.json()["result"][0]
        assert house.client.get(f"/media/{file['uuid']}").content == BOMBS[name]
        preview = house.client.get(f"/media/{file['uuid']}?preview=jpeg")
        assert preview.status_code == 404 or max(Image.open(io.BytesIO(preview.content)).size) <= 1000


def test_a_zipped_body_is_not_unpacked(house: House) -> None:
    body = gzip.compress(b"[" + b" " * (64 << 20) + b"]")
    answer = ask(house, "POST", "/gw/devices", body, **{"Content-Encoding": "gzip"})
    assert answer.status_code in (400, 413, 415)


# --- at the same time -------------------------------------------------------------------------------------------------


async def test_concurrent_writes_never_tear_an_item(house: House) -> None:
    made = device(house, "contended")
    path = f"/gw/devices/{made}"

    async with httpx.AsyncClient(base_url=house.base, headers=house.headers, trust_env=False, timeout=60) as client:

        async def write(number: int) -> None:
            body = {"name": f"n{number}", "metadata": {"n": number, "list": [number] * 200}, "messages_rotate": number}
            assert (await client.put(path, json=body)).status_code == 200

        async def read() -> None:
            item = (await client.get(path)).json()["result"][0]
            number = item["metadata"].get("n", 0)
            if number:
                assert (item["name"], item["messages_rotate"]) == (f"n{number}", number)
                assert item["metadata"]["list"] == [number] * 200

        await asyncio.gather(*(write(number) if number % 3 else read() for number in range(1, 200)))

        async def merge(number: int) -> None:
            assert (await client.patch(path, json={"metadata": {f"k{number}": number}})).status_code == 200

        await asyncio.gather(*map(merge, range(60)))
    item = house.result("GET", path)[0]
    assert item["name"] == f"n{item['metadata']['n']}"
    assert all(item["metadata"][f"k{number}"] == number for number in range(60))
    house.until(lambda: house.result("GET", f"{path}/logs")[-1].get("new") == item, "the last change is logged last")


async def test_concurrent_creations_of_one_ident_make_one_device(house: House) -> None:
    kinds = house.result("GET", "/gw/channel-protocols/name=jt808/device-types/name=mdvr?fields=id")
    body = [{"device_type_id": kinds[0]["id"], "configuration": {"ident": "13980000001"}}]
    async with httpx.AsyncClient(base_url=house.base, headers=house.headers, trust_env=False, timeout=60) as client:
        answers = await asyncio.gather(*(client.post("/gw/devices", json=body) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19


# --- at the end -------------------------------------------------------------------------------------------------------


def test_who_said_half_a_thing_was_sent_away_meanwhile(silent: list[socket.socket]) -> None:
    """TLS handshakes and request heads that never end; open since the first test."""
    for connection in silent:
        try:
            while connection.recv(65536):
                pass
        except ConnectionResetError:
            pass
