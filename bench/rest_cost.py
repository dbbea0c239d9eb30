"""What REST costs with 100,000 devices and 1,000,000 media files: requests a second, p99, CPU a request, plans.

.venv/bin/python bench/rest_cost.py [--postgres] [--seconds 4] [--rounds 3] [--only WORD] [--data FOLDER] [--out FILE]

The data is made first (bench/rest_data.py, some minutes); `--data FOLDER` keeps it there for the next run. Server (and
PostgreSQL) run on the first core, wrk (apt-get install wrk) on the second, over kept-open connections
(16; 2 where all devices are looked at). Devices are asked
for at random among all, media lists and statistics among the busy ones, so that nothing is always the same answer.
Figures are medians of rounds in which the questions take turns; requests a CPU second are what the server would answer
if nothing else used its core. Then query plans: no question of
tests/storage/plans.py may read a table that is large here from end to end; `--plans` looks at nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import rest_data
from _bench import (
    LOAD_CORE,
    SERVER_CORE,
    CpuMeter,
    Row,
    cpu_s,
    end,
    finish,
    median,
    on_core,
    options,
    pid_of,
    rss,
    spawn,
)

import postgres
from e2e.house import House
from storage import plans
from wayframe.storage import Database

_BY_ID, _LIST = 4000, 1500
"""Requests a second that are wanted."""

_LARGE = ("devices", "media", "gallery_events", "gallery_counts")
"""Tables that are large here; of the others tests/storage/test_storage_database.py looks at the plans."""

_LUA = """
math.randomseed(%(seed)d)
request = function()
  local n = math.random(%(most)d)
  return wrk.format("GET", ((%(path)s):gsub("{n}", tostring(n)):gsub("{ident}", string.format("139%%09d", n))))
