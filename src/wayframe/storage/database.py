"""The database: SQLite (default) or PostgreSQL by URL, opened, migrated, written by one road and read by another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Engine,
    Text,
    any_,
    bindparam,
    column,
    create_engine,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from wayframe.model import StorageFull, Unavailable, WayframeError

from ._readers import Readers

T = TypeVar("T")

_WAIT_S = 30
_PING_S = 10
_READERS = 4
_MIGRATION_LOCK = 0x77617966
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    # FULL: a commit is on disk when it returns; a device's report is acknowledged after that.
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-16000",
    "PRAGMA journal_size_limit=67108864",
)


class DatabaseTooNew(WayframeError):
    """The database (or backup) was written by a newer Wayframe than this one."""


class Database:
    """One database. `url`: `sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://user:password@host/name`.

    SQLite has one writer connection, open for life and given out in turn, and a few readers; PostgreSQL a pool.
    """

    def __init__(self, url: str) -> None:
        self.url = _with_driver(url)
        """The URL with its driver."""
        self.sqlite = self.url.get_backend_name() == "sqlite"
        """True on SQLite, False on PostgreSQL."""
        self._turn = asyncio.Lock()
        self._writer: AsyncEngine | None = None
        self._reader: AsyncEngine | None = None
        self._readers: Readers | None = None

    async def open(self) -> None:
        """Connect; creates folder and file on SQLite. Raises `Unavailable` if there is no way in."""
        if self.sqlite:
            file = Path(self.url.database or "")
            await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)
            self._writer = _sqlite_writing(self.url)
            self._readers = Readers(_sqlite_reading(self.url), _READERS)
        else:
            self._writer = create_async_engine(
                self.url,
                pool_size=10,
                max_overflow=0,
                pool_timeout=_WAIT_S,
                pool_pre_ping=True,
                connect_args={"timeout": 10, "command_timeout": 600},
            )
            # A query over hot rows and chunks must see both at one moment, or a message moving between is lost.
            self._reader = self._writer.execution_options(isolation_level="REPEATABLE READ")
        try:
            async with self.write() as conn:  # the writer first: it makes the file and turns WAL on
                await conn.execute(text("SELECT 1"))
            await self.ping()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close every connection."""
        readers, self._readers = self._readers, None
        if readers is not None:
            await readers.close()
        writer, self._writer, self._reader = self._writer, None, None
        if writer is not None:
            await writer.dispose()

    async def ping(self) -> None:
        """Ask the database a trifle; raises `Unavailable` without an answer in 10 s."""
        try:
            async with asyncio.timeout(_PING_S):
                await self.ask(lambda conn: conn.scalar(text("SELECT 1")))
        except TimeoutError as error:
            raise Unavailable(f"the database does not answer within {_PING_S} s") from error

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may change things; durable when the block has ended, undone if it raises.

        Raises `StorageFull` if the database's disk is full and `Unavailable` if it cannot be reached.
        """
        if not self.sqlite:
            async with self._begin(self._writer) as conn:
                yield conn
            return
        try:
            async with asyncio.timeout(_WAIT_S):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Unavailable(f"the database is busy: no turn to write within {_WAIT_S} s") from error
        try:
            async with self._begin(self._writer) as conn:
                yield conn
        finally:
            self._turn.release()

    async def ask(self, question: Callable[[Connection], T]) -> T:
        """What a question finds: a function that reads, and sees one moment whatever it asks.

        On SQLite it runs in a thread. On PostgreSQL it runs in the event loop, which goes on while the database
        works; what reckons for long there calls `pause`. Raises `Unavailable` as `write`.
        """
        if self._readers is None:
            async with self._begin(self._reader) as conn:
                return await conn.run_sync(question)
        with _for_people():
            try:
                return await self._readers.ask(question, _WAIT_S)
            except TimeoutError as error:
                raise Unavailable(f"the database is busy: no turn to read within {_WAIT_S} s") from error

    def pause(self, conn: Connection) -> None:
        """Inside a question: let the event loop have a turn, if it runs there."""
        if not self.sqlite:
            conn.connection.run_async(lambda _: asyncio.sleep(0))

    async def migrate(self, before: Callable[[], Awaitable[None]] | None = None) -> None:
        """Bring the schema to this version's. `before` is awaited first if a database in use is about to change.

        Raises `DatabaseTooNew` if the schema is of a revision this version does not know.
        """
        current = await self.revision()
        check_revision(current, "the database")
        if current == head_revision():
            return
        if current is not None and before is not None:
            await before()
        await self.upgrade("head")

    async def upgrade(self, revision: str) -> None:
        """Run the migrations up to `revision`, all or none."""
        async with self.write() as conn:
            if not self.sqlite:  # two nodes starting together: the second waits and finds the work done
                await conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            await conn.run_sync(run_migrations, revision)

    async def revision(self) -> str | None:
        """The schema revision found, None in an empty database."""
        return await self.ask(lambda conn: MigrationContext.configure(conn).get_current_revision())

    async def table_names(self) -> list[str]:
        """Tables that are there."""
        return await self.ask(lambda conn: inspect(conn).get_table_names())

    def among(self, of: ColumnElement[Any], ids: Iterable[int | str]) -> ColumnElement[bool]:
        """`of IN ids`, for any number of ids: as one parameter, since databases cap the count of parameters."""
        chosen = list(ids)
        if len(chosen) == 1:
            return of == chosen[0]
        return self._among(of, bindparam(None, self.listed(chosen), type_=self._listed_type(of)))

    def among_named(self, of: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """The same for statements that are kept: the ids are a parameter of this name, as `listed` makes it."""
        return self._among(of, bindparam(name, type_=self._listed_type(of)))

    def listed(self, ids: Iterable[int | str]) -> str | list[int | str]:
        """Ids as the value of one parameter."""
        return msgspec.json.encode(list(ids)).decode() if self.sqlite else list(ids)

    def _listed_type(self, of: ColumnElement[Any]) -> Any:
        return Text() if self.sqlite else ARRAY(of.type)

    def _among(self, of: ColumnElement[Any], listed: BindParameter[Any]) -> ColumnElement[bool]:
        if self.sqlite:
            rows = func.json_each(listed).table_valued("value")
            return of.in_(select(column("value")).select_from(rows))
        return of == any_(listed)

    @asynccontextmanager
    async def _begin(self, engine: AsyncEngine | None) -> AsyncIterator[AsyncConnection]:
        if engine is None:
            raise Unavailable("the database is not open")
        with _for_people():
            async with AsyncExitStack() as stack:
                try:
                    conn = await stack.enter_async_context(engine.begin())
                except OSError as error:
                    raise Unavailable(f"the database cannot be reached: {error}") from error
                yield conn


def head_revision() -> str:
    """The schema revision of this version."""
    head = ScriptDirectory.from_config(_alembic()).get_current_head()
    assert head is not None, "the package carries no migrations"
    return head


def check_revision(revision: str | None, whose: str) -> None:
    """Raise `DatabaseTooNew` unless `revision` (of `whose`) is one this version knows; None is an empty schema."""
    known = {script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()}
    if revision is not None and revision not in known:
        raise DatabaseTooNew(
            f"{whose} has schema revision {revision}, which this version does not know (its own is {head_revision()}): "
            "start the newer version that wrote it, or restore an older backup"
        )


def run_migrations(connection: Connection, revision: str) -> None:
    """Run the migrations up to `revision` on a connection with an open transaction."""
    command.upgrade(_alembic(connection), revision)


def _alembic(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _with_driver(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError("the database URL must look like sqlite:///file.db or postgresql://host/name") from error
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise ValueError(f"the database URL must begin with sqlite:// or postgresql://, not {parsed.drivername}://")
    if driver.startswith("sqlite") and parsed.database in (None, "", ":memory:"):
        raise ValueError("the SQLite URL must name a file, as in sqlite:///data/wayframe.db")
    return parsed.set(drivername=driver)


def _sqlite_writing(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url, pool_size=1, max_overflow=0, pool_timeout=_WAIT_S, connect_args={"timeout": _WAIT_S}
    )
    event.listen(engine.sync_engine, "connect", lambda connection, _: _prepare_sqlite(connection, _PRAGMAS))
    event.listen(engine.sync_engine, "begin", lambda conn: conn.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _sqlite_reading(url: URL) -> Engine:
    arguments = {"timeout": _WAIT_S, "check_same_thread": False}
    engine = create_engine(url.set(drivername="sqlite"), poolclass=NullPool, connect_args=arguments)
    pragmas = (*_PRAGMAS, "PRAGMA query_only=ON")
    event.listen(engine, "connect", lambda connection, _: _prepare_sqlite(connection, pragmas))
    # Past SQLAlchemy's own execution, which would cost as much as a small question.
    event.listen(engine, "begin", lambda conn: conn.connection.driver_connection.execute("BEGIN"))
    return engine


def _prepare_sqlite(connection: Any, pragmas: Iterable[str]) -> None:
    connection.isolation_level = None  # the driver's own BEGINs come too late and not before DDL
    cursor = connection.cursor()
    for pragma in (f"PRAGMA busy_timeout={_WAIT_S * 1000}", *pragmas):
        cursor.execute(pragma)
    cursor.close()


@contextmanager
def _for_people() -> Iterator[None]:
    """Turn what the drivers say about disk and connection into errors a person can act on."""
    try:
        yield
    except DBAPIError as error:
        said = str(error.orig)
        if "disk is full" in said or "No space left" in said or "could not extend file" in said:
            raise StorageFull(f"the disk of the database is full: {said}") from error
        if error.connection_invalidated or "database is locked" in said or "unable to open" in said:
            raise Unavailable(f"the database cannot be reached: {said}") from error
        raise
    except PoolTimeout as error:
        raise Unavailable(f"the database is busy: no connection free within {_WAIT_S} s") from error
