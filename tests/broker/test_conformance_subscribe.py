"""MQTT 5, 3.8 to 3.11, 4.7 and 4.8: subscriptions, topic filters, shared subscriptions."""

from __future__ import annotations

import pytest
from statements import covers
from wire import Wire, fresh

from conftest import House
from wayframe.mqtt import Ack, PacketType, Publish, Subscribe, Wish

T = PacketType


def gets(house: House, text: str, topics: list[str]) -> list[str]:
    """Which of these topics a subscriber to a filter is sent."""
    wire, publisher = house.client(), house.client()
    assert wire.subscribe(Wish(text, 0)) == [0]
    for topic in topics:
        publisher.publish(topic, b"", 0)
    assert publisher.silent()
    return [message.topic for message in wire.messages()]


# --- SUBSCRIBE and UNSUBSCRIBE ----------------------------------------------------------------------------------------


@covers("3.8.4-1", "3.8.4-2", "3.8.4-5", "3.8.4-6", "3.8.4-7", "3.9.3-1", "3.9.3-2", "2.2.1-6")
def test_subscribe(house: House) -> None:
    wire = house.client()
    assert wire.subscribe(Wish("a", 0), Wish("b/#/c", 1), Wish("c", 2), Wish("", 1), Wish("d+", 1), Wish("a", 1)) == [
        0,
        0x8F,
        house.max_qos,
        0x8F,
        0x8F,
        1,
    ]


@covers("3.10.4-1", "3.10.4-2", "3.10.4-4", "3.10.4-5", "3.10.4-6", "3.11.3-1", "3.11.3-2")
def test_unsubscribe(house: House) -> None:
    topic = fresh("t")
    wire, publisher = house.client(), house.client()
    wire.subscribe(f"{topic}/a", f"{topic}/+", f"{topic}/#")
    assert wire.unsubscribe(f"{topic}/A", f"{topic}/+", f"{topic}/b", f"{topic}/+") == [0x11, 0, 0x11, 0x11]
    publisher.publish(f"{topic}/b", b"", 1)
    assert len(wire.messages()) == 1
    assert wire.unsubscribe(f"{topic}/#", f"{topic}/a") == [0, 0]
    publisher.publish(f"{topic}/a", b"", 1)
    assert wire.silent()


@covers("3.10.4-3")
@pytest.mark.parametrize("qos", [1, 2])
def test_what_was_begun_is_delivered(house2: House, qos: int) -> None:
    topic = fresh("t")
    wire, publisher = house2.client(receive_maximum=1), house2.client()
    wire.subscribe(topic)
    publisher.publish(topic, b"1", qos)
    publisher.publish(topic, b"2", qos)
    first = wire.message(answer=False)
    assert wire.unsubscribe(topic) == [0]
    publisher.publish(topic, b"3", qos)
    if qos == 1:
        wire.ack(T.PUBACK, first.packet_id)
    else:
        wire.ack(T.PUBREC, first.packet_id)
        assert wire.take(Ack) == Ack(T.PUBREL, first.packet_id)
        wire.ack(T.PUBCOMP, first.packet_id)
    assert wire.message().payload == b"2"
    assert wire.silent()


@covers("3.8.3-1", "3.8.3-2", "3.8.3-4", "3.8.3-5", "3.8.1-1", "3.10.1-1", "3.10.3-1", "3.10.3-2", "4.13.1-1")
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("82 03 0001 00", 0x82),
        ("82 07 0001 00 0001 ff 00", 0x81),
        ("82 07 0001 00 0001 00 00", 0x81),
        ("82 07 0001 00 0001 61 40", 0x81),
        ("82 07 0001 00 0001 61 80", 0x81),
        ("82 07 0001 00 0001 61 03", 0x81),
        ("82 07 0001 00 0001 61 30", 0x82),
        ("82 06 0001 00 0001 61", 0x81),
        ("82 07 0000 00 0001 61 00", 0x82),
        ("82 10 0001 00 000a 2473686172652f672f61 04", 0x82),
        ("82 09 0001 02 0b00 0001 61 00", 0x82),
        ("80 07 0001 00 0001 61 00", 0x81),
        ("83 07 0001 00 0001 61 00", 0x81),
        ("8a 07 0001 00 0001 61 00", 0x81),
        ("a0 06 0001 00 0001 61", 0x81),
        ("a6 06 0001 00 0001 61", 0x81),
        ("a2 03 0001 00", 0x82),
        ("a2 06 0001 00 0001 ff", 0x81),
        ("a2 06 0000 00 0001 61", 0x82),
    ],
)
def test_requests_that_are_refused(house: House, raw: str, reason: int) -> None:
    wire = house.client()
    wire.send(bytes.fromhex(raw))
    assert wire.farewell() == reason


