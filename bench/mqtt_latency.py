"""How long a message takes from one client to another: beside Mosquitto, and while hostile clients do their worst.

Run: .venv/bin/python bench/mqtt_latency.py [--rounds 5] [--seconds 4] [--rate 1000] [--out mqtt_latency.json]
One publisher sends at a steady rate, one subscriber waits. Brokers and load run before whatever else is on the machine
(SCHED_RR, where the user may ask for it). Rounds go back and forth between the brokers; the ratio is the median of the
rounds'.

The hostile load, on our broker only: 20 subscribers that never read and 20 of QoS 1 that read and never acknowledge,
all on a topic that one client floods with messages of 1 KiB as fast as the broker takes them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import select
import socket
import time
from collections.abc import Iterator

from _bench import Row, before_others, finish, median, options, percentile, rss
from _mqtt import Broker, both, connect, publish, subscribe

_HEAD = 2 + 2 + len("latency")
_FLOODED = "flood/it"


def times(broker: Broker, qos: int, rate: float, seconds: float) -> list[float]:
    """Milliseconds each message took."""
    source, sink = connect(broker, "source"), connect(broker, "sink")
    subscribe(sink, "latency", qos)
    clock, count = time.perf_counter, int(rate * seconds)
    packets = [publish("latency", b"x" * 100, qos, number % 65535 + 1) for number in range(count)]
    size, place = len(packets[0]), len(packets[0]) - 102
    sent: list[float] = []
    taken: list[float] = []
    rest, begin, deadline = b"", clock() + 0.01, clock() + seconds + 2
    try:
        while len(taken) < count and clock() < deadline:
            if len(sent) < count and clock() >= begin + len(sent) / rate:
                sent.append(clock())
                source.sendall(packets[len(sent) - 1])
            due = begin + len(sent) / rate if len(sent) < count else deadline
            if select.select([sink], [], [], max(0.0, due - clock()))[0]:
                rest += sink.recv(65536)
            while len(rest) >= size:
                taken.append((clock() - sent[len(taken)]) * 1000)
                if qos:
                    sink.sendall(b"\x40\x02" + rest[place : place + 2])
                rest = rest[size:]
    finally:
        source.close()
        sink.close()
    if len(taken) < count:
        raise SystemExit(f"{count - len(taken)} of {count} messages did not arrive at {broker.name}")
    return taken[count // 10 :]  # the first ones find cold caches


def _hostile(broker: Broker, ready: multiprocessing.synchronize.Event) -> None:
    """Never ends: slow readers, subscribers that never acknowledge, a flood."""
    silent = [connect(broker, f"silent{number}") for number in range(20)]
    greedy = [connect(broker, f"greedy{number}") for number in range(20)]
    for sock in silent:
        subscribe(sock, "flood/#", 0)
    for sock in greedy:
        subscribe(sock, "flood/#", 1)
    flood = connect(broker, "flood")
    flood.setblocking(False)
    block = b"".join(publish(_FLOODED, b"x" * 1024, number % 2, number % 65535 + 1) for number in range(1, 1001))
    poll = select.epoll()
    for sock in (*greedy, flood):
        poll.register(sock, select.EPOLLIN)
    poll.modify(flood, select.EPOLLIN | select.EPOLLOUT)
    sent, waste = 0, bytearray(1 << 20)
    ready.set()
    while True:
        for fd, event in poll.poll():
            if event & select.EPOLLIN:
                socket.socket.recv_into(next(each for each in (*greedy, flood) if each.fileno() == fd), waste)
            if event & select.EPOLLOUT:
                sent += flood.send(memoryview(block)[sent % len(block) :])


@contextlib.contextmanager
def hostile(broker: Broker) -> Iterator[None]:
    """The hostile load runs in the block."""
    ready = multiprocessing.Event()
    process = multiprocessing.Process(target=_hostile, args=(broker, ready), daemon=True)
    process.start()
    ready.wait(20)
    try:
        yield
    finally:
        process.kill()
        process.join()


def compared(ours: Broker, theirs: Broker, qos: int, rounds: int, rate: float, seconds: float) -> list[Row]:
    """Both brokers in turn."""
    pairs = [(times(ours, qos, rate, seconds), times(theirs, qos, rate, seconds)) for _ in range(rounds)]
    ratio = median([percentile(a, 0.99) / percentile(b, 0.99) for a, b in pairs])
    what = f"1 to 1, QoS {qos}, {rate:g} messages/s"
    rows = [Row(f"{what}: p99 against Mosquitto's", ratio, "×", 1.2)]
    for who, side in (("ours", 0), ("Mosquitto", 1)):
        for name, share in (("median", 0.5), ("p99", 0.99)):
            value = median([percentile(pair[side], share) for pair in pairs])
            rows.append(Row(f"  {who}, {name}", value, "ms"))
    return rows


def under_attack(ours: Broker, rate: float, seconds: float) -> list[Row]:
    """Ours, for a client that does nothing wrong."""
    before = rss(ours.pid)
    with hostile(ours):
        taken = times(ours, 1, rate, seconds)
        grown = rss(ours.pid) - before
    return [
        Row("during the hostile load: p99 of another client", percentile(taken, 0.99), "ms", 100),
        Row("  median", median(taken), "ms"),
        Row("  longest", max(taken), "ms"),
        Row("  growth of the server's memory", grown / 1e6, "MB"),
    ]


def main() -> None:
    """Run and print."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rate", type=float, default=1000)
    chosen = parser.parse_args()
    rows = []
    with both() as (ours, theirs), before_others(ours.pid, theirs.pid):
        for qos in (0, 1):
            rows += compared(ours, theirs, qos, chosen.rounds, chosen.rate, chosen.seconds)
        rows += under_attack(ours, chosen.rate / 10, 2 * chosen.seconds)
    finish("MQTT: how long a message takes", rows, chosen.out)


if __name__ == "__main__":
    main()
