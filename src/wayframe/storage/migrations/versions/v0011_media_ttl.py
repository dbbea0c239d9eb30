"""Devices by how long they keep files, for what is asked every minute."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("devices_media_ttl", "devices", ["media_ttl"])
