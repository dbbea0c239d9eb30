"""A real server in a process of its own, started as a user starts it, for tests that go through the front door."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx

from wayframe.simulator import SimulatedVehicle, VehicleConfig

_START_S = 60.0
_TOLD_PORTS = ("http_port", "https_port", "gallery_port", "mqtt_port", "mqtts_port", "mqtt_ws_port", "mqtt_wss_port")
_PORTS = (*_TOLD_PORTS, "jt808_port", "jt1078_live_port", "jt1078_playback_port", "attachments_port")


def free_ports(count: int) -> list[int]:
    """Ports below those a system gives out by itself: a server that restarts finds its own still free."""
    found: list[int] = []
    while len(found) < count:
        number = random.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", number))
            found += [number] if number not in found else []
    return found


class Server:
    """A server's API with a master token, as an application has it."""

    def __init__(self, key: str = "", **options: Any) -> None:
        self.key = key
        self.client = httpx.Client(timeout=70, trust_env=False, **options)

    @property
    def headers(self) -> dict[str, str]:
        """Authorization of the master token."""
        return {"Authorization": f"FlespiToken {self.key}"}

    def call(self, method: str, path: str, body: Any = None, *, status: int = 200, **options: Any) -> Any:
        """A JSON call; returns the whole envelope and checks the status."""
        answer = self.client.request(method, path, json=body, headers=self.headers, **options)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:1000]}"
        return answer.json()

    def result(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The `result` of a call."""
        envelope = self.call(method, path, body, **options)
        assert "errors" not in envelope, envelope
        return envelope["result"]

    def add_device(self, ident: str, **fields: Any) -> int:
        """Register a recorder; returns its id."""
        kinds = self.result("GET", "/gw/channel-protocols/name=jt808/device-types/name=mdvr?fields=id")
        body = {"name": f"vehicle {ident}", "device_type_id": kinds[0]["id"], "configuration": {"ident": ident}}
        return int(self.result("POST", "/gw/devices", [body | fields])[0]["id"])

    def until(self, look: Callable[[], Any], what: str, timeout_s: float = 30) -> Any:
        """Ask again and again until the answer is true."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = look()
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError("\n".join([f"{what}: not within {timeout_s} s", *self.last_words()]))

    def last_words(self) -> list[str]:
        """What the server said last, where it can be read."""
        return []

    def connected(self, device_id: int) -> bool:
        """Whether a device is connected."""
        return bool(self.result("GET", f"/gw/devices/{device_id}?fields=connected")[0]["connected"])


class House(Server):
    """`wayframe serve` on free ports, with its data in one folder."""

    def __init__(self, folder: Path, **settings: object) -> None:
        super().__init__()
        self.folder = folder
        self.settings: dict[str, object] = {
            **dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True)),
            "mqtt_host": "127.0.0.1",
            "http_host": "127.0.0.1", "device_host": "127.0.0.1", "log_format": "json", "requests_per_second": 0,
            "min_free_disk_bytes": 0,
        } | settings  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        self.ports: dict[str, int] = {}
        self.log = folder / "server.log"

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self, within_s: float = _START_S) -> House:
        """Start and wait until it says that it is ready. Ports stay the same over restarts."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WAYFRAME_")}
        environment |= {f"WAYFRAME_{name.upper()}": str(value) for name, value in self.settings.items()}
        environment["WAYFRAME_DATA_DIR"] = str(self.folder / "data")
        mark = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "wayframe", "serve"], stdout=log, stderr=log, env=environment, cwd=self.folder
            )
        self._read_ready(mark, within_s)
        return self

    def _read_ready(self, mark: int, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            text = self.log.read_bytes()[mark:].decode(errors="replace")
            for line in text.splitlines():
                if '"ready"' in line and line.startswith("{"):
                    self.key = self.key or _printed_key(text)
                    if self.key:
                        self._adopt_ports(json.loads(line))
                        return
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"the server ended at once:\n{text[-4000:]}")
            time.sleep(0.05)
        raise RuntimeError(f"the server was not ready within {within_s} s:\n{self.log.read_text()[-4000:]}")

    def _adopt_ports(self, said: dict[str, Any]) -> None:
        channel = next(name for name in said if name.startswith("channel-"))
        self.settings |= {name: said[name] for name in _TOLD_PORTS if said.get(name) is not None}
        self.settings |= {
            "jt808_port": said[channel], "jt1078_live_port": said["live"],
            "jt1078_playback_port": said["playback"], "attachments_port": said["attachments"],
        }  # fmt: skip
        self.ports = {
            "http": said["http_port"], "https": said.get("https_port", 0), "signalling": said[channel],
            "live": said["live"], "playback": said["playback"], "attachments": said["attachments"],
            "mqtt": said["mqtt_port"], "mqtts": said.get("mqtts_port"), "mqtt_ws": said["mqtt_ws_port"],
            "mqtt_wss": said.get("mqtt_wss_port"), "gallery": said["gallery_port"],
        }  # fmt: skip
        self.client.base_url = httpx.URL(self.base)

    @property
    def base(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.ports['http']}"

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 15) -> int:
        """SIGTERM, and its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def close(self) -> None:
        """Make sure that it is gone."""
        self.client.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Structured log lines of an event."""
        # Not splitlines: a record may hold other line breaks than \n. And the last line may be half written.
        lines = [line for line in self.log.read_text(errors="replace").split("\n")[:-1] if line.startswith("{")]
        return [record for record in map(json.loads, lines) if record.get("event") == event]

    def last_words(self) -> list[str]:
        """The end of its log, without requests."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if '"event": "request"' not in line][-30:]


def _printed_key(text: str) -> str:
    """The master token that the first start prints once, on a line of its own."""
    for line in text.splitlines():
        word = line.strip()
        if len(word) == 64 and word.isalnum():
            return word
    return ""


@contextlib.asynccontextmanager
async def driving(*configs: VehicleConfig) -> AsyncIterator[list[SimulatedVehicle]]:
    """Vehicles that run while the block does."""
    vehicles = [SimulatedVehicle(config) for config in configs]
    tasks = [asyncio.create_task(vehicle.run()) for vehicle in vehicles]
    try:
        yield vehicles
    finally:
        for vehicle in vehicles:
            vehicle.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
