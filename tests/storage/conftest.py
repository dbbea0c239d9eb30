"""Every test here runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

import postgres
from wayframe.storage import Database

_LEFT_OUT = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without PostgreSQL: fail in CI, leave its half out with one line elsewhere."""
    wanting = [item for item in items if "postgresql" in item.nodeid.partition("[")[2]]
    if postgres.binaries() is not None or not wanting:
        return
    if os.environ.get("CI") == "true":
        raise pytest.UsageError("PostgreSQL is not installed, and CI must run the storage tests on it")
    items[:] = [item for item in items if item not in wanting]
    config.hook.pytest_deselected(items=wanting)
    config.stash[_LEFT_OUT] = len(wanting)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    count = config.stash.get(_LEFT_OUT, 0)
    if count:
        terminalreporter.write_line(f"{count} storage tests need PostgreSQL (apt-get install postgresql): left out")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    with postgres.server() as running:
        yield running


@pytest.fixture
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Gives the URL of a fresh, empty database of a kind: `sqlite` or `postgresql`."""
    made: list[str] = []

    def fresh(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path}/data/{secrets.token_hex(4)}.db"
        made.append(request.getfixturevalue("postgres_server").create())
        return made[-1]

    yield fresh
    for url in made:
        request.getfixturevalue("postgres_server").drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, fresh_url: Callable[[str], str]) -> str:
    """The URL of a fresh, empty database, of each kind."""
    return fresh_url(request.param)


@pytest.fixture
async def empty(database_url: str, anyio_backend: str) -> AsyncIterator[Database]:
    """An open database without a schema."""
    db = Database(database_url)
    await db.open()
    yield db
    await db.close()


@pytest.fixture
async def db(empty: Database) -> Database:
    """An open database with the schema of this version."""
    await empty.migrate()
    return empty
