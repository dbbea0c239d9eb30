"""What several handlers do alike: projection with paging, and batches whose parts may fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from wayframe.expressions import Selector
from wayframe.model import Json, NotFound, WayframeError
from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.rest.fields import project
from wayframe.services.entries import Entry, compile_text

PartT = TypeVar("PartT")
_TURN = 50
"""Parts of a batch after which others get theirs; parts that fail at once never wait by themselves."""


def paged(call: Call, views: Sequence[PartT], show: Callable[[PartT], Any]) -> Answer:
    """The asked page of a collection, each item shown by `show`."""
    page = call.page()
    end = None if page.limit is None else page.offset + page.limit
    return Answer([show(view) for view in views[page.offset : end]], pagination=page.told(len(views)))


def projected(call: Call, views: Sequence[Mapping[str, Json]], default: Sequence[str] = ()) -> Answer:
    """The asked page and fields of a collection; an empty default shows items whole."""
    paths = call.paths(default)
    return paged(call, views, (lambda view: project(view, paths)) if paths else (lambda view: view))


def chosen(items: Mapping[int, Mapping[str, Json]], selector: str, what: str) -> list[Mapping[str, Json]]:
    """Items by id that a selector names. Raises BadRequest, or NotFound for ids of which none exists (ruling 9)."""
    compiled: Selector = compile_text(selector)
    selection = compiled.pick(items)
    if compiled.ids is not None and len(selection.missing_ids) == len(compiled.ids):
        raise NotFound(f"no {what} {selector}")
    return [items[item_id] for item_id in selection.ids]


async def each(parts: Sequence[PartT], work: Callable[[PartT], Awaitable[Json]], about: str) -> Answer:
    """Do the same to every part; what fails stands in `errors` and says which part it was, of items by id."""
    result: list[Json] = []
    errors: list[WayframeError] = []
    for number, part in enumerate(parts, 1):
        if number % _TURN == 0:
            await asyncio.sleep(0)
        try:
            result.append(await work(part))
        except WayframeError as error:
            if len(parts) > 1:
                error.reason = f"{about} {number} of {len(parts)}: {error.reason}"
            if isinstance(part, Entry) and error.item_id is None:
                error.item_id = part.id
            errors.append(error)
    return Answer(result, errors)


async def nothing(call: Call) -> Answer:
    """GET of what this server does not keep: an empty list for items that are there."""
    await call.entries()
    return Answer([])
