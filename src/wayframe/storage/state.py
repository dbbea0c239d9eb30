"""Small things a node must not forget: its own state, and cursors over logs and queues."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select, text

from . import schema
from .database import Database

_UPSERT = text(
    "INSERT INTO state (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


class StateTable:
    """Keys to bytes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, key: str) -> bytes | None:
        """The value, None if there is none."""
        query = select(schema.state.c.value).where(schema.state.c.key == key)
        return await self._db.ask(lambda conn: conn.scalar(query))

    async def all(self, prefix: str = "") -> dict[str, bytes]:
        """Every key that begins with `prefix`, with its value."""
        keys = schema.state.c.key
        query = select(keys, schema.state.c.value).where(keys.startswith(prefix, autoescape=True)).order_by(keys)
        return await self._db.ask(lambda conn: {row.key: row.value for row in conn.execute(query)})

    async def put(self, values: dict[str, bytes]) -> None:
        """Write these, together."""
        if values:
            async with self._db.write() as conn:
                await conn.execute(_UPSERT, [{"key": key, "value": value} for key, value in values.items()])

    async def delete(self, keys: Iterable[str]) -> None:
        """Forget these."""
        async with self._db.write() as conn:
            await conn.execute(delete(schema.state).where(self._db.among(schema.state.c.key, keys)))
