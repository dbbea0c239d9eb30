"""What a session keeps: the flow of QoS 1 and 2, over reconnects and crashes, within its limits."""

from __future__ import annotations

import pytest
from mqtt_hosting import Desk, Ledger, Peer, met

from wayframe.mqtt import V5, V311, Ack, Delivery, Message, PacketType, Publish, Reason, Session, SessionLimits
from wayframe.mqtt.packets import Disconnect

T = PacketType


def message(payload: bytes, qos: int = 1, **more: object) -> Delivery:
    """A message on its way."""
    return Message("t", payload, qos, **more).delivery(V5, qos, False, ())  # type: ignore[arg-type]  # as they come


def payloads(packets: list[object]) -> list[bytes]:
    """Of the PUBLISH packets among them."""
    return [packet.payload for packet in packets if isinstance(packet, Publish)]


def ids(packets: list[object]) -> list[int]:
    """Packet identifiers of the PUBLISH packets among them."""
    return [packet.packet_id for packet in packets if isinstance(packet, Publish)]


def kept(desk: Desk, **said: int) -> tuple[Peer, Session]:
    """A client whose session outlives its connection."""
    peer = met(desk, clean=False, session_expiry_interval=60, **said)
    session = peer.connection.session
    assert session is not None
    return peer, session


def back(desk: Desk, **said: int) -> Peer:
    """The same client again."""
    peer = Peer(desk)
    assert peer.connects(clean=False, session_expiry_interval=60, **said).session_present
    return peer


def test_qos_1_ends_with_puback() -> None:
    peer, session = kept(Desk())
    session.deliver(message(b"1"))
    [published] = peer.came()
    assert isinstance(published, Publish)
    assert (published.qos, published.dup, published.packet_id) == (1, False, 1)
    assert session.waiting == 1
    assert peer.acks(T.PUBACK, 1) == []
    assert session.waiting == 0


def test_qos_2_takes_four_steps() -> None:
    peer, session = kept(Desk())
    session.deliver(message(b"1", 2))
    assert ids(peer.came()) == [1]
    assert peer.acks(T.PUBREC, 1) == [Ack(T.PUBREL, 1)]
    assert peer.acks(T.PUBREC, 1) == [Ack(T.PUBREL, 1)], "a PUBREC that comes twice"
    assert session.waiting == 1
    assert peer.acks(T.PUBCOMP, 1) == []
    assert session.waiting == 0


def test_a_refused_message_is_over() -> None:
    peer, session = kept(Desk())
    session.deliver(message(b"1", 2))
    session.deliver(message(b"2", 1))
    peer.came()
    assert peer.acks(T.PUBREC, 1, Reason.QUOTA_EXCEEDED) == []
    assert peer.acks(T.PUBACK, 2, Reason.UNSPECIFIED_ERROR) == []
    assert session.waiting == 0
    peer.leaves()
    assert back(peer.desk).first == []


def test_strange_answers() -> None:
    peer, session = kept(Desk())
    assert peer.acks(T.PUBACK, 7) == []
    assert peer.acks(T.PUBCOMP, 7) == []
    assert peer.acks(T.PUBREC, 7) == [Ack(T.PUBREL, 7, Reason.PACKET_IDENTIFIER_NOT_FOUND)]
    session.deliver(message(b"1", 2))
    peer.came()
    assert peer.acks(T.PUBCOMP, 1) == [], "before PUBREC it means nothing"
    assert session.waiting == 1


@pytest.mark.parametrize(("qos", "kind"), [(2, T.PUBACK), (1, T.PUBREC)])
def test_the_wrong_answer_ends_the_connection(qos: int, kind: PacketType) -> None:
    peer, session = kept(Desk())
    session.deliver(message(b"1", qos))
    peer.came()
    [farewell] = peer.acks(kind, 1)
    assert isinstance(farewell, Disconnect)
    assert farewell.reason == Reason.PROTOCOL_ERROR
    assert session.waiting == 1


