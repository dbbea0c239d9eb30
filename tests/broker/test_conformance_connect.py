"""MQTT 5, 3.1 and 3.2: CONNECT, CONNACK, wills, keep alive, and the life of a session."""

from __future__ import annotations

import json

import pytest
from statements import covers
from wire import fresh

from conftest import House
from inside import until
from wayframe.mqtt import V5, Ack, Connack, Connect, PacketType, Publish, Will, Wish
from wayframe.mqtt.packets import CONNACK_REASONS, Auth, Disconnect, Ping, encode

LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


# --- 3.1 the packet ---------------------------------------------------------------------------------------------------


@covers("3.1.0-1", "3.14.0-1", "3.2.0-1")
@pytest.mark.parametrize(
    "raw", ["c000", "30040001 6100", "82070001 00 0001 61 00", "e000", "f000", "40020001", "d000", "20030000 00"]
)
def test_nothing_comes_before_connect(house: House, raw: str) -> None:
    wire = house.open()
    wire.send(bytes.fromhex(raw))
    assert wire.closed(), "and no word is said"


@covers("3.1.0-2", "4.13.1-1")
def test_a_second_connect(house: House) -> None:
    wire = house.client()
    wire.send(Connect(V5, "other", username=house.inside.key))
    assert wire.farewell() == 0x82


@covers("3.1.2-1", "3.1.2-2", "3.2.2-7")
@pytest.mark.parametrize(
    "raw",
    [
        "10 0b 0002 686a 05 02 0000 00 0000",
        "10 0d 0004 6d717474 05 02 0000 00 0000",
        "10 0d 0004 4d515454 06 02 0000 00 0000",
        "10 0d 0004 4d515454 00 02 0000 00 0000",
        "10 0d 0004 4d515454 85 02 0000 00 0000",
        "10 0e 0006 4d5149736470 04 02 0000 0000",
    ],
)
def test_other_protocols_and_versions(house: House, raw: str) -> None:
    wire = house.open(version=4)
    wire.send(bytes.fromhex(raw))
    assert wire.rest() == [Connack(False, 1)], "return code 1 of 3.1.1: the version is not spoken here"


WRONG = {
    "reserved flag": "10 0d 0004 4d515454 05 03 0000 00 0000",
    "will QoS without will": "10 0d 0004 4d515454 05 0a 0000 00 0000",
    "will QoS 3": "10 13 0004 4d515454 05 1e 0000 00 0000 00 0001 77 0000",
    "will retain without will": "10 0d 0004 4d515454 05 22 0000 00 0000",
    "will flag without will": "10 0d 0004 4d515454 05 06 0000 00 0000",
    "user name flag without user name": "10 0d 0004 4d515454 05 82 0000 00 0000",
    "user name without flag": "10 10 0004 4d515454 05 02 0000 00 0000 0001 75",
    "password flag without password": "10 0d 0004 4d515454 05 42 0000 00 0000",
    "password without flag": "10 13 0004 4d515454 05 82 0000 00 0000 0001 75 0001 70",
    "no client identifier": "10 0b 0004 4d515454 05 02 0000 00",
    "client identifier not UTF-8": "10 0f 0004 4d515454 05 02 0000 00 0002 c328",
    "client identifier with U+0000": "10 0f 0004 4d515454 05 02 0000 00 0002 6100",
    "user name not UTF-8": "10 10 0004 4d515454 05 82 0000 00 0000 0001 ff",
    "will topic not UTF-8": "10 13 0004 4d515454 05 06 0000 00 0000 00 0001 ff 0000",
    "will topic with a wildcard": "10 13 0004 4d515454 05 06 0000 00 0000 00 0001 23 0000",
    "will before client identifier": "10 14 0004 4d515454 05 06 0000 00 00 0001 77 0000 0001 63",
    "receive maximum 0": "10 10 0004 4d515454 05 02 0000 03 21 0000 0000",
    "session expiry twice": "10 17 0004 4d515454 05 02 0000 0a 11 00000001 11 00000001 0000",
    "a property of CONNACK": "10 0f 0004 4d515454 05 02 0000 02 24 01 0000",
    "authentication data alone": "10 10 0004 4d515454 05 02 0000 03 16 0000 0000",
    "flags in the fixed header": "11 0d 0004 4d515454 05 02 0000 00 0000",
    "too many bytes": "10 0e 0004 4d515454 05 02 0000 00 0000 00",
    "the remaining length longer than needed": "10 8d00 0004 4d515454 05 02 0000 00 0000",
}


