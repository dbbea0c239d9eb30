"""A message on its way through a broker, and the packet it becomes: encoded once for all who get the same."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from . import properties as props
from . import wire
from .packets import V5, frame
from .properties import IDENTIFIER, PacketType, Properties

PACKET_IDS = tuple(struct.pack(">H", number) for number in range(65536))
"""Packet identifiers as bytes."""

_PUBLISH = PacketType.PUBLISH << 4
_TIME = b"\x26\0\x09timestamp\0"
_CID = b"\x26\0\x03cid\0"
_ALIAS = "topic_alias"
_EXPIRY = "message_expiry_interval"


class Message:
    """What was published. Read only, but for what is remembered of its encoding."""

    __slots__ = (
        "_deliveries",
        "_tail",
        "cid",
        "expires",
        "holders",
        "kept_as",
        "payload",
        "properties",
        "qos",
        "retain",
        "stamped",
        "timestamp",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        *,
        cid: int = 0,
        timestamp: float = 0.0,
        expires: float | None = None,
        properties: Properties | None = None,
        stamped: bool = False,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.cid = cid
        """Account of the publisher."""
        self.timestamp = timestamp
        """Time of the value, Unix seconds."""
        self.expires = expires
        """Unix seconds from which on it is not delivered any more."""
        self.properties: Properties = properties or {}
        """What goes on to subscribers: format, content type, response topic, correlation, user properties."""
        self.stamped = stamped
        """Whether subscribers of 5.0 are told `timestamp` and `cid` as user properties, behind the publisher's own."""
        self.kept_as = 0
        """Its number in a store, 0 while it is in none; `holders` counts the sessions that have it there."""
        self.holders = 0
        self._tail: bytes | None = None
        self._deliveries: dict[tuple[int, int, bool, tuple[int, ...]], Delivery] = {}

    @property
    def size(self) -> int:
        """About the bytes it holds."""
        return len(self.topic) + len(self.payload) + 64

    def delivery(self, version: int, qos: int, retain: bool, ids: tuple[int, ...]) -> Delivery:
        """The packet for subscribers of one kind, made at the first call.

        Args:
            version: protocol level of their connections.
            qos: what they get, at most the message's own.
            retain: the RETAIN flag they see.
            ids: identifiers of the subscriptions that match, for 5.0.
        """
        key = (version, qos, retain, ids)
        found = self._deliveries.get(key)
        if found is None:
            found = self._deliveries[key] = Delivery(self, version, qos, retain, ids)
        return found

    def let_go(self) -> None:
        """Everybody has been served: forget the packets that were made. They point back here, and a circle of large
        payloads would wait for the garbage collector."""
        self._deliveries.clear()

    def passed_on(self) -> bytes:
        """The properties that are the same for every subscriber, encoded."""
        if self._tail is None:
            own = props.encode_body(self.properties) if self.properties else b""
            self._tail = own + self._stamp() if self.stamped else own
        return self._tail

    def _stamp(self) -> bytes:
        """When and by whose account it was published (mqtt-api.md 5)."""
        time, account = b"%.6f" % self.timestamp, b"%d" % self.cid
        return b"".join((_TIME, bytes((len(time),)), time, _CID, bytes((len(account),)), account))


class Delivery:
    """One message as one kind of subscriber gets it."""

    __slots__ = ("head", "ids", "message", "plain", "qos", "retain", "size", "tail", "version")

    def __init__(self, message: Message, version: int, qos: int, retain: bool, ids: tuple[int, ...]) -> None:
        self.message = message
        self.version = version
        self.qos = qos
        self.retain = retain
        self.ids = ids
        topic = wire.text(message.topic)
        if version == V5:
            body = message.passed_on()
            if ids:
                body = identifiers(ids) + body
            tail = wire.varint(len(body)) + body + message.payload if body else b"\0" + message.payload
        else:
            tail = message.payload
        length = len(topic) + len(tail) + (2 if qos else 0)
        head = bytes((_PUBLISH | qos << 1 | retain,)) + wire.varint(length) + topic
        self.plain = message.expires is None
        """Whether it is the same for every connection that asks for no more; otherwise `for_connection`."""
        self.size = len(head) + len(tail) + (2 if qos else 0) + (0 if self.plain else 5)
        """Bytes of the packet."""
        if qos:
            self.head, self.tail = head, tail
        else:
            self.head, self.tail = head + tail, b""

    @classmethod
    def relayed(cls, message: Message, version: int, head: bytes) -> Delivery:
        """A message of QoS 1 for subscribers of 3.1 or 3.1.1, up to its topic as another such client sent it."""
        found = cls.__new__(cls)
        found.message, found.version, found.qos, found.retain, found.ids = message, version, 1, False, ()
        found.head, found.tail, found.plain = head, message.payload, True
        found.size = len(head) + len(message.payload) + 2
        return found

    def marked_again(self) -> bytes:
        """`head` with the DUP flag ([MQTT-3.3.1-1])."""
        return bytes((self.head[0] | 8,)) + self.head[1:]

    def for_connection(self, version: int, packet_id: int, dup: bool, now: float, alias: int, topic: bool) -> bytes:
        """The whole packet for one connection: with its alias and the time that remains until it expires.

        Args:
            alias: topic alias, 0 for none.
            topic: whether the topic itself is written; False where the alias stands for it.
        """
        message = self.message
        said: Properties = {}
        if version == V5:
            if message.expires is not None:
                said[_EXPIRY] = max(0, round(message.expires - now))
            if alias:
                said[_ALIAS] = alias
            body = props.encode_body(said) + identifiers(self.ids) + message.passed_on()
            rest = wire.varint(len(body)) + body + message.payload
        else:
            rest = message.payload
        number = PACKET_IDS[packet_id] if self.qos else b""
        first = _PUBLISH | dup << 3 | self.qos << 1 | self.retain
        return frame(first, wire.text(message.topic if topic else "") + number + rest)


def identifiers(ids: Sequence[int]) -> bytes:
    """Subscription identifiers as properties of a PUBLISH."""
    return props.encode_body({IDENTIFIER: list(ids)}) if ids else b""
