"""What a broker must not forget: sessions, the messages they wait for, and retained messages of clients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, exists, select, text

from . import schema
from .database import Database

Key = tuple[int, int]

_PUT_SESSION = text(
    "INSERT INTO mqtt_sessions (id, body) VALUES (:id, :body) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
)
_PUT_MESSAGE = text("INSERT INTO mqtt_messages (id, body) VALUES (:id, :body) ON CONFLICT (id) DO NOTHING")
_PUT_DELIVERY = text(
    "INSERT INTO mqtt_deliveries (session_id, number, message_id, options) "
    "VALUES (:session_id, :number, :message_id, :options) "
    "ON CONFLICT (session_id, number) DO UPDATE SET message_id = excluded.message_id, options = excluded.options"
)
_PUT_RECEIVED = text(
    "INSERT INTO mqtt_received (session_id, packet_id) VALUES (:session_id, :packet_id) "
    "ON CONFLICT (session_id, packet_id) DO NOTHING"
)
_PUT_RETAINED = text(
    "INSERT INTO mqtt_retained (cid, topic, body) VALUES (:cid, :topic, :body) "
    "ON CONFLICT (cid, topic) DO UPDATE SET body = excluded.body"
)
_END_DELIVERY = text("DELETE FROM mqtt_deliveries WHERE session_id = :session_id AND number = :number")
_END_RECEIVED = text("DELETE FROM mqtt_received WHERE session_id = :session_id AND packet_id = :packet_id")
_END_MESSAGE = text("DELETE FROM mqtt_messages WHERE id = :id")
_END_RETAINED = text("DELETE FROM mqtt_retained WHERE cid = :cid AND topic = :topic")


@dataclass(slots=True)
class MqttBatch:
    """Changes that are written together."""

    sessions: dict[int, bytes] = field(default_factory=dict)
    """Session id → body."""
    ended_sessions: set[int] = field(default_factory=set)
    """With everything they hold."""
    messages: dict[int, bytes] = field(default_factory=dict)
    """Message id → body."""
    ended_messages: set[int] = field(default_factory=set)
    deliveries: dict[Key, tuple[int | None, str]] = field(default_factory=dict)
    """(session id, number) → message id and options; None is a released one."""
    ended_deliveries: set[Key] = field(default_factory=set)
    received: set[Key] = field(default_factory=set)
    """(session id, packet id)."""
    ended_received: set[Key] = field(default_factory=set)
    retained: dict[tuple[int, str], bytes | None] = field(default_factory=dict)
    """(cid, topic) → body; None removes it."""


class MqttTable:
    """Reads at the start, writes batches."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def write(self, batch: MqttBatch) -> None:
        """Write a batch, all or nothing; durable on return."""
        retained = [{"cid": cid, "topic": topic, "body": body} for (cid, topic), body in batch.retained.items()]
        async with self._db.write() as conn:
            for statement, rows in (
                (_PUT_SESSION, [{"id": key, "body": body} for key, body in batch.sessions.items()]),
                (_PUT_MESSAGE, [{"id": key, "body": body} for key, body in batch.messages.items()]),
                (
                    _PUT_DELIVERY,
                    [
                        {"session_id": key[0], "number": key[1], "message_id": message_id, "options": options}
                        for key, (message_id, options) in batch.deliveries.items()
                    ],
                ),
                (_PUT_RECEIVED, _keyed(batch.received, "packet_id")),
                (_PUT_RETAINED, [row for row in retained if row["body"]]),
                (_END_DELIVERY, _keyed(batch.ended_deliveries, "number")),
                (_END_RECEIVED, _keyed(batch.ended_received, "packet_id")),
                (_END_MESSAGE, [{"id": key} for key in batch.ended_messages]),
                (_END_RETAINED, [{"cid": row["cid"], "topic": row["topic"]} for row in retained if not row["body"]]),
            ):
                if rows:
                    await conn.execute(statement, rows)
            if batch.ended_sessions:
                for table, column in (
                    (schema.mqtt_deliveries, schema.mqtt_deliveries.c.session_id),
                    (schema.mqtt_received, schema.mqtt_received.c.session_id),
                    (schema.mqtt_sessions, schema.mqtt_sessions.c.id),
                ):
                    await conn.execute(delete(table).where(self._db.among(column, batch.ended_sessions)))

    async def sweep(self) -> None:
        """At the start: messages that nobody waits for any more go."""
        messages, deliveries = schema.mqtt_messages, schema.mqtt_deliveries
        wanted = exists().where(deliveries.c.message_id == messages.c.id)
        async with self._db.write() as conn:
            await conn.execute(delete(messages).where(~wanted))

    async def sessions(self) -> list[tuple[int, bytes]]:
        """Id and body of every session."""
        table = schema.mqtt_sessions
        return [(row.id, row.body) for row in await self._rows(select(table).order_by(table.c.id))]

    async def messages(self) -> dict[int, bytes]:
        """Every message by id."""
        return {row.id: row.body for row in await self._rows(select(schema.mqtt_messages))}

    async def deliveries(self) -> list[tuple[int, int, int | None, str]]:
        """Session id, number, message id and options of every delivery, by session and number."""
        table = schema.mqtt_deliveries
        rows = await self._rows(select(table).order_by(table.c.session_id, table.c.number))
        return [(row.session_id, row.number, row.message_id, row.options) for row in rows]

    async def received(self) -> list[Key]:
        """Session id and packet id of what was taken and not released."""
        return [(row.session_id, row.packet_id) for row in await self._rows(select(schema.mqtt_received))]

    async def retained(self) -> list[tuple[int, str, bytes]]:
        """Account, topic and body of every retained message."""
        return [(row.cid, row.topic, row.body) for row in await self._rows(select(schema.mqtt_retained))]

    async def _rows(self, query: Any) -> list[Any]:
        return await self._db.ask(lambda conn: list(conn.execute(query)))


def _keyed(keys: Iterable[Key], second: str) -> list[dict[str, int]]:
    return [{"session_id": first, second: other} for first, other in keys]
