"""Accounts, tokens, channels, devices, telemetry, media, commands, logs and state."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("last", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("cid", sa.BigInteger(), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("info", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("accessed", sa.BigInteger(), nullable=False),
        sa.Column("expire", sa.BigInteger(), nullable=False),
        sa.Column("ttl", sa.BigInteger(), nullable=False),
        sa.Column("ips", sa.Text(), nullable=False),
        sa.Column("access", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
    )
    op.create_index("tokens_cid", "tokens", ["cid"])
    op.create_index("tokens_digest", "tokens", ["digest"], unique=True)
    op.create_table(
        "channels",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("cid", sa.BigInteger(), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("protocol_id", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("messages_ttl", sa.BigInteger(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
    )
    op.create_index("channels_cid", "channels", ["cid"])
    op.create_table(
        "devices",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("cid", sa.BigInteger(), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("device_type_id", sa.BigInteger(), nullable=False),
        sa.Column("protocol_id", sa.BigInteger(), nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("messages_ttl", sa.BigInteger(), nullable=False),
        sa.Column("messages_rotate", sa.BigInteger(), nullable=False),
        sa.Column("media_ttl", sa.BigInteger(), nullable=False),
        sa.Column("media_rotate", sa.BigInteger(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("ident", sa.Text(), nullable=False),
        sa.Column("last_active", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.create_index("devices_cid", "devices", ["cid"])
    op.create_index(
        "devices_ident",
        "devices",
        ["protocol_id", "ident"],
        unique=True,
        sqlite_where=sa.text("ident != ''"),
        postgresql_where=sa.text("ident != ''"),
    )
    op.create_table(
        "telemetry",
        sa.Column("device_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "media",
        sa.Column("uuid", sa.Text(), primary_key=True),
        sa.Column("device_id", sa.BigInteger(), sa.ForeignKey("devices.id", ondelete="CASCADE"), nullable=False),
        sa.Column("cid", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mime", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("modified", sa.BigInteger(), nullable=False),
        sa.Column("uploaded", sa.BigInteger(), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("meta", sa.Text(), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("announced", sa.Boolean(), nullable=False),
        sa.Column("blob", sa.Text(), nullable=False),
        sa.Column("preview", sa.Text(), nullable=False),
        sa.Column("original", sa.Text(), nullable=False),
        sa.Column("original_size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("source_sha256", sa.Text(), nullable=False),
        sa.Column("message_params", sa.Text(), nullable=False),
        sa.Column("command_id", sa.BigInteger(), nullable=False),
    )
    op.create_index("media_created", "media", ["device_id", "created", "uuid"])
    op.create_index(
        "media_processing",
        "media",
        ["uploaded"],
        sqlite_where=sa.text("state = 'processing'"),
        postgresql_where=sa.text("state = 'processing'"),
    )
    op.create_index("media_sizes", "media", ["device_id", "size", "original_size"])
    op.create_index(
        "media_unannounced",
        "media",
        ["uploaded"],
        sqlite_where=sa.text("announced = false"),
        postgresql_where=sa.text("announced = false"),
    )
    op.create_index("media_uploaded", "media", ["device_id", "protected", "uploaded"])
    op.create_table(
        "commands",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("device_id", sa.BigInteger(), sa.ForeignKey("devices.id", ondelete="CASCADE"), nullable=False),
        sa.Column("cid", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.Column("queued", sa.Boolean(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("max_attempts", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("meta", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("executed", sa.Boolean(), nullable=False),
        sa.Column("response", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
    )
    op.create_index("commands_device", "commands", ["device_id"])
    op.create_index(
        "commands_finished",
        "commands",
        ["timestamp"],
        sqlite_where=sa.text("stage NOT IN ('queued', 'sent')"),
        postgresql_where=sa.text("stage NOT IN ('queued', 'sent')"),
    )
    op.create_index(
        "commands_open",
        "commands",
        ["device_id", "priority", "id"],
        sqlite_where=sa.text("stage IN ('queued', 'sent')"),
        postgresql_where=sa.text("stage IN ('queued', 'sent')"),
    )
    op.create_index(
        "commands_results",
        "commands",
        ["device_id", "timestamp", "id"],
        sqlite_where=sa.text("stage NOT IN ('queued', 'sent')"),
        postgresql_where=sa.text("stage NOT IN ('queued', 'sent')"),
    )
    op.create_table(
        "logs",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("event_code", sa.BigInteger(), nullable=False),
        sa.Column("origin_type", sa.BigInteger(), nullable=False),
        sa.Column("origin_id", sa.BigInteger(), nullable=False),
        sa.Column("cid", sa.BigInteger(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("logs_origin", "logs", ["origin_type", "origin_id", "timestamp", "id"])
    op.create_index("logs_time", "logs", ["timestamp", "id"])
    op.create_table(
        "state",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("value", sa.LargeBinary(), nullable=False),
    )
