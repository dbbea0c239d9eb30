"""The simulator's JT/T 1078 and T/JSATL 12 codecs against bytes worked out by hand from the tables."""

from __future__ import annotations

import pytest
from test_sim_wire808 import CHINA, NOON, NUMBER, position

from wayframe.simulator import wire1078 as w
from wayframe.simulator import wire_attachment as wa

HOST = "093132372e302e302e31"  # "127.0.0.1" with its length
BEGIN, END = "250101200000", "250101200130"


def test_video_frame_in_three_packets() -> None:
    packets = w.MediaPacketizer(NUMBER, 2).video(bytes(2000), w.FrameKind.I, w.Payload.H264, 0x18BCFE56800, 0, 67)
    assert [len(packet) for packet in packets] == [980, 980, 130]
    assert packets[0][:30].hex() == ("303163648162000001380000000102010000018bcfe568000000004303b6")
    assert packets[1][4:8].hex() == "81620001"
    assert (packets[1][15], packets[2][15]) == (0x03, 0x02), "middle is 3 and last is 2"
    assert packets[2][5] == 0xE2, "the marker stands on the last packet"
    assert packets[2][28:30].hex() == "0064"


def test_small_p_frame_and_long_intervals() -> None:
    (packet,) = w.MediaPacketizer(NUMBER, 1).video(b"x", w.FrameKind.P, w.Payload.H265, 5, 70_000, 40)
    assert packet.hex() == "3031636481e3000001380000000101100000000000000005ffff0028000178"


def test_sound_has_no_intervals_and_transparent_data_no_time() -> None:
    maker = w.MediaPacketizer(bytes.fromhex("00000000013800000001"), 1)
    (sound,) = maker.audio(b"\xd5" * 2, w.Payload.G711A, 20)
    (transparent,) = maker.transparent(b"z")
    assert sound.hex() == ("303163648186000000000000013800000001013000000000000000140002d5d5")
    assert transparent.hex() == "3031636481db000100000000013800000001014000017a"


def test_packets_are_taken_apart_again_cut_anywhere() -> None:
    maker = w.MediaPacketizer(NUMBER, 4)
    frame = bytes(range(256)) * 8
    data = b"".join(
        maker.video(frame, w.FrameKind.P, w.Payload.H264, 77, 10, 5)
        + maker.audio(b"a", w.Payload.AAC, 78)
        + maker.transparent(b"t")
    )
    whole, rest = w.parse_packets(data, 6)
    assert not rest
    assert b"".join(packet.body for packet in whole[:3]) == frame
    assert [packet.kind.name for packet in whole] == ["P", "P", "P", "AUDIO", "TRANSPARENT"]
    assert [packet.timestamp_ms for packet in whole] == [77, 77, 77, 78, 0]
    for cut in range(0, len(data), 17):
        first, rest = w.parse_packets(data[:cut], 6)
        second, rest = w.parse_packets(rest + data[cut:], 6)
        assert first + second == whole


def test_live_request_and_control() -> None:
    request = w.parse_live(bytes.fromhex(HOST + "226a0000030101"))
    assert request == w.LiveRequest("127.0.0.1", 8810, 0, 3, w.DataKind.VIDEO, True)
    assert w.parse_live_control(bytes.fromhex("03010000")) == w.LiveControl(3, w.LiveCommand.SWITCH, 0, False)


def test_playback_request_and_control() -> None:
    body = bytes.fromhex(HOST + "226b0000020001000103" + BEGIN + END)
    assert w.parse_playback(body, CHINA) == w.PlaybackRequest("127.0.0.1", 8811, 2, 0, 1, 0, 1, 3, NOON, NOON + 90)
    seek = w.parse_playback_control(bytes.fromhex("020500" + END), CHINA)
    assert seek == w.PlaybackControl(2, w.PlaybackCommand.SEEK, 0, NOON + 90)
    assert w.parse_playback_control(bytes.fromhex("020200"), CHINA).position is None


def test_recordings() -> None:
    query = w.parse_recording_query(bytes.fromhex("00" + BEGIN + "000000000000" + "00" * 8 + "030000"), CHINA)
    assert query == w.RecordingQuery(0, NOON, None, 0, 3, 0, 0)
    answer = w.recordings_answer(9, [w.Recording(1, NOON, NOON + 90, 0, 1, 1, 1000)], CHINA)
    assert answer.hex() == "00090000000101" + BEGIN + END + "00" * 8 + "000101000003e8"


