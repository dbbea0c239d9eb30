"""The door of the language: compile a text once, evaluate it often."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from .compiler import Value, compile_node
from .environment import NOWHERE, Context, Environment, Mode
from .errors import ErrorKind, EvaluationError, RefusedError
from .nodes import Chain, Field, Junction, Literal, Node
from .parser import parse
from .predicates import Test, compile_test
from .settling import settled


class Expression:
    """A compiled expression; immutable, and free to be used by many callers."""

    def __init__(self, text: str, mode: Mode, node: Node) -> None:
        self.text = text
        """The source."""
        self.mode = mode
        """What it was compiled for."""
        self._node = node

    def __repr__(self) -> str:
        return f"Expression({self.text!r}, {self.mode})"

    @cached_property
    def _value(self) -> Value:
        return compile_node(self._node).run

    @cached_property
    def test(self) -> Test:
        """The compiled condition: takes context and environment, answers None where the evaluation fails."""
        return compile_test(self._node)

    @cached_property
    def equalities(self) -> dict[str, str]:
        """Fields that must equal a text for the expression to hold, for a caller that has an index over them.

        Only whole conditions `field == "text"` without wildcards count. A number field also equals the text of its
        number, so use an index of text fields only.
        """
        parts = self._node.parts if isinstance(self._node, Junction) and self._node.every else (self._node,)
        return dict(found for part in parts if (found := _equality(part)) is not None)

    def evaluate(self, context: Context, env: Environment | None = None) -> object:
        """The value for one context. Raises EvaluationError and nothing else."""
        try:
            return self._value(context, env or NOWHERE)
        except RecursionError:
            raise EvaluationError(ErrorKind.LIMIT, "the expression or its data nest too deeply") from None

    def matches(self, context: Context, env: Environment | None = None) -> bool:
        """The value in a boolean context; a failing evaluation is false. Never raises."""
        try:
            return self.test(context, env or NOWHERE) is True
        except RecursionError:
            return False

    def predicate(self, env: Environment | None = None) -> Callable[[Context], bool | None]:
        """`matches` bound to one environment, for scans; gives None where the evaluation fails."""
        around = env or NOWHERE
        test = self.bound(around)
        return lambda context: test(context, around)

    def bound(self, env: Environment) -> Test:
        """`test` for use with this environment only: what is the same for all items is worked out now."""
        try:
            node = settled(self._node, env)
            return self.test if node is self._node else compile_test(node)
        except RecursionError:  # there is less room on the stack than when it was compiled
            return self.test


def compile(text: str, mode: Mode = Mode.FILTER) -> Expression:  # the language's own word for it
    """Compile an expression for one kind of use.

    Raises RefusedError: `parse`, `context` or `limit`, with a 1-based column (reference, section 8).
    """
    try:
        expression = Expression(text, mode, parse(text, mode))
        _ = expression._value if mode in (Mode.TEMPLATE, Mode.CALC) else expression.test
    except RecursionError:
        raise RefusedError(ErrorKind.LIMIT, "the expression nests too deeply") from None
    return expression


def _equality(node: Node) -> tuple[str, str] | None:
    if not isinstance(node, Chain) or len(node.steps) != 1 or node.steps[0][0] != "==":
        return None
    sides = (node.first, node.steps[0][1])
    for field, literal in (sides, sides[::-1]):
        if isinstance(field, Field) and isinstance(literal, Literal) and literal.pattern is None:
            return (field.name, literal.value) if isinstance(literal.value, str) else None
    return None
