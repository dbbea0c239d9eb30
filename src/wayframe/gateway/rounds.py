"""Small work of many connections, done together: the first one's code is still in the processor's caches for the last.

A live stream wakes the server for every frame, and a process that sleeps between frames runs each with cold caches:
measured, a frame costs three times what it costs in a row (docs/benchmarks.md). So what arrives waits for a round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PERIOD_S = 0.015
"""Longest wait of what arrived: a quarter of a frame at 15 fps, so that low-latency viewers do not notice."""


class Rounds:
    """Collects calls and makes them all, once a period."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def add(self, work: Callable[[], None]) -> None:
        """Do this in the next round. It must not raise."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(PERIOD_S, self._run)
        self._waiting.append(work)

    def _run(self) -> None:
        waiting, self._waiting = self._waiting, []
        for work in waiting:
            work()
