"""What `services.pulls` and whoever speaks SFTP tell each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from wayframe.model import Json, WayframeError

from .pull_hosts import HostAccess

MAX_NAME = 255
"""Bytes of a file's name."""


AGAIN_S = 6 * 3600.0
"""A pull that came to nothing may be asked for again by itself after this."""


class NoSource(WayframeError):
    """Nothing says where the bytes of an event are, or what a device has."""

    status = code = 422


class FetchFailed(Exception):
    """A transfer did not come to its end."""

    def __init__(self, reason: str, *, retry: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        """For a person."""
        self.retry = retry
        """Whether it may go better later."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on a host."""

    path: str
    size: int
    modified: float = 0.0
    """Unix seconds; 0: not known."""
    thumbnail: str = ""
    """Path of a picture of it on the same host; empty: none is known."""
    metadata: Mapping[str, Json] = field(default_factory=dict)
    """What the host says of it."""


@dataclass(frozen=True, slots=True)
class FetchOrder:
    """A file to fetch."""

    access: HostAccess
    path: str
    target: Path
    """Bytes go to the end of this file; what is there already is of the version `mark`."""
    mark: str
    accept: Callable[[RemoteFile, str], Awaitable[None]]
    """Told size and version before bytes come; may raise to refuse."""
    progress: Callable[[int], None]
    """Told the bytes there are."""
    learned: Callable[[str], Awaitable[None]]
    """Told a host key that was seen for the first time."""


class Fetcher(Protocol):
    """Speaks SFTP."""

    async def fetch(self, transfer: FetchOrder) -> None:
        """Fetch a file whole. Raises `FetchFailed`, and what `accept` raises."""

    async def listing(self, access: HostAccess, learned: Callable[[str], Awaitable[None]]) -> list[RemoteFile]:
        """The files below the roots: those the host's own list names, if there is one, else all. Raises
        `FetchFailed`."""

    async def remove(self, access: HostAccess, path: str, mark: str) -> None:
        """Delete a file, if it is there and of this version. Raises `FetchFailed`."""


def plain_name(name: str) -> bool:
    """Whether the base name of a file on a host is one that is taken: visible, printable, not too long."""
    unplain = not name or name.startswith(".") or "/" in name or "\\" in name or len(name.encode()) > MAX_NAME
    return not unplain and name.isprintable()
