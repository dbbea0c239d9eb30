"""How a protocol describes itself to the API: device types, commands and their schemas, message parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .device import DeviceSession, Endpoints

Schema = dict[str, Any]
"""A JSON schema (2020-12) with `x-view-order` for forms."""


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One command of a device type."""

    name: str
    """Name, unique within the device type."""
    title: str
    """For a person."""
    description: str
    """One sentence on what it does and answers."""
    schema: Schema
    """Schema of the properties; unknown ones are refused."""
    examples: tuple[Mapping[str, Any], ...] = ()
    """`{"description": …, "properties": {…}}` each; the properties pass the schema."""
    repeatable: bool = True
    """Sending it twice does no harm. One that is not is never sent again once it may have arrived (ruling 2)."""


@dataclass(frozen=True, slots=True)
class SettingSpec:
    """A setting of a device type: lasting values the device holds. Named as the topic of the `Facts` that tell it."""

    name: str
    """Name, unique within the device type."""
    title: str
    """For a person."""
    read: str = ""
    """Command that makes the device tell it; empty: it cannot be asked for."""
    write: str = ""
    """Command that writes it; empty: it cannot be written."""
    key: str = ""
    """Property of `write` that takes the values; empty: they are its properties."""


@dataclass(frozen=True, slots=True)
class DeviceType:
    """A kind of device of one protocol."""

    id: int
    """Id, unique over all protocols."""
    name: str
    """Short name."""
    title: str
    """For a person."""
    features: Mapping[str, bool] = field(default_factory=dict)
    """What it can do: `video`."""
    commands: tuple[CommandSpec, ...] = ()
    """Commands it takes."""
    settings: tuple[SettingSpec, ...] = ()
    """Settings it has."""


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What a session is opened with."""

    endpoints: Endpoints
    """Addresses that devices are told."""
    secret: bytes
    """The node's secret; authentication codes are derived from it."""
    token_hex: Callable[[int], str]
    """Gives 2·n random hex digits."""
    idle_s: float = 180.0
    """Silence after which a connection is closed."""
    strict: bool = False
    """Serve only devices that present the code they were issued."""


@dataclass(frozen=True, slots=True)
class ProtocolInfo:
    """One protocol."""

    id: int
    """flespi's protocol id where there is one."""
    name: str
    """Short name."""
    title: str
    """For a person."""
    transport: str
    """`tcp`, or empty if no device connects by it."""
    device_types: tuple[DeviceType, ...]
    """Kinds of devices; the first is the default of a channel."""
    message_parameters: tuple[tuple[str, str, str], ...]
    """Name, JSON type and unit (or nothing) of every parameter its messages can carry."""
    open_session: Callable[[SessionOptions], DeviceSession]
    """Begin a connection. Raises `ValueError` if no device connects by this protocol."""
