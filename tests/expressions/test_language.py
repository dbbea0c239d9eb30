"""The language rule by rule: expression, context and the value or error class it must give."""

from __future__ import annotations

import math
from typing import Any

import pytest

from wayframe.expressions import (
    FUNCTIONS,
    Environment,
    ErrorKind,
    EvaluationError,
    Mode,
    RefusedError,
    compile,
)

MESSAGE: dict[str, Any] = {
    "timestamp": 1_709_210_096.5,  # 2024-02-29 12:34:56 UTC, a Thursday
    "position.latitude": 48.0,
    "position.longitude": 11.0,
    "speed": 25,
    "name": "Bus 7",
    "stars": "a*c",
    "digits": " 12.50 ",
    "on": True,
    "off": False,
    "nothing": None,
    "empty": "",
    "list": [4, "five", None, {"id": 6}],
    "object": {"first": 1, "second": {"third": 3}, "a/b": "slash", "m~n": "tilde"},
    "doors": [{"id": 1, "open": True}, {"id": 2}],
    "nested": [{"in": [{"v": 1}, {"v": 2}]}, {"in": []}],
    "metadata": {"units": "metric", "limits": {"speed": 80}, "a.b": 1},
    "big": 2**60,
    "huge": 10**400,
    "deep.er": {"x": 1},
    "deep": {"er.y": 2, "er": {"z": 3}},
}
ENV = Environment(
    now=1_709_210_100.0,
    previous={"speed": 20, "position.latitude": 48.0, "position.longitude": 10.0, "timestamp": 1_709_210_000.5},
    geofences={"north": lambda lat, lon: lat > 45, "south": lambda lat, lon: lat < 45},
)

