"""The catalogue: which protocols and device types there are, and which commands each takes."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from wayframe.model import BadRequest, Json
from wayframe.protocols.descriptions import SettingSpec
from wayframe.protocols.registry import PROTOCOLS, CommandSpec, DeviceType, ProtocolInfo


class Catalogue:
    """Protocols and device types by id and name, and the check of a command's properties."""

    def __init__(self, protocols: tuple[ProtocolInfo, ...] = PROTOCOLS) -> None:
        self.protocols = {protocol.id: protocol for protocol in protocols}
        """Protocols by id."""
        self._by_name = {protocol.name: protocol for protocol in protocols}
        self._types = {kind.id: (protocol, kind) for protocol in protocols for kind in protocol.device_types}
        self._validators: dict[tuple[int, str], Draft202012Validator] = {}
        self._protocol_views = [self._protocol_view(protocol) for protocol in protocols]
        self._type_views = [self._type_view(protocol, kind) for protocol in protocols for kind in protocol.device_types]

    def protocol_named(self, name: str) -> ProtocolInfo:
        """A protocol by name. Raises `BadRequest`."""
        if name not in self._by_name:
            raise BadRequest(f"`protocol_name` must be one of {', '.join(self._by_name)}, got {name!r}")
        return self._by_name[name]

    def protocol(self, protocol_id: int) -> ProtocolInfo:
        """A protocol by id. Raises `BadRequest`."""
        if protocol_id not in self.protocols:
            known = ", ".join(f"{p.id} ({p.name})" for p in self.protocols.values())
            raise BadRequest(f"`protocol_id` must be one of {known}; got {protocol_id}")
        return self.protocols[protocol_id]

    def device_type(self, type_id: int) -> tuple[ProtocolInfo, DeviceType]:
        """A device type and its protocol. Raises `BadRequest`."""
        if type_id not in self._types:
            known = ", ".join(f"{kind.id} ({kind.name})" for _, kind in self._types.values())
            raise BadRequest(f"`device_type_id` must be one of {known}; got {type_id}")
        return self._types[type_id]

    def command(self, type_id: int, name: str) -> CommandSpec:
        """A command of a device type. Raises `BadRequest` that lists the known ones."""
        _, kind = self.device_type(type_id)
        for spec in kind.commands:
            if spec.name == name:
                return spec
        known = ", ".join(spec.name for spec in kind.commands) or "none"
        raise BadRequest(f"device type {kind.name!r} has no command {name!r}; it has: {known}")

    def check_command(self, type_id: int, name: str, properties: Json) -> CommandSpec:
        """Check a command's properties. Raises `BadRequest` that names the property and the rule."""
        spec = self.command(type_id, name)
        validator = self._validators.get((type_id, name))
        if validator is None:
            validator = self._validators[type_id, name] = Draft202012Validator(spec.schema)
        error = best_match(validator.iter_errors(properties))
        if error is not None:
            where = ".".join(str(part) for part in error.absolute_path)
            names = list(spec.schema.get("properties", {}))
            prefix = f"`properties.{where}`" if where else "`properties`"
            raise BadRequest(f"{name}: {prefix}: {error.message}", schema_hint=names)
        return spec

    def protocol_views(self) -> list[dict[str, Any]]:
        """Protocols as the API shows them, by id."""
        return self._protocol_views

    def type_views(self) -> list[dict[str, Any]]:
        """Device types as the API shows them."""
        return self._type_views

    @staticmethod
    def _protocol_view(protocol: ProtocolInfo) -> dict[str, Any]:
        return {
            "id": protocol.id,
            "name": protocol.name,
            "title": protocol.title,
            "features": {"media": any(kind.features.get("video") for kind in protocol.device_types)},
            "transport": protocol.transport,
            "message_parameters": [
                {"name": name, "type": kind, **({"unit": unit} if unit else {}), "info": name.replace(".", " ")}
                for name, kind, unit in protocol.message_parameters
            ],
        }

    @staticmethod
    def _type_view(protocol: ProtocolInfo, kind: DeviceType) -> dict[str, Any]:
        return {
            "id": kind.id,
            "protocol_id": protocol.id,
            "protocol_name": protocol.name,
            "name": kind.name,
            "title": kind.title,
            "device_type_name": kind.name,
            "features": dict(kind.features),
            "commands": [
                {
                    "name": spec.name,
                    "title": spec.title,
                    "description": spec.description,
                    "address": ["connection"],
                    "examples": [dict(example) for example in spec.examples],
                    "schema": spec.schema,
                }
                for spec in kind.commands
            ],
            "settings": [
                {
                    "name": spec.name,
                    "title": spec.title,
                    "mode": (1 if spec.read else 0) | (2 if spec.write else 0),
                    "schema": _setting_schema(kind, spec),
                }
                for spec in kind.settings
            ],
        }


def _setting_schema(kind: DeviceType, spec: SettingSpec) -> dict[str, Any]:
    """Schema of the values of a setting, from the command that writes it; empty for one that cannot be written."""
    command = next((command for command in kind.commands if command.name == spec.write), None)
    if command is None:
        return {}
    schema: dict[str, Any] = command.schema["properties"][spec.key] if spec.key else command.schema
    return schema
