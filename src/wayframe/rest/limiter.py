"""How often one token may ask: a token bucket each (rest-api.md 2.2, code 429)."""

from __future__ import annotations

from wayframe.model import TooManyRequests

_KEPT = 10_000
"""Buckets kept; the fullest go first, since a full bucket says nothing."""


class RateLimiter:
    """Token buckets by token id. Time is passed in, in seconds that never go back."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._rate = per_second
        self._burst = float(burst)
        self._buckets: dict[int, tuple[float, float]] = {}

    def take(self, token_id: int, now: float) -> None:
        """Count one request. Raises TooManyRequests with the time until the next can succeed."""
        if not self._rate:
            return
        level, since = self._buckets.get(token_id, (self._burst, now))
        level = min(self._burst, level + (now - since) * self._rate)
        if level < 1:
            self._buckets[token_id] = (level, now)
            raise TooManyRequests(
                f"more than {self._rate:g} requests a second with this token; wait a moment", (1 - level) / self._rate
            )
        self._buckets[token_id] = (level - 1, now)
        if len(self._buckets) > _KEPT:
            self._forget(now)

    def _forget(self, now: float) -> None:
        """Drop the buckets that have filled up again."""
        full = [
            key for key, (level, since) in self._buckets.items() if level + (now - since) * self._rate >= self._burst
        ]
        for key in full or list(self._buckets)[: _KEPT // 10]:
            del self._buckets[key]
