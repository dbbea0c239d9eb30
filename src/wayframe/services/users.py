"""People: who may log in, with which password (Argon2id), and the sessions they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import UNSET, Meta, Struct, UnsetType

from wayframe.model import (
    AccessType,
    BadRequest,
    Blocked,
    Clock,
    Conflict,
    Json,
    NotFound,
    Token,
    Unauthorized,
)
from wayframe.model.users import User
from wayframe.storage import UserTable

from .bodies import given, parse_body
from .directory import Directory
from .entries import Caller
from .limiter import RateLimiter
from .signing import BadSignature, Signing

USERS = "platform/users"
"""The entity, as rights name it: for master tokens only."""
SESSION_S = 3600.0
"""How long a session is good without a refresh."""
_LONGEST_SESSION_S = 30 * 86400.0
"""After so long a person logs in again, however often the session was refreshed."""
_TOKEN = "token:"
"""Before the id of a platform token, as the subject of a session."""
_TRIES_PER_S = 1 / 12
_TRIES = 5
_TRIES_OF_ADDRESS = 30
_HASHES_AT_ONCE = 2
_SHOWN = ("id", "cid", "identity", "name", "enabled", "created", "changed")

Password = Annotated[str, Meta(min_length=10, max_length=256)]


class UserBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST and PUT on /platform/users."""

    identity: Annotated[str, Meta(min_length=1, max_length=128)] | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    name: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class LoginBody(Struct, kw_only=True):
    """Body of POST /api/auth/login."""

    identity: Annotated[str, Meta(max_length=128)]
    password: Annotated[str, Meta(max_length=256)]


