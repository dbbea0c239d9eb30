"""Who may do what: the pure predicate of rights (rest-api.md 3.1). No look-ups, no clock.

A token's `access` object is parsed once (`parse_access`). A question is asked in one step: `grant()` tells which items
of an entity a method may touch at all, and `Grant.covers()` decides for one item.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from .errors import BadRequest
from .nouns import AccessType, Json

METHODS = ("GET", "POST", "PUT", "DELETE")
"""Methods an ACL entry may name; PATCH is granted by PUT and HEAD by GET."""

SUBMODULES = (
    "logs", "messages", "telemetry", "settings", "connections", "devices", "channels", "groups", "geofences",
    "calculate", "media", "packets", "commands", "commands-queue", "commands-result", "sms", "files", "intervals",
    "idents",
)  # fmt: skip
"""Parts of an item with a right of their own."""

URIS = (
    "gw", "gw/channels", "gw/devices", "gw/groups", "gw/streams", "gw/modems", "gw/calcs", "gw/plugins",
    "gw/geofences", "gw/assets", "storage", "storage/containers", "storage/cdns", "mqtt", "ai",
)  # fmt: skip
"""Modules and entities an ACL entry may name; a module covers all its entities."""

_ACTIONS = ("publish", "subscribe")
_GRANTED_BY = {"PATCH": "PUT", "HEAD": "GET"}
_MASTER_ONLY = "platform"
_IN_GROUPS = "in-groups"


class Scope(Enum):
    """How an ACL entry names its items, where it does not list ids."""

    ALL = "all"
    """Every item of the account and its subaccounts."""
    IN_GROUPS = "in-groups"
    """Items that are members of a group this token may read."""


@dataclass(frozen=True, slots=True)
class AclEntry:
    """One line of an access control list."""

    uri: str
    """`gw/devices`, or a whole module such as `gw`."""
    methods: frozenset[str]
    """Methods on the items themselves."""
    ids: Scope | frozenset[int] = Scope.ALL
    """Items it is about."""
    submodules: Mapping[str, frozenset[str]] | None = None
    """Methods by submodule name; None: every submodule, with `methods`."""
    topic: str = ""
    """MQTT topic filter, for `uri` mqtt; an entry with one is about messages, and opens no session or other item."""
    actions: frozenset[str] = frozenset()
    """MQTT actions, for `uri` mqtt: publish, subscribe."""

    def permits(self, entity: str, method: str, submodule: str | None) -> bool:
        """Whether it allows `method` on the entity's items, or on their submodule, for the items it is about.

        A submodule is reached through an item the token may read: GET on the entry, and the method on the submodule.
        """
        if self.uri != entity and not entity.startswith(self.uri + "/"):
            return False
        if self.topic and self.uri == "mqtt":
            return False
        if submodule is None:
            return method in self.methods
        if "GET" not in self.methods:
            return False
        return method in (self.methods if self.submodules is None else self.submodules.get(submodule, frozenset()))


@dataclass(frozen=True, slots=True)
class Access:
    """A token's rights, parsed."""

    type: AccessType
    """Standard, master or ACL."""
    acl: tuple[AclEntry, ...] = ()
    """The list of an ACL token; empty for the others."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Which items of an entity a method may touch."""

    everything: bool = False
    """All that the account may see."""
    ids: frozenset[int] = frozenset()
    """These items."""
    groups: Grant | None = field(default=None)
    """Also the members of the groups that this grant covers; None: no membership counts."""

    @property
    def nothing(self) -> bool:
        """True if the method is not granted at all: the answer is 403, whatever the selector."""
        return not self.everything and not self.ids and self.groups is None

    def covers(self, item_id: int, group_ids: Iterable[int] = ()) -> bool:
        """Whether the item with this id, a member of these groups, may be touched."""
        if self.everything or item_id in self.ids:
            return True
        groups = self.groups
        return groups is not None and any(groups.covers(group_id) for group_id in group_ids)


NOTHING = Grant()
"""The grant of a right that is missing."""

EVERYTHING = Grant(everything=True)
"""The grant of a token that is not limited to listed items."""


