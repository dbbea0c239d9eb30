"""The gallery over HTTP: what `rest.gallery` answers, and the bytes that come and go (gallery-api.md C6–C9)."""

from __future__ import annotations

import dataclasses
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from wayframe.model import NotFound, WayframeError
from wayframe.rest import Request as PlainRequest
from wayframe.rest import WrongMethod
from wayframe.rest.gallery import GalleryApi
from wayframe.rest.gallery_calls import GalleryCall, refuse_gallery

from .asgi import ClientDisconnect, Lingering, declared_length, plain, read_body
from .gallery_uploads import GalleryUploads
from .media import MediaLinks
from .previews import HotPreviews
from .settings import DoorSettings
from .visit import Visit

ROOTS = ("api", "studio", "upload")
"""First segments of its paths."""


class Unsupported(WayframeError):
    """A body of a type that is not taken."""

    status = code = 415


class GalleryDoor:
    """Answers everything below `/api`, `/studio/api` and `/upload`."""

    def __init__(self, api: GalleryApi, media: MediaLinks, settings: DoorSettings) -> None:
        self._api = api
        self._media = media
        self._settings = settings
        self._uploads = GalleryUploads(api.services.gallery, settings)

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
            return plain(await self._uploads.put(visit, segments[1]))
        if segments[:2] == ("api", "gallery"):
            return await self._gallery(visit, segments[2:])
        if segments[:2] == ("api", "hooks"):
            visit.route = "/api/hooks"
            return plain(await self._api.hooks(await self._whole(visit), segments[2:]))
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
            return await self._bytes(call, thumbnail=match.route.path.endswith("thumbnail"))
        kind = visit.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if match.route.path == "upload":
            if kind == "multipart/form-data":
                return plain(await self._uploads.form(visit, call))
            if kind != "application/json":
                raise Unsupported("send multipart/form-data with the parts name and event, or JSON without a file")
        if visit.asked.method in ("POST", "PUT", "PATCH"):
            call = dataclasses.replace(call, request=await self._whole(visit))
        if match.route.path == "upload":
            return plain(await self._uploads.registration(visit, call, partial(self._api.answer, call, match)))
        return plain(await self._api.answer(call, match))

    async def _bytes(self, call: GalleryCall, *, thumbnail: bool) -> ASGIApp:
        """The file of an event, or its thumbnail, which may be here before the file is."""
        gallery = call.services.gallery.events
        if thumbnail:
            event = await gallery.event(call.entry, call.event)
            if not event.file_uuid:
                return self._media.picture(gallery.thumbnail_path(event), event.id, event.added)
        file = await gallery.file(call.entry, call.event)
        return await self._media.form(file, {"preview": "jpeg"} if thumbnail else {})


class GalleryOnly:
    """The same application on the gallery's own port: its paths, the links it gives out, and the health check."""

    def __init__(self, app: ASGIApp, hot: HotPreviews) -> None:
        self._app = app
        self.hot = hot
        """Answers that need no application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})  # before it was accepted: 403
            return
        first = scope.get("path", "/").split("/", 2)[1:2]
        if scope["type"] != "http" or (first and first[0] in (*ROOTS, "media", "healthz")):
            await self._app(scope, receive, send)
        else:
            missing = NotFound("this port has only the gallery: /api/gallery, /api/hooks, /api/auth, /upload, /media")
            await plain(refuse_gallery(missing))(scope, receive, send)
