"""Devices, channels, tokens and the account itself: create, read, change, delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from wayframe.model import BadRequest, Json, Token
from wayframe.model.query import HistoryQuery
from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.rest.fields import project
from wayframe.services.entries import (
    CHANNELS,
    CUSTOMER,
    DEVICES,
    TOKENS,
    Entry,
)

from .shared import each, paged

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


def _nothing(call: Call, entry: Entry) -> Json:
    return {}


_COMPUTED: Mapping[tuple[str, str], Callable[[Call, Entry], Json]] = {
    (DEVICES, "telemetry"): _telemetry,
    (DEVICES, "commands"): _commands,
    (TOKENS, "key"): _key,
    (CUSTOMER, "limits"): _nothing,
    (CUSTOMER, "counters"): _nothing,
}
"""Fields that are worked out when somebody asks for them."""

_HIDDEN = ("telemetry_times",)


def show(call: Call, entry: Entry, paths: Sequence[str]) -> dict[str, Json]:
    """The asked fields of an item."""
    heads = {path.partition(".")[0] for path in paths}
    view: dict[str, Any] = {name: value for name, value in entry.view.items() if name in heads and name not in _HIDDEN}
    view["id"] = entry.id
    for name in heads:
        compute = _COMPUTED.get((call.entity, name))
        if compute is not None and (value := compute(call, entry)) is not None:
            view[name] = value
    return project(view, paths)


def _shower(call: Call) -> Callable[[Entry], dict[str, Json]]:
    paths = call.paths(default_fields(call))
    return lambda entry: show(call, entry, paths)


async def read(call: Call) -> Answer:
    """GET: the selected items."""
    return paged(call, await call.entries(), _shower(call))


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
    shown = _shower(call)

    async def change(entry: Entry) -> Json:
        return shown(await call.services.directory.update(call.caller, call.entity, entry, body, patch=patch))

    return await each(entries, change, "item")


async def delete(call: Call) -> Answer:
    """DELETE: the selected items, with everything that hangs on them."""
    before = _BEFORE_DELETE.get(call.entity)

    async def remove(entry: Entry) -> Json:
        if before is not None:
            await before(call, entry)
        await call.services.directory.delete(call.caller, call.entity, entry)
        return {"id": entry.id}

    return await each(await call.entries(), remove, "item")


async def _clear_device(call: Call, entry: Entry) -> None:
    """Connections first, so that nothing arrives any more; then what was stored."""
    services = call.services
    services.connections.close([entry], "all")
    await services.commands.cancel(call.caller, [entry], "all")
    await services.media.delete([entry])
    await services.history.delete([entry], HistoryQuery())


async def _clear_channel(call: Call, entry: Entry) -> None:
    call.services.connections.close([entry], "all", channels=True)


_BEFORE_DELETE: Mapping[str, Callable[[Call, Entry], Awaitable[None]]] = {
    DEVICES: _clear_device,
    CHANNELS: _clear_channel,
}


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
