"""Live video: a requested media connection becomes a stream with a link, for as long as somebody watches.

The first key frame makes the stream: its playlist is there, then its connection is announced with `meta.mediastream`,
then the log says start, then the command is completed with the link (mqtt-api.md 6.5). A second start for the same
channel joins. Nobody fetching for `idle_s` ends it; its chunks go `keep_s` after their last access.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

import structlog

from wayframe.media import (
    AccessUnit,
    AudioConfig,
    LiveStream,
    MediaError,
    NoConversionSlot,
    SegmentSpool,
    audio_config,
    is_adts,
    split_adts,
)
from wayframe.model import Clock, Command, Json, OriginType, StorageFull, WayframeError
from wayframe.model.log_codes import Log
from wayframe.protocols.device import MediaExpected, MediaNews

from .background import Background
from .commands import Commands
from .connections import Connections
from .entries import Entry
from .feeds import Close, Tell
from .journal import Journal
from .links import Links
from .media import MediaStore
from .processing import AudioEncoder, Processing, VideoConverter

log = structlog.get_logger(__name__)

_RECONNECT_S = 20.0
"""A stream whose device dropped the media connection waits this long for it to come back."""
_FIRST_BYTES = 256 * 1024
"""Room that a stream must find in its device's store to begin; one that protected files fill would end it at once."""
_MIME = {"hls": "application/x-mpegURL", "flv": "video/x-flv"}


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """How live video is offered."""

    idle_s: float
    """Seconds without a request for the playlist that end a stream."""
    keep_s: float
    """Seconds a chunk lives after its last access."""
    pass_h265: bool
    """Offer H.265 as it is (fMP4) instead of converting it."""


