"""The gallery API without a transport (gallery-api.md): find what is asked, authenticate, answer in its own words.

Its wire format is not flespi's: plain objects and arrays, and errors as `{"success": false, "error", "code"}` with a
real status. Bodies of bytes (uploads, files) are the HTTP door's, which asks here who may.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import msgspec

from wayframe.model import BadRequest, Json, NotFound, Unauthorized, WayframeError
from wayframe.services import Caller, Entry, Services
from wayframe.services import gallery_shapes as shapes
from wayframe.services.gallery import viewer_of

from .api import RestApi
from .exchange import Request, Response, WrongMethod
from .gallery_queries import decimal, event_query, switch, whole

_CODES = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    408: "slow_body", 409: "conflict", 410: "gone", 411: "length_required", 413: "too_large", 415: "unsupported",
    416: "bad_range", 422: "no_source", 429: "too_many_requests", 503: "unavailable", 507: "store_full",
}  # fmt: skip
_MOST_WAIT_S = 60.0
_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class GalleryCall:
    """One authenticated request about a device."""

    request: Request
    services: Services
    caller: Caller
    entry: Entry
    """The device."""
    event: str
    """The event in the path; empty if there is none."""
    base: str
    """Scheme and host that the caller came over, for links that are only for them."""

    def body(self) -> dict[str, Json]:
        """A JSON body, one object. Raises BadRequest."""
        found = self.request.json()
        if not isinstance(found, dict):
            raise BadRequest("the body must be one JSON object")
        return found


Handler = Callable[[GalleryCall], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class GalleryRoute:
    """A method on a path below `/api/gallery/{device}`."""

    method: str
    path: str
    """Pattern after the device; `{event}` stands for an event."""
    right: tuple[str, str]
    """Method and submodule of `gw/devices` that the caller must have."""
    handler: Handler | None
    """Answers it; None: the HTTP door does, since bytes travel."""
    besides: tuple[str, str] | None = None
    """A second right that is needed."""

    @property
    def key(self) -> tuple[str, ...]:
        """The pattern, cut."""
        return tuple(self.path.split("/"))


@dataclass(frozen=True, slots=True)
class GalleryMatch:
    """A route with the device and event of the path."""

    route: GalleryRoute
    device: str
    event: str


class GalleryApi:
    """Answers requests below `/api/gallery` and `/api/auth`."""

    def __init__(self, rest: RestApi, public_url: str) -> None:
        """`public_url`: base of links, if one is configured; otherwise the address of the request is."""
        self.rest = rest
        """What authenticates platform tokens, and knows the services."""
        self.services = rest.services
        self._public_url = public_url

    # --- finding ------------------------------------------------------------------------------------------------

    def find(self, method: str, rest: tuple[str, ...]) -> GalleryMatch:
        """The route of what follows `/api/gallery`; HEAD is answered by GET. Raises NotFound, WrongMethod."""
        if len(rest) < 2:
            raise NotFound("there is only /api/gallery/{device}/…")
        device, path, event = rest[0], rest[1:], ""
        if len(path) >= 2:
            event, path = path[1], (path[0], "{event}", *path[2:])
        methods = _TABLE.get(path)
        if methods is None:
            raise NotFound(f"there is no /api/gallery/{'/'.join(rest)[:200]}")
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            raise WrongMethod(method, sorted(methods))
        return GalleryMatch(route, device, event)

    async def open(self, match: GalleryMatch, request: Request, scheme_host: str) -> GalleryCall:
        """Authenticate, and find the device. Raises Unauthorized, Forbidden, NotFound, TooManyRequests."""
        caller = self.authenticate(request)
        entry = await self.services.gallery.events.device(caller, match.device, *match.route.right)
        if match.route.besides is not None:
            await self.services.gallery.events.device(caller, str(entry.id), *match.route.besides)
        return GalleryCall(
            request, self.services, caller, entry, match.event, self._public_url or scheme_host.rstrip("/")
        )

    def authenticate(self, request: Request) -> Caller:
        """Who asks: a platform token (`Authorization` or `X-API-Key`) or a session of a person (`Bearer`)."""
        given = request.headers.get("authorization", "")
        key = request.headers.get("x-api-key", "")
        if not given and key:
            request = replace(request, headers={**request.headers, "authorization": f"FlespiToken {key}"})
        elif not given:
            raise Unauthorized("send Authorization: Bearer TOKEN, or X-API-Key")
        if (session := _session(given)) is not None:
            request = replace(request, token=self.services.gallery.users.authenticate(session, request.source))
        return self.rest.authenticate(request)

    async def answer(self, call: GalleryCall, match: GalleryMatch) -> Response:
        """The response of a route that has a handler. Raises WayframeError."""
        assert match.route.handler is not None, f"{match.route.path} is answered by the door"
        return await match.route.handler(call)

    # --- people -------------------------------------------------------------------------------------------------

    async def login(self, request: Request) -> Response:
        """POST /api/auth/login. Raises WayframeError."""
        return respond(_told(await self.services.gallery.users.login(request.json(), request.source)))

    async def refresh(self, request: Request) -> Response:
        """POST /api/auth/refresh: a new session for the one in `Authorization: Bearer`. Raises WayframeError."""
        session = _session(request.headers.get("authorization", ""))
        if session is None:
            raise Unauthorized("send the session: Authorization: Bearer TOKEN")
        return respond(_told(self.services.gallery.users.refresh(session, request.source)))

    async def session(self, request: Request) -> Response:
        """POST /api/auth/session: a session with the rights of the platform token that asks. Raises WayframeError."""
        caller = self.authenticate(request)
        if caller.token.id < 0 or _session(request.headers.get("authorization", "")) is not None:
            raise BadRequest("send a platform token; a session is renewed with /api/auth/refresh")
        return respond(_told(self.services.gallery.users.session_of(caller.token)))


def _session(authorization: str) -> str | None:
    """The JWT of a Bearer header; platform tokens have no dots."""
    kind, _, word = authorization.strip().partition(" ")
    word = word.strip()
    return word if kind.lower() == "bearer" and word.count(".") == 2 else None


def _told(session: Mapping[str, Json]) -> dict[str, Json]:
    return {"success": True, **session, "expires_at": shapes.iso(session["expires_at"])}


# --- answers ----------------------------------------------------------------------------------------------------------


def respond(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A plain JSON answer."""
    return Response(status, msgspec.json.encode(body), headers or {})


