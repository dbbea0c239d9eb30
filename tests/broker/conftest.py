"""Servers for the MQTT tests: one with QoS 1 as the largest, one with QoS 2, each for all tests of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from wire import Wire

from inside import InsideHouse
from wayframe.mqtt import V5, Connack


@dataclass
class House:
    """A server with a broker, and the connections of one test."""

    inside: InsideHouse
    max_qos: int
    wires: list[Wire] = field(default_factory=list)

    @property
    def port(self) -> int:
        """MQTT over TCP."""
        return self.inside.node.mqtt.port

    def open(self, version: int = V5, key: str | None = None) -> Wire:
        """A connection on which nothing was said yet."""
        wire = Wire(self.port, self.inside.key if key is None else key, version)
        self.wires.append(wire)
        return wire

    def client(self, client_id: str | None = None, version: int = V5, **said: object) -> Wire:
        """A client that is welcome."""
        wire = self.open(version)
        self.connack = wire.connect(client_id, **said)  # type: ignore[arg-type]  # as the test says
        assert self.connack.reason == 0
        return wire

    connack: Connack = field(default_factory=lambda: Connack(False, 0))
    """Of the last client."""

    def close(self) -> None:
        """Drop every connection."""
        for wire in self.wires:
            wire.close()
        self.wires.clear()


def _house(tmp_path_factory: pytest.TempPathFactory, max_qos: int, **settings: object) -> Iterator[InsideHouse]:
    folder = tmp_path_factory.mktemp(f"qos{max_qos}")
    inside = InsideHouse(folder, mqtt_max_qos=max_qos, mqtt_receive_maximum=10, mqtt_topic_aliases=5, **settings)
    yield inside
    inside.close()


@pytest.fixture(scope="session")
def _inside_1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideHouse]:
    yield from _house(tmp_path_factory, 1, mqtt_keep_alive_s=100)


@pytest.fixture(scope="session")
def _inside_2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideHouse]:
    yield from _house(tmp_path_factory, 2, mqtt_stamp_messages="off")


@pytest.fixture
def house1(_inside_1: InsideHouse) -> Iterator[House]:
    """As it comes: QoS 1 at most."""
    house = House(_inside_1, 1)
    yield house
    house.close()


@pytest.fixture
def house2(_inside_2: InsideHouse) -> Iterator[House]:
    """QoS 2, and messages as their publishers wrote them."""
    house = House(_inside_2, 2)
    yield house
    house.close()


@pytest.fixture(params=[1, 2])
def house(request: pytest.FixtureRequest) -> House:
    """Both, one after the other."""
    found = request.getfixturevalue(f"house{request.param}")
    assert isinstance(found, House)
    return found
