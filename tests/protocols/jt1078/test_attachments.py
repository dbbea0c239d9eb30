"""The attachment connection: whole sessions in both block forms, damage, refusals, supplements, limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayframe.protocols.jt808.frames import Layout, decode_frame, encode_frame, unescape
from wayframe.protocols.jt1078 import (
    AlarmAnnounced,
    AlarmIdentifier,
    AnnouncedFile,
    AttachmentEvent,
    AttachmentList,
    AttachmentSettings,
    Block,
    Closing,
    FileComplete,
    FileEnd,
    FileEndReply,
    FileStart,
    FileStarted,
    KnownAlarm,
    ListedFile,
    PartialFile,
    RangeSet,
    Refused,
    ResendAsked,
    decode_body,
)
from wayframe.protocols.jt1078.attachments import AttachmentConnection, encode_block

NUMBER = bytes.fromhex("0091820044f1")
ALARM = "f3c4a1d2" * 4
IDENTIFIER = AlarmIdentifier(b"TRK0042" + bytes.fromhex("260319081502") + bytes((2, 2, 0)))
PHOTO = b"00_64_6401_0_" + ALARM.encode() + b".jpg"
CLIP = b"02_64_6401_1_" + ALARM.encode() + b".mp4"


class Terminal:
    """Writes what a terminal sends."""

    def __init__(self) -> None:
        self.serial = 40

    def frame(self, message_id: int, body: bytes, package: tuple[int, int] | None = None) -> bytes:
        self.serial += 1
        return encode_frame(message_id, body, layout=Layout.V2013, number=NUMBER, serial=self.serial, package=package)

    def announce(self, *files: tuple[bytes, int], supplement: bool = False, alarm: str = ALARM) -> bytes:
        listed = tuple(ListedFile(name, size) for name, size in files)
        return self.frame(0x1210, AttachmentList(b"TRK0042", IDENTIFIER, alarm, int(supplement), listed).encode())

    def start(self, name: bytes, size: int, kind: int = 0) -> bytes:
        return self.frame(0x1211, FileStart(name, kind, size).encode())

    def end(self, name: bytes, size: int, kind: int = 0) -> bytes:
        return self.frame(0x1212, FileEnd(name, kind, size).encode())


def connection(
    partial: dict[str, PartialFile] | None = None, settings: AttachmentSettings | None = None
) -> AttachmentConnection:
    known = KnownAlarm(ALARM, partial or {})
    return AttachmentConnection(lambda number: known if number == ALARM else None, settings)


def replies(link: AttachmentConnection) -> Iterator[tuple[int, bytes]]:
    """(message id, body) of what the server sent; serial numbers are checked to run."""
    for piece in link.data_to_send().split(b"\x7e"):
        if piece:
            frame = decode_frame(unescape(piece))
            assert frame.header.number == NUMBER
            yield frame.header.message_id, frame.body


def results(link: AttachmentConnection) -> list[tuple[int, int]]:
    """(message answered, result) of general responses."""
    return [(int.from_bytes(body[2:4], "big"), body[4]) for number, body in replies(link) if number == 0x8001]


def file_replies(link: AttachmentConnection) -> list[FileEndReply]:
    return [FileEndReply.decode(body) for number, body in replies(link) if number == 0x9212]


def joined(events: list[AttachmentEvent], size: int) -> bytes:
    """The file the block events write."""
    content = bytearray(size)
    for event in events:
        if isinstance(event, Block):
            content[event.offset : event.offset + len(event.data)] = event.data
    return bytes(content)


def without_blocks(events: list[AttachmentEvent]) -> list[AttachmentEvent]:
    return [event for event in events if not isinstance(event, Block)]


@pytest.mark.parametrize("prefixed", [False, True], ids=["Su-biao", "Heilongjiang"])
@pytest.mark.parametrize("size", [0, 1, 7, 1400])
def test_whole_session(prefixed: bool, size: int) -> None:
    terminal, link = Terminal(), connection()
    content = bytes(range(256)) * 12 + b"\x7e01cd\x7e"
    name = PHOTO.decode()
    data = terminal.announce((PHOTO, len(content))) + terminal.start(PHOTO, len(content))
    for at in range(0, len(content), 1000):
        data += encode_block(PHOTO, at, content[at : at + 1000], length_prefixed=prefixed)
    data += terminal.end(PHOTO, len(content))
    chunks = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
    events = [event for chunk in chunks for event in link.receive(chunk, 0.0)]
    assert without_blocks(events) == [
        AlarmAnnounced(ALARM, IDENTIFIER.raw, (AnnouncedFile(name, len(content)),), False),
        FileStarted(ALARM, name, 0, len(content)),
        FileComplete(ALARM, name, 0, len(content)),
    ]
    assert joined(events, len(content)) == content
    sent = list(replies(link))
    assert [number for number, _ in sent] == [0x8001, 0x8001]
    link.stored(name)
    assert file_replies(link) == [FileEndReply(PHOTO, 0)]
    assert link.partial() == ()
    assert link.buffered_bytes == 0


def test_complete_is_told_only_after_storing_and_again_when_asked_again() -> None:
    terminal, link = Terminal(), connection()
    link.receive(terminal.announce((PHOTO, 3)) + terminal.start(PHOTO, 3) + encode_block(PHOTO, 0, b"abc"), 0.0)
    link.data_to_send()
    assert [type(e) for e in link.receive(terminal.end(PHOTO, 3), 0.0)] == [FileComplete]
    assert link.receive(terminal.end(PHOTO, 3), 0.0) == []
    assert link.data_to_send() == b""
    link.stored(PHOTO.decode())
    assert file_replies(link) == [FileEndReply(PHOTO, 0)]
    link.receive(encode_block(PHOTO, 0, b"abc") + terminal.end(PHOTO, 3), 0.0)
    assert file_replies(link) == [FileEndReply(PHOTO, 0)]


def test_stored_without_complete_file() -> None:
    with pytest.raises(KeyError):
        connection().stored(PHOTO.decode())


def test_resend_of_missing_ranges() -> None:
    terminal, link = Terminal(), connection()
    link.receive(terminal.announce((CLIP, 10)) + terminal.start(CLIP, 10, 2), 0.0)
    link.receive(encode_block(CLIP, 2, b"cd") + encode_block(CLIP, 6, b"gh"), 0.0)
    link.data_to_send()
    events = link.receive(terminal.end(CLIP, 10, 2), 0.0)
    missing = ((0, 2), (4, 2), (8, 2))
    assert events == [ResendAsked(ALARM, CLIP.decode(), missing, 1)]
    assert file_replies(link) == [FileEndReply(CLIP, 2, missing)]
    link.receive(encode_block(CLIP, 0, b"abcdefghij"), 0.0)
    assert [type(e) for e in link.receive(terminal.end(CLIP, 10, 2), 0.0)] == [FileComplete]


def test_given_up_after_five_rounds() -> None:
    terminal, link = Terminal(), connection()
    link.receive(terminal.announce((CLIP, 10)), 0.0)
    for number in range(1, 6):
        event = link.receive(terminal.end(CLIP, 10), 0.0)[0]
        assert isinstance(event, ResendAsked) and event.round == number
    link.data_to_send()
    assert [type(e) for e in link.receive(terminal.end(CLIP, 10), 0.0)] == [Refused]
    assert results(link) == [(0x1212, 1)]
    assert not link.closing


def test_many_holes_fit_one_answer() -> None:
    terminal, link = Terminal(), connection()
    size = 4000
    link.receive(terminal.announce((CLIP, size)), 0.0)
    link.receive(b"".join(encode_block(CLIP, at, b"x") for at in range(1, size, 10)), 0.0)
    link.data_to_send()
    link.receive(terminal.end(CLIP, size), 0.0)
    reply = file_replies(link)[0]
    assert len(reply.ranges) <= 255 and len(reply.encode()) <= 900
    asked = RangeSet((at, at + length) for at, length in reply.ranges)
    for at in range(1, size, 10):
        asked.add(at, at + 1)
    assert asked.covers(size)


def test_unknown_alarm_number_is_refused() -> None:
    terminal, link = Terminal(), connection()
    events = link.receive(terminal.announce((PHOTO, 3), alarm="0" * 32) + encode_block(PHOTO, 0, b"abc"), 0.0)
    assert [type(event) for event in events] == [Closing]
    assert results(link) == [(0x1210, 1)]
    assert link.closing
    assert link.receive(terminal.announce((PHOTO, 3)), 0.0) == []


def test_names_are_compared_without_zero_padding() -> None:
    terminal, link = Terminal(), connection()
    padded = b"\0\0" + PHOTO + b"\0"
    link.receive(terminal.announce((padded, 3)), 0.0)
    events = link.receive(encode_block(PHOTO, 0, b"abc") + terminal.end(PHOTO, 3), 0.0)
    assert [type(event) for event in events] == [Block, FileComplete]


def test_name_longer_than_the_block_header_holds() -> None:
    terminal, link = Terminal(), connection()
    name = b"n" * 70
    link.receive(terminal.announce((name, 3)), 0.0)
    events = link.receive(encode_block(name[:50], 0, b"abc" + bytes(0)) + bytes(0) + terminal.end(name, 3), 0.0)
    assert [type(event) for event in events] == [Block, FileComplete]


def test_files_that_were_not_announced() -> None:
    terminal, link = Terminal(), connection()
    link.receive(terminal.announce((PHOTO, 3)), 0.0)
    link.data_to_send()
    data = terminal.start(b"../../etc/passwd", 3) + encode_block(b"other.jpg", 0, b"abc") + terminal.end(b"x", 1)
    events = link.receive(data, 0.0)
    assert [type(event) for event in events] == [Refused, Refused, Refused]
    assert results(link) == [(0x1211, 1), (0x1212, 1)]
    assert not link.closing


def test_block_outside_its_file() -> None:
    terminal, link = Terminal(), connection()
    link.receive(terminal.announce((PHOTO, 3)), 0.0)
    assert isinstance(link.receive(encode_block(PHOTO, 1, b"abc"), 0.0)[-1], Closing)


def test_file_over_the_limit() -> None:
    terminal, link = Terminal(), connection()
    events = link.receive(terminal.announce((PHOTO, 3), (CLIP, 512 * 1024 * 1024 + 1)), 0.0)
    assert isinstance(events[0], Refused) and events[0].name == CLIP.decode()
    assert isinstance(events[1], AlarmAnnounced) and events[1].files == (AnnouncedFile(PHOTO.decode(), 3),)


def test_size_that_changed_since_the_list() -> None:
    terminal, link = Terminal(), connection()
    link.receive(terminal.announce((PHOTO, 3)), 0.0)
    data = terminal.start(PHOTO, 5) + encode_block(PHOTO, 0, b"abcde") + terminal.end(PHOTO, 5)
    assert link.receive(data, 0.0)[-1] == FileComplete(ALARM, PHOTO.decode(), 0, 5)


def test_empty_file() -> None:
    terminal, link = Terminal(), connection()
    link.receive(terminal.announce((PHOTO, 0)) + terminal.start(PHOTO, 0), 0.0)
    assert link.receive(terminal.end(PHOTO, 0), 0.0) == [FileComplete(ALARM, PHOTO.decode(), 0, 0)]


def test_supplement_after_a_broken_link() -> None:
    terminal, first = Terminal(), connection()
    first.receive(terminal.announce((CLIP, 10)) + terminal.start(CLIP, 10) + encode_block(CLIP, 0, b"abcd"), 0.0)
    kept = first.partial()
    assert kept == (PartialFile(CLIP.decode(), 10, ((0, 4),)),)
    second = connection({kept[0].name: kept[0]})
    events = second.receive(terminal.announce((CLIP, 10), supplement=True), 0.0)
    assert isinstance(events[0], AlarmAnnounced) and events[0].supplement
    events = second.receive(encode_block(CLIP, 4, b"efghij") + terminal.end(CLIP, 10), 0.0)
    assert isinstance(events[-1], FileComplete)


def test_supplement_of_another_size_starts_over() -> None:
    terminal = Terminal()
    link = connection({CLIP.decode(): PartialFile(CLIP.decode(), 9, ((0, 9),))})
    link.receive(terminal.announce((CLIP, 10), supplement=True), 0.0)
    assert isinstance(link.receive(terminal.end(CLIP, 10), 0.0)[0], ResendAsked)


def test_block_in_flight_when_the_link_breaks_counts() -> None:
    terminal, link = Terminal(), connection()
    link.receive(terminal.announce((CLIP, 100)) + encode_block(CLIP, 0, bytes(80))[:-30], 0.0)
    assert link.partial()[0].ranges == ((0, 50),)


def test_long_list_in_parts() -> None:
    terminal, link = Terminal(), connection()
    files = tuple(ListedFile(b"%02d_64_6401_0_" % n + ALARM.encode(), n) for n in range(30))
    body = AttachmentList(b"TRK0042", IDENTIFIER, ALARM, 0, files).encode()
    parts = [body[:900], body[900:]]
    for index in (2, 1):
        events = link.receive(terminal.frame(0x1210, parts[index - 1], (2, index)), 0.0)
    assert isinstance(events[0], AlarmAnnounced) and len(events[0].files) == 30
    assert results(link) == [(0x1210, 0), (0x1210, 0)]


def test_other_messages() -> None:
    terminal, link = Terminal(), connection()
    data = terminal.frame(0x0002, b"") + terminal.frame(0x0001, bytes(5)) + terminal.frame(0x0200, bytes(28))
    assert link.receive(data + terminal.frame(0x1211, b"\x09"), 0.0)[0] == Refused(
        "", "message 0x1211: 9 bytes wanted at offset 1, 0 left"
    )
    assert results(link) == [(0x0002, 0), (0x0200, 3), (0x1211, 2)]


def test_noise_and_damaged_frames_are_survived() -> None:
    terminal, link = Terminal(), connection()
    damaged = bytearray(terminal.announce((PHOTO, 3)))
    damaged[20] ^= 0x01
    events = link.receive(b"noise\x00\x30" + bytes(damaged) + b"\x7e\x7e" + terminal.announce((PHOTO, 3)), 0.0)
    assert [type(event) for event in events] == [AlarmAnnounced]


def test_twenty_damaged_frames() -> None:
    link = connection()
    events = link.receive(b"\x7e" + b"bad\x7e" * 20, 0.0)
    assert [type(event) for event in events] == [Closing]


def test_noise_without_end() -> None:
    link = connection()
    events: list[AttachmentEvent] = []
    for _ in range(300):
        events += link.receive(bytes(1024), 0.0)
        assert link.buffered_bytes <= 3
    assert [type(event) for event in events] == [Closing]


def test_blocks_without_announcement_end_the_connection() -> None:
    link = connection()
    events = link.receive(encode_block(PHOTO, 0, bytes(300_000)), 0.0)
    assert [type(event) for event in events] == [Refused, Closing]


def test_too_many_pieces() -> None:
    terminal, link = Terminal(), connection(settings=AttachmentSettings(max_ranges=10))
    link.receive(terminal.announce((CLIP, 1000)), 0.0)
    events = link.receive(b"".join(encode_block(CLIP, at, b"x") for at in range(0, 100, 2)), 0.0)
    assert isinstance(events[-1], Closing)


def test_idle() -> None:
    link = connection()
    assert link.tick(100.0) == []
    link.receive(b"\x7e", 150.0)
    assert link.tick(209.0) == []
    assert [type(event) for event in link.tick(210.0)] == [Closing]


@given(st.lists(st.one_of(st.binary(max_size=99), st.sampled_from([b"\x7e", b"01cd", PHOTO])), max_size=30))
def test_random_bytes_never_raise(chunks: list[bytes]) -> None:
    link = connection()
    link.receive(Terminal().announce((PHOTO, 50)), 0.0)
    for chunk in chunks:
        link.receive(chunk, 0.0)
        assert link.buffered_bytes <= 4096


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=20), st.integers(0, 60))
def test_range_set_is_a_set_of_bytes(pairs: list[tuple[int, int]], size: int) -> None:
    ranges = RangeSet(pairs)
    present = {at for start, end in pairs for at in range(start, end)}
    missing = [at for start, length in ranges.missing(size, 255) for at in range(start, start + length)]
    assert missing == [at for at in range(size) if at not in present]
    assert ranges.covers(size) is (not missing)
    assert RangeSet(ranges.pairs()).pairs() == ranges.pairs()
    few = ranges.missing(size, 2)
    assert len(few) <= 2
    assert set(missing) <= {at for start, length in few for at in range(start, start + length)}


@pytest.mark.shared
@pytest.mark.parametrize("size", [0, 1, 7])
def test_shared_session(shared: Path, size: int) -> None:
    case: dict[str, Any] = json.loads((shared / "vectors/jt1078.json").read_text())["attachments"][0]
    link = AttachmentConnection(lambda number: KnownAlarm(number))
    events: list[AttachmentEvent] = []
    for step in case["steps"]:
        data = bytes.fromhex(step["from_terminal"])
        for at in range(0, len(data), size or len(data)):
            events += link.receive(data[at : at + (size or len(data))], 0.0)
        if isinstance(events[-1], FileComplete):
            link.stored(events[-1].name)
        assert link.data_to_send().hex() == (step["reply"] or "")
    assert joined(events, case["file"]["size"]).hex() == case["file"]["content_hex"]
    assert events[-1] == FileComplete("2024-11-22_10_00_00_", case["file"]["name"], 4, case["file"]["size"])


@pytest.mark.shared
def test_shared_blocks(shared: Path) -> None:
    cases = json.loads((shared / "vectors/jt1078.json").read_text())["attachments"]
    for case in [*cases[0]["blocks"], *cases[1:]]:
        name, content = case["file_name"].encode(), bytes.fromhex(case["data_hex"])
        assert len(content) == case["length"]
        terminal, link = Terminal(), connection()
        link.receive(terminal.announce((name, 100)), 0.0)
        raw = bytes.fromhex(case["hex"])
        assert link.receive(raw, 0.0) == [Block(ALARM, case["file_name"], case["offset"], content)]
        prefixed = "heilongjiang" in case.get("id", "")
        assert encode_block(name, case["offset"], content, length_prefixed=prefixed) == raw


def test_bodies_are_the_same_for_the_signalling_table() -> None:
    body = FileEnd(PHOTO, 0, 3).encode()
    assert decode_body(0x1212, body) == FileEnd(PHOTO, 0, 3)
