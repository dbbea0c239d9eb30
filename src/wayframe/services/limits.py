"""Limits at work: what an account may still have, its own limits and those of the accounts above it taken together.

A limit covers an account with its subaccounts: whoever is limited cannot have more by making subaccounts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from wayframe.model import Account, Forbidden
from wayframe.model.limits import COUNTED, ENFORCED, Limit

from .entries import LIMITS
from .memory import Memory


class Limits:
    """Answers from memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.sets = memory.of(LIMITS)
        """Every set of limits; empty: nobody is limited."""

    @property
    def version(self) -> int:
        """Another number after every change of accounts and limits."""
        return self._memory.account_changes

    def given(self, cid: int) -> Iterator[tuple[Account, Limit]]:
        """An account and those above it that were given limits, nearest first, with those."""
        for account in self._memory.lineage(cid):
            if (given := self._given_to(account)) is not None:
                yield account, given

    def _given_to(self, account: Account) -> Limit | None:
        entry = self._memory.find(LIMITS, account.limit_id) if account.limit_id else None
        return entry.item if entry is not None and isinstance(entry.item, Limit) else None

    def of(self, account: Account) -> Mapping[str, int]:
        """The limits an account was given, by name; one that is not there does not limit."""
        given = self._given_to(account)
        return given.counts if given is not None else {}

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

    def no_room(self, name: str, cid: int, held: Callable[[int], int], more: int = 1) -> str:
        """Why an account may not have `more` of something; empty if it may.

        Args:
            held: what an account has by itself, without its subaccounts.
        """
        if not self.sets:
            return ""
        for account, given in self.given(cid):
            limit = given.counts.get(name, 0)
            if limit and sum(map(held, self._memory.family(account.id))) + more > limit:
                return f"account {account.id} has all the {ENFORCED[name]} it may have: `{name}` is {limit}"
        return ""
