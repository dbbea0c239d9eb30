"""A device of the gallery whose files lie on a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from inside import InsideHouse
from sshd import Sshd


class HostDevice:
    """A device whose files lie below a folder of an SSH server."""

    def __init__(self, house: InsideHouse, host: Sshd, root: Path, **source: Any) -> None:
        self.id = house.device(root.parent.name)
        self.base = f"/api/gallery/{self.id}"
        self.house = house
        """Where it is; a test that restarts it sets the new one."""
        answer = self.ask("PUT", "/source", host.source(root, **source))
        assert answer.status_code == 200, answer.text

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """A request about it."""
        return self.house.ask(method, self.base + path, body)

    def events(self) -> dict[str, dict[str, Any]]:
        """Its events by name."""
        return {event["name"]: event for event in self.ask("GET", "/events").json()}
