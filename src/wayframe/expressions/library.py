"""Functions that need nothing but their arguments (reference, sections 10.1 and 10.2).

All take values of the language and raise EvaluationError: `type` for a wrong argument, `range` for a number outside
what the function or a double can hold, `limit` for a string that grows too long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal

from .errors import ErrorKind, EvaluationError
from .limits import MAX_INTEGER
from .values import (
    Number,
    checked,
    equal,
    from_json,
    is_json,
    is_number,
    kind_of,
    made,
    number,
    text,
    to_text,
    truth,
)

EARTH_RADIUS_KM = 6371.0
_MAX_DIGITS = 15
_DECIMALS = Context(prec=40, rounding=ROUND_HALF_UP)


def _wrong_type(name: str, value: object) -> EvaluationError:
    return EvaluationError(ErrorKind.TYPE, f"{name}() cannot take {kind_of(value)}")


def isnull(value: object) -> bool:
    """Whether a value is null."""
    return value is None


def isnumber(value: object) -> bool:
    """Whether a value is a number."""
    return is_number(value)


def isstring(value: object) -> bool:
    """Whether a value is a string."""
    return isinstance(value, str)


def isboolean(value: object) -> bool:
    """Whether a value is a boolean."""
    return isinstance(value, bool)


def isjson(value: object) -> bool:
    """Whether a value is an array or object."""
    return is_json(value)


def toboolean(value: object) -> bool:
    """The truth of a value; the strings `""`, `"0"` and `"false"` in any case are false."""
    if isinstance(value, str):
        return value not in ("", "0") and value.lower() != "false"
    return truth(value)


def tostring(value: object) -> str:
    """The text of a value."""
    return to_text(value)


def absolute(value: object) -> Number:
    """The absolute value."""
    return abs(number(value))


def distance(lat1: object, lon1: object, lat2: object, lon2: object) -> float:
    """Kilometres along the great circle between two points in degrees, on a sphere of 6,371 km.

    Null is refused (`type`), so that absent positions never become 0,0; a latitude beyond 90 is `range`.
    """
    first, second = _latitude(lat1), _latitude(lat2)
    half_lat = (second - first) / 2
    half_lon = math.radians(_degrees(lon2) - _degrees(lon1)) / 2
    haversine = math.sin(half_lat) ** 2 + math.cos(first) * math.cos(second) * math.sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, haversine)))


def _degrees(value: object) -> Number:
    if type(value) is float:
        return checked(value)
    if not is_number(value):
        raise EvaluationError(ErrorKind.TYPE, f"a coordinate must be a number, got {kind_of(value)}")
    return number(value)


def _latitude(value: object) -> float:
    degrees = _degrees(value)
    if not -90 <= degrees <= 90:
        raise EvaluationError(ErrorKind.RANGE, "a latitude must be -90..90")
    return math.radians(degrees)


def minimum(*values: object) -> Number:
    """The smallest of two to sixteen numbers."""
    return min(map(number, values))


def maximum(*values: object) -> Number:
    """The greatest of two to sixteen numbers."""
    return max(map(number, values))


def floor(value: object) -> Number:
    """The next whole number below."""
    return checked(math.floor(number(value)))


def ceil(value: object) -> Number:
    """The next whole number above."""
    return checked(math.ceil(number(value)))


def rounded(value: object, digits: object = 0) -> Number:
    """Round to 0..15 digits, halves away from zero, as the number is written in decimal."""
    places = number(digits)
    if places != int(places) or not 0 <= places <= _MAX_DIGITS:
        raise EvaluationError(ErrorKind.RANGE, f"round() takes 0..{_MAX_DIGITS} digits")
    exact = number(value)
    if isinstance(exact, int) or abs(exact) >= MAX_INTEGER:
        return exact
    near = _DECIMALS.quantize(Decimal(repr(exact)), Decimal(1).scaleb(-int(places)))
    return float(near) if places else int(near)


def _real(name: str, apply: Callable[[Number], float]) -> Callable[[object], Number]:
    def run(value: object) -> Number:
        argument = number(value)
        try:
            return checked(apply(argument))
        except (ValueError, OverflowError):
            raise EvaluationError(ErrorKind.RANGE, f"{name}() is not defined for this number") from None

    return run


sqrt = _real("sqrt", math.sqrt)
sin = _real("sin", math.sin)
cos = _real("cos", math.cos)
tan = _real("tan", math.tan)
log = _real("log", math.log)
exp = _real("exp", math.exp)


def power(base: object, exponent: object) -> Number:
    """A number to the power of another."""
    return _real("pow", lambda value: math.pow(value, number(exponent)))(base)


def length(value: object) -> int:
    """Characters of a string, elements of an array, members of an object; null gives 0."""
    if value is None:
        return 0
    if isinstance(value, str | list | tuple | Mapping):
        return len(value)
    raise _wrong_type("length", value)


def lower(value: object) -> str:
    """A string in lower case."""
    return made(text(value).lower())


def upper(value: object) -> str:
    """A string in upper case."""
    return made(text(value).upper())


def concat(*values: object) -> str:
    """The texts of all arguments, joined."""
    return made("".join(map(to_text, values)))


def substr(value: object, start: object, count: object = None) -> str:
    """A part of a string: `start` from zero, negative from the end; all of the rest without `count`."""
    whole = text(value)
    begin = math.trunc(number(start))
    if begin < 0:
        begin = max(0, len(whole) + begin)
    if count is None:
        return made(whole[begin:])
    wanted = math.trunc(number(count))
    if wanted < 0:
        raise EvaluationError(ErrorKind.RANGE, "substr() takes a count of 0 or more")
    return made(whole[begin : begin + wanted])


def contains(container: object, wanted: object) -> bool:
    """Whether a string holds a substring, an array an element, an object a key; null holds nothing."""
    if container is None:
        return False
    if isinstance(container, str):
        return text(wanted) in container
    if isinstance(container, list | tuple):
        return any(equal(element, wanted) for element in container)
    if isinstance(container, Mapping):
        return text(wanted) in container
    raise _wrong_type("contains", container)


def startswith(value: object, beginning: object) -> bool:
    """Whether a string begins with another."""
    return text(value).startswith(text(beginning))


def endswith(value: object, ending: object) -> bool:
    """Whether a string ends with another."""
    return text(value).endswith(text(ending))


def fromjson(source: object) -> object:
    """The value of a JSON text."""
    return from_json(text(source))
