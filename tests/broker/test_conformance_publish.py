"""MQTT 5, 3.3 and 4.3 to 4.6: PUBLISH, retained messages, aliases, expiry, and QoS in both directions."""

from __future__ import annotations

import pytest
from statements import covers
from wire import Wire, fresh

from conftest import House
from wayframe.mqtt import Ack, PacketType, Publish, Subscribe, Wish
from wayframe.mqtt.packets import Ping, Suback

T = PacketType


def met(house: House, **said: object) -> tuple[str, Wire, Wire]:
    """A topic, a subscriber to it and a publisher."""
    topic = fresh("t/")
    subscriber = house.client(**said)
    subscriber.subscribe(topic)
    return topic, subscriber, house.client()


def retained(house: House, text: str, **options: int) -> list[bytes]:
    """What a new subscriber gets at once."""
    wire = house.client()
    wire.subscribe(Wish(text, 2, **options))
    return [message.payload for message in wire.messages() if message.retain]


# --- properties -------------------------------------------------------------------------------------------------------


@covers("3.3.2-4", "3.3.2-15", "3.3.2-16", "3.3.2-17", "3.3.2-18", "3.3.2-20", "3.3.2-1", "1.5.4-3")
@pytest.mark.parametrize("qos", [0, 1])
def test_properties_are_passed_on(house: House, qos: int) -> None:
    topic, subscriber, publisher = met(house)
    said = {
        "payload_format_indicator": 1,
        "content_type": "\ufefftext/plain; é",
        "response_topic": "answers/\ufeff",
        "correlation_data": bytes(range(256)),
        "user_property": [("b", "2"), ("a", "1"), ("b", "1"), ("", "")],
    }
    publisher.publish(topic, "\ufeffé".encode(), qos, **said)
    message = subscriber.message()
    assert message.payload == "\ufeffé".encode()
    own = message.properties["user_property"]
    assert own[:4] == said["user_property"]
    assert [name for name, _ in own[4:]] == (["timestamp", "cid"] if house.max_qos == 1 else [])
    assert message.properties == {**said, "user_property": own}


@covers("3.3.2-5", "3.3.2-6")
def test_message_expiry(house: House) -> None:
    topic, name = fresh("t"), fresh()
    wire = house.client(name, session_expiry_interval=100)
    wire.subscribe(topic)
    publisher = house.client()
    publisher.publish(topic, b"now", 1, message_expiry_interval=30)
    assert 29 <= wire.message().properties["message_expiry_interval"] <= 30
    wire.leave()
    publisher.publish(topic, b"short", 1, message_expiry_interval=1)
    publisher.publish(topic, b"long", 1, message_expiry_interval=100)
    publisher.publish(topic, b"kept", 1, retain=True, message_expiry_interval=1)
    other = house.client(fresh(), keep_alive=2)
    other.farewell()  # three seconds
    wire = house.client(name, clean=False)
    [message] = wire.messages()
    assert message.payload == b"long"
    assert 90 <= message.properties["message_expiry_interval"] <= 98
    assert retained(house, topic) == []


@covers("3.3.2-7", "3.3.2-8", "3.3.2-12", "4.13.1-1")
def test_topic_aliases_of_clients(house: House) -> None:
    topic, subscriber, publisher = met(house)
    publisher.publish(topic, b"1", 1, topic_alias=5)
    publisher.publish("", b"2", 1, topic_alias=5)
    assert [subscriber.message().topic for _ in range(2)] == [topic, topic]
    publisher.close()
    for alias, expected in ((5, 0x82), (6, 0x94), (0, 0x94)):
        wire = house.client()
        wire.send(Publish("" if alias == 5 else topic, b"", 0, properties={"topic_alias": alias}))
        assert wire.farewell() == expected, "aliases end with their connection"
    assert subscriber.silent()


