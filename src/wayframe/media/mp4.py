"""Recordings from devices: samples go to scratch files as they arrive, a fast-start MP4 comes out at the end.

Only a compact index is kept in memory (13 bytes a picture). The finished file holds `ftyp`, `moov`, `mdat`
in this order, picture and sound interleaved by seconds (ISO/IEC 14496-12).
"""

from __future__ import annotations

import contextlib
import io
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from . import boxes
from ._sample_table import MovieTrack, Run, movie_header, runs_by_time
from .aac import SAMPLES_PER_FRAME, AudioConfig, split_adts
from .access_unit import Codec, ParameterSets, length_prefixed, parameter_sets, sample_nals, split_annexb
from .errors import EmptyRecording, MediaError

__all__ = ["EncodedAudio", "Mp4Recorder", "PendingAudio", "RecordingFacts"]

_BUFFER = 256 * 1024
_COPY_STEP = 1024 * 1024
_DEFAULT_FRAME_MS = 67
_LONGEST_LAST_FRAME_MS = 1000
_LONGEST_FRAME_MS = 2**31
_AUDIO_TOLERANCE_S = 0.2


@dataclass(frozen=True, slots=True)
class RecordingFacts:
    """What a finished recording holds."""

    duration_s: float
    """Length in seconds, last picture included."""
    width: int
    """Picture width in pixels."""
    height: int
    """Picture height in pixels."""
    video_codec: str
    """``"h264"`` or ``"h265"``."""
    has_audio: bool
    """Whether an AAC track was written."""
    frames: int
    """Number of pictures."""
    size: int
    """Bytes of the finished file."""


@dataclass(frozen=True, slots=True)
class PendingAudio:
    """Sound of a recording that must become AAC before it can enter an MP4."""

    path: Path
    """Scratch file with the payloads one after another."""
    codec: str
    """Codec name as in `workers.AUDIO_CODECS`, e.g. ``"g711a"``."""
    rate: int
    """Samples per second of the source."""
    channels: int
    """Channels of the source."""
    sizes: array[int]
    """Bytes of each payload (type code ``I``)."""
    pts_ms: array[int]
    """Time of each payload in milliseconds on the recording's clock (type code ``q``)."""


@dataclass(frozen=True, slots=True)
class EncodedAudio:
    """AAC made from a `PendingAudio`, one continuous run of frames."""

    path: Path
    """File with the raw AAC frames one after another; the caller deletes it."""
    config: AudioConfig
    """How to decode them."""
    sizes: array[int]
    """Bytes of each frame (type code ``I``)."""
    start_ms: int
    """Time of the first frame on the recording's clock."""


@dataclass(slots=True)
class _Video:
    codec: Codec
    entries: list[ParameterSets]
    sizes: array[int] = field(default_factory=lambda: array("I"))
    pts: array[int] = field(default_factory=lambda: array("q"))
    keys: array[int] = field(default_factory=lambda: array("B"))
    changes: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    """(first sample, entry index) wherever the parameter sets change."""


@dataclass(slots=True)
class _Audio:
    codec: str
    rate: int
    channels: int
    config: AudioConfig | None
    path: Path
    file: BinaryIO
    sizes: array[int] = field(default_factory=lambda: array("I"))
    pts: array[int] = field(default_factory=lambda: array("q"))


@dataclass(frozen=True, slots=True)
class _AacTrack:
    path: Path
    config: AudioConfig
    sizes: array[int]
    durations: array[int]
    start_ms: int
    skip: int
    """Bytes of the file before the first frame used."""


