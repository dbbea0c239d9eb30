"""Subaccounts and the limits they are given (rest-api.md 3.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from wayframe.model import Account, BadRequest, Clock, Conflict, Forbidden, Json, OriginType
from wayframe.model.limits import NAMES, Limit
from wayframe.storage import ItemTable

from ..account_bodies import LimitBody, SubaccountBody
from ..bodies import given, parse_body
from ..entries import LIMITS, SUBACCOUNTS, Entry
from .accounts import account_view
from .kind import Kind

DEEPEST = 4
"""Levels of subaccounts below the main account."""

_SUBACCOUNT_FIELDS = ("id", "cid", "name", "limit_id", "blocked", "created", "metadata")
_LIMIT_FIELDS = ("id", "cid", "name", "description", "blocking_duration", *NAMES, "metadata")


class SubaccountKind(Kind[Account]):
    """Accounts, as those above them see them: `cid` is the parent, and so is whoever is told of changes."""

    def __init__(self, table: ItemTable[Account], clock: Clock) -> None:
        super().__init__(
            SUBACCOUNTS, OriginType.SUBACCOUNT, table, Account, SubaccountBody, _SUBACCOUNT_FIELDS, restorable=False
        )
        self._clock = clock
        self.lineage: Callable[[int], list[Account]] = lambda cid: []
        """An account and those above it, nearest first."""
        self.limit: Callable[[int], Limit | None] = lambda limit_id: None
        """A set of limits by id."""

    def make(self, cid: int, body: Json) -> Account:
        depth = len(self.lineage(cid))
        if depth > DEEPEST:
            raise Forbidden(f"account {cid} is {DEEPEST} levels below the main one and cannot have subaccounts")
        return self.checked(Account(id=0, owner_id=cid, created=self._clock.now(), **self.fields(body)))

    def checked(self, item: Account) -> Account:
        if item.limit_id:
            limit = self.limit(item.limit_id)
            if limit is None or limit.cid != item.owner_id:
                raise BadRequest(f"`limit_id` {item.limit_id} is no limit of account {item.owner_id}, the parent")
        return item

    def view(self, item: Account) -> dict[str, Any]:
        return account_view(item)

    def account(self, entry: Entry) -> int:
        assert isinstance(entry.item, Account)
        return entry.item.owner_id


class LimitKind(Kind[Limit]):
    """Sets of limits."""

    def __init__(self, table: ItemTable[Limit]) -> None:
        super().__init__(LIMITS, OriginType.LIMIT, table, Limit, LimitBody, _LIMIT_FIELDS, restorable=False)
        self.accounts: Callable[[], Iterable[Account]] = list
        """Every account."""

    def fields(self, body: Json) -> dict[str, Any]:
        fields = given(parse_body(LimitBody, body))
        counts = {name: fields.pop(name) for name in NAMES if name in fields}
        return {**fields, "counts": counts}

    def changed(self, item: Limit, body: Json, patch: bool) -> Limit:
        changed = super().changed(item, body, patch)
        counts = {name: count for name, count in {**item.counts, **changed.counts}.items() if count}
        return msgspec.structs.replace(changed, counts=counts)

    def view(self, item: Limit) -> dict[str, Any]:
        fields = {name: getattr(item, name) for name in item.__struct_fields__ if name != "counts"}
        return {**dict.fromkeys(NAMES, 0), **item.counts, **fields}

    def check_deletion(self, item: Limit) -> None:
        users = [str(account.id) for account in self.accounts() if account.limit_id == item.id]
        if users:
            raise Conflict(f"limit {item.id} is assigned to the subaccounts {', '.join(users)}", item_id=item.id)
