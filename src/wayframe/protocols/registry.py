"""Every protocol there is. A new one is a folder beside `jt808` and a line here."""

from __future__ import annotations

from .descriptions import CommandSpec, DeviceType, ProtocolInfo, Schema, SessionOptions
from .device import DeviceSession
from .jt808.device_types import JT808


def _no_connection(options: SessionOptions) -> DeviceSession:
    raise ValueError("devices of the generic protocol do not connect; they take uploads and posted messages only")


GENERIC = ProtocolInfo(
    id=0,
    name="generic",
    title="Without a device protocol",
    transport="",
    device_types=(
        DeviceType(0, "generic", "Generic device"),
        DeviceType(171, "tachobox", "Tachograph file source"),
    ),
    message_parameters=(),
    open_session=_no_connection,
)
"""Devices that have no connection of their own: their files are uploaded, their messages posted."""

PROTOCOLS: tuple[ProtocolInfo, ...] = (GENERIC, JT808)
"""All protocols, by id."""

__all__ = [
    "GENERIC",
    "JT808",
    "PROTOCOLS",
    "CommandSpec",
    "DeviceType",
    "ProtocolInfo",
    "Schema",
    "SessionOptions",
]
