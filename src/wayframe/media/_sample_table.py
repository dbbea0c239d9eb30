"""The `moov` of a finished file: sample tables and the layout of `mdat` (ISO/IEC 14496-12 8.5 to 8.7)."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

from . import boxes
from .boxes import box, full_box

_U32 = struct.Struct(">I")
_PAIR = struct.Struct(">II")
_TRIPLE = struct.Struct(">III")
_BIGGEST_32 = 0xFFFFFFFF
_RUN_S = 1.0


@dataclass(frozen=True, slots=True)
class MovieTrack:
    """One track's samples, in decoding order."""

    number: int
    """Track id."""
    timescale: int
    """Ticks per second."""
    sizes: array[int]
    """Bytes of each sample."""
    durations: array[int]
    """Ticks of each sample."""
    entries: list[bytes]
    """Sample description boxes."""
    changes: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    """(first sample, index of its description), rising."""
    keys: array[int] | None = None
    """1 for sync samples; None when all are."""
    width: int = 0
    """Pixels; 0 for sound."""
    height: int = 0
    """Pixels; 0 for sound."""
    start_ms: int = 0
    """Empty time before the first sample."""

    @property
    def duration_ms(self) -> int:
        """Length of the samples in milliseconds."""
        return sum(self.durations) * 1000 // self.timescale


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive samples of one track that stand together in `mdat` (a chunk)."""

    track: int
    """Index into the list of tracks."""
    count: int
    """Samples."""
    size: int
    """Bytes."""
    entry: int
    """Index of the sample description."""
    start_s: float
    """Time of the first sample, for the interleaving."""


def runs_by_time(tracks: list[MovieTrack]) -> list[Run]:
    """Cut every track into runs of a second and order all of them by time."""
    runs = [run for index, track in enumerate(tracks) for run in _track_runs(index, track)]
    return sorted(runs, key=lambda run: (run.start_s, run.track))


def _track_runs(index: int, track: MovieTrack) -> list[Run]:
    runs: list[Run] = []
    changes = dict(track.changes)
    at = track.start_ms / 1000
    start, count, size, entry = at, 0, 0, 0
    for sample, (nbytes, ticks) in enumerate(zip(track.sizes, track.durations, strict=True)):
        if count and (at - start >= _RUN_S or sample in changes):
            runs.append(Run(index, count, size, entry, start))
            start, count, size = at, 0, 0
        entry = changes.get(sample, entry)
        count, size = count + 1, size + nbytes
        at += ticks / track.timescale
    if count:
        runs.append(Run(index, count, size, entry, start))
    return runs


def movie_header(tracks: list[MovieTrack], runs: list[Run], codec: str) -> bytes:
    """Everything before the samples: `ftyp`, `moov` and the head of `mdat`, offsets 64 bits wide when needed."""
    brands = b"isomiso2mp41" + (b"avc1" if codec == "h264" else b"hvc1")
    ftyp = box(b"ftyp", b"isom", _U32.pack(0x200), brands)
    payload = sum(run.size for run in runs)
    # The size of moov depends on the width of the offsets, not on their values.
    wide = len(ftyp) + len(_moov(tracks, runs, 0, True)) + 16 + payload > _BIGGEST_32
    start = len(ftyp) + len(_moov(tracks, runs, 0, wide)) + (16 if wide else 8)
    head = struct.pack(">I4sQ", 1, b"mdat", payload + 16) if wide else struct.pack(">I4s", payload + 8, b"mdat")
    return ftyp + _moov(tracks, runs, start, wide) + head


def _moov(tracks: list[MovieTrack], runs: list[Run], start: int, wide: bool) -> bytes:
    offsets: list[array[int]] = [array("Q") for _ in tracks]
    position = start
    for run in runs:
        offsets[run.track].append(position)
        position += run.size
    longest = max(track.start_ms + track.duration_ms for track in tracks)
    traks = [
        _trak(track, [run for run in runs if run.track == index], offsets[index], wide)
        for index, track in enumerate(tracks)
    ]
    return box(b"moov", boxes.mvhd(longest, len(tracks) + 1), *traks)


def _trak(track: MovieTrack, runs: list[Run], offsets: array[int], wide: bool) -> bytes:
    video = track.keys is not None
    whole = track.start_ms + track.duration_ms
    head = boxes.tkhd(track.number, whole, track.width, track.height, not video)
    media = box(
        b"mdia",
        boxes.mdhd(track.timescale, sum(track.durations)),
        boxes.hdlr(video),
        boxes.minf(video, _stbl(track, runs, offsets, wide)),
    )
    return box(b"trak", head, _edts(track), media)


def _edts(track: MovieTrack) -> bytes:
    if not track.start_ms:
        return b""
    empty = struct.pack(">QqI", track.start_ms, -1, 0x10000)
    whole = struct.pack(">QqI", track.duration_ms, 0, 0x10000)
    return box(b"edts", full_box(b"elst", 1, 0, _U32.pack(2), empty, whole))


def _stbl(track: MovieTrack, runs: list[Run], offsets: array[int], wide: bool) -> bytes:
    tables = [boxes.stsd(track.entries), _stts(track.durations)]
    if track.keys is not None:
        keys = array("I", [index + 1 for index, key in enumerate(track.keys) if key])
        tables.append(full_box(b"stss", 0, 0, _U32.pack(len(keys)), _big_endian(keys)))
    tables.append(_stsc(runs))
    sizes = array("I", track.sizes)
    tables.append(full_box(b"stsz", 0, 0, bytes(4), _U32.pack(len(sizes)), _big_endian(sizes)))
    count = _U32.pack(len(offsets))
    if wide:
        tables.append(full_box(b"co64", 0, 0, count, _big_endian(offsets)))
    else:
        tables.append(full_box(b"stco", 0, 0, count, _big_endian(array("I", offsets))))
    return box(b"stbl", *tables)


def _stts(durations: Iterable[int]) -> bytes:
    entries = [_PAIR.pack(sum(1 for _ in same), ticks) for ticks, same in groupby(durations)]
    return full_box(b"stts", 0, 0, _U32.pack(len(entries)), *entries)


def _stsc(runs: list[Run]) -> bytes:
    entries: list[bytes] = []
    before = (-1, -1)
    for number, run in enumerate(runs, start=1):
        if (run.count, run.entry) != before:
            entries.append(_TRIPLE.pack(number, run.count, run.entry + 1))
            before = (run.count, run.entry)
    return full_box(b"stsc", 0, 0, _U32.pack(len(entries)), *entries)


def _big_endian(values: array[int]) -> bytes:
    if sys.byteorder == "little":
        values = values[:]
        values.byteswap()
    return values.tobytes()
