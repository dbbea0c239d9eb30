"""The OpenAPI 3.1 description, built from the route table and the shapes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from .gallery_openapi import GALLERY_SECURITY, gallery_components, gallery_paths
from .routes import ROUTES, Route
from .schemas import MEDIA_FILE_POST, TYPES, components

_REF = "#/components/schemas/{name}"
_STATUSES = {
    "400": "Malformed JSON, a field against its rule, a bad selector or expression",
    "401": "Missing, unknown or expired token",
    "403": "The token lacks the right",
    "404": "No such item",
    "429": "Too many requests; Retry-After says when to come back",
}
_WRITING = {
    "408": "The body did not come on",
    "409": "A value that must be unique is taken, or others hold on to the item",
    "413": "The body is too large, or an array of too many objects",
}
_DESCRIPTION = (
    "Video telematics: devices, their media, commands, messages and live video. Every call may carry `x-flespi-cid` "
    "(or the variable `cid`), the account to act as: the own one or one below it; `x-flespi-app` and `x-flespi-trace` "
    "stand in log records of what it does."
)
_SELECTOR = "Selector: all, ids (1,2), field=value, or {expression}; percent-encoded as one segment"
_ERROR = {
    "type": "object",
    "required": ["code", "reason"],
    "properties": {
        "code": {"type": "integer"},
        "reason": {"type": "string"},
        "id": {"type": "integer"},
        "schema_hint": {"type": "array", "items": {"type": "string"}},
    },
}


def openapi(version: str, server: str, routes: Iterable[Route] = ROUTES) -> dict[str, Any]:
    """The whole description. `server` is the public address."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wayframe",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "security": [{"token": []}],
        "paths": paths | _MEDIA_PATHS | gallery_paths(),
        "components": {
            "schemas": {**components(_REF), **gallery_components(), "Error": _ERROR, "Upload": MEDIA_FILE_POST},
            "securitySchemes": {
                **GALLERY_SECURITY,
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "FlespiToken KEY; a bare KEY and Bearer KEY are taken too",
                },
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "tags": [_tag(route)],
        "parameters": _parameters(route),
        "responses": {"200": _success(route), **{status: _failure(text) for status, text in _statuses(route).items()}},
    }
    if route.open:
        operation["security"] = []
    if route.upload:
        operation["requestBody"] = _upload_body()
    elif route.body is not None:
        operation["requestBody"] = _body(route)
    return operation


def _tag(route: Route) -> str:
    """The noun of a route: `devices` of /gw/devices/…, `auth` of /auth/info."""
    root, noun = route.segments[:2]
    return noun if root in ("gw", "platform") and "." not in noun else root


def _operation_id(route: Route) -> str:
    words = [part.strip("{}").replace(".", "-") for part in route.segments]
    return "-".join([route.method.lower(), *words])


def _parameters(route: Route) -> list[dict[str, Any]]:
    named = [part.strip("{}") for part in route.segments if part.startswith("{")]
    shown = {} if route.method == "DELETE" else {"example": "all"}
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "description": _SELECTOR, "schema": _TEXT, **shown}
        for name in named
    ]
    if route.data is not None:
        data = {"application/json": {"schema": _schema(route.data)}}
        found.append({"name": "data", "in": "query", "description": "One JSON object", "content": data})
    elif route.method == "GET" and not route.open and not route.path.endswith(".json"):
        found.append({"name": "fields", "in": "query", "description": "Comma list of (dotted) names", "schema": _TEXT})
        if named:
            found += [{"name": name, "in": "query", "schema": _NATURAL} for name in ("limit", "offset")]
    return found


_TEXT = {"type": "string"}
_NATURAL = {"type": "integer", "minimum": 0}


def _schema(shape: Any) -> dict[str, Any]:
    """A reference for a named shape, a schema for anything else."""
    if shape in TYPES:
        return {"$ref": _REF.format(name=shape.__name__)}
    return msgspec.json.schema(shape)


def _body(route: Route) -> dict[str, Any]:
    one = _schema(route.body)
    schema = {"anyOf": [{"type": "array", "items": one, "minItems": 1}, one]} if route.batch else one
    optional = route.method == "DELETE" or route.linked is not None
    return {"required": not optional, "content": {"application/json": {"schema": schema}}}


def _upload_body() -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "data": {"$ref": _REF.format(name="Upload")},
        },
    }
    encoding = {"data": {"contentType": "application/json"}}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema, "encoding": encoding}}}


def _success(route: Route) -> dict[str, Any]:
    if route.path.endswith(".json"):
        return {"description": "Schemas", "content": {"application/json": {"schema": {"type": "object"}}}}
    item = _schema(route.result) if route.result is not None else {"type": "object"}
    if isinstance(item.get("$ref"), str):
        # With `fields` only a part of an item is shown, so nothing of it is required here.
        item = {"anyOf": [item, {"type": "object"}]}
    envelope = {
        "type": "object",
        "required": ["result"],
        "properties": {
            "result": {"type": "array", "items": item},
            "errors": {"type": "array", "items": {"$ref": _REF.format(name="Error")}},
            "pagination": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
    }
    return {"description": "Done", "content": {"application/json": {"schema": envelope}}}


def _statuses(route: Route) -> dict[str, str]:
    if route.open:
        return {"400": _STATUSES["400"]}
    if route.upload:
        return {**_STATUSES, "413": "The file is over its limit", "507": "The device's store or the disk is full"}
    return _STATUSES if route.method == "GET" else {**_STATUSES, **_WRITING}


def _failure(text: str) -> dict[str, Any]:
    """The answer of an error status."""
    schema = {
        "type": "object",
        "properties": {"errors": {"type": "array", "items": {"$ref": _REF.format(name="Error")}}},
    }
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _link(summary: str, operation_id: str, extra: list[dict[str, Any]]) -> dict[str, Any]:
    uuid = {
        "name": "uuid",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"},
    }
    return {
        "summary": summary,
        "operationId": operation_id,
        "tags": ["media"],
        "security": [{}, {"token": []}],
        "parameters": [uuid, *extra],
        "responses": {
            "200": {"description": "The bytes, or a live playlist"},
            "206": {"description": "A range of the bytes"},
            "304": {"description": "Not modified"},
            "400": _failure("Another form than jpeg or json"),
            "401": _failure("Not shared: send a token"),
            "403": _failure("Not shared, and the token may not read media"),
            "404": _failure("Unknown, deleted or expired, or not the token's to read"),
            "416": _failure("The range lies outside the file"),
            "429": _failure(_STATUSES["429"]),
        },
    }


_PREVIEW = {"name": "preview", "in": "query", "schema": {"type": "string", "enum": ["jpeg", "json"]}}
_SEGMENT = {"name": "segment", "in": "path", "required": True, "schema": {"type": "string"}}
_MEDIA_PATHS: dict[str, Any] = {
    "/media/{uuid}": {
        "get": _link("A file, a live stream, its preview or its JSON form", "get-media-link", [_PREVIEW]),
        "head": _link("The same without the body", "head-media-link", [_PREVIEW]),
    },
    "/media/{uuid}/{segment}": {
        "get": _link("A piece of a live stream, or ll.m3u8 for low latency", "get-media-segment", [_SEGMENT])
    },
}
"""The media links, which the HTTP door serves itself."""
