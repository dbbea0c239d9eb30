"""The bin: deleted items lie there for 30 days and can be restored (rest-api.md 3.5)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from wayframe.model import Clock, NotFound
from wayframe.model.items import DeletedItem
from wayframe.model.log_codes import ORIGINS
from wayframe.storage import ItemTable

from .directory import Directory
from .entries import DELETED, DEVICES, Caller, Entry
from .selection import choose

KEEP_S = 30 * 86_400
FIELDS = ("id", "cid", "type", "item_id", "origin", "name", "deleted", "expires")
"""What the bin shows without `fields`; `data` is the whole record."""


class Bin:
    """Deleted items, in memory and in the database."""

    def __init__(self, table: ItemTable[DeletedItem], directory: Directory, clock: Clock) -> None:
        self._table = table
        self._directory = directory
        self._clock = clock
        self._items: dict[int, Entry] = {}
        self.came_back: Callable[[Entry], None] = lambda entry: None
        """Called for a device that was restored: what was kept beside it is told again."""

    async def load(self) -> None:
        """Read the bin. What is there and not deleted (a crash between the two steps) does not belong in it."""
        for item in await self._table.all():
            if self._directory.find(ORIGINS[item.type], item.item_id) is None:
                self._place(item)
            else:
                await self._table.delete([item.id])

    def _place(self, item: DeletedItem) -> Entry:
        view = {name: getattr(item, name) for name in item.__struct_fields__}
        view |= {"origin": f"{ORIGINS[item.type]}/{item.item_id}", "expires": item.deleted + KEEP_S}
        entry = self._items[item.id] = Entry(item, view)
        return entry

    async def keep(self, entity: str, entry: Entry) -> Entry:
        """Put an item in the bin; it is about to be deleted. Returns it as it lies there."""
        data = msgspec.to_builtins(entry.item)
        if "last_active" in entry.view:
            data["last_active"] = entry.view["last_active"]
        item = DeletedItem(
            id=0, cid=entry.cid, type=int(self._directory.kind(entity).origin), item_id=entry.id,
            name=data.get("name", ""), deleted=self._clock.now(), data=data,
        )  # fmt: skip
        return self._place(await self._table.insert(item))

    async def select(self, caller: Caller, selector: str, method: str) -> list[Entry]:
        """The deleted items a selector names. Raises `BadRequest`, `Forbidden`, `NotFound`."""
        allowed = self._directory.granted(caller, DELETED, method)
        accounts = self._directory.visible_accounts(caller.cid)
        return await choose(self._items, DELETED, selector, accounts, allowed, self._clock.now())

    async def restore(self, caller: Caller, entry: Entry) -> Entry:
        """Put an item back as it was, with the id it had; not what was assigned to it, nor its media files.

        Raises `Conflict` where something that must be unique is taken by now, `BadRequest` where it is against a rule
        that has changed, `NotFound` where somebody else restored it.
        """
        item = entry.item
        assert isinstance(item, DeletedItem)
        if self._items.pop(item.id, None) is None:
            raise NotFound(f"{DELETED}: no item {item.id}", item_id=item.id)
        try:
            restored = await self._directory.put_back(ORIGINS[item.type], item.data, caller.said())
        except BaseException:
            self._items[item.id] = entry
            raise
        await self._table.delete([item.id])
        if ORIGINS[item.type] == DEVICES:
            self.came_back(restored)
        return restored

    def expired(self) -> list[Entry]:
        """Items whose 30 days are over."""
        now = self._clock.now()
        return [entry for entry in self._items.values() if entry.view["expires"] <= now]

    def of_account(self, cid: int) -> list[Entry]:
        """The deleted items of one account."""
        return [entry for entry in self._items.values() if entry.cid == cid]

    async def forget(self, entry: Entry) -> None:
        """An item is gone for good."""
        self._items.pop(entry.id, None)
        await self._table.delete([entry.id])

    @staticmethod
    def device_id(entry: Entry) -> int | None:
        """The id of the device that a deleted item was; None for other kinds."""
        item = entry.item
        assert isinstance(item, DeletedItem)
        return item.item_id if ORIGINS[item.type] == DEVICES else None
