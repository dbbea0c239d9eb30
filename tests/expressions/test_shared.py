"""Every case of the shared conformance vectors for expressions and selectors."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from wayframe.expressions import (
    Environment,
    Escape,
    EvaluationError,
    ExpressionError,
    Mode,
    MqttMessage,
    RefusedError,
    compile,
    compile_selector,
    compile_template,
    parse_subscription,
    payload_context,
    split_path,
)

pytestmark = pytest.mark.shared


def load(shared: Path, name: str) -> Any:
    return json.loads((shared / "vectors" / name).read_text())


def environment(case: dict[str, Any]) -> Environment:
    return Environment(
        now=case.get("now", 1_700_000_000),
        timezone=case.get("timezone", "UTC"),
        previous=case.get("previous"),
        escape=Escape(case.get("escape", "none")),
    )


def context_of(case: dict[str, Any]) -> Any:
    context = case["context"]
    if case["mode"] == "mqtt-payload":
        return payload_context(context["payload"])
    if case["mode"] == "mqtt-message":
        return MqttMessage(**context).message_context
    return context


def outcome(case: dict[str, Any]) -> Any:
    try:
        if case["mode"] == "template":
            return compile_template(case["expr"]).render(case["context"], environment(case))
        return compile(case["expr"], Mode(case["mode"])).evaluate(context_of(case), environment(case))
    except ExpressionError as error:
        return error


def same(wanted: Any, got: Any, tolerance: float | None) -> bool:
    if isinstance(wanted, bool) or isinstance(got, bool) or wanted is None or got is None:
        return wanted is got
    if isinstance(wanted, int | float) and isinstance(got, int | float):
        if tolerance is not None:
            return abs(wanted - got) <= tolerance
        return math.isclose(wanted, got, rel_tol=1e-9)
    return bool(wanted == got)


def wrong(case: dict[str, Any]) -> str | None:
    """What is wrong with the outcome of one case, None when nothing is."""
    got = outcome(case)
    expected = case["expected"]
    if "error" in expected:
        refused = "match" not in case and case["mode"] != "template"
        wanted_class = RefusedError if refused else ExpressionError if case["mode"] == "template" else EvaluationError
        if not isinstance(got, wanted_class) or got.kind != expected["error"]:
            return f"{case['id']}: wanted {expected['error']}, got {got!r}"
    elif not same(expected["value"], got, case.get("tolerance")):
        return f"{case['id']}: wanted {expected['value']!r}, got {got!r}"
    if "match" in case:
        expression = compile(case["expr"], Mode(case["mode"]))
        if expression.matches(context_of(case), environment(case)) is not case["match"]:
            return f"{case['id']}: wanted match {case['match']}"
    return None


def test_expressions(shared: Path) -> None:
    cases = load(shared, "expressions.json")["cases"]
    assert len(cases) >= 418
    assert [problem for case in cases if (problem := wrong(case))] == []


def taken_apart(text: str) -> dict[str, Any]:
    try:
        found = parse_subscription(text)
    except ExpressionError as error:
        return {"error": str(error.kind)}
    result: dict[str, Any] = {"topic": found.topic}
    if found.share is not None:
        result["share"] = found.share
    if found.filter is not None:
        conditions = found.filter
        filters = {
            "cid": conditions.cid,
            "modified_since": conditions.modified_since,
            "payload": conditions.payload and conditions.payload.text,
            "message": conditions.message and conditions.message.text,
        }
        result["filters"] = {key: value for key, value in filters.items() if value is not None}
    return result


def test_mqtt_subscriptions(shared: Path) -> None:
    cases = load(shared, "expressions.json")["mqtt_subscriptions"]
    assert len(cases) >= 18
    assert [(c["id"], taken_apart(c["subscription"])) for c in cases] == [(c["id"], c["expected"]) for c in cases]


def chosen(text: str, items: dict[int, Any], env: Environment) -> dict[str, Any]:
    try:
        selector = compile_selector(text)
    except ExpressionError as error:
        return {"error": str(error.kind)}
    by_scan = selector.select(items.items(), env)
    assert selector.pick(items, env) == by_scan
    result: dict[str, Any] = {"ids": by_scan.ids}
    if by_scan.missing_ids:
        result["missing_ids"] = by_scan.missing_ids
    return result


def test_selectors(shared: Path) -> None:
    vectors = load(shared, "selectors.json")
    fleet = {item["id"]: item for item in reversed(vectors["fleet"])}
    env = Environment(now=vectors["now"])
    cases = vectors["cases"]
    assert len(cases) >= 99
    wanted = [
        (case["id"], {key: case[key] for key in ("ids", "missing_ids", "error") if key in case}) for case in cases
    ]
    assert [(case["id"], chosen(case["selector"], fleet, env)) for case in cases] == wanted


def segments(raw_path: str) -> dict[str, Any]:
    try:
        return {"segments": split_path(raw_path)}
    except ExpressionError as error:
        return {"error": str(error.kind)}


def test_paths(shared: Path) -> None:
    cases = load(shared, "selectors.json")["paths"]
    assert len(cases) >= 28
    for case in cases:
        wanted = {key: case[key] for key in ("segments", "error") if key in case}
        assert segments(case["raw_path"]) == wanted, case["id"]
        assert segments(case["raw_path"] + "?data={}") == wanted, case["id"]


def test_nested(shared: Path) -> None:
    vectors = load(shared, "selectors.json")
    fleet = {item["id"]: item for item in vectors["fleet"]}
    calcs = {item["id"]: item for item in vectors["calcs"]}
    env = Environment(now=vectors["now"])
    assert len(vectors["nested"]) >= 6
    for case in vectors["nested"]:
        _, _, outer, _, inner = split_path(case["path"])
        pairs = [
            [calc, device]
            for calc in compile_selector(outer).pick(calcs, env).ids
            for device in compile_selector(inner).pick({at: fleet[at] for at in calcs[calc]["devices"]}, env).ids
        ]
        assert pairs == case["pairs"], case["id"]
