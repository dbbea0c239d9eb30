"""Clients that others wrote get along with the broker: over TCP, TLS and WebSocket, in 3.1, 3.1.1 and 5.0."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from mqtt_clients import Mosquitto, PahoClient, gmqtt_round, mosquitto_pub, mqtt_js

from e2e.house import House

pytestmark = pytest.mark.slow
DOORS = [
    ("tcp", "mqtt", False),
    ("tcp", "mqtts", True),
    ("websockets", "http", False),
    ("websockets", "mqtt_ws", False),
    ("websockets", "https", True),
    ("websockets", "mqtt_wss", True),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("clients"), public_url="http://localhost:1").start()
    yield house
    house.close()


def _authority(house: House) -> Path:
    return house.folder / "data" / "tls" / "ca.pem"


def _tls(house: House) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(_authority(house)))


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize(("transport", "door", "secure"), DOORS)
def test_paho(server: House, transport: str, door: str, secure: bool, version: int) -> None:
    tls = _tls(server) if secure else None
    client = PahoClient(
        server.ports[door], server.key, version=version, client_id="paho", transport=transport, tls=tls
    ).open()
    with contextlib.closing(client):
        client.subscribe("test/paho/+")
        for qos in (0, 1):
            client.publish("test/paho/a", f"qos {qos}", qos)
            assert client.next() == ("test/paho/a", f"qos {qos}")
        client.publish("test/paho/big", "x" * 500_000)
        assert client.next() == ("test/paho/big", "x" * 500_000)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(("door", "secure"), [("mqtt", False), ("mqtts", True)])
def test_gmqtt(server: House, door: str, secure: bool, version: int) -> None:
    tls = _tls(server) if secure else None
    assert asyncio.run(gmqtt_round(server.ports[door], server.key, tls, version)) == ("test/gmqtt/a", "from gmqtt")


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize(("scheme", "door"), [("mqtt", "mqtt"), ("mqtts", "mqtts"), ("ws", "http"), ("wss", "https")])
def test_mqtt_js(server: House, scheme: str, door: str, version: int) -> None:
    said = mqtt_js(f"{scheme}://localhost:{server.ports[door]}/", server.key, version, _authority(server))
    assert (said["topic"], said["payload"]) == ("test/js/a", "from MQTT.js")
    if version == 5:
        assert said["said"]["cid"] == "1"
        assert float(said["said"]["timestamp"]) > 1.7e9


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
@pytest.mark.parametrize("secure", [False, True])
def test_mosquitto(server: House, version: str, secure: bool) -> None:
    door = ["-p", str(server.ports["mqtt"])]
    if secure:
        door = ["-p", str(server.ports["mqtts"]), "--cafile", str(_authority(server))]
    door += ["-V", version, "-u", f"FlespiToken {server.key}"]
    with contextlib.closing(Mosquitto(*door, "-q", "1", "-t", "test/mosquitto/#")) as subscriber:
        mosquitto_pub(*door, "-q", "1", "-t", "test/mosquitto/a/b", "-m", "from mosquitto")
        line = subscriber.until(lambda line: line.startswith("test/"))
    assert line == "test/mosquitto/a/b from mosquitto"


def test_connack_of_5_carries_the_token(server: House) -> None:
    client = PahoClient(server.ports["mqtt"], server.key).open()
    with contextlib.closing(client):
        told = dict(client.said.UserProperty)
    assert '"cid":1' in told["token"]
    assert server.key not in told["token"]
