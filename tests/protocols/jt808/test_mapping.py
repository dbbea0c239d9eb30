"""Location reports as device messages: each bit, each item, times and places that cannot be."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayframe.protocols.jt808.frames import Layout
from wayframe.protocols.jt808.location import Item, Location, LocationBatch
from wayframe.protocols.jt808.mapping import (
    ALARM_BITS,
    ITEMS,
    SIGNAL_BITS,
    STATUS_BITS,
    Moment,
    map_batch,
    map_location,
)
from wayframe.protocols.jt808.message_parameters import MESSAGE_PARAMETERS

from .conversation import LOCATION, START, with_items

MOMENT = Moment(START, 8 * 3600)
LISTED = {name: kind for name, kind, _ in MESSAGE_PARAMETERS}


def mapped(location: Location, layout: Layout = Layout.V2013) -> dict[str, Any]:
    (message,) = map_location(location, layout, MOMENT).messages
    return message


def test_the_fixed_part() -> None:
    message = mapped(LOCATION)
    assert {
        "timestamp": START,
        "position.latitude": 10.0,
        "position.longitude": 20.0,
        "position.altitude": 50,
        "position.speed": 60.0,
        "position.direction": 90,
        "position.valid": True,
        "engine.ignition.status": True,
        "alarm.sign.bitmask": 0,
        "status.bitmask": 3,
        "vehicle.oil.circuit.status": True,
        "door.open.status": False,
    }.items() <= message.items()
    assert "event.seqnum" not in message
    assert map_location(LOCATION, Layout.V2013, MOMENT, 7).messages[0]["event.seqnum"] == 7


@pytest.mark.parametrize("bit", range(32))
def test_each_alarm_bit_names_one_parameter_and_only_while_it_is_set(bit: int) -> None:
    assert mapped(dataclasses.replace(LOCATION, alarm=1 << bit))[ALARM_BITS[bit]] is True
    assert ALARM_BITS[bit] not in mapped(LOCATION)


@pytest.mark.parametrize("bit", STATUS_BITS)
def test_each_status_bit_shows_both_values(bit: int) -> None:
    assert mapped(dataclasses.replace(LOCATION, status=1 << bit))[STATUS_BITS[bit]] is True
    assert mapped(dataclasses.replace(LOCATION, status=0))[STATUS_BITS[bit]] is False


@pytest.mark.parametrize(
    ("status", "name", "value"),
    [
        (1 << 10, "vehicle.oil.circuit.status", False),
        (1 << 13, "door.open.status", True),
        (1 << 17, "custom.jt808.door.bitmask", 16),
        (3 << 8, "custom.jt808.load", 3),
        (1 << 2, "position.latitude", -10.0),
        (1 << 3, "position.longitude", -20.0),
    ],
)
def test_other_status_bits(status: int, name: str, value: object) -> None:
    assert mapped(dataclasses.replace(LOCATION, status=status))[name] == value


def test_bits_that_only_2019_knows() -> None:
    location = dataclasses.replace(LOCATION, status=1 << 6 | 1 << 7 | 1 << 22)
    new = {"adas.collision.warning.event", "adas.lane.departure.event", "movement.status"}
    assert new <= mapped(location, Layout.V2019).keys()
    assert not new & mapped(location).keys()
    assert mapped(LOCATION, Layout.V2019)["movement.status"] is False


ITEM_CASES: list[tuple[int, str, dict[str, object]]] = [
    (0x01, "0000000b", {"vehicle.mileage": 1.1}),
    (0x02, "0016", {"fuel.volume": 2.2}),
    (0x02, "8032", {"fuel.level": 50}),
    (0x03, "0021", {"can.tacho.position.speed": 3.3}),
    (0x04, "002c", {"event.enum": 44}),
    (0x05, "10ff" + "20" * 28, {"custom.jt808.tire.pressure.1": 16, "custom.jt808.tire.pressure.30": 32}),
    (0x06, "0019", {"cabin.inside.temperature": 25}),
    (0x06, "8019", {"cabin.inside.temperature": -25}),
    (0x11, "00", {"geofence.shape": "none"}),
    (0x11, "0100000005", {"geofence.shape": "circle", "geofence.id": 5}),
    (0x12, "030000000500", {"geofence.shape": "polygon", "geofence.id": 5, "geofence.in.alarm": True}),
    (0x12, "040000000501", {"geofence.shape": "route", "geofence.out.alarm": True}),
    (0x12, "630000000507", {"geofence.shape": "99", "custom.jt808.area.direction": 7}),
    (
        0x13,
        "00000009003c01",
        {
            "custom.jt808.segment.id": 9,
            "custom.jt808.segment.duration": 60,
            "custom.jt808.segment.result": 1,
        },
    ),
    (0x14, "00000007", {"video.alarm.bitmask": 7, "video.loss.alarm": True, "video.blind.alarm": True}),
    (0x15, "80000005", {"video.loss.alarm.1": True, "video.loss.alarm.3": True, "video.loss.alarm.32": True}),
    (0x16, "00000002", {"video.blind.alarm.2": True}),
    (0x17, "1001", {"memory.fault.status.bitmask": 0x1001}),
    (
        0x18,
        "0007",
        {
            "driving.alarm.bitmask": 7,
            "dsm.fatigue.event": True,
            "dsm.driver.phone.event": True,
            "dsm.smoking.event": True,
        },
    ),
    (0x18, "000132", {"driving.alarm.bitmask": 1, "dsm.fatigue.event": True, "dsm.fatigue.degree": 50}),
    (0x2A, "0002", {"din": 2, "sleep.mode.status": True}),
    (0x2A, "0000", {"din": 0, "sleep.mode.status": False}),
    (0x2B, "00020001", {"ain.1": 1, "ain.2": 2}),
    (0x30, "1f", {"gsm.signal.quality": 31}),
    (0x31, "0c", {"position.satellites": 12}),
    (0xE1, "0102", {"custom.jt808.0xe1": "0102"}),
    (0x01, "0b", {"custom.jt808.0x01": "0b"}),
    (0x06, "05", {"custom.jt808.0x06": "05"}),
    (0x67, "3132333435363738", {"custom.jt808.0x67": "3132333435363738"}),
    (0x33, "", {"custom.jt808.0x33": ""}),
]


@pytest.mark.parametrize(("id", "raw", "expected"), ITEM_CASES)
def test_each_item(id: int, raw: str, expected: dict[str, object]) -> None:
    assert expected.items() <= mapped(with_items((id, raw))).items()


def test_the_cases_cover_every_item() -> None:
    covered = {(id, len(raw) // 2) for id, raw, _ in ITEM_CASES} | {(0x25, 4)}
    assert set(ITEMS) <= covered


def test_invalid_tyres_are_left_out() -> None:
    assert "custom.jt808.tire.pressure.2" not in mapped(with_items((0x05, "10ff" + "20" * 28)))


@pytest.mark.parametrize("bit", SIGNAL_BITS)
def test_each_vehicle_signal_shows_both_values(bit: int) -> None:
    assert mapped(with_items((0x25, f"{1 << bit:08x}")))[SIGNAL_BITS[bit]] is True
    assert mapped(with_items((0x25, "00000000")))[SIGNAL_BITS[bit]] is False


def test_lost_channels_are_named_only_once() -> None:
    message = mapped(with_items((0x14, "00000001"), (0x15, "00000002")))
    assert message["video.loss.alarm.2"] is True
    assert "video.loss.alarm" not in message


def test_the_same_unknown_item_twice() -> None:
    message = mapped(with_items((0xE1, "01"), (0xE1, "02")))
    assert (message["custom.jt808.0xe1"], message["custom.jt808.0xe1.2"]) == ("01", "02")


def test_a_cut_item_is_kept() -> None:
    assert mapped(dataclasses.replace(LOCATION, rest=b"\x01\x04\x00"))["custom.jt808.rest"] == "010400"


@pytest.mark.parametrize(
    ("time", "timestamp", "raw"),
    [
        ("260529042640", START, None),
        ("260530042640", START + 86_400, None),
        ("260530042641", START, "260530042641"),
        ("000000000000", START, None),
        ("261399042640", START, "261399042640"),
        ("2605290426ff", START, "2605290426ff"),
    ],
)
def test_times_that_cannot_be_give_way_to_the_servers(time: str, timestamp: float, raw: str | None) -> None:
    message = mapped(dataclasses.replace(LOCATION, time=time))
    assert message["timestamp"] == timestamp
    assert message.get("custom.jt808.time") == raw


def test_the_devices_time_zone() -> None:
    message = map_location(LOCATION, Layout.V2013, Moment(START, -3 * 3600)).messages[0]
    assert message["timestamp"] == START + 11 * 3600


@pytest.mark.parametrize(("latitude", "longitude"), [(0, 0), (90_000_001, 1), (1, 180_000_001), (0xFFFFFFFF, 1)])
def test_no_place_is_not_a_place(latitude: int, longitude: int) -> None:
    message = mapped(dataclasses.replace(LOCATION, latitude=latitude, longitude=longitude))
    assert not {"position.latitude", "position.longitude"} & message.keys()


def test_the_equator_is_a_place_and_land_below_the_sea_has_an_altitude() -> None:
    message = mapped(dataclasses.replace(LOCATION, latitude=0, altitude=0xFFF6))
    assert (message["position.latitude"], message["position.altitude"]) == (0.0, -10)


def test_a_batch_says_whether_it_was_in_memory() -> None:
    for kind, buffered in ((0, None), (1, True)):
        for message in map_batch(LocationBatch(2, kind, (LOCATION,) * 2), Layout.V2013, MOMENT).messages:
            assert message.get("message.buffered.status") is buffered
            assert "event.seqnum" not in message


NAMES = {"number": (int, float), "boolean": bool, "string": str}


@given(
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.lists(
        st.tuples(st.sampled_from([0x64, 0x65, 0x66, *(i for i, _ in ITEMS)]), st.binary(max_size=48)), max_size=5
    ),
    st.sampled_from([Layout.V2013, Layout.V2019]),
)
def test_whatever_comes_has_listed_names_and_types(
    alarm: int, status: int, items: list[tuple[int, bytes]], layout: Layout
) -> None:
    raw = tuple(Item(id, value) for id, value in items)
    location = dataclasses.replace(LOCATION, alarm=alarm, status=status, items=raw)
    for message in map_location(location, layout, MOMENT).messages:
        for name, value in message.items():
            if not name.startswith("custom.jt808.0x"):
                kind = LISTED.get(name) or LISTED[".".join(part for part in name.split(".") if not part.isdigit())]
                assert isinstance(value, NAMES[kind])
                assert kind == "boolean" or not isinstance(value, bool)
