"""What an account may have at most: the names of all limits, and a set of them (rest-api.md 3.5)."""

from __future__ import annotations

from collections.abc import Mapping

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

ENFORCED: Mapping[str, str] = {
    **{name: f"items of `{entity}`" for entity, name in COUNTED.items()},
    "api_calls": "REST calls a minute",
    "device_storage": "bytes of messages a device",
    "device_media_storage": "bytes of media a device",
}
"""Limits this server keeps to, and what each counts. Subaccounts share those of the account above them."""

STORED: tuple[str, ...] = (
    "api_traffic", "channel_messages", "channel_storage", "channel_traffic", "channel_connections", "containers_count",
    "container_storage", "cdns_count", "cdn_storage", "cdn_traffic", "device_media_traffic", "stream_storage",
    "stream_traffic", "modems_count", "mqtt_sessions", "mqtt_messages", "mqtt_session_storage",
    "mqtt_retained_storage", "mqtt_subscriptions", "sms_count", "realms_count", "calcs_count", "calcs_storage",
    "plugin_traffic", "plugin_buffered_messages", "webhook_storage", "webhook_traffic", "grants_count",
    "identity_providers_count",
)  # fmt: skip
"""Limits that are checked and kept with the others, and that nothing counts yet."""

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
    """Seconds; kept for clients."""
    counts: dict[str, int] = field(default_factory=dict)
    """By name; one that is not here, or 0, does not limit."""
    metadata: dict[str, Json] = field(default_factory=dict)
