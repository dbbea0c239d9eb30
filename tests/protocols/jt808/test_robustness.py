"""Whatever a peer sends: nothing raises, nothing grows without bound."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wayframe.protocols.device import CommandRequest, DeviceProfile, FileReceived, MediaNews, Reports
from wayframe.protocols.jt808 import Jt808Session
from wayframe.protocols.jt808.frames import Layout, encode_frame
from wayframe.protocols.jt808.ids import MessageId
from wayframe.protocols.jt808.messages import KNOWN, decode_body
from wayframe.protocols.jt1078.wire import BodyError

from .conversation import ENDPOINTS, NUMBER, SECRET, START, online

IDS = st.sampled_from(sorted(MessageId)) | st.integers(0, 0xFFFF)
NEWS = st.sampled_from(list(MediaNews))
COMMANDS = st.sampled_from(["take_photo", "request_video", "start_videostream", "video_timeline", "get_parameters"])
GIVEN = {"channel": 1, "from": START, "to": START + 60, "duration": 30}


@given(st.sampled_from(sorted(KNOWN)), st.binary(max_size=120), st.sampled_from(list(Layout)))
def test_any_body_is_read_or_refused(message_id: int, body: bytes, layout: Layout) -> None:
    try:
        message = decode_body(message_id, body, layout)
    except BodyError as error:
        assert str(error)
    else:
        assert message is not None


@given(st.lists(st.binary(max_size=100), max_size=20), st.booleans())
def test_random_bytes_never_raise(chunks: list[bytes], known: bool) -> None:
    session = Jt808Session(ENDPOINTS, SECRET)
    for chunk in chunks:
        session.receive(chunk, START)
        if known:
            session.accept(DeviceProfile(1, "x"), START)
        session.events()
        session.data_to_send()


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(IDS, st.binary(max_size=60), st.none() | st.tuples(st.integers(0, 4), st.integers(0, 4)))
        | st.tuples(COMMANDS, st.integers(0, 9))
        | st.tuples(NEWS, st.integers(0, 9), st.floats(START - 100, START + 100))
        | st.floats(0, 30),
        max_size=30,
    )
)
def test_any_conversation_goes_on(steps: list[object]) -> None:
    terminal = online()
    for step in steps:
        match step:
            case float():
                terminal.wait(step)
            case (int(message_id), bytes(body), package):
                layout, number = Layout.V2013, NUMBER
                frame = encode_frame(message_id, body, layout=layout, number=number, serial=1, package=package)
                terminal.session.receive(frame, terminal.now)
            case (str(name), int(command_id)):
                request = CommandRequest(command_id, name, GIVEN, terminal.now + 60)
                terminal.session.execute(request, terminal.now)
            case (MediaNews() as news, int(command_id), float(position)):
                terminal.session.media_event(command_id, news, terminal.now, position)
        for event in terminal.session.events():
            if isinstance(event, Reports):
                terminal.session.reports_stored(event.token, True, terminal.now)
            elif isinstance(event, FileReceived):
                terminal.session.file_stored(event.token, True, terminal.now)
        terminal.session.data_to_send()
        due = terminal.session.next_tick()
        assert due is None or due > START - 1
