"""The directory: accounts, tokens, channels and devices in memory, and the one answer to "may this token do that".

Writes go to the database first and are announced after. Selectors run over what the caller may see; rights are applied
before selection, so a selector can never widen them (selectors.md 5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from wayframe.expressions import Environment, Selector
from wayframe.model import (
    AccessType,
    Account,
    BadRequest,
    Channel,
    Clock,
    Conflict,
    Device,
    Forbidden,
    Json,
    NotFound,
    Token,
)
from wayframe.model.access import Access, Grant, grant, parse_access
from wayframe.model.log_codes import Log
from wayframe.storage import AccountTable, ChannelTable, DeviceTable, TelemetryTable, TokenTable

from .authentication import Authentication
from .bodies import AccountBody, ChannelBody, DeviceBody, given, parse_body
from .catalogue import Catalogue
from .entries import (
    CHANNEL_STATE_FIELDS,
    CHANNELS,
    CUSTOMER,
    DEVICE_STATE_FIELDS,
    DEVICES,
    ORIGINS,
    TOKENS,
    Caller,
    Defaults,
    Entry,
    Item,
    compile_text,
    restore_telemetry,
)
from .journal import Journal
from .keys import TokenKeys
from .rules import (
    check_device,
    configured_number,
    new_key,
    replaced,
    token_end,
    token_fields,
)

_SCAN_SLICE = 10_000
"""Items looked at before other work gets its turn."""


class Directory:
    """Items by id, ident, account; create, change, delete, select, authenticate."""

    def __init__(
        self,
        *,
        accounts: AccountTable,
        tokens: TokenTable,
        channels: ChannelTable,
        devices: DeviceTable,
        telemetry: TelemetryTable,
        catalogue: Catalogue,
        journal: Journal,
        keys: TokenKeys,
        clock: Clock,
        defaults: Defaults,
    ) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._channels = channels
        self._devices = devices
        self._telemetry = telemetry
        self._journal = journal
        self._keys = keys
        self._clock = clock
        self._defaults = defaults
        self.catalogue = catalogue
        self._items: dict[str, dict[int, Entry]] = {DEVICES: {}, CHANNELS: {}, TOKENS: {}, CUSTOMER: {}}
        self._idents: dict[tuple[int, str], int] = {}
        self._authentication = Authentication(self._items[TOKENS], self._items[CUSTOMER], keys, clock)
        self._active: dict[int, float] = {}
        self._access: dict[int, Access] = {}
        self._families: dict[int, frozenset[int]] = {}
        self._channel_uri: Callable[[Channel], str] = lambda channel: ""
        self._changing = asyncio.Lock()
        """Held from reading an item to having written it, so that no change is lost under another."""

    # --- loading ------------------------------------------------------------------------------------------------

    async def load(self) -> str | None:
        """Read every item into memory. The first start makes the main account, and a start that finds no master
        token which is still good makes a new one.

        Returns:
            The key of a new master token, to be shown once, or None.
        """
        key = None
        accounts = await self._accounts.all()
        if not accounts:
            account = await self._accounts.insert(Account(id=0, name="main", created=self._clock.now()))
            accounts = [account]
        for account in accounts:
            self.place(CUSTOMER, account)
        for token in await self._tokens.all():
            self.place(TOKENS, token)
        main = accounts[0].id
        if not any(self._opens_everything(entry, main) for entry in self.entries(TOKENS)):
            key = await self._first_token(main)
        for channel in await self._channels.all():
            self.place(CHANNELS, channel)
        telemetry = await self._telemetry.load_all()
        last_active = await self._devices.last_active()
        for device in await self._devices.all():
            entry = self.place(DEVICES, device)
            entry.view["last_active"] = last_active.get(device.id, 0.0)
            if device.id in telemetry:
                restore_telemetry(entry, telemetry[device.id])
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
        self.place(TOKENS, await self._tokens.insert(self._seal(token, key)))
        return key

    def channel_uris(self, render: Callable[[Channel], str]) -> None:
        """Give the function that renders a channel's `uri`."""
        self._channel_uri = render
        for entry in self._items[CHANNELS].values():
            assert isinstance(entry.item, Channel)
            entry.view["uri"] = render(entry.item)

    def place(self, entity: str, item: Item) -> Entry:
        """Place an item in memory and its indexes, keeping the view object of an item that was there."""
        if entity == CUSTOMER:
            self._families.clear()
        entry = self._items[entity].get(item.id)
        if entry is None:
            entry = self._items[entity][item.id] = Entry(item, {})
        else:
            self._unindex(entry.item)
            entry.item = item
        entry.view.update(self._fields(item))
        if isinstance(item, Device) and item.ident:
            self._idents[item.protocol_id, item.ident] = item.id
        elif isinstance(item, Token):
            self._authentication.add(item)
        return entry

    def _unindex(self, item: Item) -> None:
        if isinstance(item, Device):
            self._idents.pop((item.protocol_id, item.ident), None)
        elif isinstance(item, Token):
            self._authentication.remove(item)
            self._access.pop(item.id, None)

    def _fields(self, item: Item) -> dict[str, Any]:
        """The stored part of a view."""
        view: dict[str, Any] = {name: getattr(item, name) for name in item.__struct_fields__}
        if isinstance(item, Device):
            protocol, kind = self.catalogue.device_type(item.device_type_id)
            view.update(protocol_name=protocol.name, device_type_name=kind.name)
            known = self._items[DEVICES].get(item.id)
            if known is None or "telemetry" not in known.view:
                view.update(
                    connected=False, last_active=0.0, telemetry={}, media_size=0, media_traffic=0, plugins_count=0,
                    groups=[], calcs=[], plugins=[], channels=[], blocked=False, deleted=False,
                )  # fmt: skip
        elif isinstance(item, Channel):
            view["protocol_name"] = self.catalogue.protocol(item.protocol_id).name
            view["uri"] = self._channel_uri(item)
            known = self._items[CHANNELS].get(item.id)
            view["connections_count"] = known.view.get("connections_count", 0) if known else 0
        elif isinstance(item, Token):
            del view["digest"], view["sealed"]
        return view

    # --- looking up ---------------------------------------------------------------------------------------------

    def find(self, entity: str, item_id: int) -> Entry | None:
        """An item by id."""
        return self._items[entity].get(item_id)

    def device(self, device_id: int) -> Entry | None:
        """A device by id."""
        return self._items[DEVICES].get(device_id)

    def device_by_ident(self, protocol_id: int, candidates: Iterable[str]) -> Entry | None:
        """The first registered device among idents."""
        for ident in candidates:
            device_id = self._idents.get((protocol_id, ident))
            if device_id is not None:
                return self._items[DEVICES][device_id]
        return None

    def entries(self, entity: str) -> Iterator[Entry]:
        """Every item of an entity."""
        return iter(list(self._items[entity].values()))

    def count(self, entity: str) -> int:
        """How many items an entity has."""
        return len(self._items[entity])

    def visible_accounts(self, cid: int) -> frozenset[int]:
        """An account and its descendants (rest-api.md 3.5)."""
        known = self._families.get(cid)
        if known is not None:
            return known
        children: dict[int, list[int]] = {}
        for entry in self._items[CUSTOMER].values():
            assert isinstance(entry.item, Account)
            children.setdefault(entry.item.owner_id, []).append(entry.item.id)
        seen, waiting = set(), [cid]
        while waiting:
            account = waiting.pop()
            if account not in seen:
                seen.add(account)
                waiting.extend(children.get(account, ()))
        family = self._families[cid] = frozenset(seen)
        return family

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

    def token_alive(self, token_id: int) -> str | None:
        """Why a token that was good may not be used any longer (deleted, disabled, expired, its account blocked); None
        if it still may. The end of a token by time is announced as its deletion, within a second."""
        return self._authentication.why_not(token_id)

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
        compiled = compile_text(selector)
        accounts = self.visible_accounts(caller.cid)

        def visible(entry: Entry) -> bool:
            if entry.cid not in accounts:
                return False
            return allowed.everything or allowed.covers(
                entry.id, (group["id"] for group in entry.view.get("groups", ()))
            )

        items = self._items[entity]
        env = Environment(now=self._clock.now())
        named = compiled.ids
        if named is not None:
            found = [entry for entry in map(items.get, sorted(set(named))) if entry is not None and visible(entry)]
            if not found:
                missing = ",".join(str(item_id) for item_id in named)
                raise NotFound(f"{entity}: no item {missing}", item_id=named[0] if len(named) == 1 else None)
        elif (ident := compiled.equalities.get("configuration.ident")) is not None and entity == DEVICES:
            ids = sorted(self._idents.get((protocol, ident), 0) for protocol in self.catalogue.protocols)
            found = [entry for entry in map(items.get, ids) if entry is not None and visible(entry)]
        else:
            everyone = allowed.everything and len(accounts) == len(self._items[CUSTOMER])
            return await self._scan(items, compiled, None if everyone else visible, env)
        return [entry for entry in found if compiled.matches(entry.view, env)]

    @staticmethod
    async def _scan(
        items: dict[int, Entry], compiled: Selector, visible: Callable[[Entry], bool] | None, env: Environment
    ) -> list[Entry]:
        """Look at every item, a slice at a time."""
        wanted = None if compiled.is_all else compiled.predicate(env)
        entries, found = list(items.values()), []
        for start in range(0, len(entries), _SCAN_SLICE):
            if start:
                await asyncio.sleep(0)
            part = entries[start : start + _SCAN_SLICE]
            if visible is not None:
                part = [entry for entry in part if visible(entry)]
            found += part if wanted is None else [entry for entry in part if wanted(entry.view)]
        found.sort(key=lambda entry: entry.id)
        return found

    # --- writing ------------------------------------------------------------------------------------------------

    async def create(self, caller: Caller, entity: str, body: Json) -> Entry:
        """Make an item in the caller's account. Raises `BadRequest`, `Conflict`, `Forbidden`."""
        self.granted(caller, entity, "POST")
        if entity == DEVICES:
            return await self.create_device(caller.cid, body)
        if entity == CHANNELS:
            return await self.create_channel(caller.cid, body)
        if entity == TOKENS:
            return await self.create_token(caller.cid, body)
        raise BadRequest(f"{entity} cannot be created here")

    async def create_device(self, cid: int, body: Json) -> Entry:
        """Register a device in an account."""
        fields = given(parse_body(DeviceBody, body))
        if "device_type_id" not in fields:
            raise BadRequest("`device_type_id` is required", schema_hint=list(DeviceBody.__struct_fields__))
        protocol, _ = self.catalogue.device_type(fields["device_type_id"])
        defaults = {"messages_ttl": self._defaults.messages_ttl, "media_ttl": self._defaults.media_ttl}
        device = Device(id=0, cid=cid, protocol_id=protocol.id, created=self._clock.now(), **{**defaults, **fields})
        check_device(device, needs_ident=protocol.id != 0)
        self._refuse_taken_ident(device)
        stored = await self._devices.insert(device)
        entry = self.place(DEVICES, stored)
        self._announce(DEVICES, entry, Log.CREATED, new=self.state_view(DEVICES, entry))
        return entry

    async def create_channel(self, cid: int, body: Json) -> Entry:
        """Make a channel in an account."""
        fields = given(parse_body(ChannelBody, body))
        name = fields.pop("protocol_name", None)
        if name is not None:
            fields.setdefault("protocol_id", self.catalogue.protocol_named(name).id)
        if "protocol_id" not in fields:
            raise BadRequest("`protocol_id` or `protocol_name` is required")
        self.catalogue.protocol(fields["protocol_id"])
        channel = Channel(id=0, cid=cid, **fields)
        self._check_channel(channel)
        entry = self.place(CHANNELS, await self._channels.insert(channel))
        self._announce(CHANNELS, entry, Log.CREATED, new=self.state_view(CHANNELS, entry))
        return entry

    async def create_token(self, cid: int, body: Json) -> Entry:
        """Make a token in an account; only the view that is returned holds its key."""
        fields = token_fields(body)
        if not fields.get("expire") and not fields.get("ttl"):
            raise BadRequest("a token needs an end: give `expire` (Unix seconds) or `ttl` (seconds)")
        key = new_key()
        now = self._clock.now()
        token = self._seal(Token(id=0, cid=cid, created=now, accessed=now, **{"access": {"type": 0}, **fields}), key)
        entry = self.place(TOKENS, await self._tokens.insert(token))
        self._announce(TOKENS, entry, Log.CREATED, new=self.state_view(TOKENS, entry))
        # The key travels in a view of its own: what stays in memory never holds it.
        return Entry(entry.item, {**entry.view, "key": key})

    async def update(self, caller: Caller, entity: str, entry: Entry, body: Json, *, patch: bool) -> Entry:
        """Change an item: PUT replaces the named top-level fields, PATCH merges into nested objects."""
        async with self._changing:
            return await self._update(entity, entry, body, patch)

    async def _update(self, entity: str, entry: Entry, body: Json, patch: bool) -> Entry:
        item, old = entry.item, self.state_view(entity, entry)
        changed: Item
        if isinstance(item, Device):
            changed = self._changed_device(item, body, patch)
            await self._devices.update(changed)
        elif isinstance(item, Channel):
            fields = given(parse_body(ChannelBody, body))
            fields.pop("protocol_name", None)
            if fields.pop("protocol_id", item.protocol_id) != item.protocol_id:
                raise BadRequest("`protocol_id` of a channel cannot change: create another channel")
            changed = replaced(item, fields, patch)
            assert isinstance(changed, Channel)
            self._check_channel(changed)
            await self._channels.update(changed)
        elif isinstance(item, Token):
            changed = replaced(item, token_fields(body), patch)
            assert isinstance(changed, Token)
            if not changed.expire and not changed.ttl:
                raise BadRequest("a token needs an end: give `expire` (Unix seconds) or `ttl` (seconds)")
            await self._tokens.update(changed)
        else:
            changed = replaced(item, given(parse_body(AccountBody, body)), patch)
            assert isinstance(changed, Account)
            await self._accounts.update(changed)
        self.place(entity, changed)
        self._announce(entity, entry, Log.UPDATED, old=old, new=self.state_view(entity, entry))
        return entry

    async def add_metadata(self, entry: Entry, said: Mapping[str, Json]) -> None:
        """Add what a device says of itself to its metadata."""
        async with self._changing:
            device = entry.device
            old = self.state_view(DEVICES, entry)
            changed = msgspec.structs.replace(device, metadata={**device.metadata, **said})
            await self._devices.update(changed)
            self.place(DEVICES, changed)
            self._announce(DEVICES, entry, Log.UPDATED, old=old, new=self.state_view(DEVICES, entry))

    def _changed_device(self, device: Device, body: Json, patch: bool) -> Device:
        fields = given(parse_body(DeviceBody, body))
        if "device_type_id" in fields:
            fields["protocol_id"] = self.catalogue.device_type(fields["device_type_id"])[0].id
        changed = replaced(device, fields, patch)
        assert isinstance(changed, Device)
        check_device(changed, needs_ident=changed.protocol_id != 0)
        self._refuse_taken_ident(changed)
        return changed

    async def delete(self, caller: Caller, entity: str, entry: Entry) -> None:
        """Remove an item. What hangs on it (media, queue) the caller of this removes before."""
        async with self._changing:
            await self._delete(entity, entry)

    async def _delete(self, entity: str, entry: Entry) -> None:
        item, old = entry.item, self.state_view(entity, entry)
        if isinstance(item, Device):
            await self._devices.delete([item.id])
            await self._telemetry.delete([item.id])
        elif isinstance(item, Channel):
            await self._channels.delete([item.id])
        elif isinstance(item, Token):
            await self._tokens.delete([item.id])
        else:
            raise Forbidden("the main account cannot be deleted")
        self._items[entity].pop(item.id, None)
        self._unindex(item)
        entry.view["deleted"] = True
        base = f"flespi/state/{entity}/{item.id}"
        self._journal.state(f"{base}/deleted", True, entry.cid)
        self._journal.log(Log.DELETED, ORIGINS[entity], item.id, entry.cid, {"item_data": old, "old": old})
        self._journal.state_members(base, dict.fromkeys([*old, *entry.view]), entry.cid)
        if isinstance(item, Device):
            self._journal.state_members(f"{base}/telemetry", dict.fromkeys(entry.view["telemetry"]), entry.cid)
        self._journal.state(base, None, entry.cid)

    def _refuse_taken_ident(self, device: Device) -> None:
        owner = self._idents.get((device.protocol_id, device.ident)) if device.ident else None
        if owner is not None and owner != device.id:
            raise Conflict(f"`configuration.ident` {device.ident!r} is taken by another device of this protocol")

    def _check_channel(self, channel: Channel) -> None:
        configuration = channel.configuration
        if configuration.get("unknown_idents", "refuse") not in ("refuse", "create"):
            raise BadRequest("`configuration.unknown_idents` must be `refuse` or `create`")
        if configuration.get("auth", "open") not in ("open", "strict"):
            raise BadRequest("`configuration.auth` must be `open` or `strict`")
        if configuration.get("port") is not None and not 1 <= (configured_number(configuration, "port") or 0) <= 65535:
            raise BadRequest(f"`configuration.port` must be 1..65535, got {configuration['port']!r}")
        if "device_type_id" in configuration:
            type_id = configured_number(configuration, "device_type_id")
            if type_id is None:
                raise BadRequest("`configuration.device_type_id` must be a number")
            protocol, _ = self.catalogue.device_type(type_id)
            if protocol.id != channel.protocol_id:
                raise BadRequest("`configuration.device_type_id` belongs to another protocol than the channel")

    def _announce(self, entity: str, entry: Entry, kind: Log, **states: Json) -> None:
        """Log a change and publish the new retained state."""
        data = states.get("new", states.get("old"))
        self._journal.log(kind, ORIGINS[entity], entry.id, entry.cid, {"item_data": data, **states})
        state = self.state_view(entity, entry)
        self._journal.state(f"flespi/state/{entity}/{entry.id}", state, entry.cid)
        self._journal.state_members(f"flespi/state/{entity}/{entry.id}", state, entry.cid)

    @staticmethod
    def state_view(entity: str, entry: Entry) -> dict[str, Any]:
        """The default field set of an item, copied."""
        if entity == DEVICES:
            return {name: entry.view[name] for name in DEVICE_STATE_FIELDS}
        if entity == CHANNELS:
            return {name: entry.view[name] for name in CHANNEL_STATE_FIELDS}
        return dict(entry.view)

    def set_device_field(self, entry: Entry, name: str, value: Json) -> None:
        """Change a field that lives in memory (`connected`, `last_active`, `media_size`) and announce it."""
        if entry.view.get(name) != value:
            entry.view[name] = value
            self._journal.state_members(f"flespi/state/{DEVICES}/{entry.id}", {name: value}, entry.cid)

    # --- tokens -------------------------------------------------------------------------------------------------

    def _seal(self, token: Token, key: str) -> Token:
        return msgspec.structs.replace(token, digest=self._keys.digest(key), sealed=self._keys.seal(key))

    def token_key(self, token: Token) -> str:
        """The key of a token, for its own account's master token only; the caller of this checks that."""
        return self._keys.unseal(token.sealed)

    async def save_activity(self) -> None:
        """Write when devices were last heard. Called every minute and at the end."""
        changed, self._active = self._active, {}
        if changed:
            await self._devices.touch(changed)

    def heard(self, entry: Entry, now: float) -> None:
        """A device sent something."""
        entry.view["last_active"] = now
        self._active[entry.id] = now

    async def save_token_use(self) -> None:
        """Write when tokens were last used. Called every minute and at the end."""
        async with self._changing:
            used = self._authentication.taken_uses()
            for token_id, when in used.items():
                entry = self._items[TOKENS].get(token_id)
                if entry is not None:
                    assert isinstance(entry.item, Token)
                    entry.item = msgspec.structs.replace(entry.item, accessed=when)
                    entry.view["accessed"] = when
            await self._tokens.touch(used)

    async def end_tokens(self) -> None:
        """Delete tokens whose time is over. Called every second."""
        for token_id in self._authentication.ended():
            entry = self._items[TOKENS].get(token_id)
            if entry is not None:
                assert isinstance(entry.item, Token)
                await self.delete(Caller(entry.item, entry.item.cid), TOKENS, entry)