def grant(access: Access, entity: str, method: str, submodule: str | None = None) -> Grant:
    """Which items of `entity` (`gw/devices`, `platform/tokens`, …) `access` lets `method` touch.

    `method` is the HTTP method; PATCH is granted by PUT, HEAD by GET. `submodule` is the part of the item asked for.
    Account visibility is not decided here: it narrows the outcome further.
    """
    method = _GRANTED_BY.get(method, method)
    if access.type is AccessType.MASTER:
        return EVERYTHING
    if entity == _MASTER_ONLY or entity.startswith(_MASTER_ONLY + "/"):
        return NOTHING
    if access.type is AccessType.STANDARD:
        return EVERYTHING
    granting = [entry for entry in access.acl if entry.permits(entity, method, submodule)]
    if any(entry.ids is Scope.ALL for entry in granting):
        return EVERYTHING
    listed = [entry.ids for entry in granting if isinstance(entry.ids, frozenset)]
    in_groups = any(entry.ids is Scope.IN_GROUPS for entry in granting)
    return Grant(ids=frozenset[int]().union(*listed), groups=_readable_groups(access) if in_groups else None)


def _readable_groups(access: Access) -> Grant:
    """The groups an ACL names by itself; an entry that says in-groups cannot define them."""
    readable = [entry for entry in access.acl if entry.permits("gw/groups", "GET", None)]
    if any(entry.ids is Scope.ALL for entry in readable):
        return EVERYTHING
    return Grant(ids=frozenset[int]().union(*(entry.ids for entry in readable if isinstance(entry.ids, frozenset))))


def may(
    access: Access,
    entity: str,
    method: str,
    submodule: str | None = None,
    *,
    item_id: int,
    group_ids: Iterable[int] = (),
) -> bool:
    """The same question for one item."""
    return grant(access, entity, method, submodule).covers(item_id, group_ids)


# --- parsing ---------------------------------------------------------------------------------------------------------


def parse_access(value: Mapping[str, Json]) -> Access:
    """A token's `access` object, `{"type": 0|1|2, "acl": [...]}`.

    Raises BadRequest naming the field and the rule. An ACL on a standard or master token is refused: it would not
    limit anything.
    """
    kind = value.get("type", AccessType.STANDARD)
    if isinstance(kind, bool) or kind not in tuple(AccessType):
        raise BadRequest(f"access.type must be 0 (standard), 1 (master) or 2 (ACL), got {kind!r}")
    lines = value.get("acl", []) or []
    if not isinstance(lines, list):
        raise BadRequest("access.acl must be an array of entries")
    if lines and kind != AccessType.ACL:
        raise BadRequest("access.acl is only for access.type 2; other types are not limited by it")
    return Access(AccessType(kind), tuple(_entry(line, f"access.acl[{index}]") for index, line in enumerate(lines)))


def _entry(value: Json, where: str) -> AclEntry:
    if not isinstance(value, Mapping):
        raise BadRequest(f"{where} must be an object")
    uri = value.get("uri")
    if uri not in URIS:
        raise BadRequest(f"{where}.uri must be one of {', '.join(URIS)}; got {uri!r}", schema_hint=list(URIS))
    return AclEntry(
        uri=str(uri),
        methods=_methods(value.get("methods", []), f"{where}.methods"),
        ids=_ids(value.get("ids", Scope.ALL.value), f"{where}.ids"),
        submodules=_submodules(value.get("submodules"), f"{where}.submodules"),
        topic=_text(value.get("topic", ""), f"{where}.topic"),
        actions=_names(value.get("actions", []), _ACTIONS, f"{where}.actions"),
    )


def _ids(value: Json, where: str) -> Scope | frozenset[int]:
    if value in (Scope.ALL.value, Scope.IN_GROUPS.value):
        return Scope(value)
    if isinstance(value, list) and all(isinstance(item, int) and not isinstance(item, bool) for item in value):
        return frozenset(value)
    raise BadRequest(f'{where} must be "all", "{_IN_GROUPS}" or an array of integers')


def _submodules(value: Json, where: str) -> Mapping[str, frozenset[str]] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise BadRequest(f"{where} must be an array of objects with name and methods")
    methods: dict[str, frozenset[str]] = {}
    for index, line in enumerate(value):
        if not isinstance(line, Mapping) or line.get("name") not in SUBMODULES:
            raise BadRequest(f"{where}[{index}].name must be one of {', '.join(SUBMODULES)}")
        name = str(line["name"])
        methods[name] = methods.get(name, frozenset()) | _methods(line.get("methods", []), f"{where}[{index}].methods")
    return methods


def _methods(value: Json, where: str) -> frozenset[str]:
    return frozenset(_GRANTED_BY.get(name, name) for name in _names(value, (*METHODS, *_GRANTED_BY), where))


def _names(value: Json, allowed: tuple[str, ...], where: str) -> frozenset[str]:
    if not isinstance(value, list) or any(item not in allowed for item in value):
        raise BadRequest(f"{where} must be an array of {', '.join(allowed)}")
    return frozenset(str(item) for item in value)


def _text(value: Json, where: str) -> str:
    if not isinstance(value, str):
        raise BadRequest(f"{where} must be text")
    return value
