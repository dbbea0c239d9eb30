"""One connection: who may speak when, what is refused and how, what is offered and kept to."""

from __future__ import annotations

import pytest
from mqtt_hosting import Desk, Peer, met

from wayframe.mqtt import (
    V5,
    V31,
    V311,
    Ack,
    Connack,
    Connect,
    Message,
    PacketType,
    Publish,
    Reason,
    Subscribe,
    Unsubscribe,
    Will,
    Wish,
)
from wayframe.mqtt.packets import Auth, Disconnect, Packet, Ping, Suback, encode

T = PacketType
PING = Ping(T.PINGREQ)


def farewell(peer: Peer, came: list[Packet]) -> Reason:
    """The reason of the DISCONNECT that came last; nothing is read or sent after it."""
    assert isinstance(came[-1], Disconnect)
    assert peer.connection.closing
    assert peer.connection.lingers
    assert peer.says(PING) == []
    assert len(peer.desk.gone_with) == 1
    return Reason(came[-1].reason)


# --- the beginning ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "packet", [PING, Publish("a"), Subscribe(1, [Wish("a")]), Ack(T.PUBACK, 1), Disconnect(), Auth()]
)
def test_nothing_before_connect(packet: Packet) -> None:
    peer = Peer(Desk())
    assert peer.says(packet) == [], "and no DISCONNECT before CONNACK"
    assert peer.connection.closing
    assert peer.desk.published == []


@pytest.mark.parametrize("version", [V31, V311, V5])
def test_a_second_connect(version: int) -> None:
    peer = met(Desk(), version=version)
    came = peer.says(Connect(version, "c"))
    assert peer.connection.closing
    if version == V5:
        assert farewell(peer, came) is Reason.PROTOCOL_ERROR
    else:
        assert came == []


@pytest.mark.parametrize(
    "packet",
    [
        Connack(False, 0),
        Suback(T.SUBACK, 1, [0]),
        Suback(T.UNSUBACK, 1, [0]),
        Ping(T.PINGRESP),
    ],
)
def test_packets_of_servers(packet: Packet) -> None:
    peer = met(Desk())
    assert farewell(peer, peer.says(packet)) is Reason.PROTOCOL_ERROR


def test_strangers_are_answered_as_far_as_they_understand() -> None:
    for raw in ("10 0b 0002 686a 04 02 0000 0001 78", "10 0d 0004 4d515454 06 02 0000 00 0000"):
        peer = Peer(Desk(), V311)
        assert peer.says(bytes.fromhex(raw)) == [Connack(False, 1)]
        assert peer.connection.closing
        assert peer.connection.lingers


def test_a_broken_connect_is_closed() -> None:
    peer = Peer(Desk())
    assert peer.says(bytes.fromhex("10 0d 0004 4d515454 05 03 0000 00 0000")) == []
    assert peer.connection.closing


@pytest.mark.parametrize(("version", "reason"), [(V311, 5), (V5, 0x87)])
def test_refused(version: int, reason: int) -> None:
    peer = Peer(Desk(), version)
    connack = peer.connects("nobody")
    assert (connack.reason, connack.session_present) == (reason, False)
    assert bool(connack.properties.get("reason_string")) == (version == V5)
    assert peer.says(Publish("a")) == []
    assert peer.desk.published == []


def test_what_follows_a_connect_at_once() -> None:
    desk = Desk()
    peer = Peer(desk)
    whole = b"".join(encode(packet, V5) for packet in (Connect(V5, "c"), Publish("a", b"1", 1, packet_id=1), PING))
    connack, *rest = peer.says(whole)
    assert isinstance(connack, Connack)
    assert rest == [Ack(T.PUBACK, 1), Ping(T.PINGRESP)]
    refused = Peer(desk)
    assert len(refused.says(whole.replace(b"\0\1c", b"\0\6nobody").replace(b"\x10\x0e", b"\x10\x13", 1))) == 1
    assert len(desk.published) == 1


