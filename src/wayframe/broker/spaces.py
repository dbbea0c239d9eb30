"""Topic spaces: every account has its own, and subscribers above it look into it (mqtt-api.md 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from wayframe.bus import Below, TopicTree
from wayframe.model import Event
from wayframe.mqtt import Message, Session

from .clients import Client, Subscription
from .plans import Outbox, Plan, Route

_PLANS = 200_000
"""Topics whose plans are remembered, over all accounts."""


class Space:
    """One account's subscriptions and clients."""

    __slots__ = ("cid", "clients", "plans", "routes", "subscriptions", "tree")

    def __init__(self, cid: int) -> None:
        self.cid = cid
        self.tree: TopicTree[Subscription] = TopicTree()
        self.subscriptions = 0
        """In the tree."""
        self.clients: dict[str, Client] = {}
        """By client identifier."""
        self.plans: dict[str, Plan] = {}
        """By topic, for messages published in this account."""
        self.routes: dict[bytes, Route | None] = {}
        """By topic as on the wire: a shorter way for plans that have one (`Connection.relays`)."""

    def forget_plans(self) -> int:
        """Something changed. Returns how many there were."""
        count = len(self.plans)
        self.plans.clear()
        self.routes.clear()
        return count


class Spaces:
    """Finds who gets a message."""

    def __init__(
        self, outbox: Outbox, ancestors: Callable[[int], tuple[int, ...]], family: Callable[[int], frozenset[int]]
    ) -> None:
        """Args: `ancestors` of an account from itself upwards, `family` of an account from itself downwards."""
        self._outbox = outbox
        self._ancestors = ancestors
        self._family = family
        self._spaces: dict[int, Space] = {}
        self.by_session: dict[int, Client] = {}
        """Every client, by the id of its session."""
        self._planned = 0

    def __iter__(self) -> Iterator[Space]:
        return iter(list(self._spaces.values()))

    def of(self, cid: int) -> Space:
        """An account's space."""
        space = self._spaces.get(cid)
        if space is None:
            space = self._spaces[cid] = Space(cid)
        return space

    def drop(self, cid: int) -> None:
        """An account is gone."""
        space = self._spaces.pop(cid, None)
        if space is not None:
            self._planned -= space.forget_plans()

    def place(self, client: Client) -> None:
        """A session began, or was taken up."""
        self.of(client.who.cid).clients[client.session.client_id] = client
        self.by_session[client.session.id] = client

    def forget(self, client: Client) -> None:
        """A session is over."""
        self.of(client.who.cid).clients.pop(client.session.client_id, None)
        self.by_session.pop(client.session.id, None)

    def clients(self) -> Iterator[Client]:
        """Every client of every account."""
        return (client for space in self for client in list(space.clients.values()))

    def sessions(self, cid: int) -> int:
        """Sessions of an account, without those of its subaccounts."""
        space = self._spaces.get(cid)
        return len(space.clients) if space is not None else 0

    def subscriptions(self, cid: int) -> int:
        """Subscriptions of an account, without those of its subaccounts."""
        space = self._spaces.get(cid)
        return space.subscriptions if space is not None else 0

    # --- subscriptions ------------------------------------------------------------------------------------------

    def add(self, subscription: Subscription) -> None:
        """Hang a subscription in its tree. Raises `InvalidFilter`."""
        space = self.of(subscription.client.who.cid)
        space.tree.add(subscription.topic, subscription)
        space.subscriptions += 1
        self.changed(space.cid)

    def remove(self, subscription: Subscription) -> None:
        """Take it away."""
        space = self.of(subscription.client.who.cid)
        space.tree.remove(subscription.topic, subscription)
        space.subscriptions -= 1
        self.changed(space.cid)

    def changed(self, cid: int) -> None:
        """Subscriptions, connections or rights in an account changed: plans that may know of them go."""
        for space in (self._spaces.get(each) for each in self._family(cid)):
            if space is not None:
                self._planned -= space.forget_plans()

    def all_changed(self) -> None:
        """The same for every account."""
        for space in self._spaces.values():
            space.forget_plans()
        self._planned = 0

    # --- delivery -----------------------------------------------------------------------------------------------

    def plan(self, cid: int, topic: str) -> Plan:
        """Who gets messages of an account with this topic."""
        space = self.of(cid)
        plan = space.plans.get(topic)
        if plan is None:
            if self._planned >= _PLANS:
                self.all_changed()
            self._planned += 1 + len(topic) // 256  # a long topic takes the room of several
            plan = space.plans[topic] = Plan(self._interested(cid, topic))
        return plan

    def find_route(self, cid: int, topic: str, raw_topic: bytes) -> None:
        """Remember the short way of messages of an account with this topic, for as long as the plan."""
        self.of(cid).routes[raw_topic] = self.plan(cid, topic).route(topic)

    def _interested(self, cid: int, topic: str) -> Iterator[Subscription]:
        for account in self._ancestors(cid):
            space = self._spaces.get(account)
            if space is None:
                continue
            for subscription in space.tree.match(topic):
                if subscription.cid in (None, cid) and subscription.client.who.sees(topic):
                    yield subscription

    def deliver(self, message: Message, publisher: Session | None = None) -> None:
        """Put a message before everybody who gets it."""
        plan = self.plan(message.cid, message.topic)
        if not plan.nobody:
            plan.deliver(message, publisher, self._outbox)

    def below(self, cid: int, topic: str) -> list[Below[Subscription]]:
        """Subscriptions to topics one level below `topic`, for records that stand for many topics."""
        found = []
        for account in self._ancestors(cid):
            space = self._spaces.get(account)
            below = space.tree.below(topic) if space is not None else None
            if below is not None:
                found.append(below)
        return found


def event_message(event: Event, payload: bytes) -> Message:
    """An event of the platform as a message: QoS 1 (mqtt-api.md 5)."""
    return Message(event.topic, payload, 1, event.retain, cid=event.cid, timestamp=event.timestamp, stamped=True)
