"""Raw traffic of devices: a short history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, insert, select, true

from wayframe.model.items import Packet

from . import _item_schema as schema
from ._history import History
from ._rows import Rows, purge
from .database import Database

_C = schema.packets.c


class PacketTable:
    """Packets: written in batches, read by device and time."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._rows = Rows(db, schema.packets, Packet, key="device_id")
        query = self._rows.select().add_columns(_C.id)
        self._history = History(db, query, _C.device_id, (_C.timestamp, _C.id))

    async def insert_many(self, packets: Sequence[Packet]) -> None:
        """Append packets."""
        if packets:
            async with self._db.write() as conn:
                await conn.execute(insert(schema.packets), [self._rows.values(packet) for packet in packets])

    async def query(
        self,
        device_ids: Sequence[int],
        *,
        from_: float | None = None,
        to: float | None = None,
        count: int | None = None,
        reverse: bool = False,
    ) -> list[Packet]:
        """Packets of these devices in `from_`..`to` (inclusive), oldest first."""
        return await self._db.ask(
            lambda conn: self._rows.items(self._history.read(conn, device_ids, from_, to, count, reverse))
        )

    async def keep_newest(self, device_id: int, count: int) -> None:
        """Remove all but the newest packets of a device."""
        oldest_kept = select(_C.id).where(_C.device_id == device_id).order_by(_C.timestamp.desc(), _C.id.desc())
        async with self._db.write() as conn:
            edge = (await conn.execute(oldest_kept.offset(count).limit(1))).scalar()
            if edge is not None:
                await conn.execute(delete(schema.packets).where(_C.device_id == device_id, _C.id <= edge))

    async def delete(self, device_ids: Iterable[int]) -> None:
        """Remove every packet of these devices."""
        async with self._db.write() as conn:
            await conn.execute(delete(schema.packets).where(self._db.among(_C.device_id, device_ids)))

    async def purge(self, before: float) -> int:
        """Remove packets older than this time; returns how many."""
        return await purge(self._db, schema.packets, true(), before)

    async def purge_of(self, device_ids: Iterable[int], before: float) -> None:
        """Remove packets of these devices that are older than this time."""
        async with self._db.write() as conn:
            old = (self._db.among(_C.device_id, device_ids), _C.timestamp < before)
            await conn.execute(delete(schema.packets).where(*old))
