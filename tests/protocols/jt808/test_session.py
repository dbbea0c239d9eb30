"""A terminal's conversation with the session: identity, answers, reports, limits."""

from __future__ import annotations

import gzip

import pytest

from wayframe.protocols.device import (
    AttachmentsExpected,
    Close,
    CommandUpdate,
    DeviceProfile,
    Facts,
    Identify,
    Note,
    Reports,
)
from wayframe.protocols.jt808.frames import MAX_BODY, Layout, decode_frame, encode_frame
from wayframe.protocols.jt808.identity import authentication_code, candidates, luhn_digit
from wayframe.protocols.jt808.ids import MessageId
from wayframe.protocols.jt808.location import LocationAnswer, LocationBatch
from wayframe.protocols.jt808.messages import Compressed, Resend
from wayframe.protocols.jt808.terminal import Authentication, Properties, Registration
from wayframe.protocols.jt808.terminal_parameters import ParameterReport, SetParameters, parameter
from wayframe.protocols.jt1078.alarms import AdasAlarm, AlarmIdentifier, Place
from wayframe.protocols.jt1078.signalling import AvAttributes, PassengerFlow

from .conversation import (
    CODE,
    IDENT,
    LOCATION,
    NUMBER,
    SECRET,
    START,
    Terminal,
    online,
    only,
    results,
    with_items,
)

OK, FAILURE, MALFORMED, UNSUPPORTED = 0, 1, 2, 3


# --- identity --------------------------------------------------------------------------------------------------------


def test_registers_authenticates_and_is_asked_what_it_can_do_once() -> None:
    terminal = Terminal()
    answer = only(terminal.register(), MessageId.REGISTER_ANSWER).message
    (hello,) = terminal.events(Identify)
    assert hello.candidates[0] == IDENT
    assert (hello.number, hello.proven) == (NUMBER, False)
    assert hello.details == {"maker": "MAKER", "model": "MODEL", "terminal_id": "T000001", "plate": "A123"}
    assert (answer.reply_serial, answer.result, answer.code) == (101, 0, CODE)

    heard = terminal.authenticate(answer.code)
    assert results(heard) == [(102, 0x0102, OK)]
    only(heard, MessageId.QUERY_AV_ATTRIBUTES)
    (again,) = terminal.events(Identify)
    assert again.proven, "the gateway must learn that the code was presented"
    assert [h.id for h in terminal.authenticate()] == [MessageId.PLATFORM_RESPONSE]


def test_an_issued_code_proves_the_terminal_at_once() -> None:
    terminal = Terminal()
    assert results(terminal.authenticate()) == [(101, 0x0102, OK)]
    (hello,) = terminal.events(Identify)
    assert hello.proven


def test_2019_authentication_tells_imei_and_version() -> None:
    number = bytes(4) + NUMBER
    terminal = Terminal(layout=Layout.V2019, number=number)
    login = Authentication(authentication_code(SECRET, number), "860000000000001", "V1", 2019)
    heard = terminal.say(MessageId.AUTHENTICATE, login.encode(Layout.V2019))
    (hello,) = terminal.events(Identify)
    assert hello.details == {"imei": "860000000000001", "software_version": "V1"}
    assert hello.candidates[0] == IDENT
    assert heard[0].frame.header.layout is Layout.V2019


def test_open_mode_takes_a_foreign_code_and_a_report_without_any() -> None:
    terminal = Terminal()
    assert results(terminal.authenticate("someone else's")) == [(101, 0x0102, OK)]
    assert not terminal.events(Identify)[0].proven

    terminal = Terminal()
    terminal.report()
    assert len(terminal.events(Reports)) == 1


def test_strict_mode_serves_only_who_presents_the_code() -> None:
    terminal = Terminal()
    terminal.settings = terminal.settings.__class__(strict=True)
    terminal.__post_init__()
    assert results(terminal.report()) == [(101, 0x0200, FAILURE)]
    assert not terminal.events(Identify)
    assert results(terminal.authenticate("wrong")) == [(102, 0x0102, FAILURE)]
    assert results(terminal.report()) == [(103, 0x0200, FAILURE)]
    assert not terminal.events(Reports)
    assert results(terminal.authenticate()) == [(104, 0x0102, OK)]
    terminal.report()
    assert len(terminal.events(Reports)) == 1


