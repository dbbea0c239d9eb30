"""What a caller may write into subaccounts and limits, and how limits are shown."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from wayframe.model import limits

from .bodies import Metadata, Name


class SubaccountBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST, PUT and PATCH on /platform/subaccounts."""

    name: Name | UnsetType = UNSET
    limit_id: Annotated[int, Meta(ge=0, le=2**53)] | UnsetType = UNSET
    blocked: bool | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


Count = Annotated[int, Meta(ge=0, le=2**53)]
Description = Annotated[str, Meta(max_length=1024)]


class _LimitBody(Struct, forbid_unknown_fields=True, kw_only=True):
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    blocking_duration: Count | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class _LimitItem(Struct, kw_only=True):
    id: int
    cid: int
    name: str
    description: str
    blocking_duration: int
    metadata: dict[str, Any]


def _with_counts(name: str, base: type[Struct], kind: Any, text: str, *default: Any) -> type[Struct]:
    made = msgspec.defstruct(name, [(limit, kind, *default) for limit in limits.NAMES], bases=(base,), kw_only=True)
    made.__doc__ = text
    return made


LimitBody = _with_counts(
    "LimitBody", _LimitBody, Count | UnsetType, "Body of POST, PUT and PATCH on /platform/limits.", UNSET
)
LimitItem = _with_counts("LimitItem", _LimitItem, int, "A set of limits; 0 does not limit.")