end
done = function(summary, latency)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format('\\n{"requests": %%d, "us": %%d, "p50": %%f, "p99": %%f, "failed": %%d, "bytes": %%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    failed + summary.errors.status, summary.bytes))
end
"""


@dataclass(frozen=True, slots=True)
class Question:
    """A request that is asked again and again."""

    what: str
    path: str
    """`{n}`: a number from 1 to `most`, another each time; `{ident}`: the ident of that device."""
    most: int
    target: float | None = None
    """Requests a second."""
    connections: int = 16
    """That ask at the same time. Where one answer fills the core for a while, many would only wait for each other."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run of wrk found."""

    rps: float
    p99_ms: float
    per_cpu_s: float
    """Requests a CPU second of the server."""
    kilobytes: float
    """Of an answer."""


def questions(devices: int, busy: int) -> list[Question]:
    """What is asked."""
    month = json.dumps({"from": rest_data.BEGIN, "to": rest_data.BEGIN + rest_data.MONTH_S - 1}, separators=(",", ":"))
    media = f"/gw/devices/{{n}}/media?data={quote(month)}"
    few = quote('{name=="Truck {n}"}'.replace("{n}", "@")).replace("%40", "{n}")
    return [
        Question("list of 100 devices", "/gw/devices/all?fields=id,name&limit=100", 1, _LIST),
        Question("a device by id", "/gw/devices/{n}", devices, _BY_ID),
        Question("a device by id, two fields", "/gw/devices/{n}?fields=id,name", devices, _BY_ID),
        Question("a device by ident", "/gw/devices/configuration.ident={ident}?fields=id,name", devices),
        Question("media of a month, a busy device: 100", f"{media}&fields=uuid,name,created,size", busy, _LIST),
        Question("the same, all fields", media, busy),
        Question("expression over all, few match", f"/gw/devices/{few}?fields=id,name", devices, connections=2),
        Question(
            "expression over all, half match, 100 shown",
            f"/gw/devices/{quote('{metadata.fleet<25}')}?fields=id,name&limit=100",
            1,
            connections=2,
        ),
        Question("statistics of the gallery", "/api/gallery/{n}/stats", busy),
    ]


def ask(server: House, question: Question, seconds: float, seed: int) -> Figures:
    """Let wrk ask. Raises RuntimeError where an answer is no success."""
    return wrk(server.base, server.key, pid_of(server), question, seconds, seed)


def wrk(base: str, key: str, pid: int, question: Question, seconds: float, seed: int) -> Figures:
    """The same of any server."""
    said = {"seed": seed, "path": json.dumps(question.path), "most": question.most}
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_LUA % said)
        script.flush()
        meter = CpuMeter(pid)
        with on_core(LOAD_CORE):
            done = subprocess.run(
                ["wrk", "-t1", f"-c{question.connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", script.name,
                 "-H", f"Authorization: FlespiToken {key}", base],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
        cpu, _ = meter.read()
    told = json.loads(done.stdout.splitlines()[-1])
    if told["failed"] or not told["requests"]:
        raise RuntimeError(f"{question.what}: {told}")
    return Figures(
        told["requests"] / told["us"] * 1e6,
        told["p99"] / 1000,
        told["requests"] / cpu,
        told["bytes"] / told["requests"] / 1000,
    )


@contextlib.contextmanager
def database(folder: Path, chosen: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """URLs of the database (a file of the folder, or a PostgreSQL of our own) and of an empty one of its kind."""
    if not chosen.postgres:
        with tempfile.TemporaryDirectory() as scratch:
            yield f"sqlite:///{folder.absolute()}/data/wayframe.db", f"sqlite:///{scratch}/empty.db"
        return
    with on_core(SERVER_CORE), postgres.server() as running:
        yield running.create(), running.create()


def start(server: House) -> tuple[float, float]:
    """Start on the server's core. Returns wall and CPU seconds until it was ready."""
    begun = time.monotonic()
    with on_core(SERVER_CORE):
        server.start(within_s=300)
    return time.monotonic() - begun, cpu_s(pid_of(server))


def prepare(server: House, url: str, chosen: argparse.Namespace) -> None:
    """Have the data there, with the key of the first start beside it."""
    key = server.folder / "key"
    if key.exists():
        server.key = key.read_text()
        return
    start(server)
    server.stop()
    rest_data.make(
        server.folder / "data", url, device_count=chosen.devices, file_count=chosen.files, busy=chosen.busy,
        blobs=chosen.blobs,
    )  # fmt: skip
    key.write_text(server.key)


async def check_plans(url: str, scratch: str) -> list[str]:
    """What reads a large table whole: every question of the storage modules, asked in an empty database and planned on
    this data."""
    small, large = Database(scratch), Database(url)
    await small.open()
    await small.migrate()
    await large.open()
    found = []
    try:
        for name, question in plans.QUESTIONS.items():
            async with plans.watched(small) as seen:
                await question(small)
            for statement, parameters in seen:
                steps = await plans.plan(large, statement, parameters, large=True)
                if scanned := plans.scans(steps, statement) & set(_LARGE):
                    found.append(f"{name}: {', '.join(sorted(scanned))}: {' | '.join(steps)}")
    finally:
        await small.close()
        await large.close()
    return found


def main() -> None:
    """Run and print."""
    parser = options(__doc__)
    parser.add_argument("--postgres", action="store_true", help="PostgreSQL, started for this, instead of SQLite")
    parser.add_argument("--seconds", type=float, default=4, help="of one run of wrk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="questions with this in their name")
    parser.add_argument("--plans", action="store_true", help="only look at the query plans")
    parser.add_argument("--data", type=Path, help="folder that is kept and used again (SQLite)")
    rest_data.arguments(parser)
    chosen = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = chosen.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wayframe-bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        url, scratch = stack.enter_context(database(folder, chosen))
        server = stack.enter_context(contextlib.closing(House(folder, database_url=url)))
        prepare(server, url, chosen)
        bad = asyncio.run(check_plans(url, scratch))
        for line in bad:
            print("SCAN", line)
        rows = [Row(f"query plans that read a large table whole, of {len(plans.QUESTIONS)} questions", len(bad), "", 0)]
        if not chosen.plans:
            rows += measure(server, chosen)
    finish(f"REST, {chosen.devices} devices, {chosen.files} files", rows, chosen.out)


def constant(folder: Path, chosen: argparse.Namespace) -> Row:
    """What the HTTP stack alone does: uvicorn and Starlette with a constant answer as long as a device's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    peer = spawn([sys.executable, str(Path(__file__).with_name("_constant.py")), str(port), "345"], folder)
    try:
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        question = Question("constant", "/gw/devices/{n}", chosen.devices)
        runs = [
            wrk(f"http://127.0.0.1:{port}", "x" * 64, peer.pid, question, chosen.seconds, turn)
            for turn in range(chosen.rounds)
        ]
    finally:
        end(peer)
    per_cpu_s = median([run.per_cpu_s for run in runs])
    return Row("uvicorn and Starlette, a constant answer: a CPU second", per_cpu_s, "requests")


def measure(server: House, chosen: argparse.Namespace) -> list[Row]:
    """Start, ask in turns, and tell."""
    wall, cpu = start(server)
    rows = [Row("start until ready", wall, "s"), Row("    its CPU", cpu, "s")]
    os.sched_setaffinity(0, {LOAD_CORE})
    asked = [question for question in questions(chosen.devices, chosen.busy) if chosen.only in question.what]
    found: dict[str, list[Figures]] = {question.what: [] for question in asked}
    for turn in range(-1, chosen.rounds):  # the first warms up
        for question in asked:
            figures = ask(server, question, chosen.seconds, turn + 2)
            if turn >= 0:
                found[question.what].append(figures)
    for question in asked:
        runs = found[question.what]
        rows += [
            Row(question.what, median([run.rps for run in runs]), "rps", question.target, at_least=True),
            Row("    p99", median([run.p99_ms for run in runs]), "ms"),
            Row(
                "    a CPU second", median([run.per_cpu_s for run in runs]), "requests", question.target, at_least=True
            ),
            Row("    size of an answer", median([run.kilobytes for run in runs]), "kB"),
        ]
    rows.append(constant(server.folder, chosen))
    rows.append(Row("memory of the server", rss(pid_of(server)) / 1e6, "MB"))
    rows.append(Row("load average of the machine meanwhile (1 minute)", os.getloadavg()[0], ""))
    return rows


if __name__ == "__main__":
    main()