@covers("3.1.2-26", "3.1.2-27", "3.3.2-11", "3.3.2-7")
def test_topic_aliases_of_the_server(house: House) -> None:
    name, root = fresh(), fresh("t")
    publisher = house.client()
    for maximum in (2, 0, None, 1):
        said = {} if maximum is None else {"topic_alias_maximum": maximum}
        wire = house.client(name, clean=False, session_expiry_interval=100, **said)
        wire.subscribe(f"{root}/+")
        told: dict[int, str] = {}
        for topic in ("a", "b", "c", "a", "b", "c"):
            publisher.publish(f"{root}/{topic}", b"", 1)
            message = wire.message()
            alias = message.properties.get("topic_alias", 0)
            assert alias <= (maximum or 0)
            if message.topic:
                told[alias] = message.topic
            assert told[alias] == f"{root}/{topic}"
        assert len([alias for alias in told if alias]) == (maximum or 0), "and they are used"
        wire.leave()


@covers("3.3.4-6", "3.3.2-14", "3.3.2-2", "4.7.0-1", "4.7.3-1", "3.3.1-4", "3.3.1-2", "3.3.2-13", "3.3.2-19", "1.5.7-1")
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("30 06 0001 61 02 0b01", 0x82),
        ("30 09 0001 61 05 08 0002 612b", 0x90),
        ("30 09 0001 61 05 08 0002 2361", 0x90),
        ("30 04 0001 23 00", 0x90),
        ("30 06 0003 612f2b 00", 0x90),
        ("30 03 0000 00", 0x82),
        ("36 06 0001 61 0001 00", 0x81),
        ("38 04 0001 61 00", 0x81),
        ("30 08 0001 61 04 08 0001 ff", 0x81),
        ("30 08 0001 61 04 03 0001 ff", 0x81),
        ("30 0a 0001 61 06 26 0001 ff 0000", 0x81),
        ("30 0a 0001 61 06 26 0000 0001 ff", 0x81),
        ("30 06 0003 eda080 00", 0x81),
        ("30 05 0002 6100 00", 0x81),
        ("32 04 0001 61 00", 0x81),
        ("32 06 0001 61 0000 00", 0x82),
    ],
)
def test_publishes_that_are_refused(house: House, raw: str, reason: int) -> None:
    wire = house.client()
    wire.send(bytes.fromhex(raw))
    assert wire.farewell() == reason


@covers("2.2.1-2")
def test_qos_0_has_no_packet_identifier(house: House) -> None:
    topic, subscriber, publisher = met(house)
    publisher.send(Publish(topic, b"", 0))
    raw = subscriber.socket.recv(2 + 2 + len(topic))
    assert raw[0] == 0x30
    assert raw[4:] == topic.encode(), "and the properties follow the topic"


@covers("4.7.3-3", "4.2-1")
def test_a_topic_as_long_as_can_be(house: House) -> None:
    root = fresh("t")
    topic = f"{root}/{'x' * (65_534 - len(root))}"
    publisher = house.client()
    wire = house.client()
    wire.subscribe(f"{root}/#")
    publisher.publish(topic, b"far", 1)
    assert wire.message().topic == topic


# --- retained ---------------------------------------------------------------------------------------------------------


@covers("3.3.1-5", "3.3.1-6", "3.3.1-7", "3.3.1-8")
def test_retained_messages(house: House) -> None:
    topic = fresh("r")
    publisher, watching = house.client(), house.client()
    watching.subscribe(topic)
    publisher.publish(topic, b"1", 1, retain=True)
    publisher.publish(topic, b"2", 1, retain=True, content_type="x")
    assert retained(house, topic) == [b"2"]
    publisher.publish(topic, b"3", 1)
    publisher.publish(topic, b"", 1)
    assert retained(house, topic) == [b"2"]
    publisher.publish(topic, b"", 0, retain=True)
    assert publisher.silent()
    assert retained(house, topic) == []
    assert [watching.message().payload for _ in range(5)] == [b"1", b"2", b"3", b"", b""]
    assert watching.silent()


