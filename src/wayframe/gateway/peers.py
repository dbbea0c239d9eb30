"""What every device socket shares: admission, byte counters, bounded writing, and an orderly end."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

import structlog

_WRITE_PAUSE = 256 * 1024
_WRITE_LIMIT = 1024 * 1024
"""Bytes a device may leave unread before its connection is closed (jt808.md 7)."""
_FAREWELL_S = 5.0
"""A device that does not take what was written before the end is cut off after this; it may be gone for long."""


class Admission:
    """How many device connections may be open, in all and from one address."""

    def __init__(self, limit: int, per_address: int) -> None:
        self._limit = limit
        self._per_address = per_address
        self._addresses: Counter[str] = Counter()
        self.open = 0
        """Device connections open now."""
        self.refused = 0
        """Connections refused since the start."""

    def admit(self, address: str) -> str:
        """Count a connection in. Returns why it is refused, or an empty text."""
        if self.open >= self._limit:
            self.refused += 1
            return f"{self._limit} device connections are open, the most this server takes (max_device_connections)"
        if self._per_address and self._addresses[address] >= self._per_address:
            self.refused += 1
            return f"{self._per_address} connections from {address} are open (max_connections_per_ip)"
        self.open += 1
        if self._per_address:
            self._addresses[address] += 1
        return ""

    def leave(self, address: str) -> None:
        """Count it out."""
        self.open -= 1
        if self._per_address:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]


class Peer(asyncio.Protocol):
    """One TCP connection of a device. Subclasses take `received` and `lost`."""

    __slots__ = (
        "_admission", "_admitted", "_close_reason", "_connected_at", "_loop", "_timer", "_transport", "close_code",
        "log", "received_bytes", "sent_bytes", "source",
    )  # fmt: skip

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._admitted = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._connected_at = 0.0
        self._close_reason = ""
        self.close_code = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self.source = ""
        self.log: Any = structlog.get_logger("wayframe.gateway")

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's transports are no subclasses of it
        self._transport = transport
        peer = transport.get_extra_info("peername")
        address = peer[0] if peer else "unknown"
        self.source = f"{address}:{peer[1]}" if peer else "unknown"
        refusal = self._admission.admit(address)
        if refusal:
            self.log.warning("connection_refused", source=self.source, reason=refusal)
            transport.abort()
            return
        self._admitted = True
        self._connected_at = self._loop.time()
        transport.set_write_buffer_limits(high=_WRITE_PAUSE)
        self.opened()

    def data_received(self, data: bytes) -> None:
        if not self._admitted:
            return
        self.received_bytes += len(data)
        try:
            self.received(data)
        except Exception as error:
            # The event loop would close the connection, and say nothing at all where it is an OSError of our disk.
            self.log.exception("peer_failed", source=self.source)
            self.end(5, f"internal error: {error}", abort=True)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._admitted:
            self._admission.leave(self.source.rpartition(":")[0])
            self._admitted = False
            self.lost(self._close_reason or (f"lost: {exc}" if exc else "closed by the device"))
        self._transport = None

    # --- for subclasses -----------------------------------------------------------------------------------------

    def opened(self) -> None:
        """The connection is admitted."""

    def received(self, data: bytes) -> None:
        """Bytes came."""
        raise NotImplementedError

    def lost(self, reason: str) -> None:
        """The connection is gone."""

    @property
    def duration_s(self) -> float:
        """How long it has been open."""
        return self._loop.time() - self._connected_at

    @property
    def local_host(self) -> str:
        """The address of this server that the device reached."""
        name = self._transport.get_extra_info("sockname") if self._transport else None
        return str(name[0]) if name else ""

    def send(self, data: bytes) -> None:
        """Give bytes to the socket; a device that does not read is cut off."""
        transport = self._transport
        if not data or transport is None or transport.is_closing():
            return
        self.sent_bytes += len(data)
        transport.write(data)
        if transport.get_write_buffer_size() > _WRITE_LIMIT:
            self.end(4, "the device does not read what it is sent", abort=True)

    def end(self, code: int, reason: str, *, abort: bool = False) -> None:
        """Close after what was written has gone, or at once."""
        if not self._close_reason:
            self.close_code, self._close_reason = code, reason
        if self._transport is not None:
            if abort:
                self._transport.abort()
            elif not self._transport.is_closing():
                self._transport.close()
                if self._transport.get_write_buffer_size():
                    self._loop.call_later(_FAREWELL_S, self._transport.abort)

    def wake_at(self, delay: float | None) -> None:
        """Call `tick` after `delay` seconds, replacing an earlier wish."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay is not None:
            self._timer = self._loop.call_later(max(delay, 0.01), self._ticked)

    def _ticked(self) -> None:
        self._timer = None
        self.tick()

    def tick(self) -> None:
        """A timer ran out."""
