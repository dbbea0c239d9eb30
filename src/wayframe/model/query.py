"""The question asked of any history: messages, logs, command results (rest-api.md 2.5)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct

from .errors import BadRequest
from .nouns import Json

MAX_COUNT = 100_000
"""Records in one answer at most; also the default."""

KEYS = ("from", "to", "count", "reverse", "fields", "filter", "item_type")
"""What a history query may hold."""


class HistoryQuery(Struct, frozen=True, kw_only=True):
    """A span of time, an order and what to show of each record."""

    from_: float | None = None
    """Earliest timestamp, inclusive, Unix seconds to the microsecond; None: from the beginning."""
    to: float | None = None
    """Latest timestamp, inclusive; None: to the end."""
    count: int = MAX_COUNT
    """Records over all selected items together."""
    reverse: bool = False
    """True: newest first."""
    fields: tuple[str, ...] | None = None
    """Flat names to show, a trailing `.*` stands for all below; None: everything."""
    filter: str = ""
    """Expression each record must satisfy; a top-level comma is an AND; empty: all records."""
    item_type: int | None = None
    """Logs: only records of this origin type."""

    def show(self, record: Mapping[str, Json]) -> dict[str, Json]:
        """The record with only the asked fields."""
        if self.fields is None:
            return dict(record)
        exact = {name: record[name] for name in self.fields if name in record}
        prefixes = tuple(name[:-1] for name in self.fields if name.endswith(".*"))
        if not prefixes:
            return exact
        return {name: value for name, value in record.items() if name in exact or name.startswith(prefixes)}


def parse(data: Mapping[str, Json], *, strict: bool = False) -> HistoryQuery:
    """The `data` object of a request as a query.

    `strict` refuses unknown keys: for deletion, where a misspelt `from` must not mean everything. Reading ignores
    them, because clients send keys of other versions. Raises BadRequest naming the field and the rule.
    """
    if strict and (unknown := sorted(set(data) - set(KEYS))):
        raise BadRequest(f"unknown field {unknown[0]!r}; valid are {', '.join(KEYS)}", schema_hint=list(KEYS))
    start, end = timestamp(data, "from"), timestamp(data, "to")
    return HistoryQuery(
        from_=start,
        to=end,
        count=_count(data),
        reverse=flag(data, "reverse"),
        fields=names(data.get("fields")),
        filter=_filter(data),
        item_type=_item_type(data),
    )


def timestamp(data: Mapping[str, Json], key: str) -> float | None:
    """An optional time, Unix seconds. Raises BadRequest."""
    value = data.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadRequest(f"{key} must be Unix seconds, a number; got {value!r}")
    return float(value)


def flag(data: Mapping[str, Json], key: str) -> bool:
    """An optional switch, off by default; 0 and 1 are taken too. Raises BadRequest."""
    value = data.get(key)
    if value is None:
        return False
    if value not in (True, False):
        raise BadRequest(f"{key} must be true or false, got {value!r}")
    return bool(value)


def names(value: Json) -> tuple[str, ...] | None:
    """A list of field names: a comma list or an array; None and nothing but blanks mean all. Raises BadRequest."""
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise BadRequest(f"fields must be a comma list of names, got {value!r}")
    return tuple(part.strip() for part in parts if part.strip()) or None


def _count(data: Mapping[str, Json]) -> int:
    value = data.get("count")
    if value is None:
        return MAX_COUNT
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadRequest(f"count must be an integer from 1, got {value!r}")
    return min(value, MAX_COUNT)


def _filter(data: Mapping[str, Json]) -> str:
    value = data.get("filter")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRequest(f"filter must be an expression in text, got {value!r}")
    return value.strip()


def _item_type(data: Mapping[str, Json]) -> int | None:
    value = data.get("item_type")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"item_type must be an origin type number, got {value!r}")
    return value
