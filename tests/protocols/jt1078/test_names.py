"""Attachment names and vehicle state blocks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayframe.protocols.jt1078 import decode_states, encode_state, parse_name

DATA = Path(__file__).parent / "data"
NAMES: list[dict[str, Any]] = json.loads((DATA / "names.json").read_text())["cases"]
STATES: list[dict[str, Any]] = json.loads((DATA / "states.json").read_text())["cases"]


@pytest.mark.parametrize("case", NAMES, ids=lambda case: case["name"] or "empty")
def test_name(case: dict[str, Any]) -> None:
    found = parse_name(case["name"])
    if found is None:
        assert case["parts"] is None
        return
    parts = [found.kind, found.channel, found.alarm, found.item, found.alarm_type]
    assert [*parts, found.sequence, found.alarm_number, found.extension] == case["parts"]


@given(st.text(max_size=40))
def test_random_names_raise_nothing(name: str) -> None:
    parse_name(name)


@pytest.mark.parametrize("case", STATES, ids=lambda case: case["name"])
def test_states(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["hex"])
    states, bad = decode_states(data)
    got = [dataclasses.asdict(state) for state in states]
    for state in got:
        state["acceleration"], state["rotation"] = list(state["acceleration"]), list(state["rotation"])
    assert (got, bad) == (case["states"], case["bad"])
    if not bad:
        assert b"".join(encode_state(state) for state in states) == data


def test_state_time() -> None:
    states, _ = decode_states(bytes.fromhex(STATES[0]["hex"]))
    assert states[0].unix_time(0) == 1773908102.0


@given(st.binary(max_size=200))
def test_random_states_raise_nothing(data: bytes) -> None:
    states, bad = decode_states(data)
    assert len(states) + bad == -(-len(data) // 64)
