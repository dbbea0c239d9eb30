"""The gallery: lists in other orders and of few, and uploads that are sent again under one key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_VISIBLE = sa.text("state NOT IN ('pending', 'deleted')")
_FRESH = sa.text("state IN ('new', 'queued', 'pulling', 'failed')")
_FLAGGED = sa.text("flagged AND state NOT IN ('pending', 'deleted')")
_VIEWED = sa.text("viewed AND state NOT IN ('pending', 'deleted')")


def upgrade() -> None:
    op.create_table(
        "gallery_keys",
        sa.Column(
            "device_id",
            sa.BigInteger(),
            sa.ForeignKey("devices.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
    )
    op.create_index("gallery_keys_made", "gallery_keys", ["made"])
    _index("gallery_named", ["device_id", "name", "id"], _VISIBLE)
    _index("gallery_sized", ["device_id", "size", "id"], _VISIBLE)
    _index("gallery_fresh", ["device_id", "created", "id"], _FRESH)
    _index("gallery_flagged", ["device_id", "created", "id"], _FLAGGED)
    _index("gallery_viewed", ["device_id", "created", "id"], _VIEWED)


def _index(name: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, "gallery_events", columns, sqlite_where=where, postgresql_where=where)
