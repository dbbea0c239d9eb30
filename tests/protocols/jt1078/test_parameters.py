"""Video and active safety parameters: values by id and exact length, both directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayframe.protocols.jt1078 import PARAMETER_IDS, decode_parameter, encode_parameter

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data/parameters.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_parameter(case: dict[str, Any]) -> None:
    parameter_id, raw = int(case["id"], 16), bytes.fromhex(case["raw"])
    assert decode_parameter(parameter_id, raw) == case["values"]
    assert encode_parameter(parameter_id, case["values"]) == raw


def test_every_parameter_has_a_vector() -> None:
    assert {int(case["id"], 16) for case in CASES} == PARAMETER_IDS


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_other_lengths_stay_raw(case: dict[str, Any]) -> None:
    raw = bytes.fromhex(case["raw"])
    for other in (b"", raw[:-1], raw + b"\0"):
        assert decode_parameter(int(case["id"], 16), other) is None


def test_unknown_parameter() -> None:
    assert decode_parameter(0x0001, b"\0\0\0\1") is None
    with pytest.raises(KeyError):
        encode_parameter(0x0001, {})


@pytest.mark.parametrize(
    ("parameter_id", "values", "why"),
    [
        (0x007B, {"passenger_limit": 256, "fatigue_threshold": 1}, "0..255"),
        (0x007B, {"passenger_limit": "9", "fatigue_threshold": 1}, "0..255"),
        (0x0076, {"channels": 3}, "list"),
        (0x007C, {"mode": 1, "condition": 0, "weekdays": 0, "periods_enabled": 0, "periods": []}, "must be 4"),
    ],
)
def test_values_that_do_not_fit(parameter_id: int, values: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        encode_parameter(parameter_id, values)


@given(st.sampled_from(sorted(PARAMETER_IDS)), st.binary(max_size=80))
def test_random_values_raise_nothing(parameter_id: int, raw: bytes) -> None:
    values = decode_parameter(parameter_id, raw)
    if values is not None and parameter_id != 0xF366:
        assert encode_parameter(parameter_id, values) == raw


@pytest.mark.shared
def test_shared_parameters(shared: Path) -> None:
    """Every video parameter of the 808 vectors is read, or kept raw because its length is a dialect's."""
    dialects = {(0xF364, 57), (0xF365, 65)}
    seen = set()
    for case in json.loads((shared / "vectors/jt808.json").read_text())["vectors"]:
        for entry in case["body"].get("params", []):
            parameter_id, raw = int(entry["id"], 16), bytes.fromhex(entry["raw"])
            if parameter_id not in PARAMETER_IDS:
                continue
            values = decode_parameter(parameter_id, raw)
            if values is None:
                assert (parameter_id, len(raw)) in dialects
                continue
            seen.add(parameter_id)
            assert encode_parameter(parameter_id, values) == raw
    assert {0x75, 0x76, 0x77, 0x79, 0x7A, 0x7B, 0x7C, 0xF367} <= seen
