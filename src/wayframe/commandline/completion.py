"""Words a shell completes: devices by id, with their names beside. Whatever goes wrong, there are none."""

from __future__ import annotations

import httpx
import typer

from .client import Api
from .errors import CommandError

_MOST = 200
_PATIENCE = httpx.Timeout(2.0, connect=0.5)


def complete_device(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids of devices that begin like `incomplete`, or whose name has it inside."""
    from .access import connect  # what it needs is only loaded where there is something to complete

    said = context.params
    try:
        api = connect(said.get("config"), said.get("url") or "", said.get("token") or "")
        quick = Api(api.url, api.token, _PATIENCE)
        found = quick.call("GET", "/gw/devices/all", query={"fields": "id,name", "limit": "5000"})
    except (CommandError, OSError, ValueError):
        return []
    matching = [
        (str(item["id"]), item.get("name", ""))
        for item in found
        if str(item["id"]).startswith(incomplete) or incomplete.lower() in item.get("name", "").lower()
    ]
    return matching[:_MOST]
