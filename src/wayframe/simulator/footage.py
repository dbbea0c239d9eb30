"""Encoded video of a simulated camera at any time, past or present: rendered live, or cut from a loop encoded once.

Frame n of a camera shows the time n / fps since the Unix epoch, and every gop-th n is a key frame, so footage is a
function of (channel, time). A source is opened at a time and gives access units in order; it blocks for a few
milliseconds a frame and is meant to be called from a worker thread."""

from __future__ import annotations

import enum
import functools
import hashlib
import os
import struct
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import scene, timecode


class Codec(enum.Enum):
    """Video codecs a simulated camera can have, by the name of the libav encoder."""

    H264 = "libx264"
    H265 = "libx265"


class Render(enum.Enum):
    """Where frames come from."""

    LIVE = "live"
    """Drawn and encoded for this stream, with the true clock in the picture."""
    LOOP = "loop"
    """Cut from a loop encoded once and shared; the clock in the picture is the loop's, the SEI time code is true."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """One encoded stream of a camera."""

    codec: Codec
    """Video codec."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    fps: int = 15
    """Frames a second."""
    kbit: int = 1000
    """Target rate in kbit/s."""
    gop: int = 30
    """Frames from key frame to key frame."""


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One access unit on the time line."""

    number: int
    """Frames since the Unix epoch."""
    timestamp_ms: int
    """Unix ms the frame shows."""
    key: bool
    """Whether it is an IDR frame with its parameter sets."""
    data: bytes
    """Annex B bytes with the time SEI."""


class Source(Protocol):
    """A running stream of frames."""

    def next(self) -> VideoFrame:
        """The following frame; blocks while it is drawn and encoded."""
        ...


def frame_time_ms(number: int, fps: int) -> int:
    """Unix ms of frame `number`."""
    return number * 1000 // fps


def frame_at(seconds: float, fps: int) -> int:
    """The first frame at or after a time, in frames since the Unix epoch."""
    return -int(-(round(seconds * 1000) * fps) // 1000)


def open_source(
    video: VideoFormat, channel: int, title: str, number: int, render: Render, *, align: bool, cache: Path | None = None
) -> Source:
    """A source whose first frame is a key frame. With `align` it lies on the camera's own grid, at or before `number`
    (a recording); without, it is `number` itself (a live stream, where the device starts a new GOP)."""
    if align:
        number -= number % video.gop
    if render is Render.LIVE:
        return _LiveSource(video, channel, title, number)
    return _LoopSource(video, channel, number, align, cache or default_cache())


def default_cache() -> Path:
    """Where encoded loops are kept: WAYFRAME_SIMULATOR_CACHE, else a folder of this user in the temporary directory."""
    named = os.environ.get("WAYFRAME_SIMULATOR_CACHE")
    return Path(named) if named else Path(tempfile.gettempdir()) / f"wayframe-simulator-{os.getuid()}"


class _LiveSource:
    def __init__(self, video: VideoFormat, channel: int, title: str, number: int) -> None:
        self._video, self._number, self._first = video, number, True
        self._view, self._title = scene.view_of(channel), title
        from .encoders import VideoEncoder  # loads PyAV, see there

        self._encoder = VideoEncoder(video)

    def next(self) -> VideoFrame:
        video, number = self._video, self._number
        key = self._first or number % video.gop == 0
        timestamp = frame_time_ms(number, video.fps)
        picture = scene.draw(self._view, (video.width, video.height), timestamp, self._title)
        data = timecode.with_sei(self._encoder.encode(picture, key), timestamp, video.codec is Codec.H265)
        self._number, self._first = number + 1, False
        return VideoFrame(number, timestamp, key, data)


class _LoopSource:
    def __init__(self, video: VideoFormat, channel: int, number: int, align: bool, cache: Path) -> None:
        self._video, self._number = video, number
        self._phase = 0 if align else number
        self._frames = _loop(video, scene.view_of(channel), cache)

    def next(self) -> VideoFrame:
        video, number = self._video, self._number
        key, data = self._frames[(number - self._phase) % len(self._frames)]
        timestamp = frame_time_ms(number, video.fps)
        self._number += 1
        return VideoFrame(number, timestamp, key, timecode.with_sei(data, timestamp, video.codec is Codec.H265))


LOOP_S = 12
"""Least length of a loop; it is rounded up to whole GOPs."""

_Loop = tuple[tuple[bool, bytes], ...]
_loop_lock = threading.Lock()


def _loop(video: VideoFormat, view: scene.View, cache: Path) -> _Loop:
    """(key frame?, access unit) of a whole loop: from memory, from disk, or encoded now. One at a time, so that a crowd
    of vehicles that asks for the same loop has it encoded once."""
    with _loop_lock:
        return _read_loop(video, view, cache)


@functools.lru_cache(maxsize=32)
def _read_loop(video: VideoFormat, view: scene.View, cache: Path) -> _Loop:
    name = hashlib.sha256(f"1 {LOOP_S} {video} {view}".encode()).hexdigest()[:24]
    path = cache / f"{name}.loop"
    if path.is_file():
        return _unpack(path.read_bytes())
    frames = _encode_loop(video, view)
    cache.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_bytes(b"".join(struct.pack(">?I", key, len(data)) + data for key, data in frames))
    draft.replace(path)
    return frames


def _encode_loop(video: VideoFormat, view: scene.View) -> _Loop:
    from .encoders import VideoEncoder  # loads PyAV, see there

    encoder = VideoEncoder(video)
    count = -(-LOOP_S * video.fps // video.gop) * video.gop
    frames = []
    for number in range(count):
        timestamp = frame_time_ms(number, video.fps)
        clock = f"loop {timestamp / 1000:06.3f}"
        picture = scene.draw(view, (video.width, video.height), timestamp, "SIMULATED CAMERA", clock)
        key = number % video.gop == 0
        frames.append((key, encoder.encode(picture, key)))
    return tuple(frames)


def _unpack(data: bytes) -> _Loop:
    frames = []
    at = 0
    while at < len(data):
        key, length = struct.unpack_from(">?I", data, at)
        frames.append((key, data[at + 5 : at + 5 + length]))
        at += 5 + length
    return tuple(frames)
