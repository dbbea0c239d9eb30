"""Every item in memory: by kind and id, each with the view that the API shows and selectors ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from wayframe.model import Account

from .entries import CUSTOMER, Entry, Item
from .kinds import Kind


class Memory:
    """Entries by kind and id; accounts as families."""

    def __init__(self, kinds: Iterable[Kind[Any]]) -> None:
        self.kinds = {kind.entity: kind for kind in kinds}
        """Every kind, by entity."""
        self._items: dict[str, dict[int, Entry]] = {entity: {} for entity in self.kinds}
        self._families: dict[int, frozenset[int]] = {}

    def place(self, entity: str, item: Item) -> Entry:
        """Put an item in its place, keeping the view object of one that was there."""
        if entity == CUSTOMER:
            self._families.clear()
        kind, entry = self.kinds[entity], self._items[entity].get(item.id)
        if entry is None:
            entry = self._items[entity][item.id] = Entry(item, kind.fresh())
        else:
            kind.displaced(entry.item)
            entry.item = item
        entry.view.update(kind.view(item))
        kind.placed(item)
        return entry

    def drop(self, entity: str, item_id: int) -> None:
        """Forget an item."""
        if entity == CUSTOMER:
            self._families.clear()
        entry = self._items[entity].pop(item_id, None)
        if entry is not None:
            self.kinds[entity].displaced(entry.item)

    def of(self, entity: str) -> Mapping[int, Entry]:
        """All of a kind, by id."""
        return self._items[entity]

    def find(self, entity: str, item_id: int) -> Entry | None:
        """An item by id."""
        return self._items[entity].get(item_id)

    def entries(self, entity: str) -> Iterator[Entry]:
        """Every item of a kind, as of now."""
        return iter(list(self._items[entity].values()))

    def family(self, cid: int) -> frozenset[int]:
        """An account and its descendants (rest-api.md 3.5)."""
        known = self._families.get(cid)
        if known is not None:
            return known
        children: dict[int, list[int]] = {}
        for entry in self._items[CUSTOMER].values():
            assert isinstance(entry.item, Account)
            children.setdefault(entry.item.owner_id, []).append(entry.item.id)
        seen, waiting = set(), [cid]
        while waiting:
            account = waiting.pop()
            if account not in seen:
                seen.add(account)
                waiting.extend(children.get(account, ()))
        family = self._families[cid] = frozenset(seen)
        return family
