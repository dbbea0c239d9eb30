"""Messages a second through our broker and through Mosquitto, core for core.

Run: .venv/bin/python bench/mqtt_throughput.py [--rounds 5] [--seconds 3] [--only TEXT] [--out mqtt_throughput.json]
The server runs as a user starts it (`wayframe serve`, a token, SQLite); Mosquitto is Debian's. Both are pinned to the
first core, the load to the second. Rounds go back and forth between the two; a ratio is the median of the rounds'.
Rates are deliveries for a second of the broker's core; those by the clock follow. Brokers and load run before whatever
else is on the machine (SCHED_RR, where the user may ask for it).
"""

from __future__ import annotations

import random
from collections.abc import Callable

from _bench import Row, before_others, finish, median, options
from _mqtt import V5, Broker, Case, Rate, both, rate

_FILTER = "$filter/payload=speed>{limit}"
_JSON = b'{"speed":90,"pad":"%s"}'
_MOVING = _JSON % (b"x" * (200 - len(_JSON) + 2))


def fan_out(what: str, size: int, qos: int = 0, window: int = 2000) -> Case:
    """One publisher, 100 subscribers."""
    topic = "fleet/7/position"
    return Case(what, [topic] * 100, [topic], b"x" * size, 100, qos=qos, window=window)


def fan_in(what: str, qos: int) -> Case:
    """100 publishers, one subscriber."""
    return Case(what, ["fleet/#"], ["fleet/7/position"], b"x" * 200, 1, publishers=100, qos=qos, window=40)


def own_filters() -> Case:
    """100,000 topics, a hundred for each of 1,000 subscribers."""
    topics = [f"fleet/{group:04}/{number:02}/position" for group in range(1000) for number in range(100)]
    random.Random(1).shuffle(topics)
    filters = [f"fleet/{group:04}/+/position" for group in range(1000)]
    what = "1,000 subscribers, 100,000 topics"
    return Case(what, filters, topics, b"x" * 200, 1, window=4000)


def filtered(what: str, text: Callable[[int], str], version: int = 4) -> Case:
    """One publisher, 100 subscribers with a prefix before the topic."""
    topic = "fleet/7/position"
    return Case(what, [text(number) + topic for number in range(100)], [topic], _MOVING, 100, version=version)


COMPARED = (
    (fan_out("1 to 100, QoS 0, 200 B", 200), 3.5),
    (fan_out("1 to 100, QoS 0, 1 KiB", 1024), 3.5),
    (fan_out("1 to 100, QoS 1, 200 B", 200, 1, 1000), 4.0),
    (fan_in("100 to 1, QoS 0", 0), 2.0),
    (fan_in("100 to 1, QoS 1", 1), 0.9),
    (own_filters(), 1.0),
)
"""Cases and the ratio that is asked for."""
PLAIN = filtered("no filter, 200 B", lambda number: "")
ONE_FILTER = filtered("one $filter for all", lambda number: _FILTER.format(limit=60) + "/")
OWN_FILTERS = filtered("each its own $filter", lambda number: _FILTER.format(limit=f"{number / 2:.1f}") + "/")
STAMPED = filtered("MQTT 5, with timestamp and cid", lambda number: "", V5)


def compare(case: Case, ours: Broker, theirs: Broker, rounds: int, target: float) -> list[Row]:
    """Rows of a case on both."""
    pairs = [(rate(ours, case), rate(theirs, case)) for _ in range(rounds)]
    mine, other = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    ratio = median([a.per_cpu / b.per_cpu for a, b in pairs])
    clock = median([a.per_s / b.per_s for a, b in pairs])
    return [
        Row(f"{case.what}: ratio", ratio, "×", target, True),
        Row("  the same by the clock", clock, "×"),
        *told("  ours", mine),
        *told("  Mosquitto", other),
    ]


def told(who: str, rates: list[Rate]) -> list[Row]:
    """What a broker did."""
    rows = [
        Row(who, median([each.per_cpu for each in rates]), "/core-s"),
        Row(f"{who}, broker and load busy", median([each.cpu_s / each.wall_s for each in rates]), "cores"),
        Row(f"{who}, load", median([each.load_s / each.wall_s for each in rates]), "cores"),
    ]
    lost = sum(each.lost for each in rates)
    return [*rows, Row(f"{who}, lost", lost, "messages", 0)] if lost else rows


def filters(ours: Broker, rounds: int) -> list[Row]:
    """Filtered against unfiltered, ours alone: no other broker has them."""
    found: dict[str, list[Rate]] = {}
    for _ in range(rounds):
        for case in (PLAIN, ONE_FILTER, OWN_FILTERS, STAMPED):
            found.setdefault(case.what, []).append(rate(ours, case))
    plain = found[PLAIN.what]
    rows = []
    for case, target in ((ONE_FILTER, 0.8), (OWN_FILTERS, 0.15), (STAMPED, None)):
        ratio = median([a.per_cpu / b.per_cpu for a, b in zip(found[case.what], plain, strict=True)])
        rows += [
            Row(f"{case.what}: of the unfiltered rate", ratio, "×", target, True),
            *told("  ours", found[case.what]),
        ]
    return rows


def main() -> None:
    """Run and print."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", default="", help="only cases whose name holds this text; `filter` for the filters")
    chosen = parser.parse_args()
    rows: list[Row] = []
    with both() as (ours, theirs), before_others(ours.pid, theirs.pid):
        for case, target in COMPARED:
            if chosen.only in case.what:
                case.seconds = chosen.seconds
                rows += compare(case, ours, theirs, chosen.rounds, target)
        if chosen.only in ("", "filter"):
            for case in (PLAIN, ONE_FILTER, OWN_FILTERS, STAMPED):
                case.seconds = chosen.seconds
            rows += filters(ours, chosen.rounds)
    finish("MQTT: ours and Mosquitto", rows, chosen.out)


if __name__ == "__main__":
    main()
