"""Raw traffic: a short history of the bytes on connections, for those devices and channels that were told to keep it.

Off unless a device's configuration says `packets_ttl` (seconds, as text), or a channel's for idents that are no device.
Pieces are gathered and written once a second; the newest of each are kept. Nothing of a device's service depends on it:
where it cannot follow, pieces are dropped and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from wayframe.expressions import Environment
from wayframe.model import Channel, Clock, Device, Json
from wayframe.model.items import Packet
from wayframe.model.query import HistoryQuery
from wayframe.storage import PacketTable

from .directory import Directory
from .entries import DEVICES, Entry
from .history import compiled_filter
from .rules import MAX_PACKETS_TTL, PACKETS_TTL, packets_ttl

_KEPT = 5_000
"""Packets of a device at most."""
_KEPT_OF_STRANGERS = 200
"""The same of an ident that is no device: it is refused, and says no more than that."""
_WAITING = 20_000
_WAITING_BYTES = 32 << 20
_LONGEST = 64 << 10
"""Bytes of one piece; sockets give no more at once."""
_FLUSH_S = 1.0

log = structlog.get_logger(__name__)


class Traffic:
    """Keeps and shows raw traffic."""

    def __init__(self, table: PacketTable, directory: Directory, clock: Clock) -> None:
        self._table = table
        self._directory = directory
        self._clock = clock
        self._waiting: list[Packet] = []
        self._waiting_bytes = 0
        self.dropped = 0
        """Pieces lost because the database was slower than the devices."""

    @staticmethod
    def wanted(item: Device | Channel) -> bool:
        """Whether a device's traffic is kept, or that of the unknown idents of a channel."""
        return PACKETS_TTL in item.configuration and packets_ttl(item.configuration) > 0

    def note(self, owner: int, data: bytes, *, received: bool, source: str, timestamp: float | None = None) -> None:
        """A piece went over a connection of somebody whose traffic is wanted.

        Args:
            owner: the id of a device; negative: the number of an ident that is none (`Packet.device_id`).
        """
        size = min(len(data), _LONGEST)
        if len(self._waiting) >= _WAITING or self._waiting_bytes + size > _WAITING_BYTES:
            self.dropped += 1
            return
        self._waiting_bytes += size
        when = self._clock.now() if timestamp is None else timestamp
        self._waiting.append(
            Packet(device_id=owner, timestamp=when, received=received, source=source, data=bytes(data[:_LONGEST]))
        )

    async def run(self) -> None:
        """Write what gathers, until cancelled."""
        while True:
            await asyncio.sleep(_FLUSH_S)
            try:
                await self.flush()
            except Exception:
                log.exception("packets_not_written")

    async def flush(self) -> None:
        """Write what waits."""
        packets, self._waiting, self._waiting_bytes = self._waiting, [], 0
        there = [one for one in packets if one.device_id < 0 or self._directory.device(one.device_id) is not None]
        await self._table.insert_many(there)
        for owner in {packet.device_id for packet in there}:
            await self._table.keep_newest(owner, _KEPT if owner > 0 else _KEPT_OF_STRANGERS)

    async def packets(self, owners: Mapping[int, Mapping[str, Json]], query: HistoryQuery) -> list[dict[str, Json]]:
        """Pieces in time order (rest-api.md 6.6). Raises `BadRequest` for a bad filter.

        Args:
            owners: by number as `note` has it, what a piece says of its owner (`device_id`, `ident`).
        """
        await self.flush()
        wanted = compiled_filter(query.filter)
        env = Environment(now=self._clock.now())
        found = await self._table.query(
            list(owners), from_=query.from_, to=query.to, count=query.count if wanted is None else None,
            reverse=query.reverse,
        )  # fmt: skip
        views = (view(packet, owners[packet.device_id]) for packet in found)
        return [query.show(shown) for shown in views if wanted is None or wanted.matches(shown, env)][: query.count]

    async def delete(self, entries: Sequence[Entry]) -> list[dict[str, Json]]:
        """Forget the traffic of devices."""
        await self.forget([entry.id for entry in entries])
        return [{"id": entry.id} for entry in entries]

    async def forget(self, owners: Sequence[int]) -> None:
        """The same by number."""
        gone = set(owners)
        self._waiting = [packet for packet in self._waiting if packet.device_id not in gone]
        await self._table.delete(owners)

    async def expire(self) -> None:
        """Remove what is older than the longest time a device may ask for, and than each device asked for."""
        now = self._clock.now()
        await self._table.purge(now - MAX_PACKETS_TTL)
        for entry in self._directory.entries(DEVICES):
            if self.wanted(entry.device):
                await self._table.purge_of([entry.id], now - packets_ttl(entry.device.configuration))

    async def expire_of(self, owners: Sequence[int], kept_s: int) -> None:
        """Remove what is older than `kept_s` of these, by number."""
        await self._table.purge_of(owners, self._clock.now() - kept_s)


def view(packet: Packet, owner: Mapping[str, Json]) -> dict[str, Json]:
    """A piece as the API shows it."""
    return {
        "timestamp": packet.timestamp, **owner, "direction": "in" if packet.received else "out",
        "data": packet.data.hex(), "source": packet.source, "transport": packet.transport,
    }  # fmt: skip
