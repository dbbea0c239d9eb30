"""The log of an account: everything that happened to what it has, by time."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("logs_account", "logs", ["cid", "timestamp", "id"])
