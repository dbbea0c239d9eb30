"""The listener: uvicorn, started and stopped by its owner, with limits on what a connection may do before it asks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Generator
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .app import Application
from .gallery import GalleryOnly
from .previews import HotPreviews

log = structlog.get_logger(__name__)

_HEAD_BYTES = 64 * 1024
_HEAD_S = 15.0
_HANDSHAKE_S = 10.0
"""How long TLS may take to begin, and to end."""
_MAX_PIPELINED = 256
_KEEP_ALIVE_S = 75
_MAX_CONNECTIONS = 10_000
_BACKLOG = 2048
_CLEAN_UP_S = 1.0
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _Guarded(HttpToolsProtocol):
    """uvicorn's protocol, with an end to request heads: in time, in size, and in the number of connections. Bytes that
    are neither head nor body (trailers, extensions of chunks) end like a head, and trailers are dropped: behind a proxy
    they could pass for headers that it has set or taken away.

    What `hot` can answer is answered as soon as the head is read.
    """

    hot: HotPreviews
    _answered = False
    _in_head = True
    _waiting_bytes = 0
    """Bytes since the last end of a head or piece of a body."""
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > _MAX_CONNECTIONS:
            transport.abort()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_done()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._waiting_bytes += len(data)
        if self._waiting_bytes > _HEAD_BYTES and self._in_head and b"\r\n\r\n" not in data[:_HEAD_BYTES]:
            if self._head_timer is not None:  # nothing is being answered
                self.transport.write(_TOO_LONG)
            self.transport.close()
            return
        super().data_received(data)
        if self.transport.get_protocol() is not self:
            return  # a WebSocket now: no further head comes
        if self._waiting_bytes > _HEAD_BYTES:
            self.transport.close()
        waits = self.cycle is None or self.cycle.response_complete
        if waits and self._head_timer is None and not self.transport.is_closing():
            self._expect_head()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._waiting_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._waiting_bytes = 0
        self._head_done()
        if len(self.pipeline) >= _MAX_PIPELINED:
            self.transport.abort()
        if self.transport.is_closing():
            return
        answer = self._answer_at_once()
        if answer is None:
            super().on_headers_complete()
            return
        # No keep-alive timer: the wait for the next head is shorter.
        self._answered = True
        self.server_state.total_requests += 1
        self.transport.write(answer)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()  # what was read is answered before more is read

    def on_message_complete(self) -> None:
        self._in_head = True
        self._waiting_bytes = 0
        if self._answered:
            self._answered = False
        else:
            super().on_message_complete()

    def _answer_at_once(self) -> bytes | None:
        """The whole answer to a request that `hot` knows, where none before it is still open."""
        parser = self.parser
        if parser.get_method() != b"GET" or parser.get_http_version() != "1.1" or not parser.should_keep_alive():
            return None
        waits = self.cycle is None or (self.cycle.response_complete and not self.pipeline)
        if not waits or self.flow.write_paused or self.transport.is_closing():
            return None
        return self.hot.answer(self.url, self.headers, self.server_state.default_headers)

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(_HEAD_S, self._head_late)

    def _head_done(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


class _Tasks:
    """The application, where cancellation just ends a request: only `HttpServer.stop` cancels, and uvicorn would log it
    as a failure."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._app(scope, receive, send)


class _Server(uvicorn.Server):
    """uvicorn leaves the signals to the node: its own capture re-raises them after serving."""

    def __init__(self, config: uvicorn.Config, protocol: type[_Guarded]) -> None:
        super().__init__(config)
        self._protocol = protocol

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's for open sockets, with an end to TLS handshakes, which count as no connection yet."""
        config, loop = self.config, asyncio.get_running_loop()

        def connection() -> _Guarded:
            return self._protocol(config, self.server_state, {})

        self.servers = [
            await loop.create_server(
                connection, sock=listener, ssl=config.ssl, backlog=config.backlog,
                ssl_handshake_timeout=_HANDSHAKE_S if config.ssl else None,
                ssl_shutdown_timeout=_HANDSHAKE_S if config.ssl else None,
            )
            for listener in sockets or ()
        ]  # fmt: skip
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class HttpServer:
    """Serves an application on one address."""

    def __init__(
        self,
        app: Application | GalleryOnly,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        grace_s: float = 3.0,
        trusted_proxies: str = "",
        ws_bytes: int = 4 << 20,
    ) -> None:
        """`port` 0 takes a free one.

        Args:
            grace_s: how long `stop` lets answers go on before it cuts them.
            ws_bytes: largest WebSocket message taken.
            trusted_proxies: addresses whose X-Forwarded-For counts, comma list; empty: nobody's.
        """
        self._host = host
        self._wanted_port = port
        self._grace_s = grace_s

        class Connection(_Guarded):
            hot = app.hot

        config = uvicorn.Config(
            _Tasks(app),
            http=Connection,
            ws="websockets-sansio",
            ws_max_size=ws_bytes,
            ws_ping_interval=None,
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=trusted_proxies or None,
            timeout_keep_alive=_KEEP_ALIVE_S,
            backlog=_BACKLOG,
        )
        config.load()
        config.ssl = tls
        self._server = _Server(config, Connection)
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return int(self._socket.getsockname()[1]) if self._socket is not None else self._wanted_port

    async def start(self) -> None:
        """Listen. Raises OSError where the address is taken or not ours."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # With the protocol named: asyncio sets TCP_NODELAY only where it reads TCP, or an answer waits 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind((self._host, self._wanted_port))
        except OSError:
            listener.close()
            raise
        listener.setblocking(False)
        self._socket = listener
        self._task = asyncio.create_task(self._server.serve([listener]), name="http")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise OSError(f"the HTTP listener on {self._host}:{self._wanted_port} did not start")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Accept nothing more, let answers end within the grace, then cut what is left."""
        task, self._task = self._task, None
        if task is None:
            return
        self._server.should_exit = True
        state = self._server.server_state
        await asyncio.wait([task], timeout=self._grace_s)
        # Who reads or writes sees the connection lost, and cleans up; who waits for something else is cancelled.
        for connection in list(state.connections):
            connection.transport.abort()
        if state.tasks:
            await asyncio.wait(list(state.tasks), timeout=_CLEAN_UP_S)
        for answer in list(state.tasks):
            answer.cancel()
        try:
            async with asyncio.timeout(_CLEAN_UP_S):
                await task
        except TimeoutError:
            log.warning("http_stop_overdue", requests=len(state.tasks))
