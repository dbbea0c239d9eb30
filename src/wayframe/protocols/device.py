"""What every device protocol says to the gateway, and what it hears from it.

A `DeviceSession` is the state machine of one signalling connection. The gateway feeds it bytes, time, commands and the
outcome of its own events, and after each call drains `events()` and `data_to_send()`:

    bytes ─▶ receive()  ──▶ events(): Identify ─▶ gateway looks the device up ─▶ accept() | refuse()
             tick()                   Reports  ─▶ stored durably             ─▶ reports_stored()
             execute()                File…    ─▶ stored                     ─▶ file_stored()
             media_event()            CommandUpdate, MediaExpected, …

Times are Unix seconds as float. Nothing here awaits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses a device is told to open its further connections to."""

    host: str
    """Public host name or IP address that the device can reach."""
    live_port: int
    """TCP port of live video."""
    playback_port: int
    """TCP port of recorded video."""
    attachments_port: int
    """TCP port of alarm attachments."""
    ftp_port: int = 0
    """TCP port that takes files by FTP; 0 for none."""


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """What a session needs to know of the registered device it talks to."""

    device_id: int
    """Id of the device item."""
    ident: str
    """The configured ident."""
    timezone_offset_s: int = 8 * 3600
    """Offset of the device's clock from UTC, used in both directions (ruling 6)."""
    configuration: Mapping[str, str] = field(default_factory=dict)
    """The device's own configuration values."""


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """One command to carry out. Its properties have passed the device type's schema."""

    id: int
    """Command id, unique per node."""
    name: str
    """Command name, as in the device type: `request_video`, `take_photo`, …"""
    properties: Mapping[str, object]
    """Validated properties."""
    deadline: float
    """Unix time at which nobody waits any more; a transfer that has started may go on beyond it."""


# --- events: session → gateway -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identify:
    """The device said who it is. Answer with `accept()` or `refuse()`; until then the session holds further bytes."""

    candidates: tuple[str, ...]
    """Idents to look up, in order; the first is used when a device is created automatically."""
    number: bytes
    """The terminal number exactly as on the wire."""
    proven: bool
    """True if it presented a code that this platform issued: only then may it replace a live connection (ruling 18)."""
    details: Mapping[str, str] = field(default_factory=dict)
    """Maker, model, plate, IMEI, ICCID, versions… for the device's metadata and the log."""


@dataclass(frozen=True, slots=True)
class Reports:
    """Messages to store. The device is acknowledged by `reports_stored(token, ok)` once they are durable."""

    messages: tuple[dict[str, object], ...]
    """Flat messages with flespi parameter names; `timestamp` is the device time in Unix seconds."""
    token: int
    """Handle for the acknowledgement; 0 when none is owed."""


@dataclass(frozen=True, slots=True)
class FileReceived:
    """A whole, small file (a photo) arrived on the signalling connection; bounded by the protocol's own limit."""

    token: int
    """Handle for `file_stored(token, ok)`."""
    name: str
    """A file name the store may show; never a path."""
    data: bytes
    """The bytes."""
    created: float
    """Recording time, Unix seconds."""
    channel: int
    """Camera channel, from 1; 0 when unknown."""
    command_id: int | None = None
    """The command that asked for it, if any; the gateway completes that command with the stored file."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Further parameters for the device message (position, event)."""


class CommandState(Enum):
    """How far a command came."""

    SENT = "sent"
    """Bytes that carry it were given to the connection."""
    DONE = "done"
    """Carried out; `response` is its result."""
    FAILED = "failed"
    """It will not happen; `reason` is for a person."""


@dataclass(frozen=True, slots=True)
class CommandUpdate:
    """A command moved on. Commands whose result is a file or a stream are completed by the gateway instead."""

    command_id: int
    """Which command."""
    state: CommandState
    """New state."""
    response: object = None
    """Result when done; JSON-like."""
    reason: str = ""
    """Why it failed, for a person."""
    retry: bool = False
    """True if sending it again later is safe and may help (ruling 2)."""


class MediaKind(Enum):
    """Which listening port a media connection is expected on."""

    LIVE = "live"
    PLAYBACK = "playback"


@dataclass(frozen=True, slots=True)
class MediaExpected:
    """The device was asked to open a media connection. The gateway routes it to the command by number and channel."""

    command_id: int
    """The command behind it."""
    kind: MediaKind
    """Live or playback port."""
    number: bytes
    """Terminal number as the packets will carry it."""
    channel: int
    """Logical channel."""
    purpose: str
    """`stream` (viewers watch it) or `record` (it becomes a file)."""
    start: float = 0.0
    """Playback: requested start, Unix seconds."""
    duration: float = 0.0
    """Playback: requested length in seconds, 0 for open."""


