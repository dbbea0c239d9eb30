"""Topic filters: `+` for one level, `#` for the rest, commas for alternatives of one level (mqtt-api.md 4.1, 4.2)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

MAX_LEVELS = 64
MAX_LENGTH = 4096
_MAX_ALTERNATIVES = 256
_MAX_NAME = 1024

T = TypeVar("T", bound=Hashable)


class InvalidFilter(ValueError):
    """The text is no topic filter; the message says what is wrong with it."""


def split_filter(text: str) -> list[tuple[str, ...]]:
    """Split a filter into levels, each a tuple of its alternatives.

    Raises:
        InvalidFilter: empty, too long, too deep, or a wildcard that does not stand alone in its level.
    """
    if not text or len(text) > MAX_LENGTH or "\0" in text:
        raise InvalidFilter(f"a topic filter has 1 to {MAX_LENGTH} characters and no NUL")
    levels = text.split("/")
    if len(levels) > MAX_LEVELS:
        raise InvalidFilter(f"a topic filter has at most {MAX_LEVELS} levels, this one has {len(levels)}")
    split = []
    for index, level in enumerate(levels):
        if level == "#" and index != len(levels) - 1:
            raise InvalidFilter("# may only be the last level")
        if level not in ("+", "#") and ("+" in level or "#" in level):
            raise InvalidFilter(f"a wildcard stands alone in its level, not in {level!r}")
        alternatives = tuple(dict.fromkeys(level.split(",")))
        if len(alternatives) > _MAX_ALTERNATIVES:
            raise InvalidFilter(f"a level has at most {_MAX_ALTERNATIVES} alternatives")
        split.append(alternatives)
    return split


def is_level(name: str) -> bool:
    """Whether a name can be a level of a topic: no separator, no wildcard, no NUL (MQTT 4.7.1), and no novel."""
    return len(name) <= _MAX_NAME and not any(sign in name for sign in "/+#\0")


def matches(text: str, topic: str) -> bool:
    """Whether a filter matches a topic. `#` and a leading `+` do not match topics that begin with `$`."""
    tree: TopicTree[None] = TopicTree()
    tree.add(text, None)
    return any(True for _ in tree.match(topic))


class _Node(Generic[T]):
    """One level of the tree. `rest` holds what ends here with `#`."""

    __slots__ = ("children", "here", "rest")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.here: dict[T, None] = {}
        self.rest: dict[T, None] = {}

    @property
    def empty(self) -> bool:
        return not (self.children or self.here or self.rest)


class TopicTree(Generic[T]):
    """Values by topic filter. A comma level shares its subtree under each alternative's own key."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, text: str, value: T) -> None:
        """Put a value under a filter. Raises `InvalidFilter`."""
        nodes = [self._root]
        levels = split_filter(text)
        for alternatives in levels:
            if alternatives == ("#",):
                for node in nodes:
                    node.rest[value] = None
                return
            if len(nodes) * len(alternatives) > _MAX_ALTERNATIVES:
                raise InvalidFilter(f"a filter stands for at most {_MAX_ALTERNATIVES} alternatives in all")
            nodes = [node.children.setdefault(name, _Node()) for node in nodes for name in alternatives]
        for node in nodes:
            node.here[value] = None

    def remove(self, text: str, value: T) -> None:
        """Take a value away from under a filter; quietly nothing if it is not there."""
        self._remove(self._root, split_filter(text), 0, value)

    def _remove(self, node: _Node[T], levels: list[tuple[str, ...]], depth: int, value: T) -> None:
        if depth == len(levels):
            node.here.pop(value, None)
            return
        if levels[depth] == ("#",):
            node.rest.pop(value, None)
            return
        for name in levels[depth]:
            child = node.children.get(name)
            if child is not None:
                self._remove(child, levels, depth + 1, value)
                if child.empty:
                    del node.children[name]

    def match(self, topic: str) -> Iterator[T]:
        """Every value whose filter matches, in no promised order."""
        nodes, tails = self._walk(topic)
        yield from tails
        for node in nodes:
            yield from node.here
            yield from node.rest  # `a/#` matches `a` too

    def below(self, topic: str) -> Below[T] | None:
        """What listens to topics one level below `topic`, or None if nothing does."""
        nodes, tails = self._walk(topic)
        tails = [*tails, *(value for node in nodes for value in node.rest)]
        nodes = [node for node in nodes if node.children]
        return Below(nodes, tails) if nodes or tails else None

    def _walk(self, topic: str) -> tuple[list[_Node[T]], list[T]]:
        """Nodes at the topic's depth, and values of `#` filters passed on the way (not those at the nodes)."""
        nodes = [self._root]
        tails: list[T] = []
        hidden = topic.startswith("$")
        for depth, level in enumerate(topic.split("/")):
            wild = not (hidden and depth == 0)
            following = []
            for node in nodes:
                if wild and node.rest:
                    tails.extend(node.rest)
                if level in node.children:
                    following.append(node.children[level])
                if wild and "+" in node.children:
                    following.append(node.children["+"])
            if not following:
                return [], tails
            nodes = following
        return nodes, tails


class Below(Generic[T]):
    """Listeners one level below a topic, found once and asked for many names."""

    __slots__ = ("_nodes", "_tails")

    def __init__(self, nodes: list[_Node[T]], tails: list[T]) -> None:
        self._nodes = nodes
        self._tails = tails

    def match(self, name: str) -> Iterator[T]:
        """Values that match `topic/name`."""
        yield from self._tails
        for node in self._nodes:
            for key in (name, "+"):
                child = node.children.get(key)
                if child is not None:
                    yield from child.here
                    yield from child.rest
