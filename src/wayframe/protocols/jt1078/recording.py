"""The decisions of a recording by stream (reference 6.4): when it is complete, when to ask again, when to give up.

A pure object: the caller feeds frames, closed connections and the time, and does what the decision says.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Final

NOTHING_TIMEOUT_S: Final = 30.0
"""Without any frame in this time after a request the recording has failed."""
SILENCE_S: Final = 10.0
"""A terminal that sent frames and then nothing for this long has ended."""
ENOUGH: Final = 0.9
"""Share of the duration that counts as complete when the terminal ends."""


class Action(enum.Enum):
    """What to do now."""

    CONTINUE = "continue"
    """Nothing; keep feeding."""
    DONE = "done"
    """Complete: send 0x9202 stop unless the terminal closed, and store the file."""
    RETRY = "retry"
    """Close the media connection and send 0x9201 once more with `from_s` as start."""
    PARTIAL = "partial"
    """Store what there is and mark it partial."""
    FAILED = "failed"
    """Nothing was received."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An action and what belongs to it."""

    action: Action
    """What to do."""
    from_s: float | None = None
    """New start of the playback in Unix seconds, whole; RETRY only."""
    reason: str = ""
    """For the log and the command's answer; FAILED and PARTIAL."""


_CONTINUE: Final = Decision(Action.CONTINUE)


class Recording:
    """One piece of footage being recorded. Once it has decided on an end, it repeats that decision."""

    def __init__(self, start_s: float, duration_s: float, now: float) -> None:
        """Window in Unix seconds; `now`: when the first 0x9201 was sent."""
        self._start_s = start_s
        self._duration_ms = duration_s * 1000
        self._asked_at = now
        self._last_frame_at: float | None = None
        self._reached_ms = 0
        self._retried = False
        self._end: Decision | None = None
        self.offset_ms = 0
        """Where the frames of the current media connection begin in the file; add it to their output clock."""

    @property
    def reached_ms(self) -> int:
        """Latest point of the file that has a frame."""
        return self._reached_ms

    @property
    def partial(self) -> bool:
        """True when the recording ended early."""
        return self._end is not None and self._end.action is Action.PARTIAL

    def frame(self, pts_ms: int, now: float) -> Decision:
        """A frame with this time on the output clock of the media connection now open arrived."""
        if self._end is not None:
            return self._end
        self._last_frame_at = now
        self._reached_ms = max(self._reached_ms, self.offset_ms + pts_ms)
        if self._reached_ms >= self._duration_ms:
            return self._finish(Decision(Action.DONE))
        return _CONTINUE

    def closed(self, now: float) -> Decision:
        """The terminal closed the media connection."""
        if self._end is not None or self._last_frame_at is None:
            # Nothing came over it: it may connect again within the time it has anyway.
            return self._end or self.tick(now)
        return self._ended(now, "the terminal closed the connection")

    def refused(self, reason: str) -> Decision:
        """The terminal refused the request (0x0001 with a result, or a 0x1205 without recordings)."""
        if self._end is not None:
            return self._end
        if self._retried or self._last_frame_at is not None:
            return self._finish(Decision(Action.PARTIAL, reason=f"the rest was refused: {reason}"))
        return self._finish(Decision(Action.FAILED, reason=reason))

    def tick(self, now: float) -> Decision:
        """Time passes; call it about once a second."""
        if self._end is not None:
            return self._end
        if self._last_frame_at is None:
            if now - self._asked_at < NOTHING_TIMEOUT_S:
                return _CONTINUE
            if self._retried:
                return self._finish(Decision(Action.PARTIAL, reason="nothing came after the retry"))
            reason = f"no frame within {NOTHING_TIMEOUT_S:g} s"
            return self._finish(Decision(Action.FAILED, reason=reason))
        if now - self._last_frame_at < SILENCE_S:
            return _CONTINUE
        return self._ended(now, f"no frame for {SILENCE_S:g} s")

    def _ended(self, now: float, why: str) -> Decision:
        """No more frames from this request: enough, once more from here, or that was it."""
        if self._reached_ms >= ENOUGH * self._duration_ms:
            return self._finish(Decision(Action.DONE))
        if self._retried:
            reached = self._reached_ms / 1000
            return self._finish(Decision(Action.PARTIAL, reason=f"{why} after {reached:g} s"))
        self._retried = True
        self._asked_at = now
        self._last_frame_at = None
        # The terminal's times are whole seconds: the file goes on at the second the new playback starts with.
        from_s = math.floor(self._start_s + self._reached_ms / 1000)
        self.offset_ms = max(0, round((from_s - self._start_s) * 1000))
        return Decision(Action.RETRY, from_s=float(from_s), reason=why)

    def _finish(self, decision: Decision) -> Decision:
        self._end = decision
        return decision
