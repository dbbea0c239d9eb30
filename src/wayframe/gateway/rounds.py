"""Reading many media connections together: one after the other, a round at a time.

A live stream that wakes the server for every frame has it run each frame's code with cold caches, behind a system call
of its own; what comes within a fifth of a second and is then read together costs half of that (docs/benchmarks.md).
Nobody who watches ordinary HLS can tell. Streams with viewers who can are read in short rounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

import structlog

log = structlog.get_logger("wayframe.gateway")

CALM_S = 0.2
"""From round to round."""
URGENT_S = 0.015
"""From round to round of the connections in a hurry: a quarter of a frame at 15 fps."""
_AT_ONCE = 50
"""Connections read before the event loop has a turn."""


class Reader(Protocol):
    """A connection that leaves its bytes in the socket until it is told to read."""

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for every frame. Asked in every calm round."""

    def take(self) -> None:
        """Read what is there and work on it."""


class Rounds:
    """Tells its readers when to read."""

    def __init__(self) -> None:
        self._readers: dict[Reader, None] = {}
        self._urgent: list[Reader] = []
        self._calm_at = 0.0
        self._due: Iterator[Reader] = iter(())
        self._timer: asyncio.Handle | None = None

    def add(self, reader: Reader) -> None:
        """Have it read from now on."""
        self._readers[reader] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(URGENT_S, self._begin)

    def remove(self, reader: Reader) -> None:
        """Its connection is gone; harmless for one that was never added."""
        self._readers.pop(reader, None)

    def _begin(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._calm_at:
            self._due = iter(self._urgent)
        else:
            self._calm_at = now + CALM_S
            readers = list(self._readers)
            self._urgent = [reader for reader in readers if reader.urgent]
            self._due = iter(readers)
        self._read()

    def _read(self) -> None:
        """Some of the round's readers; the others after the event loop had its turn."""
        left = False
        for reader in islice(self._due, _AT_ONCE):
            left = True
            if reader in self._readers:
                try:
                    reader.take()
                except Exception:
                    log.exception("round_failed")
        loop = asyncio.get_running_loop()
        if left:
            self._timer = loop.call_soon(self._read)
        elif not self._readers:
            self._timer = None
        else:
            at = min(loop.time() + URGENT_S, self._calm_at) if self._urgent else self._calm_at
            self._timer = loop.call_at(at, self._begin)
