"""One live stream: pictures and sound in, HLS, low-latency HLS and HTTP-FLV out. Nothing is re-encoded.

Sources: RFC 8216, draft-pantos-hls-rfc8216bis, and the rules of players collected in the media reference.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

from . import flv
from ._flv_viewers import QUEUE_BYTES, FlvViewer
from ._hls import Cached, OpenSegment, TsSegment, TsWindow, longest_segment_s
from ._llhls import LlPlaylist, LlSession, LlStatus
from ._ts_segments import TsSegments
from .aac import AudioClock, AudioConfig
from .access_unit import (
    Codec,
    ParameterSets,
    VideoFacts,
    leading_nals,
    length_prefixed,
    parameter_sets,
    sample_nals,
    split_annexb,
)
from .errors import MediaError
from .spool import SegmentSpool, SegmentStore

__all__ = ["FlvViewer", "LiveStream", "LlPlaylist", "LlStatus"]

SHORTEST_SEGMENT_S = 0.95
AUDIO_WAIT_S = 2.0
LL_IDLE_S = 60.0
_JUMP_AHEAD_MS, _JUMP_BACK_MS = 10_000, 1_000
_FIRST_PLAYLIST_WAIT_S = 10.0
_GOP_BYTES = 16 * 1024 * 1024


class LiveStream:
    """Packages one stream.

    `base` stands before every segment name in playlists (``"{uuid}/"``); `spool` keeps segments that left the
    playlist; `expects_audio` holds FLV and low-latency starts back for at most AUDIO_WAIT_S until sound is known.
    H.265 has no MPEG-TS or FLV form here: its classic playlist lists fMP4 segments. Not thread-safe.
    """

    def __init__(
        self, codec: Codec = "h264", *, base: str = "", spool: SegmentSpool | None = None,
        expects_audio: bool = False, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.codec: Codec = codec
        self._base = base
        self._clock = clock
        self._prefix = secrets.token_hex(6)
        self._store = SegmentStore(spool)
        self._window = TsWindow(base)
        self._ts = TsSegments(codec) if codec == "h264" else None
        self._expects_audio = expects_audio
        self._sets: ParameterSets | None = None
        self._open: OpenSegment | None = None
        self._segments = 0
        self._gop: list[Cached] = []
        self._gop_bytes = 0
        self._newest_key: bytes | None = None
        self._last_ms: int | None = None
        self._frame_ms = 66.0
        self._last_delta_ms = 66
        self._offset_ms = 0
        self._anchor = (0, 0.0)
        self._awaiting_key = True
        self._first_arrival: float | None = None
        self._last_arrival = 0.0
        self._audio_clock: AudioClock | None = None
        self._ll: LlSession | None = None
        self._ll_sequence = 0
        self._ll_touched = 0.0
        self._viewers: set[FlvViewer] = set()
        self._segment_done = asyncio.Event()
        self._next_picture: asyncio.Event | None = None
        self.ended = False
        """True after `end`."""
        self.audio_config: AudioConfig | None = None
        """Set when sound arrived in time; from then on the stream has sound."""
        self.frames = 0
        """Pictures packaged."""
        self.dropped = 0
        """Pictures left out: before the first key frame, or after a time jump until the next one."""
        self.late_audio = 0
        """Sound frames ignored because the stream was declared video only before."""

    # what comes in

    def video(self, data: bytes, pts_ms: int, key: bool, arrival: float, recorded: float | None = None) -> None:
        """One Annex B access unit.

        `pts_ms` is on the stream's clock, `arrival` Unix seconds; `recorded` is the Unix time of the picture
        where it differs (playback), and is then what EXT-X-PROGRAM-DATE-TIME shows.
        """
        if self.ended:
            return
        if self._first_arrival is None:
            self._first_arrival = arrival
        self._last_arrival = arrival
        sets = parameter_sets(self.codec, leading_nals(self.codec, data)) if key else None
        pts_ms += self._offset_ms
        jumped = self._jumped(pts_ms)
        if not key and (jumped or self._awaiting_key):
            self._awaiting_key = True
            self.dropped += 1
            return
        if key and sets is None:
            if self._sets is None:
                self.dropped += 1
                return
            data = self._sets.annexb + data
        self._accept(data, pts_ms, key, sets, jumped, arrival if recorded is None else recorded)

    def _jumped(self, pts_ms: int) -> bool:
        if self._last_ms is None:
            return pts_ms < 0
        return not -_JUMP_BACK_MS <= pts_ms - self._last_ms <= _JUMP_AHEAD_MS

    def _accept(
        self, data: bytes, pts_ms: int, key: bool, sets: ParameterSets | None, jumped: bool, wall: float
    ) -> None:
        changed = sets is not None and sets != self._sets
        broken = self._last_ms is not None and (jumped or self._awaiting_key or changed)
        if pts_ms < 0:  # fMP4 knows no negative times
            self._offset_ms -= pts_ms
            pts_ms = 0
        if not jumped and self._last_ms is not None:
            pts_ms = max(pts_ms, self._last_ms + 1)
            if not self._awaiting_key:  # else pictures are missing in between
                self._last_delta_ms = pts_ms - self._last_ms
                self._frame_ms += (min(self._last_delta_ms, 2000) - self._frame_ms) / 16
        if self._open is not None and (broken or self._must_cut(pts_ms, key)):
            self._close_segment()
        if sets is not None:
            self._sets = sets
        if broken or self._last_ms is None:
            self._anchor = (pts_ms, wall)
        self._last_ms, self._awaiting_key = pts_ms, False
        if key:
            self._newest_key = data
            self._gop, self._gop_bytes = [], 0
            self._retire_idle_ll()
        if changed and self.frames:
            self._announce_flv_config(pts_ms)
        self._package(data, pts_ms, key, broken)

    def _package(self, data: bytes, pts_ms: int, key: bool, broken: bool) -> None:
        self.frames += 1
        if self._next_picture is not None:
            self._next_picture.set()
            self._next_picture = None
        picture = Cached(True, data, pts_ms, key)
        self._remember(picture)
        if self._open is None:
            starts_at = self._anchor[1] + (pts_ms - self._anchor[0]) / 1000
            self._open = OpenSegment(pts_ms, starts_at, broken, key)
            if self._ll is None and self._ts is None and self._may_start_viewers:
                self._start_ll(pts_ms)
                return
            if self._ll is not None and self._sets is not None:
                self._ll.start_segment(self._sets, starts_at, broken, self._last_arrival)
        if self._ts is not None:
            self._open.append(picture)
        if self._ll is None and not self._viewers:
            return
        sample = self._sample(data)
        if self._ll is not None:
            self._ll.video(sample, pts_ms, key)
        self._feed_viewers(sample, pts_ms, key)

    def aac(self, frame: bytes, pts_ms: int, config: AudioConfig) -> None:
        """One raw AAC frame. Ignored when the stream was already declared video only, or before any picture."""
        if self.ended or self._sets is None:
            return
        if self.audio_config is None:
            if self._audio_decided:
                self.late_audio += 1
                return
            self.audio_config = config
            self._audio_clock = AudioClock(config.rate)
        clock = self._audio_clock
        pts_ms += self._offset_ms
        if config != self.audio_config or clock is None or pts_ms < 0:
            self.late_audio += 1
            return
        position = clock.place(pts_ms)
        sound = Cached(False, frame, position, False)
        self._remember(sound)
        if self._open is not None and self._ts is not None:
            self._open.append(sound)
        if self._ll is not None:
            self._ll.aac(frame, position)
        if self._viewers:
            tag = flv.audio_tag(frame, position * 1000 // config.rate)
            for viewer in self._viewers:
                if viewer.started and viewer.audio:
                    viewer.other(tag)

    def end(self) -> None:
        """The device stopped: playlists end, viewers get what is queued and then the end."""
        if self.ended:
            return
        self._close_segment()
        self.ended = True
        if self._ll is not None:
            self._ll.end()
        for viewer in list(self._viewers):
            viewer.end()
        self._viewers.clear()
        self._gop, self._gop_bytes = [], 0
        self._segment_done.set()
        if self._next_picture is not None:
            self._next_picture.set()

    # segments

    def _must_cut(self, pts_ms: int, key: bool) -> bool:
        if self._open is None:
            return False
        elapsed = (pts_ms - self._open.start_ms) / 1000
        if key and (elapsed >= SHORTEST_SEGMENT_S or not self._open.key):
            return True
        # Judge by where the segment would end with this picture in it.
        return elapsed + self._frame_ms / 1000 > self._longest_segment_s

    @property
    def _longest_segment_s(self) -> float:
        target = self._window.target
        if self._ll is not None and self._ll.target is not None:
            target = min(target or self._ll.target, self._ll.target)
        return longest_segment_s(target)

    def _close_segment(self) -> None:
        segment, self._open = self._open, None
        if segment is None or self._last_ms is None:
            return
        now = self._clock()
        # A picture that stands through a pause of the device must not stretch the segment beyond its target.
        room_ms = int(self._longest_segment_s * 1000) - (self._last_ms - segment.start_ms)
        last_frame_ms = min(self._last_delta_ms, max(room_ms, int(self._frame_ms), 1))
        if self._ll is not None:
            for name in self._ll.end_segment(last_frame_ms, now):
                self._store.retire(name)
        if self._ts is not None:
            name = f"{self._prefix}-{self._segments}.ts"
            duration = (self._last_ms + last_frame_ms - segment.start_ms) / 1000
            package = self._ts.close(segment.items, self.audio_config)
            self._store.put(name, tuple([item.data for item in segment.items]), now, package)
            listed = TsSegment(name, duration, segment.starts_at, segment.discontinuity)
            for gone in self._window.add(listed):
                self._store.retire(gone)
        self._segments += 1
        if self._ts is not None or (self._ll is not None and self._ll.has_segments):
            self._segment_done.set()

    def _remember(self, item: Cached) -> None:
        """Keep the current group of pictures for viewers that join; give up on one that grows without bound."""
        if item.key or self._gop:
            self._gop.append(item)
            self._gop_bytes += len(item.data)
            if self._gop_bytes > _GOP_BYTES:
                self._gop, self._gop_bytes = [], 0

    @property
    def _audio_decided(self) -> bool:
        """Whether it is settled that the stream has sound, or has none."""
        if self.audio_config is not None:
            return True
        if self._first_arrival is None:
            return False
        return self._last_arrival - self._first_arrival >= AUDIO_WAIT_S

    @property
    def _may_start_viewers(self) -> bool:
        return self._sets is not None and (not self._expects_audio or self._audio_decided)

    # classic HLS

    def playlist(self) -> str | None:
        """The classic playlist, or None before the first segment is complete."""
        if self._ts is not None:
            return self._window.playlist(self.ended)
        ll = self._ll
        return ll.playlist(low_latency=False) if ll is not None and ll.has_segments else None

    async def playlist_ready(self, timeout_s: float = _FIRST_PLAYLIST_WAIT_S) -> bool:
        """Wait for the first segment; False when `timeout_s` passed or the stream ended without one."""
        try:
            await asyncio.wait_for(self._segment_done.wait(), timeout_s)
        except TimeoutError:
            return False
        return self.playlist() is not None

    def segment(self, name: str) -> bytes | None:
        """Bytes of a segment, init segment or part that exists; counts as an access."""
        data = self._store.get(name, self._clock())
        if data is None and self._ll is not None:
            return self._ll.part(name)
        return data

    async def resource(self, name: str) -> bytes | None:
        """Like `segment`, but a request for the announced next part waits until it exists."""
        if self._ll is not None and self._ll.is_hinted(name):
            self._ll_touched = self._clock()
            deadline = self._clock() + self._ll_timeout_s
            while self._ll is not None and self._ll.is_hinted(name):
                left = deadline - self._clock()
                if left <= 0 or not await self._ll.changed(left):
                    return None
        return self.segment(name)

    # low-latency HLS

    async def ll_playlist(self, msn: int | None = None, part: int | None = None) -> LlPlaylist:
        """The low-latency playlist, held back until it has segment `msn` (and its part `part`)."""
        if (part is not None and msn is None) or (msn or 0) < 0 or (part or 0) < 0:
            return LlPlaylist(LlStatus.BAD_REQUEST, "_HLS_part needs _HLS_msn, and neither may be negative")
        deadline = self._clock() + (self._ll_timeout_s if msn is not None else _FIRST_PLAYLIST_WAIT_S)
        while True:
            now = self._clock()
            self._ll_touched = now
            ll = self._ll or self._try_start_ll()
            if ll is not None:
                if msn is not None and ll.is_ahead(msn):
                    return LlPlaylist(LlStatus.BAD_REQUEST, f"segment {msn} lies too far ahead")
                if ll.playable and (msn is None or ll.has(msn, part)):
                    return LlPlaylist(LlStatus.OK, ll.playlist(low_latency=True))
            if now >= deadline or self.ended or not await self._ll_news(ll, deadline - now):
                return LlPlaylist(LlStatus.GAVE_UP, "the stream has sent nothing new for too long")

    async def ll_settled(self, timeout_s: float) -> None:
        """Wait until a low-latency playlist lists a whole segment, at most `timeout_s`.

        hls.js takes a playlist of parts alone for an empty one, and asks again only a target duration later.
        """
        deadline = self._clock() + timeout_s
        while (ll := self._ll) is not None and not ll.has_segments and not self.ended:
            left = deadline - self._clock()
            if left <= 0 or not await ll.changed(left):
                return

    async def _ll_news(self, ll: LlSession | None, left_s: float) -> bool:
        """Wait for the next part, or the next picture of a stream not started; False when none came in time."""
        if ll is not None:
            return await ll.changed(left_s)
        self._next_picture = self._next_picture or asyncio.Event()
        try:
            await asyncio.wait_for(self._next_picture.wait(), left_s)
        except TimeoutError:
            return False
        return True

    @property
    def _ll_timeout_s(self) -> float:
        target = self._ll.target if self._ll is not None else None
        return 3.0 * (target or self._window.target or 6)

    def _try_start_ll(self) -> LlSession | None:
        if self.ended or not self._may_start_viewers or not self._gop:
            return None
        return self._start_ll(self._gop[0].pts_ms)

    def _start_ll(self, start_ms: int) -> LlSession:
        """Begin packaging parts, from the cached group of pictures on."""
        ll = LlSession(self._prefix, self._base, self._ll_sequence, self._frame_ms, self.audio_config, self._store)
        ll.target = self._window.target
        starts_at = self._anchor[1] + (start_ms - self._anchor[0]) / 1000
        if self._sets is not None:
            ll.start_segment(self._sets, starts_at, self._ll_sequence > 0, self._clock())
        for item in self._gop:
            if item.video:
                ll.video(self._sample(item.data), item.pts_ms, item.key)
            else:
                ll.aac(item.data, item.pts_ms)
        self._ll = ll
        return ll

    def _sample(self, data: bytes) -> bytes:
        return length_prefixed(sample_nals(self.codec, split_annexb(data)))

    def _retire_idle_ll(self) -> None:
        """Stop packaging parts that nobody asked for in LL_IDLE_S; H.265 has no other form and goes on."""
        ll = self._ll
        if ll is None or self.codec == "h265" or self._clock() - self._ll_touched < LL_IDLE_S:
            return
        self._ll, self._ll_sequence = None, ll.next_sequence
        for name in ll.names:
            self._store.delete(name)
        ll.end()

    # HTTP-FLV

    def subscribe_flv(self, queue_bytes: int = QUEUE_BYTES) -> FlvViewer:
        """A new viewer, an asynchronous iterator of bytes; call its `close` when the connection ends.

        Raises MediaError for an H.265 stream, which FLV cannot carry to browsers.
        """
        if self.codec != "h264":
            raise MediaError("HTTP-FLV carries H.264 only; this stream is passed through as H.265")
        viewer = FlvViewer(self._viewers.discard, queue_bytes)
        if self.ended:
            viewer.end()
            return viewer
        self._viewers.add(viewer)
        self._start_viewer(viewer)
        return viewer

    @property
    def flv_viewers(self) -> int:
        """Number of viewers connected."""
        return len(self._viewers)

    def _start_viewer(self, viewer: FlvViewer) -> None:
        sets = self._sets
        if sets is None or not self._may_start_viewers or not self._gop:
            return
        first_ms = self._gop[0].pts_ms
        head = [
            flv.file_header(self.audio_config is not None),
            flv.video_config_tag(sets.record, first_ms),
        ]
        if self.audio_config is not None:
            head.append(flv.audio_config_tag(self.audio_config, first_ms))
        head += [self._flv_tag(item) for item in self._gop if item.video or self.audio_config is not None]
        viewer.start(head, self.audio_config is not None)

    def _flv_tag(self, item: Cached) -> bytes:
        if item.video:
            return flv.video_tag(self._sample(item.data), item.pts_ms, item.key)
        rate = self.audio_config.rate if self.audio_config else 1
        return flv.audio_tag(item.data, item.pts_ms * 1000 // rate)

    def _feed_viewers(self, sample: bytes, pts_ms: int, key: bool) -> None:
        if not self._viewers or self._sets is None:
            return
        tag = flv.video_tag(sample, pts_ms, key)
        config = flv.video_config_tag(self._sets.record, pts_ms) if key else b""
        for viewer in self._viewers:
            if viewer.started:
                viewer.video(tag, key, config)
            else:
                self._start_viewer(viewer)

    def _announce_flv_config(self, pts_ms: int) -> None:
        if self._sets is None or self.codec != "h264":
            return
        tag = flv.video_config_tag(self._sets.record, pts_ms)
        for viewer in self._viewers:
            if viewer.started:
                viewer.other(tag)

    # about the stream

    @property
    def watched_closely(self) -> bool:
        """Whether there are viewers who wait for every picture, by low-latency HLS or FLV."""
        return bool(self._viewers) or (self._ll is not None and self._clock() - self._ll_touched < LL_IDLE_S)

    def poster_source(self) -> tuple[Codec, bytes] | None:
        """Codec and newest key access unit (parameter sets inside), for the preview; None before the first."""
        return (self.codec, self._newest_key) if self._newest_key is not None else None

    @property
    def facts(self) -> VideoFacts | None:
        """Size and codec string of the pictures; None before the first key frame."""
        return self._sets.facts if self._sets is not None else None

    @property
    def bytes_held(self) -> int:
        """Bytes of segments in memory and spool, and of the open segment and the cached group of pictures, which
        mostly are the same."""
        open_bytes = self._open.size if self._open is not None else 0
        ll_bytes = self._ll.open_bytes if self._ll is not None else 0
        return self._store.bytes_held + max(open_bytes, self._gop_bytes) + ll_bytes

    @property
    def spool_failures(self) -> int:
        """Segments lost because the spool refused them."""
        return self._store.spool_failures

    def expire(self, now: float) -> int:
        """Remove segments 120 s after their last access (or creation); call every few seconds. Returns how many."""
        return self._store.expire(now, everything_retired=self.ended)
