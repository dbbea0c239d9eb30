"""Control packets of MQTT 3.1, 3.1.1 and 5.0 as objects, from bytes and to bytes (chapter 3 of the standards).

`decode` takes the first byte and the body of one packet; cutting a stream into packets is `framing.py`. A server
decodes what clients send; the packets that servers send can be decoded too, for tests and clients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from . import properties as props
from . import wire
from .properties import PacketType, Properties
from .reasons import Malformed, MqttError, ProtocolError, Reason
from .wire import Reader

V31, V311, V5 = 3, 4, 5
"""Protocol levels."""

_NAMES = {V31: "MQIsdp", V311: "MQTT", V5: "MQTT"}


@dataclass(slots=True)
class Will:
    """The message a server sends when a client is gone."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Connect:
    """CONNECT (3.1)."""

    version: int
    client_id: str
    clean_start: bool = True
    keep_alive: int = 0
    """Seconds; 0: none."""
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Connack:
    """CONNACK (3.2). `reason` is a `Reason` in 5.0, a return code before."""

    session_present: bool
    reason: int
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Publish:
    """PUBLISH (3.3). `topic` is empty where an alias stands for it."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0
    """From 1; 0 for QoS 0."""
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Ack:
    """PUBACK, PUBREC, PUBREL, PUBCOMP (3.4 to 3.7)."""

    type: PacketType
    packet_id: int
    reason: int = 0
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Wish:
    """One topic filter of a SUBSCRIBE with its options (3.8.3.1)."""

    filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(slots=True)
class Subscribe:
    """SUBSCRIBE (3.8)."""

    packet_id: int
    wishes: list[Wish]
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Unsubscribe:
    """UNSUBSCRIBE (3.10)."""

    packet_id: int
    filters: list[str]
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Suback:
    """SUBACK and UNSUBACK (3.9, 3.11)."""

    type: PacketType
    packet_id: int
    reasons: list[int]
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Ping:
    """PINGREQ and PINGRESP (3.12, 3.13)."""

    type: PacketType


@dataclass(slots=True)
class Disconnect:
    """DISCONNECT (3.14)."""

    reason: int = 0
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class Auth:
    """AUTH (3.15)."""

    reason: int = 0
    properties: Properties = field(default_factory=dict)


Packet = Connect | Connack | Publish | Ack | Subscribe | Unsubscribe | Suback | Ping | Disconnect | Auth


# --- from bytes ------------------------------------------------------------------------------------------------------


def decode(first: int, body: bytes, version: int) -> Packet:
    """One packet.

    Args:
        first: the first byte of the fixed header.
        body: everything after the remaining length.
        version: protocol level of the connection; a CONNECT says its own.

    Raises:
        MqttError: with the reason that a DISCONNECT or CONNACK would carry.
    """
    kind = first >> 4
    if kind == PacketType.PUBLISH:
        return decode_publish(first, body, version)
    reader_of = _DECODERS.get(kind)
    if reader_of is None or (kind == PacketType.AUTH and version != V5):
        raise Malformed(f"there is no packet type {kind}")
    expected = 2 if kind in _FLAGS_2 else 0
    if first & 15 != expected and version != V31:  # 3.1 lets a client repeat SUBSCRIBE with DUP, and ignores the others
        raise Malformed(f"{PacketType(kind).name} has the flags {first & 15}, it must have {expected}")
    reader = Reader(body)
    packet = reader_of(PacketType(kind), reader, version)
    reader.done(PacketType(kind).name)
    return packet


_FLAGS_2 = (PacketType.PUBREL, PacketType.SUBSCRIBE, PacketType.UNSUBSCRIBE)


def decode_publish(first: int, body: bytes, version: int) -> Publish:
    """A PUBLISH (3.3). Raises MqttError."""
    qos = first >> 1 & 3
    if qos == 3:
        raise Malformed("PUBLISH has QoS 3")
    if first & 8 and not qos:
        raise Malformed("PUBLISH with QoS 0 has the DUP flag")
    size = len(body)
    if size < 2:
        raise Malformed("the packet ends inside the topic")
    place = 2 + (body[0] << 8 | body[1])
    if place > size:
        raise Malformed("the packet ends inside the topic")
    topic = check_topic(wire.decode_text(body[2:place], "the topic"), aliased=version == V5)
    packet_id = 0
    if qos:
        if place + 2 > size:
            raise Malformed("the packet ends inside the packet identifier")
        packet_id = body[place] << 8 | body[place + 1]
        place += 2
        if not packet_id:
            raise ProtocolError("a packet identifier is 1 or more")
    said: Properties = {}
    if version == V5:
        if place < size and not body[place]:
            place += 1
        else:
            reader = Reader(body, place)
            said = props.decode(reader, PacketType.PUBLISH)
            place = reader.position
        if not topic and "topic_alias" not in said:
            raise ProtocolError("PUBLISH has neither a topic nor a topic alias")
        if "response_topic" in said:
            check_topic(said["response_topic"])
    return Publish(topic, body[place:], qos, bool(first & 1), bool(first & 8), packet_id, said)


def check_topic(topic: str, *, aliased: bool = False) -> str:
    """A topic name (4.7): not empty, no wildcards. Raises MqttError.

    Args:
        aliased: whether it may be empty because an alias may stand for it.
    """
    if not topic and not aliased:
        raise MqttError(Reason.TOPIC_NAME_INVALID, "a topic has at least one character")
    if "+" in topic or "#" in topic:
        raise MqttError(Reason.TOPIC_NAME_INVALID, "a topic that is published to has no wildcards")
    return topic


def _connect(kind: PacketType, reader: Reader, version: int) -> Connect:
    name = reader.text("the protocol name")
    level = reader.byte("the protocol level")
    if _NAMES.get(level) != name:
        if name not in _NAMES.values():
            raise MqttError(Reason.UNSUPPORTED_PROTOCOL_VERSION, f"the protocol {name[:20]!r} is not MQTT")
        raise MqttError(Reason.UNSUPPORTED_PROTOCOL_VERSION, f"{name} with level {level} is not spoken here")
    flags = reader.byte("the connect flags")
    if flags & 1:
        raise Malformed("the reserved connect flag is set")
    has_will, will_qos, will_retain = bool(flags & 4), flags >> 3 & 3, bool(flags & 32)
    if will_qos == 3 or (not has_will and (will_qos or will_retain)):
        raise Malformed("the will flags contradict each other")
    has_username, has_password = bool(flags & 128), bool(flags & 64)
    if has_password and not has_username and level != V5:
        raise Malformed("a password without a user name")
    keep_alive = reader.u16("keep alive")
    said = props.decode(reader, PacketType.CONNECT) if level == V5 else {}
    if "authentication_data" in said and "authentication_method" not in said:
        raise ProtocolError("authentication data without a method")
    client_id = reader.text("the client identifier")
    will = None
    if has_will:
        will_said = props.decode(reader, PacketType.WILL) if level == V5 else {}
        topic = check_topic(reader.text("the will topic"))
        if "response_topic" in will_said:
            check_topic(will_said["response_topic"])
        will = Will(topic, reader.binary("the will payload"), will_qos, will_retain, will_said)
    username = reader.text("the user name") if has_username else None
    password = reader.binary("the password") if has_password else None
    return Connect(level, client_id, bool(flags & 2), keep_alive, username, password, will, said)


def _connack(kind: PacketType, reader: Reader, version: int) -> Connack:
    flags, reason = reader.byte("the acknowledge flags"), reader.byte("the reason")
    if flags > 1:
        raise Malformed("reserved acknowledge flags are set")
    return Connack(bool(flags), reason, props.decode(reader, kind) if version == V5 else {})


def _packet_id(reader: Reader) -> int:
    packet_id = reader.u16("the packet identifier")
    if not packet_id:
        raise ProtocolError("a packet identifier is 1 or more")
    return packet_id


def _ack(kind: PacketType, reader: Reader, version: int) -> Ack:
    ack = Ack(kind, _packet_id(reader))
    if version == V5:
        ack.reason, ack.properties = _reason(kind, reader, _ACK_REASONS[kind])
    return ack


def _reason(kind: PacketType, reader: Reader, allowed: frozenset[int]) -> tuple[int, Properties]:
    """A reason and properties, both of which may be left out."""
    reason = reader.byte("the reason") if reader.left else 0
    if reason not in allowed:
        raise ProtocolError(f"{kind.name} with the reason 0x{reason:02x}, which it cannot have")
    return reason, props.decode(reader, kind) if reader.left else {}


_PUBACK_REASONS = frozenset({0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99})
_PUBREL_REASONS = frozenset({0, 0x92})
_ACK_REASONS = {
    PacketType.PUBACK: _PUBACK_REASONS,
    PacketType.PUBREC: _PUBACK_REASONS,
    PacketType.PUBREL: _PUBREL_REASONS,
    PacketType.PUBCOMP: _PUBREL_REASONS,
}
CONNACK_REASONS = frozenset({0, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F})
"""Table 3-1."""
DISCONNECT_REASONS = frozenset({0, 4, *range(0x80, 0x84), 0x87, 0x89, 0x8B, *range(0x8D, 0x91), *range(0x93, 0xA3)})
"""Table 3-13."""
_AUTH_REASONS = frozenset({0, 0x18, 0x19})


def _subscribe(kind: PacketType, reader: Reader, version: int) -> Subscribe:
    packet_id = _packet_id(reader)
    said = props.decode(reader, kind) if version == V5 else {}
    wishes = []
    while reader.left:
        text, options = reader.text("a topic filter"), reader.byte("the options")
        if options & (0xC0 if version == V5 else 0xFC) or options & 3 == 3:
            raise Malformed("reserved subscription options are set")
        handling = options >> 4
        if handling == 3:
            raise ProtocolError("retain handling is 0, 1 or 2")
        if options & 4 and text.startswith("$share/"):
            raise ProtocolError("a shared subscription cannot be no-local")
        wishes.append(Wish(text, options & 3, bool(options & 4), bool(options & 8), handling))
    if not wishes:
        raise ProtocolError("SUBSCRIBE without a topic filter")
    return Subscribe(packet_id, wishes, said)


def _unsubscribe(kind: PacketType, reader: Reader, version: int) -> Unsubscribe:
    packet_id = _packet_id(reader)
    said = props.decode(reader, kind) if version == V5 else {}
    filters = []
    while reader.left:
        filters.append(reader.text("a topic filter"))
    if not filters:
        raise ProtocolError("UNSUBSCRIBE without a topic filter")
    return Unsubscribe(packet_id, filters, said)


def _suback(kind: PacketType, reader: Reader, version: int) -> Suback:
    packet_id = _packet_id(reader)
    said = props.decode(reader, kind) if version == V5 else {}
    return Suback(kind, packet_id, list(reader.rest()), said)


def _ping(kind: PacketType, reader: Reader, version: int) -> Ping:
    return Ping(kind)


def _disconnect(kind: PacketType, reader: Reader, version: int) -> Disconnect:
    return Disconnect(*_reason(kind, reader, DISCONNECT_REASONS)) if version == V5 else Disconnect()


def _auth(kind: PacketType, reader: Reader, version: int) -> Auth:
    return Auth(*_reason(kind, reader, _AUTH_REASONS))


_DECODERS: dict[int, Callable[[PacketType, Reader, int], Packet]] = {
    PacketType.CONNECT: _connect,
    PacketType.CONNACK: _connack,
    PacketType.PUBACK: _ack,
    PacketType.PUBREC: _ack,
    PacketType.PUBREL: _ack,
    PacketType.PUBCOMP: _ack,
    PacketType.SUBSCRIBE: _subscribe,
    PacketType.SUBACK: _suback,
    PacketType.UNSUBSCRIBE: _unsubscribe,
    PacketType.UNSUBACK: _suback,
    PacketType.PINGREQ: _ping,
    PacketType.PINGRESP: _ping,
    PacketType.DISCONNECT: _disconnect,
    PacketType.AUTH: _auth,
}


# --- to bytes --------------------------------------------------------------------------------------------------------


def frame(first: int, body: bytes) -> bytes:
    """A packet from its first byte and its body. Raises ValueError beyond 256 MiB."""
    return bytes((first,)) + wire.varint(len(body)) + body


def encode(packet: Packet, version: int) -> bytes:
    """One packet as bytes for a connection of this protocol level."""
    return _ENCODERS[type(packet)](packet, version)


def _properties(said: Properties, version: int) -> bytes:
    return props.encode(said) if version == V5 else b""


def _encode_connect(packet: Packet, version: int) -> bytes:
    packet = cast(Connect, packet)
    will, level = packet.will, packet.version
    flags = packet.clean_start << 1 | (packet.password is not None) << 6 | (packet.username is not None) << 7
    payload = wire.text(packet.client_id)
    if will is not None:
        flags |= 4 | will.qos << 3 | will.retain << 5
        payload += _properties(will.properties, level) + wire.text(will.topic) + wire.binary(will.payload)
    if packet.username is not None:
        payload += wire.text(packet.username)
    if packet.password is not None:
        payload += wire.binary(packet.password)
    head = wire.text(_NAMES[level]) + bytes((level, flags)) + wire.u16(packet.keep_alive)
    return frame(PacketType.CONNECT << 4, head + _properties(packet.properties, level) + payload)


def _encode_connack(packet: Packet, version: int) -> bytes:
    packet = cast(Connack, packet)
    present = packet.session_present and version != V31  # 3.1 reserves the byte
    return frame(PacketType.CONNACK << 4, bytes((present, packet.reason)) + _properties(packet.properties, version))


def _encode_publish(packet: Packet, version: int) -> bytes:
    packet = cast(Publish, packet)
    first = PacketType.PUBLISH << 4 | packet.dup << 3 | packet.qos << 1 | packet.retain
    packet_id = wire.u16(packet.packet_id) if packet.qos else b""
    return frame(first, wire.text(packet.topic) + packet_id + _properties(packet.properties, version) + packet.payload)


def _encode_ack(packet: Packet, version: int) -> bytes:
    packet = cast(Ack, packet)
    body = wire.u16(packet.packet_id) + _encode_reason(packet.reason, packet.properties, version)
    return frame(packet.type << 4 | (2 if packet.type is PacketType.PUBREL else 0), body)


def _encode_reason(reason: int, said: Properties, version: int) -> bytes:
    if version != V5 or not (reason or said):
        return b""
    return bytes((reason,)) + (props.encode(said) if said else b"")


def _encode_subscribe(packet: Packet, version: int) -> bytes:
    packet = cast(Subscribe, packet)
    body = wire.u16(packet.packet_id) + _properties(packet.properties, version)
    for wish in packet.wishes:
        options = wish.qos
        if version == V5:
            options |= wish.no_local << 2 | wish.retain_as_published << 3 | wish.retain_handling << 4
        body += wire.text(wish.filter) + bytes((options,))
    return frame(PacketType.SUBSCRIBE << 4 | 2, body)


def _encode_unsubscribe(packet: Packet, version: int) -> bytes:
    packet = cast(Unsubscribe, packet)
    body = wire.u16(packet.packet_id) + _properties(packet.properties, version)
    return frame(PacketType.UNSUBSCRIBE << 4 | 2, body + b"".join(map(wire.text, packet.filters)))


def _encode_suback(packet: Packet, version: int) -> bytes:
    packet = cast(Suback, packet)
    reasons = packet.reasons
    if version != V5:
        reasons = [] if packet.type is PacketType.UNSUBACK else [min(reason, 0x80) for reason in reasons]
    body = wire.u16(packet.packet_id) + _properties(packet.properties, version) + bytes(reasons)
    return frame(packet.type << 4, body)


def _encode_ping(packet: Packet, version: int) -> bytes:
    return bytes((cast(Ping, packet).type << 4, 0))


def _encode_disconnect(packet: Packet, version: int) -> bytes:
    packet = cast(Disconnect, packet)
    return frame(PacketType.DISCONNECT << 4, _encode_reason(packet.reason, packet.properties, version))


def _encode_auth(packet: Packet, version: int) -> bytes:
    packet = cast(Auth, packet)
    return frame(PacketType.AUTH << 4, _encode_reason(packet.reason, packet.properties, V5))


_ENCODERS: dict[type, Callable[[Packet, int], bytes]] = {
    Connect: _encode_connect,
    Connack: _encode_connack,
    Publish: _encode_publish,
    Ack: _encode_ack,
    Subscribe: _encode_subscribe,
    Unsubscribe: _encode_unsubscribe,
    Suback: _encode_suback,
    Ping: _encode_ping,
    Disconnect: _encode_disconnect,
    Auth: _encode_auth,
}
