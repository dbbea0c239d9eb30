"""Worker processes as the server sees them: one process, a pool for jobs, a host for live sessions."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from . import _pipes
from .errors import MediaUnavailable, UnreadableMedia, WorkerFailed, WorkersBusy

Answer = tuple[dict[str, Any], bytes]

# Hostile media may take a worker over: it gets no secrets from the server's environment.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "HOME", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_IDLE_S = 120.0
_QUICK_DEATH_S = 10.0
_QUICK_DEATHS = 3
_STOP_S = 5.0


class WorkerProcess:
    """One running worker process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        if process.stdin is None or process.stdout is None:
            raise WorkerFailed("worker process started without pipes")
        self._stdin, self._stdout = process.stdin, process.stdout

    @classmethod
    async def start(cls, memory_bytes: int, niceness: int) -> WorkerProcess:
        """Start one. Raises OSError when the system cannot."""
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        # Every further malloc arena reserves 64 MiB of the address space that RLIMIT_AS counts.
        environment["MALLOC_ARENA_MAX"] = "2"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "wayframe.media._worker", str(memory_bytes), str(niceness),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment,
            start_new_session=True,
        )  # fmt: skip
        return cls(process)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False once the process was seen to have ended."""
        return self._process.returncode is None

    @property
    def unsent(self) -> int:
        """Bytes waiting to be taken by the process."""
        return self._stdin.transport.get_write_buffer_size()

    def send(self, message: dict[str, Any], blob: bytes = b"") -> None:
        """Queue a message; the caller bounds the queue by looking at `unsent`."""
        self._stdin.write(_pipes.pack(message, blob))

    async def ask(self, message: dict[str, Any], blob: bytes) -> Answer:
        """Send a message and wait for the answer. Raises WorkerFailed."""
        try:
            self.send(message, blob)
            await self._stdin.drain()
        except (ConnectionError, RuntimeError) as error:
            raise WorkerFailed("the worker process died before it took the job") from error
        return await self.receive()

    async def receive(self) -> Answer:
        """The next message. Raises WorkerFailed when the process ended or talks nonsense."""
        try:
            text_size, blob_size = _pipes.lengths(await self._stdout.readexactly(_pipes.HEAD.size))
            body = await self._stdout.readexactly(text_size + blob_size)
            return _pipes.unpack(body[:text_size]), body[text_size:]
        except (asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
            raise WorkerFailed("the worker process died while reading this media") from error

    async def kill(self) -> None:
        """End the process and wait for its end."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._stdin.close()
        await asyncio.wait_for(self._process.wait(), _STOP_S)


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    arguments: dict[str, Any]
    blob: bytes
    limit_s: float
    answer: asyncio.Future[Answer]


