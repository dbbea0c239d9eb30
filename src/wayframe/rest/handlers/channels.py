"""What came over channels: idents, their raw traffic, messages (rest-api.md 5.1)."""

from __future__ import annotations

from collections.abc import Mapping

from wayframe.model import Json, NotFound
from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.services.entries import compile_text

from .history import asked_query, deletion_query
from .shared import projected

Ident = Mapping[str, Json]


async def idents(call: Call) -> Answer:
    """GET /gw/channels/{sel}/idents and /idents/{sel}: devices that came over them, and who is none."""
    return projected(call, await _idents(call))


async def packets(call: Call) -> Answer:
    """GET /gw/channels/{sel}/idents/{sel}/packets: what idents sent while they were no device, and as devices."""
    query, owners = asked_query(call), {}
    for ident in await _idents(call):
        said = {name: ident[name] for name in ("device_id", "channel_id", "ident")}
        owners[-ident["id"]] = said
        if ident["device_id"]:
            owners[ident["device_id"]] = said
    return Answer(list(await call.services.traffic.packets(owners, query)))


async def messages(call: Call) -> Answer:
    """GET /gw/channels/{sel}/messages."""
    query = asked_query(call)
    return Answer(list(await call.services.channel_history.messages(await call.entries(), query)))


async def delete_messages(call: Call) -> Answer:
    """DELETE /gw/channels/{sel}/messages, of a time span or all: the devices keep theirs."""
    query = deletion_query(call)
    return Answer(list(await call.services.channel_history.delete(await call.entries(), query)))


async def _idents(call: Call) -> list[Ident]:
    """The idents that the second selector names. A number means an ident where there is one, else the id of a line."""
    found = await call.services.idents.views(await call.entries())
    selector = call.params[1] if len(call.params) > 1 else "all"
    compiled = compile_text(selector)
    if compiled.ids is None:
        return [ident for ident in found if compiled.matches(ident)]
    wanted = set(compiled.ids)
    named = [ident for ident in found if ident["id"] in wanted or _number(ident["ident"]) in wanted]
    if not named:
        raise NotFound(f"no ident {selector}")
    return [ident for ident in named if compiled.matches(ident)]


def _number(ident: str) -> int | None:
    """An ident of digits as the number that a selector reads it as."""
    return int(ident) if ident.isascii() and ident.isdecimal() else None
