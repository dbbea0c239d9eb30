"""What a broker keeps of one client beyond its connection (MQTT 5, section 4.1): sans-IO.

Outgoing messages of QoS 1 and 2 are numbered. A packet identifier is the number folded into 1 to 65,535, so that it is
the same after a crash without having been written down when it was sent.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .messages import Delivery
from .packets import Ack
from .properties import PacketType
from .reasons import ProtocolError, Reason

if TYPE_CHECKING:
    from .connection import Connection

NEVER = 0xFFFFFFFF
"""A session expiry interval without end (3.1.2.11.2)."""
_IDS = 65535
_ACKS = struct.Struct(">HH")
_PUBACK = PacketType.PUBACK << 12 | 2
_TURN = 256 << 10
"""Bytes put before a connection at once; `more` says that there are others."""


class Store(Protocol):
    """Where a session that outlives the server writes what happens to it.

    Methods that return a ticket: what depends on the record may go out once that ticket is durable; 0 is at once.
    """

    def added(self, session: Session, number: int, delivery: Delivery) -> None:
        """A message is waiting for the client."""

    def ended(self, session: Session, number: int, delivery: Delivery | None) -> None:
        """The client has it, or it was dropped. None: it was released before."""

    def released(self, session: Session, number: int, delivery: Delivery) -> int:
        """The client received a message of QoS 2, and is told to take it (PUBREL)."""

    def seen(self, session: Session, packet_id: int) -> int:
        """The client's message of QoS 2 with this identifier was taken."""

    def forgotten(self, session: Session, packet_id: int) -> int:
        """Its identifier is free again."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one session may hold."""

    messages: int = 100_000
    """Messages of QoS 1 and 2 that wait; the oldest is dropped for a new one."""
    bytes: int = 64 << 20
    """Their bytes."""
    window: int = 4096
    """Messages on their way at once, where the client allows more."""


@dataclass(slots=True)
class Drops:
    """Counts what sessions lost."""

    queued: int = 0
    """Messages of QoS 1 and 2 dropped because a session was full."""
    slow: int = 0
    """Messages of QoS 0 dropped because a client did not read."""
    expired: int = 0
    """Messages that expired before they could be sent."""
    large: int = 0
    """Messages over a client's maximum packet size."""


