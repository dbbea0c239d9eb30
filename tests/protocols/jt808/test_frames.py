"""Frames: layouts, escaping, damage, bounded buffers."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayframe.protocols.jt808.frames import (
    MAX_BODY,
    MAX_WITHOUT_FLAG,
    FrameError,
    FrameSplitter,
    Layout,
    checksum,
    decode_frame,
    encode_frame,
    escape,
    split_body,
    unescape,
)

NUMBERS = {layout: bytes(range(1, layout.number_length + 1)) for layout in Layout}


@pytest.mark.parametrize(
    ("layout", "frame"),
    [
        (Layout.V2013, "7e 0002 0001 010203040506 0007 ab a8 7e"),
        (Layout.V2019, "7e 0002 4001 01 0102030405060708090a 0007 ab e5 7e"),
        (Layout.V2019_SHORT, "7e 0002 4001 01 010203040506 0007 ab E9 7e"),
        (Layout.V2013_FLAGGED, "7e 0002 4001 010203040506 0007 ab e8 7e"),
    ],
)
def test_each_layout_byte_by_byte(layout: Layout, frame: str) -> None:
    data = bytes.fromhex(frame)
    assert encode_frame(2, b"\xab", layout=layout, number=NUMBERS[layout], serial=7) == data
    (raw,) = FrameSplitter().feed(data)
    header = decode_frame(raw).header
    assert (header.message_id, header.layout, header.number, header.serial) == (2, layout, NUMBERS[layout], 7)
    assert (header.body_length, header.package, header.encryption, header.version) == (1, None, 0, 1)
    assert header.layout.header_length == len(raw) - 2


@given(
    layout=st.sampled_from(list(Layout)),
    message_id=st.integers(0, 0xFFFF),
    body=st.binary(max_size=MAX_BODY),
    serial=st.integers(0, 0xFFFF),
    package=st.none() | st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)),
)
def test_what_is_written_is_read(
    layout: Layout, message_id: int, body: bytes, serial: int, package: tuple[int, int] | None
) -> None:
    number = NUMBERS[layout]
    data = encode_frame(message_id, body, layout=layout, number=number, serial=serial, package=package)
    assert data.count(b"\x7e") == 2
    (raw,) = FrameSplitter().feed(data)
    frame = decode_frame(raw)
    assert frame.body == body
    assert (frame.header.message_id, frame.header.serial, frame.header.package) == (message_id, serial, package)
    assert frame.header.layout is layout


@given(st.binary(max_size=300))
def test_escaping_is_undone(raw: bytes) -> None:
    assert b"\x7e" not in escape(raw)
    assert unescape(escape(raw)) == raw


@given(st.binary(max_size=300))
def test_checksum_is_the_xor_of_all_bytes(raw: bytes) -> None:
    assert checksum(raw) == reduce(lambda a, b: a ^ b, raw, 0)


@given(st.lists(st.binary(max_size=80) | st.just(b"\x7e"), max_size=30))
def test_random_bytes_never_raise(chunks: list[bytes]) -> None:
    splitter = FrameSplitter()
    for chunk in chunks:
        for raw in splitter.feed(chunk):
            decode_frame(raw)
    assert splitter.bad >= 0


def test_nothing_is_kept_of_endless_frames() -> None:
    splitter = FrameSplitter()
    splitter.feed(b"\x7e")
    for _ in range(MAX_WITHOUT_FLAG // 1024 - 1):
        assert splitter.feed(bytes(1024)) == []
    assert not splitter.hopeless
    splitter.feed(bytes(1024))
    assert "without a 0x7e flag" in splitter.hopeless
    assert splitter.noise >= MAX_WITHOUT_FLAG - 1024


def test_a_good_frame_after_an_endless_one() -> None:
    good = encode_frame(2, b"", layout=Layout.V2013, number=bytes(6), serial=1)
    splitter = FrameSplitter()
    assert splitter.feed(b"\x7e" + bytes(5000) + good) == [unescape(good[1:-1])]
    assert splitter.bad == 1


def test_twenty_damaged_frames_in_a_row_are_too_many() -> None:
    good = encode_frame(2, b"", layout=Layout.V2013, number=bytes(6), serial=1)
    splitter = FrameSplitter()
    splitter.feed(b"\x7e" + b"\x01\x7e" * 19 + good)
    assert not splitter.hopeless
    splitter.feed(b"\x01\x7e" * 20)
    assert "20 damaged frames" in splitter.hopeless


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("0002000001020304050600", "at least 13"),
        ("00020000010203040506000700", "checksum"),
        ("00020005010203040506000707", "fit no header layout"),
    ],
)
def test_damage_is_named(raw: str, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        decode_frame(bytes.fromhex(raw))


def test_what_does_not_fit_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="1023 body bytes"):
        encode_frame(2, bytes(1024), layout=Layout.V2013, number=bytes(6), serial=0)
    with pytest.raises(ValueError, match="numbers of 10 bytes"):
        encode_frame(2, b"", layout=Layout.V2019, number=bytes(6), serial=0)


def test_long_bodies_are_cut() -> None:
    assert split_body(b"") == [b""]
    assert split_body(bytes(900)) == [bytes(900)]
    assert [len(part) for part in split_body(bytes(1801))] == [900, 900, 1]
