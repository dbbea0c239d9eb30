"""Services on real storage: SQLite and PostgreSQL, a folder of blobs, the bus, and a clock that the test sets."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from rooms import Rooms
from sqlalchemy import text

import postgres
from wayframe.storage import Database
from wayframe.storage.schema import metadata

_LEFT_OUT = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without PostgreSQL: fail in CI, leave its half out with one line elsewhere."""
    here = Path(__file__).parent
    wanting = [item for item in items if here in item.path.parents and "postgresql" in item.nodeid.partition("[")[2]]
    if postgres.binaries() is not None or not wanting:
        return
    if os.environ.get("CI") == "true":
        raise pytest.UsageError("PostgreSQL is not installed, and CI must run the service tests on it")
    items[:] = [item for item in items if item not in wanting]
    config.hook.pytest_deselected(items=wanting)
    config.stash[_LEFT_OUT] = len(wanting)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    count = config.stash.get(_LEFT_OUT, 0)
    if count:
        terminalreporter.write_line(f"{count} service tests need PostgreSQL (apt-get install postgresql): left out")


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Log lines without drawn tracebacks, which take a second each."""
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database with the schema, to be copied."""
    path = tmp_path_factory.mktemp("template") / "empty.db"

    async def make() -> None:
        db = Database(f"sqlite:///{path}")
        await db.open()
        await db.migrate()
        await db.close()

    asyncio.run(make())
    return path


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One PostgreSQL database with the schema for all tests of a session; each empties it first."""
    with postgres.server() as running:
        yield running.create()


async def _emptied(url: str) -> None:
    db = Database(url)
    await db.open()
    await db.migrate()
    names = ", ".join(table.name for table in metadata.sorted_tables)
    async with db.write() as conn:
        await conn.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    await db.close()


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A copy of the empty SQLite database."""
    target = tmp_path / "wayframe.db"
    shutil.copy(sqlite_template, target)
    return f"sqlite:///{target}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database, of each kind."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
async def rooms(database_url: str, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Rooms]:
    """Running services, on each database."""
    if database_url.startswith("postgresql"):
        await _emptied(database_url)
    running = await Rooms(database_url, tmp_path).start()
    yield running
    await running.stop()


@pytest.fixture
async def one(sqlite_url: str, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Rooms]:
    """Running services, for what does not depend on the database: on SQLite."""
    running = await Rooms(sqlite_url, tmp_path).start()
    yield running
    await running.stop()


@pytest.fixture
async def small(database_url: str, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Rooms]:
    """Running services on each database, with room for 2 MiB a device."""
    if database_url.startswith("postgresql"):
        await _emptied(database_url)
    running = await Rooms(database_url, tmp_path, device_limit=2 << 20).start()
    yield running
    await running.stop()


@pytest.fixture
async def seeing(sqlite_url: str, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Rooms]:
    """The same with media workers."""
    running = await Rooms(sqlite_url, tmp_path, workers=True).start()
    yield running
    await running.stop()
