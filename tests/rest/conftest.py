"""A server to ask, shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inside import InsideHouse


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideHouse]:
    made = InsideHouse(tmp_path_factory.mktemp("house"))
    yield made
    made.close()
