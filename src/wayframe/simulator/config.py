"""What a simulated vehicle is and how it misbehaves: plain settings, no behaviour."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .bodies808 import Identity
from .footage import Codec, Render, VideoFormat
from .road import City
from .sound import Sound
from .wire808 import Layout
from .wire_attachment import AlarmKind, Dialect

MAIN = VideoFormat(Codec.H264, 1280, 720, 15, 1000, 30)
SUB = VideoFormat(Codec.H264, 640, 360, 15, 300, 30)


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """One camera: its logical channel and its two streams."""

    channel: int
    """Logical channel, from 1."""
    main: VideoFormat = MAIN
    """Main stream; also what the memory card holds."""
    sub: VideoFormat = SUB
    """Sub stream."""


class Timestamps(enum.Enum):
    """How the media packets' timestamps go wrong."""

    TRUE = "true"
    """Epoch milliseconds."""
    ZERO_BASED = "zero"
    """Counted from the first frame."""
    FROZEN = "frozen"
    """Never changes."""
    JUMPING = "jumping"
    """Leaps by up to a minute, back and forth, every few seconds."""


class PlaybackAnswer(enum.Enum):
    """What a terminal answers to 0x9201."""

    LIST = "list"
    """0x1205, as the standard has it."""
    GENERAL = "general"
    """0x0001 only."""
    BOTH = "both"
    """0x0001, then 0x1205."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Misbehaviour on request. The default is a healthy vehicle."""

    drop_media: float = 0.0
    """Share of media packets that are left out, 0..1."""
    drop_parts: float = 0.0
    """Share of the parts of long messages left out at first; they come on request."""
    stall_after_s: float = 0.0
    """Seconds of a media stream before it stalls once."""
    stall_s: float = 0.0
    """Length of that stall; 0 none."""
    disconnect_every_s: float = 0.0
    """Drop the signalling link this often; 0 never."""
    attachment_size_lie: int = 0
    """Added to the sizes in 0x1210, 0x1211 and 0x1212."""
    photo_parts_lie: int = 0
    """Added to the part count of 0x0801."""
    vanish_media_bytes: int = 0
    """Abort a media connection after this many bytes; 0 never."""
    vanish_attachment_bytes: int = 0
    """Abort the first attachment connection of an alarm after this many bytes; 0 never."""
    answer_delay_s: float = 0.0
    """Wait before handling any command."""
    never_answer: frozenset[int] = frozenset()
    """Message ids that are ignored."""
    refuse: Mapping[int, int] = field(default_factory=dict)
    """Message id → result of the general response instead of doing it."""
    duplicate_reports: float = 0.0
    """Share of location reports sent twice."""
    timestamps: Timestamps = Timestamps.TRUE
    """Timestamps of media packets."""
    hisilicon_audio: bool = False
    """Put the four-byte chip head in front of G.711 sound."""
    interleaved_serials: bool = False
    """Send heartbeats between the parts of long messages."""


@dataclass(frozen=True, slots=True)
class VehicleConfig:
    """One simulated vehicle."""

    ident: str
    """Decimal ident, the terminal number."""
    host: str = "127.0.0.1"
    """Signalling server."""
    port: int = 8808
    """Signalling port; all other addresses come from the platform's messages."""
    name: str = ""
    """Name burned into the picture; the ident when empty."""
    layout: Layout = Layout.V2013
    """Header layout, 2013 or 2019."""
    identity: Identity = field(default_factory=Identity)
    """What it says about itself."""
    cameras: tuple[CameraConfig, ...] = (CameraConfig(1),)
    """Its cameras."""
    sound: Sound = Sound.G711A
    """Its microphone."""
    render: Render = Render.LIVE
    """Where video comes from."""
    city: City = City.BERLIN
    """Where it drives."""
    road_seed: int = 1
    """Which round trip about the city."""
    drives_off: bool = False
    """Be on the road when the run begins, never parked."""
    report_s: float = 10.0
    """Seconds between location reports while the ignition is on; the platform may change it (parameter 0x0029)."""
    heartbeat_s: float = 60.0
    """Seconds between heartbeats; the platform may change it (parameter 0x0001)."""
    reconnect_s: float = 5.0
    """Pause before it dials again."""
    answer_s: float = 10.0
    """How long it waits for an answer to registration, authentication or heartbeat."""
    timezone_s: int = 8 * 3600
    """Seconds east of UTC of the times it sends and reads."""
    alarm_every_s: float = 0.0
    """Raise an alarm with attachments this often; 0 never."""
    first_alarm_s: float = 5.0
    """Seconds from the start to the first of them."""
    alarms: tuple[AlarmKind, ...] = (
        AlarmKind.FORWARD_COLLISION,
        AlarmKind.FATIGUE,
        AlarmKind.LANE_DEPARTURE,
        AlarmKind.PHONE,
    )
    """The kinds raised in turn."""
    dialect: Dialect = Dialect.JIANGSU
    """Length of alarm identifiers."""
    attachment_video: str = "mp4"
    """Form of the clip among an alarm's files: mp4 or h264."""
    attachment_block: int = 64 * 1024
    """Data bytes of one attachment block."""
    playback_pace: float = 4.0
    """Speed of playback against real time; 0 as fast as the link goes."""
    playback_answer: PlaybackAnswer = PlaybackAnswer.LIST
    """How 0x9201 is answered."""
    card_hours: float = 72.0
    """How far back the memory card reaches."""
    card_segment_s: int = 300
    """Length of one recording on the card."""
    part_bytes: int = 900
    """Largest body sent in one frame, at most 1023."""
    parts_wait_for_ack: bool = False
    """Send the next part of an upload only after the platform acknowledged the one before."""
    blind_zone_limit: int = 2000
    """Reports kept while there is no connection; the oldest go first."""
    faults: Faults = field(default_factory=Faults)
    """Misbehaviour."""
    seed: int = 0
    """Seed of all that is random in it."""
    cache: Path | None = None
    """Folder of encoded loops; None for the default."""

    @property
    def title(self) -> str:
        """What is burned into its pictures."""
        return self.name or self.ident

    def camera(self, channel: int) -> CameraConfig | None:
        """The camera on a logical channel; 0x64 and 0x65 mean the first and the last one."""
        if channel in (0x64, 0x65):
            return self.cameras[0 if channel == 0x64 else -1] if self.cameras else None
        return next((camera for camera in self.cameras if camera.channel == channel), None)


@dataclass(slots=True)
class VehicleStats:
    """Counters of one vehicle, for tests and for the summary of a run."""

    connects: int = 0
    """Signalling connections opened."""
    authenticated: int = 0
    """Successful authentications."""
    reports: int = 0
    """Location reports handed to the link, duplicates and batches included."""
    acknowledged: int = 0
    """Location reports the platform acknowledged."""
    commands: int = 0
    """Platform messages other than answers."""
    live_streams: int = 0
    """Live streams begun."""
    playbacks: int = 0
    """Playbacks begun."""
    frames: int = 0
    """Video frames sent."""
    media_bytes: int = 0
    """Bytes sent on media connections."""
    media_failures: int = 0
    """Media connections that could not be opened or broke."""
    photos: int = 0
    """Photos the platform confirmed."""
    parts_resent: int = 0
    """Parts of long messages sent again on request."""
    alarms: int = 0
    """Alarms raised."""
    files_uploaded: int = 0
    """Attachment files the platform confirmed."""
    blocks_resent: int = 0
    """Attachment ranges sent again on request."""
    ftp_files: int = 0
    """Files uploaded by FTP."""
    late_ms: float = 0.0
    """Worst lateness of a live frame against its own time."""
