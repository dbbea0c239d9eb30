"""Message bodies of every edition, from tests/protocols/jt808/data/bodies.json; and bodies that do not fit."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from wayframe.protocols.jt808.frames import Layout
from wayframe.protocols.jt808.messages import KNOWN, MAX_INFLATED, Compressed, decode_body
from wayframe.protocols.jt808.terminal_parameters import PARAMETERS, parameter
from wayframe.protocols.jt1078.signalling import DECODERS as VIDEO
from wayframe.protocols.jt1078.wire import BodyError

CASES = json.loads((Path(__file__).parent / "data" / "bodies.json").read_text("utf-8"))["bodies"]
LAYOUTS = {"2013": Layout.V2013, "2019": Layout.V2019}


def plain(value: Any) -> Any:
    """A record as JSON shows it."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, bytes):
        return value.hex()
    return [plain(item) for item in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['id']}-{case['layout']}-{case['hex'][:12]}")
def test_body(case: dict[str, Any]) -> None:
    body, layout = bytes.fromhex(case["hex"]), LAYOUTS[case["layout"]]
    message = decode_body(int(case["id"], 16), body, layout)
    assert plain(message) == {**({"extra": ""} if not case["fields"] else {}), **case["fields"]}
    if not case.get("one_way"):
        assert message.encode(layout) == body  # type: ignore[call-arg]  # no video message is among the cases


def test_the_cases_cover_every_message() -> None:
    assert {int(case["id"], 16) for case in CASES} == set(KNOWN) - set(VIDEO)


@pytest.mark.parametrize("case", [c for c in CASES if c["hex"] and not c.get("one_way")], ids=lambda case: case["id"])
def test_a_body_cut_anywhere_is_read_or_refused_but_never_breaks(case: dict[str, Any]) -> None:
    body, layout = bytes.fromhex(case["hex"]), LAYOUTS[case["layout"]]
    for end in range(len(body)):
        try:
            decode_body(int(case["id"], 16), body[:end], layout)
        except BodyError as error:
            assert str(error)


def test_an_unknown_id_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        decode_body(0x0F77, b"", Layout.V2013)


def test_compressed_bodies_are_limited() -> None:
    assert Compressed(3, gzip.compress(b"abc")).inflate() == b"abc"
    with pytest.raises(BodyError, match="unfolds to more"):
        Compressed(0, gzip.compress(bytes(MAX_INFLATED + 1))).inflate()
    with pytest.raises(BodyError, match="not gzip"):
        Compressed(0, b"xyz").inflate()


def test_parameters_by_name_and_by_id() -> None:
    assert parameter("report_interval", 30).raw == bytes.fromhex("0000001e")
    assert parameter("fence_radius", 30).raw == bytes.fromhex("001e")
    assert parameter("main_server", "a.b").raw == b"a.b"
    assert parameter("0xF364", "0102") == parameter("adas", "0102")
    assert parameter("0x12345678", "ff").name == "0x12345678"
    assert len({spec.name for spec in PARAMETERS.values()}) == len(PARAMETERS)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("nonsense", 1, "unknown parameter"),
        ("0xZZ", 1, "unknown parameter"),
        ("report_interval", -1, "takes an integer 0..4294967295"),
        ("report_interval", "30", "takes an integer"),
        ("plate_color", 256, "0..255"),
        ("adas", "xyz", "hex digits"),
        ("main_server", "x" * 256, "at most 255 bytes"),
    ],
)
def test_parameters_say_what_is_wrong(name: str, value: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parameter(name, value)


def test_values_read_by_type_and_otherwise_as_hex() -> None:
    assert parameter("report_interval", 30).value == 30
    assert parameter("plate", "粤B1").value == "粤B1"
    assert dataclasses.replace(parameter("report_interval", 30), raw=b"\x01").value == "01"
    assert parameter("0xC112", "05").value == "05"
