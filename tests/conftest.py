"""Fixtures every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("WAYFRAME_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the `shared` tests out, with one clear line, where ../shared does not stand beside the project."""
    if SHARED.is_dir():
        return
    wanting = [item for item in items if item.get_closest_marker("shared")]
    if not wanting:
        return
    if os.environ.get("CI") == "true":
        raise pytest.UsageError(f"{SHARED} is missing, and CI must run the {len(wanting)} tests that read it")
    items[:] = [item for item in items if not item.get_closest_marker("shared")]
    config.hook.pytest_deselected(items=wanting)
    config.stash[_left_out] = len(wanting)


_left_out = pytest.StashKey[int]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    count = config.stash.get(_left_out, 0)
    if count:
        terminalreporter.write_line(f"{count} tests need {SHARED} and were left out (it is not part of a clone)")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared references and vectors."""
    return SHARED


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio."""
    return "asyncio"
