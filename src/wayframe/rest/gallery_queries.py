"""Query variables of the gallery API, checked: a refusal names the variable and its rule (gallery-api.md C7, C13)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from wayframe.model import BadRequest
from wayframe.model.gallery import SORTS, EventQuery
from wayframe.services import gallery_shapes as shapes

MAX_LIMIT = 1000
MAX_SEARCH = 255
"""Characters of `q`: no name is longer."""
STATES = (*sorted(shapes.STATES), "viewed", "flagged")
"""Values of `state`: ours and upstream's. `viewed` means by the caller."""
ORDERS = tuple(f"{sign}{name}" for name in SORTS for sign in ("", "-"))
"""Values of `sort`."""

Query = Mapping[str, str]


def event_query(query: Query, viewer: str) -> EventQuery:
    """Which events a list is asked for; `viewer` is the caller. Raises BadRequest."""
    state = one_of(query, "state", STATES)
    flagged = switch(query, "flagged")
    if state == "flagged":
        if flagged is False:
            raise BadRequest("flagged=false and state=flagged exclude each other")
        flagged = True
    from_, to = moment(query, "from"), moment(query, "to")
    if from_ is not None and to is not None and from_ > to:
        raise BadRequest("from must not be later than to")
    return EventQuery(
        limit=whole(query, "limit", 50, 1, MAX_LIMIT),
        offset=whole(query, "offset", 0, 0, 2**53),
        media_type=shapes.media_type(query.get("media_type")),
        states=shapes.STATES.get(state),
        flagged=flagged,
        viewer=viewer if state == "viewed" else "",
        from_=from_,
        to=to,
        q=_search(query),
        sort=one_of(query, "sort", ORDERS) or "-created",
    )


def _search(query: Query) -> str:
    text = query.get("q", "").strip()
    if len(text) > MAX_SEARCH or "\0" in text:
        raise BadRequest(f"q must have at most {MAX_SEARCH} characters, and no NUL")
    return text


def one_of(query: Query, name: str, known: tuple[str, ...]) -> str:
    """A word of a closed set; empty where it is not given. Raises BadRequest."""
    text = query.get(name, "").strip()
    if text and text not in known:
        raise BadRequest(f"{name} must be one of {', '.join(known)}; got {text[:50]!r}")
    return text


def whole(query: Query, name: str, default: int, least: int, most: int) -> int:
    """A whole number. Raises BadRequest."""
    text = query.get(name, "").strip()
    if not text:
        return default
    value = int(text) if text.isascii() and text.isdecimal() and len(text) < 17 else -1
    if not least <= value <= most:
        raise BadRequest(f"{name} must be a whole number from {least} to {most}, got {text[:50]!r}")
    return value


def decimal(query: Query, name: str, default: float, most: float) -> float:
    """A number from 0 on. Raises BadRequest."""
    text = query.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise BadRequest(f"{name} must be a number from 0 to {most:g}, got {text[:50]!r}")
    return value


def switch(query: Query, name: str) -> bool | None:
    """`true` or `false`, if given. Raises BadRequest."""
    text = query.get(name, "").strip().lower()
    if not text:
        return None
    if text not in ("true", "false", "1", "0"):
        raise BadRequest(f"{name} must be true or false, got {text[:50]!r}")
    return text in ("true", "1")


def moment(query: Query, name: str) -> float | None:
    """A time in ISO 8601 or Unix seconds, if given. Raises BadRequest."""
    text = query.get(name, "").strip()
    if not text:
        return None
    try:
        return shapes.moment(float(text), name)
    except ValueError:
        return shapes.moment(text, name)
