"""Requests and responses without a transport."""

from __future__ import annotations

import json

import pytest

from wayframe.model import BadRequest, Conflict, NotFound, TooManyRequests
from wayframe.rest import Answer, Request, RouteTable, WrongMethod, refuse, respond


@pytest.mark.parametrize(
    ("query", "data"),
    [
        ({}, {}),
        ({"data": ""}, {}),
        ({"data": '{"count":1,"reverse":true}'}, {"count": 1, "reverse": True}),
        ({"data[count]": "1", "data[reverse]": "true"}, {"count": 1, "reverse": True}),
        ({"data[from]": "1.000001", "data[filter]": "a==1"}, {"from": 1.000001, "filter": "a==1"}),
        ({"data": '{"count":1}', "data[to]": "2"}, {"count": 1, "to": 2}),
        ({"data[fields]": "timestamp,ident"}, {"fields": "timestamp,ident"}),
    ],
)
def test_data_is_json_or_brackets(query: dict[str, str], data: dict[str, object]) -> None:
    assert Request("GET", (), query).data() == data


@pytest.mark.parametrize("text", ["{", "[1]", "5", "nul", "[" * 100_000])
def test_data_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="data"):
        Request("GET", (), {"data": text}).data()


def test_an_empty_body_is_no_body_and_broken_json_is_refused() -> None:
    assert Request("POST", (), body=b" \n").json() is None
    assert Request("POST", (), body=b"null").json() is None
    for body in (b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(BadRequest, match="body"):
            Request("POST", (), body=body).json()


def test_the_account_comes_from_the_header_or_the_query() -> None:
    assert Request("GET", ()).account() is None
    assert Request("GET", (), {"cid": "12"}).account() == 12
    assert Request("GET", (), {"cid": "12"}, headers={"x-flespi-cid": "13"}).account() == 13
    with pytest.raises(BadRequest, match="x-flespi-cid"):
        Request("GET", (), headers={"x-flespi-cid": "mine"}).account()


def test_result_and_errors_stand_side_by_side() -> None:
    mixed = respond(Answer([{"id": 1}], [Conflict("taken", item_id=2)]))
    assert mixed.status == 200
    assert json.loads(mixed.body) == {
        "result": [{"id": 1}],
        "errors": [{"code": 409, "reason": "taken", "id": 2}],
    }


def test_a_batch_of_which_nothing_worked_has_the_status_of_its_first_error() -> None:
    assert respond(Answer([], [NotFound("gone"), Conflict("taken")])).status == 404
    assert respond(Answer([])).status == 200


def test_errors_carry_what_helps_a_client() -> None:
    assert refuse(WrongMethod("PUT", ["GET", "POST"])).headers["Allow"] == "GET, POST"
    assert refuse(TooManyRequests("slower", 0.2)).headers["Retry-After"] == "1"
    assert json.loads(refuse(BadRequest("wrong", schema_hint=["a"])).body)["errors"] == [
        {"code": 2, "reason": "wrong", "schema_hint": ["a"]}
    ]


def test_paths_are_found_with_their_variable_segments() -> None:
    table = RouteTable()
    match = table.find("GET", ("gw", "devices", "{name=='a/b'}", "commands-queue", "1,2"))
    assert match.params == ("{name=='a/b'}", "1,2")
    assert match.route.submodule == "commands-queue"
    assert table.find("HEAD", ("gw", "devices", "1")).route.method == "GET"
    assert table.methods(("gw", "nothing")) == []


@pytest.mark.parametrize("path", ["gw", "gw/devices/1/nothing", "gw/devices/1/media/x", "nothing", "auth"])
def test_an_unknown_path_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        RouteTable().find("GET", path.split("/"))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "gw/devices", ["POST"]),
        ("POST", "gw/devices/1", ["DELETE", "GET", "PATCH", "PUT"]),
        ("PATCH", "gw/devices/1/media", ["DELETE", "GET", "POST", "PUT"]),
        ("POST", "gw/devices/1/logs", ["GET"]),
    ],
)
def test_a_wrong_method_names_the_right_ones(method: str, path: str, allowed: list[str]) -> None:
    with pytest.raises(WrongMethod) as refused:
        RouteTable().find(method, path.split("/"))
    assert refused.value.allowed == allowed
