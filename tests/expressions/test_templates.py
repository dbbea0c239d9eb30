"""Templates: placeholders, escaping and errors."""

from __future__ import annotations

import pytest

from wayframe.expressions import Environment, Escape, EvaluationError, RefusedError, compile_template

CONTEXT = {"name": 'a "b"\n/ž', "speed": 60.0, "list": [1, {"k": None}], "lone": "\ud800"}


@pytest.mark.parametrize(
    ("text", "escape", "wanted"),
    [
        ("plain 100% {x} %}", Escape.NONE, "plain 100% {x} %}"),
        ("", Escape.NONE, ""),
        ("%{speed}%%{speed + 1}%", Escape.NONE, "6061"),
        ("<%{list}%>", Escape.NONE, '<[1,{"k":null}]>'),
        ("%{$nope}%", Escape.NONE, "null"),
        ("%{ '}%' + \"'}%\" + '\\'' }%", Escape.NONE, "}%'}%'"),
        ("%{list['/1/k']}%", Escape.NONE, "null"),
        ('{"n":"%{name}%"}', Escape.JSON, '{"n":"a \\"b\\"\\n/ž"}'),
        ("/%{name}%", Escape.URL, "/a%20%22b%22%0A%2F%C5%BE"),
        ("%{lone}%", Escape.URL, "%3F"),
    ],
)
def test_render(text: str, escape: Escape, wanted: str) -> None:
    template = compile_template(text)
    assert template.render(CONTEXT, Environment(escape=escape)) == wanted
    assert template.is_plain is ("%{" not in text)


@pytest.mark.parametrize(
    ("text", "kind", "column"),
    [
        ("ab %{speed", "parse", 4),
        ("ab %{'}%", "parse", 4),
        ("%{}%", "parse", 3),
        ("%{1,2}%", "parse", 4),
        ("x%{1 +}%", "parse", 7),
        ("x%{mileage()}%", "context", 4),
        ("%{1}%" * 1001, "limit", 5001),
    ],
)
def test_refused(text: str, kind: str, column: int) -> None:
    with pytest.raises(RefusedError) as refusal:
        compile_template(text)
    assert (refusal.value.kind, refusal.value.column) == (kind, column)


def test_a_failing_placeholder_fails_the_rendering() -> None:
    with pytest.raises(EvaluationError) as failure:
        compile_template("ok %{speed}% and %{1 + nope}%").render(CONTEXT)
    assert (failure.value.kind, failure.value.column) == ("missing", 24)