VALUES: list[tuple[str, Any]] = [
    # words
    ("0x1f", 31), ("1.25e2", 125), (".5", 0.5), ("010", 10), ("9007199254740993", 9007199254740992.0),
    (r'"\\ \" \' \/ \n\t\r"', "\\ \" ' / \n\t\r"), (r"'\u0416\ud83d\ude00'", "Ж😀"), (r'"\*\?"', "*?"),
    ("'it' + \"s\"", "its"), ("true", True), ("false", False), ("null", None), ("\t1\n", 1),
    # names
    ("speed", 25), ("$speed", 25), ("$absent", None), ("nothing", None), ("deep.er.x", 1), ("deep.er.y", 2),
    ("deep.er.z", 3), ("doors.id", [1, 2]), ("doors.open", [True]), ("doors.1.id", 2), ("nested.in.v", [[1, 2], []]),
    ("$doors.nope", None), ("$doors.7", None), ("$doors.7.id", None), ("$name.x", None), ("$nothing.x", None),
    ("object.second.third", 3), ("$object.second.fourth.fifth", None), ("list.0", 4), ("list.3.id", 6),
    # arithmetic
    ("1 + 2 * 3 - 4 / 2", 5), ("(1 + 2) * 3", 9), ("2 - 3 - 4", -5), ("-7 % 4", -3), ("7 % -4", 3), ("-7.5 % 2", -1.5),
    ("- - 3", 3), ("+true", 1), ("-null", 0), ("-'x' == 1 ? 1 : 2", ErrorKind.TYPE), ("true + null + 1", 2),
    ("'a' + 'b' + 'c'", "abc"), ("1e300 * 1e300", ErrorKind.RANGE), ("huge + 1", ErrorKind.RANGE),
    ("'a' + 1", ErrorKind.TYPE), ("1 + 'a'", ErrorKind.TYPE), ("list + 1", ErrorKind.TYPE), ("'4' * 2", ErrorKind.TYPE),
    ("1 / 0", ErrorKind.ZERODIV), ("1 % null", ErrorKind.ZERODIV), ("absent + 1", ErrorKind.MISSING),
    ("9007199254740992 + 1", 9007199254740992.0), ("big + 0", float(2**60)), ("speed + speed + speed + 1", 76),
    # bits
    ("6 & 3", 2), ("6 | 3", 7), ("6 ^ 3", 5), ("3 << 4", 48), ("-9 >> 1", -5), ("-6.9 & 7", 2), ("true << 3", 8),
    ("1 << 52", 2**52), ("1 << 53", ErrorKind.RANGE), ("1 << -1", ErrorKind.RANGE), ("4 << 52", ErrorKind.RANGE),
    ("big & 1", ErrorKind.RANGE), ("'1' | 1", ErrorKind.TYPE), ("1 | 6 & 3 ^ 1", 3), ("9 & 1 == 1", 1),
    # comparison
    ("speed < 30", True), ("speed <= 25", True), ("speed > 25", False), ("speed >= 25.0", True), ("30 > speed", True),
    ("'b' > 'a'", True), ("'10' < '9'", True), ("digits < 13", True), ("12 < digits", True), ("nothing < 1", True),
    ("on > off", True), ("'abc' < 1", ErrorKind.TYPE), ("list < 1", ErrorKind.TYPE), ("1 < 2 < 1.5", True),
    ("absent < 1", ErrorKind.MISSING), ("$absent < 1", True), ("$absent <= 0", True), ("name < 1", ErrorKind.TYPE),
    ("speed == 25", True), ("speed = 25", True), ("speed != 25", False), ("25 == speed", True),
    ("speed == '25.0'", True),
    ("'0x19' == speed", True), ("digits == 12.5", True), ("nothing == false", True), ("nothing == 0", True),
    ("nothing == ''", False), ("on == 1", True), ("on == 'true'", False), ("on == true", True), ("off == null", True),
    ("list == list", True), ("list == fromjson('[4,\"five\",null,{\"id\":6.0}]')", True), ("list == 4", False),
    ("fromjson('[true]') == fromjson('[1]')", False), ("object == object", True), ("object != list", True),
    ("fromjson('{\"a\":1}') == fromjson('{\"a\":2}')", False),
    ("fromjson('{\"a\":1}') == fromjson('{\"b\":1}')", False),
    ("fromjson('[1]') == fromjson('[1,2]')", False), ("list == null", False), ("'x' == list", False),
    ("big == 1152921504606846976", True), ("huge == 1", False), ("'1e999' == 1", False),
    # wildcards
    ("name == 'Bus*'", True), ("name != 'Bus*'", False), ("'B?s 7' == name", True), ("name == 'bus*'", False),
    ("name == '*s*7'", True), ("name == '?*?'", True), ("stars == 'a\\*c'", True), ("name == 'Bus\\*'", False),
    ("name == stars", False), ("'abc' == stars", False), ("'abc' ~ stars", True), ("speed == '2*'", False),
    ("name == 'B' + '*'", False), ("name ~ 'B' + '*'", True), ("speed ~ '2?'", True), ("on ~ 't*'", True),
    ("nothing ~ '*'", False), ("$absent ~ '*'", False), ("list ~ '*'", ErrorKind.TYPE), ("name ~ 7", ErrorKind.TYPE),
    ("name ~ speed", ErrorKind.TYPE), ("name ~ 'Bus'", False), ("name ~ 'Bus 7'", True), ("stars ~ 'a\\*c'", True),
    ("name ~ 'B.s*'", False), ("name ~ '*7' == true", True), ("name ~ '*u?*' && on", True), ("empty ~ '*'", True),
    ("'a*' == 'ab'", True), ("'a*' == 'a?'", True), ("absent ~ '*'", ErrorKind.MISSING), ("1.5 ~ '1.?'", True),
    ("'ab' + 'c' == 'a*' == 1", True),
    # logic
    ("1 && 'x'", True), ("0 || ''", False), ("!speed", False), ("!!speed", True), ("not(nothing)", True),
    ("1 || absent", True), ("0 && absent", False), ("absent || 1", ErrorKind.MISSING),
    ("1 && absent", ErrorKind.MISSING),
    ("1 || 0 && 0", True), ("!0 == 1", True), ("not(absent)", ErrorKind.MISSING), ("1 && 1 && 0 && absent", False),
    ("0 || 0 || 0 || speed", True), ("speed > 5 ? 'fast' : 'slow'", "fast"), ("0 ? 1 : 0 ? 2 : 3", 3),
    ("1 ? 0 ? 1 : 2 : 3", 2), ("if(on, 1, absent)", 1), ("if(off, absent, 2)", 2),
    ("if(absent, 1, 2)", ErrorKind.MISSING),
    ("if('0', 1, 2)", 1), ("if(fromjson('[]'), 1, 2)", 1), ("if(fromjson('{}'), 1, 2)", 1),
    # comma
    ("speed, on", True), ("speed, 0", False), ("speed, absent", ErrorKind.MISSING), ("min(1, 2), 1", True),
    # index
    ("list[0]", 4), ("list[1.5]", None), ("list[-1]", None), ("list[9]", None), ("list['1']", "five"),
    ("list[true]", None),
    ("object['first']", 1), ("object[0]", 1), ("object[9]", None), ("object['/second/third']", 3), ("list['/3/id']", 6),
    ("object['/a~1b']", "slash"), ("object['/m~0n']", "tilde"), ("object['/second/x/y']", None), ("speed[0]", None),
    ("name[0]", None), ("name['/0']", None), ("nothing[0]", None), ("$absent[0]['x']", None),
    ("absent[0]", ErrorKind.MISSING), ("list[3]['id']", 6), ("list[null]", None), ("object['nope']", None),
    # functions 10.1
    ("error()", ErrorKind.RAISED), ("error('no ' + 'fix')", ErrorKind.RAISED), ("exists('speed')", True),
    ("exists('nothing')", False), ("exists('absent')", False), ("exists('object.second')", True),
    ("exists('sp' + 'eed')", True), ("exists(1)", ErrorKind.TYPE), ("exists('')", False),
    ("isnull(nothing)", True), ("isnull(0)", False), ("isnumber(1)", True), ("isnumber(on)", False),
    ("isstring('')", True), ("isstring(1)", False), ("isboolean(off)", True), ("isboolean(0)", False),
    ("isjson(list)", True), ("isjson(object)", True), ("isjson('{}')", False),
    ("tonumber(digits)", 12.5), ("tonumber('0xff')", 255), ("tonumber('-1e2')", -100), ("tonumber(on)", 1),
    ("tonumber(nothing)", 0), ("tonumber('speed')", 25), ("tonumber('digits')", 12.5), ("tonumber('on')", 1),
    ("tonumber('name')", ErrorKind.TYPE), ("tonumber('absent')", ErrorKind.TYPE), ("tonumber('')", ErrorKind.TYPE),
    ("tonumber('1_0')", ErrorKind.TYPE), ("tonumber('inf')", ErrorKind.TYPE), ("tonumber(list)", ErrorKind.TYPE),
    ("tonumber('1e999')", ErrorKind.TYPE), ("tonumber('5.')", 5),
    ("toboolean('False')", False), ("toboolean('0')", False), ("toboolean('')", False), ("toboolean('no')", True),
    ("toboolean(0)", False), ("toboolean(list)", True),
    ("tostring(25)", "25"), ("tostring(2.0)", "2"), ("tostring(0.1)", "0.1"), ("tostring(1e-7)", "1e-7"),
    ("tostring(1e25)", "1e+25"), ("tostring(-0.0)", "0"), ("tostring(on)", "true"), ("tostring(nothing)", "null"),
    ("tostring('x')", "x"), ("tostring(list)", '[4,"five",null,{"id":6}]'), ("tostring(big)", "1152921504606846976"),
    ("tostring(fromjson('{\"é\": [1.0, true]}'))", '{"é":[1,true]}'), ("tostring(huge)", ErrorKind.RANGE),
    ("abs(-2.5)", 2.5), ("abs($absent)", 0), ("abs('1')", ErrorKind.TYPE), ("abs(huge)", ErrorKind.RANGE),
    ("now() - timestamp", 3.5), ("distance(0, 0, 0, 180)", pytest.approx(20015.087, abs=0.01)),
    ("distance(48, 11, 48, 11)", 0), ("distance(90, 0, -90, 0)", pytest.approx(20015.087, abs=0.01)),
    ("distance(null, 0, 0, 0)", ErrorKind.TYPE), ("distance(true, 0, 0, 0)", ErrorKind.TYPE),
    ("distance('1', 0, 0, 0)", ErrorKind.TYPE), ("distance(0, 0, -90.1, 0)", ErrorKind.RANGE),
    ("json('list', 1)", "five"), ("json('object', 'first')", 1), ("json('object', '/second/third')", 3),
    ("json('absent', 0)", None), ("json('list', 99)", None), ("json(1, 2)", ErrorKind.TYPE),
    ("metadata('units')", "metric"), ("metadata('/limits/speed')", 80), ("metadata('a.b')", 1), ("metadata('x')", None),
    ("metadata(1)", ErrorKind.TYPE),
    ("month(timestamp)", 2), ("day(timestamp)", 29), ("hour(timestamp)", 12), ("minute(timestamp)", 34),
    ("hour(-0.5)", 23), ("hour(1e17)", ErrorKind.RANGE), ("hour('x')", ErrorKind.TYPE),
    # functions 10.2
    ("year(timestamp)", 2024), ("second(timestamp)", 56), ("weekday(timestamp)", 4), ("weekday(1709424000)", 0),
    ("min(3, true, 2)", 1), ("max(1, 2, 3, 2)", 3), ("min(1, 'a')", ErrorKind.TYPE), ("floor(-0.5)", -1),
    ("ceil(-0.5)", 0), ("floor(1e300)", 1e300), ("round(0.5)", 1), ("round(-0.5)", -1), ("round(2.675, 2)", 2.68),
    ("round(7)", 7), ("round(1e20)", 1e20), ("round(1.5, 16)", ErrorKind.RANGE), ("round(1.5, -1)", ErrorKind.RANGE),
    ("round(1.5, 0.5)", ErrorKind.RANGE), ("sqrt(2.25)", 1.5), ("sqrt(-1)", ErrorKind.RANGE), ("pow(2, -1)", 0.5),
    ("pow(0, -1)", ErrorKind.RANGE), ("pow(-1, 0.5)", ErrorKind.RANGE), ("pow(9, 999)", ErrorKind.RANGE),
    ("sin(0)", 0), ("cos(0)", 1), ("tan(0)", 0), ("log(exp(2))", pytest.approx(2)), ("log(0)", ErrorKind.RANGE),
    ("exp(1000)", ErrorKind.RANGE), ("length('Ж😀')", 2), ("length(list)", 4), ("length(object)", 4),
    ("length(null)", 0),
    ("length(1)", ErrorKind.TYPE), ("length(on)", ErrorKind.TYPE), ("lower('ÄB')", "äb"), ("upper('äb')", "ÄB"),
    ("lower(1)", ErrorKind.TYPE), ("upper(null)", ErrorKind.TYPE), ("concat(1, 'a', null, true, 0.5)", "1anulltrue0.5"),
    ("substr('abcdef', 2)", "cdef"), ("substr('abcdef', -3, 2)", "de"), ("substr('abc', -9)", "abc"),
    ("substr('abc', 1, 0)", ""), ("substr('abc', 5, 1)", ""), ("substr('abc', 0, -1)", ErrorKind.RANGE),
    ("substr(1, 0)", ErrorKind.TYPE), ("contains('abc', 'bc')", True), ("contains(list, 4.0)", True),
    ("contains(list, 'six')", False), ("contains(object, 'first')", True), ("contains(null, 1)", False),
    ("contains('a', 1)", ErrorKind.TYPE), ("contains(1, 1)", ErrorKind.TYPE), ("contains(object, 1)", ErrorKind.TYPE),
    ("startswith(name, 'Bus')", True), ("endswith(name, 'Bus')", False), ("startswith(1, '1')", ErrorKind.TYPE),
    ("endswith('1', 1)", ErrorKind.TYPE), ("fromjson('{\"a\":[1]}')['/a/0']", 1), ("fromjson('{')", ErrorKind.TYPE),
    ("fromjson('NaN')", ErrorKind.RANGE), ("fromjson('1e999')", ErrorKind.RANGE), ("fromjson(1)", ErrorKind.TYPE),
    # functions 10.3
    ("#speed", 20), ("#absent", None), ("previous('speed') + 5 == speed", True), ("previous('absent')", None),
    ("previous(1)", ErrorKind.TYPE), ("mileage()", pytest.approx(74.4, abs=0.1)), ("duration()", 96),
    ("distance_to(48, 11)", 0), ("distance_to(null, 11)", ErrorKind.TYPE), ("geofence('north')", True),
    ("geofence('south')", False), ("geofence('west')", ErrorKind.MISSING),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), VALUES, ids=[text for text, _ in VALUES])
