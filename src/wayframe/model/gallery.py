"""Events of the gallery (gallery-api.md): what a device has or had to show, with or without bytes here.

Every media file has one event; an event may also exist before its bytes do: announced by an upload link, or known to
lie on the device.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

from msgspec import Struct, field

from .nouns import Json, MediaFile

MEDIA_TYPES = ("image", "video", "audio", "document", "other")
"""The five types of the contract."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32, lower case."""
_EXTENSIONS = {
    "image": "jpg jpeg png gif webp bmp tiff heic heif",
    "video": "mp4 webm avi mov mkv flv",
    "audio": "mp3 wav ogg m4a aac",
    "document": "pdf doc docx xls xlsx txt md json xml csv log",
}
_TYPE_OF = {extension: kind for kind, names in _EXTENSIONS.items() for extension in names.split()}


class EventState(StrEnum):
    """Where an event stands (gallery-api.md C4)."""

    PENDING = "pending"
    """An upload link was given out; no bytes yet. Hidden."""
    STORED = "stored"
    """The bytes came by themselves."""
    NEW = "new"
    """On the device, not here."""
    QUEUED = "queued"
    """To be pulled."""
    PULLING = "pulling"
    """Being pulled."""
    PULLED = "pulled"
    """The bytes were pulled."""
    FAILED = "failed"
    """The pull was given up; it may be asked for again."""
    DELETED = "deleted"
    """A harvested event that was deleted: hidden, and kept so that the next look at the device does not bring it
    back."""


HIDDEN = (EventState.PENDING, EventState.DELETED)
"""In no list and no count."""
OPEN = (EventState.QUEUED, EventState.PULLING)
"""A pull is wanted."""
FRESH = (EventState.NEW, EventState.QUEUED, EventState.PULLING, EventState.FAILED)
"""Known, and without bytes here: what upstream calls new."""
SORTS = ("created", "name", "size")
"""What lists can be sorted by; a `-` before it turns the order round."""


class EventSource(StrEnum):
    """How an event came to be known."""

    UPLOAD = "upload"
    PRESIGNED = "presigned"
    DROP = "drop"
    HARVEST = "harvest"
    """Found by looking at the device."""
    REGISTERED = "registered"
    """Told by an application, to be pulled."""
    DEVICE = "device"
    """The device sent the file."""
    COMMAND = "command"
    """The device sent the file because a command asked for it."""


class GalleryEvent(Struct, frozen=True, kw_only=True):
    """One event. What its media file says is not repeated here, but for what lists are sorted and counted by."""

    id: str
    """`evt_` and a ULID in lower case."""
    device_id: int
    source: EventSource
    source_key: str
    """Path on the device, or the file name it came under."""
    name: str
    """Base name, as shown while there is no file."""
    media_type: str
    """One of `MEDIA_TYPES`."""
    size: int = 0
    """Bytes of the served file; before there is one, as the device declared it."""
    created: float
    """Recording time; lists are sorted by it."""
    added: float
    """When this row was made."""
    state: EventState
    file_uuid: str = ""
    """Its media file; empty until there are bytes."""
    fingerprint: int = 0
    """First 63 bits of the SHA-256 of the bytes as they came, to find the same file again; 0 without bytes."""
    flagged: bool = False
    viewed_by: list[str] = field(default_factory=list)
    """Who has looked at it: `user:7`, `token:3`."""
    metadata: dict[str, Json] = field(default_factory=dict)
    """As declared before there were bytes; later the file's `meta` and `params` count."""
    thumbnail: str = ""
    """Blob of a thumbnail that came before its media."""
    expires: float = 0.0
    """Pending: end of the upload link. Queued: when the pull is given up. Otherwise 0."""
    not_before: float = 0.0
    """Queued: earliest time of the next attempt."""
    attempts: int = 0
    command_id: int = 0
    """Queued for a device that speaks a protocol: its command."""
    mark: str = ""
    """Pulling: which version of the remote file the bytes so far are of (`size:mtime`)."""
    error: str = ""
    """Why the last attempt failed."""
    pulled_at: float = 0.0

    @property
    def stem(self) -> str:
        """The name without its last extension."""
        return stem(self.name)

    @property
    def visible(self) -> bool:
        """Whether lists and counts know it."""
        return self.state not in HIDDEN