@covers("3.1.2-3", "3.1.2-9", "3.1.2-11", "3.1.2-12", "3.1.2-13", "3.1.2-16", "3.1.2-17", "3.1.2-18", "3.1.2-19")
@covers("3.1.3-1", "3.1.3-3", "3.1.3-4", "3.1.3-11", "3.1.3-12", "3.1.4-1", "3.14.0-1", "1.5.4-1", "1.5.4-2", "1.5.5-1")
@pytest.mark.parametrize("raw", list(WRONG.values()), ids=list(WRONG))
def test_a_connect_of_the_wrong_form(house: House, raw: str) -> None:
    wire = house.open()
    wire.send(bytes.fromhex(raw), Ping(PacketType.PINGREQ))
    assert wire.closed()


@covers("3.1.4-2", "3.1.4-6", "3.2.2-6", "3.2.2-7", "3.2.2-8", "4.13.2-1")
@pytest.mark.parametrize(("key", "reason"), [("nobody", 0x86), ("", 0x86), ("x" * 64, 0x86)])
def test_who_may_not_connect(house: House, key: str, reason: int) -> None:
    topic = fresh("t")
    watching = house.client()
    watching.subscribe(topic)
    wire = house.open(key=key)
    wire.send(Connect(V5, fresh(), username=key or None), Publish(topic, b"1"), Ping(PacketType.PINGREQ))
    [connack] = wire.rest()
    assert isinstance(connack, Connack)
    assert (connack.reason, connack.session_present) == (reason, False)
    assert connack.reason in CONNACK_REASONS
    assert watching.silent()


@covers("3.1.4-5", "3.2.0-1", "3.2.0-2", "3.2.2-1", "3.2.2-2", "2.2.2-1")
def test_welcome(house: House) -> None:
    wire = house.open()
    wire.send(encode(Connect(V5, fresh(), username=house.inside.key), V5), Ping(PacketType.PINGREQ))
    raw = wire.socket.recv(4, 0x2)  # MSG_PEEK
    assert raw[:1] == b"\x20"
    connack = wire.take(Connack)
    assert (connack.reason, connack.session_present) == (0, False)
    assert wire.take(Ping) == Ping(PacketType.PINGRESP)
    assert wire.silent(), "and no other CONNACK"


@covers("3.2.2-9", "3.2.2-10", "3.2.2-13", "3.3.2-12")
def test_what_is_offered(house: House) -> None:
    wire = house.client(will=Will(fresh("w"), b"", 1, True))
    said = house.connack.properties
    assert said.get("maximum_qos") == (1 if house.max_qos == 1 else None)
    assert said["receive_maximum"] == 10
    assert said["topic_alias_maximum"] == 5
    assert said["retain_available"] == said["wildcard_subscription_available"] == 1
    assert said["subscription_identifier_available"] == said["shared_subscription_available"] == 1
    assert wire.subscribe(*(Wish(fresh("t"), qos) for qos in range(3))) == [0, 1, house.max_qos]
    topic = fresh("t")
    wire.subscribe(topic)
    for alias in range(1, 6):
        wire.publish(topic, b"", 0, topic_alias=alias)
        wire.publish("", b"", 0, topic_alias=alias)
    assert [message.topic for message in wire.messages()] == [topic] * 10
    wire.leave()


@covers("3.2.2-12")
def test_a_will_of_a_higher_qos(house1: House) -> None:
    wire = house1.open()
    assert wire.connect(will=Will("w", b"", 2)).reason == 0x9B
    assert wire.closed()


@covers("3.2.2-12", "3.1.2-12")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_every_will_qos(house2: House, qos: int) -> None:
    assert house2.open().connect(will=Will(fresh("w"), b"", qos)).reason == 0


# --- client identifiers -----------------------------------------------------------------------------------------------