def test_value(text: str, wanted: Any) -> None:
    expression = compile(text, Mode.CALC)
    if isinstance(wanted, ErrorKind):
        with pytest.raises(EvaluationError) as failure:
            expression.evaluate(MESSAGE, ENV)
        assert failure.value.kind is wanted
        assert failure.value.column is not None and 1 <= failure.value.column <= len(text)
        assert expression.matches(MESSAGE, ENV) is False
    else:
        value = expression.evaluate(MESSAGE, ENV)
        assert value == wanted
        assert isinstance(value, bool) is isinstance(wanted, bool)
        truth = value not in (0, None, "") or isinstance(value, list | dict)
        assert expression.matches(MESSAGE, ENV) is truth


def test_every_function_has_cases() -> None:
    texts = " ".join(text for text, _ in VALUES)
    assert [name for name in FUNCTIONS if f"{name}(" not in texts] == []


REFUSED: list[tuple[str, ErrorKind, int]] = [
    ("", ErrorKind.PARSE, 1), ("  ", ErrorKind.PARSE, 3), ("1 +", ErrorKind.PARSE, 4), ("* 1", ErrorKind.PARSE, 1),
    ("(1", ErrorKind.PARSE, 3), ("1)", ErrorKind.PARSE, 2), ("'a", ErrorKind.PARSE, 1), ('1 "', ErrorKind.PARSE, 3),
    ("a b", ErrorKind.PARSE, 3), ("a 'b'", ErrorKind.PARSE, 3), ("nope(1)", ErrorKind.PARSE, 1),
    ("a.b(1)", ErrorKind.PARSE, 1), ("true(1)", ErrorKind.PARSE, 5), ("abs()", ErrorKind.PARSE, 1),
    ("abs(1,)", ErrorKind.PARSE, 7), ("abs(1, 2)", ErrorKind.PARSE, 1), ("if(1, 2)", ErrorKind.PARSE, 1),
    ("now(1)", ErrorKind.PARSE, 1), ("min(1)", ErrorKind.PARSE, 1), ("1 @ 2", ErrorKind.PARSE, 3),
    ("a === 1", ErrorKind.PARSE, 5), ("a =! 1 =", ErrorKind.PARSE, 9), ("1..2", ErrorKind.PARSE, 2),
    ("1.", ErrorKind.PARSE, 2), ("1.2.3", ErrorKind.PARSE, 4), ("12ab", ErrorKind.PARSE, 1),
    ("1_0", ErrorKind.PARSE, 1),
    ("0x", ErrorKind.PARSE, 1), ("0xfg", ErrorKind.PARSE, 1), ("1e", ErrorKind.PARSE, 1), ("1e999", ErrorKind.PARSE, 1),
    ("9" * 400, ErrorKind.PARSE, 1), ("a.", ErrorKind.PARSE, 2), ("a..b", ErrorKind.PARSE, 2),
    ("$", ErrorKind.PARSE, 1),
    ("$ a", ErrorKind.PARSE, 1), ("$1", ErrorKind.PARSE, 1), ("#", ErrorKind.PARSE, 1), (r"'\q'", ErrorKind.PARSE, 2),
    (r"'\u12'", ErrorKind.PARSE, 2), (r"'\ud800'", ErrorKind.PARSE, 2), ("a, ", ErrorKind.PARSE, 4),
    (", a", ErrorKind.PARSE, 1), ("(a, b)", ErrorKind.PARSE, 3), ("x{y}", ErrorKind.PARSE, 2),
    ("a ? b", ErrorKind.PARSE, 6),
    ("a[1", ErrorKind.PARSE, 4), ("a[]", ErrorKind.PARSE, 3), ("a ** b", ErrorKind.PARSE, 4),
    ("~a", ErrorKind.PARSE, 1),
    ("a := 1", ErrorKind.PARSE, 3), ("a;b", ErrorKind.PARSE, 2), ("a-b.c-", ErrorKind.PARSE, 7),
    ("TRUE()", ErrorKind.PARSE, 1),
    ("previous('a')", ErrorKind.CONTEXT, 1), ("1 + mileage()", ErrorKind.CONTEXT, 5),
    ("duration()", ErrorKind.CONTEXT, 1),
    ("distance_to(1, 2)", ErrorKind.CONTEXT, 1), ("geofence('a')", ErrorKind.CONTEXT, 1), ("#a", ErrorKind.CONTEXT, 1),
    ("(" * 65 + "1" + ")" * 65, ErrorKind.LIMIT, 65), ("!" * 65 + "1", ErrorKind.LIMIT, 65),
    ("abs(" * 65 + "1" + ")" * 65, ErrorKind.LIMIT, 257), ("a[" * 65 + "1" + "]" * 65, ErrorKind.LIMIT, 130),
    ("1?" * 65 + "1" + ":1" * 65, ErrorKind.LIMIT, 130), ("+".join(["1"] * 501), ErrorKind.LIMIT, 1001),
    ("'" + "x" * 4095 + "'", ErrorKind.LIMIT, 0), (".".join("a" * 65), ErrorKind.LIMIT, 1),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "column"), REFUSED, ids=[text[:40] for text, _, _ in REFUSED])
