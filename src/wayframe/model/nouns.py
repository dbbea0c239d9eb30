"""The nouns of Wayframe as typed, immutable records. Times are Unix seconds, sizes bytes, ids positive integers."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

from msgspec import Struct, field

Json = Any
"""A JSON value: what an API body, a message parameter or stored metadata may hold."""


class OriginType(IntEnum):
    """Kinds of items a log record can belong to, numbered as clients know them (rest-api.md 6.5)."""

    CUSTOMER = 1
    LIMIT = 4
    SUBACCOUNT = 5
    CHANNEL = 9
    DEVICE = 11
    STREAM = 12
    PLUGIN = 25
    GROUP = 31
    TOKEN = 33
    WEBHOOK = 36
    GEOFENCE = 40


class Account(Struct, frozen=True, kw_only=True):
    """A customer or one of its subaccounts."""

    id: int
    """The account's id, `cid` elsewhere."""
    owner_id: int = 0
    """The parent account; 0 for the main one."""
    name: str = ""
    """For people."""
    created: float = 0.0
    """When it was made."""
    metadata: dict[str, Json] = field(default_factory=dict)
    """Free keys."""
    blocked: bool = False
    """A blocked account's tokens and devices are refused, and those of its subaccounts."""
    limit_id: int = 0
    """Limits its parent has given it; 0 for none of its own."""


class AccessType(IntEnum):
    """What a token may reach at all (rest-api.md 3.1)."""

    STANDARD = 0
    MASTER = 1
    ACL = 2


class Token(Struct, frozen=True, kw_only=True):
    """An access key. The key itself is only in `sealed`, encrypted with the node's secret."""

    id: int
    cid: int
    """Account it acts for."""
    info: str = ""
    """For people."""
    enabled: bool = True
    created: float = 0.0
    accessed: float = 0.0
    """Last use."""
    expire: float = 0.0
    """Absolute end, 0 for none."""
    ttl: int = 0
    """Seconds since creation or last use, 0 for none."""
    ips: str = ""
    """Comma list of addresses or networks it may be used from; empty for any."""
    access: dict[str, Json] = field(default_factory=dict)
    """`{"type": 0|1|2, "acl": [...]}`."""
    metadata: dict[str, Json] = field(default_factory=dict)
    digest: bytes = b""
    """Keyed hash of the key, for look-up."""
    sealed: bytes = b""
    """The key, encrypted with the node's secret."""


class Channel(Struct, frozen=True, kw_only=True):
    """A listening point for devices of one protocol."""

    id: int
    cid: int
    name: str = ""
    protocol_id: int
    enabled: bool = True
    configuration: dict[str, Json] = field(default_factory=dict)
    """`unknown_idents`: `refuse` (default) or `create`; `device_type_id` for those; `auth`: `open` or `strict`."""
    messages_ttl: int = 86400
    metadata: dict[str, Json] = field(default_factory=dict)


class Device(Struct, frozen=True, kw_only=True):
    """A registered vehicle unit."""

    id: int
    cid: int
    name: str = ""
    enabled: bool = True
    device_type_id: int
    protocol_id: int
    configuration: dict[str, Json] = field(default_factory=dict)
    """`ident` and what the device type takes; values are strings where possible (rest-api.md 4)."""
    messages_ttl: int = 31536000
    """Seconds a message is kept, from arrival."""
    messages_rotate: int = 0
    """Bytes of messages kept, 0 for no limit."""
    media_ttl: int = 31536000
    """Seconds a file is kept, from upload."""
    media_rotate: int = 0
    """Bytes of files kept; the oldest unprotected go first; 0 for no limit of its own."""
    metadata: dict[str, Json] = field(default_factory=dict)
    created: float = 0.0

    @property
    def ident(self) -> str:
        """The identifier the device presents on the wire; empty if its type has none."""
        return str(self.configuration.get("ident", ""))


class MediaState(StrEnum):
    """How far a stored file is. Only whole files have a row at all."""

    PROCESSING = "processing"
    """Durable, its facts, preview or conversion still to come. Not announced yet."""
    READY = "ready"
    """Playable and announced, or about to be: `announced` tells."""


