"""Lists of recordings, asked for again and again: every second of every recording becomes a clip, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayframe.services.time_list import Clip, clips, window

BEGIN = 1_800_000_000.0
DAY = 86_400.0

Recording = tuple[int, int]
"""Begin and end, Unix seconds."""


def card(lengths: Sequence[int], pauses: Sequence[int]) -> list[Recording]:
    """Recordings one after the other."""
    found, at = [], int(BEGIN)
    for length, pause in zip(lengths, pauses, strict=True):
        found.append((at, at + length))
        at += length + pause
    return found


def listed(recordings: Sequence[Recording], begin: int, end: int, now: float, cut: bool) -> Iterator[dict[str, Any]]:
    """What a recorder answers: what it has by now of everything in a window, cut to it or not."""
    for start, stop in recordings:
        upto = min(stop, int(now))
        if start < end and upto > begin and start < upto:
            low, high = (max(start, begin), min(upto, end)) if cut else (start, upto)
            yield {"channel": 1, "begin": low, "end": high, "size": 1000, "alarm": 0, "storage": "main"}


def looked(recordings: Sequence[Recording], pauses: Sequence[int], cut: bool) -> list[Clip]:
    """The clips of a harvest whose looks have these pauses, and go on until everything is sure."""
    seen_to, now, found = BEGIN - 3600, BEGIN, dict[str, Clip]()
    last = max(stop for _, stop in recordings) + 10_000
    looks = iter(pauses)
    while now < last:
        now += next(looks, 600)
        while seen_to < now - 1:
            begin, end = window(seen_to, now, DAY)
            for clip in clips(listed(recordings, begin, end, now, cut), seen_to, end, now):
                found.setdefault(clip.key, clip)
            seen_to = float(end)
    return sorted(found.values(), key=lambda clip: clip.begin)


lengths = st.lists(st.integers(1, 3600), min_size=1, max_size=12)
long_ones = st.lists(st.integers(1, 30_000), min_size=1, max_size=6)
waits = st.lists(st.integers(10, 90_000), max_size=20)


@given(long_ones, waits, st.data())
def test_every_second_once(sizes: list[int], pauses: list[int], data: st.DataObject) -> None:
    gaps = [data.draw(st.integers(0, 5000)) for _ in sizes]
    recordings = card(sizes, gaps)
    found = looked(recordings, pauses, cut=False)
    seconds = [second for clip in found for second in (clip.begin, clip.begin + clip.duration)]
    expected = []
    for start, stop in recordings:
        for begin in range(start, stop, 3600):
            expected += [begin, min(stop, begin + 3600)]
    assert seconds == expected
    assert all(1 <= clip.duration <= 3600 for clip in found)


@given(lengths, waits, st.data())
def test_a_recorder_that_cuts_to_the_window_gives_the_same(
    sizes: list[int], pauses: list[int], data: st.DataObject
) -> None:
    gaps = [data.draw(st.integers(1, 5000)) for _ in sizes]
    recordings = card(sizes, gaps)
    found = [(clip.begin, clip.begin + clip.duration) for clip in looked(recordings, pauses, cut=True)]
    assert found == recordings


def test_a_clip_says_what_to_ask_for() -> None:
    now = BEGIN + 100_000
    items = [{"channel": 2, "begin": BEGIN + 60, "end": BEGIN + 120, "size": 77, "alarm": 9, "storage": "backup"}]
    (clip,) = clips(items, BEGIN, now, now)
    assert (clip.key, clip.name, clip.size) == (
        f"recordings/2/{int(BEGIN) + 60}", "ch2_20270115T080100Z.mp4", 77
    )  # fmt: skip
    assert clip.metadata == {
        "channel": 2, "from": BEGIN + 60, "duration": 60, "timestamp": BEGIN + 60, "alarm": 9, "storage": "backup"
    }  # fmt: skip


@pytest.mark.parametrize("ended", [0, 60, 119])
def test_what_may_still_grow_waits(ended: int) -> None:
    now = BEGIN + 5000
    items = [{"channel": 1, "begin": int(now) - 400, "end": int(now) - ended, "size": 1}]
    assert list(clips(items, BEGIN, now, now)) == []
    assert len(list(clips(items, BEGIN, now + 121, now + 121))) == 1
