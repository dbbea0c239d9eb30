"""Devices, channels, tokens and the account itself: create, read, change, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from wayframe.model import BadRequest, Json, Token
from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.rest.fields import ALIASES, project
from wayframe.services.bin import FIELDS as BIN_FIELDS
from wayframe.services.entries import (
    CUSTOMER,
    DEVICES,
    TOKENS,
    Entry,
)

from .shared import each, paged, projected

_DEFAULT_FIELDS: Mapping[str, tuple[str, ...]] = {
    TOKENS: (
        "id", "key", "info", "enabled", "created", "accessed", "expire", "ttl", "ips", "cid", "metadata", "access",
    ),
    CUSTOMER: ("id", "name", "owner_id", "limits", "counters", "metadata", "created"),
}  # fmt: skip
"""What an item shows without `fields`, where that is not just its retained state."""


def default_fields(call: Call) -> tuple[str, ...]:
    """What an item of the route's entity shows without `fields`."""
    return _DEFAULT_FIELDS.get(call.entity) or call.services.directory.kind(call.entity).shown


def _telemetry(call: Call, entry: Entry) -> Json:
    return call.services.history.telemetry([entry], None)[0]["telemetry"]


def _commands(call: Call, entry: Entry) -> Json:
    type_id = entry.view["device_type_id"]
    return next((view["commands"] for view in call.services.catalogue.type_views() if view["id"] == type_id), [])


def _key(call: Call, entry: Entry) -> Json:
    """The key, for a token of the same account; whoever reaches /platform holds a master token."""
    if "key" in entry.view:
        return entry.view["key"]
    if entry.cid != call.caller.token.cid or not isinstance(entry.item, Token):
        return None
    return call.services.directory.token_key(entry.item)


def _accessed(call: Call, entry: Entry) -> Json:
    assert isinstance(entry.item, Token)
    return call.services.directory.token_used(entry.item)


def _limits(call: Call, entry: Entry) -> Json:
    return call.services.directory.limits.values(entry.id)


def _counters(call: Call, entry: Entry) -> Json:
    return call.services.directory.limits.counters(entry.id)


_COMPUTED: Mapping[tuple[str, str], Callable[[Call, Entry], Json]] = {
    (DEVICES, "telemetry"): _telemetry,
    (DEVICES, "commands"): _commands,
    (TOKENS, "key"): _key,
    (TOKENS, "accessed"): _accessed,
    (CUSTOMER, "limits"): _limits,
    (CUSTOMER, "counters"): _counters,
}
"""Fields that are worked out when somebody asks for them."""

_HIDDEN = ("telemetry_times",)


@lru_cache(maxsize=512)
def _plan(entity: str, paths: tuple[str, ...]) -> tuple[list[str], Mapping[str, Callable[[Call, Entry], Json]], bool]:
    """First parts of field paths, those among them that are computed, and whether a copy of the named fields is all
    there is to do."""
    heads = [name for name in dict.fromkeys(path.partition(".")[0] for path in paths) if name not in _HIDDEN]
    computed = {name: _COMPUTED[entity, name] for name in heads if (entity, name) in _COMPUTED}
    plain = not computed and not any("." in path or path in ALIASES for path in paths)
    return heads, computed, plain


def _shower(call: Call) -> Callable[[Entry], dict[str, Json]]:
    """Shows the asked fields of an item."""
    paths = call.paths(default_fields(call))
    heads, computed, plain = _plan(call.entity, paths)

    def copy(entry: Entry) -> dict[str, Json]:
        known = entry.view
        return {name: known[name] for name in heads if name in known}

    def show(entry: Entry) -> dict[str, Json]:
        known = entry.view
        view: dict[str, Any] = {name: known[name] for name in heads if name in known}
        view["id"] = entry.id
        for name, compute in computed.items():
            if (value := compute(call, entry)) is not None:
                view[name] = value
        return project(view, paths)

    return copy if plain else show


async def read(call: Call) -> Answer:
    """GET: the selected items."""
    page, show = call.page(), _shower(call)
    if page.limit is None:
        return paged(call, await call.entries(), show)
    found, count = await call.services.directory.select_part(
        call.caller, call.entity, call.params[0], call.route.method, page.offset, page.limit
    )
    return Answer([show(entry) for entry in found], pagination=page.told(count))


async def create(call: Call) -> Answer:
    """POST: an array of items, or one."""
    shown = _shower(call)

    async def make(body: dict[str, Json]) -> Json:
        return shown(await call.services.directory.create(call.caller, call.entity, body))

    return await each(call.objects(), make, "item")


async def replace(call: Call) -> Answer:
    """PUT: replace the named top-level fields of every selected item."""
    return await _change(call, await call.entries(), patch=False)


