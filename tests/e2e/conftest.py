"""A running server for the end-to-end tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .house import House


@pytest.fixture
def open_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Starts servers with settings; they end with the test."""
    houses: list[House] = []

    def start(**settings: object) -> House:
        house = House(tmp_path, **settings)
        houses.append(house)
        return house.start()

    yield start
    for house in houses:
        house.close()


@pytest.fixture
def house(open_house: Callable[..., House]) -> House:
    """A server with default settings."""
    return open_house()
