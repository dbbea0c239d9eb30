"""Recordings: played-back frames become a clip in the media store, cut exactly, also over a broken link."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import structlog

from wayframe.media import EmptyRecording, MediaError, Mp4Recorder, audio_config, is_adts
from wayframe.model import Clock, Json, StorageFull, WayframeError
from wayframe.protocols.device import MediaExpected, MediaNews
from wayframe.protocols.jt1078.recording import Action, Decision, Recording
from wayframe.storage import BlobStore

from .background import Background
from .commands import Commands
from .entries import Entry
from .feeds import Close, Tell
from .media import MediaStore
from .media_files import NewFile
from .processing import Processing

log = structlog.get_logger(__name__)

_QUOTA_STEP = 1 << 20


class RecordingFeed:
    """One clip being recorded: a `Feed`."""

    def __init__(self, owner: Recordings, entry: Entry, expected: MediaExpected, channel_id: int, path: Path) -> None:
        self.entry = entry
        self.expected = expected
        self.channel_id = channel_id
        self.recorder = Mp4Recorder(path)
        self.reserved = 0
        """Bytes held in the device's quota."""
        self.partial = ""
        """Why it is shorter than asked for; empty if it is whole."""
        self._owner = owner
        self._decision = Recording(expected.start, expected.duration, owner.clock.now())
        self._close: Close = lambda code, reason: None
        self._tell: Tell = lambda news, position: None
        self._ended = False
        self._resumed = False

    # --- Feed ---------------------------------------------------------------------------------------------------

    @property
    def urgent(self) -> bool:
        return False

    def attach(self, connection_id: int, close: Close, tell: Tell) -> None:
        self._close, self._tell = close, tell
        self._resumed = self.recorder.frames > 0

    def video(self, codec: str, data: bytes, key: bool, pts_ms: int, now: float) -> None:
        if self._ended:
            return
        at = self._decision.offset_ms + pts_ms
        if self._resumed:
            if not key:
                return
            self._resumed = False
            self.recorder.rewind(at)
        duration_ms = self.expected.duration * 1000
        if not duration_ms or at < duration_ms or not self.recorder.frames:
            try:
                self._write(codec, data, key, at)
            except (OSError, WayframeError, MediaError) as error:
                # A store or disk that is full stays so for the next seconds: the caller is told at once.
                self._fail(f"the recording could not be written: {error}", retry=False)
                return
        self._act(self._decision.frame(pts_ms, now))

    def _write(self, codec: str, data: bytes, key: bool, at: int) -> None:
        if codec == "h264":
            self.recorder.video("h264", data, at, key)
        elif codec == "h265":
            self.recorder.video("h265", data, at, key)
        else:
            raise MediaError(f"video codec {codec} is not supported for recordings")
        self._owner.reserve(self)

    def audio(self, codec: str, data: bytes, pts_ms: int, rate: int, channels: int) -> None:
        if not self._ended and not self._resumed:
            at = self._decision.offset_ms + pts_ms
            raw = codec == "aac" and not is_adts(data)
            config = audio_config(rate, channels) if raw else None
            self.recorder.audio(codec, data, at, rate=rate, channels=channels, config=config)

    def tick(self, now: float) -> None:
        if not self._ended:
            self._act(self._decision.tick(now))

    def closed(self, now: float) -> None:
        if not self._ended:
            self._act(self._decision.closed(now))

    def stop(self, reason: str) -> None:
        if self._ended:
            return
        if self.recorder.frames:
            self._finish(f"stopped: {reason}")
        else:
            self._fail(f"stopped: {reason}", retry=False)

    def drop(self) -> None:
        if not self._ended:
            self._ended = True
            self._close(0, "canceled")
            self._owner.abandon(self)

    def give_up(self, reason: str) -> bool:
        if self._ended:
            return True
        if self.recorder.frames:
            self._finish(reason)
            return True
        self._ended = True
        self._close(0, reason)
        self._owner.abandon(self)
        return False

    # --- decisions ----------------------------------------------------------------------------------------------

    def _act(self, decision: Decision) -> None:
        match decision.action:
            case Action.DONE:
                self._finish("")
            case Action.PARTIAL:
                self._finish(decision.reason)
            case Action.RETRY:
                self._close(0, f"asking again: {decision.reason}")
                self._tell(MediaNews.STALLED, decision.from_s or 0.0)
            case Action.FAILED:
                self._fail(decision.reason)
            case Action.CONTINUE:
                pass

    def _finish(self, partial: str) -> None:
        self._ended, self.partial = True, partial
        self._tell(MediaNews.FINISHED, 0.0)
        self._close(0, "recording complete")
        self._owner.finish(self)

    def _fail(self, reason: str, *, retry: bool = True) -> None:
        self._ended = True
        self._tell(MediaNews.STOPPED, 0.0)
        self._close(0, reason)
        self._owner.fail(self, reason, retry=retry)


