"""Words a shell completes: devices by id, with their names beside, and their commands. Whatever goes wrong, there are
none."""

from __future__ import annotations

from typing import Any

import httpx
import typer

from .client import Api, segment
from .errors import CommandError

_MOST = 200
_PATIENCE = httpx.Timeout(2.0, connect=0.5)


def complete_device(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids of devices that begin like `incomplete`, or whose name has it inside."""
    matching = [
        (str(item["id"]), item.get("name", ""))
        for item in _asked(context, "all", {"fields": "id,name", "limit": "5000"})
        if str(item["id"]).startswith(incomplete) or incomplete.lower() in item.get("name", "").lower()
    ]
    return matching[:_MOST]


def complete_command(context: typer.Context, incomplete: str) -> list[str]:
    """Commands of the device that was named before."""
    found = _asked(context, context.params.get("device") or "all", {"fields": "commands", "limit": "1"})
    names = [command["name"] for item in found for command in item.get("commands", [])]
    return [name for name in names if name.startswith(incomplete)]


def _asked(context: typer.Context, selector: str, query: dict[str, str]) -> list[Any]:
    """Devices, as long as a shell may wait for them."""
    from .access import connect  # what it needs is only loaded where there is something to complete

    said = context.params
    try:
        api = connect(said.get("config"), said.get("url") or "", said.get("token") or "")
        return Api(api.url, api.token, _PATIENCE).call("GET", f"/gw/devices/{segment(selector)}", query=query)
    except (CommandError, OSError, ValueError):
        return []
