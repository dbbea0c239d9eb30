"""Who gets a message with a given topic: worked out once a topic, and kept until a subscription or a right changes.

Subscribers that get the very same packet form a group, so that it is encoded once and put before each of them.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain

from wayframe.expressions import Environment, Expression, MqttFilter, MqttMessage, payload_context
from wayframe.mqtt import V5, Connection, Delivery, Message, Session

from .clients import Client, Subscription

_ENVIRONMENT_S = 0.001
"""How long one environment serves the filters of a route: making one costs more than most expressions."""

Key = tuple[int, int, bool, tuple[int, ...]]
"""Protocol level, QoS granted, retain as published, subscription identifiers."""


class Outbox:
    """Connections with bytes to send; each is flushed once a loop turn."""

    __slots__ = ("_scheduled", "dropped", "ready", "schedule")

    def __init__(self) -> None:
        self.ready: list[Connection] = []
        """To be flushed, each once."""
        self.dropped = 0
        """Messages of QoS 0 that slow readers did not get."""
        self.schedule: Callable[[], object] = _never
        """Called when the first connection comes; set by the listener."""
        self._scheduled = False

    def add(self, connection: Connection) -> None:
        """This connection has something to send now."""
        self.ready.append(connection)
        if not self._scheduled:
            self.called()

    def called(self) -> None:
        """Connections are in `ready`."""
        if not self._scheduled and self.ready:
            self._scheduled = True
            self.schedule()

    def put(self, packet: bytes, connections: Iterable[Connection]) -> None:
        """Put a packet of QoS 0 before connections; those whose peer does not read go without."""
        ready = self.ready
        for connection in connections:
            if connection.choked:
                self.dropped += 1
                continue
            pending = connection.pending
            if not pending:
                ready.append(connection)
            pending.append(packet)
        if not self._scheduled:
            self.called()

    def flush(self) -> None:
        """Carry everything to the sockets."""
        self._scheduled = False
        ready, self.ready = self.ready, []
        for connection in ready:
            connection.flush()


def _never() -> None:
    """No listener runs."""


@dataclass(slots=True)
class Group:
    """Subscribers that get the same packet."""

    key: Key
    alike: list[Connection] = field(default_factory=list)
    """Connected, and content with the packet as it is."""
    others: list[Connection] = field(default_factory=list)
    """Connected, with topic aliases or a maximum packet size."""
    sessions: list[Session] = field(default_factory=list)
    """Connected or persistent: what gets QoS 1 and 2."""

    def add(self, client: Client) -> None:
        """One more."""
        connection = client.connection
        if connection is not None:
            (self.alike if connection.plain else self.others).append(connection)
        if connection is not None or client.persistent:
            self.sessions.append(client.session)

    @property
    def relays(self) -> bool:
        """Whether the packet of another client before 5.0 fits everybody as it is."""
        return self.key[0] != V5 and not self.others

    def deliver(self, message: Message, outbox: Outbox) -> None:
        """Put a message before everybody."""
        version, granted, as_published, ids = self.key
        qos = min(message.qos, granted)
        delivery = message.delivery(version, qos, message.retain and as_published, ids)
        if qos:
            for session in self.sessions:
                session.deliver(delivery)
            return
        others = self.others
        if delivery.plain:
            outbox.put(delivery.head, self.alike)
        else:
            others = self.alike + others
        for connection in others:
            if connection.choked:
                outbox.dropped += 1
            else:
                connection.send(delivery)


class Share:
    """Members of one share group that want a topic."""

    __slots__ = ("members", "sticky")

    def __init__(self, sticky: tuple[int, int] | None) -> None:
        self.sticky = sticky
        self.members: list[Subscription] = []

    def choose(self, message: Message, passes: Filters) -> Subscription | None:
        """Who gets it: somebody connected, else somebody for whom it is kept (mqtt-api.md 4.5)."""
        members = [member for member in self.members if passes.let(member)]
        online = [member for member in members if member.client.connection is not None]
        able = online or [member for member in members if member.client.persistent]
        if not able:
            return None
        if self.sticky is None:
            return random.choice(able)
        first, count = self.sticky
        levels = "/".join(message.topic.split("/")[first : first + count])
        return able[zlib.crc32(levels.encode()) % len(able)]


class Filters:
    """`$filter` conditions of one message, each text evaluated at most once."""

    __slots__ = ("_env", "_message", "_outcomes", "_publisher", "_seen")

    def __init__(self, message: Message, publisher: Session | None) -> None:
        self._message = message
        self._publisher = publisher
        self._seen: MqttMessage | None = None
        self._env = Environment(now=message.timestamp)
        self._outcomes: dict[str, bool] = {}

    def passes(self, condition: MqttFilter) -> bool:
        """Whether the message passes."""
        outcome = self._outcomes.get(condition.text)
        if outcome is None:
            message = self._message
            if self._seen is None:
                self._seen = MqttMessage(
                    message.topic,
                    message.payload,
                    cid=message.cid,
                    timestamp=message.timestamp,
                    user_properties=dict(message.properties.get("user_property", ())),
                )
            outcome = self._outcomes[condition.text] = condition.matches(self._seen, self._env)
        return outcome

    def let(self, subscription: Subscription) -> bool:
        """Whether a subscription lets the message through."""
        if subscription.no_local and subscription.client.session is self._publisher:
            return False
        return subscription.filter is None or self.passes(subscription.filter)


class Route:
    """The short way of messages from a client before 5.0 to other such clients: packets as they came."""

    __slots__ = ("_env", "_made_at", "always", "filtered", "once", "topic")

    def __init__(self, topic: str, groups: list[Group], filtered: list[tuple[Expression, list[Group]]]) -> None:
        self._made_at = 0.0
        self._env = Environment()
        self.topic = topic
        self.always = [each for group in groups for each in group.alike]
        """Get every packet of QoS 0."""
        self.filtered = [(passes, [each for group in more for each in group.alike]) for passes, more in filtered]
        """Get those of QoS 0 whose payload passes one and the same expression."""
        self.once: list[Group] | None = groups
        """Get every packet of QoS 1; None: those cannot take the short way."""
        if filtered or not all(group.key[1] for group in groups):
            self.once = None

    def relay(self, packet: bytes, payload_at: int, now: float, outbox: Outbox) -> None:
        """Put a packet before everybody who gets it."""
        outbox.put(packet, self.always)
        if not self.filtered:
            return
        if not 0 <= now - self._made_at < _ENVIRONMENT_S:
            self._made_at, self._env = now, Environment(now=now)
        env, context = self._env, payload_context(packet[payload_at:].decode(errors="replace"))
        passed = [connections for expression, connections in self.filtered if expression.matches(context, env)]
        if passed:
            outbox.put(packet, passed[0] if len(passed) == 1 else chain.from_iterable(passed))

    def relay_once(self, message: Message, head: bytes) -> None:
        """Put a message of QoS 1 before everybody; `head` is its packet up to the topic."""
        for group in self.once or ():
            delivery = Delivery.relayed(message, group.key[0], head)
            for session in group.sessions:
                session.deliver(delivery)


class Plan:
    """What happens to messages of one account with one topic."""

    __slots__ = ("conditional", "filtered", "groups", "shares")

    def __init__(self, subscriptions: Iterable[Subscription]) -> None:
        """`subscriptions` that match the topic, and whose owners may see it."""
        self.groups: list[Group] = []
        """Get every message."""
        self.filtered: list[tuple[MqttFilter, list[Group]]] = []
        """Get those that pass one and the same condition."""
        self.conditional: list[tuple[Client, list[Subscription]]] = []
        """Everybody else: it depends on the message and its publisher."""
        self.shares: list[Share] = []
        by_client: dict[Client, list[Subscription]] = {}
        shares: dict[tuple[int, str], Share] = {}
        for subscription in subscriptions:
            if subscription.share is not None:
                key = (subscription.client.who.cid, subscription.share)
                if key not in shares:
                    shares[key] = Share(subscription.sticky)
                shares[key].members.append(subscription)
            else:
                by_client.setdefault(subscription.client, []).append(subscription)
        self.shares = list(shares.values())
        self._sort(by_client)

    def _sort(self, by_client: dict[Client, list[Subscription]]) -> None:
        always: dict[Key, Group] = {}
        filtered: dict[str, tuple[MqttFilter, dict[Key, Group]]] = {}
        for client, mine in by_client.items():
            first = mine[0]
            if any(each.no_local for each in mine) or (len(mine) > 1 and any(each.filter for each in mine)):
                self.conditional.append((client, mine))
                continue
            groups = always
            if first.filter is not None:
                _, groups = filtered.setdefault(first.filter.text, (first.filter, {}))
            key = group_key(client, mine)
            group = groups.get(key)
            if group is None:
                group = groups[key] = Group(key)
            group.add(client)
        self.groups = list(always.values())
        self.filtered = [(condition, list(groups.values())) for condition, groups in filtered.values()]

    @property
    def nobody(self) -> bool:
        """Whether a message goes nowhere."""
        return not (self.groups or self.filtered or self.conditional or self.shares)

    def route(self, topic: str) -> Route | None:
        """The short way; None where there are receivers or conditions it has no place for."""
        if self.conditional or self.shares:
            return None
        filtered = []
        for condition, groups in self.filtered:
            if condition.on_payload is None or not all(group.relays for group in groups):
                return None
            filtered.append((condition.on_payload, groups))
        if not all(group.relays for group in self.groups):
            return None
        return Route(topic, self.groups, filtered)

    def deliver(self, message: Message, publisher: Session | None, outbox: Outbox) -> None:
        """Put a message before everybody who gets it."""
        for group in self.groups:
            group.deliver(message, outbox)
        if self.filtered or self.conditional or self.shares:
            self._deliver_where_it_depends(message, publisher, outbox)
        message.let_go()

    def _deliver_where_it_depends(self, message: Message, publisher: Session | None, outbox: Outbox) -> None:
        filters = Filters(message, publisher)
        for condition, groups in self.filtered:
            if filters.passes(condition):
                for group in groups:
                    group.deliver(message, outbox)
        for client, mine in self.conditional:
            deliver_to(client, [each for each in mine if filters.let(each)], message, outbox)
        for share in self.shares:
            chosen = share.choose(message, filters)
            if chosen is not None:
                deliver_to(chosen.client, [chosen], message, outbox)


def group_key(client: Client, subscriptions: list[Subscription]) -> Key:
    """What a client gets of a message for which these of its subscriptions match: one packet with all identifiers."""
    ids: tuple[int, ...] = ()
    if client.version == V5:
        ids = tuple(sorted({each.identifier for each in subscriptions if each.identifier}))
    qos = max(each.qos for each in subscriptions)
    return client.version, qos, any(each.retain_as_published for each in subscriptions), ids


def deliver_to(client: Client, subscriptions: list[Subscription], message: Message, outbox: Outbox) -> None:
    """Put a message before one client, for these of its subscriptions."""
    if subscriptions:
        group = Group(group_key(client, subscriptions))
        group.add(client)
        group.deliver(message, outbox)
