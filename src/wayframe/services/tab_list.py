"""Lists that devices make of their own files, in upstream's form (gallery-api.md B5): one a line, cut by tabs into
path, thumbnail path, size in bytes and metadata as JSON; everything after the path may be missing.

What a device writes is not trusted: a line that cannot be used is left out, and costs no other line.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from wayframe.model import BadRequest, Json
from wayframe.model.gallery import type_of_name

from . import gallery_shapes as shapes
from .fetching import RemoteFile, plain_name

MAX_LIST = 8 << 20
"""Bytes of a list."""
_MAX_PATH = 1024
_MAX_SIZE = 2**53


def listed_files(text: bytes, most: int) -> Iterator[RemoteFile]:
    """The files of a list, at most so many, each path once."""
    seen: set[str] = set()
    for line in text.split(b"\n"):
        file = _read(line)
        if file is not None and file.path not in seen:
            seen.add(file.path)
            yield file
            if len(seen) == most:
                return


def _read(line: bytes) -> RemoteFile | None:
    try:
        path, *rest = line.removesuffix(b"\r").decode().split("\t", 3)
    except UnicodeDecodeError:
        return None
    if not _is_path(path):
        return None
    thumbnail, size, about = [*rest, "", "", ""][:3]
    if rest and not thumbnail and type_of_name(path) == "image":
        thumbnail = path  # as upstream has it: a picture is its own thumbnail
    return RemoteFile(
        path=path,
        size=_size(size.strip()),
        thumbnail=thumbnail if _is_path(thumbnail) else "",
        metadata=_metadata(about),
    )


def _is_path(text: str) -> bool:
    name = posixpath.basename(text)
    absolute = text.startswith("/") and posixpath.normpath(text) == text and len(text.encode()) <= _MAX_PATH
    return absolute and text.isprintable() and plain_name(name)


def _size(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 17):
        return 0
    return min(int(text), _MAX_SIZE)


def _metadata(text: str) -> dict[str, Json]:
    """Metadata that can be used; nothing for any other."""
    try:
        found = shapes.metadata(text)
        shapes.declared(found)
    except BadRequest:
        return {}
    return found
