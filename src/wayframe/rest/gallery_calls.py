"""One request to the gallery API, what a route of it is, and its own words for answers and errors (C7)."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from wayframe.model import BadRequest, Json, WayframeError
from wayframe.services import Caller, Entry, Services

from .exchange import Request, Response, WrongMethod

_CODES = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    408: "slow_body", 409: "conflict", 410: "gone", 411: "length_required", 413: "too_large", 415: "unsupported",
    416: "bad_range", 422: "no_source", 429: "too_many_requests", 503: "unavailable", 507: "store_full",
}  # fmt: skip


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


def first_line(handler: Callable[..., Any]) -> str:
    """What a handler does, in one line."""
    return (handler.__doc__ or "").partition("\n")[0]


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
    def summary(self) -> str:
        """What it does, as the first line of its handler says."""
        return "The bytes of an event." if self.handler is None else first_line(self.handler)

    @property
    def key(self) -> tuple[str, ...]:
        """The pattern, cut."""
        return tuple(self.path.split("/"))


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
    return respond({"success": False, "error": error.reason, "code": code_of(error)}, error.status, headers)


def code_of(error: WayframeError) -> str:
    """The word for an error that machines read: its own, or that of its status."""
    return str(getattr(error, "word", "")) or _CODES.get(error.status, "internal")
