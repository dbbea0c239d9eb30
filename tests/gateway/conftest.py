"""A whole node on free ports of loopback, in the loop of the test, with a clock that the test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from doors import Doors, Open, SettableClock

from wayframe.config import PORTS, Settings
from wayframe.model import MicrosecondIds
from wayframe.node import Node

_PORTS = dict.fromkeys((port.setting for port in PORTS), 0)


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Log lines without drawn tracebacks."""
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
    yield
    structlog.reset_defaults()


@pytest.fixture
async def opened(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Open]:
    """Opens a node with settings of its own."""
    nodes: list[Node] = []

    async def open_doors(**settings: Any) -> Doors:
        values = {
            **_PORTS, "data_dir": tmp_path / "data", "http_host": "127.0.0.1", "device_host": "127.0.0.1",
            "mqtt_host": "127.0.0.1", "min_free_disk_bytes": 0, **settings,
        }  # fmt: skip
        node = Node(Settings(**values))
        node.clock = clock = SettableClock()
        node.ids = MicrosecondIds(clock)
        await node.start()
        nodes.append(node)
        return Doors(node, clock)

    yield open_doors
    for node in nodes:
        await node.stop()


@pytest.fixture
async def doors(opened: Open) -> Doors:
    """A node with its usual settings."""
    return await opened()
