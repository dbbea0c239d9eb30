"""Channels, devices and the devices' telemetry records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, select, text, update
from sqlalchemy.exc import IntegrityError

from wayframe.model import Channel, Conflict, Device

from . import schema
from ._rows import Rows
from .database import Database

_UPSERT = text(
    "INSERT INTO telemetry (device_id, record) VALUES (:device_id, :record) "
    "ON CONFLICT (device_id) DO UPDATE SET record = excluded.record"
)


class ChannelTable(Rows[Channel]):
    """Channels."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, schema.channels, Channel)


class DeviceTable(Rows[Device]):
    """Devices. An ident is unique within its protocol, over all accounts; deleting one takes its media rows and
    commands along, not its messages, telemetry and blobs."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, schema.devices, Device)

    async def touch(self, last_active: Mapping[int, float]) -> None:
        """Note when devices were last heard: device id → Unix seconds."""
        if not last_active:
            return
        change = update(schema.devices).where(schema.devices.c.id == bindparam("device"))
        async with self._db.write() as conn:
            await conn.execute(
                change.values(last_active=bindparam("at")),
                [{"device": id_, "at": at} for id_, at in last_active.items()],
            )

    async def last_active(self) -> dict[int, float]:
        """When each device was last heard; those never heard are absent."""
        c = schema.devices.c
        query = select(c.id, c.last_active).where(c.last_active > 0)
        return await self._db.ask(lambda conn: {row.id: row.last_active for row in conn.execute(query)})

    def values(self, item: Device) -> dict[str, Any]:
        return super().values(item) | {"ident": item.ident}

    async def _refusal(self, items: Sequence[Device], error: IntegrityError) -> Exception:
        if not any(name in str(error.orig) for name in ("devices_ident", "devices.ident")):
            return await super()._refusal(items, error)
        return await self._db.ask(lambda conn: _ident_taken(conn, items))


def _ident_taken(conn: Connection, items: Sequence[Device]) -> Conflict:
    """Which ident of these devices another has."""
    c = schema.devices.c
    seen: set[tuple[int, str]] = set()
    for item in items:
        same = (c.protocol_id == item.protocol_id, c.ident == item.ident, c.ident != "", c.id != item.id)
        holder = conn.scalar(select(c.id).where(*same))
        key = (item.protocol_id, item.ident)
        if item.ident and (holder or key in seen):
            return Conflict(
                f"ident {item.ident} is taken by another device of protocol {item.protocol_id}", item_id=holder
            )
        seen.add(key)
    return Conflict("ident is taken by another device of the same protocol")


class TelemetryTable:
    """The latest values of each device: one JSON record a device, opaque here."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def load_all(self) -> dict[int, bytes]:
        """Device id → record."""
        return await self._records(select(schema.telemetry.c.device_id, schema.telemetry.c.record))

    async def load(self, device_ids: Iterable[int]) -> dict[int, bytes]:
        """The records of these devices."""
        c = schema.telemetry.c
        return await self._records(select(c.device_id, c.record).where(self._db.among(c.device_id, device_ids)))

    async def _records(self, query: Select[Any]) -> dict[int, bytes]:
        return await self._db.ask(lambda conn: {row.device_id: row.record for row in conn.execute(query)})

    async def save_many(self, records: Mapping[int, bytes]) -> None:
        """Write the records given."""
        if not records:
            return
        rows = [{"device_id": device_id, "record": record} for device_id, record in sorted(records.items())]
        async with self._db.write() as conn:
            await conn.execute(_UPSERT, rows)

    async def delete(self, device_ids: Iterable[int]) -> None:
        """Forget these devices' records."""
        async with self._db.write() as conn:
            chosen = self._db.among(schema.telemetry.c.device_id, device_ids)
            await conn.execute(delete(schema.telemetry).where(chosen))