def test_before_it_says_who_it_is_heartbeats_and_time_are_answered() -> None:
    terminal = Terminal()
    assert results(terminal.say(MessageId.HEARTBEAT)) == [(101, 0x0002, OK)]
    assert results(terminal.say(MessageId.LOGOUT)) == [(102, 0x0003, OK)]
    only(terminal.say(MessageId.TIME_QUERY), MessageId.TIME_ANSWER)
    assert results(terminal.say(0x0F77)) == [(104, 0x0F77, UNSUPPORTED)]
    assert terminal.say(MessageId.TERMINAL_RESPONSE, bytes(5)) == []
    assert not terminal.events(Identify)


def test_an_unknown_ident_is_told_so_and_closed_after_a_minute() -> None:
    terminal = Terminal(auto_accept=False)
    assert terminal.register() == []
    terminal.session.refuse("no such device", terminal.now)
    answer = only(terminal.listen(), MessageId.REGISTER_ANSWER).message
    assert (answer.reply_serial, answer.result, answer.code) == (101, 4, "")
    assert results(terminal.authenticate()) == [(102, 0x0102, FAILURE)]
    assert results(terminal.report()) == [(103, 0x0200, FAILURE)]
    terminal.wait(59)
    assert not terminal.events(Close)
    terminal.wait(1)
    assert terminal.events(Close)[0].code == 18


def test_who_never_says_who_it_is_is_closed_after_a_minute() -> None:
    terminal = Terminal()
    terminal.say(MessageId.HEARTBEAT)
    terminal.wait(60)
    assert terminal.events(Close)[0].code == 18


def test_messages_wait_while_the_ident_is_looked_up() -> None:
    terminal = Terminal(auto_accept=False)
    assert terminal.authenticate() == []
    assert terminal.report() == []
    terminal.session.accept(DeviceProfile(7, IDENT), terminal.now)
    assert results(terminal.listen()) == [(101, 0x0102, OK)]
    assert results(terminal.store()) == [(102, 0x0200, OK)]


def test_what_waits_is_bounded() -> None:
    terminal = Terminal(auto_accept=False)
    terminal.settings = terminal.settings.__class__(held_frames=3, unauthenticated_per_s=1000)
    terminal.__post_init__()
    for _ in range(4):
        terminal.report()
    assert terminal.events(Close)[0].code == 4


def test_a_flood_before_authentication_is_closed() -> None:
    terminal = Terminal()
    for _ in range(60):
        terminal.say(MessageId.HEARTBEAT)
    assert terminal.events(Close)[0].code == 4
    assert terminal.say(MessageId.HEARTBEAT) == []


def test_accept_twice_renews_the_profile_only() -> None:
    terminal = online()
    terminal.session.accept(DeviceProfile(7, IDENT, 0), terminal.now)
    assert terminal.listen() == []
    terminal.report()
    (reports,) = terminal.events(Reports)
    assert reports.messages[0]["timestamp"] == 1780028800.0


def test_a_refusal_of_a_served_terminal_closes_it() -> None:
    terminal = online()
    terminal.session.refuse("disabled", terminal.now)
    terminal.listen()
    assert terminal.events(Close) == [Close(18, "disabled")]


def test_another_terminal_on_the_same_connection_is_not_heard() -> None:
    terminal = online()
    other = encode_frame(
        MessageId.LOCATION, LOCATION.encode(), layout=Layout.V2013, number=bytes.fromhex("013900000000"), serial=1
    )
    assert terminal.send(other + other) == []
    assert [note.event for note in terminal.events(Note)] == ["other_terminal"]


def test_the_layout_of_an_answer_follows_the_terminal() -> None:
    terminal = online()
    terminal.layout, terminal.number = Layout.V2019, bytes(4) + NUMBER
    heard = terminal.say(MessageId.HEARTBEAT)
    assert heard[0].frame.header.layout is Layout.V2019
    for layout in (Layout.V2019_SHORT, Layout.V2013_FLAGGED):
        terminal = online(layout)
        assert terminal.say(MessageId.HEARTBEAT)[0].frame.header.layout is layout


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("013912345678", ("13912345678", "013912345678", "00000000013912345678")),
        ("00000000013912345678", ("13912345678", "013912345678", "00000000013912345678")),
        ("123456789012", ("123456789012", "00000000123456789012")),
        ("12345678901234567890", ("12345678901234567890",)),
        ("000056aebc2a", ("14542920104", "000056aebc2a")),
        ("000000000000", ("0", "000000000000", "00000000000000000000")),
    ],
)
def test_idents_of_a_number(number: str, expected: tuple[str, ...]) -> None:
    assert candidates(bytes.fromhex(number)) == expected


