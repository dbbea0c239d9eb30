"""What is looked for on a device, how often, and how it went (gallery-api.md C12)."""

from __future__ import annotations

from msgspec import Struct, field


class Harvest(Struct, frozen=True, kw_only=True):
    """The harvest of one device, as somebody started it."""

    device_id: int
    running: bool
    """Started, and not stopped since."""
    interval_s: float
    """Seconds from the begin of one run to that of the next."""
    auto_pull: bool
    """Whether the bytes of what is new are fetched without being asked for."""
    types: list[str] = field(default_factory=list)
    """Media types that are noted; empty: all."""
    thumbnails: bool = False
    """Whether thumbnails that the device names are fetched before the bytes are."""
    started_by: int
    """Token of whoever started it; a person's is negative. What it does by itself is logged as theirs."""
    last_run: float = 0.0
    """When the last run ended, Unix seconds; 0 for none."""
    last_error: str = ""
    """Why it failed; empty if it did not."""
    next_run: float = 0.0
    """When the next one begins; 0 where it is stopped."""
    seen_to: float = 0.0
    """Recordings of a device that lists them by time are known up to here."""
