"""Accounts and their tokens."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, update

from wayframe.model import Account, Token
from wayframe.model.limits import Limit

from . import schema
from ._rows import Rows
from .database import Database


class AccountTable(Rows[Account]):
    """Accounts. One that still owns tokens, channels or devices cannot be deleted (`Conflict`)."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, schema.accounts, Account)


class LimitTable(Rows[Limit]):
    """Sets of limits."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, schema.limits, Limit)


class TokenTable(Rows[Token]):
    """Tokens: keyed hash for look-up and the sealed key, never the key itself."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, schema.tokens, Token)

    async def touch(self, accessed: Mapping[int, float]) -> None:
        """Note last uses: token id → Unix seconds."""
        if not accessed:
            return
        change = update(schema.tokens).where(schema.tokens.c.id == bindparam("token"))
        async with self._db.write() as conn:
            await conn.execute(
                change.values(accessed=bindparam("at")), [{"token": id_, "at": at} for id_, at in accessed.items()]
            )
