"""From the syntax tree to closures that answer yes, no, or "evaluation failed", made for scans over many items.

The third answer is None instead of an exception, because absent fields are the usual case in a scan and an exception
costs more than the rest of the evaluation. Shapes that occur all the time (a field, a field against a constant, and
their junctions) have closures of their own; the rest goes through the value compiler.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from . import lookup
from .compiler import binary_operator, compile_node, pattern_matcher
from .environment import NOWHERE, Context, Environment
from .errors import EvaluationError
from .limits import MAX_INTEGER, MAX_NAME_PARTS
from .lookup import MISSING
from .nodes import Call, Chain, Field, Junction, Literal, Node, Unary
from .operators import BinaryOperator
from .values import Compare, is_number, truth
from .wildcards import compile_pattern

Answer = bool | None
"""True, false, or None when the evaluation failed."""

Test = Callable[[Context, Environment], Answer]
"""Answers for one context; never raises."""

_COMPARE: dict[str, Compare] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
FAILURES = (EvaluationError, RecursionError)
"""What an evaluation may fail with: its own errors, and data nested deeper than the interpreter can follow."""


def compile_test(node: Node) -> Test:
    """Compile a node for a boolean context."""
    if isinstance(node, Field):
        return _field_test(node)
    if isinstance(node, Junction):
        return _junction_test([compile_test(part) for part in node.parts], node.every)
    if isinstance(node, Unary) and node.operator == "!":
        return _negated(compile_test(node.operand))
    if isinstance(node, Chain) and len(node.steps) == 1:
        found = _comparison_test(node)
        if found is not None:
            return found
    if isinstance(node, Call) and node.function.name == "exists":
        found = _exists_test(node)
        if found is not None:
            return found
    return _general_test(node)


def _general_test(node: Node) -> Test:
    run, fixed = compile_node(node)
    if fixed:
        answer = truth(run({}, NOWHERE))
        return lambda context, env: answer

    def test(context: Context, env: Environment) -> Answer:
        try:
            return truth(run(context, env))
        except FAILURES:
            return None

    return test


def _field_test(node: Field) -> Test:
    absent: Answer = False if node.optional else None
    if "." not in node.name:
        name = node.name

        def test(context: Context, env: Environment) -> Answer:
            value = context.get(name, MISSING)
            if value is True or value is False:
                return value
            return absent if value is MISSING else truth(value)

        return test
    read = lookup.reader(node.name)

    def test_dotted(context: Context, env: Environment) -> Answer:
        value = read(context)
        if value is True or value is False:
            return value
        return absent if value is MISSING else truth(value)

    return test_dotted


def _junction_test(parts: list[Test], every: bool) -> Test:
    if len(parts) == 2:
        return _both(*parts) if every else _either(*parts)
    several = tuple(parts)

    def test(context: Context, env: Environment) -> Answer:
        for part in several:
            answer = part(context, env)
            if answer is not every:
                return answer
        return every

    return test


def _both(first: Test, second: Test) -> Test:
    def test(context: Context, env: Environment) -> Answer:
        answer = first(context, env)
        return second(context, env) if answer else answer

    return test


def _either(first: Test, second: Test) -> Test:
    def test(context: Context, env: Environment) -> Answer:
        answer = first(context, env)
        return second(context, env) if answer is False else answer

    return test


def _negated(inner: Test) -> Test:
    def test(context: Context, env: Environment) -> Answer:
        answer = inner(context, env)
        return None if answer is None else not answer

    return test


def _exists_test(node: Call) -> Test | None:
    name = node.arguments[0]
    if not isinstance(name, Literal) or not isinstance(name.value, str) or name.value.count(".") >= MAX_NAME_PARTS:
        return None
    read = lookup.reader(name.value)

    def test(context: Context, env: Environment) -> Answer:
        value = read(context)
        return value is not MISSING and value is not None

    return test


def _comparison_test(node: Chain) -> Test | None:
    """A field against a constant, on either side; None for all other shapes."""
    sign, right, _ = node.steps[0]
    left = node.first
    if sign not in _COMPARE and sign != "~":
        return None
    if isinstance(left, Field):
        known, value = _constant(right)
        return _field_against(left, sign, right, value, binary_operator(sign, left, right)) if known else None
    if isinstance(right, Field) and sign != "~":
        known, value = _constant(left)
        if known:
            apply = binary_operator(sign, left, right)
            return _field_against(right, _MIRRORED[sign], left, value, lambda a, b: apply(b, a))
    return None


def _constant(node: Node) -> tuple[bool, object]:
    run, fixed = compile_node(node)
    return fixed, run({}, NOWHERE) if fixed else None


def _field_against(field: Field, sign: str, node: Node, value: object, apply: BinaryOperator) -> Test:
    """`field sign value`: the types that are usual go a short way, all others through the operator itself."""
    slow = _slow_comparison(field, value, apply)
    read = lookup.reader(field.name)
    if isinstance(value, str):
        if sign == "==" and "." not in field.name and pattern_matcher(node) is None:
            return _text_test(field.name, value, slow)
        return _string_test(read, _string_match(sign, node, value), slow)
    if value is None:
        value = 0
    if sign == "~" or not (isinstance(value, bool) or (is_number(value) and _is_exact(value))):
        return lambda context, env: slow(read(context))
    return _number_test(field.name, read, _COMPARE[sign], value, slow)


def _is_exact(value: object) -> bool:
    return isinstance(value, int | float) and -MAX_INTEGER < value < MAX_INTEGER


def _slow_comparison(field: Field, value: object, apply: BinaryOperator) -> Callable[[object], Answer]:
    optional = field.optional

    def compare(found: object) -> Answer:
        if found is MISSING:
            if not optional:
                return None
            found = None
        try:
            return bool(apply(found, value))
        except FAILURES:
            return None

    return compare


def _number_test(
    name: str,
    read: lookup.Reader,
    compare: Compare,
    value: object,
    slow: Callable[[object], Answer],
) -> Test:
    if "." not in name:

        def test(context: Context, env: Environment) -> Answer:
            found = context.get(name, MISSING)
            sort = type(found)
            if sort is int or sort is float or sort is bool:
                return compare(found, value)
            return slow(found)

        return test

    def test_dotted(context: Context, env: Environment) -> Answer:
        found = read(context)
        sort = type(found)
        if sort is int or sort is float or sort is bool:
            return compare(found, value)
        return slow(found)

    return test_dotted


def _text_test(name: str, value: str, slow: Callable[[object], Answer]) -> Test:
    def test(context: Context, env: Environment) -> Answer:
        found = context.get(name, MISSING)
        return found == value if type(found) is str else slow(found)

    return test


def _string_match(sign: str, node: Node, value: str) -> Callable[[str], bool] | None:
    """What the operator does between a string and this string constant; None where it may fail."""
    if sign == "~":
        return pattern_matcher(node) or compile_pattern((value,)) if isinstance(node, Literal) else None
    compare = _COMPARE[sign]
    matcher = pattern_matcher(node) if sign in ("==", "!=") else None
    if matcher is None:
        return lambda found: compare(found, value)
    wanted = matcher
    return wanted if sign == "==" else lambda found: not wanted(found)


def _string_test(read: lookup.Reader, match: Callable[[str], bool] | None, slow: Callable[[object], Answer]) -> Test:
    if match is None:
        return lambda context, env: slow(read(context))
    matches = match

    def test(context: Context, env: Environment) -> Answer:
        found = read(context)
        if type(found) is str:
            try:
                return matches(found)
            except FAILURES:
                return None
        return slow(found)

    return test
