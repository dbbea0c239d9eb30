"""What is the same for every item of a scan, worked out once: `now()`, and the parts of a date made from it.

An expression is compiled without a clock. Bound to an environment, its calls of these functions are numbers, and the
compilers fold the arithmetic around them as they fold any constant.
"""

from __future__ import annotations

from dataclasses import replace

from .compiler import compile_node
from .environment import Environment
from .errors import EvaluationError
from .nodes import Call, Chain, Choice, Field, Index, Junction, Literal, Node, Previous, Unary

_OF_THE_MOMENT = frozenset(("now", "year", "month", "day", "hour", "minute", "second", "weekday"))
"""Functions that look at the environment and their arguments, and not at the item."""


def settled(node: Node, env: Environment) -> Node:
    """The tree with the values these calls have in one environment; the same object where there are none.

    A call that fails stays as it is, and fails for each item.
    """
    match node:
        case Literal() | Field() | Previous():
            return node
        case Call():
            return _call(node, env)
        case Unary():
            operand = settled(node.operand, env)
            return node if operand is node.operand else replace(node, operand=operand)
        case Chain():
            first = settled(node.first, env)
            steps = tuple((sign, settled(right, env), column) for sign, right, column in node.steps)
            same = first is node.first and all(new[1] is old[1] for new, old in zip(steps, node.steps, strict=True))
            return node if same else replace(node, first=first, steps=steps)
        case Junction():
            parts = _all(node.parts, env)
            return node if parts is node.parts else replace(node, parts=parts)
        case Choice():
            before = (*(part for arm in node.arms for part in arm), node.otherwise)
            after = _all(before, env)
            arms = tuple(zip(after[:-1:2], after[1::2], strict=True))
            return node if after is before else replace(node, arms=arms, otherwise=after[-1])
        case Index():
            before = (node.base, *node.keys)
            after = _all(before, env)
            return node if after is before else replace(node, base=after[0], keys=after[1:])


def _all(nodes: tuple[Node, ...], env: Environment) -> tuple[Node, ...]:
    new = tuple(settled(node, env) for node in nodes)
    return nodes if all(a is b for a, b in zip(new, nodes, strict=True)) else new


def _call(node: Call, env: Environment) -> Node:
    arguments = _all(node.arguments, env)
    call = node if arguments is node.arguments else replace(node, arguments=arguments)
    if call.function.name not in _OF_THE_MOMENT or not all(compile_node(part).constant for part in arguments):
        return call
    try:
        return Literal(call.column, compile_node(call).run({}, env))
    except EvaluationError:
        return call
