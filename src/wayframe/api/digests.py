"""What a sender says its bytes hash to, and whether they do: `Content-Digest` (RFC 9530) and `X-Checksum-SHA256`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping

from wayframe.model import BadRequest

_HEX = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
_MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):\s*", re.ASCII)
"""A member of the dictionary: an algorithm, and a byte sequence (RFC 9651, 3.2 and 3.3.5)."""


class BodyDigest:
    """The SHA-256 of a body as it comes, compared with what was announced; of no cost where nothing was."""

    def __init__(self, headers: Mapping[str, str], *, is_file: bool) -> None:
        """`is_file`: the body is the file and nothing else, so that the checksum of the file is that of the body too.

        Raises BadRequest where a header cannot be read.
        """
        self._announced = {"Content-Digest": _content_digest(headers.get("content-digest", ""))}
        if is_file:
            self._announced["X-Checksum-SHA256"] = bytes.fromhex(file_checksum(headers))
        self._hash = hashlib.sha256() if any(self._announced.values()) else None

    def update(self, piece: bytes) -> None:
        """The next bytes of the body."""
        if self._hash is not None:
            self._hash.update(piece)

    def check(self) -> None:
        """The body is whole. Raises BadRequest where it is another than announced."""
        for name, announced in self._announced.items():
            if self._hash is not None and announced and self._hash.digest() != announced:
                raise BadRequest(f"{name} does not fit: the body has the SHA-256 {self._hash.hexdigest()}")


def _content_digest(text: str) -> bytes:
    """The digest by SHA-256, empty if there is none; other algorithms say nothing here. Raises BadRequest."""
    if not text.strip():
        return b""
    members = [_MEMBER.fullmatch(part) for part in text.split(",")]
    digests = {member[1]: member[2] for member in members if member is not None}
    if None in members:
        raise BadRequest("Content-Digest must be as RFC 9530 has it: sha-256=:BASE64:")
    if "sha-256" not in digests:
        return b""
    try:
        digest = base64.b64decode(digests["sha-256"], validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise BadRequest("Content-Digest: sha-256 must be 32 bytes in base 64")
    return digest


def file_checksum(headers: Mapping[str, str]) -> str:
    """`X-Checksum-SHA256`: what the file alone hashes to, in hex; empty if nothing was said. Raises BadRequest."""
    said = headers.get("x-checksum-sha256", "").strip()
    if said and not _HEX.fullmatch(said):
        raise BadRequest("X-Checksum-SHA256 must be 64 hex digits")
    return said.lower()
