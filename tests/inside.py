"""A whole server inside the test process, on free ports of loopback: for tests that look at it from both sides."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from prometheus_client import CollectorRegistry

from wayframe.api import Access, DoorSettings, HttpServer, build_app
from wayframe.config import PORTS, Settings
from wayframe.node import Node

T = TypeVar("T")
PUBLIC = "http://media.example:9005"
GENERIC_TYPE = 171
"""A device type that takes uploads and needs no connection."""


class InsideHouse:
    """A node with its loop in a thread of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        # One for all requests: making a client reads the certificates of the system, which takes 20 ms.
        self._client = httpx.Client(timeout=30, trust_env=False)
        self.seen: list[Access] = []
        """Every request that was answered at the narrow door."""
        self.node = self.run(self._made(folder, settings))
        self.run(self.node.start())
        self.key = self.node.master_key or ""
        self.url = f"http://127.0.0.1:{self.node.http.port}"
        self.narrow = self.run(self._narrow_door())
        self.narrow_url = f"http://127.0.0.1:{self.narrow.port}"

    async def _made(self, folder: Path, settings: dict[str, Any]) -> Node:
        ports = dict.fromkeys((port.setting for port in PORTS), 0)
        values = {
            **ports, "data_dir": folder / "data", "http_host": "127.0.0.1", "device_host": "127.0.0.1",
            "mqtt_host": "127.0.0.1",
            "public_url": PUBLIC, "tls": "off", "min_free_disk_bytes": 0, "requests_per_second": 0, **settings,
        }  # fmt: skip
        return Node(Settings(**values))

    async def _narrow_door(self) -> HttpServer:
        """A second door over the same services, with limits that a test can reach."""
        limits = DoorSettings(version="0", max_body_bytes=1000, body_idle_s=0.3, metrics_token="only-for-metrics")
        app = build_app(self.node.rest, limits, metrics=CollectorRegistry(), on_access=self.seen.append)
        server = HttpServer(app, "127.0.0.1", 0, grace_s=0.2)
        await server.start()
        return server

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the node's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def device_ports(self) -> dict[str, int]:
        """Ports for devices that are open now, looked at on the node's loop, which changes them."""

        async def looked() -> dict[str, int]:
            return self.node.gateway.ports()

        return self.run(looked())

    def close(self) -> None:
        """Stop everything."""
        self._client.close()
        self.run(self.narrow.stop())
        self.run(self.node.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # --- as a client ----------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None, **more: Any) -> httpx.Response:
        """One request; `key` empty sends no token."""
        headers = dict(more.pop("headers", {}))
        key = self.key if key is None else key
        if key:
            headers.setdefault("Authorization", f"FlespiToken {key}")
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        url = path if path.startswith("http") else self.url + path
        return self._client.request(method, url, content=content, headers=headers, **more)

    def result(self, method: str, path: str, body: Any = None, **more: Any) -> list[Any]:
        """The `result` of a request that works."""
        answer = self.ask(method, path, body, **more)
        assert answer.status_code == 200, answer.text
        found = answer.json()["result"]
        assert isinstance(found, list)
        return found

    def refusal(self, method: str, path: str, body: Any = None, *, status: int, **more: Any) -> str:
        """The reason of a request that fails with `status`."""
        answer = self.ask(method, path, body, **more)
        assert answer.status_code == status, answer.text
        return str(answer.json()["errors"][0]["reason"])

    def data(self, path: str, **said: Any) -> str:
        """A path with `data`."""
        return f"{path}?data={quote(json.dumps(said))}"

    def device(self, name: str = "truck", **more: Any) -> int:
        """A new device; its id."""
        body = {"name": name, "device_type_id": GENERIC_TYPE, "configuration": {"ident": f"id-{name}"}, **more}
        return int(self.result("POST", "/gw/devices", [body])[0]["id"])

    def token(self, access: dict[str, Any] | None = None, **more: Any) -> str:
        """A new token; its key."""
        body = {"ttl": 3600, "access": access or {"type": 0}, **more}
        return str(self.result("POST", "/platform/tokens", [body])[0]["key"])

    def upload(self, device: int | str, content: bytes, name: str = "photo.jpg", **data: Any) -> dict[str, Any]:
        """Upload a file; its file object."""
        answer = self.send_file(device, content, name, data)
        assert answer.status_code == 200, answer.text
        found = answer.json()["result"][0]
        assert isinstance(found, dict)
        return found

    def send_file(self, device: int | str, content: bytes, name: str, data: Any, **more: Any) -> httpx.Response:
        """The same, whatever comes of it."""
        parts = {"file": (name, content), "data": (None, json.dumps(data))}
        base = more.pop("base", self.url)
        headers = {"Authorization": f"FlespiToken {more.pop('key', self.key)}"}
        return self._client.post(f"{base}/gw/devices/{device}/media", files=parts, headers=headers)

    def temporary_files(self) -> list[Path]:
        """What uploads that are not finished hold on disk."""
        folder = self.folder / "data" / "blobs" / "tmp"
        return sorted(folder.iterdir()) if folder.is_dir() else []


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens in the node; pytest's own timeout ends a wait that never does."""
    turn = threading.Event()
    while not condition():
        turn.wait(0.005)
