"""Selectors at work: which items of a kind one names, among those the caller has a right on (selectors.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from itertools import islice

from wayframe.expressions import Environment, Selector
from wayframe.model import NotFound
from wayframe.model.access import Grant

from .entries import CUSTOMER, GROUPS, Entry, compile_text
from .kinds import DeviceKind
from .memory import Memory

_SCAN_SLICE = 10_000
"""Items looked at before other work gets its turn."""

Visible = Callable[[Entry], bool]


async def select(memory: Memory, entity: str, selector: str, cid: int, allowed: Grant, now: float) -> list[Entry]:
    """The items of a kind that a selector names, among those an account may see and a grant covers, by rising id.

    Raises `BadRequest` for a malformed selector, `NotFound` where ids were named and none of them is there (ruling 9).
    """
    compiled, accounts = compile_text(selector), memory.seen(entity, cid)
    few = _by_index(memory, entity, compiled) if compiled.has_conditions else None
    items = memory.of(entity) if few is None else {entry.id: entry for entry in few}
    everyones = _sees_everything(memory, entity, cid, allowed)
    groups = groups_of(memory, accounts) if allowed.groups is not None else ()
    return await choose(items, entity, selector, None if everyones else accounts, allowed, now, groups)


async def select_part(
    memory: Memory, entity: str, selector: str, cid: int, allowed: Grant, now: float, offset: int, limit: int
) -> tuple[list[Entry], int]:
    """`limit` of the items that `select` gives, after the first `offset`, and how many there are in all."""
    if compile_text(selector).is_all and _sees_everything(memory, entity, cid, allowed):
        items = memory.of(entity)
        return list(islice(items.values(), offset, offset + limit)), len(items)
    found = await select(memory, entity, selector, cid, allowed, now)
    return found[offset : offset + limit], len(found)


def _sees_everything(memory: Memory, entity: str, cid: int, allowed: Grant) -> bool:
    """Whether no item of a kind is kept from an account, nor by a grant."""
    return allowed.everything and len(memory.seen(entity, cid)) == len(memory.of(CUSTOMER))


def groups_of(memory: Memory, accounts: Collection[int]) -> frozenset[int]:
    """Groups of these accounts: membership in others' says nothing of a token's rights."""
    return frozenset(entry.id for entry in memory.of(GROUPS).values() if entry.cid in accounts)


async def choose(
    items: Mapping[int, Entry],
    entity: str,
    selector: str,
    accounts: Collection[int] | None,
    allowed: Grant,
    now: float,
    groups: Collection[int] = (),
) -> list[Entry]:
    """The same among these items, which are by rising id. `accounts`: None for all; `groups`: those whose members a
    grant by group covers.

    Rights are applied before selection, so a selector can never widen them (selectors.md 5).
    """
    compiled = compile_text(selector)

    def visible(entry: Entry) -> bool:
        if accounts is not None and entry.cid not in accounts:
            return False
        if allowed.everything:
            return True
        member_of = (group["id"] for group in entry.view.get("groups", ()) if group["id"] in groups)
        return allowed.covers(entry.id, member_of)

    if compiled.ids is None:
        everything = accounts is None and allowed.everything
        return await _scan(items, compiled, None if everything else visible, now)
    named = [items[item_id] for item_id in compiled.ids if item_id in items]
    found = [entry for entry in named if visible(entry)]
    if not found:
        missing = ",".join(str(item_id) for item_id in compiled.ids)
        raise NotFound(f"{entity}: no item {missing}", item_id=compiled.ids[0] if len(compiled.ids) == 1 else None)
    if not compiled.has_conditions:
        return found
    env = Environment(now=now)
    return [entry for entry in found if compiled.matches(entry.view, env)]


def _by_index(memory: Memory, entity: str, compiled: Selector) -> list[Entry] | None:
    """The few items that can have the ident a selector asks for; None where it asks for none."""
    ident, kind = compiled.equalities.get("configuration.ident"), memory.kinds[entity]
    if ident is None or compiled.ids is not None or not isinstance(kind, DeviceKind):
        return None
    return [memory.of(entity)[device_id] for device_id in kind.with_ident(ident)]


async def _scan(items: Mapping[int, Entry], compiled: Selector, visible: Visible | None, now: float) -> list[Entry]:
    """Look at every item, a slice at a time."""
    env = Environment(now=now)
    holds = None if compiled.is_all else compiled.bound(env)
    entries, found = list(items.values()), []
    for start in range(0, len(entries), _SCAN_SLICE):
        if start:
            await asyncio.sleep(0)
        part = entries[start : start + _SCAN_SLICE]
        if visible is not None:
            part = [entry for entry in part if visible(entry)]
        found += part if holds is None else [entry for entry in part if holds(entry.view, env)]
    return found
