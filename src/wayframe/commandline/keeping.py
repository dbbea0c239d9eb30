"""`wayframe migrate`, `wayframe backup` and `wayframe restore`: the database and what it is kept with."""

from __future__ import annotations

import asyncio

import typer

from wayframe.config import load, mask

from .options import ConfigOption


def migrate(config: ConfigOption = None) -> None:
    """Bring the database to this version's schema (a start does this too)."""
    from wayframe.storage.database import Database, head_revision  # SQLAlchemy and Alembic take a second to load

    settings = load(config).settings
    database = Database(settings.database)

    async def work() -> str | None:
        await database.open()
        try:
            before = await database.revision()
            await database.migrate()
            return before
        finally:
            await database.close()

    before = asyncio.run(work())
    now = head_revision()
    done = "is up to date at" if before == now else f"went from revision {before or 'none'} to"
    typer.echo(f"{mask(settings.database)} {done} revision {now}")
