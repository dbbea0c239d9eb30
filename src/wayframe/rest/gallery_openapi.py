"""The gallery API in OpenAPI 3.1: built from its table of routes, the first lines of their handlers, and the shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from wayframe.model.gallery import MEDIA_TYPES
from wayframe.services.gallery_shapes import BatchBody, EventChange, Registration
from wayframe.services.harvesting import StartBody
from wayframe.services.hook_bodies import HookBody
from wayframe.services.pull_hosts import SourceBody
from wayframe.services.users import LoginBody

from . import gallery_schemas as shapes
from .gallery import GALLERY_ROUTES
from .gallery_calls import GalleryRoute, first_line
from .gallery_hooks import HOOKS_ROUTES
from .gallery_queries import MAX_LIMIT, MAX_SEARCH, ORDERS, STATES

_REF = "#/components/schemas/{name}"
_JSON = "application/json"
_TEXT = {"type": "string"}
_HEADER_TEXT = {"type": "string", "pattern": "^[ -~]{0,255}$"}
_STATUSES = {
    "400": "A variable, field or header against its rule",
    "401": "Missing, unknown or expired token or session",
    "403": "The token lacks the right",
    "404": "No such device or event",
    "409": "Several devices or events go by this name",
    "429": "Too many requests; Retry-After says when to come back",
}
_BODY = {"408": "The body did not come on", "413": "The body is too large"}
_STORING = {
    "409": "Several devices go by this name; or the link or key was used, with other bytes or by somebody right now",
    "413": "The file is over its limit",
    "503": "Files cannot be taken in now",
    "507": "The device's store or the disk is full",
}


@dataclass(frozen=True, slots=True)
class _Shape:
    """What goes into a route, what comes out, and which refusals it has besides those of all."""

    result: Any = shapes.GalleryDone
    body: Any = None
    query: Sequence[Mapping[str, Any]] = ()
    refusals: Mapping[str, str] = field(default_factory=dict)


def _variable(name: str, schema: Mapping[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": _HEADER_TEXT}


_FLAG = {"type": "boolean"}
_TYPE = _variable("media_type", {"type": "string", "enum": list(MEDIA_TYPES)}, "One of the five types")
_EVENTS = (
    _variable("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 50}, "At most so many"),
    _variable("offset", {"type": "integer", "minimum": 0, "default": 0}, "Skip so many"),
    _TYPE,
    _variable("state", {"type": "string", "enum": list(STATES)}, "Our states or upstream's; viewed: by the caller"),
    _variable("flagged", _FLAG, "Only flagged, or only others"),
    _variable("from", _TEXT, "Earliest recording time: ISO 8601 or Unix seconds"),
    _variable("to", _TEXT, "Latest recording time"),
    _variable("q", {"type": "string", "maxLength": MAX_SEARCH}, "Part of the name, in upper or lower case"),
    _variable("sort", {"type": "string", "enum": list(ORDERS), "default": "-created"}, "Order; `-` turns it round"),
)
_LINK = (
    {**_variable("filename", {"type": "string", "minLength": 1}, "Name of the file that will come"), "required": True},
    _variable("thumbnail", _FLAG, "Whether a link for a thumbnail is wanted too"),
    _TYPE,
    _variable("expires", {"type": "integer", "minimum": 10, "maximum": 604_800}, "Seconds the links are good"),
)
_WAIT = _variable("wait", {"type": "number", "minimum": 0, "maximum": 60}, "Seconds to wait for the bytes")
_KEY = _header("Idempotency-Key", "Sent again with this key within a day, the upload has the same answer")
_DIGESTS = (
    _header("Content-Digest", "SHA-256 of the whole body, as RFC 9530 has it"),
    _header("X-Checksum-SHA256", "SHA-256 of the file, in hex"),
)
_NO_SOURCE = {"422": "Nothing says where the bytes are"}
_SHAPES: dict[tuple[str, str], _Shape] = {
    ("GET", "paths"): _Shape(shapes.GalleryPaths),
    ("GET", "events"): _Shape(list[shapes.GalleryEventItem], query=_EVENTS),
    ("POST", "events/batch"): _Shape(shapes.BatchResults, BatchBody),
    ("GET", "events/{event}"): _Shape(shapes.GalleryEventItem),
    ("PATCH", "events/{event}"): _Shape(shapes.ChangedEvent, EventChange),
    ("POST", "upload"): _Shape(
        shapes.UploadedEvent,
        Registration,
        (_KEY, *_DIGESTS),
        {**_STORING, "415": "Neither a form nor JSON", "422": "The key came with something else before"},
    ),
    ("GET", "upload-url"): _Shape(shapes.UploadLink, query=_LINK, refusals={"507": _STORING["507"]}),
    ("GET", "stats"): _Shape(shapes.GalleryStats),
    ("POST", "pull/{event}"): _Shape(shapes.PulledEvent, query=(_WAIT,), refusals=_NO_SOURCE),
    ("GET", "source"): _Shape(shapes.HostSource),
    ("PUT", "source"): _Shape(shapes.HostSource, SourceBody),
    ("POST", "scan"): _Shape(shapes.ScanResult, refusals=_NO_SOURCE),
    ("POST", "start"): _Shape(body=StartBody),
    ("GET", "status"): _Shape(shapes.HarvestAnswer),
}
"""Routes that have more to say than that it is done."""
_DEVICE = _variable("device", _TEXT, "Only hooks that events of this device go to")
_NO_SUCH = {"404": "No such hook or device"}
_HOOKS: dict[tuple[str, str], _Shape] = {
    ("GET", ""): _Shape(shapes.HookList, query=(_DEVICE,)),
    ("GET", "events/{eventType}"): _Shape(shapes.HookList, query=(_DEVICE,)),
    ("POST", ""): _Shape(shapes.HookAnswer, HookBody),
    ("PATCH", "{hook}"): _Shape(shapes.HookAnswer, HookBody),
}
_BODIES: tuple[type, ...] = (EventChange, BatchBody, Registration, SourceBody, StartBody, HookBody, LoginBody)


def gallery_components() -> dict[str, Any]:
    """The JSON schemas of the gallery's shapes, by name."""
    _, found = msgspec.json.schema_components((*shapes.ANSWERS, *_BODIES), ref_template=_REF)
    return found


