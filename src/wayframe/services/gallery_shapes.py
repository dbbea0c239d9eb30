"""What goes into the gallery API and comes out of it: metadata, times, events as JSON (gallery-api.md C2, C3)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from wayframe.model import BadRequest, Json, MediaFile
from wayframe.model.gallery import FRESH, HIDDEN, MEDIA_TYPES, EventCount, EventState, GalleryEvent

from .links import Links

MAX_METADATA = 64 * 1024
"""Bytes of a metadata text."""
_MAX_DEPTH = 32
_LATEST = 253_402_300_799.0
"""The last second of the year 9999."""
STATES: dict[str, tuple[EventState, ...]] = {
    **{str(state): (state,) for state in EventState if state not in HIDDEN},
    "new": FRESH,
    "pulled": (EventState.STORED, EventState.PULLED),
}
"""What a list may be asked for: our states, and as upstream has them `new` and `pulled`, which stand for several."""


class Declared(Struct, frozen=True, kw_only=True):
    """Metadata of an event, taken apart."""

    created: float | None
    """`timestamp` or `created`, Unix seconds; None: neither was given."""
    channel: int
    """Camera channel, 0 for none."""
    meta: dict[str, Json]
    """What describes the recording: the times as they were given, and the channel."""
    params: dict[str, Json]
    """Everything else."""


class EventChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of PATCH on an event."""

    flagged: bool | UnsetType = UNSET
    viewed: bool | UnsetType = UNSET
    name: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class BatchBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST events/batch."""

    ids: Annotated[list[Annotated[str, Meta(min_length=1, max_length=255)]], Meta(min_length=1, max_length=500)]
    """Event ids, or what else names an event of the device."""
    action: Literal["pull", "delete", "flag", "unflag", "view"]


class Registration(Struct, kw_only=True):
    """A JSON body of an upload: an event that is still on the device."""

    name: Annotated[str, Meta(min_length=1, max_length=1024)]
    media_type: str | None = None
    metadata: dict[str, Any] = {}
    size: Annotated[int, Meta(ge=0, le=2**53)] | UnsetType = UNSET
    file_size: Annotated[int, Meta(ge=0, le=2**53)] = 0


def media_type(value: str | None) -> str | None:
    """One of the five, or None for nothing. Raises `BadRequest`."""
    if value is None or value == "":
        return None
    if value not in MEDIA_TYPES:
        raise BadRequest(f"media_type must be one of {', '.join(MEDIA_TYPES)}; got {value[:50]!r}")
    return value


def metadata(text: str) -> dict[str, Json]:
    """A metadata text as an object. Raises `BadRequest`."""
    if not text.strip():
        return {}
    if len(text.encode(errors="replace")) > MAX_METADATA:
        raise BadRequest(f"metadata has more than {MAX_METADATA} bytes")
    try:
        found = msgspec.json.decode(text.encode(errors="replace"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"metadata is not JSON: {error}") from None
    return checked_metadata(found)


def checked_metadata(found: Json) -> dict[str, Json]:
    """A value that must be a metadata object. Raises `BadRequest`."""
    if not isinstance(found, dict):
        raise BadRequest("metadata must be one JSON object")
    if _depth(found) > _MAX_DEPTH:
        raise BadRequest(f"metadata is nested deeper than {_MAX_DEPTH}")
    if len(msgspec.json.encode(found)) > MAX_METADATA:
        raise BadRequest(f"metadata has more than {MAX_METADATA} bytes")
    return found


def _depth(value: Json) -> int:
    level, values = 0, [value]
    while values and level <= _MAX_DEPTH:
        level += 1
        values = [
            member
            for outer in values
            for member in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
        ]
    return level


def declared(found: Mapping[str, Json]) -> Declared:
    """Metadata taken apart (C3). Raises `BadRequest` for a time or channel that is none."""
    meta: dict[str, Json] = {}
    created = None
    for name in ("timestamp", "created"):
        if found.get(name) is not None:
            meta[name] = found[name]
            created = moment(found[name], f"metadata.{name}") if created is None else created
    channel = found.get("channel")
    if channel is not None:
        if not isinstance(channel, int) or isinstance(channel, bool) or not 0 <= channel <= 255:
            raise BadRequest("metadata.channel must be an integer from 0 to 255")
        meta["channel"] = channel
    params = {name: value for name, value in found.items() if name not in meta}
    return Declared(created=created, channel=channel or 0, meta=meta, params=params)


def moment(value: Json, what: str) -> float:
    """A time in ISO 8601 or as Unix seconds. Raises `BadRequest`."""
    seconds = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        try:
            read = datetime.fromisoformat(value.strip())
            seconds = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            pass
    if not 0 <= seconds <= _LATEST:
        raise BadRequest(f"{what} must be a time in ISO 8601 or Unix seconds, got {json.dumps(value)[:60]}")
    return seconds


def iso(seconds: float) -> str:
    """A time as RFC 3339 in UTC with milliseconds."""
    clipped = min(max(seconds, 0.0), _LATEST)
    return datetime.fromtimestamp(clipped, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event_view(event: GalleryEvent, file: MediaFile | None, links: Links, viewer: str) -> dict[str, Json]:
    """An event as the API shows it: the fields of the contract first, ours beside them."""
    shown: dict[str, Json] = {
        "id": event.id, "name": event.name, "media_type": event.media_type, "size": event.size,
        "has_thumbnail": bool(file and file.preview), "created": iso(event.created), "state": str(event.state),
        "flagged": event.flagged, "viewed": viewer in event.viewed_by, "source": str(event.source),
    }  # fmt: skip
    base = f"{links.base}/api/gallery/{event.device_id}/events/{event.id}"
    if event.error:
        shown["error"] = event.error
    if file is None:
        pictured = {"has_thumbnail": True, "thumbnail_url": f"{base}/thumbnail"} if event.thumbnail else {}
        return shown | {"metadata": event.metadata, **pictured}
    link = links.url(file.uuid) if file.shared else f"{base}/file"
    shown |= {
        "uuid": file.uuid, "url": link, "mime": file.mime,
        "metadata": {**event.metadata, **file.meta, **file.params},
        "uploaded": iso(file.uploaded), "protected": file.protected,
    }  # fmt: skip
    if file.preview:
        shown["thumbnail_url"] = f"{link}?preview=jpeg" if file.shared else f"{base}/thumbnail"
    return shown


def stats_view(counts: Iterable[EventCount]) -> dict[str, Json]:
    """The statistics of a device, in both dialects (C2)."""
    listed = list(counts)
    events, fresh = sum(count.events for count in listed), sum(count.fresh for count in listed)
    return {
        "total_events": events,
        "total_size": sum(count.size for count in listed),
        "by_type": {count.media_type: {"count": count.events, "size": count.size} for count in listed},
        "success": True,
        "stats": {
            "totalEvents": events, "newEvents": fresh, "pulledEvents": events - fresh,
            "viewedEvents": sum(count.viewed for count in listed),
            "byMediaType": {count.media_type: count.events for count in listed},
        },
    }  # fmt: skip
