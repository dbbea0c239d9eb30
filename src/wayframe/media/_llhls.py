"""Low-latency HLS over fMP4 parts (draft-pantos-hls-rfc8216bis), for one stream while somebody watches so."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from ._hls import WINDOW_SEGMENTS, choose_target, date_time
from .aac import SAMPLES_PER_FRAME, AudioConfig
from .access_unit import ParameterSets
from .fmp4 import Sample, init_segment, media_part
from .spool import SegmentStore

PART_S = 0.4
_TARGET_BEFORE_FIRST_SEGMENT = 6
_WINDOW_TARGETS = 4
_PART_TARGETS = 3
_AUDIO_GAP_S = 0.2


class LlStatus(Enum):
    """How a low-latency playlist request ends."""

    OK = 200
    BAD_REQUEST = 400
    GAVE_UP = 503


@dataclass(frozen=True, slots=True)
class LlPlaylist:
    """Answer to a low-latency playlist request."""

    status: LlStatus
    """What to answer with; the value is the HTTP code."""
    text: str
    """The playlist, or the reason as a sentence."""


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    data: bytes
    duration_s: float
    independent: bool


@dataclass(slots=True)
class _Segment:
    sequence: int
    name: str
    starts_at: float
    discontinuity: bool
    init: str
    parts: list[_Part] = field(default_factory=list)
    complete: bool = False

    @property
    def duration_s(self) -> float:
        return sum(part.duration_s for part in self.parts)


class LlSession:
    """Packages pictures and sound into parts, segments and playlists."""

    def __init__(
        self, prefix: str, base: str, first_sequence: int, frame_ms: float, audio: AudioConfig | None,
        store: SegmentStore,
    ) -> None:  # fmt: skip
        self._prefix = prefix
        self._base = base
        self._store = store
        self._audio = audio
        self._frame_ms = frame_ms
        count = max(1, round(PART_S * 1000 / frame_ms))
        # Devices jitter: parts are cut by the average frame distance, and the promise has a little room.
        room = 0.25 if count > 1 else 0.15
        self.part_target_s = math.ceil((count + room) * frame_ms) / 1000
        self._part_goal_ms = count * frame_ms
        self._next_sequence = first_sequence
        self._next_fragment = 1
        self._segments: deque[_Segment] = deque()
        self._open: _Segment | None = None
        self._inits: dict[bytes, str] = {}
        self._dropped_discontinuities = 0
        self._pending: tuple[bytes, int, bool] | None = None
        self._samples: list[Sample] = []
        self._part_start_ms = 0
        self._part_ms = 0
        self._sound: list[bytes] = []
        self._sound_start = 0
        self._ended = False
        self._changed = asyncio.Event()
        self.target: int | None = None
        """EXT-X-TARGETDURATION, fixed by the first playlist."""

    @property
    def next_sequence(self) -> int:
        """The media sequence number the segment after the newest will have."""
        return self._next_sequence

    @property
    def open_bytes(self) -> int:
        """Bytes of the parts not yet in the store as a segment."""
        return sum(len(part.data) for part in self._open.parts) if self._open else 0

    @property
    def names(self) -> list[str]:
        """Everything this session put into the store and still lists."""
        return [*self._inits.values(), *(item.name for item in self._segments)]

    # what comes in

    def start_segment(self, sets: ParameterSets, starts_at: float, discontinuity: bool, now: float) -> None:
        """Begin a segment; the next picture is its first."""
        init = self._init_name(sets, now)
        name = f"{self._prefix}-l{self._next_sequence}"
        self._open = _Segment(self._next_sequence, name + ".m4s", starts_at, discontinuity, init)
        self._next_sequence += 1
        self._announce()

    def video(self, sample: bytes, pts_ms: int, key: bool) -> None:
        """One picture (length-prefixed NAL units). It becomes visible when the next one tells its duration."""
        if self._pending is not None:
            self._place_pending(pts_ms - self._pending[1])
            if self._part_ms + 0.9 * self._frame_ms > self._part_goal_ms:
                self._close_part()
        if not self._samples:
            self._part_start_ms = pts_ms
        self._pending = (sample, pts_ms, key)

    def aac(self, frame: bytes, time: int) -> None:
        """One sound frame at sample position `time`."""
        if self._audio is None or self._open is None:
            return
        expected = self._sound_start + len(self._sound) * SAMPLES_PER_FRAME
        if self._sound and abs(time - expected) > _AUDIO_GAP_S * self._audio.rate:
            self._sound.clear()  # a jump inside one part: the few frames before it give way
        if not self._sound:
            self._sound_start = time
        self._sound.append(frame)

    def end_segment(self, last_frame_ms: int, now: float) -> list[str]:
        """Close the open segment, its last picture standing `last_frame_ms`; returns names that left the list."""
        segment = self._open
        if segment is None:
            return []
        if self._pending is not None:
            self._place_pending(last_frame_ms)
        self._close_part()
        self._open = None
        if not segment.parts:
            return []
        segment.complete = True
        self._segments.append(segment)
        self._store.put(segment.name, tuple(part.data for part in segment.parts), now)
        if self.target is None:
            self.target = choose_target(segment.duration_s)
        self._announce()
        return self._slide(self.target)

    def end(self) -> None:
        """Nothing more will come; waiting requests are answered."""
        self._ended = True
        self._announce()

    # what goes out

    def has(self, sequence: int, part: int | None) -> bool:
        """Whether the playlist holds that segment (`part` None) or part."""
        if self._ended:
            return True
        newest = self._newest
        for segment in self._all:
            if segment.sequence == sequence:
                if part is None or part < len(segment.parts):
                    return segment.complete or part is not None
                # A part beyond the end of a finished segment counts as the first of the next one.
                return segment.complete and self.has(sequence + 1, 0)
        return sequence < newest

    def is_ahead(self, sequence: int) -> bool:
        """Whether a request for `sequence` lies too far in the future to be waited for."""
        return sequence > self._newest + 2

    @property
    def _newest(self) -> int:
        return self._open.sequence if self._open else self._next_sequence - 1

    @property
    def _all(self) -> list[_Segment]:
        return [*self._segments, self._open] if self._open is not None else list(self._segments)

    @property
    def has_segments(self) -> bool:
        """Whether a segment was completed."""
        return bool(self._segments)

    @property
    def playable(self) -> bool:
        """Whether there is anything to list."""
        return bool(self._segments) or bool(self._open and self._open.parts)

    def part(self, name: str) -> bytes | None:
        """The bytes of a part that is still listed."""
        for segment in self._all:
            for part in segment.parts:
                if part.name == name:
                    return part.data
        return None

    def is_hinted(self, name: str) -> bool:
        """Whether `name` is the part announced as the next one."""
        return not self._ended and name == self._hint

    async def changed(self, timeout_s: float) -> bool:
        """Wait for the next part or segment; False when `timeout_s` passed first."""
        event = self._changed
        try:
            await asyncio.wait_for(event.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def playlist(self, *, low_latency: bool) -> str:
        """The media playlist with part tags, or as a classic one with `low_latency` False."""
        if self.target is None:
            self.target = _TARGET_BEFORE_FIRST_SEGMENT
        lines = ["#EXTM3U", f"#EXT-X-VERSION:{9 if low_latency else 7}", f"#EXT-X-TARGETDURATION:{self.target}"]
        if low_latency:
            hold_back = 3 * self.part_target_s
            lines += (
                f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={hold_back:.3f}",
                f"#EXT-X-PART-INF:PART-TARGET={self.part_target_s:.3f}",
            )
        listed = self._all if low_latency else list(self._segments)
        first = listed[0].sequence if listed else self._newest
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{first}")
        if self._dropped_discontinuities:
            lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{self._dropped_discontinuities}")
        lines += self._segment_lines(listed, low_latency)
        if self._ended:
            lines.append("#EXT-X-ENDLIST")
        elif low_latency and (hint := self._hint):
            lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{self._base}{hint}"')
        return "\n".join(lines) + "\n"

    def _segment_lines(self, listed: list[_Segment], low_latency: bool) -> list[str]:
        behind = sum(segment.duration_s for segment in listed)
        with_parts_s = _PART_TARGETS * (self.target or 0)
        lines: list[str] = []
        init = ""
        for segment in listed:
            if segment.discontinuity:
                lines.append("#EXT-X-DISCONTINUITY")
            if segment.init != init:
                init = segment.init
                lines.append(f'#EXT-X-MAP:URI="{self._base}{init}"')
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date_time(segment.starts_at)}")
            if low_latency and behind <= with_parts_s:
                lines += [self._part_line(part) for part in segment.parts]
            behind -= segment.duration_s
            if segment.complete:
                lines += (f"#EXTINF:{segment.duration_s:.3f},", self._base + segment.name)
        return lines

    def _part_line(self, part: _Part) -> str:
        independent = ",INDEPENDENT=YES" if part.independent else ""
        return f'#EXT-X-PART:DURATION={part.duration_s:.3f},URI="{self._base}{part.name}"{independent}'

    @property
    def _hint(self) -> str:
        if self._open is None:
            return self._part_name(self._next_sequence, 0)
        return self._part_name(self._open.sequence, len(self._open.parts))

    def _part_name(self, sequence: int, part: int) -> str:
        return f"{self._prefix}-l{sequence}.{part}.m4s"

    # packaging

    def _init_name(self, sets: ParameterSets, now: float) -> str:
        data = init_segment(sets, self._audio)
        if data not in self._inits:
            name = f"{self._prefix}-i{self._next_sequence}.mp4"
            self._inits[data] = name
            self._store.put(name, (data,), now)
        return self._inits[data]

    def _place_pending(self, duration_ms: int) -> None:
        if self._pending is None:
            return
        sample, _, key = self._pending
        self._pending = None
        self._samples.append(Sample(sample, duration_ms, key))
        self._part_ms += duration_ms

    def _close_part(self) -> None:
        if not self._samples or self._open is None:
            return
        index = len(self._open.parts)
        name = self._part_name(self._open.sequence, index)
        data = media_part(self._next_fragment, self._samples, self._part_start_ms, self._sound, self._sound_start)
        self._open.parts.append(_Part(name, data, self._part_ms / 1000, self._samples[0].key))
        self._next_fragment += 1
        self._samples = []
        self._sound = []
        self._part_ms = 0
        self._announce()

    def _slide(self, target: int) -> list[str]:
        total = sum(segment.duration_s for segment in self._segments)
        gone: list[str] = []
        while len(self._segments) > WINDOW_SEGMENTS:
            total -= self._segments[0].duration_s
            if total < _WINDOW_TARGETS * target:
                break
            first = self._segments.popleft()
            self._dropped_discontinuities += first.discontinuity
            gone.append(first.name)
        used = {segment.init for segment in self._segments}
        for data, name in list(self._inits.items()):
            if name not in used:
                del self._inits[data]
                gone.append(name)
        return gone

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
