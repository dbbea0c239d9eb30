"""Log records of every item."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, insert, true

from wayframe.model import LogRecord

from . import schema
from ._history import History
from ._rows import Rows, purge
from .database import Database

_C = schema.logs.c


class LogTable:
    """Log records: written in batches, read by origin or account, and time."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._rows = Rows(db, schema.logs, LogRecord)
        query, order = self._rows.select().add_columns(_C.id), (_C.timestamp, _C.id)
        kind = _C.origin_type == bindparam("origin_type")
        self._by_origin = History(db, query, _C.origin_id, order, origin_type=kind)
        self._by_account = History(db, query, _C.cid, order, origin_type=kind)

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
        return await self._db.ask(
            lambda conn: self._rows.items(
                self._by_origin.read(conn, origin_ids, from_, to, count, reverse, origin_type=origin_type)
            )
        )

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
        return await self._db.ask(
            lambda conn: self._rows.items(
                self._by_account.read(conn, cids, from_, to, count, reverse, origin_type=origin_type)
            )
        )

    async def purge(self, before: float) -> int:
        """Remove records older than this time; returns how many."""
        return await purge(self._db, schema.logs, true(), before)
