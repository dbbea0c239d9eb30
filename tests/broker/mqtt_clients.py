"""Clients that others wrote, each as a subscriber and publisher of a few lines: do they get along with our broker?"""

from __future__ import annotations

import asyncio
import json
import queue
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gmqtt
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

WAIT_S = 20.0
"""A deadline for what takes milliseconds."""

PAHO_VERSIONS = {3: MQTTProtocolVersion.MQTTv31, 4: MQTTProtocolVersion.MQTTv311, 5: MQTTProtocolVersion.MQTTv5}


class PahoClient:
    """paho-mqtt with its messages in a queue."""

    def __init__(
        self,
        port: int,
        key: str,
        *,
        version: int = 5,
        client_id: str = "",
        transport: str = "tcp",
        tls: ssl.SSLContext | None = None,
        persistent: bool = False,
    ) -> None:
        said: dict[str, Any] = {} if version == 5 else {"clean_session": not persistent}
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=PAHO_VERSIONS[version], transport=transport, **said
        )
        self.received: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self.connected: queue.Queue[Any] = queue.Queue()
        self.client.on_message = lambda client, data, message: self.received.put(message)
        self.client.on_connect = lambda client, data, flags, reason, said: self.connected.put((flags, reason, said))
        self.granted: queue.Queue[Any] = queue.Queue()
        self.client.on_subscribe = lambda client, data, mid, reasons, said: self.granted.put(reasons)
        self.client.username_pw_set(f"FlespiToken {key}")
        if transport == "websockets":
            self.client.ws_set_options(path="/any/path")
        if tls is not None:
            self.client.tls_set_context(tls)
        self._properties: Properties | None = None
        if version == 5:
            self._properties = Properties(PacketTypes.CONNECT)
            self._properties.SessionExpiryInterval = 3600 if persistent else 0
        self._version, self._persistent, self._port = version, persistent, port

    def open(self) -> PahoClient:
        """Connect, and wait until the broker says welcome."""
        if self._version == 5:
            self.client.connect("127.0.0.1", self._port, clean_start=not self._persistent, properties=self._properties)
        else:
            self.client.connect("127.0.0.1", self._port)
        self.client.loop_start()
        self.flags, self.reason, self.said = self.connected.get(timeout=WAIT_S)
        assert not self.reason.is_failure, self.reason
        return self

    def subscribe(self, topic: str, qos: int = 1) -> PahoClient:
        """Subscribe, and wait until it counts."""
        self.client.subscribe(topic, qos)
        reasons = self.granted.get(timeout=WAIT_S)
        assert not reasons[0].is_failure, reasons
        return self

    def publish(self, topic: str, payload: str, qos: int = 1, retain: bool = False) -> None:
        """Publish, and wait until it is acknowledged."""
        self.client.publish(topic, payload, qos, retain).wait_for_publish(WAIT_S)

    def next(self) -> tuple[str, str]:
        """Topic and payload of the next message."""
        message = self.received.get(timeout=WAIT_S)
        return message.topic, message.payload.decode()

    def close(self) -> None:
        """Say goodbye."""
        self.client.disconnect()
        self.client.loop_stop()


async def gmqtt_round(port: int, key: str, tls: ssl.SSLContext | None, version: int) -> tuple[str, str]:
    """Subscribe, publish and receive with gmqtt; topic and payload of what came."""
    client = gmqtt.Client("gmqtt-test", clean_session=True)
    client.set_auth_credentials(f"FlespiToken {key}", None)
    came: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
    granted = asyncio.Event()

    def on_message(client: Any, topic: str, payload: bytes, qos: int, properties: Any) -> int:
        if not came.done():
            came.set_result((topic, payload.decode()))
        return 0

    client.on_message = on_message
    client.on_subscribe = lambda *_: granted.set()
    await client.connect("127.0.0.1", port, ssl=tls or False, version=version, keepalive=30)
    client.subscribe("test/gmqtt/+", qos=1)
    await asyncio.wait_for(granted.wait(), WAIT_S)
    client.publish("test/gmqtt/a", "from gmqtt", qos=1)
    try:
        return await asyncio.wait_for(came, WAIT_S)
    finally:
        await client.disconnect()


class Mosquitto:
    """mosquitto_sub, a line of output a message (its own debug lines are buffered without `stdbuf`)."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-v", "-d", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.until(lambda line: "Subscribed" in line)

    def until(self, wanted: Callable[[str], bool]) -> str:
        """The next line that is wanted."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            line = self.process.stdout.readline()
            if not line:
                raise AssertionError("mosquitto_sub ended")
            if wanted(line):
                return line.rstrip("\n")
        raise AssertionError("the line did not come")

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def mosquitto_pub(*arguments: str) -> None:
    """Publish with mosquitto_pub; it must succeed."""
    subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", *arguments], check=True, timeout=WAIT_S)


_NODE = """
import mqtt from 'mqtt'
const { url, key, version, ca } = JSON.parse(process.argv[1])
const client = mqtt.connect(url, { username: `FlespiToken ${key}`, protocolVersion: version,
  protocolId: version === 3 ? 'MQIsdp' : 'MQTT', ca, reconnectPeriod: 0, clean: true })
client.on('error', (error) => { console.error(error); process.exit(1) })
client.on('connect', (connack) => client.subscribe('test/js/+', { qos: 1 }, () =>
  client.publish('test/js/a', 'from MQTT.js', { qos: 1 })))
client.on('message', (topic, payload, packet) => {
  console.log(JSON.stringify({ topic, payload: payload.toString(), said: packet.properties?.userProperties ?? null }))
  client.end(false, () => process.exit(0))
})
"""


def mqtt_js(url: str, key: str, version: int, authority: Path | None = None) -> dict[str, Any]:
    """Subscribe, publish and receive with MQTT.js in Node; what came."""
    said = {"url": url, "key": key, "version": version, "ca": authority.read_text() if authority else None}
    web = Path(__file__).parents[2] / "web"
    done = subprocess.run(
        ["node", "--input-type=module", "-e", _NODE, json.dumps(said)],
        cwd=web, capture_output=True, text=True, timeout=WAIT_S * 2,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result
