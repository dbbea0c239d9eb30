"""What holds for every packet and for every byte string."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mqtt_hosting import Desk, Peer
from mqtt_vectors import EXACT

from wayframe.mqtt import (
    V5,
    V31,
    V311,
    Ack,
    Connack,
    Connect,
    Framer,
    MqttError,
    PacketType,
    Publish,
    Reason,
    Subscribe,
    Unsubscribe,
    Will,
    Wish,
)
from wayframe.mqtt.packets import Auth, Disconnect, Packet, Ping, Suback, decode, encode
from wayframe.mqtt.properties import PROPERTIES

LIMIT = 1 << 20
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
TOPIC = TEXT.map(lambda text: text.replace("+", "").replace("#", "") or "t")
PACKET_ID = st.integers(1, 65535)


def value_of(name: str) -> st.SearchStrategy[Any]:
    """Values of a property."""
    special: dict[str, st.SearchStrategy[Any]] = {
        "user_property": st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4),
        "response_topic": TOPIC,
        "correlation_data": st.binary(max_size=20),
        "authentication_data": st.binary(max_size=20),
        "topic_alias": st.integers(1, 65535),
        "receive_maximum": st.integers(1, 65535),
        "maximum_packet_size": st.integers(1, 0xFFFFFFFF),
        "subscription_identifier": st.integers(1, 268_435_455),
    }
    if name in special:
        return special[name]
    width = WIDTH.get(name, 0)
    return st.integers(0, 1 if width == 1 else (1 << 8 * width) - 1) if width else TEXT


WIDTH = {
    **dict.fromkeys(
        (
            "payload_format_indicator", "request_problem_information", "request_response_information", "maximum_qos",
            "retain_available", "wildcard_subscription_available", "subscription_identifier_available",
            "shared_subscription_available",
        ), 1,
    ),
    **dict.fromkeys(("server_keep_alive", "topic_alias_maximum"), 2),
    **dict.fromkeys(("message_expiry_interval", "session_expiry_interval", "will_delay_interval"), 4),
}  # fmt: skip
"""Bytes of the properties that are integers (table 2-4)."""


def properties(kind: PacketType) -> st.SearchStrategy[dict[str, Any]]:
    """What a packet of this type may say."""
    some: dict[str, st.SearchStrategy[Any]] = {}
    for entry in PROPERTIES:
        if kind in entry.packets:
            some[entry.name] = value_of(entry.name)
    if kind is PacketType.PUBLISH:
        some["subscription_identifier"] = st.lists(st.integers(1, 268_435_455), min_size=1, max_size=3)
    return st.fixed_dictionaries({}, optional=some)


def said(kind: PacketType, version: int) -> st.SearchStrategy[dict[str, Any]]:
    """The same, nothing before 5.0."""
    return properties(kind) if version == V5 else st.just({})


@st.composite
def connects(draw: st.DrawFn, version: int) -> Connect:
    own = draw(said(PacketType.CONNECT, version))
    if "authentication_method" not in own:
        own.pop("authentication_data", None)
    will = None
    if draw(st.booleans()):
        about = draw(said(PacketType.WILL, version))
        will = Will(draw(TOPIC), draw(st.binary(max_size=20)), draw(st.integers(0, 2)), draw(st.booleans()), about)
    username = draw(st.none() | TEXT)
    password = draw(st.none() | st.binary(max_size=20)) if version == V5 or username is not None else None
    keep_alive = draw(st.integers(0, 65535))
    return Connect(version, draw(TEXT), draw(st.booleans()), keep_alive, username, password, will, own)


@st.composite
def publishes(draw: st.DrawFn, version: int) -> Publish:
    own = draw(said(PacketType.PUBLISH, version))
    qos = draw(st.integers(0, 2))
    topic = draw(TOPIC | st.just("")) if "topic_alias" in own else draw(TOPIC)
    dup = draw(st.booleans()) if qos else False
    packet_id = draw(PACKET_ID) if qos else 0
    return Publish(topic, draw(st.binary(max_size=300)), qos, draw(st.booleans()), dup, packet_id, own)


@st.composite
def acks(draw: st.DrawFn, version: int) -> Ack:
    kind = draw(st.sampled_from([PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP]))
    reason = draw(st.sampled_from([0, 0x92] if kind >= PacketType.PUBREL else [0, 0x10, 0x80, 0x87, 0x97]))
    return Ack(kind, draw(PACKET_ID), reason if version == V5 else 0, draw(said(kind, version)))


@st.composite
def subscribes(draw: st.DrawFn, version: int) -> Subscribe:
    wishes = []
    for text in draw(st.lists(TEXT, min_size=1, max_size=4)):
        wish = Wish(text, draw(st.integers(0, 2)))
        if version == V5:
            wish.no_local = draw(st.booleans()) and not text.startswith("$share/")
            wish.retain_as_published = draw(st.booleans())
            wish.retain_handling = draw(st.integers(0, 2))
        wishes.append(wish)
    return Subscribe(draw(PACKET_ID), wishes, draw(said(PacketType.SUBSCRIBE, version)))


@st.composite
def others(draw: st.DrawFn, version: int) -> Packet:
    kind = draw(st.sampled_from(["connack", "suback", "unsuback", "unsubscribe", "ping", "disconnect", "auth"]))
    if kind == "connack":
        present = draw(st.booleans()) if version != V31 else False
        return Connack(present, draw(st.integers(0, 255)), draw(said(PacketType.CONNACK, version)))
    if kind == "suback":
        codes = st.sampled_from([0, 1, 2, 0x80])
        own = draw(said(PacketType.SUBACK, version))
        return Suback(PacketType.SUBACK, draw(PACKET_ID), draw(st.lists(codes, max_size=5)), own)
    if kind == "unsuback":
        codes = draw(st.lists(st.sampled_from([0, 0x11, 0x87]), max_size=5)) if version == V5 else []
        return Suback(PacketType.UNSUBACK, draw(PACKET_ID), codes, draw(said(PacketType.UNSUBACK, version)))
    if kind == "unsubscribe":
        filters = draw(st.lists(TEXT, min_size=1, max_size=4))
        return Unsubscribe(draw(PACKET_ID), filters, draw(said(PacketType.UNSUBSCRIBE, version)))
    if kind == "ping" or (kind == "auth" and version != V5):
        return Ping(draw(st.sampled_from([PacketType.PINGREQ, PacketType.PINGRESP])))
    if kind == "disconnect":
        reason = draw(st.sampled_from([0, 4, 0x80, 0x8E])) if version == V5 else 0
        return Disconnect(reason, draw(said(PacketType.DISCONNECT, version)))
    return Auth(draw(st.sampled_from([0, 0x18, 0x19])), draw(properties(PacketType.AUTH)))


VERSIONS = st.sampled_from([V31, V311, V5])
STREAMS = VERSIONS.flatmap(
    lambda version: st.tuples(
        st.just(version),
        st.lists(
            connects(version) | publishes(version) | acks(version) | subscribes(version) | others(version),
            min_size=1,
            max_size=4,
        ),
    )
)


def taken(pieces: list[bytes], version: int) -> list[Packet]:
    """The packets in a stream that comes in pieces."""
    framer = Framer(LIMIT)
    packets = [decode(first, body, version) for piece in pieces for first, body in framer.feed(piece)]
    assert framer.error is None
    assert framer.waiting == 0
    return packets


@given(STREAMS)
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_read(stream: tuple[int, list[Packet]]) -> None:
    version, packets = stream
    raw = [encode(packet, version) for packet in packets]
    assert taken(raw, version) == packets
    whole = b"".join(raw)
    assert taken([whole], version) == packets, "glued together"
    assert taken([whole[place : place + 1] for place in range(len(whole))], version) == packets, "byte by byte"


@given(STREAMS, st.data())
@settings(max_examples=100, deadline=None)
def test_cut_anywhere(stream: tuple[int, list[Packet]], data: st.DataObject) -> None:
    version, packets = stream
    whole = b"".join(encode(packet, version) for packet in packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert taken(pieces, version) == packets


@given(st.integers(0, 255), st.binary(max_size=80), VERSIONS)
@settings(max_examples=1500, deadline=None)
def test_no_body_does_more_than_be_refused(first: int, body: bytes, version: int) -> None:
    try:
        packet = decode(first, body, version)
    except MqttError as error:
        assert error.reason.failed
        return
    if isinstance(packet, Connack | Suback):  # of a server, with codes that older versions do not have
        return
    again = encode(packet, packet.version if isinstance(packet, Connect) else version)
    [(first, body)] = Framer(LIMIT).feed(again)
    assert decode(first, body, version) == packet, "what was understood is the same when it is written again"


@given(st.lists(st.binary(max_size=60), max_size=6))
@settings(max_examples=500, deadline=None)
def test_no_stream_raises(pieces: list[bytes]) -> None:
    peer = Peer(Desk())
    for piece in pieces:
        peer.connection.receive(piece)
    assert peer.connection.framer.waiting <= sum(map(len, pieces))


@given(st.lists(st.sampled_from([bytes.fromhex(row[2]) for row in EXACT]), max_size=8), VERSIONS)
@settings(max_examples=500, deadline=None)
def test_no_order_of_packets_raises(packets: list[bytes], version: int) -> None:
    peer = Peer(Desk(receive_maximum=2), version)
    peer.connects()
    for packet in packets:
        peer.connection.receive(packet)
    assert peer.connection.closing == bool(peer.desk.gone_with)
    assert len(peer.desk.gone_with) <= 1


@pytest.mark.parametrize(
    "raw",
    [
        bytes.fromhex("30 ffffff7f") + b"\0\1a\0\0",  # a PUBLISH of 256 MiB
        bytes.fromhex("30 808040") + b"\xff\xff" + b"a" * 4,  # 1 MiB, and a topic of 64 KiB
        bytes.fromhex("10 ffff3f 0004 4d515454 05 02"),
        bytes.fromhex("82 ffff3f 0001 ffffff7f"),
    ],
)
def test_nothing_is_allocated_on_a_promise(raw: bytes) -> None:
    peer = Peer(Desk())
    peer.connects()
    tracemalloc.start()
    try:
        for _ in range(100):
            framer = Framer(1 << 28)
            framer.feed(raw)
            peer.connection.receive(raw)
            _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 200_000


def test_lengths_inside_a_packet_promise_nothing() -> None:
    bodies = [b"\xff\xff", b"\0\1a\xff\xff\xff\x7f", b"\0\1a\x05\x09\xff\xff\0\0", b"\0\4MQTT\5\2\0\0\xff\xff\xff\x7f"]
    tracemalloc.start()
    try:
        for first in range(16, 256):
            for body in bodies:
                with suppress(MqttError):
                    decode(first, body, V5)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100_000


def test_a_packet_over_the_limit_is_refused_by_its_header() -> None:
    framer = Framer(100)
    assert framer.feed(b"\x30\x62" + b"\0\1a" + b"x" * 95) == [(0x30, b"\0\1a" + b"x" * 95)]
    assert framer.feed(b"\x30\x63") == []
    assert framer.error is not None
    assert framer.error.reason is Reason.PACKET_TOO_LARGE


def test_what_stands_before_an_error_is_still_found() -> None:
    framer = Framer(100)
    assert framer.feed(b"\xc0\0\xc0\0\x30\x80\x00") == [(0xC0, b""), (0xC0, b"")]
    assert framer.error is not None
    assert framer.error.reason is Reason.MALFORMED_PACKET
    framer = Framer(100)
    assert framer.feed(b"\x30\xff\xff\xff\xff") == []
    assert framer.error is not None
    assert framer.error.reason is Reason.MALFORMED_PACKET


def test_a_remaining_length_may_come_byte_by_byte() -> None:
    framer = Framer(LIMIT)
    found = [packet for byte in b"\x30\x80\x01" + b"\0\1a" + b"x" * 125 for packet in framer.feed(bytes((byte,)))]
    assert found == [(0x30, b"\0\1a" + b"x" * 125)]
    assert framer.waiting == 0
