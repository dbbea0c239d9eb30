"""A master token of this machine's own node, unsealed from its database with its secret.

Whoever can read both files is the node's operator; nobody else gets one this way.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from wayframe.config import Settings
from wayframe.model import AccessType, Token

from .errors import CommandError

_ELSEWHERE = "or name a token with --token or WAYFRAME_TOKEN"


def master_token(settings: Settings) -> str:
    """The key of the master token used last. Raises CommandError where this machine has none."""
    from wayframe.storage import Database, SecretError, TokenTable  # SQLAlchemy takes a second to load
    from wayframe.storage.secret import load_or_create, unseal

    database = Database(settings.database)
    file = Path(database.url.database or "") if database.sqlite else settings.secret_file
    for needed in (settings.secret_file, file):
        if not needed.exists():
            raise CommandError(
                f"no token, and no server's data here ({needed.absolute()} is missing): start one with "
                f"`wayframe serve` (or `make run`) in this folder, {_ELSEWHERE}"
            )

    async def read() -> list[Token]:
        await database.open()
        try:
            return await TokenTable(database).all()
        finally:
            await database.close()

    now = time.time()
    usable = [token for token in asyncio.run(read()) if _usable(token, now)]
    if not usable:
        raise CommandError(f"no token, and this server's database has no usable master token: {_ELSEWHERE}")
    newest = max(usable, key=lambda token: token.accessed)
    try:
        return unseal(load_or_create(settings.secret_file), newest.sealed).decode()
    except PermissionError:
        raise CommandError(f"{settings.secret_file} is not readable: run as the server's user, {_ELSEWHERE}") from None
    except SecretError as error:
        raise CommandError(f"{error}; {_ELSEWHERE}") from None


def _usable(token: Token, now: float) -> bool:
    """Whether a token is a valid master token that may be used from here (rest-api.md 3.1)."""
    lives = token.expire > now or (token.ttl > 0 and max(token.created, token.accessed) + token.ttl > now)
    return token.enabled and lives and not token.ips and token.access.get("type") == AccessType.MASTER
