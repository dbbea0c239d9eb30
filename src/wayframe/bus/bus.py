"""Publish and subscribe inside one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol, Self

import structlog

from wayframe.model import Event, Json

from .topics import TopicTree

_PLAN_CACHE = 4096
"""Topics whose listeners are remembered; the whole cache goes when a subscription changes."""

log = structlog.get_logger(__name__)


class Tap(Protocol):
    """Takes everything from the bus, records as they are; it decides itself what anybody wants of it."""

    def event(self, event: Event) -> None:
        """Something happened."""

    def record(self, topic: str, members: Mapping[str, Json], cid: int, timestamp: float, retain: bool) -> None:
        """An event that stands for `topic/name` of each member."""


class Subscription:
    """One listener with a bounded queue. When it is slow, its oldest events are dropped and counted.

    Use it as an asynchronous iterator, and `close()` it (or leave its `with` block) when done.
    """

    def __init__(self, bus: Bus, filter_text: str, limit: int) -> None:
        self._bus = bus
        self.filter = filter_text
        """The topic filter."""
        self.dropped = 0
        """Events lost because the queue was full."""
        self._queue: asyncio.Queue[Event] = asyncio.Queue(limit)

    def __call__(self, event: Event) -> None:
        if self._queue.full():
            self._queue.get_nowait()
            self.dropped += 1
        self._queue.put_nowait(event)

    async def get(self) -> Event:
        """The next event; waits for it."""
        return await self._queue.get()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            yield await self._queue.get()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening."""
        self._bus.ignore(self.filter, self)


class Bus:
    """Delivers every event to whoever's filter matches its topic, at once and in order."""

    def __init__(self) -> None:
        self._tree: TopicTree[Callable[[Event], None]] = TopicTree()
        self._plans: dict[str, tuple[Callable[[Event], None], ...]] = {}
        self._taps: list[Tap] = []
        self.published = 0
        """Events published since the start."""

    def attach(self, tap: Tap) -> None:
        """Hand everything to a tap too. It must be quick; what it raises is logged, and nobody else misses anything."""
        self._taps.append(tap)

    def listen(self, filter_text: str, listener: Callable[[Event], None]) -> None:
        """Call `listener` for every matching event. It must be quick; what it raises is logged. Raises
        `InvalidFilter`."""
        self._tree.add(filter_text, listener)
        self._plans.clear()

    def ignore(self, filter_text: str, listener: Callable[[Event], None]) -> None:
        """Undo `listen`."""
        self._tree.remove(filter_text, listener)
        self._plans.clear()

    def subscribe(self, filter_text: str, limit: int = 1000) -> Subscription:
        """A bounded queue of the matching events from now on. Raises `InvalidFilter`."""
        subscription = Subscription(self, filter_text, limit)
        self.listen(filter_text, subscription)
        return subscription

    def publish(self, event: Event) -> None:
        """Deliver one event."""
        self.published += 1
        plan = self._plans.get(event.topic)
        if plan is None:
            if len(self._plans) >= _PLAN_CACHE:
                self._plans.clear()
            plan = self._plans[event.topic] = tuple(dict.fromkeys(self._tree.match(event.topic)))
        for listener in plan:
            self._deliver(listener, event)
        for tap in self._taps:
            try:
                tap.event(event)
            except Exception:
                log.exception("bus_tap_failed", topic=event.topic[:200])

    def publish_record(
        self, topic: str, members: Mapping[str, Json], cid: int, timestamp: float, *, retain: bool = True
    ) -> None:
        """Deliver `topic/name` for each member, built only for those somebody listens to."""
        self.published += 1
        for tap in self._taps:
            try:
                tap.record(topic, members, cid, timestamp, retain)
            except Exception:
                log.exception("bus_tap_failed", topic=topic[:200])
        below = self._tree.below(topic)
        if below is None:
            return
        for name, value in members.items():
            listeners = dict.fromkeys(below.match(name))
            if listeners:
                event = Event(f"{topic}/{name}", value, cid, timestamp, retain)
                for listener in listeners:
                    self._deliver(listener, event)

    @staticmethod
    def _deliver(listener: Callable[[Event], None], event: Event) -> None:
        try:
            listener(event)
        except Exception:  # one broken listener must not take the news from the others
            log.exception("bus_listener_failed", topic=event.topic)
