"""What workers do for the services: facts, previews, conversions, and the sound and pictures of live streams.

Without the `[media]` extra everything here says politely that there is no preview or conversion; H.264 clips and
photos still come out (rulings.md 13).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from wayframe.media import (
    AccessUnit,
    AudioConfig,
    Kind,
    MediaError,
    MediaFacts,
    MediaWorkers,
    Mp4Recorder,
    RecordingFacts,
)
from wayframe.model import Json, MediaFile, MediaState, StorageFull
from wayframe.storage import BlobStore

log = structlog.get_logger(__name__)

_THUMBNAIL_PIXELS = 640
_PLAYABLE_VIDEO = frozenset({"h264"})
_PLAYABLE_AUDIO = frozenset({"", "aac", "mp3"})
_PLAYABLE_MIME = frozenset({"video/mp4"})


class VideoConverter(Protocol):
    """Pictures of a live stream on their way to H.264."""

    def push(self, data: bytes, pts_ms: int, key: bool) -> None:
        """One access unit; converted ones come by callback."""

    async def close(self) -> None:
        """No more."""


class AudioEncoder(Protocol):
    """Sound of a live stream on its way to AAC."""

    def push(self, data: bytes, pts_ms: int) -> None:
        """One payload; AAC frames come by callback."""

    async def close(self) -> None:
        """No more."""


class Processing:
    """Brings stored files to their playable form."""

    def __init__(self, workers: MediaWorkers, blobs: BlobStore) -> None:
        self._workers = workers
        self._blobs = blobs

    # --- stored files -------------------------------------------------------------------------------------------

    async def finish(self, file: MediaFile, *, keep_original: bool) -> MediaFile:
        """Facts, conversion and preview of a stored file. What cannot be read is stored as it is, and says so."""
        if file.kind not in ("video", "image", "audio") or not self._workers.available:
            return msgspec.structs.replace(file, state=MediaState.READY)
        path = self._blobs.path(file.blob)
        try:
            facts = await self._workers.probe(path)
        except MediaError as error:
            log.warning("media_unreadable", uuid=file.uuid[:8], reason=str(error))
            meta = {**file.meta, "unreadable": str(error)}
            return msgspec.structs.replace(file, meta=meta, state=MediaState.READY)
        if file.kind == "video" and not playable(facts, file.mime):
            file, facts = await self._convert(file, path, facts, keep_original)
            path = self._blobs.path(file.blob)
        file = msgspec.structs.replace(file, meta={**described(facts), **file.meta, **measured(facts)})
        preview = file.preview or await self._preview(path, file.kind)
        return msgspec.structs.replace(file, preview=preview, state=MediaState.READY)

    async def _convert(
        self, file: MediaFile, path: Path, facts: MediaFacts, keep_original: bool
    ) -> tuple[MediaFile, MediaFacts]:
        target = self._blobs.temporary_path(".mp4")
        try:
            made = await self._workers.convert(path, target)
            blob = await self._blobs.adopt(target)
        except (MediaError, StorageFull) as error:
            log.warning("media_not_converted", uuid=file.uuid[:8], codec=facts.video_codec, reason=str(error))
            target.unlink(missing_ok=True)
            return msgspec.structs.replace(file, meta={**file.meta, "not_converted": str(error)}), facts
        stem = file.name.rpartition(".")[0] or file.name
        meta: dict[str, Json] = {**file.meta, "source_codec": facts.video_codec}
        converted = msgspec.structs.replace(
            file, name=f"{stem}.mp4", mime="video/mp4", size=blob.size, blob=blob.key, sha256=blob.sha256, meta=meta
        )
        if keep_original:
            converted = msgspec.structs.replace(converted, original=file.blob, original_size=file.size)
        return converted, made

    async def _preview(self, path: Path, kind: str) -> str:
        """The key of a stored JPEG preview, or an empty text."""
        if kind not in ("video", "image"):
            return ""
        try:
            picture = await self._workers.preview(path, Kind(kind))
            writer = await self._blobs.begin()
            writer.write(picture)
            return (await writer.commit()).key
        except (MediaError, StorageFull) as error:
            log.info("no_preview", reason=str(error))
            return ""

    async def thumbnail(self, picture: Path) -> str:
        """The key of a stored JPEG of at most 640 pixels a side, made from a picture somebody sent.

        Raises MediaError where it is none, StorageFull.
        """
        writer = await self._blobs.begin()
        try:
            writer.write(await self._workers.preview(picture, Kind.IMAGE, _THUMBNAIL_PIXELS))
            return (await writer.commit()).key
        finally:
            await writer.abandon()

    async def finish_recording(self, recorder: Mp4Recorder, target: Path) -> tuple[Path, RecordingFacts]:
        """Write a recording as a fast-start MP4, its sound as AAC where it can be encoded.

        Raises EmptyRecording, MediaError, OSError.
        """
        pending = recorder.pending_audio()
        encoded = None
        if pending is not None and self._workers.available:
            try:
                encoded = await self._workers.encode_audio(pending, self._blobs.temporary_path(".aac"))
            except MediaError as error:
                log.warning("recording_without_sound", codec=pending.codec, reason=str(error))
        try:
            facts = await asyncio.to_thread(recorder.finish, target, encoded)
        finally:
            if encoded is not None:
                encoded.path.unlink(missing_ok=True)
        return target, facts

    # --- live ---------------------------------------------------------------------------------------------------

    async def key_frame_preview(self, codec: str, data: bytes) -> bytes | None:
        """A JPEG of one key frame, or None where there is no decoder."""
        if not self._workers.available:
            return None
        try:
            return await self._workers.key_frame_preview(codec, data)
        except MediaError as error:
            log.info("no_poster", reason=str(error))
            return None

    def open_converter(
        self, codec: str, deliver: Callable[[AccessUnit], None], ended: Callable[[str], None]
    ) -> VideoConverter:
        """A converter to H.264. Raises `NoConversionSlot`, `MediaError`."""
        if not self._workers.available:
            raise MediaError(
                f"live {codec} needs conversion, and PyAV is not installed: install the extra [media], set the camera "
                "to H.264, or set live_h265 = pass"
            )
        return self._workers.video_stream(codec, deliver, ended)

    def open_encoder(
        self,
        codec: str,
        rate: int,
        channels: int,
        deliver: Callable[[bytes, int, AudioConfig], None],
        ended: Callable[[str], None],
    ) -> AudioEncoder:
        """An encoder to AAC. Raises `MediaError`."""
        if not self._workers.available:
            raise MediaError("sound needs conversion, and PyAV is not installed")
        return self._workers.audio_stream(codec, rate, channels, deliver, ended)


def playable(facts: MediaFacts, mime: str) -> bool:
    """Whether browsers play it as it is."""
    return (
        facts.video_codec in _PLAYABLE_VIDEO and (facts.audio_codec or "") in _PLAYABLE_AUDIO and mime in _PLAYABLE_MIME
    )


def described(facts: MediaFacts) -> dict[str, Json]:
    """Facts that a caller's own word may override."""
    shown: dict[str, Json] = {}
    if facts.fps:
        shown["fps"] = round(facts.fps, 3)
    if facts.audio_codec:
        shown["audio_codec"] = facts.audio_codec
    return shown


def measured(facts: MediaFacts) -> dict[str, Json]:
    """Facts that are what they are."""
    shown: dict[str, Json] = {}
    if facts.width and facts.height:
        shown |= {"width": facts.width, "height": facts.height}
    if facts.duration_s:
        shown["duration"] = round(facts.duration_s, 3)
    if facts.kind is Kind.VIDEO:
        shown |= {"video_codec": facts.video_codec, "has_audio": bool(facts.has_audio)}
    return shown
