"""Devices and channels: what the catalogue has to say of them, and idents, of which there is one a protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from wayframe.model import BadRequest, Channel, Clock, Conflict, Device, Json, OriginType
from wayframe.storage import ItemTable

from ..bodies import ChannelBody, DeviceBody
from ..catalogue import Catalogue
from ..entries import CHANNELS, DEVICES, Defaults
from ..rules import check_device, check_packets_ttl, configured_number
from .kind import Kind

DEVICE_FIELDS = (
    "id", "cid", "name", "enabled", "device_type_id", "protocol_id", "configuration", "messages_ttl",
    "messages_rotate", "media_ttl", "media_rotate", "metadata",
)  # fmt: skip
CHANNEL_FIELDS = (
    "id", "cid", "name", "enabled", "protocol_id", "protocol_name", "uri", "messages_ttl", "configuration", "metadata",
)  # fmt: skip
_MEMORY = {
    "connected": False, "last_active": 0.0, "telemetry": {}, "media_size": 0, "media_traffic": 0, "plugins_count": 0,
    "groups": [], "calcs": [], "plugins": [], "streams": [], "fields": {}, "channels": [], "blocked": False,
    "deleted": False,
}  # fmt: skip


class DeviceKind(Kind[Device]):
    """Devices, and who has which ident."""

    def __init__(self, table: ItemTable[Device], catalogue: Catalogue, clock: Clock, defaults: Defaults) -> None:
        super().__init__(
            DEVICES, OriginType.DEVICE, table, Device, DeviceBody, DEVICE_FIELDS,
            required=["device_type_id"], memory=_MEMORY,
        )  # fmt: skip
        self._catalogue = catalogue
        self._clock = clock
        self._defaults = defaults
        self._idents: dict[tuple[int, str], int] = {}

    def fields(self, body: Json) -> dict[str, Any]:
        fields = super().fields(body)
        if "device_type_id" in fields:
            fields["protocol_id"] = self._catalogue.device_type(fields["device_type_id"])[0].id
        if fields.get("messages_ttl") == 0:
            fields["messages_ttl"] = self._defaults.messages_ttl
        return fields

    def defaults(self) -> dict[str, Any]:
        ttls = {"messages_ttl": self._defaults.messages_ttl, "media_ttl": self._defaults.media_ttl}
        return {**ttls, "created": self._clock.now()}

    def checked(self, item: Device) -> Device:
        self._catalogue.device_type(item.device_type_id)
        check_device(item, needs_ident=item.protocol_id != 0)
        owner = self._idents.get((item.protocol_id, item.ident)) if item.ident else None
        if owner is not None and owner != item.id:
            raise Conflict(f"`configuration.ident` {item.ident!r} is taken by another device of this protocol")
        return item

    def view(self, item: Device) -> dict[str, Any]:
        protocol, kind = self._catalogue.device_type(item.device_type_id)
        return {**super().view(item), "protocol_name": protocol.name, "device_type_name": kind.name}

    def placed(self, item: Device) -> None:
        if item.ident:
            self._idents[item.protocol_id, item.ident] = item.id

    def displaced(self, item: Device) -> None:
        self._idents.pop((item.protocol_id, item.ident), None)

    def by_ident(self, protocol_id: int, candidates: Iterable[str]) -> int | None:
        """The id of the first registered device among idents."""
        ids = (self._idents.get((protocol_id, ident)) for ident in candidates)
        return next((device_id for device_id in ids if device_id is not None), None)

    def with_ident(self, ident: str) -> list[int]:
        """Ids of the devices with an ident, of any protocol."""
        found = (self._idents.get((protocol, ident)) for protocol in self._catalogue.protocols)
        return sorted(device_id for device_id in found if device_id is not None)


class ChannelKind(Kind[Channel]):
    """Channels."""

    def __init__(self, table: ItemTable[Channel], catalogue: Catalogue) -> None:
        super().__init__(
            CHANNELS, OriginType.CHANNEL, table, Channel, ChannelBody, CHANNEL_FIELDS,
            required=["protocol_id"], memory={"connections_count": 0, "groups": [], "streams": []},
        )  # fmt: skip
        self._catalogue = catalogue
        self.uri: Callable[[Channel], str] = lambda channel: ""
        """Renders `uri`; the gateway knows."""

    def fields(self, body: Json) -> dict[str, Any]:
        fields = super().fields(body)
        name = fields.pop("protocol_name", None)
        if name is not None:
            fields.setdefault("protocol_id", self._catalogue.protocol_named(name).id)
        return fields

    def changed(self, item: Channel, body: Json, patch: bool) -> Channel:
        # protocol_name is read-only on update, and clients send the whole object back (rest-api.md 5.1).
        kept = (
            {name: value for name, value in body.items() if name != "protocol_name"} if isinstance(body, dict) else body
        )
        changed = super().changed(item, kept, patch)
        if changed.protocol_id != item.protocol_id:
            raise BadRequest("`protocol_id` of a channel cannot change: create another channel")
        return changed

    def checked(self, item: Channel) -> Channel:
        self._catalogue.protocol(item.protocol_id)
        configuration = item.configuration
        if configuration.get("unknown_idents", "refuse") not in ("refuse", "create"):
            raise BadRequest("`configuration.unknown_idents` must be `refuse` or `create`")
        if configuration.get("auth", "open") not in ("open", "strict"):
            raise BadRequest("`configuration.auth` must be `open` or `strict`")
        check_packets_ttl(configuration)
        if configuration.get("port") is not None and not 1 <= (configured_number(configuration, "port") or 0) <= 65535:
            raise BadRequest(f"`configuration.port` must be 1..65535, got {configuration['port']!r}")
        if "device_type_id" in configuration:
            type_id = configured_number(configuration, "device_type_id")
            if type_id is None:
                raise BadRequest("`configuration.device_type_id` must be a number")
            protocol, _ = self._catalogue.device_type(type_id)
            if protocol.id != item.protocol_id:
                raise BadRequest("`configuration.device_type_id` belongs to another protocol than the channel")
        return item

    def view(self, item: Channel) -> dict[str, Any]:
        protocol = self._catalogue.protocol(item.protocol_id)
        return {**super().view(item), "protocol_name": protocol.name, "uri": self.uri(item)}
