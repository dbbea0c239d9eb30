"""Limits, and which account has which."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("accounts", sa.Column("limit_id", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "limits",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("cid", sa.BigInteger(), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("blocking_duration", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
    )
    op.create_index("limits_cid", "limits", ["cid"])
