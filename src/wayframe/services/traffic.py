"""Raw traffic of devices: a short history of the bytes on their connections, for those that were told to keep it.

Off unless a device's configuration says `packets_ttl` (seconds, as text). Pieces are gathered and written once a
second; the newest of each device are kept. Nothing of a device's service depends on it: where it cannot follow, pieces
are dropped and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from wayframe.expressions import Environment
from wayframe.model import Clock, Device, Json
from wayframe.model.items import Packet
from wayframe.model.query import HistoryQuery
from wayframe.storage import PacketTable

from .directory import Directory
from .entries import DEVICES, Entry
from .history import compiled_filter
from .rules import MAX_PACKETS_TTL, PACKETS_TTL, packets_ttl

_KEPT = 5_000
"""Packets of a device at most."""
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
    def wanted(device: Device) -> bool:
        """Whether a device's traffic is kept."""
        return PACKETS_TTL in device.configuration and packets_ttl(device) > 0

    def note(self, device_id: int, data: bytes, *, received: bool, source: str, timestamp: float | None = None) -> None:
        """A piece went over a connection of a device whose traffic is wanted."""
        size = min(len(data), _LONGEST)
        if len(self._waiting) >= _WAITING or self._waiting_bytes + size > _WAITING_BYTES:
            self.dropped += 1
            return
        self._waiting_bytes += size
        when = self._clock.now() if timestamp is None else timestamp
        self._waiting.append(
            Packet(device_id=device_id, timestamp=when, received=received, source=source, data=bytes(data[:_LONGEST]))
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
        there = [packet for packet in packets if self._directory.device(packet.device_id) is not None]
        await self._table.insert_many(there)
        for device_id in {packet.device_id for packet in there}:
            await self._table.keep_newest(device_id, _KEPT)

    async def packets(self, entries: Sequence[Entry], query: HistoryQuery) -> list[dict[str, Json]]:
        """Pieces of devices in time order (rest-api.md 6.6). Raises `BadRequest` for a bad filter."""
        await self.flush()
        wanted = compiled_filter(query.filter)
        env = Environment(now=self._clock.now())
        found = await self._table.query(
            [entry.id for entry in entries],
            from_=query.from_, to=query.to, count=query.count if wanted is None else None, reverse=query.reverse,
        )  # fmt: skip
        views = (view(packet) for packet in found)
        return [query.show(shown) for shown in views if wanted is None or wanted.matches(shown, env)][: query.count]

    async def delete(self, entries: Sequence[Entry]) -> list[dict[str, Json]]:
        """Forget the traffic of devices."""
        await self.forget([entry.id for entry in entries])
        return [{"id": entry.id} for entry in entries]

    async def forget(self, device_ids: Sequence[int]) -> None:
        """The same by id."""
        gone = set(device_ids)
        self._waiting = [packet for packet in self._waiting if packet.device_id not in gone]
        await self._table.delete(device_ids)

    async def expire(self) -> None:
        """Remove what is older than the longest time a device may ask for, and than each device asked for."""
        now = self._clock.now()
        await self._table.purge(now - MAX_PACKETS_TTL)
        for entry in self._directory.entries(DEVICES):
            if self.wanted(entry.device):
                await self._table.purge_device(entry.id, now - packets_ttl(entry.device))


def view(packet: Packet) -> dict[str, Json]:
    """A piece as the API shows it."""
    return {
        "timestamp": packet.timestamp, "device_id": packet.device_id, "direction": "in" if packet.received else "out",
        "data": packet.data.hex(), "source": packet.source, "transport": packet.transport,
    }  # fmt: skip