class Users:
    """People and their sessions."""

    def __init__(self, table: UserTable, directory: Directory, signing: Signing, clock: Clock) -> None:
        self._table = table
        self._directory = directory
        self._signing = signing
        self._clock = clock
        self._users: dict[int, User] = {}
        self._identities: dict[str, int] = {}
        self._hasher = PasswordHasher()
        self._hashing = asyncio.Semaphore(_HASHES_AT_ONCE)
        self._changing = asyncio.Lock()
        self._nobody = ""
        self._tries = RateLimiter(_TRIES_PER_S, _TRIES, "failed logins a second for this identity")
        self._tries_of_address = RateLimiter(_TRIES_PER_S, _TRIES_OF_ADDRESS, "failed logins a second from here")

    async def load(self) -> None:
        """Read everybody into memory."""
        for user in await self._table.all():
            self._place(user)

    def _place(self, user: User) -> None:
        self._users[user.id] = user
        self._identities[user.identity] = user.id

    # --- people -------------------------------------------------------------------------------------------------

    def visible(self, caller: Caller, selector: str = "all") -> list[User]:
        """Users of the caller's account and below, by `all`, ids or identities in a comma list.

        Raises `NotFound` where names were given and none is there, `Forbidden`.
        """
        self._directory.granted(caller, USERS, "GET")
        accounts = self._directory.visible_accounts(caller.cid)
        seen = [user for user in self._users.values() if user.cid in accounts]
        if selector == "all":
            return seen
        names = {part.strip().lower() for part in selector.split(",")}
        found = [user for user in seen if str(user.id) in names or user.identity in names]
        if not found:
            raise NotFound(f"no user {selector[:200]}")
        return found

    async def create(self, caller: Caller, body: Json) -> User:
        """Add a person to the caller's account. Raises `BadRequest`, `Conflict`, `Forbidden`."""
        self._directory.granted(caller, USERS, "POST")
        fields = given(parse_body(UserBody, body))
        if "identity" not in fields or "password" not in fields:
            raise BadRequest("`identity` and `password` are required", schema_hint=list(UserBody.__struct_fields__))
        identity, now = _identity(fields.pop("identity")), self._clock.now()
        fields["password"] = await self._hash(fields["password"])
        user = User(id=0, cid=caller.cid, identity=identity, created=now, changed=now, **fields)
        async with self._changing:
            if identity in self._identities:
                raise Conflict(f"`identity` {identity!r} is taken")
            stored = await self._table.insert(user)
            self._place(stored)
        return stored

    async def change(self, caller: Caller, user: User, body: Json) -> User:
        """Change name, password or whether the person may log in. A new password ends all sessions."""
        self._directory.granted(caller, USERS, "PUT")
        fields: dict[str, Any] = given(parse_body(UserBody, body))
        if _identity(fields.pop("identity", user.identity)) != user.identity:
            raise BadRequest("`identity` cannot change: add another user")
        if "password" in fields:
            fields |= {"password": await self._hash(fields["password"]), "changed": self._clock.now()}
        async with self._changing:
            if user.id not in self._users:
                raise NotFound(f"no user {user.identity}")
            changed = msgspec.structs.replace(self._users[user.id], **fields)
            await self._table.update(changed)
            self._place(changed)
        return changed

    async def delete(self, caller: Caller, user: User) -> None:
        """Remove a person; sessions end with them."""
        self._directory.granted(caller, USERS, "DELETE")
        async with self._changing:
            await self._table.delete([user.id])
            self._users.pop(user.id, None)
            self._identities.pop(user.identity, None)

    @staticmethod
    def view(user: User) -> dict[str, Json]:
        """A person as the API shows them: never the password."""
        return {name: getattr(user, name) for name in _SHOWN}

    # --- sessions -----------------------------------------------------------------------------------------------

    async def login(self, body: Json, source: str) -> dict[str, Json]:
        """`{identity, password}` → `{token, expires_at, user}`.

        Raises `Unauthorized` (alike for an unknown identity and a wrong password), `TooManyRequests`, `BadRequest`.
        """
        parsed = parse_body(LoginBody, body)
        identity, now = parsed.identity.strip().lower(), self._clock.monotonic()
        # A try counts before it is judged: many at once must not all pass while the first is being hashed.
        self._tries_of_address.take(source, now)
        self._tries.take(identity, now)
        user = self._users.get(self._identities.get(identity, 0))
        if not await self._matches(user, parsed.password) or user is None or not user.enabled:
            raise Unauthorized("identity or password is wrong")
        self._refuse_blocked(user)
        # Only wrong ones are tries.
        self._tries_of_address.give_back(source, now)
        self._tries.give_back(identity, now)
        return self._session(user, self._clock.now())

    def session_of(self, token: Token) -> dict[str, Json]:
        """A session with the rights of a platform token, which it ends with."""
        return self._signed({"sub": f"{_TOKEN}{token.id}", "cid": token.cid, "since": self._clock.now()}, None)

    def refresh(self, session: str, source: str) -> dict[str, Json]:
        """A new session for one that is still good. Raises `Unauthorized`, `Forbidden`."""
        claims = self._claims(session)
        if self._clock.now() - float(claims["since"]) > _LONGEST_SESSION_S:
            raise Unauthorized("this session is 30 days old: log in again")
        if (token_id := _token_id(claims)) is not None:
            self._directory.authenticate_again(token_id, source)
            kept = {name: claims[name] for name in ("sub", "cid", "since")}
            return self._signed(kept, None)
        return self._session(self._person(claims), float(claims["since"]))

    def authenticate(self, session: str, source: str) -> Token:
        """The token of the caller behind a session: a platform token, or one that stands for a person. That one's id is
        negative, and in no table.

        Raises `Unauthorized`, `Forbidden`.
        """
        claims = self._claims(session)
        if (token_id := _token_id(claims)) is not None:
            return self._directory.authenticate_again(token_id, source)
        return self._standing_for(self._person(claims), float(claims["exp"]))

    def stand_in(self, user_id: int) -> Token:
        """The token that stands for a person where no session is: for what was made in their name. Raises
        `Unauthorized`, `Forbidden`."""
        user = self._users.get(user_id)
        if user is None or not user.enabled:
            raise Unauthorized("this person may not log in any more")
        return self._standing_for(user, 0.0)

    def _standing_for(self, user: User, ends: float) -> Token:
        self._refuse_blocked(user)
        return Token(
            id=-user.id, cid=user.cid, info=user.identity, expire=ends, access={"type": int(AccessType.STANDARD)}
        )

    def _session(self, user: User, since: float) -> dict[str, Json]:
        return self._signed({"sub": str(user.id), "cid": user.cid, "since": since}, self.view(user))

    def _signed(self, claims: dict[str, Json], user: Json) -> dict[str, Json]:
        word, ends = self._signing.sign("session", claims, SESSION_S)
        return {"token": word, "expires_at": ends, "user": user}

    def _claims(self, session: str) -> dict[str, Json]:
        try:
            claims = self._signing.read("session", session)
        except BadSignature:
            raise Unauthorized("unknown session: log in again") from None
        if self._signing.ended(claims):
            raise Unauthorized("this session has ended: log in again")
        return claims

    def _person(self, claims: Mapping[str, Json]) -> User:
        user = self._users.get(int(claims["sub"]))
        if user is None or not user.enabled or claims["since"] < user.changed:
            raise Unauthorized("this session was ended: log in again")
        self._refuse_blocked(user)
        return user

    def _refuse_blocked(self, user: User) -> None:
        if self._directory.blocked(user.cid):
            raise Blocked("this account is blocked")

    async def _hash(self, password: str) -> str:
        async with self._hashing:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def _matches(self, user: User | None, password: str) -> bool:
        """Compare; an identity that is not there takes as long as one that is."""
        if user is None and not self._nobody:
            self._nobody = await self._hash("nobody has this password")
        stored = user.password if user is not None else self._nobody
        async with self._hashing:
            try:
                return await asyncio.to_thread(self._hasher.verify, stored, password) and user is not None
            except (VerificationError, InvalidHashError):
                return False


def _token_id(claims: Mapping[str, Json]) -> int | None:
    """The platform token that a session was made with; None for one of a person."""
    subject = str(claims["sub"])
    return int(subject.removeprefix(_TOKEN)) if subject.startswith(_TOKEN) else None


def _identity(text: str) -> str:
    identity = text.strip().lower()
    if not identity or not identity.isprintable() or "," in identity or identity.isdecimal():
        raise BadRequest("`identity` is a name or e-mail address: printable, no comma, not only digits")
    return identity