def test_ftp_request() -> None:
    body = bytes.fromhex(HOST + "227501750170022f6101" + BEGIN + END + "00" * 8 + "00010107")
    request = w.parse_ftp_request(body, CHINA)
    assert (request.host, request.port, request.user, request.password, request.path) == (
        "127.0.0.1",
        8821,
        "u",
        "p",
        "/a",
    )
    assert request.selection == w.RecordingQuery(1, NOON, NOON + 90, 0, 0, 1, 1)
    assert request.conditions == 7


def test_attributes() -> None:
    assert w.attributes_answer(w.AudioVideoAttributes(6, 0, 160, 98, 1, 4)).hex() == "0601000100a000620104"


@pytest.mark.parametrize(("dialect", "length"), [(wa.Dialect.JIANGSU, 47), (wa.Dialect.GUANGDONG, 71)])
def test_driver_alarm_item(dialect: wa.Dialect, length: int) -> None:
    ident = wa.identifier("T1", NOON, 3, 5, dialect, CHINA)
    assert ident[: dialect.id_length] == b"T1".ljust(dialect.id_length, b"\0")
    assert ident[dialect.id_length : dialect.id_length + 8].hex() == BEGIN + "0305"
    value = wa.alarm_item(wa.AlarmKind.FATIGUE, 9, position(), ident, CHINA)
    assert len(value) == length
    assert value[:31].hex() == ("0000000900010107000000003200280321162000cc77c0" + BEGIN + "0401")


def test_road_alarm_item_names_speed_distance_and_side() -> None:
    value = wa.alarm_item(wa.AlarmKind.LANE_DEPARTURE, 1, position(), bytes(16), CHINA, level=2, flag=1)
    assert value[4:12].hex() == "010202280c010000"


def test_attachment_request() -> None:
    number = b"0123456789abcdef0123456789abcdef"
    body = bytes.fromhex(HOST + "226c0000") + bytes(range(16)) + number
    for reserve in (b"", bytes(16)):
        request = wa.parse_attachment_request(body + reserve, wa.Dialect.JIANGSU)
        assert request == wa.AttachmentRequest("127.0.0.1", 8812, bytes(range(16)), number)


def test_attachment_messages() -> None:
    number = bytes(32)
    listed = wa.attachment_list("T1", bytes(16), number, [("a.jpg", 258)], wa.Dialect.JIANGSU, True)
    assert listed == b"T1" + bytes(5) + bytes(16) + number + bytes.fromhex("010105") + b"a.jpg" + b"\0\0\x01\x02"
    mark = wa.file_mark("a.jpg", wa.FileKind.VIDEO, 258)
    assert mark == b"\x05a.jpg\x02\0\0\x01\x02"
    blocks = list(wa.file_blocks("a.jpg", bytes(range(10)), 2, 7, 4))
    assert [block[:4] for block in blocks] == [b"01cd", b"01cd"]
    assert [block[4:54].rstrip(b"\0") for block in blocks] == [b"a.jpg", b"a.jpg"]
    assert [block[54:].hex() for block in blocks] == [
        "000000020000000402030405",
        "0000000600000003060708",
    ]
    answer = wa.parse_file_end_answer(b"\x05a.jpg" + bytes.fromhex("0201010000000400000002"))
    assert answer == wa.FileEndAnswer("a.jpg", False, ((4, 2),))


def test_file_names_fit_the_blocks_name_field() -> None:
    name = wa.file_name(wa.FileKind.VIDEO, 0x65, wa.AlarmKind.PHONE, 4, b"0" * 32, "h264")
    assert name == "02_65_6502_4_" + "0" * 32 + ".h264"
    assert len(name) <= 50


def test_state_blocks_are_64_bytes_with_a_sum() -> None:
    data = wa.state_blocks([wa.VehicleState(position(), False), wa.VehicleState(position(), True)], CHINA)
    assert len(data) == 128
    assert data[64:72].hex() == "0000000200000001"
    assert data[127] == sum(data[64:127]) & 0xFF
    assert data[16:24].hex() == "0321162000cc77c0"
    assert data[30:36].hex() == BEGIN
