"""History: messages in, durable, acknowledged, then announced; messages, logs and telemetry out.

Reports gather for a few milliseconds and are committed together; whoever delivered one is told when its batch is
durable (ruling 1). After the commit the telemetry in memory moves on and the news goes out: one message event and one
telemetry record a report (ruling 3).

Crash rule: telemetry and the cursor of what was announced are saved together every few seconds. At start, messages
beyond the cursor are applied and announced again, so nothing that was acknowledged is missing from either.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import structlog

from wayframe.bus import Bus
from wayframe.expressions import Environment, Expression, ExpressionError, Mode
from wayframe.expressions import compile as compile_expression
from wayframe.model import BadRequest, Clock, Event, Json, LogRecord, StoredMessage, Unavailable
from wayframe.model.query import HistoryQuery
from wayframe.storage import HistoryMessage, LogTable, StateTable, TelemetryTable
from wayframe.storage.messages import MessageStore

from .directory import Directory
from .entries import CUSTOMER, DEVICES, Entry
from .journal import Journal
from .journal import view as log_view
from .links import Links

_CURSOR = "messages.announced"
_FUTURE_LIMIT_S = 86_400
_QUEUE_LIMIT = 20_000
_SCAN_PAGE = 2_000
_MOMENT_S = 1e-6
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Report:
    """One message on its way in."""

    entry: Entry
    message: dict[str, Json]
    stored: StoredMessage
    durable: asyncio.Future[None]
    """Of its whole delivery, which may be cut across two batches: one that fails fails it."""
    last: bool
    """The last message of its delivery."""


class History:
    """Messages, telemetry and logs of devices."""

    def __init__(
        self,
        *,
        directory: Directory,
        messages: MessageStore,
        telemetry: TelemetryTable,
        logs: LogTable,
        state: StateTable,
        journal: Journal,
        links: Links,
        bus: Bus,
        clock: Clock,
        batch_rows: int,
        batch_ms: float,
    ) -> None:
        self._directory = directory
        self._messages = messages
        self._telemetry = telemetry
        self._logs = logs
        self._state = state
        self._journal = journal
        self._links = links
        self._bus = bus
        self._clock = clock
        self._batch_rows = batch_rows
        self._batch_s = batch_ms / 1000
        self._waiting: list[_Report] = []
        self._arrived = asyncio.Event()
        self._dirty: set[int] = set()
        self._applying = asyncio.Lock()
        self._saved_seq = 0
        self.stored = 0
        """Messages stored since the start."""
        self.duplicates = 0
        """Messages that were there already."""
        self.heard: Callable[[], Awaitable[None]] = _nobody_keeps
        """Waits until everybody who must not lose an announcement has stored it."""

    @property
    def saved_seq(self) -> int:
        """Messages up to this number are announced, and telemetry knows them, whatever happens."""
        return self._saved_seq

    @property
    def waiting(self) -> int:
        """Messages waiting for their batch."""
        return len(self._waiting)

    # --- in -----------------------------------------------------------------------------------------------------

    def deliver(
        self, entry: Entry, messages: Sequence[Mapping[str, Json]], extra: Mapping[str, Json]
    ) -> asyncio.Future[None]:
        """Take messages of a device. The future is done when they are durable, or fails with `Unavailable`.

        Args:
            messages: flat, with `timestamp`; a missing or far too late one is replaced (ruling 6).
            extra: parameters of the connection (`channel.id`, `protocol.id`, `peer`).
        """
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not messages:
            durable.set_result(None)
            return durable
        if len(self._waiting) + len(messages) > _QUEUE_LIMIT:
            durable.set_exception(Unavailable("the message queue is full: the database is slower than the devices"))
            return durable
        now = self._clock.now()
        last = len(messages) - 1
        for index, message in enumerate(messages):
            full = complete_message(message, entry, extra, now)
            stored = stored_message(entry.id, full, now)
            self._waiting.append(_Report(entry, full, stored, durable, index == last))
        self._arrived.set()
        return durable

    async def store(
        self, entry: Entry, messages: Sequence[Mapping[str, Json]], extra: Mapping[str, Json] | None = None
    ) -> None:
        """The same, waiting until they are durable and announced."""
        await self.deliver(entry, messages, extra or {})

    async def run(self) -> None:
        """Write batches until cancelled; `drain` writes what is left."""
        while True:
            await self._arrived.wait()
            if len(self._waiting) < self._batch_rows:
                await asyncio.sleep(self._batch_s)
            await self._write_batch()

    async def drain(self) -> None:
        """Write what is waiting, and telemetry with its cursor."""
        while self._waiting:
            await self._write_batch()
        await self.save_telemetry()

    async def _write_batch(self) -> None:
        batch, self._waiting = self._waiting[: self._batch_rows * 4], self._waiting[self._batch_rows * 4 :]
        if not self._waiting:
            self._arrived.clear()
        if batch:
            async with self._applying:
                await self._store_and_apply(batch)

    async def _store_and_apply(self, batch: list[_Report]) -> None:
        try:
            fresh = await self._messages.append([report.stored for report in batch])
        except Exception as error:
            log.exception("messages_not_stored", count=len(batch))
            for report in batch:
                if not report.durable.done():
                    report.durable.set_exception(Unavailable(f"messages could not be stored: {error}"))
            return
        for report, new in zip(batch, fresh, strict=True):
            if new:
                try:
                    self._apply(report.entry, report.message)
                except Exception:  # it is stored: one message that cannot be told must not keep back all others
                    log.exception("message_not_announced", device=report.entry.id)
            if report.last and not report.durable.done():
                report.durable.set_result(None)
        self.stored += sum(fresh)
        self.duplicates += len(fresh) - sum(fresh)

    def _apply(self, entry: Entry, message: dict[str, Json]) -> None:
        """Move the device's telemetry on and announce the message."""
        changed = update_telemetry(entry.view, message)
        self._dirty.add(entry.id)
        timestamp = message["timestamp"]
        shown = self._links.render(message) if "media" in message else message
        self._bus.publish(Event(f"flespi/message/{DEVICES}/{entry.id}", shown, entry.cid, timestamp))
        if "media" not in message:
            active = {"last_active": message["server.timestamp"]}
            self._bus.publish_record(f"flespi/state/{DEVICES}/{entry.id}", active, entry.cid, timestamp)
        channel_id = message.get("channel.id")
        if channel_id and "media" not in message:
            topic = f"flespi/message/gw/channels/{channel_id}/{message['ident']}"
            self._bus.publish(Event(topic, shown, entry.cid, timestamp))
        if changed:
            self._bus.publish_record(f"flespi/state/{DEVICES}/{entry.id}/telemetry", changed, entry.cid, timestamp)

    def limits(self) -> dict[int, tuple[int, int]]:
        """`messages_ttl` and bytes of messages by device, for retention: `messages_rotate`, and at most the
        `device_storage` of its account."""
        found, most = {}, {account.id: self._directory.limits.value(account.id, "device_storage")
                           for account in self._directory.entries(CUSTOMER)}  # fmt: skip
        for entry in self._directory.entries(DEVICES):
            rotate, limit = entry.device.messages_rotate, most.get(entry.cid, 0)
            found[entry.id] = entry.device.messages_ttl, min(rotate or limit, limit or rotate)
        return found

    # --- telemetry and its cursor -------------------------------------------------------------------------------

    async def save_telemetry(self) -> None:
        """Write changed telemetry records, and up to where messages were announced. Called every few seconds."""
        async with self._applying:  # what is in the database is in memory too
            seq = await self._messages.last_seq()
            dirty, self._dirty = self._dirty, set()
        await self.heard()  # what was announced is safe with those who keep it: it will not be announced again
        records = {}
        for device_id in dirty:
            entry = self._directory.device(device_id)
            if entry is not None:
                records[device_id] = telemetry_record(entry.view)
        if records:
            await self._telemetry.save_many(records)
        if seq > self._saved_seq:
            await self._state.put({_CURSOR: str(seq).encode()})
            self._saved_seq = seq

    async def recover(self) -> int:
        """At start: apply and announce what was stored after the cursor. Returns how many messages that were."""
        saved = await self._state.get(_CURSOR)
        self._saved_seq = int(saved) if saved else 0
        seen = self._saved_seq
        count = 0
        while rows := await self._messages.after(seen, _SCAN_PAGE):
            for seq, stored in rows:
                entry = self._directory.device(stored.device_id)
                if entry is not None:
                    self._apply(entry, shown_message(entry, stored.body))
                seen = seq
            count += len(rows)
        return count

    def telemetry(self, entries: Sequence[Entry], names: Sequence[str] | None) -> list[dict[str, Json]]:
        """Current values with their times (rest-api.md 6.2)."""
        result = []
        for entry in entries:
            values, times = entry.view["telemetry"], entry.view.get("telemetry_times", {})
            chosen = values if names is None else [name for name in names if name in values]
            telemetry = {name: {"ts": _whole(times.get(name, 0)), "value": values[name]} for name in chosen}
            result.append({"id": entry.id, "telemetry": telemetry})
        return result

    async def delete_telemetry(self, entries: Sequence[Entry], names: Sequence[str] | None) -> list[dict[str, Json]]:
        """Remove parameters from the current values; the messages stay."""
        for entry in entries:
            values, times = entry.view["telemetry"], entry.view.get("telemetry_times", {})
            changed = forgotten(values, values if names is None else names)
            for name, value in changed.items():
                if value is None:
                    del values[name]
                    times.pop(name, None)
                else:
                    values[name] = value
            self._dirty.add(entry.id)
            self._journal.state_members(f"flespi/state/{DEVICES}/{entry.id}/telemetry", changed, entry.cid)
        await self.save_telemetry()
        return [{"id": entry.id} for entry in entries]

    # --- out ----------------------------------------------------------------------------------------------------

    async def messages(self, entries: Sequence[Entry], query: HistoryQuery) -> list[dict[str, Json]]:
        """Messages of devices in time order (rest-api.md 6.1). Raises `BadRequest` for a bad filter."""
        by_id = {entry.id: entry for entry in entries}

        def shown(row: HistoryMessage) -> dict[str, Json]:
            message = shown_message(by_id[row.device_id], row.body)
            return self._links.render(message) if "media" in message else message

        page = _SCAN_PAGE if query.filter else min(query.count, _SCAN_PAGE * 5)
        pages = self._messages.scan(list(by_id), query.from_, query.to, query.reverse, page)
        return await chosen_messages(pages, shown, query, self._clock.now())

    async def delete(self, entries: Sequence[Entry], query: HistoryQuery) -> list[dict[str, Json]]:
        """Delete messages of a time span."""
        await self._messages.delete([entry.id for entry in entries], query.from_, query.to)
        return [{"id": entry.id} for entry in entries]

    async def forget(self, device_id: int) -> None:
        """Remove everything that is kept of a device that is gone: messages and telemetry."""
        await self._messages.delete([device_id], None, None)
        await self._telemetry.delete([device_id])

    async def logs(self, origin_type: int, entries: Sequence[Entry], query: HistoryQuery) -> list[dict[str, Json]]:
        """Log records of items in time order."""
        return await self.logs_of(origin_type, [entry.id for entry in entries], query)

    async def logs_of(self, origin_type: int, item_ids: Sequence[int], query: HistoryQuery) -> list[dict[str, Json]]:
        """The same by id."""
        if query.item_type is not None and query.item_type != origin_type:
            return []
        return await self._asked_logs(partial(self._logs.query, origin_type, item_ids), query)

    async def logs_of_accounts(self, cids: Sequence[int], query: HistoryQuery) -> list[dict[str, Json]]:
        """Log records of whatever accounts have; `item_type` restricts them to one type of item."""
        read = partial(self._logs.of_accounts, cids, origin_type=query.item_type)
        return await self._asked_logs(read, query)

    async def _asked_logs(self, read: Callable[..., Awaitable[list[LogRecord]]], query: HistoryQuery) -> list[Any]:
        """The records that a query asks for. What a filter has to look through is read in pages, never all at once."""
        wanted, env = compiled_filter(query.filter), Environment(now=self._clock.now())
        from_, to = query.from_, query.to
        await self._journal.settled()  # who asks after a change finds its record
        if wanted is None:
            records = await read(from_=from_, to=to, count=query.count, reverse=query.reverse)
            return [query.show(self._links.render(log_view(record))) for record in records]
        found: list[dict[str, Json]] = []
        while True:
            page = await read(from_=from_, to=to, count=_SCAN_PAGE, reverse=query.reverse)
            shown = [self._links.render(log_view(record)) for record in whole_moments(page, _SCAN_PAGE)]
            found += [record for record in shown if wanted.matches(record, env)]
            if len(page) < _SCAN_PAGE or len(found) >= query.count:
                return [query.show(record) for record in found[: query.count]]
            last = shown[-1]["timestamp"]
            from_, to = (from_, last - _MOMENT_S) if query.reverse else (last + _MOMENT_S, to)


