"""Live streams behind media links: classic HLS, low-latency HLS, FLV, poster, and their JSON form."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Mapping

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from wayframe.media.live import FlvViewer, LiveStream, LlStatus
from wayframe.model import BadRequest, NotFound, Unavailable
from wayframe.services import Services
from wayframe.services.live import LiveSession

from .asgi import JSON

PLAYLIST = "application/vnd.apple.mpegurl"
_SEGMENT_TYPES = {"ts": "video/mp2t", "m4s": "video/mp4", "mp4": "video/mp4"}
_FRESH = {"cache-control": "no-cache"}
_FLV_HEADERS = {"content-type": "video/x-flv", "cache-control": "no-store"}
LL_PLAYLIST = "ll.m3u8"
_FIRST_SEGMENT_S = 4.0
"""Longest wait for the first whole segment of a low-latency playlist."""


async def link(services: Services, session: LiveSession, query: Mapping[str, str]) -> ASGIApp:
    """`GET /media/{uuid}` of a live stream. Raises NotFound, Unavailable."""
    preview = query.get("preview")
    if preview == "jpeg":
        picture = await services.live.poster(session)
        if picture is None:
            raise NotFound("this stream has no picture yet")
        return Response(picture, media_type="image/jpeg", headers=_FRESH)
    if preview == "json":
        document = services.links.render(session.document())
        picture = await services.live.poster(session)
        if picture is not None:
            document["preview"] = {"jpeg": base64.b64encode(picture).decode()}
        return Response(msgspec.json.encode(document), media_type=JSON, headers=_FRESH)
    session.touch()
    if session.kind == "flv":
        return FlvResponse(session)
    return await _classic(_stream(session))


def _stream(session: LiveSession) -> LiveStream:
    if session.stream is None:
        raise Unavailable("the stream has no picture yet; ask again in a moment")
    return session.stream


async def _classic(stream: LiveStream) -> ASGIApp:
    text = stream.playlist()
    if text is None and await stream.playlist_ready():
        text = stream.playlist()
    if text is None:
        raise Unavailable("the stream has no picture yet; ask again in a moment")
    return Response(text, media_type=PLAYLIST, headers=_FRESH)


async def piece(session: LiveSession, name: str, query: Mapping[str, str]) -> ASGIApp:
    """`GET /media/{uuid}/{name}`: the low-latency playlist, a segment, a part. Raises BadRequest, NotFound."""
    if name == LL_PLAYLIST:
        session.touch()
        return await _low_latency(session, query)
    data = await _stream(session).resource(name)
    if data is None:
        raise NotFound("this piece of the stream is gone")
    kind = _SEGMENT_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    return Response(data, media_type=kind, headers={"cache-control": "private, max-age=120"})


async def _low_latency(session: LiveSession, query: Mapping[str, str]) -> ASGIApp:
    stream, msn = _stream(session), _number(query, "_HLS_msn")
    answer = await stream.ll_playlist(msn, _number(query, "_HLS_part"))
    if msn is None and answer.status is LlStatus.OK:
        await stream.ll_settled(_FIRST_SEGMENT_S)
        answer = await stream.ll_playlist()
    if answer.status is LlStatus.BAD_REQUEST:
        raise BadRequest(answer.text)
    if answer.status is LlStatus.GAVE_UP:
        raise Unavailable(answer.text)
    # Addresses are written for the plain link, one folder above this playlist.
    text = answer.text.replace(f"{session.uuid}/", "")
    return Response(text, media_type=PLAYLIST, headers=_FRESH)


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise BadRequest(f"{name} must be a whole number from 0, got {text[:50]!r}")
    return int(text)


class FlvResponse:
    """An FLV stream until it ends or the viewer goes."""

    def __init__(self, session: LiveSession) -> None:
        self._session = session
        self._stream = _stream(session)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = [(name.encode(), value.encode()) for name, value in _FLV_HEADERS.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        if scope["method"] != "HEAD":
            viewer = self._stream.subscribe_flv()
            gone = asyncio.ensure_future(_close_when_gone(receive, viewer))
            try:
                async for data in viewer:
                    self._session.touch()
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            finally:
                viewer.close()
                gone.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await gone
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _close_when_gone(receive: Receive, viewer: FlvViewer) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    viewer.close()
