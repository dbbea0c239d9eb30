"""People, and the hosts their devices' files are pulled from."""

from __future__ import annotations

from sqlalchemy import delete

from wayframe.model.users import PullHost, User

from . import _gallery_schema as schema
from ._rows import Rows
from .database import Database


class UserTable(Rows[User]):
    """People who log in; their identity is unique."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, schema.users, User)

    async def delete_of_account(self, cid: int) -> None:
        """Remove the people of an account."""
        async with self._db.write() as conn:
            await conn.execute(delete(schema.users).where(schema.users.c.cid == cid))


class PullHostTable(Rows[PullHost]):
    """One host a device."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, schema.pull_hosts, PullHost, key="device_id")
