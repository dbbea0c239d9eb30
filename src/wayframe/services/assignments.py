"""Assignments: which devices and channels belong to a group, stream or plugin, and what follows from that.

An assignment is written, then both sides' views follow: a device shows its groups, its streams and its plugins, also
those it has by a group. Rights by group (`in-groups`) and selectors (`groups.id=3`, `fields.driver.name=A*`) look
there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from wayframe.model import BadRequest, Forbidden, Json
from wayframe.model.items import Assignment, Plugin
from wayframe.model.log_codes import Log
from wayframe.storage import AssignmentTable

from .bodies import given, merge, parse_body
from .directory import Directory
from .entries import CHANNELS, DEVICES, GEOFENCES, GROUPS, PLUGINS, STREAMS, Caller, Entry
from .item_bodies import LinkBody
from .journal import Journal
from .kinds.streams import check_field_values, effective_values

PAIRS: tuple[tuple[str, str], ...] = (
    (GROUPS, DEVICES),
    (GROUPS, CHANNELS),
    (GROUPS, GEOFENCES),
    (STREAMS, DEVICES),
    (STREAMS, CHANNELS),
    (STREAMS, GROUPS),
    (PLUGINS, DEVICES),
    (PLUGINS, GROUPS),
)
"""What may be assigned: the second to the first."""

_SLICE = 500
"""Items whose views are worked out anew before other work gets its turn."""

Key = tuple[str, int]
"""Entity and id."""


class Assignments:
    """Who belongs to what."""

    def __init__(self, table: AssignmentTable, directory: Directory, journal: Journal) -> None:
        self._table = table
        self._directory = directory
        self._journal = journal
        self._below: dict[Key, dict[Key, Assignment]] = {}
        self._above: dict[Key, dict[Key, Assignment]] = {}
        self._counts: Counter[tuple[Key, str]] = Counter()
        """How many of a kind are assigned to an item: groups are large, and this is asked at every change."""
        self._changing = asyncio.Lock()
        directory.updated = self._parent_changed
        directory.moved = self._moved

    async def load(self) -> None:
        """Read every assignment; one whose item is gone is forgotten."""
        entities = {int(kind.origin): kind.entity for kind in self._directory.kinds()}
        stray = []
        for one in await self._table.all():
            parent = (entities.get(one.parent_type, ""), one.parent_id)
            child = (entities.get(one.child_type, ""), one.child_id)
            if all(key[0] and self._directory.find(*key) is not None for key in (parent, child)):
                self._note(parent, child, one)
            else:
                stray.append(one)
        if stray:
            await self._table.delete(stray)
        for key in [*self._above, *self._below]:
            self._refresh(key)

    # --- asking -------------------------------------------------------------------------------------------------

    def of(self, parent: str, parent_id: int, child: str) -> list[tuple[Entry, Assignment]]:
        """The items of a kind that are assigned to an item, with their assignments."""
        found = []
        for (entity, child_id), one in self._below.get((parent, parent_id), {}).items():
            entry = self._directory.find(entity, child_id) if entity == child else None
            if entry is not None:
                found.append((entry, one))
        return found

    def to(self, child: str, child_id: int, parent: str) -> dict[int, Assignment]:
        """The items of a kind that an item is assigned to, by its own assignment, by id."""
        above = self._above.get((child, child_id), {})
        return {parent_id: one for (entity, parent_id), one in above.items() if entity == parent}

    def grouped_with(self, entity: str, item_id: int, other: str) -> list[Entry]:
        """The items of a kind that are in a group with an item, by rising id."""
        groups = self.to(entity, item_id, GROUPS)
        found = {entry.id: entry for group_id in groups for entry, _ in self.of(GROUPS, group_id, other)}
        return [found[each] for each in sorted(found)]

    def effective(self, entry_id: int, parent: str, child: str = DEVICES) -> dict[int, dict[str, Json]]:
        """The plugins or streams of a device, its own and those of its groups, with the values given; its own win."""
        found: dict[int, dict[str, Json]] = {}
        for group_id in self.to(child, entry_id, GROUPS):
            for parent_id, one in self.to(GROUPS, group_id, parent).items():
                found[parent_id] = {**found.get(parent_id, {}), **one.fields}
        for parent_id, one in self.to(child, entry_id, parent).items():
            found[parent_id] = {**found.get(parent_id, {}), **one.fields}
        return found

    def view(self, parent: str, child: str, entry: Entry, one: Assignment) -> dict[str, Json]:
        """An assigned item with the ids of both (rest-api.md 5.4)."""
        view = {**entry.view, f"{_one(parent)}_id": one.parent_id, f"{_one(child)}_id": one.child_id}
        return {**view, "fields": one.fields} if parent == PLUGINS else view

    def states(self, parent: str, parent_id: int) -> Iterator[tuple[str, dict[int, Json]]]:
        """Retained states below an item: noun of the assigned (`devices`), and each one's state by id."""
        below = self._below.get((parent, parent_id), {})
        for entity, child in PAIRS:
            if entity == parent and below:
                found = {key[1]: self._state(parent, child, one) for key, one in below.items() if key[0] == child}
                yield _noun(child), found

    # --- changing -----------------------------------------------------------------------------------------------

    async def assign(
        self, caller: Caller, parent: str, entry: Entry, child: str, others: Sequence[Entry], body: Json, *, patch: bool
    ) -> list[Assignment]:
        """Assign items to another, or change the values of those that are. Raises `BadRequest`, and `Forbidden` where
        an item is neither of the other's account nor below it: else what an account has would show in its siblings."""
        for other in others:
            if not self._belongs(entry, other):
                raise Forbidden(
                    f"{child} {other.id} is of account {other.cid}, which is neither that of {parent} {entry.id} nor "
                    "below it",
                    item_id=other.id,
                )
        fields = given(parse_body(LinkBody, {} if body is None else body)).get("fields", {})
        async with self._changing:
            made = []
            for other in others:
                known = self._below.get((parent, entry.id), {}).get((child, other.id))
                values = merge(known.fields, fields) if known is not None and patch else fields
                if parent == PLUGINS:
                    assert isinstance(entry.item, Plugin)
                    check_field_values(entry.item, values, complete=True)
                elif values:
                    raise BadRequest(f"an assignment to {parent} takes no `fields`")
                made.append(self._assignment(parent, entry, child, other, values))
            await self._table.put(made)
            for one in made:
                self._note((parent, entry.id), (child, one.child_id), one)
        by = caller.said()
        for other, one in zip(others, made, strict=True):
            self._announce(Log.ASSIGNED, parent, entry, child, other, one, by)
        await self._follow((parent, entry.id), [(child, other.id) for other in others])
        return made

    async def unassign(self, caller: Caller, parent: str, entry: Entry, child: str, others: Sequence[Entry]) -> None:
        """Take items out of another."""
        async with self._changing:
            below = self._below.get((parent, entry.id), {})
            found = [(other, below[child, other.id]) for other in others if (child, other.id) in below]
            await self._table.delete([one for _, one in found])
            for other, _ in found:
                self._forget((parent, entry.id), (child, other.id))
        by = caller.said()
        for other, one in found:
            self._announce(Log.UNASSIGNED, parent, entry, child, other, one, by)
        await self._follow((parent, entry.id), [(child, other.id) for other, _ in found])

    def _belongs(self, entry: Entry, other: Entry) -> bool:
        """Whether something may be assigned to an item, by their accounts."""
        return other.cid in self._directory.visible_accounts(entry.cid)

    async def _moved(self, caller: Caller, entity: str, entry: Entry) -> None:
        """An item is of another account now: what it may not share with others there ends, and names are shown anew."""
        key = (entity, entry.id)
        for parent in list(self._above.get(key, {})):
            holder = self._directory.find(*parent)
            if holder is not None and not self._belongs(holder, entry):
                await self.unassign(caller, parent[0], holder, entity, [entry])
        for child in list(self._below.get(key, {})):
            member = self._directory.find(*child)
            if member is not None and not self._belongs(entry, member):
                await self.unassign(caller, entity, entry, child[0], [member])
        await self._follow(key, list(self._below.get(key, {})))

    async def clear(self, caller: Caller, entity: str, entry: Entry) -> None:
        """Take an item out of everything, and everything out of it: it is about to be deleted."""
        key = (entity, entry.id)
        below, above = dict(self._below.get(key, {})), dict(self._above.get(key, {}))
        if not below and not above:
            return
        async with self._changing:
            await self._table.delete_of(int(self._directory.kind(entity).origin), entry.id)
            for child in below:
                self._forget(key, child)
            for parent in above:
                self._forget(parent, key)
        by = caller.said()
        for child, one in below.items():
            self._announce_keys(Log.UNASSIGNED, key, child, one, by)
        for parent, one in above.items():
            self._announce_keys(Log.UNASSIGNED, parent, key, one, by)
        await self._follow(key, list(below))
        for parent in above:
            self._refresh(parent)

    def _assignment(self, parent: str, entry: Entry, child: str, other: Entry, fields: dict[str, Json]) -> Assignment:
        return Assignment(
            parent_type=int(self._directory.kind(parent).origin), parent_id=entry.id,
            child_type=int(self._directory.kind(child).origin), child_id=other.id, fields=fields,
        )  # fmt: skip

    def _note(self, parent: Key, child: Key, one: Assignment) -> None:
        below = self._below.setdefault(parent, {})
        if child not in below:
            self._counts[parent, child[0]] += 1
        below[child] = one
        self._above.setdefault(child, {})[parent] = one

    def _forget(self, parent: Key, child: Key) -> None:
        if child in self._below.get(parent, {}):
            self._counts[parent, child[0]] -= 1
        for index, first, second in ((self._below, parent, child), (self._above, child, parent)):
            members = index.get(first)
            if members is not None:
                members.pop(second, None)
                if not members:
                    del index[first]

    # --- what follows -------------------------------------------------------------------------------------------

    async def _parent_changed(self, entity: str, entry: Entry) -> None:
        """A group, stream or plugin was changed: whoever shows its name, or values by its fields, follows."""
        if entity in (GROUPS, STREAMS, PLUGINS):
            await self._follow((entity, entry.id), list(self._below.get((entity, entry.id), {})))

    async def _follow(self, parent: Key, children: Iterable[Key]) -> None:
        """Work out anew what a parent and these children show, and what the members of child groups show."""
        affected: dict[Key, None] = {parent: None}
        for child in children:
            affected[child] = None
            if child[0] == GROUPS:  # what a group has, its members have
                affected.update(dict.fromkeys(self._below.get(child, {})))
        for number, key in enumerate(affected, 1):
            self._refresh(key)
            if not number % _SLICE:
                await asyncio.sleep(0)

    def _refresh(self, key: Key) -> None:
        """Work out what an item shows of its assignments."""
        entity, item_id = key
        entry = self._directory.find(entity, item_id)
        if entry is None:
            return
        shown: dict[str, Any] = {}
        view = entry.view
        if "groups" in view:
            shown["groups"] = [self._brief(GROUPS, one, entry.cid) for one in sorted(self.to(entity, item_id, GROUPS))]
        if "streams" in view:
            shown["streams"] = [
                self._brief(STREAMS, one, entry.cid) for one in sorted(self.effective(item_id, STREAMS, entity))
            ]
        if "plugins" in view:
            shown |= self._plugins(entity, item_id, entry.cid)
        for parent, child in PAIRS:
            name = f"{_noun(child)}_count"
            if parent == entity and name in view:
                shown[name] = self._counts[key, child]
        self._directory.set_field(entity, entry, **shown)

    def _plugins(self, entity: str, item_id: int, cid: int) -> dict[str, Json]:
        plugins: list[dict[str, Json]] = []
        fields: dict[str, Json] = {}
        for plugin_id, values in self.effective(item_id, PLUGINS, entity).items():
            entry = self._directory.find(PLUGINS, plugin_id)
            if entry is None:
                continue
            assert isinstance(entry.item, Plugin)
            plugin = entry.item
            effective = effective_values(plugin, values)
            shown = {**self._brief(PLUGINS, plugin_id, cid), "item_type": entry.view["item_type"], "fields": effective}
            plugins.append({**shown, "enabled": plugin.enabled, "priority": plugin.priority})
        # In the order in which they run (plugins.md 2); the later one's values win, as they would in a message.
        plugins.sort(key=lambda shown: (-shown["priority"], shown["id"]))
        for shown in plugins:
            fields |= shown["fields"]
        found: dict[str, Json] = {"plugins": plugins}
        return found | {"plugins_count": len(plugins), "fields": fields} if entity == DEVICES else found

    def _brief(self, entity: str, item_id: int, cid: int) -> dict[str, Json]:
        """What an item of account `cid` shows of a thing it is assigned to: names of accounts above stay theirs."""
        entry = self._directory.find(entity, item_id)
        seen = entry is not None and entry.cid in self._directory.visible_accounts(cid)
        return {"id": item_id, "name": entry.view["name"] if entry is not None and seen else ""}

    # --- announcing ---------------------------------------------------------------------------------------------

    def _announce(
        self, what: Log, parent: str, entry: Entry, child: str, other: Entry, one: Assignment, by: Mapping[str, Json]
    ) -> None:
        self._announce_keys(what, (parent, entry.id), (child, other.id), one, by)

    def _announce_keys(self, what: Log, parent: Key, child: Key, one: Assignment, by: Mapping[str, Json]) -> None:
        entry = self._directory.find(*parent)
        if entry is None:
            return
        state = self._state(parent[0], child[0], one)
        origin = self._directory.kind(parent[0]).origin
        name = f"{_noun(child[0])}/{child[1]}"
        self._journal.log(what, origin, parent[1], entry.cid, {"item_data": state, **state, **by}, topic_name=name)
        shown = state if what is Log.ASSIGNED else None
        self._journal.state(_topic(parent, child), shown, entry.cid)

    @staticmethod
    def _state(parent: str, child: str, one: Assignment) -> dict[str, Json]:
        state: dict[str, Json] = {f"{_one(parent)}_id": one.parent_id, f"{_one(child)}_id": one.child_id}
        return {**state, "fields": one.fields} if parent == PLUGINS else state


def _noun(entity: str) -> str:
    return entity.rpartition("/")[2]


def _one(entity: str) -> str:
    return _noun(entity)[:-1]


def _topic(parent: Key, child: Key) -> str:
    return f"flespi/state/{parent[0]}/{parent[1]}/{_noun(child[0])}/{child[1]}"
