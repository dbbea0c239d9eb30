"""Keys by which uploads may be sent again, with what was answered."""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from wayframe.model.gallery import UploadKey

from . import _gallery_schema as schema
from ._rows import Rows
from .database import Database

_C = schema.gallery_keys.c


class GalleryKeyTable(Rows[UploadKey]):
    """One row a device and key."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, schema.gallery_keys, UploadKey, key="key")

    async def of_device(self, device_id: int, key: str) -> UploadKey | None:
        """What is known of a key."""
        query = self.select().where(_C.device_id == device_id, _C.key == key)
        found = await self.found(query)
        return found[0] if found else None

    async def put(self, item: UploadKey) -> None:
        """Write one, whatever was there."""
        values = self.values(item)
        insert = sqlite_insert if self._db.sqlite else postgresql_insert
        statement = insert(schema.gallery_keys).values(values)
        async with self._db.write() as conn:
            await conn.execute(statement.on_conflict_do_update(index_elements=[_C.device_id, _C.key], set_=values))

    async def forget(self, device_id: int, key: str) -> None:
        """Remove one, if it is there."""
        async with self._db.write() as conn:
            await conn.execute(delete(schema.gallery_keys).where(_C.device_id == device_id, _C.key == key))

    async def purge(self, before: float) -> int:
        """Remove those made before this time; returns how many."""
        async with self._db.write() as conn:
            return (await conn.execute(delete(schema.gallery_keys).where(_C.made < before))).rowcount
