"""Bytes that come to the gallery: by form, and by PUT to an upload link (gallery-api.md C8, C9)."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec
from multipart import MultipartSegment

from wayframe.model import BadRequest, Json, TooLarge
from wayframe.rest import Response, WrongMethod
from wayframe.rest.gallery_calls import GalleryCall, respond
from wayframe.services import gallery_shapes as shapes
from wayframe.services.gallery import MAX_THUMBNAIL, Described, Gallery, Stored
from wayframe.services.gallery_rooms import GalleryRooms
from wayframe.services.media_files import Upload
from wayframe.services.upload_links import Opened
from wayframe.storage import BlobWriter

from .asgi import declared_length
from .digests import BodyDigest, file_checksum
from .settings import DoorSettings
from .upload import paced, read_form
from .visit import Visit

_SLACK = 2 << 20
"""What a form may be longer than its files."""
_MAX_TEXT = shapes.MAX_METADATA + 1
_TEXTS = ("name", "media_type", "has_thumbnail", "metadata")
_FILES = ("event", "thumbnail")


class GalleryUploads:
    """Takes files in. Whatever goes wrong, nothing of them stays."""

    def __init__(self, rooms: GalleryRooms, settings: DoorSettings) -> None:
        self._rooms = rooms
        self._settings = settings

    # --- by form ------------------------------------------------------------------------------------------------

    async def form(self, visit: Visit, call: GalleryCall) -> Response:
        """POST upload, as a form whose parts come in any order. Raises WayframeError, ClientDisconnect."""
        gallery, headers = self._rooms.events, visit.asked.headers
        digest, checksum = BodyDigest(headers, is_file=False), file_checksum(headers)
        async with self._rooms.keys.holding(call.entry.id, _key(visit)) as key:
            upload = await gallery.begin(call.entry, declared_length(visit.request), call.caller.said())
            parts = _EventParts(gallery, upload, hashed=bool(key.key))
            try:
                await read_form(visit.request, self._settings, upload.limit + MAX_THUMBNAIL + _SLACK, parts, digest)
                visit.body_read = True
                digest.check()
                told = parts.described(checksum)
                if (answer := await key.known(parts.fingerprint())) is not None:
                    return _answered(answer)
                thumbnail = await gallery.thumbnail(parts.picture) if parts.picture and parts.picture.size else ""
                stored = await gallery.finish(call.entry, upload, told, thumbnail=thumbnail)
            finally:
                await upload.writer.abandon()
                if parts.picture is not None:
                    await parts.picture.abandon()
            answer = _stored(stored, duplicate=stored.duplicate and not key.begun_before)
            await key.keep(answer)
        return _answered(answer)

    async def registration(
        self, visit: Visit, call: GalleryCall, answer: Callable[[], Awaitable[Response]]
    ) -> Response:
        """POST upload, as JSON without a file; `answer` notes it."""
        async with self._rooms.keys.holding(call.entry.id, _key(visit)) as key:
            known = await key.known(hashlib.sha256(call.request.body).hexdigest())
            if known is not None:
                return _answered(known)
            response = await answer()
            await key.keep({"body": msgspec.json.decode(response.body), "etag": ""})
        return response

    # --- by link ------------------------------------------------------------------------------------------------

    async def put(self, visit: Visit, link: str) -> Response:
        """PUT of raw bytes to an upload link; the link is all the right there is. Raises WayframeError,
        ClientDisconnect."""
        if visit.asked.method != "PUT":
            raise WrongMethod(visit.asked.method, ["PUT"])
        opened = await self._rooms.links.open(link)
        digest = BodyDigest(visit.asked.headers, is_file=True)
        declared = declared_length(visit.request)
        if declared is not None and declared > opened.max_size:
            raise TooLarge(f"the body has {declared} bytes, this link takes {opened.max_size}")
        if opened.thumbnail:
            return await self._put_thumbnail(visit, opened, digest)
        if opened.event.file_uuid:
            return await self._put_again(visit, opened, digest)
        by = {**opened.by, "host": visit.asked.source}
        upload = await self._rooms.events.begin(opened.entry, declared, by)
        upload.limit = min(upload.limit, opened.max_size)
        try:
            async for piece in paced(visit.request, self._settings):
                digest.update(piece)
                await upload.write(piece)
            visit.body_read = True
            digest.check()
            stored = await self._rooms.links.finish(opened, upload)
        finally:
            await upload.writer.abandon()
        return _answered(_stored(stored, duplicate=stored.duplicate))

    async def _put_again(self, visit: Visit, opened: Opened, digest: BodyDigest) -> Response:
        """The link was used: the same bytes again are answered alike, and nothing is stored."""
        found, size = hashlib.sha256(), 0
        async for piece in paced(visit.request, self._settings):
            size += len(piece)
            if size > opened.max_size:
                raise TooLarge(f"the body is larger than {opened.max_size} bytes, the most this link takes")
            digest.update(piece)
            found.update(piece)
        visit.body_read = True
        digest.check()
        stored = await self._rooms.links.repeat(opened, found.hexdigest())
        return _answered(_stored(stored, duplicate=stored.duplicate))

    async def _put_thumbnail(self, visit: Visit, opened: Opened, digest: BodyDigest) -> Response:
        writer = await self._rooms.events.begin_thumbnail()
        try:
            async for piece in paced(visit.request, self._settings):
                if writer.size + len(piece) > opened.max_size:
                    raise TooLarge(f"the thumbnail is larger than {opened.max_size} bytes")
                digest.update(piece)
                writer.write(piece)
                await writer.drain()
            visit.body_read = True
            digest.check()
            event = await self._rooms.links.finish_thumbnail(opened, writer)
        finally:
            await writer.abandon()
        return respond({"success": True, "eventId": event.id, "event_id": event.id})


def _key(visit: Visit) -> str:
    return visit.asked.headers.get("idempotency-key", "").strip()


def _stored(stored: Stored, *, duplicate: bool) -> dict[str, Json]:
    """The answer to a file that is here, in the form that is kept with a key."""
    body: dict[str, Json] = {"success": True, "eventId": stored.event.id, "event_id": stored.event.id}
    return {"body": body | ({"duplicate": True} if duplicate else {}), "etag": f'"{stored.file.source_sha256}"'}


def _answered(answer: Json) -> Response:
    return respond(answer["body"], headers={"ETag": answer["etag"]} if answer["etag"] else {})


@dataclass(slots=True)
class _EventParts:
    """The parts of an upload form (A3)."""

    gallery: Gallery
    upload: Upload
    hashed: bool
    """Whether its fingerprint is wanted."""
    texts: dict[str, str] = field(default_factory=dict)
    filename: str = ""
    picture: BlobWriter | None = None
    _seen: list[str] = field(default_factory=list)
    _text: bytearray = field(default_factory=bytearray)
    _hashes: dict[str, hashlib._Hash] = field(default_factory=dict)

    def begin(self, segment: MultipartSegment) -> None:
        if segment.name not in _TEXTS + _FILES:
            known = ", ".join(_TEXTS + _FILES)
            raise BadRequest(f"unknown part {segment.name[:100]!r}; the parts are {known}")
        if segment.name in self._seen:
            raise BadRequest(f"the part `{segment.name}` comes twice")
        self._seen.append(segment.name)
        self._text.clear()
        if segment.name == "event":
            self.filename = segment.filename or ""

    async def take(self, piece: bytes) -> None:
        part = self._seen[-1]
        if self.hashed:
            self._hashes.setdefault(part, hashlib.sha256()).update(piece)
        if part == "event":
            await self.upload.write(piece)
        elif part == "thumbnail":
            self.picture = self.picture or await self.gallery.begin_thumbnail()
            if self.picture.size + len(piece) > MAX_THUMBNAIL:
                raise TooLarge(f"the part `thumbnail` is larger than {MAX_THUMBNAIL} bytes")
            self.picture.write(piece)
            await self.picture.drain()
        else:
            self._text += piece
            if len(self._text) > _MAX_TEXT:
                raise BadRequest(f"the part `{part}` is larger than {shapes.MAX_METADATA} bytes")

    async def end(self) -> None:
        part = self._seen[-1]
        if part in _TEXTS:
            self.texts[part] = self._text.decode(errors="replace")
            self._check(part)

    def _check(self, part: str) -> None:
        """Refuse a wrong text before gigabytes follow."""
        if part == "metadata":
            shapes.declared(shapes.metadata(self.texts[part]))
        elif part == "media_type":
            shapes.media_type(self.texts[part])

    def described(self, sha256: str) -> Described:
        """What was told of the file. Raises BadRequest where a part is missing."""
        if "event" not in self._seen:
            raise BadRequest("the part `event` is missing: the media file")
        name = self.texts.get("name", "").strip() or self.filename
        if not name:
            raise BadRequest("the part `name` is missing: the file name of the event")
        return Described(
            name=name,
            media_type=shapes.media_type(self.texts.get("media_type")),
            metadata=shapes.metadata(self.texts.get("metadata", "")),
            sha256=sha256,
        )

    def fingerprint(self) -> str:
        """The same for the same parts, in whatever order and with whatever boundary they came."""
        parts = sorted((name, found.hexdigest()) for name, found in self._hashes.items())
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
