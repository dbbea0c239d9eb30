"""The average rate of a connection over the last seconds."""

from __future__ import annotations

from collections import deque


class RateWindow:
    """Counts bytes a second, so that a burst at the start is no violation and a steady flood is."""

    def __init__(self, max_bps: int, window_s: int) -> None:
        """`max_bps`: bits per second on average over `window_s` seconds."""
        self._max_bytes = max_bps * window_s // 8
        self._window_s = window_s
        self._seconds: deque[list[int]] = deque()
        self._bytes = 0

    def exceeded(self, size: int, now: float) -> bool:
        """Count `size` bytes received at `now`; True when the window holds more than it may."""
        second = int(now)
        seconds = self._seconds
        self._bytes += size
        if seconds and seconds[-1][0] == second:
            seconds[-1][1] += size
        else:
            seconds.append([second, size])
            # The length is bounded too: a clock that jumps back must not keep seconds for ever.
            while len(seconds) > self._window_s or seconds[0][0] <= second - self._window_s:
                self._bytes -= seconds.popleft()[1]
        return self._bytes > self._max_bytes
