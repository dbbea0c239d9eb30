"""The values of the language and how they are cast, compared and printed (reference, sections 2, 6 and 10).

A value is null, a boolean, a number (int or float), a string, or JSON: an array (list or tuple) or an object (mapping).
Integers beyond 53 bits become doubles when cast; NaN and infinities are refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring as _quote
from typing import Any

from .errors import ErrorKind, EvaluationError
from .limits import MAX_INTEGER, MAX_NUMBER_TEXT, MAX_STRING

Number = int | float

Compare = Callable[[Any, Any], bool]
"""A comparison of `operator`, for two values of comparable types."""

_NUMBER = re.compile(
    r"[ \t\r\n]*+(?:(?P<hex>[+-]?0[xX][0-9a-fA-F]++)"
    r"|(?P<decimal>[+-]?(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+))[ \t\r\n]*+"
)
_PLAIN_INTEGER = 10**21  # larger whole numbers print with an exponent


def kind_of(value: object) -> str:
    """The name of a value's type, for error messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "JSON" if is_json(value) else "an unknown type"


def is_array(value: object) -> bool:
    """Whether a value is a JSON array."""
    return isinstance(value, list | tuple)


def is_json(value: object) -> bool:
    """Whether a value is a JSON array or object."""
    return isinstance(value, (dict, list, tuple, Mapping))


