"""BCD[6] times: YY MM DD hh mm ss in the terminal's local time, converted with a given offset from UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

DEFAULT_OFFSET_S: Final = 8 * 3600
"""The standard's UTC+8; a device's own time zone replaces it."""

NO_TIME: Final = "000000000000"
"""All zero: no time, or no bound."""


@lru_cache(maxsize=1024)  # a fleet reports the same seconds
def bcd_to_unix(bcd: str, offset_s: int = DEFAULT_OFFSET_S) -> float | None:
    """Unix seconds of twelve BCD digits; None for all zeros and for impossible times."""
    if bcd == NO_TIME or len(bcd) != 12 or not (bcd.isascii() and bcd.isdigit()):
        return None
    year, month, day, hour, minute, second = (int(bcd[at : at + 2]) for at in range(0, 12, 2))
    try:
        local = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return local.timestamp() - offset_s


def unix_to_bcd(unix_s: float, offset_s: int = DEFAULT_OFFSET_S) -> str:
    """Twelve BCD digits of a time, fractions cut off. Raises `ValueError` outside the years 2000 to 2099."""
    local = datetime.fromtimestamp(int(unix_s // 1), UTC) + timedelta(seconds=offset_s)
    if not 2000 <= local.year <= 2099:
        raise ValueError(f"BCD times hold the years 2000 to 2099, got {local.year}")
    return local.strftime("%y%m%d%H%M%S")
