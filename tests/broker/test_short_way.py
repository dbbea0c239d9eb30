"""Packets of clients before 5.0 that go on as they came: who gets them, and that nothing else is any different."""

from __future__ import annotations

import pytest
from wire import Wire, fresh

from conftest import House
from wayframe.mqtt import V5, V31, V311, Ack, PacketType, Publish, Wish
from wayframe.mqtt.packets import encode, frame


def warm(publisher: Wire, topic: str) -> None:
    """After the first message the way is known."""
    publisher.publish(topic, b"first")


def come(wire: Wire, publisher: Wire) -> list[Publish]:
    """What came of everything that was published so far."""
    assert publisher.silent()
    return wire.messages()


def payloads(wire: Wire, publisher: Wire) -> list[bytes]:
    """The same, without the first."""
    return [message.payload for message in come(wire, publisher) if message.payload != b"first"]


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("version", [V31, V311])
def test_a_packet_as_it_came(house: House, version: int, qos: int) -> None:
    topic = fresh("short/")
    subscriber, publisher = house.client(version=version), house.client(version=V311)
    subscriber.subscribe(Wish(topic, 1))
    warm(publisher, topic)
    for number in range(300):
        publisher.publish(topic, b"%d" % number + b"x" * number, qos)
    found = come(subscriber, publisher)[1:]
    assert [message.payload for message in found] == [b"%d" % number + b"x" * number for number in range(300)]
    assert {(message.topic, message.qos, message.retain, message.dup) for message in found} == {
        (topic, qos, False, False)
    }


@pytest.mark.parametrize("qos", [0, 1])
def test_others_get_theirs(house: House, qos: int) -> None:
    topic = fresh("short/")
    old, new, publisher = house.client(version=V311), house.client(), house.client(version=V311)
    old.subscribe(Wish(topic, 0))
    new.subscribe(Wish(topic, 1), subscription_identifier=7)
    warm(publisher, topic)
    publisher.publish(topic, b"second", qos)
    assert [(each.payload, each.qos) for each in come(old, publisher)] == [(b"first", 0), (b"second", 0)]
    found = come(new, publisher)[1]
    assert (found.payload, found.qos, found.properties["subscription_identifier"]) == (b"second", qos, [7])
    stamped = [name for name, _ in found.properties.get("user_property", [])]
    assert stamped == (["timestamp", "cid"] if house.max_qos == 1 else [])


def test_whoever_comes_and_goes_is_noticed(house: House) -> None:
    topic = fresh("short/")
    first, second, publisher = (house.client(version=V311) for _ in range(3))
    first.subscribe(topic)
    warm(publisher, topic)
    publisher.publish(topic, b"one")
    assert payloads(first, publisher) == [b"one"]
    second.subscribe(fresh("other/"), topic)
    publisher.publish(topic, b"two")
    assert (payloads(first, publisher), payloads(second, publisher)) == ([b"two"], [b"two"])
    first.unsubscribe(topic)
    second.leave()
    publisher.publish(topic, b"three", 1)
    assert first.silent()
    first.subscribe(topic)
    publisher.publish(topic, b"four", 1)
    assert payloads(first, publisher) == [b"four"]


def test_filters_on_the_payload(house: House) -> None:
    topic = fresh("short/")
    fast, slow, broken, publisher = (house.client(version=V311) for _ in range(4))
    fast.subscribe(f"$filter/payload=speed>60/{topic}")
    slow.subscribe(f"$filter/payload=speed<=60/{topic}")
    broken.subscribe(f'$filter/payload=payload~"*no JSON*"/{topic}')
    warm(publisher, topic)
    for payload in (b'{"speed": 90}', b'{"speed": 30}', b"{no JSON}", b'{"speed": "\\ud800"}', b"\xff"):
        publisher.publish(topic, payload)
    assert payloads(fast, publisher) == [b'{"speed": 90}']
    assert payloads(slow, publisher) == [b'{"speed": 30}']
    assert payloads(broken, publisher) == [b"{no JSON}"]


def test_packets_cut_anywhere(house: House) -> None:
    topic = fresh("short/")
    subscriber, publisher = house.client(version=V311), house.client(version=V311)
    subscriber.subscribe(Wish(topic, 1))
    warm(publisher, topic)
    sent = [Publish(topic, b"y" * size, qos, packet_id=size * qos) for size in (1, 200, 9) for qos in (0, 1)]
    raw = b"".join(encode(packet, V311) for packet in sent)
    for start in range(0, len(raw), 7):
        publisher.send(raw[start : start + 7])
    acks = [publisher.take(Ack) for _ in range(3)]
    assert acks == [Ack(PacketType.PUBACK, size) for size in (1, 200, 9)]
    found = come(subscriber, publisher)[1:]
    assert [(each.payload, each.qos) for each in found] == [(each.payload, each.qos) for each in sent]


@pytest.mark.parametrize(
    ("first", "end"), [(0x30, -3), (0x32, -3), (0x32, None)], ids=["QoS 0, topic", "QoS 1, topic", "QoS 1, identifier"]
)
@pytest.mark.parametrize("rest", [b"", b"\0", b"\0\0"])
def test_a_malformed_packet_goes_nowhere(house: House, first: int, end: int | None, rest: bytes) -> None:
    topic = fresh("short/")
    subscriber, publisher = house.client(version=V311), house.client(version=V311)
    subscriber.subscribe(topic)
    warm(publisher, topic)
    raw = len(topic).to_bytes(2, "big") + topic.encode()
    publisher.send(frame(first, raw[:end] + rest), frame(0x30, raw + b"after"))
    assert publisher.closed()
    assert [message.payload for message in subscriber.messages()] == [b"first"]


def test_a_limited_token_stays_limited(house: House) -> None:
    topic = fresh("short/")
    entry = {"uri": "mqtt", "topic": "allowed/#", "actions": ["publish", "subscribe"]}
    body = {"info": "limited", "ttl": 600, "access": {"type": 2, "acl": [entry]}}
    token = house.inside.ask("POST", "/platform/tokens", [body]).json()["result"][0]
    subscriber, publisher = house.client(version=V311), house.open(V311, token["key"])
    publisher.connect()
    subscriber.subscribe(topic, "allowed/#")
    for _ in range(3):
        publisher.publish(topic, b"forbidden")
        publisher.publish("allowed/topic", b"allowed", 1)
    assert payloads(subscriber, publisher) == [b"allowed"] * 3


def test_reserved_topics_and_retained_messages(house: House) -> None:
    topic = fresh("short/")
    subscriber, publisher = house.client(version=V311), house.client(version=V311)
    subscriber.subscribe(topic, "flespi/state/mine")
    for _ in range(3):
        publisher.publish("flespi/state/mine", b"discarded")
        publisher.publish(topic, b"kept", retain=True)
        publisher.publish(topic, b"passing")
    assert payloads(subscriber, publisher) == [b"kept", b"passing"] * 3
    late = house.client(version=V5)
    late.subscribe(topic)
    assert [(each.payload, each.retain) for each in late.messages()] == [(b"kept", True)]


def test_a_session_that_is_kept(house: House) -> None:
    topic, name = fresh("short/"), fresh()
    subscriber, publisher = house.open(V311), house.client(version=V311)
    subscriber.connect(name, clean=False)
    subscriber.subscribe(Wish(topic, 1))
    warm(publisher, topic)
    assert len(come(subscriber, publisher)) == 1
    subscriber.close()
    for number in range(20):
        publisher.publish(topic, b"%d" % number, 1)
    back = house.open(V311)
    assert back.connect(name, clean=False).session_present
    assert payloads(back, publisher) == [b"%d" % number for number in range(20)]
