"""Texts with `%{expression}%` placeholders (reference, section 11)."""

from __future__ import annotations

import re
from collections.abc import Callable
from json.encoder import encode_basestring as _quote
from urllib.parse import quote

from .environment import NOWHERE, Context, Environment, Escape, Mode
from .errors import ErrorKind, EvaluationError, RefusedError
from .expression import Expression, compile
from .values import to_text

_INSIDE = re.compile(r"""(?:[^"'}]++|"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|\}(?!%))*+\}%""", re.DOTALL)
_MAX_PLACEHOLDERS = 1000

_ESCAPES: dict[Escape, Callable[[str], str]] = {
    Escape.NONE: lambda value: value,
    Escape.JSON: lambda value: _quote(value)[1:-1],
    Escape.URL: lambda value: quote(value, safe="", errors="replace"),
}


class Template:
    """A compiled template."""

    def __init__(self, text: str, pieces: tuple[str | tuple[Expression, int], ...]) -> None:
        self.text = text
        """The source."""
        self._pieces = pieces

    @property
    def is_plain(self) -> bool:
        """Whether the text has no placeholders at all."""
        return all(isinstance(piece, str) for piece in self._pieces)

    def render(self, context: Context, env: Environment | None = None) -> str:
        """Fill the placeholders; `env.escape` says how their texts are written.

        Raises EvaluationError when one of them fails, its column counted in the whole template.
        """
        around = env or NOWHERE
        escape = _ESCAPES[around.escape]
        done: list[str] = []
        for piece in self._pieces:
            if isinstance(piece, str):
                done.append(piece)
                continue
            expression, offset = piece
            try:
                done.append(escape(to_text(expression.evaluate(context, around))))
            except EvaluationError as error:
                raise EvaluationError(error.kind, error.message, (error.column or 1) + offset) from None
            except RecursionError:
                raise EvaluationError(ErrorKind.LIMIT, "the value nests too deeply", offset + 1) from None
        return "".join(done)


def compile_template(text: str) -> Template:
    """Compile a template; a text without placeholders is one too.

    Raises RefusedError: `parse`, `context` or `limit`, with the 1-based column in the whole text.
    """
    pieces: list[str | tuple[Expression, int]] = []
    position = 0
    while (start := text.find("%{", position)) >= 0:
        inside = _INSIDE.match(text, start + 2)
        if inside is None:
            raise RefusedError(ErrorKind.PARSE, "the placeholder is not closed by }%", start + 1)
        pieces.append(text[position:start])
        pieces.append((_compile_at(text[start + 2 : inside.end() - 2], start + 2), start + 2))
        if len(pieces) > 2 * _MAX_PLACEHOLDERS:
            raise RefusedError(ErrorKind.LIMIT, f"a template may have {_MAX_PLACEHOLDERS} placeholders", start + 1)
        position = inside.end()
    pieces.append(text[position:])
    return Template(text, tuple(piece for piece in pieces if piece != ""))


def _compile_at(text: str, offset: int) -> Expression:
    try:
        return compile(text, Mode.TEMPLATE)
    except RefusedError as error:
        raise RefusedError(error.kind, error.message, (error.column or 1) + offset) from None
