"""How much an account has (rest-api.md 3.5), as of now: earlier figures are not kept."""

from __future__ import annotations

from wayframe.expressions import Environment
from wayframe.model import Clock, Json
from wayframe.model.query import HistoryQuery

from .directory import Directory
from .entries import DEVICES
from .history import compiled_filter


class Statistics:
    """Counts from memory."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    def records(self, cid: int, query: HistoryQuery) -> list[dict[str, Json]]:
        """The one record of an account with its subaccounts, where the query covers this moment: items of each kind,
        connected devices, and the kilobytes their files take. Raises `BadRequest` for a bad filter."""
        now, wanted = self._clock.now(), compiled_filter(query.filter)
        if (query.from_ is not None and now < query.from_) or (query.to is not None and query.to < now):
            return []
        family = self._directory.visible_accounts(cid)
        devices = [entry.view for entry in self._directory.entries(DEVICES) if entry.cid in family]
        record: dict[str, Json] = {
            "timestamp": now,
            "cid": cid,
            **self._directory.limits.counters(cid),
            "connected_devices_count": sum(view["connected"] for view in devices),
            "media_size": sum(view["media_size"] for view in devices),
        }
        shown = wanted is None or wanted.matches(record, Environment(now=now))
        return [query.show(record)] if shown else []
