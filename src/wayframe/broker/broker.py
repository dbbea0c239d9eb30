"""The broker: clients come, publish, subscribe and go; everything that happens in the house reaches who may see it.

It knows no socket: `listener.py` and `websocket.py` own those and feed connections.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import structlog

from wayframe.bus import InvalidFilter, is_level
from wayframe.expressions import ExpressionError, SelectorError, parse_subscription
from wayframe.model import Account, Clock, Event, Ids, Json, OriginType, Token
from wayframe.model.access import parse_access
from wayframe.model.log_codes import Log
from wayframe.mqtt import (
    NEVER,
    V5,
    Connect,
    Connection,
    Message,
    MqttError,
    Properties,
    ProtocolError,
    Publish,
    Reason,
    Session,
    SessionLimits,
    Subscribe,
    Unsubscribe,
    Will,
    Wish,
)
from wayframe.services import CUSTOMER, TOKENS, Directory, Journal
from wayframe.services.entries import GROUPS

from .clients import Client, Subscription
from .keeper import Keeper
from .plans import Outbox, Route
from .reception import Reception
from .retained import Retained
from .rights import RESERVED, REST, Principal
from .rounds import Rounds
from .settings import BrokerSettings, Counters
from .spaces import Spaces, event_message

if TYPE_CHECKING:
    from .calls import RestCalls

_encode = msgspec.json.Encoder().encode

log = structlog.get_logger(__name__)


class Broker:
    """The host of every connection."""

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        directory: Directory,
        journal: Journal,
        keeper: Keeper,
        retained: Retained,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self.settings = settings
        self.limits = settings.limits
        self._directory = directory
        self._meter = directory.meter
        self._journal = journal
        self._keeper = keeper
        self._retained = retained
        self._clock = clock
        self.outbox = Outbox()
        """What is to be sent this loop turn."""
        self.counters = Counters()
        self.spaces = Spaces(self.outbox, self.ancestors, directory.visible_accounts)
        self.calls: RestCalls | None = None
        """Answers REST calls that come as messages; set by the node."""
        self._entities = frozenset(kind.entity for kind in directory.kinds())
        self._reception = Reception(self, directory, keeper, ids)
        self._rounds = Rounds(self, directory)
        self._chains: dict[int, tuple[int, ...]] = {}
        self._waiting: set[Connection] = set()

    # --- who asks -----------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Unix seconds."""
        return self._clock.now()

    def receive(self, connection: Connection, data: bytes) -> None:
        """Bytes of a client. A fault of ours ends its connection and nobody else's."""
        self.counters.bytes_in += len(data)
        try:
            connection.receive(data)
        except Exception:
            log.exception("mqtt_failed", peer=connection.source)
            connection.disconnect(Reason.UNSPECIFIED_ERROR, "internal error; the server's log knows more")

    def ancestors(self, cid: int) -> tuple[int, ...]:
        """An account and those above it."""
        chain = self._chains.get(cid)
        if chain is None:
            found, each = [], cid
            while each and each not in found:
                found.append(each)
                entry = self._directory.find(CUSTOMER, each)
                each = entry.item.owner_id if entry is not None and isinstance(entry.item, Account) else 0
            chain = self._chains[cid] = tuple(found)
        return chain

    def accounts_changed(self) -> None:
        """Accounts came, went or moved."""
        self._chains.clear()
        self.spaces.all_changed()
        self.limits_changed()

    def limits_changed(self) -> None:
        """Accounts were given other limits."""
        for client in self.spaces.clients():
            client.session.limits = self.session_limits(client.who.cid)
            self.let_relay(client)

    def session_limits(self, cid: int) -> SessionLimits:
        """What a session of an account may hold: `mqtt_session_storage` where that is less."""
        most = self._directory.limits.value(cid, "mqtt_session_storage") if not self._meter.idle else 0
        usual = self.settings.session
        return replace(usual, bytes=min(usual.bytes, most)) if most else usual

    def account_gone(self, cid: int) -> None:
        """An account was deleted: its sessions and retained messages go with it."""
        for client in list(self.spaces.of(cid).clients.values()):
            if client.connection is not None:
                client.connection.expiry = 0
                client.connection.disconnect(Reason.NOT_AUTHORIZED, "the account was deleted")
            else:
                self.end(client)
        self._retained.forget(cid)
        self.spaces.drop(cid)

    def principal(self, token: Token) -> Principal:
        """A token as the broker asks it."""
        return Principal(token, parse_access(token.access), partial(self._groups_of, token.cid))

    def _groups_of(self, cid: int, entity: str, item_id: int) -> Iterable[int]:
        """Groups of an item, as far as an account may see them: others' say nothing of its rights."""
        entry = self._directory.find(entity, item_id) if entity in self._entities else None
        accounts = self._directory.visible_accounts(cid)
        for group in entry.view.get("groups", ()) if entry is not None else ():
            found = self._directory.find(GROUPS, group["id"])
            if found is not None and found.cid in accounts:
                yield found.id

    # --- CONNECT ------------------------------------------------------------------------------------------------

    def connect(self, connection: Connection, packet: Connect) -> None:
        """Let a client in, or say why not."""
        self._reception.admit(connection, packet)

    # --- PUBLISH ------------------------------------------------------------------------------------------------

    def publish(self, connection: Connection, packet: Publish) -> tuple[Reason, int]:
        """Distribute what a client published."""
        client = connection.who
        assert isinstance(client, Client)
        self.counters.messages_in += 1
        topic = packet.topic
        if topic.startswith(RESERVED):
            if topic.startswith(REST) and self.calls is not None:
                self.calls.begin(client, packet)
                return Reason.SUCCESS, 0
            return Reason.NOT_AUTHORIZED, 0
        who = client.who
        if not who.publishes(topic):
            return Reason.NO_MATCHING_SUBSCRIBERS, 0
        if not self._meter.idle and not self._counted(connection, who.cid):
            return Reason.QUOTA_EXCEEDED, 0
        return Reason.SUCCESS, self.distribute(self._message(packet, who.cid), client.session)

    def publish_for(self, cid: int, packet: Publish) -> None:
        """Distribute a message that came by another door, in an account's name."""
        self.counters.messages_in += 1
        self.distribute(self._message(packet, cid))

    def _counted(self, connection: Connection, cid: int) -> bool:
        """Count a message where its account has limits (`mqtt_messages`). Returns whether it may go on. Before 5.0
        nothing says so: the connection ends. Raises MqttError."""
        if (shut := self._meter.shut("mqtt_messages", cid)) is None:
            self._meter.count("mqtt_messages", cid, 1)
        elif connection.version != V5:
            raise MqttError(Reason.QUOTA_EXCEEDED, shut.reason)
        return shut is None

    def find_route(self, connection: Connection, raw_topic: bytes) -> None:
        """The short way for what a client publishes, if there is one (its token is not limited: `let_relay`)."""
        client, topic = connection.who, raw_topic[2:].decode()
        assert isinstance(client, Client)
        if not topic.startswith(RESERVED):
            self.spaces.find_route(client.who.cid, topic, raw_topic)

    def relay(self, route: Route, packet: bytes, payload_at: int) -> None:
        """A message of QoS 0 on its short way."""
        self.counters.messages_in += 1
        route.relay(packet, payload_at, self._clock.now(), self.outbox)

    def relay_once(self, connection: Connection, route: Route, head: bytes, payload: bytes) -> int | None:
        """A message of QoS 1 on its short way, if there is one for it."""
        if route.once is None:
            return None
        client = connection.who
        assert isinstance(client, Client)
        self.counters.messages_in += 1
        message = Message(
            route.topic, payload, 1, cid=client.who.cid, timestamp=self._clock.now(), stamped=self.settings.stamp
        )
        before = self._keeper.touched
        route.relay_once(message, head)
        return self._keeper.ticket if self._keeper.touched != before else 0

    def let_relay(self, client: Client) -> None:
        """Packets of a client before 5.0 may go on as they are, unless its token says what it may publish."""
        connection = client.connection
        if connection is not None:
            may = client.version != V5 and not client.who.limited
            may = may and not self._meter.limited("mqtt_messages", client.who.cid)
            connection.relays = self.spaces.of(client.who.cid).routes if may else None

    def _message(self, packet: Publish | Will, cid: int) -> Message:
        now, said = self._clock.now(), packet.properties
        expires = None
        if said:
            said = {name: value for name, value in said.items() if name not in _NOT_PASSED_ON}
            if "message_expiry_interval" in packet.properties:
                expires = now + packet.properties["message_expiry_interval"]
        return Message(
            packet.topic, packet.payload, min(packet.qos, self.limits.max_qos), packet.retain,
            cid=cid, timestamp=now, expires=expires, properties=said, stamped=self.settings.stamp,
        )  # fmt: skip

    def distribute(self, message: Message, publisher: Session | None = None) -> int:
        """Put a message before everybody who gets it. Returns the ticket of what was stored for it, 0 for nothing."""
        before = self._keeper.touched
        if message.retain:
            self._retained.put(message)
        self.spaces.deliver(message, publisher)
        return self._keeper.ticket if self._keeper.touched != before else 0

    # --- what happens in the house ------------------------------------------------------------------------------

    def event(self, event: Event) -> None:
        """An event of the bus. Encoded only where somebody wants it."""
        plan = self.spaces.plan(event.cid, event.topic)
        if not plan.nobody:
            payload = b"" if event.payload is None else _encode(event.payload)
            plan.deliver(event_message(event, payload), None, self.outbox)

    def record(self, topic: str, members: Mapping[str, Json], cid: int, timestamp: float, retain: bool) -> None:
        """An event that stands for `topic/name` of each member; a name that no topic can hold has none."""
        below = self.spaces.below(cid, topic)
        if not below:
            return
        for name, value in members.items():
            if any(True for each in below for _ in each.match(name)) and is_level(name):
                self.event(Event(f"{topic}/{name}", value, cid, timestamp, retain))

    # --- SUBSCRIBE, UNSUBSCRIBE ---------------------------------------------------------------------------------

    def subscribe(self, connection: Connection, packet: Subscribe) -> tuple[list[Reason], int]:
        """Hang subscriptions in the tree; their retained messages follow."""
        client = connection.who
        assert isinstance(client, Client)
        identifier = packet.properties.get("subscription_identifier", 0)
        cid = _cid_of(packet.properties)
        reasons, fresh = [], []
        for wish in packet.wishes:
            reason, subscription, new = self._subscribe(client, wish, identifier, cid)
            reasons.append(reason)
            if subscription is not None and self._wants_retained(subscription, new):
                fresh.append(subscription)
        if fresh:
            self._retained.send(client, connection, fresh)
        return reasons, self.save(client)

    def save(self, client: Client) -> int:
        """Write what changed of a client that outlives its connection. Returns the ticket, 0 if nothing is kept."""
        return self._keeper.save(client, connected=client.connection is not None) if client.persistent else 0

    def _subscribe(
        self, client: Client, wish: Wish, identifier: int, cid: int | None
    ) -> tuple[Reason, Subscription | None, bool]:
        try:
            parsed = parse_subscription(wish.filter)
            may = client.who.could_see(parsed.topic) and wish.filter != self.settings.refused_filter
        except (SelectorError, ExpressionError, InvalidFilter) as error:
            log.info("mqtt_filter_refused", filter=wish.filter[:200], reason=str(error))
            return Reason.TOPIC_FILTER_INVALID, None, False
        if not may:
            return self.settings.refusal, None, False
        before = client.subscriptions.get(wish.filter)
        if before is None and not self._may_subscribe(client):
            return Reason.QUOTA_EXCEEDED, None, False
        if parsed.share is not None and wish.no_local:
            raise ProtocolError("a shared subscription cannot be no-local")
        qos = min(wish.qos, self.limits.max_qos)
        subscription = Subscription(client, wish, parsed, qos, identifier, cid)
        try:
            self.spaces.add(subscription)
        except InvalidFilter as error:
            log.info("mqtt_filter_refused", filter=wish.filter[:200], reason=str(error))
            return Reason.TOPIC_FILTER_INVALID, None, False
        if before is not None:
            self.spaces.remove(before)
        client.subscriptions[wish.filter] = subscription
        return Reason(qos), subscription, before is None

    def _may_subscribe(self, client: Client) -> bool:
        """Whether there is room for one more subscription of a client."""
        no_room, count = self._directory.limits.no_room, len(client.subscriptions)
        return count < self.settings.subscriptions and not no_room(
            "mqtt_subscriptions", client.who.cid, self.spaces.subscriptions
        )

    @staticmethod
    def _wants_retained(subscription: Subscription, new: bool) -> bool:
        handling = subscription.retain_handling
        return subscription.share is None and (handling == 0 or (handling == 1 and new))

    def unsubscribe(self, connection: Connection, packet: Unsubscribe) -> tuple[list[Reason], int]:
        """Take subscriptions away; the text must be the one that was subscribed with."""
        client = connection.who
        assert isinstance(client, Client)
        reasons = [self.drop_subscription(client, text) for text in packet.filters]
        return reasons, self.save(client)

    def drop_subscription(self, client: Client, text: str) -> Reason:
        """Take one subscription away."""
        subscription = client.subscriptions.pop(text, None)
        if subscription is None:
            return Reason.NO_SUBSCRIPTION_EXISTED
        self.spaces.remove(subscription)
        return Reason.SUCCESS

    # --- the end ------------------------------------------------------------------------------------------------

    def gone(self, connection: Connection, reason: Reason, sentence: str) -> None:
        """A connection ended: its will goes out now or after its delay, its session stays or ends."""
        self._waiting.discard(connection)
        client = connection.who
        if not isinstance(client, Client) or client.connection is not connection:
            return
        session = client.session
        session.connection = None
        self.counters.connected -= 1
        now = self._clock.now()
        client.expiry = connection.expiry
        if client.subscriptions:
            self.spaces.changed(client.who.cid)
        self.log(Log.MQTT_DISCONNECTED, client.who, session.client_id, connection.source, reason=sentence)
        if connection.will is not None:
            self._leave_will(client, connection.will, now)
            connection.will = None
        if not client.expiry:
            self.end(client)
            return
        client.ends_at = now + client.expiry if client.expiry != NEVER else None
        self.save(client)
        self.announce(client)

    def _leave_will(self, client: Client, will: Will, now: float) -> None:
        delay = min(will.properties.get("will_delay_interval", 0), client.expiry)
        if delay:
            client.will, client.will_at = will, now + delay
        else:
            self.send_will(client, will)

    def send_will(self, client: Client, will: Will) -> None:
        client.will = None
        if client.who.publishes(will.topic):
            self.distribute(self._message(will, client.who.cid), client.session)

    def end(self, client: Client) -> None:
        """End a session: its subscriptions, messages and state go; a will that waits goes out ([MQTT-3.1.3-9])."""
        if client.connection is not None:
            client.connection.expiry = 0
            client.connection.disconnect(Reason.ADMINISTRATIVE_ACTION, "the session was ended")
            return  # `gone` comes back here
        for text in list(client.subscriptions):
            self.drop_subscription(client, text)
        if client.will is not None:
            self.send_will(client, client.will)
        if client.persistent:
            self._keeper.forget(client.session)
        self.spaces.forget(client)
        self._journal.state(f"flespi/state/mqtt/sessions/{client.session.id}", None, client.who.cid)

    def check(self, monotonic: float) -> None:
        """Twice a second: what time does to clients, sessions, wills and tokens."""
        self._rounds.check(monotonic)

    def token_changed(self, token_id: int) -> None:
        """A token was changed: what its clients may do follows."""
        entry = self._directory.find(TOKENS, token_id)
        if entry is None or not isinstance(entry.item, Token):
            return
        for client in self.spaces.clients():
            if client.who.token.id == token_id:
                client.who = self.principal(entry.item)
                self.let_relay(client)
        self.spaces.all_changed()

    def take_up(
        self, client: Client, connected: bool, ends_at: float | None, will: Will | None, will_at: float
    ) -> None:
        """A session as the store had it, at the start.

        Args:
            connected: whether its client was connected when the server was killed: its connection ended then.
        """
        self.spaces.place(client)
        now = self._clock.now()
        client.ends_at = ends_at
        if connected:
            client.ends_at = now + client.expiry if client.expiry != NEVER else None
            if will is not None:
                self._leave_will(client, will, now)
        elif will is not None:
            client.will, client.will_at = will, will_at
        self.save(client)

    def shut_down(self) -> None:
        """Tell every client that the server goes."""
        for client in self.spaces.clients():
            if client.connection is not None:
                client.connection.disconnect(Reason.SERVER_SHUTTING_DOWN, "the server stops")

    def durable(self, ticket: int) -> None:
        """A batch of the keeper is committed: acknowledgements that waited for it go out."""
        for connection in list(self._waiting):
            connection.durable(ticket)
            if not connection.waits:
                self._waiting.discard(connection)

    def waits(self, connection: Connection) -> None:
        """A connection holds acknowledgements back until what they promise is committed."""
        self._waiting.add(connection)

    # --- sessions as others see them ----------------------------------------------------------------------------

    def view(self, client: Client) -> dict[str, Json]:
        """A session as REST and its state topic show it (mqtt-api.md 2.2)."""
        session = client.session
        return {
            "id": session.id, "cid": client.who.cid, "client_id": session.client_id, "ip": client.source,
            "connected": client.connection is not None, "clean": client.clean, "expires": client.ends_at or 0,
            "expiry": client.expiry, "version": client.version, "created": client.created,
            "size": session.held_bytes, "messages": session.waiting,
        }  # fmt: skip

    def announce(self, client: Client) -> None:
        """Publish a session's state."""
        topic = f"flespi/state/mqtt/sessions/{client.session.id}"
        if not self.spaces.plan(client.who.cid, topic).nobody:
            self._journal.state(topic, self.view(client), client.who.cid)

    def log(self, kind: Log, who: Principal, client_id: str, source: str, **fields: Json) -> None:
        """Enter a record in the log of a client's account."""
        said = {"client_id": client_id, "ip": source, "token_id": who.token.id, **fields}
        self.log_of(kind, who.cid, said)

    def log_of(self, kind: Log, cid: int, said: Mapping[str, Json]) -> None:
        """Enter a record in the log of an account."""
        self._journal.log(kind, OriginType.CUSTOMER, cid, cid, said)


_NOT_PASSED_ON = frozenset({"message_expiry_interval", "will_delay_interval"})


def _cid_of(said: Properties) -> int | None:
    """The user property `cid` of a SUBSCRIBE (mqtt-api.md 4.3). Raises ProtocolError."""
    for name, value in said.get("user_property", ()):
        if name == "cid":
            if not (value.isascii() and value.isdecimal() and len(value) < 17):
                raise MqttError(
                    Reason.IMPLEMENTATION_SPECIFIC, f"the user property cid must be a number, not {value[:40]!r}"
                )
            return int(value)
    return None
