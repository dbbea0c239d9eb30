"""Rates that limits allow a minute: counted in memory, and doors that stay shut once a rate is used up.

What uses a rate up is still let through; from then on its door is shut until the minute is over, or for the
`blocking_duration` of the limit. Where nobody has a limit, counting costs one look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from wayframe.model import Clock, OriginType, TooManyRequests
from wayframe.model.limits import RATES
from wayframe.model.log_codes import Log
from wayframe.storage import StateTable

from .journal import Journal
from .limits import Limits

_MINUTE = 60.0
_STATE = "limits.rates"
_MOST = 10_000
"""Counts kept; those whose minute is over go when there are more."""

Key = tuple[str, int]
"""Name of a rate, and the account or item it is counted for."""


class _Count(msgspec.Struct):
    """What was used of a rate."""

    ends: float
    """End of its minute, Unix seconds."""
    used: int = 0
    shut: float = 0.0
    """Until when its door is shut, Unix seconds."""


class _Rule(NamedTuple):
    """A limit at work."""

    account: int
    """Who was given it."""
    limit: int
    blocking_s: float


class Meter:
    """Counts, and says which doors are shut."""

    def __init__(self, limits: Limits, journal: Journal, clock: Clock) -> None:
        self._limits = limits
        self._journal = journal
        self._clock = clock
        self._counts: dict[Key, _Count] = {}
        self._rules: dict[Key, tuple[_Rule, ...]] = {}
        self._known = -1
        self._sets = limits.sets

    @property
    def idle(self) -> bool:
        """Whether nobody has limits at all."""
        return not self._sets

    def limited(self, name: str, cid: int) -> bool:
        """Whether a rate of an account, or of its items, is limited."""
        return not self.idle and bool(self._of(name, cid))

    def _of(self, name: str, cid: int) -> tuple[_Rule, ...]:
        """The rules for a rate of an account: its own and those of accounts above it; of items the strictest alone."""
        if self._known != self._limits.version:
            self._known = self._limits.version
            self._rules.clear()
        rules = self._rules.get((name, cid))
        if rules is None:
            rules = tuple(
                _Rule(account.id, given.counts[name], float(given.blocking_duration))
                for account, given in self._limits.given(cid)
                if given.counts.get(name)
            )
            if RATES[name].per and rules:
                rules = (min(rules, key=lambda rule: rule.limit),)
            self._rules[name, cid] = rules
        return rules

    def shut(self, name: str, cid: int, item: int = 0) -> TooManyRequests | None:
        """Why the door of a rate is shut, and for how long; None where it is open.

        Args:
            item: the channel or device it is counted for, where it is not the account.
        """
        if self.idle:
            return None
        now = self._clock.now()
        for rule in self._of(name, cid):
            count = self._counts.get((name, item or rule.account))
            if count is not None and count.shut > now:
                whose = f"{RATES[name].per} {item}" if item else f"account {rule.account}"
                sentence = f"{whose} has used up its {RATES[name].what} a minute: `{name}` is {rule.limit}"
                return TooManyRequests(sentence, count.shut - now)
        return None

    def check(self, name: str, cid: int, item: int = 0) -> None:
        """Raises `TooManyRequests` where the door is shut. Args as `shut`."""
        if (shut := self.shut(name, cid, item)) is not None:
            raise shut

    def count(self, name: str, cid: int, amount: int, item: int = 0) -> None:
        """Count what was used; the door shuts when that is all there is. Args as `shut`."""
        if self.idle:
            return
        for rule in self._of(name, cid):
            now, key = self._clock.now(), (name, item or rule.account)
            count = self._counts.get(key)
            if count is None or not count.ends - _MINUTE <= now < count.ends:
                count = self._begin(key, now, count.shut if count is not None else 0.0)
            count.used += amount
            if count.used >= rule.limit and count.shut <= now:
                count.shut = max(count.ends, now + rule.blocking_s)
                self._tell(name, rule, count, item)

    def _begin(self, key: Key, now: float, shut: float) -> _Count:
        if len(self._counts) >= _MOST:
            self._counts = {kept: count for kept, count in self._counts.items() if max(count.ends, count.shut) > now}
        count = self._counts[key] = _Count(now + _MINUTE, shut=shut)
        return count

    def _tell(self, name: str, rule: _Rule, count: _Count, item: int) -> None:
        fields = {"limit": name, "value": rule.limit, "shut_until": count.shut}
        if item:
            fields["item"] = f"{RATES[name].per} {item}"
        self._journal.log(Log.LIMIT_REACHED, OriginType.CUSTOMER, rule.account, rule.account, fields)

    # --- over restarts ------------------------------------------------------------------------------------------

    async def load(self, state: StateTable) -> None:
        """Take up what was saved: a restart opens no door."""
        if stored := await state.get(_STATE):
            kept: Mapping[str, dict[int, _Count]] = msgspec.msgpack.decode(stored, type=dict[str, dict[int, _Count]])
            self._counts = {(name, whose): count for name, by in kept.items() for whose, count in by.items()}

    async def save(self, state: StateTable) -> None:
        """Write what is counted. Called every minute and at the end."""
        if self.idle and not self._counts:
            return
        now, kept = self._clock.now(), dict[str, dict[int, _Count]]()
        for (name, whose), count in self._counts.items():
            if max(count.ends, count.shut) > now:
                kept.setdefault(name, {})[whose] = count
        await state.put({_STATE: msgspec.msgpack.encode(kept)})
