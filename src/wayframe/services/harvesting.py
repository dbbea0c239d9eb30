"""Harvests: devices that are looked at by themselves, every so often, as somebody started it (gallery-api.md C12).

A run looks at the device, notes what is new, and where that is wanted asks for the bytes of everything that has none.
Runs are spread in time and bounded in number; one that still goes on is not begun again.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import structlog
from msgspec import Meta, Struct
from msgspec.structs import replace

from wayframe.bus import Bus
from wayframe.model import BadRequest, Clock, Conflict, Event, Json, NotFound, Token, WayframeError
from wayframe.model.gallery import EventState
from wayframe.model.harvest import Harvest
from wayframe.model.hooks import HookEvent
from wayframe.storage import GalleryTable, HarvestTable

from .background import end_all, start_when_due
from .bodies import parse_body
from .directory import Directory
from .entries import DEVICES, Caller, Entry
from .fetching import AGAIN_S, NoSource
from .gallery_shapes import iso
from .hook_calls import HookCalls
from .listings import Listings, Look, Wanted
from .pulls import Pulls

log = structlog.get_logger(__name__)

_LONGEST_RUN_S = 600.0
_SPREAD = 0.05
"""Runs come earlier or later by so much of their interval."""
_FIRST_S = 5.0
"""The first run begins within this time, or a tenth of the interval."""
_START_S = 60.0
"""Runs that were due while the server was down begin within this time, or the interval."""
_TICK_S = 1.0
_MAX_OPEN = 200
"""Events of a device that wait to be pulled because of its harvest."""
_GIVEN_UP_S = 7 * 86_400.0
"""A pull that came to nothing is tried again until its event is so old."""


class StartBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /api/gallery/{device}/start (gallery-api.md B3)."""

    interval: Annotated[float, Meta(ge=10, le=86_400)]
    autoPull: bool
    supportedTypes: list[Literal["image", "video", "audio", "document", "other"]] = []
    generateThumbnails: bool = False


@dataclass(slots=True)
class _Run:
    """The harvest of one device, and its run."""

    harvest: Harvest
    task: asyncio.Task[None] | None = None