def test_receive_maximum_of_the_client() -> None:
    peer, session = kept(Desk(), receive_maximum=2)
    for number in range(5):
        session.deliver(message(b"%d" % number, 1 + number % 2))
    assert payloads(peer.came()) == [b"0", b"1"]
    assert peer.says(bytes.fromhex("c000")) != [], "everything else is still answered"
    assert peer.acks(T.PUBREC, 2) == [Ack(T.PUBREL, 2)], "PUBREC alone makes no room"
    assert payloads(peer.acks(T.PUBACK, 1)) == [b"2"]
    assert payloads(peer.acks(T.PUBCOMP, 2)) == [b"3"]
    assert payloads(peer.acks(T.PUBACK, 99)) == [], "an answer to nothing makes no room"
    assert payloads(peer.acks(T.PUBACK, 3)) == [b"4"]


def test_what_was_under_way_comes_again() -> None:
    peer, session = kept(Desk())
    for number in range(4):
        session.deliver(message(b"%d" % number, 1 + number % 2))
    peer.came()
    peer.acks(T.PUBACK, 1)
    peer.acks(T.PUBREC, 4)
    peer.leaves()
    session.deliver(message(b"4"))
    session.deliver(message(b"5", 2))
    [*again] = back(peer.desk).first
    assert again[0] == Ack(T.PUBREL, 4)
    published = [packet for packet in again if isinstance(packet, Publish)]
    assert [(each.payload, each.packet_id, each.dup) for each in published] == [
        (b"1", 2, True),
        (b"2", 3, True),
        (b"4", 5, False),
        (b"5", 6, False),
    ]


def test_a_smaller_window_after_the_return() -> None:
    peer, session = kept(Desk())
    for number in range(4):
        session.deliver(message(b"%d" % number, 2 if number == 3 else 1))
    peer.came()
    peer.acks(T.PUBREC, 4)
    peer.leaves()
    peer = back(peer.desk, receive_maximum=2)
    assert [type(packet).__name__ for packet in peer.first] == ["Ack", "Publish"], "PUBREL waits for no room"
    assert payloads(peer.acks(T.PUBACK, 1)) == [b"1"]
    session.deliver(message(b"new"))
    assert peer.came() == []
    assert payloads(peer.acks(T.PUBCOMP, 4)) == [b"2"]
    assert payloads(peer.acks(T.PUBACK, 3)) == [b"new"]


def test_acknowledged_while_it_waits_to_be_sent_again() -> None:
    peer, session = kept(Desk())
    for number in range(3):
        session.deliver(message(b"%d" % number))
    peer.leaves()
    peer = back(peer.desk, receive_maximum=1)
    assert payloads(peer.first) == [b"0"]
    assert payloads(peer.acks(T.PUBACK, 2)) == [b"2"]
    peer.acks(T.PUBACK, 1)
    peer.acks(T.PUBACK, 3)
    assert session.waiting == 0


def test_identifiers_are_numbers_folded() -> None:
    peer, session = kept(Desk())
    session.number = 65_534
    for number in range(3):
        session.deliver(message(b"%d" % number))
    assert ids(peer.came()) == [65_535, 1, 2]
    session.number = 3 * 65_535
    session.deliver(message(b"x"))
    assert ids(peer.came()) == []
    assert session.waiting == 4, "1 is still in use"
    session.deliver(message(b"y", 1))
    assert payloads(peer.acks(T.PUBACK, 1)) == [b"x"], "2 is still in use"
    assert ids(peer.acks(T.PUBACK, 2)) == [2]


def test_no_identifier_twice_when_one_is_never_acknowledged() -> None:
    peer, session = kept(Desk())
    session.deliver(message(b"first"))
    peer.came()
    for number in range(2, 65_536):
        session.deliver(message(b""))
        peer.acks(T.PUBACK, number)
    session.deliver(message(b"again"))
    assert peer.came() == []
    assert session.waiting == 2
    assert payloads(peer.acks(T.PUBACK, 1)) == [b"again"]


