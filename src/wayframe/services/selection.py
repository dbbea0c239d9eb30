"""Selectors at work: which items of a kind one names, among those the caller has a right on (selectors.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from wayframe.expressions import Environment, Selector
from wayframe.model import NotFound
from wayframe.model.access import Grant

from .entries import CUSTOMER, DEVICES, Entry, compile_text
from .kinds import DeviceKind
from .memory import Memory

_SCAN_SLICE = 10_000
"""Items looked at before other work gets its turn."""

Visible = Callable[[Entry], bool]


async def select(memory: Memory, entity: str, selector: str, cid: int, allowed: Grant, now: float) -> list[Entry]:
    """The items a selector names, among those an account may see and a grant covers, by rising id.

    Rights are applied before selection, so a selector can never widen them (selectors.md 5). Raises `BadRequest` for a
    malformed selector, `NotFound` where ids were named and none of them is there (ruling 9).
    """
    compiled = compile_text(selector)
    accounts = memory.family(cid)

    def visible(entry: Entry) -> bool:
        if entry.cid not in accounts:
            return False
        return allowed.everything or allowed.covers(entry.id, (group["id"] for group in entry.view.get("groups", ())))

    items, env = memory.of(entity), Environment(now=now)
    found = _named(memory, entity, compiled)
    if found is None:
        everyone = allowed.everything and len(accounts) == len(memory.of(CUSTOMER))
        return await _scan(items, compiled, None if everyone else visible, env)
    found = [entry for entry in found if visible(entry)]
    if not found and compiled.ids is not None:
        missing = ",".join(str(item_id) for item_id in compiled.ids)
        raise NotFound(f"{entity}: no item {missing}", item_id=compiled.ids[0] if len(compiled.ids) == 1 else None)
    return [entry for entry in found if compiled.matches(entry.view, env)]


def _named(memory: Memory, entity: str, compiled: Selector) -> list[Entry] | None:
    """The few items a selector can mean, found without a scan; None where it takes one."""
    items = memory.of(entity)
    if compiled.ids is not None:
        return [items[item_id] for item_id in sorted(set(compiled.ids)) if item_id in items]
    ident, kind = compiled.equalities.get("configuration.ident"), memory.kinds[entity]
    if ident is not None and entity == DEVICES and isinstance(kind, DeviceKind):
        return [items[item_id] for item_id in kind.with_ident(ident)]
    return None


async def _scan(
    items: Mapping[int, Entry], compiled: Selector, visible: Visible | None, env: Environment
) -> list[Entry]:
    """Look at every item, a slice at a time."""
    wanted = None if compiled.is_all else compiled.predicate(env)
    entries, found = list(items.values()), []
    for start in range(0, len(entries), _SCAN_SLICE):
        if start:
            await asyncio.sleep(0)
        part = entries[start : start + _SCAN_SLICE]
        if visible is not None:
            part = [entry for entry in part if visible(entry)]
        found += part if wanted is None else [entry for entry in part if wanted(entry.view)]
    found.sort(key=lambda entry: entry.id)
    return found
