"""Sessions that outlive their connection, on disk: gathered for some milliseconds, written together.

What depends on a record (an acknowledgement, a QoS 2 message) holds the number of the batch it is in, its ticket, and
goes out once that batch is committed. What is over before its batch was written is never written at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from wayframe.model import Ids
from wayframe.mqtt import Delivery, Message, Session
from wayframe.storage import MqttBatch, MqttTable

if TYPE_CHECKING:
    from .clients import Client

_GATHER_S = 0.004
_RETRY_S = 1.0
_pack = msgspec.msgpack.Encoder().encode

log = structlog.get_logger(__name__)


class SessionRecord(msgspec.Struct, array_like=True):
    """A session as stored."""

    cid: int
    client_id: str
    version: int
    expiry: int
    clean: bool
    token_id: int
    source: str
    created: float
    connected: bool
    ends_at: float | None
    number: int
    """Of its newest message."""
    sent: int
    """Messages up to this one were sent."""
    subscriptions: list[dict[str, Any]]
    will: dict[str, Any] | None = None
    will_at: float = 0.0


class MessageRecord(msgspec.Struct, array_like=True):
    """A message as stored."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    cid: int
    timestamp: float
    expires: float | None
    properties: dict[str, Any]
    stamped: bool


class Keeper:
    """The store of every session (`mqtt.Store`)."""

    def __init__(self, table: MqttTable, ids: Ids) -> None:
        self.table = table
        """Where they are stored."""
        self._ids = ids
        self._batch = MqttBatch()
        self._wanted = asyncio.Event()
        self._writing = asyncio.Lock()
        self._highest: dict[Session, int] = {}
        self._clients: dict[int, tuple[Client, bool]] = {}
        self.ticket = 1
        """Number of the batch that is being gathered."""
        self.durable = 0
        """Batches up to this one are committed."""
        self.touched = 0
        """Counts what sessions and clients wrote: compare before and after to know whether something did."""
        self.committed: Callable[[int], None] = lambda ticket: None
        """Called when a batch is committed."""

    # --- of sessions --------------------------------------------------------------------------------------------

    def added(self, session: Session, number: int, delivery: Delivery) -> None:
        """A message is waiting for the client."""
        message = delivery.message
        message.holders += 1
        if not message.kept_as:
            message.kept_as = self._ids.next()
            self._batch.messages[message.kept_as] = message_body(message)
        ids = ",".join(map(str, delivery.ids))
        options = f"{delivery.version} {delivery.qos} {delivery.retain:d} {ids}"
        self._batch.deliveries[session.id, number] = (message.kept_as, options)
        self._highest[session] = number
        self._touch()

    def ended(self, session: Session, number: int, delivery: Delivery | None) -> None:
        """The client has it, or it was dropped."""
        key = (session.id, number)
        if self._batch.deliveries.pop(key, None) is None or delivery is None:
            self._batch.ended_deliveries.add(key)
        if delivery is not None:
            self._let_go(delivery.message)
        self._touch()

    def released(self, session: Session, number: int, delivery: Delivery) -> int:
        """QoS 2: the client received it and is told to take it."""
        self._batch.deliveries[session.id, number] = (None, "")
        self._let_go(delivery.message)
        return self._touch()

    def seen(self, session: Session, packet_id: int) -> int:
        """A client's QoS 2 message was taken."""
        key = (session.id, packet_id)
        self._batch.ended_received.discard(key)
        self._batch.received.add(key)
        return self._touch()

    def forgotten(self, session: Session, packet_id: int) -> int:
        """Its identifier is free again."""
        key = (session.id, packet_id)
        self._batch.received.discard(key)
        self._batch.ended_received.add(key)
        return self._touch()

    def _let_go(self, message: Message) -> None:
        message.holders -= 1
        if message.holders <= 0 and self._batch.messages.pop(message.kept_as, None) is None:
            self._batch.ended_messages.add(message.kept_as)
        if message.holders <= 0:
            message.kept_as = 0

    # --- of the broker ------------------------------------------------------------------------------------------

    def save(self, client: Client, *, connected: bool) -> int:
        """Write a session's own record with the next batch. Returns the ticket."""
        self._clients[client.session.id] = (client, connected)
        return self._touch()

    def forget(self, session: Session) -> None:
        """A session is over, or ends with its connection from now on."""
        session.store = None
        self._clients.pop(session.id, None)
        self._highest.pop(session, None)
        batch = self._batch
        batch.sessions.pop(session.id, None)
        batch.ended_sessions.add(session.id)
        for key in [key for key in batch.deliveries if key[0] == session.id]:
            del batch.deliveries[key]
        for keys in (batch.ended_deliveries, batch.received, batch.ended_received):
            keys.difference_update([key for key in keys if key[0] == session.id])
        for delivery in [*session.inflight.values(), *(session.queue or ())]:
            if delivery is not None and delivery.message.kept_as:
                self._let_go(delivery.message)
        self._touch()

    def retain(self, cid: int, topic: str, message: Message | None) -> int:
        """Keep a retained message, or remove it."""
        self._batch.retained[cid, topic] = message_body(message) if message is not None else None
        return self._touch()

    def _touch(self) -> int:
        self.touched += 1
        self._wanted.set()
        return self.ticket

    # --- writing ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write batches until cancelled; `settle` writes what is left."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(_GATHER_S)
            await asyncio.shield(self.settle())

    async def settle(self) -> None:
        """Write what is gathered, behind a batch that is being written."""
        async with self._writing:
            if self._wanted.is_set():
                self._wanted.clear()
                await self._write()

    async def _write(self) -> None:
        """What cannot be written is tried again until it can: nothing was promised yet."""
        batch, self._batch = self._batch, MqttBatch()
        ticket, self.ticket = self.ticket, self.ticket + 1
        highest, self._highest = self._highest, {}
        clients, self._clients = self._clients, {}
        for client, connected in clients.values():
            batch.sessions[client.session.id] = session_body(client, connected)
        while True:
            try:
                await self.table.write(batch)
                break
            except Exception as error:
                log.error("mqtt_sessions_not_written", reason=str(error)[:500], retry_s=_RETRY_S)
                await asyncio.sleep(_RETRY_S)
        self.durable = ticket
        for session, number in highest.items():
            session.durable = max(session.durable, number)
            session.pump()
        self.committed(ticket)


