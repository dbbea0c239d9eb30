"""History: rows of some owners by time, oldest or newest first.

A statement is built once for each shape of a question. SQLAlchemy takes longer to put one together and to recognise it
than the database takes to answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Integer, Row, Select, bindparam

from .database import Database

_ONE_BY_ONE = 500
"""Up to so many owners a limited history is read owner by owner; beyond, along the time index."""


class History:
    """The rows of one query."""

    def __init__(
        self,
        db: Database,
        query: Select[Any],
        owner: Column[Any],
        order: Sequence[Column[Any]],
        **conditions: ColumnElement[bool],
    ) -> None:
        """`order`: columns, time first. `conditions`: further ones, by the name of the parameter they compare with."""
        self._db = db
        self._query = query
        self._owners = {
            "one": owner == bindparam("owner"),
            "some": db.among_named(owner, "owners"),
            # The addition keeps planners from gathering and sorting everything these owners ever had.
            "many": db.among_named(owner + 0, "owners"),
        }
        self._order = order
        self._conditions = conditions | {"from": order[0] >= bindparam("from"), "to": order[0] <= bindparam("to")}
        self._statements: dict[tuple[Any, ...], Select[Any]] = {}

    def read(
        self,
        conn: Connection,
        owners: Sequence[int],
        from_: float | None = None,
        to: float | None = None,
        count: int | None = None,
        reverse: bool = False,
        **given: Any,
    ) -> Sequence[Row[Any]]:
        """Rows of these owners in `from_`..`to`, both inclusive; at most `count` over all of them.

        With a count, a few owners are read one by one (each along its index, `count` rows at most) and merged; many
        owners along the index on time. `given`: values for conditions; those that are None are left out.
        """
        if not owners or count == 0:
            return []
        given |= {"from": from_, "to": to}
        values = {name: value for name, value in given.items() if value is not None}
        limit = {} if count is None else {"count": count}
        if len(owners) == 1:
            return conn.execute(
                self._statement("one", values, count, reverse), {**values, **limit, "owner": owners[0]}
            ).all()
        if count is None or len(owners) > _ONE_BY_ONE:
            way = "some" if count is None else "many"
            listed = {"owners": self._db.listed(owners)}
            return conn.execute(self._statement(way, values, count, reverse), {**values, **limit, **listed}).all()
        rows: list[Row[Any]] = []
        statement = self._statement("one", values, count, reverse)
        for one in owners:
            rows.extend(conn.execute(statement, {**values, **limit, "owner": one}))
            if len(rows) > 4 * count:
                rows = self._first(rows, count, reverse)
        return self._first(rows, count, reverse)

    def _statement(self, way: str, values: dict[str, Any], count: int | None, reverse: bool) -> Select[Any]:
        shape = (way, frozenset(values), count is None, reverse)
        known = self._statements.get(shape)
        if known is None:
            known = self._query.where(self._owners[way], *(self._conditions[name] for name in values))
            known = known.order_by(*(column.desc() if reverse else column.asc() for column in self._order))
            if count is not None:
                known = known.limit(bindparam("count", type_=Integer))
            self._statements[shape] = known
        return known

    def _first(self, rows: list[Row[Any]], count: int, reverse: bool) -> list[Row[Any]]:
        names = [column.name for column in self._order]
        return sorted(rows, key=lambda row: [row._mapping[name] for name in names], reverse=reverse)[:count]
