"""Streams and plugins: stored items whose configuration the schema of their type checks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from wayframe.model import BadRequest, Json, OriginType
from wayframe.model.items import Plugin, Stream
from wayframe.model.urls import check_url
from wayframe.storage import ItemTables

from .. import types
from ..entries import PLUGINS, STREAMS
from ..item_bodies import PluginBody, StreamBody
from ..rules import check_expression
from .kind import Kind

_STREAM_FIELDS = (
    "id", "cid", "name", "protocol_id", "protocol_name", "enabled", "queue_ttl", "validate_message", "configuration",
    "metadata",
)  # fmt: skip
_PLUGIN_FIELDS = (
    "id", "cid", "name", "item_type", "type_id", "enabled", "required", "validate_message", "priority",
    "configuration", "metadata",
)  # fmt: skip
_SCHEMES = {"http": ("https", "http"), "mqtt": ("mqtts", "mqtt", "wss", "ws")}
_DEVICE, _GROUP = 11, 31
"""`item_type` as a number says what a plugin is attached to (plugins.md 2)."""


class StreamKind(Kind[Stream]):
    """Streams."""

    def __init__(self, tables: ItemTables, destinations: Collection[str]) -> None:
        super().__init__(
            STREAMS, OriginType.STREAM, tables.streams, Stream, StreamBody, _STREAM_FIELDS,
            required=["protocol_id"], memory={"devices_count": 0, "channels_count": 0, "groups_count": 0},
        )  # fmt: skip
        self._destinations = destinations

    def fields(self, body: Json) -> dict[str, Any]:
        fields = super().fields(body)
        name = fields.pop("protocol_name", None)
        if name is not None:
            fields.setdefault("protocol_id", types.STREAMS.find(name, "protocol_name").id)
        return fields

    def checked(self, item: Stream) -> Stream:
        protocol = types.STREAMS.find(item.protocol_id)
        types.STREAMS.check(protocol, item.configuration)
        check_expression(item.validate_message, "validate_message")
        uri = item.configuration["uri"]
        if protocol.name in _SCHEMES:
            check_url(uri, "configuration.uri", schemes=_SCHEMES[protocol.name], allowed=self._destinations)
        else:
            check_url(f"tcp://{uri}", "configuration.uri", schemes=("tcp",), allowed=self._destinations)
        return item

    def changed(self, item: Stream, body: Json, patch: bool) -> Stream:
        changed = super().changed(item, body, patch)
        if changed.protocol_id != item.protocol_id:
            raise BadRequest("`protocol_id` of a stream cannot change: create another stream")
        return changed

    def view(self, item: Stream) -> dict[str, Any]:
        return {**super().view(item), "protocol_name": types.STREAMS.by_id[item.protocol_id].name}


class PluginKind(Kind[Plugin]):
    """Plugins."""

    def __init__(self, tables: ItemTables) -> None:
        super().__init__(
            PLUGINS, OriginType.PLUGIN, tables.plugins, Plugin, PluginBody, _PLUGIN_FIELDS,
            required=["type_id"], memory={"devices_count": 0, "groups_count": 0},
        )  # fmt: skip

    def fields(self, body: Json) -> dict[str, Any]:
        """The type comes in several spellings; it is stored as a number (plugins.md 2)."""
        fields = super().fields(body)
        named = fields.pop("item_type", None)
        number = fields.pop("type_id", None)
        if isinstance(named, int):
            if named not in (_DEVICE, _GROUP):
                raise BadRequest(f"`item_type` must be the name of a plugin type, 11 or 31; got {named}")
            if number is None:
                raise BadRequest("`type_id` is required where `item_type` is a number")
            named = None
        kind = types.PLUGINS.find(named) if named is not None else None
        other = types.PLUGINS.find(number, "type_id") if number is not None else None
        if kind is not None and other is not None and kind is not other:
            raise BadRequest(f"`item_type` {kind.name} and `type_id` {other.id} ({other.name}) are two types")
        found = kind or other
        return {**fields, "type_id": found.id} if found is not None else fields

    def checked(self, item: Plugin) -> Plugin:
        types.PLUGINS.check(types.PLUGINS.find(item.type_id), item.configuration)
        check_expression(item.validate_message, "validate_message")
        for index, field in enumerate(item.configuration.get("fields", [])):
            if "expression" in field:
                check_expression(field["expression"], f"configuration.fields.{index}.expression", calculated=True)
        return item

    def changed(self, item: Plugin, body: Json, patch: bool) -> Plugin:
        changed = super().changed(item, body, patch)
        if changed.type_id != item.type_id:
            raise BadRequest("the type of a plugin cannot change: create another plugin")
        return changed

    def view(self, item: Plugin) -> dict[str, Any]:
        return {**super().view(item), "item_type": types.PLUGINS.by_id[item.type_id].name}


def check_field_values(plugin: Plugin, values: Json, *, complete: bool) -> dict[str, Json]:
    """Values that a link gives an item-fields plugin, checked. Raises `BadRequest` that names the field.

    Args:
        complete: required fields without a default must be there.
    """
    if not isinstance(values, dict):
        raise BadRequest("`fields` must be an object")
    defined = {field["name"]: field for field in plugin.configuration.get("fields", [])}
    if types.PLUGINS.by_id[plugin.type_id].name != "item-fields":
        defined = {}
    for name, value in values.items():
        if name not in defined:
            known = ", ".join(defined) or "none"
            raise BadRequest(f"`fields.{name}`: this plugin has no such field; it has: {known}")
        _check_value(name, value, defined[name])
    if complete:
        for name, field in defined.items():
            if field.get("required") and "default" not in field and name not in values:
                raise BadRequest(f"`fields.{name}` is required", schema_hint=list(defined))
    return values


_JSON_TYPES: dict[str, tuple[type, ...]] = {"number": (int, float), "string": (str,), "boolean": (bool,)}


def _check_value(name: str, value: Json, field: dict[str, Any]) -> None:
    expected = _JSON_TYPES.get(field["type"])
    if expected and (not isinstance(value, expected) or (isinstance(value, bool) and field["type"] != "boolean")):
        raise BadRequest(f"`fields.{name}` must be a {field['type']}, got {value!r}")
    if "enum" in field and value not in field["enum"]:
        raise BadRequest(f"`fields.{name}` must be one of {field['enum']!r}, got {value!r}")
    size = len(value) if isinstance(value, str) else value
    if "min" in field and isinstance(size, int | float) and size < field["min"]:
        raise BadRequest(f"`fields.{name}` must be at least {field['min']}, got {size}")
    if "max" in field and isinstance(size, int | float) and size > field["max"]:
        raise BadRequest(f"`fields.{name}` must be at most {field['max']}, got {size}")


def effective_values(plugin: Plugin, given: dict[str, Json]) -> dict[str, Json]:
    """Values of a plugin's fields for an item: those given where it is assigned, else the defaults."""
    fields = plugin.configuration.get("fields", []) if plugin.type_id == _ITEM_FIELDS else []
    known = {field["name"]: field for field in fields}
    defaults = {name: field["default"] for name, field in known.items() if "default" in field}
    return {**defaults, **{name: value for name, value in given.items() if name in known}}


_ITEM_FIELDS = types.PLUGINS.find("item-fields").id
