"""Single media packets: every header form, both directions, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wayframe.protocols.jt1078 import (
    DataType,
    MediaConnection,
    MediaFrame,
    PacketError,
    Packetizer,
    codec_name,
    decode_packet,
)

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data/packets.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_packet(case: dict[str, Any]) -> None:
    raw = bytes.fromhex(case["hex"])
    packet = decode_packet(raw, case["number_length"])
    got = {name: getattr(packet, name) for name in case["fields"]}
    got["number"], got["body"] = packet.number.hex(), packet.body.hex()
    assert got == case["fields"]
    assert packet.encode() == raw
    assert packet.header_length == len(raw) - len(packet.body)
    assert decode_packet(raw + b"more", case["number_length"]) == packet


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_packet_cut_short(case: dict[str, Any]) -> None:
    raw = bytes.fromhex(case["hex"])
    for length in range(len(raw)):
        with pytest.raises(PacketError):
            decode_packet(raw[:length], case["number_length"])


def test_impossible_packets() -> None:
    raw = bytearray.fromhex(CASES[0]["hex"])
    for at, value in ((0, 0x31), (15, 0x50), (15, 0x04), (28, 0xFFFF)):
        broken = bytearray(raw + bytes(65_536))
        broken[at : at + (2 if value > 255 else 1)] = value.to_bytes(2 if value > 255 else 1, "big")
        with pytest.raises(PacketError):
            decode_packet(bytes(broken), 6)


@pytest.mark.parametrize(
    ("payload_type", "name"),
    [(6, "g711a"), (7, "g711u"), (8, "g726"), (19, "aac"), (26, "adpcm"), (28, "amr"), (98, "h264"), (99, "h265")],
)
def test_codec_names(payload_type: int, name: str) -> None:
    assert codec_name(payload_type) == name


@pytest.mark.parametrize("size", [0, 1, 949, 950, 951, 1900, 4000])
def test_packetizer_and_connection_agree(size: int) -> None:
    data = bytes.fromhex("00000001674200") + bytes(size)
    number = bytes.fromhex("013800138000")
    packets = Packetizer(number, sequence=65_535).frame(
        data, channel=3, data_type=DataType.I, payload_type=98, timestamp_ms=5, frame_interval_ms=40
    )
    assert all(len(packet) <= 980 for packet in packets)
    events = MediaConnection(lambda n, c: n == number).receive(b"".join(packets), 0.0)
    frames = [event for event in events if isinstance(event, MediaFrame)]
    assert [(frame.data, frame.timestamp_ms, frame.channel) for frame in frames] == [(data, 5, 3)]
