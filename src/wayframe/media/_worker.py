"""The worker process: reads jobs from its standard input, answers on its standard output, one after another.

Started by `workers` as ``python -m wayframe.media._worker <memory bytes> <niceness>``. Only here and in the
modules imported from here is PyAV used, and each imports it inside, so that photo previews work without it.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from typing import Any, BinaryIO

from . import _pipes
from ._worker_files import FILE_JOBS
from ._worker_streams import StreamSessions

_GRACE_S = 5


def _read_exactly(source: BinaryIO, size: int) -> bytes | None:
    data = source.read(size)
    return data if len(data) == size else None


def _read(source: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next message, or None when the server closed the pipe."""
    head = _read_exactly(source, _pipes.HEAD.size)
    if head is None:
        return None
    text_size, blob_size = _pipes.lengths(head)
    body = _read_exactly(source, text_size + blob_size)
    return None if body is None else (_pipes.unpack(body[:text_size]), body[text_size:])


def _run_job(message: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
    # Should the server die while a job is stuck, the alarm's default action ends this process.
    signal.alarm(int(message["limit_s"]) + _GRACE_S)
    try:
        answer, data = FILE_JOBS[message["job"]](message["arguments"], blob)
        return {"ok": answer}, data
    except Exception as error:  # damaged media raise a dozen unrelated types (reference, section 2)
        return {"error": f"{type(error).__name__}: {error}"[:500]}, b""
    finally:
        signal.alarm(0)


def main() -> None:
    """Serve until standard input ends."""
    memory, niceness = int(sys.argv[1]), int(sys.argv[2])
    os.nice(niceness)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Libraries that print must not disturb the protocol: keep the pipe aside, send prints to standard error.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    source = sys.stdin.buffer

    def send(message: dict[str, Any], blob: bytes = b"") -> None:
        data = memoryview(_pipes.pack(message, blob))
        while data:
            data = data[answers.write(data) :]

    sessions = StreamSessions(send)
    while (received := _read(source)) is not None:
        message, blob = received
        if "session" in message:
            sessions.handle(message, blob)
        else:
            answer, data = _run_job(message, blob)
            send({"id": message["id"], **answer}, data)


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(0)
