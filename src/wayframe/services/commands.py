"""Commands: real-time and queued, durable, each carried out at most once where it has an effect.

A command is written before it is announced, and marked as sent before its bytes leave. So after any crash: what is
queued is still to do; what was sent and is harmless to repeat goes back to the queue; what was sent and has an effect
ends as "sent, outcome unknown" (ruling 2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog

from wayframe.expressions import Environment
from wayframe.model import (
    BadRequest,
    Clock,
    Command,
    CommandStage,
    Ids,
    Json,
    NotFound,
    OriginType,
    WayframeError,
)
from wayframe.model.log_codes import Log
from wayframe.model.query import HistoryQuery
from wayframe.protocols.device import CommandRequest
from wayframe.storage import CommandTable

from .bodies import parse_body
from .command_results import CommandResults
from .command_shapes import CommandBody, lane_of, new_command, queue_view
from .connections import Connections, Link
from .directory import Directory
from .entries import DEVICES, Caller, Entry, compile_text
from .history import compiled_filter
from .journal import Journal
from .links import Links
from .rules import check_expression

MAX_OPEN = 1000
"""Commands a device may have waiting."""
_MAX_IN_FLIGHT = 8
_RETRY_AFTER_S = 5.0
_UNKNOWN = "sent, outcome unknown: the connection or the server was lost before the device answered"

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Open:
    """A command that is not at its end."""

    command: Command
    entry: Entry
    lane: tuple[object, ...] | None
    """Commands of one lane of a device run one after the other."""
    repeatable: bool
    """Sending it a second time does no harm."""
    not_before: float = 0.0
    link: Link | None = None
    """The connection it was sent over last; None while it was not sent since the start."""
    waiters: list[asyncio.Future[dict[str, Json]]] = field(default_factory=list)
    by: Mapping[str, Json] = field(default_factory=dict)
    """Who asked for it, for log records (`Caller.said`); a restart forgets it."""


class Commands:
    """The commands of all devices."""

    def __init__(
        self,
        *,
        table: CommandTable,
        directory: Directory,
        connections: Connections,
        journal: Journal,
        links: Links,
        clock: Clock,
        ids: Ids,
        results_keep_s: float,
    ) -> None:
        self._table = table
        self._directory = directory
        self._connections = connections
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._links = links
        self._results = CommandResults(table, links, clock, results_keep_s)
        self._open: dict[int, _Open] = {}
        self._by_device: dict[int, dict[int, _Open]] = {}
        self._dispatching: set[int] = set()
        self._wanted: asyncio.Queue[Entry] = asyncio.Queue()
        """Devices to look at; each stands in it once (`_dispatching`), so their number bounds it."""
        self._last_change = 0.0
        self.join_stream: Callable[[int, Command], Json] = lambda device_id, command: None
        """Answers `start_videostream` for a channel that already streams (set by the live service)."""

    # --- start and end ------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Take up what a stop or crash left: queued commands wait again, sent ones are judged."""
        for command in await self._table.unfinished():
            entry = self._directory.device(command.device_id)
            why = "device deleted" if entry is None else self._unknown_to(entry, command)
            if entry is None or why:
                now = self._clock.now()
                await self._table.update(
                    msgspec.structs.replace(command, stage=CommandStage.CANCELED, timestamp=now, reason=why)
                )
                continue
            opened = self._put(entry, command)
            self._announce_state(opened)
            if (command.stage is CommandStage.SENT or not command.queued) and not self.media_runs(command.id):
                await self._interrupted(opened)

    async def run(self) -> None:
        """Send what can be sent and expire what waited too long, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._dispatch_loop())
            tasks.create_task(self._clock_loop())

    async def _dispatch_loop(self) -> None:
        while True:
            entry = await self._wanted.get()
            self._dispatching.discard(entry.id)
            try:
                await self._dispatch(entry)
            except Exception:  # what fails for one device must not stop the commands of the others
                log.exception("dispatch_failed", device=entry.id)

    async def _clock_loop(self) -> None:
        while True:
            await asyncio.sleep(1)
            try:
                await self.look_after()
            except Exception:  # the next second tries again
                log.exception("commands_upkeep_failed")

    async def look_after(self) -> None:
        """Expire what waited too long, and wake devices whose commands may be due now. Called every second."""
        now = self._clock.now()
        for opened in list(self._open.values()):
            if opened.command.stage is not CommandStage.QUEUED:
                continue
            if opened.command.expires <= now:
                why = "the device was not connected in time" if not opened.command.attempts else opened.command.reason
                await self._finish(opened, CommandStage.EXPIRED, reason=why or "not carried out in time")
            elif self._connections.link(opened.entry.id) is not None:
                self.wake(opened.entry)

    async def purge(self) -> None:
        """Forget results older than they are kept. Called every hour."""
        await self._results.purge()

    # --- from callers -------------------------------------------------------------------------------------------

    async def enqueue(
        self, caller: Caller, entries: Sequence[Entry], bodies: Sequence[Json]
    ) -> tuple[list[dict[str, Json]], list[WayframeError]]:
        """Queue commands for devices. Returns created items and, beside them, what was refused."""
        created, errors = await self._create(caller, entries, bodies, queued=True)
        return [self.view(opened.command) for opened in created], errors

    def next_id(self) -> int:
        """The id of a command that is about to be queued with `enqueue_as`."""
        return self._ids.next()

    async def enqueue_as(self, command_id: int, caller: Caller, entry: Entry, body: Json) -> None:
        """Queue a command whose id was written down before, since its answer may come at once. Raises what is wrong."""
        _, errors = await self._create(caller, [entry], [body], queued=True, command_id=command_id)
        if errors:
            raise errors[0]

    async def execute(
        self, caller: Caller, entries: Sequence[Entry], bodies: Sequence[Json]
    ) -> tuple[list[dict[str, Json]], list[WayframeError]]:
        """Carry commands out now, together, and wait for each up to its timeout."""
        created, errors = await self._create(caller, entries, bodies, queued=False)
        return list(await asyncio.gather(*(self._wait(opened) for opened in created))), errors

    async def _create(
        self, caller: Caller, entries: Sequence[Entry], bodies: Sequence[Json], *, queued: bool, command_id: int = 0
    ) -> tuple[list[_Open], list[WayframeError]]:
        created: list[tuple[Entry, Command]] = []
        errors: list[WayframeError] = []
        for entry in entries:
            room = MAX_OPEN - len(self._by_device.get(entry.id, {}))
            for position, body in enumerate(bodies, 1):
                try:
                    if room <= 0:
                        raise _too_many(entry)
                    created.append((entry, self._new(entry, body, position, queued, command_id)))
                    room -= 1
                except WayframeError as error:
                    if len(bodies) > 1:
                        error.reason = f"command {position} of {len(bodies)}: {error.reason}"
                    error.item_id = entry.id
                    errors.append(error)
        if created:
            await self._table.insert_many([command for _, command in created])
        opened = [self._put(entry, command) for entry, command in created]
        for item in opened:
            # Clients ignore log records of commands they have not seen on the state topic (mqtt-api.md 6.5).
            item.by = caller.said()
            self._announce_state(item)
            self._log(item, Log.COMMAND_QUEUED)
            self.wake(item.entry)
        return opened, errors

    def _new(self, entry: Entry, body: Json, position: int, queued: bool, command_id: int) -> Command:
        parsed = parse_body(CommandBody, body)
        self._directory.catalogue.check_command(entry.device.device_type_id, parsed.name, parsed.properties)
        check_expression(parsed.condition, "condition")
        number = command_id or self._ids.next()
        return new_command(number, entry, parsed, position, queued=queued, now=self._clock.now())

    async def _wait(self, opened: _Open) -> dict[str, Json]:
        """The result of a real-time command, or `executed: false` when its time is over; it then goes on by itself."""
        if opened.command.stage.final:
            return self.result(opened.command)
        waiter: asyncio.Future[dict[str, Json]] = asyncio.get_running_loop().create_future()
        opened.waiters.append(waiter)
        try:
            async with asyncio.timeout(max(0.0, opened.command.expires - self._clock.now())):
                return await waiter
        except TimeoutError:
            if opened.command.stage is CommandStage.QUEUED:
                reason = opened.command.reason or "the device was not connected within the timeout"
                await self._finish(opened, CommandStage.EXPIRED, reason=reason)
                return self.result(opened.command)
            late = "the device has not finished within the timeout; the result will be in commands-result"
            unfinished = msgspec.structs.replace(opened.command, reason=late, timestamp=self._clock.now())
            return self.result(unfinished)

    @property
    def open_count(self) -> int:
        """Commands that are not at their end."""
        return len(self._open)

    def find(self, command_id: int) -> Command | None:
        """A command that is not at its end."""
        opened = self._open.get(command_id)
        return opened.command if opened is not None else None

    def queue(self, entries: Sequence[Entry], selector: str = "all") -> list[dict[str, Json]]:
        """Queued commands of devices."""
        return [self.view(opened.command) for opened in self._selected(entries, selector)]

    async def cancel(self, caller: Caller, entries: Sequence[Entry], selector: str) -> list[dict[str, Json]]:
        """Take commands out of the queue; one that is under way is stopped where the protocol can."""
        canceled = self._selected(entries, selector)
        for opened in canceled:
            link = self._connections.link(opened.entry.id)
            if opened.command.stage is CommandStage.SENT and link is not None:
                link.cancel(opened.command.id)
            opened.by = caller.said()  # from now on it is theirs
            await self._finish(opened, CommandStage.CANCELED, reason="canceled over the API")
        return [{"id": opened.command.id} for opened in canceled]

    def _selected(self, entries: Sequence[Entry], selector: str) -> list[_Open]:
        compiled = compile_text(selector)
        found = [
            opened
            for entry in entries
            for opened in self._by_device.get(entry.id, {}).values()
            if opened.command.queued and (compiled.ids is None or opened.command.id in compiled.ids)
        ]
        if compiled.ids is not None and not found:
            raise NotFound(f"no command {selector} in the queue")
        return [opened for opened in found if compiled.is_all or compiled.matches(self.view(opened.command))]

    async def results(
        self, entries: Sequence[Entry], query: HistoryQuery, selector: str | None = None
    ) -> list[dict[str, Json]]:
        """Results of devices' commands, oldest first. Raises `NotFound` for explicit ids that are not there."""
        return await self._results.read(entries, query, selector)

    # --- towards the device -------------------------------------------------------------------------------------

    def wake(self, entry: Entry) -> None:
        """The device may be able to take a command now."""
        if entry.id not in self._dispatching and entry.id in self._by_device:
            self._dispatching.add(entry.id)
            self._wanted.put_nowait(entry)

    async def _dispatch(self, entry: Entry) -> None:
        link = self._connections.link(entry.id)
        if link is None:
            return
        opened = self._by_device.get(entry.id, {})
        under_way = [item for item in opened.values() if item.command.stage is CommandStage.SENT]
        busy = {item.lane for item in under_way if item.lane}
        now = self._clock.now()
        waiting = [
            item for item in opened.values() if item.command.stage is CommandStage.QUEUED and item.not_before <= now
        ]
        for item in sorted(waiting, key=lambda item: (-item.command.priority, item.command.id)):
            if item.lane in busy or not self._condition_holds(item, now) or self.media_runs(item.command.id):
                continue
            if item.lane and (response := self.join_stream(entry.id, item.command)) is not None:
                await self._finish(item, CommandStage.PROCESSED, executed=True, response=response)
                continue
            if len(under_way) >= _MAX_IN_FLIGHT:
                return
            under_way.append(item)
            if item.lane:
                busy.add(item.lane)
            await self._send(item, now)

    async def _send(self, item: _Open, now: float) -> None:
        """Mark as sent, durably, then send."""
        await self._change(item, stage=CommandStage.SENT, attempts=item.command.attempts + 1)
        if item.command.stage is not CommandStage.SENT:
            return
        item.link = link = self._connections.link(item.entry.id)
        if link is None:  # nothing was sent, so it costs no attempt and its outcome is known
            await self._change(item, stage=CommandStage.QUEUED, attempts=item.command.attempts - 1)
            return
        command = item.command
        self._announce_state(item)
        self._log(item, Log.COMMAND_SENT)
        link.execute(CommandRequest(command.id, command.name, command.properties, max(command.expires, now + 5)))

    def _condition_holds(self, item: _Open, now: float) -> bool:
        compiled = compiled_filter(item.command.condition)
        return compiled is None or compiled.matches(item.entry.view["telemetry"], Environment(now=now))

    # --- from the device ----------------------------------------------------------------------------------------

    async def done(self, command_id: int, response: Json) -> None:
        """The device carried a command out."""
        item = self._open.get(command_id)
        if item is not None:
            await self._finish(item, CommandStage.PROCESSED, executed=True, response=self._links.strip(response))

    async def failed(self, command_id: int, reason: str, retry: bool) -> None:
        """The device did not carry a command out; it is tried again where that may help and attempts are left."""
        item = self._open.get(command_id)
        if item is None:
            return
        if retry and self._repeats(item):
            item.not_before = self._clock.now() + _RETRY_AFTER_S * item.command.attempts
            await self._change(item, stage=CommandStage.QUEUED, reason=reason)
            self._announce_state(item)
        else:
            await self._finish(item, CommandStage.PROCESSED, reason=reason)

    async def connection_lost(self, entry: Entry) -> None:
        """A signalling connection is gone: judge what was under way on it, unless its media goes on by itself.

        A newer connection may be there already; what was sent over that one is not judged.
        """
        for item in list(self._by_device.get(entry.id, {}).values()):
            under_way = item.command.stage is CommandStage.SENT and item.link is not None
            gone = item.link is not self._connections.link(entry.id)
            if under_way and gone and not self.media_runs(item.command.id):
                await self._interrupted(item)

    media_runs: Callable[[int], bool] = staticmethod(lambda command_id: False)
    """Whether media of a command is coming or being stored (set by the gateway)."""

    def may_repeat(self, command_id: int) -> bool:
        """Whether an open command may be sent once more."""
        item = self._open.get(command_id)
        return item is not None and self._repeats(item)

    def _repeats(self, item: _Open) -> bool:
        command = item.command
        in_time = command.expires > self._clock.now()
        return item.repeatable and command.attempts < command.max_attempts and in_time

    async def _interrupted(self, item: _Open) -> None:
        """A command's way was cut: back to the queue if it is harmless to repeat, otherwise ended."""
        command = item.command
        if not item.repeatable and command.stage is CommandStage.SENT:
            await self._finish(item, CommandStage.PROCESSED, reason=_UNKNOWN)
        elif not command.queued and not item.waiters:
            await self._finish(
                item, CommandStage.EXPIRED, reason="interrupted: nobody waits for this real-time command"
            )
        elif command.stage is CommandStage.SENT and command.attempts >= command.max_attempts:
            await self._finish(
                item, CommandStage.PROCESSED, reason=f"gave up after {command.attempts} attempts: {_UNKNOWN}"
            )
        elif command.stage is CommandStage.SENT:
            await self._change(item, stage=CommandStage.QUEUED)
            self._announce_state(item)
            self.wake(item.entry)

    def _unknown_to(self, entry: Entry, command: Command) -> str:
        """Why a device cannot take a command that was made for another device type; empty if it can."""
        try:
            self._directory.catalogue.command(entry.device.device_type_id, command.name)
        except BadRequest as error:
            return error.reason
        return ""

    # --- changing -----------------------------------------------------------------------------------------------

    def _put(self, entry: Entry, command: Command) -> _Open:
        spec = self._directory.catalogue.command(entry.device.device_type_id, command.name)
        item = _Open(command, entry, lane_of(command), spec.repeatable)
        self._remember(item)
        return item

    def _remember(self, item: _Open) -> None:
        self._open[item.command.id] = item
        self._by_device.setdefault(item.entry.id, {})[item.command.id] = item

    def _forget(self, item: _Open) -> None:
        self._open.pop(item.command.id, None)
        group = self._by_device.get(item.entry.id, {})
        group.pop(item.command.id, None)
        if not group:
            self._by_device.pop(item.entry.id, None)

    async def _change(self, item: _Open, **changes: Json) -> None:
        item.command = msgspec.structs.replace(item.command, timestamp=self._next_time(), **changes)
        try:
            await self._table.update(item.command)
        except NotFound:
            await self._finish(item, CommandStage.CANCELED, reason="the device was deleted")

    async def _finish(
        self, item: _Open, stage: CommandStage, *, executed: bool = False, response: Json = None, reason: str = ""
    ) -> None:
        """End a command: written, logged, its state cleared, its waiters told."""
        if item.command.stage.final:
            return
        before = item.command
        item.command = msgspec.structs.replace(
            before, stage=stage, executed=executed, response=response, reason=reason, timestamp=self._next_time()
        )
        self._forget(item)
        try:
            await self._table.update(item.command)
        except NotFound:
            log.info("command_without_device", command=before.id)  # the device was deleted, and the row with it
        except Exception:
            item.command = before
            self._remember(item)
            raise
        kind = {
            CommandStage.EXPIRED: Log.COMMAND_EXPIRED,
            CommandStage.CANCELED: Log.COMMAND_CANCELED,
        }.get(stage, Log.COMMAND_PROCESSED)
        self._log(item, kind)
        if item.command.queued:
            self._journal.state(self._state_topic(item), None, item.entry.cid)
        for waiter in item.waiters:
            if not waiter.done():
                waiter.set_result(self.result(item.command))
        self.wake(item.entry)

    def _next_time(self) -> float:
        self._last_change = max(self._clock.now(), self._last_change + 1e-6)
        return self._last_change

    @staticmethod
    def _state_topic(item: _Open) -> str:
        return f"flespi/state/{DEVICES}/{item.entry.id}/commands-queue/{item.command.id}"

    def _announce_state(self, item: _Open) -> None:
        if item.command.queued and not item.command.stage.final:
            self._journal.state(self._state_topic(item), self.view(item.command), item.entry.cid)

    def _log(self, item: _Open, kind: Log) -> None:
        """Log a step, and who asked for it. Real-time commands have one topic, and only their end is logged there."""
        if not item.command.queued:
            if not item.command.stage.final:
                return
            kind = Log.REALTIME_COMMAND_PROCESSED
        shown = self.result(item.command) if item.command.stage.final else self.view(item.command)
        self._journal.log(
            kind, OriginType.DEVICE, item.entry.id, item.entry.cid, {**shown, **item.by},
            topic_name=item.command.name,
        )  # fmt: skip

    # --- views --------------------------------------------------------------------------------------------------

    @staticmethod
    def view(command: Command) -> dict[str, Json]:
        """A queue item (rest-api.md 9.2)."""
        return queue_view(command)

    def result(self, command: Command) -> dict[str, Json]:
        """A result (rest-api.md 9.1): a queue item with its outcome."""
        return self._results.view(command)


def _too_many(entry: Entry) -> BadRequest:
    return BadRequest(f"device {entry.id} has {MAX_OPEN} commands waiting; cancel some or wait", item_id=entry.id)
