"""Signed words: sessions of people and upload links, as JWT (RFC 7519) with HS256 and keys that take turns.

Keys live in the database, sealed with the node's secret. The newest signs; older ones are kept as long as anything they
signed can be good. The algorithm is ours, never the token's.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import msgspec
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey
from msgspec import Struct

from wayframe.model import Clock, Json
from wayframe.storage import StateTable
from wayframe.storage.secret import SecretError, seal, unseal

log = structlog.get_logger(__name__)

LONGEST_S = 7 * 86400.0
"""Nothing that is signed is good for longer."""
_ROTATE_S = 7 * 86400.0
_SLACK_S = 86400.0
_ALGORITHM = "HS256"
_STATE = "signing-keys"
_MOST_BYTES = 2048


class BadSignature(Exception):
    """No word of ours: malformed, altered, signed with another key, or for another purpose."""


class _Key(Struct, frozen=True):
    kid: str
    secret: bytes
    made: float


class Signing:
    """Signs and checks."""

    def __init__(self, state: StateTable, secret: bytes, clock: Clock) -> None:
        self._state = state
        self._secret = secret
        self._clock = clock
        self._keys: list[_Key] = []
        self._newest = OctKey.import_key(secrets.token_bytes(32))
        self._known = KeySet([self._newest])

    async def load(self) -> None:
        """Read the keys; make the first one."""
        sealed = await self._state.get(_STATE)
        if sealed is not None:
            try:
                self._keys = msgspec.msgpack.decode(unseal(self._secret, sealed), type=list[_Key])
            except (SecretError, msgspec.DecodeError):
                log.warning("signing_keys_lost", reason="sealed with another secret; sessions and upload links end")
        await self.rotate()
        self._adopt()

    async def rotate(self) -> None:
        """Begin a new key when the newest is a week old, and drop those that can have signed nothing that is still
        good. Called every minute."""
        now = self._clock.now()
        kept = [key for key in self._keys if now - key.made < _ROTATE_S + LONGEST_S + _SLACK_S]
        if not kept or now - kept[-1].made >= _ROTATE_S:
            kept.append(_Key(secrets.token_hex(8), secrets.token_bytes(32), now))
        if kept == self._keys:
            return
        await self._state.put({_STATE: seal(self._secret, msgspec.msgpack.encode(kept))})
        self._keys = kept
        self._adopt()

    def _adopt(self) -> None:
        keys = [OctKey.import_key(key.secret, {"kid": key.kid}) for key in self._keys]
        self._newest, self._known = keys[-1], KeySet([*keys])

    def sign(self, purpose: str, claims: Mapping[str, Json], lifetime_s: float) -> tuple[str, float]:
        """A signed word, and the Unix seconds at which it ends."""
        now = self._clock.now()
        ends = now + min(lifetime_s, LONGEST_S)
        said = {**claims, "aud": purpose, "iat": now, "exp": ends}
        header = {"alg": _ALGORITHM, "kid": self._keys[-1].kid, "typ": "JWT"}
        return jwt.encode(header, said, self._newest, algorithms=[_ALGORITHM]), ends

    def read(self, purpose: str, token: str) -> dict[str, Json]:
        """The claims of a word signed here for this purpose; whether it has ended is the caller's to ask
        (`ended`). Raises `BadSignature`."""
        if len(token) > _MOST_BYTES or not token.isascii():
            raise BadSignature
        try:
            claims = jwt.decode(token, self._known, algorithms=[_ALGORITHM]).claims
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise BadSignature from error
        if claims.get("aud") != purpose or not isinstance(claims.get("exp"), int | float):
            raise BadSignature
        return claims

    def ended(self, claims: Mapping[str, Json]) -> bool:
        """Whether its time is over."""
        return bool(self._clock.now() >= claims["exp"])
