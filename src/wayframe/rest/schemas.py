"""The shapes of bodies and answers, for OpenAPI and `/gw/api.json`. Bodies are checked where they are used."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from wayframe.services.account_bodies import LimitBody, LimitItem, SubaccountBody
from wayframe.services.bodies import AccountBody, ChannelBody, DeviceBody, TokenBody
from wayframe.services.command_shapes import CommandBody
from wayframe.services.sessions import MessageBody
from wayframe.services.users import UserBody

from .item_schemas import ITEM_TYPES


class DeviceItem(Struct, kw_only=True):
    """A registered device."""

    id: int
    cid: int
    name: str
    enabled: bool
    device_type_id: int
    protocol_id: int
    configuration: dict[str, Any]
    messages_ttl: int
    messages_rotate: int
    media_ttl: int
    media_rotate: int
    metadata: dict[str, Any]


class ChannelItem(Struct, kw_only=True):
    """A listening point for devices of one protocol."""

    id: int
    cid: int
    name: str
    enabled: bool
    protocol_id: int
    protocol_name: str
    uri: str
    messages_ttl: int
    configuration: dict[str, Any]
    metadata: dict[str, Any]


class TokenItem(Struct, kw_only=True):
    """An access key."""

    id: int
    cid: int
    info: str
    enabled: bool
    created: int
    accessed: int
    expire: int
    ttl: int
    ips: str
    access: dict[str, Any]
    metadata: dict[str, Any]
    key: str = ""


class SessionItem(Struct, kw_only=True):
    """An MQTT session."""

    id: int
    cid: int
    client_id: str
    ip: str
    connected: bool
    clean: bool
    expires: float
    expiry: int
    version: int
    created: float
    size: int
    messages: int


class SubscriptionItem(Struct, kw_only=True):
    """A subscription of an MQTT session."""

    id: int
    session_id: int
    topic: str
    qos: int
    no_local: bool
    rap: bool
    retain_handling: int
    subscription_id: int


class TopicItem(Struct, kw_only=True):
    """A topic of an account."""

    cid: int
    topic: str


class PublishedItem(TopicItem, kw_only=True):
    """A message that was published."""

    retained: bool


class RetainedItem(TopicItem, kw_only=True):
    """A retained message."""

    payload: str
    qos: int
    timestamp: float
    expires: float
    user_properties: dict[str, str]


class UserItem(Struct, kw_only=True):
    """A person who logs in with a password."""

    id: int
    cid: int
    identity: str
    name: str
    enabled: bool
    created: float
    changed: float


class AccountItem(Struct, kw_only=True):
    """An account."""

    id: int
    name: str
    owner_id: int
    limits: dict[str, Any]
    counters: dict[str, Any]
    metadata: dict[str, Any]
    created: float


class SubaccountItem(Struct, kw_only=True):
    """An account below another: `cid` is its parent, `id` what x-flespi-cid names."""

    id: int
    cid: int
    name: str
    limit_id: int
    blocked: bool
    created: float
    metadata: dict[str, Any]


class RegionItem(
    Struct,
    kw_only=True,
    rename={
        "mqtt_ws": "mqtt-ws", "gw_ip": "gw-ip", "gw_ftp": "gw-ftp", "registration_allowed": "registration-allowed",
    },
):  # fmt: skip
    """The addresses of this server."""

    name: str
    region: str
    default: bool
    rest: str
    media: str
    mqtt: str
    mqtt_ws: str
    cdn: str
    gw: str
    gw_ip: str
    gw_ftp: str
    registration_allowed: bool


class ProtocolItem(Struct, kw_only=True):
    """A protocol devices speak."""

    id: int
    name: str
    title: str
    features: dict[str, Any]
    transport: str


class DeviceTypeItem(Struct, kw_only=True):
    """A device type with the commands it takes."""

    id: int
    protocol_id: int
    name: str
    title: str
    device_type_name: str
    protocol_name: str
    features: dict[str, Any]
    commands: list[dict[str, Any]]
    settings: list[Any]


class ParameterItem(Struct, kw_only=True):
    """A message parameter."""

    id: int
    name: str
    type: str
    info: str
    unit: str = ""


class MediaItem(Struct, kw_only=True):
    """A stored file."""

    uuid: Annotated[str, Meta(pattern="^[0-9A-F]{64}$")]
    url: str
    name: str
    size: int
    mime: str
    created: float
    modified: float
    uploaded: float
    protected: bool
    shared: bool
    meta: dict[str, Any]
    params: dict[str, Any]
    channel_id: int
    device_id: int
    sha256: str = ""
    """Of the bytes that are served; named in `fields`."""
    source_sha256: str = ""
    """Of the bytes as they came, before a conversion; named in `fields`."""


class MediaChange(Struct, kw_only=True):
    """What to change of stored files."""

    uuid: str | list[str]
    protected: bool = False
    shared: bool = True
    name: str = ""
    params: dict[str, Any] = {}


class MediaDeletion(Struct, kw_only=True):
    """Which files to delete; neither key: all of the selected devices."""

    uuid: str | list[str] = []
    filter: str = ""


class QueueItem(Struct, kw_only=True):
    """A command that waits."""

    id: int
    device_id: int
    name: str
    properties: dict[str, Any]
    timestamp: float
    expires: float
    position: int
    priority: int
    max_attempts: int
    attempts: int
    condition: str
    meta: dict[str, Any]


class ResultItem(Struct, kw_only=True):
    """What became of a command."""

    id: int
    device_id: int
    name: str
    properties: dict[str, Any]
    timestamp: float
    """When it came to its end."""
    expires: float
    position: int
    priority: int
    max_attempts: int
    attempts: int
    condition: str
    meta: dict[str, Any]
    executed: bool
    response: Any = None
    reason: str = ""


class ConnectionItem(Struct, kw_only=True):
    """An open connection."""

    id: int
    channel_id: int
    device_id: int
    ident: str
    source: str
    transport: str
    established: float
    secondary: bool
    meta: dict[str, Any] | None


class TelemetryItem(Struct, kw_only=True):
    """The latest values of a device."""

    id: int
    telemetry: dict[str, dict[str, Any]]


class LogItem(Struct, kw_only=True):
    """A line of a log. Further keys are those of its event: of the file, the command, the connection."""

    timestamp: float
    event_code: int
    origin_id: int
    origin_type: int
    event_origin: str
    cid: int
    item_data: dict[str, Any] = {}
    """Of `created`, `updated`, `deleted` and the like: the item."""
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    token_id: int = 0
    """Who did it; so with the next four."""
    user_id: int = 0
    app: str = ""
    trace: str = ""
    host: str = ""


class IdItem(Struct, kw_only=True):
    """An item that was written or deleted."""

    id: int


Message = dict[str, Any]
"""A flat message."""


class HistoryData(Struct, kw_only=True, rename={"from_": "from"}):
    """A history query."""

    from_: float = 0
    to: float = 0
    count: int = 1
    reverse: bool = False
    fields: str = ""
    filter: str = ""
    item_type: int = 0


class MediaData(Struct, kw_only=True, rename={"from_": "from"}):
    """A media query."""

    uuid: str | list[str] = ""
    fields: str = ""
    filter: str = ""
    from_: float = 0
    to: float = 0
    count: int = 1
    reverse: bool = False
    limit: int = 1
    offset: int = 0


TYPES: tuple[type, ...] = (
    DeviceBody, ChannelBody, TokenBody, AccountBody, CommandBody, DeviceItem, ChannelItem, TokenItem, AccountItem,
    UserBody, UserItem,
    RegionItem, ProtocolItem, DeviceTypeItem, ParameterItem, MediaItem, MediaChange, MediaDeletion, QueueItem,
    ResultItem, ConnectionItem, TelemetryItem, LogItem, IdItem, HistoryData, MediaData, *ITEM_TYPES, SessionItem,
    SubscriptionItem, RetainedItem, TopicItem, PublishedItem, MessageBody,
    SubaccountBody, SubaccountItem, LimitBody, LimitItem,
)  # fmt: skip
"""Every named shape."""

_CREATED = {"type": "number", "title": "Recording time", "description": "Unix seconds; empty means now"}
_CHANNEL = {"type": "integer", "title": "Camera channel", "minimum": 1, "maximum": 255, "default": 1}
_TEXT = {"type": "string"}
_EXTRA = {
    "params": {"type": "object", "title": "Attributes kept with the file"},
    "message_params": {"type": "object", "title": "Parameters added to the device message"},
}


def _variant(kind: str, title: str, meta: dict[str, Any]) -> dict[str, Any]:
    """One kind of upload, told apart by a `type` of one value, as forms want it."""
    return {
        "type": "object",
        "title": title,
        "additionalProperties": False,
        "required": ["type"],
        "x-view-order": ["type", "meta", "params", "message_params"],
        "properties": {
            "type": {"type": "string", "title": "Type", "enum": [kind], "default": kind},
            "meta": {"type": "object", "title": "About the recording", "properties": meta},
            **_EXTRA,
        },
    }


_DRIVER = ("vin", "plate_number", "region", "driver_id", "driver_first_name", "driver_last_name")
MEDIA_FILE_POST: dict[str, Any] = {
    "anyOf": [
        _variant("video", "Video", {"channel": _CHANNEL, "created": _CREATED}),
        _variant("image", "Photo", {"channel": _CHANNEL, "created": _CREATED}),
        _variant("tacho", "Tachograph file", {"created": _CREATED, **dict.fromkeys(_DRIVER, _TEXT)}),
    ]
}
"""The `data` part of an upload (rest-api.md 8.3)."""


@cache
def components(ref_template: str) -> dict[str, Any]:
    """The JSON schema of every shape, by name; `ref_template` holds `{name}`."""
    _, found = msgspec.json.schema_components(TYPES, ref_template=ref_template)
    return found


@cache
def definitions() -> dict[str, Any]:
    """The definitions of `/gw/api.json`."""
    return {**components("#/definitions/{name}"), "media.file.post": MEDIA_FILE_POST}
