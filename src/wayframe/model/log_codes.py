"""Every log event we emit: its code, the tail of its topic, and how it reads (rest-api.md 6.5)."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class LogCode(Struct, frozen=True):
    """One kind of log record."""

    code: int
    """`event_code`."""
    topic: str
    """Tail of the topic after `flespi/log/{origin}/`; `{name}` is filled from the record."""
    description: str
    """For people."""
    severity: str = "info"
    """`alert`, `warning`, `notice` or `info`."""
    entity: str = ""
    """Whose items have it: `gw/devices`; empty: items of every kind."""


_CHANNEL, _CUSTOMER, _DEVICE = "gw/channels", "platform/customer", "gw/devices"


class Log(Enum):
    """The directory of log events."""

    CREATED = LogCode(1, "created", "item created")
    UPDATED = LogCode(2, "updated", "item updated")
    DELETED = LogCode(3, "deleted", "item deleted", "notice")
    ASSIGNED = LogCode(4, "{name}/assigned", "item assigned")
    UNASSIGNED = LogCode(5, "{name}/unassigned", "item no longer assigned")
    RESTORED = LogCode(6, "restored", "deleted item restored", "notice")
    MEDIA_UPLOADED = LogCode(24, "media_file_uploaded", "media file uploaded", entity=_DEVICE)
    MEDIA_UPDATED = LogCode(25, "media_file_updated", "media file updated", entity=_DEVICE)
    MEDIA_DELETED = LogCode(26, "media_file_deleted", "media file deleted", "notice", entity=_DEVICE)
    MEDIA_EXPIRED = LogCode(27, "media_file_expired", "media file removed by retention", entity=_DEVICE)
    MEDIA_REFUSED = LogCode(28, "media_refused", "media refused", "warning", entity=_DEVICE)
    CHANNEL_CONNECTED = LogCode(100, "connected", "connection accepted", entity=_CHANNEL)
    CHANNEL_IDENTIFIED = LogCode(101, "identified", "connection identified", entity=_CHANNEL)
    CHANNEL_CLOSED = LogCode(102, "disconnected", "connection closed", entity=_CHANNEL)
    CHANNEL_ERROR = LogCode(103, "error", "channel data processing error", "warning", entity=_CHANNEL)
    CHANNEL_UNKNOWN_IDENT = LogCode(
        104, "unknown_ident", "connection with an unknown ident refused", "warning", entity=_CHANNEL
    )
    LIMIT_REACHED = LogCode(
        200, "limit_reached", "a limit is reached: its door is shut for a while", "warning", entity=_CUSTOMER
    )
    DEVICE_CONNECTED = LogCode(300, "connected", "device connected", entity=_DEVICE)
    DEVICE_DISCONNECTED = LogCode(301, "disconnected", "device disconnected", "notice", entity=_DEVICE)
    DEVICE_NOTE = LogCode(302, "note", "device protocol event", entity=_DEVICE)
    SETTING_RECEIVED = LogCode(310, "settings/{name}/received", "setting: value received", entity=_DEVICE)
    SETTING_ACCEPTED = LogCode(312, "settings/{name}/accepted", "setting: new value accepted", entity=_DEVICE)
    SETTING_REJECTED = LogCode(
        313, "settings/{name}/rejected", "setting: new value rejected", "warning", entity=_DEVICE
    )
    COMMAND_QUEUED = LogCode(330, "commands-queue/{name}/queued", "command queued", entity=_DEVICE)
    COMMAND_PROCESSED = LogCode(331, "commands-queue/{name}/processed", "command processed", entity=_DEVICE)
    COMMAND_CANCELED = LogCode(332, "commands-queue/{name}/canceled", "command canceled", "notice", entity=_DEVICE)
    COMMAND_EXPIRED = LogCode(333, "commands-queue/{name}/expired", "command expired", "warning", entity=_DEVICE)
    COMMAND_SENT = LogCode(335, "commands-queue/{name}/sent", "command sent", entity=_DEVICE)
    REALTIME_COMMAND_PROCESSED = LogCode(336, "command/{name}/processed", "real-time command processed", entity=_DEVICE)
    STREAM_START = LogCode(340, "mediastream/start", "live stream started", entity=_DEVICE)
    STREAM_STOP = LogCode(341, "mediastream/stop", "live stream stopped", entity=_DEVICE)
    HOOK_FAILED = LogCode(350, "gallery/hook_failed", "gallery hook came to nothing", "warning", entity=_DEVICE)
    MQTT_CONNECTED = LogCode(400, "mqtt/connected", "MQTT client connected", entity=_CUSTOMER)
    MQTT_DISCONNECTED = LogCode(401, "mqtt/disconnected", "MQTT client disconnected", entity=_CUSTOMER)
    MQTT_REFUSED = LogCode(402, "mqtt/refused", "MQTT client refused", "warning", entity=_CUSTOMER)
    MQTT_DROPPED = LogCode(
        403, "mqtt/dropped", "messages dropped for an MQTT session that holds too many", "warning", entity=_CUSTOMER
    )
    MQTT_ENDED = LogCode(404, "mqtt/ended", "MQTT session ended without its client", "notice", entity=_CUSTOMER)


CLOSE_CODES: dict[int, str] = {
    0: "closed by the device",
    4: "device violates the protocol",
    5: "server error",
    7: "server restart",
    12: "ident collision: a newer connection took over",
    17: "inactivity",
    18: "ident is not registered",
    21: "channel blocked",
    22: "closed over the API",
    23: "device disabled",
}
"""`close_code` of 102 and 301."""

ORIGINS: dict[int, str] = {
    1: "platform/customer",
    4: "platform/limits",
    5: "platform/subaccounts",
    9: "gw/channels",
    11: "gw/devices",
    12: "gw/streams",
    25: "gw/plugins",
    31: "gw/groups",
    33: "platform/tokens",
    36: "platform/webhooks",
    40: "gw/geofences",
}
"""Origin type to the middle of the topic, `event_origin` without the id."""
