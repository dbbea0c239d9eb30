"""Every item in memory: by kind and id, each with the view that the API shows and selectors ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from wayframe.model import Account

from .entries import CUSTOMER, LIMITS, SUBACCOUNTS, Entry, Item
from .kinds import Kind


class Memory:
    """Entries by kind and id; accounts as families."""

    def __init__(self, kinds: Iterable[Kind[Any]]) -> None:
        self.kinds = {kind.entity: kind for kind in kinds}
        """Every kind, by entity."""
        self._items: dict[str, dict[int, Entry]] = {entity: {} for entity in self.kinds}
        # The same accounts from two sides: their own, and that of those above them.
        self._items[SUBACCOUNTS] = self._items[CUSTOMER]
        self._counts: Counter[tuple[str, int]] = Counter()
        self._families: dict[int, frozenset[int]] = {}
        self.account_changes = 0
        """Counts changes of accounts and limits."""

    def place(self, entity: str, item: Item) -> Entry:
        """Put an item in its place, keeping the view object of one that was there."""
        self._note(entity)
        kind, entry = self.kinds[entity], self._items[entity].get(item.id)
        if entry is not None:
            self._counts[entity, entry.cid] -= 1
        if entry is None:
            items = self._items[entity]
            entry = Entry(item, kind.fresh())
            last = next(reversed(items), 0)
            items[item.id] = entry
            if item.id < last:  # one that was deleted comes back
                ordered = sorted(items.items())
                items.clear()
                items.update(ordered)
        else:
            kind.displaced(entry.item)
            entry.item = item
        entry.view.update(kind.view(item))
        self._counts[entity, entry.cid] += 1
        kind.placed(item)
        return entry

    def _note(self, entity: str) -> None:
        """Something of a kind is about to change."""
        if self._items[entity] is self._items[CUSTOMER]:
            self._families.clear()
            self.account_changes += 1
        elif entity == LIMITS:
            self.account_changes += 1

    def drop(self, entity: str, item_id: int) -> None:
        """Forget an item."""
        self._note(entity)
        entry = self._items[entity].pop(item_id, None)
        if entry is not None:
            self._counts[entity, entry.cid] -= 1
            self.kinds[entity].displaced(entry.item)

    def of(self, entity: str) -> Mapping[int, Entry]:
        """All of a kind, by rising id."""
        return self._items[entity]

    def find(self, entity: str, item_id: int) -> Entry | None:
        """An item by id."""
        return self._items[entity].get(item_id)

    def entries(self, entity: str) -> Iterator[Entry]:
        """Every item of a kind, as of now."""
        return iter(list(self._items[entity].values()))

    def count_of(self, entity: str, cid: int) -> int:
        """How many items of a kind an account and its descendants have."""
        family = self.family(cid)
        if entity == SUBACCOUNTS:
            return len(family) - 1
        return sum(self._counts[entity, account] for account in family)

    def seen(self, entity: str, cid: int) -> frozenset[int]:
        """Accounts whose items of a kind an account may see: its family; as subaccounts, only those below it."""
        return self.family(cid) - {cid} if entity == SUBACCOUNTS else self.family(cid)

    def lineage(self, cid: int) -> list[Account]:
        """An account and those above it, nearest first."""
        found: list[Account] = []
        while (entry := self._items[CUSTOMER].get(cid)) is not None:
            assert isinstance(entry.item, Account)
            found.append(entry.item)
            cid = entry.item.owner_id
        return found

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
