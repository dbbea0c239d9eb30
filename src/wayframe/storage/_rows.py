"""What every query module shares: structs to rows and back, new ids, purging by age."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import fields, replace
from sqlalchemy import (
    Column,
    ColumnElement,
    Row,
    Select,
    Table,
    TextClause,
    bindparam,
    delete,
    insert,
    text,
    update,
)
from sqlalchemy import select as sql_select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from wayframe.model import Conflict, NotFound

from .database import Database

Item = TypeVar("Item", bound=Struct)

_NEXT_ID = text(
    "INSERT INTO counters (name, last) VALUES (:name, :many) "
    "ON CONFLICT (name) DO UPDATE SET last = counters.last + :many RETURNING last"
)
_SEEN_ID = text(
    "INSERT INTO counters (name, last) VALUES (:name, :id) ON CONFLICT (name) "
    "DO UPDATE SET last = CASE WHEN counters.last < :id THEN :id ELSE counters.last END"
)
_PURGE_ROWS = 5000


class Rows(Generic[Item]):
    """One table holding one kind of struct; columns are named as the struct's fields."""

    def __init__(self, db: Database, table: Table, kind: type[Item], *, key: str = "id") -> None:
        self._db = db
        self._table = table
        self._kind = kind
        self._fields = [field.name for field in fields(kind)]
        self._key: Column[Any] = table.c[key]
        self._select = sql_select(*(table.c[name] for name in self._fields))
        self._by_key = self._select.where(self._key == bindparam("key"))

    async def all(self) -> list[Item]:
        """Every one, by id."""
        return await self.found(self._select.order_by(self._key))

    async def get(self, key: int | str) -> Item | None:
        """The one with this key, or None."""
        found = await self.found(self._by_key, key=key)
        return found[0] if found else None

    async def found(self, query: Select[Any], **parameters: Any) -> list[Item]:
        """What a query for the struct's columns finds."""
        return await self._db.ask(lambda conn: self.items(conn.execute(query, parameters)))

    async def insert(self, item: Item) -> Item:
        """Add one; id 0 asks for the next free id, and ids are never given twice. Returns it as stored.

        Raises `Conflict` if something that must be unique is taken, `NotFound` if its owner does not exist.
        """
        return (await self.insert_many([item]))[0]

    async def insert_many(self, items: Sequence[Item]) -> list[Item]:
        """Add several, all or none; as `insert`."""
        if not items:
            return []
        try:
            async with self._db.write() as conn:
                numbered = await self._numbered(conn, items)
                await conn.execute(insert(self._table), [self.values(item) for item in numbered])
        except IntegrityError as error:
            raise await self._refusal(items, error) from error
        return numbered

    async def update(self, item: Item) -> None:
        """Write every field of one. Raises `NotFound` if it is gone, `Conflict` as `insert`."""
        values = self.values(item)
        key = values.pop(self._key.name)
        try:
            async with self._db.write() as conn:
                done = await conn.execute(update(self._table).where(self._key == key).values(values))
        except IntegrityError as error:
            raise await self._refusal([item], error) from error
        if not done.rowcount:
            raise NotFound(f"{self._table.name}: no item {key}")

    async def delete(self, keys: Iterable[int] | Iterable[str]) -> None:
        """Remove those there are. Raises `Conflict` if others still belong to one of them."""
        try:
            async with self._db.write() as conn:
                await conn.execute(delete(self._table).where(self._db.among(self._key, keys)))
        except IntegrityError as error:
            raise Conflict(f"{self._table.name}: others still belong to it; delete those first") from error

    def select(self) -> Select[Any]:
        """A query for the columns of the struct, for `items`."""
        return self._select

    def items(self, rows: Iterable[Row[Any]]) -> list[Item]:
        """Rows as structs; columns after the struct's own are left out."""
        return [self._kind(**dict(zip(self._fields, row, strict=False))) for row in rows]

    def values(self, item: Item) -> dict[str, Any]:
        """A struct as the row's columns."""
        return {name: getattr(item, name) for name in self._fields}

    async def _numbered(self, conn: AsyncConnection, items: Sequence[Item]) -> list[Item]:
        if self._key.name != "id":
            return list(items)
        name = self._table.name
        given = [item.id for item in items if item.id]  # type: ignore[attr-defined]  # kinds keyed by id have one
        if given:
            await conn.execute(_SEEN_ID, {"name": name, "id": max(given)})
        wanting = len(items) - len(given)
        if not wanting:
            return list(items)
        last = (await conn.execute(_NEXT_ID, {"name": name, "many": wanting})).scalar_one()
        fresh = iter(range(last - wanting + 1, last + 1))
        # type: the same reason as above
        return [item if item.id else replace(item, id=next(fresh)) for item in items]  # type: ignore[attr-defined]

    async def _refusal(self, items: Sequence[Item], error: IntegrityError) -> Exception:
        """The error to raise for rows the database refused: for people if it is theirs, else the database's own."""
        if "foreign key" in str(error.orig).lower():
            return NotFound(f"{self._table.name}: the account or device it belongs to does not exist")
        if "unique" not in str(error.orig).lower():
            return error
        return Conflict(f"{self._table.name}: an item with this key exists already")


def between(column: Column[Any], from_: float | None, to: float | None) -> list[ColumnElement[bool]]:
    """Conditions for a time in `from_`..`to`, both ends inclusive, None for open."""
    ends = ((column.__ge__, from_), (column.__le__, to))
    return [compare(end) for compare, end in ends if end is not None]


async def purge(db: Database, table: Table, which: ColumnElement[bool] | TextClause, before: float) -> int:
    """Remove rows whose `timestamp` is before this, a few thousand a transaction; returns how many."""
    rows = sql_select(table.c.id).where(which, table.c.timestamp < before).order_by(table.c.timestamp)
    removed = 0
    while True:
        async with db.write() as conn:
            ids = list((await conn.execute(rows.limit(_PURGE_ROWS))).scalars())
            if ids:
                await conn.execute(delete(table).where(db.among(table.c.id, ids)))
        removed += len(ids)
        if len(ids) < _PURGE_ROWS:
            return removed
