"""Active safety alarms: records, parameters, dialects by length, and what is left to others."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayframe.protocols.jt1078 import ALARM_DECODERS, AlarmIdentifier, SafetyAlarm, decode_alarm

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data/alarms.json").read_text())["cases"]


def shown(value: Any) -> Any:
    if isinstance(value, AlarmIdentifier):
        return value.raw.hex()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [shown(entry) for entry in value]
    if dataclasses.is_dataclass(value):
        return {field.name: shown(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def decoded(case: dict[str, Any]) -> SafetyAlarm:
    alarm = decode_alarm(int(case["item"], 16), bytes.fromhex(case["value"]))
    assert alarm is not None
    return alarm


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_alarm(case: dict[str, Any]) -> None:
    alarm = decoded(case)
    assert shown(alarm) == case["fields"]
    assert alarm.to_parameters() == case["parameters"]
    assert alarm.encode().hex() == case["value"]


def test_every_item_has_a_vector() -> None:
    assert {int(case["item"], 16) for case in CASES} == set(ALARM_DECODERS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_other_lengths_are_left_raw(case: dict[str, Any]) -> None:
    value = bytes.fromhex(case["value"])
    for length in (0, 1, 4, len(value) - 5):
        assert decode_alarm(int(case["item"], 16), value[:length]) is None


def test_other_items_are_left_raw() -> None:
    assert decode_alarm(0x68, bytes(47)) is None


def test_place_parameters() -> None:
    place = decoded(CASES[0]).place
    assert place.parameters(south=True) == {
        "position.speed": 54,
        "position.altitude": 312,
        "position.valid": True,
        "engine.ignition.status": True,
        "status.bitmask": 0x0413,
        "position.latitude": -31.230416,
        "position.longitude": 121.473701,
        "timestamp": 1773908102.0 - 28_800,
    }
    assert place.parameters(west=True, offset_s=0)["position.longitude"] == -121.473701
    nowhere = dataclasses.replace(place, latitude=0, longitude=0, time="000000000000", status=0)
    found = nowhere.parameters()
    assert not {"position.latitude", "position.longitude", "timestamp"} & set(found)
    assert found["position.valid"] is False


@pytest.mark.parametrize(("length", "name"), [(16, "ABCDEFG"), (32, "ABCDEFG"), (38, "ABCDEFGH"), (40, "ABCDEFGH")])
def test_identifier_by_length(length: int, name: str) -> None:
    head = name.encode().ljust(30 if length > 32 else 7, b"\0")
    identifier = AlarmIdentifier((head + bytes.fromhex("2603190815020405")).ljust(length, b"\x09"))
    assert identifier.terminal_id == name
    assert identifier.time == "260319081502"
    assert (identifier.sequence, identifier.attachments) == (4, 5)
    assert set(identifier.reserved) <= {9}


@given(st.sampled_from(sorted({*ALARM_DECODERS, 0x68})), st.binary(max_size=160))
def test_random_items_raise_nothing(item: int, value: bytes) -> None:
    alarm = decode_alarm(item, value)
    if alarm is not None:
        assert alarm.encode() == value
        alarm.to_parameters()
        alarm.place.parameters()


@pytest.mark.shared
def test_shared_alarms(shared: Path) -> None:
    """Every item of the 808 vectors that one of our alarms can be."""
    seen = 0
    for case in json.loads((shared / "vectors/jt808.json").read_text())["vectors"]:
        for item in case["body"].get("items", []):
            want = (item.get("value") or {}).get("dsm") or (item.get("value") or {}).get("adas")
            if want is None:
                continue
            alarm: Any = decode_alarm(int(item["id"], 16), bytes.fromhex(item["raw"]))
            seen += 1
            assert alarm.encode().hex() == item["raw"]
            assert (alarm.alarm_id, alarm.flag) == (want["alarm_id"], want["flag_state"])
            assert (alarm.type, alarm.level) == (want["type"], want["level"])
            assert alarm.place.speed == want["speed_kmh"]
            assert (alarm.place.latitude, alarm.place.longitude) == (want["latitude_raw"], want["longitude_raw"])
            assert alarm.identifier.terminal_id == want["alarm_identifier"]["terminal_id"]
            assert alarm.identifier.attachments == want["alarm_identifier"]["attachments"]
    assert seen >= 2


@pytest.mark.shared
def test_names_are_flespi_names(shared: Path) -> None:
    known = json.loads((shared / "reference/flespi-names.json").read_text())["parameters"]
    kinds = {"number": (int, float), "string": (str,), "boolean": (bool,)}
    for case in CASES:
        alarm = decoded(case)
        for name, value in {**alarm.to_parameters(), **alarm.place.parameters()}.items():
            assert name.startswith("custom.jt808.") or type(value) in kinds[known[name][0]], name
