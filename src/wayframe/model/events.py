"""An event: everything that happens has an MQTT topic (architecture rule 1)."""

from __future__ import annotations

from msgspec import Struct

from .nouns import Json


class Event(Struct, frozen=True):
    """One thing that happened, published once on the bus."""

    topic: str
    """MQTT topic, e.g. `flespi/log/gw/devices/7/media_file_uploaded`."""
    payload: Json
    """JSON-like payload; None with `retain` clears the retained state (an empty MQTT payload)."""
    cid: int
    """Account it belongs to."""
    timestamp: float
    """Time of the value, Unix seconds."""
    retain: bool = False
    """True only for `flespi/state/...`."""
