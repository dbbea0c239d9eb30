"""Harvests, hooks, and calls of hooks that are on their way. All of them are held in memory by their services."""

from __future__ import annotations

from sqlalchemy import delete

from wayframe.model.harvest import Harvest
from wayframe.model.hooks import Hook, HookCall

from . import _harvest_schema as schema
from ._rows import Rows
from .database import Database


class HarvestTable(Rows[Harvest]):
    """One harvest a device; it goes with the device."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, schema.gallery_harvests, Harvest, key="device_id")


class HookTable(Rows[Hook]):
    """Hooks. What was on its way to one goes with it."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, schema.gallery_hooks, Hook)

    async def delete_of_account(self, cid: int) -> None:
        """Remove the hooks of an account."""
        async with self._db.write() as conn:
            await conn.execute(delete(schema.gallery_hooks).where(schema.gallery_hooks.c.cid == cid))


class HookCallTable(Rows[HookCall]):
    """Calls on their way."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, schema.gallery_hook_calls, HookCall)
