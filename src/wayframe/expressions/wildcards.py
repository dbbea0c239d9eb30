"""Wildcard patterns: `*` is any run of characters, `?` exactly one, always over the whole text (section 7).

Matching cost is bounded: patterns without `?` use the string methods; the others become a regular expression of atomic
groups, which never goes back over a `*` once its next part was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import Enum
from functools import lru_cache

from .errors import ErrorKind, EvaluationError
from .limits import MAX_MATCH_WORK


class Wild(Enum):
    """The two wildcards, as they stand between the literal pieces of a pattern."""

    ANY = "*"
    """Any run of characters, also none."""
    ONE = "?"
    """Exactly one character."""


Pattern = tuple["str | Wild", ...]
"""Literal pieces and wildcards in order."""

Matcher = Callable[[str], bool]
"""Tells whether a text matches a pattern."""

_WILDCARD = re.compile(r"([*?])")
_CACHED_PATTERN = 1024  # longer patterns are compiled anew, so that the cache stays small


def parse_pattern(text: str) -> Pattern:
    """Read every `*` and `?` of a text as a wildcard; there are no escapes."""
    pieces = _WILDCARD.split(text)
    return tuple(Wild(piece) if at % 2 else piece for at, piece in enumerate(pieces) if piece)


def has_wildcard(pattern: Pattern) -> bool:
    """Whether a pattern holds anything but literal text."""
    return any(isinstance(piece, Wild) for piece in pattern)


def text_matcher(text: str) -> Matcher:
    """The matcher of a pattern that came as data; the most recent short ones are kept."""
    return _cached_matcher(text) if len(text) <= _CACHED_PATTERN else compile_pattern(parse_pattern(text))


@lru_cache(maxsize=256)
def _cached_matcher(text: str) -> Matcher:
    return compile_pattern(parse_pattern(text))


def compile_pattern(pattern: Pattern) -> Matcher:
    """Choose the cheapest matcher that decides the pattern."""
    if Wild.ONE in pattern:
        return _regex(pattern)
    segments = ["".join(segment) for segment in _segments(pattern)]
    if len(segments) == 1:
        return _exact(segments[0])
    first, *middle, last = segments
    middle = [segment for segment in middle if segment]
    if middle:
        return _contains(middle[0]) if len(middle) == 1 and not first and not last else _in_order(first, middle, last)
    return _ends(first, last)


def _segments(pattern: Pattern) -> list[list[str]]:
    """Split a pattern without `?` at its stars."""
    segments: list[list[str]] = [[]]
    for piece in pattern:
        if piece is Wild.ANY:
            segments.append([])
        elif isinstance(piece, str):
            segments[-1].append(piece)
    return segments


def _exact(wanted: str) -> Matcher:
    return lambda text: text == wanted


def _contains(wanted: str) -> Matcher:
    return lambda text: wanted in text


def _ends(first: str, last: str) -> Matcher:
    if not last:
        return (lambda text: text.startswith(first)) if first else (lambda text: True)
    if not first:
        return lambda text: text.endswith(last)
    shortest = len(first) + len(last)
    return lambda text: len(text) >= shortest and text.startswith(first) and text.endswith(last)


def _in_order(first: str, middle: Sequence[str], last: str) -> Matcher:
    def match(text: str) -> bool:
        end = len(text) - len(last)
        at = len(first)
        if end < at or not text.startswith(first) or not text.endswith(last):
            return False
        for segment in middle:
            found = text.find(segment, at, end)
            if found < 0:
                return False
            at = found + len(segment)
        return True

    return match


def _regex(pattern: Pattern) -> Matcher:
    segments = [""]
    lengths = [0]
    for piece in pattern:
        if piece is Wild.ANY:
            segments.append("")
            lengths.append(0)
        elif piece is Wild.ONE:
            segments[-1] += "."
            lengths[-1] += 1
        else:
            segments[-1] += re.escape(str(piece))
            lengths[-1] += len(str(piece))
    source = segments[0]
    if len(segments) > 1:
        source += "".join(f"(?>.*?{segment})" for segment in segments[1:-1] if segment) + ".*" + segments[-1]
    compiled = re.compile(source, re.DOTALL)
    if len(segments) == 1:
        return lambda text: compiled.fullmatch(text) is not None
    longest = MAX_MATCH_WORK // max(1, *lengths)

    def match(text: str) -> bool:
        if len(text) > longest:
            raise EvaluationError(ErrorKind.LIMIT, "the text is too long for this wildcard pattern")
        return compiled.fullmatch(text) is not None

    return match
