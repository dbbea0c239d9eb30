"""The syntax tree an expression is parsed into. Chains are flat lists, so that long ones never nest deeply."""

from __future__ import annotations

from dataclasses import dataclass

from .functions import Function
from .wildcards import Pattern


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, string, boolean or null in the text."""

    column: int
    """Where it stands, from 1."""
    value: object
    """Its value."""
    pattern: Pattern | None = None
    """For a string with unescaped wildcards: the pattern it is under `==`, `!=` and `~`."""


@dataclass(frozen=True, slots=True)
class Field:
    """A name: the value of a field of the context."""

    column: int
    """Where it stands, from 1."""
    name: str
    """The dotted name without its sign."""
    optional: bool
    """Written with `$`: null when absent."""


@dataclass(frozen=True, slots=True)
class Previous:
    """`#name`: the value of a field of the previous message, null when absent."""

    column: int
    """Where it stands, from 1."""
    name: str
    """The dotted name without its sign."""


@dataclass(frozen=True, slots=True)
class Unary:
    """`-x`, `+x` or `!x`."""

    column: int
    """Where the operator stands, from 1."""
    operator: str
    """`-`, `+` or `!`."""
    operand: Node
    """What it works on."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Binary operators applied from left to right: `first op right op right ...`."""

    column: int
    """Where the first operand stands, from 1."""
    first: Node
    """The leftmost operand."""
    steps: tuple[tuple[str, Node, int], ...]
    """Operator, right operand and the operator's column of each step."""


@dataclass(frozen=True, slots=True)
class Junction:
    """`a && b && ...`, `a || b || ...`, or a top-level comma list (an `&&` of its parts)."""

    column: int
    """Where the first part stands, from 1."""
    every: bool
    """True: all parts must hold; False: one is enough."""
    parts: tuple[Node, ...]
    """Two or more parts, evaluated in order until the result is known."""


@dataclass(frozen=True, slots=True)
class Choice:
    """`c ? a : b` or `if(c, a, b)`; a chain in the last branch is flat."""

    column: int
    """Where it begins, from 1."""
    arms: tuple[tuple[Node, Node], ...]
    """Condition and value of each arm, tried in order."""
    otherwise: Node
    """The value when no condition holds."""


@dataclass(frozen=True, slots=True)
class Index:
    """`x[k][k]...`."""

    column: int
    """Where the base stands, from 1."""
    base: Node
    """What is indexed."""
    keys: tuple[Node, ...]
    """The keys from left to right."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function call."""

    column: int
    """Where the name stands, from 1."""
    function: Function
    """The entry of the function table."""
    arguments: tuple[Node, ...]
    """As many as the function takes."""


Node = Literal | Field | Previous | Unary | Chain | Junction | Choice | Index | Call
