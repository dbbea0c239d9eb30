"""Selectors over a small fleet, the paths they come in, and what an index can use of them."""

from __future__ import annotations

from typing import Any

import pytest

from wayframe.expressions import Environment, ExpressionError, compile_selector, split_path

FLEET: dict[int, dict[str, Any]] = {
    1: {
        "name": "Red",
        "on": True,
        "count": 3,
        "ident": "007",
        "groups": [{"id": 5}, {"id": 6, "tags": ["x", "y"]}],
        "configuration": {"ident": "a1"},
        "telemetry": {"position.speed": 10, "battery": 12.5},
        "fields": {"driver.name": "Ann"},
    },
    2: {
        "name": "Red, blue",
        "on": False,
        "count": 3.0,
        "ident": "7",
        "groups": [],
        "configuration": {"ident": "a2"},
        "telemetry": {"position.speed": 90},
        "note": None,
    },
    3: {"name": "O'Brien *", "on": True, "count": -1, "ident": "null", "telemetry": {}, "note": "", "text": "{x}"},
    4: {"name": "a=b", "on": True, "count": 10, "ident": "x/y", "nested": [[1, [2]], "deep"], "object": {"a": 1}},
}
ENV = Environment(now=100)

CHOSEN: list[tuple[str, list[int]]] = [
    ("all", [1, 2, 3, 4]), (" all ", [1, 2, 3, 4]), ("3", [3]), ("003", [3]), (" 3 , 1 , 3 ", [1, 3]), ("9,1", [1]),
    ("all,count=3", [1, 2]), (" all , {on}, name=R*", [1]),
    ("name=Red", [1]), ("name==Red", [1]), ("name = Red ", [1]), ("name=red", []), ("name=R*", [1, 2]),
    ("name=?ed", [1]),
    ("name='Red, blue'", [2]), ('name="Red, blue"', [2]), ("name=R*blue", [2]), ("name='R*'", []),
    ("name=*", [1, 2, 3, 4]),
    ("name=O'Brien *", [3]), ("name='O\\'Brien *'", [3]), ("name=a=b", [4]), ("name==a=b", [4]), ("text={x}", [3]),
    ("ident=007", [1]), ("ident=7", [2]), ("ident=x/y", [4]), ("note=", [3]), ("note=''", [3]),
    ("count=3", [1, 2]), ("count=3.0", [1, 2]), ("count='3'", [1, 2]), ("count=0x3", [1, 2]), ("count=-1", [3]),
    ("count=1*", [4]), ("count=?", [1, 2]), ("count=three", []), ("on=true", [1, 3, 4]), ("on=0", [2]), ("on=yes", []),
    ("on=t*", [1, 3, 4]), ("on=*", [1, 2, 3, 4]), ("note=null", [1, 2, 4]), ("note='null'", []), ("ident=null", [3]),
    ("note=*", [3]), ("nosuch=1", []), ("nosuch=*", []), ("nosuch=null", [1, 2, 3, 4]), ("groups.id=6", [1]),
    ("groups.id=6*", [1]), ("groups.tags=y", [1]), ("groups.1.id=6", [1]), ("groups=x", []), ("nested=2", [4]),
    ("nested=d*", [4]), ("object=*", []), ("object=a", []), ("object.a=1", [4]), ("telemetry.position.speed=90", [2]),
    ("telemetry.battery=*", [1]), ("fields.driver.name=An?", [1]), ("configuration.ident=a*", [1, 2]),
    ("{on}", [1, 3, 4]), ("{count > 3}", [4]), ("{name == 'Red, blue'}", [2]), ("{name ~ '*}*' || count = 10}", [4]),
    ("{on},{count>0}", [1, 4]), ("1,2,{on}", [1]), ("1,{on},count=3", [1]), ("1,2,3,4,name=*r*", [3]),
    ("{now() - count == 90}", [4]), ("{1/0}", []), ("{nosuch}", []), ("{$nosuch == null, on}", [1, 3, 4]),
    ("{exists('note')}", [3]), ("{text == '{x}'}", [3]), ("{contains(groups.id, 5)}", [1]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "ids"), CHOSEN, ids=[text for text, _ in CHOSEN])
def test_selection(text: str, ids: list[int]) -> None:
    selector = compile_selector(text)
    assert selector.pick(FLEET, ENV).ids == ids
    assert selector.select(reversed(FLEET.items()), ENV) == selector.pick(FLEET, ENV)
    listed = FLEET if selector.ids is None else selector.ids
    assert [at for at, item in FLEET.items() if at in listed and selector.matches(item, ENV)] == ids


REFUSED = [
    ("", "selector"), (" ", "selector"), (",", "selector"), ("1,", "selector"), ("1,,2", "selector"),
    ("ALL", "selector"), ("all,1", "selector"), ("1,all", "selector"), ("all,", "selector"),
    ("all,count=3,1", "selector"), ("count=3,all", "selector"), ("all,all", "selector"),
    ("-1", "selector"), ("1.5", "selector"),
    ("9007199254740992", "selector"), ("9" * 300, "selector"), ("²", "selector"), ("name", "selector"),
    ("=1", "selector"), ("na-me=1", "selector"), ("$name=1", "selector"), ("#name=1", "selector"),
    ("{on", "selector"), ("{on}x", "selector"), ("{on}{on}", "selector"), ("{'}", "selector"), ("name='x", "selector"),
    ("name='x'y", "selector"), (r"name='\q'", "selector"), ("name=a, b", "selector"), ("{}", "parse"),
    ("{on on}", "parse"),
    ("{previous('a')}", "context"), ("{" + "(" * 65 + "1" + ")" * 65 + "}", "limit"), ("a=" + "b" * 4095, "limit"),
    (".".join("a" * 65) + "=1", "limit"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), REFUSED, ids=[text[:30] for text, _ in REFUSED])
