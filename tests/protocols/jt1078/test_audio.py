"""Audio payloads: prefix, ADPCM head, G.726 rate, ADTS and track formats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayframe.protocols.jt1078 import (
    AudioFormat,
    AvAttributes,
    Hisilicon,
    adpcm_block,
    adts_header,
    audio_format,
    g726_bits,
)
from wayframe.protocols.jt1078.audio import strip_prefix


def attributes(payload_type: int, *, channels: int = 1, rate: int = 0, bits: int = 1) -> AvAttributes:
    return AvAttributes(payload_type, channels, rate, bits, 320, 0, 98, 1, 4)


@pytest.mark.parametrize(
    ("codec", "mode", "data", "want"),
    [
        ("g711a", Hisilicon.AUTO, b"\0\1\2\0abcd", b"abcd"),
        ("g726", Hisilicon.AUTO, b"\0\1\2\0abcde", b"abcde"),
        ("adpcm", Hisilicon.AUTO, b"\0\1\2\0abcd", b"abcd"),
        ("g711a", Hisilicon.AUTO, b"\0\1\3\0abcd", b"\0\1\3\0abcd"),
        ("g711a", Hisilicon.YES, b"\0\1\3\0abcd", b"abcd"),
        ("g711a", Hisilicon.YES, b"abcdefgh", b"abcdefgh"),
        ("g711a", Hisilicon.NO, b"\0\1\2\0abcd", b"\0\1\2\0abcd"),
        ("aac", Hisilicon.AUTO, b"\0\1\2\0abcd", b"\0\1\2\0abcd"),
        ("g711a", Hisilicon.AUTO, b"", b""),
    ],
)
def test_hisilicon_prefix(codec: str, mode: Hisilicon, data: bytes, want: bytes) -> None:
    assert strip_prefix(codec, data, mode) == want


def test_adpcm_block() -> None:
    head, nibbles = adpcm_block(b"\xf0\xff\x58\x00\x12\x34")
    assert (head.predictor, head.step_index, nibbles) == (-16, 88, b"\x12\x34")


@pytest.mark.parametrize("data", [b"", b"\0\0\0", b"\0\0\x59\0"])
def test_impossible_adpcm_block(data: bytes) -> None:
    with pytest.raises(ValueError):
        adpcm_block(data)


@pytest.mark.parametrize(
    ("length", "duration", "bits"),
    [
        (200, 40, 5),
        (160, 40, 4),
        (120, 40, 3),
        (80, 40, 2),
        (80, 20, 4),
        (120, None, 3),
        (81, 40, None),
        (400, 40, None),
    ],
)
def test_g726_rate_by_bytes(length: int, duration: int | None, bits: int | None) -> None:
    assert g726_bits(length, duration) == bits


def test_adts_header() -> None:
    # MPEG-4, no checksum, LC, 16 kHz, 2 channels, 263 bytes
    header = adts_header(bytes.fromhex("fff160802 0ff fc".replace(" ", "")))
    assert header is not None
    assert (header.sample_rate, header.channels, header.frame_length, header.header_length) == (16_000, 2, 263, 7)


@pytest.mark.parametrize("raw", ["", "fff160", "211003fffc0000", "fff9f48000fffc", "fffb6080207ffc"])
def test_not_adts(raw: str) -> None:
    assert adts_header(bytes.fromhex(raw)) is None


@pytest.mark.parametrize(
    ("codec", "payload_type", "data", "told", "want"),
    [
        ("g711a", 6, bytes(160), None, AudioFormat("g711a", 8000, 1, 8)),
        ("g711a", 6, bytes(160), attributes(8, rate=3), AudioFormat("g711a", 8000, 1, 8)),
        ("g711u", 7, bytes(160), attributes(7, rate=1, channels=2), AudioFormat("g711u", 22_050, 1, 8)),
        ("g726", 8, bytes(120), None, AudioFormat("g726", 8000, 1, 3)),
        ("g726", 8, bytes(77), None, AudioFormat("g726", 8000, 1, 4)),
        ("adpcm", 26, bytes(164), None, AudioFormat("adpcm", 8000, 1, 4)),
        ("aac", 19, bytes.fromhex("fff1608020fffc"), None, AudioFormat("aac", 16_000, 2, 0)),
        ("aac", 19, b"\x21\x10", attributes(19, rate=3, channels=2), AudioFormat("aac", 48_000, 2, 0)),
        ("amr", 28, b"\x3c", None, AudioFormat("amr", 8000, 1, 0)),
        ("s16be_stereo", 15, b"", None, AudioFormat("s16be_stereo", 8000, 2, 16)),
        ("pcm_voice", 22, b"", attributes(22, bits=2, rate=2), AudioFormat("pcm_voice", 44_100, 1, 32)),
    ],
)
def test_audio_format(codec: str, payload_type: int, data: bytes, told: AvAttributes | None, want: AudioFormat) -> None:
    assert audio_format(codec, data, payload_type=payload_type, attributes=told) == want


@given(st.binary(max_size=40))
def test_random_frames_raise_nothing(data: bytes) -> None:
    for codec, payload_type in (("aac", 19), ("g726", 8), ("adpcm", 26)):
        audio_format(codec, data, payload_type=payload_type, attributes=attributes(payload_type, rate=9, bits=9))
