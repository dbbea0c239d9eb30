"""Photos, live video, playback, clips and the timeline, as conversations."""

from __future__ import annotations

import pytest

from wayframe.protocols.device import (
    Close,
    CommandState,
    CommandUpdate,
    FileReceived,
    MediaExpected,
    MediaKind,
    MediaNews,
    Note,
)
from wayframe.protocols.jt808.frames import Layout
from wayframe.protocols.jt808.ids import MessageId
from wayframe.protocols.jt808.multimedia import MediaEvent, PhotoAnswer
from wayframe.protocols.jt1078.signalling import RecordingItem, RecordingList
from wayframe.protocols.jt1078.times import unix_to_bcd

from .conversation import NUMBER, PICTURE, START, Heard, Terminal, online, only, results, upload

OK = 0


def failed(terminal: Terminal) -> CommandUpdate:
    update = terminal.outcome()
    assert update is not None
    assert update.state is CommandState.FAILED
    return update


def send_parts(terminal: Terminal, body: bytes) -> list[Heard]:
    heard = []
    for part in terminal.parts(MessageId.MEDIA_UPLOAD, body):
        heard += terminal.send(part)
    return heard


# --- take_photo ------------------------------------------------------------------------------------------------------


def test_a_photo_from_order_to_confirmation() -> None:
    terminal = online()
    (order,) = terminal.order("take_photo", channel=1)
    assert order.frame.body.hex() == "0100010000000405" + "7f3f3f7f"
    terminal.say(MessageId.PHOTO_ANSWER, PhotoAnswer(order.serial, 0, (17,)).encode(Layout.V2013))
    heard = send_parts(terminal, upload())
    assert len(results(heard)) == 5 and {result[2] for result in results(heard)} == {OK}
    (file,) = terminal.events(FileReceived)
    assert (file.data, file.command_id, file.channel, file.created) == (PICTURE, 1, 1, START)
    assert file.name == "ch1_20260528T202640Z_17.jpg"
    assert file.parameters["position.latitude"] == 10.0
    assert file.parameters["media.id"] == 17
    assert MessageId.MEDIA_ANSWER not in [h.id for h in heard], "the terminal may forget it only when it is stored"
    terminal.session.file_stored(file.token, True, terminal.now)
    confirmed = only(terminal.listen(), MessageId.MEDIA_ANSWER)
    assert confirmed.frame.body.hex() == "00000011", "a count of 0 is refused by terminals"
    assert terminal.outcome() is None, "the gateway completes the command with the stored file"


@pytest.mark.parametrize(
    ("properties", "layout", "body"),
    [
        ({"channel": 2}, Layout.V2019, "02 0001 0000 00 ff 05 7f 3f 3f 7f"),
        ({"channel": 2, "resolution": "320x240", "quality": 1}, Layout.V2013, "02 0001 0000 00 01 01 7f 3f 3f 7f"),
        (
            {"channel": 100, "brightness": 1, "contrast": 2, "saturation": 3, "chroma": 4},
            Layout.V2013,
            "64 0001 0000 00 04 05 01 02 03 04",
        ),
    ],
)
def test_options_of_a_photo(properties: dict[str, object], layout: Layout, body: str) -> None:
    (order,) = online(layout).order("take_photo", **properties)
    assert order.frame.body == bytes.fromhex(body)


def test_a_photo_by_a_terminal_that_only_says_yes() -> None:
    terminal = online()
    (order,) = terminal.order("take_photo", channel=2)
    terminal.respond(order)
    send_parts(terminal, upload(5, event=1, channel=2))
    assert terminal.events(FileReceived)[0].command_id is None, "taken by a timer, not by us"
    send_parts(terminal, upload(6, event=0, channel=2))
    assert terminal.events(FileReceived)[0].command_id == 1


def test_an_answer_without_ids_and_one_after_a_yes() -> None:
    terminal = online()
    (order,) = terminal.order("take_photo", channel=1)
    terminal.respond(order)
    terminal.say(MessageId.PHOTO_ANSWER, order.serial.to_bytes(2, "big") + b"\x00")
    send_parts(terminal, upload())
    assert terminal.events(FileReceived)[0].command_id == 1


