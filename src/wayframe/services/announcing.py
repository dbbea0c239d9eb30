"""What the directory tells of items: log records, and the retained states of mqtt-api.md 6.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wayframe.model import Clock, Json
from wayframe.model.log_codes import Log

from .entries import CUSTOMER, DEVICES, SUBACCOUNTS, Entry
from .journal import Journal
from .kinds import Kind


class Announcer:
    """Tells of items that were made, changed, moved and deleted."""

    def __init__(self, journal: Journal, clock: Clock, kinds: Mapping[str, Kind[Any]]) -> None:
        self._journal = journal
        self._clock = clock
        self._kinds = kinds

    def change(
        self, kind: Kind[Any], entry: Entry, what: Log, by: Mapping[str, Json] | None = None, **states: Json
    ) -> None:
        """Log a change and publish the new retained state. `states`: `new`, and `old` where there was one."""
        state = states["new"]
        entry.changed = self._clock.now()
        fields = {"item_data": state, **states, **(by or {})}
        self._journal.log(what, kind.origin, entry.id, kind.account(entry), fields)
        # An account has two sides: what is changed on one shows on the other.
        sides = (CUSTOMER, SUBACCOUNTS) if kind.entity in (CUSTOMER, SUBACCOUNTS) else (kind.entity,)
        for side in (self._kinds[entity] for entity in sides):
            if told := side.account(entry):
                self._journal.state(side.topic(entry.id), side.state(entry), told)
                self._journal.state_members(side.topic(entry.id), side.state(entry), told)

    def telemetry(self, kind: Kind[Any], entry: Entry) -> None:
        """Publish the telemetry of a device that came (back) to its account, each value with its time."""
        times = entry.view.get("telemetry_times", {})
        together: dict[float, dict[str, Json]] = {}
        for name, value in entry.view.get("telemetry", {}).items():
            together.setdefault(times.get(name, 0.0), {})[name] = value
        for time, values in sorted(together.items()):
            self._journal.state_members(f"{kind.topic(entry.id)}/telemetry", values, entry.cid, time)

    def fields(self, kind: Kind[Any], entry: Entry, changed: Mapping[str, Json]) -> None:
        """Publish fields that live in memory."""
        entry.changed = self._clock.now()
        self._journal.state_members(kind.topic(entry.id), changed, entry.cid)

    def deletion(self, kind: Kind[Any], entry: Entry, by: Mapping[str, Json]) -> None:
        """Log that an item is gone, and clear its states."""
        old, told = kind.state(entry), kind.account(entry)
        entry.view["deleted"] = True
        self._journal.state(f"{kind.topic(entry.id)}/deleted", True, told)
        self._journal.log(Log.DELETED, kind.origin, entry.id, told, {"item_data": old, "old": old, **by})
        self.clear(kind, entry, told)

    def clear(self, kind: Kind[Any], entry: Entry, told: int) -> None:
        """Clear the retained states of an item, as an account saw them."""
        base = kind.topic(entry.id)
        self._journal.state_members(base, dict.fromkeys((*kind.announced, "deleted")), told)
        if kind.entity == DEVICES:
            self._journal.state_members(f"{base}/telemetry", dict.fromkeys(entry.view["telemetry"]), told)
        self._journal.state(base, None, told)
