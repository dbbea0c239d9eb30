"""Tokens and the account itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from wayframe.model import AccessType, Account, BadRequest, Clock, Forbidden, Json, OriginType, Token
from wayframe.storage import ItemTable

from ..bodies import AccountBody, TokenBody
from ..entries import CUSTOMER, TOKENS
from ..keys import TokenKeys
from ..rules import check_token, new_key
from .kind import Kind

_TOKEN_FIELDS = (
    "id", "cid", "info", "enabled", "created", "accessed", "expire", "ttl", "ips", "access", "metadata",
)  # fmt: skip
_ACCOUNT_FIELDS = ("id", "owner_id", "name", "created", "metadata", "blocked")


class TokenKind(Kind[Token]):
    """Tokens, found by the keyed hash of their key."""

    def __init__(self, table: ItemTable[Token], keys: TokenKeys, clock: Clock) -> None:
        super().__init__(
            TOKENS, OriginType.TOKEN, table, Token, TokenBody, _TOKEN_FIELDS, restorable=False
        )  # fmt: skip
        self._keys = keys
        self._clock = clock
        self.on_placed: Callable[[Token], None] = lambda token: None
        """Called for a token that was made, read or changed."""
        self.on_displaced: Callable[[Token], None] = lambda token: None
        """Called for one that is gone, or about to be placed again."""

    def make(self, cid: int, body: Json) -> Token:
        now = self._clock.now()
        token = Token(id=0, cid=cid, created=now, accessed=now, **{"access": {"type": 0}, **self.fields(body)})
        return self.sealed(self.checked(token), new_key())

    def sealed(self, token: Token, key: str) -> Token:
        """A token with its key, hashed and encrypted."""
        return msgspec.structs.replace(token, digest=self._keys.digest(key), sealed=self._keys.seal(key))

    def checked(self, item: Token) -> Token:
        if not item.expire and not item.ttl:
            raise BadRequest("a token needs an end: give `expire` (Unix seconds) or `ttl` (seconds)")
        check_token(item)
        if item.access.get("type") == AccessType.ACL and "acl" not in item.access:
            return msgspec.structs.replace(item, access={**item.access, "acl": []})  # clients walk through it unguarded
        return item

    def view(self, item: Token) -> dict[str, Any]:
        return token_view(item)

    def once(self, item: Token) -> dict[str, Json]:
        # The key travels in a view of its own: what stays in memory never holds it.
        return {"key": self._keys.unseal(item.sealed)}

    def placed(self, item: Token) -> None:
        self.on_placed(item)

    def displaced(self, item: Token) -> None:
        self.on_displaced(item)


def token_view(token: Token) -> dict[str, Any]:
    """A token without its key. Times are whole seconds: clients with typed numbers read them so (rest-api.md 3.1)."""
    whole = {name: int(getattr(token, name)) for name in ("created", "accessed", "expire")}
    return {**{name: getattr(token, name) for name in _TOKEN_FIELDS}, **whole}


def account_view(account: Account) -> dict[str, Any]:
    """An account from both sides: for those above it `cid` is its parent (rest-api.md 3.5)."""
    return {**{name: getattr(account, name) for name in account.__struct_fields__}, "cid": account.owner_id}


class AccountKind(Kind[Account]):
    """Accounts, as their owners see them."""

    def __init__(self, table: ItemTable[Account]) -> None:
        super().__init__(
            CUSTOMER, OriginType.CUSTOMER, table, Account, AccountBody, _ACCOUNT_FIELDS,
            restorable=False, deletable=False,
        )  # fmt: skip

    def topic(self, item_id: int | str) -> str:
        return f"flespi/state/{self.entity}"  # every account has one of its own (mqtt-api.md 6.1)

    def make(self, cid: int, body: Json) -> Account:
        raise Forbidden("the main account is made by the server")

    def view(self, item: Account) -> dict[str, Any]:
        return account_view(item)