@pytest.mark.parametrize(
    ("result", "reason", "retry"),
    [(1, "could not take the photo", True), (2, "does not support camera 1", False)],
)
def test_a_photo_that_cannot_be_taken(result: int, reason: str, retry: bool) -> None:
    terminal = online()
    (order,) = terminal.order("take_photo", channel=1)
    terminal.say(MessageId.PHOTO_ANSWER, PhotoAnswer(order.serial, result).encode(Layout.V2013))
    update = failed(terminal)
    assert reason in update.reason
    assert update.retry is retry


def test_a_photo_refused_by_a_general_response() -> None:
    terminal = online()
    (order,) = terminal.order("take_photo", channel=1)
    terminal.respond(order, 3)
    assert failed(terminal).reason == "the device answered: not supported"


def test_no_answer_to_a_photo_within_10_seconds() -> None:
    terminal = online()
    terminal.order("take_photo", channel=1)
    assert terminal.wait(9.9) == []
    assert terminal.wait(0.1) == [], "a photo is never ordered twice"
    assert failed(terminal).retry


def test_a_late_photo_is_kept_although_its_command_failed() -> None:
    terminal = online()
    (order,) = terminal.order("take_photo", channel=1)
    terminal.respond(order)
    parts = terminal.parts(MessageId.MEDIA_UPLOAD, upload())
    terminal.wait(110)
    terminal.send(parts[0])
    terminal.wait(110)
    assert terminal.outcome() is None, "each part gives it two minutes more"
    terminal.wait(10)
    assert "no upload came within 120 s" in failed(terminal).reason
    send_parts(terminal, upload())
    assert terminal.events(FileReceived)[0].command_id is None


def test_missing_parts_of_a_photo_are_asked_for_by_media_id_if_it_is_known() -> None:
    terminal = online()
    parts = terminal.parts(MessageId.MEDIA_UPLOAD, upload())
    for part in (parts[0], parts[3]):
        terminal.send(part)
    (asked,) = terminal.wait(5)
    assert (asked.id, asked.frame.body.hex()) == (MessageId.MEDIA_ANSWER, "00000011 03 0002 0003 0005".replace(" ", ""))
    for part in (parts[1], parts[2], parts[4]):
        terminal.send(part)
    assert terminal.events(FileReceived)[0].data == PICTURE

    terminal = online()
    parts = terminal.parts(MessageId.MEDIA_UPLOAD, upload())
    for part in parts[1:]:
        terminal.send(part)
    (asked,) = terminal.wait(5)
    assert asked.id == MessageId.PLATFORM_RESEND
    assert (asked.message.first_serial, asked.message.indexes) == (102, (1,))


def test_a_photo_in_one_frame_and_one_nobody_ordered() -> None:
    terminal = online()
    heard = terminal.say(MessageId.MEDIA_UPLOAD, upload(event=4, data=b"\xff\xd8\xff\xd9"))
    assert results(heard) == [(102, 0x0801, OK)]
    (file,) = terminal.events(FileReceived)
    assert (file.command_id, file.parameters["event.name"]) == (None, "door open")


def test_a_photo_that_could_not_be_stored_is_not_confirmed() -> None:
    terminal = online()
    terminal.say(MessageId.MEDIA_UPLOAD, upload(data=b"\xff\xd8"))
    (file,) = terminal.events(FileReceived)
    terminal.session.file_stored(file.token, False, terminal.now)
    assert terminal.listen() == []
    terminal.say(MessageId.MEDIA_UPLOAD, upload(data=b"\xff\xd8"))
    assert len(terminal.events(FileReceived)) == 1, "it is taken when the terminal sends it again"


def test_a_repeated_upload_is_confirmed_again_but_stored_once() -> None:
    terminal = online()
    terminal.say(MessageId.MEDIA_UPLOAD, upload(data=b"\xff\xd8"))
    (file,) = terminal.events(FileReceived)
    terminal.say(MessageId.MEDIA_UPLOAD, upload(data=b"\xff\xd8"))
    assert not terminal.events(FileReceived)
    terminal.session.file_stored(file.token, True, terminal.now)
    only(terminal.listen(), MessageId.MEDIA_ANSWER)
    only(terminal.say(MessageId.MEDIA_UPLOAD, upload(data=b"\xff\xd8")), MessageId.MEDIA_ANSWER)
    assert not terminal.events(FileReceived)


