"""Viewers of HTTP-FLV: each has a bounded queue that falls back to the next key frame when it overflows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

QUEUE_BYTES = 4 * 1024 * 1024
IDLE_S = 60.0


class FlvViewer:
    """One viewer: an asynchronous iterator of bytes, ended by the stream, by `close`, or by IDLE_S of silence."""

    def __init__(self, leave: Callable[[FlvViewer], None], queue_bytes: int = QUEUE_BYTES) -> None:
        self._leave = leave
        self._limit = queue_bytes
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._wake = asyncio.Event()
        self._ended = False
        self.started = False
        """Whether the header was sent."""
        self.audio = False
        """Whether the header promised sound."""
        self.waits_for_key = False
        """True after an overflow, until the next key frame."""
        self.overflows = 0
        """How often the queue was dropped."""

    def start(self, head: list[bytes], audio: bool) -> None:
        """Send header, configuration and the cached pictures."""
        self.started, self.audio = True, audio
        for item in head:
            self._append(item)

    def video(self, tag: bytes, key: bool, config: bytes) -> None:
        """Queue a picture; `config` is the sequence header to repeat after an overflow."""
        if self.waits_for_key:
            if not key:
                return
            self.waits_for_key = False
            self._append(config)
        if self._queued + len(tag) > self._limit:
            self._overflow()
            return
        self._append(tag)

    def other(self, tag: bytes) -> None:
        """Queue sound or a new configuration; left out while waiting for a key frame."""
        if self.waits_for_key:
            return
        if self._queued + len(tag) > self._limit:
            self._overflow()
            return
        self._append(tag)

    def end(self) -> None:
        """No more bytes; what is queued is still delivered."""
        self._ended = True
        self._wake.set()

    def close(self) -> None:
        """The viewer went away."""
        self._queue.clear()
        self.end()
        self._leave(self)

    def __aiter__(self) -> FlvViewer:
        return self

    async def __anext__(self) -> bytes:
        while not self._queue:
            if self._ended:
                raise StopAsyncIteration
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), IDLE_S)
            except TimeoutError:
                self.close()
        data = b"".join(self._queue)
        self._queue.clear()
        self._queued = 0
        return data

    def _overflow(self) -> None:
        self._queue.clear()
        self._queued = 0
        self.overflows += 1
        self.waits_for_key = True

    def _append(self, item: bytes) -> None:
        self._queue.append(item)
        self._queued += len(item)
        self._wake.set()
