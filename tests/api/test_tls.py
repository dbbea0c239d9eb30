"""The TLS door: the same application on one origin, with the certificate of the node's own authority."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from inside import InsideHouse
from wayframe.certificates import LocalAuthority


@pytest.fixture
def settings() -> dict[str, Any]:
    return {"tls": "on", "public_url": "", "metrics_token": "let-me-see", "trusted_proxies": "127.0.0.1"}


@pytest.fixture
def house(tmp_path: Path, settings: dict[str, Any]) -> Iterator[InsideHouse]:
    made = InsideHouse(tmp_path, **settings)
    yield made
    made.close()


def client(house: InsideHouse, folder: str = "tls") -> httpx.Client:
    """A client that knows this node's authority and nobody else's."""
    trusting = ssl.create_default_context(cafile=house.folder / "data" / folder / "ca.pem")
    port = house.node.https.port if house.node.https else 0
    return httpx.Client(base_url=f"https://localhost:{port}", verify=trusting, trust_env=False)


def test_rest_media_and_pages_are_on_one_origin(house: InsideHouse) -> None:
    file = house.upload(house.device(), b"\xff\xd8\xff\xd9")
    with client(house) as secure:
        assert secure.get("/gw/devices/all").status_code == 401
        headers = {"Authorization": f"FlespiToken {house.key}"}
        assert secure.get("/gw/devices/all", headers=headers).json()["result"][0]["name"] == "truck"
        assert secure.get(f"/media/{file['uuid']}").content == b"\xff\xd8\xff\xd9"
        assert secure.get(f"/watch/{file['uuid']}").status_code == 200


def test_regions_name_the_tls_door(house: InsideHouse) -> None:
    """Clients that find a private server at all found it over TLS (rest-api.md 1.1)."""
    with client(house) as secure:
        (region,) = secure.get("/auth/regions").json()["result"]
    assert house.node.https is not None
    host = house.node.settings.tls_names[0]
    assert region["rest"] == f"https://{host}:{house.node.https.port}"
    assert region["media"] == region["rest"] + "/media"
    assert region["mqtt-ws"] == f"{host}:{house.node.https.port}"
    assert region["mqtt"] == f"{host}:{house.node.mqtt.tls_port}"


def test_a_client_without_the_authority_is_warned(house: InsideHouse) -> None:
    assert house.node.https is not None
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"https://localhost:{house.node.https.port}/healthz", trust_env=False)


def test_a_new_certificate_is_served_without_a_restart(house: InsideHouse) -> None:
    LocalAuthority(house.node.settings.tls_dir, ["new.example"]).prepare(house.node.clock.now())
    assert house.node.certificate is not None
    house.node.certificate.refresh()
    assert house.node.https is not None
    trusting = ssl.create_default_context(cafile=house.node.settings.tls_dir / "ca.pem")
    with httpx.Client(verify=trusting, trust_env=False) as secure:
        url = f"https://127.0.0.1:{house.node.https.port}/healthz"
        answer = secure.get(url, extensions={"sni_hostname": "new.example"})
    assert answer.status_code == 200


def test_metrics_ask_for_their_token(house: InsideHouse) -> None:
    assert house.ask("GET", "/metrics").status_code == 401
    assert house.ask("GET", "/metrics", headers={"Authorization": "Bearer let-me-see"}).status_code == 200


def test_a_trusted_proxy_names_the_client(house: InsideHouse) -> None:
    """A token bound to an address: behind the proxy it is the client's that counts."""
    key = house.token(ips="203.0.113.9")
    assert house.ask("GET", "/auth/info", key=key).status_code == 403
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    assert house.ask("GET", "/auth/info", key=key, headers=forwarded).status_code == 200


@pytest.mark.parametrize("settings", [{"trusted_proxies": "192.0.2.0/24"}])
def test_nobody_else_may_name_it(house: InsideHouse) -> None:
    key = house.token(ips="203.0.113.9")
    assert house.ask("GET", "/auth/info", key=key, headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 403


@pytest.mark.parametrize("settings", [{"tls": "off", "public_url": "https://video.example.com"}])
def test_behind_a_proxy_there_is_no_tls_door(house: InsideHouse) -> None:
    assert house.node.https is None
    assert not house.node.settings.tls_dir.exists()
    (region,) = house.result("GET", "/auth/regions", key="")
    assert (region["rest"], region["mqtt-ws"]) == ("https://video.example.com", "video.example.com:443")