def test_what_is_offered() -> None:
    assert Peer(Desk(max_qos=1, receive_maximum=7, packet_bytes=5000, topic_aliases=3)).connects().properties == {
        "receive_maximum": 7,
        "maximum_qos": 1,
        "retain_available": 1,
        "maximum_packet_size": 5000,
        "topic_alias_maximum": 3,
        "wildcard_subscription_available": 1,
        "subscription_identifier_available": 1,
        "shared_subscription_available": 1,
    }
    assert "maximum_qos" not in Peer(Desk()).connects().properties
    assert Peer(Desk(), V311).connects().properties == {}


def test_extended_authentication_is_refused() -> None:
    peer = Peer(Desk())
    connack = peer.connects(authentication_method="SCRAM-SHA-1", authentication_data=b"n")
    assert connack.reason == Reason.BAD_AUTHENTICATION_METHOD
    peer = met(Desk())
    assert farewell(peer, peer.says(Auth(0x19))) is Reason.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("version", "asked", "used"),
    [(V5, 0, 60), (V5, 10, 10), (V5, 60, 60), (V5, 61, 60), (V311, 0, 0), (V311, 61, 61)],
)
def test_keep_alive_ceiling(version: int, asked: int, used: int) -> None:
    peer = Peer(Desk(keep_alive_s=60), version)
    peer.says(Connect(version, "c", keep_alive=asked))
    assert peer.connection.keep_alive == used


# --- publishing -------------------------------------------------------------------------------------------------------


def test_answers_by_qos() -> None:
    peer = met(Desk())
    assert peer.publishes("a", b"", 0) == []
    assert peer.publishes("a", b"", 1, 3) == [Ack(T.PUBACK, 3)]
    assert peer.publishes("a", b"", 1, 3) == [Ack(T.PUBACK, 3)], "the same identifier is a new message"
    assert len(peer.desk.published) == 3
    peer.desk.verdict = Reason.NO_MATCHING_SUBSCRIBERS
    assert peer.publishes("a", b"", 1, 4) == [Ack(T.PUBACK, 4, 0x10)]
    assert peer.publishes("a", b"", 2, 5) == [Ack(T.PUBREC, 5, 0x10)]
    assert peer.acks(T.PUBREL, 5) == [Ack(T.PUBCOMP, 5)]


def test_more_than_the_maximum_qos() -> None:
    peer = met(Desk(max_qos=1))
    assert farewell(peer, peer.publishes("a", b"", 2, 1)) is Reason.QOS_NOT_SUPPORTED
    peer = met(Desk(max_qos=1), version=V311)
    assert peer.publishes("a", b"", 2, 1) == []
    assert peer.connection.closing
    assert peer.desk.published == []


def test_a_will_over_the_maximum_qos() -> None:
    peer = Peer(Desk(max_qos=1))
    [connack] = peer.says(Connect(V5, "c", will=Will("w", b"", 2)))
    assert isinstance(connack, Connack)
    assert connack.reason == Reason.QOS_NOT_SUPPORTED


def test_a_packet_over_the_limit() -> None:
    peer = met(Desk(packet_bytes=100))
    assert peer.publishes("a", b"x" * 90) == []
    assert farewell(peer, peer.publishes("a", b"x" * 100)) is Reason.PACKET_TOO_LARGE


def test_receive_maximum_of_the_server() -> None:
    peer = met(Desk(receive_maximum=2))
    assert peer.publishes("a", b"", 2, 1) == [Ack(T.PUBREC, 1)]
    assert peer.publishes("a", b"", 2, 2) == [Ack(T.PUBREC, 2)]
    assert peer.publishes("a", b"", 2, 2) == [Ack(T.PUBREC, 2)], "the same one again is no more"
    assert peer.publishes("a", b"", 0) == []
    assert peer.acks(T.PUBREL, 1) == [Ack(T.PUBCOMP, 1)]
    assert peer.publishes("a", b"", 1, 3) == [Ack(T.PUBACK, 3)]
    assert peer.publishes("a", b"", 2, 4) == [Ack(T.PUBREC, 4)]
    assert farewell(peer, peer.publishes("a", b"", 2, 5)) is Reason.RECEIVE_MAXIMUM_EXCEEDED
    assert len(peer.desk.published) == 5