GALLERY_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A token, or a session"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A token"},
}
"""Ways to say who asks, besides `token`; for the gallery only."""


def gallery_paths() -> dict[str, Any]:
    """Every path of the gallery API."""
    paths: dict[str, Any] = {}
    for route in GALLERY_ROUTES:
        paths.setdefault(f"/api/gallery/{{device}}/{route.path}", {})[route.method.lower()] = _operation(route)
    for hook in HOOKS_ROUTES:
        path = "/".join(filter(None, ("/api/hooks", hook.path)))
        shape = _HOOKS.get((hook.method, hook.path), _Shape())
        good = {"200": _done(shape)}
        statuses = {**_statuses(hook.method, shape), **_NO_SUCH}
        paths.setdefault(path, {})[hook.method.lower()] = _described(
            hook.method, path, first_line(hook.handler), shape, {**good, **_refusals(statuses)}
        )
    return paths | _OWN_PATHS


def _operation(route: GalleryRoute) -> dict[str, Any]:
    shape = _SHAPES.get((route.method, route.path), _Shape())
    answers = {**_good(route, shape), **_refusals(_statuses(route.method, shape))}
    path = f"/api/gallery/{{device}}/{route.path}"
    operation = _described(route.method, path, route.summary, shape, answers)
    if route.path == "upload":
        operation["requestBody"] = _upload_body(shape.body)
    return operation


def _described(method: str, path: str, summary: str, shape: _Shape, answers: Mapping[str, Any]) -> dict[str, Any]:
    words = [part.strip("{}") for part in path.split("/")[2:] if part != "{device}"]
    operation: dict[str, Any] = {
        "summary": summary,
        "operationId": "-".join([method.lower(), *words]),
        "tags": ["gallery"],
        "security": [{"token": []}, {"bearer": []}, {"key": []}],
        "parameters": [*_named(method, path), *shape.query],
        "responses": answers,
    }
    if shape.body is not None:
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": _schema(shape.body)}}}
    return operation


_NAMED = {
    "device": ("Id, ident or metadata.gallery_id of a device", "device123"),
    "event": ("Id of an event, uuid of its file, or its name where that is its alone", "example.txt"),
    "hook": ("Id of a hook", "1"),
    "eventType": ("What hooks wait for", "after_event_created"),
}
"""Variables of paths, with an example."""


