"""The one schema, for SQLite and PostgreSQL alike, and the column types that keep both the same.

Times are integer microseconds in the database and float Unix seconds outside; JSON is text. Growing tables (messages,
chunks, media, commands, logs) have an index for every question the query modules ask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TextClause,
    TypeDecorator,
    text,
)

from wayframe.model import CommandStage, MediaState

_LIMIT = 2**62
_INT64 = BigInteger()
_SERIAL = BigInteger().with_variant(Integer(), "sqlite")


def micros(seconds: float) -> int:
    """Unix seconds as integer microseconds, kept inside 64 bits."""
    return round(max(-_LIMIT, min(_LIMIT, seconds * 1_000_000)))


def seconds(value: int) -> float:
    """Integer microseconds as Unix seconds."""
    return value / 1_000_000


# Below, results are read by `result_processor` and not `process_result_value`, which would cost a further call a value.

_decode = msgspec.json.Decoder().decode


class Moment(TypeDecorator[float]):
    """A time or duration: float seconds outside, integer microseconds inside, so that comparisons are exact."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> int | None:
        return None if value is None else micros(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], float | None]:
        return lambda value: None if value is None else value / 1_000_000


class JsonText(TypeDecorator[Any]):
    """A JSON value as text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return msgspec.json.encode(value).decode()

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        return _decode


class Words(TypeDecorator[str]):
    """Text for people. PostgreSQL takes neither NUL nor lone surrogates: both become the replacement character."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


class StageText(TypeDecorator[CommandStage]):
    """A command's stage as text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: CommandStage | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], CommandStage]:
        return {str(stage): stage for stage in CommandStage}.__getitem__


class MediaStateText(TypeDecorator[MediaState]):
    """A file's state as text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: MediaState | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], MediaState]:
        return {str(state): state for state in MediaState}.__getitem__


metadata = MetaData()


def _required(name: str, kind: Any, *rest: Any, **more: Any) -> Column[Any]:
    return Column(name, kind, *rest, nullable=False, **more)


def _where(condition: TextClause) -> dict[str, Any]:
    """The condition of a partial index, in the keywords of both databases."""
    return {"sqlite_where": condition, "postgresql_where": condition}


def _id() -> Column[Any]:
    """A key given by the `counters` table, so that an id is never used twice, on either database."""
    return Column("id", _INT64, primary_key=True, autoincrement=False)


counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    _required("last", _INT64),
)

accounts = Table(
    "accounts",
    metadata,
    _id(),
    _required("owner_id", _INT64),
    _required("name", Words),
    _required("created", Moment),
    _required("metadata", JsonText),
    _required("blocked", Boolean),
    _required("limit_id", _INT64, server_default="0"),
)

limits = Table(
    "limits",
    metadata,
    _id(),
    _required("cid", _INT64, ForeignKey("accounts.id")),
    _required("name", Words),
    _required("description", Words),
    _required("blocking_duration", _INT64),
    _required("counts", JsonText),
    _required("metadata", JsonText),
    Index("limits_cid", "cid"),
)

tokens = Table(
    "tokens",
    metadata,
    _id(),
    _required("cid", _INT64, ForeignKey("accounts.id")),
    _required("info", Words),
    _required("enabled", Boolean),
    _required("created", Moment),
    _required("accessed", Moment),
    _required("expire", Moment),
    _required("ttl", _INT64),
    _required("ips", Words),
    _required("access", JsonText),
    _required("metadata", JsonText),
    _required("digest", LargeBinary),
    _required("sealed", LargeBinary),
    Index("tokens_cid", "cid"),
    Index("tokens_digest", "digest", unique=True),
)

channels = Table(
    "channels",
    metadata,
    _id(),
    _required("cid", _INT64, ForeignKey("accounts.id")),
    _required("name", Words),
    _required("protocol_id", _INT64),
    _required("enabled", Boolean),
    _required("configuration", JsonText),
    _required("messages_ttl", _INT64),
    _required("metadata", JsonText),
    Index("channels_cid", "cid"),
)

devices = Table(
    "devices",
    metadata,
    _id(),
    _required("cid", _INT64, ForeignKey("accounts.id")),
    _required("name", Words),
    _required("enabled", Boolean),
    _required("device_type_id", _INT64),
    _required("protocol_id", _INT64),
    _required("configuration", JsonText),
    _required("messages_ttl", _INT64),
    _required("messages_rotate", _INT64),
    _required("media_ttl", _INT64),
    _required("media_rotate", _INT64),
    _required("metadata", JsonText),
    _required("created", Moment),
    _required("ident", Words),
    Column("last_active", Moment, nullable=False, server_default="0"),
    Index("devices_cid", "cid"),
    Index("devices_media_ttl", "media_ttl"),
    Index(
        "devices_ident",
        "protocol_id",
        "ident",
        unique=True,
        **_where(text("ident != ''")),
    ),
)

telemetry = Table(
    "telemetry",
    metadata,
    Column("device_id", _INT64, primary_key=True, autoincrement=False),
    _required("record", LargeBinary),
)

