"""Classic HLS media playlist over MPEG-TS segments (RFC 8216)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

WINDOW_SEGMENTS = 6
_WINDOW_TARGETS = 4
_SMALLEST_TARGET_S = 2
_LARGEST_TARGET_S = 10


def choose_target(first_duration_s: float) -> int:
    """Target duration from the first segment's length, with room for key frames that come a little later."""
    return min(max(_SMALLEST_TARGET_S, int(first_duration_s * 1.2 + 0.5)), _LARGEST_TARGET_S)


def longest_segment_s(target: int | None) -> float:
    """Where a segment must be cut even without a key frame: EXTINF may round up to the target, not above."""
    return (target or _LARGEST_TARGET_S) + 0.45


def date_time(unix_s: float) -> str:
    """ISO 8601 with milliseconds and zone, as EXT-X-PROGRAM-DATE-TIME wants."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class TsSegment:
    """A finished segment as the playlist lists it."""

    name: str
    """File name, without base."""
    duration_s: float
    """EXTINF."""
    starts_at: float
    """Unix time of the first picture."""
    discontinuity: bool
    """Whether timestamps or parameters break before it."""


class TsWindow:
    """The sliding list of finished segments."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._segments: deque[TsSegment] = deque()
        self._sequence = 0
        self._discontinuities = 0
        self.target: int | None = None
        """EXT-X-TARGETDURATION; None before the first segment."""

    def add(self, segment: TsSegment) -> list[str]:
        """List a segment; returns the names of those that left the list."""
        if self.target is None:
            self.target = choose_target(segment.duration_s)
        self._segments.append(segment)
        total = sum(item.duration_s for item in self._segments)
        gone: list[str] = []
        while len(self._segments) > WINDOW_SEGMENTS:
            total -= self._segments[0].duration_s
            if total < _WINDOW_TARGETS * self.target:
                break
            first = self._segments.popleft()
            self._sequence += 1
            self._discontinuities += first.discontinuity
            gone.append(first.name)
        return gone

    def playlist(self, ended: bool) -> str | None:
        """The media playlist, or None before the first segment."""
        if self.target is None:
            return None
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:3",
            f"#EXT-X-TARGETDURATION:{self.target}",
            f"#EXT-X-MEDIA-SEQUENCE:{self._sequence}",
        ]
        if self._discontinuities:
            lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{self._discontinuities}")
        for segment in self._segments:
            if segment.discontinuity:
                lines.append("#EXT-X-DISCONTINUITY")
            lines += (
                f"#EXT-X-PROGRAM-DATE-TIME:{date_time(segment.starts_at)}",
                f"#EXTINF:{segment.duration_s:.3f},",
                self._base + segment.name,
            )
        if ended:
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines) + "\n"


class Cached(NamedTuple):
    """A picture or sound frame as it came in."""

    video: bool
    """A picture, else sound."""
    data: bytes
    """Annex B access unit, or raw AAC frame."""
    pts_ms: int
    """Milliseconds for a picture, sample position for sound."""
    key: bool
    """Whether a decoder can start here."""


class OpenSegment:
    """The segment being filled. It holds frames as they came, which the group of pictures for viewers holds too."""

    __slots__ = ("discontinuity", "items", "key", "size", "start_ms", "starts_at")

    def __init__(self, start_ms: int, starts_at: float, discontinuity: bool, key: bool) -> None:
        self.start_ms, self.starts_at, self.discontinuity, self.key = start_ms, starts_at, discontinuity, key
        self.items: list[Cached] = []
        self.size = 0

    def append(self, item: Cached) -> None:
        """Add a picture or sound frame."""
        self.items.append(item)
        self.size += len(item.data)
