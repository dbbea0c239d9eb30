"""MQTT over WebSocket (MQTT 5, chapter 6) as an ASGI application: any path, subprotocol `mqtt`, binary frames."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from wayframe.mqtt import Connection

from .broker import Broker

_SUBPROTOCOLS = ("mqtt", "mqttv3.1")
_CONNECT_S = 15.0
_TURN = 256 << 10

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class MqttWebSocket:
    """Answers `websocket` scopes."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._open: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One WebSocket, from its handshake to its end."""
        offered = scope.get("subprotocols", [])
        chosen = next((name for name in _SUBPROTOCOLS if name in offered), None)
        await receive()
        if chosen is None:
            await send({"type": "websocket.close", "code": 1002, "reason": "the subprotocol is mqtt"})
            return
        await send({"type": "websocket.accept", "subprotocol": chosen})
        client = scope.get("client")
        await _Peer(self._broker, client[0] if client else "", receive, send).run()


class _Peer:
    """One WebSocket and its connection."""

    def __init__(self, broker: Broker, source: str, receive: Receive, send: Send) -> None:
        self._broker = broker
        self._receive = receive
        self._send = send
        self._wake = asyncio.Event()
        self._readable = asyncio.Event()
        self._readable.set()
        self.connection = Connection(broker, source, broker.outbox.add)
        self.connection.flush = self._wake.set
        self.connection.idle_since = time.monotonic()

    async def run(self) -> None:
        """Carry bytes both ways until one side ends."""
        writing = asyncio.get_running_loop().create_task(self._write())
        try:
            await self._read(writing)
        finally:
            self.connection.end_lost()
            self._wake.set()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _read(self, writing: asyncio.Task[None]) -> None:
        deadline = time.monotonic() + _CONNECT_S
        while not writing.done():
            wait = None if self.connection.session is not None else max(0.0, deadline - time.monotonic())
            received = asyncio.ensure_future(self._receive())
            done, _ = await asyncio.wait({received, writing}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            if received not in done:
                received.cancel()
                await asyncio.gather(received, return_exceptions=True)
                return
            message = received.result()
            if message["type"] != "websocket.receive":
                return
            data = message.get("bytes")
            if data is None:
                await self._send({"type": "websocket.close", "code": 1003, "reason": "MQTT goes in binary frames"})
                return
            self._broker.receive(self.connection, data)
            await self._readable.wait()

    async def _write(self) -> None:
        connection = self.connection
        while True:
            await self._wake.wait()
            self._wake.clear()
            data = b"".join(connection.pending)
            connection.pending.clear()
            if data:
                # While the peer does not take it, it is not read either, and gets no more of QoS 0.
                connection.choked = True
                self._readable.clear()
                for start in range(0, len(data), _TURN):
                    await self._send({"type": "websocket.send", "bytes": data[start : start + _TURN]})
                self._broker.counters.bytes_out += len(data)
                connection.choked = False
                self._readable.set()
            if connection.closing:
                await self._send({"type": "websocket.close", "code": 1000})
                return
            if connection.session is not None and connection.session.more:
                connection.session.pump()
            if connection.pending:
                self._wake.set()
