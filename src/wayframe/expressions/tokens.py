"""From text to tokens (reference, section 3)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum

from .errors import ErrorKind, RefusedError
from .limits import MAX_INTEGER, MAX_NAME_PARTS, MAX_TEXT, MAX_TOKENS
from .wildcards import Pattern, Wild, has_wildcard


class Sort(Enum):
    """What a token is; operators carry their own spelling as value."""

    NUMBER = "number"
    """A number literal; the value is an int or float."""
    STRING = "string"
    """A string literal; the value is a `StringLiteral`."""
    NAME = "name"
    """A dotted name."""
    OPTIONAL = "$name"
    """A dotted name after `$`; the value is without the sign."""
    PREVIOUS = "#name"
    """A dotted name after `#`; the value is without the sign."""
    OPERATOR = "operator"
    """An operator or a piece of punctuation."""
    END = "end"
    """The end of the text."""


@dataclass(frozen=True, slots=True)
class StringLiteral:
    """A string as written in an expression or selector."""

    text: str
    """The characters, escapes resolved."""
    pattern: Pattern | None
    """The wildcard pattern, or None when no unescaped `*` or `?` occurs."""


TokenValue = str | int | float | StringLiteral
Token = tuple[Sort, TokenValue, int]
"""Sort, value and 1-based column."""

_TOKEN = re.compile(
    r"""\s*+(?:
    (?P<name>[$\#]?[^\W\d]\w*+(?:\.\w++)*+)
  | (?P<number>0[xX][0-9a-fA-F]++ | (?:[0-9]++(?:\.[0-9]++)? | \.[0-9]++)(?:[eE][+-]?[0-9]++)?)
  | (?P<operator><<|>>|<=|>=|==|!=|&&|\|\||[-+*/%<>=!~&^|?:(),\[\]])
  | (?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+" | '[^'\\]*+(?:\\.[^'\\]*+)*+')
  | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_SIGNS = {"$": Sort.OPTIONAL, "#": Sort.PREVIOUS}
_ESCAPE = re.compile(
    r"(?P<wild>[*?])|\\(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|u(?P<code>[0-9a-fA-F]{4})|(?P<other>.?))",
    re.DOTALL,
)
_ESCAPED = {"\\": "\\", '"': '"', "'": "'", "/": "/", "n": "\n", "t": "\t", "r": "\r", "*": "*", "?": "?"}
NAME = re.compile(r"[^\W\d]\w*+(?:\.\w++)*+")
"""A dotted name, as it may also stand before `=` in a selector."""
QUOTED = re.compile(r""""[^"\\]*+(?:\\.[^"\\]*+)*+"|'[^'\\]*+(?:\\.[^'\\]*+)*+'""", re.DOTALL)
"""A quoted string including its quotes."""


def tokenize(text: str) -> list[Token]:
    """Split an expression into tokens, the last of which is END.

    Raises RefusedError: `limit` for more than 4,096 characters or 1,000 tokens, `parse` for anything that is no token.
    """
    if len(text) > MAX_TEXT:
        raise RefusedError(ErrorKind.LIMIT, f"an expression may have {MAX_TEXT} characters, got {len(text)}")
    tokens: list[Token] = []
    position = 0
    while True:
        found = _TOKEN.match(text, position)
        if found is None:
            raise _no_token(text, position)
        sort = found.lastgroup or ""
        spelling = found[sort]
        column = found.start(sort) + 1
        position = found.end()
        if sort == "operator":
            tokens.append((Sort.OPERATOR, spelling, column))
        elif sort == "name":
            check_name(spelling, column)
            sign = _SIGNS.get(spelling[0])
            tokens.append((sign, spelling[1:], column) if sign else (Sort.NAME, spelling, column))
        elif sort == "number":
            tokens.append((Sort.NUMBER, _number(spelling, text[position : position + 1], column), column))
        elif sort == "string":
            tokens.append((Sort.STRING, read_string(spelling, column), column))
        else:
            tokens.append((Sort.END, "", column))
            return tokens
        if len(tokens) > MAX_TOKENS:
            raise RefusedError(ErrorKind.LIMIT, f"an expression may have {MAX_TOKENS} tokens", column)


def check_name(name: str, column: int) -> None:
    """Raise RefusedError `limit` for a name of more than 64 parts."""
    if name.count(".") >= MAX_NAME_PARTS:
        raise RefusedError(ErrorKind.LIMIT, f"a name may have {MAX_NAME_PARTS} parts", column)


def _no_token(text: str, position: int) -> RefusedError:
    rest = text[position:].lstrip()
    column = len(text) - len(rest) + 1
    if rest[0] in "\"'":
        return RefusedError(ErrorKind.PARSE, "the string is not closed", column)
    if rest[0] in _SIGNS:
        return RefusedError(ErrorKind.PARSE, f"a name must follow {rest[0]}", column)
    return RefusedError(ErrorKind.PARSE, f"unexpected character {rest[0]!r}", column)


def _number(spelling: str, following: str, column: int) -> int | float:
    if following.isalnum() or following == "_":
        raise RefusedError(ErrorKind.PARSE, f"a number may not run into {following!r}", column)
    value: int | float
    if spelling.isdecimal():
        value = int(spelling)
    elif spelling[:2] in ("0x", "0X"):
        value = int(spelling, 16)
    else:
        value = float(spelling)
    if isinstance(value, int) and value > MAX_INTEGER:
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
    if math.isinf(value):
        raise RefusedError(ErrorKind.PARSE, "the number is too large", column)
    return value


def read_string(quoted: str, column: int) -> StringLiteral:
    """Resolve the escapes of a string that still has its quotes.

    Raises RefusedError `parse` for an unknown escape or half of a surrogate pair.
    """
    body = quoted[1:-1]
    if "\\" not in body and "*" not in body and "?" not in body:
        return StringLiteral(body, None)
    text: list[str] = []
    pattern: list[str | Wild] = []
    position = 0
    for found in _ESCAPE.finditer(body):
        literal = body[position : found.start()]
        position = found.end()
        wild = found["wild"]
        piece = wild or _unescape(found, column)
        text += (literal, piece)
        pattern += (literal, Wild(piece) if wild else piece)
    text.append(body[position:])
    pattern.append(body[position:])
    items = tuple(item for item in pattern if item != "")
    return StringLiteral("".join(text), items if has_wildcard(items) else None)


def _unescape(found: re.Match[str], column: int) -> str:
    if found["high"]:
        return chr(0x10000 + ((int(found["high"], 16) - 0xD800) << 10) + int(found["low"], 16) - 0xDC00)
    if found["code"]:
        code = int(found["code"], 16)
        if 0xD800 <= code <= 0xDFFF:
            raise RefusedError(ErrorKind.PARSE, f"{found[0]} is half of a surrogate pair", column + found.start() + 1)
        return chr(code)
    if found["other"] in _ESCAPED:
        return _ESCAPED[found["other"]]
    raise RefusedError(ErrorKind.PARSE, f"unknown escape {found[0]!r} in a string", column + found.start() + 1)