@covers("3.3.1-9", "3.3.1-10", "3.3.1-11", "3.8.4-4")
@pytest.mark.parametrize(("handling", "first", "second"), [(0, 1, 1), (1, 1, 0), (2, 0, 0)])
def test_retain_handling(house: House, handling: int, first: int, second: int) -> None:
    topic = fresh("r")
    house.client().publish(topic, b"1", 1, retain=True)
    wire = house.client()
    wish = Wish(topic, 1, retain_handling=handling)
    wire.subscribe(wish)
    assert len(wire.messages()) == first
    wire.subscribe(wish)
    assert len(wire.messages()) == second
    wire.unsubscribe(topic)
    wire.subscribe(wish)
    assert len(wire.messages()) == first, "it is a new subscription again"


@covers("3.3.1-10")
def test_retain_handling_over_sessions(house: House) -> None:
    topic, name = fresh("r"), fresh()
    house.client().publish(topic, b"1", 1, retain=True)
    wish = Wish(topic, 1, retain_handling=1)
    wire = house.client(name, session_expiry_interval=100)
    wire.subscribe(wish)
    assert len(wire.messages()) == 1
    wire.leave()
    wire = house.client(name, clean=False)
    wire.subscribe(wish)
    assert wire.silent()


@covers("3.3.1-12", "3.3.1-13")
def test_retain_as_published(house: House) -> None:
    topic = fresh("r")
    plain, bridge = house.client(), house.client()
    plain.subscribe(Wish(topic, 1))
    bridge.subscribe(Wish(topic, 1, retain_as_published=True))
    publisher = house.client()
    for retain in (True, False):
        publisher.publish(topic, b"1", 1, retain=retain)
        assert (plain.message().retain, bridge.message().retain) == (False, retain)


def test_retained_messages_have_their_own_qos_and_identifier(house: House) -> None:
    topic = fresh("r")
    publisher = house.client()
    for qos in range(house.max_qos + 1):
        publisher.publish(f"{topic}/{qos}", b"", qos, retain=True)
    publisher.publish(f"{topic}/0", b"x", 0, retain=True)
    for granted in range(house.max_qos + 1):
        for qos in range(house.max_qos + 1):
            wire = house.client()
            publisher.publish(f"{topic}/{qos}", b"x", qos, retain=True)
            wire.subscribe(Wish(f"{topic}/{qos}", granted), subscription_identifier=77)
            message = wire.message()
            assert (message.qos, message.retain) == (min(qos, granted), True)
            assert message.properties["subscription_identifier"] == [77]


@covers("4.6.0-5")
def test_no_old_retained_message_after_a_newer_one(house: House) -> None:
    root = fresh("r")
    publisher, wire = house.client(), house.client()
    for number in range(1000):
        publisher.publish(f"{root}/{number:04d}", b"old", 0, retain=True)
    assert publisher.silent()
    wire.send(Subscribe(1, [Wish(f"{root}/#", 0)]))
    for _ in range(30):
        publisher.publish(f"{root}/0998", b"new", 0, retain=True)
        publisher.publish(f"{root}/0999", b"", 0, retain=True)
    assert publisher.silent()
    wire.take(Suback)
    last: dict[str, bytes] = {}
    while f"{root}/0997" not in last:  # the last one that nobody replaces
        message = wire.take(Publish)
        last[message.topic] = message.payload
    last |= {message.topic: message.payload for message in wire.messages()}
    assert len(last) == 1000
    assert (last[f"{root}/0998"], last[f"{root}/0999"]) == (b"new", b"")


# --- QoS in -----------------------------------------------------------------------------------------------------------


@covers("3.3.4-1", "2.2.1-5", "4.3.2-4", "4.3.2-5", "3.4.2-1")
def test_qos_1_in(house: House) -> None:
    topic, subscriber, publisher = met(house)
    for dup in (False, True, False):
        publisher.send(Publish(topic, b"x", 1, dup=dup, packet_id=65_535))
        assert publisher.take(Ack) == Ack(T.PUBACK, 65_535)
        message = subscriber.message()
        assert (message.dup, message.qos) == (False, 1)
    assert subscriber.silent()


