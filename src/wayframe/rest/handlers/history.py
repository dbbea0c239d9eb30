"""Messages, telemetry and logs (rest-api.md 6)."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

from wayframe.model import BadRequest, Json, query
from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.services.entries import Entry

from .shared import each, projected


async def messages(call: Call) -> Answer:
    """GET /messages."""
    return Answer(list(await call.services.history.messages(await call.entries(), asked_query(call))))


async def register(call: Call) -> Answer:
    """POST /messages: the same messages for every selected device."""
    received = given_messages(call)

    async def store(entry: Entry) -> Json:
        await call.services.history.store(entry, received)
        return {"id": entry.id}

    return await each(await call.entries(), store, "device")


def given_messages(call: Call) -> list[dict[str, Json]]:
    """The messages of a body. Raises BadRequest that says which is wrong."""
    return [_checked(message, number) for number, message in enumerate(call.objects(), 1)]


def _checked(message: dict[str, Json], number: int) -> dict[str, Json]:
    timestamp = message.get("timestamp")
    if timestamp is None:
        return message
    wrong = isinstance(timestamp, bool) or not isinstance(timestamp, int | float)
    if wrong or not math.isfinite(timestamp) or timestamp < 0:
        raise BadRequest(f"message {number}: timestamp must be Unix seconds, a number; got {timestamp!r}")
    return message


async def delete_messages(call: Call) -> Answer:
    """DELETE /messages, of a time span or all."""
    asked = deletion_query(call)
    return Answer(list(await call.services.history.delete(await call.entries(), asked)))


async def telemetry(call: Call) -> Answer:
    """GET /telemetry and /telemetry/{all|name,name}."""
    names = _names(call.params[1]) if len(call.params) > 1 else None
    return projected(call, call.services.history.telemetry(await call.entries(), names))


async def delete_telemetry(call: Call) -> Answer:
    """DELETE /telemetry/{all|name,name}, or /telemetry with the names in the body."""
    names = _names(call.params[1]) if len(call.params) > 1 else _body_names(call.request.json())
    return Answer(list(await call.services.history.delete_telemetry(await call.entries(), names)))


def _names(segment: str) -> list[str] | None:
    """A name segment (selectors.md 3): None for `all`."""
    if segment.strip() == "all":
        return None
    return [name.strip() for name in segment.split(",") if name.strip()]


def _body_names(body: Json) -> Sequence[str]:
    names = body.get("names") if isinstance(body, Mapping) else body
    if isinstance(names, str):
        names = _names(names) if names.strip() != "all" else []
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise BadRequest('say which parameters: a body of names, ["position.speed"], or the path /telemetry/all')
    return names


async def logs(call: Call) -> Answer:
    """GET /logs of an entity's items."""
    asked = asked_query(call)
    return Answer(
        list(
            await call.services.history.logs(
                call.services.directory.kind(call.entity).origin, await call.entries(), asked
            )
        )
    )


async def deleted_logs(call: Call) -> Answer:
    """GET /platform/deleted/{sel}/logs: what happened to deleted items while they were there, kind by kind."""
    asked = asked_query(call)
    by_origin: dict[int, list[int]] = {}
    for entry in await call.services.bin.select(call.caller, call.params[0], call.route.method):
        by_origin.setdefault(entry.view["type"], []).append(entry.view["item_id"])
    found: list[dict[str, Json]] = []
    for origin, ids in by_origin.items():
        found += await call.services.history.logs_of(origin, ids, asked)
    found.sort(key=lambda record: record.get("timestamp", 0), reverse=asked.reverse)
    return Answer(found[: asked.count])


async def packets(call: Call) -> Answer:
    """GET /packets: raw traffic."""
    owners = {entry.id: {"device_id": entry.id} for entry in await call.entries()}
    return Answer(list(await call.services.traffic.packets(owners, asked_query(call))))


async def delete_packets(call: Call) -> Answer:
    """DELETE /packets: forget it."""
    return Answer(list(await call.services.traffic.delete(await call.entries())))


async def settings(call: Call) -> Answer:
    """GET /settings/{all|name,name}."""
    names, known = _names(call.params[1]), call.services.settings
    return projected(call, [view for entry in await call.entries() for view in known.views(entry, names)])


async def write_settings(call: Call) -> Answer:
    """PUT /settings/{names}: have values written, now or when the device connects."""
    return await _settings(
        call, lambda entry, names: call.services.settings.write(call.caller, entry, names, call.request.json())
    )


async def read_settings(call: Call) -> Answer:
    """DELETE /settings/{names}: have the device tell them again; with `data={"pending": true}` forget what waits."""
    pending = query.flag(call.request.data(), "pending")
    known = call.services.settings
    verb = known.cancel if pending else known.read
    return await _settings(call, lambda entry, names: verb(call.caller, entry, names))


async def _settings(call: Call, work: Callable[[Entry, list[str]], Awaitable[list[dict[str, Json]]]]) -> Answer:
    names = _names(call.params[1]) or ["all"]

    async def one(entry: Entry) -> Json:
        return await work(entry, names)

    answer = await each(await call.entries(), one, "device")
    return Answer([view for views in answer.result for view in views], answer.errors)


async def customer_logs(call: Call) -> Answer:
    """GET /platform/customer/logs: of the account, of its subaccounts, and of whatever they have."""
    asked, directory = asked_query(call), call.services.directory
    directory.granted(call.caller, call.entity, call.route.method, call.route.submodule)
    accounts = sorted(directory.visible_accounts(call.caller.cid))
    return Answer(list(await call.services.history.logs_of_accounts(accounts, asked)))


async def statistics(call: Call) -> Answer:
    """GET /platform/customer/statistics."""
    asked = asked_query(call)
    accounts = await call.entries(str(call.caller.cid))
    return Answer([record for one in accounts for record in call.services.statistics.records(one.id, asked)])


def asked_query(call: Call) -> query.HistoryQuery:
    """`data` as a query; the `fields` and `filter` variables count where `data` says nothing of them."""
    outside = {name: call.request.query[name] for name in ("fields", "filter") if name in call.request.query}
    return query.parse({**outside, **call.request.data()})


def deletion_query(call: Call) -> query.HistoryQuery:
    """The span of time a deletion names. Raises BadRequest for anything else it names."""
    asked = call.data_or_body()
    if unsuited := sorted(set(asked) - {"from", "to"}):
        raise BadRequest(f"unknown field {unsuited[0]!r}; valid are from, to", schema_hint=["from", "to"])
    return query.parse(asked, strict=True)
