"""`$filter` subscriptions: how they are read, and which messages pass."""

from __future__ import annotations

import pytest

from wayframe.expressions import ExpressionError, MqttMessage, parse_filter, parse_subscription, payload_context


@pytest.mark.parametrize(
    ("text", "share", "topic", "conditions"),
    [
        ("a/+/#", None, "a/+/#", None),
        ("$share/g/a", "g", "a", None),
        ("$filter/cid=7/a/b", None, "a/b", (7, None, None, None)),
        ("$share/g/$filter/cid=7/a", "g", "a", (7, None, None, None)),
        ("$filter/modified_since=1.5/a", None, "a", (None, 1.5, None, None)),
        ("$filter/modified_since>2/a", None, "a", (None, 2, None, None)),
        ("$filter/payload=a%3E1&message=cid%3D%3D2&cid=3&modified_since=4/a", None, "a", (3, 4, "a>1", "cid==2")),
        ("$filter/payload=a>1&&b&c/x", None, "x", (None, None, "a>1&&b&c", None)),
        ("$filter/payload=a>1&&cid==5&cid=9/x", None, "x", (9, None, "a>1&&cid==5", None)),
        ("$filter/payload=x%2Fy%26%26z/x", None, "x", (None, None, "x/y&&z", None)),
        ("$filter/payload=a%2/x", None, "x", (None, None, "a%2", None)),
        ("$filtered/cid=1", None, "$filtered/cid=1", None),
    ],
)
def test_subscription(text: str, share: str | None, topic: str, conditions: tuple[object, ...] | None) -> None:
    found = parse_subscription(text)
    assert (found.share, found.topic) == (share, topic)
    if found.filter is None:
        assert conditions is None
    else:
        payload, message = found.filter.payload, found.filter.message
        texts = (payload and payload.text, message and message.text)
        assert (found.filter.cid, found.filter.modified_since, *texts) == conditions


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("$filter/a/b", "selector"),
        ("$filter//b", "selector"),
        ("$filter/cid=1", "selector"),
        ("$filter/cid=1/", "selector"),
        ("$filter/cid=x/b", "selector"),
        ("$filter/cid=-1/b", "selector"),
        ("$filter/cid>1/b", "selector"),
        ("$filter/cid=1&cid=2/b", "selector"),
        ("$filter/modified_since=x/b", "selector"),
        ("$filter/modified_since=-1/b", "selector"),
        ("$filter/payload=%ff/b", "selector"),
        ("$filter/payload=\ud800/b", "selector"),
        ("$filter/payload=" + "a" * 70000 + "/b", "selector"),
        ("$filter/payload=/b", "parse"),
        ("$filter/payload=a+/b", "parse"),
        ("$filter/message=previous('a')/b", "context"),
        ("$share//a", "selector"),
        ("$share/+/a", "selector"),
        ("$share/g", "selector"),
        ("", "selector"),
    ],
)
def test_refused(text: str, kind: str) -> None:
    with pytest.raises(ExpressionError) as refusal:
        parse_subscription(text)
    assert refusal.value.kind == kind


def test_payload_context() -> None:
    assert payload_context('{"a": 1}') == {"payload": '{"a": 1}', "a": 1}
    assert payload_context(' {"payload": 1}') == {"payload": 1}
    for text in ("12", "[1]", "{", '{"a": NaN}', '{"a":' * 100_000, "true", ""):
        assert payload_context(text) == {"payload": text}


MESSAGE = MqttMessage("t/kitchen", b'{"temp": 21}', cid=5, timestamp=100.0, user_properties={"k": "v"})


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("cid=5", True),
        ("cid=6", False),
        ("modified_since=100", True),
        ("modified_since=100.5", False),
        ("payload=temp>20", True),
        ("payload=temp>21", False),
        ("payload=topic", False),
        ("payload=payload ~ '*temp*'", True),
        ("message=topics[1]=='kitchen'", True),
        ("message=topic~'t*'&&cid==5&&timestamp==100&&user_properties.k=='v'", True),
        ("message=temp>1", False),
        ("message=isstring(payload)&cid=5&payload=temp", True),
        ("message=isstring(payload)&cid=6&payload=temp", False),
    ],
)
def test_matching(text: str, passes: bool) -> None:
    assert parse_filter(text).matches(MESSAGE) is passes


def test_the_documented_quoted_payload_delivers() -> None:
    conditions = parse_filter('message=tonumber("payload")<20')
    assert conditions.matches(MqttMessage("t", b"19.5"))
    assert not conditions.matches(MqttMessage("t", "20.5"))
    assert not conditions.matches(MqttMessage("t", b"\xff"))