def test_an_ordered_photo_that_looks_like_an_earlier_one_is_still_the_answer() -> None:
    terminal = online()
    for command_id in (1, 2):
        terminal.order("take_photo", command_id, channel=1)
        terminal.say(MessageId.MEDIA_UPLOAD, upload(data=b"\xff\xd8"))
        (file,) = terminal.events(FileReceived)
        assert file.command_id == command_id
        terminal.session.file_stored(file.token, True, terminal.now)


def test_photos_that_wait_to_be_stored_are_bounded() -> None:
    terminal = online()
    for media_id in range(9):
        terminal.say(MessageId.MEDIA_UPLOAD, upload(media_id, data=b"\xff\xd8"))
    assert len(terminal.events(FileReceived)) == 8
    assert [note.event for note in terminal.events(Note)] == ["photo_dropped"]


def test_photos_of_the_2011_edition() -> None:
    terminal = online()
    head = MediaEvent(9, 0, 0, 1, 2).encode()
    pieces = [PICTURE[:1000], PICTURE[1000:]]
    for index, piece in enumerate(pieces, 1):
        body = head + len(pieces).to_bytes(4, "big") + index.to_bytes(4, "big") + piece
        assert results(terminal.say(MessageId.MEDIA_UPLOAD, body[:1023]))[0][2] == OK
    (file,) = terminal.events(FileReceived)
    assert (file.channel, file.created) == (2, terminal.now)
    assert file.data.startswith(PICTURE[:1000])
    assert "position.latitude" not in file.parameters


def test_a_stored_picture_is_asked_for_by_id() -> None:
    terminal = online()
    (order,) = terminal.order("request_media", media_id=17, delete=True)
    assert (order.id, order.frame.body.hex()) == (MessageId.UPLOAD_ONE_MEDIA, "0000001101")
    terminal.respond(order)
    terminal.say(MessageId.MEDIA_UPLOAD, upload(16, data=b"\xff\xd8"))
    terminal.say(MessageId.MEDIA_UPLOAD, upload(17, event=3, data=b"\xff\xd8"))
    assert [file.command_id for file in terminal.events(FileReceived)] == [None, 1]


# --- start_videostream -----------------------------------------------------------------------------------------------


def test_live_video_from_order_to_end() -> None:
    terminal = online()
    (order,) = terminal.order("start_videostream", channel=2)
    request = order.message
    assert (order.id, request.host, request.tcp_port, request.udp_port) == (0x9101, "video.example", 8810, 0)
    assert (request.channel, request.data_type, request.stream) == (2, 0, 1)
    (expected,) = terminal.events(MediaExpected)
    assert (expected.kind, expected.number, expected.channel, expected.purpose) == (
        MediaKind.LIVE,
        NUMBER,
        2,
        "stream",
    )
    terminal.respond(order)
    terminal.news(MediaNews.CONNECTED)
    terminal.news(MediaNews.KEY_FRAME)
    notices = terminal.wait(16)
    assert [(n.id, n.frame.body.hex()) for n in notices] == [(0x9105, "0200")] * 3
    (end,) = terminal.news(MediaNews.STOPPED)
    assert (end.id, end.frame.body.hex()) == (0x9102, "02000001")
    assert terminal.wait(30) == []
    assert terminal.outcome() is None


def test_live_video_options() -> None:
    terminal = online()
    (order,) = terminal.order("start_videostream", channel=1, quality="main", audio=False)
    assert (order.message.data_type, order.message.stream) == (1, 0)


def test_live_video_that_never_connects_names_the_address() -> None:
    terminal = online()
    (order,) = terminal.order("start_videostream", channel=1)
    terminal.respond(order)
    assert terminal.wait(14.9) == []
    (end,) = terminal.wait(0.1)
    assert end.id == 0x9102
    assert failed(terminal).reason == "the device did not connect to video.example:8810 within 15 s"


def test_live_video_without_a_picture() -> None:
    terminal = online()
    terminal.order("start_videostream", channel=1)
    terminal.wait(5)
    terminal.news(MediaNews.CONNECTED)
    (end,) = terminal.wait(15)
    assert end.id == 0x9102
    assert failed(terminal).reason == "no picture came over video.example:8810 within 20 s"