def test_refused(text: str, kind: str) -> None:
    with pytest.raises(ExpressionError) as refusal:
        compile_selector(text)
    assert refusal.value.kind == kind


def test_missing_ids_are_reported() -> None:
    selection = compile_selector("9,2,8,{on}").pick(FLEET, ENV)
    assert (selection.ids, selection.missing_ids) == ([], [8, 9])


def test_what_an_index_can_use() -> None:
    selector = compile_selector("3,1,configuration.ident=a1,name='R*',note=null,text=a*,{ident == '7' && on}")
    assert selector.ids == (1, 3)
    assert not selector.is_all and selector.has_conditions
    assert selector.equalities == {"configuration.ident": "a1", "name": "R*", "ident": "7"}
    assert compile_selector("all").is_all
    assert compile_selector("1").equalities == {} and not compile_selector("1").has_conditions


PATHS: list[tuple[str, list[str] | None]] = [
    ("/gw/devices/all?fields=id", ["gw", "devices", "all"]), ("", []), ("///", []), ("/a//b/", ["a", "b"]),
    ("/./../x", [".", "..", "x"]), ("/a%2Fb/c", ["a/b", "c"]), ("/a%252Fb", ["a%2Fb"]), ("/a+b", ["a+b"]),
    ("/100%/%zz/%4", ["100%", "%zz", "%4"]), ("/%C5%BD", ["Ž"]), ("/%ff", None), ("/%c5", None),
    ("/d/{a/b>1}/m", ["d", "{a/b>1}", "m"]), ("/d/%7Ba/b%3E1%7D/m", ["d", "{a/b>1}", "m"]),
    ("/d/%7ba/b}/m", ["d", "{a/b}", "m"]), ("/d/1,{a/b},{c/d}/m", ["d", "1,{a/b},{c/d}", "m"]),
    ("/d/1%2C%20{a/b}/m", ["d", "1, {a/b}", "m"]), ("/d/{a=='}'/1}/m", ["d", "{a=='}'/1}", "m"]),
    ("/d/{a=='\\'}/'}/m", ["d", "{a=='\\'}/'}", "m"]), ("/d/{x{/}y}/m", ["d", "{x{/}y}", "m"]),
    ("/d/a={x/y}/m", ["d", "a={x", "y}", "m"]), ("/d/a='b,{'/m", ["d", "a='b,{'", "m"]),
    ("/d/a==%22b,{%22/m", ["d", 'a=="b,{"', "m"]), ("/d/a=o'b,{x/y}/m", ["d", "a=o'b,{x/y}", "m"]),
    ("/d/a='x\\',{'/m", ["d", "a='x\\',{'", "m"]), ("/d/a==='b,{x/y}'/m", ["d", "a==='b,{x/y}'", "m"]),
    ("/d/{a}b/m", ["d", "{a}b", "m"]), ("/d/{a/b", None), ("/d/{'a}/m", None), ("/d/a='{/m", ["d", "a='{", "m"]),
    ("/d/x{a/b}/m", ["d", "x{a", "b}", "m"]), ("/{a%2==0}", ["{a%2==0}"]), ("/\ud800", None),
]  # fmt: skip


@pytest.mark.parametrize(("raw_path", "segments"), PATHS)
def test_paths(raw_path: str, segments: list[str] | None) -> None:
    if segments is None:
        with pytest.raises(ExpressionError) as refusal:
            split_path(raw_path)
        assert refusal.value.kind == "selector"
    else:
        assert split_path(raw_path) == segments
        assert split_path(raw_path.encode()) == segments


def test_the_time_is_one_in_a_scan_and_new_in_the_next() -> None:
    selector = compile_selector("{count < (now() - 90) * 2 / 10}")
    early, late = selector.predicate(Environment(now=100)), selector.predicate(Environment(now=110))
    items = list(FLEET.items())
    assert [[item for item, context in items if holds(context)] for holds in (early, late, early)] == [
        [3],
        [1, 2, 3],
        [3],
    ]
    assert selector.pick(FLEET, Environment(now=200)).ids == [1, 2, 3, 4]
    assert selector.pick(FLEET, Environment()).ids == []  # no clock, no answer
    assert [selector.matches(FLEET[1], Environment(now=now)) for now in (100, 110)] == [False, True]


def test_the_hour_of_a_scan_is_that_of_its_zone() -> None:
    selector = compile_selector("{hour(now()) == 8 ? on : count > 3}")
    assert selector.pick(FLEET, Environment(now=0, timezone="Asia/Shanghai")).ids == [1, 3, 4]
    assert selector.pick(FLEET, Environment(now=0)).ids == [4]
