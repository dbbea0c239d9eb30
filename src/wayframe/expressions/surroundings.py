"""Functions that look at the context or the environment (reference, sections 10.1 to 10.3).

All take the context, the environment and then their arguments. They raise EvaluationError: `missing` where the
environment or message lacks what they need, `type` for a wrong argument, `range` for a time no calendar holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from . import lookup
from .environment import Context, Environment
from .errors import ErrorKind, EvaluationError
from .library import distance
from .lookup import MISSING
from .values import Number, checked, kind_of, number, read_number, text, to_text

LATITUDE = "position.latitude"
LONGITUDE = "position.longitude"
TIMESTAMP = "timestamp"


def error(context: Context, env: Environment, reason: object = "error() was called") -> object:
    """Fail with `raised`."""
    raise EvaluationError(ErrorKind.RAISED, to_text(reason))


def exists(context: Context, env: Environment, name: object) -> bool:
    """Whether a field is present; null counts as absent."""
    value = lookup.resolve(context, text(name))
    return value is not None and value is not MISSING


def tonumber(context: Context, env: Environment, value: object) -> Number:
    """Cast to a number; a string must read as one, or name a variable whose value does (section 12)."""
    if not isinstance(value, str):
        return number(value)
    result = read_number(value)
    if result is None:
        named = lookup.resolve(context, value)
        if named is not MISSING and not isinstance(named, str):
            return number(named)
        result = None if named is MISSING else read_number(str(named))
    if result is None:
        raise EvaluationError(ErrorKind.TYPE, "the string is not a number")
    return result


def now(context: Context, env: Environment) -> Number:
    """The time of evaluation, Unix seconds."""
    if env.now is None:
        raise EvaluationError(ErrorKind.MISSING, "no clock is available here")
    return checked(env.now)


def json(context: Context, env: Environment, name: object, key: object) -> object:
    """A member or element of a JSON field; null where the field or the member is absent."""
    value = lookup.resolve(context, text(name))
    return None if value is MISSING else lookup.index(value, key)


def metadata(context: Context, env: Environment, key: object) -> object:
    """A value of the item's metadata; a key that begins with a slash is a JSON pointer."""
    holder = env.metadata if env.metadata is not None else lookup.resolve(context, "metadata")
    return None if holder is MISSING else lookup.index(holder, text(key))


def _calendar(part: Callable[[datetime], int]) -> Callable[[Context, Environment, object], int]:
    def run(context: Context, env: Environment, time: object) -> int:
        try:
            return part(datetime.fromtimestamp(math.floor(number(time)), _zone(env.timezone)))
        except (ValueError, OverflowError, OSError):
            raise EvaluationError(ErrorKind.RANGE, "the time is outside the calendar") from None

    return run


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise EvaluationError(ErrorKind.MISSING, f"there is no time zone {name!r}") from None


year = _calendar(lambda time: time.year)
month = _calendar(lambda time: time.month)
day = _calendar(lambda time: time.day)
hour = _calendar(lambda time: time.hour)
minute = _calendar(lambda time: time.minute)
second = _calendar(lambda time: time.second)
weekday = _calendar(lambda time: time.isoweekday() % 7)


def previous(context: Context, env: Environment, name: object) -> object:
    """A field of the previous message or interval, null if there is none."""
    return previous_value(env, text(name))


def previous_value(env: Environment, name: str) -> object:
    """What `previous("name")` and `#name` give."""
    value = MISSING if env.previous is None else lookup.resolve(env.previous, name)
    return None if value is MISSING else value


def _required(context: Context, name: str) -> object:
    value = lookup.resolve(context, name)
    if value is MISSING:
        raise EvaluationError(ErrorKind.MISSING, f"the field {name} is absent")
    return value


def mileage(context: Context, env: Environment) -> object:
    """Kilometres from the previous message's position; null when either message has none."""
    here = [lookup.resolve(context, name) for name in (LATITUDE, LONGITUDE)]
    there = [previous_value(env, name) for name in (LATITUDE, LONGITUDE)]
    if any(value is MISSING or value is None for value in (*here, *there)):
        return None
    return distance(*there, *here)


def duration(context: Context, env: Environment) -> object:
    """Seconds since the previous message; null when there is none."""
    before = previous_value(env, TIMESTAMP)
    return None if before is None else checked(number(_required(context, TIMESTAMP)) - number(before))


def distance_to(context: Context, env: Environment, latitude: object, longitude: object) -> float:
    """Kilometres from the message's position to a point."""
    return distance(_required(context, LATITUDE), _required(context, LONGITUDE), latitude, longitude)


def geofence(context: Context, env: Environment, name: object) -> bool:
    """Whether the message's position is inside the named area."""
    area = (env.geofences or {}).get(text(name))
    if area is None:
        raise EvaluationError(ErrorKind.MISSING, f"there is no geofence {text(name)!r}")
    position = [_required(context, LATITUDE), _required(context, LONGITUDE)]
    latitude, longitude = map(_coordinate, position)
    return area(latitude, longitude)


def _coordinate(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EvaluationError(ErrorKind.TYPE, f"a coordinate must be a number, got {kind_of(value)}")
    return float(checked(value))
