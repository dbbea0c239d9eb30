"""Who asks: tokens found by their key, whether they are good, and when their time is over (rest-api.md 3.1).

Looks into the directory's memory of tokens and accounts; writes nothing. Uses are noted here, saved by the directory.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Hashable, Mapping
from functools import lru_cache
from heapq import heapify, heappop, heappush

from wayframe.model import Account, Blocked, Clock, Forbidden, Token, TokenEnded, Unauthorized, WayframeError
from wayframe.storage.secret import SecretError

from .entries import Entry
from .keys import TokenKeys
from .limiter import RateLimiter
from .rules import parse_networks, token_end

SHORTEST_PREFIX = 16
"""Characters of a key that a tiny client must send at least (mqtt-api.md 2, third spelling): 95 bits."""
_GUESSES_PER_S = 0.2
_GUESSES = 10

_networks = lru_cache(maxsize=1024)(parse_networks)


class Authentication:
    """The door keeper."""

    def __init__(
        self, tokens: Mapping[int, Entry], accounts: Mapping[int, Entry], keys: TokenKeys, clock: Clock
    ) -> None:
        self._tokens = tokens
        self._accounts = accounts
        self._keys = keys
        self._clock = clock
        self._digests: dict[bytes, int] = {}
        self._used: dict[int, float] = {}
        self._ends: list[tuple[float, int]] = []
        self._guesses = RateLimiter(_GUESSES_PER_S, _GUESSES, "wrong tokens a second from this address")

    # --- the index ----------------------------------------------------------------------------------------------

    def add(self, token: Token) -> None:
        """A token was made, read or changed."""
        self._digests[token.digest] = token.id
        heappush(self._ends, (self._end(token), token.id))
        if len(self._ends) > 1000 + 4 * len(self._tokens):
            # Every change leaves an old end behind.
            self._ends = [(self._end(token), token.id) for token in map(_token, self._tokens.values())]
            heapify(self._ends)

    def remove(self, token: Token) -> None:
        """A token is gone, or about to be added again with what changed."""
        self._digests.pop(token.digest, None)

    def _end(self, token: Token) -> float:
        return token_end(token, self.last_use(token))

    def last_use(self, token: Token) -> float:
        """When a token was last used, Unix seconds; its creation where it never was."""
        return self._used.get(token.id, token.accessed)

    def taken_uses(self) -> dict[int, float]:
        """Token id → last use, of those used since the last call."""
        used = self._used
        self._used = {}
        return used

    def ended(self) -> list[int]:
        """Tokens whose time is over, each once."""
        now, over = self._clock.now(), []
        while self._ends and self._ends[0][0] <= now:
            _, token_id = heappop(self._ends)
            entry = self._tokens.get(token_id)
            if entry is None:
                continue
            end = self._end(_token(entry))
            if end <= now:
                over.append(token_id)
            # Who is over is asked for again, until it has been deleted.
            heappush(self._ends, (end if end > now else now + 1, token_id))
        return sorted(set(over))

    # --- who asks -----------------------------------------------------------------------------------------------

    def by_key(self, text: str, source_ip: str) -> Token:
        """The token behind an `Authorization` value (`FlespiToken KEY`, `Bearer KEY` or the bare key).

        Raises:
            Unauthorized: missing, unknown, disabled or expired.
            Forbidden: not from this address, or the account is blocked.
        """
        key = bare_key(text)
        if not key:
            raise Unauthorized("no token: send the header `Authorization: FlespiToken KEY`")
        token_id = self._digests.get(self._keys.digest(key))
        if token_id is None:
            raise Unauthorized("unknown token")
        return self._admitted(_token(self._tokens[token_id]), source_ip)

    def by_id(self, token_id: int, source_ip: str) -> Token:
        """The token with this id, for whoever showed it before. Raises as `by_key`."""
        entry = self._tokens.get(token_id)
        if entry is None:
            raise Unauthorized("the token of this session was deleted")
        return self._admitted(_token(entry), source_ip)

    def by_prefix(self, token_id: int, prefix: str, source_ip: str) -> Token:
        """The token with this id, for whoever knows the first 16 characters of its key or more.

        Wrong ones are counted by address: ten at once, then one every five seconds. A bad prefix and an unknown id
        are told alike. Raises as `by_key`, and `TooManyRequests`.
        """
        guesser, now = _neighbourhood(source_ip), self._clock.monotonic()
        self._guesses.check(guesser, now)
        entry = self._tokens.get(token_id)
        given = prefix.encode(errors="replace")
        known = self._key(_token(entry)).encode()[: len(given)] if entry is not None else b""
        if len(given) < SHORTEST_PREFIX or not hmac.compare_digest(known, given) or entry is None:
            self._guesses.take(guesser, now)
            raise Unauthorized(f"unknown token id, or not the first {SHORTEST_PREFIX} characters of its key or more")
        return self._admitted(_token(entry), source_ip)

    def _key(self, token: Token) -> str:
        try:
            return self._keys.unseal(token.sealed)
        except SecretError:
            return ""

    def _admitted(self, token: Token, source_ip: str) -> Token:
        refusal = self._refusal(token)
        if refusal is not None:
            raise refusal
        if token.ips and not _address_allowed(token.ips, source_ip):
            raise Forbidden(f"this token may not be used from {source_ip}")
        self._used[token.id] = self._clock.now()
        return token

    def why_not(self, token_id: int) -> str | None:
        """Why a token that was good may not be used any longer; None if it still may."""
        entry = self._tokens.get(token_id)
        if entry is None:
            return "this token was deleted"
        refusal = self._refusal(_token(entry))
        return refusal.reason if refusal is not None else None

    def _refusal(self, token: Token) -> WayframeError | None:
        if not token.enabled:
            return TokenEnded("this token is disabled")
        if self._end(token) <= self._clock.now():
            return TokenEnded("this token has expired")
        return Blocked("this account is blocked") if self.blocked(token.cid) else None

    def blocked(self, cid: int) -> bool:
        """Whether an account or one above it is blocked, or gone."""
        while cid:
            entry = self._accounts.get(cid)
            if entry is None:
                return True
            account = entry.item
            assert isinstance(account, Account)
            if account.blocked:
                return True
            cid = account.owner_id
        return False


def bare_key(text: str) -> str:
    """The key of `FlespiToken KEY`, `Bearer KEY` or `KEY`."""
    key = text.strip()
    for prefix in ("flespitoken ", "bearer "):
        if key[: len(prefix)].lower() == prefix:
            key = key[len(prefix) :].strip()
    return key


def _token(entry: Entry) -> Token:
    assert isinstance(entry.item, Token)
    return entry.item


def _address_allowed(ips: str, source_ip: str) -> bool:
    try:
        address = ipaddress.ip_address(source_ip)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in network for network in _networks(ips))


def _neighbourhood(source_ip: str) -> Hashable:
    """Whom guesses are counted for: an IPv4 address, or the /64 of an IPv6 one, which is one host's to choose from."""
    try:
        address = ipaddress.ip_address(source_ip)
    except ValueError:
        return source_ip
    return int(address) >> 64 if address.version == 6 else source_ip
