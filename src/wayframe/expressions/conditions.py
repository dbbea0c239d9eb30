"""The `field=value` condition of a selector (reference selectors.md, section 2).

The value is always text; the type of what the field holds decides how it is compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .environment import Context, Environment
from .lookup import MISSING, reader
from .predicates import FAILURES, Answer, Test
from .values import is_number, number_text, read_number
from .wildcards import Matcher, Pattern, compile_pattern, has_wildcard, parse_pattern

_BOOLEANS = {True: ("true", "1"), False: ("false", "0")}


@dataclass(frozen=True, slots=True)
class FieldCondition:
    """One `field=value`."""

    field: str
    """The dotted name."""
    value: str
    """The text the field must equal, or match."""
    quoted: bool
    """Written in quotes: exact, without wildcards, and never the word null."""

    @property
    def pattern(self) -> Pattern | None:
        """The wildcard pattern, None when the value is exact."""
        pattern = None if self.quoted else parse_pattern(self.value)
        return pattern if pattern and has_wildcard(pattern) else None

    @property
    def is_exact(self) -> bool:
        """Whether an index of a text field answers it: no wildcard, and not the word that also means absent."""
        return self.pattern is None and not self._means_null

    @property
    def _means_null(self) -> bool:
        return self.value == "null" and not self.quoted

    def test(self) -> Test:
        """Compile the condition."""
        pattern = self.pattern
        if pattern is None:
            return _exact_test(self.field, self.value, self._means_null)
        return _pattern_test(self.field, compile_pattern(pattern))


def _exact_test(field: str, wanted: str, means_null: bool) -> Test:
    read = reader(field)
    wanted_number = read_number(wanted)

    def other(found: object) -> bool:
        if type(found) is int:
            return found == wanted_number
        if type(found) is list:
            return any(map(other, found))
        if found is MISSING or found is None:
            return means_null
        if isinstance(found, str):
            return found == wanted
        if isinstance(found, bool):
            return wanted in _BOOLEANS[found]
        if is_number(found):
            return found == wanted_number
        return isinstance(found, list | tuple) and any(map(other, found))

    def test(context: Context, env: Environment) -> Answer:
        found = read(context)
        try:
            return found == wanted if type(found) is str else other(found)
        except FAILURES:
            return None

    return test


def _pattern_test(field: str, matches: Matcher) -> Test:
    read = reader(field)

    def other(found: object) -> bool:
        if found is MISSING or found is None or isinstance(found, Mapping):
            return False
        if isinstance(found, str):
            return matches(found)
        if isinstance(found, bool):
            return matches(_BOOLEANS[found][0])
        if isinstance(found, int | float):
            return matches(number_text(found))
        return isinstance(found, list | tuple) and any(map(other, found))

    def test(context: Context, env: Environment) -> Answer:
        found = read(context)
        try:
            return matches(found) if type(found) is str else other(found)
        except FAILURES:
            return None

    return test
