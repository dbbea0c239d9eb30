"""Bodies of every message: constructed vectors in both directions, short bodies, random bytes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayframe.protocols.jt1078 import (
    DECODERS,
    NO_TIME,
    AlarmIdentifier,
    BodyError,
    LiveRequest,
    PlaybackControl,
    bcd_to_unix,
    decode_body,
    unix_to_bcd,
)

DATA = Path(__file__).parent / "data"
CASES: list[dict[str, Any]] = json.loads((DATA / "signalling.json").read_text())["cases"]
SHORT: list[dict[str, Any]] = json.loads((DATA / "short_bodies.json").read_text())["cases"]


def shown(value: Any) -> Any:
    """A field in JSON terms."""
    if isinstance(value, AlarmIdentifier):
        return value.raw.hex()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [shown(entry) for entry in value]
    if dataclasses.is_dataclass(value):
        if hasattr(value, "raw_name") and hasattr(value, "size") and not hasattr(value, "ID"):
            return [value.name, value.size]
        return {field.name: shown(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_body(case: dict[str, Any]) -> None:
    body = bytes.fromhex(case["body"])
    message = decode_body(int(case["message_id"], 16), body)
    assert shown(message) == case["fields"]
    assert message.encode() == body


def test_every_message_has_a_vector() -> None:
    assert {int(case["message_id"], 16) for case in CASES} == set(DECODERS)


@pytest.mark.parametrize("case", SHORT, ids=lambda case: case["message_id"])
def test_short_body(case: dict[str, Any]) -> None:
    with pytest.raises(BodyError):
        decode_body(int(case["message_id"], 16), bytes.fromhex(case["body"]))


def test_unknown_message() -> None:
    with pytest.raises(KeyError):
        decode_body(0x0200, b"")


def test_identifier_fields() -> None:
    case = next(case for case in CASES if case["name"] == "list Yue-biao")
    found: Any = decode_body(0x1210, bytes.fromhex(case["body"]))
    assert found.identifier.terminal_id == "YUE-TERMINAL-0001"
    assert (found.identifier.sequence, found.identifier.attachments) == (4, 1)
    assert found.identifier.time == "260319081502"
    assert found.identifier.unix_time(0) == 1773908102.0


def test_padding_in_front_of_a_name_is_stripped() -> None:
    raw = b"\0\0a.jpg\0"
    found: Any = decode_body(0x1211, bytes((len(raw),)) + raw + b"\0" + (5).to_bytes(4, "big"))
    assert (found.name, found.raw_name) == ("a.jpg", raw)


def test_text_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="255"):
        LiveRequest("h" * 256, 1, 0, 1, 0, 0).encode()
    with pytest.raises(ValueError, match="12 digits"):
        PlaybackControl(1, 5, position="2603").encode()


@given(st.sampled_from(sorted(DECODERS)), st.binary(max_size=300))
def test_random_bodies_raise_nothing_else(message_id: int, body: bytes) -> None:
    try:
        message = decode_body(message_id, body)
    except BodyError:
        return
    assert decode_body(message_id, message.encode()) == message


def test_times() -> None:
    assert bcd_to_unix("260319081502") == 1773908102.0 - 8 * 3600
    assert bcd_to_unix("260319081502", -3 * 3600) == 1773908102.0 + 3 * 3600
    assert unix_to_bcd(1773908102.9, 0) == "260319081502"
    assert bcd_to_unix("991231235959", 0) == 4102444799.0


@pytest.mark.parametrize("bcd", [NO_TIME, "261319081502", "260230000000", "2603190815ff", "260319256000", "26"])
def test_impossible_times(bcd: str) -> None:
    assert bcd_to_unix(bcd) is None


def test_years_outside_bcd() -> None:
    with pytest.raises(ValueError, match="2000 to 2099"):
        unix_to_bcd(0.0)


@given(st.integers(946_684_800 + 86_400, 4_102_444_799 - 86_400), st.integers(-43_200, 50_400))
def test_times_round_trip(unix: int, offset: int) -> None:
    assert bcd_to_unix(unix_to_bcd(unix, offset), offset) == unix
