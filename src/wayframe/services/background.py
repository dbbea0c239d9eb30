"""Work beside the caller: every task has an owner that awaits it, and no failure goes unseen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Background:
    """Tasks of one owner."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something; a failure is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background_task_failed", owner=self._owner, exc_info=error)

    async def settle(self, timeout_s: float) -> None:
        """Wait for what runs; cancel what takes longer."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(list(self._tasks), timeout=timeout_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1)


async def start_when_due(start: Callable[[], None], wanted: asyncio.Event, tick_s: float) -> None:
    """Call `start`, which starts what is due, whenever `wanted` is set and every `tick_s` seconds; until cancelled."""
    while True:
        wanted.clear()
        start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(tick_s):
                await wanted.wait()


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for their ends, whatever these are."""
    ended = list(tasks)
    for task in ended:
        task.cancel()
    await asyncio.gather(*ended, return_exceptions=True)
