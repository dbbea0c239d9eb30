"""The node's secret: one file of 32 random bytes, from which keys for sealing and for look-up hashes are derived."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_SIZE = 32
_NONCE = 12


class SecretError(Exception):
    """The secret file is unusable, or something was sealed with another secret."""


def load_or_create(path: Path) -> bytes:
    """The 32 bytes at `path`, made there (readable by the owner only) if there are none yet.

    Raises `SecretError` if the file is not 32 bytes long. Two processes starting together get the same secret.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        store(path, token_bytes(_SIZE))
    secret = path.read_bytes()
    if len(secret) != _SIZE:
        raise SecretError(
            f"{path} must hold {_SIZE} bytes and holds {len(secret)}: put the backup of the secret back; "
            "with a new one every stored token is lost"
        )
    return secret


def store(path: Path, secret: bytes) -> None:
    """Write a secret durably, whole or not at all; one that is there already stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, secret)
        os.fsync(handle)
        # A link, unlike a rename, never replaces the secret another process has just made.
        os.link(unfinished, path)
    except FileExistsError:
        return
    finally:
        os.close(handle)
        unfinished.unlink()


def seal(secret: bytes, plain: bytes, context: bytes = b"") -> bytes:
    """Encrypt (AES-256-GCM, random nonce in front). `context`, such as a row's id, must be the same at `unseal`."""
    nonce = token_bytes(_NONCE)
    return nonce + AESGCM(_derived(secret, b"seal")).encrypt(nonce, plain, context)


def unseal(secret: bytes, sealed: bytes, context: bytes = b"") -> bytes:
    """What was sealed. Raises `SecretError` if it was altered, or sealed with another secret or context."""
    try:
        return AESGCM(_derived(secret, b"seal")).decrypt(sealed[:_NONCE], sealed[_NONCE:], context)
    except (InvalidTag, ValueError) as error:
        raise SecretError("sealed with another secret than this node's, or altered") from error


def digest(secret: bytes, data: bytes) -> bytes:
    """A keyed hash of 32 bytes, to look something up without storing it (BLAKE2b, RFC 7693)."""
    return blake2b(data, digest_size=32, key=_derived(secret, b"digest")).digest()


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return blake2b(secret, digest_size=32, person=purpose).digest()
