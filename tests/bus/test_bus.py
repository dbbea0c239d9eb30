"""The bus delivers by topic filter, in order, and never lets one listener hurt another."""

from __future__ import annotations

import pytest

from wayframe.bus import Bus, InvalidFilter, matches
from wayframe.model import Event


def event(topic: str, payload: object = 1) -> Event:
    return Event(topic, payload, cid=1, timestamp=1.0)


@pytest.mark.parametrize(
    ("text", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a/b,c/d", "a/c/d", True),
        ("a/b,c/d,e", "a/b/e", True),
        ("a/b,c/d,e", "a/x/e", False),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
    ],
)
def test_filter_matching(text: str, topic: str, expected: bool) -> None:
    assert matches(text, topic) is expected


@pytest.mark.parametrize("text", ["", "a/#/b", "a+/b", "a/b#", "x" * 5000, "/".join("a" * 70)])
def test_bad_filters_are_refused(text: str) -> None:
    with pytest.raises(InvalidFilter):
        Bus().listen(text, lambda _: None)


def test_events_arrive_in_order_once_per_listener() -> None:
    bus, seen = Bus(), []
    bus.listen("a/#", seen.append)
    bus.listen("a/+", seen.append)
    bus.publish(event("a/b", 1))
    bus.publish(event("a/b/c", 2))
    assert [e.payload for e in seen if e.topic == "a/b"] in ([1], [1, 1])
    assert [e.topic for e in seen][-1] == "a/b/c"


def test_ignore_and_close_end_delivery() -> None:
    bus, seen = Bus(), []
    bus.listen("a/b,c", seen.append)
    bus.publish(event("a/c"))
    bus.ignore("a/b,c", seen.append)
    bus.publish(event("a/c"))
    assert len(seen) == 1


def test_a_record_becomes_topics_only_where_somebody_listens() -> None:
    bus, seen = Bus(), []
    record = {"position.speed": 72, "battery.level": 90}
    bus.publish_record("flespi/state/gw/devices/7/telemetry", record, 1, 5.0)
    bus.listen("flespi/state/gw/devices/+/telemetry/battery.level", seen.append)
    bus.publish_record("flespi/state/gw/devices/7/telemetry", record, 1, 5.0)
    assert [(e.topic, e.payload, e.retain) for e in seen] == [
        ("flespi/state/gw/devices/7/telemetry/battery.level", 90, True)
    ]
    everything: list[Event] = []
    bus.listen("flespi/#", everything.append)
    bus.publish_record("flespi/state/gw/devices/7/telemetry", record, 1, 5.0)
    assert len(everything) == 2


async def _collect(bus: Bus) -> list[object]:
    with bus.subscribe("a", limit=2) as subscription:
        for number in range(4):
            bus.publish(event("a", number))
        assert subscription.dropped == 2
        return [(await subscription.get()).payload, (await subscription.get()).payload]


@pytest.mark.anyio
async def test_a_slow_subscriber_loses_its_oldest_events() -> None:
    assert await _collect(Bus()) == [2, 3]


def test_a_listener_that_fails_does_not_take_the_news_from_others() -> None:
    bus, seen = Bus(), []

    def broken(_: Event) -> None:
        raise RuntimeError("broken")

    bus.listen("a", broken)
    bus.listen("a", seen.append)
    bus.publish(event("a"))
    assert len(seen) == 1


def test_a_tap_that_fails_does_not_stop_whoever_publishes() -> None:
    bus, seen = Bus(), []

    class Broken:
        def event(self, _: Event) -> None:
            raise RuntimeError("broken")

        def record(self, *_: object) -> None:
            raise RuntimeError("broken")

    bus.attach(Broken())
    bus.listen("a/b", seen.append)
    bus.publish(event("a/b"))
    bus.publish_record("a", {"b": 1}, 1, 1.0)
    assert len(seen) == 2
