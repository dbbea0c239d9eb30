"""What a test of the gateway looks at: a node from inside, while devices talk to it over sockets."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

from e2e.terminal import Terminal
from wayframe.model import Event
from wayframe.model.query import HistoryQuery
from wayframe.node import Node
from wayframe.services import CHANNELS, CUSTOMER, Caller, Entry

IDENT = "13900000001"


class SettableClock:
    """The machine's time, moved ahead by a test."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


class Doors:
    """A running node."""

    def __init__(self, node: Node, clock: SettableClock) -> None:
        self.node, self.clock = node, clock
        self.services, self.gateway = node.services, node.gateway
        self.events: list[Event] = []
        node.bus.listen("#", self.events.append)
        token = self.services.directory.authenticate(node.master_key or "", "127.0.0.1")
        self.master: Caller = self.services.directory.caller(token)
        self.channel = next(self.services.directory.entries(CHANNELS))

    def port(self, use: str = "") -> int:
        """A bound port."""
        return self.gateway.ports()[use or f"channel-{self.channel.id}"]

    async def device(self, ident: str = IDENT, **body: Any) -> Entry:
        """A registered recorder."""
        account = next(self.services.directory.entries(CUSTOMER))
        return await self.services.directory.create_device(
            account.id, {"device_type_id": 5, "configuration": {"ident": ident}, **body}
        )

    async def change(self, entry: Entry, **body: Any) -> None:
        """PATCH a channel."""
        await self.services.directory.update(self.master, CHANNELS, entry, body, patch=True)

    async def until(self, condition: Callable[[], Any], timeout_s: float = 10) -> Any:
        """Give the loop to others until something is so."""
        async with asyncio.timeout(timeout_s):
            while not (found := condition()):  # noqa: ASYNC110  # sockets announce nothing
                await asyncio.sleep(0.005)
        return found

    async def logs(self, entry: Entry, code: int, origin: int = 11) -> list[dict[str, Any]]:
        """Log records of an item with one code."""
        await self.services.journal.settled()
        records = await self.services.history.logs(origin, [entry], HistoryQuery())
        return [record for record in records if record["event_code"] == code]

    async def dial(self, ident: str = IDENT, port: int = 0) -> Terminal:
        """A terminal that has only connected."""
        return await Terminal(ident, port or self.port()).dial()

    async def sign_in(self, ident: str = IDENT, port: int = 0) -> Terminal:
        """A terminal that has registered and authenticated."""
        return await Terminal(ident, port or self.port()).sign_in()

    async def refused(self, port: int) -> bool:
        """Whether nobody listens on a port."""
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return True
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return False


Open = Callable[..., Coroutine[Any, Any, Doors]]
"""Opens a node with settings of its own."""
