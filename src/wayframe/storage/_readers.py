"""Questions to an SQLite file, each in one turn of a thread: what the event loop pays for a read is one hop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

T = TypeVar("T")

_Asked = tuple[Callable[[Connection], Any], asyncio.Future[Any]]


class Readers:
    """A few threads with a connection each, which stays open. An executor would cost as much as a small question."""

    def __init__(self, engine: Engine, count: int) -> None:
        """`engine`: makes as many connections as it is asked for."""
        self._engine = engine
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()
        self._turns = asyncio.Semaphore(count)
        self._threads = [Thread(target=self._serve, name=f"read-{number}", daemon=True) for number in range(count)]
        for thread in self._threads:
            thread.start()

    async def ask(self, question: Callable[[Connection], T], wait_s: float) -> T:
        """What the question finds, inside one transaction. Raises TimeoutError without a turn within `wait_s`."""
        if self._turns.locked():
            async with asyncio.timeout(wait_s):
                await self._turns.acquire()
        else:
            await self._turns.acquire()
        try:
            answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            self._asked.put((question, answer))
            return await answer
        finally:
            self._turns.release()

    def _serve(self) -> None:
        """A thread: answer until told that there is nothing more."""
        with contextlib.ExitStack() as stack:
            connection: Connection | None = None
            while (asked := self._asked.get()) is not None:
                question, answer = asked
                if answer.cancelled():
                    continue
                found, error = None, None
                try:
                    if connection is None:
                        connection = stack.enter_context(self._engine.connect())
                    with connection.begin():
                        found = question(connection)
                except BaseException as raised:  # it is the asker's, whatever it is
                    error = raised
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                    answer.get_loop().call_soon_threadsafe(_tell, answer, found, error)
                del asked, question, answer, found, error

    async def close(self) -> None:
        """Let questions that are under way end, and close the connections."""
        for _ in self._threads:
            self._asked.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._engine.dispose()


def _tell(answer: asyncio.Future[Any], found: Any, error: BaseException | None) -> None:
    if answer.cancelled():
        return
    if error is None:
        answer.set_result(found)
    else:
        answer.set_exception(error)
