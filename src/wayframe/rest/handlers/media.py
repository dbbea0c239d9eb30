"""The media store of devices: list, annotate, delete. The HTTP door streams uploads itself (rest-api.md 8)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any

from wayframe.model import BadRequest, Json, MediaFile, NotFound, WayframeError
from wayframe.model.query import names, parse
from wayframe.rest import fields
from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.services.history import compiled_filter
from wayframe.services.media import MediaStore
from wayframe.services.media_files import MediaChange
from wayframe.storage import LISTED

from .shared import paged

DEFAULT_FIELDS = (
    "uuid", "url", "name", "size", "mime", "created", "modified", "uploaded", "protected", "shared", "meta", "params",
    "channel_id", "device_id",
)  # fmt: skip
"""A file without `fields`; `preview`, `content` and the hashes only when asked for."""

CHANGES = MediaChange.__struct_fields__
"""What PUT may change."""


# --- list -------------------------------------------------------------------------------------------------------------


async def read(call: Call) -> Answer:
    """GET /gw/devices/{sel}/media: the files of the selected devices in one flat list, oldest first."""
    data = call.request.data()
    asked = parse({name: value for name, value in data.items() if name not in ("fields", "item_type")})
    uuids = None if data.get("uuid") is None else _uuids(data["uuid"])
    media, entries = call.services.media, await call.entries()
    paths = names(data.get("fields")) or call.paths(DEFAULT_FIELDS)
    if not asked.filter and LISTED.issuperset(paths):
        views = await media.columns(
            entries, tuple(dict.fromkeys(paths)), uuids=uuids, from_=asked.from_, to=asked.to, count=asked.count,
            reverse=asked.reverse,
        )  # fmt: skip
        return paged(_paging(call, data), views, lambda view: view)
    files = await media.files(entries, uuids=uuids, from_=asked.from_, to=asked.to, filter_text=asked.filter)
    shown = (files[::-1] if asked.reverse else files)[: asked.count]
    previews: dict[str, dict[str, Json]] = {}
    if any(path.partition(".")[0] == "preview" for path in paths):
        previews = {file.uuid: await with_preview(media, file) for file in shown}

    def show(file: MediaFile) -> dict[str, Json]:
        return fields.project({**media.view(file), **_hashes(file), **previews.get(file.uuid, {})}, paths)

    return paged(_paging(call, data), shown, show)


def _hashes(file: MediaFile) -> dict[str, Json]:
    """What tells two files apart whatever their names: of the bytes that are served, and of those that came."""
    return {"sha256": file.sha256, "source_sha256": file.source_sha256}


async def with_preview(media: MediaStore, file: MediaFile) -> dict[str, Any]:
    """The file object with its preview inside, where the kind has one (rest-api.md 8.6)."""
    view = media.view(file)
    path = media.preview_path(file)
    if path is not None:
        try:
            view["preview"] = {"jpeg": base64.b64encode(await asyncio.to_thread(path.read_bytes)).decode()}
        except FileNotFoundError:
            pass  # deleted between the row and the bytes
    return view


def _paging(call: Call, data: Mapping[str, Json]) -> Call:
    """limit and offset are also taken from `data`."""
    said = {name: str(data[name]) for name in ("limit", "offset") if name in data}
    return call.with_query(said) if said else call


# --- change and delete ------------------------------------------------------------------------------------------------


async def change(call: Call) -> Answer:
    """PUT /gw/devices/{sel}/media: `{"uuid": …, "protected": true}`."""
    body = call.request.json()
    if not isinstance(body, dict) or "uuid" not in body:
        raise BadRequest(
            "the body must be one JSON object with uuid and what to change", schema_hint=["uuid", *CHANGES]
        )
    if unknown := sorted(set(body) - {"uuid", *CHANGES}):
        raise BadRequest(f"unknown field {unknown[0]!r}", schema_hint=["uuid", *CHANGES])
    uuids = _uuids(body["uuid"])
    changes = {name: value for name, value in body.items() if name != "uuid"}
    changed = await call.services.media.update(await call.entries(), uuids, changes, call.caller.said())
    return Answer(list(changed), _missing(uuids, changed))


async def delete(call: Call) -> Answer:
    """DELETE /gw/devices/{sel}/media: by uuid, by filter, or everything where the body says nothing."""
    body = call.data_or_body()
    if unknown := sorted(set(body) - {"uuid", "filter"}):
        # A misspelt uuid must not mean "everything".
        raise BadRequest(f"unknown field {unknown[0]!r}; valid are uuid, filter", schema_hint=["uuid", "filter"])
    uuids = _uuids(body["uuid"]) if "uuid" in body else None
    condition = _condition(body["filter"]) if "filter" in body else ""
    if uuids is not None and condition:
        raise BadRequest("give uuid or filter, not both", schema_hint=["uuid", "filter"])
    entries, by = await call.entries(), call.caller.said()
    deleted = await call.services.media.delete(entries, by=by, uuids=uuids, filter_text=condition)
    return Answer(list(deleted), _missing(uuids or [], deleted))


def _condition(value: Json) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadRequest("filter must be an expression that is not empty")
    compiled_filter(value)
    return value


def _uuids(value: Json) -> list[str]:
    """One uuid or an array of them, in upper case. Raises BadRequest."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed or not all(isinstance(item, str) for item in listed):
        raise BadRequest("uuid must be a text of 64 hex characters, or an array with at least one")
    return list(dict.fromkeys(item.upper() for item in listed))


def _missing(uuids: Sequence[str], found: Sequence[Mapping[str, Json]]) -> list[WayframeError]:
    """An error for each uuid that is not among the found; none was found: 404."""
    present = {str(item.get("uuid")) for item in found}
    return [NotFound(f"no media file {uuid}") for uuid in uuids if uuid not in present]


# --- upload -----------------------------------------------------------------------------------------------------------


async def upload(call: Call) -> Answer:
    """POST /gw/devices/{sel}/media without multipart parts: says what would be right."""
    raise BadRequest("send multipart/form-data with the parts `file` (the bytes) and `data` (JSON text)")