async def _nobody_keeps() -> None:
    """Nobody listens who would store anything."""


# --- pure helpers ---------------------------------------------------------------------------------------------------


def whole_moments(page: Sequence[LogRecord], size: int) -> Sequence[LogRecord]:
    """A page without the records of its last moment where more of that moment may follow."""
    if len(page) < size or page[0].timestamp == page[-1].timestamp:
        return page
    return [record for record in page if record.timestamp != page[-1].timestamp]


def compiled_filter(text: str) -> Expression | None:
    """A `filter`, compiled; None for none. Raises `BadRequest` with the column."""
    if not text:
        return None
    try:
        return compile_expression(text, Mode.FILTER)
    except ExpressionError as error:
        raise BadRequest(f"`filter`: {error}") from None


def _whole(timestamp: float) -> float:
    """A time as an integer where it is one, as typed clients read it."""
    return int(timestamp) if timestamp == int(timestamp) else timestamp


def complete_message(
    message: Mapping[str, Json], entry: Entry, extra: Mapping[str, Json], now: float
) -> dict[str, Json]:
    """Add the base keys (rest-api.md 6.1) and mend the time (ruling 6)."""
    timestamp = message.get("timestamp")
    device = entry.device
    base = {"server.timestamp": now, "ident": device.ident, "protocol.id": device.protocol_id}
    full: dict[str, Json] = {"timestamp": timestamp, **base, **extra}
    full.update(message)
    full.update(device_keys(entry))
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float) or timestamp <= 0:
        full["timestamp"] = now
    elif timestamp > now + _FUTURE_LIMIT_S:
        full["timestamp"] = now
        full["custom.device.timestamp"] = timestamp
    full["server.timestamp"] = now
    return full


