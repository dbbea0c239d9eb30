"""The HTTP door: one ASGI application that finds who answers a path, and what every answer carries."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

import msgspec
import structlog
from msgspec.structs import replace
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wayframe.expressions import SelectorError, split_path
from wayframe.model import BadRequest, Unauthorized, WayframeError
from wayframe.rest import GalleryApi, RestApi, WrongMethod, openapi, respond
from wayframe.rest import Request as PlainRequest

from .asgi import ClientDisconnect, JsonAnswer, Lingering, error_response, plain, read_body
from .gallery import ROOTS, GalleryDoor
from .media import MediaLinks
from .observing import Access, AccessHook, RequestMetrics, log_access, shortened
from .pages import PAGES, Pages
from .previews import HotPreviews, PreviewResponse
from .settings import DoorSettings
from .upload import receive_upload
from .visit import Visit

log = structlog.get_logger(__name__)

METHODS = "GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS"
_ALWAYS = (
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        b"Content-Range, Content-Length, Accept-Ranges, Content-Disposition, ETag, Retry-After, X-Request-Id, "
        b"X-Total-Count, Link",
    ),
    (b"x-content-type-options", b"nosniff"),
)
_PREFLIGHT = {
    "access-control-allow-methods": METHODS,
    "access-control-allow-headers": "Authorization, Content-Type, x-flespi-app, x-flespi-cid, x-flespi-trace, Range, "
    "If-Range, If-None-Match, X-Request-Id, X-API-Key, X-Checksum-SHA256, Content-Digest, Idempotency-Key",
    "access-control-max-age": "600",
}
_REQUEST_ID = re.compile(r"[\w.:-]{1,63}", re.ASCII)
_MAX_QUERY_FIELDS = 200
_GONE = 499

Ready = Callable[[], str]
"""Empty when requests can be served, else why not."""


def _always_ready() -> str:
    return ""


@dataclass(slots=True)
class _Exchange:
    """What is known of a request while it is answered."""

    request: Request
    headers: dict[str, str]
    """Names in lower case; of a header that comes twice the first."""
    request_id: str
    source: str
    started: float
    route: str = "unknown"
    status: int = 0
    sent: int = 0
    body_read: bool = False


class Application:
    """The ASGI application."""

    def __init__(
        self,
        api: RestApi,
        settings: DoorSettings,
        *,
        metrics: CollectorRegistry,
        ready: Ready = _always_ready,
        on_access: AccessHook = log_access,
        websocket: ASGIApp | None = None,
    ) -> None:
        self._api = api
        self._settings = settings
        self._media = MediaLinks(api, settings.send_stall_s)
        self._pages = Pages(settings.web_dir)
        gallery = GalleryApi(api, settings.public_url, url_tokens=settings.gallery_url_tokens)
        self._gallery = GalleryDoor(gallery, self._media, settings)
        self._registry = metrics
        self._metrics = RequestMetrics(metrics)
        self.hot = HotPreviews(api.services.media, self._metrics)
        """Answers that need none of what follows."""
        self._ready = ready
        self._on_access = on_access
        self._websocket = websocket
        self._description = openapi(settings.version, api.site.public_url)
        self._own: Mapping[str, Callable[[_Exchange, PlainRequest], Awaitable[ASGIApp]]] = {
            "media": self._media_link,
            **dict.fromkeys(PAGES, self._page),
            **dict.fromkeys(ROOTS, self._gallery_path),
            "assets": self._asset,
            "openapi.json": self._openapi,
            "healthz": self._healthz,
            "readyz": self._readyz,
            "metrics": self._metrics_text,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket" and self._websocket is not None:
            await self._websocket(scope, receive, send)

    # --- one request --------------------------------------------------------------------------------------------

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        given_id = headers.get("x-request-id", "")
        exchange = _Exchange(
            request=Request(scope, receive),
            headers=headers,
            request_id=given_id if _REQUEST_ID.fullmatch(given_id) else secrets.token_hex(16),
            source=scope["client"][0] if scope["client"] else "",
            started=time.monotonic(),
        )
        headers["x-request-id"] = exchange.request_id

        async def decorated(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                said = (*_ALWAYS, (b"x-request-id", exchange.request_id.encode()))
                message["headers"] = [*message.get("headers", ()), *said]
            else:
                exchange.sent += len(message.get("body", b""))
            await send(message)

        try:
            response = await self._response(exchange)
            if isinstance(response, PreviewResponse):
                send = self.hot.keeping(response, scope, send)
            await response(scope, receive, decorated)
        except ClientDisconnect:
            exchange.status = exchange.status or _GONE
        except TimeoutError:
            log.info("client_stalled", request_id=exchange.request_id)
        finally:
            self._told(exchange, scope)

    def _told(self, exchange: _Exchange, scope: Scope) -> None:
        access = Access(
            method=scope["method"],
            path=shortened(scope["path"]),
            route=exchange.route,
            status=exchange.status or _GONE,
            duration_s=time.monotonic() - exchange.started,
            sent=exchange.sent,
            source=exchange.source,
            request_id=exchange.request_id,
            trace=shortened(exchange.headers.get("x-flespi-trace", ""))[:31],
        )
        self._metrics.count(access)
        self._on_access(access)

    async def _response(self, exchange: _Exchange) -> ASGIApp:
        """Whoever answers; errors become envelopes. Raises ClientDisconnect."""
        request = exchange.request
        if request.method == "OPTIONS":
            exchange.route = "preflight"
            return Response(status_code=204, headers=_PREFLIGHT)
        try:
            segments = tuple(split_path(request.scope["raw_path"]))
            asked = PlainRequest(
                method=request.method,
                segments=segments,
                query=_query(request.scope["query_string"]),
                headers=exchange.headers,
                source=exchange.source,
            )
            own = self._own.get(segments[0]) if segments else None
            if own is not None:
                exchange.route = f"/{segments[0]}"
                return await own(exchange, asked)
            if not segments:
                exchange.route = "/"
                return RedirectResponse("docs", 302)
            return await self._rest(exchange, asked)
        except SelectorError as error:
            return self._refused(exchange, BadRequest(f"the path: {error}"))
        except WayframeError as error:
            return self._refused(exchange, error)
        except ClientDisconnect:
            raise
        except Exception:
            path = (shortened(request.scope["path"]),)
            return self._refused(
                exchange, self._api.failure(PlainRequest(request.method, path, headers=exchange.headers))
            )

    def _refused(self, exchange: _Exchange, error: WayframeError) -> ASGIApp:
        response = error_response(error)
        return response if exchange.body_read or not _has_body(exchange.headers) else Lingering(response)

    # --- the API ------------------------------------------------------------------------------------------------

    async def _rest(self, exchange: _Exchange, asked: PlainRequest) -> ASGIApp:
        match = self._api.table.find(asked.method, asked.segments)
        exchange.route = match.route.path
        request, limits = exchange.request, self._settings
        if match.route.upload and _is_form(exchange.headers):
            call = self._api.open(match, asked)
            response = plain(respond(await receive_upload(request, call, limits)))
            exchange.body_read = True
            return response
        if _has_body(exchange.headers):
            if not match.route.open:
                # Nobody without a valid token makes us read a body.
                self._api.services.directory.authenticate(asked.headers.get("authorization", ""), asked.source)
            body = await read_body(request, limits.max_body_bytes, limits.body_idle_s, limits.body_total_s)
            asked = replace(asked, body=body)
        exchange.body_read = True
        return JsonAnswer(await self._api.answer(match, asked))

    # --- our own paths ------------------------------------------------------------------------------------------

    async def _media_link(self, exchange: _Exchange, asked: PlainRequest) -> ASGIApp:
        exchange.route = "/media/{uuid}" if len(asked.segments) < 3 else "/media/{uuid}/{piece}"
        return await self._media.answer(exchange.request, asked)

    async def _gallery_path(self, exchange: _Exchange, asked: PlainRequest) -> ASGIApp:
        visit = Visit(exchange.request, asked)
        try:
            return await self._gallery.answer(visit)
        finally:
            exchange.route, exchange.body_read = visit.route, visit.body_read

    async def _page(self, exchange: _Exchange, asked: PlainRequest) -> ASGIApp:
        _only_get(asked)
        return self._pages.page(asked.segments[0])

    async def _asset(self, exchange: _Exchange, asked: PlainRequest) -> ASGIApp:
        _only_get(asked)
        return self._pages.asset(asked.segments[1:])

    async def _openapi(self, exchange: _Exchange, asked: PlainRequest) -> ASGIApp:
        _only_get(asked)
        return _json(self._description)

    async def _healthz(self, exchange: _Exchange, asked: PlainRequest) -> ASGIApp:
        """The process answers."""
        _only_get(asked)
        return _json({"status": "ok"})

    async def _readyz(self, exchange: _Exchange, asked: PlainRequest) -> ASGIApp:
        """Requests can be served; 503 says why not."""
        _only_get(asked)
        reason = self._ready()
        return _json({"status": "unavailable", "reason": reason}, 503) if reason else _json({"status": "ok"})

    async def _metrics_text(self, exchange: _Exchange, asked: PlainRequest) -> ASGIApp:
        _only_get(asked)
        wanted = self._settings.metrics_token
        given = asked.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if wanted and not hmac.compare_digest(given.encode(), wanted.encode()):
            raise Unauthorized("/metrics asks for its own token: Authorization: Bearer TOKEN")
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


def build_app(
    api: RestApi,
    settings: DoorSettings,
    *,
    metrics: CollectorRegistry,
    ready: Ready = _always_ready,
    on_access: AccessHook = log_access,
    websocket: ASGIApp | None = None,
) -> Application:
    """The ASGI application over the API and its services.

    Args:
        metrics: registry that /metrics shows; the door adds its own counters to it.
        ready: what /readyz asks.
        on_access: told of every answered request.
        websocket: answers WebSockets on any path; None: there are none.
    """
    return Application(api, settings, metrics=metrics, ready=ready, on_access=on_access, websocket=websocket)


def _query(text: bytes) -> dict[str, str]:
    """Decoded query variables. Raises BadRequest."""
    if not text:
        return {}
    try:
        pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError:
        raise BadRequest(f"the query has more than {_MAX_QUERY_FIELDS} variables") from None
    return dict(pairs)


def _has_body(headers: Mapping[str, str]) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _is_form(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").lower().startswith("multipart/form-data")


def _only_get(asked: PlainRequest) -> None:
    if asked.method not in ("GET", "HEAD"):
        raise WrongMethod(asked.method, ["GET", "HEAD"])


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
