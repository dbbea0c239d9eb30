"""MQTT sessions, their subscriptions, and retained messages (mqtt-api.md 2.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from wayframe.model import Json, OriginType, query
from wayframe.model.log_codes import Log
from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.services.sessions import SESSIONS

from .shared import chosen, each, projected

_RETAINED = re.compile(r"(?P<topic>.*?)(?:,cid=(?P<cid>[0-9]{1,15}))?", re.DOTALL)
"""`<topic filter>`, or `<topic filter>,cid=<account>` for those of one account alone."""
_LOGS = (Log.MQTT_CONNECTED, Log.MQTT_DISCONNECTED, Log.MQTT_REFUSED, Log.MQTT_DROPPED, Log.MQTT_ENDED)


def _sessions(call: Call) -> list[Mapping[str, Json]]:
    sessions = call.services.sessions.sessions(call.caller, call.route.method, call.route.submodule)
    return chosen(sessions, call.params[0], "session")


async def read(call: Call) -> Answer:
    """GET /mqtt/sessions/{sel}."""
    return projected(call, _sessions(call))


async def end(call: Call) -> Answer:
    """DELETE /mqtt/sessions/{sel}: the client is disconnected, and everything kept for it goes."""
    ended = _sessions(call)
    for session in ended:
        call.services.sessions.end(int(session["id"]))
    return Answer([{"id": session["id"]} for session in ended])


def _subscriptions(call: Call) -> list[Mapping[str, Json]]:
    found: list[Mapping[str, Json]] = []
    for session in _sessions(call):
        numbered = {int(line["id"]): line for line in call.services.sessions.subscriptions(int(session["id"]))}
        found += chosen(numbered, call.params[1], "subscription")
    return found


async def subscriptions(call: Call) -> Answer:
    """GET /mqtt/sessions/{sel}/subscriptions/{sel}."""
    return projected(call, _subscriptions(call))


async def unsubscribe(call: Call) -> Answer:
    """DELETE /mqtt/sessions/{sel}/subscriptions/{sel}."""
    gone = _subscriptions(call)
    for line in gone:
        call.services.sessions.unsubscribe(int(line["session_id"]), str(line["topic"]))
    return Answer([{"id": line["id"], "session_id": line["session_id"]} for line in gone])


def _retained(call: Call) -> list[Mapping[str, Json]]:
    text = call.params[0]
    found = _RETAINED.fullmatch(text)
    assert found is not None
    cid = int(found["cid"]) if found["cid"] else None
    return call.services.sessions.retained(call.caller, call.route.method, found["topic"], cid)


async def messages(call: Call) -> Answer:
    """GET /mqtt/messages/{filter}: retained messages, those of the house too where the filter begins with `flespi/`."""
    return projected(call, _retained(call))


async def publish(call: Call) -> Answer:
    """POST /mqtt/messages: publish as the caller's account."""

    async def one(body: dict[str, Json]) -> Json:
        return call.services.sessions.publish(call.caller, body)

    return await each(call.objects(), one, "message")


async def clear(call: Call) -> Answer:
    """DELETE /mqtt/messages/{filter}: retained messages that clients published."""
    gone = _retained(call)
    for line in gone:
        call.services.sessions.clear(int(line["cid"]), str(line["topic"]))
    return Answer([{"cid": line["cid"], "topic": line["topic"]} for line in gone])


async def logs(call: Call) -> Answer:
    """GET /mqtt/logs: connects, ends, refusals and drops."""
    services, caller = call.services, call.caller
    services.directory.granted(caller, SESSIONS, "GET", "logs")
    data = call.request.data()
    ours = "||".join(f"event_code=={kind.value.code}" for kind in _LOGS)
    data["filter"] = f"({ours}),{data['filter']}" if data.get("filter") else ours
    accounts = sorted(services.directory.visible_accounts(caller.cid))
    return Answer(list(await services.history.logs_of(OriginType.CUSTOMER, accounts, query.parse(data))))
