"""The directories: protocols, device types with their commands, message parameters."""

from __future__ import annotations

from collections.abc import Mapping

from wayframe.model import Json
from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.services import types

from .shared import chosen, projected


async def protocols(call: Call) -> Answer:
    """GET /gw/channel-protocols/{sel}."""
    views = call.services.catalogue.protocol_views()
    default = ("id", "name", "title", "features", "transport")
    return projected(call, chosen({view["id"]: view for view in views}, call.params[0], "protocol"), default)


async def device_types(call: Call) -> Answer:
    """GET /gw/channel-protocols/{sel}/device-types/{sel}: within each protocol the selected types."""
    catalogue = call.services.catalogue
    wanted = chosen({view["id"]: view for view in catalogue.protocol_views()}, call.params[0], "protocol")
    ids = {view["id"] for view in wanted}
    types = {view["id"]: view for view in catalogue.type_views() if view["protocol_id"] in ids}
    return projected(call, chosen(types, call.params[1], "device type"))


async def stream_protocols(call: Call) -> Answer:
    """GET /gw/stream-protocols/{sel}."""
    return projected(call, chosen(types.STREAMS.views(), call.params[0], "stream protocol"))


async def plugin_types(call: Call) -> Answer:
    """GET /gw/plugin-types/{sel}."""
    return projected(call, chosen(types.PLUGINS.views(), call.params[0], "plugin type"))


async def message_parameters(call: Call) -> Answer:
    """GET /gw/message-parameters/{sel}: every parameter a protocol may deliver, by name."""
    names: dict[str, Mapping[str, Json]] = {}
    for protocol in call.services.catalogue.protocol_views():
        for parameter in protocol["message_parameters"]:
            names.setdefault(parameter["name"], parameter)
    items = {number: {"id": number, **names[name]} for number, name in enumerate(sorted(names), 1)}
    return projected(call, chosen(items, call.params[0], "message parameter"))
