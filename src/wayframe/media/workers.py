"""The pool of worker processes: whatever decodes or encodes runs there, with limits, never in the server."""

from __future__ import annotations

import asyncio
import importlib.util
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._processes import JobPool, Session, SessionHost
from .aac import AudioConfig, parse_audio_config
from .access_unit import AccessUnit, is_key
from .errors import MediaUnavailable, NoConversionSlot, WorkerFailed
from .mp4 import EncodedAudio, PendingAudio
from .sniff import Kind

__all__ = ["AUDIO_CODECS", "VIDEO_CODECS", "AudioStream", "MediaFacts", "MediaLimits", "MediaWorkers", "VideoStream"]

AUDIO_CODECS = frozenset(
    {
        "g711a", "g711u", "g726", "g726-16", "g726-24", "g726-32", "g726-40", "adpcm_ima", "amr", "amrwb",
        "pcm_s16le", "pcm_s16be", "mp3",
    }
)  # fmt: skip
"""Sound codecs that can become AAC. ``g726`` alone means 32 kbit/s."""
VIDEO_CODECS = frozenset({"h264", "h265", "mjpeg", "mpeg4", "avs"})
"""Picture codecs that can become H.264 live."""

_UNSENT_AUDIO = 1024 * 1024
_UNSENT_VIDEO = 8 * 1024 * 1024
_CONVERT_NICENESS = 10
_LIVE_NICENESS = 2


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """Bounds of every job."""

    memory_bytes: int = 1024 * 1024 * 1024
    """Address space of one worker process."""
    probe_s: float = 20.0
    """Seconds for a probe."""
    preview_s: float = 20.0
    """Seconds for a preview."""
    audio_s: float = 600.0
    """Seconds for the sound of one recording."""
    convert_s: float = 3600.0
    """Seconds for one file conversion."""
    max_pixels: int = 64_000_000
    """Largest picture, in pixels."""
    max_duration_s: float = 86_400.0
    """Longest clip, in seconds."""
    queue: int = 64
    """Jobs that may wait."""


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What a file holds, by its content."""

    kind: Kind
    """Image, video, audio, tachograph or other."""
    mime: str
    """Content type to serve it with."""
    extension: str
    """Usual file name ending, without dot."""
    width: int | None = None
    """Pixels, for images and video."""
    height: int | None = None
    """Pixels, for images and video."""
    duration_s: float | None = None
    """Seconds; None when the container does not say."""
    video_codec: str | None = None
    """E.g. ``"h264"``, ``"h265"``, ``"mjpeg"``."""
    audio_codec: str | None = None
    """E.g. ``"aac"``."""
    fps: float | None = None
    """Average pictures per second."""
    has_audio: bool = False
    """Whether there is a sound track."""
    created: float | None = None
    """Unix time of creation from the container's metadata."""


def _facts(answer: dict[str, Any]) -> MediaFacts:
    return MediaFacts(**{**answer, "kind": Kind(answer["kind"])})


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