class Harvests:
    """The harvests of all devices."""

    def __init__(
        self,
        *,
        table: HarvestTable,
        events: GalleryTable,
        listings: Listings,
        pulls: Pulls,
        directory: Directory,
        calls: HookCalls,
        bus: Bus,
        clock: Clock,
        parallel: int,
    ) -> None:
        """`parallel`: devices that are looked at at once."""
        self._table = table
        self._events = events
        self._listings = listings
        self._pulls = pulls
        self._directory = directory
        self._calls = calls
        self._clock = clock
        self._parallel = parallel
        self._runs: dict[int, _Run] = {}
        self._due: list[tuple[float, int]] = []
        """When which device is next: a heap, in which only what its harvest says too is true."""
        self._running = 0
        self._changing = asyncio.Lock()
        self._wanted = asyncio.Event()
        bus.listen(f"flespi/log/{DEVICES}/+/deleted", self._device_deleted)

    # --- life ---------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Take up the harvests that were started."""
        now = self._clock.now()
        for harvest in await self._table.all():
            if harvest.running and harvest.next_run < now:
                harvest = replace(harvest, next_run=now + random.uniform(0, min(_START_S, harvest.interval_s)))
            self._plan(self._runs.setdefault(harvest.device_id, _Run(harvest)))

    def _plan(self, run: _Run) -> None:
        if run.harvest.running:
            heapq.heappush(self._due, (run.harvest.next_run, run.harvest.device_id))
            self._wanted.set()

    async def run(self) -> None:
        """Look at the devices that are due, until cancelled."""
        try:
            await start_when_due(self._start_due, self._wanted, _TICK_S)
        finally:
            await end_all([run.task for run in self._runs.values() if run.task is not None])

    def _start_due(self) -> None:
        now = self._clock.now()
        while self._due and self._due[0][0] <= now and self._running < self._parallel:
            when, device_id = heapq.heappop(self._due)
            run = self._runs.get(device_id)
            if run is None or not run.harvest.running or run.harvest.next_run != when:
                continue
            pause = run.harvest.interval_s * random.uniform(1 - _SPREAD, 1 + _SPREAD)
            run.harvest = replace(run.harvest, next_run=now + pause)
            self._plan(run)
            if run.task is None:
                run.task = asyncio.get_running_loop().create_task(self._work(run))
                self._running += 1

    # --- asked by callers ---------------------------------------------------------------------------------------

    async def start(self, caller: Caller, entry: Entry, body: Json) -> None:
        """Have a device looked at from now on, in place of how it was before. Raises `BadRequest` naming the field."""
        asked = parse_body(StartBody, body)
        async with self._changing:
            await self._start(caller, entry, asked)
        self._calls.tell(HookEvent.AFTER_GALLERY_START, entry.id)

    async def _start(self, caller: Caller, entry: Entry, asked: StartBody) -> None:
        before = self._runs.get(entry.id)
        known = before.harvest if before is not None else None
        first = self._clock.now() + random.uniform(0, min(_FIRST_S, asked.interval / 10))
        harvest = Harvest(
            device_id=entry.id, running=True, interval_s=asked.interval, auto_pull=asked.autoPull,
            types=list(dict.fromkeys(asked.supportedTypes)), thumbnails=asked.generateThumbnails,
            started_by=caller.token.id, next_run=first,
            last_run=known.last_run if known else 0.0, last_error=known.last_error if known else "",
            seen_to=known.seen_to if known else 0.0,
        )  # fmt: skip
        await (self._table.insert(harvest) if known is None else self._table.update(harvest))
        run = self._runs.setdefault(entry.id, _Run(harvest))
        run.harvest = harvest
        self._plan(run)

    async def stop(self, entry: Entry) -> None:
        """Look at a device no more; a run that goes on is broken off. What waits to be pulled still is."""
        async with self._changing:
            run = self._runs.get(entry.id)
            if run is None or not run.harvest.running:
                return
            run.harvest = replace(run.harvest, running=False, next_run=0.0)
            await self._table.update(run.harvest)
        if run.task is not None:
            run.task.cancel()
            await asyncio.gather(run.task, return_exceptions=True)
        self._calls.tell(HookEvent.AFTER_GALLERY_STOP, entry.id)

    async def look(self, caller: Caller, entry: Entry) -> Look:
        """Look at a device now, for whatever it has. Raises `NoSource`."""
        run = self._runs.get(entry.id)
        return await self._listings.look(caller, entry, Wanted(seen_to=run.harvest.seen_to if run is not None else 0.0))

    def status(self, entry: Entry) -> dict[str, Json]:
        """How the harvest of a device stands (C2)."""
        run = self._runs.get(entry.id)
        harvest = run.harvest if run is not None else None
        return {
            "status": "running" if harvest and harvest.running else "stopped",
            "isProcessing": run is not None and run.task is not None,
            "lastRun": _moment(harvest.last_run) if harvest else None,
            "lastError": (harvest.last_error or None) if harvest else None,
            "nextRun": _moment(harvest.next_run) if harvest else None,
        }

    # --- a run --------------------------------------------------------------------------------------------------

    async def _work(self, run: _Run) -> None:
        device_id = run.harvest.device_id
        outcome: dict[str, Any] = {}
        try:
            outcome = await self._outcome(run.harvest)
        except TimeoutError:
            outcome = {"last_error": f"the device was not looked through within {_LONGEST_RUN_S:g} s"}
        except WayframeError as error:
            outcome = {"last_error": error.reason}
        except Exception:  # one device must not stop the harvest of the others
            log.exception("harvest_failed", device=device_id)
            outcome = {"last_error": "internal error; the server's log knows more"}
        finally:
            run.task = None
            self._running -= 1
            self._wanted.set()
        run.harvest = replace(run.harvest, last_run=self._clock.now(), **outcome)
        with contextlib.suppress(NotFound):  # the device was deleted meanwhile
            await self._table.update(run.harvest)

    async def _outcome(self, harvest: Harvest) -> dict[str, Any]:
        """One run. Returns what changes in the harvest. Raises `TimeoutError`, `NoSource`."""
        entry = self._directory.device(harvest.device_id)
        if entry is None:
            return {}
        if self._directory.blocked(entry.cid) or not entry.device.enabled:
            return {"last_error": "the device is disabled, or its account is blocked"}
        caller = Caller(Token(id=harvest.started_by, cid=entry.cid), entry.cid)
        wanted = Wanted(harvest.types, harvest.thumbnails, harvest.seen_to)
        try:
            async with asyncio.timeout(_LONGEST_RUN_S):
                seen: Look = await self._listings.look(caller, entry, wanted)
        finally:
            if harvest.auto_pull:
                await self._pull(caller, entry)
        return {"last_error": seen.error, "seen_to": seen.seen_to}

    async def _pull(self, caller: Caller, entry: Entry) -> None:
        """Ask for the bytes of whatever has none: also of what another look or caller has noted."""
        now = self._clock.now()
        for event in await self._events.to_pull(entry.id, now, now - _GIVEN_UP_S, _MAX_OPEN):
            try:
                await self._pulls.pull(caller, entry, event, 0)
            except NoSource as error:
                with contextlib.suppress(Conflict):
                    await self._events.change(
                        event.id, (event.state,), state=EventState.FAILED, error=error.reason, not_before=now + AGAIN_S
                    )
            except BadRequest:
                return  # as many wait as may
            except WayframeError as error:
                log.info("not_pulled", event_id=event.id, reason=error.reason)

    def _device_deleted(self, news: Event) -> None:
        run = self._runs.pop(int(news.topic.split("/")[4]), None)
        if run is not None and run.task is not None:
            run.task.cancel()


def _moment(when: float) -> str | None:
    return iso(when) if when else None