class Recordings:
    """Starts recordings and brings them to the media store."""

    def __init__(
        self,
        *,
        media: MediaStore,
        commands: Commands,
        processing: Processing,
        blobs: BlobStore,
        clock: Clock,
    ) -> None:
        self.clock = clock
        self._media = media
        self._commands = commands
        self._processing = processing
        self._blobs = blobs
        self._running: set[RecordingFeed] = set()
        self._storing: set[RecordingFeed] = set()
        self._background = Background("recordings")

    def begin(self, entry: Entry, expected: MediaExpected, channel_id: int) -> RecordingFeed:
        """A new recording for a command."""
        feed = RecordingFeed(self, entry, expected, channel_id, self._blobs.temporary_path(".recording"))
        self._running.add(feed)
        return feed

    def reserve(self, feed: RecordingFeed) -> None:
        """Hold the recording's bytes in the quota, in steps. Raises `StorageFull`."""
        size = feed.recorder.size
        if size <= feed.reserved:
            return
        device = feed.entry.device
        self._media.quota.check_disk(_QUOTA_STEP)
        if not device.media_rotate and self._media.quota.over(device, _QUOTA_STEP):
            raise self._media.quota.full(device)
        if size > self._media.quota.limit(device):
            raise StorageFull(f"the clip is larger than the whole media store of device {device.id}")
        self._media.quota.reserve(device.id, _QUOTA_STEP)
        feed.reserved += _QUOTA_STEP

    def _release(self, feed: RecordingFeed) -> None:
        self._running.discard(feed)
        self._media.quota.reserve(feed.entry.id, -feed.reserved)
        feed.reserved = 0

    def abandon(self, feed: RecordingFeed) -> None:
        """Forget a recording that nothing came for."""
        self._release(feed)
        feed.recorder.abandon()

    def fail(self, feed: RecordingFeed, reason: str, *, retry: bool) -> None:
        """End a recording and its command without a file."""
        self.abandon(feed)
        self._media.refused(feed.entry, reason, "recording")
        self._background.spawn(self._commands.failed(feed.expected.command_id, reason, retry))

    def finish(self, feed: RecordingFeed) -> None:
        """Store what was recorded, beside everything else."""
        self._storing.add(feed)
        self._background.spawn(self._store(feed))

    def carries(self, command_id: int) -> bool:
        """Whether a command's recording is complete and being stored: the command must not be sent again."""
        return any(feed.expected.command_id == command_id for feed in self._storing)

    async def _store(self, feed: RecordingFeed) -> None:
        try:
            await self._bring(feed)
        finally:
            self._storing.discard(feed)

    async def _bring(self, feed: RecordingFeed) -> None:
        """Make the file and hand it to the media store."""
        expected = feed.expected
        try:
            target, facts = await self._processing.finish_recording(feed.recorder, self._blobs.temporary_path(".mp4"))
            self._release(feed)
            blob = await self._blobs.adopt(target)
            meta: dict[str, Json] = {
                "duration": round(facts.duration_s, 3), "width": facts.width, "height": facts.height,
                "video_codec": facts.video_codec, "has_audio": facts.has_audio,
            }  # fmt: skip
            if feed.partial:
                meta |= {"partial": True, "partial_reason": feed.partial}
            new = NewFile(
                name=clip_name(expected), kind="video", mime="video/mp4", created=expected.start,
                channel=expected.channel, channel_id=feed.channel_id, meta=meta, command_id=expected.command_id,
            )  # fmt: skip
            await self._media.store_blob(feed.entry, blob, new)
        except EmptyRecording as error:
            await self._give_back(feed, str(error), retry=True)
        except (WayframeError, MediaError, OSError) as error:
            await self._give_back(feed, f"the clip could not be stored: {error}", retry=False)

    async def _give_back(self, feed: RecordingFeed, reason: str, *, retry: bool) -> None:
        self.abandon(feed)
        self._storing.discard(feed)
        log.warning("recording_failed", device=feed.entry.id, reason=reason)
        await self._commands.failed(feed.expected.command_id, reason, retry)

    async def stop(self) -> None:
        """Abandon what is running; finish what is being stored."""
        for feed in self._running - self._storing:
            self.abandon(feed)
        await self._background.settle(5)


def clip_name(expected: MediaExpected) -> str:
    """`VID_<channel>_<UTC start>.mp4`."""
    start = datetime.fromtimestamp(expected.start, UTC)
    return f"VID_{expected.channel}_{start:%Y%m%d_%H%M%S}.mp4"
