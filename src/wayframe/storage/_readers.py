"""Questions to an SQLite file, each in one turn of a thread: what the event loop pays for a read is one hop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine

T = TypeVar("T")


class Readers:
    """A few threads, and as many connections, that stay open."""

    def __init__(self, engine: Engine, count: int) -> None:
        """`engine`: its connections must be fit for any thread, and their number unlimited."""
        self._engine = engine
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="read")
        self._turns = asyncio.Semaphore(count)
        self._free: deque[Connection] = deque()

    async def ask(self, question: Callable[[Connection], T], wait_s: float) -> T:
        """What the question finds, inside one transaction. Raises TimeoutError without a turn within `wait_s`."""
        if self._turns.locked():
            async with asyncio.timeout(wait_s):
                await self._turns.acquire()
        else:
            await self._turns.acquire()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, question)
        finally:
            self._turns.release()

    def _answer(self, question: Callable[[Connection], T]) -> T:
        try:
            connection = self._free.pop()
        except IndexError:
            connection = self._engine.connect()
        try:
            with connection.begin():
                return question(connection)
        finally:
            self._free.append(connection)

    async def close(self) -> None:
        """Let questions that are under way end, and close the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        while self._free:
            self._free.pop().close()
        self._engine.dispose()