def device_keys(entry: Entry) -> dict[str, Json]:
    """What a message says of its device; added at reading, so that renaming a device costs nothing."""
    view = entry.view
    return {"device.id": entry.id, "device.name": view["name"], "device.type.id": view["device_type_id"]}


_UNSTORED = ("device.id", "device.name", "device.type.id")
_UNHASHED = ("server.timestamp", "peer", "event.seqnum")
"""A report that comes again, over another connection, comes with another serial number."""


def stored_message(device_id: int, message: Mapping[str, Json], now: float) -> StoredMessage:
    """A message as history holds it. The content hash leaves out what differs between two deliveries of one report."""
    kept = _without(message, _UNSTORED)
    body = _encode(kept)
    hashed = _encode(_without(kept, _UNHASHED))
    return StoredMessage(
        device_id=device_id,
        timestamp=float(message["timestamp"]),
        server_timestamp=now,
        body=body,
        digest=message_digest(hashed),
    )


def _without(message: Mapping[str, Json], names: tuple[str, ...]) -> dict[str, Json]:
    """A copy without some names; copying and taking away is quicker than choosing."""
    kept = dict(message)
    for name in names:
        kept.pop(name, None)
    return kept


async def chosen_messages(
    pages: AsyncIterator[list[HistoryMessage]],
    shown: Callable[[HistoryMessage], dict[str, Json] | None],
    query: HistoryQuery,
    now: float,
) -> list[dict[str, Json]]:
    """Of stored messages, page by page, what `shown` makes of those that a query wants. Raises `BadRequest` for a bad
    filter."""
    wanted, env = compiled_filter(query.filter), Environment(now=now)
    found: list[dict[str, Json]] = []
    async for rows in pages:
        for row in rows:
            message = shown(row)
            if message is not None and (wanted is None or wanted.matches(message, env)):
                found.append(query.show(message))
                if len(found) >= query.count:
                    return found
    return found


