"""From tokens to the syntax tree: a Pratt parser over the grammar of section 4."""

from __future__ import annotations

from .environment import Mode
from .errors import ErrorKind, RefusedError
from .functions import FUNCTIONS, Function
from .limits import MAX_NESTING
from .nodes import Call, Chain, Choice, Field, Index, Junction, Literal, Node, Previous, Unary
from .tokens import Sort, StringLiteral, Token, tokenize

_OR = 1
_AND = 2
_LEVELS: dict[str, int] = {"||": _OR, "&&": _AND}
"""Binding strength of binary operators; all are left-associative."""
for _level, _operators in enumerate(("|", "^", "&", "== = != ~", "< <= > >=", "<< >>", "+ -", "* / %"), _AND + 1):
    _LEVELS.update(dict.fromkeys(_operators.split(), _level))
_SAME = {"=": "=="}
_WORDS: dict[str, object] = {"true": True, "false": False, "null": None}
_PREFIX = ("-", "+", "!")


def parse(text: str, mode: Mode) -> Node:
    """Parse a whole expression.

    Raises RefusedError with the 1-based column: `parse`, `context` (a function or `#name` not for this mode), `limit`.
    """
    return _Parser(tokenize(text), mode).whole()


class _Parser:
    def __init__(self, tokens: list[Token], mode: Mode) -> None:
        self._tokens = tokens
        self._at = 0
        self._mode = mode
        self._depth = 0

    def whole(self) -> Node:
        first = self._ternary()
        parts = [first]
        while self._mode is not Mode.TEMPLATE and self._skip(","):
            parts.append(self._ternary())
        sort, value, column = self._tokens[self._at]
        if sort is not Sort.END:
            raise _unexpected(sort, value, column)
        return first if len(parts) == 1 else Junction(first.column, True, tuple(parts))

    def _skip(self, operator: str) -> bool:
        sort, value, _ = self._tokens[self._at]
        if sort is Sort.OPERATOR and value == operator:
            self._at += 1
            return True
        return False

    def _expect(self, operator: str) -> None:
        if not self._skip(operator):
            sort, value, column = self._tokens[self._at]
            raise _unexpected(sort, value, column, f"{operator!r} is expected here")

    def _enter(self, column: int) -> None:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise RefusedError(ErrorKind.LIMIT, f"an expression may nest {MAX_NESTING} deep", column)

    def _ternary(self) -> Node:
        arms: list[tuple[Node, Node]] = []
        while True:
            node = self._binary(_OR)
            column = self._tokens[self._at][2]
            if not self._skip("?"):
                break
            self._enter(column)
            value = self._ternary()
            self._depth -= 1
            self._expect(":")
            arms.append((node, value))
        return Choice(arms[0][0].column, tuple(arms), node) if arms else node

    def _binary(self, weakest: int) -> Node:
        """Operators at least as strong as `weakest`; each turn takes all steps of one level."""
        left = self._unary()
        while True:
            sort, value, _ = self._tokens[self._at]
            level = _LEVELS.get(str(value), 0) if sort is Sort.OPERATOR else 0
            if level < weakest or not level:
                return left
            left = self._junction(left, level) if level <= _AND else self._chain(left, level)

    def _junction(self, first: Node, level: int) -> Node:
        parts = [first]
        while self._skip("||" if level == _OR else "&&"):
            parts.append(self._binary(level + 1))
        return Junction(first.column, level == _AND, tuple(parts))

    def _chain(self, first: Node, level: int) -> Node:
        """A run of operators of one level; a weaker run that follows takes this one as its first operand."""
        steps: list[tuple[str, Node, int]] = []
        while True:
            sort, value, column = self._tokens[self._at]
            operator = str(value)
            if sort is not Sort.OPERATOR or _LEVELS.get(operator) != level:
                return Chain(first.column, first, tuple(steps))
            self._at += 1
            steps.append((_SAME.get(operator, operator), self._binary(level + 1), column))

    def _unary(self) -> Node:
        sort, value, column = self._tokens[self._at]
        if sort is not Sort.OPERATOR or value not in _PREFIX:
            return self._postfix()
        self._at += 1
        self._enter(column)
        operand = self._unary()
        self._depth -= 1
        return Unary(column, str(value), operand)

    def _postfix(self) -> Node:
        base = self._primary()
        keys: list[Node] = []
        while True:
            column = self._tokens[self._at][2]
            if not self._skip("["):
                return Index(base.column, base, tuple(keys)) if keys else base
            self._enter(column)
            keys.append(self._ternary())
            self._depth -= 1
            self._expect("]")

    def _primary(self) -> Node:
        sort, value, column = self._tokens[self._at]
        if sort is Sort.END:
            raise RefusedError(ErrorKind.PARSE, "the expression ends too early", column)
        self._at += 1
        if sort is Sort.NAME:
            return self._name(str(value), column)
        if sort is Sort.NUMBER:
            return Literal(column, value)
        if isinstance(value, StringLiteral):
            return Literal(column, value.text, value.pattern)
        if sort is Sort.OPTIONAL:
            return Field(column, str(value), optional=True)
        if sort is Sort.PREVIOUS:
            if self._mode is not Mode.CALC:
                raise RefusedError(ErrorKind.CONTEXT, f"#{value} works in calculators and plugins only", column)
            return Previous(column, str(value))
        if value != "(":
            raise _unexpected(sort, value, column)
        self._enter(column)
        inner = self._ternary()
        self._depth -= 1
        self._expect(")")
        return inner

    def _name(self, name: str, column: int) -> Node:
        if name in _WORDS:
            return Literal(column, _WORDS[name])
        if not self._skip("("):
            return Field(column, name, optional=False)
        function = self._function(name, column)
        arguments: list[Node] = []
        self._enter(column)
        if not self._skip(")"):
            arguments.append(self._ternary())
            while self._skip(","):
                arguments.append(self._ternary())
            self._expect(")")
        self._depth -= 1
        return _call(function, arguments, column)

    def _function(self, name: str, column: int) -> Function:
        function = FUNCTIONS.get(name)
        if function is None:
            raise RefusedError(ErrorKind.PARSE, f"there is no function {name}()", column)
        if function.calc_only and self._mode is not Mode.CALC:
            raise RefusedError(ErrorKind.CONTEXT, f"{name}() works in calculators and plugins only", column)
        return function


def _call(function: Function, arguments: list[Node], column: int) -> Node:
    if not function.minimum <= len(arguments) <= function.maximum:
        raise RefusedError(ErrorKind.PARSE, f"{function.usage} cannot take {len(arguments)} arguments", column)
    if function.name == "if":
        condition, value, otherwise = arguments
        return Choice(column, ((condition, value),), otherwise)
    if function.name == "not":
        return Unary(column, "!", arguments[0])
    return Call(column, function, tuple(arguments))


def _unexpected(sort: Sort, value: object, column: int, hint: str = "") -> RefusedError:
    if sort is Sort.END:
        what = "the expression ends too early"
    elif sort is Sort.STRING:
        what = "unexpected string"
    else:
        what = f"unexpected {value!r}"
    return RefusedError(ErrorKind.PARSE, f"{what}: {hint}" if hint else what, column)
