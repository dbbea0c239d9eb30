"""How long selectors take over device-like items held in memory.

Run: .venv/bin/python bench/selector_scan.py [--devices 100000] [--rounds 5]
Prints the best and median time of a whole scan in milliseconds, then the microseconds of compiling and of lookups that
need no scan. The target (rulings.md, 22) is 50 ms for selectors of one or two comparisons over 100,000 devices.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable

from wayframe.expressions import Environment, compile_selector

NOW = 1_700_000_000.0
SIMPLE = (
    "all",
    "{connected}",
    "name=Truck*",
    "{cid==1&&enabled}",
    "configuration.ident=86*",
    "{telemetry.position.speed > 50}",
    "{telemetry.can.fuel.level > 50}",
    "protocol_name=teltonika,device_type_id=12",
)
INVOLVED = (
    "groups.id=7",
    "{last_active < (now() - 86400)}",
    '{name~"*99*" || configuration.ident~"*99*"}',
    '{exists("configuration.tacho")&&plugins_count>0}',
    "name=*a?b*c*",
    "{distance(telemetry.position.latitude, telemetry.position.longitude, 54.72, 25.26) < 100}",
)


def device(number: int) -> dict[str, object]:
    """One item as the API would show it."""
    telemetry = {
        "timestamp": NOW - number % 200_000,
        "position.latitude": 54 + number % 100 / 50,
        "position.longitude": 25 + number % 77 / 50,
        "position.speed": number % 120,
        "position.altitude": 100.5,
        "position.satellites": number % 20,
        "engine.ignition.status": number % 3 == 0,
        "battery.voltage": 12.1,
    }
    return {
        "id": number,
        "cid": number % 5,
        "name": f"{'Truck' if number % 2 else 'Van'} {number}",
        "enabled": number % 10 != 0,
        "connected": number % 3 != 0,
        "protocol_name": ("teltonika", "jt808", "concox")[number % 3],
        "device_type_id": number % 40,
        "last_active": NOW - number % 200_000,
        "plugins_count": number % 3,
        "configuration": {"ident": f"86{number:013d}" if number % 4 else f"35{number:013d}", "phone": ""},
        "metadata": {"fleet_id": number % 50},
        "telemetry": telemetry,
        "groups": [{"id": number % 20, "name": "North"}],
    }


def timed(action: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Best and median seconds of an action."""
    spans = []
    for _ in range(rounds):
        begin = time.perf_counter()
        action()
        spans.append(time.perf_counter() - begin)
    return min(spans), statistics.median(spans)


def each(action: Callable[[], object], rounds: int, times: int = 2000) -> float:
    """Best microseconds of one run of a short action."""
    return timed(lambda: [action() for _ in range(times)], rounds)[0] / times * 1e6


def main() -> None:
    """Build the devices and print the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--devices", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    fleet = {number: device(number) for number in range(1, chosen.devices + 1)}
    by_ident = {str(item["configuration"]["ident"]): number for number, item in fleet.items()}
    env = Environment(now=NOW)
    gc.freeze()

    title = f"selector over {chosen.devices} devices"
    print(f"{title:<90} {'best ms':>8} {'median':>8} {'found':>7} {'compile us':>11}")
    for text in SIMPLE + INVOLVED:
        selector = compile_selector(text)
        best, median = timed(lambda s=selector: s.pick(fleet, env), chosen.rounds)
        found = len(selector.pick(fleet, env).ids)
        compiling = each(lambda t=text: compile_selector(t), 3, 200)
        print(f"{text:<90} {best * 1e3:8.1f} {median * 1e3:8.1f} {found:7} {compiling:11.1f}")

    def ident() -> object:
        selector = compile_selector("configuration.ident=860000000000001")
        number = by_ident[selector.equalities["configuration.ident"]]
        return selector.select([(number, fleet[number])], env)

    direct: dict[str, Callable[[], object]] = {
        "one id": lambda: compile_selector("77").pick(fleet, env),
        "three ids and a condition": lambda: compile_selector("1,2,3,{connected}").pick(fleet, env),
        "ident through an index": ident,
    }
    print(f"\n{'without a scan, compiling included':<90} {'us':>8}")
    for title, action in direct.items():
        print(f"{title:<90} {each(action, chosen.rounds):8.1f}")


if __name__ == "__main__":
    main()
