"""Tables of the gallery: events, their counts, hosts to pull from, and people who log in."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    TextClause,
    TypeDecorator,
    text,
)

from wayframe.model.gallery import EventSource, EventState

from .schema import JsonText, Moment, Words, metadata

_INT64 = BigInteger()


class WordText(TypeDecorator[Any]):
    """A word of a closed set as text."""

    impl = Text
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], StrEnum]:
        return {str(word): word for word in self.words}.__getitem__


EVENT_VISIBLE = text("gallery_events.state NOT IN ('pending', 'deleted')")
EVENT_PENDING = text("gallery_events.state = 'pending'")
EVENT_OPEN = text("gallery_events.state IN ('queued', 'pulling')")
EVENT_HARVESTED = text("gallery_events.source = 'harvest'")
EVENT_PICTURED = text("gallery_events.thumbnail <> ''")
EVENT_FRESH = text("gallery_events.state IN ('new', 'queued', 'pulling', 'failed')")
EVENT_FLAGGED = text("gallery_events.flagged AND gallery_events.state NOT IN ('pending', 'deleted')")
EVENT_VIEWED = text("gallery_events.viewed AND gallery_events.state NOT IN ('pending', 'deleted')")
"""Conditions in the very words of the partial indexes, so that planners recognise them."""


def _local(condition: TextClause) -> dict[str, Any]:
    """The same condition inside the table's own index, where names carry no table; for both databases."""
    local = text(condition.text.replace("gallery_events.", ""))
    return {"sqlite_where": local, "postgresql_where": local}


def _required(name: str, kind: Any, *rest: Any) -> Column[Any]:
    return Column(name, kind, *rest, nullable=False)


def _of_device() -> Column[Any]:
    owner = ForeignKey("devices.id", ondelete="CASCADE")
    return Column("device_id", _INT64, owner, primary_key=True, autoincrement=False)


gallery_events = Table(
    "gallery_events",
    metadata,
    Column("id", Text, primary_key=True),
    _required("device_id", _INT64, ForeignKey("devices.id", ondelete="CASCADE")),
    _required("source", WordText(EventSource)),
    _required("source_key", Words),
    _required("name", Words),
    _required("stem", Words),
    _required("media_type", Text),
    _required("size", _INT64),
    _required("created", Moment),
    _required("added", Moment),
    _required("state", WordText(EventState)),
    Column("file_uuid", Text),
    _required("fingerprint", _INT64),
    _required("flagged", Boolean),
    _required("viewed", Boolean),
    _required("viewed_by", JsonText),
    _required("metadata", JsonText),
    _required("thumbnail", Text),
    _required("expires", Moment),
    _required("not_before", Moment),
    _required("attempts", _INT64),
    _required("command_id", _INT64),
    _required("mark", Text),
    _required("error", Words),
    _required("pulled_at", Moment),
    Index("gallery_created", "device_id", "created", "id", **_local(EVENT_VISIBLE)),
    Index("gallery_typed", "device_id", "media_type", "created", "id", **_local(EVENT_VISIBLE)),
    Index("gallery_named", "device_id", "name", "id", **_local(EVENT_VISIBLE)),
    Index("gallery_sized", "device_id", "size", "id", **_local(EVENT_VISIBLE)),
    Index("gallery_fresh", "device_id", "created", "id", **_local(EVENT_FRESH)),
    Index("gallery_flagged", "device_id", "created", "id", **_local(EVENT_FLAGGED)),
    Index("gallery_viewed", "device_id", "created", "id", **_local(EVENT_VIEWED)),
    Index("gallery_stem", "device_id", "stem", **_local(EVENT_VISIBLE)),
    Index("gallery_same", "device_id", "fingerprint"),
    Index("gallery_file", "file_uuid", unique=True),
    Index("gallery_harvested", "device_id", "source_key", unique=True, **_local(EVENT_HARVESTED)),
    Index("gallery_open", "command_id", **_local(EVENT_OPEN)),
    Index("gallery_pending", "expires", **_local(EVENT_PENDING)),
    Index("gallery_pictured", "id", **_local(EVENT_PICTURED)),
)
"""Events of the gallery: one for each media file, and those whose bytes are still to come."""

gallery_counts = Table(
    "gallery_counts",
    metadata,
    _of_device(),
    Column("media_type", Text, primary_key=True),
    _required("events", _INT64),
    _required("size", _INT64),
    _required("fresh", _INT64),
    _required("viewed", _INT64),
)
"""How many visible events there are, by device and type; changes in the transaction of the event."""

gallery_keys = Table(
    "gallery_keys",
    metadata,
    _of_device(),
    Column("key", Words, primary_key=True),
    _required("body", Text),
    _required("answer", JsonText),
    _required("made", Moment),
    Index("gallery_keys_made", "made"),
)
"""Uploads that came with a key, so that they can be sent again: a hash of the body, and what was answered."""

pull_hosts = Table(
    "pull_hosts",
    metadata,
    _of_device(),
    _required("settings", JsonText),
    _required("sealed", LargeBinary),
    _required("host_key", Text),
    _required("last_run", Moment),
    _required("last_error", Words),
)
"""Hosts that a device's files are pulled from; `sealed` holds what opens them."""

users = Table(
    "users",
    metadata,
    Column("id", _INT64, primary_key=True, autoincrement=False),
    _required("cid", _INT64, ForeignKey("accounts.id")),
    _required("identity", Words),
    _required("name", Words),
    _required("enabled", Boolean),
    _required("created", Moment),
    _required("changed", Moment),
    _required("password", Text),
    Index("users_cid", "cid"),
    Index("users_identity", "identity", unique=True),
)
"""People who log in to the gallery; `password` is an Argon2 hash."""
