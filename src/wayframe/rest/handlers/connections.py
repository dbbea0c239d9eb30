"""Live connections of devices and channels, and the idents seen on a channel (rest-api.md 7)."""

from __future__ import annotations

from typing import Any

from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.services.entries import CHANNELS

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
    """GET /gw/channels/{sel}/idents and /idents/{sel}: connected devices, and idents that knocked unregistered."""
    entries = await call.entries()
    lines: list[dict[str, Any]] = []
    for connection in call.services.connections.views(entries, "all", channels=True):
        known = next((line for line in lines if line["device_id"] == connection["device_id"]), None)
        if known is not None:
            known["connections"] += 1
            continue
        kept = ("ident", "channel_id", "device_id", "established")
        lines.append({name: connection[name] for name in kept} | {"connections": 1, "registered": True})
    for entry in entries:
        for seen in call.services.connections.unknown_idents(entry.id):
            lines.append({**seen, "channel_id": entry.id, "device_id": 0, "connections": 0, "registered": False})
    numbered = {number: {"id": number, **line} for number, line in enumerate(lines, 1)}
    return projected(call, chosen(numbered, call.params[1] if len(call.params) > 1 else "all", "ident"))
