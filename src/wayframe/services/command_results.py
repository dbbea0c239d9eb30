"""Results of commands, as they are read and as long as they are kept."""

from __future__ import annotations

from collections.abc import Sequence

from wayframe.expressions import Environment
from wayframe.model import Clock, Command, Json, NotFound
from wayframe.model.query import HistoryQuery
from wayframe.storage import CommandTable

from .command_shapes import queue_view
from .entries import Entry, compile_text
from .history import compiled_filter
from .links import Links


class CommandResults:
    """What became of the commands of all devices."""

    def __init__(self, table: CommandTable, links: Links, clock: Clock, keep_s: float) -> None:
        self._table = table
        self._links = links
        self._clock = clock
        self._keep_s = keep_s

    async def purge(self) -> None:
        """Forget results older than they are kept."""
        await self._table.purge(self._clock.now() - self._keep_s)

    def view(self, command: Command) -> dict[str, Json]:
        """A result (rest-api.md 9.1): a queue item with its outcome."""
        return {
            **queue_view(command), "executed": command.executed, "response": self._links.render(command.response)
        }  # fmt: skip

    async def read(self, entries: Sequence[Entry], query: HistoryQuery, selector: str | None) -> list[dict[str, Json]]:
        """Results of devices' commands, oldest first. Raises `NotFound` for explicit ids that are not there."""
        compiled = compile_text(selector or "all")
        ids = set(compiled.ids) if compiled.ids is not None else None
        only = next(iter(ids)) if ids is not None and len(ids) == 1 else None
        wanted = compiled_filter(query.filter)
        env = Environment(now=self._clock.now())
        commands = await self._table.results(
            [entry.id for entry in entries],
            from_=query.from_,
            to=query.to,
            count=query.count if wanted is None and compiled.is_all else None,
            reverse=query.reverse,
            id=only,
        )
        if ids is not None:
            commands = [command for command in commands if command.id in ids]
        if ids and not commands:
            raise NotFound(f"no result of command {selector}")
        shown = (item for item in map(self.view, commands) if compiled.matches(item, env))
        matching = [item for item in shown if wanted is None or wanted.matches(item, env)]
        return [query.show(item) for item in matching[: query.count]]