def _named(method: str, path: str) -> list[dict[str, Any]]:
    """The variables of the path; deletions have no example, so that trying examples out deletes nothing."""
    return [
        {"name": name, "in": "path", "required": True, "description": _NAMED[name][0], "schema": _TEXT}
        | ({} if method == "DELETE" else {"example": _NAMED[name][1]})
        for name in (part.strip("{}") for part in path.split("/") if part.startswith("{"))
    ]


def _good(route: GalleryRoute, shape: _Shape) -> dict[str, Any]:
    if route.handler is None:
        return {
            "200": {"description": "The bytes"},
            "206": {"description": "A range of the bytes"},
            "304": {"description": "Not modified"},
            "416": {"description": "The range lies outside the file"},
        }
    done = _done(shape)
    if route.path == "events":
        done["headers"] = {
            "X-Total-Count": {"description": "Events that fit in all, where that is known", "schema": _TEXT},
            "Link": {"description": "The next page, rel=next, if there is one", "schema": _TEXT},
        }
    if route.path.startswith("pull/"):
        return {"200": done, "202": {**done, "description": "The bytes are not here yet"}}
    return {"200": done}


def _done(shape: _Shape) -> dict[str, Any]:
    return {"description": "Done", "content": {_JSON: {"schema": _schema(shape.result)}}}


def _statuses(method: str, shape: _Shape) -> dict[str, str]:
    writes = method in ("POST", "PUT", "PATCH")
    return {**_STATUSES, **(_BODY if writes else {}), **shape.refusals}


def _refusals(statuses: Mapping[str, str]) -> dict[str, Any]:
    content = {_JSON: {"schema": _schema(shapes.GalleryError)}}
    return {status: {"description": text, "content": content} for status, text in statuses.items()}


def _schema(shape: Any) -> dict[str, Any]:
    if shape in shapes.ANSWERS or shape in _BODIES:
        return {"$ref": _REF.format(name=shape.__name__)}
    return {"type": "array", "items": _schema(shape.__args__[0])}


def _upload_body(registration: Any) -> dict[str, Any]:
    binary = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "required": ["name", "event"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "description": "File name of the event"},
            "event": {**binary, "description": "The media"},
            "thumbnail": {**binary, "description": "A picture of it"},
            "media_type": {"type": "string", "enum": list(MEDIA_TYPES)},
            "has_thumbnail": {"type": "string", "description": "Taken, and ignored"},
            "metadata": {"type": "string", "description": "A JSON object, 64 KiB at most"},
        },
    }
    content = {"multipart/form-data": {"schema": form}, _JSON: {"schema": _schema(registration)}}
    return {"required": True, "content": content}


def _session_path(what: str, summary: str, *, body: Any = None, asks: bool) -> dict[str, Any]:
    kept = ("400", "401", "403", "429")
    operation = {
        "summary": summary,
        "operationId": f"post-auth-{what}",
        "tags": ["gallery"],
        "security": [{"token": []}, {"bearer": []}, {"key": []}] if asks else [],
        "responses": {
            "200": {"description": "A session", "content": {_JSON: {"schema": _schema(shapes.SessionAnswer)}}},
            **_refusals({**{status: _STATUSES[status] for status in kept}, **_BODY}),
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": _schema(body)}}}
    return {"post": operation}


_OWN_PATHS: dict[str, Any] = {
    "/api/auth/login": _session_path("login", "Log in with a password.", body=LoginBody, asks=False),
    "/api/auth/refresh": _session_path("refresh", "A new session for one that is still good.", asks=True),
    "/api/auth/session": _session_path("session", "A session with the rights of a platform token.", asks=True),
    "/upload/{link}": {
        "put": {
            "summary": "Fill an upload link with the raw bytes of its file.",
            "operationId": "put-upload-link",
            "tags": ["gallery"],
            "security": [],
            "parameters": [{"name": "link", "in": "path", "required": True, "schema": _TEXT}, *_DIGESTS],
            "requestBody": {
                "required": True,
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            },
            "responses": {
                "200": {
                    "description": "Stored, now or before",
                    "content": {_JSON: {"schema": _schema(shapes.UploadedEvent)}},
                },
                **_refusals(
                    {
                        "400": "The bytes are none, or others than announced",
                        "403": "The link was not made here, or was altered",
                        "404": "The file was deleted meanwhile",
                        "408": _BODY["408"],
                        "410": "The link is over its time, or its event is gone",
                        **_STORING,
                    }
                ),
            },
        }
    },
}
"""Paths that stand for no device."""