def test_receive_maximum_counts_what_waits_for_the_store_once() -> None:
    peer = met(Desk(receive_maximum=4))
    for packet_id in range(1, 4):
        peer.desk.ticket += 1
        assert peer.publishes("a", b"", packet_id % 2 + 1, packet_id) == []
    assert peer.says(Subscribe(9, [Wish("b")])) == [], "a SUBACK that waits is no message"
    assert peer.publishes("a", b"", 1, 4) == []
    peer.connection.durable(peer.desk.ticket)
    assert [packet.packet_id for packet in peer.came() if isinstance(packet, Ack)] == [1, 2, 3, 4]
    peer.desk.ticket += 1
    assert peer.publishes("a", b"", 1, 5) == []
    assert peer.publishes("a", b"", 1, 6) == []
    assert farewell(peer, peer.publishes("a", b"", 1, 7)) is Reason.RECEIVE_MAXIMUM_EXCEEDED


def test_receive_maximum_of_older_versions_is_no_rule() -> None:
    peer = met(Desk(receive_maximum=1), version=V311)
    for packet_id in range(1, 5):
        assert peer.publishes("a", b"", 2, packet_id) == [Ack(T.PUBREC, packet_id)]


def test_answers_wait_for_the_store_in_order() -> None:
    peer = met(Desk())
    peer.desk.ticket = 2
    assert peer.publishes("a", b"", 1, 1) == []
    peer.desk.ticket = 0
    assert peer.publishes("a", b"", 1, 2) == [], "never before an earlier one"
    peer.desk.ticket = 3
    assert peer.publishes("a", b"", 2, 3) == []
    assert peer.says(PING) == [Ping(T.PINGRESP)]
    peer.connection.durable(1)
    assert peer.came() == []
    peer.connection.durable(2)
    assert peer.came() == [Ack(T.PUBACK, 1), Ack(T.PUBACK, 2)]
    peer.connection.durable(3)
    assert peer.came() == [Ack(T.PUBREC, 3)]
    peer.desk.ticket = 0
    assert peer.publishes("a", b"", 1, 4) == [Ack(T.PUBACK, 4)]


def test_answers_that_wait_end_with_the_connection() -> None:
    peer = met(Desk())
    peer.desk.ticket = 1
    peer.publishes("a", b"", 1, 1)
    peer.leaves()
    peer.connection.durable(1)
    assert peer.came() == []


# --- topic aliases ----------------------------------------------------------------------------------------------------


def test_aliases_of_the_client() -> None:
    peer = met(Desk(topic_aliases=2))
    peer.publishes("a", topic_alias=1)
    peer.publishes("b", topic_alias=2)
    peer.publishes("", topic_alias=1)
    peer.publishes("c", topic_alias=1)
    peer.publishes("", topic_alias=1)
    assert [packet.topic for packet in peer.desk.published] == ["a", "b", "a", "c", "c"]
    assert not any("topic_alias" in packet.properties for packet in peer.desk.published)
    assert farewell(peer, peer.publishes("d", topic_alias=3)) is Reason.TOPIC_ALIAS_INVALID
    peer = met(Desk())
    assert farewell(peer, peer.publishes("", topic_alias=1)) is Reason.PROTOCOL_ERROR
    peer = met(Desk())
    assert farewell(peer, peer.says(bytes.fromhex("30 07 0001 61 03 23 0000"))) is Reason.TOPIC_ALIAS_INVALID


def aliased(peer: Peer, *topics: str, size: int = 0) -> list[tuple[str, int]]:
    """What comes when the desk sends to these topics."""
    for topic in topics:
        peer.desk.send(topic, b"x" * size, 1)
    return [(each.topic, each.properties.get("topic_alias", 0)) for each in peer.came() if isinstance(each, Publish)]


