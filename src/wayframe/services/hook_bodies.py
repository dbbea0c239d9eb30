"""Hooks as callers write and see them, what their actions need, and templates (gallery-api.md B7)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from wayframe.model import BadRequest, Json
from wayframe.model.gallery import GalleryEvent
from wayframe.model.hooks import Hook, HookAction, HookEvent
from wayframe.model.urls import check_url

from .bodies import Name, parse_body
from .gallery_shapes import iso

HIDDEN = "***"
"""Shown in place of a header's value."""
_MAX_BODY = 64 * 1024
_MAX_RENDERED = 256 * 1024
_TEMPLATE = re.compile(r"\{\{(\w+)\}\}", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
_OURS = ("host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer")
"""Headers that are not a user's to set."""
_EXECUTION = {HookAction.WEBHOOK: "local", HookAction.COMMAND: "device"}
"""`executionType` as upstream has it: where the action takes place."""


class HookBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST and PATCH on /api/hooks."""

    hookName: Annotated[Name, Meta(min_length=1)] | UnsetType = UNSET
    eventType: HookEvent | UnsetType = UNSET
    deviceId: str | int | UnsetType | None = UNSET
    actionId: HookAction | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    executionType: Literal["local", "device"] | UnsetType = UNSET


class WebhookParameters(Struct, forbid_unknown_fields=True, kw_only=True):
    """`parameters` of a webhook."""

    url: str
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    headers: Annotated[dict[str, Annotated[str, Meta(max_length=4096)]], Meta(max_length=20)] = {}
    body: Any = None
    """JSON with templates; None: everything that templates know."""


class CommandParameters(Struct, forbid_unknown_fields=True, kw_only=True):
    """`parameters` of a command."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    properties: dict[str, Any] = {}
    ttl: Annotated[int, Meta(ge=60, le=2_592_000)] = 600


def checked(action: HookAction, parameters: Json, destinations: Collection[str]) -> dict[str, Json]:
    """The parameters of an action, with their defaults. Raises `BadRequest` that names the field."""
    if isinstance(parameters, dict) and "command" in parameters:
        raise BadRequest(
            "`parameters.command`: no shell is run; use actionId webhook with `parameters.url`, or actionId command "
            "with `parameters.name` and `properties`"
        )
    shape: type[WebhookParameters] | type[CommandParameters]
    shape = WebhookParameters if action is HookAction.WEBHOOK else CommandParameters
    try:
        asked = parse_body(shape, parameters)
    except BadRequest as error:
        raise BadRequest(f"`parameters`: {error.reason}", schema_hint=error.schema_hint) from None
    if isinstance(asked, WebhookParameters):
        check_url(asked.url, "parameters.url", allowed=destinations)
        if "{{" in asked.url:
            raise BadRequest("`parameters.url` takes no templates: only `parameters.body` does")
        _check_headers(asked.headers)
    found: dict[str, Json] = msgspec.to_builtins(asked)
    if len(msgspec.json.encode(found)) > _MAX_BODY:
        raise BadRequest(f"`parameters` have more than {_MAX_BODY} bytes")
    return found


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or name.lower() in _OURS:
            raise BadRequest(f"`parameters.headers`: {name[:64]!r} is no header that can be set")
        if not value.isascii() or not value.isprintable():
            raise BadRequest(f"`parameters.headers.{name}` must be one line of ASCII")
        if value == HIDDEN:
            raise BadRequest(f"`parameters.headers.{name}`: values are not shown; send it again whole")


def check_execution(action: HookAction, said: str | UnsetType) -> None:
    """`executionType` says nothing new, but must not say something else. Raises `BadRequest`."""
    if said is not UNSET and said != _EXECUTION[action]:
        raise BadRequest(f"`executionType` of {action} is {_EXECUTION[action]!r}, got {said!r}")


def hook_view(hook: Hook) -> dict[str, Json]:
    """A hook as the API shows it: the names of upstream's calls, and those of its rows beside them."""
    parameters = dict(hook.parameters)
    if parameters.get("headers"):
        parameters["headers"] = dict.fromkeys(parameters["headers"], HIDDEN)
    device = str(hook.device_id) if hook.device_id else ""
    return {
        "id": str(hook.id), "hookName": hook.name, "eventType": hook.event_type, "deviceId": device or None,
        "actionId": hook.action, "parameters": parameters, "enabled": hook.enabled,
        "executionType": _EXECUTION[hook.action], "created": iso(hook.created), "updated": iso(hook.changed),
        "hook_name": hook.name, "event_type": hook.event_type, "device": device, "action": hook.action,
    }  # fmt: skip


# --- templates --------------------------------------------------------------------------------------------------------


def facts(
    kind: HookEvent, device_id: int, event: GalleryEvent | None, *, now: float, base: str, picture: bool, total: int
) -> dict[str, Json]:
    """What the names in templates stand for.

    Args:
        base: scheme and host of links.
        picture: whether the event has a thumbnail.
        total: events pulled since nothing was waiting.
    """
    known: dict[str, Json] = {
        "eventType": kind, "deviceId": str(device_id), "timestamp": iso(now), "date": iso(now)[:10],
    }  # fmt: skip
    if kind is HookEvent.AFTER_ALL_EVENTS_PULLED:
        known["totalProcessed"] = total
    if event is None:
        return known
    link = f"{base}/api/gallery/{device_id}/events/{event.id}"
    return known | {
        "eventId": event.id, "eventPath": event.source_key, "eventName": event.name, "mediaType": event.media_type,
        "hasThumb": picture, "fileSize": event.size, "extension": event.name[len(event.stem) + 1 :].lower(),
        "sourcePath": event.source_key, "localPath": f"{link}/file" if event.file_uuid else "",
        "thumbnailPath": f"{link}/thumbnail" if picture else "",
    }  # fmt: skip


def filled(value: Json, known: Mapping[str, Json]) -> Json:
    """A copy in which texts have their templates filled in; names that are not known stay. Raises `ValueError` where
    it becomes too large."""
    done = _filled(value, known)
    if len(msgspec.json.encode(done)) > _MAX_RENDERED:
        raise ValueError(f"with its templates filled in it has more than {_MAX_RENDERED} bytes")
    return done


def _filled(value: Json, known: Mapping[str, Json]) -> Json:
    if isinstance(value, str):
        return _TEMPLATE.sub(lambda found: _text(known[found[1]]) if found[1] in known else found[0], value)
    if isinstance(value, dict):
        return {name: _filled(member, known) for name, member in value.items()}
    if isinstance(value, list):
        return [_filled(member, known) for member in value]
    return value


def _text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