@covers("3.8.4-3", "3.8.4-4")
def test_the_same_filter_replaces_the_subscription(house: House) -> None:
    topic = fresh("t")
    wire, publisher = house.client(), house.client()
    wire.subscribe(Wish(topic, 1), subscription_identifier=1)
    publisher.publish(topic, b"1", 1)
    assert wire.message().properties["subscription_identifier"] == [1]
    wire.send(Subscribe(500, [Wish(topic, 0)], {"subscription_identifier": 2}))
    publisher.publish(topic, b"2", 1)
    publisher.publish(topic, b"3", 1)
    came = [wire.receive() for _ in range(3)]
    [second, third] = [packet for packet in came if isinstance(packet, Publish)]
    assert (second.payload, third.payload) == (b"2", b"3"), "nothing is lost or doubled"
    publisher.publish(topic, b"4", 1)
    message = wire.message()
    assert (message.payload, message.qos, message.properties["subscription_identifier"]) == (b"4", 0, [2])
    assert wire.silent()


@covers("3.8.4-8", "3.3.4-1")
def test_the_lower_qos_counts(house: House) -> None:
    topic = fresh("t")
    publisher = house.client()
    for granted in range(3):
        wire = house.client()
        wire.subscribe(Wish(topic, granted))
        for qos in range(house.max_qos + 1):
            publisher.publish(topic, b"", qos)
            assert wire.message().qos == min(qos, granted, house.max_qos)
        wire.close()


@covers("3.3.4-2", "3.3.4-3", "3.3.4-4", "3.3.4-5")
def test_overlapping_subscriptions(house: House) -> None:
    topic = fresh("t")
    wire, publisher = house.client(), house.client()
    wire.subscribe(Wish(f"{topic}/#", 0), subscription_identifier=7)
    wire.subscribe(Wish(f"{topic}/+", 2), subscription_identifier=268_435_455)
    wire.subscribe(Wish(f"{topic}/a", 1))
    publisher.publish(f"{topic}/a", b"x", house.max_qos)
    message = wire.message()
    assert message.qos == house.max_qos
    assert sorted(message.properties["subscription_identifier"]) == [7, 268_435_455]
    assert wire.silent(), "one copy"
    publisher.publish(topic, b"", house.max_qos)
    message = wire.message()
    assert (message.qos, message.properties["subscription_identifier"]) == (0, [7])


@covers("3.8.3-3")
def test_no_local(house: House) -> None:
    topic = fresh("t")
    wire, other = house.client(), house.client()
    wire.subscribe(Wish(topic, 1, no_local=True))
    other.subscribe(Wish(topic, 1, no_local=True))
    wire.publish(topic, b"own", 1)
    assert other.message().payload == b"own"
    assert wire.silent()
    wire.subscribe(Wish(f"{topic}/#", 1))
    wire.send(Publish(topic, b"own", 1, packet_id=77))
    kinds = sorted(type(wire.receive()).__name__ for _ in range(2))
    assert kinds == ["Ack", "Publish"], "the other subscription has no such wish"
    assert wire.silent()


@covers("3.8.3-3")
def test_no_local_over_connections(house: House) -> None:
    topic, name = fresh("t"), fresh()
    wire = house.client(name, session_expiry_interval=100)
    wire.subscribe(Wish(topic, 1, no_local=True))
    wire.leave()
    wire = house.client(name, clean=False)
    wire.publish(topic, b"own", 1)
    assert wire.silent()


# --- 4.7 topic filters ------------------------------------------------------------------------------------------------

ROOT = "R"


@covers("3.3.2-3", "4.7.1-1", "4.7.1-2", "4.7.3-1", "4.7.3-4", "4.7.0-1")
@pytest.mark.parametrize(
    ("text", "matching", "others"),
    [
        ("R/#", ["R", "R/", "R/a", "R/a/b"], ["Ra", "r/a", "/R"]),
        ("R/+", ["R/", "R/a"], ["R", "R/a/b", "R//"]),
        ("R/+/b", ["R/a/b", "R//b"], ["R/b", "R/a/b/", "R/a/c"]),
        ("R/+/+", ["R/a/b", "R//", "R/a/"], ["R/a", "R/a/b/c"]),
        ("R/+/#", ["R/", "R/a", "R/a/b/c"], ["R"]),
        ("/R", ["/R"], ["R", "R/", "//R"]),
        ("R/", ["R/"], ["R", "R//"]),
        ("R//b", ["R//b"], ["R/b"]),
        ("R/é", ["R/é"], ["R/e\u0301", "R/É"]),
        ("R/\ufeffa", ["R/\ufeffa"], ["R/a"]),
        ("R/A b", ["R/A b"], ["R/a b", "R/A  b", "R/A+b".replace("+", "%20")]),
        ("R/a,b", ["R/a", "R/b"], ["R/a,b", "R/c"]),
        ("R/$x", ["R/$x"], ["R/x"]),
        ("+/R/$", ["a/R/$"], ["$a/R/$"]),
    ],
)
def test_what_a_filter_matches(house: House, text: str, matching: list[str], others: list[str]) -> None:
    root = fresh("root")

    def placed(each: str) -> str:
        return each.replace("R", root, 1)

    topics = [placed(each) for each in [*matching, *others]]
    expected = {placed(each) for each in matching}
    assert gets(house, placed(text), topics) == [topic for topic in topics if topic in expected]