async def merge(call: Call) -> Answer:
    """PATCH: merge into the selected items."""
    return await _change(call, await call.entries(), patch=True)


async def _change(call: Call, entries: Sequence[Entry], *, patch: bool) -> Answer:
    body = call.request.json()
    if not isinstance(body, dict):
        raise BadRequest("the body must be one JSON object with the fields to change")
    said, shown = body, _shower(call)

    async def change(entry: Entry) -> Json:
        written = _written(call, entry, said)
        return shown(await call.services.directory.update(call.caller, call.entity, entry, written, patch=patch))

    return await each(entries, change, "item")


def _written(call: Call, entry: Entry, body: dict[str, Json]) -> dict[str, Json]:
    """A body without what is worked out: nobody writes it, and clients send back what they read. Another key stays."""

    def kept(name: str) -> bool:
        return (call.entity, name) not in _COMPUTED or (name == "key" and body[name] != _key(call, entry))

    return {name: body[name] for name in body if kept(name)}


async def delete(call: Call) -> Answer:
    """DELETE: the selected items, with everything that hangs on them."""

    async def remove(entry: Entry) -> Json:
        await call.services.removal.remove(call.caller, call.entity, entry)
        return {"id": entry.id}

    return await each(await call.entries(), remove, "item")


async def move(call: Call) -> Answer:
    """PUT /cid: give the selected items to another account, the own one or one below it."""
    body = call.request.json()
    cid = body.get("cid") if isinstance(body, dict) and len(body) == 1 else None
    if not isinstance(cid, int) or isinstance(cid, bool):
        raise BadRequest('the body must be {"cid": the id of an account}', schema_hint=["cid"])
    shown, account = _shower(call), cid

    async def change(entry: Entry) -> Json:
        return shown(await call.services.directory.move(call.caller, call.entity, entry, account))

    return await each(await call.entries(), change, "item")


# --- metadata ---------------------------------------------------------------------------------------------------------


async def read_metadata(call: Call) -> Answer:
    """GET /metadata: the free keys of the selected items."""
    return Answer([_metadata(entry) for entry in await call.entries()])


async def replace_metadata(call: Call) -> Answer:
    """PUT /metadata: put other keys in place of all."""
    return await _change_metadata(call, call.request.json(), patch=False)


async def merge_metadata(call: Call) -> Answer:
    """PATCH /metadata: add, change and (by null) remove keys."""
    return await _change_metadata(call, call.request.json(), patch=True)


async def _change_metadata(call: Call, metadata: Json, *, patch: bool) -> Answer:
    async def change(entry: Entry) -> Json:
        body = {"metadata": metadata}
        return _metadata(await call.services.directory.update(call.caller, call.entity, entry, body, patch=patch))

    return await each(await call.entries(), change, "item")


def _metadata(entry: Entry) -> dict[str, Json]:
    return {"id": entry.id, "metadata": entry.view["metadata"]}


# --- the bin ----------------------------------------------------------------------------------------------------------


async def read_deleted(call: Call) -> Answer:
    """GET /platform/deleted/{sel}: what was deleted in the last 30 days."""
    found = await call.services.bin.select(call.caller, call.params[0], call.route.method)
    return projected(call, [entry.view for entry in found], BIN_FIELDS)


async def restore(call: Call) -> Answer:
    """POST /platform/deleted/{sel}/restore: put items back with the ids they had."""

    async def put_back(entry: Entry) -> Json:
        restored = await call.services.bin.restore(call.caller, entry)
        return {"id": restored.id, "origin": entry.view["origin"]}

    found = await call.services.bin.select(call.caller, call.params[0], call.route.method)
    return await each(found, put_back, "item")


async def forget(call: Call) -> Answer:
    """DELETE /platform/deleted/{sel}: gone for good, with the messages that were kept of them."""

    async def forget_one(entry: Entry) -> Json:
        await call.services.removal.forget(entry)
        return {"id": entry.id}

    found = await call.services.bin.select(call.caller, call.params[0], call.route.method)
    return await each(found, forget_one, "item")


# --- the account: one item, selected by who asks ----------------------------------------------------------------------


async def read_customer(call: Call) -> Answer:
    """GET: the acting account."""
    return Answer([_shower(call)(entry) for entry in await call.entries(str(call.caller.cid))])


async def replace_customer(call: Call) -> Answer:
    """PUT: change the acting account."""
    return await _change(call, await call.entries(str(call.caller.cid)), patch=False)


async def merge_customer(call: Call) -> Answer:
    """PATCH: merge into the acting account."""
    return await _change(call, await call.entries(str(call.caller.cid)), patch=True)