media = Table(
    "media",
    metadata,
    Column("uuid", Text, primary_key=True),
    _required("device_id", _INT64, ForeignKey("devices.id", ondelete="CASCADE")),
    _required("cid", _INT64),
    _required("channel_id", _INT64),
    _required("name", Words),
    _required("size", _INT64),
    _required("mime", Words),
    _required("kind", Words),
    _required("created", Moment),
    _required("modified", Moment),
    _required("uploaded", Moment),
    _required("protected", Boolean),
    _required("shared", Boolean),
    _required("meta", JsonText),
    _required("params", JsonText),
    _required("state", MediaStateText),
    _required("announced", Boolean),
    _required("blob", Text),
    _required("preview", Text),
    _required("original", Text),
    _required("original_size", _INT64),
    _required("sha256", Text),
    _required("source_sha256", Text),
    _required("message_params", JsonText),
    _required("command_id", _INT64),
    Index("media_created", "device_id", "created", "uuid"),
    Index("media_uploaded", "device_id", "protected", "uploaded"),
    Index("media_sizes", "device_id", "size", "original_size"),
    Index(
        "media_processing",
        "uploaded",
        **_where(text("state = 'processing'")),
    ),
    Index(
        "media_unannounced",
        "uploaded",
        **_where(text("announced = false")),
    ),
)

COMMAND_OPEN = text("stage IN ('queued', 'sent')")
COMMAND_CLOSED = text("stage NOT IN ('queued', 'sent')")
"""Conditions in the very words of the partial indexes, so that planners recognise them."""

commands = Table(
    "commands",
    metadata,
    _id(),
    _required("device_id", _INT64, ForeignKey("devices.id", ondelete="CASCADE")),
    _required("cid", _INT64),
    _required("name", Words),
    _required("properties", JsonText),
    _required("queued", Boolean),
    _required("timestamp", Moment),
    _required("expires", Moment),
    _required("position", _INT64),
    _required("priority", _INT64),
    _required("max_attempts", _INT64),
    _required("attempts", _INT64),
    _required("condition", Words),
    _required("meta", JsonText),
    _required("stage", StageText),
    _required("executed", Boolean),
    _required("response", JsonText),
    _required("reason", Words),
    Index("commands_device", "device_id"),
    Index("commands_open", "device_id", "priority", "id", **_where(COMMAND_OPEN)),
    Index("commands_results", "device_id", "timestamp", "id", **_where(COMMAND_CLOSED)),
    Index("commands_finished", "timestamp", **_where(COMMAND_CLOSED)),
)

logs = Table(
    "logs",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    _required("timestamp", Moment),
    _required("event_code", _INT64),
    _required("origin_type", _INT64),
    _required("origin_id", _INT64),
    _required("cid", _INT64),
    _required("fields", JsonText),
    Index("logs_origin", "origin_type", "origin_id", "timestamp", "id"),
    Index("logs_account", "cid", "timestamp", "id"),
    Index("logs_time", "timestamp", "id"),
    sqlite_autoincrement=True,
)

state = Table(
    "state",
    metadata,
    Column("key", Text, primary_key=True),
    _required("value", LargeBinary),
)

hot_messages = Table(
    "hot_messages",
    metadata,
    Column("seq", _SERIAL, primary_key=True, autoincrement=True),
    _required("device_id", _INT64),
    _required("timestamp", _INT64),
    _required("server_timestamp", _INT64),
    _required("digest", LargeBinary),
    _required("body", LargeBinary),
    Index("hot_messages_once", "device_id", "timestamp", "digest", unique=True),
    Index("hot_messages_time", "timestamp"),
    sqlite_autoincrement=True,
)
"""Messages of the last minutes, a row each. Times in microseconds."""

message_chunks = Table(
    "message_chunks",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    _required("device_id", _INT64),
    _required("first", _INT64),
    _required("last", _INT64),
    _required("first_arrival", _INT64),
    _required("last_arrival", _INT64),
    _required("messages", _INT64),
    _required("size", _INT64),
    _required("heads", LargeBinary),
    _required("body", LargeBinary),
    Index("message_chunks_span", "device_id", "last", "first", "messages"),
    Index("message_chunks_arrival", "device_id", "last_arrival", "first_arrival", "size"),
    Index("message_chunks_time", "last", "first", "device_id"),
    sqlite_autoincrement=True,
)
"""Older messages, compressed, one chunk a device and span. `size` counts them as plain JSON. Times in microseconds."""

mqtt_sessions = Table(
    "mqtt_sessions",
    metadata,
    Column("id", _INT64, primary_key=True, autoincrement=False),
    _required("body", LargeBinary),
)
"""MQTT sessions that outlive their connection, with subscriptions and will."""

mqtt_messages = Table(
    "mqtt_messages",
    metadata,
    Column("id", _INT64, primary_key=True, autoincrement=False),
    _required("body", LargeBinary),
)
"""Messages some session has not acknowledged yet, each once."""

mqtt_deliveries = Table(
    "mqtt_deliveries",
    metadata,
    Column("session_id", _INT64, primary_key=True, autoincrement=False),
    Column("number", _INT64, primary_key=True, autoincrement=False),
    Column("message_id", _INT64, nullable=True),
    _required("options", Text),
)
"""Who has not acknowledged which message; without a message it is released (QoS 2, PUBREL)."""

mqtt_received = Table(
    "mqtt_received",
    metadata,
    Column("session_id", _INT64, primary_key=True, autoincrement=False),
    Column("packet_id", _INT64, primary_key=True, autoincrement=False),
)
"""Packet identifiers of QoS 2 messages from clients, taken and not released."""

mqtt_retained = Table(
    "mqtt_retained",
    metadata,
    Column("cid", _INT64, primary_key=True, autoincrement=False),
    Column("topic", Text, primary_key=True),
    _required("body", LargeBinary),
)
"""Retained messages that clients published, by account."""
