"""What time does: silent clients, sessions and wills whose time has come, tokens that ended, losses to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wayframe.model.log_codes import Log
from wayframe.mqtt import Connection, Reason, Session
from wayframe.services import Directory

from .clients import Client

if TYPE_CHECKING:
    from .broker import Broker

_LEAST_SHED = 1 << 20
"""What all sessions together hold too much is dropped at least by so much at once."""
_TELL_S = 10.0
"""Losses of one session are logged so often at most."""


class Rounds:
    """Looks after every client of a broker."""

    def __init__(self, broker: Broker, directory: Directory) -> None:
        self._broker = broker
        self._directory = directory

    def check(self, monotonic: float) -> None:
        """Twice a second: silent clients, sessions and wills whose time has come, tokens that ended, what was lost."""
        now = self._broker.now()
        verdicts: dict[int, str | None] = {}
        held = 0
        for client in self._broker.spaces.clients():
            held += client.session.held_bytes
            if client.session.lost and now - client.told_at > _TELL_S:
                self._tell_loss(client, now)
            token_id = client.who.token.id
            if token_id not in verdicts:
                verdicts[token_id] = self._directory.token_alive(token_id)
            if client.connection is None:
                self._check_absent(client, now, verdicts[token_id] is not None)
            else:
                self._check_present(client.connection, monotonic, verdicts[token_id])

        if held > self._broker.settings.all_sessions_bytes:
            self._shed(held)

    def _shed(self, held: int) -> None:
        """All sessions together hold too much: the fullest lose their oldest messages, down to what they may all have.
        What each lost is logged as when it is full by itself."""
        sessions = sorted((client.session for client in self._broker.spaces.clients()), key=_held, reverse=True)
        excess = held - self._broker.settings.all_sessions_bytes + _LEAST_SHED
        for count, session in enumerate(sessions, 1):
            following = sessions[count].held_bytes if count < len(sessions) else 0
            if count * (session.held_bytes - following) >= excess or not following:
                level = max(0, session.held_bytes - -(-excess // count))
                break
            excess -= count * (session.held_bytes - following)
        for session in sessions[:count]:
            session.shrink(level)

    def _check_absent(self, client: Client, now: float, revoked: bool) -> None:
        if revoked != client.who.revoked:
            client.who.revoked = revoked  # nothing more is kept for it, until its token is good again or another comes
            self._broker.spaces.changed(client.who.cid)
        if client.will is not None and client.will_at <= now:
            self._broker.send_will(client, client.will)
        if client.ends_at is not None and client.ends_at <= now:
            self._broker.end(client)

    @staticmethod
    def _check_present(connection: Connection, monotonic: float, why_not: str | None) -> None:
        if why_not is not None:
            connection.disconnect(Reason.NOT_AUTHORIZED, why_not)
        elif connection.heard:
            connection.heard, connection.idle_since = False, monotonic
        elif connection.keep_alive and monotonic - connection.idle_since > connection.keep_alive * 1.5:
            connection.disconnect(Reason.KEEP_ALIVE_TIMEOUT, "nothing came for one and a half times the keep alive")

    def _tell_loss(self, client: Client, now: float) -> None:
        """Log that a session was full."""
        client.told_at, lost, client.session.lost = now, client.session.lost, 0
        self._broker.log(Log.MQTT_DROPPED, client.who, client.session.client_id, client.source, count=lost)


def _held(session: Session) -> int:
    return session.held_bytes
