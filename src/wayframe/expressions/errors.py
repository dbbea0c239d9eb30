"""What can go wrong with an expression or a selector, as one small exception tree (reference, section 8)."""

from __future__ import annotations

from enum import StrEnum


class ErrorKind(StrEnum):
    """The error classes of the language; `limit` occurs both when compiling and while evaluating."""

    PARSE = "parse"
    """The text is not an expression."""
    CONTEXT = "context"
    """The function or the `#name` form is not available in this mode."""
    LIMIT = "limit"
    """Text, tokens, nesting, a string or the work would exceed a fixed bound."""
    SELECTOR = "selector"
    """The text around the expressions (a selector, a path, a `$filter` list) is malformed."""
    MISSING = "missing"
    """A field without `$` is absent, or the environment lacks what a function needs."""
    TYPE = "type"
    """An operand or argument has the wrong type."""
    ZERODIV = "zerodiv"
    """The right side of `/` or `%` is zero."""
    RANGE = "range"
    """A number is outside what the operation or a double can hold."""
    RAISED = "raised"
    """The expression called `error()`."""


class ExpressionError(Exception):
    """Base of everything the language refuses or fails with.

    `kind` is the error class, `message` a sentence for a person, `column` the 1-based place in the text it speaks of
    (None where there is none).
    """

    def __init__(self, kind: ErrorKind, message: str, column: int | None = None) -> None:
        super().__init__(kind, message, column)
        self.kind = kind
        self.message = message
        self.column = column

    def __str__(self) -> str:
        where = "" if self.column is None else f" (column {self.column})"
        return f"{self.message}{where}"


class RefusedError(ExpressionError):
    """The text was refused before any evaluation: HTTP 400, or the failure of one SUBSCRIBE entry."""


class SelectorError(RefusedError):
    """A selector, path or `$filter` list is malformed; its kind is always `selector`."""

    def __init__(self, message: str, column: int | None = None) -> None:
        super().__init__(ErrorKind.SELECTOR, message, column)
        self.args = (message, column)


class EvaluationError(ExpressionError):
    """The expression is sound and failed on this context; in a boolean context this counts as false."""
