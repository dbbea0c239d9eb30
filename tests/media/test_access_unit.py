"""Splitting, recognising and describing access units."""

from __future__ import annotations

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_clips import encode

from wayframe.media import BadParameterSet, VideoFacts, detect_codec, is_key
from wayframe.media.access_unit import (
    AccessUnit,
    Codec,
    annexb,
    length_prefixed,
    nal_type,
    parameter_sets,
    parse_h264_sps,
    parse_h265_sps,
    sample_nals,
    split_annexb,
)
from wayframe.media.errors import MediaError


def facts_of(units: list[AccessUnit]) -> VideoFacts:
    sets = parameter_sets(units[0].codec, split_annexb(units[0].data))
    assert sets is not None
    return sets.facts


def test_splits_mixed_start_codes_and_trailing_zeros() -> None:
    data = b"\x00\x00\x00\x01\x67\x42\x00\x00\x01\x68\xce\x00\x00\x00\x00\x01\x65\x88\x80"
    assert split_annexb(data) == [b"\x67\x42", b"\x68\xce", b"\x65\x88\x80"]


def test_join_and_split_are_inverse() -> None:
    nals = [b"\x67\x01", b"\x68\x02", b"\x65\x03"]
    assert split_annexb(annexb(nals)) == nals
    assert length_prefixed(nals[:2]) == b"\x00\x00\x00\x02\x67\x01\x00\x00\x00\x02\x68\x02"


def test_bytes_without_start_code_hold_no_nal() -> None:
    assert split_annexb(b"") == split_annexb(b"abc") == []


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_recognises_codec_and_key_frames(codec: Codec, h264: list[AccessUnit], h265: list[AccessUnit]) -> None:
    units = h264 if codec == "h264" else h265
    assert [is_key(codec, unit.data) for unit in units] == [unit.key for unit in units]
    assert {detect_codec(unit.data) for unit in units} == {codec}


def test_unknown_bytes_have_no_codec() -> None:
    assert detect_codec(b"") is None
    assert detect_codec(b"\x00\x00\x00\x01\xff\xff") is None


def test_samples_leave_parameter_sets_out(h264: list[AccessUnit], h265: list[AccessUnit]) -> None:
    for unit in (h264[0], h265[0]):
        kept = {nal_type(unit.codec, nal) for nal in sample_nals(unit.codec, split_annexb(unit.data))}
        assert kept
        assert not kept & ({7, 8, 9} if unit.codec == "h264" else {32, 33, 34, 35})


@pytest.mark.parametrize(
    ("width", "height"), [(16, 16), (176, 144), (352, 288), (640, 360), (702, 576), (1280, 720), (1920, 1080)]
)
def test_h264_sizes(width: int, height: int) -> None:
    facts = facts_of(encode("h264", 1, width=width, height=height))
    assert (facts.width, facts.height) == (width, height)


@pytest.mark.parametrize(
    ("pixel_format", "width", "height", "chroma", "depth"),
    [
        ("yuv422p", 322, 182, 2, 8),
        ("yuv444p", 321, 181, 3, 8),
        ("yuv420p10le", 322, 182, 1, 10),
        ("gray", 322, 182, 0, 8),
    ],
)
def test_h264_formats(pixel_format: str, width: int, height: int, chroma: int, depth: int) -> None:
    facts = facts_of(encode("h264", 1, width=width, height=height, pixel_format=pixel_format))
    assert (facts.width, facts.height, facts.chroma_format, facts.bit_depth_luma) == (width, height, chroma, depth)


def test_h264_interlaced_size() -> None:
    facts = facts_of(
        encode("h264", 1, width=720, height=576, options={"x264-params": "repeat-headers=1:tff=1:interlaced=1"})
    )
    assert (facts.width, facts.height) == (720, 576)


@pytest.mark.parametrize(
    ("pixel_format", "width", "height", "chroma", "depth"),
    [("yuv420p", 1920, 1080, 1, 8), ("yuv420p10le", 322, 182, 1, 10), ("yuv422p", 322, 182, 2, 8),
     ("yuv444p", 321, 181, 3, 8)],
)  # fmt: skip
def test_h265_formats(pixel_format: str, width: int, height: int, chroma: int, depth: int) -> None:
    facts = facts_of(encode("h265", 1, width=width, height=height, pixel_format=pixel_format))
    assert (facts.width, facts.height, facts.chroma_format, facts.bit_depth_luma) == (width, height, chroma, depth)


def test_codec_strings() -> None:
    # High 4.0 by hand: profile 100, no constraints, level 40; the rest describes 1920x1080.
    units = encode("h264", 1, options={"x264-params": "repeat-headers=1:level=40"})
    name = facts_of(units).codec_string
    assert name.startswith("avc1.")
    assert name.endswith("28")
    assert len(name) == 11
    assert facts_of(encode("h265", 1)).codec_string.startswith("hvc1.1.6.L")


def test_records_agree_with_ffmpeg(h264: list[AccessUnit], h265: list[AccessUnit]) -> None:
    """FFmpeg decodes length-prefixed samples with our record as its only knowledge of the stream."""
    for units, name in ((h264, "h264"), (h265, "hevc")):
        nals = split_annexb(units[0].data)
        sets = parameter_sets(units[0].codec, nals)
        assert sets is not None
        decoder = av.CodecContext.create(name, "r")
        decoder.extradata = sets.record
        sample = length_prefixed(sample_nals(units[0].codec, nals))
        frames = [*decoder.decode(av.Packet(sample)), *decoder.decode(None)]
        assert [(frame.width, frame.height) for frame in frames] == [(320, 180)]


def test_incomplete_parameter_sets_are_none(h264: list[AccessUnit]) -> None:
    nals = split_annexb(h264[0].data)
    assert parameter_sets("h264", [nal for nal in nals if nal[0] & 31 != 8]) is None
    assert parameter_sets("h264", []) is None
    assert parameter_sets("h264", [b"\x67\x64", b"\x68\xce"]) is None


def test_impossible_sizes_are_refused() -> None:
    # Baseline, sps 0, width in macroblocks 2^20: every field by hand, Exp-Golomb coded.
    bits = "11111" + "0" + f"{0:020b}" + f"{2**20:021b}" + "1" + "1" + "1" + "0" + "0" + "1"
    sps = b"\x67\x42\x00\x1e" + int(bits.ljust(72, "0"), 2).to_bytes(9, "big")
    with pytest.raises(BadParameterSet):
        parse_h264_sps(sps)


@given(st.binary(max_size=200))
def test_hostile_parameter_sets_raise_only_our_error(data: bytes) -> None:
    for parse in (parse_h264_sps, parse_h265_sps):
        try:
            facts = parse(b"\x67\x01" + data)
        except MediaError:
            continue
        assert 0 < facts.width <= 16_384


@given(st.binary(max_size=300))
def test_hostile_units_never_raise(data: bytes) -> None:
    wrapped = b"\x00\x00\x01" + data
    detect_codec(wrapped)
    for codec in ("h264", "h265"):
        parameter_sets(codec, split_annexb(wrapped))
        is_key(codec, wrapped)