def shown_message(entry: Entry, body: bytes) -> dict[str, Json]:
    """A stored message as the API shows it."""
    message = _decode(body)
    message.update(device_keys(entry))
    return message


_MOST_PARAMETERS = 4096
"""Parameters a device may have in telemetry; further names are in its messages only."""
_MEDIA = ("media.", "custom.media.")
_NOT_TELEMETRY = ("device.id", "device.name", "device.type.id", "media")
_POSITION = {
    f"position.{key}": key for key in ("latitude", "longitude", "altitude", "speed", "direction", "satellites", "valid")
}


def update_telemetry(view: dict[str, Any], message: Mapping[str, Json]) -> dict[str, Json]:
    """Take a message's parameters over where they are not older than what is there. Returns what was taken.

    Media objects are news of a file, not a state of the vehicle, and stay out.
    """
    values: dict[str, Json] = view["telemetry"]
    times: dict[str, float] = view.setdefault("telemetry_times", {})
    timestamp = float(message["timestamp"])
    changed = _without(message, _NOT_TELEMETRY)
    older = max(times.values(), default=0.0) > timestamp  # then some parameters may be newer than this message
    for name in [name for name in changed if name.startswith(_MEDIA) or (older and times.get(name, 0) > timestamp)]:
        del changed[name]
    position = {key: changed[name] for name, key in _POSITION.items() if name in changed}
    if "latitude" in position and "longitude" in position:
        changed["position"] = position
    if len(values) + len(changed) > _MOST_PARAMETERS:
        room = _MOST_PARAMETERS - len(values)
        for name in [name for name in changed if name not in values][max(0, room) :]:
            del changed[name]
    values.update(changed)
    times.update(dict.fromkeys(changed, timestamp))
    return changed


def forgotten(values: Mapping[str, Json], names: Iterable[str]) -> dict[str, Json]:
    """What becomes of values when some are forgotten: None for those, and `position` without what was part of it."""
    changed: dict[str, Json] = dict.fromkeys(name for name in names if name in values)
    parts, position = {_POSITION[name] for name in changed if name in _POSITION}, values.get("position")
    if parts and "position" not in changed and isinstance(position, dict):
        left = {key: value for key, value in position.items() if key not in parts}
        changed["position"] = left if "latitude" in left and "longitude" in left else None
    return changed


def telemetry_record(view: Mapping[str, Any]) -> bytes:
    """A telemetry record as stored: `{name: [time, value]}`."""
    times = view.get("telemetry_times", {})
    return _encode({name: (times.get(name, 0.0), value) for name, value in view["telemetry"].items()})


def message_digest(body: bytes) -> bytes:
    """16 bytes that are the same for the same report (ruling 17)."""
    return hashlib.blake2b(body, digest_size=16).digest()
