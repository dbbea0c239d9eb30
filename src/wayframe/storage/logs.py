"""Log records of every item."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import insert, true

from wayframe.model import LogRecord

from . import schema
from ._rows import Rows, between, history, purge
from .database import Database

_C = schema.logs.c


class LogTable:
    """Log records: written in batches, read by origin and time."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._rows = Rows(db, schema.logs, LogRecord)

    async def insert_many(self, records: Sequence[LogRecord]) -> None:
        """Append records."""
        if records:
            async with self._db.write() as conn:
                await conn.execute(insert(schema.logs), [self._rows.values(record) for record in records])

    async def query(
        self,
        origin_type: int,
        origin_ids: Sequence[int],
        *,
        from_: float | None = None,
        to: float | None = None,
        count: int | None = None,
        reverse: bool = False,
    ) -> list[LogRecord]:
        """Records of these items of one type in `from_`..`to` (inclusive), oldest first."""
        query = self._rows.select().add_columns(_C.id)
        query = query.where(_C.origin_type == origin_type, *between(_C.timestamp, from_, to))
        order = (_C.timestamp, _C.id)
        return await self._db.ask(
            lambda conn: self._rows.items(
                history(conn, self._db, query, _C.origin_id, origin_ids, order, count=count, reverse=reverse)
            )
        )

    async def purge(self, before: float) -> int:
        """Remove records older than this time; returns how many."""
        return await purge(self._db, schema.logs, true(), before)
