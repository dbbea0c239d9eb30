"""The smallest broker that a connection can talk to: topics compared as they are, a store that is durable on demand."""

from __future__ import annotations

from dataclasses import dataclass, field

from wayframe.mqtt import (
    V5,
    V311,
    Ack,
    Connack,
    Connect,
    Connection,
    ConnectionLimits,
    Delivery,
    Drops,
    Framer,
    Message,
    Packet,
    PacketType,
    Properties,
    Publish,
    Reason,
    Session,
    SessionLimits,
    Subscribe,
    Unsubscribe,
    Wish,
)
from wayframe.mqtt.packets import decode, encode

KEPT = ("payload_format_indicator", "content_type", "response_topic", "correlation_data", "user_property")


@dataclass
class Ledger:
    """What a store of sessions was told, in order. Tickets count up; they are durable when the test says so."""

    ticket: int = 0
    told: list[tuple[object, ...]] = field(default_factory=list)

    def next(self) -> int:
        """A ticket."""
        self.ticket += 1
        return self.ticket

    def added(self, session: Session, number: int, delivery: Delivery) -> None:
        """A message waits."""
        self.told.append(("added", number, delivery.message.payload))

    def ended(self, session: Session, number: int, delivery: Delivery | None) -> None:
        """It is over."""
        self.told.append(("ended", number))

    def released(self, session: Session, number: int, delivery: Delivery) -> int:
        """PUBREC came."""
        self.told.append(("released", number))
        return self.next()

    def seen(self, session: Session, packet_id: int) -> int:
        """A message of QoS 2 came."""
        self.told.append(("seen", packet_id))
        return self.next()

    def forgotten(self, session: Session, packet_id: int) -> int:
        """Its PUBREL came."""
        self.told.append(("forgotten", packet_id))
        return self.next()


class Desk:
    """A host. Publishing gives what is published to every session subscribed to that very topic."""

    def __init__(self, *, session: SessionLimits | None = None, **limits: int) -> None:
        self.limits = ConnectionLimits(**{"max_qos": 2, **limits})
        self.session_limits = session or SessionLimits()
        self.time = 1000.0
        self.drops = Drops()
        self.sessions: dict[str, Session] = {}
        self.wishes: dict[tuple[str, str], tuple[Wish, int]] = {}
        self.published: list[Publish] = []
        self.gone_with: list[tuple[Reason, str]] = []
        self.verdict = Reason.SUCCESS
        """What publishing answers."""
        self.store: Ledger | None = None
        """Given to sessions that are made from now on."""
        self.ticket = 0
        """Of what is published from now on."""

    def now(self) -> float:
        """Unix seconds."""
        return self.time

    def connect(self, connection: Connection, packet: Connect) -> None:
        """Everybody is welcome but `nobody`."""
        if packet.client_id == "nobody":
            connection.refuse(Reason.NOT_AUTHORIZED, "nobody may not connect")
            return
        connection.expiry = packet.properties.get("session_expiry_interval", 0 if packet.clean_start else 60)
        session = None if packet.clean_start else self.sessions.get(packet.client_id)
        present = session is not None
        if session is None:
            session = Session(len(self.sessions) + 1, 1, packet.client_id, self.session_limits, self.drops)
            session.store = self.store
            self.sessions[packet.client_id] = session
        connection.accept(session, present, {}, packet.properties.get("receive_maximum", 65535))

    def publish(self, connection: Connection, packet: Publish) -> tuple[Reason, int]:
        """Hand it round."""
        self.published.append(packet)
        if self.verdict.failed:
            return self.verdict, 0
        said = {name: value for name, value in packet.properties.items() if name in KEPT}
        expiry = packet.properties.get("message_expiry_interval")
        self.send(
            packet.topic, packet.payload, packet.qos, expires=None if expiry is None else self.time + expiry, **said
        )
        return self.verdict, self.ticket

    def send(
        self, topic: str, payload: bytes = b"", qos: int = 0, expires: float | None = None, **said: object
    ) -> None:
        """A message of the broker's own."""
        message = Message(topic, payload, qos, timestamp=self.time, expires=expires, properties=dict(said))
        for (client_id, text), (wish, identifier) in self.wishes.items():
            if text == topic:
                self.deliver(self.sessions[client_id], message, min(qos, wish.qos), (identifier,) if identifier else ())

    def deliver(self, session: Session, message: Message, qos: int, ids: tuple[int, ...] = ()) -> None:
        """Give a message to one client."""
        connection = session.connection
        delivery = message.delivery(connection.version if connection else V5, qos, False, ids)
        if qos:
            session.deliver(delivery)
        elif connection is not None:
            connection.send(delivery)

    def subscribe(self, connection: Connection, packet: Subscribe) -> tuple[list[Reason], int]:
        """Remember."""
        assert connection.session is not None
        for wish in packet.wishes:
            key = connection.session.client_id, wish.filter
            self.wishes[key] = wish, packet.properties.get("subscription_identifier", 0)
        return [Reason(wish.qos) for wish in packet.wishes], 0

    def unsubscribe(self, connection: Connection, packet: Unsubscribe) -> tuple[list[Reason], int]:
        """Forget."""
        assert connection.session is not None
        keys = [(connection.session.client_id, text) for text in packet.filters]
        return [Reason.SUCCESS if self.wishes.pop(key, None) else Reason.NO_SUBSCRIPTION_EXISTED for key in keys], 0

    def waits(self, connection: Connection) -> None:
        """The test calls `durable` when it likes."""

    def gone(self, connection: Connection, reason: Reason, sentence: str) -> None:
        """The client is away."""
        self.gone_with.append((reason, sentence))
        if connection.session is not None and connection.session.connection is connection:
            connection.session.connection = None


