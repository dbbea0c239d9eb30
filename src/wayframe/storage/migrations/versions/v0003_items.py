"""Groups, streams, plugins, geofences, webhooks, the bin, assignments, device settings, raw traffic."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _columns(**kinds: Any) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind(), nullable=False) for name, kind in kinds.items()]


def _items(table: str, /, **kinds: Any) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("cid", sa.BigInteger(), sa.ForeignKey("accounts.id"), nullable=False),
        *_columns(**kinds),
    )
    op.create_index(f"{table}_cid", table, ["cid"])


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), primary_key=True, autoincrement=False)


def upgrade() -> None:
    _items("groups", name=sa.Text, color=sa.Text, metadata=sa.Text)
    _items(
        "streams", name=sa.Text, protocol_id=sa.BigInteger, enabled=sa.Boolean, queue_ttl=sa.BigInteger,
        validate_message=sa.Text, configuration=sa.Text, metadata=sa.Text,
    )  # fmt: skip
    _items(
        "plugins", name=sa.Text, type_id=sa.BigInteger, enabled=sa.Boolean, required=sa.Boolean,
        priority=sa.BigInteger, validate_message=sa.Text, configuration=sa.Text, metadata=sa.Text,
    )  # fmt: skip
    _items("geofences", name=sa.Text, enabled=sa.Boolean, priority=sa.BigInteger, geometry=sa.Text, metadata=sa.Text)
    _items("webhooks", name=sa.Text, enabled=sa.Boolean, triggers=sa.Text, configuration=sa.Text, metadata=sa.Text)
    _items(
        "deleted_items", type=sa.BigInteger, item_id=sa.BigInteger, name=sa.Text, deleted=sa.BigInteger, data=sa.Text
    )
    op.create_table(
        "assignments",
        *map(_key, ("parent_type", "parent_id", "child_type", "child_id")),
        *_columns(fields=sa.Text),
    )
    op.create_index("assignments_child", "assignments", ["child_type", "child_id"])
    op.create_table(
        "device_settings",
        _key("device_id"),
        sa.Column("name", sa.Text(), primary_key=True),
        *_columns(current=sa.Text, pending=sa.Text, updated=sa.BigInteger),
    )
    op.create_table(
        "packets",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        *_columns(
            device_id=sa.BigInteger, timestamp=sa.BigInteger, received=sa.Boolean, source=sa.Text, transport=sa.Text,
            data=sa.LargeBinary,
        ),
        sqlite_autoincrement=True,
    )  # fmt: skip
    op.create_index("packets_device", "packets", ["device_id", "timestamp", "id"])
    op.create_index("packets_time", "packets", ["timestamp", "id"])
