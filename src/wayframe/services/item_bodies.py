"""What a caller may write into groups, streams, plugins, geofences and webhooks."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from .bodies import MAX_TTL, Metadata, Name

Text = Annotated[str, Meta(max_length=4096)]
Priority = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Kilometres = Annotated[float, Meta(gt=0, le=20_000)]


class GroupBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST, PUT and PATCH on /gw/groups."""

    name: Name | UnsetType = UNSET
    color: Annotated[str, Meta(pattern="^(#[0-9A-Fa-f]{6})?$")] | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class StreamBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST, PUT and PATCH on /gw/streams."""

    name: Name | UnsetType = UNSET
    protocol_id: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    protocol_name: Name | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    queue_ttl: Annotated[int, Meta(ge=60, le=MAX_TTL)] | UnsetType = UNSET
    validate_message: Text | UnsetType = UNSET
    configuration: Metadata | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class PluginBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST, PUT and PATCH on /gw/plugins. The type comes as `item_type` (its name) or `type_id`."""

    name: Name | UnsetType = UNSET
    item_type: Name | int | UnsetType = UNSET
    type_id: Name | int | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    required: bool | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    validate_message: Text | UnsetType = UNSET
    configuration: Metadata | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class Point(Struct, forbid_unknown_fields=True):
    """A place, in degrees."""

    lat: Latitude
    lon: Longitude


class Circle(Struct, forbid_unknown_fields=True, tag="circle"):
    """All places around one."""

    center: Point
    radius: Kilometres


class Polygon(Struct, forbid_unknown_fields=True, tag="polygon"):
    """What a closed line surrounds; the last point joins the first."""

    path: Annotated[list[Point], Meta(min_length=3, max_length=1000)]


class Corridor(Struct, forbid_unknown_fields=True, tag="corridor"):
    """A line with a width."""

    path: Annotated[list[Point], Meta(min_length=2, max_length=1000)]
    width: Kilometres


class GeofenceBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST, PUT and PATCH on /gw/geofences. Lengths are kilometres."""

    name: Name | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    geometry: Circle | Polygon | Corridor | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class TriggerFilter(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What of a topic's events starts a webhook."""

    cid: int | UnsetType = UNSET
    payload: Text | UnsetType = UNSET
    message: Text | UnsetType = UNSET


class Trigger(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A topic that starts a webhook."""

    topic: Annotated[str, Meta(min_length=1, max_length=1024)]
    filter: TriggerFilter | UnsetType = UNSET


class WebhookHeader(Struct, forbid_unknown_fields=True):
    """A header of a request."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$")]
    value: Annotated[str, Meta(max_length=4096)]


class WebhookCheck(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What to make of an answer."""

    expression: Text
    action: Annotated[str, Meta(pattern="^(break|skip|retry)$")] = "break"


class CustomServer(Struct, forbid_unknown_fields=True, omit_defaults=True, tag="custom-server"):
    """A request to a server of the user's."""

    uri: Annotated[str, Meta(max_length=2048)]
    method: Annotated[str, Meta(pattern="^(GET|POST|PUT|PATCH|DELETE)$")] = "POST"
    body: Annotated[str, Meta(max_length=65_536)] = ""
    headers: Annotated[list[WebhookHeader], Meta(max_length=50)] = []
    ca: Annotated[str, Meta(max_length=65_536)] = ""
    validate: WebhookCheck | UnsetType = UNSET


class FlespiPlatform(Struct, forbid_unknown_fields=True, omit_defaults=True, tag="flespi-platform"):
    """A call of our own API, with the rights of the account."""

    uri: Annotated[str, Meta(max_length=2048)]
    method: Annotated[str, Meta(pattern="^(GET|POST|PUT|PATCH|DELETE)$")] = "POST"
    body: Annotated[str, Meta(max_length=65_536)] = ""
    cid: Annotated[str, Meta(max_length=64)] = ""
    validate: WebhookCheck | UnsetType = UNSET


class WebhookBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST, PUT and PATCH on /platform/webhooks (rest-api.md 3.6)."""

    name: Name | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    triggers: Annotated[list[Trigger], Meta(min_length=1, max_length=3)] | UnsetType = UNSET
    configuration: dict[str, Any] | Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=10)] | UnsetType = (
        UNSET
    )
    metadata: Metadata | UnsetType = UNSET


class LinkBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST, PUT and PATCH on an assignment: values of an item-fields plugin for the assigned item."""

    fields: Metadata | UnsetType = UNSET


class SmsBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST on /gw/devices/{devices}/sms."""

    text: Annotated[str, Meta(min_length=1, max_length=1600)]
    timeout: Annotated[float, Meta(ge=5, le=60)] | UnsetType = UNSET


Request = CustomServer | FlespiPlatform
"""One request of a webhook."""
