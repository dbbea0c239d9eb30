"""What an account may have at most: the names of all limits, and a set of them (rest-api.md 3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct, field

from .nouns import Json

COUNTED: Mapping[str, str] = {
    "gw/channels": "channels_count",
    "gw/devices": "devices_count",
    "gw/streams": "streams_count",
    "gw/plugins": "plugins_count",
    "gw/groups": "groups_count",
    "platform/tokens": "tokens_count",
    "platform/subaccounts": "subaccounts_count",
    "platform/limits": "limits_count",
    "platform/webhooks": "webhooks_count",
}
"""Entity → the limit on how many items of it an account has, its subaccounts' included."""


class Rate(NamedTuple):
    """Something that is counted by the minute."""

    what: str
    """For people."""
    per: str = ""
    """Counted for each item of this kind; empty: for an account with its subaccounts."""


RATES: Mapping[str, Rate] = {
    "api_calls": Rate("REST calls"),
    "api_traffic": Rate("bytes of REST requests and answers"),
    "channel_messages": Rate("messages", "channel"),
    "channel_traffic": Rate("bytes from and to devices", "channel"),
    "device_media_traffic": Rate("bytes of files and live video, in and out", "device"),
    "mqtt_messages": Rate("messages published over MQTT"),
}
"""Limits on what is used a minute (`services.meter`)."""

ENFORCED: Mapping[str, str] = {
    **{name: f"items of `{entity}`" for entity, name in COUNTED.items()},
    **{name: f"{rate.what} a minute{f', each {rate.per}' if rate.per else ''}" for name, rate in RATES.items()},
    "channel_connections": "connections open at once on a channel",
    "device_storage": "bytes of messages a device",
    "device_media_storage": "bytes of media a device",
    "mqtt_sessions": "MQTT sessions, connected or kept",
    "mqtt_session_storage": "bytes of messages that wait in an MQTT session",
    "mqtt_retained_storage": "bytes of retained messages",
    "mqtt_subscriptions": "subscriptions of MQTT sessions",
}
"""Limits this server keeps to, and what each counts. Subaccounts share those of the account above them."""

STORED: tuple[str, ...] = (
    "channel_storage", "containers_count", "container_storage", "cdns_count", "cdn_storage", "cdn_traffic",
    "stream_storage", "stream_traffic", "modems_count", "sms_count", "realms_count", "calcs_count", "calcs_storage",
    "plugin_traffic", "plugin_buffered_messages", "webhook_storage", "webhook_traffic", "grants_count",
    "identity_providers_count",
)  # fmt: skip
"""Limits that are checked and kept with the others: what they count does not exist on this server."""

NAMES: tuple[str, ...] = (*ENFORCED, *STORED)
"""Every limit."""


class Limit(Struct, frozen=True, kw_only=True):
    """A set of limits that an account assigns to its subaccounts."""

    id: int
    cid: int
    """Account that made it."""
    name: str = ""
    description: str = ""
    blocking_duration: int = 0
    """Seconds for which a rate that is used up stays shut; at least until its minute is over."""
    counts: dict[str, int] = field(default_factory=dict)
    """By name; one that is not here, or 0, does not limit."""
    metadata: dict[str, Json] = field(default_factory=dict)
