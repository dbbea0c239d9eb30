"""Ranges and conditions of HTTP, for one file (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,30})\s*-\s*(\d{0,30})\s*", re.IGNORECASE)


class Unsatisfiable(ValueError):
    """The range lies outside the file: 416."""


def byte_range(text: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last, of a Range header; None: send everything.

    Several ranges, and what is no byte range, are answered with the whole file, which RFC 9110 14.2 allows. Raises
    Unsatisfiable.
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        return None
    first, last = found[1], found[2]
    if not first and not last:
        return None
    if not first:
        wanted = int(last)
        if not wanted or not size:
            raise Unsatisfiable
        return max(0, size - wanted), size
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return start, min(int(last) + 1, size) if last else size


def not_modified(headers: Mapping[str, str], etag: str, modified: float) -> bool:
    """Whether the client's copy is good: If-None-Match, or without it If-Modified-Since."""
    named = headers.get("if-none-match")
    if named is not None:
        tags = [tag.strip().removeprefix("W/") for tag in named.split(",")]
        return etag in tags or "*" in tags
    since = _seconds(headers.get("if-modified-since", ""))
    return since is not None and int(modified) <= since


def range_holds(headers: Mapping[str, str], etag: str, modified: float) -> bool:
    """Whether a Range may be served: no If-Range, or one that names this very version."""
    named = headers.get("if-range")
    if named is None:
        return True
    if named.strip().startswith('"'):
        return named.strip() == etag
    since = _seconds(named)
    return since is not None and int(modified) == since


def _seconds(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None