def test_refused(text: str, kind: ErrorKind, column: int) -> None:
    with pytest.raises(RefusedError) as refusal:
        compile(text, Mode.FILTER)
    assert (refusal.value.kind, refusal.value.column or 0) == (kind, column)


def test_argument_count_is_bounded_and_checked_for_every_function() -> None:
    for function in FUNCTIONS.values():
        assert function.maximum <= 16
        for count in (function.minimum - 1, function.maximum + 1):
            if count >= 0:
                with pytest.raises(RefusedError) as refusal:
                    compile(f"{function.name}({','.join(['1'] * count)})", Mode.CALC)
                assert refusal.value.kind is ErrorKind.PARSE


@pytest.mark.parametrize(
    "text",
    [
        "(" * 64 + "1" + ")" * 64,
        "!" * 64 + "1",
        "+".join(["speed"] * 500),
        "&&".join(["speed"] * 500),
        "||".join(["off"] * 499 + ["on"]),
        "off?1:" * 240 + "2",
        "list" + "[0]" * 300 + "== null",
        "'" + "x" * 4094 + "'",
        "a||on&&1|1^1&1==1<1<<1+1*(" * 20 + "1" + ")" * 20,
    ],
    ids=range(9),
)
def test_long_texts_within_the_limits_work(text: str) -> None:
    assert compile(text).matches(MESSAGE | {"a": False}) is True


