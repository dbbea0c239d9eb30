"""Client packages that others wrote for flespi, from PyPI and unmodified: they know one address, https://flespi.io.

It leads here as docs/how-to/use-clients-for-flespi.md says: the name resolves to this server, whose certificate is
for that name and signed by an authority the client trusts.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flespi.rest import FlespiClient  # type: ignore[import-untyped]  # MIT
from flespi_gateway.gateway import Device  # type: ignore[import-untyped]  # BSD

from .house import House

HOST = "flespi.io"
IDENT = "352093080000001"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server whose certificate is for their host, too."""
    folder = tmp_path_factory.mktemp("house")
    made = [sys.executable, "-m", "wayframe", "tls", "init", "--name", HOST]
    subprocess.run(made, env={"WAYFRAME_DATA_DIR": str(folder / "data")}, check=True, capture_output=True, timeout=60)
    house = House(folder)
    yield house.start()
    house.close()


@pytest.fixture(autouse=True)
def led_here(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's name resolves to our TLS port, and our authority is trusted; nothing of the clients is touched."""
    resolve: Callable[..., list[Any]] = socket.getaddrinfo

    def resolved(host: str, port: int, *more: Any, **said: Any) -> list[Any]:
        if (host, port) == (HOST, 443):
            return resolve("127.0.0.1", house.ports["https"], socket.AF_INET, socket.SOCK_STREAM)
        return resolve(host, port, *more, **said)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(house.folder / "data" / "tls" / "ca.pem"))


def test_the_rest_client_of_golden_m(house: House) -> None:
    client = FlespiClient(house.key)
    body = [{"name": "Van", "device_type_id": 171, "configuration": {"ident": IDENT}}]
    made = client.post("/gw/devices", body)
    assert (made["error"], made["code"]) == (False, 200)
    device = made["message"]["result"][0]["id"]
    assert client.get("/gw/devices/all?fields=id")["message"] == {"result": [{"id": device}]}
    renamed = client.put(f"/gw/devices/{device}", {"name": "Van 2"})
    assert renamed["message"]["result"][0]["name"] == "Van 2"
    nobody = client.get("/gw/devices/9999")
    assert (nobody["error"], nobody["code"], nobody["message"]["errors"][0]["id"]) == (True, 404, 9999)
    stranger = FlespiClient("x" * 64).get("/gw/devices/all")
    assert (stranger["code"], stranger["message"]["errors"][0]["reason"]) == (401, "unknown token")
    assert client.delete(f"/gw/devices/{device}")["message"]["result"][0]["id"] == device


def test_the_gateway_client_of_vlavrik(house: House) -> None:
    body = [{"name": "Lorry", "device_type_id": 171}]
    number = house.result("POST", "/gw/devices", body)[0]["id"]
    messages = [{"timestamp": 1700000000 + second, "position.speed": second} for second in range(25)]
    house.result("POST", f"/gw/devices/{number}/messages", messages)
    device = Device(device_number=number, flespi_token=house.key)
    assert [item["id"] for item in device.get_devices(all=True)["result"]] == [number]
    assert device.get_devices()["result"][0]["name"] == "Lorry"
    window = {"from": 1700000000, "to": 1700000100}
    assert [one["position.speed"] for one in device.get_messages(data=window)["result"]] == list(range(25))
    batches = list(device.iter_messages_since(1700000000, 1700000100, count=10, fields="position.speed,timestamp"))
    assert [len(batch) for batch in batches] == [10, 10, 5]
    assert [one["position.speed"] for batch in batches for one in batch] == list(range(25))
    telemetry = device.get_telemetry()["result"][0]
    assert telemetry["telemetry"]["position.speed"] == {"value": 24, "ts": 1700000024}
    assert device.get_connections() == {"result": []}
    assert device.get_settings() == {"result": []}
    assert device.get_packets() == {"result": []}
    logs = device.get_logs({"data": '{"from":1700000000}'})["result"]
    assert logs[0]["item_data"]["name"] == "Lorry"
    house.result("DELETE", f"/gw/devices/{number}")


def test_without_our_authority_they_do_not_talk(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    refused = FlespiClient(house.key).get("/gw/devices/all")
    assert refused["error"] is True
    assert "certificate verify failed" in str(refused["reason"]).lower()
