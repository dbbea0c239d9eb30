"""The journal: everything that happens, written to the log where it belongs there, then announced on the bus, in order.

One queue keeps the order that clients depend on (mqtt-api.md 6.5): an entry is a log record, an event, or both; log
records of one batch are committed together, then the whole batch is announced in the order it was entered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from wayframe.bus import Bus
from wayframe.model import Clock, Event, Json, LogRecord
from wayframe.model.log_codes import ORIGINS, Log
from wayframe.storage import LogTable

from .links import Links

_BATCH = 500
_LIMIT = 100_000

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Entry:
    """One thing to write and announce; `done` is set for whoever waits."""

    record: LogRecord | None
    event: Event | None
    members: Mapping[str, Json] | None = None
    done: asyncio.Future[None] | None = None


class Journal:
    """Writes log records in batches and announces events after them."""

    def __init__(self, table: LogTable, bus: Bus, links: Links, clock: Clock) -> None:
        self._table = table
        self._links = links
        self._bus = bus
        self._clock = clock
        self._entries: asyncio.Queue[_Entry] = asyncio.Queue(_LIMIT)
        self._last_timestamp = 0.0
        self._writing: asyncio.Task[None] | None = None
        self._running = False
        self._draining = asyncio.Lock()
        self.dropped = 0
        """Log records lost because the queue was full; shown in /metrics."""

    async def run(self) -> None:
        """Write and announce until cancelled; what is queued then is written by `drain`."""
        self._running = True
        try:
            while True:
                first = await self._entries.get()
                # A batch that was begun is brought to its end by `drain`, also when this is cancelled meanwhile.
                self._writing = asyncio.get_running_loop().create_task(self._write([first]))
                await asyncio.shield(self._writing)
        finally:
            self._running = False

    async def drain(self) -> None:
        """Write and announce what is queued or being written."""
        async with self._draining:  # two at once would announce out of order
            if self._writing is not None:
                await self._writing
            while not self._entries.empty():
                await self._write([self._entries.get_nowait()])

    async def _write(self, batch: list[_Entry]) -> None:
        while len(batch) < _BATCH and not self._entries.empty():
            batch.append(self._entries.get_nowait())
        records = [entry.record for entry in batch if entry.record is not None]
        if records:
            try:
                await self._table.insert_many(records)
            except Exception:
                # The log is for people: a full disk must not stop the news, which the clients' state hangs on.
                log.exception("log_records_not_written", count=len(records))
        for entry in batch:
            self._announce(entry)
            if entry.done is not None and not entry.done.done():
                entry.done.set_result(None)

    def _announce(self, entry: _Entry) -> None:
        event = entry.event
        if event is None:
            return
        if entry.members is None:
            self._bus.publish(event)
        else:
            self._bus.publish_record(event.topic, entry.members, event.cid, event.timestamp, retain=event.retain)

    def log(
        self,
        kind: Log,
        origin_type: int,
        origin_id: int,
        cid: int,
        fields: Mapping[str, Json] | None = None,
        *,
        topic_name: str = "",
    ) -> LogRecord:
        """Enter a log record; it is written within milliseconds. Timestamps of records rise strictly.

        Args:
            topic_name: fills `{name}` of the kind's topic.
        """
        self._last_timestamp = max(self._clock.now(), self._last_timestamp + 1e-6)
        record = LogRecord(
            timestamp=self._last_timestamp,
            event_code=kind.value.code,
            origin_type=origin_type,
            origin_id=origin_id,
            cid=cid,
            fields=self._links.strip(fields or {}),
        )
        topic = f"flespi/log/{ORIGINS[origin_type]}/{origin_id}/{kind.value.topic.replace('{name}', topic_name)}"
        self._put(_Entry(record, Event(topic, self._links.render(view(record)), cid, record.timestamp)))
        return record

    def state(self, topic: str, payload: Json, cid: int, timestamp: float | None = None) -> None:
        """Announce a retained state after everything entered before it; None clears it."""
        self._put(_Entry(None, Event(topic, payload, cid, timestamp or self._clock.now(), retain=True)))

    def state_members(self, topic: str, members: Mapping[str, Json], cid: int, timestamp: float | None = None) -> None:
        """Announce `topic/name` for each member, retained."""
        self._put(_Entry(None, Event(topic, None, cid, timestamp or self._clock.now(), retain=True), members=members))

    def event(self, topic: str, payload: Json, cid: int, timestamp: float | None = None) -> None:
        """Announce an event that is not retained."""
        self._put(_Entry(None, Event(topic, payload, cid, timestamp or self._clock.now())))

    def _put(self, entry: _Entry) -> None:
        try:
            self._entries.put_nowait(entry)
        except asyncio.QueueFull:
            self.dropped += 1
            self._announce(entry)

    async def settled(self) -> None:
        """Wait until everything entered so far is written and announced."""
        if not self._running:
            await self.drain()
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._entries.put(_Entry(None, None, done=done))
        await done


def view(record: LogRecord) -> dict[str, Json]:
    """A log record as clients see it: the keys of its kind at top level."""
    return {
        **record.fields,
        "cid": record.cid,
        "timestamp": record.timestamp,
        "event_code": record.event_code,
        "origin_id": record.origin_id,
        "origin_type": record.origin_type,
        "event_origin": f"{ORIGINS.get(record.origin_type, 'platform')}/{record.origin_id}",
    }
