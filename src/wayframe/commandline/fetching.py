"""Fetching a file: to a temporary one, from where it broke off, checked against its hash, then renamed."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .client import Api, patiently
from .errors import CommandError, Unreachable
from .options import shown
from .transfers import PIECE, hash_of, held

_HASH = re.compile(r'(?:W/)?"([0-9a-f]{64})"')
_LONGEST_NAME = 200
"""Bytes of a local name, so that something can be put behind it."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is here now."""

    path: Path
    uuid: str
    size: int
    sha256: str
    """Empty: the server did not say, so only the size was checked."""
    status: str
    """`fetched`, or `there` where the same file was there before."""


def describe(api: Api, uuid: str) -> dict[str, Any]:
    """The file object behind a link. Raises CommandError."""
    return api.document(f"/media/{uuid}", {"preview": "json"})


def fetch(
    api: Api,
    file: Mapping[str, Any],
    target: Path,
    *,
    patience_s: float,
    sidecar: bool,
    started: Callable[[int], object],
    moved: Callable[[int], object],
) -> Fetched:
    """Bring a file here.

    Args:
        file: its file object.
        target: a folder, or the path of the file to make.
        sidecar: write what is known of it to `NAME.json` beside it.
        started: gets the size, before anything moves.
        moved: gets bytes as they come, also those that were here from an earlier try.

    Raises CommandError.
    """
    try:
        return _fetch(api, file, target, patience_s, sidecar, started, moved)
    except OSError as error:
        raise CommandError(f"{error.filename or target} cannot be written: {error.strerror}") from None


def _fetch(
    api: Api,
    file: Mapping[str, Any],
    target: Path,
    patience_s: float,
    sidecar: bool,
    started: Callable[[int], object],
    moved: Callable[[int], object],
) -> Fetched:
    uuid = str(file["uuid"])
    if (file.get("meta") or {}).get("type") == "mediastream":
        raise CommandError(f"{uuid} is a live stream, no file; see `wayframe live`")
    with api.stream(f"/media/{uuid}", {}, "HEAD") as answer:
        tag = answer.headers.get("etag", "")
        size = int(answer.headers.get("content-length", 0))
    started(size)
    known = _HASH.fullmatch(tag)
    sha256 = known[1] if known else ""
    path = target / local_name(str(file.get("name", "")), uuid) if target.is_dir() else target
    if path.exists():
        if _same(path, size, sha256):
            return Fetched(path, uuid, size, sha256, "there")
        if path == target:
            raise CommandError(f"{path} is there already, with other bytes; name another with --output")
        path = path.with_name(f"{path.stem}-{uuid[:8]}{path.suffix}")
        if path.exists() and _same(path, size, sha256):
            return Fetched(path, uuid, size, sha256, "there")
    part = path.with_name(f".{uuid}.{sha256[:16]}.part")
    with held(part, "ab", "the temporary file"):
        download = _Download(api, uuid, part, tag, size, moved)
        patiently(download.go_on, patience_s, progress=lambda: download.size)
        if sha256 and download.digest.hexdigest() != sha256:
            part.unlink()
            raise CommandError(f"the bytes of {uuid} do not have the hash the server says; fetch it again")
        with part.open("rb") as whole:
            os.fsync(whole.fileno())
        created = float(file.get("created") or 0)
        if created:
            os.utime(part, (created, created))
        part.rename(path)
    if sidecar:
        path.with_name(path.name + ".json").write_text(json.dumps(_told(file), indent=2) + "\n")
    return Fetched(path, uuid, size, sha256, "fetched")


class _Download:
    """Bytes into the temporary file, from where it ends."""

    def __init__(self, api: Api, uuid: str, part: Path, tag: str, whole: int, moved: Callable[[int], object]) -> None:
        self._api = api
        self._uuid = uuid
        self._part = part
        self._tag = tag
        self._whole = whole
        self._moved = moved
        self.size = 0
        """Bytes that are here."""
        self.digest = hashlib.sha256()
        """Over these bytes."""
        with part.open("rb") as file:
            while piece := file.read(PIECE):
                self._took(piece)
        if self.size > whole:
            self._restart()

    def go_on(self) -> None:
        """Fetch what is missing. Raises CommandError."""
        headers = {"Accept-Encoding": "identity"}
        if self.size == self._whole:
            return
        if self.size:
            headers |= {"Range": f"bytes={self.size}-", "If-Range": self._tag}
        with self._api.stream(f"/media/{self._uuid}", headers) as answer:
            if answer.headers.get("etag", "") != self._tag:
                self._restart()
                raise CommandError(f"{self._uuid} changed on the server while it was fetched; fetch it again")
            if self.size and answer.status_code != 206:
                self._restart()
            with self._part.open("ab") as file:
                for piece in answer.iter_bytes(PIECE):
                    file.write(piece)
                    self._took(piece)
        if self.size != self._whole:
            raise Unreachable(f"{self._uuid} ended after {self.size} of {self._whole} bytes")

    def _took(self, piece: bytes) -> None:
        self.size += len(piece)
        self.digest.update(piece)
        self._moved(len(piece))

    def _restart(self) -> None:
        os.truncate(self._part, 0)
        self._moved(-self.size)
        self.size, self.digest = 0, hashlib.sha256()


def _same(path: Path, size: int, sha256: str) -> bool:
    return path.is_file() and path.stat().st_size == size and (not sha256 or hash_of(path) == sha256)


def _told(file: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in file.items() if name not in ("preview", "content")}


def local_name(name: str, uuid: str) -> str:
    """A file name that is safe here: never a path, never hidden, at most 200 bytes; the uuid where nothing is left."""
    plain = "".join("_" if sign in "/\\\ufffd" else sign for sign in shown(name)).strip().lstrip(".")
    stem, dot, suffix = plain.rpartition(".")
    if not dot or len(suffix) > 20:
        stem, dot, suffix = plain, "", ""
    room = _LONGEST_NAME - len((dot + suffix).encode())
    return (stem.encode()[:room].decode(errors="ignore") + dot + suffix) or uuid