def test_luhn_digit_of_a_known_imei() -> None:
    assert luhn_digit("49015420323751") == "8"


def test_codes_differ_by_number_and_secret() -> None:
    assert len(CODE) == 16
    assert authentication_code(SECRET, bytes(6)) != CODE != authentication_code(b"other", NUMBER)


# --- answers ---------------------------------------------------------------------------------------------------------


def test_a_report_is_answered_when_it_is_durable_and_in_that_order() -> None:
    terminal = online()
    assert terminal.report() == []
    assert terminal.report() == []
    first, second = terminal.events(Reports)
    terminal.session.reports_stored(second.token, True, terminal.now)
    assert results(terminal.listen()) == [(second.messages[0]["event.seqnum"], 0x0200, OK)]
    terminal.session.reports_stored(first.token, False, terminal.now)
    assert results(terminal.listen()) == [(first.messages[0]["event.seqnum"], 0x0200, FAILURE)]
    terminal.session.reports_stored(first.token, True, terminal.now)
    assert terminal.listen() == []


def test_unacknowledged_reports_are_bounded() -> None:
    terminal = online()
    for _ in range(2000):
        assert terminal.report() == []
    assert results(terminal.report())[0][2] == FAILURE


def test_a_batch_is_one_delivery() -> None:
    terminal = online()
    batch = LocationBatch(2, 1, (LOCATION, LOCATION))
    assert terminal.say(MessageId.LOCATION_BATCH, batch.encode(Layout.V2013)) == []
    (reports,) = terminal.events(Reports)
    assert len(reports.messages) == 2
    assert all(message["message.buffered.status"] is True for message in reports.messages)
    terminal.session.reports_stored(reports.token, True, terminal.now)
    assert results(terminal.listen()) == [(102, 0x0704, OK)]


def test_an_empty_batch_is_answered_at_once() -> None:
    terminal = online()
    assert results(terminal.say(MessageId.LOCATION_BATCH, b"\0\0\0")) == [(102, 0x0704, OK)]


def test_unknown_and_misplaced_messages_are_not_supported() -> None:
    terminal = online()
    for message_id in (0x0F77, MessageId.TERMINAL_RSA_KEY, MessageId.TEXT, 0x1210):
        assert results(terminal.say(message_id, bytes(10)))[0][1:] == (message_id, UNSUPPORTED)


def test_a_body_that_is_too_short_is_malformed_and_noted_once() -> None:
    terminal = online()
    for _ in range(2):
        assert results(terminal.say(MessageId.LOCATION, bytes(27)))[0][2] == MALFORMED
    assert [note.event for note in terminal.events(Note)] == ["malformed_0200"]


def test_a_short_registration_is_malformed() -> None:
    terminal = Terminal()
    assert results(terminal.say(MessageId.REGISTER, bytes(5))) == [(101, 0x0100, MALFORMED)]


def test_encrypted_messages_are_not_supported_and_noted_once() -> None:
    terminal = online()
    data = bytearray(terminal.frame(MessageId.LOCATION, LOCATION.encode()))
    data[3] |= 0x04
    data[-2] ^= 0x04
    for _ in range(2):
        assert results(terminal.send(bytes(data)))[0][2] == UNSUPPORTED
    assert [note.event for note in terminal.events(Note)] == ["encrypted_message"]


def test_damaged_bytes_are_dropped_in_silence_until_there_are_too_many() -> None:
    terminal = online()
    bad = b"\x7e" + bytes(20) + b"\x01\x7e"
    for _ in range(19):
        assert terminal.send(bad) == []
    assert not terminal.events(Close)
    terminal.send(bad)
    assert terminal.events(Close)[0].code == 4


