"""MQTT 5, 2.1, 3.4 to 3.7, 3.12 to 3.15, 4.13 and 6: flags, PINGREQ, DISCONNECT, AUTH, errors, WebSockets."""

from __future__ import annotations

import base64
import os
import socket
import struct

import pytest
from statements import PAGE, covers, page
from wire import fresh

from conftest import House
from wayframe.mqtt import V5, Connack, Connect, Packet, PacketType, Publish
from wayframe.mqtt.packets import DISCONNECT_REASONS, Disconnect, Ping, encode

T = PacketType

MALFORMED = {
    "type 0": "00 00",
    "puback flags": "41 02 0001",
    "puback DUP": "48 02 0001",
    "pubrec flags": "52 02 0001",
    "pubrel without flags": "60 02 0001",
    "pubrel with all flags": "6f 02 0001",
    "pubcomp flags": "72 02 0001",
    "pingreq flags": "c2 00",
    "disconnect flags": "e1 00",
    "auth flags": "f1 00",
    "pingreq with a body": "c0 01 00",
    "puback without identifier": "40 01 00",
    "puback with rubbish behind": "40 05 0001 00 00 00",
    "a remaining length of five bytes": "30 ffffffff01",
    "a remaining length longer than needed": "c0 8000",
    "a property length longer than needed": "30 05 0001 61 8000",
    "properties beyond their packet": "30 04 0001 61 7f",
    "a property that is none": "30 06 0001 61 02 7f00",
    "a property of another packet": "30 09 0001 61 05 11 00000001",
}


@covers("2.1.3-1", "1.5.5-1", "3.6.1-1", "3.14.1-1", "3.15.1-1", "4.13.1-1", "3.14.4-2", "3.14.2-1")
@pytest.mark.parametrize("raw", list(MALFORMED.values()), ids=list(MALFORMED))
def test_malformed_packets(house: House, raw: str) -> None:
    wire = house.client()
    wire.send(bytes.fromhex(raw))
    assert wire.farewell() == 0x81


@covers("4.13.1-1", "3.14.2-1")
@pytest.mark.parametrize(
    "raw",
    [
        "40 03 0001 92",
        "50 03 0001 01",
        "62 03 0001 80",
        "70 03 0001 10",
        "40 02 0000",
        "e0 01 03",
        "30 0a 0001 61 06 02 00000001 01".replace("06 02 00000001 01", "04 01 01 01 01"),
        "20 03 00 00 00",
        "90 04 0001 00 00",
        "b0 04 0001 00 00",
        "d0 00",
        "f0 02 19 00",
    ],
)
def test_protocol_errors(house: House, raw: str) -> None:
    data = bytes.fromhex(raw)
    wire = house.client()
    wire.send(data[:1] + bytes((len(data) - 2,)) + data[2:])
    reason = wire.farewell()
    assert reason == 0x82
    assert reason in DISCONNECT_REASONS


@covers("3.12.4-1")
def test_ping(house: House) -> None:
    wire = house.client()
    wire.send(b"\xc0\0" * 3)
    assert [wire.receive() for _ in range(3)] == [Ping(T.PINGRESP)] * 3


@covers("3.14.4-1", "3.14.4-2", "4.13.2-1", "3.14.2-2")
def test_nothing_after_disconnect(house: House) -> None:
    topic = fresh("t")
    wire, publisher = house.client(), house.client()
    wire.subscribe(topic)
    wire.send(b"\xc1\0", Ping(T.PINGREQ))
    publisher.publish(topic, b"late", 1)
    assert wire.farewell() == 0x81
    wire = house.client()
    wire.send(Disconnect(), Ping(T.PINGREQ), Publish(topic, b"after the end"))
    assert wire.closed()
    watching = house.client()
    watching.subscribe(topic)
    assert watching.silent()


def test_the_reason_reaches_a_client_that_still_sends(house: House) -> None:
    """A reset at once would swallow it."""
    wire = house.client()
    wire.send(Publish("a", b"x", 0, properties={"topic_alias": 99}), *[Publish("a", b"y" * 1000)] * 200)
    assert wire.farewell() == 0x94


# --- WebSocket --------------------------------------------------------------------------------------------------------


class WebSocket:
    """A client that makes its own frames (RFC 6455)."""

    def __init__(self, house: House, path: str, offered: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", house.inside.node.http.port), 20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {offered}\r\n\r\n".encode()
        )
        self._rest = b""
        while b"\r\n\r\n" not in self._rest:
            self._rest += self._more()
        self.head, self._rest = self._rest.split(b"\r\n\r\n", 1)

    def _more(self) -> bytes:
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError
        return data

    def send(self, data: bytes, opcode: int = 2) -> None:
        """One frame, masked with zeros."""
        size = bytes((0x80 | len(data),)) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
        self.socket.sendall(bytes((0x80 | opcode,)) + size + b"\0\0\0\0" + data)

    def frame(self) -> tuple[int, bytes]:
        """Opcode and content of the next frame."""
        while True:
            if len(self._rest) >= 2:
                size, start = self._rest[1] & 127, 2
                if size == 126 and len(self._rest) >= 4:
                    size, start = struct.unpack(">H", self._rest[2:4])[0], 4
                if (len(self._rest) >= start + size and size != 126) or start == 4:
                    first, data = self._rest[0], self._rest[start : start + size]
                    if len(data) == size:
                        self._rest = self._rest[start + size :]
                        return first & 15, data
            self._rest += self._more()

    def packets(self, count: int) -> bytes:
        """Binary frames until that many bytes came at least."""
        found = b""
        while len(found) < count:
            opcode, data = self.frame()
            assert opcode == 2, "binary frames only"
            found += data
        return found


def hello(house: House) -> bytes:
    """A CONNECT."""
    packet: Packet = Connect(V5, fresh(), username=house.inside.key)
    return encode(packet, V5)


@covers("6.0.0-1", "6.0.0-2", "6.0.0-4")
@pytest.mark.parametrize("path", ["/", "/mqtt", "/any/path?at=all"])
def test_websocket(house: House, path: str) -> None:
    web = WebSocket(house, path, "chat, mqtt")
    assert web.head.startswith(b"HTTP/1.1 101")
    assert b"\r\nsec-websocket-protocol: mqtt\r\n" in web.head.lower() + b"\r\n"
    raw = hello(house)
    web.send(raw[:5])
    web.send(raw[5:6])
    web.send(raw[6:] + b"\xc0\0\xc0")
    web.send(b"\0")
    came = b""
    while not came.endswith(b"\xd0\0\xd0\0"):
        came += web.packets(1)
    assert came[0] == 0x20
    assert isinstance(house.client() and house.connack, Connack)
    web.socket.close()


@covers("6.0.0-1")
def test_a_text_frame_closes(house: House) -> None:
    web = WebSocket(house, "/", "mqtt")
    web.send(hello(house))
    assert web.packets(5)[0] == 0x20
    web.send(b"hello", opcode=1)
    assert web.frame()[0] == 8
    web.socket.close()


def test_a_websocket_without_mqtt(house: House) -> None:
    web = WebSocket(house, "/", "chat")
    assert not web.head.startswith(b"HTTP/1.1 101")
    web.socket.close()


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_says_what_is_tested() -> None:
    assert PAGE.read_text() == page(), "run: python tests/broker/statements.py"
