"""Clients that mean no good, or do not care: the broker's memory stays bounded and everybody else is served."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wayframe.mqtt import V5, V311, Connect, Publish, Subscribe, Wish
from wayframe.mqtt.packets import encode

from .house import House
from .test_mqtt import PahoClient, client

pytestmark = pytest.mark.slow
MIB = 1 << 20


class Raw:
    """A socket that speaks MQTT by hand."""

    def __init__(self, house: House, *, connect: bool = True, version: int = V311, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", house.ports["mqtt"]))
        self.socket.settimeout(20)
        self.version = version
        if connect:
            self.send(Connect(version, f"raw-{id(self)}", username=f"FlespiToken {house.key}"))
            assert self.socket.recv(4096)[0] == 0x20

    def send(self, packet: Connect | Publish | Subscribe) -> None:
        self.socket.sendall(encode(packet, self.version))

    def ended(self) -> bool:
        """Whether the server closes within the timeout."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path, mqtt_session_bytes=8 * MIB, mqtt_max_packet_bytes=2 * MIB, tls="off").start()
    yield house
    house.close()


def memory(house: House) -> int:
    """Resident bytes of the server."""
    assert house.process is not None
    return int(Path(f"/proc/{house.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def served(house: House) -> None:
    """Somebody else subscribes, publishes and receives as if nothing was."""
    with contextlib.closing(client(house)) as other:
        other.subscribe("others/+")
        other.publish("others/a", "served")
        assert other.next() == ("others/a", "served")


def publisher(house: House) -> PahoClient:
    return client(house)


def test_a_reader_that_never_reads(server: House) -> None:
    slow = Raw(server, receive_buffer=4096)
    slow.send(Subscribe(1, [Wish("flood/#", 0)]))
    before = memory(server)
    with contextlib.closing(publisher(server)) as flood:
        for _ in range(1800):
            flood.publish("flood/a", "x" * 100_000, 1)  # acknowledged, so that the server has it before the next
    assert memory(server) - before < 96 * MIB  # of 172 MiB that went by
    served(server)
    slow.close()


def test_a_subscriber_that_never_acknowledges(server: House) -> None:
    lazy = Raw(server, version=V5)
    lazy.send(Subscribe(1, [Wish("work/#", 1)]))
    before = memory(server)
    with contextlib.closing(publisher(server)) as flood:
        for _ in range(1800):
            flood.publish("work/a", "x" * 100_000, 1)
    assert memory(server) - before < 96 * MIB  # of 172 MiB that went by
    text = server.client.get("/metrics").text
    dropped = float(
        next(line for line in text.splitlines() if line.startswith("wayframe_mqtt_dropped_full")).split()[1]
    )
    assert dropped > 0
    logged = server.result("GET", "/mqtt/logs")
    assert any(record["event_code"] == 403 for record in logged)
    served(server)
    lazy.close()


def test_half_packets_and_packets_that_never_end(server: House) -> None:
    before = memory(server)
    peers = [Raw(server) for _ in range(50)]
    for number, peer in enumerate(peers):
        whole = encode(Publish("half/a", b"x" * MIB), V311)
        peer.socket.sendall(whole[: 1 + number * 20_000])
    served(server)
    assert memory(server) - before < 120 * MIB  # what came and no more: 25 MB of halves
    for peer in peers:
        peer.close()
    claimed = Raw(server)
    claimed.socket.sendall(b"\x30\xff\xff\xff\x7f")  # a PUBLISH of 256 MB
    assert claimed.ended()
    served(server)


@pytest.mark.parametrize(
    "hostile",
    [
        encode(Publish("t" * 65535, b""), V311)[:-65535] + b"\xff" * 65535,
        b"\x30\xff\xff\xff\xff\x01",
        b"\x36\x04\x00\x01a\x00",
        b"\x00" * 100,
        b"\xf0\x00",
        b"\x82\x02\x00\x01",
        b"\x30\x03\x00\x01#",
        encode(Connect(V311, "second", username="x"), V311),
    ],
    ids=["no text", "length without end", "QoS 3", "zeros", "AUTH in 3.1.1", "no filter", "wildcard", "second CONNECT"],
)
def test_packets_that_are_none(server: House, hostile: bytes) -> None:
    peer = Raw(server)
    peer.socket.sendall(hostile)
    assert peer.ended()
    served(server)


def test_topics_and_filters_that_are_too_much(server: House) -> None:
    peer = Raw(server)
    peer.send(Publish("/".join("x" * 30_000), b"deep"))
    peer.send(Subscribe(1, [Wish("+/" * 20_000 + "#", 0)]))
    suback = b""
    while len(suback) < 5:
        suback += peer.socket.recv(100)
    assert suback[:2] == b"\x90\x03" and suback[4] == 0x80
    served(server)
    peer.close()


def test_ten_thousand_subscriptions(server: House) -> None:
    peer = Raw(server)
    for start in range(0, 10_000, 100):
        peer.send(Subscribe(start // 100 + 1, [Wish(f"many/{number}/+/x", 0) for number in range(start, start + 100)]))
    received = 0
    while received < 100 * 104:
        received += len(peer.socket.recv(65536))
    served(server)
    with contextlib.closing(publisher(server)) as other:
        other.publish("many/9999/a/x", "hit")
    assert b"hit" in peer.socket.recv(1000)
    peer.close()
    served(server)


def test_a_storm_of_connects(server: House) -> None:
    for _ in range(10):
        storm = [Raw(server, connect=False) for _ in range(100)]
        for peer in storm[::2]:
            peer.send(Connect(V5, "storm", username="FlespiToken " + "x" * 64))
        for peer in storm:
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
    served(server)


def test_who_says_nothing_is_sent_away(server: House) -> None:
    peer = Raw(server, connect=False)
    peer.socket.settimeout(25)
    begun = time.monotonic()
    assert peer.ended()
    assert time.monotonic() - begun > 5


def test_keys_are_not_guessed_by_their_short_form(server: House) -> None:
    refusals = []
    for number in range(15):
        peer = Raw(server, connect=False, version=V5)
        peer.send(Connect(V5, f"guess{number}", username="1", password=b"A" * 16))
        refusals.append(peer.socket.recv(1000)[3])
        peer.close()
    assert refusals[0] == 0x86 and refusals[-1] == 0x97
    served(server)
