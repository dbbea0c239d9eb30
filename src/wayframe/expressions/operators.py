"""The operators on values (reference, section 6). Each raises EvaluationError without a column; the caller adds it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

from .errors import ErrorKind, EvaluationError
from .limits import MAX_INTEGER
from .values import Number, checked, equal, is_json, kind_of, made, number, order, text, to_text, truth
from .wildcards import Matcher, text_matcher

BinaryOperator = Callable[[object, object], object]
UnaryOperator = Callable[[object], object]

_MAX_BITS = MAX_INTEGER - 1
_MAX_SHIFT = 52


def _overflow() -> EvaluationError:
    return EvaluationError(ErrorKind.RANGE, "the result is too large")


def _add(left: object, right: object) -> object:
    if isinstance(left, str) or isinstance(right, str):
        if isinstance(left, str) and isinstance(right, str):
            return made(left + right)
        raise EvaluationError(ErrorKind.TYPE, f"{kind_of(left)} and {kind_of(right)} cannot be added")
    return checked(number(left) + number(right))


def _subtract(left: object, right: object) -> Number:
    return checked(number(left) - number(right))


def _multiply(left: object, right: object) -> Number:
    return checked(number(left) * number(right))


def _divisor(value: object) -> Number:
    result = number(value)
    if result == 0:
        raise EvaluationError(ErrorKind.ZERODIV, "division by zero")
    return result


def _divide(left: object, right: object) -> Number:
    dividend = number(left)
    return checked(dividend / _divisor(right))


def _remainder(left: object, right: object) -> Number:
    dividend = number(left)
    divisor = _divisor(right)
    if isinstance(dividend, int) and isinstance(divisor, int):
        rest = abs(dividend) % abs(divisor)
        return -rest if dividend < 0 else rest
    return math.fmod(dividend, divisor)


def _bits(value: object) -> int:
    whole = math.trunc(number(value))
    if not -_MAX_BITS <= whole <= _MAX_BITS:
        raise EvaluationError(ErrorKind.RANGE, "bitwise operands may have 53 bits")
    return whole


def _bitwise(apply: Callable[[int, int], int]) -> BinaryOperator:
    return lambda left, right: apply(_bits(left), _bits(right))


def _shift_count(value: object) -> int:
    count = _bits(value)
    if not 0 <= count <= _MAX_SHIFT:
        raise EvaluationError(ErrorKind.RANGE, f"the shift count must be 0..{_MAX_SHIFT}, got {count}")
    return count


def _shift_left(left: object, right: object) -> int:
    return _bits(_bits(left) << _shift_count(right))


def _shift_right(left: object, right: object) -> int:
    return _bits(left) >> _shift_count(right)


def _unequal(left: object, right: object) -> bool:
    return not equal(left, right)


def _like(left: object, right: object) -> bool:
    return like(left, text_matcher(text(right)))


def like(left: object, matcher: Matcher) -> bool:
    """`~` with a compiled pattern: numbers and booleans by their text, null never. Raises `type` for JSON."""
    if isinstance(left, str):
        return matcher(left)
    if left is None:
        return False
    if is_json(left):
        raise EvaluationError(ErrorKind.TYPE, "JSON cannot be matched with a wildcard pattern")
    return matcher(to_text(left))


BINARY: dict[str, BinaryOperator] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _remainder,
    "&": _bitwise(operator.and_),
    "|": _bitwise(operator.or_),
    "^": _bitwise(operator.xor),
    "<<": _shift_left,
    ">>": _shift_right,
    "<": order(operator.lt),
    "<=": order(operator.le),
    ">": order(operator.gt),
    ">=": order(operator.ge),
    "==": equal,
    "!=": _unequal,
    "~": _like,
}
"""Binary operators on two evaluated values; `=` is spelled `==` here."""

UNARY: dict[str, UnaryOperator] = {
    "-": lambda value: -number(value),
    "+": number,
    "!": lambda value: not truth(value),
}
"""Prefix operators on an evaluated value."""
