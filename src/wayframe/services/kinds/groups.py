"""Groups, and geofences."""

from __future__ import annotations

import msgspec

from wayframe.model import BadRequest, Json, OriginType
from wayframe.model.items import Geofence, Group
from wayframe.storage import ItemTables

from ..bodies import merge
from ..entries import GEOFENCES, GROUPS
from ..item_bodies import GeofenceBody, GroupBody
from ..rules import replaced
from .kind import Kind

_GROUP_FIELDS = ("id", "cid", "name", "color", "metadata")
_GEOFENCE_FIELDS = ("id", "cid", "name", "enabled", "priority", "geometry", "metadata")


def groups(tables: ItemTables) -> Kind[Group]:
    """Groups have no rules of their own."""
    return Kind(
        GROUPS, OriginType.GROUP, tables.groups, Group, GroupBody, _GROUP_FIELDS,
        memory={"plugins": [], "streams": [], "devices_count": 0, "channels_count": 0},
    )  # fmt: skip


class GeofenceKind(Kind[Geofence]):
    """Geofences: an area must have a size."""

    def __init__(self, tables: ItemTables) -> None:
        super().__init__(
            GEOFENCES, OriginType.GEOFENCE, tables.geofences, Geofence, GeofenceBody, _GEOFENCE_FIELDS,
            required=["geometry"], memory={"groups": []},
        )  # fmt: skip

    def changed(self, item: Geofence, body: Json, patch: bool) -> Geofence:
        """PATCH merges into an area of the same type; an area of another type takes its place whole."""
        geometry = body.get("geometry") if isinstance(body, dict) else None
        if patch and isinstance(body, dict) and isinstance(geometry, dict):
            kind = item.geometry["type"]
            if geometry.get("type", kind) == kind:
                body = {**body, "geometry": merge(item.geometry, geometry)}
        fields = self.fields(body)
        area = fields.pop("geometry", item.geometry)
        return self.checked(msgspec.structs.replace(replaced(item, fields, patch), geometry=area))

    def checked(self, item: Geofence) -> Geofence:
        path = item.geometry.get("path")
        if isinstance(path, list):
            places = {(point["lat"], point["lon"]) for point in path}
            least = 3 if item.geometry["type"] == "polygon" else 2
            if len(places) < least:
                raise BadRequest(f"`geometry.path` must name at least {least} different places")
        return item
