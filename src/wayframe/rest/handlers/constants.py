"""Directories that clients load once: log codes, topics, and the JSON schemas of bodies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wayframe.model import Json
from wayframe.model.log_codes import CLOSE_CODES, Log
from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.rest.schemas import definitions

_CLOSING = (Log.CHANNEL_CLOSED, Log.DEVICE_DISCONNECTED)
_TOPICS = {
    "flespi/message/gw/devices/{device-id}": "messages of a device, as they are registered",
    "flespi/state/gw/devices/{device-id}": "a device with its default fields, retained",
    "flespi/state/gw/devices/{device-id}/telemetry/{parameter}": "the latest value of a parameter, retained",
    "flespi/state/gw/devices/{device-id}/connections/{connection-id}": "an open connection of a device, retained",
    "flespi/state/gw/devices/{device-id}/commands-queue/{command-id}": "a queued command, retained",
    "flespi/state/gw/channels/{channel-id}": "a channel with its default fields, retained",
    **{
        f"flespi/log/gw/devices/{{device-id}}/{kind.value.topic}": kind.value.description
        for kind in Log
        if kind.value.code >= 300 or 20 <= kind.value.code < 100
    },
}


def _codes() -> Mapping[str, Json]:
    shown: dict[str, Any] = {}
    for kind in Log:
        code = kind.value
        shown[str(code.code)] = {
            "code": code.code,
            "description": code.description,
            "severity": code.severity,
            "doc": "",
            "entity": "channels" if 100 <= code.code < 200 else "devices" if code.code > 3 else "",
        }
        if kind in _CLOSING:
            extra = {str(value): {"description": text, "severity": "info"} for value, text in CLOSE_CODES.items()}
            shown[str(code.code)] |= {"extra_name": "close_code", "extra_codes": extra}
    return {"codes": shown}


_VALUES: Mapping[str, Callable[[], Mapping[str, Json]]] = {
    "toolbox/codes": _codes,
    "toolbox/topics": lambda: {"topics": {topic: {"description": text} for topic, text in _TOPICS.items()}},
}


async def values(call: Call) -> Answer:
    """GET /const/values?names=…: needs no token."""
    named = call.request.query.get("names", "").split(",")
    wanted = [name.strip() for name in named if name.strip()] or list(_VALUES)
    return Answer([{name: _VALUES[name]() for name in wanted if name in _VALUES}])


async def api_json(call: Call) -> Answer:
    """GET /gw/api.json: the schemas of bodies, by name."""
    return Answer([], raw={"info": {"title": "Wayframe gateway API", "version": "1"}, "definitions": definitions()})