@covers("3.3.1-3")
def test_dup_is_not_passed_on(house: House) -> None:
    topic, subscriber, publisher = met(house)
    publisher.send(Publish(topic, b"x", 1, dup=True, packet_id=1))
    assert not subscriber.message().dup


@covers("3.2.2-9", "4.13.2-1")
def test_qos_over_the_maximum(house1: House) -> None:
    topic, subscriber, publisher = met(house1)
    publisher.send(Publish(topic, b"x", 2, packet_id=1))
    assert publisher.farewell() == 0x9B
    assert subscriber.silent()


@covers("3.3.4-1", "2.2.1-5", "4.3.3-8", "4.3.3-10", "4.3.3-11", "4.3.3-12", "3.5.2-1", "3.7.2-1")
@covers("3.5.2-2", "3.5.2-3", "3.7.2-2", "3.7.2-3")
def test_qos_2_in(house2: House) -> None:
    topic, subscriber, publisher = met(house2)
    for _ in range(2):
        for dup in (False, True, True):
            publisher.send(Publish(topic, b"x", 2, dup=dup, packet_id=7))
            assert publisher.take(Ack) == Ack(T.PUBREC, 7)
        assert subscriber.message().payload == b"x"
        assert subscriber.silent(), "once"
        publisher.ack(T.PUBREL, 7)
        assert publisher.take(Ack) == Ack(T.PUBCOMP, 7)
    publisher.ack(T.PUBREL, 7)
    assert publisher.take(Ack) == Ack(T.PUBCOMP, 7, 0x92)


@covers("4.3.3-9", "3.5.2-1")
def test_qos_2_that_is_refused(house2: House) -> None:
    publisher = house2.client()
    for _ in range(12):  # more often than Receive Maximum
        publisher.send(Publish("flespi/x", b"x", 2, packet_id=7))
        assert publisher.take(Ack) == Ack(T.PUBREC, 7, 0x87)
    publisher.ack(T.PUBREL, 7)
    assert publisher.take(Ack) == Ack(T.PUBCOMP, 7, 0x92)


@covers("4.3.3-10", "4.3.3-13", "4.1.0-1")
def test_qos_2_in_over_connections(house2: House) -> None:
    topic, subscriber, _ = met(house2)
    name = fresh()
    publisher = house2.client(name, session_expiry_interval=100)
    publisher.send(Publish(topic, b"x", 2, packet_id=7, properties={"message_expiry_interval": 0}))
    assert publisher.take(Ack) == Ack(T.PUBREC, 7)
    publisher.close()
    publisher = house2.client(name, clean=False, session_expiry_interval=100)
    publisher.send(Publish(topic, b"x", 2, dup=True, packet_id=7))
    assert publisher.take(Ack) == Ack(T.PUBREC, 7)
    publisher.ack(T.PUBREL, 7)
    assert publisher.take(Ack) == Ack(T.PUBCOMP, 7)
    assert len(subscriber.messages()) <= 1


@covers("4.6.0-2", "4.6.0-3", "4.6.0-4")
def test_answers_in_order(house2: House) -> None:
    name, topic = fresh(), fresh("t")
    house2.client(name, session_expiry_interval=100).subscribe(Wish(topic, 2))
    house2.wires[-1].close()
    publisher = house2.client()
    publisher.send(*(Publish(topic if n % 2 else "nobody", b"", 1 + n % 2, packet_id=n) for n in range(1, 11)))
    answers = [publisher.take(Ack) for _ in range(10)]
    assert [(each.type, each.packet_id) for each in answers] == [
        (T.PUBREC if n % 2 else T.PUBACK, n) for n in range(1, 11)
    ]
    wire = house2.client(name, clean=False, session_expiry_interval=100)
    ids = [wire.message(answer=False).packet_id for _ in range(5)]
    wire.send(*(Ack(T.PUBREC, packet_id) for packet_id in reversed(ids)))
    assert [wire.take(Ack) for _ in ids] == [Ack(T.PUBREL, packet_id) for packet_id in reversed(ids)]


