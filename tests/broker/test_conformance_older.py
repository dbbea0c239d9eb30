"""What is special in MQTT 3.1.1 (OASIS Standard, 29 October 2014) and 3.1 (IBM, 2010); numbers are those of 3.1.1."""

from __future__ import annotations

import pytest
from wire import fresh

from conftest import House
from wayframe.mqtt import V31, V311, Ack, Connack, Connect, PacketType, Publish, Will, Wish
from wayframe.mqtt.packets import Disconnect, Ping, Suback

T = PacketType
OLDER = pytest.mark.parametrize("version", [V31, V311])


def closes(house: House, raw: str, version: int = V311) -> bool:
    """Whether the server closes without a word."""
    wire = house.client(version=version)
    wire.send(bytes.fromhex(raw))
    return wire.closed()


@OLDER
def test_a_conversation(house: House, version: int) -> None:
    topic = fresh("t")
    subscriber, publisher = house.client(version=version), house.client(version=version)
    assert house.connack == Connack(False, 0)
    assert subscriber.subscribe(Wish(topic, 0), Wish(f"{topic}/#", 1), Wish("a/#/b", 1), Wish(fresh("t"), 2)) == [
        0,
        1,
        0x80,
        house.max_qos,
    ]
    for qos in range(house.max_qos + 1):
        publisher.publish(f"{topic}/x", b"%d" % qos, qos)
        message = subscriber.message()
        assert (message.payload, message.qos, message.properties) == (b"%d" % qos, min(qos, 1), {})
    assert subscriber.unsubscribe(f"{topic}/#", "nothing") == []
    publisher.publish(f"{topic}/x", b"", 0)
    assert publisher.silent()
    assert subscriber.silent()
    publisher.leave()


@OLDER
def test_versions_talk_to_each_other(house: House, version: int) -> None:
    topic = fresh("t")
    new, old = house.client(), house.client(version=version)
    new.subscribe(topic, subscription_identifier=5)
    old.subscribe(topic)
    new.publish(topic, b"1", 1, content_type="x", topic_alias=1)
    assert old.message() == Publish(topic, b"1", 1, packet_id=1)
    assert new.message().properties["content_type"] == "x"
    old.publish(topic, b"2", 1)
    assert new.message().properties["subscription_identifier"] == [5]
    assert old.message().payload == b"2"


@pytest.mark.parametrize(
    ("version", "clean", "code"), [(V311, True, 0), (V311, False, 2), (V31, True, 2), (V31, False, 2)]
)
def test_an_empty_client_identifier(house: House, version: int, clean: bool, code: int) -> None:
    """[MQTT-3.1.3-6] to [MQTT-3.1.3-9]; 3.1 asks for 1 to 23 characters."""
    wire = house.open(version=version)
    assert wire.connect("", clean=clean) == Connack(False, code)
    assert wire.silent() if code == 0 else wire.closed()


@OLDER
def test_refusals(house: House, version: int) -> None:
    for key, code in (("wrong", 4), ("", 4)):
        wire = house.open(version=version, key=key)
        wire.send(Connect(version, fresh(), username=key or None))
        assert wire.rest() == [Connack(False, code)]


@OLDER
def test_sessions(house: House, version: int) -> None:
    """[MQTT-3.1.2-4] to [MQTT-3.1.2-6], [MQTT-3.2.2-1] to -3, [MQTT-4.4.0-1]; 3.1 says no session present."""
    name, topic = fresh(), fresh("t")
    wire = house.client(name, version, clean=False)
    assert not house.connack.session_present
    wire.subscribe(topic)
    publisher = house.client()
    publisher.publish(topic, b"1", 1)
    first = wire.message(answer=False)
    wire.close()
    publisher.publish(topic, b"2", house.max_qos)
    publisher.publish(topic, b"none", 0)
    wire = house.client(name, version, clean=False)
    assert house.connack.session_present == (version == V311)
    again = wire.message()
    assert (again.payload, again.packet_id, again.dup) == (b"1", first.packet_id, True)
    assert wire.message().payload == b"2"
    assert wire.silent()
    wire.leave()
    wire = house.client(name, version, clean=True)
    assert not house.connack.session_present
    publisher.publish(topic, b"3", 1)
    assert wire.silent()
    wire.leave()
    house.client(name, version, clean=False)
    assert not house.connack.session_present, "a clean session ended with its connection"


@OLDER
def test_taken_over(house: House, version: int) -> None:
    name = fresh()
    first = house.client(name, version)
    house.client(name, version)
    assert first.closed(), "older versions have no DISCONNECT of the server"


@OLDER
def test_wills(house: House, version: int) -> None:
    topic = fresh("w")
    watching = house.client(version=version)
    watching.subscribe(topic)
    house.client(version=version, will=Will(topic, b"never")).leave()
    house.client(version=version, will=Will(topic, b"lost", 1)).close()
    assert watching.message().payload == b"lost"
    house.client(version=version, will=Will(topic, b"broken", 2)).send(b"\x00\x00")
    message = watching.message()
    assert (message.payload, message.qos) == (b"broken", house.max_qos)
    wire = house.client(version=version, keep_alive=1, will=Will(topic, b"silent"))
    assert wire.closed()
    assert watching.message().payload == b"silent"
    assert watching.silent()


