"""Live connections of devices and channels (rest-api.md 7)."""

from __future__ import annotations

from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.services.entries import CHANNELS

from .shared import projected

DEFAULT_FIELDS = (
    "id", "channel_id", "device_id", "ident", "source", "transport", "established", "secondary", "meta",
)  # fmt: skip
"""A connection without `fields`; `ip` only when asked for, as MQTT Board does."""


async def read(call: Call) -> Answer:
    """GET /connections/{sel}."""
    entries = await call.entries()
    found = call.services.connections.views(entries, call.params[1], channels=call.entity == CHANNELS)
    addressed = [{**view, "ip": view["source"].rpartition(":")[0].strip("[]")} for view in found]
    return projected(call, addressed, DEFAULT_FIELDS)


async def close(call: Call) -> Answer:
    """DELETE /connections/{sel}: drops the connection; a live stream ends with it."""
    entries = await call.entries()
    return Answer(call.services.connections.close(entries, call.params[1], channels=call.entity == CHANNELS))
