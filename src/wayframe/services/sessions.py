"""MQTT sessions as REST sees them (mqtt-api.md 2.2). The broker, in a room above, is the source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from wayframe.model import Json, Unavailable

from .directory import Directory
from .entries import Caller

SESSIONS = "mqtt/sessions"
MESSAGES = "mqtt/messages"


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

    def retained_views(self, cids: frozenset[int]) -> list[Mapping[str, Json]]:
        """Retained messages that clients of these accounts published, by topic."""

    def clear_retained(self, cid: int, topic: str) -> None:
        """Remove one of them."""


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

    def retained(self, caller: Caller, method: str) -> list[Mapping[str, Json]]:
        """Retained messages the caller's accounts published, each with a number as its `id`. Raises `Forbidden`."""
        self._directory.granted(caller, MESSAGES, method)
        views = self._broker().retained_views(self._directory.visible_accounts(caller.cid))
        return [{"id": number, **view} for number, view in enumerate(views, 1)]

    def clear(self, cid: int, topic: str) -> None:
        """Remove a retained message."""
        self._broker().clear_retained(cid, topic)