@covers("3.3.4-7")
def test_receive_maximum_of_the_server(house2: House) -> None:
    wire = house2.client()
    for packet_id in range(1, 11):
        wire.send(Publish("x", b"", 2, packet_id=packet_id))
        assert wire.take(Ack) == Ack(T.PUBREC, packet_id)
    wire.publish("x", b"", 0)
    wire.send(Publish("x", b"", 2, dup=True, packet_id=10))
    assert wire.take(Ack) == Ack(T.PUBREC, 10)
    wire.ack(T.PUBREL, 1)
    assert wire.take(Ack) == Ack(T.PUBCOMP, 1)
    wire.send(Publish("x", b"", 2, packet_id=1))
    assert wire.take(Ack) == Ack(T.PUBREC, 1)
    wire.send(Publish("x", b"", 2, packet_id=11))
    assert wire.farewell() == 0x93


# --- QoS out ----------------------------------------------------------------------------------------------------------


@covers("4.3.1-1", "3.3.1-2")
def test_qos_0_out(house: House) -> None:
    topic, subscriber, publisher = met(house)
    publisher.publish(topic, b"x", 0)
    message = subscriber.message()
    assert (message.qos, message.dup, message.packet_id) == (0, False, 0)


@covers("2.2.1-4", "4.3.2-1", "4.3.2-2", "4.3.2-3", "3.3.4-9", "4.9.0-1", "4.9.0-2", "4.9.0-3", "3.3.4-10")
def test_qos_1_out(house: House) -> None:
    topic, subscriber, publisher = met(house, receive_maximum=3)
    for number in range(5):
        publisher.publish(topic, b"%d" % number, 1)
    under_way = [subscriber.message(answer=False) for _ in range(3)]
    assert [message.payload for message in under_way] == [b"0", b"1", b"2"]
    assert len({message.packet_id for message in under_way} - {0}) == 3
    assert not any(message.dup for message in under_way)
    assert subscriber.silent(), "PINGREQ is answered, nothing else is sent"
    publisher.publish(topic, b"qos 0", 0)
    assert subscriber.message().payload == b"qos 0"
    assert subscriber.subscribe(Wish(fresh("t"), 0)) == [0]
    subscriber.ack(T.PUBACK, under_way[1].packet_id)
    message = subscriber.message(answer=False)
    assert message.payload == b"3"
    assert message.packet_id not in {under_way[0].packet_id, under_way[2].packet_id}
    assert subscriber.silent()


@covers("4.3.3-1", "4.3.3-2", "4.3.3-3", "4.3.3-4", "4.3.3-5", "3.6.2-1", "3.6.2-2", "3.6.2-3", "4.9.0-2")
def test_qos_2_out(house2: House) -> None:
    topic, subscriber, publisher = met(house2, receive_maximum=1)
    publisher.publish(topic, b"0", 2)
    publisher.publish(topic, b"1", 2)
    first = subscriber.message(answer=False)
    assert (first.qos, first.dup) == (2, False)
    subscriber.ack(T.PUBREC, first.packet_id)
    assert subscriber.take(Ack) == Ack(T.PUBREL, first.packet_id)
    assert subscriber.silent(), "until PUBCOMP it is under way"
    subscriber.ack(T.PUBCOMP, first.packet_id)
    assert subscriber.message().payload == b"1"
    subscriber.ack(T.PUBREC, 999)
    assert subscriber.take(Ack) == Ack(T.PUBREL, 999, 0x92)


