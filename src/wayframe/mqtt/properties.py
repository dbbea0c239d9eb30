"""Properties of MQTT 5 (section 2.2.2): one table says their identifiers, types and packets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from . import wire
from .reasons import Malformed, MqttError, ProtocolError, Reason
from .wire import Reader

Properties = dict[str, Any]
"""Values by name: int, str or bytes as the table says; `user_property` is a list of pairs in order, and
`subscription_identifier` of a PUBLISH a list of ints."""

USER = "user_property"
IDENTIFIER = "subscription_identifier"


class PacketType(IntEnum):
    """Control packet types (2.1.2). WILL is no packet: it names the will's own properties in CONNECT."""

    WILL = 0
    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


_T = PacketType
_MESSAGE = frozenset({_T.PUBLISH, _T.WILL})
_LIMITS = frozenset({_T.CONNECT, _T.CONNACK})
_AUTH = frozenset({_T.CONNECT, _T.CONNACK, _T.AUTH})
_CONNACK = frozenset({_T.CONNACK})
_REASON = frozenset(
    {_T.CONNACK, _T.PUBACK, _T.PUBREC, _T.PUBREL, _T.PUBCOMP, _T.SUBACK, _T.UNSUBACK, _T.DISCONNECT, _T.AUTH}
)
_ANY = frozenset(_T)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A data type: how it is read and written, and which values are allowed."""

    read: Callable[[Reader, str], Any]
    write: Callable[[Any], bytes]
    low: int | None = None
    high: int | None = None


def _write_byte(value: int) -> bytes:
    return bytes((value,))


def _write_pair(value: tuple[str, str]) -> bytes:
    return wire.text(value[0]) + wire.text(value[1])


def _read_pair(reader: Reader, what: str) -> tuple[str, str]:
    return reader.text(what), reader.text(what)


_FLAG = _Kind(Reader.byte, _write_byte, 0, 1)
_U16 = _Kind(Reader.u16, wire.u16)
_POSITIVE_U16 = _Kind(Reader.u16, wire.u16, 1)
_U32 = _Kind(Reader.u32, wire.u32)
_POSITIVE_U32 = _Kind(Reader.u32, wire.u32, 1)
_POSITIVE_VARINT = _Kind(Reader.varint, wire.varint, 1)
_TEXT = _Kind(Reader.text, wire.text)
_BINARY = _Kind(Reader.binary, wire.binary)
_PAIR = _Kind(_read_pair, _write_pair)


@dataclass(frozen=True, slots=True)
class Property:
    """One line of table 2-4."""

    id: int
    """Identifier."""
    name: str
    """Name in `Properties`."""
    kind: _Kind
    """Type."""
    packets: frozenset[PacketType]
    """Packets it may stand in."""


PROPERTIES = (
    Property(1, "payload_format_indicator", _FLAG, _MESSAGE),
    Property(2, "message_expiry_interval", _U32, _MESSAGE),
    Property(3, "content_type", _TEXT, _MESSAGE),
    Property(8, "response_topic", _TEXT, _MESSAGE),
    Property(9, "correlation_data", _BINARY, _MESSAGE),
    Property(11, IDENTIFIER, _POSITIVE_VARINT, frozenset({_T.PUBLISH, _T.SUBSCRIBE})),
    Property(17, "session_expiry_interval", _U32, frozenset({_T.CONNECT, _T.CONNACK, _T.DISCONNECT})),
    Property(18, "assigned_client_identifier", _TEXT, _CONNACK),
    Property(19, "server_keep_alive", _U16, _CONNACK),
    Property(21, "authentication_method", _TEXT, _AUTH),
    Property(22, "authentication_data", _BINARY, _AUTH),
    Property(23, "request_problem_information", _FLAG, frozenset({_T.CONNECT})),
    Property(24, "will_delay_interval", _U32, frozenset({_T.WILL})),
    Property(25, "request_response_information", _FLAG, frozenset({_T.CONNECT})),
    Property(26, "response_information", _TEXT, _CONNACK),
    Property(28, "server_reference", _TEXT, frozenset({_T.CONNACK, _T.DISCONNECT})),
    Property(31, "reason_string", _TEXT, _REASON),
    Property(33, "receive_maximum", _POSITIVE_U16, _LIMITS),
    Property(34, "topic_alias_maximum", _U16, _LIMITS),
    Property(35, "topic_alias", _U16, frozenset({_T.PUBLISH})),
    Property(36, "maximum_qos", _FLAG, _CONNACK),
    Property(37, "retain_available", _FLAG, _CONNACK),
    Property(38, USER, _PAIR, _ANY),
    Property(39, "maximum_packet_size", _POSITIVE_U32, _LIMITS),
    Property(40, "wildcard_subscription_available", _FLAG, _CONNACK),
    Property(41, "subscription_identifier_available", _FLAG, _CONNACK),
    Property(42, "shared_subscription_available", _FLAG, _CONNACK),
)
"""Every property of table 2-4."""

_BY_ID = {entry.id: entry for entry in PROPERTIES}
_BY_NAME = {entry.name: entry for entry in PROPERTIES}


def decode(reader: Reader, packet: PacketType) -> Properties:
    """The properties at the reader's place, with their length before them.

    Raises Malformed (unknown, cut off), ProtocolError (twice, in the wrong packet, a value that is not allowed).
    """
    length = reader.varint("the length of the properties")
    if length > reader.left:
        raise Malformed("the properties are longer than their packet")
    inner = Reader(reader.body, reader.position, reader.position + length)
    reader.position += length
    found: Properties = {}
    while inner.left:
        entry = _BY_ID.get(inner.varint("a property identifier"))
        if entry is None or packet not in entry.packets:
            raise Malformed(f"{packet.name} has a property it cannot have")
        value = entry.kind.read(inner, entry.name)
        _check(entry, value)
        if entry.name == USER or (entry.name == IDENTIFIER and packet is PacketType.PUBLISH):
            found.setdefault(entry.name, []).append(value)
        elif entry.name in found:
            raise ProtocolError(f"{entry.name} stands twice in one packet")
        else:
            found[entry.name] = value
    return found


def _check(entry: Property, value: Any) -> None:
    kind = entry.kind
    if (kind.low is not None and value < kind.low) or (kind.high is not None and value > kind.high):
        raise ProtocolError(f"{entry.name} cannot be {value}")
    if entry.name == "topic_alias" and value == 0:
        raise MqttError(Reason.TOPIC_ALIAS_INVALID, "a topic alias is 1 or more")


def encode_body(properties: Properties) -> bytes:
    """Properties without their length. Raises KeyError for a name that is none."""
    out: list[bytes] = []
    for name, value in properties.items():
        entry = _BY_NAME[name]
        code = bytes((entry.id,))  # every identifier is below 128
        for each in value if isinstance(value, list) else (value,):
            out += (code, entry.kind.write(each))
    return b"".join(out)


def encode(properties: Properties) -> bytes:
    """Properties with their length before them."""
    body = encode_body(properties)
    return wire.varint(len(body)) + body
