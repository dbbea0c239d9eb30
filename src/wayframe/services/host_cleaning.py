"""Deleting on a host what was pulled from it, where that is wanted: at once, and where that fails again and again.

A failure never harms the pull: the bytes are here. What is still to be deleted outlives restarts. A file that is
another by now is left alone.
"""

from __future__ import annotations

import asyncio
import hashlib

import msgspec
import structlog
from msgspec import Struct

from wayframe.model import Clock
from wayframe.storage import StateTable

from .background import Background
from .fetching import Fetcher, FetchFailed
from .pull_hosts import HostAccess, PullHosts

log = structlog.get_logger(__name__)

_STATE = "host-cleaning:"
_FIRST_RETRY_S = 60.0
_LONGEST_RETRY_S = 6 * 3600.0
_LONGEST_S = 30 * 86_400.0
"""What cannot be deleted for so long stays on the host."""
_MOST = 10_000


class _Left(Struct, frozen=True):
    """A file that is still to be deleted."""

    device_id: int
    path: str
    mark: str
    """Which version of it was pulled (`size:mtime`)."""
    since: float
    due: float
    pause: float

    @property
    def key(self) -> str:
        """Where the state keeps it."""
        return f"{_STATE}{self.device_id}:{hashlib.sha256(self.path.encode()).hexdigest()[:32]}"


class HostCleaning:
    """What is to be deleted on hosts."""

    def __init__(self, state: StateTable, hosts: PullHosts, fetcher: Fetcher | None, clock: Clock) -> None:
        self._state = state
        self._hosts = hosts
        self._fetcher = fetcher
        self._clock = clock
        self._left: dict[str, _Left] = {}
        self._round = asyncio.Lock()
        self._background = Background("host cleaning")

    async def load(self) -> None:
        """Take up what a stop or crash left."""
        for key, value in (await self._state.all(_STATE)).items():
            self._left[key] = msgspec.json.decode(value, type=_Left)

    @property
    def waiting(self) -> int:
        """Files that are still to be deleted."""
        return len(self._left)

    async def pulled(self, access: HostAccess, path: str, mark: str) -> None:
        """A file is safe here: delete it there, if that is wanted."""
        now = self._clock.now()
        left = _Left(access.device_id, path, mark, now, now + _FIRST_RETRY_S, _FIRST_RETRY_S)
        if access.delete_after and not await self._deleted(access, left) and len(self._left) < _MOST:
            await self._keep(left)

    def begin_round(self) -> None:
        """Try again what is due, beside other work: a silent host takes its time. Called every minute."""
        if not self._round.locked():
            self._background.spawn(self.look_after())

    async def look_after(self) -> None:
        """Try again what is due; one failure a host and round."""
        async with self._round:
            await self._look()

    async def _look(self) -> None:
        now, silent = self._clock.now(), set[int]()
        for left in [left for left in self._left.values() if left.due <= now]:
            if left.device_id in silent:
                continue
            access = await self._hosts.access(left.device_id)
            wanted = access is not None and access.delete_after and now - left.since <= _LONGEST_S
            if access is None or not wanted or await self._deleted(access, left):
                await self._drop(left)
            else:
                silent.add(left.device_id)
                pause = min(_LONGEST_RETRY_S, 2 * left.pause)
                await self._keep(msgspec.structs.replace(left, due=now + pause, pause=pause))

    async def _deleted(self, access: HostAccess, left: _Left) -> bool:
        """Try it. Returns whether it is gone."""
        if self._fetcher is None:
            return False
        try:
            await self._fetcher.remove(access, left.path, left.mark)
        except FetchFailed as error:
            log.warning("not_deleted_on_host", device=left.device_id, path=left.path[:200], reason=error.reason)
            return False
        return True

    async def _keep(self, left: _Left) -> None:
        self._left[left.key] = left
        await self._state.put({left.key: msgspec.json.encode(left)})

    async def _drop(self, left: _Left) -> None:
        self._left.pop(left.key, None)
        await self._state.delete([left.key])
