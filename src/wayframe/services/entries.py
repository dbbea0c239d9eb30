"""Items in memory: what an entry holds, who asks for it, how entities are named, and selectors compiled once."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from wayframe.expressions import ExpressionError, Selector, SelectorError, compile_selector
from wayframe.model import Account, BadRequest, Channel, Device, Json, Token
from wayframe.model.items import DeletedItem, Geofence, Group, Plugin, Stream, Webhook
from wayframe.model.limits import Limit

Item = Account | Limit | Token | Channel | Device | Group | Stream | Plugin | Geofence | Webhook | DeletedItem


@dataclass(slots=True, eq=False)
class Entry:
    """An item in memory."""

    item: Item
    """The stored record."""
    view: dict[str, Any]
    """Every field the API can show and selectors can ask for; kept up to date in place."""
    changed: float = 0.0
    """When something of it was announced last since the start, Unix seconds; 0 for not yet."""

    @property
    def id(self) -> int:
        return self.item.id

    @property
    def device(self) -> Device:
        """The item as a device."""
        assert isinstance(self.item, Device)
        return self.item

    @property
    def cid(self) -> int:
        """The account the item belongs to."""
        return self.item.id if isinstance(self.item, Account) else self.item.cid


class Caller(msgspec.Struct, frozen=True):
    """Who asks, and in which account's name."""

    token: Token
    cid: int
    """Acting account: the token's own, or a descendant by `x-flespi-cid`."""
    app: str = ""
    """`x-flespi-app`."""
    trace: str = ""
    """`x-flespi-trace`."""
    source: str = ""
    """Address of the peer."""

    def said(self) -> dict[str, Json]:
        """What a log record keeps of who did it (rest-api.md 1.5, 6.5): `token_id`, or `user_id` of a person."""
        who = {"token_id": self.token.id} if self.token.id > 0 else {"user_id": -self.token.id}
        known = {"app": self.app, "trace": self.trace, "host": self.source}
        return {**who, **{name: value for name, value in known.items() if value}}


@dataclass(frozen=True, slots=True)
class Defaults:
    """Values of new items."""

    messages_ttl: int
    media_ttl: int
    destinations: tuple[str, ...] = ()
    """Private hosts and networks that users' URLs may lead to."""


DEVICES = "gw/devices"
CHANNELS = "gw/channels"
TOKENS = "platform/tokens"
CUSTOMER = "platform/customer"
SUBACCOUNTS = "platform/subaccounts"
LIMITS = "platform/limits"
GROUPS = "gw/groups"
STREAMS = "gw/streams"
PLUGINS = "gw/plugins"
GEOFENCES = "gw/geofences"
WEBHOOKS = "platform/webhooks"
DELETED = "platform/deleted"


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Selector:
    return compile_selector(text)


def compile_text(text: str) -> Selector:
    """Compile a selector (remembered). Raises `BadRequest` with the column."""
    try:
        return _compiled(text)
    except (SelectorError, ExpressionError) as error:
        raise BadRequest(f"selector: {error}") from None


def restore_telemetry(entry: Entry, record: bytes) -> None:
    """Put a stored telemetry record (`{name: [time, value]}`) into a device's view."""
    with contextlib.suppress(msgspec.DecodeError):
        stored = msgspec.json.decode(record, type=dict[str, tuple[float, Any]])
        entry.view["telemetry"] = {name: value for name, (_, value) in stored.items()}
        entry.view["telemetry_times"] = {name: time for name, (time, _) in stored.items()}
