"""What a caller may write into an item: one typed body an entity. Errors name the unknown key or the wrong type."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from wayframe.model import BadRequest, Json

MAX_TTL = 315_360_000
"""Ten years: what rest-api.md 14 allows media to be kept."""

Name = Annotated[str, Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""Text for people, without control characters."""
Metadata = dict[str, Any]
MIN_TTL = 60
Ttl = Annotated[int, Meta(ge=MIN_TTL, le=MAX_TTL)]
Bytes = Annotated[int, Meta(ge=0, le=2**53)]


class DeviceBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST, PUT and PATCH on /gw/devices."""

    name: Name | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    device_type_id: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    configuration: Metadata | UnsetType = UNSET
    messages_ttl: Annotated[int, Meta(ge=0, le=MAX_TTL)] | UnsetType = UNSET
    """0 for the default: what Node-RED sends where nothing was typed."""
    messages_rotate: Bytes | UnsetType = UNSET
    media_ttl: Ttl | UnsetType = UNSET
    media_rotate: Bytes | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class ChannelBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST, PUT and PATCH on /gw/channels."""

    name: Name | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    protocol_id: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    protocol_name: Name | UnsetType = UNSET
    configuration: Metadata | UnsetType = UNSET
    messages_ttl: Ttl | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class TokenBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST, PUT and PATCH on /platform/tokens."""

    info: Name | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    expire: Annotated[float, Meta(ge=0, le=2**53)] | UnsetType = UNSET
    ttl: Annotated[int, Meta(ge=0, le=MAX_TTL)] | UnsetType = UNSET
    ips: Annotated[str, Meta(max_length=1024)] | UnsetType = UNSET
    access: Metadata | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class AccountBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of PUT and PATCH on /platform/customer."""

    name: Name | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


BodyT = TypeVar("BodyT", bound=Struct)


def parse_body(kind: type[BodyT], body: Json) -> BodyT:
    """Check a body against its type. Raises `BadRequest` that names the field and the rule."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        reason = str(error).replace(" - at `$.", " - in `").replace(" - at `$`", "")
        raise BadRequest(reason, schema_hint=[field.name for field in msgspec.structs.fields(kind)]) from None


_MOVING = ("accessed",)
"""What changes by itself between reading an item and sending it back."""


def without_own(body: Json, own: Mapping[str, Json], writable: Collection[str]) -> Json:
    """A body without what its item shows anyway and nobody writes: clients send back what they read. What differs from
    the item stays, and is an unknown field."""
    if not isinstance(body, dict):
        return body

    def kept(name: str) -> bool:
        return name in writable or name not in own or (body[name] != own[name] and name not in _MOVING)

    return {name: value for name, value in body.items() if kept(name)}


def given(body: Struct) -> dict[str, Any]:
    """The fields a caller named, as JSON values."""
    named = ((name, getattr(body, name)) for name in body.__struct_fields__)
    return {name: msgspec.to_builtins(value) for name, value in named if value is not UNSET}


def merge(old: dict[str, Json], new: dict[str, Json]) -> dict[str, Json]:
    """PATCH of an object: named keys replace, nested objects merge, null removes."""
    result = dict(old)
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result