def test_strings_made_by_an_expression_are_bounded() -> None:
    doubling = "concat(" + ",".join(["x"] * 16) + ")"
    with pytest.raises(EvaluationError) as failure:
        compile(doubling).evaluate({"x": "y" * 5000})
    assert failure.value.kind is ErrorKind.LIMIT
    with pytest.raises(EvaluationError) as failure:
        compile("tostring(x)").evaluate({"x": list(range(20_000))})
    assert failure.value.kind is ErrorKind.LIMIT


def test_wildcards_do_not_blow_up() -> None:
    pattern = "*a?" * 40 + "b"
    assert compile(f"x ~ '{pattern}'").matches({"x": "a" * 20_000}) is False
    assert compile("x ~ p").matches({"x": "ab" * 30_000, "p": "*" + "?a" * 30_000 + "c"}) is False
    assert compile(f"x ~ '{'*a' * 500}b'").matches({"x": "a" * 60_000}) is False


def test_too_much_wildcard_work_is_a_limit() -> None:
    with pytest.raises(EvaluationError) as failure:
        compile("x ~ p").evaluate({"x": "ab" * 30_000, "p": "*" + "?a" * 300 + "*c"})
    assert failure.value.kind is ErrorKind.LIMIT


def test_time_zone() -> None:
    vienna = Environment(timezone="Europe/Vienna")
    assert compile("hour(0)").evaluate({}, vienna) == 1
    for unknown in ("Nowhere/None", "../etc/passwd", ""):
        with pytest.raises(EvaluationError) as failure:
            compile("hour(0)").evaluate({}, Environment(timezone=unknown))
        assert failure.value.kind is ErrorKind.MISSING


