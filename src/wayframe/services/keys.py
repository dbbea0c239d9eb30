"""Token keys: looked up by a keyed hash, kept only encrypted with the node's secret."""

from __future__ import annotations

from wayframe.storage import secret as sealing


class TokenKeys:
    """Hashes and seals token keys with one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def digest(self, key: str) -> bytes:
        """32 bytes to look the key up by."""
        return sealing.digest(self._secret, key.encode(errors="replace"))

    def seal(self, key: str) -> bytes:
        """The key, encrypted."""
        return sealing.seal(self._secret, key.encode())

    def unseal(self, sealed: bytes) -> str:
        """The key again. Raises `SecretError` if it was sealed with another secret."""
        return sealing.unseal(self._secret, sealed).decode()
