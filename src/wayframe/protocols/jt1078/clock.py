"""From device timestamps to the output clock of a stream (reference 4.4).

Terminals count from the epoch, from power-on or from nothing at all, and some jump or stand still: only differences
are used, and each difference is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .packets import MediaKind

MAX_STEP_MS: Final = 5_000
"""A larger device step is a jump."""

STILL_FRAMES: Final = 10
"""This many equal timestamps in a row mean that the device's clock stands still."""

MAX_DRIFT_MS: Final = 3_000
"""Live streams are anchored anew when device time and arrival time differ by more than this."""


@dataclass(slots=True)
class _Track:
    """Clock state of one kind of media."""

    device_ms: int
    output_ms: int
    offset_ms: int
    arrival_s: float
    still: int = 0


class StreamClock:
    """Output clock of one stream: first frame 0, never backwards within one kind of media.

    Audio and video timestamps interleave, so each kind has its own step check; both share one offset, which keeps
    them in step after a jump.
    """

    __slots__ = (
        "_anchor",
        "_arrival_s",
        "_live",
        "_offset_ms",
        "_output_ms",
        "_tracks",
        "reanchors",
        "timestamp_jumps",
    )

    def __init__(self, *, live: bool) -> None:
        """`live`: also compare with arrival times; recordings may arrive at any speed."""
        self._live = live
        self._tracks: dict[MediaKind, _Track] = {}
        self._offset_ms = 0
        self._output_ms = 0
        self._arrival_s = 0.0
        self._anchor: tuple[float, int] | None = None
        self.timestamp_jumps = 0
        """Steps of the device clock that were not believed."""
        self.reanchors = 0
        """Times a live stream was moved to agree with arrival times."""

    @property
    def by_arrival(self) -> bool:
        """Whether the device's clock stands still, so that a frame's time may be the one of its arrival."""
        return any(track.still >= STILL_FRAMES for track in self._tracks.values())

    def output_ms(self, kind: MediaKind, timestamp_ms: int, now: float, *, frame_interval_ms: int | None = None) -> int:
        """Output time in ms of the frame with this device timestamp that arrived at `now` (Unix seconds).

        `frame_interval_ms` is the last-frame interval field of video packets.
        """
        track = self._tracks.get(kind)
        if track is None:
            track = self._tracks[kind] = self._first(timestamp_ms, now)
        else:
            self._advance(track, timestamp_ms, now, frame_interval_ms)
        if self._live:
            self._check_drift(track, now)
        self._output_ms = max(self._output_ms, track.output_ms)
        self._arrival_s = now
        return max(0, track.output_ms)

    def _first(self, timestamp_ms: int, now: float) -> _Track:
        if not self._tracks:
            self._offset_ms = -timestamp_ms
            self._anchor = (now, 0)
            self._arrival_s = now
            return _Track(timestamp_ms, 0, self._offset_ms, now)
        output = timestamp_ms + self._offset_ms
        if abs(output - self._output_ms) > MAX_STEP_MS:
            # The second kind of media runs on a clock of its own: put it beside the first by arrival.
            self.timestamp_jumps += 1
            output = self._output_ms + max(0, round((now - self._arrival_s) * 1000))
        return _Track(timestamp_ms, output, output - timestamp_ms, now)

    def _advance(self, track: _Track, timestamp_ms: int, now: float, interval_ms: int | None) -> None:
        delta = timestamp_ms - track.device_ms
        track.still = track.still + 1 if delta == 0 else 0
        if track.still >= STILL_FRAMES:
            if track.still == STILL_FRAMES:
                self.timestamp_jumps += 1
            track.output_ms += _substitute(interval_ms, now - track.arrival_s)
            track.offset_ms = self._offset_ms = track.output_ms - timestamp_ms
        elif 0 <= delta <= MAX_STEP_MS:
            track.output_ms = timestamp_ms + track.offset_ms
        else:
            self.timestamp_jumps += 1
            self._jump(track, timestamp_ms, now, interval_ms)
        track.device_ms = timestamp_ms
        track.arrival_s = now

    def _jump(self, track: _Track, timestamp_ms: int, now: float, interval_ms: int | None) -> None:
        shared = timestamp_ms + self._offset_ms
        if self._offset_ms != track.offset_ms and 0 < shared - track.output_ms <= MAX_STEP_MS:
            # The other kind of media has made the same jump already: follow it, and stay in step.
            track.output_ms = shared
        else:
            track.output_ms += _substitute(interval_ms, now - track.arrival_s)
        track.offset_ms = self._offset_ms = track.output_ms - timestamp_ms

    def _check_drift(self, track: _Track, now: float) -> None:
        if self._anchor is None:
            return
        at, output = self._anchor
        drift = track.output_ms - output - (now - at) * 1000
        if abs(drift) <= MAX_DRIFT_MS:
            return
        self.reanchors += 1
        if drift < 0:
            # Output lags behind the world: step forward. Running ahead cannot be taken back, so only the
            # comparison starts anew then.
            track.output_ms -= round(drift)
            track.offset_ms = self._offset_ms = track.output_ms - track.device_ms
        self._anchor = (now, track.output_ms)


def _substitute(interval_ms: int | None, arrival_step_s: float) -> int:
    """The step used instead of an unbelievable one: the interval field if sane, else the time between arrivals."""
    if interval_ms is not None and 1 <= interval_ms <= 1000:
        return interval_ms
    return max(0, round(arrival_step_s * 1000))