def message_body(message: Message) -> bytes:
    """A message as stored."""
    return _pack(
        MessageRecord(
            message.topic, message.payload, message.qos, message.retain, message.cid, message.timestamp,
            message.expires, message.properties, message.stamped,
        )
    )  # fmt: skip


def stored_message(body: bytes) -> Message:
    """A message from its stored form. Raises msgspec.DecodeError."""
    record = msgspec.msgpack.decode(body, type=MessageRecord)
    properties = dict(record.properties)
    if "user_property" in properties:
        properties["user_property"] = [(name, value) for name, value in properties["user_property"]]
    return Message(
        record.topic, record.payload, record.qos, record.retain, cid=record.cid, timestamp=record.timestamp,
        expires=record.expires, properties=properties, stamped=record.stamped,
    )  # fmt: skip


def session_body(client: Client, connected: bool) -> bytes:
    """A session as stored."""
    session, connection = client.session, client.connection
    will = connection.will if connection is not None else client.will
    sent = session.number - (len(session.queue) if session.queue else 0)
    return _pack(
        SessionRecord(
            client.who.cid, session.client_id, client.version, client.expiry, client.clean, client.who.token.id,
            client.source, client.created, connected, client.ends_at, session.number, sent,
            [{**each.shown(), "cid": each.cid} for each in client.subscriptions.values()],
            asdict(will) if will is not None else None,
            client.will_at,
        )
    )  # fmt: skip
