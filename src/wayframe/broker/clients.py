"""A client as the broker knows it: its session, who it is, and what it subscribed to."""

from __future__ import annotations

from wayframe.expressions import MqttFilter
from wayframe.expressions import Subscription as Parsed
from wayframe.model import Json
from wayframe.mqtt import Connection, Session, Will, Wish

from .rights import Principal


class Client:
    """A session with everything around it."""

    __slots__ = (
        "clean", "created", "ends_at", "expiry", "session", "source", "subscriptions", "told_at", "version", "who",
        "will", "will_at",
    )  # fmt: skip

    def __init__(self, session: Session, who: Principal, version: int, created: float) -> None:
        self.session = session
        self.who = who
        self.version = version
        """Protocol level of its last connection."""
        self.created = created
        """Unix seconds."""
        self.clean = True
        """Whether its last connection began a new session."""
        self.expiry = 0
        """Seconds the session outlives its connection."""
        self.source = ""
        """Address of its last connection."""
        self.subscriptions: dict[str, Subscription] = {}
        """By the text it subscribed with."""
        self.ends_at: float | None = None
        """Unix seconds at which the session ends, while the client is away."""
        self.told_at = 0.0
        """When it was logged last that messages were dropped for it, Unix seconds."""
        self.will: Will | None = None
        """Waits for its delay to pass."""
        self.will_at = 0.0

    @property
    def connection(self) -> Connection | None:
        """Where it is connected."""
        return self.session.connection

    @property
    def persistent(self) -> bool:
        """Whether messages are kept for it while it is away."""
        return self.session.store is not None


class Subscription:
    """One subscription of a client."""

    __slots__ = (
        "cid", "client", "filter", "identifier", "no_local", "qos", "retain_as_published", "retain_handling", "share",
        "sticky", "text", "topic",
    )  # fmt: skip

    def __init__(
        self, client: Client, wish: Wish, parsed: Parsed, qos: int, identifier: int = 0, cid: int | None = None
    ) -> None:
        self.client = client
        self.text = wish.filter
        """As the client wrote it."""
        self.topic = parsed.topic
        """The topic filter in it."""
        self.filter: MqttFilter | None = parsed.filter
        self.share: str | None = None
        """Name of its share group."""
        self.sticky: tuple[int, int] | None = None
        """Levels of the topic whose hash chooses the member: first and count; None: a random member."""
        if parsed.share is not None:
            self.share = parsed.share
            self.sticky = sticky_levels(parsed.share)
        self.qos = qos
        """Granted."""
        self.no_local = wish.no_local
        self.retain_as_published = wish.retain_as_published
        self.retain_handling = wish.retain_handling
        self.identifier = identifier
        """Subscription identifier, 0 for none."""
        self.cid = cid
        """Only messages of this account (user property `cid` of SUBSCRIBE)."""

    def shown(self) -> dict[str, Json]:
        """As CONNACK and REST show it (mqtt-api.md 2.1)."""
        return {
            "topic": self.text,
            "qos": self.qos,
            "no_local": self.no_local,
            "rap": self.retain_as_published,
            "retain_handling": self.retain_handling,
            "subscription_id": self.identifier,
        }


def sticky_levels(group: str) -> tuple[int, int] | None:
    """`name:count` and `name:from:count` as first level and count (mqtt-api.md 4.5); None for a plain name."""
    numbers = group.split(":")[1:]
    if not numbers or len(numbers) > 2 or not all(part.isascii() and part.isdecimal() for part in numbers):
        return None
    first, count = (0, numbers[0]) if len(numbers) == 1 else (int(numbers[0]), numbers[1])
    return first, int(count)
