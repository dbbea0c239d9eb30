"""Our own file responder: big reads in a thread, small bodies inline, ranges, HEAD (media-pipeline.md 8)."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from wayframe.model import NotFound

from .asgi import Misdirected, error_response
from .ranges import Unsatisfiable, byte_range, not_modified, range_holds

_PIECE = 1 << 20
_INLINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class FileResponse:
    """One file, or a range of it."""

    path: Path
    """Local file."""
    mime: str
    """Content-Type."""
    etag: str
    """Strong entity tag, with its quotes."""
    modified: float
    """Unix seconds of the last change."""
    disposition: str = ""
    """Content-Disposition; empty: none."""
    cache: str = "private"
    """Cache-Control."""
    policy: str = ""
    """Content-Security-Policy; empty: none."""
    stall_s: float = 120.0
    """Longest time one piece may wait for the client."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            # In the loop: opening takes a few microseconds, a hop to a thread forty and twice the wake-ups.
            handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            await error_response(NotFound("this file is gone"))(scope, receive, send)
            return
        try:
            await self._respond(handle, scope, receive, send)
        finally:
            os.close(handle)

    async def _respond(self, handle: int, scope: Scope, receive: Receive, send: Send) -> None:
        size = os.fstat(handle).st_size
        asked = Headers(scope=scope)
        headers = {
            "content-type": self.mime,
            "accept-ranges": "bytes",
            "etag": self.etag,
            "last-modified": formatdate(self.modified, usegmt=True),
            "cache-control": self.cache,
        }
        if self.disposition:
            headers["content-disposition"] = self.disposition
        if self.policy:
            headers["content-security-policy"] = self.policy
        if not_modified(asked, self.etag, self.modified):
            del headers["content-type"]
            await _start(send, 304, headers)
            await send({"type": "http.response.body", "body": b""})
            return
        status, begin, end = 200, 0, size
        wanted = asked.get("range")
        if wanted is not None and range_holds(asked, self.etag, self.modified):
            try:
                part = byte_range(wanted, size)
            except Unsatisfiable:
                reason = f"the range {wanted[:100]!r} lies outside the file of {size} bytes"
                refused = error_response(Misdirected(reason), {"content-range": f"bytes */{size}"})
                await refused(scope, receive, send)
                return
            if part is not None:
                status, (begin, end) = 206, part
                headers["content-range"] = f"bytes {begin}-{end - 1}/{size}"
        headers["content-length"] = str(end - begin)
        await _start(send, status, headers)
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._send_bytes(handle, begin, end, receive, send)

    async def _send_bytes(self, handle: int, begin: int, end: int, receive: Receive, send: Send) -> None:
        if end - begin <= _INLINE:
            await send({"type": "http.response.body", "body": os.pread(handle, end - begin, begin)})
            return
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            while begin < end and not gone.done():
                piece = await asyncio.to_thread(os.pread, handle, min(_PIECE, end - begin), begin)
                if not piece:
                    return  # cut short under us: the connection is closed, and the client sees that bytes are missing
                begin += len(piece)
                async with asyncio.timeout(self.stall_s):
                    await send({"type": "http.response.body", "body": piece, "more_body": begin < end})
        finally:
            gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


def disposition(kind: str, name: str) -> str:
    """Content-Disposition with a plain name for old clients and the exact one for the others (RFC 6266)."""
    shown = "".join(sign for sign in name if sign.isprintable())
    simple = "".join(sign if sign.isascii() and sign not in '"\\%;' else "_" for sign in shown)
    exact = f"; filename*=UTF-8''{quote(shown, safe='')}" if simple != shown else ""
    return f'{kind}; filename="{simple}"{exact}'
