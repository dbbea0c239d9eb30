"""Who may see and publish which topic (mqtt-api.md 3). The account's visibility is decided by where a subscription
hangs; here the token's rights narrow it further."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from wayframe.bus import matches, split_filter
from wayframe.model import AccessType, Token
from wayframe.model.access import SUBMODULES, Access, grant

RESERVED = "flespi/"
REST = "flespi/rest/"

GroupsOf = Callable[[str, int], Iterable[int]]
"""Groups an item is a member of, by entity and id."""


@dataclass(frozen=True, slots=True)
class Right:
    """What a token must be allowed to GET."""

    entity: str
    """`gw/devices`, `platform/tokens`, …"""
    item_id: int | None
    """None: any item."""
    submodule: str | None = None
    besides: Right | None = None
    """A second right: what is assigned to a group is seen by whoever may read both, as over REST."""


def right_of(topic: str) -> Right | None:
    """The right that a topic below `flespi/` asks for; None for one that no right opens."""
    levels = topic.split("/")
    if len(levels) < 4 or levels[1] not in _SUBMODULES:
        return None
    category, module, name = levels[1:4]
    entity = f"{module}/{name}"
    item_id = _id(levels[4] if len(levels) > 4 else "")
    submodule, besides = _SUBMODULES[category], None
    if category == "state" and len(levels) > 6 and levels[5] in SUBMODULES:
        submodule = levels[5]
        if submodule in _LINKED:
            besides = Right(f"gw/{submodule}", _id(levels[6]))
    return Right(entity, item_id, submodule, besides)


def _id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 17 else None


_SUBMODULES = {"state": None, "message": "messages", "log": "logs", "interval": "intervals"}
_LINKED = ("devices", "channels", "groups", "geofences")
"""What can be assigned to a group, stream or plugin."""
_REMEMBERED = 1000
"""Topics of which a principal remembers whether it may publish to them."""


class Principal:
    """Who a connection is."""

    __slots__ = ("_may_publish", "_publish", "_subscribe", "access", "cid", "groups_of", "revoked", "token")

    def __init__(self, token: Token, access: Access, groups_of: GroupsOf) -> None:
        self.token = token
        """The token, as it was at the last look."""
        self.access = access
        self.cid = token.cid
        self.groups_of = groups_of
        self.revoked = False
        """The token is no good any more: nothing is delivered."""
        listed = [entry for entry in access.acl if entry.uri == "mqtt" and entry.topic]
        self._may_publish: dict[str, bool] = {}
        self._publish = tuple(entry.topic for entry in listed if "publish" in entry.actions)
        self._subscribe = tuple(entry.topic for entry in listed if "subscribe" in entry.actions)

    @property
    def limited(self) -> bool:
        """Whether an access control list says what it may do."""
        return self.access.type is AccessType.ACL

    def sees(self, topic: str) -> bool:
        """Whether a message with this topic may be delivered to it."""
        if self.revoked:
            return False
        if not topic.startswith(RESERVED):
            return not self.limited or any(matches(allowed, topic) for allowed in self._subscribe)
        if self.access.type is AccessType.MASTER:
            return True
        if topic.startswith(REST):
            return True  # an answer: it is sent to the one who asked
        right = right_of(topic)
        if right is None:
            return not self.limited
        return self._has(right) and (right.besides is None or self._has(right.besides))

    def _has(self, right: Right) -> bool:
        allowed = grant(self.access, right.entity, "GET", right.submodule)
        if right.item_id is None:
            return allowed.everything
        return allowed.covers(right.item_id, self.groups_of(right.entity, right.item_id))

    def publishes(self, topic: str) -> bool:
        """Whether it may publish to a topic outside `flespi/`."""
        if not self.limited:
            return True
        known = self._may_publish.get(topic)
        if known is None:
            if len(self._may_publish) >= _REMEMBERED:
                self._may_publish.clear()
            known = self._may_publish[topic] = any(matches(allowed, topic) for allowed in self._publish)
        return known

    def could_see(self, filter_text: str) -> bool:
        """Whether any topic of a filter could ever be delivered to it: False only for filters below `flespi/` that name
        things the token has no right to at all."""
        if not filter_text.startswith(RESERVED) or self.access.type is AccessType.MASTER:
            return True
        levels = split_filter(filter_text)
        if len(levels) < 4 or any(wild in level for level in levels[1:4] for wild in ("+", "#")):
            return True
        categories = [name for name in levels[1] if name in _SUBMODULES]
        if "rest" in levels[1]:
            return True
        return any(
            not grant(self.access, f"{module}/{name}", "GET", _SUBMODULES[category]).nothing
            for category in categories
            for module in levels[2]
            for name in levels[3]
        )
