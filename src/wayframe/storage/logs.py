"""Log records of every item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, insert, true

from wayframe.model import LogRecord

from . import schema
from ._rows import Rows, between, history, purge
from .database import Database

_C = schema.logs.c


class LogTable:
    """Log records: written in batches, read by origin or account, and time."""

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
        where = (_C.origin_type == origin_type, *between(_C.timestamp, from_, to))
        return await self._read(_C.origin_id, origin_ids, where, count, reverse)

    async def of_accounts(
        self,
        cids: Sequence[int],
        *,
        origin_type: int | None = None,
        from_: float | None = None,
        to: float | None = None,
        count: int | None = None,
        reverse: bool = False,
    ) -> list[LogRecord]:
        """Records of whatever these accounts have, or of their items of one type."""
        kind = () if origin_type is None else (_C.origin_type == origin_type,)
        where = (*kind, *between(_C.timestamp, from_, to))
        return await self._read(_C.cid, cids, where, count, reverse)

    async def _read(
        self,
        owner: ColumnElement[Any],
        owners: Sequence[int],
        where: Iterable[ColumnElement[bool]],
        count: int | None,
        reverse: bool,
    ) -> list[LogRecord]:
        query, order = self._rows.select().add_columns(_C.id).where(*where), (_C.timestamp, _C.id)
        return await self._db.ask(
            lambda conn: self._rows.items(
                history(conn, self._db, query, owner, owners, order, count=count, reverse=reverse)
            )
        )

    async def purge(self, before: float) -> int:
        """Remove records older than this time; returns how many."""
        return await purge(self._db, schema.logs, true(), before)