def test_limits_drop_the_oldest() -> None:
    desk = Desk(session=SessionLimits(messages=3, bytes=1000, window=10))
    peer, session = kept(desk)
    peer.leaves()
    for number in range(5):
        session.deliver(message(b"%d" % number))
    assert (session.waiting, desk.drops.queued) == (3, 2)
    peer = back(desk)
    assert payloads(peer.first) == [b"2", b"3", b"4"]
    assert ids(peer.first) == [3, 4, 5]
    peer.leaves()
    for number in range(3):
        session.deliver(message(b"%d" % number * 400))
    assert desk.drops.queued == 3
    assert session.held_bytes <= 1000
    session.deliver(message(b"x" * 2000))
    assert session.held_bytes == 0, "a message that is larger than all a session may hold"


def test_window_of_the_server() -> None:
    desk = Desk(session=SessionLimits(window=2))
    peer, session = kept(desk)
    for number in range(4):
        session.deliver(message(b"%d" % number))
    assert payloads(peer.came()) == [b"0", b"1"]


def test_expired_before_it_was_sent() -> None:
    desk = Desk()
    peer, session = kept(desk)
    peer.leaves()
    session.deliver(message(b"short", expires=desk.time + 5))
    session.deliver(message(b"long", expires=desk.time + 100))
    desk.time += 10
    peer = back(desk)
    [published] = [packet for packet in peer.first if isinstance(packet, Publish)]
    assert (published.payload, published.packet_id) == (b"long", 2)
    assert published.properties["message_expiry_interval"] == 90
    assert desk.drops.expired == 1
    peer.acks(T.PUBACK, 2)
    assert session.waiting == 0


def test_what_was_sent_does_not_expire() -> None:
    desk = Desk()
    peer, session = kept(desk)
    session.deliver(message(b"sent", 2, expires=desk.time + 5))
    peer.leaves()
    desk.time += 10
    [published] = back(desk).first
    assert isinstance(published, Publish)
    assert (published.dup, published.properties) == (True, {"message_expiry_interval": 0})


# --- in ---------------------------------------------------------------------------------------------------------------


def test_incoming_qos_2_is_taken_once() -> None:
    desk = Desk()
    peer, _ = kept(desk)
    for dup in (False, True, True):
        assert peer.says(Publish("a", b"", 2, dup=dup, packet_id=5)) == [Ack(T.PUBREC, 5)]
    assert len(desk.published) == 1
    peer.leaves()
    peer = back(desk)
    assert peer.says(Publish("a", b"", 2, dup=True, packet_id=5)) == [Ack(T.PUBREC, 5)]
    assert len(desk.published) == 1
    assert peer.acks(T.PUBREL, 5) == [Ack(T.PUBCOMP, 5)]
    assert peer.acks(T.PUBREL, 5) == [Ack(T.PUBCOMP, 5, Reason.PACKET_IDENTIFIER_NOT_FOUND)]
    assert peer.publishes("a", b"", 2, 5) == [Ack(T.PUBREC, 5)]
    assert len(desk.published) == 2


def test_a_message_that_was_refused_is_new_when_it_comes_again() -> None:
    desk = Desk()
    peer, _ = kept(desk)
    desk.verdict = Reason.NOT_AUTHORIZED
    assert peer.publishes("a", b"", 2, 5) == [Ack(T.PUBREC, 5, Reason.NOT_AUTHORIZED)]
    desk.verdict = Reason.SUCCESS
    assert peer.publishes("a", b"", 2, 5) == [Ack(T.PUBREC, 5)]
    assert len(desk.published) == 2


# --- a store ----------------------------------------------------------------------------------------------------------