def test_bytes_without_a_flag_are_closed() -> None:
    terminal = Terminal()
    for _ in range(128):
        terminal.send(b"GET / HTTP/1.1\r\n" * 64)
    assert terminal.events(Note)[0].fields == {"byte": ord("G")}
    assert terminal.events(Close)[0].code == 4


def test_heartbeat_with_bytes_of_a_vendor() -> None:
    assert results(online().say(MessageId.HEARTBEAT, b"\x64\x1f")) == [(102, 0x0002, OK)]


def test_logout_ends_the_authentication() -> None:
    terminal = online()
    assert results(terminal.say(MessageId.LOGOUT)) == [(102, 0x0003, OK)]
    terminal.order("reboot")
    assert terminal.events(CommandUpdate) == []
    terminal.authenticate()
    assert terminal.outcome() is None
    assert terminal.heard[-1].id == MessageId.CONTROL


def test_time_is_told_in_utc() -> None:
    terminal = online()
    assert only(terminal.say(MessageId.TIME_QUERY), MessageId.TIME_ANSWER).message.time == "260528202640"
    vendor = only(terminal.say(MessageId.VENDOR_TIME_QUERY), MessageId.VENDOR_TIME_ANSWER).message
    assert (vendor.year, vendor.rest) == (2026, (5, 28, 20, 26, 40))


def test_silence_closes_after_three_minutes_or_three_heartbeats() -> None:
    terminal = online()
    terminal.wait(179)
    assert not terminal.events(Close)
    terminal.wait(1)
    assert terminal.events(Close)[0].code == 17

    terminal = online()
    report = ParameterReport(0, SetParameters((parameter("heartbeat_interval", 100),)))
    terminal.say(MessageId.PARAMETERS, report.encode(Layout.V2013))
    terminal.wait(299)
    assert not terminal.events(Close)
    terminal.wait(1)
    assert terminal.events(Close)[0].code == 17


# --- reports of other kinds ------------------------------------------------------------------------------------------


def test_what_it_says_of_itself_becomes_facts() -> None:
    terminal = online()
    attributes = AvAttributes(6, 1, 0, 1, 320, 0, 98, 8, 8)
    assert results(terminal.say(MessageId.AV_ATTRIBUTES, attributes.encode()))[0][2] == OK
    properties = Properties(4, "MAKER", "M", "T1", "8986" + "0" * 16, "H1", "F1", 3, 0x21)
    terminal.say(MessageId.PROPERTIES, properties.encode(Layout.V2013))
    report = ParameterReport(0, SetParameters((parameter("report_interval", 30), parameter("0x0079", "320005"))))
    terminal.say(MessageId.PARAMETERS, report.encode(Layout.V2013))
    av, about, settings = terminal.events(Facts)
    assert (av.topic, av.values["audio_codec"], av.values["audio_sample_rate"]) == ("attributes", 6, 8000)
    assert (about.topic, about.values["gnss"], about.values["networks"]) == (
        "properties",
        ["gps", "beidou"],
        ["gprs", "td-lte"],
    )
    assert settings.topic == "parameters"
    assert settings.values["report_interval"] == 30
    assert settings.values["alarm_recording"] == {"storage_percent": 50, "duration_min": 0, "pre_duration_min": 5}


def test_other_reports_become_messages_and_are_answered_when_durable() -> None:
    flow = PassengerFlow("260529040000", "260529042640", 3, 2).encode()
    cases = {
        MessageId.TRANSPARENT_UP: (b"\xf7\x01", {"payload.source.type": 0xF7, "payload.hex": "01"}),
        MessageId.UPGRADE_RESULT: (b"\x34\x01", {"upgrade.type": "GNSS", "upgrade.status.name": "failure"}),
        MessageId.EVENT_REPORT: (b"\x05", {"event.enum": 5}),
        MessageId.QUESTION_ANSWER: (b"\x00\x03\x02", {"custom.jt808.question.answer": 2}),
        MessageId.INFORMATION_DEMAND: (b"\x02\x01", {"custom.jt808.information.on": True}),
        MessageId.WAYBILL: (b"\0\0\0\x02hi", {"custom.jt808.waybill": "hi"}),
        MessageId.PASSENGER_FLOW: (flow, {"passengers.in.count": 3, "passengers.out.count": 2}),
        MessageId.MEDIA_EVENT: (bytes.fromhex("0000001100000102"), {"media.id": 17, "media.type": "image"}),
        MessageId.CAN_FRAMES: (
            bytes.fromhex("0001 0102030405 00000123 0102030405060708"),
            {"custom.jt808.can.00000123": "0102030405060708"},
        ),
        MessageId.DRIVER_IDENTITY: (
            bytes.fromhex("02 260529042640"),
            {"driver.registration.status": False, "timestamp": 1780000000.0},
        ),
    }
    for message_id, (body, expected) in cases.items():
        terminal = online()
        assert terminal.say(message_id, body) == []
        (reports,) = terminal.events(Reports)
        assert expected.items() <= reports.messages[0].items()
        assert isinstance(reports.messages[0]["timestamp"], float)
        terminal.session.reports_stored(reports.token, True, terminal.now)
        assert results(terminal.listen()) == [(102, message_id, OK)]


