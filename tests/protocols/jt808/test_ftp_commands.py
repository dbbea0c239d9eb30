"""Recordings by FTP, as conversations (JT/T 1078 5.6.4 to 5.6.6)."""

from __future__ import annotations

import pytest

from wayframe.protocols.device import CommandState, DeviceProfile, FilesExpected, FilesSent, MediaNews
from wayframe.protocols.jt808.frames import Layout
from wayframe.protocols.jt808.ids import MessageId

from .conversation import IDENT, START, Heard, Terminal, online, only

ASK = {"channel": 3, "from": START, "duration": 90.5, "method": "ftp"}
LOGIN = (f"{1:016x}", f"{2:016x}", f"/{3:032x}")
ORDER = (
    "0d" + b"video.example".hex()
    + "2275"  # port 8821
    + "10" + LOGIN[0].encode().hex()
    + "10" + LOGIN[1].encode().hex()
    + "21" + LOGIN[2].encode().hex()
    + "03" + "260529042640" + "260529042811"  # whole seconds around it, UTC+8
    + "0000000000000000" + "00" + "00" + "00" + "07"  # any alarm, audio and video, any stream, any storage, any network
)  # fmt: skip


def ordered(terminal: Terminal, **changes: object) -> Heard:
    """The order, after the door was told."""
    return only(terminal.order("request_video", **(ASK | changes)), MessageId.FTP_UPLOAD)


@pytest.mark.parametrize("layout", [Layout.V2013, Layout.V2019])
def test_the_door_is_opened_then_the_terminal_is_sent_there(layout: Layout) -> None:
    terminal = online(layout)
    order = ordered(terminal)
    assert order.frame.body.hex() == ORDER
    kinds = [type(event).__name__ for event in terminal.seen]
    assert kinds == ["FilesExpected", "CommandUpdate"], "never the other way round"
    (expected,) = terminal.events(FilesExpected)
    assert (expected.user, expected.password, expected.folder) == LOGIN
    assert (expected.command_id, expected.address, expected.channel) == (1, "video.example:8821", 3)
    assert (expected.start, expected.duration, expected.timezone_offset_s) == (START, 90.5, 8 * 3600)
    terminal.respond(order)
    terminal.say(MessageId.FTP_RESULT, order.serial.to_bytes(2, "big") + b"\0")
    assert terminal.events(FilesSent) == [FilesSent(1, True)]
    assert terminal.news(MediaNews.FINISHED) == []
    assert terminal.outcome() is None, "the door completes the command with the stored file"


@pytest.mark.parametrize(("quality", "stream"), [("main", 1), ("sub", 2), ("", 0)])
def test_quality_is_the_stream(quality: str, stream: int) -> None:
    assert ordered(online(), quality=quality).frame.body[-3] == stream


def test_a_failure_is_told_and_other_serials_are_not_ours() -> None:
    terminal = online()
    order = ordered(terminal)
    for body in (b"\xff\xff\0", (order.serial + 1).to_bytes(2, "big") + b"\1"):
        terminal.say(MessageId.FTP_RESULT, body)
    assert terminal.events(FilesSent) == []
    terminal.say(MessageId.FTP_RESULT, order.serial.to_bytes(2, "big") + b"\1")
    assert terminal.events(FilesSent) == [FilesSent(1, False)]


def test_no_answer_is_no_failure_and_nothing_is_repeated() -> None:
    terminal = online()
    ordered(terminal)
    assert [heard for heard in terminal.wait(90) if heard.id == MessageId.FTP_UPLOAD] == []
    assert terminal.outcome() is None


def test_a_refusal_ends_it() -> None:
    terminal = online()
    terminal.respond(ordered(terminal), 3)
    update = terminal.outcome()
    assert update is not None and (update.state, update.reason) == (
        CommandState.FAILED,
        "the device answered: not supported",
    )


@pytest.mark.parametrize("canceled", [False, True])
def test_what_nobody_takes_is_called_off(canceled: bool) -> None:
    terminal = online()
    order = ordered(terminal)
    if canceled:
        terminal.session.cancel(1, terminal.now)
        heard = terminal.listen()
    else:
        heard = terminal.news(MediaNews.STOPPED)
    control = only(heard, MessageId.FTP_CONTROL)
    assert control.frame.body == order.serial.to_bytes(2, "big") + b"\2"


def test_times_the_device_cannot_express_and_a_door_that_is_shut() -> None:
    terminal = online()
    assert terminal.order("request_video", **(ASK | {"from": 1e11})) == []
    update = terminal.outcome()
    assert update is not None and "cannot express" in update.reason
    shut = Terminal(ftp_port=0)
    shut.authenticate()
    shut.session.accept(DeviceProfile(7, IDENT), shut.now)
    shut.seen.clear()
    shut.order("request_video", **ASK)
    update = shut.outcome()
    assert update is not None and "set ftp_port" in update.reason


@pytest.mark.parametrize("method", ["auto", "stream"])
def test_other_methods_play_it_back(method: str) -> None:
    only(online().order("request_video", **(ASK | {"method": method})), MessageId.PLAYBACK_REQUEST)
