"""Retained messages: those of clients are kept here by account, those of the house are derived from what is true now
(`services.state`), never kept a second time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import msgspec
import structlog

from wayframe.bus import split_filter
from wayframe.model import Clock, Event
from wayframe.mqtt import V5, Connection, Message
from wayframe.services import Background

from .clients import Client, Subscription
from .keeper import Keeper, stored_message
from .plans import Filters, Outbox
from .spaces import event_message

_AT_ONCE = 100
"""Retained messages put before a client in one go; more come in turns, as it reads."""
_MOST = 100_000
"""Retained messages an account may have; one more replaces none and is not kept."""
_MOST_BYTES = 64 << 20
"""The same in bytes, with what the levels of a topic take."""
_LEVEL_BYTES = 250
_TURN_S = 0.002
_encode = msgspec.json.Encoder().encode

log = structlog.get_logger(__name__)

Levels = list[tuple[str, ...]]
"""A topic filter, cut: alternatives of each level."""


class StateSource(Protocol):
    """What is true now, as retained events."""

    def find(self, cids: frozenset[int], levels: Levels) -> Iterator[Event]:
        """Events of these accounts whose topics match the filter, by topic."""


class _Node:
    """A level of the tree of retained topics."""

    __slots__ = ("children", "message")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.message: Message | None = None


class Retained:
    """Retained messages of every account."""

    def __init__(
        self,
        *,
        keeper: Keeper,
        states: Sequence[StateSource],
        family: Callable[[int], frozenset[int]],
        no_room: Callable[[int, Callable[[int], int], int], str],
        clock: Clock,
        outbox: Callable[[], Outbox],
    ) -> None:
        self._keeper = keeper
        self._states = states
        self._family = family
        self._no_room = no_room
        self._clock = clock
        self._outbox = outbox
        self._trees: dict[int, _Node] = {}
        self._counts: dict[int, int] = {}
        self._bytes: dict[int, int] = {}
        self._sending = Background("retained messages")
        self._waiting: dict[Connection, dict[str, Subscription]] = {}
        """Subscriptions whose retained messages are to be sent, by their text; a task each connection sends them."""
        self.refused = 0
        """Messages not kept because their account has too many."""

    # --- in -----------------------------------------------------------------------------------------------------

    def put(self, message: Message) -> None:
        """A client published with RETAIN: kept, or removed by an empty payload (3.3.1.3)."""
        if self._place(message, limited=True):
            self._keeper.retain(message.cid, message.topic, message if message.payload else None)

    def clear(self, cid: int, topic: str) -> None:
        """Remove what is kept for a topic."""
        self.put(Message(topic, b"", retain=True, cid=cid))

    def of(self, cids: Iterable[int]) -> Iterator[Message]:
        """Everything clients of these accounts published, by account and topic."""
        for cid in sorted(cids):
            root = self._trees.get(cid)
            if root is not None:
                yield from (message for message in list(_everything(root, hidden=False)) if not self._over(message))

    def forget(self, cid: int) -> None:
        """An account is gone, and what its clients published with it."""
        for message in self.of([cid]):
            self.clear(cid, message.topic)
        self._trees.pop(cid, None)
        self._counts.pop(cid, None)

    def _over(self, message: Message) -> bool:
        """Whether a message has expired; it goes as soon as somebody comes across it."""
        over = message.expires is not None and message.expires <= self._clock.now()
        if over:
            self.clear(message.cid, message.topic)
        return over

    def restore(self, body: bytes) -> None:
        """At the start: what was kept."""
        message = stored_message(body)
        self._place(message)
        self._over(message)

    def _place(self, message: Message, *, limited: bool = False) -> bool:
        """Whether something changed.

        Args:
            limited: whether the limits of accounts count.
        """
        cid = message.cid
        path = [self._trees.setdefault(cid, _Node())]
        levels = message.topic.split("/")
        if not message.payload:
            return self._remove(cid, path[0], levels)
        before = self._find(path[0], levels)
        count = self._counts.get(cid, 0) + (before is None)
        held = self._bytes.get(cid, 0) + _cost(message) - (_cost(before) if before is not None else 0)
        more = held - self._bytes.get(cid, 0)
        full = limited and more > 0 and self._no_room(cid, self._held, more)
        if count > _MOST or held > _MOST_BYTES or full:
            self.refused += 1
            log.warning("mqtt_not_retained", cid=cid, topic=message.topic[:200], messages=count, bytes=held)
            return False
        self._counts[cid], self._bytes[cid] = count, held
        node = path[0]
        for level in levels:
            node = node.children.setdefault(level, _Node())
        node.message = message
        return True

    def _held(self, cid: int) -> int:
        """Bytes of an account by itself."""
        return self._bytes.get(cid, 0)

    @staticmethod
    def _find(node: _Node | None, levels: list[str]) -> Message | None:
        for level in levels:
            node = node.children.get(level) if node is not None else None
        return node.message if node is not None else None

    def _remove(self, cid: int, root: _Node, levels: list[str]) -> bool:
        path = [root]
        for level in levels:
            child = path[-1].children.get(level)
            if child is None:
                return False
            path.append(child)
        if path[-1].message is None:
            return False
        self._counts[cid] -= 1
        self._bytes[cid] -= _cost(path[-1].message)
        path[-1].message = None
        for node, level in zip(reversed(path[:-1]), reversed(levels), strict=True):
            child = node.children[level]
            if child.children or child.message is not None:
                break
            del node.children[level]
        return True

    # --- out ----------------------------------------------------------------------------------------------------

    def send(self, client: Client, connection: Connection, subscriptions: list[Subscription]) -> None:
        """Put what is retained before a client that has just subscribed, behind the SUBACK that is about to go out."""
        waiting = self._waiting.get(connection)
        if waiting is None:
            waiting = self._waiting[connection] = {}
            self._sending.spawn(self._send(client, connection, waiting))
        for subscription in subscriptions:  # what is subscribed to again, before its turn, is sent once
            waiting[subscription.text] = subscription

    async def _send(self, client: Client, connection: Connection, waiting: dict[str, Subscription]) -> None:
        try:
            await self._send_each(client, connection, waiting)
        finally:
            del self._waiting[connection]

    async def _send_each(self, client: Client, connection: Connection, waiting: dict[str, Subscription]) -> None:
        count = 0
        while waiting:
            if connection.waits:  # the SUBACK says that the subscription is stored: it goes first
                await self._keeper.settle()
            subscription = waiting.pop(next(iter(waiting)))
            cids = self._family(client.who.cid)
            if subscription.cid is not None:
                cids = cids & {subscription.cid}
            for message in self.matching(split_filter(subscription.topic), cids):
                if connection.closing or client.connection is not connection:
                    return
                filters = Filters(message, None)
                if client.who.sees(message.topic) and filters.let(subscription):
                    _deliver_retained(client, subscription, message, self._outbox())
                    count += 1
                if count >= _AT_ONCE:
                    count = 0
                    while True:
                        await asyncio.sleep(_TURN_S)
                        if not connection.choked or connection.closing:
                            break

    def matching(self, levels: Levels, cids: frozenset[int]) -> Iterator[Message]:
        """Retained messages of these accounts that match a filter, by topic within each; rights are not looked at.

        Those that are replaced or removed while others are sent are left out: a subscriber got the news already.
        """
        yield from self.published(levels, cids)
        if any(level in ("flespi", "+", "#") for level in levels[0]):
            for source in self._states:
                for event in source.find(cids, levels):
                    yield event_message(event, _encode(event.payload))

    def published(self, levels: Levels, cids: frozenset[int]) -> Iterator[Message]:
        """Of those, what clients published."""
        for cid in sorted(cids):
            root = self._trees.get(cid)
            if root is not None:
                for message in list(_walk(root, levels, 0)):
                    if self._over(message):
                        continue
                    if self._find(root, message.topic.split("/")) is message:
                        yield message

    async def stop(self) -> None:
        """Send no more."""
        await self._sending.settle(0.2)


def _cost(message: Message) -> int:
    """About the bytes a retained message takes."""
    return message.size + _LEVEL_BYTES * message.topic.count("/")


def _deliver_retained(client: Client, subscription: Subscription, message: Message, outbox: Outbox) -> None:
    """One retained message, with RETAIN set ([MQTT-3.3.1-8])."""
    connection, session = client.connection, client.session
    if connection is None:
        return
    ids = (subscription.identifier,) if subscription.identifier and client.version == V5 else ()
    qos = min(message.qos, subscription.qos)
    delivery = message.delivery(client.version, qos, True, ids)
    if qos:
        session.deliver(delivery)
    elif connection.choked:
        outbox.dropped += 1
    else:
        connection.send(delivery)
    message.let_go()


def _walk(node: _Node, levels: Levels, depth: int) -> Iterator[Message]:
    """Messages below a node that match the levels from `depth` on, by topic."""
    if depth == len(levels):
        if node.message is not None:
            yield node.message
        return
    alternatives = levels[depth]
    if alternatives == ("#",):
        yield from _everything(node, hidden=depth == 0)
        return
    names = sorted(node.children) if alternatives == ("+",) else sorted(alternatives)
    for name in names:
        child = node.children.get(name)
        if child is not None and not (depth == 0 and alternatives == ("+",) and name.startswith("$")):
            yield from _walk(child, levels, depth + 1)


def _everything(node: _Node, *, hidden: bool) -> Iterator[Message]:
    """Every message at a node and below it; topics that begin with `$` are hidden from a leading `#` (4.7.2)."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if each.message is not None:
            yield each.message
        names = sorted(each.children, reverse=True)
        waiting += [each.children[name] for name in names if not (hidden and each is node and name.startswith("$"))]
