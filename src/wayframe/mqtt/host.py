"""What a connection asks of the broker it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .packets import Connect, Publish, Subscribe, Unsubscribe
from .reasons import Reason

if TYPE_CHECKING:
    from .connection import Connection


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may do."""

    packet_bytes: int = 1 << 20
    """Largest packet taken."""
    receive_maximum: int = 1000
    """Messages of QoS 1 and 2 a client may have under way."""
    topic_aliases: int = 64
    """Topic aliases a client may set."""
    keep_alive_s: int = 3600
    """Largest keep alive; a client of 5.0 that asks for more, or for none, is told this one."""
    max_qos: int = 1
    """Largest QoS a client may publish with and is granted."""


class Host(Protocol):
    """The broker, as a connection sees it. Tickets as in `session.Store`."""

    limits: ConnectionLimits

    def now(self) -> float:
        """Unix seconds."""

    def connect(self, connection: Connection, packet: Connect) -> None:
        """Answer with `accept` or `refuse`."""

    def publish(self, connection: Connection, packet: Publish) -> tuple[Reason, int]:
        """Distribute. Returns what the acknowledgement says, and the ticket it waits for."""

    def find_route(self, connection: Connection, raw_topic: bytes) -> None:
        """Put into `relays` where the client's messages with this topic go as they are, None if there is more to do."""

    def relay(self, route: Any, packet: bytes, payload_at: int) -> None:
        """Such a PUBLISH of QoS 0, and where its payload begins."""

    def relay_once(self, connection: Connection, route: Any, head: bytes, payload: bytes) -> int | None:
        """Such a PUBLISH of QoS 1, up to its topic, and its payload. Returns the ticket its acknowledgement waits for;
        None: it has to be published."""

    def subscribe(self, connection: Connection, packet: Subscribe) -> tuple[list[Reason], int]:
        """Returns a reason for every wish. Retained messages follow by themselves, after the answer."""

    def unsubscribe(self, connection: Connection, packet: Unsubscribe) -> tuple[list[Reason], int]:
        """Returns a reason for every filter."""

    def waits(self, connection: Connection) -> None:
        """The connection holds answers back: call its `durable` when their tickets are."""

    def gone(self, connection: Connection, reason: Reason, sentence: str) -> None:
        """The connection has ended, in whatever way; called once."""
