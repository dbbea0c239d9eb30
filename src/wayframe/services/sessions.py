"""MQTT sessions as REST sees them (mqtt-api.md 2.2). The broker, in a room above, is the source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from wayframe.model import Json, Token, TooLarge, Unavailable

from .bodies import parse_body
from .directory import Directory
from .entries import Caller

SESSIONS = "mqtt/sessions"
MESSAGES = "mqtt/messages"


MAX_MESSAGES = 10_000
"""Retained messages in one answer."""


_Text = Annotated[str, Meta(max_length=1024, pattern=r"\A[^\x00]*\Z")]


class MessageBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /mqtt/messages: a message as a client of MQTT 5.0 publishes it."""

    topic: _Text
    payload: str | None = None
    """UTF-8 text; none with `retained` removes what is retained for the topic."""
    retained: bool = False
    qos: Annotated[int, Meta(ge=0, le=2)] = 0
    content_type: _Text = ""
    user_properties: Annotated[dict[_Text, _Text], Meta(max_length=64)] = {}


class SessionSource(Protocol):
    """Who has the sessions."""

    def session_views(self, cids: frozenset[int]) -> dict[int, Mapping[str, Json]]:
        """Sessions of these accounts by id."""

    def subscription_views(self, session_id: int) -> list[Mapping[str, Json]]:
        """Subscriptions of a session, oldest first."""

    def end_session(self, session_id: int) -> None:
        """Disconnect its client, and forget everything."""

    def unsubscribe(self, session_id: int, text: str) -> None:
        """Take one of its subscriptions away."""

    def retained_views(self, token: Token, cids: frozenset[int], topic: str) -> Iterator[Mapping[str, Json]]:
        """Retained messages of these accounts that match a topic filter, by account and topic; of what the house says,
        what the token may see.

        Raises `BadRequest` for a malformed filter.
        """

    def published_views(self, cids: frozenset[int], topic: str) -> Iterator[Mapping[str, Json]]:
        """The same of what clients published alone; `all` is every one.

        Raises `BadRequest` for a malformed filter, `Forbidden` for one of what the house says.
        """

    def publish(self, cid: int, message: MessageBody) -> None:
        """Publish to the clients of an account. Raises `BadRequest` for a bad topic, `Forbidden`."""

    def clear_retained(self, cid: int, topic: str) -> None:
        """Remove a retained message that a client published."""


class MqttSessions:
    """Looks at sessions and retained messages, within what a caller may see."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.source: SessionSource | None = None
        """Set by the MQTT door."""

    def _broker(self) -> SessionSource:
        if self.source is None:
            raise Unavailable("MQTT is not running")
        return self.source

    def sessions(self, caller: Caller, method: str, submodule: str | None = None) -> dict[int, Mapping[str, Json]]:
        """Sessions by id that the caller has a right on. Raises `Forbidden`."""
        allowed = self._directory.granted(caller, SESSIONS, method, submodule)
        views = self._broker().session_views(self._directory.visible_accounts(caller.cid))
        return {number: view for number, view in views.items() if allowed.covers(number)}

    def end(self, session_id: int) -> None:
        """Disconnect a session's client and forget the session."""
        self._broker().end_session(session_id)

    def subscriptions(self, session_id: int) -> list[Mapping[str, Json]]:
        """Subscriptions of a session, each with a number as its `id`."""
        views = self._broker().subscription_views(session_id)
        return [{"id": number, "session_id": session_id, **view} for number, view in enumerate(views, 1)]

    def unsubscribe(self, session_id: int, text: str) -> None:
        """Take one of a session's subscriptions away."""
        self._broker().unsubscribe(session_id, text)

    def retained(self, caller: Caller, method: str, topic: str, cid: int | None) -> list[Mapping[str, Json]]:
        """Retained messages that match a topic filter, of one account or of all that the caller may see.

        Args:
            topic: a topic filter, or `all`: what clients published. To be deleted (`method`) is only that, too; to be
                read, what the house says below `flespi/` as well.

        Raises:
            BadRequest: the filter is malformed.
            Forbidden: the token has no right to retained messages, or what the house says was to be deleted.
            TooLarge: more match than one answer holds.
        """
        self._directory.granted(caller, MESSAGES, method)
        cids = self._directory.visible_accounts(caller.cid)
        if cid is not None:
            cids = cids & {cid}
        broker = self._broker()
        if method == "DELETE" or topic == "all":
            found = broker.published_views(cids, topic)
        else:
            found = broker.retained_views(caller.token, cids, topic)
        views = list(islice(found, MAX_MESSAGES + 1))
        if len(views) > MAX_MESSAGES:
            raise TooLarge(f"more than {MAX_MESSAGES} retained messages match: name more levels of the topic")
        return views

    def publish(self, caller: Caller, body: Json) -> Mapping[str, Json]:
        """Publish a message in the name of the caller's account. Raises `BadRequest`, `Forbidden`."""
        self._directory.granted(caller, MESSAGES, "POST")
        message = parse_body(MessageBody, body)
        self._broker().publish(caller.cid, message)
        return {"cid": caller.cid, "topic": message.topic, "retained": message.retained}

    def clear(self, cid: int, topic: str) -> None:
        """Remove a retained message that `retained` gave for deletion."""
        self._broker().clear_retained(cid, topic)
