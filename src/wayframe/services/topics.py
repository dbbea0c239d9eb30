"""The directory of every MQTT topic the services announce, put together from what announces them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wayframe.model.log_codes import ORIGINS, Log

from .assignments import PAIRS
from .entries import DEVICES
from .kinds import Kind

_DEVICE_PARTS = {
    "telemetry/{parameter}": "the latest value of a parameter, retained",
    "settings/{name}": "a setting as the device last told it, and what waits to be written, retained",
    "connections/{connection-id}": "an open connection, retained",
    "commands-queue/{command-id}": "a queued command, retained",
}
_OTHERS = {
    "flespi/message/gw/devices/{device-id}": "messages of a device, as they are registered",
    "flespi/message/gw/channels/{channel-id}/{ident}": "messages of a channel, as devices send them",
    "flespi/state/mqtt/sessions/{session-id}": "an MQTT session, retained",
    "flespi/rest/{method}/{uri}": "REST over MQTT: publish a request here, the answer comes to the response topic",
}


def topics(kinds: Iterable[Kind[Any]]) -> dict[str, str]:
    """Pattern with `{…}` for what differs → what is announced there."""
    found = dict(_OTHERS)
    for kind in kinds:
        found |= _states(kind) | _logs(kind) | _assignments(kind)
    return found


def _assignments(kind: Kind[Any]) -> dict[str, str]:
    """What may be assigned to such an item: a retained state each, and log events."""
    found = {}
    for parent, child in PAIRS:
        if parent == kind.entity:
            assigned = f"{parent}/{_id_of(parent)}/{child.rpartition('/')[2]}/{_id_of(child)}"
            found[f"flespi/state/{assigned}"] = "an assignment, retained; empty once it is gone"
            found[f"flespi/log/{assigned}/assigned"] = Log.ASSIGNED.value.description
            found[f"flespi/log/{assigned}/unassigned"] = Log.UNASSIGNED.value.description
    return found


def _states(kind: Kind[Any]) -> dict[str, str]:
    base = kind.topic(_id_of(kind.entity))
    found = {base: "its default fields, retained; empty once it is gone"}
    found |= {f"{base}/{name}": f"its {name}, retained" for name in (*kind.announced, "deleted")}
    if kind.entity == DEVICES:
        found |= {f"{base}/{part}": text for part, text in _DEVICE_PARTS.items()}
    return found


def _logs(kind: Kind[Any]) -> dict[str, str]:
    base = f"flespi/log/{ORIGINS[kind.origin]}/{_id_of(ORIGINS[kind.origin])}"
    return {
        f"{base}/{log.value.topic}": log.value.description
        for log in Log
        if log.value.entity in ("", ORIGINS[kind.origin]) and log not in _never(kind)
    }


def _never(kind: Kind[Any]) -> tuple[Log, ...]:
    """What does not happen to such an item."""
    return (
        *(Log.ASSIGNED, Log.UNASSIGNED),  # these have the other item in their topic
        *(() if kind.restorable else (Log.RESTORED,)),
        *(() if kind.deletable else (Log.CREATED, Log.DELETED)),
    )


def _id_of(entity: str) -> str:
    noun = entity.rpartition("/")[2].removesuffix("s")
    return f"{{{noun}-id}}"
