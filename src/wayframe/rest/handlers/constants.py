"""Directories that clients load once: log codes, topics, and the JSON schemas of bodies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wayframe.model import Json
from wayframe.model.log_codes import CLOSE_CODES, Log
from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.services.topics import topics

_CLOSING = (Log.CHANNEL_CLOSED, Log.DEVICE_DISCONNECTED)


def _codes(call: Call) -> Mapping[str, Json]:
    shown: dict[str, Any] = {}
    for kind in Log:
        code = kind.value
        shown[str(code.code)] = {
            "code": code.code,
            "description": code.description,
            "severity": code.severity,
            "doc": "",
            "entity": code.entity.rpartition("/")[2],
        }
        if kind in _CLOSING:
            extra = {str(value): {"description": text, "severity": "info"} for value, text in CLOSE_CODES.items()}
            shown[str(code.code)] |= {"extra_name": "close_code", "extra_codes": extra}
    return {"codes": shown}


def _topics(call: Call) -> Mapping[str, Json]:
    found = topics(call.services.directory.kinds())
    return {"topics": {topic: {"description": text} for topic, text in sorted(found.items())}}


_VALUES: Mapping[str, Callable[[Call], Mapping[str, Json]]] = {"toolbox/codes": _codes, "toolbox/topics": _topics}


async def values(call: Call) -> Answer:
    """GET /const/values?names=…: needs no token."""
    named = call.request.query.get("names", "").split(",")
    wanted = [name.strip() for name in named if name.strip()] or list(_VALUES)
    return Answer([{name: _VALUES[name](call) for name in wanted if name in _VALUES}])
