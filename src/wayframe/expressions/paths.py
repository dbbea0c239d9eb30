"""From the undecoded request path to its decoded segments (reference selectors.md, section 4).

A raw slash separates segments except inside the braces of an expression. The scanner below follows just enough of a
selector to know where braces count; it looks at decoded bytes, and remembers which slashes were written raw.

    START ──{──▶ BRACES ──}──▶ PLAIN        any state ──,──▶ START       (not from BRACES, QUOTED)
      └──text──▶ PLAIN ──=──▶ VALUE ──"──▶ QUOTED ──"──▶ PLAIN
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto

from .errors import SelectorError
from .escapes import percent_decode, to_bytes

_UNIT = re.compile(rb"%[0-9a-fA-F]{2}|.", re.DOTALL)


class _State(Enum):
    START = auto()  # at the beginning of an element
    PLAIN = auto()  # in an element, where only a comma means something
    FIELD = auto()  # in an element before its equals sign
    VALUE = auto()  # right after the equals sign, where a quote opens a quoted value
    QUOTED = auto()  # in a quoted value
    BRACES = auto()  # in an expression


def split_path(raw_path: bytes | str) -> list[str]:
    """The decoded segments of an undecoded path; the query and empty segments are left out.

    Raises SelectorError for a brace that is not closed, or bytes that are not UTF-8 after decoding.
    """
    raw = to_bytes(raw_path).partition(b"?")[0]
    if b"{" in raw or b"%7b" in raw.lower():
        pieces: Iterator[bytes] = _split(raw)
    else:
        pieces = iter(raw.split(b"/"))
    return [percent_decode(piece) for piece in pieces if piece]


def _split(raw: bytes) -> Iterator[bytes]:
    scanner = _Scanner()
    begin = 0
    for found in _UNIT.finditer(raw):
        unit = found[0]
        if unit == b"/" and scanner.state is not _State.BRACES:
            yield raw[begin : found.start()]
            begin = found.end()
            scanner = _Scanner()
        else:
            scanner.take(chr(int(unit[1:], 16)) if len(unit) == 3 else chr(unit[0]))
    if scanner.state is _State.BRACES:
        raise SelectorError("a brace is not closed")
    yield raw[begin:]


class _Scanner:
    """Where in a selector the last character left us."""

    def __init__(self) -> None:
        self.state = _State.START
        self._depth = 0
        self._quote = ""
        self._escaped = False
        self._equals = 0

    def take(self, sign: str) -> None:
        if self.state is _State.BRACES:
            self._in_braces(sign)
        elif self.state is _State.QUOTED:
            if self._closes(sign):
                self.state = _State.PLAIN
        elif sign == ",":
            self.state = _State.START
        elif self.state is _State.VALUE:
            self._in_value(sign)
        elif self.state is not _State.PLAIN:
            self._before_value(sign)

    def _before_value(self, sign: str) -> None:
        if sign == "{" and self.state is _State.START:
            self.state = _State.BRACES
            self._depth = 1
        elif sign == "=":
            self.state = _State.VALUE
            self._equals = 1
        elif not sign.isspace():
            self.state = _State.FIELD

    def _in_value(self, sign: str) -> None:
        if sign in "\"'":
            self.state = _State.QUOTED
            self._quote = sign
        elif sign.isspace() or (sign == "=" and self._equals == 1):
            self._equals = 2
        else:
            self.state = _State.PLAIN

    def _in_braces(self, sign: str) -> None:
        if self._quote:
            self._closes(sign)
        elif sign in "\"'":
            self._quote = sign
        elif sign == "{":
            self._depth += 1
        elif sign == "}":
            self._depth -= 1
            if not self._depth:
                self.state = _State.PLAIN

    def _closes(self, sign: str) -> bool:
        """Take a character inside quotes; true when it closes them."""
        if self._escaped:
            self._escaped = False
        elif sign == "\\":
            self._escaped = True
        elif sign == self._quote:
            self._quote = ""
            return True
        return False