def is_number(value: object) -> bool:
    """Whether a value is a number (booleans are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def truth(value: object) -> bool:
    """The value in a boolean context: zero, false, null and the empty string are false, all else is true."""
    return bool(value) or is_json(value)


def checked(value: Number) -> Number:
    """A result as a double holds it. Raises EvaluationError `range` for NaN and infinities."""
    if -MAX_INTEGER <= value <= MAX_INTEGER:
        return value
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if math.isfinite(result):
        return result
    raise EvaluationError(ErrorKind.RANGE, "the number is too large")


def number(value: object) -> Number:
    """Cast to a number: null and false are 0, true is 1. Raises EvaluationError `type` for strings and JSON."""
    if type(value) is float or type(value) is int:
        return checked(value)
    if value is None:
        return 0
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return checked(value)
    raise EvaluationError(ErrorKind.TYPE, f"a number is needed, got {kind_of(value)}")


def text(value: object) -> str:
    """The value as a string. Raises EvaluationError `type` when it is none."""
    if isinstance(value, str):
        return value
    raise EvaluationError(ErrorKind.TYPE, f"a string is needed, got {kind_of(value)}")


def made(value: str) -> str:
    """A string the expression made. Raises EvaluationError `limit` beyond 65,536 characters."""
    if len(value) > MAX_STRING:
        raise EvaluationError(ErrorKind.LIMIT, f"a string may have {MAX_STRING} characters, got {len(value)}")
    return value


def read_number(value: str) -> Number | None:
    """A decimal, exponent or hexadecimal number with blanks around it; None when the text is not a finite number."""
    if len(value) > MAX_NUMBER_TEXT:
        return None
    found = _NUMBER.fullmatch(value)
    if found is None:
        return None
    if found["hex"]:
        whole = int(found["hex"], 16)
        if -MAX_INTEGER <= whole <= MAX_INTEGER:
            return whole
        return float(whole) if whole.bit_length() <= 1023 else None
    result = float(found["decimal"])
    if not math.isfinite(result):
        return None
    return int(result) if result.is_integer() and abs(result) <= MAX_INTEGER else result


def equal(left: object, right: object) -> bool:
    """`==` without wildcards; never an error."""
    left_text = isinstance(left, str)
    right_text = isinstance(right, str)
    if left_text and right_text:
        return left == right
    if left_text or right_text:
        written, other = (left, right) if left_text else (right, left)
        if not is_number(other):
            return False
        return read_number(str(written)) == _as_double(other)
    if is_json(left) or is_json(right):
        return _json_equal(left, right)
    return _as_double(left) == _as_double(right)


def _as_double(value: object) -> object:
    if value is None:
        return 0
    if isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
        try:
            return float(value)
        except OverflowError:
            return value
    return value


def _json_equal(left: object, right: object) -> bool:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return len(left) == len(right) and all(key in right and _json_equal(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(_json_equal, left, right))
    if is_json(left) or is_json(right) or kind_of(left) != kind_of(right):
        return False
    return _as_double(left) == _as_double(right)


def _order(compare: Compare, left: object, right: object) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return compare(left, right)
    return compare(_comparable(left), _comparable(right))


def _comparable(value: object) -> Number:
    if not isinstance(value, str):
        return number(value)
    result = read_number(value)
    if result is None:
        raise EvaluationError(ErrorKind.TYPE, "a string that is not a number cannot be compared with a number")
    return result


def order(compare: Compare) -> Callable[[object, object], bool]:
    """Make `<` and its kin from the function of `operator`: strings by code point, all else as numbers.

    The result raises EvaluationError `type` for JSON, and for a string that is no number beside a number.
    """

    def run(left: object, right: object) -> bool:
        if type(left) is float and type(right) is float:
            return bool(compare(left, right))
        return _order(compare, left, right)

    return run


def number_text(value: Number) -> str:
    """Whole numbers without a fraction, others in their shortest form."""
    if isinstance(value, float):
        if not value.is_integer() or abs(value) >= _PLAIN_INTEGER:
            return _shortest(value)
        return str(int(value))
    if -_PLAIN_INTEGER < value < _PLAIN_INTEGER:
        return str(int(value))
    return _shortest(float(checked(value)))


def _shortest(value: float) -> str:
    if not math.isfinite(value):
        raise EvaluationError(ErrorKind.RANGE, "the number is not finite")
    mantissa, exponent, power = repr(value).partition("e")
    if not exponent:
        return mantissa
    return f"{mantissa}e{power[0] if power[0] in '+-' else '+'}{power.lstrip('+-').lstrip('0')}"


def to_text(value: object) -> str:
    """`tostring`: numbers as `number_text`, `true`, `false`, `null`, compact JSON.

    Raises EvaluationError `limit` when the result is too long, `type` for what is no value of the language.
    """
    if isinstance(value, str):
        return value
    if is_json(value):
        pieces: list[str] = []
        _print_json(value, pieces, 0)
        return made("".join(pieces))
    return _scalar_text(value)


def _scalar_text(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    raise EvaluationError(ErrorKind.TYPE, "the value has no text")


def _print_json(value: object, pieces: list[str], length: int) -> int:
    """Append the JSON of a value; returns the length so far, and stops as soon as it exceeds what may be made."""
    if isinstance(value, Mapping):
        length = _append("{", pieces, length)
        for at, (key, member) in enumerate(value.items()):
            length = _append(("," if at else "") + _quote(str(key)) + ":", pieces, length)
            length = _print_json(member, pieces, length)
        return _append("}", pieces, length)
    if isinstance(value, list | tuple):
        length = _append("[", pieces, length)
        for at, member in enumerate(value):
            length = _append(",", pieces, length) if at else length
            length = _print_json(member, pieces, length)
        return _append("]", pieces, length)
    return _append(_quote(value) if isinstance(value, str) else _scalar_text(value), pieces, length)


def _append(piece: str, pieces: list[str], length: int) -> int:
    pieces.append(piece)
    length += len(piece)
    if length > MAX_STRING:
        raise EvaluationError(ErrorKind.LIMIT, f"a string may have {MAX_STRING} characters")
    return length


def from_json(source: str) -> object:
    """Parse JSON text. Raises EvaluationError `type` for bad JSON, `range` for NaN and infinities."""
    try:
        return json.loads(source, parse_constant=_refuse_constant, parse_float=_finite)
    except ValueError:
        raise EvaluationError(ErrorKind.TYPE, "the text is not JSON") from None


def _refuse_constant(name: str) -> object:
    raise EvaluationError(ErrorKind.RANGE, f"{name} is not a number")


def _finite(digits: str) -> float:
    return float(checked(float(digits)))
