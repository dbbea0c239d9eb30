"""Files on their way into the media store: what is said of them, what they are called, and what they turn out to be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from wayframe.media import Kind, Sniffed, sniff
from wayframe.model import BadRequest, Json, MediaFile, TooLarge
from wayframe.model.gallery import GalleryEvent
from wayframe.storage import BlobWriter

from .entries import Entry

_UNSAFE_IN_NAME = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TACHO_EXTENSIONS = frozenset({"ddd", "v1b", "v2b", "c1b", "c2b", "tgd", "esm"})


class UploadData(Struct, kw_only=True):
    """The `data` part of an upload (rest-api.md 8.3)."""

    type: str | UnsetType = UNSET
    meta: dict[str, Any] = {}
    params: dict[str, Any] = {}
    message_params: dict[str, Any] = {}


class MediaChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What PUT may change of a file (rest-api.md 8.4)."""

    protected: bool | UnsetType = UNSET
    shared: bool | UnsetType = UNSET
    name: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET
    params: dict[str, Any] | UnsetType = UNSET


@dataclass(slots=True)
class Upload:
    """A file on its way in. Bytes beyond `limit` raise `TooLarge`."""

    entries: Sequence[Entry]
    """Devices it is for."""
    writer: BlobWriter
    """Where the bytes go."""
    limit: int
    """Most bytes this file may have."""
    by: Mapping[str, Json] | None
    """Who sends it, for the log record (`Caller.said`)."""
    head: bytes = b""
    """The first bytes, to tell what it is."""

    async def write(self, data: bytes) -> None:
        """Take the next bytes."""
        if self.writer.size + len(data) > self.limit:
            raise TooLarge(f"the file is larger than {self.limit} bytes, the most this store takes")
        if len(self.head) < 4096:
            self.head += data[: 4096 - len(self.head)]
        self.writer.write(data)
        await self.writer.drain()


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to store: what is known of it when its bytes are durable."""

    name: str
    kind: str
    """`video`, `image`, `audio`, `tacho` or `other`."""
    mime: str
    created: float
    channel: int = 0
    """Camera channel, 0 for none."""
    channel_id: int = 0
    meta: Mapping[str, Json] | None = None
    params: Mapping[str, Json] | None = None
    message_params: Mapping[str, Json] | None = None
    command_id: int = 0
    event: GalleryEvent | None = None
    """The gallery event it belongs to, new or known; None: its command's, or one of its own."""
    preview: str = ""
    """Blob of a preview that came with it; empty: one is made."""
    by: Mapping[str, Json] | None = None
    """Who sent it, for the log record (`Caller.said`); None: the device."""


def media_parameter(file: MediaFile) -> str:
    """The message parameter that carries a file: `media.video.N`, `media.image.N`, `media.tacho`."""
    if file.kind == "tacho":
        return "media.tacho"
    channel = file.meta.get("channel", 1) or 1
    if file.kind in ("video", "image"):
        return f"media.{file.kind}.{channel}"
    return f"custom.media.{file.kind}.{channel}"  # flespi has no name for it


def message_object(file: MediaFile) -> dict[str, Json]:
    """A file inside a device message (rest-api.md 10.1); its url is added at reading."""
    return {
        "uuid": file.uuid, "name": file.name, "size": file.size, "mime": file.mime, "created": file.created,
        "meta": file.meta,
    }  # fmt: skip


def recognised(head: bytes, name: str, asked: str = "") -> tuple[str, str, str]:
    """Kind, MIME type and usual extension of a file, by its first bytes; tachograph files also by name or request."""
    seen = sniff(head)
    kind, mime = kind_of(seen), seen.mime
    named = name.rpartition(".")[2].lower() in _TACHO_EXTENSIONS
    if kind == "other" and (asked == "tacho" or (not asked and named)):
        kind, mime = "tacho", "application/octet-stream"
    return kind, mime, seen.extension


def kind_of(seen: Sniffed) -> str:
    """The word the API has for a kind of file."""
    return "tacho" if seen.kind is Kind.TACHOGRAPH else seen.kind.value


_LONGEST_NAME = 255


def clean_name(name: str, default: str) -> str:
    """A file name that can be shown: no folders, no control or direction characters, at most 255 bytes, which is what
    disks take."""
    shown = _UNSAFE_IN_NAME.sub("", name.replace("\\", "/").rpartition("/")[2]).strip().strip(".")
    return shown.encode(errors="replace")[-_LONGEST_NAME:].decode(errors="ignore") or default


def described(upload: Upload, name: str, data: UploadData, now: float) -> NewFile:
    """What an uploaded file is: by its bytes first, by the caller's word second. Raises `BadRequest`."""
    asked = data.type
    if asked is not UNSET and asked not in ("video", "image", "tacho"):
        raise BadRequest(
            f"`data.type` must be video, image or tacho, got {asked!r}", schema_hint=["video", "image", "tacho"]
        )
    kind, mime, extension = recognised(upload.head, name, "" if asked is UNSET else asked)
    meta = dict(data.meta)
    created = meta.pop("created", None)
    if created is not None and (isinstance(created, bool) or not isinstance(created, int | float) or created < 0):
        raise BadRequest("`data.meta.created` must be Unix seconds")
    channel = meta.get("channel", 1 if kind in ("video", "image") else 0)
    if not isinstance(channel, int) or isinstance(channel, bool) or not 0 <= channel <= 255:
        raise BadRequest("`data.meta.channel` must be an integer from 0 to 255")
    return NewFile(
        name=clean_name(name, f"upload.{extension or 'bin'}"),
        kind=kind,
        mime=mime,
        created=now if created is None else created,
        channel=channel,
        meta=meta,
        params=data.params,
        message_params=data.message_params,
        by=upload.by,
    )
