"""The API without a transport: find the route, authenticate, call the handler, wrap the outcome."""

from __future__ import annotations

import structlog

from wayframe.model import Clock, WayframeError
from wayframe.services import Caller, RateLimiter, Services

from .context import Call, Site
from .exchange import Request, Response, refuse, respond
from .routes import Match, RouteTable

log = structlog.get_logger(__name__)


class RestApi:
    """Answers requests."""

    def __init__(
        self,
        services: Services,
        site: Site,
        clock: Clock,
        *,
        limiter: RateLimiter | None = None,
        table: RouteTable | None = None,
    ) -> None:
        self.services = services
        """What handlers call."""
        self.site = site
        """Where this server stands."""
        self.table = table or RouteTable()
        """Every route."""
        self._clock = clock
        self._limiter = limiter or RateLimiter(0, 1)

    async def handle(self, request: Request) -> Response:
        """The response to a request. Never raises, except on cancellation."""
        try:
            match = self.table.find(request.method, request.segments)
        except WayframeError as error:
            return refuse(error)
        return await self.answer(match, request)

    async def answer(self, match: Match, request: Request) -> Response:
        """The same where the route is known."""
        call: Call | None = None
        try:
            call = self.open(match, request)
            response = respond(await match.route.handler(call))
        except WayframeError as error:
            response = refuse(error)
        except Exception:
            response = refuse(self.failure(request))
        if call is not None and not match.route.open:
            self.count_traffic(call.caller, request, response)
        return response

    def count_traffic(self, caller: Caller, request: Request, response: Response) -> None:
        """Count the bytes of a call, where its account has limits (`api_traffic`)."""
        meter = self.services.directory.meter
        if not meter.idle:
            meter.count("api_traffic", caller.token.cid, len(request.body) + len(response.body))

    def open(self, match: Match, request: Request) -> Call:
        """Authenticate a request. Raises Unauthorized, Forbidden, TooManyRequests, BadRequest."""
        caller = None if match.route.open else self.authenticate(request)
        return Call(match.route, request, match.params, self.services, self.site, caller)

    def authenticate(self, request: Request) -> Caller:
        """Who asks. Raises as `open`."""
        directory = self.services.directory
        headers = request.headers
        token = request.token or directory.authenticate(headers.get("authorization", ""), request.source)
        now = self._clock.monotonic()
        self._limiter.take(token.id, now)
        if not directory.meter.idle:
            directory.meter.check("api_traffic", token.cid)
            directory.meter.check("api_calls", token.cid)
            directory.meter.count("api_calls", token.cid, 1)
        return directory.caller(
            token,
            cid=request.account(),
            app=headers.get("x-flespi-app", ""),
            trace=headers.get("x-flespi-trace") or headers.get("x-request-id", ""),
            source=request.source,
        )

    def failure(self, request: Request) -> WayframeError:
        """An error of ours, from inside an except block: logged whole, told without its insides."""
        log.exception("request_failed", method=request.method, path="/".join(request.segments)[:500])
        request_id = request.headers.get("x-request-id", "")
        return WayframeError(
            f"internal error; the server's log knows more{f' (request {request_id})' * bool(request_id)}"
        )
