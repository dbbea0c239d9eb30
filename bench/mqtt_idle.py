"""Memory of connections that only wait, at our broker and at Mosquitto.

Run: .venv/bin/python bench/mqtt_idle.py [--connections 15000] [--out mqtt_idle.json]
Memory is the growth of the process's resident pages. Both processes must be allowed as many files (`ulimit -n`).
"""

from __future__ import annotations

import resource
import socket
import time

from _bench import CpuMeter, Row, finish, options, rss
from _mqtt import Broker, both, connect, subscribe


def wait(broker: Broker, count: int, topic: str) -> list[Row]:
    """Connect, look, and leave."""
    before = rss(broker.pid)
    meter = CpuMeter(broker.pid)
    clients: list[socket.socket] = []
    for number in range(count):
        clients.append(connect(broker, f"idle{number:05}"))
        if topic:
            subscribe(clients[-1], topic.format(number), 1)
    connecting = meter.read()[0]
    time.sleep(2)
    each = (rss(broker.pid) - before) / count
    meter = CpuMeter(broker.pid)
    time.sleep(3)
    cpu, wall = meter.read()
    for sock in (clients[0], clients[-1]):
        sock.sendall(b"\xc0\0")
        assert sock.recv(2) == b"\xd0\0", "a connection is not alive any more"
    for sock in clients:
        sock.close()
    time.sleep(2)
    ours = broker.name == "Wayframe"
    what = "with a subscription each" if topic else "connected only"
    return [
        Row(f"{broker.name}, {what}: memory of a connection", each / 1000, "KB", 8 if ours else None),
        Row("  connections at once", count, "", 15_000 if ours else None, True),
        Row("  CPU while they wait", cpu / wall * 100, "% of a core"),
        Row("  CPU of a connect", connecting / count * 1e6, "µs"),
    ]


def main() -> None:
    """Run and print."""
    parser = options(__doc__)
    parser.add_argument("--connections", type=int, default=15_000)
    chosen = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows = []
    for topic in ("", "fleet/{:05}/position"):  # fresh processes: memory that was freed is not given back
        with both() as brokers:
            for broker in brokers:
                rows += wait(broker, chosen.connections, topic)
    finish("MQTT: idle connections", rows, chosen.out)


if __name__ == "__main__":
    main()
