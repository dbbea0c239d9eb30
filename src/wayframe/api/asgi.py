"""Small things every part of the door needs: the shape of an answer, error answers, bodies read within limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wayframe.model import TooLarge, WayframeError
from wayframe.rest import Response as PlainResponse
from wayframe.rest import refuse

JSON = "application/json"
_JSON_TYPE = (b"content-type", JSON.encode())
_LINGER_S = 5.0
_LINGER_BYTES = 64 << 20


class SlowBody(WayframeError):
    """A body that does not come on."""

    status = code = 408


class NotImplementedHere(WayframeError):
    """A documented request this server does not offer."""

    status = code = 501


class Misdirected(WayframeError):
    """The range asked for lies outside."""

    status = code = 416


def plain(response: PlainResponse) -> Response:
    """A response of `rest` for HTTP."""
    return Response(response.body, response.status, dict(response.headers), media_type=JSON)


class JsonAnswer:
    """A response of `rest` for HTTP, sent without a framework's response in between: most requests end here."""

    def __init__(self, response: PlainResponse) -> None:
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = self._response
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()
        ]
        headers += [(b"content-length", b"%d" % len(response.body)), _JSON_TYPE]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})


def error_response(error: WayframeError, headers: Mapping[str, str] | None = None) -> Response:
    """The error envelope for HTTP."""
    refused = refuse(error)
    return Response(refused.body, refused.status, {**refused.headers, **(headers or {})}, media_type=JSON)


async def read_body(request: Request, limit: int, idle_s: float, total_s: float) -> bytes:
    """A whole body. Raises TooLarge, SlowBody, ClientDisconnect."""
    declared = declared_length(request)
    if declared is not None and declared > limit:
        raise TooLarge(f"the body has {declared} bytes, at most {limit} are taken")
    pieces: list[bytes] = []
    size = 0
    started = time.monotonic()
    async for piece in body_pieces(request, idle_s):
        size += len(piece)
        if size > limit:
            raise TooLarge(f"the body is larger than {limit} bytes")
        if time.monotonic() - started > total_s:
            raise SlowBody(f"the body was not complete after {total_s:g} s")
        pieces.append(piece)
    return b"".join(pieces)


async def body_pieces(request: Request, idle_s: float) -> AsyncIterator[bytes]:
    """The body as it comes. Raises SlowBody after `idle_s` of silence, ClientDisconnect."""
    more = True
    while more:
        try:
            message = await asyncio.wait_for(request.receive(), idle_s)
        except TimeoutError:
            raise SlowBody(f"nothing came for {idle_s:g} s") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        body = message.get("body", b"")
        if body:
            yield body


def declared_length(request: Request) -> int | None:
    """Content-Length, if it is one."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


class Lingering:
    """A response to a request whose body was not read to its end.

    Closing a connection with unread bytes makes the kernel send a reset, which may overtake the response. So the
    response is sent, the rest of the body is read and dropped for a while, and only then is the connection closed.
    """

    def __init__(self, response: Response) -> None:
        response.headers["connection"] = "close"
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def hold_back(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await _drop_rest(receive)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await send(message)

        await self._response(scope, receive, hold_back)


async def _drop_rest(receive: Receive) -> None:
    dropped = 0
    try:
        async with asyncio.timeout(_LINGER_S):
            while dropped < _LINGER_BYTES:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                dropped += len(message.get("body", b""))
    except TimeoutError:
        return


__all__ = [
    "JSON",
    "ASGIApp",
    "ClientDisconnect",
    "JsonAnswer",
    "Lingering",
    "Misdirected",
    "NotImplementedHere",
    "SlowBody",
    "body_pieces",
    "declared_length",
    "error_response",
    "plain",
    "read_body",
]