class JobPool:
    """A few worker processes behind one bounded queue; processes start when needed and go when idle."""

    def __init__(self, size: int, queue: int, memory_bytes: int, niceness: int) -> None:
        self._size, self._memory, self._niceness = size, memory_bytes, niceness
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(queue)
        self._tasks: list[asyncio.Task[None]] = []
        self.pids: set[int] = set()
        """Process ids now running."""

    def start(self) -> None:
        """Begin to take jobs."""
        self._tasks = [asyncio.create_task(self._serve()) for _ in range(self._size)]

    async def stop(self) -> None:
        """End all processes; waiting jobs fail."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        while not self._queue.empty():
            _fail(self._queue.get_nowait(), MediaUnavailable("the media workers were stopped"))

    async def run(self, name: str, arguments: dict[str, Any], blob: bytes, limit_s: float) -> Answer:
        """Do one job. Raises UnreadableMedia, WorkerFailed, WorkersBusy or MediaUnavailable."""
        if not self._tasks:
            raise MediaUnavailable("the media workers are not running")
        job = _Job(name, arguments, blob, limit_s, asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(job)
        except asyncio.QueueFull:
            raise WorkersBusy(f"{self._queue.maxsize} media jobs are waiting already; try again later") from None
        return await job.answer

    async def _serve(self) -> None:
        process: WorkerProcess | None = None
        try:
            while True:
                try:
                    job = await asyncio.wait_for(self._queue.get(), _IDLE_S)
                except TimeoutError:
                    await self._end(process)
                    process = None
                    continue
                if not job.answer.cancelled():
                    process = await self._do(process, job)
        finally:
            await self._end(process)

    async def _do(self, process: WorkerProcess | None, job: _Job) -> WorkerProcess | None:
        """Run one job; returns the process when it can take another."""
        try:
            if process is None or not process.alive:
                await self._end(process)
                process = await WorkerProcess.start(self._memory, self._niceness)
                self.pids.add(process.pid)
            message = {"id": 0, "job": job.name, "arguments": job.arguments, "limit_s": job.limit_s}
            answer, blob = await asyncio.wait_for(process.ask(message, job.blob), job.limit_s)
        except TimeoutError:
            _fail(job, WorkerFailed(f"{job.name} took longer than its limit of {job.limit_s:g} s"))
            await self._end(process)
            return None
        except (WorkerFailed, OSError, ValueError) as error:
            _fail(job, error if isinstance(error, WorkerFailed) else WorkerFailed(str(error)))
            await self._end(process)
            return None
        except asyncio.CancelledError:
            _fail(job, MediaUnavailable("the media workers were stopped"))
            await self._end(process)
            raise
        if "error" in answer:
            _fail(job, UnreadableMedia(f"unreadable media: {answer['error']}"))
        elif not job.answer.done():
            job.answer.set_result((answer["ok"], blob))
        return process

    async def _end(self, process: WorkerProcess | None) -> None:
        if process is not None:
            await process.kill()
            self.pids.discard(process.pid)


def _fail(job: _Job, error: Exception) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)


class Session:
    """One live conversion; `workers` gives it a typed face."""

    def __init__(
        self, number: int, opening: dict[str, Any], on_event: Callable[[dict[str, Any], bytes], None],
        on_end: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.number, self.opening, self.on_event, self.on_end = number, opening, on_event, on_end
        self.generation = 0
        """Rises whenever the process that had the session died: the next decoder starts empty."""
        self.waiting: list[tuple[dict[str, Any], bytes]] = []
        """What was sent while the process was starting."""
        self.waiting_bytes = 0


class SessionHost:
    """One worker process for live sessions, started with the first, ended with the last, replaced when it dies."""

    def __init__(self, memory_bytes: int, niceness: int) -> None:
        self._memory, self._niceness = memory_bytes, niceness
        self._sessions: dict[int, Session] = {}
        self._next_number = 1
        self._process: WorkerProcess | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id, when one runs."""
        return self._process.pid if self._process is not None else None

    def open(
        self, opening: dict[str, Any], on_event: Callable[[dict[str, Any], bytes], None],
        on_end: Callable[[str], None],
    ) -> Session:  # fmt: skip
        """Add a session; `opening` goes to every process that takes it over."""
        session = Session(self._next_number, opening, on_event, on_end)
        self._next_number += 1
        self._sessions[session.number] = session
        if self._process is not None:
            self._open_in(self._process, session)
        elif self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return session

    async def close(self, session: Session) -> None:
        """End a session, and the process after the last one."""
        if self._sessions.pop(session.number, None) is None:
            return
        if not self._sessions:
            await self.stop()
        elif self._process is not None:
            self._process.send({"session": session.number, "do": "close"})

    def send(self, session: Session, message: dict[str, Any], blob: bytes, limit: int) -> bool:
        """Hand `blob` to the process, or keep it while that starts; False when more than `limit` bytes wait."""
        process = self._process
        unsent = session.waiting_bytes if process is None else process.unsent
        if session.number not in self._sessions or unsent > limit:
            return False
        message = {"session": session.number, "do": "push", **message}
        if process is None:
            session.waiting.append((message, blob))
            session.waiting_bytes += len(blob)
        else:
            process.send(message, blob)
        return True

    async def stop(self) -> None:
        """End the process and forget all sessions."""
        self._sessions.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @staticmethod
    def _open_in(process: WorkerProcess, session: Session) -> None:
        process.send({"session": session.number, "do": "open", **session.opening})
        for message, blob in session.waiting:
            process.send(message, blob)
        session.waiting, session.waiting_bytes = [], 0

    async def _run(self) -> None:
        deaths = 0
        while self._sessions:
            started = time.monotonic()
            try:
                await self._serve_one_process()
            except (WorkerFailed, OSError):
                deaths = deaths + 1 if time.monotonic() - started < _QUICK_DEATH_S else 1
            if deaths >= _QUICK_DEATHS:
                self._give_up("the converter died several times in a row; this stream cannot be converted")

    async def _serve_one_process(self) -> None:
        process = await WorkerProcess.start(self._memory, self._niceness)
        try:
            self._process = process
            for session in self._sessions.values():
                self._open_in(process, session)
            while True:
                message, blob = await process.receive()
                self._dispatch(message, blob)
        finally:
            self._process = None
            for session in self._sessions.values():
                session.generation += 1
            await process.kill()

    def _dispatch(self, message: dict[str, Any], blob: bytes) -> None:
        session = self._sessions.get(int(message.get("session", 0)))
        if session is None:
            return
        if message.get("event") == "failed":
            del self._sessions[session.number]
            session.on_end(str(message.get("reason", "unknown")))
        else:
            session.on_event(message, blob)

    def _give_up(self, reason: str) -> None:
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.on_end(reason)
