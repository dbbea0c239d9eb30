"""Hooks of the gallery: what is done when something happens to an event (gallery-api.md B7, C12)."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field

from .nouns import Json


class HookEvent(StrEnum):
    """What hooks wait for, under upstream's names."""

    BEFORE_EVENT_PULL = "before_event_pull"
    AFTER_FILE_DOWNLOADED = "after_file_downloaded"
    AFTER_EVENT_PULLED = "after_event_pulled"
    AFTER_ALL_EVENTS_PULLED = "after_all_events_pulled"
    """Nothing of the device waits to be pulled any more."""
    AFTER_EVENT_CREATED = "after_event_created"
    AFTER_EVENT_DELETED = "after_event_deleted"
    AFTER_GALLERY_START = "after_gallery_start"
    AFTER_GALLERY_STOP = "after_gallery_stop"


class HookAction(StrEnum):
    """What a hook does."""

    WEBHOOK = "webhook"
    """Sends an HTTP request."""
    COMMAND = "command"
    """Queues a command for the device."""


class Hook(Struct, frozen=True, kw_only=True):
    """One hook. It may do what whoever changed it last may do."""

    id: int
    cid: int
    """Account it was made in."""
    device_id: int = 0
    """Device it is for; 0: every device its maker may write the media of."""
    name: str
    event_type: HookEvent
    action: HookAction
    parameters: dict[str, Json]
    """What the action needs, as checked when it was written."""
    enabled: bool = True
    made_by: int
    """Token of whoever changed it last; a person's is negative."""
    created: float
    changed: float


class HookCall(Struct, frozen=True, kw_only=True):
    """One thing that happened, on its way to one hook."""

    id: int
    hook_id: int
    device_id: int
    facts: dict[str, Json] = field(default_factory=dict)
    """What the names in templates stand for."""
    made: float
    not_before: float = 0.0
    """Earliest time of the next attempt."""
    attempts: int = 0
    error: str = ""
    """Why the last attempt failed."""
