"""What every answer of the HTTP door has in common."""

from __future__ import annotations

import socket

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from inside import InsideHouse, until
from wayframe.api import server


def test_preflight_needs_no_token_and_names_what_browsers_ask_for(house: InsideHouse) -> None:
    answer = house.ask("OPTIONS", "/gw/devices/all", key="")
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    allowed = answer.headers["access-control-allow-headers"].lower()
    for name in ("authorization", "content-type", "x-flespi-app", "x-flespi-cid", "x-flespi-trace", "range"):
        assert name in allowed
    assert "PATCH" in answer.headers["access-control-allow-methods"]


@pytest.mark.parametrize("path", ["/gw/devices/all", "/nothing", "/media/x", "/healthz"])
def test_every_answer_may_be_read_by_other_origins_and_has_an_id(house: InsideHouse, path: str) -> None:
    answer = house.ask("GET", path, headers={"X-Request-Id": "mine-1"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "Content-Range" in answer.headers["access-control-expose-headers"]
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(house.ask("GET", path, headers={"X-Request-Id": "bad id"}).headers["x-request-id"]) == 32


@pytest.mark.parametrize("path", ["//gw/devices/all", "/gw//devices/all/", "/gw/devices/all/?fields=id"])
def test_slashes_more_or_less_do_no_harm(house: InsideHouse, path: str) -> None:
    house.result("GET", house.url + path)


def test_wrong_paths_and_methods(house: InsideHouse) -> None:
    house.refusal("GET", "/gw/nothing", status=404)
    answer = house.ask("GET", "/gw/devices")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    house.refusal("DELETE", "/healthz", status=405)
    house.refusal("GET", "/gw/devices/{open", status=400)


def test_a_body_over_the_limit_is_413(house: InsideHouse) -> None:
    url = f"{house.narrow_url}/gw/devices"
    house.refusal("POST", url, b"[" + b" " * 2000 + b"]", status=413)
    head = {"Authorization": f"FlespiToken {house.key}"}
    pieces = (b" " * 100 for _ in range(30))
    assert httpx.post(url, content=pieces, headers=head, trust_env=False).status_code == 413


def test_a_body_that_does_not_come_is_408(house: InsideHouse) -> None:
    with socket.create_connection(("127.0.0.1", house.narrow.port), 10) as connection:
        head = f"POST /gw/devices HTTP/1.1\r\nHost: x\r\nAuthorization: {house.key}\r\nContent-Length: 100\r\n\r\n["
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")


def test_a_head_without_end_is_cut_off(house: InsideHouse) -> None:
    with socket.create_connection(("127.0.0.1", house.narrow.port), 10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        try:
            for _ in range(100):
                connection.sendall(b"x" * 10_000)
            assert connection.recv(65536).startswith(b"HTTP/1.1 431")
        except (BrokenPipeError, ConnectionResetError):
            pass


def test_a_web_socket_waits_for_no_further_head(house: InsideHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be silent for as long as its own protocol lets it; a connection that brings no head is closed."""
    monkeypatch.setattr(server, "_HEAD_S", 0.2)
    address = ("127.0.0.1", house.node.http.port)
    with connect(f"ws://127.0.0.1:{address[1]}/", subprotocols=[Subprotocol("mqtt")], proxy=None) as quiet:
        with socket.create_connection(address, 10) as silent:
            assert silent.recv(1) == b"", "its time for a head is over, and began after that of the other"
        assert quiet.ping().wait(10)


def test_head_of_an_api_path_has_no_body(house: InsideHouse) -> None:
    answer = house.ask("HEAD", "/gw/devices/all")
    assert (answer.status_code, answer.content) == (200, b"")


def test_health_readiness_metrics(house: InsideHouse) -> None:
    assert house.ask("GET", "/healthz", key="").json() == {"status": "ok"}
    assert house.ask("GET", "/readyz", key="").json() == {"status": "ok"}
    text = house.ask("GET", "/metrics", key="").text
    assert 'wayframe_http_requests_total{method="GET",route="/healthz",status="200"}' in text
    guarded = f"{house.narrow_url}/metrics"
    house.refusal("GET", guarded, status=401, key="")
    assert house.ask("GET", guarded, key="", headers={"Authorization": "Bearer only-for-metrics"}).status_code == 200


def test_the_access_line_holds_neither_keys_nor_whole_uuids(house: InsideHouse) -> None:
    secret = "A1" * 32
    house.ask("GET", f"{house.narrow_url}/media/{secret}?token={house.key}", key="")
    until(lambda: any(access.path.startswith("/media") for access in house.seen))  # told after the answer has gone
    seen = next(access for access in reversed(house.seen) if access.path.startswith("/media"))
    assert seen.path == f"/media/{secret[:8]}…"
    assert (seen.status, seen.route, seen.method) == (404, "/media/{uuid}", "GET")
    assert house.key not in str(seen)


def test_pages_run_own_scripts_only(house: InsideHouse) -> None:
    for path in ("/docs", f"/watch/{'A' * 64}", "/login", "/login/", "/formbox", "/formbox/"):
        page = house.ask("GET", path, key="")
        if page.status_code == 503:
            assert "not built" in page.json()["errors"][0]["reason"]
            continue
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "<script>" not in page.text
        script = page.text.partition('src="')[2].partition('"')[0]
        asset = house.ask("GET", script, key="")
        assert asset.headers["content-type"].startswith("text/javascript")
        assert "immutable" in asset.headers["cache-control"]
    assert house.ask("GET", "/assets/..%2F..%2Fnode.py", key="").status_code == 404


@pytest.mark.parametrize(("path", "ancestors"), [("/login/", "'none'"), ("/formbox", "*"), (f"/watch/{'A' * 64}", "*")])
def test_what_may_frame_a_page(house: InsideHouse, path: str, ancestors: str) -> None:
    policy = house.ask("GET", path, key="").headers["content-security-policy"]
    assert policy.endswith(f"frame-ancestors {ancestors}")


def test_the_form_talks_to_nobody_but_the_page_around_it(house: InsideHouse) -> None:
    assert "connect-src 'none'" in house.ask("GET", "/formbox", key="").headers["content-security-policy"]


def test_the_description_is_served(house: InsideHouse) -> None:
    document = house.ask("GET", "/openapi.json", key="").json()
    assert "/gw/devices/{devices}/media" in document["paths"]
    assert house.ask("GET", "/", key="").status_code == 302


def test_a_busy_token_is_told_when_to_come_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    strict = InsideHouse(tmp_path_factory.mktemp("strict"), requests_per_second=0.001, requests_burst=2)
    try:
        statuses = [strict.ask("GET", "/auth/info").status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert int(strict.ask("GET", "/auth/info").headers["retry-after"]) > 1
    finally:
        strict.close()


def test_stopping_ends_what_is_going_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    stopped = InsideHouse(tmp_path_factory.mktemp("stopping"))
    device = stopped.device("cut")
    connection = socket.create_connection(("127.0.0.1", stopped.narrow.port), 10)
    head = f"POST /gw/devices/{device}/media HTTP/1.1\r\nHost: x\r\nAuthorization: {stopped.key}\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000\r\n\r\n--x\r\n"
    connection.sendall(head.encode())
    stopped.close()
    connection.close()
    assert stopped.temporary_files() == []
