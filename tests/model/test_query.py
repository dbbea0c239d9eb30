"""History queries: what `data` may say."""

from __future__ import annotations

from typing import Any

import pytest

from wayframe.model import BadRequest
from wayframe.model.query import MAX_COUNT, HistoryQuery, parse


def test_everything_a_client_may_say_is_understood() -> None:
    said = {
        "from": 1.000001,
        "to": 2,
        "count": 5,
        "reverse": True,
        "fields": "a, b.c",
        "filter": "a>1",
        "item_type": 11,
    }
    assert parse(said) == HistoryQuery(
        from_=1.000001, to=2.0, count=5, reverse=True, fields=("a", "b.c"), filter="a>1", item_type=11
    )


def test_nothing_said_means_everything_oldest_first() -> None:
    assert parse({}) == HistoryQuery()
    assert parse({"fields": "", "count": 10**9, "generalize": 60}).count == MAX_COUNT


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"from": "yesterday"}, "from must be Unix seconds"),
        ({"to": float("inf")}, "to must be Unix seconds"),
        ({"count": 0}, "count must be an integer from 1"),
        ({"count": True}, "count must be an integer from 1"),
        ({"reverse": "yes"}, "reverse must be true or false"),
        ({"fields": 5}, "fields must be a comma list"),
        ({"filter": {}}, "filter must be an expression"),
        ({"item_type": "device"}, "item_type must be"),
    ],
)
def test_a_wrong_value_is_refused_with_field_and_rule(data: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(data)
    assert said in refused.value.reason


def test_a_misspelt_field_of_a_deletion_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        parse({"form": 1}, strict=True)
    assert "form" in refused.value.reason
    assert "from" in str(refused.value.schema_hint)


def test_fields_match_whole_flat_names_and_trailing_wildcards() -> None:
    record = {"timestamp": 1, "position.speed": 2, "position.latitude": 3, "positions": 4}
    assert parse({"fields": "timestamp,position.speed"}).show(record) == {"timestamp": 1, "position.speed": 2}
    assert parse({"fields": "position.*"}).show(record) == {"position.speed": 2, "position.latitude": 3}
    assert parse({}).show(record) == record