@covers("4.4.0-1", "3.3.1-1", "4.6.0-1", "4.3.2-3", "4.3.3-3", "4.3.3-5", "4.3.3-6", "4.3.3-7")
def test_what_comes_again(house2: House) -> None:
    name, topic = fresh(), fresh("t")
    wire = house2.client(name, session_expiry_interval=100)
    wire.subscribe(topic)
    publisher = house2.client()
    for number in range(6):
        publisher.publish(topic, b"%d" % number, 1 + number % 2, message_expiry_interval=1)
    sent = [wire.message(answer=False) for _ in range(6)]
    wire.ack(T.PUBACK, sent[0].packet_id)
    wire.ack(T.PUBREC, sent[1].packet_id)
    assert wire.take(Ack) == Ack(T.PUBREL, sent[1].packet_id)
    house2.client(keep_alive=2).farewell()  # longer than they live
    assert wire.silent(), "nothing comes again while it is connected"
    wire.close()
    wire = house2.client(name, clean=False, session_expiry_interval=100)
    assert wire.take(Ack) == Ack(T.PUBREL, sent[1].packet_id)
    again = [wire.message(answer=False) for _ in range(4)]
    assert [(each.payload, each.packet_id, each.qos) for each in again] == [
        (each.payload, each.packet_id, each.qos) for each in sent[2:]
    ]
    assert all(each.dup for each in again)
    assert wire.silent()


@covers("4.4.0-2")
def test_what_was_refused_does_not_come_again(house2: House) -> None:
    name, topic = fresh(), fresh("t")
    wire = house2.client(name, session_expiry_interval=100)
    wire.subscribe(topic)
    publisher = house2.client()
    publisher.publish(topic, b"1", 1)
    publisher.publish(topic, b"2", 2)
    wire.ack(T.PUBACK, wire.message(answer=False).packet_id, 0x80)
    wire.ack(T.PUBREC, wire.message(answer=False).packet_id, 0x97)
    assert wire.silent(), "and no PUBREL"
    wire.close()
    assert house2.client(name, clean=False).silent()


@covers("4.6.0-5", "4.6.0-6", "4.5.0-1")
@pytest.mark.parametrize("qos", [0, 1])
def test_messages_come_in_order(house: House, qos: int) -> None:
    topic, subscriber, publisher = met(house)
    publisher.send(*(Publish(topic, b"%d" % number, qos, packet_id=qos and number) for number in range(1, 501)))
    assert [subscriber.message().payload for _ in range(500)] == [b"%d" % number for number in range(1, 501)]


def test_one_after_another_and_all_at_once(house: House) -> None:
    """Cut at every byte, and glued together with what follows."""
    topic, subscriber, publisher = met(house)
    raw = b"".join(
        [b"\x32" + bytes((len(topic) + 5,)) + len(topic).to_bytes(2, "big") + topic.encode() + b"\0\1\0", b"\xc0\0"]
    )
    for byte in raw:
        publisher.send(bytes((byte,)))
    assert publisher.take(Ack) == Ack(T.PUBACK, 1)
    assert publisher.take(Ping) == Ping(T.PINGRESP)
    publisher.send(raw * 20)
    assert len([publisher.receive() for _ in range(40)]) == 40
    assert len(subscriber.messages()) == 21
    assert publisher.silent()


def test_a_publish_larger_than_the_server_takes(house: House) -> None:
    publisher = house.client()
    most = house.connack.properties["maximum_packet_size"]
    publisher.send(b"\x30" + (0x80 | most & 0x7F).to_bytes(1, "big") + bytes((0x80 | (most >> 7) & 0x7F, 0xFF, 0x7F)))
    assert publisher.farewell() == 0x95


@covers("2.2.1-6", "3.9.2-1")
def test_requests_are_answered_by_their_identifier(house: House) -> None:
    wire = house.client()
    for packet_id in (1, 65_535, 300):
        wire.send(bytes.fromhex("82 07") + packet_id.to_bytes(2, "big") + bytes.fromhex("00 0001 61 00"))
        assert wire.take(Suback) == Suback(T.SUBACK, packet_id, [0])
        wire.send(bytes.fromhex("a2 06") + packet_id.to_bytes(2, "big") + bytes.fromhex("00 0001 61"))
        assert wire.take(Suback) == Suback(T.UNSUBACK, packet_id, [0])