class MediaFile(Struct, frozen=True, kw_only=True):
    """One file of a device's media store (rest-api.md 8.1)."""

    uuid: str
    """64 upper-case hex characters from 32 random bytes: the capability for its link."""
    device_id: int
    cid: int
    channel_id: int = 0
    """Channel it came over, 0 for uploads."""
    name: str
    """File name shown to people; data, never a path."""
    size: int
    """Bytes of the served file."""
    mime: str
    kind: str
    """`video`, `image`, `tacho`, `audio` or `other`."""
    created: float
    """Recording time on the device."""
    modified: float
    uploaded: float
    """Arrival; retention counts from it."""
    protected: bool = False
    shared: bool = True
    meta: dict[str, Json] = field(default_factory=dict)
    params: dict[str, Json] = field(default_factory=dict)
    state: MediaState = MediaState.PROCESSING
    announced: bool = False
    """True once log and device message are written."""
    blob: str = ""
    """Key of the served bytes in the blob store."""
    preview: str = ""
    """Key of the JPEG preview, empty if there is none."""
    original: str = ""
    """Key of the original before conversion, where the device keeps it."""
    original_size: int = 0
    """Bytes of the kept original; counts against the store."""
    sha256: str = ""
    """Of the served bytes; the ETag."""
    source_sha256: str = ""
    """Of the bytes as they came."""
    message_params: dict[str, Json] = field(default_factory=dict)
    """Extra parameters of the device message that announces it."""
    command_id: int = 0
    """Command that asked for it; completed when the file is ready."""


class CommandStage(StrEnum):
    """Where a command is on its way; the last four are ends."""

    QUEUED = "queued"
    SENT = "sent"
    PROCESSED = "processed"
    EXPIRED = "expired"
    CANCELED = "canceled"

    @property
    def final(self) -> bool:
        """Nothing will happen to it any more."""
        return self in (CommandStage.PROCESSED, CommandStage.EXPIRED, CommandStage.CANCELED)


class Command(Struct, frozen=True, kw_only=True):
    """A command for a device, real-time or queued, and later its result (rest-api.md 9)."""

    id: int
    """Creation time in microseconds."""
    device_id: int
    cid: int
    name: str
    properties: dict[str, Json] = field(default_factory=dict)
    queued: bool = True
    """False for a real-time command."""
    timestamp: float
    """Time of the last change."""
    expires: float
    """After this it is no longer started."""
    position: int = 1
    """Its place in the call that made it."""
    priority: int = 0
    """Higher goes first."""
    max_attempts: int = 3
    attempts: int = 0
    condition: str = ""
    """Expression over the device's telemetry; looked at before each attempt."""
    meta: dict[str, Json] = field(default_factory=dict)
    """Echoed in logs and result."""
    stage: CommandStage = CommandStage.QUEUED
    executed: bool = False
    """Final: whether the device did it."""
    response: Json = None
    """Final: the result."""
    reason: str = ""
    """Final: why not executed, for a person."""


class LogRecord(Struct, frozen=True, kw_only=True):
    """One line of an item's log (rest-api.md 6.5)."""

    timestamp: float
    event_code: int
    origin_type: int
    origin_id: int
    cid: int
    fields: dict[str, Json] = field(default_factory=dict)
    """Everything else, flat."""


class StoredMessage(Struct, frozen=True, kw_only=True):
    """A device message as history holds it."""

    device_id: int
    timestamp: float
    """Device time."""
    server_timestamp: float
    """Arrival."""
    body: bytes
    """The flat JSON object, encoded, without `device.*` (added at reading)."""
    digest: bytes
    """16 bytes of content hash: the same report is stored once (ruling 17)."""


class ConnectionInfo(Struct, frozen=True, kw_only=True):
    """A live connection of a device (rest-api.md 7)."""

    id: int
    channel_id: int
    device_id: int
    ident: str
    source: str
    """`ip:port` of the peer."""
    transport: str = "tcp"
    established: float
    secondary: bool = False
    """True for media, attachment and file transfer connections."""
    meta: Json = None
    """Null for plain ones; `{"mediastream": {...}}` for a live stream."""
