"""The gallery: events, counts, hosts to pull from, and users. Every media file gets its event."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from wayframe.model import MediaFile
from wayframe.model.gallery import event_of

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SLICE = 2000
_VISIBLE = sa.text("state NOT IN ('pending', 'deleted')")
_OPEN = sa.text("state IN ('queued', 'pulling')")
_PENDING = sa.text("state = 'pending'")
_HARVESTED = sa.text("source = 'harvest'")


def upgrade() -> None:
    op.create_table(
        "gallery_events",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("device_id", sa.BigInteger(), sa.ForeignKey("devices.id", ondelete="CASCADE"), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("stem", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("file_uuid", sa.Text()),
        sa.Column("fingerprint", sa.BigInteger(), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sa.Column("viewed", sa.Boolean(), nullable=False),
        sa.Column("viewed_by", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("thumbnail", sa.Text(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("command_id", sa.BigInteger(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("pulled_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "gallery_counts",
        _device_key(),
        sa.Column("media_type", sa.Text(), primary_key=True),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("fresh", sa.BigInteger(), nullable=False),
        sa.Column("viewed", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "pull_hosts",
        _device_key(),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("host_key", sa.Text(), nullable=False),
        sa.Column("last_run", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("cid", sa.BigInteger(), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
    )
    op.create_index("users_cid", "users", ["cid"])
    op.create_index("users_identity", "users", ["identity"], unique=True)
    _fill()
    _index("gallery_created", ["device_id", "created", "id"], _VISIBLE)
    _index("gallery_typed", ["device_id", "media_type", "created", "id"], _VISIBLE)
    _index("gallery_stem", ["device_id", "stem"], _VISIBLE)
    _index("gallery_open", ["command_id"], _OPEN)
    _index("gallery_pending", ["expires"], _PENDING)
    _index("gallery_harvested", ["device_id", "source_key"], _HARVESTED, unique=True)
    op.create_index("gallery_same", "gallery_events", ["device_id", "fingerprint"])
    op.create_index("gallery_file", "gallery_events", ["file_uuid"], unique=True)


def _device_key() -> sa.Column[Any]:
    owner = sa.ForeignKey("devices.id", ondelete="CASCADE")
    return sa.Column("device_id", sa.BigInteger(), owner, primary_key=True, autoincrement=False)


def _index(name: str, columns: list[str], where: sa.TextClause, *, unique: bool = False) -> None:
    op.create_index(name, "gallery_events", columns, unique=unique, sqlite_where=where, postgresql_where=where)


def _fill() -> None:
    """An event for each media file there is, a slice at a time; then their counts."""
    conn = op.get_bind()
    read = sa.text(
        "SELECT uuid, device_id, cid, name, size, mime, kind, created, uploaded, source_sha256, command_id FROM media "
        f"WHERE uuid > :after ORDER BY uuid LIMIT {_SLICE}"
    )
    write = sa.text(
        "INSERT INTO gallery_events (id, device_id, source, source_key, name, stem, media_type, size, created, added, "
        "state, file_uuid, fingerprint, flagged, viewed, viewed_by, metadata, thumbnail, expires, not_before, "
        "attempts, command_id, mark, error, pulled_at) "
        "VALUES (:id, :device_id, :source, :name, :name, :stem, :media_type, :size, :created, :added, 'stored', "
        ":file_uuid, :fingerprint, false, false, '[]', '{}', '', 0, 0, 0, 0, '', '', 0)"
    )
    after = ""
    while rows := conn.execute(read, {"after": after}).all():
        conn.execute(write, [_event(row._asdict()) for row in rows])
        after = rows[-1].uuid
    conn.execute(
        sa.text(
            "INSERT INTO gallery_counts (device_id, media_type, events, size, fresh, viewed) "
            "SELECT device_id, media_type, count(*), sum(size), 0, 0 FROM gallery_events GROUP BY device_id, media_type"
        )
    )


def _event(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `media` as one of events; times stay in microseconds."""
    event = event_of(MediaFile(**{**row, "modified": 0.0, "uploaded": row["uploaded"] / 1e6}))
    return {
        "id": event.id, "device_id": event.device_id, "source": str(event.source), "name": event.name,
        "stem": event.stem, "media_type": event.media_type, "size": event.size, "created": row["created"],
        "added": row["uploaded"], "file_uuid": event.file_uuid, "fingerprint": event.fingerprint,
    }  # fmt: skip
