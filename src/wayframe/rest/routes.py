"""The table of routes: one line each, with the right it needs, its handler and its shapes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from wayframe.model import NotFound
from wayframe.services.account_bodies import LimitBody, LimitItem, SubaccountBody
from wayframe.services.bodies import AccountBody, ChannelBody, DeviceBody, TokenBody
from wayframe.services.command_shapes import CommandBody
from wayframe.services.entries import (
    CHANNELS,
    CUSTOMER,
    DELETED,
    DEVICES,
    GEOFENCES,
    GROUPS,
    LIMITS,
    PLUGINS,
    STREAMS,
    SUBACCOUNTS,
    TOKENS,
    WEBHOOKS,
)
from wayframe.services.item_bodies import (
    GeofenceBody,
    GroupBody,
    LinkBody,
    PluginBody,
    SmsBody,
    StreamBody,
    WebhookBody,
)
from wayframe.services.sessions import MESSAGES, SESSIONS, MessageBody
from wayframe.services.settings import SettingBody
from wayframe.services.users import USERS, UserBody

from . import item_schemas, schemas
from .context import Call
from .exchange import Answer, WrongMethod
from .handlers import (
    assignments,
    auth,
    catalogue,
    channels,
    commands,
    connections,
    constants,
    history,
    items,
    media,
    mqtt,
    senders,
    users,
)
from .handlers.shared import nothing
from .swagger import swagger

Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """A method on a path."""

    method: str
    """HTTP method."""
    path: str
    """Pattern: segments, the variable ones in braces."""
    handler: Handler
    """Answers it."""
    summary: str
    """One line for people."""
    entity: str | None = None
    """Entity whose right is needed; None: any valid token."""
    submodule: str | None = None
    """Submodule whose right is needed."""
    result: Any = None
    """Shape of an item of `result`; None: described by the summary alone."""
    body: Any = None
    """Shape of the body, or of one element of a batch."""
    batch: bool = False
    """The body may be an array."""
    data: Any = None
    """Shape of the `data` query variable."""
    open: bool = False
    """Needs no token."""
    upload: bool = False
    """The body is streamed by the HTTP door, and never held in memory."""
    linked: str | None = None
    """Entity of the items that the second selector names, of an assignment; the token needs GET on those, too."""

    @property
    def segments(self) -> tuple[str, ...]:
        """The pattern, cut."""
        return tuple(part for part in self.path.split("/") if part)


_DEV = "/gw/devices/{devices}"
_CHA = "/gw/channels/{channels}"
_GRO = "/gw/groups/{groups}"
_STR = "/gw/streams/{streams}"
_PLU = "/gw/plugins/{plugins}"
_TOK = "/platform/tokens/{tokens}"
_SUB = "/platform/subaccounts/{subaccounts}"
_LIM = "/platform/limits/{limits}"
_CUS = "/platform/customer"
_PRO = "/gw/channel-protocols/{protocols}"
_H = schemas.HistoryData
_SES = "/mqtt/sessions/{sessions}"
_MESSAGE = schemas.Message


def _crud(root: str, variable: str, entity: str, body: Any, item: Any) -> tuple[Route, ...]:
    """Create, read, replace, merge, delete: what every entity has."""
    one = f"{root}/{{{variable}}}"
    return (
        Route("POST", root, items.create, f"Create {variable}", entity, result=item, body=body, batch=True),
        Route("GET", one, items.read, f"Read {variable}", entity, result=item),
        Route("PUT", one, items.replace, f"Replace fields of {variable}", entity, result=item, body=body),
        Route("PATCH", one, items.merge, f"Merge into {variable}", entity, result=item, body=body),
        Route("DELETE", one, items.delete, f"Delete {variable}", entity, result=schemas.IdItem),
    )


def _owned(root: str, variable: str, entity: str, body: Any, item: Any) -> tuple[Route, ...]:
    """The same with a log, and the move to another account."""
    one = f"{root}/{{{variable}}}"
    return (
        *_crud(root, variable, entity, body, item),
        Route(
            "PUT", f"{one}/cid", items.move, f"Move {variable} to another account", entity, result=item,
            body=item_schemas.Move,
        ),
        Route(
            "GET", f"{one}/logs", history.logs, f"Logs of {variable}", entity, "logs", result=schemas.LogItem,
            data=schemas.HistoryData,
        ),
    )  # fmt: skip


def _links(root: str, entity: str, linked: str, item: Any) -> tuple[Route, ...]:
    """Assign, read, take out: what a group, stream or plugin has with devices, channels and groups."""
    parent, child = entity.rpartition("/")[2], linked.rpartition("/")[2]
    path = f"{root}/{child}/{{{child}}}"
    calls = (
        ("GET", assignments.read, f"{child.title()} assigned to {parent}", None),
        ("POST", assignments.assign, f"Assign {child} to {parent}", LinkBody),
        ("PUT", assignments.replace, f"Replace values of {child} assigned to {parent}", LinkBody),
        ("PATCH", assignments.merge, f"Merge values of {child} assigned to {parent}", LinkBody),
        ("DELETE", assignments.unassign, f"Take {child} out of {parent}", None),
    )
    return tuple(
        Route(method, path, handler, summary, entity, child, linked=linked, result=item, body=body)
        for method, handler, summary, body in calls
    )


async def _described(call: Call) -> Answer:
    """GET /gw/api.json: these routes, as far as they lie below /gw, and the schemas of bodies."""
    return Answer([], raw=swagger("/gw", ROUTES))


# fmt: off
ROUTES: tuple[Route, ...] = (
    Route("GET", "/auth/regions", auth.regions, "Addresses of this server", open=True, result=schemas.RegionItem),
    Route("GET", "/auth/oauth/providers", auth.providers, "Ways to log in", open=True),
    Route("GET", "/auth/info", auth.info, "The token in use", result=schemas.TokenItem),
    Route("GET", "/const/values", constants.values, "Log codes and topics", open=True),
    Route("GET", "/gw/api.json", _described, "Routes and schemas of bodies"),

    *_crud("/platform/tokens", "tokens", TOKENS, TokenBody, schemas.TokenItem),
    Route("GET", f"{_TOK}/logs", history.logs, "Logs of tokens", TOKENS, "logs", schemas.LogItem, data=_H),
    Route("GET", "/platform/users/{users}", users.read, "People who log in with a password", USERS,
          result=schemas.UserItem),
    Route("POST", "/platform/users", users.create, "Add people who log in", USERS, result=schemas.UserItem,
          body=UserBody, batch=True),
    Route("PUT", "/platform/users/{users}", users.change, "Change people, their passwords", USERS,
          result=schemas.UserItem, body=UserBody),
    Route("DELETE", "/platform/users/{users}", users.delete, "Remove people", USERS, result=schemas.IdItem),
    Route("GET", _CUS, items.read_customer, "The acting account", CUSTOMER, result=schemas.AccountItem),
    Route("PUT", _CUS, items.replace_customer, "Change the account", CUSTOMER, None, schemas.AccountItem, AccountBody),
    Route("PATCH", _CUS, items.merge_customer, "Merge into the account", CUSTOMER, None, schemas.AccountItem,
          AccountBody),
    Route("GET", f"{_CUS}/logs", history.customer_logs, "Logs of the account", CUSTOMER, "logs", schemas.LogItem,
          data=_H),
    Route("GET", f"{_CUS}/statistics", history.statistics, "How much the account has, as of now", CUSTOMER,
          result=item_schemas.StatisticsItem, data=_H),

    *_crud("/platform/subaccounts", "subaccounts", SUBACCOUNTS, SubaccountBody, schemas.SubaccountItem),
    Route("GET", f"{_SUB}/logs", history.logs, "Logs of subaccounts", SUBACCOUNTS, "logs", schemas.LogItem, data=_H),
    *_crud("/platform/limits", "limits", LIMITS, LimitBody, LimitItem),
    Route("GET", f"{_LIM}/logs", history.logs, "Logs of limits", LIMITS, "logs", schemas.LogItem, data=_H),
    *_owned("/platform/webhooks", "webhooks", WEBHOOKS, WebhookBody, item_schemas.WebhookItem),
    Route("GET", "/platform/webhooks/{webhooks}/packets", nothing, "Outside traffic of webhooks: none", WEBHOOKS,
          "packets", data=_H),
    Route("GET", "/platform/deleted/{deleted}", items.read_deleted, "Deleted items", DELETED,
          result=item_schemas.DeletedItem),
    Route("DELETE", "/platform/deleted/{deleted}", items.forget, "Forget deleted items for good", DELETED,
          result=schemas.IdItem),
    Route("POST", "/platform/deleted/{deleted}/restore", items.restore, "Restore deleted items", DELETED,
          result=schemas.IdItem),
    Route("GET", "/platform/deleted/{deleted}/logs", history.deleted_logs, "Logs of deleted items", DELETED, "logs",
          result=schemas.LogItem, data=_H),

    Route("GET", _PRO, catalogue.protocols, "Protocols", result=schemas.ProtocolItem),
    Route("GET", f"{_PRO}/device-types/{{types}}", catalogue.device_types, "Device types with their commands",
          result=schemas.DeviceTypeItem),
    Route("GET", "/gw/stream-protocols/{protocols}", catalogue.stream_protocols, "Stream protocols",
          result=item_schemas.TypeItem),
    Route("GET", "/gw/plugin-types/{types}", catalogue.plugin_types, "Plugin types", result=item_schemas.TypeItem),
    Route("GET", "/gw/message-parameters/{parameters}", catalogue.message_parameters, "Message parameters",
          result=schemas.ParameterItem),

    *_owned("/gw/groups", "groups", GROUPS, GroupBody, item_schemas.GroupItem),
    *_links(_GRO, GROUPS, DEVICES, item_schemas.LinkItem),
    *_links(_GRO, GROUPS, CHANNELS, item_schemas.LinkItem),
    *_links(_GRO, GROUPS, GEOFENCES, item_schemas.LinkItem),
    *_owned("/gw/streams", "streams", STREAMS, StreamBody, item_schemas.StreamItem),
    *_links(_STR, STREAMS, DEVICES, item_schemas.LinkItem),
    *_links(_STR, STREAMS, CHANNELS, item_schemas.LinkItem),
    *_links(_STR, STREAMS, GROUPS, item_schemas.LinkItem),
    Route("POST", f"{_STR}/messages", senders.stream_messages, "Hand messages to streams", STREAMS, "messages",
          schemas.IdItem, _MESSAGE, batch=True),
    Route("GET", f"{_STR}/packets", nothing, "Outside traffic of streams: none", STREAMS, "packets", data=_H),
    *_owned("/gw/plugins", "plugins", PLUGINS, PluginBody, item_schemas.PluginItem),
    *_links(_PLU, PLUGINS, DEVICES, item_schemas.PluginLinkItem),
    *_links(_PLU, PLUGINS, GROUPS, item_schemas.PluginLinkItem),
    Route("GET", f"{_PLU}/geofences/{{geofences}}", nothing, "Geofences assigned to plugins: none", PLUGINS,
          "geofences"),
    Route("GET", f"{_PLU}/packets", nothing, "Outside traffic of plugins: none", PLUGINS, "packets", data=_H),
    *_owned("/gw/geofences", "geofences", GEOFENCES, GeofenceBody, item_schemas.GeofenceItem),

    *_owned("/gw/channels", "channels", CHANNELS, ChannelBody, schemas.ChannelItem),
    Route("GET", f"{_CHA}/connections/{{connections}}", connections.read, "Connections over channels", CHANNELS,
          "connections", schemas.ConnectionItem),
    Route("DELETE", f"{_CHA}/connections/{{connections}}", connections.close, "Close connections", CHANNELS,
          "connections", schemas.IdItem),
    Route("GET", f"{_CHA}/idents", channels.idents, "Idents seen on channels", CHANNELS, "idents",
          item_schemas.IdentItem),
    Route("GET", f"{_CHA}/idents/{{idents}}", channels.idents, "Some idents seen on channels", CHANNELS,
          "idents", item_schemas.IdentItem),
    Route("GET", f"{_CHA}/idents/{{idents}}/packets", channels.packets, "Raw traffic of idents", CHANNELS, "packets",
          item_schemas.PacketItem, data=_H),
    Route("GET", f"{_CHA}/messages", channels.messages, "Messages that came over channels", CHANNELS, "messages",
          _MESSAGE, data=_H),
    Route("DELETE", f"{_CHA}/messages", channels.delete_messages, "Hide messages of channels; devices keep theirs",
          CHANNELS, "messages", schemas.IdItem, _H),

    *_owned("/gw/devices", "devices", DEVICES, DeviceBody, schemas.DeviceItem),
    Route("GET", f"{_DEV}/metadata", items.read_metadata, "Metadata of devices", DEVICES,
          result=item_schemas.MetadataItem),
    Route("PUT", f"{_DEV}/metadata", items.replace_metadata, "Replace the metadata of devices", DEVICES,
          result=item_schemas.MetadataItem, body=dict[str, Any]),
    Route("PATCH", f"{_DEV}/metadata", items.merge_metadata, "Merge into the metadata of devices", DEVICES,
          result=item_schemas.MetadataItem, body=dict[str, Any]),
    Route("GET", f"{_DEV}/settings/{{names}}", history.settings, "Settings of devices", DEVICES, "settings",
          item_schemas.SettingItem),
    Route("PUT", f"{_DEV}/settings/{{names}}", history.write_settings, "Have settings written", DEVICES, "settings",
          item_schemas.SettingItem, SettingBody),
    Route("DELETE", f"{_DEV}/settings/{{names}}", history.read_settings,
          "Have settings told again, or forget what waits", DEVICES, "settings", item_schemas.SettingItem,
          data=item_schemas.SettingData),
    Route("GET", f"{_DEV}/packets", history.packets, "Raw traffic of devices", DEVICES, "packets",
          item_schemas.PacketItem, data=_H),
    Route("DELETE", f"{_DEV}/packets", history.delete_packets, "Forget the raw traffic of devices", DEVICES, "packets",
          schemas.IdItem),
    Route("GET", f"{_DEV}/geofences", assignments.device_geofences, "Geofences in a group with devices", DEVICES,
          "geofences", item_schemas.DeviceGeofenceItem),
    Route("GET", f"{_DEV}/geofences/{{geofences}}", assignments.device_geofences,
          "Some geofences in a group with devices", DEVICES, "geofences", item_schemas.DeviceGeofenceItem),
    Route("GET", f"{_DEV}/sms", nothing, "Text sent to devices: none", DEVICES, "sms", data=_H),
    Route("POST", f"{_DEV}/sms", senders.sms, "Send text to devices", DEVICES, "sms", schemas.IdItem, SmsBody,
          batch=True),
    Route("GET", f"{_DEV}/media", media.read, "List files", DEVICES, "media", schemas.MediaItem,
          data=schemas.MediaData),
    Route("POST", f"{_DEV}/media", media.upload, "Upload a file (multipart parts file and data)", DEVICES, "media",
          schemas.MediaItem, upload=True),
    Route("PUT", f"{_DEV}/media", media.change, "Protect, share, rename or annotate files", DEVICES, "media",
          schemas.MediaItem, schemas.MediaChange),
    Route("DELETE", f"{_DEV}/media", media.delete, "Delete files", DEVICES, "media", None, schemas.MediaDeletion),
    Route("POST", f"{_DEV}/commands", commands.run, "Carry out commands now and wait", DEVICES, "commands",
          schemas.ResultItem, CommandBody, batch=True),
    Route("POST", f"{_DEV}/commands-queue", commands.enqueue, "Queue commands", DEVICES, "commands-queue",
          schemas.QueueItem, CommandBody, batch=True),
    Route("GET", f"{_DEV}/commands-queue/{{commands}}", commands.queue, "Queued commands", DEVICES, "commands-queue",
          schemas.QueueItem),
    Route("DELETE", f"{_DEV}/commands-queue/{{commands}}", commands.cancel, "Cancel commands", DEVICES,
          "commands-queue", schemas.IdItem),
    Route("GET", f"{_DEV}/commands-result", commands.results, "Results of commands", DEVICES, "commands-result",
          schemas.ResultItem, data=_H),
    Route("GET", f"{_DEV}/commands-result/{{commands}}", commands.results, "Results of some commands", DEVICES,
          "commands-result", schemas.ResultItem, data=_H),
    Route("GET", f"{_DEV}/connections/{{connections}}", connections.read, "Connections of devices", DEVICES,
          "connections", schemas.ConnectionItem),
    Route("DELETE", f"{_DEV}/connections/{{connections}}", connections.close, "Close connections, stop live streams",
          DEVICES, "connections", schemas.IdItem),
    Route("GET", f"{_DEV}/messages", history.messages, "Messages", DEVICES, "messages", _MESSAGE, data=_H),
    Route("POST", f"{_DEV}/messages", history.register, "Register messages", DEVICES, "messages", schemas.IdItem,
          _MESSAGE, batch=True),
    Route("DELETE", f"{_DEV}/messages", history.delete_messages, "Delete messages", DEVICES, "messages",
          schemas.IdItem, _H),
    Route("GET", f"{_DEV}/telemetry", history.telemetry, "Latest values", DEVICES, "telemetry", schemas.TelemetryItem),
    Route("GET", f"{_DEV}/telemetry/{{names}}", history.telemetry, "Some latest values", DEVICES, "telemetry",
          schemas.TelemetryItem),
    Route("DELETE", f"{_DEV}/telemetry", history.delete_telemetry, "Forget the named values", DEVICES, "telemetry",
          schemas.IdItem, list[str]),
    Route("DELETE", f"{_DEV}/telemetry/{{names}}", history.delete_telemetry, "Forget values", DEVICES, "telemetry",
          schemas.IdItem),

    Route("GET", _SES, mqtt.read, "MQTT sessions", SESSIONS, result=schemas.SessionItem),
    Route("DELETE", _SES, mqtt.end, "End MQTT sessions", SESSIONS, result=schemas.IdItem),
    Route("GET", f"{_SES}/subscriptions/{{subscriptions}}", mqtt.subscriptions, "Subscriptions of MQTT sessions",
          SESSIONS, result=schemas.SubscriptionItem),
    Route("DELETE", f"{_SES}/subscriptions/{{subscriptions}}", mqtt.unsubscribe, "Take subscriptions away", SESSIONS,
          result=schemas.IdItem),
    Route("POST", "/mqtt/messages", mqtt.publish, "Publish messages", MESSAGES, result=schemas.PublishedItem,
          body=MessageBody, batch=True),
    Route("GET", "/mqtt/messages/{topics}", mqtt.messages, "Retained messages by topic filter", MESSAGES,
          result=schemas.RetainedItem),
    Route("DELETE", "/mqtt/messages/{topics}", mqtt.clear, "Remove retained messages", MESSAGES,
          result=schemas.TopicItem),
    Route("GET", "/mqtt/logs", mqtt.logs, "Connects, refusals and drops", SESSIONS, "logs",
          result=schemas.LogItem, data=_H),
)
# fmt: on


@dataclass(slots=True)
class _Node:
    """A step of the table, as a tree: fixed segments first, then the variable one."""

    fixed: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    methods: dict[str, Route] = field(default_factory=dict)


class Match(Struct, frozen=True):
    """A route with the values of its variable segments."""

    route: Route
    """What was found."""
    params: tuple[str, ...]
    """Values of the variable segments, in order."""


class RouteTable:
    """Finds the route of a method and path."""

    def __init__(self, routes: Iterable[Route] = ROUTES) -> None:
        self.routes = tuple(routes)
        """Every route."""
        self._root = _Node()
        for route in self.routes:
            node = self._root
            for part in route.segments:
                if part.startswith("{"):
                    node.variable = node = node.variable or _Node()
                else:
                    node = node.fixed.setdefault(part, _Node())
            node.methods[route.method] = route

    def find(self, method: str, segments: Sequence[str]) -> Match:
        """The route of a request; HEAD is answered by GET. Raises NotFound, WrongMethod."""
        found = self._walk(segments)
        if found is None:
            raise NotFound(f"there is no /{'/'.join(segments)[:200]}")
        node, params = found
        route = node.methods.get("GET" if method == "HEAD" else method)
        if route is None:
            raise WrongMethod(method, sorted(node.methods))
        return Match(route, params)

    def methods(self, segments: Sequence[str]) -> list[str]:
        """Methods of a path; none where there is no such path."""
        found = self._walk(segments)
        return sorted(found[0].methods) if found else []

    def _walk(self, segments: Sequence[str]) -> tuple[_Node, tuple[str, ...]] | None:
        node, params = self._root, []
        for segment in segments:
            following = node.fixed.get(segment)
            if following is None:
                following = node.variable
                params.append(segment)
            if following is None:
                return None
            node = following
        return (node, tuple(params)) if node.methods else None