@OLDER
@pytest.mark.parametrize(
    "raw",
    [
        "10 0c 0004 4d515454 04 02 0000 0000",
        "36 05 0001 61 0001",
        "30 03 0001 23",
        "30 02 0000",
        "32 05 0001 61 0000",
        "30 03 0001 ff",
        "82 02 0001",
        "82 06 0001 0001 61 03",
        "82 06 0001 0001 61 04",
        "82 06 0001 0001 ff 00",
        "a2 02 0001",
        "f0 00",
        "00 00",
        "20 02 0000",
        "40 02 0000",
        "d0 00",
    ],
)
def test_what_is_wrong_closes(house: House, version: int, raw: str) -> None:
    assert closes(house, raw, version)


@pytest.mark.parametrize(
    "raw",
    [
        "80 06 0001 0001 61 00",
        "8a 06 0001 0001 61 00",
        "a0 05 0001 0001 61",
        "60 02 0001",
        "6a 02 0001",
        "c1 00",
        "e1 00",
        "41 02 0001",
        "38 03 0001 61",
        "40 03 0001 00",
        "e0 01 00",
    ],
)
def test_reserved_flags_of_3_1_1(house: House, raw: str) -> None:
    """[MQTT-2.2.2-2], [MQTT-3.8.1-1], [MQTT-3.6.1-1], [MQTT-3.10.1-1], [MQTT-3.14.1-1]."""
    assert closes(house, raw)


def test_repeated_requests_of_3_1(house: House) -> None:
    """3.1 repeats SUBSCRIBE, UNSUBSCRIBE and PUBREL with the DUP flag."""
    wire = house.client(version=V31)
    wire.send(bytes.fromhex("8a 06 0001 0001 61 01"))
    assert wire.take(Suback) == Suback(T.SUBACK, 1, [1])
    wire.send(bytes.fromhex("aa 05 0002 0001 61"))
    assert wire.take(Suback) == Suback(T.UNSUBACK, 2, [])
    if house.max_qos == 2:
        wire.send(Publish("x", b"", 2, packet_id=3))
        assert wire.take(Ack) == Ack(T.PUBREC, 3)
        wire.send(bytes.fromhex("6a 02 0003"))
        assert wire.take(Ack) == Ack(T.PUBCOMP, 3)


@pytest.mark.parametrize(
    "raw",
    [
        "10 0c 0004 4d515454 04 03 0000 0000",
        "10 0e 0004 4d515454 04 02 0000 0002 c328",
        "10 0f 0004 4d515454 04 42 0000 0000 0001 70",
        "10 0c 0004 4d515454 04 82 0000 0000",
        "10 0c 0004 4d515454 04 06 0000 0000",
        "10 0c 0004 4d515454 04 22 0000 0000",
        "10 0d 0004 4d515454 04 02 0000 0000 00",
    ],
)
def test_connects_of_the_wrong_form(house: House, raw: str) -> None:
    wire = house.open(version=V311)
    wire.send(bytes.fromhex(raw), Ping(T.PINGREQ))
    assert wire.closed()


@OLDER
def test_qos_2(house2: House, version: int) -> None:
    topic = fresh("t")
    subscriber, publisher = house2.client(version=version), house2.client(version=version)
    subscriber.subscribe(Wish(topic, 2))
    for dup in (False, True):
        publisher.send(Publish(topic, b"x", 2, dup=dup, packet_id=9))
        assert publisher.take(Ack) == Ack(T.PUBREC, 9)
    publisher.ack(T.PUBREL, 9)
    assert publisher.take(Ack) == Ack(T.PUBCOMP, 9)
    assert subscriber.message().qos == 2
    assert subscriber.silent()


@OLDER
def test_qos_2_where_1_is_most(house1: House, version: int) -> None:
    wire = house1.client(version=version)
    wire.send(Publish("t", b"x", 2, packet_id=9))
    assert wire.closed(), "older versions have no word for it"


@OLDER
def test_retained(house: House, version: int) -> None:
    topic = fresh("r")
    publisher = house.client(version=version)
    publisher.publish(topic, b"1", 1, retain=True)
    watching = house.client(version=version)
    for _ in range(2):
        watching.subscribe(Wish(topic, 1))
        message = watching.message()
        assert (message.payload, message.retain) == (b"1", True)
    publisher.publish(topic, b"2", 1, retain=True)
    assert not watching.message().retain
    publisher.publish(topic, b"", 1, retain=True)
    assert watching.message().payload == b""
    late = house.client(version=version)
    late.subscribe(topic)
    assert late.silent()


@OLDER
def test_more_under_way_than_receive_maximum(house2: House, version: int) -> None:
    """Only 5.0 knows a receive maximum."""
    wire = house2.client(version=version)
    wire.send(*(Publish("t", b"", 2, packet_id=number) for number in range(1, 51)))
    assert [wire.take(Ack).packet_id for _ in range(50)] == list(range(1, 51))
    wire.send(Disconnect())
    assert wire.closed()
