"""Sizes and durations as people write them, and what is never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

KB, MB, GB = 10**3, 10**6, 10**9
KIB, MIB, GIB = 2**10, 2**20, 2**30
MINUTE, HOUR, DAY = 60, 3600, 86400

_SIZE_UNITS = {"b": 1, "kb": KB, "mb": MB, "gb": GB, "tb": 10**12, "kib": KIB, "mib": MIB, "gib": GIB, "tib": 2**40}
_TIME_UNITS = {"ms": 0.001, "s": 1, "min": MINUTE, "h": HOUR, "d": DAY}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def _quantity(units: Mapping[str, float]) -> BeforeValidator:
    """Accept `512 MiB` or `30 d` where a plain number of bytes or seconds is meant."""

    def parse(value: Any) -> Any:
        match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return value
        unit = units.get(match[2].lower())
        if unit is None:
            raise ValueError(f"unknown unit {match[2]!r}, one of {', '.join(units)}")
        number = float(match[1]) * unit
        return int(number) if number.is_integer() else number

    return BeforeValidator(parse)


Bytes = Annotated[int, _quantity(_SIZE_UNITS), "bytes"]
"""A size in bytes; text may carry a unit (`512 MiB`, `10 GB`)."""
WholeSeconds = Annotated[int, _quantity(_TIME_UNITS), "seconds"]
"""A duration in whole seconds; text may carry a unit (`30 d`, `10 min`)."""
Seconds = Annotated[float, _quantity(_TIME_UNITS), "seconds"]
"""A duration in seconds; text may carry a unit."""
Secret = Annotated[str, "secret"]
"""What opens something: never shown."""
