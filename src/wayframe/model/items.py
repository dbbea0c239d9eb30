"""The stored items around devices: groups, streams, plugins, geofences, webhooks, the bin, assignments, idents, raw
traffic."""

from __future__ import annotations

from msgspec import Struct, field

from .nouns import Json


class Group(Struct, frozen=True, kw_only=True):
    """A set of items, for selectors, rights and streams (rest-api.md 5.4)."""

    id: int
    cid: int
    name: str = ""
    color: str = ""
    """`#rrggbb` or empty."""
    metadata: dict[str, Json] = field(default_factory=dict)


class Stream(Struct, frozen=True, kw_only=True):
    """Where messages are passed on to (rest-api.md 5.5)."""

    id: int
    cid: int
    name: str = ""
    protocol_id: int
    """One of the stream protocols."""
    enabled: bool = True
    queue_ttl: int = 86400
    """Seconds a message waits for its destination."""
    validate_message: str = ""
    """Expression a message must satisfy; empty: all."""
    configuration: dict[str, Json] = field(default_factory=dict)
    """As the protocol's schema says; text values."""
    metadata: dict[str, Json] = field(default_factory=dict)


class Plugin(Struct, frozen=True, kw_only=True):
    """What changes or enriches messages of the devices it is assigned to (plugins.md)."""

    id: int
    cid: int
    name: str = ""
    type_id: int
    """One of the plugin types."""
    enabled: bool = True
    required: bool = False
    """A message is not registered where this one fails."""
    priority: int = 0
    """Higher goes first."""
    validate_message: str = ""
    """Expression a message must satisfy; empty: all."""
    configuration: dict[str, Json] = field(default_factory=dict)
    metadata: dict[str, Json] = field(default_factory=dict)


class Geofence(Struct, frozen=True, kw_only=True):
    """An area on the map."""

    id: int
    cid: int
    name: str = ""
    enabled: bool = True
    priority: int = 0
    geometry: dict[str, Json]
    """`circle`, `polygon` or `corridor` with points `{lat, lon}`; lengths in kilometres."""
    metadata: dict[str, Json] = field(default_factory=dict)


class Webhook(Struct, frozen=True, kw_only=True):
    """What is called when something happens (rest-api.md 3.6)."""

    id: int
    cid: int
    name: str = ""
    enabled: bool = True
    triggers: list[dict[str, Json]]
    """Topics and conditions, one to three; any of them starts it."""
    configuration: Json
    """One request, or a chain of them."""
    metadata: dict[str, Json] = field(default_factory=dict)


class DeletedItem(Struct, frozen=True, kw_only=True):
    """A deleted item in the bin, as it was."""

    id: int
    cid: int
    type: int
    """Origin type of what it was."""
    item_id: int
    """Its id, which it gets again when it is restored."""
    name: str = ""
    deleted: float
    """When, Unix seconds."""
    data: dict[str, Json]
    """The whole record."""


class Assignment(Struct, frozen=True, kw_only=True):
    """An item assigned to another: a device to a group, stream or plugin."""

    parent_type: int
    """Origin type of the group, stream or plugin."""
    parent_id: int
    child_type: int
    child_id: int
    fields: dict[str, Json] = field(default_factory=dict)
    """Values of an item-fields plugin for this device."""


class DeviceSetting(Struct, frozen=True, kw_only=True):
    """A setting of a device, as far as it is known here (rest-api.md 6.3)."""

    device_id: int
    name: str
    current: Json = None
    """As the device last said; None: never read."""
    pending: Json = None
    """What is to be written; None: nothing."""
    updated: float = 0.0
    """Time of the last change."""


class SeenIdent(Struct, frozen=True, kw_only=True):
    """An ident that came over a channel (rest-api.md 5.1)."""

    id: int
    """Given when it came first."""
    channel_id: int
    ident: str
    device_id: int = 0
    """The device it was last; 0: nobody registered it."""
    source: str = ""
    """`ip:port` it came from last."""
    seen: float
    """When it came last, Unix seconds."""


class Packet(Struct, frozen=True, kw_only=True):
    """A piece of raw traffic of a device, as it went over the socket."""

    device_id: int
    """Negative: of an ident that is no device, by its number in `SeenIdent`."""
    timestamp: float
    received: bool
    """True: from the device; False: to it."""
    source: str
    """`ip:port` of the peer."""
    transport: str = "tcp"
    data: bytes
