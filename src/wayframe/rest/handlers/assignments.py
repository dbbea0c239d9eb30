"""What is assigned to groups, streams and plugins: /gw/groups/{sel}/devices/{sel} and the like (rest-api.md 5.4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from wayframe.model import Json, NotFound
from wayframe.model.items import Assignment
from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.rest.fields import project
from wayframe.services import Entry
from wayframe.services.entries import DEVICES, GEOFENCES, PLUGINS, compile_text

from .shared import each, paged, projected

Linked = tuple[Entry, Assignment]
"""An assigned item with its assignment."""


async def read(call: Call) -> Answer:
    """GET: within each selected item, the selected ones of those that are assigned to it."""
    found = [linked for entry in await call.entries() for linked in await _linked(call, entry)]
    return paged(call, found, _shower(call))


async def assign(call: Call) -> Answer:
    """POST: assign; the body may be empty. What is assigned already stays so."""
    await call.entries()  # the right on the group comes first, and is what is missing where both are
    others = await call.services.directory.select(call.caller, call.linked, call.params[1], "GET")
    return await _change(call, lambda entry: _these(others), patch=False)


async def replace(call: Call) -> Answer:
    """PUT: other values for what is assigned."""
    return await _change(call, lambda entry: _assigned(call, entry), patch=False)


async def merge(call: Call) -> Answer:
    """PATCH: merge values."""
    return await _change(call, lambda entry: _assigned(call, entry), patch=True)


async def unassign(call: Call) -> Answer:
    """DELETE: take the selected ones out."""
    assignments, entries = call.services.assignments, await call.entries()
    removed: list[dict[str, Json]] = []
    for entry in entries:
        others = await _assigned(call, entry)
        await assignments.unassign(call.caller, call.entity, entry, call.linked, others)
        removed += [{"id": other.id, f"{_one(call.entity)}_id": entry.id} for other in others]
    if not removed:
        _refuse_ids(call)
    return Answer(removed)


async def device_geofences(call: Call) -> Answer:
    """GET /gw/devices/{sel}/geofences and /geofences/{sel}: what is in a group with a device."""
    accounts = call.services.directory.visible_accounts(call.caller.cid)
    wanted = compile_text(call.params[1] if len(call.params) > 1 else "all")
    found: list[dict[str, Json]] = []
    for device in await call.entries():
        fences = call.services.assignments.grouped_with(DEVICES, device.id, GEOFENCES)
        visible = {fence.id: fence.view for fence in fences if fence.cid in accounts}
        ids = {"device_id": device.id}
        found += [{**visible[each], "geofence_id": each, **ids} for each in wanted.pick(visible).ids]
    return projected(call, found, ("id", "geofence_id", "device_id", "name", "geometry"))


async def _change(call: Call, others: Callable[[Entry], Awaitable[list[Entry]]], *, patch: bool) -> Answer:
    assignments, shown = call.services.assignments, _shower(call)
    body = call.request.json()
    if isinstance(body, list) and len(body) == 1:
        body = body[0]

    async def change(entry: Entry) -> list[Json]:
        chosen = await others(entry)
        made = await assignments.assign(call.caller, call.entity, entry, call.linked, chosen, body, patch=patch)
        return [shown(linked) for linked in zip(chosen, made, strict=True)]

    answer = await each(await call.entries(), change, "item")
    changed = [item for part in answer.result for item in part]
    if not changed and not answer.errors:
        _refuse_ids(call)
    return Answer(changed, answer.errors)


async def _these(others: list[Entry]) -> list[Entry]:
    return others


async def _linked(call: Call, entry: Entry) -> list[Linked]:
    """What is assigned to an item, as far as the second selector names it and the caller may read it."""
    assigned = call.services.assignments.of(call.entity, entry.id, call.linked)
    by_id = {other.id: one for other, one in assigned}
    chosen = await call.services.directory.among(
        call.caller, call.linked, [other for other, _ in assigned], call.params[1]
    )
    return [(other, by_id[other.id]) for other in chosen]


async def _assigned(call: Call, entry: Entry) -> list[Entry]:
    return [other for other, _ in await _linked(call, entry)]


def _shower(call: Call) -> Callable[[Linked], dict[str, Json]]:
    parent, child = _one(call.entity), _one(call.linked)
    default = ["id", f"{parent}_id", f"{child}_id", "name", *(["fields"] if call.entity == PLUGINS else [])]
    paths = call.paths(default)

    def show(linked: Linked) -> dict[str, Json]:
        view: dict[str, Any] = call.services.assignments.view(call.entity, call.linked, *linked)
        return project({name: value for name, value in view.items() if name != "telemetry_times"}, paths)

    return show


def _refuse_ids(call: Call) -> None:
    """Nothing that the second selector names is assigned: an error where it names ids (ruling 9)."""
    if call.params[1].strip()[:1].isdigit():
        raise NotFound(f"{call.linked} {call.params[1]}: not assigned to any of these {call.entity}")


def _one(entity: str) -> str:
    return entity.rpartition("/")[2][:-1]
