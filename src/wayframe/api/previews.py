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
from starlette.types import Message, Scope, Send

from wayframe.model import MediaFile
from wayframe.services import MediaStore

from .file_response import FileResponse
from .observing import RequestMetrics, shortened
from .ranges import not_modified

log = structlog.get_logger("wayframe.http")
_levels = logging.getLogger("wayframe.http")
"""Asked first: a line that nobody wants costs as much as the rest of the answer."""

REQUEST_ID = b"x-request-id"
_MOST_BYTES = 32 << 20
_OTHER_ROAD = frozenset(
    (
        b"range", b"if-range", b"if-modified-since",  # they ask for another answer
        b"content-length", b"transfer-encoding", b"expect", b"upgrade",  # a body follows, or another protocol
        REQUEST_ID, b"x-flespi-trace",  # they are to be found in the log
    )
)  # fmt: skip


_IF_NONE_MATCH = b"if-none-match"
_OF_A_BODY = (b"content-type", b"content-length")
_OK = b"HTTP/1.1 200 OK\r\n"
_NOT_MODIFIED = b"HTTP/1.1 304 Not Modified\r\n"
_REQUEST_LINE = REQUEST_ID + b": %b\r\n\r\n"

Headers = Iterable[tuple[bytes, bytes]]


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
    etag: str
    head: bytes
    """Header lines of a 200."""
    unchanged: bytes
    """Header lines of a 304."""
    body: bytes


class HotPreviews:
    """Answers to `GET /media/{uuid}?preview=jpeg` of shared files."""

    def __init__(self, media: MediaStore, metrics: RequestMetrics, most_bytes: int = _MOST_BYTES) -> None:
        self._media = media
        self._most_bytes = most_bytes
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._bytes = 0
        self._count = metrics.counter("GET", "/media/{uuid}", "200")
        self._count_unchanged = metrics.counter("GET", "/media/{uuid}", "304")

    def answer(self, target: bytes, headers: Headers, always: Headers) -> bytes | None:
        """The whole answer to this GET, or None: the application is to give it.

        Args:
            target: path and query as they were sent.
            headers: names in lower case, and values.
            always: headers that every answer carries.
        """
        kept = self._kept.get(target)
        if kept is None:
            return None
        started = time.monotonic()
        if self._media.recall(kept.uuid) is not kept.file:  # changed, deleted, or too long ago to tell
            self._drop(target)
            return None
        names = [name for name, _ in headers]
        if not _OTHER_ROAD.isdisjoint(names):
            return None
        self._kept.move_to_end(target)
        status, first, head, body, count = 200, _OK, kept.head, kept.body, self._count
        if _IF_NONE_MATCH in names:
            tags = next(value for name, value in headers if name == _IF_NONE_MATCH)
            if not_modified({"if-none-match": tags.decode("latin-1")}, kept.etag, 0):
                status, first, head, body, count = 304, _NOT_MODIFIED, kept.unchanged, b"", self._count_unchanged
        request_id = uuid.uuid4().hex
        count(time.monotonic() - started, len(body))
        if _levels.isEnabledFor(logging.DEBUG):
            path = shortened(target.decode("latin-1"))
            log.debug("request", method="GET", path=path, status=status, bytes=len(body), request_id=request_id)
        return b"".join((first, _lines(always), head, _REQUEST_LINE % request_id.encode(), body))

    def keeping(self, response: PreviewResponse, scope: Scope, send: Send) -> Send:
        """`send`, and what goes through it is kept: the whole picture of a shared file, asked for by its link."""
        file = response.file
        if file is None or not file.shared or scope["raw_path"] + b"?" + scope["query_string"] != _target(file):
            return send
        start: Message = {}

        async def sending(message: Message) -> None:
            nonlocal start
            await send(message)
            if message["type"] == "http.response.start":
                start = message
            elif start["status"] == 200 and message["body"] and not message.get("more_body", False):
                self._keep(response.etag, file, start["headers"], message["body"])

        return sending

    def _keep(self, etag: str, file: MediaFile, headers: Headers, body: bytes) -> None:
        same = [(name, value) for name, value in headers if name != REQUEST_ID]
        unchanged = [(name, value) for name, value in same if name not in _OF_A_BODY]
        target = _target(file)
        self._drop(target)
        self._kept[target] = _Kept(file.uuid, file, etag, _lines(same), _lines(unchanged), body)
        self._bytes += len(body)
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, target: bytes) -> None:
        kept = self._kept.pop(target, None)
        if kept is not None:
            self._bytes -= len(kept.body)


def _target(file: MediaFile) -> bytes:
    return b"/media/%b?preview=jpeg" % file.uuid.encode()


def _lines(headers: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])
