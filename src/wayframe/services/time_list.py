"""Lists of recordings by time, as recorders answer them, cut into clips that can be asked for.

A recorder names what it has by channel, begin and end; the recording under way grows from list to list. A clip has at
most an hour, begins where its recording does or whole hours later, and is taken when its end is sure: so it is the same
clip in every list.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from wayframe.model import Json

_LONGEST_S = 3600
"""Longest clip that `request_video` takes."""
_OPEN_S = 120
"""What ended so lately may still grow."""
_LATE_S = 900
"""A recording may come into the list so long after its end."""


class Clip(Struct, frozen=True):
    """A part of a recording."""

    channel: int
    begin: int
    """Unix seconds."""
    duration: int
    """Seconds."""
    size: int
    """Bytes, as the recorder says; 0 where that is not known."""
    metadata: dict[str, Json]

    @property
    def key(self) -> str:
        """What it goes by on its device, now and later."""
        return f"recordings/{self.channel}/{self.begin}"

    @property
    def name(self) -> str:
        """A file name."""
        return f"ch{self.channel}_{datetime.fromtimestamp(self.begin, UTC):%Y%m%dT%H%M%SZ}.mp4"


def window(seen_to: float, now: float, longest_s: float) -> tuple[int, int]:
    """What to ask for next, where everything up to `seen_to` was asked for: begin and end.

    Some recorders cut recordings to what they were asked for: it begins so early that none of at most an hour is cut
    which is not known whole, and at a full hour, so that longer ones are cut where their clips are.
    """
    begin = math.floor((seen_to - _LATE_S - _LONGEST_S) / 3600) * 3600
    return max(0, begin), math.floor(min(now, seen_to + longest_s))


def clips(items: Iterable[Mapping[str, Json]], seen_to: float, asked_to: float, now: float) -> Iterator[Clip]:
    """The clips of a list that may be new, each once: of two streams of one recording the first.

    Args:
        items: `channel`, `begin`, `end`, `size`, `alarm`, `storage`, as `video_timeline` answers.
        seen_to: up to here an earlier list was complete.
        asked_to: end of what was asked for; a recording that reaches it may go on behind it.
    """
    sure = min(asked_to - 1, now - _OPEN_S)
    known: set[str] = set()
    for item in items:
        channel, begin, end = item["channel"], int(item["begin"]), int(item["end"])
        if end <= seen_to - _LATE_S or end <= begin:
            continue
        whole = end - begin <= _LONGEST_S
        for start in range(begin, end, _LONGEST_S):
            stop = min(end, start + _LONGEST_S)
            if stop > sure:
                break
            about = {"channel": channel, "from": start, "duration": stop - start, "timestamp": start}
            about |= {name: item[name] for name in ("alarm", "storage") if item.get(name)}
            clip = Clip(channel, start, stop - start, int(item.get("size") or 0) if whole else 0, about)
            if clip.key not in known:
                known.add(clip.key)
                yield clip