def refuse_gallery(error: WayframeError) -> Response:
    """An error in the words of this API (C7)."""
    headers: dict[str, str] = {}
    if isinstance(error, WrongMethod):
        headers["Allow"] = ", ".join(error.allowed)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(retry_after_s))
    word = _CODES.get(error.status, "internal")
    return respond({"success": False, "error": error.reason, "code": word}, error.status, headers)


# --- handlers ---------------------------------------------------------------------------------------------------------


async def paths(call: GalleryCall) -> Response:
    """Where files of this device are dropped; makes the folders."""
    return respond({"success": True, "paths": await call.services.gallery.folders.paths(call.entry)})


async def events(call: GalleryCall) -> Response:
    """The events of a device: a bare array."""
    query = call.request.query
    asked = event_query(query, viewer_of(call.caller))
    found, total = await call.services.gallery.events.events(call.caller, call.entry, asked)
    headers = {} if total is None else {"X-Total-Count": str(total)}
    if len(found) == asked.limit and (total is None or asked.offset + asked.limit < total):
        following = {**query, "limit": str(asked.limit), "offset": str(asked.offset + asked.limit)}
        headers["Link"] = f'<{call.base}/api/gallery/{call.entry.id}/events?{urlencode(following)}>; rel="next"'
    return respond(found, headers=headers)


async def event(call: GalleryCall) -> Response:
    """One event."""
    gallery = call.services.gallery.events
    return respond(await gallery.view(call.caller, await gallery.event(call.entry, call.event)))


async def change(call: GalleryCall) -> Response:
    """Flag, mark as viewed, rename, annotate."""
    gallery = call.services.gallery.events
    found = await gallery.event(call.entry, call.event)
    changed = await gallery.change(call.caller, call.entry, found, call.body())
    return respond({"success": True, "event": await gallery.view(call.caller, changed)})


async def delete(call: GalleryCall) -> Response:
    """Remove an event, and its file."""
    gallery = call.services.gallery.events
    found = await gallery.event(call.entry, call.event)
    await call.services.gallery.pulls.give_up(call.caller, call.entry, found)
    await gallery.delete(call.caller, call.entry, found)
    return respond({"success": True})


async def register(call: GalleryCall) -> Response:
    """A JSON body: an event that is still on the device."""
    made = await call.services.gallery.events.register(call.entry, call.body())
    return respond({"success": True, "eventId": made.id, "event_id": made.id, "state": str(made.state)})


