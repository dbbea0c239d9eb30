"""The tables of everything the directory keeps in memory, and what is assigned to what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, and_, delete, insert, or_, update

from wayframe.model.items import (
    Assignment,
    DeletedItem,
    DeviceSetting,
    Geofence,
    Group,
    Plugin,
    SeenIdent,
    Stream,
    Webhook,
)

from . import _item_schema as schema
from ._rows import Rows
from .accounts import AccountTable, LimitTable, TokenTable
from .database import Database
from .devices import ChannelTable, DeviceTable, TelemetryTable

_PART = 1000
"""Idents written at once."""


class ItemTables:
    """One query module a kind of item."""

    def __init__(self, db: Database) -> None:
        self.accounts = AccountTable(db)
        self.tokens = TokenTable(db)
        self.limits = LimitTable(db)
        self.channels = ChannelTable(db)
        self.devices = DeviceTable(db)
        self.telemetry = TelemetryTable(db)
        self.groups = Rows(db, schema.groups, Group)
        self.streams = Rows(db, schema.streams, Stream)
        self.plugins = Rows(db, schema.plugins, Plugin)
        self.geofences = Rows(db, schema.geofences, Geofence)
        self.webhooks = Rows(db, schema.webhooks, Webhook)
        self.deleted = Rows(db, schema.deleted_items, DeletedItem)
        self.assignments = AssignmentTable(db)
        self.settings = DeviceSettingTable(db)
        self.idents = IdentTable(db)


class AssignmentTable:
    """What is assigned to what."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._rows = Rows(db, schema.assignments, Assignment, key="parent_id")

    async def all(self) -> list[Assignment]:
        """Every assignment."""
        return await self._rows.found(self._rows.select())

    async def put(self, assignments: Sequence[Assignment]) -> None:
        """Write these, new or known, all or none."""
        if not assignments:
            return
        async with self._db.write() as conn:
            for one in assignments:
                values = self._rows.values(one)
                fields = {"fields": values["fields"]}
                done = await conn.execute(update(schema.assignments).where(_same(one)).values(fields))
                if not done.rowcount:
                    await conn.execute(insert(schema.assignments), [values])

    async def delete(self, assignments: Iterable[Assignment]) -> None:
        """Remove these."""
        async with self._db.write() as conn:
            for one in assignments:
                await conn.execute(delete(schema.assignments).where(_same(one)))

    async def delete_of(self, origin_type: int, item_id: int) -> None:
        """Remove every assignment of one item, on either side."""
        c = schema.assignments.c
        above = and_(c.parent_type == origin_type, c.parent_id == item_id)
        below = and_(c.child_type == origin_type, c.child_id == item_id)
        async with self._db.write() as conn:
            await conn.execute(delete(schema.assignments).where(or_(above, below)))


def _same(one: Assignment) -> ColumnElement[bool]:
    c = schema.assignments.c
    return and_(
        c.parent_type == one.parent_type, c.parent_id == one.parent_id,
        c.child_type == one.child_type, c.child_id == one.child_id,
    )  # fmt: skip


class DeviceSettingTable:
    """Settings of devices."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._rows = Rows(db, schema.device_settings, DeviceSetting, key="device_id")

    async def all(self) -> list[DeviceSetting]:
        """Every setting of every device."""
        return await self._rows.found(self._rows.select())

    async def put(self, setting: DeviceSetting) -> None:
        """Write one, new or known."""
        c, values = schema.device_settings.c, self._rows.values(setting)
        same = and_(c.device_id == setting.device_id, c.name == setting.name)
        async with self._db.write() as conn:
            done = await conn.execute(update(schema.device_settings).where(same).values(values))
            if not done.rowcount:
                await conn.execute(insert(schema.device_settings), [values])

    async def delete(self, device_ids: Iterable[int]) -> None:
        """Forget what is known of these devices."""
        chosen = self._db.among(schema.device_settings.c.device_id, device_ids)
        async with self._db.write() as conn:
            await conn.execute(delete(schema.device_settings).where(chosen))


class IdentTable:
    """Idents seen on channels."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._rows = Rows(db, schema.idents, SeenIdent)

    async def all(self) -> list[SeenIdent]:
        """Every ident, in the order in which they came last."""
        return await self._rows.found(self._rows.select().order_by(schema.idents.c.seen))

    async def save(self, changed: Sequence[SeenIdent], gone: Sequence[int]) -> None:
        """Write these, new or known, and remove others by id; a part a transaction, so that others have turns."""
        for at in range(0, max(len(changed), len(gone)), _PART):
            some, ids = changed[at : at + _PART], list(gone[at : at + _PART])
            ids += [one.id for one in some]
            async with self._db.write() as conn:
                await conn.execute(delete(schema.idents).where(self._db.among(schema.idents.c.id, ids)))
                if some:
                    await conn.execute(insert(schema.idents), [self._rows.values(one) for one in some])
