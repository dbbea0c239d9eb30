"""Tables of what the gallery does by itself: harvests, hooks, and calls of hooks on their way."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Table

from wayframe.model.hooks import HookAction, HookEvent

from ._gallery_schema import WordText
from .schema import JsonText, Moment, Words, metadata

_INT64 = BigInteger()

gallery_harvests = Table(
    "gallery_harvests",
    metadata,
    Column("device_id", _INT64, ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("running", Boolean, nullable=False),
    Column("interval_s", Moment, nullable=False),
    Column("auto_pull", Boolean, nullable=False),
    Column("types", JsonText, nullable=False),
    Column("thumbnails", Boolean, nullable=False),
    Column("started_by", _INT64, nullable=False),
    Column("last_run", Moment, nullable=False),
    Column("last_error", Words, nullable=False),
    Column("next_run", Moment, nullable=False),
    Column("seen_to", Moment, nullable=False),
)

gallery_hooks = Table(
    "gallery_hooks",
    metadata,
    Column("id", _INT64, primary_key=True, autoincrement=False),
    Column("cid", _INT64, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("device_id", _INT64, nullable=False),
    Column("name", Words, nullable=False),
    Column("event_type", WordText(HookEvent), nullable=False),
    Column("action", WordText(HookAction), nullable=False),
    Column("parameters", JsonText, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("made_by", _INT64, nullable=False),
    Column("created", Moment, nullable=False),
    Column("changed", Moment, nullable=False),
)
"""`device_id` 0: of every device."""

gallery_hook_calls = Table(
    "gallery_hook_calls",
    metadata,
    Column("id", _INT64, primary_key=True, autoincrement=False),
    Column("hook_id", _INT64, ForeignKey("gallery_hooks.id", ondelete="CASCADE"), nullable=False),
    Column("device_id", _INT64, nullable=False),
    Column("facts", JsonText, nullable=False),
    Column("made", Moment, nullable=False),
    Column("not_before", Moment, nullable=False),
    Column("attempts", _INT64, nullable=False),
    Column("error", Words, nullable=False),
    Index("gallery_hook_calls_hook", "hook_id"),
)
"""Holds only what is still to be done."""
