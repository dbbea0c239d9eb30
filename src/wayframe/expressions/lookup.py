"""Finding fields by dotted name and elements by key (reference, sections 5 and 10.4).

`a.b.c` is the exact flat key `a.b.c`; else the longest prefix that is a key and holds an object or array, in which the
rest is resolved the same way. In an array a numeric part picks an element; any other part is resolved in every element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from .environment import Context


class _Missing:
    """The type of MISSING."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""What a lookup returns for an absent field; null is a value and not absent."""

Reader = Callable[[Context], object]
"""Reads one field of a context, MISSING when absent."""


def resolve(container: object, name: str) -> object:
    """The value of a dotted name in an object or array, MISSING when absent."""
    if type(container) is dict:  # the usual case, and much cheaper to ask than Mapping
        return _in_object(container, name)
    if isinstance(container, Mapping):
        return _in_object(container, name)
    if isinstance(container, list | tuple):
        return _in_array(container, name)
    return MISSING


def _in_object(container: Context, name: str) -> object:
    value = container.get(name, MISSING)
    if value is not MISSING:
        return value
    split = name.rfind(".")
    while split > 0:
        inner = container.get(name[:split], MISSING)
        if inner is not MISSING:
            value = resolve(inner, name[split + 1 :])
            if value is not MISSING:
                return value
        split = name.rfind(".", 0, split)
    return MISSING


def _in_array(container: Sequence[object], name: str) -> object:
    part, dot, rest = name.partition(".")
    at = array_position(part)
    if at is not None:
        if at >= len(container):
            return MISSING
        return resolve(container[at], rest) if dot else container[at]
    found = [value for element in container if (value := resolve(element, name)) is not MISSING]
    return found if found or not container else MISSING


def array_position(part: str) -> int | None:
    """A decimal array position; None for any other text."""
    return int(part) if part.isascii() and part.isdecimal() and len(part) < 10 else None


def reader(name: str) -> Reader:
    """A function that resolves one name, with the usual cases first: a flat key, a member of a nested object."""
    dots = [at for at, sign in enumerate(name) if sign == "."]
    if not dots:
        return lambda context: context.get(name, MISSING)
    top, below = name[: dots[0]], name[dots[0] + 1 :]
    between = tuple(name[:at] for at in dots[1:])
    if not between:
        return _two_part_reader(name, top, below)
    read_below = reader(below)
    read_elements = _elements_reader(below, read_below)

    def read(context: Context) -> object:
        value = context.get(name, MISSING)
        if value is not MISSING:
            return value
        for prefix in between:
            if prefix in context:
                return _in_object(context, name)
        inner = context.get(top)
        if type(inner) is dict:
            value = inner.get(below, MISSING)
            return value if value is not MISSING else read_below(inner)
        if type(inner) is list:
            return read_elements(inner)
        return MISSING if inner is None else resolve(inner, below)

    return read


def _two_part_reader(name: str, top: str, below: str) -> Reader:
    read_elements = _elements_reader(below, reader(below))

    def read(context: Context) -> object:
        value = context.get(name, MISSING)
        if value is not MISSING:
            return value
        inner = context.get(top)
        if type(inner) is dict:
            return inner.get(below, MISSING)
        if type(inner) is list:
            return read_elements(inner)
        return MISSING if inner is None else resolve(inner, below)

    return read


def _elements_reader(name: str, read: Reader) -> Callable[[list[object]], object]:
    """What `_in_array` does, prepared for one name and the reader that resolves it in an object."""
    if array_position(name.partition(".")[0]) is not None:
        return lambda array: _in_array(array, name)

    def read_elements(array: list[object]) -> object:
        found = []
        for element in array:
            value = read(element) if type(element) is dict else resolve(element, name)
            if value is not MISSING:
                found.append(value)
        return found if found or not array else MISSING

    return read_elements


def index(container: object, key: object) -> object:
    """`x[k]`: an element, member, n-th member, or the end of a JSON pointer; null where nothing is."""
    if isinstance(key, str):
        if not isinstance(container, Mapping | list | tuple):
            return None
        if key.startswith("/"):
            return _follow(container, key)
        found = _step(container, key)
        return None if found is MISSING else found
    if isinstance(key, bool) or not isinstance(key, int | float):
        return None
    if isinstance(container, list | tuple):
        return _nth(container, key)
    if isinstance(container, Mapping):
        return _nth(list(container.values()), key)
    return None


def _nth(elements: Sequence[object], key: int | float) -> object:
    if not 0 <= key < len(elements):
        return None
    at = int(key)
    return elements[at] if at == key else None


def _step(container: object, part: str) -> object:
    if isinstance(container, Mapping):
        return container.get(part, MISSING)
    if isinstance(container, list | tuple):
        at = array_position(part)
        if at is not None and at < len(container):
            return container[at]
    return MISSING


def _follow(container: object, pointer: str) -> object:
    """RFC 6901: parts after slashes, `~1` for a slash and `~0` for a tilde; null when the path leads nowhere."""
    for part in pointer[1:].split("/"):
        container = _step(container, part.replace("~1", "/").replace("~0", "~"))
        if container is MISSING:
            return None
    return container