def test_without_clock_position_or_previous() -> None:
    for text in ("now()", "distance_to(1, 2)", "geofence('a')", "duration()"):
        env = Environment(previous={"timestamp": 1}, geofences={"a": lambda lat, lon: True})
        with pytest.raises(EvaluationError) as failure:
            compile(text, Mode.CALC).evaluate({}, env)
        assert failure.value.kind is ErrorKind.MISSING
    assert compile("mileage()", Mode.CALC).evaluate(MESSAGE) is None
    assert compile("duration()", Mode.CALC).evaluate(MESSAGE) is None
    nowhere = {"position.latitude": None, "position.longitude": "x"}
    with pytest.raises(EvaluationError) as failure:
        compile("geofence('a')", Mode.CALC).evaluate(nowhere, Environment(geofences={"a": lambda lat, lon: True}))
    assert failure.value.kind is ErrorKind.TYPE


def test_metadata_may_come_from_the_environment() -> None:
    env = Environment(metadata={"units": "imperial"})
    assert compile("metadata('units')").evaluate(MESSAGE, env) == "imperial"
    assert compile("metadata('units')").evaluate({}) is None


def test_errors_say_what_and_where() -> None:
    with pytest.raises(EvaluationError) as failure:
        compile("speed + (name * 2)").evaluate(MESSAGE)
    assert str(failure.value) == "a number is needed, got a string (column 15)"
    with pytest.raises(EvaluationError) as failure:
        compile("error('no fix')").evaluate({})
    assert failure.value.message == "no fix"


def test_equalities_name_what_an_index_can_answer() -> None:
    assert compile('name == "Bus 7" && speed > 5 && "x" = ident').equalities == {"name": "Bus 7", "ident": "x"}
    assert compile("name == 'Bus*'").equalities == {}
    assert compile("name == 'a' || speed").equalities == {}
    assert compile("speed == 5").equalities == {}
    assert compile("name == 'a', on").equalities == {"name": "a"}


def test_numbers_stay_doubles() -> None:
    value = compile("9007199254740991 * 9007199254740991").evaluate({})
    assert isinstance(value, float) and math.isclose(value, 8.112963841460666e31)