def test_aliases_of_the_server() -> None:
    desk = Desk()
    peer = met(desk, topic_alias_maximum=2)
    for topic in "abc":
        peer.subscribes(topic, 1)
    assert aliased(peer, "a", "b", "c", "a", "b") == [("a", 1), ("b", 2), ("c", 0), ("", 1), ("", 2)]
    peer.leaves()
    peer = met(desk, topic_alias_maximum=1)
    assert aliased(peer, "b", "a", "b") == [("b", 1), ("a", 0), ("", 1)], "aliases end with the connection"
    peer.leaves()
    peer = met(desk)
    assert aliased(peer, "a", "a") == [("a", 0), ("a", 0)]


def test_an_alias_that_was_not_told_is_free() -> None:
    desk = Desk()
    peer = met(desk, topic_alias_maximum=1, maximum_packet_size=30)
    peer.subscribes("a", 1)
    peer.subscribes("b", 1)
    desk.send("a", b"x" * 40, 1)
    assert peer.came() == []
    assert aliased(peer, "b", "b") == [("b", 1), ("", 1)]


def test_no_more_aliases_are_kept_than_are_taken() -> None:
    peer = met(Desk(topic_aliases=1), topic_alias_maximum=65_535)
    for topic in "ab":
        peer.subscribes(topic)
    assert aliased(peer, "a", "b") == [("a", 1), ("b", 0)]


# --- maximum packet size ----------------------------------------------------------------------------------------------


def test_a_message_over_the_size_of_the_client_is_dropped() -> None:
    desk = Desk()
    peer = met(desk, maximum_packet_size=40)
    peer.subscribes("a", 1)
    desk.send("a", b"x" * 40, 1)
    desk.send("a", b"x" * 30, 1)
    [published] = peer.came()
    assert isinstance(published, Publish)
    assert len(published.payload) == 30
    assert desk.drops.large == 1
    assert peer.connection.session is not None
    assert peer.connection.session.waiting == 1


def test_no_packet_is_larger_than_the_client_takes() -> None:
    peer = met(Desk(), maximum_packet_size=100)
    [goodbye] = peer.publishes("", topic_alias=1)
    assert isinstance(goodbye, Disconnect)
    assert goodbye.properties["reason_string"]
    peer = Peer(Desk())
    raw = Connect(V5, "nobody", properties={"maximum_packet_size": 10})
    assert peer.says(raw) == [Connack(False, Reason.NOT_AUTHORIZED)]
    peer = Peer(Desk())
    assert peer.says(Connect(V5, "c", properties={"maximum_packet_size": 8})) == [], "CONNACK itself is too large"
    assert peer.connection.closing
    peer = met(Desk(), maximum_packet_size=60)
    assert peer.says(Subscribe(1, [Wish(str(number)) for number in range(100)])) == []
    peer.connection.disconnect(Reason.ADMINISTRATIVE_ACTION, "x" * 100)
    assert peer.came() == [Disconnect(Reason.ADMINISTRATIVE_ACTION)]


def test_reasons_for_those_who_want_none() -> None:
    peer = met(Desk(), request_problem_information=0)
    [goodbye] = peer.publishes("", topic_alias=1)
    assert goodbye == Disconnect(Reason.PROTOCOL_ERROR)


# --- subscribing ------------------------------------------------------------------------------------------------------


def test_subscribing() -> None:
    peer = met(Desk())
    assert peer.says(Subscribe(5, [Wish("a", 2), Wish("b", 0)])) == [Suback(T.SUBACK, 5, [2, 0])]
    assert peer.says(Unsubscribe(6, ["x", "a"])) == [Suback(T.UNSUBACK, 6, [0x11, 0])]
    old = met(Desk(), version=V311)
    assert old.says(Unsubscribe(6, ["x", "a"])) == [Suback(T.UNSUBACK, 6, [])]


def test_publish_with_a_subscription_identifier() -> None:
    peer = met(Desk())
    assert farewell(peer, peer.publishes("a", subscription_identifier=[1])) is Reason.PROTOCOL_ERROR


def test_expiry_that_remains() -> None:
    desk = Desk()
    peer = met(desk)
    peer.subscribes("a")
    message = Message("a", b"", 0, expires=desk.time + 30)
    desk.time += 10.4
    assert peer.connection.session is not None
    desk.deliver(peer.connection.session, message, 0)
    desk.time += 20
    desk.deliver(peer.connection.session, message, 0)
    assert peer.came() == [Publish("a", properties={"message_expiry_interval": 20})]
    assert desk.drops.expired == 1


