"""All services of a node without its doors: real database, blobs and bus, and a clock that a test sets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wayframe.bus import Bus
from wayframe.media import MediaLimits, MediaWorkers
from wayframe.model import ConnectionInfo, Event, MediaFile, MicrosecondIds
from wayframe.model.query import HistoryQuery
from wayframe.protocols.device import CommandRequest, MediaNews
from wayframe.services import (
    DEVICES,
    TOKENS,
    Alarms,
    Assignments,
    Bin,
    Caller,
    Catalogue,
    ChannelHistory,
    Commands,
    Connection,
    Connections,
    Defaults,
    DeviceSettings,
    Directory,
    Entry,
    History,
    Idents,
    Journal,
    Links,
    Live,
    LiveSettings,
    MediaStore,
    Processing,
    Quota,
    Recordings,
    Removal,
    TokenKeys,
    Traffic,
)
from wayframe.storage import (
    CommandTable,
    Database,
    DirectoryBlobs,
    DirectorySpool,
    ItemTables,
    LogTable,
    MediaTable,
    PacketTable,
    StateTable,
    TelemetryTable,
)
from wayframe.storage.messages import MessageStore

NOW = 1_800_000_000.0
SECRET = bytes(range(32))
TACHOBOX, MDVR, TRACKER = 171, 5, 7
JT808 = 552
ALL = HistoryQuery()


class SettableClock:
    """Time that moves only when a test says so."""

    def __init__(self, now: float = NOW) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds


class SentLink:
    """The signalling link of a device, at its other end: what reached it, in order."""

    def __init__(self) -> None:
        self.requests: list[CommandRequest] = []
        self.canceled: list[int] = []
        self.news: list[tuple[int, MediaNews, float]] = []
        self.arrived = asyncio.Event()

    def execute(self, request: CommandRequest) -> None:
        self.requests.append(request)
        self.arrived.set()

    def cancel(self, command_id: int) -> None:
        self.canceled.append(command_id)

    def media_event(self, command_id: int, news: MediaNews, position: float = 0.0) -> None:
        self.news.append((command_id, news, position))

    async def received(self, count: int) -> list[CommandRequest]:
        """Wait for so many commands in all."""
        async with asyncio.timeout(10):
            while len(self.requests) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.requests


class Rooms:
    """Everything above storage and below the doors. `start`, `crash`, `restart`, `stop` as a node does."""

    def __init__(self, url: str, folder: Path, **settings: Any) -> None:
        self.url, self.folder = url, folder
        self.device_limit = settings.pop("device_limit", 10 << 30)
        self.workers_wanted = settings.pop("workers", False)
        self.conversion_slots = settings.pop("conversion_slots", 1)
        self.running = settings.pop("running", True)
        assert not settings, settings
        self.clock = SettableClock()
        self.free = 1 << 40
        """What the disk has left."""
        self.events: list[Event] = []
        """Everything announced since the last start."""
        self._seen = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        self.master_key = ""

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> Rooms:
        """Open, take up what is there, run."""
        self.db = Database(self.url)
        await self.db.open()
        await self.db.migrate()
        self._build()
        self.events = []
        self.bus.listen("#", self._heard)
        if self.workers_wanted:
            await self.workers.start()
        await self.spool.open()
        self.master_key = await self.directory.load() or self.master_key
        await self.assignments.load()
        await self.bin.load()
        self.announced_again = await self.history.recover()
        self.repaired = await self.media.load()
        await self.commands.load()
        await self.settings.load()
        await self.alarms.load()
        await self.idents.load()
        await self.channel_history.load()
        if self.running:
            self.run()
        return self

    def run(self) -> None:
        """Let the parts run that have loops."""
        works = [self.journal.run(), self.history.run(), self.media.run(2), self.commands.run(), self.live.run()]
        self.tasks += [asyncio.get_running_loop().create_task(work) for work in works]

    def _build(self) -> None:
        db, clock = self.db, self.clock
        self.bus = Bus()
        self.links = Links("http://media.example:9005")
        self.ids = MicrosecondIds(clock)
        self.blobs = DirectoryBlobs(self.folder / "blobs")
        self.spool = DirectorySpool(self.folder / "blobs" / "live")
        self.workers = MediaWorkers(1, MediaLimits(), self.conversion_slots)
        self.journal = Journal(LogTable(db), self.bus, self.links, clock)
        self.catalogue = Catalogue()
        tables = ItemTables(db)
        self.directory = Directory(
            tables=tables, catalogue=self.catalogue, journal=self.journal, keys=TokenKeys(SECRET),
            clock=clock, defaults=Defaults(31_536_000, 31_536_000),
        )  # fmt: skip
        self.messages = MessageStore(db)
        self.history = History(
            directory=self.directory, messages=self.messages, telemetry=TelemetryTable(db), logs=LogTable(db),
            state=StateTable(db), journal=self.journal, links=self.links, bus=self.bus, clock=clock, batch_rows=500,
            batch_ms=1,
        )  # fmt: skip
        self.connections = Connections(self.directory, self.journal, self.links)
        self.commands = Commands(
            table=CommandTable(db), directory=self.directory, connections=self.connections, journal=self.journal,
            links=self.links, clock=clock, ids=self.ids, results_keep_s=30 * 86_400,
        )  # fmt: skip
        self.processing = Processing(self.workers, self.blobs)
        self.quota = Quota(self.device_limit, 0, lambda: self.free)
        self.media_table = MediaTable(db)
        self.media = MediaStore(
            table=self.media_table, blobs=self.blobs, directory=self.directory, history=self.history,
            journal=self.journal, links=self.links, quota=self.quota, processing=self.processing, clock=clock,
            max_upload=4 << 30,
        )  # fmt: skip
        self.recordings = Recordings(
            media=self.media, commands=self.commands, processing=self.processing, blobs=self.blobs, clock=clock
        )
        self.live = Live(
            settings=LiveSettings(60.0, 120.0, False), media=self.media, commands=self.commands,
            connections=self.connections, processing=self.processing, journal=self.journal, links=self.links,
            spool=self.spool, clock=clock,
        )  # fmt: skip
        self.alarms = Alarms(self.directory, StateTable(db), clock)
        self.assignments = Assignments(tables.assignments, self.directory, self.journal)
        self.bin = Bin(tables.deleted, self.directory, clock)
        self.traffic = Traffic(PacketTable(db), self.directory, clock)
        self.idents = Idents(tables.idents, self.directory, self.connections, self.traffic, clock, self.ids)
        self.channel_history = ChannelHistory(self.messages, StateTable(db), self.directory, self.idents, clock)
        self.settings = DeviceSettings(
            table=tables.settings, directory=self.directory, commands=self.commands, journal=self.journal,
            bus=self.bus, clock=clock,
        )  # fmt: skip
        self.removal = Removal(
            directory=self.directory, assignments=self.assignments, bin=self.bin, connections=self.connections,
            commands=self.commands, media=self.media, history=self.history, traffic=self.traffic,
            settings=self.settings, idents=self.idents,
        )  # fmt: skip
        self.media.complete_command = self.commands.done
        self.media.fail_command = self.commands.failed
        self.commands.media_runs = lambda command: self.media.carries(command) or self.recordings.carries(command)
        self.connections.up = self.commands.wake

    async def crash(self) -> None:
        """Leave everything as kill -9 would: nothing is drained."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks = []
        await self.workers.stop()
        await self.blobs.close()
        await self.db.close()

    async def restart(self) -> None:
        """Crash, and start again."""
        await self.crash()
        await self.start()

    async def stop(self) -> None:
        """As a node stops."""
        await self.settings.settle()
        await self.live.stop()
        await self.recordings.stop()
        await self.history.drain()
        await self.journal.drain()
        await self.crash()

    # --- what happened --------------------------------------------------------------------------------------------

    def _heard(self, event: Event) -> None:
        self.events.append(event)
        self._seen.set()

    async def until(self, condition: Callable[[], Any], timeout_s: float = 10) -> Any:
        """Wait for what an event brings; looks again after each."""
        async with asyncio.timeout(timeout_s):
            while not (found := condition()):
                self._seen.clear()
                await self._seen.wait()
        return found

    def topics(self, prefix: str = "") -> list[str]:
        """Topics announced, in order."""
        return [event.topic for event in self.events if event.topic.startswith(prefix)]

    def payloads(self, topic: str) -> list[Any]:
        """What was announced on one topic."""
        return [event.payload for event in self.events if event.topic == topic]

    def retained(self, prefix: str = "") -> dict[str, Any]:
        """What a broker holds after all this."""
        kept: dict[str, Any] = {}
        for event in self.events:
            if event.retain and event.topic.startswith(prefix):
                kept[event.topic] = event.payload
        return {topic: payload for topic, payload in kept.items() if payload is not None}

    async def logs(self, entry: Entry, origin_type: int = 11, query: HistoryQuery = ALL) -> list[dict[str, Any]]:
        """An item's log, oldest first."""
        await self.journal.settled()
        return await self.history.logs(origin_type, [entry], query)

    async def codes(self, entry: Entry) -> list[int]:
        """Its event codes."""
        return [record["event_code"] for record in await self.logs(entry)]

    # --- shortcuts ------------------------------------------------------------------------------------------------

    def master(self) -> Caller:
        """The main account's master token."""
        token = self.directory.authenticate(self.master_key, "127.0.0.1")
        return self.directory.caller(token)

    async def caller(self, **body: Any) -> Caller:
        """Someone with a token of their own."""
        made = await self.directory.create(self.master(), TOKENS, {"ttl": 3600, **body})
        return self.directory.caller(self.directory.authenticate(made.view["key"], "127.0.0.1"))

    async def device(self, ident: str = "truck", type_id: int = MDVR, **body: Any) -> Entry:
        """A new device of the main account."""
        configuration = {"ident": ident, **body.pop("configuration", {})}
        fields = {"name": f"vehicle {ident}", "device_type_id": type_id, "configuration": configuration, **body}
        return await self.directory.create(self.master(), DEVICES, fields)

    def connect(self, entry: Entry, link: SentLink | None, **info: Any) -> tuple[Connection, list[tuple[int, str]]]:
        """An open connection of a device; with the closings that were asked of it."""
        closings: list[tuple[int, str]] = []
        facts = {
            "id": self.ids.next(), "channel_id": 1, "device_id": entry.id, "ident": entry.device.ident,
            "source": "198.51.100.7:4000", "established": self.clock.now(), **info,
        }  # fmt: skip
        connection = Connection(ConnectionInfo(**facts), lambda code, reason: closings.append((code, reason)), link)
        self.connections.add(entry, connection)
        return connection, closings

    async def upload(self, entry: Entry, content: bytes, name: str = "photo.jpg", **data: Any) -> dict[str, Any]:
        """Upload one file and wait until it is announced."""
        upload = await self.media.begin_upload([entry], len(content))
        try:
            await upload.write(content)
            return (await self.media.finish_upload(upload, name, data))[0]
        except BaseException:
            await upload.writer.abandon()
            raise

    async def file(self, uuid: str) -> MediaFile:
        """A row that must be there."""
        found = await self.media.get(uuid)
        assert found is not None
        return found

    def on_disk(self) -> set[str]:
        """Blob keys there are."""
        root = self.folder / "blobs"
        return {path.name for path in root.glob("??/??/*")}

    def temporary(self) -> list[Path]:
        """Unfinished files."""
        with contextlib.suppress(FileNotFoundError):
            return sorted((self.folder / "blobs" / "tmp").iterdir())
        return []

    def spooled(self) -> list[Path]:
        """Old live segments on disk."""
        return sorted(self.spool.root.iterdir())
