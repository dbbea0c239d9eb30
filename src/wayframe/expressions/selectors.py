"""Selectors: the path segment that names the items a request works on (reference selectors.md, sections 1, 2 and 5).

selector = "all" { "," condition } | element { "," element }
element = id | condition      condition = field "=" value | "{" expression "}"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from .conditions import FieldCondition
from .environment import NOWHERE, Context, Environment, Mode
from .errors import ErrorKind, RefusedError, SelectorError
from .expression import Expression, compile
from .limits import MAX_INTEGER, MAX_TEXT
from .predicates import Test
from .tokens import NAME, QUOTED, check_name, read_string

_ALL_AND = re.compile(r"\s*all\s*,")
_BLANKS = re.compile(r"\s*")
_EQUALS = re.compile(r"\s*==?\s*")
_PLAIN_VALUE = re.compile(r"[^,]*")
_BRACE_OR_QUOTE = re.compile(QUOTED.pattern + r"""|[{}"']""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a selector chose."""

    ids: list[int]
    """The chosen items, ascending, without duplicates."""
    missing_ids: list[int]
    """Explicitly listed ids that are not among the items, ascending."""


class Selector:
    """A compiled selector; immutable. Visibility is the caller's business: give it visible items only."""

    def __init__(
        self,
        text: str,
        ids: tuple[int, ...] | None,
        fields: tuple[FieldCondition, ...],
        expressions: tuple[Expression, ...],
    ) -> None:
        self.text = text
        """The source."""
        self.ids = ids
        """Explicit ids, ascending and unique; they restrict the result. None when none are listed."""
        self.is_all = ids is None and not fields and not expressions
        """The selector is `all`."""
        self.equalities: dict[str, str] = {}
        """Fields that must equal a text (`field=value` without wildcards, `{field=="text"}`), for an index of text
        fields. The conditions still have to be tested on what the index finds."""
        for expression in expressions:
            self.equalities |= expression.equalities
        self.equalities |= {field.field: field.value for field in fields if field.is_exact}
        self._fields = tuple(field.test() for field in fields)
        self._expressions = expressions

    def __repr__(self) -> str:
        return f"Selector({self.text!r})"

    @property
    def has_conditions(self) -> bool:
        """Whether items must be looked at, beyond their ids."""
        return bool(self._fields or self._expressions)

    def matches(self, context: Context, env: Environment | None = None) -> bool:
        """Whether one item meets all conditions; explicit ids are not looked at. Never raises."""
        around = env or NOWHERE
        return all(test(context, around) for test in self._fields) and all(
            expression.test(context, around) for expression in self._expressions
        )

    def predicate(self, env: Environment | None = None) -> Callable[[Context], bool | None]:
        """`matches` bound to one environment, for scans in chunks; a failing evaluation gives None or False."""
        around = env or NOWHERE
        test = self.bound(around)
        return lambda context: test(context, around)

    def bound(self, env: Environment) -> Test:
        """All conditions as one test, for use with this environment only: scans call nothing else for an item."""
        tests = self._tests(env)
        if len(tests) == 1:
            return tests[0]
        return lambda context, around: all(test(context, around) for test in tests)

    def _tests(self, env: Environment) -> tuple[Test, ...]:
        return (*self._fields, *(expression.bound(env) for expression in self._expressions))

    def select(self, items: Iterable[tuple[int, Context]], env: Environment | None = None) -> Selection:
        """Go through items given as id and context, once."""
        around = env or NOWHERE
        wanted = None if self.ids is None else set(self.ids)
        if wanted is not None:
            listed = {item: context for item, context in items if item in wanted}
            return self.pick(listed, around)
        found: Iterable[tuple[int, Context]] = items
        tests = self._tests(around)
        for test in tests[:-1]:
            found = [item for item in found if test(item[1], around)]
        if tests:
            last = tests[-1]
            ids = [item for item, context in found if last(context, around)]
        else:
            ids = [item for item, _ in found]
        ids.sort()
        return Selection(ids, [])

    def pick(self, items: Mapping[int, Context], env: Environment | None = None) -> Selection:
        """Choose among items indexed by id: explicit ids are looked up; only without them is there a scan."""
        if self.ids is None:
            return self.select(items.items(), env)
        holds = self.predicate(env)
        present = [(item, items[item]) for item in self.ids if item in items]
        missing = [item for item in self.ids if item not in items]
        return Selection([item for item, context in present if holds(context)], missing)


def compile_selector(text: str) -> Selector:
    """Compile one decoded path segment.

    Raises SelectorError for the selector itself, RefusedError (`parse`, `context`, `limit`) for an expression in it,
    with the column counted within that expression.
    """
    if len(text) > MAX_TEXT:
        raise RefusedError(ErrorKind.LIMIT, f"a selector may have {MAX_TEXT} characters, got {len(text)}")
    if text.strip() == "all":
        return Selector(text, None, (), ())
    if text.isdecimal():  # by far the most frequent
        return Selector(text, (_id(text, 0),), (), ())
    among_all = _ALL_AND.match(text)
    elements = list(_elements(text, among_all.end() if among_all else 0))
    ids = sorted({element for element in elements if isinstance(element, int)})
    return Selector(
        text,
        tuple(ids) if ids else None,
        tuple(element for element in elements if isinstance(element, FieldCondition)),
        tuple(element for element in elements if isinstance(element, Expression)),
    )


def _elements(text: str, position: int) -> Iterable[int | FieldCondition | Expression]:
    among_all = position > 0
    while True:
        begin = _skip_blanks(text, position)
        element, end = _element(text, begin)
        if among_all and isinstance(element, int):
            raise SelectorError("all cannot be combined with ids", begin + 1)
        yield element
        end = _skip_blanks(text, end)
        if end == len(text):
            return
        if text[end] != ",":
            raise SelectorError(f"a comma is expected instead of {text[end]!r}", end + 1)
        position = end + 1


def _skip_blanks(text: str, position: int) -> int:
    found = _BLANKS.match(text, position)
    return position if found is None else found.end()


def _element(text: str, begin: int) -> tuple[int | FieldCondition | Expression, int]:
    if text.startswith("{", begin):
        end = _closing_brace(text, begin)
        return compile(text[begin + 1 : end - 1], Mode.SELECTOR), end
    name = NAME.match(text, begin)
    equals = _EQUALS.match(text, name.end()) if name else None
    if name is not None and equals is not None:
        check_name(name[0], begin + 1)
        return _condition(name[0], text, equals.end())
    end = text.find(",", begin)
    return _id(text[begin : end if end >= 0 else len(text)].strip(), begin), end if end >= 0 else len(text)


def _closing_brace(text: str, begin: int) -> int:
    """The position after the brace that closes the one at `begin`; quotes protect braces."""
    depth = 0
    for found in _BRACE_OR_QUOTE.finditer(text, begin):
        if found[0] in "\"'":
            raise SelectorError("a quote in the expression is not closed", found.start() + 1)
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if not depth:
            return found.end()
    raise SelectorError("the brace is not closed", begin + 1)


def _condition(field: str, text: str, begin: int) -> tuple[FieldCondition, int]:
    if text[begin : begin + 1] in ('"', "'"):
        quoted = QUOTED.match(text, begin)
        if quoted is None:
            raise SelectorError("the quoted value is not closed", begin + 1)
        try:
            literal = read_string(quoted[0], begin + 1)
        except RefusedError as error:
            raise SelectorError(error.message, error.column) from None
        return FieldCondition(field, literal.text, quoted=True), quoted.end()
    plain = _PLAIN_VALUE.match(text, begin)
    value = "" if plain is None else plain[0]
    return FieldCondition(field, value.rstrip(), quoted=False), begin + len(value)


def _id(text: str, begin: int) -> int:
    if text == "all":
        raise SelectorError("all goes first, and cannot be combined with ids", begin + 1)
    if not text:
        raise SelectorError("the selector has an empty element", begin + 1)
    if not (text.isascii() and text.isdecimal() and len(text) <= 16 and int(text) < MAX_INTEGER):
        raise SelectorError(f"{text!r} is neither an id nor field=value nor {{expression}}", begin + 1)
    return int(text)
