"""How many location reports a second a node stores durably and acknowledges, with 10,000 vehicles connected.

Run: .venv/bin/python bench/reports.py [--vehicles 10000] [--rate 5000] [--seconds 20] [--out reports.json]
Vehicles of the simulator register, authenticate and then report in turn at a steady total rate. A report counts when
its acknowledgement came, which the server sends after the commit of its batch. The published figure of the peer is
OpenMDVR's: 50,000 trackers and 2,300 reports a second on two cores.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time

from _bench import CpuMeter, Row, finish, house, options, pid_of, register, rss

from wayframe.simulator import MassConfig, MassFleet, MassSummary
from wayframe.simulator.mass import Histogram

FIRST = "013000000001"
PEER_PER_CORE = 2300 / 2
_CONNECT_S = 90.0
_SLOW = 50.0
"""Reports a second while vehicles connect; at none at all the scheduler would owe a burst."""


class QuietFleet(MassFleet):
    """A fleet that only connects until it is told to report, so that the two are measured apart."""

    def report_at(self, rate: float) -> None:
        """Begin in earnest; answer times are counted from now on."""
        self._config = dataclasses.replace(self._config, rate=rate)
        self._times = Histogram()


async def connected(fleet: QuietFleet, count: int) -> None:
    """Wait until all are online."""
    deadline = time.monotonic() + _CONNECT_S
    while fleet.summary().online < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"only {fleet.summary().online} of {count} vehicles came online in {_CONNECT_S:.0f} s")
        await asyncio.sleep(0.2)


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What a run gave."""

    summary: MassSummary
    """The fleet's own figures."""
    acknowledged: int
    """Reports acknowledged while reporting in earnest."""
    seconds: float
    """How long that took, the last answer included."""
    connecting_cpu_s: float
    """CPU seconds of the server while vehicles connected."""
    reporting_cpu_s: float
    """CPU seconds of the server while they reported."""
    connection_bytes: float
    """Growth of the server's memory by a connection."""


async def drive(port: int, pid: int, vehicles: int, rate: float, seconds: float) -> Run:
    """Connect, then report."""
    fleet = QuietFleet(MassConfig("127.0.0.1", port, FIRST, vehicles, rate=_SLOW, connects_per_s=1000))
    job = asyncio.create_task(fleet.run())
    empty, meter = rss(pid), CpuMeter(pid)
    await connected(fleet, vehicles)
    await asyncio.sleep(2)
    connecting = meter.read()[0]
    a_connection = (rss(pid) - empty) / vehicles
    before, meter = fleet.summary(), CpuMeter(pid)
    fleet.report_at(rate)
    await asyncio.sleep(seconds)
    fleet.stop()
    await job
    reporting, wall = meter.read()
    after = fleet.summary()
    return Run(after, after.acknowledged - before.acknowledged, wall, connecting, reporting, a_connection)


def main() -> None:
    """Run and print."""
    parser = options(__doc__)
    parser.add_argument("--vehicles", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=5_000)
    parser.add_argument("--seconds", type=float, default=20)
    chosen = parser.parse_args()
    with house() as server:
        idents = [str(int(FIRST) + number).zfill(len(FIRST)) for number in range(chosen.vehicles)]
        register(server, idents)
        pid = pid_of(server)
        run = asyncio.run(drive(server.ports["signalling"], pid, chosen.vehicles, chosen.rate, chosen.seconds))
    a_core = run.acknowledged / run.reporting_cpu_s
    summary = run.summary
    rows = [
        Row("reports stored and acknowledged a second", run.acknowledged / run.seconds, "/s", 0.98 * chosen.rate, True),
        Row("reports a second and core, from the CPU time used", a_core, "/s", 5000, True),
        Row("the same against OpenMDVR's published 1,150", a_core / PEER_PER_CORE, "×"),
        Row("share of one core used", run.reporting_cpu_s / run.seconds, "cores", 1.0),
        Row("acknowledgement, median", summary.ack_ms_p50, "ms"),
        Row("acknowledgement, 99th percentile", summary.ack_ms_p99, "ms", 500),
        Row("reports without an acknowledgement", summary.unanswered + summary.rejected, "", 0),
        Row("memory of a connection", run.connection_bytes / 1000, "KB", 25),
        Row("CPU of a registration and authentication", run.connecting_cpu_s / chosen.vehicles * 1000, "ms"),
    ]
    finish(f"reports: {chosen.vehicles} vehicles", rows, chosen.out, summary=dataclasses.asdict(summary))


if __name__ == "__main__":
    main()
