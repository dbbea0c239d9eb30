"""The table of routes: one line each, with the right it needs, its handler and its shapes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from wayframe.model import NotFound
from wayframe.services.bodies import AccountBody, ChannelBody, DeviceBody, TokenBody
from wayframe.services.commands import CommandBody
from wayframe.services.entries import CHANNELS, CUSTOMER, DEVICES, TOKENS

from . import schemas
from .context import Call
from .exchange import Answer, WrongMethod
from .handlers import auth, catalogue, commands, connections, constants, history, items, media

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

    @property
    def segments(self) -> tuple[str, ...]:
        """The pattern, cut."""
        return tuple(part for part in self.path.split("/") if part)


_DEV = "/gw/devices/{devices}"
_CHA = "/gw/channels/{channels}"
_TOK = "/platform/tokens/{tokens}"
_CUS = "/platform/customer"
_PRO = "/gw/channel-protocols/{protocols}"
_H = schemas.HistoryData
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


# fmt: off
ROUTES: tuple[Route, ...] = (
    Route("GET", "/auth/regions", auth.regions, "Addresses of this server", open=True, result=schemas.RegionItem),
    Route("GET", "/auth/oauth/providers", auth.providers, "Ways to log in", open=True),
    Route("GET", "/auth/info", auth.info, "The token in use", result=schemas.TokenItem),
    Route("GET", "/const/values", constants.values, "Log codes and topics", open=True),
    Route("GET", "/gw/api.json", constants.api_json, "Schemas of bodies"),

    *_crud("/platform/tokens", "tokens", TOKENS, TokenBody, schemas.TokenItem),
    Route("GET", f"{_TOK}/logs", history.logs, "Logs of tokens", TOKENS, "logs", schemas.LogItem, data=_H),
    Route("GET", _CUS, items.read_customer, "The acting account", CUSTOMER, result=schemas.AccountItem),
    Route("PUT", _CUS, items.replace_customer, "Change the account", CUSTOMER, None, schemas.AccountItem, AccountBody),
    Route("PATCH", _CUS, items.merge_customer, "Merge into the account", CUSTOMER, None, schemas.AccountItem,
          AccountBody),
    Route("GET", f"{_CUS}/logs", history.customer_logs, "Logs of the account", CUSTOMER, "logs", schemas.LogItem,
          data=_H),

    Route("GET", _PRO, catalogue.protocols, "Protocols", result=schemas.ProtocolItem),
    Route("GET", f"{_PRO}/device-types/{{types}}", catalogue.device_types, "Device types with their commands",
          result=schemas.DeviceTypeItem),
    Route("GET", "/gw/message-parameters/{parameters}", catalogue.message_parameters, "Message parameters",
          result=schemas.ParameterItem),

    *_crud("/gw/channels", "channels", CHANNELS, ChannelBody, schemas.ChannelItem),
    Route("GET", f"{_CHA}/connections/{{connections}}", connections.read, "Connections over channels", CHANNELS,
          "connections", schemas.ConnectionItem),
    Route("DELETE", f"{_CHA}/connections/{{connections}}", connections.close, "Close connections", CHANNELS,
          "connections", schemas.IdItem),
    Route("GET", f"{_CHA}/idents/{{idents}}", connections.idents, "Devices connected over channels", CHANNELS,
          "idents"),
    Route("GET", f"{_CHA}/logs", history.logs, "Logs of channels", CHANNELS, "logs", schemas.LogItem, data=_H),

    *_crud("/gw/devices", "devices", DEVICES, DeviceBody, schemas.DeviceItem),
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
    Route("GET", f"{_DEV}/logs", history.logs, "Logs of devices", DEVICES, "logs", schemas.LogItem, data=_H),
)
# fmt: on


@dataclass(slots=True)
class _Node:
    """A step of the table, as a tree: fixed segments first, then the variable one."""

    fixed: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    methods: dict[str, Route] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
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
