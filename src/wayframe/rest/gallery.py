"""The gallery API without a transport (gallery-api.md): find what is asked, authenticate, answer in its own words.

Its wire format is not flespi's: plain objects and arrays, and errors as `{"success": false, "error", "code"}` with a
real status. Bodies of bytes (uploads, files) are the HTTP door's, which asks here who may.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from wayframe.model import BadRequest, Json, NotFound, Unauthorized
from wayframe.services import Caller
from wayframe.services import gallery_shapes as shapes

from . import gallery_handlers as handlers
from .api import RestApi
from .exchange import Request, Response, WrongMethod
from .gallery_calls import GalleryCall, GalleryRoute, respond
from .gallery_hooks import HooksCall, find_hooks

# fmt: off
GALLERY_ROUTES: tuple[GalleryRoute, ...] = (
    GalleryRoute("GET", "paths", ("GET", "media"), handlers.paths),
    GalleryRoute("GET", "events", ("GET", "media"), handlers.events),
    GalleryRoute("POST", "events/batch", ("GET", "media"), handlers.batch),
    GalleryRoute("GET", "events/{event}", ("GET", "media"), handlers.event),
    GalleryRoute("PATCH", "events/{event}", ("PUT", "media"), handlers.change),
    GalleryRoute("DELETE", "events/{event}", ("DELETE", "media"), handlers.delete),
    GalleryRoute("GET", "events/{event}/file", ("GET", "media"), None),
    GalleryRoute("GET", "events/{event}/thumbnail", ("GET", "media"), None),
    GalleryRoute("POST", "upload", ("POST", "media"), handlers.register),
    GalleryRoute("GET", "upload-url", ("POST", "media"), handlers.upload_url),
    GalleryRoute("GET", "stats", ("GET", "media"), handlers.stats),
    GalleryRoute("POST", "pull/{event}", ("POST", "commands-queue"), handlers.pull, ("POST", "media")),
    GalleryRoute("GET", "source", ("GET", "settings"), handlers.read_source),
    GalleryRoute("PUT", "source", ("PUT", "settings"), handlers.write_source),
    GalleryRoute("DELETE", "source", ("DELETE", "settings"), handlers.delete_source),
    GalleryRoute("POST", "scan", ("POST", "commands-queue"), handlers.scan, ("POST", "media")),
    GalleryRoute("POST", "start", ("POST", "commands-queue"), handlers.start, ("POST", "media")),
    GalleryRoute("POST", "stop", ("POST", "media"), handlers.stop),
    GalleryRoute("GET", "status", ("GET", "media"), handlers.status),
)
# fmt: on
_TABLE: dict[tuple[str, ...], dict[str, GalleryRoute]] = {}
for _route in GALLERY_ROUTES:
    _TABLE.setdefault(_route.key, {})[_route.method] = _route


@dataclass(frozen=True, slots=True)
class GalleryMatch:
    """A route with the device and event of the path."""

    route: GalleryRoute
    device: str
    event: str


class GalleryApi:
    """Answers requests below `/api/gallery` and `/api/auth`."""

    def __init__(self, rest: RestApi, public_url: str, *, url_tokens: bool = False) -> None:
        """`public_url`: base of links, if one is configured; otherwise the address of the request is. `url_tokens`:
        whether a GET of bytes may carry its token as `?token=`."""
        self.rest = rest
        """What authenticates platform tokens, and knows the services."""
        self.services = rest.services
        self._public_url = public_url
        self._url_tokens = url_tokens

    # --- finding ------------------------------------------------------------------------------------------------

    def find(self, method: str, rest: tuple[str, ...]) -> GalleryMatch:
        """The route of what follows `/api/gallery`; HEAD is answered by GET. Raises NotFound, WrongMethod."""
        if len(rest) < 2:
            raise NotFound("there is only /api/gallery/{device}/…")
        device, path = rest[0], rest[1:]
        # A path as it is written comes before one that names an event.
        ways = [(path, ""), ((path[0], "{event}", *path[2:]), path[1])] if len(path) > 1 else [(path, "")]
        known = [(_TABLE[key], event) for key, event in ways if key in _TABLE]
        for methods, event in known:
            if (route := methods.get("GET" if method == "HEAD" else method)) is not None:
                return GalleryMatch(route, device, event)
        if known:
            raise WrongMethod(method, sorted({name for methods, _ in known for name in methods}))
        raise NotFound(f"there is no /api/gallery/{'/'.join(rest)[:200]}")

    async def open(self, match: GalleryMatch, request: Request, scheme_host: str) -> GalleryCall:
        """Authenticate, and find the device. Raises Unauthorized, Forbidden, NotFound, TooManyRequests."""
        word = request.query.get("token", "") if self._url_tokens and match.route.handler is None else ""
        if word and "authorization" not in request.headers:
            request = replace(request, headers={**request.headers, "authorization": f"Bearer {word}"})
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
        response = await match.route.handler(call)
        self.rest.count_traffic(call.caller, call.request, response)
        return response

    async def hooks(self, request: Request, rest: tuple[str, ...]) -> Response:
        """What follows `/api/hooks`. Raises WayframeError."""
        route, word = find_hooks(request.method, rest)
        return await route.handler(HooksCall(request, self.services.gallery.hooks, self.authenticate(request), word))

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
