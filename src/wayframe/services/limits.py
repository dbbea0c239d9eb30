"""Limits at work: what an account may still have, its own limits and those of the accounts above it taken together.

A limit covers an account with its subaccounts: whoever is limited cannot have more by making subaccounts.
"""

from __future__ import annotations

from collections.abc import Mapping

from wayframe.model import Account, Forbidden, TooManyRequests
from wayframe.model.limits import COUNTED, Limit

from .entries import LIMITS
from .memory import Memory

_MINUTE = 60.0


class Limits:
    """Answers from memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._calls: dict[int, tuple[float, int]] = {}

    def of(self, account: Account) -> Mapping[str, int]:
        """The limits an account was given, by name; one that is not there does not limit."""
        entry = self._memory.find(LIMITS, account.limit_id) if account.limit_id else None
        if entry is None:
            return {}
        assert isinstance(entry.item, Limit)
        return entry.item.counts

    def value(self, cid: int, name: str) -> int:
        """The strictest of a limit over an account and those above it; 0: none."""
        counts = (self.of(account).get(name, 0) for account in self._memory.lineage(cid))
        return min(filter(None, counts), default=0)

    def values(self, cid: int) -> dict[str, int]:
        """Every limit that holds for an account."""
        names = {name for account in self._memory.lineage(cid) for name in self.of(account)}
        return {name: self.value(cid, name) for name in sorted(names) if self.value(cid, name)}

    def counters(self, cid: int) -> dict[str, int]:
        """How many items of each kind an account has, with those of its subaccounts."""
        return {name: self._memory.count_of(entity, cid) for entity, name in COUNTED.items()}

    def check_room(self, entity: str, cid: int, *, leaving: int = 0) -> None:
        """Whether the account may have one more item of a kind. Raises `Forbidden` that names the limit.

        Args:
            leaving: the account that gives the item; accounts above both neither gain nor lose.
        """
        name = COUNTED.get(entity)
        if name is None:
            return
        before = {account.id for account in self._memory.lineage(leaving)} if leaving else set()
        for account in self._memory.lineage(cid):
            if account.id in before:
                break
            limit = self.of(account).get(name, 0)
            if limit and self._memory.count_of(entity, account.id) >= limit:
                raise Forbidden(f"account {account.id} has as many {entity} as it may have: `{name}` is {limit}")

    def count_call(self, cid: int, now: float) -> None:
        """Count a REST call of an account and of those above it. Raises `TooManyRequests` past `api_calls` a minute.

        Args:
            now: seconds that never go back.
        """
        if not self._memory.of(LIMITS):
            return
        limited = [(account.id, limit) for account in self._memory.lineage(cid)
                   if (limit := self.of(account).get("api_calls", 0))]  # fmt: skip
        for account_id, limit in limited:
            since, calls = self._window(account_id, now)
            if calls >= limit:
                raise TooManyRequests(
                    f"account {account_id} has made {limit} calls within a minute: `api_calls`", since + _MINUTE - now
                )
        for account_id, _ in limited:
            since, calls = self._window(account_id, now)
            self._calls[account_id] = (since, calls + 1)

    def _window(self, account_id: int, now: float) -> tuple[float, int]:
        since, calls = self._calls.get(account_id, (now, 0))
        return (since, calls) if now < since + _MINUTE else (now, 0)