class EventQuery(Struct, frozen=True, kw_only=True):
    """Which events of a device, in which order. Conditions add up."""

    limit: int = 50
    offset: int = 0
    media_type: str | None = None
    states: tuple[EventState, ...] | None = None
    flagged: bool | None = None
    viewer: str = ""
    """Only events that this one has looked at: `user:7`, `token:3`."""
    from_: float | None = None
    to: float | None = None
    """Bounds of the recording time, both inclusive."""
    q: str = ""
    """Part of the name, upper or lower case."""
    sort: str = "-created"
    """One of `SORTS`, with or without `-`. What is equal stands in the order of the ids, the same way round."""

    @property
    def counted(self) -> bool:
        """Whether the counts of a device know how many there are in all."""
        narrow = (self.states, self.flagged, self.from_, self.to)
        return not self.viewer and not self.q and all(condition is None for condition in narrow)


class UploadKey(Struct, frozen=True, kw_only=True):
    """A key by which an upload may be sent again (gallery-api.md C8)."""

    device_id: int
    key: str
    body: str
    """SHA-256 of what came with it, in hex."""
    answer: Json
    """What was answered; None: it was begun, and not answered before a crash."""
    made: float


class EventCount(Struct, frozen=True, kw_only=True):
    """How many visible events of one device and type there are."""

    device_id: int
    media_type: str
    events: int = 0
    size: int = 0
    """Bytes."""
    fresh: int = 0
    """Of these, without bytes here."""
    viewed: int = 0
    """Of these, looked at by anyone."""


def event_id(created: float, entropy: bytes) -> str:
    """`evt_` and a ULID of a time (Unix seconds) and 10 bytes of randomness."""
    number = (int(max(created, 0) * 1000) & (1 << 48) - 1) << 80 | int.from_bytes(entropy[:10])
    return "evt_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def event_of(file: MediaFile) -> GalleryEvent:
    """The event of a file that nobody announced.

    Its id comes from a hash of the uuid, so that it is the same whenever it is made; it says nothing about the uuid.
    """
    return GalleryEvent(
        id=event_id(file.uploaded, hashlib.sha256(f"event of {file.uuid}".encode()).digest()),
        device_id=file.device_id,
        source=EventSource.COMMAND if file.command_id else EventSource.DEVICE,
        source_key=file.name,
        name=file.name,
        media_type=type_of_file(file),
        size=file.size,
        created=file.created,
        added=file.uploaded,
        state=EventState.STORED,
        file_uuid=file.uuid,
        fingerprint=fingerprint(file.source_sha256),
    )


def fingerprint(sha256: str) -> int:
    """63 bits of a SHA-256 in hex, never 0; 0 for an empty text."""
    return int(sha256[:16], 16) >> 1 or 1 if sha256 else 0


def type_of_file(file: MediaFile) -> str:
    """A file's media type: by what its bytes are, then by its name (gallery-api.md C3)."""
    if file.kind in ("image", "video", "audio"):
        return file.kind
    if file.kind == "tacho":
        return "document"
    if file.mime == "application/pdf" or file.mime.startswith("text/"):
        return "document"
    named = type_of_name(file.name)
    # Bytes that are no picture, clip or sound do not become one by their name.
    return named if named == "document" else "other"


def type_of_name(name: str) -> str:
    """A media type by the extension of a name."""
    return _TYPE_OF.get(name.rpartition(".")[2].lower(), "other") if "." in name else "other"


def stem(name: str) -> str:
    """A name without its last extension."""
    before, dot, _ = name.rpartition(".")
    return before if dot and before else name
