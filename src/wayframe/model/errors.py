"""The one tree of errors that reach a person: an HTTP code, a sentence to act on, and what it is about."""

from __future__ import annotations


class WayframeError(Exception):
    """An error a caller is told about. `status` is its HTTP code, `code` the code in the `errors` envelope."""

    status = 500
    code = 500

    def __init__(self, reason: str, *, item_id: int | None = None, schema_hint: object = None) -> None:
        super().__init__(reason)
        self.reason = reason
        """What was wrong, where, and what would be right."""
        self.item_id = item_id
        """The item concerned, if there is one."""
        self.schema_hint = schema_hint
        """Valid field names, on a schema violation."""

    def as_dict(self) -> dict[str, object]:
        """The element of `errors` in the REST envelope (rest-api.md 2.1)."""
        shown: dict[str, object] = {"code": self.code, "reason": self.reason}
        if self.item_id is not None:
            shown["id"] = self.item_id
        if self.schema_hint is not None:
            shown["schema_hint"] = self.schema_hint
        return shown


class BadRequest(WayframeError):
    """Malformed JSON, schema violation, bad expression."""

    status = 400
    code = 2


class Unauthorized(WayframeError):
    """Missing, unknown or expired token."""

    status = code = 401


class TokenEnded(Unauthorized):
    """A token that was good: it is disabled, or its time is over."""


class Forbidden(WayframeError):
    """The token lacks the right."""

    status = code = 403


class Blocked(Forbidden):
    """The account is blocked."""


class NotFound(WayframeError):
    """No such item, or not visible to the caller."""

    status = code = 404


class MethodNotAllowed(WayframeError):
    """The path exists, the method on it does not."""

    status = code = 405


class Conflict(WayframeError):
    """A value that must be unique is taken."""

    status = code = 409


class TooLarge(WayframeError):
    """A body or file over its limit."""

    status = code = 413


class TooManyRequests(WayframeError):
    """A rate limit; `retry_after_s` says when to come back."""

    status = code = 429

    def __init__(self, reason: str, retry_after_s: float) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        """Seconds until the next request can succeed."""


class StorageFull(WayframeError):
    """The device's media store or the disk is full."""

    status = code = 507


class Unavailable(WayframeError):
    """Not possible now: shutting down, no worker, no database."""

    status = code = 503
