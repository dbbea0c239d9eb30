"""Live connections of devices and channels, and the idents seen on a channel (rest-api.md 7)."""

from __future__ import annotations

from typing import Any

from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.services.directory import CHANNELS

from .shared import chosen, projected


async def read(call: Call) -> Answer:
    """GET /connections/{sel}."""
    entries = await call.entries()
    found = call.services.connections.views(entries, call.params[1], channels=call.entity == CHANNELS)
    return projected(call, found)


async def close(call: Call) -> Answer:
    """DELETE /connections/{sel}: drops the connection; a live stream ends with it."""
    entries = await call.entries()
    return Answer(call.services.connections.close(entries, call.params[1], channels=call.entity == CHANNELS))


async def idents(call: Call) -> Answer:
    """GET /gw/channels/{sel}/idents/{sel}: who is connected over the channel, one line a device."""
    found: dict[int, dict[str, Any]] = {}
    for connection in call.services.connections.views(await call.entries(), "all", channels=True):
        known = found.get(connection["device_id"])
        if known is None:
            found[connection["device_id"]] = {
                "id": connection["device_id"],
                "ident": connection["ident"],
                "channel_id": connection["channel_id"],
                "device_id": connection["device_id"],
                "established": connection["established"],
                "connections": 1,
            }
        else:
            known["connections"] += 1
    return projected(call, chosen(found, call.params[1], "ident"))
