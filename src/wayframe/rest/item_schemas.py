"""The shapes of groups, streams, plugins, geofences, webhooks, what is assigned, deleted, set and recorded."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from wayframe.services.item_bodies import (
    GeofenceBody,
    GroupBody,
    LinkBody,
    PluginBody,
    SmsBody,
    StreamBody,
    WebhookBody,
)
from wayframe.services.settings import SettingBody


class GroupItem(Struct, kw_only=True):
    """A group."""

    id: int
    cid: int
    name: str
    color: str
    metadata: dict[str, Any]


class StreamItem(Struct, kw_only=True):
    """A stream."""

    id: int
    cid: int
    name: str
    protocol_id: int
    protocol_name: str
    enabled: bool
    queue_ttl: int
    validate_message: str
    configuration: dict[str, Any]
    metadata: dict[str, Any]


class PluginItem(Struct, kw_only=True):
    """A plugin."""

    id: int
    cid: int
    name: str
    item_type: str
    type_id: int
    enabled: bool
    required: bool
    validate_message: str
    priority: int
    configuration: dict[str, Any]
    metadata: dict[str, Any]


class GeofenceItem(Struct, kw_only=True):
    """A geofence."""

    id: int
    cid: int
    name: str
    enabled: bool
    priority: int
    geometry: dict[str, Any]
    metadata: dict[str, Any]


class WebhookItem(Struct, kw_only=True):
    """A webhook."""

    id: int
    cid: int
    name: str
    enabled: bool
    triggers: list[dict[str, Any]]
    configuration: dict[str, Any] | list[dict[str, Any]]
    metadata: dict[str, Any]


class LinkItem(Struct, kw_only=True):
    """An assigned item: its own id, and those of both sides."""

    id: int
    name: str
    group_id: int = 0
    stream_id: int = 0
    device_id: int = 0
    channel_id: int = 0
    geofence_id: int = 0


class PluginLinkItem(Struct, kw_only=True):
    """An item assigned to a plugin, with the values given."""

    id: int
    plugin_id: int
    name: str
    fields: dict[str, Any]
    device_id: int = 0
    group_id: int = 0


class DeletedItem(Struct, kw_only=True):
    """A deleted item that can be restored."""

    id: int
    cid: int
    type: int
    item_id: int
    origin: str
    name: str
    deleted: float
    expires: float


class TypeItem(Struct, kw_only=True):
    """A plugin type or stream protocol, with the schema of its configuration."""

    id: int
    name: str
    title: str
    features: dict[str, Any]
    schema: dict[str, Any]


class Move(Struct, kw_only=True):
    """The account items go to."""

    cid: int


class MetadataItem(Struct, kw_only=True):
    """Free keys of an item."""

    id: int
    metadata: dict[str, Any]


class SettingItem(Struct, kw_only=True):
    """A setting of a device. `mode`: 1 readable, 2 writable; `status`: 1 while a value waits to be written."""

    device_id: int
    name: str
    current: dict[str, Any] | None
    pending: dict[str, Any] | None
    mode: int
    status: int
    updated: float


class SettingData(Struct, kw_only=True):
    """What is to be forgotten."""

    pending: bool = False


class PacketItem(Struct, kw_only=True):
    """A piece of raw traffic; of an ident that is no device, `device_id` is 0."""

    timestamp: float
    device_id: int
    channel_id: int | UnsetType = UNSET
    ident: str | UnsetType = UNSET
    direction: Annotated[str, Meta(pattern="^(in|out)$")]
    data: Annotated[str, Meta(pattern="^([0-9a-f]{2})*$")]
    source: str
    transport: str


class IdentItem(Struct, kw_only=True):
    """An ident that came over a channel; `device_id` is 0 where nobody registered it. `established`: since when the
    oldest of its open connections is open, 0 where none is."""

    id: int
    ident: str
    channel_id: int
    device_id: int
    registered: bool
    connections: int
    established: float
    source: str
    last_seen: float


class DeviceGeofenceItem(Struct, kw_only=True):
    """A geofence that is in a group with a device."""

    id: int
    geofence_id: int
    device_id: int
    name: str
    geometry: dict[str, Any]


class StatisticsItem(Struct, kw_only=True):
    """How much an account has with its subaccounts: `<kind>_count` of items, kilobytes of files."""

    timestamp: float
    cid: int
    channels_count: int
    devices_count: int
    streams_count: int
    plugins_count: int
    groups_count: int
    tokens_count: int
    subaccounts_count: int
    limits_count: int
    webhooks_count: int
    connected_devices_count: int
    media_size: int


ITEM_TYPES: tuple[type, ...] = (
    GroupBody, StreamBody, PluginBody, GeofenceBody, WebhookBody, LinkBody, SettingBody,
    GroupItem, StreamItem, PluginItem, GeofenceItem, WebhookItem, LinkItem,
    PluginLinkItem, DeletedItem, TypeItem, Move, MetadataItem, SettingItem, SettingData, PacketItem, IdentItem,
    DeviceGeofenceItem, StatisticsItem, SmsBody,
)  # fmt: skip
"""Every named shape of these."""
