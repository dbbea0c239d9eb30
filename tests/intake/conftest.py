"""A host that files are fetched from, for the tests of pulls and harvests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sshd import Sshd, sshd


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """An OpenSSH server."""
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of its files."""
    folder = tmp_path / "sd"
    folder.mkdir()
    return folder
