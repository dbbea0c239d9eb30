"""Sessions as others see them: for REST (`services.sessions`) and as retained state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from wayframe.bus import InvalidFilter, split_filter
from wayframe.model import BadRequest, Event, Forbidden, Json, NotFound, Token
from wayframe.mqtt import Message, MqttError, Properties, Publish
from wayframe.mqtt.packets import check_topic
from wayframe.services.sessions import MessageBody

from .clients import Client
from .retained import Levels, Retained
from .rights import RESERVED

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

    def retained_views(self, token: Token, cids: frozenset[int], topic: str) -> Iterator[Mapping[str, Json]]:
        """Retained messages that match a topic filter; those of the house as far as the token sees them. Raises
        `BadRequest`."""
        who, found = self._broker.principal(token), self._retained.matching(_levels(topic), cids)
        return (_shown(one) for one in found if not one.topic.startswith(RESERVED) or who.sees(one.topic))

    def published_views(self, cids: frozenset[int], topic: str) -> Iterator[Mapping[str, Json]]:
        """The same of clients alone; `all` is every one. Raises `BadRequest`, `Forbidden`."""
        _refuse_reserved(topic)
        return map(
            _shown, self._retained.of(cids) if topic == "all" else self._retained.published(_levels(topic), cids)
        )

    def publish(self, cid: int, message: MessageBody) -> None:
        """Publish to the clients of an account. Raises `BadRequest`, `Forbidden`."""
        try:
            check_topic(message.topic)
        except MqttError as error:
            raise BadRequest(f"topic: {error}") from None
        _refuse_reserved(message.topic)
        properties: Properties = {}
        if message.content_type:
            properties["content_type"] = message.content_type
        if message.user_properties:
            properties["user_property"] = list(message.user_properties.items())
        self._broker.publish_for(
            cid,
            Publish(
                message.topic, (message.payload or "").encode(), message.qos, message.retained, properties=properties
            ),
        )

    def clear_retained(self, cid: int, topic: str) -> None:
        """Remove a retained message that a client published."""
        self._retained.clear(cid, topic)


def _levels(topic: str) -> Levels:
    try:
        return split_filter(topic)
    except InvalidFilter as error:
        raise BadRequest(f"topic filter: {error}") from None


def _refuse_reserved(topic: str) -> None:
    if topic.startswith(RESERVED):
        raise Forbidden(f"topics below {RESERVED} are published by the server alone")


def _shown(message: Message) -> dict[str, Json]:
    """A retained message as REST shows it."""
    return {
        "cid": message.cid,
        "topic": message.topic,
        "payload": message.payload.decode(errors="replace"),
        "qos": message.qos,
        "timestamp": message.timestamp,
        "expires": message.expires or 0,
        "user_properties": dict(message.properties.get("user_property", ())),
    }
