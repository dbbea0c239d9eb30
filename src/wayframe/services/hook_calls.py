"""Hooks at work: what happened in the gallery finds the hooks that wait for it, and each is called in its own time.

A call is a row before it is tried, so it outlives a restart; a request that is not taken is tried again, later and
later. One slow server costs the others nothing. What comes to nothing is a log record of the device.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from wayframe.bus import Bus
from wayframe.model import Clock, Event, NotFound, OriginType, WayframeError
from wayframe.model.gallery import EventState, GalleryEvent
from wayframe.model.hooks import Hook, HookAction, HookCall, HookEvent
from wayframe.model.log_codes import Log
from wayframe.storage import GalleryTable, HookCallTable

from .background import end_all, start_when_due
from .commands import Commands
from .directory import Directory
from .entries import DEVICES, TOKENS, Caller, Entry
from .hook_bodies import facts, filled
from .journal import Journal
from .links import Links
from .media import MediaStore
from .sending import OutgoingRequest, Sender, SendFailed
from .users import Users

log = structlog.get_logger(__name__)

_PAUSES_S = (5.0, 30.0, 120.0, 600.0)
"""Between attempts; there is one more than pauses."""
_PARALLEL = 16
_PARALLEL_OF_HOOK = 2
_MAX_WAITING = 1000
"""Calls one hook may have on their way; further ones are dropped, and logged."""
_MAX_WAITING_IN_ALL = 50_000
_MAX_NEWS = 20_000
"""What happened and is not written yet."""
_BATCH = 500
_MAX_COMMANDS = 10_000
_TICK_S = 1.0
_STORED = f"flespi/log/{DEVICES}/+/media_file_uploaded"
_GONE = f"flespi/log/{DEVICES}/+/deleted"

RIGHTS = {
    HookAction.WEBHOOK: (("POST", "media"),),
    HookAction.COMMAND: (("POST", "media"), ("POST", "commands-queue")),
}
"""Methods and submodules of `gw/devices` that whoever makes a hook must have, then and whenever it is called."""


@dataclass(frozen=True, slots=True)
class _News:
    """Something that happened."""

    kind: HookEvent
    device_id: int
    event: GalleryEvent | None = None
    file_uuid: str = ""
    """Where the event is not known: its file."""
    total: int = 0
    at: float = 0.0


@dataclass(slots=True)
class _Queue:
    """Calls of one hook on their way, oldest first."""

    waiting: dict[int, HookCall] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)
    full: bool = False
    """It was told that calls are dropped."""


class HookCalls:
    """Calls of all hooks."""

    def __init__(
        self,
        *,
        table: HookCallTable,
        events: GalleryTable,
        media: MediaStore,
        commands: Commands,
        directory: Directory,
        users: Users,
        journal: Journal,
        links: Links,
        bus: Bus,
        clock: Clock,
        sender: Sender,
    ) -> None:
        self._table = table
        self._events = events
        self._media = media
        self._commands = commands
        self._directory = directory
        self._users = users
        self._journal = journal
        self._links = links
        self._clock = clock
        self._sender = sender
        self.hooks: dict[int, Hook] = {}
        """Every hook, by id."""
        self._listening: dict[tuple[HookEvent, int], dict[int, Hook]] = {}
        """The enabled ones, by what they wait for and on which device (0: every one)."""
        self._queues: dict[int, _Queue] = {}
        self._queued: OrderedDict[int, None] = OrderedDict()
        """The latest commands that hooks queued."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._news: asyncio.Queue[_News] = asyncio.Queue(_MAX_NEWS)
        self._due = asyncio.Event()
        bus.listen(_STORED, self._file_stored)

    # --- life ---------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Take up calls that a stop or crash left. Called when the hooks are known."""
        for call in await self._table.all():
            self._queue(call.hook_id).waiting[call.id] = call

    async def run(self) -> None:
        """Write what happened and call hooks, until cancelled; what happened until then is written."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write_loop())
                tasks.create_task(start_when_due(self._start_due, self._due, _TICK_S))
        finally:
            await end_all(self._tasks)
            await self._write(self._taken())

    async def _write_loop(self) -> None:
        while True:
            first = await self._news.get()
            try:
                await self._write([first, *self._taken()])
            except Exception:  # what comes next is written again
                log.exception("hook_calls_not_written")

    def _taken(self) -> list[_News]:
        taken: list[_News] = []
        while len(taken) < _BATCH and not self._news.empty():
            taken.append(self._news.get_nowait())
        return taken

    def _start_due(self) -> None:
        now = self._clock.now()
        for queue in list(self._queues.values()):
            for call in list(queue.waiting.values()):
                if len(self._tasks) >= _PARALLEL:
                    return
                if len(queue.running) >= _PARALLEL_OF_HOOK:
                    break
                if call.not_before <= now and call.id not in queue.running:
                    queue.running.add(call.id)
                    task = asyncio.get_running_loop().create_task(self._work(queue, call))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    @property
    def waiting(self) -> int:
        """Calls on their way."""
        return sum(len(queue.waiting) for queue in self._queues.values())

    def _queue(self, hook_id: int) -> _Queue:
        return self._queues.setdefault(hook_id, _Queue())

    def put(self, hook: Hook) -> None:
        """A hook is there, or is another than before."""
        self._silence(hook.id)
        self.hooks[hook.id] = hook
        if hook.enabled:
            self._listening.setdefault((hook.event_type, hook.device_id), {})[hook.id] = hook

    def forget(self, hook_id: int) -> None:
        """A hook is gone, and its calls with it."""
        self._silence(hook_id)
        self.hooks.pop(hook_id, None)
        self._queues.pop(hook_id, None)

    def _silence(self, hook_id: int) -> None:
        before = self.hooks.get(hook_id)
        if before is not None:
            self._listening.get((before.event_type, before.device_id), {}).pop(hook_id, None)

    # --- what happens -------------------------------------------------------------------------------------------

    def tell(self, kind: HookEvent, device_id: int, event: GalleryEvent | None = None, total: int = 0) -> None:
        """Something happened. Costs nothing where no hook waits for it."""
        self._enter(_News(kind, device_id, event, total=total, at=self._clock.now()))

    def _file_stored(self, news: Event) -> None:
        """A file of a device is ready; where it did not fill an event that was known before, that is a new event."""
        payload = news.payload
        if isinstance(payload, dict) and isinstance(payload.get("uuid"), str):
            self._enter(_News(HookEvent.AFTER_EVENT_CREATED, payload["device_id"], file_uuid=payload["uuid"],
                              at=self._clock.now()))  # fmt: skip

    def _enter(self, news: _News) -> None:
        entry = self._directory.device(news.device_id)
        if entry is None or not self._waiting_for(news.kind, entry):
            return
        try:
            self._news.put_nowait(news)
        except asyncio.QueueFull:
            log.warning("hook_news_dropped", kind=news.kind, device=news.device_id)

    def _waiting_for(self, kind: HookEvent, entry: Entry) -> list[Hook]:
        return [
            hook
            for device_id in (0, entry.id)
            for hook in self._listening.get((kind, device_id), {}).values()
            if self.concerns(hook, entry)
        ]

    def concerns(self, hook: Hook, entry: Entry) -> bool:
        """Whether a hook is for this device, or for every device of an account that has it."""
        return hook.device_id in (0, entry.id) and entry.cid in self._directory.visible_accounts(hook.cid)

    async def _write(self, batch: list[_News]) -> None:
        calls: list[HookCall] = []
        for news in batch:
            entry, event = self._directory.device(news.device_id), news.event
            if news.file_uuid:
                event = await self._events.of_file(news.file_uuid)
                if event is None or event.state is not EventState.STORED:
                    continue
            if entry is not None:
                calls += await self._calls_of(news, entry, event)
        try:
            written = await self._table.insert_many(calls)
        except NotFound:  # a hook was deleted at this moment
            written = await self._one_by_one(calls)
        for call in written:
            if call.hook_id in self.hooks:
                self._queue(call.hook_id).waiting[call.id] = call
        self._due.set()

    async def _one_by_one(self, calls: list[HookCall]) -> list[HookCall]:
        written = []
        for call in calls:
            with contextlib.suppress(NotFound):
                written.append(await self._table.insert(call))
        return written

    async def _calls_of(self, news: _News, entry: Entry, event: GalleryEvent | None) -> list[HookCall]:
        file = await self._media.get(event.file_uuid) if event is not None and event.file_uuid else None
        picture = bool(file.preview) if file is not None else bool(event and event.thumbnail)
        known = facts(
            news.kind, entry.id, event, now=news.at, base=self._links.base, picture=picture, total=news.total
        )  # fmt: skip
        calls = []
        by_hook = file is not None and file.command_id in self._queued
        for hook in self._waiting_for(news.kind, entry):
            if by_hook and hook.action is HookAction.COMMAND:
                continue  # else a command that brings a file would bring another, without end
            if hook.device_id == 0 and await self._refusal(hook, entry):
                continue  # a hook for every device is for those its maker may write to
            queue = self._queue(hook.id)
            if len(queue.waiting) < _MAX_WAITING and self.waiting < _MAX_WAITING_IN_ALL:
                queue.full = False
                calls.append(HookCall(id=0, hook_id=hook.id, device_id=entry.id, facts=known, made=news.at))
            elif not queue.full:
                queue.full = True
                self._failed(hook, entry, known, f"{len(queue.waiting)} calls wait already: others are dropped", 0)
        return calls

    # --- calling ------------------------------------------------------------------------------------------------

    async def _work(self, queue: _Queue, call: HookCall) -> None:
        """One attempt."""
        try:
            again = await self._attempt(call)
            if again is None:
                queue.waiting.pop(call.id, None)
                await self._table.delete([call.id])
            else:
                queue.waiting[call.id] = again
                await self._table.update(again)
        except NotFound:
            queue.waiting.pop(call.id, None)  # its hook was deleted meanwhile
        except Exception:  # one call must not stop the others
            log.exception("hook_call_failed", hook=call.hook_id)
            queue.waiting[call.id] = replace(call, not_before=self._clock.now() + _PAUSES_S[-1])
        finally:
            queue.running.discard(call.id)
            self._due.set()

    async def _attempt(self, call: HookCall) -> HookCall | None:
        """Do what a hook says. Returns the call as it waits for its next attempt; None: it is at its end."""
        hook, entry = self.hooks.get(call.hook_id), self._directory.device(call.device_id)
        if hook is None or entry is None or not hook.enabled:
            return None
        attempts = call.attempts + 1
        try:
            refusal = await self._refusal(hook, entry)
            if refusal:
                raise SendFailed(refusal, retry=False)
            if hook.action is HookAction.WEBHOOK:
                await self._sender.send(_request(hook, call))
            else:
                await self._queue_command(hook, entry, call)
        except SendFailed as error:
            if not error.retry or attempts > len(_PAUSES_S):
                self._failed(hook, entry, call.facts, error.reason, attempts)
                return None
            pause = _PAUSES_S[attempts - 1] * random.uniform(0.8, 1.2)
            return replace(call, attempts=attempts, error=error.reason, not_before=self._clock.now() + pause)
        return None

    async def _queue_command(self, hook: Hook, entry: Entry, call: HookCall) -> None:
        """Queue the command of a hook. Raises `SendFailed`."""
        parameters: dict[str, Any] = hook.parameters
        # Before the command is written: after a crash in between it is missing, and never there twice.
        await self._table.delete([call.id])
        try:
            body = {
                "name": parameters["name"], "properties": filled(parameters["properties"], call.facts),
                "ttl": parameters["ttl"], "meta": {"gallery_hook": hook.id},
            }  # fmt: skip
            made, errors = await self._commands.enqueue(self._caller(hook), [entry], [body])
        except (ValueError, WayframeError) as error:
            raise SendFailed(str(error), retry=False) from None
        if errors:
            raise SendFailed(errors[0].reason, retry=False)
        self._queued[made[0]["id"]] = None
        if len(self._queued) > _MAX_COMMANDS:
            self._queued.popitem(last=False)

    def _failed(self, hook: Hook, entry: Entry, known: dict[str, Any], reason: str, attempts: int) -> None:
        fields = {
            "hook_id": hook.id, "name": hook.name, "event_type": hook.event_type, "reason": reason,
            "attempts": attempts, **({"event_id": known["eventId"]} if "eventId" in known else {}),
        }  # fmt: skip
        self._journal.log(Log.HOOK_FAILED, OriginType.DEVICE, entry.id, entry.cid, fields)

    # --- rights -------------------------------------------------------------------------------------------------

    async def _refusal(self, hook: Hook, entry: Entry) -> str:
        """Why a hook may not do this to a device, as the rights of its maker are now; empty if it may."""
        try:
            caller = self._caller(hook)
            for method, submodule in RIGHTS[hook.action]:
                await self._directory.select(caller, DEVICES, str(entry.id), method, submodule)
        except WayframeError as error:
            return f"whoever made this hook may not do that any more: {error.reason}"
        return ""

    def _caller(self, hook: Hook) -> Caller:
        """Whoever made a hook. Raises `NotFound`, `Unauthorized`, `Forbidden` where that is nobody any more."""
        if hook.made_by < 0:
            return self._directory.caller(self._users.stand_in(-hook.made_by), cid=hook.cid)
        entry = self._directory.find(TOKENS, hook.made_by)
        why = self._directory.token_alive(hook.made_by)
        if entry is None or why:
            raise NotFound(why or "its token was deleted")
        token: Any = entry.item
        return self._directory.caller(token, cid=hook.cid)


def _request(hook: Hook, call: HookCall) -> OutgoingRequest:
    """The request of a webhook. Raises `SendFailed`."""
    parameters: dict[str, Any] = hook.parameters
    try:
        body = call.facts if parameters["body"] is None else filled(parameters["body"], call.facts)
    except ValueError as error:
        raise SendFailed(str(error), retry=False) from None
    headers = {"Content-Type": "application/json", "X-Wayframe-Call": str(call.id), **parameters["headers"]}
    return OutgoingRequest(parameters["method"], parameters["url"], headers, msgspec.json.encode(body))
