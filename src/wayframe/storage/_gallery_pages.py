"""Lists of events: which rows a query means, in which order, so that each list is read along an index.

Few events are without bytes, flagged or looked at, so each of these has an index of its own. The conditions are worded
as those indexes are, and the wider one is left out, so that planners have no choice.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, Text, TextClause, func, literal, select, type_coerce

from wayframe.model.gallery import FRESH, EventQuery

from . import _gallery_schema as schema
from ._rows import between

MOST_COUNTED = 10_000
"""Beyond so many, how many there are is not found out."""
_C = schema.gallery_events.c


def conditions(device_id: int, query: EventQuery) -> list[ColumnElement[bool] | TextClause]:
    """What rows of the table must fulfil."""
    few = _few(query)
    found = [_C.device_id == device_id, *(few or [schema.EVENT_VISIBLE])]
    if query.states is not None and {*query.states} != {*FRESH}:
        found.append(_C.state.in_(query.states))
    if query.flagged is False:
        found.append(_C.flagged.is_(False))
    if query.viewer:
        # As JSON writes a text of letters, digits and a colon.
        found.append(type_coerce(_C.viewed_by, Text).contains(f'"{query.viewer}"', autoescape=True))
    if query.media_type is not None:
        # Among few, what is no column but an expression keeps planners from the index of all of a type.
        kind = _C.media_type.concat("") if few else _C.media_type
        found.append(kind == query.media_type)
    if query.q:
        found.append(_C.name.icontains(query.q, autoescape=True))
    # Every time is 0 or later: said of few, it leads planners to their index in any order.
    earliest = 0.0 if few and query.from_ is None else query.from_
    return found + between(_C.created, earliest, query.to)


def _few(query: EventQuery) -> list[ColumnElement[bool] | TextClause]:
    """Conditions that have an index of few events; none where the query is about many."""
    found: list[ColumnElement[bool] | TextClause] = []
    if query.flagged:
        found.append(schema.EVENT_FLAGGED)
    if query.viewer:
        found.append(schema.EVENT_VIEWED)
    if query.states is not None and {*query.states} <= {*FRESH}:
        found.append(schema.EVENT_FRESH)
    return found


def order(sort: str) -> list[ColumnElement[Any]]:
    """The order of one of `SORTS`, and of the id where that is equal."""
    columns = (_C[sort.removeprefix("-")], _C.id)
    return [column.desc() if sort.startswith("-") else column.asc() for column in columns]


def counting(device_id: int, query: EventQuery) -> Select[int]:
    """How many fit, up to one more than `MOST_COUNTED`."""
    first = select(literal(1)).select_from(schema.gallery_events).where(*conditions(device_id, query))
    return select(func.count()).select_from(first.limit(MOST_COUNTED + 1).subquery())
