"""MQTT over TCP and TLS: sockets to connections and back (asyncio; uvloop where it is installed)."""

from __future__ import annotations

import asyncio
import ssl
import time
from functools import partial
from typing import Any

import structlog

from wayframe.mqtt import Connection

from .broker import Broker

_CONNECT_S = 15.0
"""A peer that has not sent CONNECT by then is closed (3.1.0)."""
_LINGER_S = 2.0
_HIGH_WATER = 256 << 10
_TURN = 64 << 10
"""Most bytes read from a peer before it is the turn of others."""
_buffer = memoryview(bytearray(_TURN))
_HANDSHAKE_S = 10.0
"""How long TLS may take to begin, and to end."""
_BACKLOG = 2048
_CHECK_S = 0.5

log = structlog.get_logger(__name__)


class _Peer(asyncio.BufferedProtocol):
    """One socket. What it brings is read into one buffer for all, and worked on at once."""

    __slots__ = ("_broker", "_held_back", "_lingering", "_peers", "_timer", "connection", "transport")

    def __init__(self, broker: Broker, peers: set[_Peer]) -> None:
        self._broker = broker
        self._peers = peers
        self._timer: asyncio.TimerHandle | None = None
        self._held_back = False
        self._lingering = False
        self.transport: asyncio.Transport
        self.connection: Connection

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        peer = transport.get_extra_info("peername")
        broker = self._broker
        self.connection = connection = Connection(broker, peer[0] if peer else "", broker.outbox.add)
        connection.flush = self.flush
        connection.idle_since = time.monotonic()
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._peers.add(self)
        if len(self._peers) > broker.settings.connections + 100:
            transport.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(_CONNECT_S, self._too_late)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        if nbytes == _TURN:  # others come first: a peer that brings more than that is read on in the next turn
            self.transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._read_on)
        self._broker.receive(self.connection, _buffer[:nbytes].tobytes())
        if self._timer is not None and self.connection.session is not None:
            self._timer.cancel()
            self._timer = None
        if self.connection.overdue:
            self.transport.pause_reading()  # the store is slower than the client; `flush` goes on when it has caught up
            self._held_back = True

    def _read_on(self) -> None:
        if not (self.connection.choked or self.connection.overdue or self.transport.is_closing()):
            self._held_back = False
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        """The peer does not read: it is not read either, and gets no more of QoS 0."""
        self.connection.choked = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.connection.choked = False
        self._read_on()
        self._go_on()

    def flush(self) -> None:
        """Carry what waits to the socket."""
        connection, transport = self.connection, self.transport
        pending = connection.pending
        if pending and not transport.is_closing():
            data = pending[0] if len(pending) == 1 else b"".join(pending)
            pending.clear()
            self._broker.counters.bytes_out += len(data)
            transport.write(data)
        else:
            pending.clear()
        if connection.closing:
            self._close()
        else:
            self._go_on()
            if self._held_back:
                self._read_on()

    def _go_on(self) -> None:
        session = self.connection.session
        if session is not None and not self.connection.choked and session.more:
            asyncio.get_running_loop().call_soon(session.pump)

    def _close(self) -> None:
        """Let what was written reach the peer: a reset at once would swallow it (mqtt-api.md 11)."""
        transport = self.transport
        if transport.is_closing() or self._lingering:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.connection.lingers:
            transport.close()
            return
        self._lingering = True
        if transport.can_write_eof():
            transport.write_eof()
        self._timer = asyncio.get_running_loop().call_later(_LINGER_S, transport.abort)

    def _too_late(self) -> None:
        self._timer = None
        self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._peers.discard(self)
        self.connection.end_lost()


class MqttListener:
    """Listens on addresses for one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._servers: list[asyncio.Server] = []
        self._peers: set[_Peer] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to carry bytes and to look after time; `listen` opens doors."""
        loop = asyncio.get_running_loop()
        outbox = self._broker.outbox
        outbox.schedule = partial(loop.call_soon, outbox.flush)
        self._task = loop.create_task(self._check(), name="mqtt")

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Open a door; returns its port. Raises OSError."""
        server = await asyncio.get_running_loop().create_server(
            lambda: _Peer(self._broker, self._peers), host, port, ssl=tls, backlog=_BACKLOG,
            ssl_handshake_timeout=_HANDSHAKE_S if tls else None,
            ssl_shutdown_timeout=_HANDSHAKE_S if tls else None,
        )  # fmt: skip
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_S)
            try:
                self._broker.check(time.monotonic())
            except Exception:
                log.exception("mqtt_check_failed")

    async def stop(self) -> None:
        """Tell every client that the server goes, and close."""
        for server in self._servers:
            server.close()
        self._broker.shut_down()
        await asyncio.sleep(0)
        self._broker.outbox.flush()
        if self._peers:
            await asyncio.sleep(0.1)
        for peer in list(self._peers):
            peer.transport.abort()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