class AudioStream:
    """A live encoder session: `push` payloads, frames come to the callback in order."""

    def __init__(
        self, host: SessionHost, opening: dict[str, Any], on_frame: Callable[[bytes, int, AudioConfig], None],
        on_end: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._host, self._on_frame = host, on_frame
        self._session: Session = host.open(opening, self._event, on_end)
        self.config: AudioConfig | None = None
        """AAC configuration, once the encoder is open."""
        self.dropped = 0
        """Payloads left out because the worker was behind."""

    def push(self, data: bytes, pts_ms: int) -> None:
        """Hand over one payload; never blocks."""
        self.dropped += not self._host.send(self._session, {"pts": pts_ms}, data, _UNSENT_AUDIO)

    async def close(self) -> None:
        """End the session."""
        await self._host.close(self._session)

    def _event(self, message: dict[str, Any], blob: bytes) -> None:
        if message["event"] == "config":
            self.config = parse_audio_config(blob)
        elif self.config is not None:
            self._on_frame(blob, int(message["pts"]), self.config)


class VideoStream:
    """A live converter session to H.264: `push` access units, H.264 access units come to the callback in order."""

    def __init__(
        self, host: SessionHost, opening: dict[str, Any], on_unit: Callable[[AccessUnit], None],
        on_end: Callable[[str], None], release: Callable[[VideoStream], None],
    ) -> None:  # fmt: skip
        self._host, self._on_unit, self._release = host, on_unit, release
        self._session = host.open(opening, self._event, on_end)
        self._generation = 0
        self._awaiting_key = True
        self.dropped = 0
        """Pictures left out while the worker was behind or new, until the next key frame."""

    @property
    def pid(self) -> int | None:
        """The converter's process id, when it runs."""
        return self._host.pid

    def push(self, data: bytes, pts_ms: int, key: bool) -> None:
        """Hand over one access unit; never blocks."""
        if self._session.generation != self._generation:
            self._generation, self._awaiting_key = self._session.generation, True
        if self._awaiting_key and not key:
            self.dropped += 1
            return
        sent = self._host.send(self._session, {"pts": pts_ms}, data, _UNSENT_VIDEO)
        self._awaiting_key = not sent
        self.dropped += not sent

    async def close(self) -> None:
        """End the session and free its conversion slot."""
        await self._host.stop()
        self._release(self)

    def _event(self, message: dict[str, Any], blob: bytes) -> None:
        self._on_unit(AccessUnit("h264", is_key("h264", blob), int(message["pts"]), blob))


class MediaWorkers:
    """All media work of a node.

    `size` processes do probes and previews, one does file conversions, one all live sound, and at most
    `conversion_slots` convert live pictures. `start` before use, `stop` at the end.
    """

    def __init__(self, size: int = 1, limits: MediaLimits | None = None, conversion_slots: int = 1) -> None:
        self.limits = limits or MediaLimits()
        memory = self.limits.memory_bytes
        self._jobs = JobPool(size, self.limits.queue, memory, 0)
        self._conversions = JobPool(1, self.limits.queue, memory, _CONVERT_NICENESS)
        self._audio = SessionHost(memory, _LIVE_NICENESS)
        self._slots = conversion_slots
        self._video: set[VideoStream] = set()
        self._has_av = importlib.util.find_spec("av") is not None
        self._running = False

    @property
    def available(self) -> bool:
        """Whether PyAV is installed and the pool runs; without it only photos are probed and previewed."""
        return self._has_av and self._running

    @property
    def pids(self) -> set[int]:
        """Process ids of the job workers now running, for health pages and tests."""
        return self._jobs.pids | self._conversions.pids

    @property
    def live_conversions(self) -> int:
        """Conversion slots in use."""
        return len(self._video)

    async def start(self) -> None:
        """Begin to take jobs; processes start with their first one."""
        self._jobs.start()
        self._conversions.start()
        self._running = True

    async def stop(self) -> None:
        """End all processes; what was waiting fails with MediaUnavailable."""
        self._running = False
        await asyncio.gather(
            self._jobs.stop(),
            self._conversions.stop(),
            self._audio.stop(),
            *(stream.close() for stream in list(self._video)),
        )

    def _require(self, what: str) -> None:
        if not self._has_av:
            raise MediaUnavailable(f"{what} needs PyAV: install wayframe[media]")
        if not self._running:
            raise MediaUnavailable(f"{what}: the media workers are not running")

    async def probe(self, path: Path) -> MediaFacts:
        """Facts of a file by its content. Raises UnreadableMedia and the other MediaErrors."""
        arguments = {
            "path": str(path),
            "max_pixels": self.limits.max_pixels,
            "max_duration_s": self.limits.max_duration_s,
        }
        answer, _ = await self._jobs.run("probe", arguments, b"", self.limits.probe_s)
        return _facts(answer)

    async def preview(self, path: Path, kind: Kind | str, width: int = 320) -> bytes:
        """A JPEG of at most `width` pixels a side, of a photo or clip."""
        if kind != Kind.IMAGE:
            self._require("a preview of a clip")
        arguments = {"path": str(path), "width": width, "max_pixels": self.limits.max_pixels}
        _, jpeg = await self._jobs.run("preview", arguments, b"", self.limits.preview_s)
        return jpeg

    async def key_frame_preview(self, codec: str, annexb: bytes, width: int = 320) -> bytes:
        """A JPEG of one key access unit (parameter sets inside)."""
        self._require("a preview of a stream")
        arguments = {"codec": codec, "width": width, "max_pixels": self.limits.max_pixels}
        _, jpeg = await self._jobs.run("key_frame_preview", arguments, annexb, self.limits.preview_s)
        return jpeg

    async def convert(self, source: Path, target: Path, max_side: int = 1920) -> MediaFacts:
        """Make an H.264 + AAC fast-start MP4 of anything decodable; removes `target` when it fails."""
        self._require("a conversion")
        arguments = {
            "path": str(source),
            "target": str(target),
            "max_side": max_side,
            "max_pixels": self.limits.max_pixels,
            "max_duration_s": self.limits.max_duration_s,
        }
        try:
            answer, _ = await self._conversions.run("convert", arguments, b"", self.limits.convert_s)
        except BaseException:
            _remove(target)
            raise
        return _facts(answer)

    async def encode_audio(self, pending: PendingAudio, target: Path) -> EncodedAudio:
        """Make AAC of a recording's sound; `target` receives the raw frames and is the caller's to delete."""
        self._require("sound of a recording")
        arguments = {
            "path": str(pending.path),
            "target": str(target),
            "codec": pending.codec,
            "rate": pending.rate,
            "channels": pending.channels,
            "count": len(pending.sizes),
        }
        blob = pending.sizes.tobytes() + pending.pts_ms.tobytes()
        answer, made = await self._jobs.run("encode_audio", arguments, blob, self.limits.audio_s)
        specific = int(answer["specific"])
        sizes = array("I")
        if (len(made) - specific) % sizes.itemsize:
            raise WorkerFailed("the worker answered with a damaged index")
        sizes.frombytes(made[specific:])
        return EncodedAudio(target, parse_audio_config(made[:specific]), sizes, int(answer["start_ms"]))

    def audio_stream(
        self, codec: str, rate: int, channels: int, on_frame: Callable[[bytes, int, AudioConfig], None],
        on_end: Callable[[str], None],
    ) -> AudioStream:  # fmt: skip
        """Open a live session to AAC; `on_frame` gets (raw frame, pts in ms, configuration) in order.

        `on_end` gets a reason when the session fails for good. All sessions share one process.
        """
        self._require("live sound")
        opening = {"kind": "audio", "codec": codec, "rate": rate, "channels": channels}
        return AudioStream(self._audio, opening, on_frame, on_end)

    def video_stream(
        self, codec: str, on_unit: Callable[[AccessUnit], None], on_end: Callable[[str], None],
        max_side: int = 1920,
    ) -> VideoStream:  # fmt: skip
        """Open a live conversion to H.264 in a process of its own. Raises NoConversionSlot."""
        self._require("a live conversion")
        if len(self._video) >= self._slots:
            raise NoConversionSlot(
                f"all {self._slots} live conversion slots of this node are in use: stop another converted stream, "
                "or set the camera to H.264, or raise the number of conversion slots"
            )
        host = SessionHost(self.limits.memory_bytes, _LIVE_NICENESS)
        opening = {"kind": "video", "codec": codec, "max_side": max_side}
        stream = VideoStream(host, opening, on_unit, on_end, self._video.discard)
        self._video.add(stream)
        return stream
