"""Previews of a gallery, answered from memory before a request becomes one of the application.

A gallery asks for hundreds of small pictures at once, and for the same ones at every visit. What the usual road
answered is kept here; the listener asks for it as soon as it has read the head of a request. Whatever is not a plain
GET of a picture that was served a while ago takes the usual road.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from starlette.types import Message, Send

from wayframe.model import MediaFile
from wayframe.services import MediaStore

from .file_response import FileResponse
from .observing import RequestMetrics, shortened

log = structlog.get_logger("wayframe.http")
_levels = logging.getLogger("wayframe.http")
"""Asked first: a line that nobody wants costs as much as the rest of the answer."""

REQUEST_ID = b"x-request-id"
_MOST_BYTES = 32 << 20
_OTHER_ROAD = frozenset(
    (
        b"range", b"if-range", b"if-none-match", b"if-modified-since",  # they ask for another answer
        b"content-length", b"transfer-encoding", b"expect", b"upgrade",  # a body follows, or another protocol
        REQUEST_ID, b"x-flespi-trace",  # they are to be found in the log
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PreviewResponse(FileResponse):
    """The preview of a file."""

    file: MediaFile | None = None
    """Its row."""


@dataclass(frozen=True, slots=True)
class _Kept:
    uuid: str
    file: MediaFile
    """The row it was made from: the answer is good for as long as this is the row."""
    head: bytes
    """Header lines, up to the value of the request id, which is the last."""
    body: bytes


class HotPreviews:
    """Answers to `GET /media/{uuid}?preview=jpeg` of shared files."""

    def __init__(self, media: MediaStore, metrics: RequestMetrics, most_bytes: int = _MOST_BYTES) -> None:
        self._media = media
        self._most_bytes = most_bytes
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._bytes = 0
        self._count = metrics.counter("GET", "/media/{uuid}", "200")

    def answer(self, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
        """What follows the status line of a 200 to this GET, or None: the application is to answer.

        Args:
            target: path and query as they were sent.
            headers: names in lower case, and values.
        """
        kept = self._kept.get(target)
        if kept is None:
            return None
        started = time.monotonic()
        if self._media.recall(kept.uuid) is not kept.file:  # changed, deleted, or too long ago to tell
            self._drop(target)
            return None
        if not _OTHER_ROAD.isdisjoint([name for name, _ in headers]):
            return None
        self._kept.move_to_end(target)
        request_id = uuid.uuid4().hex
        self._count(time.monotonic() - started, len(kept.body))
        if _levels.isEnabledFor(logging.DEBUG):
            path = shortened(target.decode("latin-1"))
            log.debug("request", method="GET", path=path, status=200, bytes=len(kept.body), request_id=request_id)
        return b"".join((kept.head, request_id.encode(), b"\r\n\r\n", kept.body))

    def keeping(self, response: PreviewResponse, send: Send) -> Send:
        """`send`, and what goes through it is kept if it is the whole picture of a shared file."""
        file = response.file
        if file is None or not file.shared:
            return send
        start: Message = {}

        async def sending(message: Message) -> None:
            nonlocal start
            await send(message)
            if message["type"] == "http.response.start":
                start = message
            elif start["status"] == 200 and message["body"] and not message.get("more_body", False):
                self._keep(file, start["headers"], message["body"])

        return sending

    def _keep(self, file: MediaFile, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        lines = b"".join(b"%b: %b\r\n" % (name, value) for name, value in headers if name != REQUEST_ID)
        target = b"/media/%b?preview=jpeg" % file.uuid.encode()
        self._drop(target)
        self._kept[target] = _Kept(file.uuid, file, b"%b%b: " % (lines, REQUEST_ID), body)
        self._bytes += len(body)
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, target: bytes) -> None:
        kept = self._kept.pop(target, None)
        if kept is not None:
            self._bytes -= len(kept.body)
