"""Long messages: order, duplicates, limits, timers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayframe.protocols.jt808.assembly import MAX_BYTES, MAX_OPEN, MAX_RESENDS, Assembler, Dropped
from wayframe.protocols.jt808.frames import Frame, Header, Layout

T = 1000.0


def part(index: int, total: int, body: bytes, serial: int, message_id: int = 0x0801) -> Frame:
    return Frame(Header(message_id, Layout.V2013, bytes(6), serial, len(body), package=(total, index)), body)


def parts(total: int, message_id: int = 0x0801, first: int = 10) -> list[Frame]:
    return [part(n, total, b"part %d;" % n, first + n - 1, message_id) for n in range(1, total + 1)]


@given(st.permutations(range(1, 7)), st.lists(st.integers(1, 6), max_size=6))
def test_any_order_with_any_repetition(order: list[int], repeated: list[int]) -> None:
    assembler = Assembler()
    frames = parts(6)
    done = []
    for index in order:
        for again in (index, *[r for r in repeated if r == index]):
            assembled = assembler.add(frames[again - 1], T)
            if assembled is not None:
                done.append(assembled)
                break
    (message,) = done
    assert message.body == b"".join(b"part %d;" % n for n in range(1, 7))
    assert message.serials == tuple(range(10, 16))
    assert assembler.next_tick() is None


def test_a_message_of_one_part_is_whole_at_once() -> None:
    frame = part(1, 1, b"x", 5)
    assert Assembler().add(frame, T) is not None
    whole = Frame(Header(0x0200, Layout.V2013, bytes(6), 5, 1), b"x")
    assembled = Assembler().add(whole, T)
    assert assembled is not None and assembled.serials == (5,)


@pytest.mark.parametrize(
    ("message_id", "package", "fine"),
    [
        (0x0801, (20_000, 1), True),
        (0x0801, (20_001, 1), False),
        (0x0104, (512, 512), True),
        (0x0104, (513, 1), False),
        (0x0104, (0, 1), False),
        (0x0104, (2, 0), False),
        (0x0104, (2, 3), False),
    ],
)
def test_impossible_numbers(message_id: int, package: tuple[int, int], fine: bool) -> None:
    assert Assembler().acceptable(part(package[1], package[0], b"", 1, message_id).header) is fine


def test_a_new_message_of_the_same_kind_replaces_the_unfinished_one() -> None:
    assembler = Assembler()
    assembler.add(part(1, 2, b"old 1", 10), T)
    assembler.add(part(1, 2, b"new 1", 20), T)
    assembled = assembler.add(part(2, 2, b"new 2", 21), T)
    assert assembled is not None and assembled.body == b"new 1new 2"


def test_a_first_part_with_another_serial_begins_a_new_message() -> None:
    assembler = Assembler()
    assembler.add(part(1, 3, b"same", 10), T)
    assembler.add(part(2, 3, b"old", 11), T)
    assembler.add(part(1, 3, b"same", 20), T)
    assembler.add(part(2, 3, b"new", 21), T)
    assembled = assembler.add(part(3, 3, b"!", 22), T)
    assert assembled is not None and assembled.body == b"samenew!"


def test_a_first_part_sent_again_on_request_does_not() -> None:
    assembler = Assembler()
    assembler.add(part(1, 3, b"a", 10), T)
    assembler.add(part(3, 3, b"c", 12), T)
    assembler.tick(T + 5)
    assembler.add(part(1, 3, b"a", 30), T + 6)
    assembled = assembler.add(part(2, 3, b"b", 31), T + 6)
    assert assembled is not None and assembled.body == b"abc"


def test_missing_parts_are_asked_for_six_times_then_it_is_dropped() -> None:
    assembler = Assembler()
    for index in (2, 4):
        assembler.add(parts(4)[index - 1], T)
    times = []
    while (due := assembler.next_tick()) is not None:
        for missing in assembler.tick(due):
            assert (missing.indexes, missing.first_serial, missing.head) == ((1, 3), 10, b"")
            times.append(due - T)
    assert times == [5.0 * n for n in range(1, MAX_RESENDS + 1)]
    assert assembler.dropped() == [Dropped(0x0801, 4, 2, "timeout")]
    assert assembler.dropped() == []


def test_each_new_part_gives_time() -> None:
    assembler = Assembler()
    assembler.add(parts(3)[0], T)
    assembler.add(parts(3)[1], T + 4)
    assert assembler.tick(T + 5) == []
    assert assembler.receiving(0x0801) == T + 4
    assert assembler.receiving(0x0104) is None
    (missing,) = assembler.tick(T + 9)
    assert missing.head == b"part 1;"


def test_open_messages_are_bounded_and_the_oldest_goes() -> None:
    assembler = Assembler()
    for number in range(MAX_OPEN + 1):
        assembler.add(part(1, 2, b"x", number, 0x0700 + number), T + number)
    assert assembler.dropped() == [Dropped(0x0700, 2, 1, "too many open")]


def test_a_message_is_bounded() -> None:
    assembler = Assembler()
    size = 1 << 20
    for index in range(1, MAX_BYTES // size + 2):
        assert assembler.add(part(index, 100, bytes(size), index), T) is None
    assert assembler.dropped() == [Dropped(0x0801, 100, 17, "too large")]


def test_serials_wrap() -> None:
    assembler = Assembler()
    assembler.add(part(3, 3, b"c", 1), T)
    (missing,) = assembler.tick(T + 5)
    assert missing.first_serial == 0xFFFF
