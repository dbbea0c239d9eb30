"""The byte ranges of a file that have arrived."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable


class RangeSet:
    """Disjoint, sorted half-open ranges; adding merges what touches."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """`ranges`: (start, end) pairs, end exclusive."""
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in ranges:
            self.add(start, end)

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, start: int, end: int) -> None:
        """Mark [start, end) as present; empty ranges are ignored."""
        if end <= start:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def covers(self, size: int) -> bool:
        """True when [0, size) is present."""
        return size == 0 or (bool(self._starts) and self._starts[0] <= 0 and self._ends[0] >= size)

    def missing(self, size: int, limit: int) -> tuple[tuple[int, int], ...]:
        """(offset, length) of what is missing of [0, size), at most `limit` entries: the nearest are joined."""
        holes: list[tuple[int, int]] = []
        at = 0
        for start, end in zip(self._starts, self._ends, strict=True):
            if at >= size:
                break
            if start > at:
                holes.append((at, min(start, size)))
            at = end
        if at < size:
            holes.append((at, size))
        if len(holes) > limit:
            holes = _joined(holes, limit)
        return tuple((start, end - start) for start, end in holes)

    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(start, end) pairs, end exclusive, to keep and to build a `RangeSet` from again."""
        return tuple(zip(self._starts, self._ends, strict=True))


def _joined(holes: list[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
    """Close the shortest pieces between holes until `limit` holes are left."""
    between = sorted(range(1, len(holes)), key=lambda at: holes[at][0] - holes[at - 1][1])
    closed = set(between[: len(holes) - limit])
    joined: list[tuple[int, int]] = []
    for at, (start, end) in enumerate(holes):
        if at in closed:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