class Peer:
    """A client at the other end of a connection without sockets."""

    def __init__(self, desk: Desk, version: int = V5) -> None:
        self.desk = desk
        self.version = version
        self.woken = 0
        self.connection = Connection(desk, "192.0.2.1", self._wake)
        self._framer = Framer(1 << 28)

    def _wake(self, connection: Connection) -> None:
        assert connection is self.connection
        self.woken += 1

    def raw(self) -> bytes:
        """Bytes that came since the last look."""
        raw = b"".join(self.connection.pending)
        self.connection.pending.clear()
        return raw

    def came(self) -> list[Packet]:
        """Packets that came since the last look."""
        packets = [decode(first, body, self.version) for first, body in self._framer.feed(self.raw())]
        assert not self._framer.waiting
        assert self._framer.error is None
        return packets

    def says(self, packet: Packet | bytes) -> list[Packet]:
        """Send, and see what comes back."""
        self.connection.receive(packet if isinstance(packet, bytes) else encode(packet, self.version))
        return self.came()

    def connects(self, client_id: str = "c", *, clean: bool = True, **said: object) -> Connack:
        """The answer to CONNECT, which must be the first packet that comes."""
        properties: Properties = dict(said) if self.version == V5 else {}
        keep_alive = int(properties.pop("keep_alive", 0))
        [connack, *rest] = self.says(Connect(self.version, client_id, clean, keep_alive, properties=properties))
        assert isinstance(connack, Connack)
        self.first = rest
        return connack

    def publishes(
        self, topic: str, payload: bytes = b"", qos: int = 0, packet_id: int = 0, **said: object
    ) -> list[Packet]:
        """Send a PUBLISH."""
        return self.says(Publish(topic, payload, qos, packet_id=packet_id, properties=dict(said)))

    def subscribes(self, text: str, qos: int = 0, **said: object) -> None:
        """Subscribe to one topic."""
        answers = self.says(Subscribe(9, [Wish(text, qos)], dict(said)))
        assert [type(answer).__name__ for answer in answers] == ["Suback"]

    def acks(self, kind: PacketType, packet_id: int, reason: int = 0) -> list[Packet]:
        """Send PUBACK, PUBREC, PUBREL or PUBCOMP."""
        return self.says(Ack(kind, packet_id, reason))

    def leaves(self) -> None:
        """Drop the line."""
        self.connection.end(Reason.UNSPECIFIED_ERROR, "the line broke")
        self.connection.pending.clear()


def met(desk: Desk, client_id: str = "c", version: int = V5, *, clean: bool = True, **said: object) -> Peer:
    """A client that is connected."""
    peer = Peer(desk, version)
    assert peer.connects(client_id, clean=clean, **said).reason == 0
    return peer


__all__ = ["V5", "V311", "Desk", "Ledger", "Peer", "met"]