@covers("4.7.1-1", "4.7.1-2", "4.7.3-1")
@pytest.mark.parametrize("text", ["", "a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c", "a/+b", "##", "++", "a/b#"])
def test_filters_that_are_none(house: House, text: str) -> None:
    assert house.client().subscribe(text) == [0x8F]


@covers("4.7.2-1")
def test_dollar_topics(house: House) -> None:
    level = fresh("x")
    wire, named, publisher = house.client(), house.client(), house.client()
    wire.subscribe("#", f"+/{level}", f"+/{level}/#")
    named.subscribe(f"$mine/{level}")
    publisher.publish(f"$mine/{level}", b"", 1)
    assert not [message.topic for message in wire.messages() if message.topic.startswith("$")]
    publisher.publish(f"$mine/{level}", b"kept", 1, retain=True)
    late = house.client()
    late.subscribe(f"+/{level}")
    assert late.silent()
    assert len(named.messages()) == 2


@covers("4.7.3-2")
def test_no_nul_in_filters(house: House) -> None:
    wire = house.client()
    wire.send(bytes.fromhex("82 08 0001 00 0002 6100 00"))
    assert wire.farewell() == 0x81


@covers("4.7.3-3")
def test_filters_as_long_as_can_be(house: House) -> None:
    wire = house.client()
    text = "x" * 65_535
    assert wire.subscribe(text)[0] in (house.max_qos, 0x8F, 0x97), "taken or refused, and the connection stays"
    assert wire.silent()


# --- 4.8 shared subscriptions -----------------------------------------------------------------------------------------


def group(house: House, members: int, qos: int, **said: object) -> tuple[str, list[Wire], Wire]:
    """A topic, members of a share group on it, and a publisher."""
    topic = fresh("s")
    wires = [house.client(**said) for _ in range(members)]
    for wire in wires:
        assert wire.subscribe(Wish(f"$share/{topic}/{topic}", qos)) == [min(qos, house.max_qos)]
    return topic, wires, house.client()


@covers("4.8.2-1", "4.8.2-2")
@pytest.mark.parametrize(
    "text", ["$share", "$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/a#/a"]
)
def test_shared_subscriptions_of_the_wrong_form(house: House, text: str) -> None:
    wire, publisher = house.client(), house.client()
    [reason] = wire.subscribe(Wish(text, 1))
    assert reason in (0x8F, 1)
    if reason == 1:
        publisher.publish("a", b"", 1)
        assert wire.silent(), "a filter like any other, then"


@covers("4.8.2-3", "3.8.4-8")
def test_each_message_goes_to_one_member(house: House) -> None:
    topic, wires, publisher = group(house, 3, 1)
    plain = house.client()
    plain.subscribe(Wish(topic, 0))
    for number in range(30):
        publisher.publish(topic, b"%d" % number, house.max_qos)
    came = [message for wire in wires for message in wire.messages()]
    assert sorted(int(message.payload) for message in came) == list(range(30))
    assert {message.qos for message in came} == {1}
    assert len(plain.messages()) == 30


def test_retained_messages_do_not_go_to_shared_subscriptions(house: House) -> None:
    topic = fresh("s")
    house.client().publish(topic, b"x", 1, retain=True)
    wire = house.client()
    wire.subscribe(f"$share/g/{topic}")
    assert wire.silent()


@covers("4.8.2-4", "4.8.2-5")
def test_qos_2_stays_with_its_member(house2: House) -> None:
    topic = fresh("s")
    name = fresh()
    first = house2.client(name, session_expiry_interval=100)
    first.subscribe(Wish(f"$share/g/{topic}", 2))
    publisher = house2.client()
    publisher.publish(topic, b"x", 2)
    begun = first.message(answer=False)
    second = house2.client()
    second.subscribe(Wish(f"$share/g/{topic}", 2))
    first.close()
    assert second.silent()
    first = house2.client(name, clean=False, session_expiry_interval=100)
    again = first.message(answer=False)
    assert (again.packet_id, again.dup) == (begun.packet_id, True)
    first.leave(0, session_expiry_interval=0)
    assert second.silent(), "not even when the session ended"
    house2.client(name, clean=False)
    assert not house2.connack.session_present


@covers("4.8.2-6")
def test_a_refused_message_goes_to_nobody_else(house2: House) -> None:
    topic, [first, second], publisher = group(house2, 2, 2)
    for qos in (1, 2):
        publisher.publish(topic, b"x", qos)
        seen = 0
        for wire in (first, second):
            wire.send(b"\xc0\0")
            packet = wire.receive()
            if isinstance(packet, Publish):
                seen += 1
                wire.ack(T.PUBACK if qos == 1 else T.PUBREC, packet.packet_id, 0x80)
                wire.receive()
        assert seen == 1
        assert first.silent()
        assert second.silent()