@dataclass(frozen=True, slots=True)
class AttachmentsExpected:
    """The device was told to upload the files of an alarm to the attachment port."""

    alarm_number: str
    """The 32 characters that are the capability for the upload."""
    identifier: bytes
    """The alarm identifier, raw."""
    created: float
    """Time of the alarm, Unix seconds."""
    parameters: Mapping[str, object]
    """The alarm's parameters, for the device messages of its files."""


@dataclass(frozen=True, slots=True)
class FilesExpected:
    """The device was told to upload recordings by FTP. The gateway opens the door, and decides when all came."""

    command_id: int
    """The command behind it."""
    user: str
    """Login, for this request only."""
    password: str
    """Its password."""
    folder: str
    """Folder the device is told to use, from `/`."""
    address: str
    """`host:port` the device was told."""
    channel: int
    """Logical channel."""
    start: float
    """Begin of what was asked for, Unix seconds."""
    duration: float
    """Its length in seconds."""
    timezone_offset_s: int
    """Offset of the device's clock from UTC, for times in names."""


@dataclass(frozen=True, slots=True)
class FilesSent:
    """The device says that the upload of `FilesExpected` ended."""

    command_id: int
    """Which command."""
    ok: bool
    """Whether it says that everything was uploaded."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Lasting things the device told of itself: audio and video attributes, terminal parameters, properties."""

    topic: str
    """`properties`, `attributes`, `parameters`."""
    values: Mapping[str, object]
    """Named values, JSON-like."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a log record."""

    level: str
    """`info`, `warning` or `error`."""
    event: str
    """Short snake_case name."""
    fields: Mapping[str, object] = field(default_factory=dict)
    """Details."""


@dataclass(frozen=True, slots=True)
class Close:
    """The session asks for its connection to be closed, after what is to be sent was sent."""

    code: int
    """flespi close code: 4 protocol violation, 12 ident collision, 17 inactivity, 18 not integrated, …"""
    reason: str
    """For the log."""


SessionEvent = (
    Identify
    | Reports
    | FileReceived
    | CommandUpdate
    | MediaExpected
    | AttachmentsExpected
    | FilesExpected
    | FilesSent
    | Facts
    | Note
    | Close
)


# --- media news: gateway → session ---------------------------------------------------------------------------------


class MediaNews(Enum):
    """What happened on the media or FTP connections of a command; its procedure decides what to ask next."""

    CONNECTED = "connected"
    """The device opened the media connection."""
    KEY_FRAME = "key_frame"
    """The first decodable picture arrived: the stream or the recording has begun."""
    CLOSED = "closed"
    """The device closed the media connection."""
    FINISHED = "finished"
    """The recording is complete: tell the device to stop, the gateway stores the file."""
    STOPPED = "stopped"
    """Nobody watches any more, or a person stopped it: tell the device to stop."""
    STALLED = "stalled"
    """The recording broke off; `position` says up to when it is whole. Ask once more from there."""


class DeviceSession(Protocol):
    """One signalling connection of a device, without its socket."""

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the socket. Never raises on what a peer sent."""

    def tick(self, now: float) -> None:
        """Let timers run."""

    def next_tick(self) -> float | None:
        """Unix time at which `tick` is due, or None."""

    def events(self) -> Sequence[SessionEvent]:
        """Take the events that have gathered, in order."""

    def data_to_send(self) -> bytes:
        """Take the bytes that have gathered for the device."""

    def accept(self, profile: DeviceProfile, now: float) -> None:
        """The ident belongs to a registered, enabled device."""

    def refuse(self, reason: str, now: float) -> None:
        """The ident is unknown or may not connect; the session answers as its standard says."""

    def reports_stored(self, token: int, ok: bool, now: float) -> None:
        """The batch of `Reports.token` is durable (or could not be stored)."""

    def file_stored(self, token: int, ok: bool, now: float) -> None:
        """The file of `FileReceived.token` is stored (or was refused)."""

    def execute(self, request: CommandRequest, now: float) -> None:
        """Begin a command. Its outcome comes as events; an impossible one fails at once."""

    def cancel(self, command_id: int, now: float) -> None:
        """Nobody wants the command any more; tell the device to stop where the protocol can."""

    def media_event(self, command_id: int, news: MediaNews, now: float, position: float = 0.0) -> None:
        """News from the command's media connection."""
