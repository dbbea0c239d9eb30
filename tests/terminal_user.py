"""Somebody at a command line with a real server: runs `wayframe` as a process, and pulls its cable."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.house import House

_END_S = 90.0


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, one JSON value."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """What it printed, a JSON value a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class User:
    """Runs commands with a server's address and a token in the environment."""

    def __init__(self, house: House, folder: Path, *, url: str = "", key: str = "") -> None:
        self.house = house
        self.folder = folder
        bare = {name: value for name, value in os.environ.items() if not name.startswith("WAYFRAME_")}
        bare = {name: value for name, value in bare.items() if "proxy" not in name.lower()}
        self.environment = bare | {"WAYFRAME_URL": url or house.base, "WAYFRAME_TOKEN": key or house.key}

    def spawn(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and leave it alone."""
        return subprocess.Popen(
            [sys.executable, "-m", "wayframe", *arguments], cwd=self.folder, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments: str) -> Done:
        """Run a command to its end."""
        process = self.spawn(*arguments)
        out, err = process.communicate(timeout=_END_S)
        return Done(process.returncode, out, err)

    def good(self, *arguments: str) -> Done:
        """Run a command that must do what it says."""
        done = self.run(*arguments)
        assert done.code == 0, (arguments, done)
        return done

    def files(self, device: int, fields: str = "uuid,name,size,created,meta,params,source_sha256") -> list[Any]:
        """What the server has of a device."""
        data = json.dumps({"fields": fields})
        found: list[Any] = self.house.result("GET", f"/gw/devices/{device}/media", params={"data": data})
        return found


def ended_by_kill(process: subprocess.Popen[str]) -> None:
    """kill -9, and wait."""
    process.kill()
    process.communicate(timeout=_END_S)


def awaited(look: Callable[[], Any], what: str) -> Any:
    """What `look` finds once it finds something."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within 30 s")


class Cable:
    """A TCP connection to a server, by way of a port of its own: it breaks, or stands still, after so many bytes.

    Args:
        port: the server's.
        breaks: bytes after which each of the next connections is cut; when there are no more numbers, nothing is.
        holds: bytes after which everything stands still; None: never.
    """

    def __init__(self, port: int, *, breaks: tuple[int, ...] = (), holds: int | None = None) -> None:
        self._port = port
        self._breaks = list(breaks)
        self._holds = holds
        self._passed = 0
        self._lock = threading.Lock()
        self.held = threading.Event()
        """Set once it stands still."""
        self.cuts = 0
        """Connections that were cut."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ends: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                self._ends += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                if self._must_hold(len(data)):
                    self.held.set()
                    return
                if self._must_cut(len(data)):
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _must_hold(self, count: int) -> bool:
        with self._lock:
            return self._holds is not None and self._passed + count > self._holds

    def _must_cut(self, count: int) -> bool:
        with self._lock:
            self._passed += count
            if not self._breaks or self._passed < self._breaks[0]:
                return False
            del self._breaks[0]
            self._passed = 0
            self.cuts += 1
            return True

    def close(self) -> None:
        """Pull it out."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