async def upload_url(call: GalleryCall) -> Response:
    """Links that take a file, and a thumbnail, by PUT without a token."""
    query = call.request.query
    life_s = float(whole(query, "expires", 900, 10, 7 * 86400))
    reserved = await call.services.gallery.links.reserve(
        call.caller,
        call.entry,
        query.get("filename", ""),
        thumbnail=switch(query, "thumbnail") or False,
        media_type=shapes.media_type(query.get("media_type")),
        life_s=life_s,
    )
    shown = {
        "success": True, "upload_url": f"{call.base}/upload/{reserved.media}",
        **({"thumbnail_upload_url": f"{call.base}/upload/{reserved.thumbnail}"} if reserved.thumbnail else {}),
        "eventId": reserved.event.id, "expires_at": shapes.iso(reserved.expires), "method": "PUT",
        "max_size": reserved.max_size,
    }  # fmt: skip
    return respond(shown)


async def stats(call: GalleryCall) -> Response:
    """Counts and sizes by type."""
    return respond(await call.services.gallery.events.stats(call.entry))


async def pull(call: GalleryCall) -> Response:
    """Fetch the bytes from the device; waits a while, then says how far it is."""
    found = await call.services.gallery.events.event(call.entry, call.event)
    wait_s = decimal(call.request.query, "wait", _WAIT_S, _MOST_WAIT_S)
    pulled = await call.services.gallery.pulls.pull(call.caller, call.entry, found, wait_s)
    body = {
        "success": pulled.done, "eventId": found.id, "event_id": found.id, "state": str(pulled.event.state),
        **({"commandId": pulled.event.command_id} if pulled.event.command_id and not pulled.done else {}),
        **({"received": pulled.received, "size": pulled.event.size} if not pulled.done else {}),
        **({"error": pulled.event.error} if pulled.event.error and not pulled.done else {}),
    }  # fmt: skip
    return respond(body, 200 if pulled.done else 202)


async def read_source(call: GalleryCall) -> Response:
    """Where the files of a device are pulled from, without what opens it."""
    return respond({"success": True, "source": await call.services.gallery.hosts.view(call.entry)})


async def write_source(call: GalleryCall) -> Response:
    """Say where the files of a device are pulled from."""
    return respond({"success": True, "source": await call.services.gallery.hosts.write(call.entry, call.body())})


async def delete_source(call: GalleryCall) -> Response:
    """Forget where the files of a device are pulled from."""
    await call.services.gallery.hosts.delete(call.entry)
    return respond({"success": True})


async def scan(call: GalleryCall) -> Response:
    """Look for files on the device's host, and note what is new."""
    return respond({"success": True, **await call.services.gallery.pulls.scan(call.entry)})


# fmt: off
GALLERY_ROUTES: tuple[GalleryRoute, ...] = (
    GalleryRoute("GET", "paths", ("GET", "media"), paths),
    GalleryRoute("GET", "events", ("GET", "media"), events),
    GalleryRoute("GET", "events/{event}", ("GET", "media"), event),
    GalleryRoute("PATCH", "events/{event}", ("PUT", "media"), change),
    GalleryRoute("DELETE", "events/{event}", ("DELETE", "media"), delete),
    GalleryRoute("GET", "events/{event}/file", ("GET", "media"), None),
    GalleryRoute("GET", "events/{event}/thumbnail", ("GET", "media"), None),
    GalleryRoute("POST", "upload", ("POST", "media"), register),
    GalleryRoute("GET", "upload-url", ("POST", "media"), upload_url),
    GalleryRoute("GET", "stats", ("GET", "media"), stats),
    GalleryRoute("POST", "pull/{event}", ("POST", "commands-queue"), pull, ("POST", "media")),
    GalleryRoute("GET", "source", ("GET", "settings"), read_source),
    GalleryRoute("PUT", "source", ("PUT", "settings"), write_source),
    GalleryRoute("DELETE", "source", ("DELETE", "settings"), delete_source),
    GalleryRoute("POST", "scan", ("POST", "commands-queue"), scan, ("POST", "media")),
)
# fmt: on
_TABLE: dict[tuple[str, ...], dict[str, GalleryRoute]] = {}
for _route in GALLERY_ROUTES:
    _TABLE.setdefault(_route.key, {})[_route.method] = _route
