"""Alembic's entry: migrates over the connection, and inside the transaction, that `Database` hands in."""

from __future__ import annotations

from alembic import context

from wayframe.storage.schema import metadata

connection = context.config.attributes["connection"]
# SQLite undoes DDL too, since the connection begins its own transactions: a failed migration leaves nothing.
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
