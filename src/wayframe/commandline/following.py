"""Hearing what happens on a server, over MQTT 5 on a WebSocket of its HTTP port: nothing is missed over short breaks.

The session outlives a broken connection by a minute, and messages come with QoS 1: what was sent meanwhile comes then.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from typing import Any

from websockets.exceptions import InvalidURI, WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from wayframe.mqtt import V5, Ack, Connack, Connect, Framer, Malformed, MqttError, PacketType, Publish, Subscribe, Wish
from wayframe.mqtt.packets import Disconnect, Packet, Ping, Suback, decode, encode

from .client import Api, patiently
from .errors import CommandError, Unreachable

_KEEP_ALIVE_S = 30
_SESSION_S = 60
_LARGEST = 16 << 20
_OPEN_S = 10.0


class Follower:
    """One session. `open` subscribes; `events` then yields what is published, over any number of connections."""

    def __init__(self, api: Api, topic: str, patience_s: float) -> None:
        self._api = api
        self._topic = topic
        self._patience_s = patience_s
        self._client_id = f"wayframe-cli-{secrets.token_hex(8)}"
        self._socket: ClientConnection | None = None
        self._framer = Framer(_LARGEST)
        self._waiting: list[Packet] = []
        self._pinged = False

    def open(self) -> None:
        """Connect and subscribe. Raises CommandError."""
        access = self._api.call("GET", "/auth/info")[0].get("access", {})
        # A server may take a subscription that is not allowed and stay silent, so the token is asked first.
        allowed = access.get("type") != 2 or any(entry.get("uri") == "mqtt" for entry in access.get("acl", []))
        reason = 0x87
        if allowed:
            self._connect()
            (reason,) = self._subscribed()
        if reason >= 0x80:
            raise CommandError(f"the token may not follow {self._topic}: it needs the right to subscribe over mqtt")

    def events(self) -> Iterator[dict[str, Any]]:
        """Payloads that are JSON objects, for ever. Raises CommandError when the server stays away."""
        while True:
            try:
                packet = self._next()
            except Unreachable:
                patiently(self._connect, self._patience_s)
                continue
            if isinstance(packet, Publish):
                if packet.qos:
                    self._send(Ack(PacketType.PUBACK, packet.packet_id))
                with contextlib.suppress(ValueError):
                    event = json.loads(packet.payload)
                    if isinstance(event, dict):
                        yield event
            elif isinstance(packet, Disconnect) and packet.reason in (0x87, 0x98):
                raise CommandError("the server ended the session: the token is not valid any more")

    def close(self) -> None:
        """End the session; the server keeps nothing of it."""
        if self._socket is not None:
            with contextlib.suppress(WebSocketException, OSError):
                self._socket.send(encode(Disconnect(0, {"session_expiry_interval": 0}), V5))
            self._drop()

    def _drop(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(WebSocketException, OSError):
                self._socket.close()
        self._socket, self._framer, self._waiting = None, Framer(_LARGEST), []

    def _connect(self) -> None:
        self._drop()
        address = "ws" + self._api.url.removeprefix("http")
        try:
            self._socket = connect(
                address, subprotocols=[Subprotocol("mqtt")], open_timeout=_OPEN_S, max_size=_LARGEST, compression=None
            )
        except (OSError, WebSocketException, TimeoutError) as error:
            if isinstance(error, InvalidURI):
                raise CommandError(f"{self._api.url!r} is no address; http://host:8080 is wanted", 2) from None
            raise Unreachable(f"no MQTT over WebSocket answers at {address}: {error}") from None
        said = {"session_expiry_interval": _SESSION_S, "maximum_packet_size": _LARGEST}
        username = f"FlespiToken {self._api.token}"
        self._send(Connect(V5, self._client_id, False, _KEEP_ALIVE_S * 2, username, properties=said))
        answer = self._next()
        if not isinstance(answer, Connack) or answer.reason:
            reason = answer.reason if isinstance(answer, Connack) else 0
            if reason in (0x88, 0x89, 0x97, 0x9F):
                raise Unreachable(f"the server has no time now (MQTT reason 0x{reason:02x})")
            raise CommandError(f"the token is refused over MQTT (reason 0x{reason:02x}); check --token")
        if not answer.session_present:
            self._send(Subscribe(1, [Wish(self._topic, 1, retain_handling=2)]))

    def _subscribed(self) -> list[int]:
        early: list[Packet] = []
        while not isinstance(packet := self._next(), Suback):
            early.append(packet)
        self._waiting = early + self._waiting
        return packet.reasons

    def _next(self) -> Packet:
        """The next packet. Raises Unreachable where the connection is gone."""
        while True:
            if self._waiting:
                return self._waiting.pop(0)
            assert self._socket is not None
            try:
                data = self._socket.recv(_KEEP_ALIVE_S)
            except TimeoutError:
                if self._pinged:
                    raise Unreachable(f"{self._api.url} fell silent") from None
                self._pinged = True
                self._send(Ping(PacketType.PINGREQ))
                continue
            except (WebSocketException, OSError) as error:
                raise Unreachable(f"the connection to {self._api.url} broke: {error}") from None
            self._pinged = False
            try:
                packets = self._framer.feed(data if isinstance(data, bytes) else data.encode())
                self._waiting += [decode(first, body, V5) for first, body in packets]
            except (MqttError, Malformed) as error:
                raise CommandError(f"{self._api.url} speaks no MQTT that can be read: {error}") from None

    def _send(self, packet: Packet) -> None:
        assert self._socket is not None
        try:
            self._socket.send(encode(packet, V5))
        except (WebSocketException, OSError) as error:
            raise Unreachable(f"the connection to {self._api.url} broke: {error}") from None
