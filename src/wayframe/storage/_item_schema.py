"""Tables of the stored items around devices; columns are named as the fields of `wayframe.model.items`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from .schema import JsonText, Moment, Words, metadata

_INT64 = BigInteger()
_SERIAL = BigInteger().with_variant(Integer(), "sqlite")


def _columns(**kinds: Any) -> list[Column[Any]]:
    return [Column(name, kind, nullable=False) for name, kind in kinds.items()]


def _item_table(table: str, /, **kinds: Any) -> Table:
    """A table of items of accounts; ids come from the `counters` table."""
    return Table(
        table,
        metadata,
        Column("id", _INT64, primary_key=True, autoincrement=False),
        Column("cid", _INT64, ForeignKey("accounts.id"), nullable=False),
        *_columns(**kinds),
        Index(f"{table}_cid", "cid"),
    )


groups = _item_table("groups", name=Words, color=Words, metadata=JsonText)
streams = _item_table(
    "streams", name=Words, protocol_id=_INT64, enabled=Boolean, queue_ttl=_INT64, validate_message=Words,
    configuration=JsonText, metadata=JsonText,
)  # fmt: skip
plugins = _item_table(
    "plugins", name=Words, type_id=_INT64, enabled=Boolean, required=Boolean, priority=_INT64, validate_message=Words,
    configuration=JsonText, metadata=JsonText,
)  # fmt: skip
geofences = _item_table(
    "geofences", name=Words, enabled=Boolean, priority=_INT64, geometry=JsonText, metadata=JsonText
)  # fmt: skip
webhooks = _item_table(
    "webhooks", name=Words, enabled=Boolean, triggers=JsonText, configuration=JsonText, metadata=JsonText
)  # fmt: skip
deleted_items = _item_table("deleted_items", type=_INT64, item_id=_INT64, name=Words, deleted=Moment, data=JsonText)

assignments = Table(
    "assignments",
    metadata,
    Column("parent_type", _INT64, primary_key=True, autoincrement=False),
    Column("parent_id", _INT64, primary_key=True, autoincrement=False),
    Column("child_type", _INT64, primary_key=True, autoincrement=False),
    Column("child_id", _INT64, primary_key=True, autoincrement=False),
    *_columns(fields=JsonText),
    Index("assignments_child", "child_type", "child_id"),
)

device_settings = Table(
    "device_settings",
    metadata,
    Column("device_id", _INT64, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    *_columns(current=JsonText, pending=JsonText, updated=Moment),
)

idents = Table(
    "idents",
    metadata,
    Column("id", _INT64, primary_key=True, autoincrement=False),
    *_columns(channel_id=_INT64, ident=Words, device_id=_INT64, source=Words, seen=Moment),
)

packets = Table(
    "packets",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    *_columns(device_id=_INT64, timestamp=Moment, received=Boolean, source=Words, transport=Words, data=LargeBinary),
    Index("packets_device", "device_id", "timestamp", "id"),
    Index("packets_time", "timestamp", "id"),
    sqlite_autoincrement=True,
)
