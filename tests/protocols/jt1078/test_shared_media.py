"""The shared media vectors: single packets, number length, assembly, and whole captures cut in every way."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wayframe.protocols.jt1078 import (
    DataType,
    Identified,
    MediaConnection,
    MediaEvent,
    MediaFrame,
    MediaKind,
    MediaSettings,
    StreamClock,
    Violation,
    decode_packet,
)

pytestmark = pytest.mark.shared

CAPTURES = ("smallchi_1", "smallchi_2", "smallchi_4", "gojt_video", "gojt_av")


@pytest.fixture(scope="module")
def vectors(shared: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((shared / "vectors/jt1078.json").read_text())
    return data


def frames(events: list[MediaEvent]) -> list[MediaFrame]:
    return [event for event in events if isinstance(event, MediaFrame)]


def collect(connection: MediaConnection, chunks: Iterator[bytes]) -> list[MediaEvent]:
    events: list[MediaEvent] = []
    for chunk in chunks:
        events += connection.receive(chunk, 0.0)
    return events


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def accepting(number: bytes, channel: int) -> bool:
    return True


def index(found: list[MediaFrame]) -> list[list[Any]]:
    return [
        [
            f.channel,
            f.data_type,
            f.payload_type,
            f.timestamp_ms,
            len(f.data),
            hashlib.sha256(f.data).hexdigest()[:12],
        ]
        for f in found
    ]


def test_single_packets(vectors: dict[str, Any]) -> None:
    for case in vectors["media"]:
        raw, want = bytes.fromhex(case["hex"]), case["fields"]
        packet = decode_packet(raw, want["sim_len"])
        assert packet.encode() == raw, case["id"]
        assert packet.header_length == case["header_length"], case["id"]
        assert hashlib.sha256(packet.body).hexdigest() == case["body_sha256"], case["id"]
        assert packet.body[:16].hex() == case["body_head"], case["id"]
        got = {
            "v": raw[4] >> 6,
            "p": raw[4] >> 5 & 1,
            "x": raw[4] >> 4 & 1,
            "cc": raw[4] & 15,
            "m": int(packet.marker),
            "pt": packet.payload_type,
            "seq": packet.sequence,
            "sim": packet.number.hex(),
            "sim_len": len(packet.number),
            "channel": packet.channel,
            "data_type": packet.data_type,
            "sub": packet.part,
            "timestamp": packet.timestamp_ms,
            "last_i_interval": packet.key_interval_ms,
            "last_frame_interval": packet.frame_interval_ms,
            "body_length": len(packet.body),
        }
        assert {key: value for key, value in got.items() if value is not None} == want, case["id"]


def test_number_length_without_a_request(vectors: dict[str, Any]) -> None:
    for case in vectors["header_length_detection"]:
        connection = MediaConnection(lambda number, channel: False, MediaSettings(allow_unsolicited=True))
        first = bytes.fromhex(case["first_bytes"])
        events = connection.receive(first, 0.0) + connection.tick(5.0)
        identified = [event for event in events if isinstance(event, Identified)]
        assert [event.number_length for event in identified] == [case["expected_sim_len"]], case["id"]


def test_number_length_by_pending_request(vectors: dict[str, Any]) -> None:
    for case in vectors["header_length_detection"]:
        raw, length = bytes.fromhex(case["first_bytes"]), case["expected_sim_len"]
        pending = (raw[8 : 8 + length], raw[8 + length])
        connection = MediaConnection(lambda number, channel, p=pending: (number, channel) == p)
        events = connection.receive(raw, 0.0)
        assert events[0] == Identified(*pending, length, True), case["id"]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7])
def test_assembly(vectors: dict[str, Any], size: int) -> None:
    for case in vectors["assembly"]:
        chunks = [bytes.fromhex(chunk) for chunk in case["chunks"]]
        length = case["sim_len"]
        connection = MediaConnection(lambda number, channel, n=length: len(number) == n)
        events = collect(connection, cut(b"".join(chunks), size) if size else iter(chunks))
        assert not [event for event in events if isinstance(event, Violation)], case["id"]
        got = [
            {
                "channel": f.channel,
                "data_type": f.data_type,
                "payload_type": f.payload_type,
                "timestamp": f.timestamp_ms,
                "body": f.data.hex(),
            }
            for f in frames(events)
        ]
        assert got == case["expected_frames"], case["id"]
        clock = StreamClock(live=False)
        for frame in frames(events):
            clock.output_ms(frame.kind, frame.timestamp_ms, 0.0, frame_interval_ms=frame.frame_interval_ms)
        counted = {
            name: getattr(connection.counters, name)
            for name in ("gaps", "dropped_frames", "resyncs", "skipped_before_key")
        }
        counted["waiting_for_key"] = connection.waiting_for_key(1)
        counted["timestamp_jumps"] = clock.timestamp_jumps
        want = case["expected_counters"]
        assert {key: counted[key] for key in want} == want, case["id"]


@pytest.mark.parametrize("size", [1, 7, 1400, 65_536])
@pytest.mark.parametrize("name", CAPTURES)
def test_capture_cut_into_reads(shared: Path, vectors: dict[str, Any], name: str, size: int) -> None:
    data = (shared / f"vectors/jt1078/{name}.bin").read_bytes()
    about = next(entry for entry in vectors["captures"] if entry["id"] == name)
    want = json.loads((shared / f"vectors/jt1078/{name}.frames.json").read_text())["frames"]
    connection = MediaConnection(accepting)
    events = collect(connection, cut(data, size))
    found = frames(events)
    assert index(found) == want
    assert events[0] == Identified(bytes.fromhex(about["sim"]), about["channel"], about["sim_len"], True)
    assert len(events) == 1 + len(found)
    video = [frame for frame in found if frame.kind is MediaKind.VIDEO]
    stream = b"".join(frame.data for frame in video)
    assert hashlib.sha256(stream).hexdigest() == about["video_es_sha256"]
    assert len(stream) == about["video_es_bytes"]
    assert len(video) == about["video_frames"]
    assert sum(frame.key for frame in video) == about["key_frames"]
    assert sum(frame.kind is MediaKind.AUDIO for frame in found) == about["audio_frames"]
    assert connection.counters.packets == about["packets"]
    assert connection.counters.gaps == about["sequence_gaps"]
    assert connection.counters.resyncs == connection.counters.dropped_frames == 0
    assert connection.buffered_bytes == 0
    assert {frame.codec for frame in video} == {"h264"}
    assert {frame.key for frame in video if frame.data_type == DataType.P} <= {False}
    assert video[0].timestamp_ms == about["first_timestamp_ms"]
    assert video[-1].timestamp_ms == about["last_timestamp_ms"]


@pytest.mark.parametrize("name", CAPTURES)
def test_capture_cut_at_every_position_of_its_first_packets(shared: Path, name: str) -> None:
    data = (shared / f"vectors/jt1078/{name}.bin").read_bytes()[:40_000]
    whole = MediaConnection(accepting).receive(data, 0.0)
    for at in range(1, 2_100):
        connection = MediaConnection(accepting)
        assert connection.receive(data[:at], 0.0) + connection.receive(data[at:], 0.0) == whole


@pytest.mark.parametrize("name", CAPTURES)
def test_capture_of_unknown_length_is_found_by_structure(shared: Path, name: str) -> None:
    data = (shared / f"vectors/jt1078/{name}.bin").read_bytes()
    want = json.loads((shared / f"vectors/jt1078/{name}.frames.json").read_text())["frames"]
    connection = MediaConnection(lambda number, channel: False, MediaSettings(allow_unsolicited=True))
    assert index(frames(connection.receive(data, 0.0))) == want


@pytest.mark.parametrize("name", CAPTURES)
def test_capture_between_noise(shared: Path, name: str) -> None:
    data = (shared / f"vectors/jt1078/{name}.bin").read_bytes()
    want = json.loads((shared / f"vectors/jt1078/{name}.frames.json").read_text())["frames"]
    noise = random.Random(1078).randbytes(900)
    connection = MediaConnection(accepting)
    events = collect(connection, iter((noise, data + noise[:17], noise)))
    assert index(frames(events)) == want
    assert connection.counters.resyncs == 2
    assert connection.buffered_bytes <= 3


def test_captures_glued_together(shared: Path) -> None:
    names = ("smallchi_1", "smallchi_2")
    data = b"".join((shared / f"vectors/jt1078/{name}.bin").read_bytes() for name in names)
    want: list[Any] = []
    for name in names:
        want += json.loads((shared / f"vectors/jt1078/{name}.frames.json").read_text())["frames"]
    connection = MediaConnection(accepting)
    assert index(frames(connection.receive(data, 0.0))) == want
    assert connection.counters.gaps == 1
