"""From a device's socket to an MQTT subscriber, and what the broker costs when nobody listens.

Run: .venv/bin/python bench/mqtt_devices.py [--vehicles 1000] [--seconds 15] [--out mqtt_devices.json]
Vehicles of the simulator report once a second each over JT/T 808 (a report becomes a message of about 50 parameters); a
report counts from the moment its bytes are given to the device's socket to the moment its message is read from the
subscriber's. It is durable by then, as everything that is announced. The second run adds a subscriber to every
parameter of every device. The bus is measured in this process: events put on the bus of a whole node, with the broker
attached to it and without.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _bench import (
    SERVER_CORE,
    CpuMeter,
    House,
    Row,
    before_others,
    finish,
    house,
    median,
    options,
    percentile,
    pid_of,
    register,
)
from _mqtt import as_broker, connect, subscribe
from reports import FIRST, QuietFleet, connected

from inside import InsideHouse
from wayframe.model import Event
from wayframe.mqtt import V311, Framer
from wayframe.mqtt.packets import decode_publish
from wayframe.simulator import MassConfig

_EVENTS = 10_000
_PARAMETERS = {f"parameter.{number}": number for number in range(40)}


class TimedFleet(QuietFleet):
    """Remembers when it sent what."""

    def __init__(self, config: MassConfig) -> None:
        super().__init__(config)
        self.sent_at: dict[tuple[str, int], float] = {}
        """By ident and serial number of the report."""

    def _send(self, link: Any) -> None:
        self.sent_at[str(int(FIRST) + link.index).zfill(len(FIRST)), link._serial] = time.perf_counter()
        super()._send(link)


class Listener:
    """A subscriber of QoS 1 or 0 on the running loop."""

    def __init__(self, server: House, name: str, topic: str, qos: int, take: Callable[[bytes], None]) -> None:
        self._sock = connect(as_broker(server), name)
        subscribe(self._sock, topic, qos)
        self._framer = Framer(1 << 20)
        self._take = take
        self.count = 0
        """Messages."""
        asyncio.get_running_loop().add_reader(self._sock, self._read)

    def _read(self) -> None:
        for first, body in self._framer.feed(self._sock.recv(1 << 20, socket.MSG_DONTWAIT)):
            self.count += 1
            if first & 6:
                packet = decode_publish(first, body, V311)
                self._sock.sendall(b"\x40\x02" + packet.packet_id.to_bytes(2, "big"))
                self._take(packet.payload)

    def close(self) -> None:
        """Hang up."""
        asyncio.get_running_loop().remove_reader(self._sock)
        self._sock.close()


async def end_to_end(server: House, vehicles: int, seconds: float) -> list[Row]:
    """Reports to subscribers, without and with one for every parameter."""
    fleet = TimedFleet(
        MassConfig("127.0.0.1", server.ports["signalling"], FIRST, vehicles, rate=50, connects_per_s=500)
    )
    job = asyncio.create_task(fleet.run())
    await connected(fleet, vehicles)
    fleet.report_at(vehicles)
    await asyncio.sleep(3)
    rows = [Row("CPU without a subscriber", await _cpu(server, seconds / 3), "cores")]
    taken: list[float] = []
    sizes: list[int] = []

    def take(payload: bytes) -> None:
        now, message = time.perf_counter(), json.loads(payload)
        sent = fleet.sent_at.pop((message["ident"], message["event.seqnum"]), None)
        if sent is not None:
            taken.append((now - sent) * 1000)
            sizes.append(len(message))

    messages = Listener(server, "messages", "flespi/message/gw/devices/+", 1, take)
    for what in ("messages", "messages and every parameter"):
        every = None
        if "every" in what:
            every = Listener(server, "every", "flespi/state/gw/devices/+/telemetry/+", 0, lambda payload: None)
            await asyncio.sleep(3)
        fleet.sent_at.clear()
        taken.clear()
        cpu = await _cpu(server, seconds)
        rows += [
            Row(f"{vehicles} devices, a subscriber to {what}: p99", percentile(taken, 0.99), "ms", 100),
            Row("  median", median(taken), "ms"),
            Row("  longest", max(taken), "ms"),
            Row("  messages a second", len(taken) / seconds, "", 0.95 * vehicles, True),
            Row("  CPU", cpu, "cores"),
        ]
        if every is not None:
            rows.append(Row("  parameters a second", every.count / (seconds + 3), ""))
            every.close()
    messages.close()
    fleet.stop()
    await job
    return [Row("parameters of a message", median(sizes), ""), *rows]


async def _cpu(server: House, seconds: float) -> float:
    meter = CpuMeter(pid_of(server))
    await asyncio.sleep(seconds)
    cpu, wall = meter.read()
    return cpu / wall


async def put(bus: Any, seconds: float, records: bool) -> float:
    """CPU microseconds of an event, `_EVENTS` of them a second on topics of 1,000 devices."""
    topics = [f"flespi/state/gw/devices/{number}/telemetry" for number in range(1, 1001)]
    plain = [f"flespi/message/gw/devices/{number}" for number in range(1, 1001)]
    spent, batch = 0.0, _EVENTS // 50
    for turn in range(int(seconds * 50)):
        begin = time.thread_time()
        for number in range(turn * batch, (turn + 1) * batch):
            if records:
                bus.publish_record(topics[number % 1000], _PARAMETERS, 1, 1.0)
            else:
                bus.publish(Event(plain[number % 1000], _PARAMETERS, 1, 1.0, False))
        spent += time.thread_time() - begin
        await asyncio.sleep(0.02)
    return spent / (int(seconds * 50) * batch) * 1e6


def bus(seconds: float) -> list[Row]:
    """What events cost that nobody wants."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="wayframe-bench-") as folder:
        inside = InsideHouse(Path(folder))
        try:
            node_bus = inside.node.bus
            for what, records in (("an event", False), ("a record of 40 parameters", True)):
                costs = []
                for taps in (list(node_bus._taps), []):
                    before, node_bus._taps = node_bus._taps, taps
                    costs.append(inside.run(put(node_bus, seconds, records)))
                    node_bus._taps = before
                rows += [
                    Row(f"{what} nobody wants, broker attached", costs[0], "µs"),
                    Row("  without the broker", costs[1], "µs"),
                    Row(f"  the broker at {_EVENTS:,} a second", (costs[0] - costs[1]) * _EVENTS / 1e4, "% of a core"),
                ]
        finally:
            inside.close()
    return rows


def main() -> None:
    """Run and print."""
    parser = options(__doc__)
    parser.add_argument("--vehicles", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=15)
    chosen = parser.parse_args()
    with house() as server, before_others(pid_of(server)):
        register(server, [str(int(FIRST) + number).zfill(len(FIRST)) for number in range(chosen.vehicles)])
        rows = asyncio.run(end_to_end(server, chosen.vehicles, chosen.seconds))
    os.sched_setaffinity(0, {SERVER_CORE})
    rows += bus(3)
    finish("MQTT: from devices to subscribers", rows, chosen.out)


if __name__ == "__main__":
    main()