def test_what_the_store_is_told() -> None:
    desk = Desk()
    desk.store = ledger = Ledger()
    peer, session = kept(desk)
    session.deliver(message(b"1"))
    session.deliver(message(b"2", 2))
    assert payloads(peer.came()) == [b"1"], "QoS 2 leaves when it is stored"
    session.deliver(message(b"3"))
    assert peer.came() == [], "and nothing overtakes it"
    session.durable = 3
    session.pump()
    assert payloads(peer.came()) == [b"2", b"3"]
    peer.acks(T.PUBACK, 1)
    assert peer.acks(T.PUBREC, 2) == [], "PUBREL waits for what it says to be stored"
    peer.connection.durable(ledger.ticket)
    assert peer.came() == [Ack(T.PUBREL, 2)]
    peer.acks(T.PUBCOMP, 2)
    assert ledger.told == [
        ("added", 1, b"1"),
        ("added", 2, b"2"),
        ("added", 3, b"3"),
        ("ended", 1),
        ("released", 2),
        ("ended", 2),
    ]


def test_what_is_dropped_is_told_with_its_number() -> None:
    desk = Desk(session=SessionLimits(messages=2))
    desk.store = ledger = Ledger()
    peer, session = kept(desk)
    peer.leaves()
    for number in range(3):
        session.deliver(message(b"%d" % number, expires=desk.time + 5))
    desk.time += 10
    session.deliver(message(b"3"))
    back(desk)
    assert [entry for entry in ledger.told if entry[0] == "ended"] == [("ended", 1), ("ended", 2), ("ended", 3)]


def restored(number: int, waiting: list[tuple[int, Delivery | None]], sent: int) -> tuple[Desk, Session]:
    """A session as a store gave it back."""
    desk = Desk()
    session = Session(1, 1, "c", SessionLimits(), desk.drops)
    session.store = Ledger()
    session.restore(number, waiting, sent)
    desk.sessions["c"] = session
    return desk, session


def test_restore_sends_again_what_may_have_been_sent() -> None:
    waiting = [(3, message(b"3")), (4, None), (6, message(b"6", 2)), (7, message(b"7")), (8, message(b"8", 2))]
    desk, session = restored(8, waiting, 6)
    assert session.waiting == 5
    first = back(desk).first
    assert first[0] == Ack(T.PUBREL, 4)
    assert [(each.packet_id, each.dup) for each in first if isinstance(each, Publish)] == [
        (3, True),
        (6, True),
        (7, False),
        (8, False),
    ]
    session.deliver(message(b"9"))
    assert isinstance(session.store, Ledger)
    assert session.store.told == [("added", 9, b"9")]


def test_restore_goes_on_with_the_numbers() -> None:
    desk, session = restored(65_535 + 7, [], 0)
    peer = back(desk)
    session.deliver(message(b"next"))
    assert ids(peer.came()) == [8]
    peer.acks(T.PUBACK, 8)
    assert isinstance(session.store, Ledger)
    assert session.store.told == [("added", 65_535 + 8, b"next"), ("ended", 65_535 + 8)]


def test_restore_of_more_than_there_are_identifiers() -> None:
    waiting: list[tuple[int, Delivery | None]] = [(number, message(b"%d" % number)) for number in range(1, 70_001)]
    desk, session = restored(70_000, waiting, 2)
    peer = back(desk, receive_maximum=3)
    assert payloads(peer.first) == [b"1", b"2", b"3"]
    assert session.waiting == 70_000
    for number in range(1, 70_001):
        peer.acks(T.PUBACK, (number - 1) % 65_535 + 1)
    assert session.waiting == 0
    assert isinstance(session.store, Ledger)
    assert session.store.told == [("ended", number) for number in range(1, 70_001)]


def test_versions_may_change_between_connections() -> None:
    desk = Desk()
    peer, session = kept(desk)
    session.deliver(Message("t", b"1", 1, properties={"content_type": "x"}).delivery(V5, 1, False, (3,)))
    peer.leaves()
    old = Peer(desk, V311)
    old.connects(clean=False)
    assert old.first == [Publish("t", b"1", 1, dup=True, packet_id=1)]
    old.leaves()
    [published] = back(desk).first
    assert isinstance(published, Publish)
    assert published.properties == {"subscription_identifier": [3], "content_type": "x"}
