"""Commands: waiting, on their way, and their results."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam

from wayframe.model import Command

from . import schema
from ._history import History
from ._rows import Rows, purge
from .database import Database

_C = schema.commands.c


class CommandTable(Rows[Command]):
    """Commands of devices, with the result once there is one. Ids are the caller's (microseconds)."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, schema.commands, Command)
        closed = self.select().where(schema.COMMAND_CLOSED)
        self._results = History(db, closed, _C.device_id, (_C.timestamp, _C.id), id=_C.id == bindparam("id"))

    async def pending_for(self, device_id: int) -> list[Command]:
        """What is still to be done on a device: highest priority first, then oldest first."""
        query = self.select().where(schema.COMMAND_OPEN, _C.device_id == device_id)
        return await self.found(query.order_by(_C.priority.desc(), _C.id))

    async def unfinished(self) -> list[Command]:
        """What is still to be done on any device, by device, priority and age."""
        query = self.select().where(schema.COMMAND_OPEN)
        return await self.found(query.order_by(_C.device_id, _C.priority.desc(), _C.id))

    async def results(
        self,
        device_ids: Sequence[int],
        *,
        from_: float | None = None,
        to: float | None = None,
        count: int | None = None,
        reverse: bool = False,
        id: int | None = None,
    ) -> list[Command]:
        """Finished commands by the time they ended (`from_`..`to`, inclusive), oldest first."""
        return await self._db.ask(
            lambda conn: self.items(self._results.read(conn, device_ids, from_, to, count, reverse, id=id))
        )

    async def purge(self, before: float) -> int:
        """Remove what ended before this time; returns how many."""
        return await purge(self._db, schema.commands, schema.COMMAND_CLOSED, before)
