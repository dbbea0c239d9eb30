"""MQTT 5, 3.1.2.5 and 3.1.2.10: keep alive and wills."""

from __future__ import annotations

import time

import pytest
from statements import covers
from wire import fresh

from conftest import House
from wayframe.mqtt import Will
from wayframe.mqtt.packets import Disconnect

# --- keep alive -------------------------------------------------------------------------------------------------------


@covers("3.1.2-22", "3.2.2-22")
def test_silence_ends_the_connection(house: House) -> None:
    began = time.monotonic()
    topic = fresh("w")
    watching = house.client()
    watching.subscribe(topic)
    wire = house.client(keep_alive=1, will=Will(topic, b"gone"))
    assert "server_keep_alive" not in house.connack.properties
    assert wire.farewell() == 0x8D
    assert time.monotonic() - began > 1.4
    assert watching.message().payload == b"gone"


@covers("3.1.2-22")
def test_any_packet_keeps_it_alive(house: House) -> None:
    wire = house.client(keep_alive=1)
    waiting = house.client(keep_alive=2)
    began = time.monotonic()
    sent = 0
    waiting.socket.settimeout(0.3)
    while True:
        wire.publish("x", b"")
        sent += 1
        try:
            farewell = waiting.take(Disconnect)
            break
        except TimeoutError:
            continue
    assert farewell.reason == 0x8D
    assert time.monotonic() - began > 2.9
    assert wire.silent(), "it never was silent for long"


def test_a_keep_alive_over_the_ceiling_is_told(house1: House) -> None:
    house1.client(keep_alive=101)
    assert house1.connack.properties["server_keep_alive"] == 100
    house1.client(keep_alive=0)
    assert house1.connack.properties["server_keep_alive"] == 100
    house1.client(keep_alive=100)
    assert "server_keep_alive" not in house1.connack.properties


# --- wills ------------------------------------------------------------------------------------------------------------


@covers("3.1.2-7", "3.1.2-8", "3.1.2-10", "3.1.2-14")
@pytest.mark.parametrize("qos", [0, 1])
def test_a_will(house: House, qos: int) -> None:
    topic, name = fresh("w"), fresh()
    watching = house.client()
    watching.subscribe(topic)
    house.client(name, will=Will(topic, b"dead", qos)).close()
    message = watching.message()
    assert (message.payload, message.qos, message.retain) == (b"dead", qos, False)
    house.client(name, clean=False).leave()
    assert watching.silent(), "once"
    late = house.client()
    late.subscribe(topic)
    assert late.silent(), "not retained"


@covers("3.1.2-15")
def test_a_retained_will(house: House) -> None:
    topic = fresh("w")
    watching = house.client()
    watching.subscribe(topic)
    house.client(will=Will(topic, b"dead", 1, True)).close()
    assert watching.message().payload == b"dead"
    late = house.client()
    late.subscribe(topic)
    message = late.message()
    assert (message.payload, message.retain) == (b"dead", True)


@covers("3.1.2-8", "3.1.2-10", "3.14.4-3")
def test_a_will_that_is_discarded(house: House) -> None:
    topic = fresh("w")
    watching = house.client()
    watching.subscribe(topic)
    house.client(will=Will(topic, b"", 1)).leave(0)
    assert watching.silent()


@covers("3.1.2-8")
@pytest.mark.parametrize("reason", [0x04, 0x80, 0x82])
def test_a_disconnect_that_leaves_the_will(house: House, reason: int) -> None:
    topic = fresh("w")
    watching = house.client()
    watching.subscribe(topic)
    house.client(will=Will(topic, b"dead")).leave(reason)
    assert watching.message().payload == b"dead"


@covers("3.1.2-8", "4.13.2-1")
def test_a_will_after_the_server_closed(house: House) -> None:
    topic, name = fresh("w"), fresh()
    watching = house.client()
    watching.subscribe(topic)
    wire = house.client(name, will=Will(topic, b"broken"))
    wire.send(b"\xc1\0")
    assert wire.farewell() == 0x81
    assert watching.message().payload == b"broken"
    house.client(name, will=Will(topic, b"taken over"))
    house.client(name)
    assert watching.message().payload == b"taken over"


@covers("3.1.2-8", "3.1.3-9")
def test_will_delay(house: House) -> None:
    topic, name = fresh("w"), fresh()
    watching = house.client()
    watching.subscribe(topic)
    will = Will(topic, b"dead", 0, False, {"will_delay_interval": 1})
    house.client(name, will=will, session_expiry_interval=100).close()
    house.client(name, clean=False, will=will, session_expiry_interval=100)
    house.wires[-1].close()
    began = time.monotonic()
    assert watching.message().payload == b"dead"
    assert time.monotonic() - began > 0.9
    assert watching.silent(), "the first will was not sent: its client came back"


@covers("3.1.2-8")
def test_will_delay_ends_with_the_session(house: House) -> None:
    topic, name = fresh("w"), fresh()
    watching = house.client()
    watching.subscribe(topic)
    will = Will(topic, b"dead", 0, False, {"will_delay_interval": 3600})
    house.client(will=will).close()
    assert watching.message().payload == b"dead", "no session outlives the connection"
    house.client(will=will, session_expiry_interval=1).close()
    assert watching.message().payload == b"dead"
    house.client(name, will=will, session_expiry_interval=100).close()
    house.client(name)
    assert watching.message().payload == b"dead", "clean start ends the session"


@covers("3.1.3-10", "3.3.2-4", "3.3.2-15", "3.3.2-16", "3.3.2-20", "3.3.2-6")
def test_properties_of_a_will(house: House) -> None:
    topic = fresh("w")
    said = {
        "payload_format_indicator": 1,
        "content_type": "text/plain",
        "response_topic": "r",
        "correlation_data": b"\0\xff",
        "user_property": [("b", "2"), ("a", "1"), ("b", "1")],
    }
    watching = house.client()
    watching.subscribe(topic)
    will = Will(topic, b"x", 1, False, {**said, "will_delay_interval": 0, "message_expiry_interval": 50})
    house.client(will=will).close()
    message = watching.message()
    assert message.properties.pop("message_expiry_interval") <= 50
    assert message.properties.pop("user_property")[:3] == said.pop("user_property")
    assert message.properties == said
