"""Idents seen on channels: which devices came over one, and who knocked that nobody registered (rest-api.md 5.1).

Kept in memory and written every few seconds. A device's stay as long as the device; of the others a channel remembers
the last thousand, so that nobody fills the house by knocking.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from wayframe.model import Clock, Ids, Json
from wayframe.model.items import SeenIdent
from wayframe.storage import IdentTable

from .connections import Connections
from .directory import Directory
from .entries import CHANNELS, Entry
from .rules import packets_ttl
from .traffic import Traffic

_STRANGERS = 1000
"""Idents without a device that a channel remembers; the one that knocked longest ago makes room."""
_SLICE = 500
"""Idents shown before other work gets its turn."""


class Idents:
    """Who came over which channel."""

    def __init__(
        self,
        table: IdentTable,
        directory: Directory,
        connections: Connections,
        traffic: Traffic,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._table = table
        self._directory = directory
        self._connections = connections
        self._traffic = traffic
        self._clock = clock
        self._ids = ids
        self._devices: dict[int, dict[str, SeenIdent]] = {}
        self._strangers: dict[int, OrderedDict[str, SeenIdent]] = {}
        self._changed: dict[int, SeenIdent] = {}
        self._gone: set[int] = set()

    # --- life -------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read what was seen before; what belongs to a channel or device that is gone is forgotten."""
        for one in await self._table.all():
            entry = self._directory.device(one.device_id)
            if self._directory.find(CHANNELS, one.channel_id) is None or (one.device_id and entry is None):
                self._gone.add(one.id)
            elif entry is not None:
                self._devices.setdefault(one.channel_id, {})[one.ident] = one
                entry.view["channels"] = _with(entry, one.channel_id)
            else:
                self._strangers.setdefault(one.channel_id, OrderedDict())[one.ident] = one

    async def save(self) -> None:
        """Write what changed. Called every few seconds, and at the end."""
        changed, self._changed = self._changed, {}
        gone, self._gone = self._gone, set()
        try:
            await self._table.save(list(changed.values()), sorted(gone))
        except BaseException:
            self._changed = {**changed, **self._changed}
            self._gone |= gone
            raise
        if gone:
            await self._traffic.forget([-one for one in gone])

    # --- from the gateway -------------------------------------------------------------------------------------------

    def knocked(self, channel_id: int, ident: str, source: str) -> SeenIdent:
        """An ident that is no device came over a channel; the record of it."""
        strangers = self._strangers.setdefault(channel_id, OrderedDict())
        known = strangers.get(ident) or self._devices.get(channel_id, {}).pop(ident, None)
        one = strangers[ident] = self._seen(known, channel_id, ident, source, 0)
        strangers.move_to_end(ident)
        while len(strangers) > _STRANGERS:
            self._forget(strangers.popitem(last=False)[1])
        return one

    def came(self, channel_id: int, entry: Entry, source: str, spellings: Iterable[str] = ()) -> None:
        """A device came over a channel. `spellings`: how its ident may have been written when nobody knew it yet."""
        devices, strangers = self._devices.setdefault(channel_id, {}), self._strangers.get(channel_id, OrderedDict())
        ident = entry.device.ident
        known = devices.get(ident) or strangers.pop(ident, None)
        for other in spellings:
            if other in strangers:
                self._forget(strangers.pop(other))
        devices[ident] = self._seen(known, channel_id, ident, source, entry.id)
        self._directory.set_device_field(entry, "channels", _with(entry, channel_id))

    def _seen(self, known: SeenIdent | None, channel_id: int, ident: str, source: str, device_id: int) -> SeenIdent:
        now = self._clock.now()
        if known is None:
            one = SeenIdent(
                id=self._ids.next(), channel_id=channel_id, ident=ident, device_id=device_id, source=source, seen=now
            )
        else:
            one = replace(known, device_id=device_id, source=source, seen=now)
        self._changed[one.id] = one
        return one

    def _forget(self, one: SeenIdent) -> None:
        self._changed.pop(one.id, None)
        self._gone.add(one.id)

    async def forget_channel(self, channel_id: int) -> None:
        """A channel is about to go."""
        gone = list(self.of(channel_id))
        self._devices.pop(channel_id, None)
        self._strangers.pop(channel_id, None)
        for number, one in enumerate(gone, 1):
            if not number % _SLICE:
                await asyncio.sleep(0)
            self._forget(one)
            entry = self._directory.device(one.device_id)
            if entry is not None:
                left = [shown for shown in entry.view["channels"] if shown["id"] != channel_id]
                self._directory.set_device_field(entry, "channels", left)

    # --- asking -----------------------------------------------------------------------------------------------------

    def of(self, channel_id: int) -> Iterator[SeenIdent]:
        """What came over a channel."""
        yield from self._devices.get(channel_id, {}).values()
        yield from self._strangers.get(channel_id, {}).values()

    def device_ids(self, channel_ids: Iterable[int]) -> set[int]:
        """Devices that came over these channels; some may be deleted by now."""
        return {one.device_id for channel_id in channel_ids for one in self._devices.get(channel_id, {}).values()}

    async def views(self, channels: Sequence[Entry]) -> list[dict[str, Json]]:
        """Idents of channels as the API shows them, in the order in which they came first."""
        live = self._live({entry.id for entry in channels})
        found: list[dict[str, Json]] = []
        for channel in channels:
            accounts = self._directory.visible_accounts(channel.cid)
            protocol_id = channel.view["protocol_id"]
            for number, one in enumerate(list(self.of(channel.id)), 1):
                if not number % _SLICE:
                    await asyncio.sleep(0)
                device = self._directory.device_by_ident(protocol_id, (one.ident,))
                if device is not None and device.cid not in accounts:
                    device = None
                found.append(_view(one, device, live.get((channel.id, device.id), []) if device is not None else []))
        found.sort(key=lambda view: view["id"])
        return found

    def _live(self, channel_ids: set[int]) -> dict[tuple[int, int], list[float]]:
        """Since when connections of devices are open, by channel and device."""
        found: dict[tuple[int, int], list[float]] = {}
        for info in (connection.info for connection in self._connections.all()):
            if info.channel_id in channel_ids:
                found.setdefault((info.channel_id, info.device_id), []).append(info.established)
        return found

    async def expire(self) -> None:
        """Remove raw traffic of idents that is older than their channel wants it."""
        for channel in self._directory.entries(CHANNELS):
            kept_s = packets_ttl(channel.view["configuration"])
            if kept_s > 0:
                strangers = self._strangers.get(channel.id, OrderedDict())
                await self._traffic.expire_of([-one.id for one in strangers.values()], kept_s)


def _with(entry: Entry, channel_id: int) -> list[Json]:
    """The channels a device came over, with one more."""
    known: list[Json] = entry.view["channels"]
    if {"id": channel_id} in known:
        return known
    return [{"id": each} for each in sorted([channel_id, *(shown["id"] for shown in entry.view["channels"])])]


def _view(one: SeenIdent, device: Entry | None, established: Sequence[float]) -> dict[str, Any]:
    heard = device.view["last_active"] if device is not None else 0.0
    return {
        "id": one.id,
        "ident": one.ident,
        "channel_id": one.channel_id,
        "device_id": device.id if device is not None else 0,
        "registered": device is not None,
        "connections": len(established),
        "established": min(established, default=0.0),
        "source": one.source,
        "last_seen": max(one.seen, heard),
    }
