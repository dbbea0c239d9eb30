"""The shapes of what the gallery API answers, for OpenAPI. Those of bodies are where bodies are checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from wayframe.model.hooks import HookAction, HookEvent

from .schemas import UserItem

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
MediaType = Literal["image", "video", "audio", "document", "other"]
State = Literal["stored", "pulled", "new", "queued", "pulling", "failed"]


class GalleryError(Struct, kw_only=True):
    """Why a request failed."""

    success: Literal[False]
    error: str
    code: str
    """A word for machines."""


class GalleryDone(Struct, kw_only=True):
    """It is done."""

    success: Literal[True]


class GalleryEventItem(Struct, kw_only=True):
    """An event: one file of a device, here or still there."""

    id: Annotated[str, Meta(pattern="^evt_[0-9a-z]{26}$")]
    name: str
    media_type: MediaType
    size: int
    has_thumbnail: bool
    created: Moment
    """When it was recorded."""
    state: State
    flagged: bool
    viewed: bool
    """By the caller."""
    source: Literal["upload", "presigned", "drop", "harvest", "registered", "device", "command"]
    metadata: dict[str, Any]
    error: str = ""
    """Why the last pull failed."""
    uuid: str = ""
    """Its media file; this and the rest only with bytes."""
    url: str = ""
    thumbnail_url: str = ""
    mime: str = ""
    uploaded: Moment = ""
    protected: bool = False


class DropPaths(Struct, kw_only=True):
    """Folders of this device, as those who write there see them."""

    incoming: str
    thumbnails: str


class GalleryPaths(Struct, kw_only=True):
    """Where files are dropped."""

    success: Literal[True]
    paths: DropPaths


class ChangedEvent(Struct, kw_only=True):
    """An event after a change."""

    success: Literal[True]
    event: GalleryEventItem


class BatchResult(Struct, kw_only=True):
    """What became of one event of a batch."""

    id: str
    """As it was asked for."""
    success: bool
    state: State | Literal[""] = ""
    error: str = ""
    code: str = ""


class BatchResults(Struct, kw_only=True):
    """What became of the events of a batch, in the order of the ids."""

    success: bool
    """Whether each did."""
    results: list[BatchResult]


class UploadedEvent(Struct, kw_only=True):
    """The event of a file that came, or of one that is to be pulled."""

    success: Literal[True]
    eventId: str
    event_id: str
    duplicate: bool = False
    """The same bytes were here under the same name."""
    state: State | Literal[""] = ""


class UploadLink(Struct, kw_only=True):
    """Where the bytes go by PUT, without a token."""

    success: Literal[True]
    upload_url: str
    eventId: str
    expires_at: Moment
    method: Literal["PUT"]
    max_size: int
    thumbnail_upload_url: str = ""


class TypeCount(Struct, kw_only=True):
    """Events of one type."""

    count: int
    size: int
    """Bytes."""


class UpstreamStats(Struct, kw_only=True):
    """The same as upstream counts."""

    totalEvents: int
    newEvents: int
    pulledEvents: int
    viewedEvents: int
    byMediaType: dict[str, int]


class GalleryStats(Struct, kw_only=True):
    """How much a device has to show."""

    total_events: int
    total_size: int
    by_type: dict[str, TypeCount]
    success: Literal[True]
    stats: UpstreamStats


class PulledEvent(Struct, kw_only=True):
    """How far a pull is; `success` only once the bytes are here."""

    success: bool
    eventId: str
    event_id: str
    state: State
    commandId: int = 0
    received: int = 0
    size: int = 0
    error: str = ""


class HostSource(Struct, kw_only=True):
    """The host that files of a device are pulled from, without what opens it."""

    success: Literal[True]
    source: dict[str, Any]


class ScanResult(Struct, kw_only=True):
    """What a look at the device's host found."""

    success: bool
    found: int
    new: int
    error: str = ""


class HarvestStatus(Struct, kw_only=True):
    """How the harvest of a device stands."""

    status: Literal["running", "stopped"]
    isProcessing: bool
    lastRun: Moment | None
    lastError: str | None
    nextRun: Moment | None


class HarvestAnswer(Struct, kw_only=True):
    """How the harvest of a device stands, in the envelope of upstream."""

    success: Literal[True]
    status: HarvestStatus


class HookItem(Struct, kw_only=True):
    """A hook, under the names of upstream's calls and of its rows."""

    id: str
    hookName: str
    eventType: HookEvent
    deviceId: str | None
    """None: the hook is for all devices."""
    actionId: HookAction
    parameters: dict[str, Any]
    enabled: bool
    executionType: Literal["local", "device"]
    created: Moment
    updated: Moment
    hook_name: str
    event_type: HookEvent
    device: str
    action: HookAction


class HookAnswer(Struct, kw_only=True):
    """One hook."""

    success: Literal[True]
    hook: HookItem


class HookList(Struct, kw_only=True):
    """Hooks."""

    success: Literal[True]
    hooks: list[HookItem]


class SessionAnswer(Struct, kw_only=True):
    """A session: a JWT that opens the gallery."""

    success: Literal[True]
    token: str
    expires_at: Moment
    user: UserItem | None
    """Whose it is; null where a platform token asked."""


ANSWERS: tuple[type, ...] = (
    GalleryError, GalleryDone, GalleryEventItem, GalleryPaths, ChangedEvent, BatchResults, UploadedEvent, UploadLink,
    GalleryStats, PulledEvent, HostSource, ScanResult, HarvestAnswer, HookAnswer, HookList, SessionAnswer,
)  # fmt: skip
"""Every named shape."""
