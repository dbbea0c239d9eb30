"""The media connection: every parser rule on constructed streams, limits, and random bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wayframe.protocols.jt1078 import (
    ChannelSeen,
    CodecCorrected,
    DataType,
    Hisilicon,
    Identified,
    MediaConnection,
    MediaEvent,
    MediaFrame,
    MediaSettings,
    Packetizer,
    SequenceScope,
    Violation,
    same_number,
)

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data/streams.json").read_text())["cases"]
NUMBER = bytes.fromhex("0091820044f1")
KEY_FRAME = bytes.fromhex("000000016742001e0000000168ce3c80000000016588840a")
SLICE = bytes.fromhex("00000001419a2233")


def accepting(number: bytes, channel: int) -> bool:
    return True


def matcher(match: bool | str) -> Callable[[bytes, int], bool]:
    if match is True:
        return lambda number, channel: number == NUMBER or (len(number) == 10 and number[8:] == b"\x41\x23")
    if match is False:
        return lambda number, channel: False
    return lambda number, channel: number.hex() == match


def make_settings(values: dict[str, Any]) -> MediaSettings:
    if "hisilicon" in values:
        values = {**values, "hisilicon": Hisilicon(values["hisilicon"])}
    return MediaSettings(**values)


def shown(frame: MediaFrame) -> list[Any]:
    interval, data = frame.frame_interval_ms, frame.data.hex()
    return [frame.channel, frame.kind.value, frame.codec, frame.key, frame.timestamp_ms, interval, data]


def others(events: list[MediaEvent]) -> list[list[Any]]:
    found: list[list[Any]] = []
    for event in events:
        if isinstance(event, ChannelSeen):
            found.append(["ChannelSeen", event.channel, event.matched])
        elif isinstance(event, CodecCorrected):
            found.append(["CodecCorrected", event.channel, event.payload_type, event.codec])
        elif isinstance(event, Violation):
            found.append(["Violation", event.reason])
    return found


def packets(*frames: bytes, channel: int = 1, sequence: int = 0, data_type: int = DataType.I) -> bytes:
    packetizer = Packetizer(NUMBER, sequence=sequence)
    out = b""
    for data in frames:
        out += b"".join(packetizer.frame(data, channel=channel, data_type=data_type, payload_type=98, timestamp_ms=1))
    return out


def check(case: dict[str, Any], chunks: list[bytes]) -> None:
    connection = MediaConnection(matcher(case["match"]), make_settings(case["settings"]))
    events: list[MediaEvent] = []
    for chunk in chunks:
        events += connection.receive(chunk, 0.0)
    assert [shown(event) for event in events if isinstance(event, MediaFrame)] == case["frames"]
    assert {name: getattr(connection.counters, name) for name in case["counters"]} == case["counters"]
    assert others(events) == case["events"]
    assert not connection.closed


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_rule(case: dict[str, Any]) -> None:
    check(case, [bytes.fromhex(chunk) for chunk in case["chunks"]])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_rule_in_small_reads(case: dict[str, Any], size: int) -> None:
    data = bytes.fromhex("".join(case["chunks"]))
    check(case, [data[at : at + size] for at in range(0, len(data), size)])


@pytest.mark.parametrize("case", [c for c in CASES if len("".join(c["chunks"])) < 1000], ids=lambda c: c["name"])
def test_rule_cut_everywhere(case: dict[str, Any]) -> None:
    data = bytes.fromhex("".join(case["chunks"]))
    for at in range(1, len(data)):
        check(case, [data[:at], data[at:]])


def test_identified_names_number_and_channel() -> None:
    connection = MediaConnection(lambda number, channel: (number, channel) == (NUMBER, 1))
    events = connection.receive(packets(KEY_FRAME), 0.0)
    assert events[0] == Identified(NUMBER, 1, 6, True)
    assert connection.number == NUMBER


def test_request_that_comes_after_the_media() -> None:
    wanted: set[int] = set()
    connection = MediaConnection(lambda number, channel: channel in wanted)
    first = connection.receive(packets(KEY_FRAME, KEY_FRAME), 0.0)
    assert first == [Identified(NUMBER, 1, 6, False)]
    wanted.add(1)
    second = connection.receive(packets(KEY_FRAME, sequence=2), 1.0)
    assert isinstance(second[0], Identified) and second[0].matched
    assert isinstance(second[1], MediaFrame)
    assert connection.tick(60.0) == []


def test_nobody_asked_within_ten_seconds() -> None:
    connection = MediaConnection(lambda number, channel: False)
    assert connection.tick(100.0) == []
    connection.receive(packets(KEY_FRAME), 101.0)
    assert connection.tick(109.9) == []
    events = connection.tick(110.0)
    assert len(events) == 1 and isinstance(events[0], Violation)
    assert connection.closed
    assert connection.receive(packets(KEY_FRAME, sequence=1), 111.0) == []


def test_silent_connection_is_closed_too() -> None:
    connection = MediaConnection(accepting)
    connection.tick(0.0)
    assert isinstance(connection.tick(10.0)[0], Violation)


def test_channel_nobody_asked_for_is_not_delivered() -> None:
    connection = MediaConnection(lambda number, channel: channel == 1)
    data = packets(KEY_FRAME) + packets(KEY_FRAME, channel=2, sequence=1) + packets(SLICE, sequence=2, data_type=1)
    events = connection.receive(data, 0.0)
    assert ChannelSeen(2, False) in events
    assert {event.channel for event in events if isinstance(event, MediaFrame)} == {1}


def test_undecided_number_length_falls_back_to_six() -> None:
    # A lone first part whose reading with ten bytes is possible too: only time tells.
    raw = bytes.fromhex("3031636481620000111111111111011101010101010101010101000000ff000000ff") + bytes(6)
    connection = MediaConnection(lambda number, channel: False, MediaSettings(allow_unsolicited=True))
    assert connection.receive(raw, 0.0) == []
    assert connection.tick(1.0) == []
    assert connection.tick(2.0)[0] == Identified(bytes.fromhex("111111111111"), 1, 6, False)


def test_five_resyncs_in_ten_seconds() -> None:
    connection = MediaConnection(accepting)
    for number in range(4):
        assert not others(connection.receive(packets(KEY_FRAME, sequence=number) + b"xxxx", number * 2.0))
    events = connection.receive(packets(KEY_FRAME, sequence=4) + b"xxxx", 9.0)
    assert isinstance(events[-1], Violation)


def test_rare_resyncs_are_forgiven() -> None:
    connection = MediaConnection(accepting)
    for number in range(20):
        connection.receive(packets(KEY_FRAME, sequence=number) + b"xxxx", number * 3.0)
    assert not connection.closed
    assert connection.counters.resyncs == 20


def test_noise_without_end() -> None:
    connection = MediaConnection(accepting)
    events: list[MediaEvent] = []
    for _ in range(260):
        events += connection.receive(b"\x00" * 1024, 0.0)
        assert connection.buffered_bytes <= 3
    assert [type(event) for event in events] == [Violation]


def test_frame_over_four_mebibytes() -> None:
    connection = MediaConnection(accepting)
    events: list[MediaEvent] = []
    data = packets(KEY_FRAME + bytes(4 * 1024 * 1024))
    for second, at in enumerate(range(0, len(data), 100_000)):
        events += connection.receive(data[at : at + 100_000], float(second))
    assert isinstance(events[-1], Violation) and "4194304" in events[-1].reason
    assert connection.buffered_bytes == 0


def test_unfinished_frames_of_many_channels_are_bounded() -> None:
    connection = MediaConnection(accepting, MediaSettings(max_open=10_000))
    data = b"".join(
        packets(KEY_FRAME + bytes(3000), channel=channel, sequence=channel * 4)[:-60] for channel in range(1, 9)
    )
    whole = [data[at : at + 980] for at in range(0, len(data), 980)]
    for chunk in whole:
        connection.receive(chunk, 0.0)
        assert connection.buffered_bytes < 12_000


def test_more_channels_than_allowed() -> None:
    connection = MediaConnection(accepting, MediaSettings(max_channels=2))
    events = connection.receive(
        b"".join(packets(KEY_FRAME, channel=channel, sequence=channel) for channel in range(3)), 0.0
    )
    assert isinstance(events[-1], Violation)


def test_rate_over_ten_seconds() -> None:
    connection = MediaConnection(accepting, MediaSettings(max_rate_bps=80_000))
    data = packets(KEY_FRAME + bytes(900))
    sent = 0
    for tenth in range(200):
        chunk = data if tenth % 10 == 0 else b""
        events = connection.receive(chunk, tenth / 10)
        sent += len(chunk)
        assert not others(events)
    flood = packets(*[KEY_FRAME + bytes(900)] * 120, sequence=1)
    events = connection.receive(flood, 30.0)
    assert len(flood) * 8 > 800_000
    assert isinstance(events[-1], Violation)


def test_scope_is_told() -> None:
    case = next(case for case in CASES if case["name"] == "numbers for each channel")
    connection = MediaConnection(accepting)
    connection.receive(bytes.fromhex("".join(case["chunks"])), 0.0)
    assert connection.sequence_scope is SequenceScope.CHANNEL


def test_numbers_compare_by_bytes_or_digits() -> None:
    short, long = bytes.fromhex("013812345678"), bytes.fromhex("00000000013812345678")
    assert same_number(short, long)
    assert not same_number(short, bytes.fromhex("113812345678"))


def limit(connection: MediaConnection) -> int:
    return 256 * 1024 + 65_536 + 8 * 1024 * 1024


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_random_bytes_never_raise(chunks: list[bytes]) -> None:
    connection = MediaConnection(accepting, MediaSettings(allow_unsolicited=True))
    for number, chunk in enumerate(chunks):
        connection.receive(chunk, float(number))
        connection.tick(float(number))
        assert connection.buffered_bytes <= limit(connection)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 255), st.integers(0, 255), st.integers(0, 65_535), st.integers(0, 5), st.binary(max_size=99)
        ),
        max_size=40,
    ),
    st.integers(1, 200),
    st.booleans(),
)
def test_random_packets_never_raise_however_cut(
    parts: list[tuple[int, int, int, int, bytes]], size: int, matched: bool
) -> None:
    data = b"".join(
        b"01cd\x81"
        + bytes((mpt,))
        + sequence.to_bytes(2, "big")
        + NUMBER
        + bytes((channel, kind_part))
        + bytes(12)
        + len(body).to_bytes(2, "big")
        + body
        for mpt, kind_part, sequence, channel, body in parts
    )
    whole = MediaConnection(lambda n, c: matched, MediaSettings(max_resyncs=1000))
    cut = MediaConnection(lambda n, c: matched, MediaSettings(max_resyncs=1000))
    events = whole.receive(data, 0.0)
    assert [event for at in range(0, len(data), size) for event in cut.receive(data[at : at + size], 0.0)] == events
    assert cut.counters == whole.counters
    assert cut.buffered_bytes <= limit(cut)
