"""Live connections: who is connected, over what, and the handle that reaches them.

The gateway adds and removes connections, REST lists and closes them, commands find the way to a device here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from wayframe.model import ConnectionInfo, Json, NotFound, OriginType
from wayframe.model.log_codes import CLOSE_CODES, Log
from wayframe.protocols.device import CommandRequest, MediaNews

from .directory import Directory
from .entries import CHANNELS, DEVICES, Entry, compile_text
from .journal import Journal
from .links import Links

Closer = Callable[[int, str], None]
"""Closes a connection with a close code and a reason."""


class Link(Protocol):
    """The signalling connection of a device, as commands see it."""

    def execute(self, request: CommandRequest) -> None:
        """Begin a command; its outcome is reported to the commands service."""

    def cancel(self, command_id: int) -> None:
        """Nobody wants the command any more."""

    def media_event(self, command_id: int, news: MediaNews, position: float = 0.0) -> None:
        """News from the command's media connection."""


@dataclass(slots=True)
class Connection:
    """One open connection."""

    info: ConnectionInfo
    """What the API shows."""
    close: Closer
    """Ends it."""
    link: Link | None = None
    """For signalling connections only."""


class Connections:
    """Open connections of all devices."""

    def __init__(self, directory: Directory, journal: Journal, links: Links) -> None:
        self._directory = directory
        self._journal = journal
        self._links = links
        self._by_device: dict[int, dict[int, Connection]] = {}
        self.up: Callable[[Entry], None] = lambda entry: None
        """Called when a device's signalling connection is ready for commands."""
        self.down: Callable[[Entry], None] = lambda entry: None
        """Called when it is gone."""

    # --- from the gateway ---------------------------------------------------------------------------------------

    def add(self, entry: Entry, connection: Connection) -> None:
        """A connection of a device is open and identified."""
        info = connection.info
        self._by_device.setdefault(entry.id, {})[info.id] = connection
        self._announce(entry, info)
        self._count(info.channel_id, 1)
        if connection.link is not None:
            self._journal.log(
                Log.DEVICE_CONNECTED,
                OriginType.DEVICE,
                entry.id,
                entry.cid,
                {
                    "source": info.source,
                    "transport": info.transport,
                    "ident": info.ident,
                    "channel_id": info.channel_id,
                },
            )
            self._directory.set_device_field(entry, "connected", True)
            self.up(entry)

    def update_meta(self, entry: Entry, connection_id: int, meta: Json) -> None:
        """A connection turned out to carry a live stream."""
        connection = self._by_device.get(entry.id, {}).get(connection_id)
        if connection is not None:
            connection.info = msgspec.structs.replace(connection.info, meta=meta)
            self._announce(entry, connection.info)

    def remove(self, entry: Entry, connection_id: int, close_code: int, counters: Mapping[str, Json]) -> None:
        """A connection is closed. `counters`: duration, msgs, recv, send."""
        connection = self._by_device.get(entry.id, {}).pop(connection_id, None)
        if connection is None:
            return
        if not self._by_device[entry.id]:
            del self._by_device[entry.id]
        info = connection.info
        self._count(info.channel_id, -1)
        self._journal.state(f"flespi/state/{DEVICES}/{entry.id}/connections/{info.id}", None, entry.cid)
        if connection.link is not None:
            fields = {
                "source": info.source, "transport": info.transport, "ident": info.ident, "close_code": close_code,
                "reason": CLOSE_CODES.get(close_code, ""), **counters,
            }  # fmt: skip
            self._journal.log(Log.DEVICE_DISCONNECTED, OriginType.DEVICE, entry.id, entry.cid, fields)
            if self.link(entry.id) is None:
                self._directory.set_device_field(entry, "connected", False)
            self.down(entry)

    def _count(self, channel_id: int, difference: int) -> None:
        """`connections_count` of a channel."""
        channel = self._directory.find(CHANNELS, channel_id)
        if channel is not None:
            count = channel.view.get("connections_count", 0) + difference
            channel.view["connections_count"] = count
            self._journal.state_members(
                f"flespi/state/{CHANNELS}/{channel_id}", {"connections_count": count}, channel.cid
            )

    def _announce(self, entry: Entry, info: ConnectionInfo) -> None:
        topic = f"flespi/state/{DEVICES}/{entry.id}/connections/{info.id}"
        self._journal.state(topic, self._view(info), entry.cid, info.established)

    # --- for others ---------------------------------------------------------------------------------------------

    def link(self, device_id: int) -> Link | None:
        """The newest signalling link of a device."""
        for connection in reversed(list(self._by_device.get(device_id, {}).values())):
            if connection.link is not None:
                return connection.link
        return None

    def of(self, device_id: int) -> list[Connection]:
        """All open connections of a device."""
        return list(self._by_device.get(device_id, {}).values())

    def devices(self) -> set[int]:
        """Devices with an open connection."""
        return set(self._by_device)

    def all(self) -> list[Connection]:
        """Every open connection."""
        return [connection for group in self._by_device.values() for connection in group.values()]

    def views(self, entries: Sequence[Entry], selector: str = "all", *, channels: bool = False) -> list[dict[str, Any]]:
        """Connections of devices (or of channels) that a selector names."""
        return [self._view(connection.info) for connection in self._selected(entries, selector, channels)]

    def close(self, entries: Sequence[Entry], selector: str, *, channels: bool = False) -> list[dict[str, Any]]:
        """Close connections; a live stream's ends the stream. Raises `NotFound` for explicit ids that are not there."""
        closed = self._selected(entries, selector, channels)
        for connection in closed:
            connection.close(22, "closed over the API")
        return [{"id": connection.info.id} for connection in closed]

    def _selected(self, entries: Sequence[Entry], selector: str, channels: bool) -> Sequence[Connection]:
        compiled = compile_text(selector)
        ids = {entry.id for entry in entries}
        if channels:
            candidates = [connection for connection in self.all() if connection.info.channel_id in ids]
        else:
            candidates = [connection for device_id in ids for connection in self.of(device_id)]
        by_id = {connection.info.id: connection for connection in candidates}
        if compiled.ids is not None and not any(item in by_id for item in compiled.ids):
            raise NotFound(f"no connection {selector}")
        return [
            by_id[item]
            for item in sorted(by_id)
            if (compiled.ids is None or item in compiled.ids) and compiled.matches(self._view(by_id[item].info))
        ]

    def _view(self, info: ConnectionInfo) -> dict[str, Any]:
        view: dict[str, Any] = {name: getattr(info, name) for name in info.__struct_fields__}
        view["meta"] = self._links.render(info.meta)
        return view
