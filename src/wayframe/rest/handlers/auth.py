"""Who am I, and where are the other doors (rest-api.md 3.2, 3.3)."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from wayframe.model import Json
from wayframe.rest.context import Call, Site
from wayframe.rest.exchange import Answer
from wayframe.services import token_view

from .shared import projected


async def info(call: Call) -> Answer:
    """GET /auth/info: the token, without its key; MQTT sends the same in CONNACK."""
    token = call.caller.token
    return projected(call, [token_view(token) | {"accessed": call.services.directory.token_used(token)}])


async def regions(call: Call) -> Answer:
    """GET /auth/regions: the addresses of this server. Needs no token."""
    return Answer([region(call.site)])


def region(site: Site) -> dict[str, Json]:
    """The one region, as clients join addresses from it."""
    base = site.secure_url or site.public_url
    host = site.gw or urlsplit(base).hostname or "localhost"
    return {
        "name": site.name,
        "region": site.name,
        "default": True,
        "rest": base,
        "media": f"{base}/media",
        "mqtt": site.mqtt,
        "mqtt-ws": site.mqtt_ws,
        "cdn": f"{base}/cdn",
        "gw": host,
        "gw-ip": host if _is_address(host) else "",
        "gw-ftp": f"{host}:{site.ftp_port}" if site.ftp_port else "",
        "registration-allowed": False,
    }


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def providers(call: Call) -> Answer:
    """GET /auth/oauth/providers: none."""
    return Answer([{}])
