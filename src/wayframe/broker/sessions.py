"""Sessions as others see them: for REST (`services.sessions`) and as retained state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from wayframe.model import Event, Json, NotFound

from .clients import Client
from .retained import Levels, Retained

if TYPE_CHECKING:
    from .broker import Broker

_ROOT = ("flespi", "state", "mqtt", "sessions")


class SessionTopics:
    """Retained state `flespi/state/mqtt/sessions/{id}` (mqtt-api.md 6.1)."""

    def __init__(self) -> None:
        self.broker: Broker
        """Set once it is made."""

    def find(self, cids: frozenset[int], levels: Levels) -> Iterator[Event]:
        """Sessions of these accounts, by id."""
        rest = levels[: len(_ROOT)]
        for level, name in zip(rest, _ROOT, strict=False):
            if level == ("#",):
                break
            if level != ("+",) and name not in level:
                return
        wild = ("#",) in levels
        if not wild and len(levels) != len(_ROOT) + 1:
            return
        clients = [client for client in self.broker.spaces.clients() if client.who.cid in cids]
        for client in sorted(clients, key=lambda each: each.session.id):
            session_id = str(client.session.id)
            chosen = levels[len(_ROOT)] if len(levels) > len(_ROOT) else ("#",)
            if chosen in (("#",), ("+",)) or session_id in chosen:
                topic = "/".join((*_ROOT, session_id))
                yield Event(topic, self.broker.view(client), client.who.cid, self.broker.now(), retain=True)


class SessionDesk:
    """The broker's sessions and retained messages, for REST (`services.SessionSource`)."""

    def __init__(self, broker: Broker, retained: Retained) -> None:
        self._broker = broker
        self._retained = retained

    def session_views(self, cids: frozenset[int]) -> dict[int, Mapping[str, Json]]:
        """Sessions of these accounts by id."""
        clients = (client for client in self._broker.spaces.clients() if client.who.cid in cids)
        return {client.session.id: self._broker.view(client) for client in clients}

    def _client(self, session_id: int) -> Client:
        client = self._broker.spaces.by_session.get(session_id)
        if client is None:
            raise NotFound(f"no session {session_id}")
        return client

    def subscription_views(self, session_id: int) -> list[Mapping[str, Json]]:
        """Subscriptions of a session, oldest first."""
        return [each.shown() for each in self._client(session_id).subscriptions.values()]

    def end_session(self, session_id: int) -> None:
        """Disconnect its client, and forget everything."""
        self._broker.end(self._client(session_id))

    def unsubscribe(self, session_id: int, text: str) -> None:
        """Take one of its subscriptions away."""
        client = self._client(session_id)
        self._broker.drop_subscription(client, text)
        self._broker.save(client)

    def retained_views(self, cids: frozenset[int]) -> list[Mapping[str, Json]]:
        """Retained messages that clients of these accounts published, by account and topic."""
        return [
            {
                "cid": message.cid,
                "topic": message.topic,
                "payload": message.payload.decode(errors="replace"),
                "timestamp": message.timestamp,
                "expires": message.expires or 0,
            }
            for message in self._retained.of(cids)
        ]

    def clear_retained(self, cid: int, topic: str) -> None:
        """Remove one of them."""
        self._retained.clear(cid, topic)
