"""MQTT: sessions that outlive their connection, what they wait for, retained messages of clients."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), primary_key=True, autoincrement=False)


def _body() -> sa.Column[bytes]:
    return sa.Column("body", sa.LargeBinary(), nullable=False)


def upgrade() -> None:
    op.create_table("mqtt_sessions", _key("id"), _body())
    op.create_table("mqtt_messages", _key("id"), _body())
    op.create_table(
        "mqtt_deliveries",
        _key("session_id"),
        _key("number"),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("options", sa.Text(), nullable=False),
    )
    op.create_table("mqtt_received", _key("session_id"), _key("packet_id"))
    op.create_table("mqtt_retained", _key("cid"), sa.Column("topic", sa.Text(), primary_key=True), _body())