@covers("3.1.3-5")
@pytest.mark.parametrize("client_id", ["a", LETTERS[:23], LETTERS[23:46], LETTERS[39:]])
def test_client_identifiers_that_must_be_taken(house: House, client_id: str) -> None:
    house.client(client_id).leave()


@covers("3.1.3-6", "3.1.3-7", "3.2.2-16")
@pytest.mark.parametrize("clean", [True, False])
def test_an_assigned_client_identifier(house: House, clean: bool) -> None:
    first = house.client("", clean=clean, session_expiry_interval=100)
    given = house.connack.properties["assigned_client_identifier"]
    assert given
    house.client("")
    other = house.connack.properties["assigned_client_identifier"]
    assert other != given
    first.leave()
    house.client(given, clean=False)
    assert house.connack.session_present, "it is its client identifier from now on"
    assert "assigned_client_identifier" not in house.connack.properties


@covers("3.1.3-8")
def test_a_client_identifier_that_is_refused(house: House) -> None:
    wire = house.open()
    assert wire.connect("x" * 2000).reason == 0x85
    assert wire.closed()


@covers("3.1.4-3", "3.1.3-2")
def test_taken_over(house: House) -> None:
    name, topic = fresh(), fresh("t")
    first = house.client(name, session_expiry_interval=100)
    first.subscribe(topic)
    second = house.client(name, clean=False, session_expiry_interval=100)
    assert first.farewell() == 0x8E
    assert house.connack.session_present
    house.client().publish(topic, b"1", 1)
    assert second.message().payload == b"1"


# --- sessions ---------------------------------------------------------------------------------------------------------


@covers("3.1.2-4", "3.1.2-5", "3.1.2-6", "3.1.2-23", "3.1.4-4", "3.2.2-2", "3.2.2-3", "4.1.0-1", "4.5.0-1")
def test_sessions_stay_and_go(house: House) -> None:
    name, topic = fresh(), fresh("t")
    wire = house.client(name, clean=False, session_expiry_interval=100)
    assert not house.connack.session_present
    wire.subscribe(topic)
    wire.leave()
    sender = house.client()
    sender.publish(topic, b"1", 1)
    wire = house.client(name, clean=False, session_expiry_interval=100)
    assert house.connack.session_present
    assert wire.message().payload == b"1"
    assert wire.silent()
    wire.close()
    sender.publish(topic, b"2", 1)
    wire = house.client(name, clean=True, session_expiry_interval=100)
    assert not house.connack.session_present
    sender.publish(topic, b"3", 1)
    assert wire.silent(), "neither messages nor subscriptions are left"
    wire.leave()
    wire = house.client(name, clean=False, session_expiry_interval=100)
    assert house.connack.session_present


@covers("4.1.0-2")
def test_sessions_expire(house: House) -> None:
    def exists(name: str) -> bool:
        sessions = house.inside.result("GET", "/mqtt/sessions/all")
        return name in [session["client_id"] for session in sessions]

    at_once, soon, never = fresh(), fresh(), fresh()
    house.client(at_once).leave()
    house.client(soon, session_expiry_interval=1).leave()
    wire = house.client(never, session_expiry_interval=1)
    wire.leave(0, session_expiry_interval=0xFFFFFFFF)
    assert not exists(at_once)
    until(lambda: not exists(soon))
    assert exists(never)
    for name, present in ((at_once, False), (soon, False), (never, True)):
        house.client(name, clean=False)
        assert house.connack.session_present == present


@covers("3.14.2-2")
def test_session_expiry_in_disconnect(house: House) -> None:
    name = fresh()
    house.client(name, session_expiry_interval=100).leave(0, session_expiry_interval=0)
    house.client(name, clean=False)
    assert not house.connack.session_present
    wire = house.client(session_expiry_interval=0)
    wire.send(Disconnect(0, {"session_expiry_interval": 5}))
    assert wire.farewell() == 0x82


# --- maximum packet size, response and problem information ------------------------------------------------------------


@covers("3.1.2-24", "3.2.2-19", "3.2.2-20")
def test_a_connack_for_a_small_client(house: House) -> None:
    wire = house.client(maximum_packet_size=100)
    assert "user_property" not in house.connack.properties
    assert len(encode(house.connack, V5)) <= 100
    wire.leave()
    assert "token" in dict(house.client() and house.connack.properties["user_property"])
    wire = house.open(key="wrong")
    assert wire.connect(maximum_packet_size=10).properties == {}


