"""How often somebody may do something: a token bucket each (rest-api.md 2.2, code 429)."""

from __future__ import annotations

from collections.abc import Hashable

from wayframe.model import TooManyRequests

_KEPT = 10_000
"""Buckets kept; the fullest go first, since a full bucket says nothing."""


class RateLimiter:
    """Buckets by who it is. Time is passed in, in seconds that never go back."""

    def __init__(self, per_second: float, burst: int, what: str = "requests a second with this token") -> None:
        """`per_second` 0 lets everything pass. `what` finishes the sentence of the refusal."""
        self._rate = per_second
        self._burst = float(burst)
        self._what = what
        self._buckets: dict[Hashable, tuple[float, float]] = {}

    def check(self, key: Hashable, now: float) -> None:
        """Count nothing. Raises TooManyRequests with the time until the next can succeed."""
        if self._rate and (level := self._level(key, now)) < 1:
            raise TooManyRequests(f"more than {self._rate:g} {self._what}; wait a moment", (1 - level) / self._rate)

    def take(self, key: Hashable, now: float) -> None:
        """Count one. Raises as `check`."""
        if not self._rate:
            return
        self.check(key, now)
        self._buckets[key] = (self._level(key, now) - 1, now)
        if len(self._buckets) > _KEPT:
            self._forget(now)

    def give_back(self, key: Hashable, now: float) -> None:
        """Count one less: what was taken turned out to be no matter for the limit."""
        if self._rate and key in self._buckets:
            self._buckets[key] = (min(self._burst, self._level(key, now) + 1), now)

    def _level(self, key: Hashable, now: float) -> float:
        level, since = self._buckets.get(key, (self._burst, now))
        return min(self._burst, level + (now - since) * self._rate)

    def _forget(self, now: float) -> None:
        """Drop the buckets that have filled up again."""
        full = [key for key in self._buckets if self._level(key, now) >= self._burst]
        for key in full or list(self._buckets)[: _KEPT // 10]:
            del self._buckets[key]
