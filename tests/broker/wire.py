"""An MQTT client of few words over a TCP socket: it sends what a test says, right or wrong, and hands on what comes."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from wayframe.mqtt import V5, Ack, Connack, Connect, Framer, Packet, PacketType, Publish, Subscribe, Unsubscribe, Wish
from wayframe.mqtt.packets import Disconnect, Ping, Suback, decode, encode

P = TypeVar("P")
_TIMEOUT_S = 20
_names = itertools.count(1)


def fresh(prefix: str = "c") -> str:
    """A name nobody used yet: for topics and client identifiers."""
    return f"{prefix}{next(_names)}"


class Wire:
    """One connection."""

    def __init__(self, port: int, key: str, version: int = V5) -> None:
        self.key = key
        self.version = version
        self.socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._framer = Framer(1 << 28)
        self._came: list[tuple[int, bytes]] = []
        self._held: list[Packet] = []
        self._ids = itertools.count(1)

    def close(self) -> None:
        """Drop the line, as a network does."""
        with suppress(OSError):
            self.socket.close()

    # --- out ----------------------------------------------------------------------------------------------------

    def send(self, *packets: Packet | bytes) -> None:
        """Send packets, or bytes as they are, in one go."""
        self.socket.sendall(
            b"".join(each if isinstance(each, bytes) else encode(each, self.version) for each in packets)
        )

    def connect(
        self,
        client_id: str | None = None,
        *,
        clean: bool = True,
        keep_alive: int = 0,
        will: object = None,
        **said: object,
    ) -> Connack:
        """CONNECT with the token; the answer, which must be a CONNACK."""
        client_id = fresh() if client_id is None else client_id
        properties = dict(said) if self.version == V5 else {}
        self.send(Connect(self.version, client_id, clean, keep_alive, self.key, None, will, properties))  # type: ignore[arg-type]  # a Will
        return self.take(Connack)

    def publish(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 0,
        *,
        retain: bool = False,
        packet_id: int = 0,
        **said: object,
    ) -> Ack | None:
        """PUBLISH, and what comes for it; QoS 2 is gone through to its end."""
        packet_id = packet_id or (next(self._ids) if qos else 0)
        self.send(Publish(topic, payload, qos, retain, packet_id=packet_id, properties=dict(said)))
        if not qos:
            return None
        held = []
        while isinstance(answer := self.receive(), Publish):  # its own subscriptions may come first
            held.append(answer)
        self._held = held
        assert isinstance(answer, Ack), answer
        assert answer.packet_id == packet_id
        assert answer.type is (PacketType.PUBACK if qos == 1 else PacketType.PUBREC)
        if qos == 2 and answer.reason < 0x80:
            self.send(Ack(PacketType.PUBREL, packet_id))
            assert self.take(Ack) == Ack(PacketType.PUBCOMP, packet_id)
        return answer

    def subscribe(self, *wishes: Wish | str, **said: object) -> list[int]:
        """SUBSCRIBE (a text is a wish for the highest QoS); the reasons."""
        packet_id = next(self._ids)
        listed = [Wish(each, 2) if isinstance(each, str) else each for each in wishes]
        self.send(Subscribe(packet_id, listed, dict(said)))
        answer = self.take(Suback)
        assert (answer.type, answer.packet_id) == (PacketType.SUBACK, packet_id)
        return answer.reasons

    def unsubscribe(self, *filters: str) -> list[int]:
        """UNSUBSCRIBE; the reasons."""
        packet_id = next(self._ids)
        self.send(Unsubscribe(packet_id, list(filters)))
        answer = self.take(Suback)
        assert (answer.type, answer.packet_id) == (PacketType.UNSUBACK, packet_id)
        return answer.reasons

    def ack(self, kind: PacketType, packet_id: int, reason: int = 0) -> None:
        """PUBACK, PUBREC, PUBREL or PUBCOMP."""
        self.send(Ack(kind, packet_id, reason))

    def leave(self, reason: int = 0, **said: object) -> None:
        """DISCONNECT, and wait until the server closed too."""
        self.send(Disconnect(reason, dict(said)))
        assert self.rest() == []

    # --- in -----------------------------------------------------------------------------------------------------

    def receive(self) -> Packet:
        """The next packet. Raises EOFError at the end, TimeoutError if nothing comes."""
        if self._held:
            return self._held.pop(0)
        while not self._came:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError
            self._came = self._framer.feed(data)
            assert self._framer.error is None, self._framer.error
        return decode(*self._came.pop(0), self.version)

    def take(self, kind: type[P]) -> P:
        """The next packet, which must be of this kind."""
        packet = self.receive()
        assert isinstance(packet, kind), packet
        return packet

    def message(self, *, answer: bool = True) -> Publish:
        """The next packet, which must be a PUBLISH; it is acknowledged to its end."""
        packet = self.take(Publish)
        if answer and packet.qos == 1:
            self.ack(PacketType.PUBACK, packet.packet_id)
        elif answer and packet.qos == 2:
            self.ack(PacketType.PUBREC, packet.packet_id)
            assert self.take(Ack) == Ack(PacketType.PUBREL, packet.packet_id)
            self.ack(PacketType.PUBCOMP, packet.packet_id)
        return packet

    def messages(self) -> list[Publish]:
        """Everything that was sent until a PINGREQ was answered, which must be messages."""
        self.send(Ping(PacketType.PINGREQ))
        found = []
        while not isinstance(packet := self.receive(), Ping):
            assert isinstance(packet, Publish), packet
            if packet.qos == 1:
                self.ack(PacketType.PUBACK, packet.packet_id)
            found.append(packet)
        return found

    def silent(self) -> bool:
        """Whether nothing came: a PINGREQ is answered at once."""
        self.send(Ping(PacketType.PINGREQ))
        return self.receive() == Ping(PacketType.PINGRESP)

    def rest(self) -> list[Packet]:
        """What comes until the server closes."""
        found = []
        while True:
            try:
                found.append(self.receive())
            except EOFError:
                return found

    def farewell(self) -> int:
        """The reason of a DISCONNECT that comes next, after which the server closes."""
        *others, last = self.rest()
        assert others == []
        assert isinstance(last, Disconnect), last
        assert "session_expiry_interval" not in last.properties
        return last.reason

    def closed(self) -> bool:
        """Whether the server closes without a word."""
        return self.rest() == []


Open = Callable[..., Wire]
