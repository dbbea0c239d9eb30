"""Who may come in: CONNECT from its credentials to the session it takes up (MQTT 5, section 3.1; mqtt-api.md 2)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec
import structlog

from wayframe.model import Blocked, Forbidden, Ids, TokenEnded, TooManyRequests, Unauthorized, WayframeError
from wayframe.model.log_codes import Log
from wayframe.mqtt import V5, V31, Connect, Connection, Properties, Reason, Session
from wayframe.services import Directory, token_view

from .clients import Client
from .keeper import Keeper
from .rights import RESERVED, Principal

if TYPE_CHECKING:
    from .broker import Broker

_SEVEN_DAYS = 604_800
"""How long a session of 3.1 and 3.1.1 that is not clean is kept (mqtt-api.md 2.2)."""
_MAX_CLIENT_ID = 1024
_MAX_PROPERTY = 65_535
_ALL = 65_535
_CODES = (
    (TokenEnded, Reason.NOT_AUTHORIZED),
    (Unauthorized, Reason.BAD_USER_NAME_OR_PASSWORD),
    (Blocked, Reason.BANNED),
    (Forbidden, Reason.NOT_AUTHORIZED),
    (TooManyRequests, Reason.QUOTA_EXCEEDED),
)
"""What CONNACK says of an error: the first kind that it is of (mqtt-api.md 2)."""
_encode = msgspec.json.Encoder().encode

log = structlog.get_logger(__name__)


class _Refused(Exception):
    """The client does not come in."""

    def __init__(self, reason: Reason, sentence: str, who: Principal | None = None) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence
        self.who = who


class Reception:
    """Lets clients in."""

    def __init__(self, broker: Broker, directory: Directory, keeper: Keeper, ids: Ids) -> None:
        self._broker = broker
        self._directory = directory
        self._keeper = keeper
        self._ids = ids

    def admit(self, connection: Connection, packet: Connect) -> None:
        """Let a client in, or say why not."""
        said: Properties = {}
        try:
            if self._broker.counters.connected >= self._broker.settings.connections:
                raise _Refused(Reason.SERVER_BUSY, "the server has all the connections it takes")
            who = self._known(connection, packet)
            client_id = _client_id(packet, who)
            if client_id != packet.client_id:
                said["assigned_client_identifier"] = client_id
            _check_will(packet, who)
            self._check_room(client_id, who)
        except _Refused as refused:
            self._refuse(connection, packet, refused)
        else:
            self._welcome(connection, packet, who, client_id, said)

    def _refuse(self, connection: Connection, packet: Connect, refused: _Refused) -> None:
        broker = self._broker
        broker.counters.refused += 1
        log.info("mqtt_refused", client=packet.client_id[:80], peer=connection.source, reason=refused.sentence)
        if refused.who is not None:
            broker.log(Log.MQTT_REFUSED, refused.who, packet.client_id, connection.source, reason=refused.sentence)
        connection.refuse(refused.reason, refused.sentence)

    # --- who is it? ---------------------------------------------------------------------------------------------

    def _known(self, connection: Connection, packet: Connect) -> Principal:
        """Who it is. Raises _Refused with the codes of mqtt-api.md 2."""
        try:
            return self._authenticate(connection, packet)
        except WayframeError as error:
            reason = next((code for kind, code in _CODES if isinstance(error, kind)), Reason.UNSPECIFIED_ERROR)
            raise _Refused(reason, error.reason) from None

    def _authenticate(self, connection: Connection, packet: Connect) -> Principal:
        """The three spellings of mqtt-api.md 2. Raises Unauthorized, Forbidden, TooManyRequests."""
        username = packet.username or ""
        password = (packet.password or b"").decode(errors="replace")
        directory, source = self._directory, connection.source
        failure: Unauthorized | None = None
        for text in (username, password):
            if text:
                try:
                    return self._broker.principal(directory.authenticate(text, source))
                except Unauthorized as error:
                    failure = failure or error
        if username.isascii() and username.isdecimal() and len(username) < 17 and password:
            return self._broker.principal(directory.authenticate_short(int(username), password, source))
        raise failure or Unauthorized("no token: it goes into the user name or the password")

    def _check_room(self, client_id: str, who: Principal) -> None:
        """A new session needs room within the limits of the accounts. Raises _Refused."""
        spaces = self._broker.spaces
        if client_id not in spaces.of(who.cid).clients:
            sentence = self._directory.limits.no_room("mqtt_sessions", who.cid, spaces.sessions)
            if sentence:
                raise _Refused(Reason.QUOTA_EXCEEDED, sentence, who)

    # --- welcome ------------------------------------------------------------------------------------------------

    def _welcome(
        self, connection: Connection, packet: Connect, who: Principal, client_id: str, said: Properties
    ) -> None:
        broker = self._broker
        client = self._taken_up(client_id, packet, who)
        present = client is not None
        if client is None:
            session = Session(
                self._ids.next(), who.cid, client_id, broker.session_limits(who.cid), broker.counters.drops
            )
            client = Client(session, who, packet.version, broker.now())
            broker.spaces.place(client)
        client.who, client.version, client.source = who, packet.version, connection.source
        client.clean, client.ends_at = packet.clean_start, None
        client.will = None  # it is back before the delay was over ([MQTT-3.1.3-9])
        connection.who = client
        connection.expiry = client.expiry = _expiry(packet)
        session = client.session
        session.limits = broker.session_limits(who.cid)
        if client.expiry and session.store is None:
            session.store = self._keeper
        elif not client.expiry and session.store is not None:
            self._keeper.forget(session)
        if packet.version == V5:
            said |= _greeting(client, connection, packet, present)
        broker.counters.connected += 1
        broker.counters.connects += 1
        session.connection = connection
        broker.save(client)
        if client.subscriptions:
            broker.spaces.changed(who.cid)
        connection.accept(session, present, said, packet.properties.get("receive_maximum", _ALL))
        broker.let_relay(client)
        broker.log(Log.MQTT_CONNECTED, who, client_id, connection.source)
        broker.announce(client)

    def _taken_up(self, client_id: str, packet: Connect, who: Principal) -> Client | None:
        """The session that goes on, None for a new one. A connection it still has ends (3.1.4)."""
        clients = self._broker.spaces.of(who.cid).clients
        client = clients.get(client_id)
        if client is not None and client.connection is not None:
            sentence = "another connection came with this client identifier"
            client.connection.disconnect(Reason.SESSION_TAKEN_OVER, sentence)
            client = clients.get(client_id)  # its session may have ended with its connection
        if client is not None and packet.clean_start:
            self._broker.end(client)
            return None
        return client


def _client_id(packet: Connect, who: Principal) -> str:
    """The client identifier; one is made up where the version lets a client leave it out (3.1.3.1)."""
    if not packet.client_id:
        if packet.version != V5 and (packet.version == V31 or not packet.clean_start):
            sentence = "an empty client identifier goes only with a clean session"
            raise _Refused(Reason.CLIENT_IDENTIFIER_NOT_VALID, sentence, who)
        return f"wayframe-{secrets.token_hex(8)}"
    if len(packet.client_id) > _MAX_CLIENT_ID:
        sentence = f"a client identifier has at most {_MAX_CLIENT_ID} characters"
        raise _Refused(Reason.CLIENT_IDENTIFIER_NOT_VALID, sentence, who)
    return packet.client_id


def _check_will(packet: Connect, who: Principal) -> None:
    will = packet.will
    if will is not None and (will.topic.startswith(RESERVED) or not who.publishes(will.topic)):
        raise _Refused(Reason.NOT_AUTHORIZED, f"no right to publish the will to {will.topic[:200]!r}", who)


def _expiry(packet: Connect) -> int:
    """How long the session outlives the connection (3.1.2.11.2)."""
    if packet.version != V5:
        return 0 if packet.clean_start else _SEVEN_DAYS
    expiry: int = packet.properties.get("session_expiry_interval", 0)
    return expiry


def _greeting(client: Client, connection: Connection, packet: Connect, present: bool) -> Properties:
    """What CONNACK says beyond the limits (mqtt-api.md 2.1)."""
    said: Properties = {}
    if connection.keep_alive != packet.keep_alive:
        said["server_keep_alive"] = connection.keep_alive
    told = [("token", _encode(token_view(client.who.token)).decode())]
    if present and client.subscriptions:
        restored = [each.shown() for each in client.subscriptions.values()]
        told.append(("subscriptions", _encode(restored).decode()))
    said["user_property"] = [(name, value) for name, value in told if len(value.encode()) <= _MAX_PROPERTY]
    return said