def test_a_position_nobody_asked_for_is_a_report() -> None:
    terminal = online()
    terminal.say(MessageId.LOCATION_ANSWER, LocationAnswer(5, LOCATION).encode(Layout.V2013))
    assert results(terminal.store()) == [(102, 0x0201, OK)]


def test_a_compressed_report_is_the_report_inside() -> None:
    terminal = online()
    inner = terminal.frame(MessageId.LOCATION, LOCATION.encode())[1:-1]
    for content in (inner, inner[:-1]):
        body = Compressed(len(content), gzip.compress(content)).encode(Layout.V2013)
        terminal.say(MessageId.COMPRESSED, body)
        (reports,) = terminal.events(Reports)
        assert reports.messages[0]["position.latitude"] == 10.0
    terminal.say(MessageId.COMPRESSED, Compressed(3, gzip.compress(b"abc")).encode(Layout.V2013))
    (reports,) = terminal.events(Reports)
    assert reports.messages[0]["payload.hex"] == b"abc".hex()
    assert results(terminal.say(MessageId.COMPRESSED, bytes(8)))[0][2] == MALFORMED


# --- long messages ---------------------------------------------------------------------------------------------------


def test_every_part_is_answered_and_the_last_when_durable() -> None:
    terminal = online()
    batch = LocationBatch(30, 0, (LOCATION,) * 30).encode(Layout.V2013)
    first, second = terminal.parts(MessageId.LOCATION_BATCH, batch)
    assert results(terminal.send(first)) == [(102, 0x0704, OK)]
    assert terminal.send(second) == []
    (reports,) = terminal.events(Reports)
    assert len(reports.messages) == 30
    terminal.session.reports_stored(reports.token, True, terminal.now)
    assert results(terminal.listen()) == [(103, 0x0704, OK)]


def test_answering_every_part_can_be_switched_off() -> None:
    terminal = online(ack_each_part=False)
    batch = LocationBatch(30, 0, (LOCATION,) * 30).encode(Layout.V2013)
    first, second = terminal.parts(MessageId.LOCATION_BATCH, batch)
    assert terminal.send(first) == []
    terminal.send(second)
    assert results(terminal.store()) == [(103, 0x0704, OK)]


@pytest.mark.parametrize(("layout", "count"), [(Layout.V2013, "01"), (Layout.V2019, "0001")])
def test_missing_parts_are_asked_for_and_given_up(layout: Layout, count: str) -> None:
    terminal = online(layout)
    batch = LocationBatch(60, 0, (LOCATION,) * 60).encode(layout)
    first, _, third, *rest = terminal.parts(MessageId.LOCATION_BATCH, batch)
    for part in (first, third, *rest):
        terminal.send(part)
    assert terminal.wait(4.9) == []
    (asked,) = terminal.wait(0.1)
    assert asked.id == MessageId.PLATFORM_RESEND
    assert asked.frame.body.hex() == "0066" + count + "0002"
    assert len(terminal.wait(54)) == 5
    assert terminal.wait(1) == []
    (note,) = terminal.events(Note)
    assert (note.event, note.fields["received"], note.fields["total"]) == ("long_message_dropped", 3, 4)


