"""What the benchmarks share: a real server on a core of its own, CPU and memory of process trees, tables and JSON.

The server is the process a user starts (`wayframe serve`, tests/e2e/house.py). It and its peers are pinned to the first
core of the machine, the load to the second, so that neither disturbs the other; figures are CPU time, not wall time,
wherever that is possible, because other programs may run beside.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from e2e.house import House

_PAGE = os.sysconf("SC_PAGE_SIZE")
_BATCH = 1000
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[1 % len(CORES)]


# ---- processes


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes started in the block stay on that core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def spawn(command: Sequence[str], folder: Path, core: int = SERVER_CORE) -> subprocess.Popen[bytes]:
    """Start a peer, its output in a file of the folder."""
    with on_core(core), (folder / f"{Path(command[0]).name}.log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)


def end(*processes: subprocess.Popen[bytes]) -> None:
    """Make sure that they and what they started are gone."""
    for process in processes:
        for pid in tree(process.pid):  # the workers of nginx too
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def tree(pid: int) -> list[int]:
    """The process and everything it started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_s(pid: int) -> float:
    """User and system seconds of all threads of a process tree that live now, to the nanosecond."""
    total = 0
    for each in tree(pid):
        for thread in Path(f"/proc/{each}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(thread.read_text().split()[0])
    return total / 1e9


def rss(pid: int, *, children: bool = False) -> int:
    """Resident bytes of a process, or of its tree."""
    total = 0
    for each in tree(pid) if children else [pid]:
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{each}/statm").read_text().split()[1]) * _PAGE
    return total


class CpuMeter:
    """CPU seconds and wall seconds of process trees since it was made."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._cpu = sum(map(cpu_s, pids))
        self._wall = time.monotonic()

    def read(self) -> tuple[float, float]:
        """CPU seconds, wall seconds."""
        return sum(map(cpu_s, self._pids)) - self._cpu, time.monotonic() - self._wall


# ---- the server


@contextlib.contextmanager
def house(**settings: object) -> Iterator[House]:
    """A server on its core, with a fresh folder; gone at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="wayframe-bench-") as folder:
        server = House(Path(folder), **settings)
        with on_core(SERVER_CORE):
            server.start()
        os.sched_setaffinity(0, {LOAD_CORE})
        try:
            yield server
        finally:
            server.close()


def pid_of(server: House) -> int:
    """The server's process."""
    assert server.process is not None
    return server.process.pid


def register(server: House, idents: Sequence[str]) -> list[int]:
    """Register recorders; their ids in the same order."""
    kinds = server.result("GET", "/gw/channel-protocols/name=jt808/device-types/name=mdvr?fields=id")
    kind = kinds[0]["id"]
    found: list[int] = []
    for at in range(0, len(idents), _BATCH):
        bodies = [
            {"name": f"vehicle {ident}", "device_type_id": kind, "configuration": {"ident": ident}}
            for ident in idents[at : at + _BATCH]
        ]
        found += [item["id"] for item in server.result("POST", "/gw/devices", bodies)]
    return found


@contextlib.contextmanager
def before_others(*pids: int) -> Iterator[None]:
    """These processes and this one run before whatever else is on the machine, where the user may ask for that: times
    of single messages would be those of the scheduler otherwise."""
    wanted = [0, *(int(task.name) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir())]
    _schedule(wanted, os.SCHED_RR, 1)
    try:
        yield
    finally:
        _schedule(wanted, os.SCHED_OTHER, 0)


def _schedule(pids: Sequence[int], policy: int, priority: int) -> None:
    for pid in pids:
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.sched_setscheduler(pid, policy | os.SCHED_RESET_ON_FORK, os.sched_param(priority))


# ---- results


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    what: str
    """What was measured."""
    value: float
    """Its value."""
    unit: str
    """Its unit."""
    target: float | None = None
    """What it should be; None: shown for orientation."""
    at_least: bool = False
    """Whether more is better."""

    @property
    def good(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


def show(title: str, rows: Sequence[Row]) -> None:
    """Print a table."""
    print(f"\n{title}\n{'-' * len(title)}")
    for row in rows:
        sign = "≥" if row.at_least else "≤"
        target = "" if row.target is None else f"{sign} {row.target:g}"
        verdict = {True: "ok", False: "MISSED", None: ""}[row.good]
        print(f"{row.what:<68} {row.value:>12,.3f} {row.unit:<14} {target:>10}  {verdict}")


def finish(name: str, rows: Sequence[Row], out: Path | None, **facts: Any) -> None:
    """Print the table and write the JSON file that was asked for."""
    show(name, rows)
    if out is None:
        return
    lines = [
        {"what": row.what, "value": row.value, "unit": row.unit, "target": row.target, "good": row.good} for row in rows
    ]
    machine = {"python": platform.python_version(), "kernel": platform.release(), "cores": os.cpu_count()}
    document = {"name": name, "date": time.strftime("%Y-%m-%d"), "machine": machine, **facts, "rows": lines}
    out.write_text(json.dumps(document, indent=1) + "\n")


def options(doc: str | None) -> argparse.ArgumentParser:
    """An argument parser that shows the script's docstring and knows --out."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    return parser


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


median = statistics.median
