"""Commands: at once, queued, and what became of them (rest-api.md 9)."""

from __future__ import annotations

from wayframe.model import query
from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer

from .shared import projected


async def run(call: Call) -> Answer:
    """POST /commands: carry out and wait for each up to its timeout."""
    entries = await call.entries()
    results, errors = await call.services.commands.execute(call.caller, entries, call.objects())
    return Answer(list(results), list(errors))


async def enqueue(call: Call) -> Answer:
    """POST /commands-queue."""
    entries = await call.entries()
    created, errors = await call.services.commands.enqueue(call.caller, entries, call.objects())
    return Answer(list(created), list(errors))


async def queue(call: Call) -> Answer:
    """GET /commands-queue/{sel}."""
    return projected(call, call.services.commands.queue(await call.entries(), call.params[1]))


async def cancel(call: Call) -> Answer:
    """DELETE /commands-queue/{sel}."""
    return Answer(list(await call.services.commands.cancel(call.caller, await call.entries(), call.params[1])))


async def results(call: Call) -> Answer:
    """GET /commands-result and /commands-result/{sel}."""
    entries = await call.entries()
    selector = call.params[1] if len(call.params) > 1 else None
    asked = query.parse(call.request.data())
    return projected(call, await call.services.commands.results(entries, asked, selector))