class LiveSession:
    """One live stream and its device connection: a `Feed`."""

    def __init__(self, owner: Live, entry: Entry, expected: MediaExpected, kind: str) -> None:
        self.uuid = secrets.token_hex(32).upper()
        """The capability for its links."""
        self.entry = entry
        self.expected = expected
        self.kind = kind
        """`hls` or `flv`: what the plain link serves."""
        self.stream: LiveStream | None = None
        """Set with the first key frame."""
        self.connection_id = 0
        self.last_access = owner.clock.now()
        """When a viewer last asked for it."""
        self.ended_at = 0.0
        """When it ended; its chunks are still fetchable for a while."""
        self.video_codec = ""
        """What the device sends."""
        self._owner = owner
        self._close: Close = lambda code, reason: None
        self._tell: Tell = lambda news, position: None
        self._connected = False
        self._lost_at = 0.0
        self._base_ms = 0
        self._newest_ms = 0
        self._resumed = False
        self._converter: VideoConverter | None = None
        self._encoder: AudioEncoder | None = None
        self._audio_failed = False

    def touch(self) -> None:
        """A viewer asked for the playlist or reads the stream."""
        self.last_access = self._owner.clock.now()

    @property
    def title(self) -> str:
        """What people see as its name."""
        return f"{'recording' if self.expected.start else 'live'} channel {self.expected.channel}"

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self.ended_at > 0

    # --- Feed ---------------------------------------------------------------------------------------------------

    @property
    def urgent(self) -> bool:
        return self.stream is not None and self.stream.watched_closely

    def attach(self, connection_id: int, close: Close, tell: Tell) -> None:
        self._close, self._tell, self._connected = close, tell, True
        self.connection_id = connection_id
        if self.stream is not None:
            gap_ms = int((self._owner.clock.now() - self._lost_at) * 1000) if self._lost_at else 0
            self._base_ms = self._newest_ms + max(gap_ms, 1)
            self._owner.described(self)

    def video(self, codec: str, data: bytes, key: bool, pts_ms: int, now: float) -> None:
        if self.ended:
            return
        if not self.video_codec:
            if not key:
                return
            self.video_codec = codec
            if not self._owner.prepare(self, codec):
                return
        at = self._base_ms + pts_ms
        self._newest_ms = max(self._newest_ms, at)
        if self._converter is not None:
            self._converter.push(data, at, key)
        else:
            self._package(data, at, key, now)

    def _package(self, data: bytes, pts_ms: int, key: bool, now: float) -> None:
        stream = self.stream
        if stream is None or self.ended:
            return
        recorded = self.expected.start + pts_ms / 1000 if self.expected.start else None
        stream.video(data, pts_ms, key, now, recorded)
        if key and stream.frames:
            self._owner.begun(self)

    def converted(self, unit: AccessUnit) -> None:
        """A converted picture came back from its worker."""
        self._package(unit.data, unit.pts_ms, unit.key, self._owner.clock.now())

    def audio(self, codec: str, data: bytes, pts_ms: int, rate: int, channels: int) -> None:
        if self.ended or self.stream is None or self._audio_failed:
            return
        at = self._base_ms + pts_ms
        if codec == "aac":
            frames = split_adts(data) if is_adts(data) else [(audio_config(rate, channels), data)]
            for index, (config, frame) in enumerate(frames):
                self.encoded(frame, at + index * 1024 * 1000 // config.rate, config)
            return
        if self._encoder is None:
            self._encoder = self._owner.encoder(self, codec, rate, channels)
            if self._encoder is None:  # video goes on silently: never block it on sound
                self._audio_failed = True
                return
        self._encoder.push(data, at)

    def failed(self, reason: str) -> None:
        """The converter gave up."""
        if reason and not self.ended:
            self._owner.end(self, f"the conversion failed: {reason}")

    def silent(self, reason: str) -> None:
        """The sound encoder gave up; the pictures go on."""
        self._audio_failed = True

    def encoded(self, frame: bytes, pts_ms: int, config: AudioConfig) -> None:
        """A sound frame, ready for the stream."""
        if self.stream is None or self.ended:
            return
        first = self.stream.audio_config is None
        self.stream.aac(frame, pts_ms, config)
        if first:
            self._owner.described(self)

    def tick(self, now: float) -> None:
        """The owner's clock looks after live streams."""

    def closed(self, now: float) -> None:
        self._connected, self._lost_at = False, now

    def stop(self, reason: str) -> None:
        self._owner.end(self, reason)

    def drop(self) -> None:
        self._owner.end(self, "canceled")

    def give_up(self, reason: str) -> bool:
        self._owner.end(self, reason)
        if self.stream is None:
            self._owner.forget(self)
        return self.stream is not None

    # --- for the owner ------------------------------------------------------------------------------------------

    def use_converter(self, converter: VideoConverter) -> None:
        """Pictures go through a worker first."""
        self._converter = converter

    def finish(self, now: float) -> None:
        """End the stream and the device's part in it."""
        self.ended_at = now
        for worker in (self._converter, self._encoder):
            if worker is not None:
                self._owner.close_later(worker)
        if self.stream is not None:
            self.stream.end()
        self._tell(MediaNews.STOPPED, 0.0)
        self._close(0, "live stream ended")

    def lost_for(self, now: float) -> float:
        """Seconds since the media connection broke off; 0 while it is there."""
        return 0.0 if self._connected or not self._lost_at else now - self._lost_at

    def description(self) -> dict[str, Json]:
        """The descriptor in the connection's meta (rest-api.md 7)."""
        facts = self.stream.facts if self.stream is not None else None
        return {
            "uuid": self.uuid, "channel": self.expected.channel, "mediastream": self.kind, "mime": _MIME[self.kind],
            "width": facts.width if facts else 0, "height": facts.height if facts else 0,
            "video_codec": self.stream.codec if self.stream else "h264",
            "has_audio": self.stream is not None and self.stream.audio_config is not None,
            "command_id": self.expected.command_id,
        }  # fmt: skip

    def response(self) -> dict[str, Json]:
        """The result of the command that started it; links are added at reading."""
        return {"uuid": self.uuid, "mediastream": self.kind, "channel": self.expected.channel}

    def document(self) -> dict[str, Json]:
        """The JSON form of its link (`?preview=json`)."""
        described = self.description()
        created = self.expected.start or self._owner.started_at(self)
        return {
            "uuid": self.uuid, "name": self.title, "size": 0, "mime": described["mime"],
            "created": created, "modified": created, "uploaded": created, "protected": False, "shared": True,
            "meta": {"type": "mediastream", **described}, "device_id": self.entry.id, "live": not self.ended,
        }  # fmt: skip


class Live:
    """All live streams."""

    def __init__(
        self,
        *,
        settings: LiveSettings,
        media: MediaStore,
        commands: Commands,
        connections: Connections,
        processing: Processing,
        journal: Journal,
        links: Links,
        spool: SegmentSpool,
        clock: Clock,
    ) -> None:
        self.clock = clock
        self._settings = settings
        self._media = media
        self._commands = commands
        self._connections = connections
        self._processing = processing
        self._journal = journal
        self._links = links
        self._spool = spool
        self._sessions: dict[str, LiveSession] = {}
        self._started: dict[str, float] = {}
        self._posters: dict[str, tuple[float, bytes]] = {}
        self._background = Background("live")
        commands.join_stream = self.join

    # --- from the gateway ---------------------------------------------------------------------------------------

    def begin(self, entry: Entry, expected: MediaExpected) -> LiveSession:
        """A device connected with the media a command asked for."""
        command = self._commands.find(expected.command_id)
        kind = str(command.properties.get("mediastream", "hls")) if command is not None else "hls"
        session = LiveSession(self, entry, expected, kind if kind in _MIME else "hls")
        self._sessions[session.uuid] = session
        return session

    def prepare(self, session: LiveSession, codec: str) -> bool:
        """Make the stream for a codec. False when it cannot be; the command has failed then."""
        try:
            self._media.quota.check_disk()
            if self._media.quota.over(session.entry.device, 1) and not session.entry.device.media_rotate:
                raise self._media.quota.full(session.entry.device)
            passes = codec == "h264" or (codec == "h265" and self._settings.pass_h265)
            if not passes:
                session.use_converter(self._processing.open_converter(codec, session.converted, session.failed))
            session.stream = LiveStream(
                "h265" if passes and codec == "h265" else "h264",
                base=f"{session.uuid}/",
                spool=self._spool,
                expects_audio=True,
                clock=self.clock.now,
            )
            return True
        except (NoConversionSlot, MediaError, StorageFull) as error:
            reason = getattr(error, "reason", str(error))
            self._media.refused(session.entry, reason, f"live channel {session.expected.channel}")
            self._background.spawn(self._commands.failed(session.expected.command_id, reason, retry=False))
            session.finish(self.clock.now())
            self._sessions.pop(session.uuid, None)
            return False

    def begun(self, session: LiveSession) -> None:
        """The stream has its first key frame: announce it, once."""
        if session.uuid in self._started:
            return
        self._started[session.uuid] = self.clock.now()
        session.touch()
        self._background.spawn(self._announce_start(session))

    async def _announce_start(self, session: LiveSession) -> None:
        try:
            await self._media.make_room(session.entry, _FIRST_BYTES)
        except WayframeError as error:
            self._media.refused(session.entry, error.reason, f"live channel {session.expected.channel}")
            await self._commands.failed(session.expected.command_id, error.reason, retry=False)
            self.end(session, error.reason)
            return
        self.described(session)
        self._log(Log.STREAM_START, session, "started")
        await self._commands.done(session.expected.command_id, session.response())

    def described(self, session: LiveSession) -> None:
        """Announce what a stream is: at its start, with its first sound, and when the device took it up again."""
        if session.uuid in self._started:
            self._connections.update_meta(session.entry, session.connection_id, {"mediastream": session.description()})

    def encoder(self, session: LiveSession, codec: str, rate: int, channels: int) -> AudioEncoder | None:
        """A sound encoder, or None where this server has none for the codec."""
        try:
            return self._processing.open_encoder(codec, rate, channels, session.encoded, session.silent)
        except MediaError as error:
            log.warning("live_without_sound", device=session.entry.id, codec=codec, reason=str(error))
            return None

    def close_later(self, worker: VideoConverter | AudioEncoder) -> None:
        """End a worker's session beside everything else."""
        self._background.spawn(worker.close())

    def started_at(self, session: LiveSession) -> float:
        """When the first key frame came."""
        return self._started.get(session.uuid, self.clock.now())

    # --- for viewers and commands -------------------------------------------------------------------------------

    def find(self, uuid: str) -> LiveSession | None:
        """A stream by uuid, also one that ended a moment ago."""
        session = self._sessions.get(uuid)
        return session if session is not None and session.stream is not None else None

    def running(self, device_id: int | None = None) -> list[LiveSession]:
        """Streams that go on."""
        return [
            session
            for session in self._sessions.values()
            if session.uuid in self._started and not session.ended and device_id in (None, session.entry.id)
        ]

    def join(self, device_id: int, command: Command) -> Json:
        """The response of a running stream that a start command may share, or None."""
        if command.name != "start_videostream":
            return None
        for session in self.running(device_id):
            if session.expected.channel == command.properties.get("channel") and not session.expected.start:
                session.touch()
                return session.response()
        return None

    async def poster(self, session: LiveSession) -> bytes | None:
        """A JPEG of the newest key frame, made at most once a second."""
        cached = self._posters.get(session.uuid)
        now = self.clock.now()
        if cached is not None and now - cached[0] < 1.0:
            return cached[1]
        source = session.stream.poster_source() if session.stream is not None else None
        if source is None:
            return None
        picture = await self._processing.key_frame_preview(*source)
        if picture is not None:
            self._posters[session.uuid] = (now, picture)
        return picture

    # --- ending -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look after idle streams, lost devices and old chunks, until cancelled."""
        while True:
            await asyncio.sleep(1)
            try:
                self.look_after()
            except Exception:
                log.exception("live_upkeep_failed")

    def look_after(self) -> None:
        """End what nobody watches or sends any more, and forget what is over. Called every second."""
        now = self.clock.now()
        held: dict[int, int] = {}
        for session in list(self._sessions.values()):
            stream = session.stream
            if stream is not None:
                if stream.flv_viewers:
                    session.touch()
                stream.expire(now)
                held[session.entry.id] = held.get(session.entry.id, 0) + stream.bytes_held
            if not session.ended and now - session.last_access > self._settings.idle_s:
                self.end(session, f"nobody asked for it within {self._settings.idle_s:.0f} s")
            elif not session.ended and session.lost_for(now) > _RECONNECT_S:
                self.end(session, "the device ended the stream")
            elif session.ended and now - session.ended_at > self._settings.keep_s:
                self.forget(session)
        self._count(held)

    def _count(self, held: dict[int, int]) -> None:
        """Live chunks count in the device's store; a store that they overfill ends them."""
        devices = {session.entry.id: session.entry for session in self._sessions.values()}
        for device_id, entry in devices.items():
            self._media.quota.set_live(device_id, held.get(device_id, 0))
            if self._media.quota.over(entry.device):
                self._background.spawn(self._make_room(entry))

    async def _make_room(self, entry: Entry) -> None:
        try:
            await self._media.make_room(entry, 0)
        except StorageFull as error:
            self._media.refused(entry, error.reason, "live video")
            for session in self.running(entry.id):
                self.end(session, error.reason)

    def end(self, session: LiveSession, reason: str) -> None:
        """End a stream: device told, connection announced as gone, log written."""
        if session.ended:
            return
        session.finish(self.clock.now())
        # Its socket closes a moment later, and clients want the connection gone before the stop (mqtt-api.md 6.5).
        self._connections.remove(session.entry, session.connection_id, 0, {})
        if session.uuid in self._started:
            self._log(Log.STREAM_STOP, session, reason)
        log.info("live_ended", device=session.entry.id, camera=session.expected.channel, reason=reason)

    def forget(self, session: LiveSession) -> None:
        """Drop a stream and everything it holds."""
        self._sessions.pop(session.uuid, None)
        self._started.pop(session.uuid, None)
        self._posters.pop(session.uuid, None)
        if session.stream is not None:
            session.stream.expire(float("inf"))
        self._media.quota.set_live(session.entry.id, 0)

    async def stop(self) -> None:
        """End everything; the server stops."""
        for session in list(self._sessions.values()):
            self.end(session, "the server stops")
            self.forget(session)
        await self._background.settle(2)

    def _log(self, kind: Log, session: LiveSession, reason: str) -> None:
        fields = {
            "uuid": session.uuid, "channel": session.expected.channel, "connection_id": session.connection_id,
            "reason": reason, "mediastream": session.kind,
        }  # fmt: skip
        self._journal.log(kind, OriginType.DEVICE, session.entry.id, session.entry.cid, fields)
