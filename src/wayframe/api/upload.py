"""Uploads: multipart parts go from the socket to the blob store as they come; memory stays the same for any size."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from multipart import (
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)
from starlette.requests import Request

from wayframe.model import BadRequest, Json, TooLarge
from wayframe.rest import Answer, Call, decode
from wayframe.services.media import MediaStore
from wayframe.services.media_files import Upload

from .asgi import SlowBody, body_pieces, declared_length
from .digests import BodyDigest
from .settings import DoorSettings

_MAX_DATA = 1 << 20
_OVERHEAD = 2048
"""What boundaries, part headers and a short `data` part take of a body, at least roughly."""
_SLACK = 2 << 20
"""What a body may be longer than its file."""
_GRACE_S = 60.0
_MAX_PARTS = 8


async def receive_upload(request: Request, call: Call, settings: DoorSettings) -> Answer:
    """Take a file in. Whatever goes wrong, nothing of it stays.

    Raises BadRequest for broken multipart or `data`, TooLarge, StorageFull, SlowBody, ClientDisconnect.
    """
    media = call.services.media
    entries = await call.entries()
    if not entries:
        return Answer([])
    declared = declared_length(request)
    expected = None if declared is None else max(1, declared - _OVERHEAD)
    upload = await media.begin_upload(entries, expected, call.caller.said())
    try:
        parts = _Parts(media, upload)
        await read_form(request, settings, upload.limit + _SLACK, parts)
        if "file" not in parts.seen:
            raise BadRequest("the part `file` is missing")
        return Answer(list(await media.finish_upload(upload, parts.name, parts.data)))
    finally:
        await upload.writer.abandon()  # no harm once it is committed


class Parts(Protocol):
    """Takes the parts of a form as they come."""

    def begin(self, segment: MultipartSegment) -> None:
        """A part begins. Raises BadRequest for one that is not wanted."""

    async def take(self, piece: bytes) -> None:
        """The next bytes of the part that began last."""

    async def end(self) -> None:
        """The part that began last is whole."""


async def read_form(
    request: Request, settings: DoorSettings, limit: int, parts: Parts, digest: BodyDigest | None = None
) -> None:
    """Read a multipart body part by part, without holding it. `digest` hears all of it.

    Raises BadRequest for what is no form, TooLarge beyond `limit` bytes, SlowBody, ClientDisconnect, and what `parts`
    raises.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary: str = options.get("boundary", "")
    if kind != "multipart/form-data" or not boundary:
        raise BadRequest("send multipart/form-data, with a boundary")
    declared = declared_length(request)
    try:
        parser = PushMultipartParser(boundary, -1 if declared is None else declared, max_segment_count=_MAX_PARTS)
        total = 0
        async for piece in paced(request, settings):
            total += len(piece)
            if total > limit:
                raise TooLarge(f"the upload is larger than {limit} bytes, the most this store takes")
            if digest is not None:
                digest.update(piece)
            for event in parser.parse(piece):
                if isinstance(event, MultipartSegment):
                    parts.begin(event)
                elif event is not None:
                    await parts.take(bytes(event))
                else:
                    await parts.end()
        parser.close()
    except MultipartError as error:
        raise BadRequest(f"the multipart body is broken: {error}") from None


async def paced(request: Request, settings: DoorSettings) -> AsyncIterator[bytes]:
    """The body, as long as it comes on: no long silence, and no trickle either."""
    started, size = time.monotonic(), 0
    async for piece in body_pieces(request, settings.body_idle_s):
        size += len(piece)
        overtime = time.monotonic() - started - _GRACE_S
        if overtime > 0 and size < overtime * settings.upload_least_rate:
            raise SlowBody(f"the upload brings less than {settings.upload_least_rate} bytes a second")
        yield piece


@dataclass(slots=True)
class _Parts:
    """The two parts of an upload, in either order."""

    media: MediaStore
    upload: Upload
    name: str = ""
    data: Json = None
    seen: list[str] = field(default_factory=list)
    _text: bytearray = field(default_factory=bytearray)

    def begin(self, segment: MultipartSegment) -> None:
        if segment.name not in ("file", "data"):
            raise BadRequest(f"unknown part {segment.name[:100]!r}; the parts are `file` and `data`")
        if segment.name in self.seen:
            raise BadRequest(f"the part `{segment.name}` comes twice; send one file a request")
        self.seen.append(segment.name)
        if segment.name == "file":
            self.name = segment.filename or ""

    async def take(self, piece: bytes) -> None:
        if self.seen[-1] == "file":
            await self.upload.write(piece)
            return
        self._text += piece
        if len(self._text) > _MAX_DATA:
            raise TooLarge(f"the part `data` is larger than {_MAX_DATA} bytes")

    async def end(self) -> None:
        if self.seen[-1] == "data" and self._text.strip():
            # Read before the file where it comes first, so that a wrong one is refused before gigabytes follow.
            self.data = decode(bytes(self._text), "data")
