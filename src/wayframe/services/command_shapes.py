"""What goes into a command and comes out: the body of a POST, the command made of it, a queue item as JSON."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from wayframe.model import BadRequest, Command, Json

from .entries import Entry

_DEFAULT_TIMEOUT_S = 30
_DEFAULT_TTL_S = 600


class CommandBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """One command in a POST (rest-api.md 9.1, 9.2)."""

    name: str
    properties: dict[str, Any] = {}
    timeout: Annotated[float, Meta(ge=5, le=60)] | UnsetType = UNSET
    ttl: Annotated[int, Meta(ge=60, le=2_592_000)] | UnsetType = UNSET
    expires: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    max_attempts: Annotated[int, Meta(ge=1, le=10)] = 3
    condition: Annotated[str, Meta(max_length=4096)] = ""
    meta: dict[str, Any] = {}


def new_command(
    command_id: int, entry: Entry, asked: CommandBody, position: int, *, queued: bool, now: float
) -> Command:
    """The command that a body asks for. Raises `BadRequest` where its time would be over at once."""
    if not queued:
        expires = now + (_DEFAULT_TIMEOUT_S if asked.timeout is UNSET else asked.timeout)
    elif asked.expires is not UNSET:
        if asked.expires <= now:
            raise BadRequest(f"`expires` must lie in the future, got {asked.expires}")
        expires = asked.expires
    else:
        expires = now + (_DEFAULT_TTL_S if asked.ttl is UNSET else asked.ttl)
    return Command(
        id=command_id, device_id=entry.id, cid=entry.cid, name=asked.name, properties=asked.properties, queued=queued,
        timestamp=now, expires=expires, position=position, priority=asked.priority, max_attempts=asked.max_attempts,
        condition=asked.condition, meta=asked.meta,
    )  # fmt: skip


def queue_view(command: Command) -> dict[str, Json]:
    """A queue item (rest-api.md 9.2)."""
    return {
        "id": command.id, "device_id": command.device_id, "name": command.name, "properties": command.properties,
        "timestamp": command.timestamp, "expires": command.expires, "position": command.position,
        "priority": command.priority, "max_attempts": command.max_attempts, "attempts": command.attempts,
        "condition": command.condition, "meta": command.meta,
        **({"reason": command.reason} if command.reason else {}),
    }  # fmt: skip


def lane_of(command: Command) -> tuple[object, ...] | None:
    """Playbacks of a channel exclude each other (jt1078.md 4.3); so do two starts of the same live stream."""
    channel = command.properties.get("channel", 0)
    if command.name in ("request_video", "playback_video"):
        return ("playback", channel)
    if command.name == "start_videostream":
        return ("live", channel)
    if command.name == "take_photo":
        return ("photo", channel)
    return None
