"""What a node decides for its broker, and what the broker counts."""

from __future__ import annotations

from dataclasses import dataclass, field

from wayframe.mqtt import ConnectionLimits, Drops, Reason, SessionLimits


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """What a node decides for its broker."""

    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    session: SessionLimits = field(default_factory=SessionLimits)
    all_sessions_bytes: int = 1 << 30
    """Bytes of messages that may wait in all sessions together."""
    subscriptions: int = 20_000
    """Subscriptions one session may have."""
    connections: int = 20_000
    """Connections at once."""
    refused_filter: str = ""
    """A topic filter nobody may subscribe to; for conformance suites."""
    refusal: Reason = Reason.NOT_AUTHORIZED
    """What SUBACK says of a filter that is refused."""
    stamp: bool = True
    """Whether messages of clients get the user properties timestamp and cid, as those of the platform do."""


@dataclass(slots=True)
class Counters:
    """For /metrics."""

    connected: int = 0
    connects: int = 0
    refused: int = 0
    messages_in: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    drops: Drops = field(default_factory=Drops)
