"""What is told about requests: metrics by route, one log line each, and neither ever holds a token or a whole uuid."""

from __future__ import annotations

import re
from collections.abc import Callable

import structlog
from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Histogram

log = structlog.get_logger("wayframe.http")

_SECRET_LENGTH = 64
_SECRET = re.compile(rf"[0-9A-Za-z]{{{_SECRET_LENGTH}}}")
_UPLOAD_LINK = re.compile(r"(/upload/.{8}).+", re.DOTALL)
_MOST_COUNTERS = 2000
_QUIET = ("/healthz", "/readyz", "/metrics")


class Access(Struct, frozen=True):
    """One answered request."""

    method: str
    """HTTP method."""
    path: str
    """Path without query; keys and uuids shortened."""
    route: str
    """Pattern of the route."""
    status: int
    """HTTP status; 499 where the client went before the answer."""
    duration_s: float
    """From first byte to last."""
    sent: int
    """Body bytes."""
    source: str
    """Address of the peer."""
    request_id: str
    """As in X-Request-Id."""
    trace: str = ""
    """As in x-flespi-trace."""


AccessHook = Callable[[Access], None]


def log_access(access: Access) -> None:
    """The default hook: one line a request."""
    write = log.debug if access.path in _QUIET else log.info
    write(
        "request",
        method=access.method,
        path=access.path,
        status=access.status,
        ms=round(access.duration_s * 1000, 1),
        bytes=access.sent,
        source=access.source,
        request_id=access.request_id,
        **({"trace": access.trace} if access.trace else {}),
    )


def shortened(path: str) -> str:
    """A path that can be logged: 64-character words and upload links are capabilities, and only their beginning is
    kept."""
    if "/upload/" in path:
        path = _UPLOAD_LINK.sub(r"\1…", path)
    if len(path) >= _SECRET_LENGTH:
        path = _SECRET.sub(lambda found: f"{found[0][:8]}…", path)
    return path[:500]


class RequestMetrics:
    """Counts and times by route."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "wayframe_http_requests", "HTTP requests answered", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "wayframe_http_request_seconds", "Time to answer an HTTP request", ("route",), registry=registry
        )
        self._sent = Counter("wayframe_http_sent_bytes", "Body bytes sent", ("route",), registry=registry)
        self._known: dict[tuple[str, str, int], Callable[[float, int], None]] = {}

    def count(self, access: Access) -> None:
        """Take one request in."""
        kind = (access.method, access.route, access.status)
        count = self._known.get(kind)
        if count is None:
            count = self.counter(access.method, access.route, str(access.status))
            if len(self._known) < _MOST_COUNTERS:
                self._known[kind] = count
        count(access.duration_s, access.sent)

    def counter(self, method: str, route: str, status: str) -> Callable[[float, int], None]:
        """Takes in one request of this kind after the other: seconds and body bytes."""
        requests = self._requests.labels(method, route, status)
        seconds = self._seconds.labels(route)
        sent_bytes = self._sent.labels(route)

        def count(duration_s: float, sent: int) -> None:
            requests.inc()
            seconds.observe(duration_s)
            sent_bytes.inc(sent)

        return count