@covers("3.1.2-24", "3.1.2-25")
def test_messages_over_the_maximum_packet_size(house2: House) -> None:
    topic, name = fresh("t"), fresh()
    wire = house2.client(name, maximum_packet_size=200, receive_maximum=1, session_expiry_interval=100)
    wire.subscribe(topic)
    sender = house2.client()
    for qos in range(3):
        sender.publish(topic, b"x" * 300, qos)
        sender.publish(topic, b"%d" % qos, qos)
        assert wire.message().payload == b"%d" % qos
    assert wire.silent()
    wire.close()
    house2.client(name, clean=False)
    assert house2.wires[-1].silent(), "they are not waiting either"


@covers("3.1.2-28")
def test_no_response_information(house: House) -> None:
    for asked in (0, 1):
        house.client(request_response_information=asked)
        assert "response_information" not in house.connack.properties


@covers("3.1.2-29", "3.4.2-2", "3.4.2-3", "3.9.2-1", "3.9.2-2", "3.11.2-1", "3.11.2-2")
@pytest.mark.parametrize("said", [{"request_problem_information": 0}, {"maximum_packet_size": 30}, {}])
def test_acknowledgements_are_as_short_as_they_can_be(house: House, said: dict[str, int]) -> None:
    wire = house.client(**said)
    wire.send(bytes.fromhex("82 07 0007 00 0001 61 01"))
    assert wire.socket.recv(100) == bytes.fromhex("90 04 0007 00 01")
    wire.send(bytes.fromhex("a2 06 0008 00 0001 62"))
    assert wire.socket.recv(100) == bytes.fromhex("b0 04 0008 00 11")
    wire.send(Publish("flespi/x", b"", 1, packet_id=9))
    assert wire.socket.recv(100) == bytes.fromhex("40 03 0009 87")


@covers("3.14.2-3", "3.14.2-4", "3.1.2-24")
def test_a_disconnect_for_a_small_client(house: House) -> None:
    wire = house.client(maximum_packet_size=30)
    wire.send(b"\xc1\0")
    assert wire.rest() == [Disconnect(0x81)]
    wire = house.client()
    wire.send(b"\xc1\0")
    [goodbye] = wire.rest()
    assert isinstance(goodbye, Disconnect)
    assert goodbye.properties["reason_string"]


# --- extended authentication ------------------------------------------------------------------------------------------


@covers("4.12.0-1")
def test_an_authentication_method_that_is_not_offered(house: House) -> None:
    wire = house.open()
    assert wire.connect(authentication_method="SCRAM-SHA-256", authentication_data=b"n").reason == 0x8C
    assert wire.closed()


@covers("4.12.0-6", "4.12.0-7")
def test_no_authentication_that_was_not_asked_for(house: House) -> None:
    wire = house.client()
    assert "authentication_method" not in house.connack.properties
    wire.send(Auth(0x19, {"authentication_method": "x"}))
    assert wire.farewell() == 0x82


def test_the_token_is_told(house: House) -> None:
    house.client()
    told = dict(house.connack.properties["user_property"])
    assert json.loads(told["token"])["cid"]
    assert "subscriptions" not in told
    name, topic = fresh(), fresh("t")
    wire = house.client(name, session_expiry_interval=100)
    wire.subscribe(Wish(topic, 1, True, True, 2), subscription_identifier=7)
    wire.leave()
    house.client(name, clean=False)
    told = dict(house.connack.properties["user_property"])
    assert json.loads(told["subscriptions"]) == [
        {"topic": topic, "qos": 1, "no_local": True, "rap": True, "retain_handling": 2, "subscription_id": 7}
    ]


def test_an_answer_to_nothing_is_passed_over(house: House) -> None:
    wire = house.client()
    wire.send(Ack(PacketType.PUBACK, 77), Ack(PacketType.PUBCOMP, 78))
    assert wire.silent()


@covers("3.1.2-24")
def test_a_client_too_small_for_connack(house: House) -> None:
    wire = house.open()
    wire.send(Connect(V5, fresh(), username=house.inside.key, properties={"maximum_packet_size": 10}))
    assert wire.closed()
