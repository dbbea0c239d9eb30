"""Time and ids are passed in, never taken: the two small interfaces, and the real ones."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Unix seconds, with fractions to the microsecond."""

    def monotonic(self) -> float:
        """Seconds that never go back, for timeouts."""


class Ids(Protocol):
    """Gives ids in microseconds of Unix time, distinct per node and rising (rest-api.md 9.1)."""

    def next(self) -> int:
        """A new id, below 2^53."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class MicrosecondIds:
    """Ids that are the current microsecond, moved up where two fall together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        with self._lock:
            self._last = max(self._last + 1, int(self._clock.now() * 1_000_000))
            return self._last
