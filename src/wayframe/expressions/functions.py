"""The function table: names, argument counts, usage and implementation (reference, section 10).

`if` and `not` are forms of the compiler; they stand here for their names, counts and descriptions. A function either
works on its arguments alone, or is also given the context and the environment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from . import library, surroundings
from .limits import MAX_ARGUMENTS


class Form(Enum):
    """How the compiler calls a function."""

    PURE = "pure"
    """With its arguments; the same arguments give the same result."""
    SURROUNDED = "surrounded"
    """With context, environment and its arguments."""
    SPECIAL = "special"
    """Compiled in place: `if`, `not`."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the language."""

    name: str
    """As it is called."""
    minimum: int
    """The least number of arguments."""
    maximum: int
    """The greatest number of arguments."""
    usage: str
    """Its call with named arguments."""
    description: str
    """One sentence for the list of functions."""
    form: Form
    """How it is called."""
    run: Callable[..., object]
    """The implementation; unused for SPECIAL."""
    calc_only: bool = False
    """Available only in calculators, plugins and streams (mode CALC)."""


def _special(*_: object) -> object:
    raise AssertionError("compiled in place")


_ROWS: tuple[tuple[str, int, int, str, str, Form, Callable[..., object]], ...] = (
    # essential for selectors and filters (10.1)
    ("if", 3, 3, "c, a, b", "a when c is true, else b; only the chosen one is evaluated", Form.SPECIAL, _special),
    ("not", 1, 1, "x", "the boolean opposite", Form.SPECIAL, _special),
    ("error", 0, 1, "[text]", "always fails", Form.SURROUNDED, surroundings.error),
    ("exists", 1, 1, '"name"', "whether a field is present and not null", Form.SURROUNDED, surroundings.exists),
    ("isnull", 1, 1, "x", "whether x is null", Form.PURE, library.isnull),
    ("isnumber", 1, 1, "x", "whether x is a number", Form.PURE, library.isnumber),
    ("isstring", 1, 1, "x", "whether x is a string", Form.PURE, library.isstring),
    ("isboolean", 1, 1, "x", "whether x is a boolean", Form.PURE, library.isboolean),
    ("isjson", 1, 1, "x", "whether x is an array or object", Form.PURE, library.isjson),
    ("tonumber", 1, 1, "x", "x as a number", Form.SURROUNDED, surroundings.tonumber),
    ("toboolean", 1, 1, "x", 'x as a boolean; "", "0" and "false" are false', Form.PURE, library.toboolean),
    ("tostring", 1, 1, "x", "x as text", Form.PURE, library.tostring),
    ("abs", 1, 1, "x", "the absolute value", Form.PURE, library.absolute),
    ("now", 0, 0, "", "the current time, Unix seconds", Form.SURROUNDED, surroundings.now),
    ("distance", 4, 4, "lat1, lon1, lat2, lon2", "kilometres between two points", Form.PURE, library.distance),
    ("json", 2, 2, '"field", key', "a member or element of a JSON field", Form.SURROUNDED, surroundings.json),
    ("metadata", 1, 1, '"key"', "a value of the item's metadata", Form.SURROUNDED, surroundings.metadata),
    ("month", 1, 1, "t", "month of a time, 1 to 12", Form.SURROUNDED, surroundings.month),
    ("day", 1, 1, "t", "day of the month of a time, 1 to 31", Form.SURROUNDED, surroundings.day),
    ("hour", 1, 1, "t", "hour of a time, 0 to 23", Form.SURROUNDED, surroundings.hour),
    ("minute", 1, 1, "t", "minute of a time, 0 to 59", Form.SURROUNDED, surroundings.minute),
    # useful additions (10.2)
    ("year", 1, 1, "t", "year of a time", Form.SURROUNDED, surroundings.year),
    ("second", 1, 1, "t", "second of a time, 0 to 59", Form.SURROUNDED, surroundings.second),
    ("weekday", 1, 1, "t", "day of the week of a time, 0 is Sunday", Form.SURROUNDED, surroundings.weekday),
    ("min", 2, MAX_ARGUMENTS, "a, b, ...", "the smallest number", Form.PURE, library.minimum),
    ("max", 2, MAX_ARGUMENTS, "a, b, ...", "the greatest number", Form.PURE, library.maximum),
    ("floor", 1, 1, "x", "the next whole number below", Form.PURE, library.floor),
    ("ceil", 1, 1, "x", "the next whole number above", Form.PURE, library.ceil),
    ("round", 1, 2, "x[, digits]", "rounded, halves away from zero", Form.PURE, library.rounded),
    ("sqrt", 1, 1, "x", "the square root", Form.PURE, library.sqrt),
    ("pow", 2, 2, "x, y", "x to the power of y", Form.PURE, library.power),
    ("sin", 1, 1, "x", "sine of radians", Form.PURE, library.sin),
    ("cos", 1, 1, "x", "cosine of radians", Form.PURE, library.cos),
    ("tan", 1, 1, "x", "tangent of radians", Form.PURE, library.tan),
    ("log", 1, 1, "x", "the natural logarithm", Form.PURE, library.log),
    ("exp", 1, 1, "x", "e to the power of x", Form.PURE, library.exp),
    ("length", 1, 1, "x", "number of characters, elements or members", Form.PURE, library.length),
    ("lower", 1, 1, "s", "in lower case", Form.PURE, library.lower),
    ("upper", 1, 1, "s", "in upper case", Form.PURE, library.upper),
    ("concat", 1, MAX_ARGUMENTS, "a, ...", "the texts of all arguments, joined", Form.PURE, library.concat),
    ("substr", 2, 3, "s, start[, count]", "a part of a string, from zero", Form.PURE, library.substr),
    ("contains", 2, 2, "x, y", "whether a string, array or object holds y", Form.PURE, library.contains),
    ("startswith", 2, 2, "s, t", "whether s begins with t", Form.PURE, library.startswith),
    ("endswith", 2, 2, "s, t", "whether s ends with t", Form.PURE, library.endswith),
    ("fromjson", 1, 1, "s", "the value of a JSON text", Form.PURE, library.fromjson),
)

_CALC_ROWS: tuple[tuple[str, int, int, str, str, Callable[..., object]], ...] = (
    # calculators, plugins and streams (10.3)
    ("previous", 1, 1, '"name"', "a field of the previous message, null if none", surroundings.previous),
    ("mileage", 0, 0, "", "kilometres since the previous message", surroundings.mileage),
    ("duration", 0, 0, "", "seconds since the previous message", surroundings.duration),
    ("distance_to", 2, 2, "lat, lon", "kilometres from the message's position", surroundings.distance_to),
    ("geofence", 1, 1, '"name"', "whether the message's position is inside an area", surroundings.geofence),
)

FUNCTIONS: dict[str, Function] = {
    name: Function(name, least, most, f"{name}({usage})", description, form, run)
    for name, least, most, usage, description, form, run in _ROWS
} | {
    name: Function(name, least, most, f"{name}({usage})", description, Form.SURROUNDED, run, calc_only=True)
    for name, least, most, usage, description, run in _CALC_ROWS
}
"""All functions by name."""
