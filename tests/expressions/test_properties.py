"""What must hold for every input: only the room's own errors come out, and both compilers agree."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from wayframe.expressions import (
    FUNCTIONS,
    Environment,
    EvaluationError,
    ExpressionError,
    Mode,
    RefusedError,
    compile,
    compile_pattern,
    compile_selector,
    compile_template,
    parse_pattern,
    parse_subscription,
    split_path,
    truth,
)

WORDS = [
    *("+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "<", "<=", ">", ">=", "==", "=", "!=", "~", "&&", "||", "!"),
    *("?", ":", ",", "(", ")", "[", "]", "{", "}", ".", "$", "#", "@", "\\", "'", '"', "%{", "}%", "%20", "%zz", "all"),
    *(
        "a",
        "b.c",
        "$a",
        "$b.c",
        "#a",
        "true",
        "false",
        "null",
        "0",
        "1",
        "2.5",
        "0x1F",
        "1e308",
        "''",
        "'a*'",
        "'/a/0'",
    ),
    *(f"{name}(" for name in FUNCTIONS),
    " ",
]
TEXTS = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(WORDS), max_size=25).map("".join))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c", "b.c"]), inner),
    max_leaves=8,
)
# a context is what came out of JSON: no NaN, no infinities
CONTEXTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.sampled_from(["a", "b", "c", "b.c"]), JSON, max_size=4)

ATOMS = ["a", "$a", "b.c", "$b.c", "#a", "1", "-2.5", "0", "'x'", "'1*'", "null", "true", "$b['/c']", "now()", "a[0]"]
BINARY = ["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "<", "<=", ">", ">=", "==", "!=", "~", "&&", "||", ","]
CALLS = [f for f in FUNCTIONS.values() if f.name != "error"]


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.builds(lambda x, op, y: f"({x} {op} {y})", inner, st.sampled_from(BINARY[:-1]), inner)
    calls = st.sampled_from(CALLS).flatmap(
        lambda f: st.lists(inner, min_size=f.minimum, max_size=max(f.minimum, min(f.maximum, 3))).map(
            lambda given: f"{f.name}({','.join(given)})"
        )
    )
    return (
        binary | calls | inner.map(lambda x: f"!{x}") | st.builds(lambda c, x, y: f"({c}?{x}:{y})", inner, inner, inner)
    )


EXPRESSIONS = st.recursive(st.sampled_from(ATOMS), grown, max_leaves=8)
ENV = Environment(now=1.0, previous={"a": 1}, geofences={"x": lambda lat, lon: True})


@given(TEXTS, CONTEXTS)
@settings(max_examples=400)
def test_any_text_is_refused_or_evaluates(text: str, context: dict[str, Any]) -> None:
    for mode in Mode:
        try:
            expression = compile(text, mode)
        except RefusedError:
            continue
        try:
            expression.evaluate(context, ENV)
        except EvaluationError:
            pass
        assert isinstance(expression.matches(context, ENV), bool)


@given(EXPRESSIONS, CONTEXTS)
@settings(max_examples=600)
def test_matching_is_the_truth_of_the_value(text: str, context: dict[str, Any]) -> None:
    expression = compile(text, Mode.CALC)
    try:
        wanted = truth(expression.evaluate(context, ENV))
    except EvaluationError as error:
        assert error.column is not None
        wanted = False
    assert expression.matches(context, ENV) is wanted
    assert bool(expression.predicate(ENV)(context)) is wanted


@given(TEXTS, CONTEXTS)
@settings(max_examples=300)
def test_selectors_templates_paths_and_subscriptions_raise_only_their_own(text: str, context: dict[str, Any]) -> None:
    try:
        selection = compile_selector(text).pick({1: context, 2: {}}, ENV)
        assert set(selection.ids) <= {1, 2}
    except RefusedError:
        pass
    try:
        assert isinstance(compile_template(text).render(context, ENV), str)
    except ExpressionError:
        pass
    for attempt in (split_path, parse_subscription):
        try:
            attempt("$filter/payload=" + text)
            attempt(text)
        except RefusedError:
            pass


def naive(pattern: str, text: str) -> bool:
    source = "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in pattern)
    return re.fullmatch(source, text, re.DOTALL) is not None


@given(st.text("ab*?", max_size=9), st.text("ab*\n", max_size=12))
@settings(max_examples=1000)
def test_wildcards_match_like_the_naive_reference(pattern: str, text: str) -> None:
    assert compile_pattern(parse_pattern(pattern))(text) is naive(pattern, text)


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda part: "{" not in part), max_size=4))
def test_encoded_segments_come_back(parts: list[str]) -> None:
    encoded = "/".join("".join(f"%{byte:02X}" for byte in part.encode()) for part in parts)
    assert split_path("/" + encoded) == parts