class Session:
    """Subscriptions are the broker's; this is the flow of messages of QoS 1 and 2."""

    __slots__ = (
        "_held",
        "_resend",
        "cid",
        "client_id",
        "connection",
        "drops",
        "durable",
        "id",
        "inflight",
        "limits",
        "lost",
        "number",
        "queue",
        "quota",
        "received",
        "store",
        "window",
    )  # fmt: skip

    def __init__(self, session_id: int, cid: int, client_id: str, limits: SessionLimits, drops: Drops) -> None:
        self.id = session_id
        self.cid = cid
        """Account."""
        self.client_id = client_id
        """Unique inside the account."""
        self.limits = limits
        self.drops = drops
        self.lost = 0
        """Messages dropped since somebody looked: the session was full."""
        self.connection: Connection | None = None
        """Where the client is, None while it is away."""
        self.store: Store | None = None
        """Set for a session that outlives its connection."""
        self.number = 0
        """Of the newest outgoing message."""
        self.durable = 0
        """Messages up to this number are in the store."""
        self.inflight: dict[int, Delivery | None] = {}
        """Sent and not ended, by packet identifier, in order; None for QoS 2 between PUBREC and PUBCOMP."""
        self.queue: deque[Delivery] | None = None
        """Not sent yet; its last has `number`."""
        self.received: set[int] | None = None
        """Identifiers of incoming QoS 2 messages that are not released."""
        self.window = limits.window
        """Messages the client takes at once."""
        self.quota = limits.window
        """What is left of it."""
        self._resend: deque[int] | None = None
        self._held = 0

    @property
    def waiting(self) -> int:
        """Messages not yet ended."""
        return len(self.inflight) + (len(self.queue) if self.queue else 0)

    @property
    def more(self) -> bool:
        """Whether `pump` has something to send as soon as the connection takes it."""
        return bool(self._resend) or (bool(self.queue) and self.quota > 0)

    @property
    def held_bytes(self) -> int:
        """About the bytes of those that were not sent."""
        return self._held

    # --- out ----------------------------------------------------------------------------------------------------

    def deliver(self, delivery: Delivery) -> None:
        """Take a message of QoS 1 or 2 for the client."""
        number = self.number = self.number + 1
        store = self.store
        if store is not None:
            store.added(self, number, delivery)
            if delivery.qos == 2:  # sent when durable, or a crash could send it twice
                self._put(delivery)
                return
        connection, packet_id = self.connection, (number - 1) % _IDS + 1
        if (
            connection is None
            or self.quota <= 0
            or self.queue
            or self._resend
            or connection.choked
            or packet_id in self.inflight
        ):
            self._put(delivery)
        elif connection.send(delivery, packet_id):
            self.inflight[packet_id] = delivery
            self.quota -= 1
        elif store is not None:
            store.ended(self, number, delivery)

    def _put(self, delivery: Delivery) -> None:
        queue = self.queue
        if queue is None:
            queue = self.queue = deque()
        queue.append(delivery)
        self._held += delivery.size
        while len(queue) > self.limits.messages or self._held > self.limits.bytes:
            self._drop_first(queue)
            self.drops.queued += 1
            self.lost += 1

    def shrink(self, held: int) -> None:
        """Drop the oldest messages that wait, until they have at most so many bytes."""
        while self.queue and self._held > held:
            self._drop_first(self.queue)
            self.drops.queued += 1
            self.lost += 1

    def _drop_first(self, queue: deque[Delivery]) -> None:
        number = self.number - len(queue) + 1
        dropped = queue.popleft()
        self._held -= dropped.size
        if self.store is not None:
            self.store.ended(self, number, dropped)

    def _send(self, connection: Connection, number: int, packet_id: int, delivery: Delivery) -> None:
        if connection.send(delivery, packet_id):
            self.inflight[packet_id] = delivery
            self.quota -= 1
        elif self.store is not None:
            self.store.ended(self, number, delivery)

    def pump(self) -> None:
        """Send what may be sent, at most `_TURN` bytes: first again what was under way, then what waits."""
        connection = self.connection
        if connection is None or connection.choked:
            return
        budget = _TURN
        resend = self._resend
        while resend:
            if budget <= 0:
                return
            packet_id = resend[0]
            if packet_id in self.inflight:
                delivery = self.inflight[packet_id]
                if delivery is None:
                    connection.send_packet(Ack(PacketType.PUBREL, packet_id))
                elif self.quota <= 0:
                    return
                elif not connection.send(delivery, packet_id, dup=True):
                    self._end(packet_id)
                    resend.popleft()
                    continue
                self.quota -= 1
                budget -= delivery.size if delivery is not None else 4
            resend.popleft()
        self._resend = None
        queue = self.queue
        while queue and self.quota > 0 and budget > 0:
            number = self.number - len(queue) + 1
            packet_id = (number - 1) % _IDS + 1
            if packet_id in self.inflight:
                return  # the identifier is still in use: the client owes an answer from 65,535 messages ago
            if queue[0].qos == 2 and self.store is not None and number > self.durable:
                return
            delivery = queue.popleft()
            self._held -= delivery.size
            budget -= delivery.size
            self._send(connection, number, packet_id, delivery)
        if queue is not None and not queue:
            self.queue = None

    def resume(self, connection: Connection, window: int) -> None:
        """The client is back: send again what it did not acknowledge, then what waited (4.4)."""
        self.connection = connection
        self.window = self.quota = min(window, self.limits.window)
        released = [packet_id for packet_id, delivery in self.inflight.items() if delivery is None]
        others = [packet_id for packet_id, delivery in self.inflight.items() if delivery is not None]
        self._resend = deque(released + others) or None  # a full window holds back no PUBREL ([MQTT-3.3.4-10])
        self.pump()

    def restore(self, number: int, waiting: list[tuple[int, Delivery | None]], sent: int) -> None:
        """Take up what a store kept.

        Args:
            number: of the newest message ever taken.
            waiting: number and message in order, None for one that is released.
            sent: messages up to this number may have been sent.
        """
        self.number = self.durable = max([number, *(each for each, _ in waiting)])
        queue: deque[Delivery] = deque()
        expected = self.number
        for each, delivery in reversed(waiting):
            if delivery is None or each <= sent or each != expected:
                break
            queue.appendleft(delivery)
            self._held += delivery.size
            expected -= 1
        for each, delivery in waiting[: len(waiting) - len(queue)]:
            self.inflight[(each - 1) % _IDS + 1] = delivery
        self.queue = queue or None

    def _number_of(self, packet_id: int) -> int:
        """The number of a message under way: the newest that has this identifier and was sent."""
        sent = self.number - (len(self.queue) if self.queue else 0)
        return sent - (sent - packet_id) % _IDS

    def _end(self, packet_id: int) -> None:
        delivery = self.inflight.pop(packet_id)
        if self.store is not None:
            self.store.ended(self, self._number_of(packet_id), delivery)

    def _ended(self, packet_id: int) -> None:
        self._end(packet_id)
        if self.quota < self.window:
            self.quota += 1
        if self.queue or self._resend:
            self.pump()

    def acknowledged(self, packet_id: int) -> None:
        """PUBACK (4.3.2). One for a message that is not under way is passed over. Raises ProtocolError."""
        delivery = self.inflight.get(packet_id)
        if delivery is None:
            if not packet_id:
                raise ProtocolError("a packet identifier is 1 or more")
            return
        if delivery.qos != 1:
            raise ProtocolError("PUBACK for a message of QoS 2")
        if self.store is None and not self.queue and self._resend is None:
            del self.inflight[packet_id]
            if self.quota < self.window:
                self.quota += 1
        else:
            self._ended(packet_id)

    def all_acknowledged(self, data: bytes) -> int:
        """PUBACKs as they came, one behind the other. Returns how many bytes they are; something else follows. Raises
        ProtocolError."""
        size = 0
        for head, packet_id in _ACKS.iter_unpack(data[: len(data) & ~3]):
            if head != _PUBACK:
                break
            self.acknowledged(packet_id)
            size += 4
        return size

    def pubrec(self, packet_id: int, reason: int) -> tuple[Ack | None, int]:
        """PUBREC (4.3.3). Returns the PUBREL to send, if any, and the ticket it waits for. Raises ProtocolError."""
        if packet_id not in self.inflight:
            return Ack(PacketType.PUBREL, packet_id, Reason.PACKET_IDENTIFIER_NOT_FOUND), 0
        delivery = self.inflight[packet_id]
        if delivery is None:
            return Ack(PacketType.PUBREL, packet_id), 0
        if delivery.qos != 2:
            raise ProtocolError("PUBREC for a message of QoS 1")
        if reason >= Reason.UNSPECIFIED_ERROR:
            self._ended(packet_id)
            return None, 0
        self.inflight[packet_id] = None
        ticket = self.store.released(self, self._number_of(packet_id), delivery) if self.store is not None else 0
        return Ack(PacketType.PUBREL, packet_id), ticket

    def pubcomp(self, packet_id: int) -> None:
        """PUBCOMP (4.3.3)."""
        if self.inflight.get(packet_id, packet_id) is None:
            self._ended(packet_id)

    # --- in -----------------------------------------------------------------------------------------------------

    def take(self, packet_id: int) -> tuple[bool, int]:
        """An incoming message of QoS 2: whether it is new, and the ticket its PUBREC waits for."""
        received = self.received
        if received is None:
            received = self.received = set()
        if packet_id in received:
            return False, 0
        received.add(packet_id)
        return True, self.store.seen(self, packet_id) if self.store is not None else 0

    def release(self, packet_id: int) -> tuple[bool, int]:
        """PUBREL: whether the identifier was known, and the ticket its PUBCOMP waits for."""
        if self.received is None or packet_id not in self.received:
            return False, 0
        self.received.discard(packet_id)
        return True, self.store.forgotten(self, packet_id) if self.store is not None else 0
