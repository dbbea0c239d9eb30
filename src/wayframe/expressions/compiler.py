"""From the syntax tree to closures that compute a value. Parts that are constant are computed once, here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from . import lookup
from .environment import NOWHERE, Context, Environment
from .errors import ErrorKind, EvaluationError
from .functions import Form
from .lookup import MISSING
from .nodes import Call, Chain, Choice, Field, Index, Junction, Literal, Node, Previous, Unary
from .operators import BINARY, UNARY, BinaryOperator, like
from .surroundings import previous_value
from .values import equal, truth
from .wildcards import Matcher, compile_pattern

Value = Callable[[Context, Environment], object]
"""Computes a value. Raises EvaluationError with a column."""


class Code(NamedTuple):
    """One compiled node."""

    run: Value
    """Computes its value."""
    constant: bool = False
    """Whether the value depends on nothing."""


def compile_node(node: Node) -> Code:
    """Compile any node."""
    return _COMPILERS[type(node)](node)


def located(error: EvaluationError, column: int) -> EvaluationError:
    """The same error with the column of the innermost node that failed."""
    if error.column is None:
        error.column = column
    return error


def constant(value: object) -> Code:
    """The code of a known value."""
    return Code(lambda context, env: value, True)


def _folded(run: Value) -> Code:
    """Compute a constant part now; one that fails keeps failing at each evaluation."""
    try:
        return constant(run({}, NOWHERE))
    except EvaluationError:
        return Code(run)


def absent(field: Field) -> EvaluationError:
    """The error of a field that is not there."""
    return EvaluationError(ErrorKind.MISSING, f"the field {field.name} is absent", field.column)


def _literal(node: Literal) -> Code:
    return constant(node.value)


def _field(node: Field) -> Code:
    read = lookup.reader(node.name)
    optional = node.optional

    def run(context: Context, env: Environment) -> object:
        value = read(context)
        if value is MISSING:
            if optional:
                return None
            raise absent(node)
        return value

    return Code(run)


def _previous(node: Previous) -> Code:
    name = node.name
    return Code(lambda context, env: previous_value(env, name))


def _unary(node: Unary) -> Code:
    apply = UNARY[node.operator]
    operand, fixed = compile_node(node.operand)
    column = node.column

    def run(context: Context, env: Environment) -> object:
        value = operand(context, env)
        try:
            return apply(value)
        except EvaluationError as error:
            raise located(error, column) from None

    return _folded(run) if fixed else Code(run)


def binary_operator(operator: str, left: Node | None, right: Node) -> BinaryOperator:
    """The function of an operator between two nodes; literals with wildcards are patterns (section 7).

    `left` is None where the left side is itself the result of an operator.
    """
    if operator == "~" and isinstance(right, Literal) and isinstance(right.value, str):
        matcher = compile_pattern(right.pattern or (right.value,))
        return lambda value, _: like(value, matcher)
    if operator not in ("==", "!="):
        return BINARY[operator]
    of_left = pattern_matcher(left)
    of_right = pattern_matcher(right)
    if of_left is None and of_right is None:
        return BINARY[operator]
    wanted = operator == "=="
    return lambda a, b: _matching(a, b, of_left, of_right) is wanted


def pattern_matcher(node: Node | None) -> Matcher | None:
    """The matcher of a literal with unescaped wildcards, None for all other nodes."""
    return compile_pattern(node.pattern) if isinstance(node, Literal) and node.pattern else None


def _matching(left: object, right: object, of_left: Matcher | None, of_right: Matcher | None) -> bool:
    if not isinstance(left, str) or not isinstance(right, str):
        return equal(left, right)
    return (of_right is not None and of_right(left)) or (of_left is not None and of_left(right))


def _chain(node: Chain) -> Code:
    left: Node | None = node.first
    first, fixed = compile_node(node.first)
    steps: list[tuple[BinaryOperator, Value, int]] = []
    for operator, right, column in node.steps:
        operand, fixed_operand = compile_node(right)
        steps.append((binary_operator(operator, left, right), operand, column))
        fixed = fixed and fixed_operand
        left = None
    code = _single_step(first, *steps[0]) if len(steps) == 1 else _many_steps(first, tuple(steps))
    return _folded(code) if fixed else Code(code)


def _single_step(first: Value, apply: BinaryOperator, second: Value, column: int) -> Value:
    def run(context: Context, env: Environment) -> object:
        left = first(context, env)
        right = second(context, env)
        try:
            return apply(left, right)
        except EvaluationError as error:
            raise located(error, column) from None

    return run


def _many_steps(first: Value, steps: tuple[tuple[BinaryOperator, Value, int], ...]) -> Value:
    def run(context: Context, env: Environment) -> object:
        value = first(context, env)
        for apply, operand, column in steps:
            right = operand(context, env)
            try:
                value = apply(value, right)
            except EvaluationError as error:
                raise located(error, column) from None
        return value

    return run


def _junction(node: Junction) -> Code:
    codes = [compile_node(part) for part in node.parts]
    parts = tuple(code.run for code in codes)
    every = node.every

    def run(context: Context, env: Environment) -> object:
        for part in parts:
            if truth(part(context, env)) is not every:
                return not every
        return every

    return _folded(run) if all(code.constant for code in codes) else Code(run)


def _choice(node: Choice) -> Code:
    arms = tuple((compile_node(condition).run, compile_node(value).run) for condition, value in node.arms)
    otherwise = compile_node(node.otherwise).run

    def run(context: Context, env: Environment) -> object:
        for condition, value in arms:
            if truth(condition(context, env)):
                return value(context, env)
        return otherwise(context, env)

    return Code(run)


def _index(node: Index) -> Code:
    base = compile_node(node.base).run
    keys = tuple(compile_node(key).run for key in node.keys)

    def run(context: Context, env: Environment) -> object:
        value = base(context, env)
        for key in keys:
            value = lookup.index(value, key(context, env))
        return value

    return Code(run)


def _call(node: Call) -> Code:
    codes = [compile_node(argument) for argument in node.arguments]
    arguments = tuple(code.run for code in codes)
    function = node.function.run
    column = node.column
    pure = node.function.form is Form.PURE
    if not arguments:
        return Code(_bare_call(function, column))

    def run(context: Context, env: Environment) -> object:
        values = [argument(context, env) for argument in arguments]
        try:
            return function(*values) if pure else function(context, env, *values)
        except EvaluationError as error:
            raise located(error, column) from None

    return _folded(run) if pure and all(code.constant for code in codes) else Code(run)


def _bare_call(function: Callable[..., object], column: int) -> Value:
    def run(context: Context, env: Environment) -> object:
        try:
            return function(context, env)
        except EvaluationError as error:
            raise located(error, column) from None

    return run


_COMPILERS: dict[type, Callable[..., Code]] = {
    Literal: _literal,
    Field: _field,
    Previous: _previous,
    Unary: _unary,
    Chain: _chain,
    Junction: _junction,
    Choice: _choice,
    Index: _index,
    Call: _call,
}