def test_live_video_refused_or_closed_too_early() -> None:
    terminal = online()
    (order,) = terminal.order("start_videostream", channel=1)
    terminal.respond(order, 1)
    assert failed(terminal).reason == "the device answered: failed"
    terminal.order("start_videostream", 2, channel=1)
    terminal.news(MediaNews.CONNECTED, command_id=2)
    terminal.news(MediaNews.CLOSED, command_id=2)
    assert "before a picture came" in failed(terminal).reason


def test_live_video_that_breaks_off_is_asked_for_once_more() -> None:
    terminal = online()
    terminal.order("start_videostream", channel=1)
    terminal.events(MediaExpected)
    for _ in range(2):
        terminal.news(MediaNews.CONNECTED)
        terminal.news(MediaNews.KEY_FRAME)
        heard = terminal.news(MediaNews.CLOSED)
        if heard:
            assert [h.id for h in heard] == [0x9101]
            assert len(terminal.events(MediaExpected)) == 1
    assert heard == []
    assert "again" in failed(terminal).reason


def test_one_live_stream_a_channel() -> None:
    terminal = online()
    terminal.order("start_videostream", channel=1)
    assert terminal.order("start_videostream", 2, channel=1) == []
    assert failed(terminal).reason == "camera 1 is already streaming live"
    assert len(terminal.order("start_videostream", 3, channel=2)) == 1
    terminal.session.cancel(1, terminal.now)
    assert [h.id for h in terminal.listen()] == [0x9102]
    assert len(terminal.order("start_videostream", 4, channel=1)) == 1


# --- playback_video and request_video --------------------------------------------------------------------------------


def test_playback_from_order_to_end() -> None:
    terminal = online()
    (order,) = terminal.order("playback_video", channel=1, from_=START + 0.5, to=START + 60.2, quality="main")
    request = order.message
    assert (request.start, request.end) == ("260529042640", "260529042741")
    assert (request.tcp_port, request.media_type, request.stream, request.mode) == (8811, 0, 1, 0)
    (expected,) = terminal.events(MediaExpected)
    assert (expected.kind, expected.purpose, expected.start) == (MediaKind.PLAYBACK, "stream", START + 0.5)
    assert expected.duration == pytest.approx(59.7)
    answer = RecordingList(order.serial, (item(1, 0, 60),), 1)
    terminal.say(MessageId.RECORDING_LIST, answer.encode())
    terminal.news(MediaNews.CONNECTED)
    terminal.news(MediaNews.KEY_FRAME)
    assert terminal.wait(100) == []
    (end,) = terminal.news(MediaNews.STOPPED)
    assert (end.id, end.frame.body.hex()) == (0x9202, "010200000000000000")


def test_playback_without_an_end_and_in_the_devices_own_time_zone() -> None:
    terminal = Terminal(offset_s=0)
    terminal.authenticate()
    order = only(terminal.order("playback_video", channel=1, from_=START), 0x9201)
    assert (order.message.start, order.message.end, order.message.stream) == ("260528202640", "0" * 12, 0)
    assert terminal.events(MediaExpected)[0].duration == 0.0


def test_playback_of_what_is_not_recorded() -> None:
    terminal = online()
    (order,) = terminal.order("playback_video", channel=1, from_=START, duration=10)
    terminal.say(MessageId.RECORDING_LIST, RecordingList(order.serial, (), 0).encode())
    assert failed(terminal).reason == "the device has no recording of camera 1 for that time"
    assert len(terminal.order("playback_video", 2, channel=1, from_=START, duration=10)) == 1


def test_impossible_times_fail_at_once() -> None:
    terminal = online()
    for given in ({"from_": START, "to": START}, {"from_": 4_102_444_000.0, "duration": 60}):
        assert terminal.order("playback_video", channel=1, **given) == []
        assert not failed(terminal).retry


def test_one_playback_a_channel() -> None:
    terminal = online()
    terminal.order("playback_video", channel=1, from_=START, duration=10)
    assert terminal.order("request_video", 2, channel=1, from_=START, duration=10) == []
    update = failed(terminal)
    assert (update.reason, update.retry) == ("camera 1 is already playing a recording", True)
    assert len(terminal.order("start_videostream", 3, channel=1)) == 1, "live and playback use different ports"


