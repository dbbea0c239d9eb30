"""The directory: every item in memory, and the one answer to "may this token do that to these items".

Writes go to the database first and are announced after. What differs from kind to kind stands in `kinds`; what is the
same for all of them (making, changing, deleting, announcing) stands here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from wayframe.model import (
    AccessType,
    Account,
    Channel,
    Clock,
    Forbidden,
    Json,
    NotFound,
    Token,
)
from wayframe.model.access import Access, Grant, grant, parse_access
from wayframe.model.limits import Limit
from wayframe.model.log_codes import Log
from wayframe.storage import ItemTables

from .announcing import Announcer
from .authentication import Authentication
from .bodies import without_own
from .catalogue import Catalogue
from .entries import (
    CHANNELS,
    CUSTOMER,
    DEVICES,
    LIMITS,
    TOKENS,
    Caller,
    Defaults,
    Entry,
    Item,
    restore_telemetry,
)
from .journal import Journal
from .keys import TokenKeys
from .kinds import (
    AccountKind,
    ChannelKind,
    DeviceKind,
    GeofenceKind,
    Kind,
    LimitKind,
    PluginKind,
    StreamKind,
    SubaccountKind,
    TokenKind,
    WebhookKind,
    groups,
)
from .limits import Limits
from .memory import Memory
from .meter import Meter
from .rules import new_key, token_end
from .selection import choose, groups_of, select, select_part


class Directory:
    """Items by id, ident, account; create, change, delete, select, authenticate."""

    def __init__(
        self,
        *,
        tables: ItemTables,
        catalogue: Catalogue,
        journal: Journal,
        keys: TokenKeys,
        clock: Clock,
        defaults: Defaults,
    ) -> None:
        self._tables = tables
        self._keys = keys
        self._clock = clock
        self.catalogue = catalogue
        self._devices = DeviceKind(tables.devices, catalogue, clock, defaults)
        self._channels = ChannelKind(tables.channels, catalogue)
        self._tokens = TokenKind(tables.tokens, keys, clock)
        self._subaccounts, limits = SubaccountKind(tables.accounts, clock), LimitKind(tables.limits)
        webhooks = WebhookKind(tables, defaults.destinations)
        kinds: list[Kind[Any]] = [
            AccountKind(tables.accounts),
            self._subaccounts,
            limits,
            self._tokens,
            self._channels,
            self._devices,
            groups(tables),
            StreamKind(tables, defaults.destinations),
            PluginKind(tables),
            GeofenceKind(tables),
            webhooks,
        ]
        self._memory = Memory(kinds)
        self._announce = Announcer(journal, clock, self._memory.kinds)
        self._subaccounts.lineage = self._memory.lineage
        self._subaccounts.limit = self._limit
        webhooks.family = self._memory.family
        limits.accounts = self._all_accounts
        self.limits = Limits(self._memory)
        """What accounts may have at most."""
        self.meter = Meter(self.limits, journal, clock)
        """What they use a minute."""
        self._authentication = Authentication(self._memory.of(TOKENS), self._memory.of(CUSTOMER), keys, clock)
        self._tokens.on_placed = self._authentication.add
        self._tokens.on_displaced = self._token_displaced
        self._active: dict[int, float] = {}
        self._access: dict[int, Access] = {}
        self._changing = asyncio.Lock()
        """Held from reading an item to having written it, so that no change is lost under another."""
        self.updated: Callable[[str, Entry], Awaitable[None]] = _nobody
        """Called after an item was changed; what shows its name elsewhere follows."""
        self.moved: Callable[[Caller, str, Entry], Awaitable[None]] = _nobody_cares
        """Called after an item was given to another account; what it was assigned to there does not go with it."""

    def _limit(self, limit_id: int) -> Limit | None:
        entry = self.find(LIMITS, limit_id)
        return entry.item if entry is not None and isinstance(entry.item, Limit) else None

    def _all_accounts(self) -> Iterator[Account]:
        for entry in self.entries(CUSTOMER):
            assert isinstance(entry.item, Account)
            yield entry.item

    # --- loading ------------------------------------------------------------------------------------------------

    async def load(self) -> str | None:
        """Read every item into memory. The first start makes the main account, and a start that finds no master
        token which is still good makes a new one.

        Returns:
            The key of a new master token, to be shown once, or None.
        """
        for entity, kind in self._memory.kinds.items():
            for item in await kind.table.all():
                self._memory.place(entity, item)
        if not self._memory.of(CUSTOMER):
            account = Account(id=0, name="main", created=self._clock.now())
            self._memory.place(CUSTOMER, await self._tables.accounts.insert(account))
        main = min(self._memory.of(CUSTOMER))
        opens = any(self._opens_everything(entry, main) for entry in self.entries(TOKENS))
        key = None if opens else await self._first_token(main)
        for device_id, record in (await self._tables.telemetry.load_all()).items():
            if (entry := self.device(device_id)) is not None:
                restore_telemetry(entry, record)
        for device_id, heard in (await self._tables.devices.last_active()).items():
            if (entry := self.device(device_id)) is not None:
                entry.view["last_active"] = heard
        return key

    def _opens_everything(self, entry: Entry, cid: int) -> bool:
        token = entry.item
        assert isinstance(token, Token)
        master = token.access.get("type") == AccessType.MASTER and token.cid == cid
        return master and token.enabled and self._clock.now() < token_end(token, token.accessed)

    async def _first_token(self, cid: int) -> str:
        key, now = new_key(), self._clock.now()
        token = Token(
            id=0, cid=cid, info="master token", created=now, accessed=now, ttl=31_536_000,
            access={"type": int(AccessType.MASTER)},
        )  # fmt: skip
        self._memory.place(TOKENS, await self._tables.tokens.insert(self._tokens.sealed(token, key)))
        return key

    def channel_uris(self, render: Callable[[Channel], str]) -> None:
        """Give the function that renders a channel's `uri`."""
        self._channels.uri = render
        for entry in self.entries(CHANNELS):
            assert isinstance(entry.item, Channel)
            entry.view["uri"] = render(entry.item)

    def place(self, entity: str, item: Item) -> Entry:
        """Put a record that is stored in its place in memory."""
        return self._memory.place(entity, item)

    # --- looking up ---------------------------------------------------------------------------------------------

    def kind(self, entity: str) -> Kind[Any]:
        """What is known of a kind of item."""
        return self._memory.kinds[entity]

    def kinds(self) -> Iterable[Kind[Any]]:
        """Every kind of item."""
        return self._memory.kinds.values()

    def find(self, entity: str, item_id: int) -> Entry | None:
        """An item by id."""
        return self._memory.find(entity, item_id)

    def device(self, device_id: int) -> Entry | None:
        """A device by id."""
        return self._memory.find(DEVICES, device_id)

    def device_by_ident(self, protocol_id: int, candidates: Iterable[str]) -> Entry | None:
        """The first registered device among idents."""
        device_id = self._devices.by_ident(protocol_id, candidates)
        return None if device_id is None else self.device(device_id)

    def entries(self, entity: str) -> Iterator[Entry]:
        """Every item of an entity."""
        return self._memory.entries(entity)

    def count(self, entity: str) -> int:
        """How many items an entity has."""
        return len(self._memory.of(entity))

    def visible_accounts(self, cid: int) -> frozenset[int]:
        """An account and its descendants (rest-api.md 3.5)."""
        return self._memory.family(cid)

    # --- who asks -----------------------------------------------------------------------------------------------

    def authenticate(self, text: str, source_ip: str) -> Token:
        """The token behind an `Authorization` value (`FlespiToken KEY`, `Bearer KEY` or the bare key).

        Raises:
            Unauthorized: missing, unknown, disabled or expired.
            Forbidden: not from this address, or the account is blocked.
        """
        return self._authentication.by_key(text, source_ip)

    def authenticate_short(self, token_id: int, prefix: str, source_ip: str) -> Token:
        """The token with this id, for whoever knows the first 16 characters of its key or more (mqtt-api.md 2).

        Raises as `authenticate`, and `TooManyRequests` for an address that guesses.
        """
        return self._authentication.by_prefix(token_id, prefix, source_ip)

    def authenticate_again(self, token_id: int, source_ip: str) -> Token:
        """The token with this id, for whoever showed it before. Raises as `authenticate`."""
        return self._authentication.by_id(token_id, source_ip)

    def token_alive(self, token_id: int) -> str | None:
        """Why a token that was good may not be used any longer (deleted, disabled, expired, its account blocked); None
        if it still may. The end of a token by time is announced as its deletion, within a second."""
        return self._authentication.why_not(token_id)

    def blocked(self, cid: int) -> bool:
        """Whether an account or one above it is blocked, or gone."""
        return self._authentication.blocked(cid)

    def caller(
        self, token: Token, *, cid: int | None = None, app: str = "", trace: str = "", source: str = ""
    ) -> Caller:
        """Who asks. Raises `Forbidden` where `x-flespi-cid` is neither the own account nor a descendant."""
        acting = token.cid if cid is None else cid
        if acting != token.cid and acting not in self.visible_accounts(token.cid):
            raise Forbidden(f"`x-flespi-cid` {acting} is neither your account nor one of its subaccounts")
        return Caller(token, acting, app[:63], trace[:31], source)

    def granted(self, caller: Caller, entity: str, method: str, submodule: str | None = None) -> Grant:
        """Which items of an entity the caller's token lets a method touch. Raises `Forbidden` where it is none."""
        token = caller.token
        access = self._access.get(token.id)
        if access is None:
            access = self._access[token.id] = parse_access(token.access)
        allowed = grant(access, entity, method, submodule)
        if allowed.nothing:
            part = f", submodule {submodule}" if submodule else ""
            raise Forbidden(f"this token has no right to {method} on {entity}{part}")
        return allowed

    # --- selecting ----------------------------------------------------------------------------------------------

    async def select(
        self, caller: Caller, entity: str, selector: str, method: str, submodule: str | None = None
    ) -> list[Entry]:
        """The items a selector names, among those the caller has this right on, by rising id.

        Raises:
            BadRequest: the selector is malformed.
            Forbidden: the token has this right on no item of the entity at all.
            NotFound: ids were named and none of them is there (ruling 9).
        """
        allowed = self.granted(caller, entity, method, submodule)
        return await select(self._memory, entity, selector, caller.cid, allowed, self._clock.now())

    async def select_part(
        self, caller: Caller, entity: str, selector: str, method: str, offset: int, limit: int
    ) -> tuple[list[Entry], int]:
        """`limit` of the items that `select` gives, after the first `offset`, and how many there are in all."""
        allowed = self.granted(caller, entity, method)
        now = self._clock.now()
        return await select_part(self._memory, entity, selector, caller.cid, allowed, now, offset, limit)

    async def among(self, caller: Caller, entity: str, entries: Iterable[Entry], selector: str) -> list[Entry]:
        """Of these items, those that a selector names and the caller may read. Raises `BadRequest`, `Forbidden`."""
        allowed, accounts = self.granted(caller, entity, "GET"), self.visible_accounts(caller.cid)
        groups = groups_of(self._memory, accounts) if allowed.groups is not None else ()
        items = {entry.id: entry for entry in sorted(entries, key=lambda entry: entry.id)}
        try:
            return await choose(items, entity, selector, accounts, allowed, self._clock.now(), groups)
        except NotFound:
            return []

    # --- writing ------------------------------------------------------------------------------------------------

    async def create(self, caller: Caller, entity: str, body: Json) -> Entry:
        """Make an item in the caller's account. Raises `BadRequest`, `Conflict`, `Forbidden`."""
        self.granted(caller, entity, "POST")
        return await self.add(entity, caller.cid, body, caller.said())

    async def add(self, entity: str, cid: int, body: Json, by: Mapping[str, Json] | None = None) -> Entry:
        """Make an item in an account; a view that is returned may hold what is shown this once (a token's key).

        Args:
            by: who did it, for the log record.
        """
        kind = self.kind(entity)
        async with self._changing:
            self.limits.check_room(entity, cid)
            made = await kind.table.insert(kind.make(cid, without_own(body, {"cid": cid}, ())))
            entry = self._memory.place(entity, made)
        self._announce.change(kind, entry, Log.CREATED, by, new=kind.state(entry))
        once = kind.once(made)
        return Entry(entry.item, {**entry.view, **once}) if once else entry

    async def create_device(self, cid: int, body: Json) -> Entry:
        """Register a device in an account."""
        return await self.add(DEVICES, cid, body)

    async def create_channel(self, cid: int, body: Json) -> Entry:
        """Make a channel in an account."""
        return await self.add(CHANNELS, cid, body)

    async def create_token(self, cid: int, body: Json) -> Entry:
        """Make a token in an account; only the view that is returned holds its key."""
        return await self.add(TOKENS, cid, body)

    async def update(self, caller: Caller, entity: str, entry: Entry, body: Json, *, patch: bool) -> Entry:
        """Change an item: PUT replaces the named top-level fields, PATCH merges into nested objects."""
        kind = self.kind(entity)
        async with self._changing:
            if self.find(entity, entry.id) is not entry:
                raise NotFound(f"{entity}: no item {entry.id}", item_id=entry.id)
            said = without_own(body, entry.view, kind.body.__struct_fields__)
            await self._write(kind, entry, kind.changed(entry.item, said, patch), caller.said())
        await self.updated(entity, entry)
        return entry

    async def move(self, caller: Caller, entity: str, entry: Entry, cid: int) -> Entry:
        """Give an item to another account. Raises `Forbidden` where that is neither the caller's nor below it."""
        if self.find(CUSTOMER, cid) is None or cid not in self.visible_accounts(caller.cid):
            raise Forbidden(f"`cid` {cid} is neither your account nor one of its subaccounts")
        kind = self.kind(entity)
        async with self._changing:
            before, old = entry.cid, kind.state(entry)
            self.limits.check_room(entity, cid, leaving=before)
            moved = kind.checked(msgspec.structs.replace(entry.item, cid=cid))
            await kind.table.update(moved)
            self._memory.place(entity, moved)
            if before != cid:  # whoever sees both accounts sees the old state go before the new one comes
                self._announce.clear(kind, entry, before)
            self._announce.change(kind, entry, Log.UPDATED, caller.said(), old=old, new=kind.state(entry))
            self._announce.telemetry(kind, entry)
        await self.moved(caller, entity, entry)
        return entry

    async def add_metadata(self, entry: Entry, said: Mapping[str, Json]) -> None:
        """Add what a device says of itself to its metadata."""
        async with self._changing:
            device = entry.device
            changed = msgspec.structs.replace(device, metadata={**device.metadata, **said})
            await self._write(self._devices, entry, changed)

    async def _write(self, kind: Kind[Any], entry: Entry, changed: Item, by: Mapping[str, Json] | None = None) -> Entry:
        old = kind.state(entry)
        await kind.table.update(changed)
        self._memory.place(kind.entity, changed)
        self._announce.change(kind, entry, Log.UPDATED, by, old=old, new=kind.state(entry))
        return entry

    async def put_back(self, entity: str, data: dict[str, Json], by: Mapping[str, Json]) -> Entry:
        """Put a deleted item back, with the id it had; `data` may also say `last_active`.

        Raises `BadRequest`, `Conflict`, `NotFound`.
        """
        kind = self.kind(entity)
        async with self._changing:
            item = kind.checked(msgspec.convert(data, kind.noun))
            self.limits.check_room(entity, item.cid)
            entry = self._memory.place(entity, await kind.table.insert(item))
        for record in (await self._tables.telemetry.load([entry.id])).values() if entity == DEVICES else ():
            restore_telemetry(entry, record)
        if data.get("last_active"):
            self.heard(entry, data["last_active"])
        self._announce.change(kind, entry, Log.RESTORED, by, new=kind.state(entry))
        self._announce.telemetry(kind, entry)
        return entry

    async def delete(self, caller: Caller, entity: str, entry: Entry) -> None:
        """Remove an item. What hangs on it (media, queue, assignments) `Removal` clears away before."""
        kind = self.kind(entity)
        if not kind.deletable:
            raise Forbidden("the main account cannot be deleted")
        await self._delete(kind, entry, caller.said())

    async def _delete(self, kind: Kind[Any], entry: Entry, by: Mapping[str, Json]) -> None:
        async with self._changing:
            if self.find(kind.entity, entry.id) is not entry:
                raise NotFound(f"{kind.entity}: no item {entry.id}", item_id=entry.id)
            kind.check_deletion(entry.item)
            await kind.table.delete([entry.id])
            self._memory.drop(kind.entity, entry.id)
        self._announce.deletion(kind, entry, by)

    def set_field(self, entity: str, entry: Entry, **values: Json) -> None:
        """Change fields that live in memory (`connected`, `groups`, `media_size`) and announce them."""
        changed = {name: value for name, value in values.items() if entry.view.get(name) != value}
        entry.view.update(changed)
        if changed:
            self._announce.fields(self.kind(entity), entry, changed)

    def set_device_field(self, entry: Entry, name: str, value: Json) -> None:
        """The same for one field of a device."""
        self.set_field(DEVICES, entry, **{name: value})

    # --- tokens -------------------------------------------------------------------------------------------------

    def _token_displaced(self, token: Token) -> None:
        self._authentication.remove(token)
        self._access.pop(token.id, None)

    def token_key(self, token: Token) -> str:
        """The key of a token, for its own account's master token only; the caller of this checks that."""
        return self._keys.unseal(token.sealed)

    def token_used(self, token: Token) -> int:
        """When a token was last used; what is saved is up to a minute behind."""
        return int(self._authentication.last_use(token))

    async def save_activity(self) -> None:
        """Write when devices were last heard. Called every minute and at the end."""
        changed, self._active = self._active, {}
        if changed:
            await self._tables.devices.touch(changed)

    def heard(self, entry: Entry, now: float) -> None:
        """A device sent something."""
        entry.view["last_active"] = now
        self._active[entry.id] = now

    async def save_token_use(self) -> None:
        """Write when tokens were last used. Called every minute and at the end."""
        async with self._changing:
            used = self._authentication.taken_uses()
            for token_id, when in used.items():
                entry = self.find(TOKENS, token_id)
                if entry is not None:
                    assert isinstance(entry.item, Token)
                    entry.item = msgspec.structs.replace(entry.item, accessed=when)
                    entry.view["accessed"] = int(when)
            await self._tables.tokens.touch(used)

    async def end_tokens(self) -> None:
        """Delete tokens whose time is over. Called every second."""
        for token_id in self._authentication.ended():
            entry = self.find(TOKENS, token_id)
            if entry is not None:
                await self._delete(self._tokens, entry, {"reason": "its time is over"})


async def _nobody(entity: str, entry: Entry) -> None:
    """Nothing follows."""


async def _nobody_cares(caller: Caller, entity: str, entry: Entry) -> None:
    """Nothing follows."""
