"""The simulator's JT/T 808 codec against bytes worked out by hand from the tables of the standard."""

from __future__ import annotations

import pytest

from wayframe.simulator import bodies808 as b808
from wayframe.simulator.wire808 import (
    Deframer,
    Frame,
    Layout,
    PartAssembler,
    WireError,
    bcd_time,
    decode_frame,
    encode_frame,
    escape,
    number_bcd,
    parse_resend,
    resend_request,
    time_from_bcd,
    unescape,
)

NUMBER = bytes.fromhex("013800000001")
NEWER = bytes.fromhex("00000000013800000001")
CHINA = 8 * 3600
NOON = 1_735_732_800.0  # 2025-01-01 12:00:00 UTC


def position(**changes: float | bool) -> b808.Position:
    facts = {
        "timestamp": NOON,
        "latitude": 52.5,
        "longitude": 13.4,
        "altitude_m": 40,
        "speed_kmh": 50.3,
        "course": 90,
        "acc": True,
        "mileage_km": 1234.5,
        "fuel_l": 33.3,
        "signal": 25,
        "satellites": 12,
    }
    return b808.Position(**{**facts, **changes})  # type: ignore[arg-type]  # mixed numbers in one dict


def test_heartbeats_of_both_layouts() -> None:
    older = encode_frame(0x0002, b"", number=NUMBER, layout=Layout.V2013, serial=0)
    newer = encode_frame(0x0002, b"", number=NEWER, layout=Layout.V2019, serial=0)
    assert older.hex() == "7e0002000001380000000100003a7e"
    assert newer.hex() == "7e00024000010000000001380000000100007b7e"


@pytest.mark.parametrize(
    ("layout", "head", "check"), [(Layout.V2019_SHORT, "400001", "7b"), (Layout.V2013_FLAGGED, "4000", "7a")]
)
def test_headers_between_the_editions(layout: Layout, head: str, check: str) -> None:
    frame = encode_frame(0x0002, b"", number=NUMBER, layout=layout, serial=0)
    assert frame.hex() == f"7e0002{head}0138000000010000{check}7e"
    assert decode_frame(frame[1:-1]).layout is layout
    assert b808.authenticate(b808.Identity(), "abc", layout) == b"abc"


def test_a_sub_package_counts_only_its_body_as_length() -> None:
    frame = encode_frame(0x0801, b"\xaa\xbb", number=NUMBER, layout=Layout.V2013, serial=5, part=(3, 2))
    head = "08012002013800000001000500030002aabb"
    check = 0
    for byte in bytes.fromhex(head):
        check ^= byte
    assert frame.hex() == f"7e{head}{check:02x}7e"


def test_escape_is_undone_in_the_right_order() -> None:
    assert escape(bytes.fromhex("307e087d55")).hex() == "307d02087d0155"
    assert unescape(bytes.fromhex("7d0102")) == bytes.fromhex("7d02")
    assert unescape(escape(bytes(range(256)) * 2)) == bytes(range(256)) * 2


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("part", [None, (7, 3)])
def test_frames_survive_the_wire(layout: Layout, part: tuple[int, int] | None) -> None:
    number = number_bcd("13800000001", layout)
    body = bytes(range(200)) + b"\x7e\x7d\x7e"
    sent = encode_frame(0x0200, body, number=number, layout=layout, serial=0x7D7E, part=part)
    for cut in range(len(sent)):
        deframer = Deframer()
        pieces = deframer.feed(sent[:cut]) + deframer.feed(sent[cut:])
        assert [decode_frame(piece) for piece in pieces] == [
            Frame(0x0200, layout, number, 0x7D7E, body, *(part or (1, 1)))
        ]


