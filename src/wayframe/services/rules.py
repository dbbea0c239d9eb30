"""The rules of items: keys, ends of tokens, addresses, idents. Pure; errors name the field."""

from __future__ import annotations

import ipaddress
import secrets
import string
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from wayframe.bus import InvalidFilter, split_filter
from wayframe.expressions import ExpressionError, Mode
from wayframe.expressions import compile as compile_expression
from wayframe.model import BadRequest, Device, Json, Token
from wayframe.model.access import parse_access

from .bodies import MIN_TTL, merge
from .entries import Item

ItemT = TypeVar("ItemT", bound=Item)

_KEY_ALPHABET = string.ascii_letters + string.digits
KEY_LENGTH = 64
PACKETS_TTL = "packets_ttl"
"""The key of a configuration that turns the keeping of raw traffic on: a device's, or of unknown idents a channel's."""
MAX_PACKETS_TTL = 7 * 86_400
_MIN_ROTATE = 1_000_000


def new_key() -> str:
    """A token key: 64 random alphanumerics (rest-api.md 3.1)."""
    return "".join(secrets.choice(_KEY_ALPHABET) for _ in range(KEY_LENGTH))


def token_end(token: Token, used: float) -> float:
    """When a token ends: at `expire`, or `ttl` after creation or last use, whichever is later (rest-api.md 3.1)."""
    return max(token.expire, max(used, token.created) + token.ttl if token.ttl else 0.0)


def parse_networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """A comma list of addresses or networks. Raises `BadRequest`."""
    try:
        return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise BadRequest(f"`ips` must be a comma list of addresses or networks: {error}") from None


def check_token(token: Token) -> None:
    """The rights and addresses of a token, as they are after a PATCH was merged. Raises `BadRequest`."""
    for number, entry in enumerate(parse_access(token.access).acl):
        _check_topic(entry.topic, f"access.acl[{number}].topic")
    parse_networks(token.ips)


def _check_topic(text: str, where: str) -> None:
    """A topic filter of an access control list; empty for none. Raises `BadRequest`."""
    try:
        split_filter(text or "#")
    except InvalidFilter as error:
        raise BadRequest(f"{where}: {error}") from None


def check_device(device: Device, *, needs_ident: bool) -> None:
    """The rules of rest-api.md 4. Raises `BadRequest` that names the field."""
    ident = device.configuration.get("ident", "")
    if not isinstance(ident, str):
        raise BadRequest("`configuration.ident` must be a string")
    if needs_ident and not ident:
        raise BadRequest("`configuration.ident` is required for this device type")
    if len(ident) > 128 or any(character < " " for character in ident):
        raise BadRequest("`configuration.ident` has at most 128 characters and no control characters")
    check_packets_ttl(device.configuration)
    if device.messages_ttl < MIN_TTL:
        raise BadRequest(f"`messages_ttl` must be 0 (the default) or at least {MIN_TTL} s, got {device.messages_ttl}")
    if device.media_rotate and device.media_rotate < _MIN_ROTATE:
        raise BadRequest(f"`media_rotate` must be 0 or at least {_MIN_ROTATE} bytes, got {device.media_rotate}")


def check_expression(text: str, where: str, *, mode: Mode = Mode.FILTER, calculated: bool = False) -> None:
    """An expression that is stored must compile; an empty one is none. Raises `BadRequest` with the column.

    Args:
        calculated: it may also look at the message before.
    """
    if text:
        try:
            compile_expression(text, Mode.CALC if calculated else mode)
        except ExpressionError as error:
            raise BadRequest(f"`{where}`: {error}") from None


def packets_ttl(configuration: Mapping[str, Json]) -> int:
    """Seconds raw traffic is kept, by the configuration of a device or channel; 0: not at all; -1: it is nonsense."""
    said = configuration.get(PACKETS_TTL, 0)
    text = str(said)
    if isinstance(said, bool) or not (text.isascii() and text.isdecimal() and len(text) < 8):
        return -1
    return int(text) if int(text) <= MAX_PACKETS_TTL else -1


def check_packets_ttl(configuration: Mapping[str, Json]) -> None:
    """Raises `BadRequest` where that is nonsense."""
    if packets_ttl(configuration) < 0:
        said = configuration[PACKETS_TTL]
        raise BadRequest(f"`configuration.{PACKETS_TTL}` must be 0..{MAX_PACKETS_TTL} seconds, as text; got {said!r}")


def configured_number(configuration: Mapping[str, Json], name: str) -> int | None:
    """A whole number in a configuration, where values are text if possible (rest-api.md 4); None if it is none."""
    value = configuration[name]
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def replaced(item: ItemT, fields: Mapping[str, Any], patch: bool) -> ItemT:
    """The record with these fields; `patch` merges into those that are objects."""
    values = dict(fields)
    if patch:
        for name, value in fields.items():
            old = getattr(item, name)
            if isinstance(value, dict) and isinstance(old, dict):
                values[name] = merge(old, value)
    return msgspec.structs.replace(item, **values)
