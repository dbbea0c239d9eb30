"""Message history: hot rows and chunks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "hot_messages",
        sa.Column("seq", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("device_id", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("server_timestamp", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("hot_messages_once", "hot_messages", ["device_id", "timestamp", "digest"], unique=True)
    op.create_index("hot_messages_time", "hot_messages", ["timestamp"])
    op.create_table(
        "message_chunks",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("device_id", sa.BigInteger(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("first_arrival", sa.BigInteger(), nullable=False),
        sa.Column("last_arrival", sa.BigInteger(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("heads", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("message_chunks_arrival", "message_chunks", ["device_id", "last_arrival", "first_arrival", "size"])
    op.create_index("message_chunks_span", "message_chunks", ["device_id", "last", "first", "messages"])
    op.create_index("message_chunks_time", "message_chunks", ["last", "first", "device_id"])