def test_broken_frames_are_refused() -> None:
    good = encode_frame(0x8001, bytes(5), number=NUMBER, layout=Layout.V2013, serial=1)[1:-1]
    with pytest.raises(WireError, match="checksum"):
        decode_frame(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(WireError, match="13 bytes"):
        decode_frame(good[:9])
    with pytest.raises(ValueError, match="split it"):
        encode_frame(1, bytes(1024), number=NUMBER, layout=Layout.V2013, serial=0)
    with pytest.raises(WireError, match="without a frame flag"):
        Deframer().feed(bytes(200_000))


def test_platform_messages_in_parts_are_joined_in_any_order() -> None:
    def part(index: int, body: bytes) -> Frame:
        return Frame(0x8103, Layout.V2013, NUMBER, 10 + index, body, 3, index)

    joined = PartAssembler()
    assert joined.add(part(3, b"c"), 0.0) is None
    assert joined.add(part(1, b"a"), 1.0) is None
    assert joined.overdue(7.0) == [(11, [2])]
    assert joined.overdue(8.0) == []
    assert joined.add(part(2, b"b"), 9.0) == b"abc"
    assert joined.overdue(99.0) == []


def test_times_are_bcd_in_the_devices_zone() -> None:
    assert bcd_time(NOON, CHINA).hex() == "250101200000"
    assert time_from_bcd(bytes.fromhex("250101200000"), CHINA) == NOON
    assert time_from_bcd(bytes(6), CHINA) is None
    with pytest.raises(WireError, match="impossible"):
        time_from_bcd(bytes.fromhex("251301200000"), CHINA)


def test_numbers_are_padded_in_front() -> None:
    assert number_bcd("1003", Layout.V2013).hex() == "000000001003"
    with pytest.raises(ValueError, match=r"1\.\.12"):
        number_bcd("1234567890123", Layout.V2013)


def test_registration_of_both_editions() -> None:
    identity = b808.Identity(
        province=31, city=115, maker="ABCDE", model="M1", terminal_id="T1", plate_colour=1, plate="京A1"
    )
    older = b808.register(identity, Layout.V2013)
    assert older.hex() == "001f00734142434445" + "4d31" + "00" * 18 + "5431" + "00" * 5 + "01" + "bea94131"
    newer = b808.register(identity, Layout.V2019)
    assert newer[:15].hex() == "001f00734142434445" + "00" * 6
    assert (newer[15:17], newer[45:47], newer[75]) == (b"M1", b"T1", 1)
    assert len(newer) == 76 + 4


def test_authentication_of_both_editions() -> None:
    identity = b808.Identity(imei="861234050000011", software="V1")
    assert b808.authenticate(identity, "abc", Layout.V2013) == b"abc"
    assert b808.authenticate(identity, "abc", Layout.V2019) == b"\x03abc861234050000011V1" + bytes(18)


def test_location_report() -> None:
    body = b808.location(position(), CHINA)
    base = "00000000000c00030321162000cc77c0002801f7005a250101200000"
    items = "0104000030390202014d030201f725040000000130011931010c"
    assert body.hex() == base + items


def test_southern_and_western_hemisphere_and_depths_are_told_by_bits_and_sign() -> None:
    base = b808.location_base(position(latitude=-33.4489, longitude=-70.6693, altitude_m=-20, acc=False), CHINA)
    assert base[4:8].hex() == "000c000e"
    assert base[8:16].hex() == "01fe63c4043653f4"
    assert base[16:18].hex() == "ffec"


def test_location_batch() -> None:
    assert b808.location_batch([b"abc", b"de"]).hex() == "000201000361626300026465"


def test_photo_request_and_answers() -> None:
    request = b808.parse_photo_request(bytes.fromhex("01000200050104057f3f3f7f"))
    assert request == b808.PhotoRequest(1, 2, 5, True, 4, 5)
    assert b808.photo_answer(9, 0, [1, 2]).hex() == "00090000020000000100000002"
    assert b808.photo_answer(9, 2, []).hex() == "000902"
    assert b808.parse_media_answer(bytes.fromhex("00000007")) == b808.MediaAnswer(7, ())
    assert b808.parse_media_answer(bytes.fromhex("000000070200030005")) == b808.MediaAnswer(7, (3, 5))


def test_media_upload_carries_head_and_location_before_the_file() -> None:
    media = b808.StoredMedia(258, 3, 1, position(), 640, 480, 5)
    body = b808.media_upload(media, b"\xff\xd8", CHINA)
    assert body[:8].hex() == "0000010200000103"
    assert body[8:36] == b808.location_base(position(), CHINA)
    assert body[36:] == b"\xff\xd8"


def test_media_list() -> None:
    media = b808.StoredMedia(258, 3, 1, position(), 640, 480, 5)
    body = b808.media_list(4, [media], CHINA)
    assert body[:11].hex() == "0004000100000102000301"
    assert len(body) == 4 + 35
    wanted = b808.parse_media_filter(bytes.fromhex("00030125010119590000000000000001"), CHINA)
    assert wanted == b808.MediaFilter(3, 1, NOON - 60, None, True)
    assert wanted.matches(media)


def test_parameters() -> None:
    body = bytes.fromhex("0200000001040000001e0000001303612e62")
    assert b808.parse_set_parameters(body) == {1: b"\x00\x00\x00\x1e", 0x13: b"a.b"}
    assert b808.parameters_answer(7, {1: b"\x00\x00\x00\x1e"}).hex() == "00070100000001040000001e"
    assert b808.parse_query_parameters(bytes.fromhex("020000000100000029")) == [1, 0x29]


def test_text_has_a_type_in_2019_only() -> None:
    assert b808.parse_text(b"\x04hello", Layout.V2013) == b808.TextMessage(4, None, "hello")
    assert b808.parse_text(b"\x04\x01hello", Layout.V2019) == b808.TextMessage(4, 1, "hello")


def test_resend_lists_have_a_byte_or_a_word_as_count() -> None:
    assert parse_resend(bytes.fromhex("00100200030004")) == (16, [3, 4])
    assert parse_resend(bytes.fromhex("0010000200030004")) == (16, [3, 4])
    assert resend_request(16, [3], Layout.V2013).hex() == "0010010003"
    assert resend_request(16, [3], Layout.V2019).hex() == "001000010003"
    with pytest.raises(WireError, match="resend list"):
        parse_resend(bytes.fromhex("0010050003"))


def test_properties_end_with_versions_and_bits() -> None:
    identity = b808.Identity(hardware="H1", software="S22", iccid="8986000000000000000F")
    older = b808.properties(identity, Layout.V2013)
    assert len(older) == 2 + 5 + 20 + 7 + 10 + 1 + 2 + 1 + 3 + 2
    assert older[34:].hex() == "8986000000000000000f024831035332320320"
    assert len(b808.properties(identity, Layout.V2019)) == len(older) + 10 + 23
