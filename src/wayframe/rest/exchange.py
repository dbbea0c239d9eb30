"""One request and its response, without any transport: HTTP and MQTT both speak these."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from wayframe.model import BadRequest, Json, MethodNotAllowed, Token, WayframeError

MAX_HEADER_ID = 2**53


class Request(Struct, frozen=True):
    """What a client asked."""

    method: str
    """Upper case."""
    segments: tuple[str, ...]
    """Decoded path segments, none empty (`expressions.split_path`)."""
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    """Decoded query variables."""
    body: bytes = b""
    """Whole body; its declared type is ignored (rest-api.md 1.3)."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers, names in lower case."""
    source: str = ""
    """Address of the peer."""
    token: Token | None = None
    """Set where the transport has authenticated already (MQTT); otherwise the Authorization header counts."""

    def json(self) -> Json:
        """The body as JSON; None if there is none. Raises BadRequest."""
        return decode(self.body, "body") if self.body.strip() else None

    def data(self) -> dict[str, Json]:
        """The `data` variable: one JSON object, or `data[name]=value` pairs (rest-api.md 1.4). Raises BadRequest."""
        text = self.query.get("data", "")
        found = decode(text.encode(), "data") if text.strip() else {}
        if not isinstance(found, dict):
            raise BadRequest("data must be one JSON object")
        pairs = {
            name[5:-1]: _scalar(value)
            for name, value in self.query.items()
            if name.startswith("data[") and name.endswith("]")
        }
        return {**found, **pairs}

    def account(self) -> int | None:
        """The account to act as, from x-flespi-cid or `cid`; None for the token's own. Raises BadRequest."""
        text = self.headers.get("x-flespi-cid") or self.query.get("cid") or ""
        if not text:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) <= 20 and int(text) < MAX_HEADER_ID):
            raise BadRequest(f"x-flespi-cid must be an account id, got {text[:50]!r}")
        return int(text)


class Response(Struct, frozen=True):
    """What it gets."""

    status: int
    """HTTP status."""
    body: bytes
    """JSON text."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further headers."""


class Page(Struct, frozen=True):
    """Which part of a collection (rest-api.md 2.4)."""

    limit: int | None = None
    """Items at most; None for all."""
    offset: int = 0
    """Items passed over."""

    def told(self, count: int) -> dict[str, int] | None:
        """What the answer says of the page, out of so many items; None where no limit was asked for."""
        return None if self.limit is None else {"limit": self.limit, "offset": self.offset, "count": count}


class Answer(Struct, frozen=True):
    """What a handler found."""

    result: list[Any]
    """Always an array."""
    errors: list[WayframeError] = field(default_factory=list[WayframeError])
    """Of a batch: what did not work; stands beside `result`."""
    pagination: Mapping[str, int] | None = None
    """limit, offset, count."""
    raw: Json = None
    """A whole body in place of the envelope."""


class WrongMethod(MethodNotAllowed):
    """The path has other methods only."""

    def __init__(self, method: str, allowed: list[str]) -> None:
        super().__init__(f"{method} is not defined for this path; allowed: {', '.join(allowed)}")
        self.allowed = allowed
        """Methods of the path."""


_encode = msgspec.json.Encoder().encode


def respond(answer: Answer) -> Response:
    """The envelope of rest-api.md 2.1. A batch of which nothing worked has the status of its first error."""
    if answer.raw is not None:
        return Response(200, _encode(answer.raw))
    body: dict[str, Any] = {"result": answer.result}
    if answer.errors:
        body["errors"] = [error.as_dict() for error in answer.errors]
    if answer.pagination is not None:
        body["pagination"] = answer.pagination
    failed = bool(answer.errors) and not answer.result
    return Response(answer.errors[0].status if failed else 200, _encode(body))


def refuse(error: WayframeError) -> Response:
    """The envelope of an error."""
    headers: dict[str, str] = {}
    if isinstance(error, WrongMethod):
        headers["Allow"] = ", ".join(error.allowed)
    if error.status == 401:
        headers["WWW-Authenticate"] = "FlespiToken"
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(retry_after_s))
    return Response(error.status, _encode({"errors": [error.as_dict()]}), headers)


def decode(text: bytes, what: str) -> Json:
    """JSON text as a value. Raises BadRequest that says where it breaks."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"{what} is not JSON: {error}") from None
    except RecursionError:
        raise BadRequest(f"{what} is nested too deep") from None


def _scalar(text: str) -> Json:
    """A value of the bracket style: numbers, true, false and null are meant as such, everything else is text."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    return text if isinstance(value, dict | list | str) else value
