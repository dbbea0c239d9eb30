"""Plugin types and stream protocols: which there are, and the schema of what configures each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from wayframe.model import BadRequest, Json


@dataclass(frozen=True, slots=True)
class ItemType:
    """A type of plugins, or a protocol of streams."""

    id: int
    name: str
    title: str
    schema: dict[str, Any]
    """JSON schema of `configuration`."""

    def view(self) -> dict[str, Json]:
        """As the API shows it."""
        return {"id": self.id, "name": self.name, "title": self.title, "features": {}, "schema": self.schema}


def _schema(required: tuple[str, ...] = (), /, **properties: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**shown, "required": list(required)} if required else shown


_PATTERNS = {"type": "array", "maxItems": 200, "items": {"type": "string", "minLength": 1, "maxLength": 128}}
_PARAMETER = {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_.\-]{0,127}$"}
_FIELD = _schema(
    ("name", "type"),
    name=_PARAMETER,
    type={"type": "string", "enum": ["number", "string", "boolean", "json"]},
    required={"type": "boolean", "default": False},
    default={},
    min={"type": "number"},
    max={"type": "number"},
    enum={"type": "array", "minItems": 1, "maxItems": 200},
    to_message={"type": "boolean", "default": False},
)
_COMPUTED = _schema(("name", "expression"), name=_PARAMETER, expression={"type": "string", "maxLength": 4096})


def _list_of(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "maxItems": 100, "items": item}


PLUGIN_TYPES: tuple[ItemType, ...] = (
    ItemType(2, "item-fields", "Fields of an item, given where a device is assigned", _schema(fields=_list_of(_FIELD))),
    ItemType(
        3, "item-telemetry", "Fill in the latest values where a message lacks them",
        _schema(
            ("parameters",), parameters=_PATTERNS, max_age={"type": "number", "minimum": 0},
            ignore_timestamp={"type": "boolean", "default": False},
        ),
    ),
    ItemType(4, "msg-expression", "Add parameters worked out by expressions", _schema(fields=_list_of(_COMPUTED))),
    ItemType(5, "msg-erase", "Remove parameters", _schema(("parameters",), parameters=_PATTERNS)),
    ItemType(
        6, "msg-merge", "Join the values stored around a media message into it",
        _schema(
            max_age={"type": "number", "minimum": 0, "maximum": 86_400, "default": 600},
            max_ahead={"type": "number", "minimum": 0, "maximum": 3_600, "default": 0},
            include=_PATTERNS, exclude=_PATTERNS, source_parameter={"type": "string", "maxLength": 128},
        ),
    ),
    ItemType(
        9, "tacho-file-parse", "Decode tachograph files",
        _schema(verify={"type": "boolean", "default": True}, max_size={"type": "integer", "minimum": 1}),
    ),
)  # fmt: skip
"""Types by plugins.md 2; the numbers that lack are types this server does not run."""

_TEXT = {"type": "string", "maxLength": 4096}
_HOST_PORT = r"^[^/@\s]+:[0-9]{1,5}$"
STREAM_PROTOCOLS: tuple[ItemType, ...] = (
    ItemType(
        1, "http", "HTTP: messages as JSON to a URL",
        _schema(
            ("uri",), uri={**_TEXT, "title": "https://host/path"}, authorization={**_TEXT, "title": "Authorization"},
            batch={"type": "string", "pattern": "^[0-9]{1,4}$", "title": "Messages a request at most"},
        ),
    ),
    ItemType(
        2, "wialon", "Wialon retranslator",
        _schema(("uri",), uri={"type": "string", "maxLength": 255, "pattern": _HOST_PORT, "title": "host:port"}),
    ),
    ItemType(
        3, "mqtt", "MQTT: messages to a broker",
        _schema(
            ("uri",), uri={**_TEXT, "title": "mqtts://host:port"}, topic=_TEXT, username=_TEXT, password=_TEXT,
            client_id=_TEXT,
        ),
    ),
)  # fmt: skip


class Types:
    """One set of types, by id and name."""

    def __init__(self, what: str, field: str, types: tuple[ItemType, ...]) -> None:
        self._what = what
        self._field = field
        self.by_id: Mapping[int, ItemType] = {kind.id: kind for kind in types}
        """Types by id."""
        self._by_name = {kind.name: kind for kind in types}

    def find(self, named: Json, field: str = "") -> ItemType:
        """A type by number or name. Raises `BadRequest` that lists those there are."""
        number = int(named) if isinstance(named, str) and named.isdecimal() and len(named) < 10 else named
        kind = self.by_id.get(number) if isinstance(number, int) else self._by_name.get(str(named))
        if kind is None:
            known = ", ".join(f"{kind.id} ({kind.name})" for kind in self.by_id.values())
            raise BadRequest(f"`{field or self._field}` must be one of {known}; got {named!r}")
        return kind

    def views(self) -> dict[int, Mapping[str, Json]]:
        """Every type as the API shows it."""
        return {kind.id: kind.view() for kind in self.by_id.values()}

    def check(self, kind: ItemType, configuration: Json) -> None:
        """Check a configuration. Raises `BadRequest` that names what is wrong."""
        error = best_match(_validator(kind.name, self._what).iter_errors(configuration))
        if error is not None:
            where = ".".join(["configuration", *(str(part) for part in error.absolute_path)])
            raise BadRequest(
                f"failed to validate configuration, {self._what} {kind.name}: `{where}`: {error.message}",
                schema_hint=list(kind.schema["properties"]),
            )


PLUGINS = Types("plugin", "item_type", PLUGIN_TYPES)
STREAMS = Types("stream", "protocol_id", STREAM_PROTOCOLS)


@cache
def _validator(name: str, what: str) -> Draft202012Validator:
    types = PLUGIN_TYPES if what == "plugin" else STREAM_PROTOCOLS
    return Draft202012Validator(next(kind.schema for kind in types if kind.name == name))