def test_one_encoding_for_all_who_get_the_same() -> None:
    message = Message("a", b"x", 1, properties={"content_type": "t"})
    assert message.delivery(V5, 1, False, ()) is message.delivery(V5, 1, False, ())
    assert message.delivery(V5, 1, False, (1,)) is not message.delivery(V5, 1, False, ())
    plain = message.delivery(V5, 1, True, (1, 300))
    whole = plain.head + b"\0\7" + plain.tail
    assert whole == encode(
        Publish("a", b"x", 1, True, False, 7, {"subscription_identifier": [1, 300], "content_type": "t"}), V5
    )
    assert whole == plain.for_connection(V5, 7, False, 0, 0, True)
    assert plain.marked_again()[0] == plain.head[0] | 8
    assert len(whole) == plain.size


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "stays"),
    [(0, False), (4, True), (Reason.UNSPECIFIED_ERROR, True), (Reason.MESSAGE_RATE_TOO_HIGH, True)],
)
def test_will_and_disconnect(reason: int, stays: bool) -> None:
    peer = Peer(Desk())
    peer.says(Connect(V5, "c", will=Will("w", b"")))
    assert peer.says(Disconnect(reason)) == []
    assert (peer.connection.will is not None) == stays
    assert peer.desk.gone_with == [(Reason.SUCCESS, "the client disconnected")]


def test_will_without_disconnect() -> None:
    for version in (V31, V311, V5):
        peer = Peer(Desk(), version)
        peer.says(Connect(version, "c", will=Will("w", b"")))
        peer.leaves()
        assert peer.connection.will == Will("w", b"")
        peer = Peer(Desk(), version)
        peer.says(Connect(version, "c", will=Will("w", b"")))
        peer.says(Disconnect())
        assert peer.connection.will is None


def test_session_expiry_may_be_changed_at_the_end() -> None:
    peer = met(Desk(), session_expiry_interval=10)
    peer.says(Disconnect(0, {"session_expiry_interval": 20}))
    assert peer.connection.expiry == 20
    peer = met(Desk())
    came = peer.says(Disconnect(0, {"session_expiry_interval": 20}))
    assert farewell(peer, came) is Reason.PROTOCOL_ERROR


def test_the_end_is_told_once() -> None:
    peer = met(Desk())
    peer.connection.disconnect(Reason.SESSION_TAKEN_OVER, "elsewhere")
    peer.connection.disconnect(Reason.SERVER_SHUTTING_DOWN, "late")
    peer.leaves()
    assert peer.desk.gone_with == [(Reason.SESSION_TAKEN_OVER, "elsewhere")]


def test_what_came_before_an_error_is_done() -> None:
    peer = met(Desk())
    came = peer.says(encode(Publish("a", b"", 1, packet_id=1), V5) + b"\xc0\0" + b"\xc1\0" + b"\xc0\0")
    assert came[:2] == [Ack(T.PUBACK, 1), Ping(T.PINGRESP)]
    assert farewell(peer, came) is Reason.MALFORMED_PACKET


def test_the_owner_of_the_socket_is_woken_once() -> None:
    peer = Peer(Desk())
    peer.connects()
    before = peer.woken
    peer.connection.receive(b"\xc0\0" * 5)
    assert peer.woken == before + 1
    assert len(peer.came()) == 5
    peer.connection.receive(b"\xc0\0")
    assert peer.woken == before + 2


def test_a_reason_that_disconnect_cannot_have() -> None:
    peer = met(Desk())
    raw = bytes.fromhex("10 0b 0002 686a 04 02 0000 0001 78")
    assert farewell(peer, peer.says(raw)) is Reason.PROTOCOL_ERROR
    peer = met(Desk())
    peer.connection.disconnect(Reason.BANNED, "blocked")
    assert farewell(peer, peer.came()) is Reason.NOT_AUTHORIZED
