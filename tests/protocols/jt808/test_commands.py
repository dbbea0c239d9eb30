"""Commands as conversations: what the device is asked, what it answers, how the command ends."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from wayframe.protocols.device import CommandRequest, CommandState, CommandUpdate, Note, Reports
from wayframe.protocols.jt808.commands import COMMANDS
from wayframe.protocols.jt808.frames import FrameSplitter, Layout, decode_frame
from wayframe.protocols.jt808.ids import MessageId
from wayframe.protocols.jt808.location import LocationAnswer
from wayframe.protocols.jt808.multimedia import MediaItem, MediaList
from wayframe.protocols.jt808.terminal import DriverIdentity, Properties
from wayframe.protocols.jt808.terminal_parameters import ParameterReport, SetParameters, parameter
from wayframe.protocols.jt1078.signalling import AvAttributes
from wayframe.protocols.registry import GENERIC, PROTOCOLS, SessionOptions

from .conversation import ENDPOINTS, LOCATION, START, Terminal, online, only

# command, properties, edition, id and body (hex) of the message
EFFECTS: list[tuple[str, dict[str, Any], Layout, int, str]] = [
    ("send_text", {"text": "Hi"}, Layout.V2013, 0x8300, "0c 4869"),
    ("send_text", {"text": "Hi", "urgent": True, "speak": False}, Layout.V2013, 0x8300, "05 4869"),
    ("send_text", {"text": "Hi", "urgent": True, "type": 2}, Layout.V2019, 0x8300, "0e 02 4869"),
    ("send_text", {"text": "Hi", "display": False, "screen": True}, Layout.V2019, 0x8300, "1b 01 4869"),
    ("terminal_control", {"command": "connect", "arguments": "0;a;b"}, Layout.V2013, 0x8105, "02 303b613b62"),
    ("terminal_control", {"command": "vendor", "code": 100}, Layout.V2013, 0x8105, "64"),
    ("reboot", {}, Layout.V2013, 0x8105, "04"),
    ("factory_reset", {}, Layout.V2013, 0x8105, "05"),
    ("set_parameters", {"parameters": {"report_interval": 30}}, Layout.V2013, 0x8103, "01 00000029 04 0000001e"),
    ("set_parameters", {"parameters": {"0xF364": "0102"}}, Layout.V2013, 0x8103, "01 0000f364 02 0102"),
    ("set_report_interval", {"interval": 5, "duration": 600}, Layout.V2013, 0x8202, "0005 00000258"),
    ("set_report_interval", {"interval": 0}, Layout.V2013, 0x8202, "0000"),
    ("confirm_alarm", {}, Layout.V2013, 0x8203, "0000 18700009"),
    ("confirm_alarm", {"alarms": ["emergency"], "serial": 7}, Layout.V2013, 0x8203, "0007 00000001"),
    ("ptz", {"channel": 2, "action": "left"}, Layout.V2013, 0x9301, "02 03 40"),
    ("ptz", {"channel": 2, "action": "stop", "speed": 0}, Layout.V2013, 0x9301, "02 00 00"),
    ("ptz", {"channel": 2, "action": "focus_near"}, Layout.V2013, 0x9302, "02 01"),
    ("ptz", {"channel": 2, "action": "iris_open"}, Layout.V2013, 0x9303, "02 00"),
    ("ptz", {"channel": 2, "action": "wiper_on"}, Layout.V2013, 0x9304, "02 01"),
    ("ptz", {"channel": 2, "action": "infrared_off"}, Layout.V2013, 0x9305, "02 00"),
    ("ptz", {"channel": 2, "action": "zoom_out"}, Layout.V2013, 0x9306, "02 01"),
    ("call_back", {"phone": "123", "listen": True}, Layout.V2013, 0x8400, "01 313233"),
    ("send_transparent", {"type": 240, "text": "AT"}, Layout.V2013, 0x8900, "f0 4154"),
    ("send_transparent", {"type": 65, "payload": "0102"}, Layout.V2013, 0x8900, "41 0102"),
    ("request_media", {"event": 1}, Layout.V2013, 0x8803, "00 00 01 000000000000 000000000000 00"),
    (
        "request_media",
        {"channel": 2, "from": START, "to": START + 60, "delete": True},
        Layout.V2013,
        0x8803,
        "00 02 00 260529042640 260529042740 01",
    ),
    ("custom_message", {"id": "0x8204"}, Layout.V2019, 0x8204, ""),
    ("custom_message", {"id": "8F00", "body": "0102"}, Layout.V2013, 0x8F00, "0102"),
]


def schema_of(name: str) -> dict[str, Any]:
    (spec,) = [spec for spec in PROTOCOLS[1].device_types[0].commands if spec.name == name]
    return spec.schema


def send(terminal: Terminal, name: str, properties: dict[str, Any]) -> Any:
    """Execute with properties that the schema allows, and take the one message that goes out."""
    Draft202012Validator(schema_of(name)).validate(properties)
    terminal.session.execute(CommandRequest(1, name, properties, terminal.now + 60), terminal.now)
    data = terminal.session.data_to_send()
    (raw,) = FrameSplitter().feed(data)
    assert terminal.listen() == []
    return decode_frame(raw)


@pytest.mark.parametrize(("name", "properties", "layout", "message_id", "body"), EFFECTS)
def test_a_command_with_an_effect(
    name: str, properties: dict[str, Any], layout: Layout, message_id: int, body: str
) -> None:
    terminal = online(layout)
    frame = send(terminal, name, properties)
    assert frame.header.message_id == message_id
    assert frame.body == bytes.fromhex(body)
    (sent,) = terminal.events(CommandUpdate)
    assert sent.state is CommandState.SENT
    answer = frame.header.serial.to_bytes(2, "big") + message_id.to_bytes(2, "big")
    terminal.say(MessageId.TERMINAL_RESPONSE, answer + b"\x00")
    update = terminal.outcome()
    assert update is not None
    assert (update.state, update.response) == (CommandState.DONE, "accepted")

    terminal = online(layout)
    send(terminal, name, properties)
    terminal.say(MessageId.TERMINAL_RESPONSE, answer + b"\x03")
    update = terminal.outcome()
    assert update is not None
    assert (update.state, update.reason, update.retry) == (
        CommandState.FAILED,
        "the device answered: not supported",
        False,
    )


@pytest.mark.parametrize(("name", "properties", "layout", "message_id", "body"), EFFECTS)
def test_an_effect_without_an_answer_is_never_tried_again_as_a_command(
    name: str, properties: dict[str, Any], layout: Layout, message_id: int, body: str
) -> None:
    terminal = online(layout)
    send(terminal, name, properties)
    repeated = [heard for heard in terminal.wait(60) if heard.id == message_id]
    once = {0x8105, 0x8300, 0x8400, 0x8900, 0x8803, 0x8500}
    assert len(repeated) == (0 if message_id in once or name == "custom_message" else 2)
    update = terminal.outcome()
    assert update is not None
    assert (update.state, update.reason, update.retry) == (CommandState.FAILED, "sent, outcome unknown", False)


def test_a_repeated_message_is_the_same_and_repeats_after_10_and_30_seconds() -> None:
    terminal = online()
    (first,) = terminal.order("set_report_interval", interval=5)
    assert terminal.wait(9.9) == []
    (again,) = terminal.wait(0.1)
    assert again.frame == first.frame
    assert terminal.wait(19.9) == []
    assert [heard.frame for heard in terminal.wait(0.1)] == [first.frame]
    terminal.respond(first)
    assert terminal.wait(60) == []


QUESTIONS: list[tuple[str, dict[str, Any], int, str, int, bytes, Any]] = [
    (
        "get_parameters",
        {},
        0x8104,
        "",
        0x0104,
        ParameterReport(0, SetParameters((parameter("report_interval", 30),))).encode(Layout.V2013),
        {"report_interval": 30},
    ),
    (
        "get_parameters",
        {"parameters": ["report_interval", "0x0001"]},
        0x8106,
        "02 00000029 00000001",
        0x0104,
        ParameterReport(0, SetParameters((parameter("report_interval", 30),))).encode(Layout.V2013),
        {"report_interval": 30},
    ),
    (
        "get_properties",
        {},
        0x8107,
        "",
        0x0107,
        Properties(0, "A", "B", "C", "0" * 20, "H", "F", 1, 32).encode(Layout.V2013),
        {
            "maker": "A",
            "model": "B",
            "terminal_id": "C",
            "iccid": "0" * 20,
            "hardware_version": "H",
            "firmware_version": "F",
            "type": 0,
            "gnss": ["gps"],
            "networks": ["td-lte"],
        },
    ),
    (
        "get_attributes",
        {},
        0x9003,
        "",
        0x1003,
        AvAttributes(8, 1, 0, 1, 320, 1, 99, 4, 4).encode(),
        {
            "audio_codec": 8,
            "audio_channels": 1,
            "audio_sample_rate": 8000,
            "audio_bits": 16,
            "audio_frame_length": 320,
            "audio_output": True,
            "video_codec": 99,
            "max_audio_channels": 4,
            "max_video_channels": 4,
        },
    ),
    (
        "request_driver",
        {},
        0x8702,
        "",
        0x0702,
        DriverIdentity(1, "260529042640", 0, "Ann", "L1", "Office", "20301231").encode(Layout.V2013),
        {
            "present": True,
            "timestamp": START,
            "name": "Ann",
            "licence": "L1",
            "issuer": "Office",
            "valid_until": "20301231",
        },
    ),
    (
        "media_list",
        {"type": "image", "event": 1},
        0x8802,
        "00 00 01 000000000000 000000000000",
        0x0802,
        MediaList(0, 1, (MediaItem(17, 0, 1, 1, LOCATION),)).encode(Layout.V2013),
        [
            {
                "media_id": 17,
                "type": "image",
                "channel": 1,
                "event": "timer",
                "timestamp": START,
                "position.latitude": 10.0,
                "position.longitude": 20.0,
            }
        ],
    ),
]


def with_serial(message_id: int, body: bytes, serial: int) -> bytes:
    """Answers that name the question begin with its serial."""
    named = message_id in (0x0104, 0x0802)
    return serial.to_bytes(2, "big") + body[2:] if named else body


@pytest.mark.parametrize(("name", "properties", "asked", "body", "answer", "answered", "response"), QUESTIONS)
def test_a_question(
    name: str, properties: dict[str, Any], asked: int, body: str, answer: int, answered: bytes, response: Any
) -> None:
    terminal = online()
    frame = send(terminal, name, properties)
    assert (frame.header.message_id, frame.body) == (asked, bytes.fromhex(body))
    terminal.say(answer, with_serial(answer, answered, frame.header.serial))
    update = terminal.outcome()
    assert update is not None
    assert (update.state, update.response) == (CommandState.DONE, response)


@pytest.mark.parametrize(("name", "properties", "asked", "body", "answer", "answered", "response"), QUESTIONS)
def test_a_question_without_an_answer_may_be_asked_again(
    name: str, properties: dict[str, Any], asked: int, body: str, answer: int, answered: bytes, response: Any
) -> None:
    terminal = online()
    send(terminal, name, properties)
    assert len([heard for heard in terminal.wait(60) if heard.id == asked]) == 2
    update = terminal.outcome()
    assert update is not None
    assert (update.state, update.retry) == (CommandState.FAILED, True)
    assert "did not answer within 60 s" in update.reason


def test_request_location_answers_with_the_report_and_reports_it() -> None:
    terminal = online()
    asked = only(terminal.order("request_location"), MessageId.QUERY_LOCATION)
    terminal.respond(asked)
    assert terminal.outcome() is None
    terminal.say(MessageId.LOCATION_ANSWER, LocationAnswer(asked.serial, LOCATION).encode(Layout.V2013))
    update = terminal.outcome()
    assert update is not None and isinstance(update.response, dict)
    assert update.response["position.longitude"] == 20.0
    assert len(terminal.events(Reports)) == 1


def test_an_answer_to_another_question_is_not_taken() -> None:
    terminal = online()
    asked = only(terminal.order("request_location"), MessageId.QUERY_LOCATION)
    terminal.say(MessageId.LOCATION_ANSWER, LocationAnswer(asked.serial + 5, LOCATION).encode(Layout.V2013))
    assert terminal.outcome() is None
    terminal.say(MessageId.TERMINAL_RESPONSE, bytes.fromhex("0099820103"))
    assert terminal.outcome() is None
    assert [note.event for note in terminal.events(Note)] == ["refused_by_device"]


def test_answers_that_name_no_question_answer_it_all_the_same() -> None:
    terminal = online()
    terminal.order("get_parameters")
    report = ParameterReport(0, SetParameters((parameter("report_interval", 30),)))
    terminal.say(MessageId.PARAMETERS, report.encode(Layout.V2013))
    assert terminal.outcome() is not None


def test_accepted_but_never_answered() -> None:
    terminal = online()
    (asked,) = terminal.order("get_properties")
    terminal.respond(asked)
    terminal.wait(15)
    update = terminal.outcome()
    assert update is not None
    assert (update.state, update.retry) == (CommandState.FAILED, True)


@pytest.mark.parametrize(("doors", "body"), [("lock", "01"), ("unlock", "00")])
def test_vehicle_control_waits_for_the_report_but_not_for_ever(doors: str, body: str) -> None:
    terminal = online()
    (asked,) = terminal.order("vehicle_control", doors=doors)
    assert asked.frame.body.hex() == body
    terminal.respond(asked)
    assert terminal.outcome() is None
    terminal.wait(15)
    update = terminal.outcome()
    assert update is not None and update.response == "accepted"

    (asked,) = terminal.order("vehicle_control", doors=doors)
    terminal.respond(asked)
    body_ = LocationAnswer(asked.serial, LOCATION).encode(Layout.V2013)
    terminal.say(MessageId.VEHICLE_CONTROL_ANSWER, body_)
    update = terminal.outcome()
    assert update is not None and isinstance(update.response, dict)


def test_a_long_message_may_be_answered_by_the_serial_of_any_part() -> None:
    terminal = online()
    _, last = terminal.order("custom_message", id="0x8F00", body="00" * 1000)
    terminal.respond(last)
    update = terminal.outcome()
    assert update is not None and update.state is CommandState.DONE


@pytest.mark.parametrize(
    ("name", "properties", "says"),
    [
        ("set_parameters", {"parameters": {"nonsense": 1}}, "unknown parameter"),
        ("set_parameters", {"parameters": {}}, "at least one"),
        ("get_parameters", {"parameters": ["nonsense"]}, "unknown parameter"),
        ("request_tachograph_file", {}, "not supported by JT/T 808"),
        ("media_list", {"from": 1.0}, "2000 to 2099"),
    ],
)
def test_what_no_schema_can_check_fails_at_once(name: str, properties: dict[str, Any], says: str) -> None:
    terminal = online()
    assert terminal.order(name, **properties) == []
    update = terminal.outcome()
    assert update is not None
    assert (update.state, update.retry) == (CommandState.FAILED, False)
    assert says in update.reason


def test_commands_wait_for_authentication_until_their_deadline() -> None:
    terminal = Terminal()
    terminal.register()
    assert terminal.order("reboot") == []
    assert terminal.order("get_properties", 2) == []
    terminal.session.cancel(2, terminal.now)
    assert MessageId.CONTROL in [heard.id for heard in terminal.authenticate()]

    terminal = Terminal()
    terminal.register()
    terminal.order("reboot")
    terminal.wait(60)
    update = terminal.outcome()
    assert update is not None
    assert (update.state, update.retry) == (CommandState.FAILED, True)


def test_commands_fail_before_the_device_is_known() -> None:
    terminal = Terminal()
    terminal.order("reboot")
    update = terminal.outcome()
    assert update is not None
    assert (update.reason, update.retry) == ("the device is not connected", True)


def test_commands_under_way_are_bounded_and_unique() -> None:
    terminal = online()
    for command_id in range(64):
        assert len(terminal.order("get_properties", command_id)) == 1
    terminal.events(CommandUpdate)
    assert terminal.order("get_properties", 3) == []
    assert terminal.outcome() is None
    terminal.order("get_properties", 99)
    update = terminal.outcome()
    assert update is not None and update.retry


def test_a_cancelled_command_says_nothing_more() -> None:
    terminal = online()
    (asked,) = terminal.order("get_properties")
    terminal.events(CommandUpdate)
    terminal.session.cancel(1, terminal.now)
    assert terminal.wait(60) == []
    terminal.respond(asked)
    assert terminal.outcome() is None


# --- how the protocol describes itself -------------------------------------------------------------------------------


def test_every_command_of_a_device_type_is_known_and_its_examples_pass_its_schema() -> None:
    for protocol in PROTOCOLS:
        for kind in protocol.device_types:
            assert len({spec.name for spec in kind.commands}) == len(kind.commands)
            for spec in kind.commands:
                assert spec.name in COMMANDS
                Draft202012Validator.check_schema(spec.schema)
                assert spec.schema["additionalProperties"] is False
                assert spec.schema["x-view-order"] == list(spec.schema["properties"])
                assert set(spec.schema["required"]) <= set(spec.schema["properties"])
                for example in spec.examples:
                    assert example["description"]
                    Draft202012Validator(spec.schema).validate(example["properties"])


def test_the_mdvr_offers_all_commands_and_the_tracker_no_video() -> None:
    mdvr, dashcam, tracker = PROTOCOLS[1].device_types
    assert {spec.name for spec in mdvr.commands} == COMMANDS
    video = {"request_video", "start_videostream", "playback_video", "video_timeline", "get_attributes", "ptz"}
    assert {spec.name for spec in tracker.commands} == COMMANDS - video
    assert {spec.name for spec in dashcam.commands} == COMMANDS - {"ptz"}
    assert (mdvr.features["video"], tracker.features["video"]) == (True, False)


def test_ids_of_protocols_and_device_types() -> None:
    assert {protocol.id: protocol.name for protocol in PROTOCOLS} == {0: "generic", 552: "jt808"}
    ids = [kind.id for protocol in PROTOCOLS for kind in protocol.device_types]
    assert len(set(ids)) == len(ids)
    assert {0, 171} <= set(ids)


def test_sessions_are_opened_by_protocol() -> None:
    options = SessionOptions(ENDPOINTS, b"secret", lambda n: "0" * 2 * n)
    session = PROTOCOLS[1].open_session(options)
    session.receive(b"\x7e", START)
    assert session.next_tick() is not None
    with pytest.raises(ValueError, match="do not connect"):
        GENERIC.open_session(options)