def test_impossible_part_numbers_are_dropped() -> None:
    terminal = online()
    for package in ((0, 1), (3, 0), (3, 4), (513, 1)):
        assert terminal.send(terminal.frame(MessageId.LOCATION, b"abc", package)) == []
    assert terminal.send(terminal.frame(MessageId.LOCATION, LOCATION.encode(), (1, 1))) == []
    assert len(terminal.events(Reports)) == 1


def test_our_own_parts_are_sent_again_for_a_minute() -> None:
    terminal = online(Layout.V2019)
    terminal.order("send_transparent", type=240, payload="ab" * MAX_BODY)
    first, second = [h for h in terminal.heard if h.id == MessageId.TRANSPARENT_DOWN]
    assert first.frame.header.package == (2, 1)
    assert second.serial == first.serial + 1
    body = Resend(first.serial, (2, 9)).encode(Layout.V2019)
    again = terminal.say(MessageId.TERMINAL_RESEND, body)
    assert [h.frame for h in again if h.id == MessageId.TRANSPARENT_DOWN] == [second.frame]
    assert results(again)[0][2] == OK
    terminal.now += 61
    assert results(terminal.say(MessageId.TERMINAL_RESEND, body))[0][2] == FAILURE


# --- alarms with files -----------------------------------------------------------------------------------------------


def alarm_item(sequence: int, files: int) -> tuple[int, str]:
    place = Place(60, 10, 10_000_000, 20_000_000, "260529042640", 1)
    identifier = AlarmIdentifier(b"T000001" + bytes.fromhex("260529042640") + bytes((sequence, files, 0)))
    return 0x64, AdasAlarm(1, 1, 1, 2, 50, 10, 0, 0, 0, place, identifier).encode().hex()


def test_files_of_an_alarm_are_asked_for_once() -> None:
    terminal = online()
    location = with_items(alarm_item(1, 3))
    request = only(terminal.report(location), MessageId.ATTACHMENTS).message
    (expected,) = terminal.events(AttachmentsExpected)
    assert request.alarm_number == expected.alarm_number == f"{1:032x}"
    assert request.identifier.raw == expected.identifier
    assert (request.host, request.tcp_port) == ("video.example", 8812)
    assert expected.created == 1780000000.0
    assert expected.parameters["adas.collision.warning.event"] is True
    assert terminal.report(location) == []
    only(terminal.report(with_items(alarm_item(2, 1))), MessageId.ATTACHMENTS)


def test_alarms_without_files_or_from_the_day_before_are_not_asked_for() -> None:
    terminal = online()
    assert terminal.report(with_items(alarm_item(1, 0))) == []
    terminal.now = START + 90_000
    batch = LocationBatch(1, 1, (with_items(alarm_item(1, 3)),))
    assert terminal.say(MessageId.LOCATION_BATCH, batch.encode(Layout.V2013)) == []
    assert not terminal.events(AttachmentsExpected)


def test_two_alarms_in_one_report_are_two_messages() -> None:
    terminal = online()
    terminal.report(with_items(alarm_item(1, 1), alarm_item(2, 1)))
    (reports,) = terminal.events(Reports)
    assert len(reports.messages) == 2
    assert len(terminal.events(AttachmentsExpected)) == 2


# --- the registration editions ---------------------------------------------------------------------------------------


def test_a_vehicle_without_plate_shows_its_vin() -> None:
    terminal = Terminal()
    terminal.say(MessageId.REGISTER, Registration(0, 0, "", "", "", 0, "WVWZZZ1").encode(Layout.V2013))
    assert terminal.events(Identify)[0].details == {"vin": "WVWZZZ1"}


def test_raw_frames_are_what_the_gateway_sends() -> None:
    """The first answer, byte by byte, so that an error in both our directions cannot hide."""
    session = Terminal().session
    session.receive(bytes.fromhex("7e 0002 0000 013912345678 0001 137e".replace(" ", "")), START)
    assert session.data_to_send() == b""
    good = bytes.fromhex("0002000001391234567800 01".replace(" ", ""))
    check = 0
    for byte in good:
        check ^= byte
    session.receive(b"\x7e" + good + bytes((check,)) + b"\x7e", START)
    answer = session.data_to_send()
    assert answer[1:-1].startswith(bytes.fromhex("80010005013912345678 0000 0001 0002 00".replace(" ", "")))
    assert decode_frame(answer[1:-1]).body == bytes.fromhex("0001000200")