class Mp4Recorder:
    """Takes one recording from a device: `video` and `audio` as they come, then `finish` or `abandon`.

    `path` is the scratch file for pictures; sound goes to the same name with ``.audio`` behind. Both are
    removed by `finish` and `abandon`. Not thread-safe; `finish` blocks on the disk, so run it in a thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("wb", buffering=_BUFFER)
        self._video: _Video | None = None
        self._audio: _Audio | None = None
        self._bytes = 0
        self._open = True
        self.dropped = 0
        """Pictures and sound payloads that came before the first key frame with parameter sets, or unusable."""

    @property
    def size(self) -> int:
        """Bytes taken so far, for limits and progress."""
        return self._bytes

    @property
    def frames(self) -> int:
        """Pictures taken so far."""
        return len(self._video.sizes) if self._video else 0

    @property
    def duration_s(self) -> float:
        """Seconds between the first and the newest picture."""
        return (self._video.pts[-1] - self._video.pts[0]) / 1000 if self.frames and self._video else 0.0

    def video(self, codec: Codec, data: bytes, pts_ms: int, key: bool) -> None:
        """Append one Annex B access unit. Everything before the first complete key frame is dropped."""
        nals = split_annexb(data)
        sets = parameter_sets(codec, nals) if key else None
        if self._video is None or not self._video.sizes:
            if sets is None:
                self.dropped += 1
                return
            self._video = _Video(codec, [sets])
        video = self._video
        sample = length_prefixed(sample_nals(codec, nals))
        if codec != video.codec or not sample:
            self.dropped += 1
            return
        if sets is not None and sets != video.entries[video.changes[-1][1]]:
            self._change_entry(video, sets)
        self._file.write(sample)
        self._bytes += len(sample)
        video.sizes.append(len(sample))
        video.keys.append(key)
        # Equal or falling times would make players stumble: always one millisecond on at least.
        video.pts.append(max(pts_ms, video.pts[-1] + 1) if video.pts else pts_ms)

    @staticmethod
    def _change_entry(video: _Video, sets: ParameterSets) -> None:
        if sets not in video.entries:
            video.entries.append(sets)
        video.changes.append((len(video.sizes), video.entries.index(sets)))

    def audio(
        self,
        codec: str,
        data: bytes,
        pts_ms: int,
        *,
        rate: int = 8000,
        channels: int = 1,
        config: AudioConfig | None = None,
    ) -> None:
        """Append one sound payload.

        `codec` ``"aac"`` takes ADTS frames, or one raw frame with its `config`; any other codec is kept as it
        is for `pending_audio`. A recording has one sound codec: payloads of another are dropped and counted.
        """
        if self._video is None or not data:
            self.dropped += 1
            return
        if codec != "aac":
            self._append_audio(codec, rate, channels, None, data, pts_ms)
            return
        frames = split_adts(data) if config is None else [(config, data)]
        self.dropped += not frames
        for index, (frame_config, frame) in enumerate(frames):
            at = pts_ms + index * SAMPLES_PER_FRAME * 1000 // frame_config.rate
            self._append_audio(codec, frame_config.rate, frame_config.channels, frame_config, frame, at)

    def _append_audio(
        self, codec: str, rate: int, channels: int, config: AudioConfig | None, data: bytes, pts_ms: int
    ) -> None:
        if self._audio is None:
            path = self._path.with_name(self._path.name + ".audio")
            file = path.open("wb", buffering=_BUFFER)
            self._audio = _Audio(codec, rate, channels, config, path, file)
        audio = self._audio
        if (audio.codec, audio.rate, audio.channels) != (codec, rate, channels):
            self.dropped += 1
            return
        audio.file.write(data)
        self._bytes += len(data)
        audio.sizes.append(len(data))
        audio.pts.append(pts_ms)

    def rewind(self, pts_ms: int) -> None:
        """Forget everything from `pts_ms` on: a device that is asked once more begins again a little earlier."""
        if self._video is not None:
            self._bytes -= _forget_from(self._file, self._video.sizes, self._video.pts, pts_ms)
            kept = len(self._video.sizes)
            del self._video.keys[kept:]
            self._video.changes = [change for change in self._video.changes if change[0] < max(kept, 1)]
        if self._audio is not None:
            self._bytes -= _forget_from(self._audio.file, self._audio.sizes, self._audio.pts, pts_ms)

    def pending_audio(self) -> PendingAudio | None:
        """The sound that must be encoded before `finish` can include it; None when there is none."""
        audio = self._audio
        if audio is None or audio.codec == "aac" or not audio.sizes:
            return None
        audio.file.flush()
        return PendingAudio(audio.path, audio.codec, audio.rate, audio.channels, audio.sizes, audio.pts)

    def finish(self, target: Path, audio: EncodedAudio | None = None) -> RecordingFacts:
        """Write the MP4 to `target`, remove the scratch files, and say what is in it.

        `audio` is what `MediaWorkers.encode_audio` made of `pending_audio`; without it such sound is left out.
        Raises EmptyRecording when no key frame with parameter sets ever came; the scratch files are gone then
        too.
        """
        if not self._open:
            raise MediaError("this recording was finished or abandoned before")
        video = self._video
        if video is None or not video.sizes:
            self.abandon()
            raise EmptyRecording(
                f"no key frame with parameter sets arrived ({self.dropped} frames dropped): nothing to play"
            )
        self._close_files()
        try:
            return self._write(target, video, self._aac_track(video.pts[0], audio))
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close and remove the scratch files. Harmless when done before."""
        self._open = False
        for file in [self._file, *([self._audio.file] if self._audio is not None else [])]:
            with contextlib.suppress(OSError):  # a full disk refuses the last bytes, which nobody wants any more
                file.close()
        self._path.unlink(missing_ok=True)
        if self._audio is not None:
            self._audio.path.unlink(missing_ok=True)

    def _close_files(self) -> None:
        self._open = False
        self._file.close()
        if self._audio is not None:
            self._audio.file.close()

    def _aac_track(self, origin_ms: int, encoded: EncodedAudio | None) -> _AacTrack | None:
        if encoded is not None and encoded.sizes:
            pts = _even_times(encoded)
            return _aac_track(encoded.path, encoded.config, encoded.sizes, pts, origin_ms)
        own = self._audio
        if own is not None and own.config is not None and own.sizes:
            return _aac_track(own.path, own.config, own.sizes, own.pts, origin_ms)
        return None

    def _write(self, target: Path, video: _Video, aac: _AacTrack | None) -> RecordingFacts:
        facts = video.entries[0].facts
        pictures = MovieTrack(
            number=boxes.VIDEO_TRACK,
            timescale=1000,
            sizes=video.sizes,
            durations=_picture_durations(video.pts),
            entries=[boxes.video_entry(sets) for sets in video.entries],
            changes=video.changes,
            keys=video.keys,
            width=facts.width,
            height=facts.height,
        )
        tracks, sources = [pictures], [(self._path, 0)]
        if aac is not None:
            sound = MovieTrack(
                number=boxes.AUDIO_TRACK,
                timescale=aac.config.rate,
                sizes=aac.sizes,
                durations=aac.durations,
                entries=[boxes.audio_entry(aac.config)],
                start_ms=aac.start_ms,
            )
            tracks.append(sound)
            sources.append((aac.path, aac.skip))
        runs = runs_by_time(tracks)
        with target.open("wb", buffering=_BUFFER) as out:
            out.write(movie_header(tracks, runs, video.codec))
            _copy_runs(out, sources, runs)
            size = out.tell()
        duration = sum(pictures.durations) / 1000
        return RecordingFacts(duration, facts.width, facts.height, video.codec, aac is not None, len(video.sizes), size)


