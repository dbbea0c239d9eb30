"""The gallery over HTTP: what `rest.gallery` answers, and the bytes that come and go (gallery-api.md C6–C9)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from multipart import MultipartSegment
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from wayframe.model import BadRequest, NotFound, TooLarge, WayframeError
from wayframe.rest import Request as PlainRequest
from wayframe.rest import Response as PlainResponse
from wayframe.rest import WrongMethod
from wayframe.rest.gallery import GalleryApi, GalleryCall, refuse_gallery, respond
from wayframe.services import gallery_shapes as shapes
from wayframe.services.gallery import MAX_THUMBNAIL, Described, Gallery, Stored
from wayframe.services.media_files import Upload
from wayframe.services.upload_links import Opened
from wayframe.storage import BlobWriter

from .asgi import ClientDisconnect, Lingering, declared_length, plain, read_body
from .media import MediaLinks
from .previews import HotPreviews
from .settings import DoorSettings
from .upload import paced, read_form

_SLACK = 2 << 20
"""What a form may be longer than its files."""
_MAX_TEXT = shapes.MAX_METADATA + 1
_TEXTS = ("name", "media_type", "has_thumbnail", "metadata")
_FILES = ("event", "thumbnail")

ROOTS = ("api", "studio", "upload")
"""First segments of its paths."""


class Unsupported(WayframeError):
    """A body of a type that is not taken."""

    status = code = 415


@dataclass(slots=True)
class Visit:
    """One request, and what became of it."""

    request: Request
    asked: PlainRequest
    route: str = "/api"
    """Pattern of the path, for metrics."""
    body_read: bool = False


class GalleryDoor:
    """Answers everything below `/api`, `/studio/api` and `/upload`."""

    def __init__(self, api: GalleryApi, media: MediaLinks, settings: DoorSettings) -> None:
        self._api = api
        self._media = media
        self._settings = settings

    async def answer(self, visit: Visit) -> ASGIApp:
        """The response; errors are told in the words of this API. Raises ClientDisconnect."""
        try:
            return await self._answer(visit)
        except WayframeError as error:
            refused = error
        except ClientDisconnect:
            raise
        except Exception:
            refused = self._api.rest.failure(visit.asked)
        response = plain(refuse_gallery(refused))
        has_body = declared_length(visit.request) or "transfer-encoding" in visit.request.headers
        return Lingering(response) if has_body and not visit.body_read else response

    async def _answer(self, visit: Visit) -> ASGIApp:
        segments = visit.asked.segments
        if segments[0] == "studio":  # as the web application of upstream calls it in production
            segments = segments[1:]
        if segments[:1] == ("upload",) and len(segments) == 2:
            visit.route = "/upload/{link}"
            return await self._put(visit, segments[1])
        if segments[:2] == ("api", "gallery"):
            return await self._gallery(visit, segments[2:])
        if segments[:2] == ("api", "auth") and len(segments) == 3:
            visit.route = "/api/auth"
            return await self._auth(visit, segments[2])
        raise NotFound(f"there is no /{'/'.join(visit.asked.segments)[:200]}")

    # --- people -------------------------------------------------------------------------------------------------

    async def _auth(self, visit: Visit, what: str) -> ASGIApp:
        verbs = {"login": self._api.login, "refresh": self._api.refresh, "session": self._api.session}
        if what not in verbs:
            raise NotFound(f"there is no /api/auth/{what[:100]}")
        if visit.asked.method != "POST":
            raise WrongMethod(visit.asked.method, ["POST"])
        return plain(await verbs[what](await self._whole(visit)))

    async def _whole(self, visit: Visit) -> PlainRequest:
        """The request with its JSON body."""
        limits, asked = self._settings, visit.asked
        body = await read_body(visit.request, limits.max_body_bytes, limits.body_idle_s, limits.body_total_s)
        visit.body_read = True
        return PlainRequest(asked.method, asked.segments, asked.query, body, asked.headers, asked.source)

    # --- devices ------------------------------------------------------------------------------------------------

    async def _gallery(self, visit: Visit, rest: tuple[str, ...]) -> ASGIApp:
        match = self._api.find(visit.asked.method, rest)
        visit.route = f"/api/gallery/{{device}}/{match.route.path}"
        url = visit.request.url
        call = await self._api.open(match, visit.asked, f"{url.scheme}://{url.netloc}")
        if match.route.handler is None:
            wanted = "jpeg" if match.route.path.endswith("thumbnail") else ""
            file = await call.services.gallery.events.file(call.entry, call.event)
            return await self._media.form(file, {"preview": wanted} if wanted else {})
        kind = visit.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if match.route.path == "upload":
            if kind == "multipart/form-data":
                return plain(await self._upload(visit, call))
            if kind != "application/json":
                raise Unsupported("send multipart/form-data with the parts name and event, or JSON without a file")
        if visit.asked.method in ("POST", "PUT", "PATCH"):
            call = GalleryCall(await self._whole(visit), call.services, call.caller, call.entry, call.event, call.base)
        return plain(await self._api.answer(call, match))

    async def _upload(self, visit: Visit, call: GalleryCall) -> PlainResponse:
        """POST upload, as a form whose parts come in any order."""
        gallery = call.services.gallery.events
        upload = await gallery.begin(call.entry, declared_length(visit.request), call.caller.said())
        parts = _EventParts(gallery, upload)
        try:
            await read_form(visit.request, self._settings, upload.limit + MAX_THUMBNAIL + _SLACK, parts)
            visit.body_read = True
            told = parts.described(_announced(visit.asked))
            thumbnail = await gallery.thumbnail(parts.picture) if parts.picture and parts.picture.size else ""
            stored = await gallery.finish(call.entry, upload, told, thumbnail=thumbnail)
        finally:
            await upload.writer.abandon()
            if parts.picture is not None:
                await parts.picture.abandon()
        return _stored(stored)

    # --- upload links -------------------------------------------------------------------------------------------

    async def _put(self, visit: Visit, link: str) -> ASGIApp:
        """PUT of raw bytes to an upload link; the link is all the right there is."""
        if visit.asked.method != "PUT":
            raise WrongMethod(visit.asked.method, ["PUT"])
        opened = await self._api.services.gallery.links.open(link)
        declared = declared_length(visit.request)
        if declared is not None and declared > opened.max_size:
            raise TooLarge(f"the body has {declared} bytes, this link takes {opened.max_size}")
        if opened.thumbnail:
            return await self._put_thumbnail(visit, opened)
        if opened.event.file_uuid:
            return await self._put_again(visit, opened)
        links, gallery = self._api.services.gallery.links, self._api.services.gallery.events
        upload = await gallery.begin(opened.entry, declared, {**opened.by, "host": visit.asked.source})
        upload.limit = min(upload.limit, opened.max_size)
        try:
            async for piece in paced(visit.request, self._settings):
                await upload.write(piece)
            visit.body_read = True
            stored = await links.finish(opened, upload, _announced(visit.asked))
        finally:
            await upload.writer.abandon()
        return plain(_stored(stored))

    async def _put_again(self, visit: Visit, opened: Opened) -> ASGIApp:
        """The link was used: the same bytes again are answered alike, and nothing is stored."""
        digest, size = hashlib.sha256(), 0
        async for piece in paced(visit.request, self._settings):
            size += len(piece)
            if size > opened.max_size:
                raise TooLarge(f"the body is larger than {opened.max_size} bytes, the most this link takes")
            digest.update(piece)
        visit.body_read = True
        return plain(_stored(await self._api.services.gallery.links.repeat(opened, digest.hexdigest())))

    async def _put_thumbnail(self, visit: Visit, opened: Opened) -> ASGIApp:
        writer = await self._api.services.gallery.events.begin_thumbnail()
        try:
            async for piece in paced(visit.request, self._settings):
                if writer.size + len(piece) > opened.max_size:
                    raise TooLarge(f"the thumbnail is larger than {opened.max_size} bytes")
                writer.write(piece)
                await writer.drain()
            visit.body_read = True
            event = await self._api.services.gallery.links.finish_thumbnail(opened, writer)
        finally:
            await writer.abandon()
        return plain(respond({"success": True, "eventId": event.id, "event_id": event.id}))


def _stored(stored: Stored) -> PlainResponse:
    body = {"success": True, "eventId": stored.event.id, "event_id": stored.event.id}
    headers = {"ETag": f'"{stored.file.source_sha256}"'}
    return respond(body | ({"duplicate": True} if stored.duplicate else {}), headers=headers)


def _announced(asked: PlainRequest) -> str:
    """The SHA-256 that the sender says the bytes have; empty if it says nothing."""
    said = asked.headers.get("x-checksum-sha256", "").strip()
    if said and (len(said) != 64 or set(said.lower()) - set("0123456789abcdef")):
        raise BadRequest("X-Checksum-SHA256 must be 64 hex digits")
    return said


@dataclass(slots=True)
class _EventParts:
    """The parts of an upload form (A3)."""

    gallery: Gallery
    upload: Upload
    texts: dict[str, str] = field(default_factory=dict)
    filename: str = ""
    picture: BlobWriter | None = None
    _seen: list[str] = field(default_factory=list)
    _text: bytearray = field(default_factory=bytearray)

    def begin(self, segment: MultipartSegment) -> None:
        if segment.name not in _TEXTS + _FILES:
            known = ", ".join(_TEXTS + _FILES)
            raise BadRequest(f"unknown part {segment.name[:100]!r}; the parts are {known}")
        if segment.name in self._seen:
            raise BadRequest(f"the part `{segment.name}` comes twice")
        self._seen.append(segment.name)
        self._text.clear()
        if segment.name == "event":
            self.filename = segment.filename or ""

    async def take(self, piece: bytes) -> None:
        part = self._seen[-1]
        if part == "event":
            await self.upload.write(piece)
        elif part == "thumbnail":
            self.picture = self.picture or await self.gallery.begin_thumbnail()
            if self.picture.size + len(piece) > MAX_THUMBNAIL:
                raise TooLarge(f"the part `thumbnail` is larger than {MAX_THUMBNAIL} bytes")
            self.picture.write(piece)
            await self.picture.drain()
        else:
            self._text += piece
            if len(self._text) > _MAX_TEXT:
                raise BadRequest(f"the part `{part}` is larger than {shapes.MAX_METADATA} bytes")

    async def end(self) -> None:
        part = self._seen[-1]
        if part in _TEXTS:
            self.texts[part] = self._text.decode(errors="replace")
            self._check(part)

    def _check(self, part: str) -> None:
        """Refuse a wrong text before gigabytes follow."""
        if part == "metadata":
            shapes.declared(shapes.metadata(self.texts[part]))
        elif part == "media_type":
            shapes.media_type(self.texts[part])

    def described(self, sha256: str) -> Described:
        """What was told of the file. Raises BadRequest where a part is missing."""
        if "event" not in self._seen:
            raise BadRequest("the part `event` is missing: the media file")
        name = self.texts.get("name", "").strip() or self.filename
        if not name:
            raise BadRequest("the part `name` is missing: the file name of the event")
        return Described(
            name=name,
            media_type=shapes.media_type(self.texts.get("media_type")),
            metadata=shapes.metadata(self.texts.get("metadata", "")),
            sha256=sha256,
        )


class GalleryOnly:
    """The same application on the gallery's own port: its paths, the links it gives out, and the health check."""

    def __init__(self, app: ASGIApp, hot: HotPreviews) -> None:
        self._app = app
        self.hot = hot
        """Answers that need no application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = scope.get("path", "/").split("/", 2)[1:2]
        if scope["type"] != "http" or (first and first[0] in (*ROOTS, "media", "healthz")):
            await self._app(scope, receive, send)
        else:
            missing = NotFound("this port has only the gallery: /api/gallery, /api/auth, /upload, /media")
            await plain(refuse_gallery(missing))(scope, receive, send)
