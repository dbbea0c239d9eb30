"""`wayframe migrate`, `backup` and `restore`: what a node keeps, brought up to date, saved, put back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from wayframe import __version__
from wayframe.config import Settings, load, mask

from .errors import CommandError
from .options import ConfigOption

if TYPE_CHECKING:
    from wayframe.storage import Database

Result = TypeVar("Result")


def migrate(config: ConfigOption = None) -> None:
    """Bring the database to this version's schema (a start does this too)."""
    from wayframe.storage.database import head_revision  # SQLAlchemy and Alembic take a second to load

    settings = load(config).settings

    async def work(database: Database) -> str | None:
        before = await database.revision()
        await database.migrate()
        return before

    before = _with_database(settings, work)
    now = head_revision()
    done = "is up to date at" if before == now else f"went from revision {before or 'none'} to"
    typer.echo(f"{mask(settings.database)} {done} revision {now}")


def backup(
    file: Annotated[Path | None, typer.Argument(help="Where to; empty for a new file in backup_dir.")] = None,
    files: Annotated[bool, typer.Option("--files/--no-files", help="Take the media files along.")] = True,
    config: ConfigOption = None,
) -> None:
    """Save database, secret and media files in one tar; the server may run meanwhile."""
    from wayframe import storage

    settings = load(config).settings
    target = file or settings.backups / time.strftime("wayframe-%Y%m%d-%H%M%S.tar")
    if target.exists():
        raise CommandError(f"{target} is there already; name another file")
    _require_data(settings)

    async def work(database: Database) -> storage.Manifest:
        blobs = storage.DirectoryBlobs(settings.blobs)
        secret = settings.secret_file if settings.secret_file.exists() else None
        now = time.time()
        try:
            return await storage.backup(
                database, blobs, target, with_blobs=files, now=now, version=__version__, secret=secret
            )
        finally:
            await blobs.close()

    saved = _with_database(settings, work)
    rows = sum(table.rows for table in saved.tables)
    held = f"{rows} rows and {len(saved.blobs)} files" if files else f"{rows} rows, without files"
    typer.echo(f"{target}: {held}. It holds the node's secret: keep it where only you can read it")
    if saved.missing:
        typer.echo(f"{len(saved.missing)} files that the database names were not there", err=True)


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite what this node holds.")] = False,
    config: ConfigOption = None,
) -> None:
    """Put a backup back, into SQLite or PostgreSQL alike; the server must be stopped."""
    from wayframe import storage
    from wayframe.doctor import node_answers

    if not file.is_file():
        raise CommandError(f"{file} is no file", exit_code=2)
    settings = load(config).settings
    if node_answers(settings):
        raise CommandError(f"the server at {settings.local_url} is running; stop it first")

    async def work(database: Database) -> storage.Manifest:
        blobs = storage.DirectoryBlobs(settings.blobs)
        try:
            return await storage.restore(file, database, blobs, secret=settings.secret_file, replace=replace)
        finally:
            await blobs.close()

    put_back = _with_database(settings, work, hint="; --replace overwrites it")
    rows = sum(table.rows for table in put_back.tables)
    taken = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(put_back.created))
    files = f"{len(put_back.blobs)} files" if put_back.with_blobs else "no files (they were not in the backup)"
    typer.echo(f"restored {rows} rows and {files} from {taken}")


def _require_data(settings: Settings) -> None:
    """Opening SQLite would make an empty database: say instead that there is none."""
    from wayframe.storage import Database

    database = Database(settings.database)
    if database.sqlite and not Path(database.url.database or "").exists():
        raise CommandError(f"no database at {settings.database}: nothing to save")


def _with_database(settings: Settings, work: Callable[[Database], Awaitable[Result]], hint: str = "") -> Result:
    """Do something with the open database."""
    from wayframe.model import Conflict
    from wayframe.storage import Database, SecretError

    async def opened() -> Result:
        database = Database(settings.database)
        await database.open()
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(opened())
    except Conflict as error:
        raise CommandError(f"{error}{hint}") from None
    except (OSError, SecretError) as error:
        raise CommandError(str(error)) from None