def _forget_from(file: BinaryIO, sizes: array[int], pts: array[int], pts_ms: int) -> int:
    """Drop the samples at the end that are not before `pts_ms`; returns their bytes."""
    kept = len(pts)
    while kept and pts[kept - 1] >= pts_ms:
        kept -= 1
    dropped = sum(sizes[kept:])
    if dropped:
        file.seek(-dropped, os.SEEK_CUR)
        file.truncate()
        del sizes[kept:], pts[kept:]
    return dropped


def _picture_durations(pts: array[int]) -> array[int]:
    """Milliseconds each picture stands; the last one as long as the one before (bounded)."""
    durations = array("I", [min(later - earlier, _LONGEST_FRAME_MS) for earlier, later in pairwise(pts)])
    last = min(durations[-1], _LONGEST_LAST_FRAME_MS) if durations else _DEFAULT_FRAME_MS
    durations.append(last)
    return durations


def _even_times(encoded: EncodedAudio) -> array[int]:
    step = SAMPLES_PER_FRAME * 1000 / encoded.config.rate
    return array("q", [encoded.start_ms + round(index * step) for index in range(len(encoded.sizes))])


def _aac_track(path: Path, config: AudioConfig, sizes: array[int], pts: array[int], origin_ms: int) -> _AacTrack | None:
    """Lay AAC frames on the recording's clock: frames before the first picture go, gaps stretch a frame."""
    first = next((index for index, at in enumerate(pts) if at >= origin_ms), len(pts))
    if first == len(pts):
        return None
    used = pts[first:]
    tolerance = int(_AUDIO_TOLERANCE_S * config.rate)
    position = 0
    durations: array[int] = array("I")
    for at in used[1:]:
        wanted = (at - used[0]) * config.rate // 1000
        ahead = wanted - (position + SAMPLES_PER_FRAME)
        step = SAMPLES_PER_FRAME + (ahead if ahead > tolerance else 0)
        durations.append(step)
        position += step
    durations.append(SAMPLES_PER_FRAME)
    skip = sum(sizes[:first])
    return _AacTrack(path, config, sizes[first:], durations, used[0] - origin_ms, skip)


def _copy_runs(out: BinaryIO, sources: list[tuple[Path, int]], runs: list[Run]) -> None:
    files = [path.open("rb", buffering=0) for path, _ in sources]
    try:
        for file, (_, skip) in zip(files, sources, strict=True):
            file.seek(skip)
        for run in runs:
            for piece in _pieces(files[run.track], run.size):
                out.write(piece)
    finally:
        for file in files:
            file.close()


def _pieces(file: io.FileIO, size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = file.read(min(left, _COPY_STEP))
        if not piece:
            raise MediaError(f"scratch file {os.fspath(str(file.name))} is shorter than its index")
        left -= len(piece)
        yield piece
