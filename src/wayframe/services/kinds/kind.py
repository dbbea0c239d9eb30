"""What every kind of item has in common: its table, its body, its fields, and the steps from a body to a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from wayframe.model import BadRequest, Json, OriginType
from wayframe.storage import ItemTable

from ..bodies import given, parse_body
from ..entries import Entry, Item
from ..rules import replaced

ItemT = TypeVar("ItemT", bound=Item)


class Kind(Generic[ItemT]):
    """One kind of item as the directory keeps it. A kind with rules of its own overrides the steps it needs."""

    def __init__(
        self,
        entity: str,
        origin: OriginType,
        table: ItemTable[ItemT],
        noun: type[ItemT],
        body: type[msgspec.Struct],
        shown: Sequence[str],
        *,
        required: Sequence[str] = (),
        restorable: bool = True,
        deletable: bool = True,
        memory: Mapping[str, Json] | None = None,
    ) -> None:
        self.entity = entity
        """`gw/groups`: the path of the collection, and the right it needs."""
        self.origin = origin
        """Type of its log records."""
        self.table = table
        """Where its records are stored."""
        self.noun = noun
        """Type of a record."""
        self.body = body
        """Type of what a caller may write."""
        self.shown = tuple(shown)
        """Default fields, which are also the retained state."""
        self.restorable = restorable
        """A deleted one lies in the bin for 30 days."""
        self.deletable = deletable
        """Callers may delete one."""
        self._required = tuple(required)
        self._memory = dict(memory or {})
        self.in_memory = tuple(name for name in self._memory if name not in ("telemetry", "deleted"))
        """Fields that live in memory only and are part of the retained state, each as a topic of its own."""

    # --- from a body to a record --------------------------------------------------------------------------------

    def make(self, cid: int, body: Json) -> ItemT:
        """A new record, id 0. Raises `BadRequest` that names the field, `Conflict`."""
        fields = self.fields(body)
        for name in self._required:
            if name not in fields:
                raise BadRequest(f"`{name}` is required", schema_hint=list(self.body.__struct_fields__))
        return self.checked(self.noun(**{"id": 0, "cid": cid, **self.defaults(), **fields}))

    def defaults(self) -> dict[str, Any]:
        """Values of a new record that its body does not name, beyond those of the noun itself."""
        return {}

    def changed(self, item: ItemT, body: Json, patch: bool) -> ItemT:
        """The record after a PUT or PATCH. Raises as `make`."""
        return self.checked(replaced(item, self.fields(body), patch))

    def fields(self, body: Json) -> dict[str, Any]:
        """The fields a caller named. Raises `BadRequest`."""
        return given(parse_body(self.body, body))

    def checked(self, item: ItemT) -> ItemT:
        """The record, put in order where that is due. Raises `BadRequest`, `Conflict` where it breaks a rule."""
        return item

    # --- what is shown ------------------------------------------------------------------------------------------

    def view(self, item: ItemT) -> dict[str, Any]:
        """What the API shows of a record; also what follows from it."""
        return {name: getattr(item, name) for name in item.__struct_fields__}

    def fresh(self) -> dict[str, Any]:
        """Fields that live in memory only, as a new entry has them."""
        return {name: type(value)(value) if isinstance(value, list | dict) else value
                for name, value in self._memory.items()}  # fmt: skip

    def once(self, item: ItemT) -> dict[str, Json]:
        """What only the answer to the creation shows."""
        return {}

    def state(self, entry: Entry) -> dict[str, Any]:
        """The default field set of an item, copied."""
        return {name: entry.view[name] for name in self.shown}

    def topic(self, item_id: int | str) -> str:
        """Topic of an item's retained state; those of its parts lie below it."""
        return f"flespi/state/{self.entity}/{item_id}"

    @property
    def announced(self) -> tuple[str, ...]:
        """Fields whose retained states are topics of their own."""
        return (*self.shown, *self.in_memory)

    def account(self, entry: Entry) -> int:
        """The account that is told of what happens to an item."""
        return entry.cid

    def check_deletion(self, item: ItemT) -> None:
        """Raises `Conflict` where others hold on to it."""

    # --- indexes ------------------------------------------------------------------------------------------------

    def placed(self, item: ItemT) -> None:
        """A record is in memory: take it into the indexes."""

    def displaced(self, item: ItemT) -> None:
        """It is gone, or about to be placed again with what changed."""