def test_a_clip_is_stopped_when_it_is_whole() -> None:
    terminal = online()
    (order,) = terminal.order("request_video", channel=1, from_=START, duration=30)
    (expected,) = terminal.events(MediaExpected)
    assert (expected.purpose, expected.start, expected.duration) == ("record", START, 30.0)
    terminal.respond(order)
    terminal.news(MediaNews.CONNECTED)
    terminal.wait(29)
    terminal.news(MediaNews.KEY_FRAME)
    assert [h.id for h in terminal.news(MediaNews.FINISHED)] == [0x9202]
    assert terminal.news(MediaNews.CLOSED) == []
    assert terminal.outcome() is None
    assert len(terminal.order("request_video", 2, channel=1, from_=START, duration=30)) == 1


def test_a_clip_the_terminal_ends_by_closing() -> None:
    terminal = online()
    terminal.order("request_video", channel=1, from_=START, duration=30)
    terminal.news(MediaNews.CONNECTED)
    terminal.news(MediaNews.KEY_FRAME)
    assert terminal.news(MediaNews.CLOSED) == []
    assert [h.id for h in terminal.news(MediaNews.FINISHED)] == [0x9202]
    assert terminal.outcome() is None


def test_a_clip_that_breaks_off_goes_on_where_it_was_once() -> None:
    terminal = online()
    terminal.order("request_video", channel=1, from_=START, duration=30)
    terminal.news(MediaNews.CONNECTED)
    terminal.news(MediaNews.KEY_FRAME)
    terminal.events(MediaExpected)
    stop, again = terminal.news(MediaNews.STALLED, START + 12.5)
    assert (stop.id, again.id) == (0x9202, 0x9201)
    assert (again.message.start, again.message.end) == ("260529042652", "260529042710")
    (expected,) = terminal.events(MediaExpected)
    assert (expected.start, expected.duration) == (START + 12.5, 17.5)
    assert terminal.news(MediaNews.CLOSED) == [], "the old connection, not the new one"
    terminal.news(MediaNews.CONNECTED)
    terminal.news(MediaNews.KEY_FRAME)
    assert [h.id for h in terminal.news(MediaNews.STALLED, START + 20)] == [0x9202]
    assert failed(terminal).reason == "the recording broke off"


def test_a_clip_of_which_nothing_comes_may_be_asked_for_again() -> None:
    terminal = online()
    terminal.order("request_video", channel=1, from_=START, duration=30)
    terminal.wait(15)
    update = failed(terminal)
    assert (update.reason, update.retry) == ("the device did not connect to video.example:8811 within 15 s", True)
    terminal.order("request_video", 2, channel=1, from_=START, duration=30)
    terminal.news(MediaNews.CONNECTED, command_id=2)
    terminal.wait(30)
    assert failed(terminal).reason == "no picture came over video.example:8811 within 30 s"


def test_no_media_request_is_ever_repeated_by_itself() -> None:
    terminal = online()
    terminal.order("request_video", channel=1, from_=START, duration=30)
    terminal.order("start_videostream", 2, channel=1)
    assert {h.id for h in terminal.wait(170)} == {0x9202, 0x9102}
    assert not terminal.events(Close)


# --- video_timeline --------------------------------------------------------------------------------------------------


def item(channel: int, begin: int, end: int, stream: int = 1, size: int = 1000) -> RecordingItem:
    """A recording, in seconds after START."""
    return RecordingItem(channel, unix_to_bcd(START + begin), unix_to_bcd(START + end), 0, 0, stream, 1, size)


def answer(terminal: Terminal, query: Heard, *items: RecordingItem) -> list[Heard]:
    """Answer with a list, in parts if it is long."""
    body = RecordingList(query.serial, items, len(items)).encode()
    if len(body) <= 500:
        return terminal.say(MessageId.RECORDING_LIST, body)
    heard = []
    for part in terminal.parts(MessageId.RECORDING_LIST, body):
        heard += terminal.send(part)
    return heard


