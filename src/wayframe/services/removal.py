"""Removing items with everything that hangs on them, and, after their time in the bin, what was kept of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from wayframe.model import Account

from .assignments import Assignments
from .bin import Bin
from .commands import Commands
from .connections import Connections
from .directory import Directory
from .entries import CHANNELS, CUSTOMER, DEVICES, LIMITS, SUBACCOUNTS, TOKENS, Caller, Entry
from .history import History
from .idents import Idents
from .media import MediaStore
from .settings import DeviceSettings
from .traffic import Traffic

_LAST = (TOKENS, LIMITS)
"""Of an account, what goes after everything else: limits are held by subaccounts."""


class Removal:
    """The verb "delete"."""

    def __init__(
        self,
        *,
        directory: Directory,
        assignments: Assignments,
        bin: Bin,
        connections: Connections,
        commands: Commands,
        media: MediaStore,
        history: History,
        traffic: Traffic,
        settings: DeviceSettings,
        idents: Idents,
    ) -> None:
        self._directory = directory
        self._assignments = assignments
        self._bin = bin
        self._connections = connections
        self._commands = commands
        self._media = media
        self._history = history
        self._traffic = traffic
        self._settings = settings
        self._idents = idents
        bin.came_back = settings.show
        self.clear_account: list[Callable[[int], Awaitable[None]]] = []
        """Called with the id of an account before it goes, for what is no item: its people."""

    async def remove(self, caller: Caller, entity: str, entry: Entry) -> None:
        """Delete an item. A kind that can be restored goes to the bin; of a device, messages and telemetry stay with it
        there, media files are gone at once. Raises `Forbidden`, `NotFound`, `Conflict`."""
        kind = self._directory.kind(entity)
        if entity == DEVICES:
            # Connections first, so that nothing arrives any more; then what was stored.
            self._connections.close([entry], "all")
            await self._settings.hide(caller, entry)
            await self._commands.cancel(caller, [entry], "all")
            await self._media.delete([entry], by=caller.said())
            await self._traffic.forget([entry.id])
            await self._history.save_telemetry()  # what was not written yet would not come back with the device
        elif entity == SUBACCOUNTS:
            await self._empty(caller, entry)
        elif entity == CHANNELS:
            self._connections.close([entry], "all", channels=True)
            await self._idents.forget_channel(entry.id)
        await self._assignments.clear(caller, entity, entry)
        kept = await self._bin.keep(entity, entry) if kind.restorable else None
        try:
            await self._directory.delete(caller, entity, entry)
        except BaseException:
            if kept is not None:  # not deleted, or by somebody else at the same moment
                await self._bin.forget(kept)
            raise

    async def _empty(self, caller: Caller, entry: Entry) -> None:
        """Remove everything an account has, for good, its subaccounts first. It is blocked first, so that nobody adds
        to it meanwhile."""
        await self._directory.update(caller, SUBACCOUNTS, entry, {"blocked": True}, patch=True)
        for child in self._directory.entries(SUBACCOUNTS):
            assert isinstance(child.item, Account)
            if child.item.owner_id == entry.id:
                await self.remove(caller, SUBACCOUNTS, child)
        others = [kind.entity for kind in self._directory.kinds() if kind.entity not in (*_LAST, CUSTOMER, SUBACCOUNTS)]
        for entity in (*others, *_LAST):
            for item in self._directory.entries(entity):
                if item.cid == entry.id:
                    await self.remove(caller, entity, item)
        for kept in self._bin.of_account(entry.id):
            await self.forget(kept)
        for clear in self.clear_account:
            await clear(entry.id)

    async def expire(self) -> None:
        """Remove what was in the bin for 30 days. Called with the upkeep."""
        for entry in self._bin.expired():
            await self.forget(entry)

    async def forget(self, entry: Entry) -> None:
        """Remove a deleted item for good, with what was kept of it."""
        device_id = self._bin.device_id(entry)
        if device_id is not None:
            await self._history.forget(device_id)
            await self._settings.forget(device_id)
        await self._bin.forget(entry)
