"""Media links: `/media/{uuid}` of stored files and live streams. The uuid is the capability (rest-api.md 8.6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wayframe.model import BadRequest, Blocked, MediaFile, NotFound, Unauthorized
from wayframe.rest import Request as PlainRequest
from wayframe.rest import RestApi, WrongMethod, with_preview
from wayframe.services import DEVICES, Entry

from . import live
from .asgi import JSON, NotImplementedHere
from .file_response import FileResponse, disposition
from .previews import PreviewResponse

_TRAFFIC = "device_media_traffic"
"""The limit that counts what goes out here."""
_UUID = re.compile(r"[0-9A-Fa-f]{64}")
_METHODS = ["GET", "HEAD"]
_INLINE = re.compile(
    r"(?:image/(?:jpeg|png|gif|webp|bmp|avif|heic|heif)|video/[\w.+-]+|audio/[\w.+-]+"
    r"|application/(?:pdf|octet-stream|zip|json)|text/plain)(?:\s*;.*)?"
)
"""Types a browser shows without running anything in them; all others are handed out as downloads."""
_PLAYER = re.compile(r"(?:image|video|audio)/.*|application/pdf")
"""Types that browsers show with parts of their own, which a sandbox would forbid."""
_SANDBOX = "default-src 'none'; sandbox"
"""For all others: whatever a browser takes them for, they have no origin, no scripts and no network."""


class MediaLinks:
    """Answers everything below `/media`."""

    def __init__(self, api: RestApi, stall_s: float) -> None:
        self._services = api.services
        self._api = api
        self._stall_s = stall_s

    async def answer(self, request: Request, plain: PlainRequest) -> ASGIApp:
        """The response to `/media/{uuid}` or `/media/{uuid}/{piece}`.

        Raises NotFound, Unauthorized, Forbidden, BadRequest, WrongMethod.
        """
        rest = plain.segments[1:]
        if not 1 <= len(rest) <= 2 or not _UUID.fullmatch(rest[0]):
            raise NotFound("there is no such media file")
        if plain.method == "POST" and len(rest) == 1:
            raise NotImplementedHere("WebRTC is not offered; play the HLS link")
        if plain.method not in _METHODS:
            raise WrongMethod(plain.method, _METHODS)
        uuid = rest[0].upper()
        session = self._services.live.find(uuid)
        if session is not None:
            if self._services.directory.blocked(session.entry.cid):
                raise Blocked("the account of this stream is blocked")
            if len(rest) == 2:
                return self._counted(session.entry, await live.piece(session, rest[1], plain.query))
            return self._counted(session.entry, await live.link(self._services, session, plain.query))
        if len(rest) == 2:
            raise NotFound("there is no such live stream, or it has ended")
        return await self._file(uuid, plain)

    async def _file(self, uuid: str, plain: PlainRequest) -> ASGIApp:
        file = await self._services.media.get(uuid)
        if file is None:
            raise NotFound("there is no such media file: it was deleted, has expired, or never was")
        entry = self._services.directory.device(file.device_id)
        if entry is not None and self._services.directory.blocked(entry.cid):
            if not plain.headers.get("authorization"):
                raise Blocked("the account of this file is blocked")
            await self._check_token(file, plain)
        elif not file.shared:
            await self._check_token(file, plain)
        return await self.form(file, plain.query)

    async def _check_token(self, file: MediaFile, plain: PlainRequest) -> None:
        """A file that is not shared needs a token that may read the device's media."""
        if not plain.headers.get("authorization"):
            raise Unauthorized("this file is not shared: send a token that may read the media of its device")
        caller = self._api.authenticate(plain)
        await self._services.directory.select(caller, DEVICES, str(file.device_id), "GET", "media")

    def picture(self, path: Path, tag: str, made: float) -> ASGIApp:
        """A JPEG that is there before its file."""
        return FileResponse(path=path, mime="image/jpeg", etag=f'"{tag}"', modified=made, stall_s=self._stall_s)

    async def form(self, file: MediaFile, query: Mapping[str, str]) -> ASGIApp:
        """The three forms of a file: its bytes, its preview, its description."""
        form = query.get("preview", "")
        if form == "json":
            described = await with_preview(self._services.media, file)
            return Response(msgspec.json.encode(described), media_type=JSON, headers={"cache-control": "private"})
        if form == "jpeg":
            preview = self._services.media.preview_path(file)
            if preview is None:
                raise NotFound("this file has no preview")
            tag = f'"{file.sha256[:32]}-{file.preview[:8]}"'
            return PreviewResponse(preview, "image/jpeg", tag, file.uploaded, stall_s=self._stall_s, file=file)
        if form:
            raise BadRequest(f"preview must be jpeg or json, got {form[:50]!r}")
        harmless = _INLINE.fullmatch(file.mime) is not None
        response = FileResponse(
            path=self._services.media.path(file),
            mime=file.mime if harmless else "application/octet-stream",
            etag=f'"{file.sha256}"',
            modified=file.uploaded,
            disposition=disposition("inline" if harmless else "attachment", file.name),
            policy="" if harmless and _PLAYER.fullmatch(file.mime) else _SANDBOX,
            stall_s=self._stall_s,
        )
        return self._counted(self._services.directory.device(file.device_id), response)

    def _counted(self, entry: Entry | None, response: ASGIApp) -> ASGIApp:
        """A response whose bytes are traffic of a device. Raises TooManyRequests where that is used up."""
        meter = self._services.directory.meter
        if entry is None or not meter.limited(_TRAFFIC, entry.cid):
            return response
        meter.check(_TRAFFIC, entry.cid, entry.id)
        device = entry

        async def counting(scope: Scope, receive: Receive, send: Send) -> None:
            async def count(message: Message) -> None:
                await send(message)
                meter.count(_TRAFFIC, device.cid, len(message.get("body", b"")), device.id)

            await response(scope, receive, count)

        return counting