def test_a_timeline_of_one_day() -> None:
    terminal = online()
    (query,) = terminal.order("video_timeline", from_=START, to=START + 3600, channel=1)
    assert (query.message.channel, query.message.start, query.message.end, query.message.media_type) == (
        1,
        "260529042640",
        "260529052640",
        3,
    )
    terminal.respond(query)
    answer(terminal, query, item(1, 600, 900), item(1, 0, 300), item(1, 0, 300, stream=2), item(2, 0, 60))
    update = terminal.outcome()
    assert update is not None and isinstance(update.response, list)
    assert [(r["channel"], r["begin"], r["end"]) for r in update.response] == [
        (1, START, START + 300),
        (1, START + 600, START + 900),
        (2, START, START + 60),
    ]
    assert update.response[2] == {
        "channel": 2,
        "begin": int(START),
        "end": int(START + 60),
        "size": 1000,
        "stream": "main",
        "storage": "main",
        "alarm": 0,
    }


def test_a_timeline_of_days_asks_day_by_day_of_the_devices_clock() -> None:
    terminal = online()
    (query,) = terminal.order("video_timeline", from_=START, to=START + 100_000)
    asked = []
    while query is not None:
        asked.append((query.message.start, query.message.end))
        next_queries = [h for h in answer(terminal, query, item(1, len(asked), 50)) if h.id == 0x9205]
        query = next_queries[0] if next_queries else None
    assert asked == [("260529042640", "260529235959"), ("260530000000", "260530081320")]
    update = terminal.outcome()
    assert update is not None and len(update.response) == 2  # type: ignore[arg-type]  # a list


def test_a_long_list_is_acknowledged_part_by_part_and_missing_parts_are_asked_for() -> None:
    terminal = online()
    (query,) = terminal.order("video_timeline", from_=START, to=START + 3600)
    items = tuple(item(1, n * 10, n * 10 + 9) for n in range(60))
    parts = terminal.parts(MessageId.RECORDING_LIST, RecordingList(query.serial, items, 60).encode())
    for part in (*parts[:1], *parts[2:]):
        assert results(terminal.send(part))[0][1:] == (0x1205, OK)
    (again,) = terminal.wait(5)
    assert (again.id, again.message.indexes) == (MessageId.PLATFORM_RESEND, (2,))
    terminal.send(parts[1])
    update = terminal.outcome()
    assert update is not None and len(update.response) == 60  # type: ignore[arg-type]  # a list


def test_a_terminal_that_does_not_know_media_type_3() -> None:
    terminal = online()
    (query,) = terminal.order("video_timeline", from_=START, to=START + 60)
    (second,) = terminal.respond(query, 1)
    assert second.message.media_type == 0
    answer(terminal, second, item(1, 0, 60))
    update = terminal.outcome()
    assert update is not None and len(update.response) == 1  # type: ignore[arg-type]  # a list

    terminal = online()
    (query,) = terminal.order("video_timeline", from_=START, to=START + 60)
    (second,) = [h for h in answer(terminal, query) if h.id == 0x9205]
    assert second.message.media_type == 0
    answer(terminal, second)
    update = terminal.outcome()
    assert update is not None and update.response == []

    terminal = online()
    (query,) = terminal.order("video_timeline", from_=START, to=START + 60)
    (second,) = terminal.respond(query, 1)
    terminal.respond(second, 3)
    assert failed(terminal).reason == "the device answered: not supported"


def test_a_timeline_that_does_not_come() -> None:
    terminal = online()
    (query,) = terminal.order("video_timeline", from_=START, to=START + 60)
    terminal.respond(query)
    terminal.wait(30)
    assert failed(terminal).retry


@pytest.mark.parametrize("span", [0, -1, 32 * 86_400])
def test_a_timeline_of_an_impossible_span(span: float) -> None:
    terminal = online()
    assert terminal.order("video_timeline", from_=START, to=START + span) == []
    assert "31 days" in failed(terminal).reason


def test_a_connection_that_is_closed_does_nothing_more() -> None:
    terminal = online()
    terminal.order("request_video", channel=1, from_=START, duration=30)
    terminal.say(MessageId.MEDIA_UPLOAD, upload(data=b"\xff\xd8"))
    (file,) = terminal.events(FileReceived)
    terminal.session.refuse("disabled", terminal.now)
    terminal.session.file_stored(file.token, True, terminal.now)
    terminal.session.media_event(1, MediaNews.STOPPED, terminal.now)
    assert terminal.listen() == []
    assert terminal.session.next_tick() is None
