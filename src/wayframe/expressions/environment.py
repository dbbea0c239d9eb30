"""What surrounds an evaluation: the mode an expression is compiled for and the world it is evaluated in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

Context = Mapping[str, object]
"""The object an expression reads its names from: nested JSON-like mappings."""

Geofence = Callable[[float, float], bool]
"""Tells whether latitude, longitude (degrees) lie inside an area."""


class Mode(StrEnum):
    """Where an expression is used: decides which functions it may call (reference, section 1)."""

    SELECTOR = "selector"
    """`{expr}` in a REST path: the fields of one item."""
    FILTER = "filter"
    """`data.filter`, command conditions, `validate_message`: the fields of one record."""
    MQTT_PAYLOAD = "mqtt-payload"
    """`$filter/payload=`: the members of the payload."""
    MQTT_MESSAGE = "mqtt-message"
    """`$filter/message=`: topic, payload text and properties of the message."""
    TEMPLATE = "template"
    """Inside `%{ }%`: no top-level comma."""
    CALC = "calc"
    """Calculators, plugins and streams: may also look at the previous message."""


class Escape(StrEnum):
    """How a template value is written into the surrounding text (reference, section 11)."""

    NONE = "none"
    """As it is."""
    JSON = "json"
    """For the inside of a JSON string."""
    URL = "url"
    """Percent-encoded."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The world around one evaluation; the language itself has no clock and no state."""

    now: float | None = None
    """The result of `now()`, Unix seconds; without it `now()` fails with `missing`."""
    timezone: str = "UTC"
    """IANA name of the zone in which `hour()`, `day()` and the like read a time."""
    previous: Context | None = None
    """The previous message or interval, for `#name`, `previous()`, `mileage()` and `duration()`."""
    escape: Escape = Escape.NONE
    """How templates escape their values."""
    geofences: Mapping[str, Geofence] | None = None
    """Areas by name, for `geofence()`."""
    metadata: Context | None = None
    """The item's metadata for `metadata()`; None reads the context's own member `metadata`."""


NOWHERE = Environment()
"""The environment used when the caller gives none."""
