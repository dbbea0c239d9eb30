"""The composition root: every object of a server, built once, started and stopped in order.

The only place that knows everything, and it knows no logic. Stopping goes the other way round: no new work, devices
and viewers closed, open transfers abandoned without trace, batches written.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from wayframe import __version__
from wayframe.api import DoorSettings, GalleryOnly, HttpServer, build_app
from wayframe.broker import MqttDoor, MqttPorts
from wayframe.bus import Bus
from wayframe.certificates import CertificateError
from wayframe.config import Settings
from wayframe.gateway import Gateway
from wayframe.intake import DropIntake, FtpIntake, FtpSettings, sftp_fetcher
from wayframe.media import MediaLimits, MediaWorkers
from wayframe.metrics import registry_of
from wayframe.model import Channel, MicrosecondIds, SystemClock
from wayframe.model.events import Event
from wayframe.outgoing import HttpSender
from wayframe.protocols.device import DeviceSession, Endpoints
from wayframe.protocols.registry import PROTOCOLS, SessionOptions
from wayframe.rest import RestApi
from wayframe.services import (
    CHANNELS,
    CUSTOMER,
    Alarms,
    Assignments,
    Bin,
    Catalogue,
    ChannelHistory,
    Commands,
    Connections,
    Defaults,
    DeviceSettings,
    Directory,
    GallerySettings,
    History,
    Idents,
    Journal,
    Links,
    Live,
    LiveSettings,
    MediaStore,
    MqttSessions,
    Processing,
    Quota,
    RateLimiter,
    Recordings,
    Removal,
    Services,
    Statistics,
    TokenKeys,
    Traffic,
    Transfers,
    gallery_rooms,
)
from wayframe.storage import (
    CommandTable,
    Database,
    DirectoryBlobs,
    DirectorySpool,
    ItemTables,
    LogTable,
    MediaTable,
    MqttTable,
    PacketTable,
    StateTable,
    TelemetryTable,
    UserTable,
    secret,
)
from wayframe.storage.messages import MessageStore
from wayframe.wiring import (
    JT808,
    broker_settings,
    certificate_of,
    gateway_settings,
    http_doors,
    listed,
    site_of,
    with_free_ports,
)

log = structlog.get_logger("wayframe.node")

_CERTIFICATE_S = 10.0
"""How late a certificate that somebody renewed is taken up."""
_TELEMETRY_S = 5.0
"""Telemetry is rebuilt from the messages after a crash, so this only bounds how much is announced again."""
_IDENTS_S = 5.0
"""An ident that came since is forgotten in a crash, until it comes again."""
_RATES_S = 60.0
"""A crash forgets what of a rate was used since."""
_TOKENS_S = 0.5
"""How late a token may be found to be over; connections that it opened end with it."""


class Node:
    """One server."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings = with_free_ports(settings)
        self.clock = SystemClock()
        self.ids = MicrosecondIds(self.clock)
        self.bus = Bus()
        self.master_key: str | None = None
        """The key of the master token, on the very first start only."""
        self._running: list[asyncio.Task[None]] = []
        self._failing: set[str] = set()
        self._secret_path = settings.secret_file
        self.certificate = certificate_of(settings, self.clock) if settings.tls == "on" else None
        """What every TLS door uses: `certificate.context`; None where TLS is off."""
        self.db = Database(settings.database)
        self.blobs = DirectoryBlobs(settings.blobs)
        self.spool = DirectorySpool(settings.blobs / "live")
        self.workers = MediaWorkers(
            size=settings.media_workers,
            limits=MediaLimits(memory_bytes=settings.worker_memory_bytes),
            conversion_slots=settings.live_conversions,
        )

    # --- building -----------------------------------------------------------------------------------------------

    def _build(self, secret: bytes) -> None:
        """Make every object; nothing runs yet."""
        settings, clock, db = self.settings, self.clock, self.db
        links = Links(settings.url)
        journal = Journal(LogTable(db), self.bus, links, clock)
        catalogue = Catalogue(PROTOCOLS)
        tables = ItemTables(db)
        directory = Directory(
            tables=tables,
            catalogue=catalogue,
            journal=journal,
            keys=TokenKeys(secret),
            clock=clock,
            defaults=Defaults(
                settings.default_messages_ttl, settings.default_media_ttl, listed(settings.private_destinations)
            ),
        )
        self.message_store = MessageStore(db)
        history = History(
            directory=directory,
            messages=self.message_store,
            telemetry=TelemetryTable(db),
            logs=LogTable(db),
            state=StateTable(db),
            journal=journal,
            links=links,
            bus=self.bus,
            clock=clock,
            batch_rows=settings.message_batch_rows,
            batch_ms=settings.message_batch_ms,
        )
        connections = Connections(directory, journal, links)
        commands = Commands(
            table=CommandTable(db),
            directory=directory,
            connections=connections,
            journal=journal,
            links=links,
            clock=clock,
            ids=self.ids,
            results_keep_s=settings.results_keep_s,
        )
        processing = Processing(self.workers, self.blobs)
        quota = Quota(settings.device_media_limit, settings.min_free_disk_bytes, self.blobs.free_bytes)
        quota.account_limit = lambda cid: directory.limits.value(cid, "device_media_storage")
        media = MediaStore(
            table=MediaTable(db),
            blobs=self.blobs,
            directory=directory,
            history=history,
            journal=journal,
            links=links,
            quota=quota,
            processing=processing,
            clock=clock,
            max_upload=settings.max_upload_bytes,
        )
        recordings = Recordings(media=media, commands=commands, processing=processing, blobs=self.blobs, clock=clock)
        live = Live(
            settings=LiveSettings(settings.live_idle_s, settings.chunk_keep_s, settings.live_h265 == "pass"),
            media=media,
            commands=commands,
            connections=connections,
            processing=processing,
            journal=journal,
            links=links,
            spool=self.spool,
            clock=clock,
        )
        alarms = Alarms(directory, StateTable(db), clock)
        assignments = Assignments(tables.assignments, directory, journal)
        bin = Bin(tables.deleted, directory, clock)
        traffic = Traffic(PacketTable(db), directory, clock)
        idents = Idents(tables.idents, directory, connections, traffic, clock, self.ids)
        channel_history = ChannelHistory(self.message_store, StateTable(db), directory, idents, clock)
        device_settings = DeviceSettings(
            table=tables.settings, directory=directory, commands=commands, journal=journal, bus=self.bus, clock=clock
        )
        removal = Removal(
            directory=directory,
            assignments=assignments,
            bin=bin,
            connections=connections,
            commands=commands,
            media=media,
            history=history,
            traffic=traffic,
            settings=device_settings,
            idents=idents,
        )
        removal.clear_account.append(UserTable(db).delete_of_account)
        transfers = Transfers(
            media=media, commands=commands, blobs=self.blobs, clock=clock, max_upload=settings.max_upload_bytes
        )
        gallery = gallery_rooms(
            GallerySettings(
                settings.drop_dir,
                settings.gallery_public_dir,
                settings.blobs / "pulls",
                settings.pull_parallel,
                settings.harvest_parallel,
                listed(settings.private_destinations),
            ),
            db=db,
            secret=secret,
            blobs=self.blobs,
            media=media,
            processing=processing,
            commands=commands,
            connections=connections,
            directory=directory,
            journal=journal,
            links=links,
            bus=self.bus,
            clock=clock,
            fetcher=sftp_fetcher(settings.pull_networks),
            sender=HttpSender(listed(settings.private_destinations)),
        )
        self.services = Services(
            catalogue, directory, journal, history, connections, commands, media, recordings, live, links, alarms,
            MqttSessions(directory), assignments, bin, removal, traffic, device_settings, transfers, gallery,
            idents, channel_history, Statistics(directory, clock),
        )  # fmt: skip
        removal.clear_account.append(gallery.hooks.forget_account)
        self.drops = DropIntake(gallery.folders, gallery.events, media, self.blobs, directory, clock)
        self.gateway = Gateway(
            gateway_settings(settings),
            self.services,
            self.blobs,
            self._session_factory(secret),
            clock,
            self.ids,
        )
        ftp = FtpSettings(settings.device_host, settings.ftp_port, settings.public_device_host, settings.passive_ports)
        self.ftp = FtpIntake(ftp, transfers, self.gateway.admission)
        media.complete_command = commands.done
        media.fail_command = commands.failed
        commands.media_runs = self.gateway.media_runs
        connections.up = commands.wake
        connections.down = lambda entry: self.gateway.spawn(commands.connection_lost(entry))
        directory.channel_uris(self.gateway.uri)
        site = site_of(settings)
        limiter = RateLimiter(settings.requests_per_second, settings.requests_burst)
        self.rest = RestApi(self.services, site, clock, limiter=limiter)
        door = DoorSettings(
            version=__version__,
            max_body_bytes=settings.max_body_bytes,
            public_url=settings.public_url,
            metrics_token=settings.metrics_token,
            gallery_url_tokens=settings.gallery_url_tokens == "on",
        )
        self.mqtt = MqttDoor(
            broker_settings(settings),
            MqttPorts(settings.mqtt_host, settings.mqtt_port, settings.mqtts_port if self.certificate else None),
            services=self.services,
            rest=self.rest,
            table=MqttTable(db),
            bus=self.bus,
            clock=clock,
            ids=self.ids,
            tls=self.certificate.context if self.certificate is not None else None,
        )
        history.heard = self.mqtt.settle
        self.metrics = registry_of(self.services, self.gateway, self.bus, self.mqtt)
        app = build_app(self.rest, door, ready=self.ready, metrics=self.metrics, websocket=self.mqtt.websocket)
        self.doors: dict[str, HttpServer] = {}
        """HTTP listeners, by the setting of their port."""
        for name, host, tls in http_doors(settings):
            self.doors[name] = HttpServer(
                app,
                host,
                getattr(settings, name),
                tls=self.certificate.context if tls and self.certificate is not None else None,
                trusted_proxies=settings.trusted_proxies,
                ws_bytes=settings.mqtt_max_packet_bytes,
            )
        self.doors["gallery_port"] = HttpServer(
            GalleryOnly(app, app.hot),
            settings.http_host,
            settings.gallery_port,
            trusted_proxies=settings.trusted_proxies,
        )
        self.http = self.doors["http_port"]
        self.https = self.doors.get("https_port")

    def _session_factory(self, secret: bytes) -> Callable[[Channel, Endpoints], DeviceSession]:
        protocols = {protocol.id: protocol for protocol in PROTOCOLS}

        def open_session(channel: Channel, endpoints: Endpoints) -> DeviceSession:
            options = SessionOptions(
                endpoints=endpoints,
                secret=secret,
                token_hex=secrets.token_hex,
                idle_s=self.settings.device_idle_s,
                strict=channel.configuration.get("auth", self.settings.jt808_auth) == "strict",
            )
            return protocols[channel.protocol_id].open_session(options)

        return open_session

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the database, take up what a stop or crash left, then open the doors."""
        gc.disable()  # what is read now stays: to look through it as it grows takes half of the start
        try:
            await self._take_up()
            await self._open_doors()
        finally:
            gc.enable()

    async def _take_up(self) -> None:
        """Everything up to the doors."""
        if self.certificate is not None:
            await asyncio.to_thread(self.certificate.refresh)
        await self.db.open()
        await self.db.migrate(self._backup_before_migration)
        await self.message_store_opened()
        await self.spool.open()
        await self.workers.start()
        services = self.services
        self.master_key = await services.directory.load()
        await services.directory.meter.load(StateTable(self.db))
        await services.assignments.load()
        await services.bin.load()
        await self._default_channel()
        await self.mqtt.load()  # before anything is announced again: sessions that keep messages must hear of it
        again = await services.history.recover()
        if again:
            log.warning("messages_announced_again", count=again)
        for sentence in await services.media.load():
            log.warning("media_repaired", what=sentence)
        await services.commands.load()
        for sentence in await services.gallery.load():
            log.warning("gallery_repaired", what=sentence)
        await services.settings.load()
        await services.alarms.load()
        await services.idents.load()
        await services.channel_history.load()
        self._run(services.journal.run(), "journal")
        self._run(services.history.run(), "history")
        self._run(services.media.run(max(2, self.settings.media_workers * 2)), "media")
        self._run(services.commands.run(), "commands")
        self._run(services.gallery.pulls.run(), "pulls")
        self._run(services.gallery.harvests.run(), "harvests")
        self._run(services.gallery.calls.run(), "hooks")
        self._run(self.drops.run(), "drop folders")
        self._run(services.live.run(), "live")
        self._run(services.traffic.run(), "traffic")
        self._run(self.gateway.run(), "gateway")
        self._run(self.mqtt.run(), "mqtt")
        self._run(self._every(_TELEMETRY_S, "saving telemetry", services.history.save_telemetry), "telemetry")
        self._run(self._every(_IDENTS_S, "saving idents", services.idents.save), "idents")
        self._run(self._every(self.settings.upkeep_s, "upkeep", self._upkeep), "upkeep")
        if self.certificate is not None:
            self._run(self._every(_CERTIFICATE_S, "the certificate", self._look_at_certificate), "certificate")
        self._run(self._every(_RATES_S, "saving rates", self._save_rates), "rates")
        self._run(self._every(_TOKENS_S, "ending tokens", services.directory.end_tokens), "tokens")

    async def _open_doors(self) -> None:
        services = self.services
        await self.ftp.start()
        await self.gateway.start()
        for entry in services.directory.entries(CHANNELS):
            assert isinstance(entry.item, Channel)
            await self.gateway.open_channel(entry.item)
        services.directory.channel_uris(self.gateway.uri)
        self.bus.listen("flespi/log/gw/channels/+/created,updated,deleted", self._channel_changed)
        self.bus.listen("flespi/log/gw/devices/+/updated,deleted", self._device_changed)
        self.bus.listen("flespi/log/platform/subaccounts/+/updated", self._account_changed)
        ports: dict[str, int | None] = {}
        for name, door in self.doors.items():
            await door.start()
            ports[name] = door.port
        await self.mqtt.start()
        ports |= {"mqtt_port": self.mqtt.port, "mqtts_port": self.mqtt.tls_port}
        _settle_garbage()
        log.info("ready", url=services.links.base, **ports, **self.gateway.ports())

    async def message_store_opened(self) -> None:
        """Build the house on the open database."""
        node_secret = await asyncio.to_thread(secret.load_or_create, self._secret_path)
        self._build(node_secret)

    async def stop(self) -> None:
        """Close doors, then write what is under way. Takes at most `stop_grace_s`."""
        log.info("stopping")
        services = self.services
        await self.mqtt.stop()
        await asyncio.gather(*(door.stop() for door in self.doors.values()))
        await services.live.stop()
        await self.ftp.stop()
        await self.gateway.stop()
        await services.transfers.stop()
        await services.recordings.stop()
        await services.alarms.settle()
        await services.settings.settle()
        await services.history.drain()
        await services.journal.drain()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await services.history.drain()
        await services.journal.drain()
        await services.traffic.flush()
        await services.idents.save()
        await services.directory.save_token_use()
        await services.directory.save_activity()
        await self._save_rates()
        await services.journal.drain()
        await self.workers.stop()
        await self.blobs.close()
        await self.db.close()
        log.info("stopped")

    async def run(self) -> None:
        """Start, serve until SIGTERM or SIGINT, stop."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        await self.start()
        self._greet()
        await ended.wait()
        try:
            async with asyncio.timeout(self.settings.stop_grace_s):
                await self.stop()
        except TimeoutError:
            log.error("stopped_late", grace_s=self.settings.stop_grace_s)

    def ready(self) -> str:
        """Empty when requests can be served, else why not."""
        stopped = [task.get_name() for task in self._running if task.done()]
        if stopped:
            return f"these parts have stopped: {', '.join(stopped)}"
        return f"this fails since its last try: {', '.join(sorted(self._failing))}" if self._failing else ""

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(_report_end)
        self._running.append(task)

    async def _every(self, seconds: float, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
                self._failing.discard(name)
            except Exception:
                self._failing.add(name)
                log.exception("upkeep_failed", work=name)

    async def _upkeep(self) -> None:
        """Every `upkeep_s`: retention, compaction, activity."""
        services, now = self.services, self.clock.now()
        await services.media.expire()
        await services.alarms.expire()
        await services.removal.expire()
        await services.traffic.expire()
        await services.idents.expire()
        await services.directory.save_token_use()
        await services.directory.save_activity()
        await services.commands.purge()
        await services.gallery.upkeep()
        await LogTable(self.db).purge(now - self.settings.logs_keep_s)
        await self.message_store.compact(now, announced=services.history.saved_seq)
        await self.message_store.retain(services.history.limits(), now)

    async def _save_rates(self) -> None:
        """What accounts used of their rates, and which doors are shut."""
        await self.services.directory.meter.save(StateTable(self.db))

    async def _look_at_certificate(self) -> None:
        """Take up a certificate that was renewed, or renew our own."""
        assert self.certificate is not None
        try:
            if await asyncio.to_thread(self.certificate.refresh):
                log.info("certificate_taken_up")
        except CertificateError as error:
            # A renewal writes two files one after the other; between them they do not fit.
            log.warning("certificate_kept", reason=error.reason)

    async def _backup_before_migration(self) -> None:
        from wayframe.storage.backup import backup  # only where a migration is due

        now = self.clock.now()
        target = self.settings.backups / f"before-migration-{int(now)}.tar"
        target.parent.mkdir(parents=True, exist_ok=True)
        log.warning("backup_before_migration", file=str(target))
        secret_file = self._secret_path if self._secret_path.exists() else None
        await backup(self.db, self.blobs, target, with_blobs=False, now=now, version=__version__, secret=secret_file)

    async def _default_channel(self) -> None:
        """A server without channels gets one for JT/T 808 on the default port."""
        directory = self.services.directory
        if directory.count(CHANNELS):
            return
        account = next(directory.entries(CUSTOMER))
        await directory.create_channel(account.id, {"name": "JT/T 808", "protocol_id": JT808})

    def _channel_changed(self, event: Event) -> None:
        """A channel was made, changed or removed: its listener follows."""
        channel_id = int(event.topic.split("/")[4])
        entry = self.services.directory.find(CHANNELS, channel_id)
        if entry is None:
            self.gateway.spawn(self.gateway.close_channel(channel_id))
        else:
            assert isinstance(entry.item, Channel)
            self.gateway.spawn(self.gateway.open_channel(entry.item))

    def _account_changed(self, event: Event) -> None:
        """An account was changed: blocked or not, its channels and devices follow."""
        self.gateway.check_account(int(event.topic.split("/")[4]))

    def _device_changed(self, event: Event) -> None:
        """A device was changed or removed: a connection it may no longer have is closed."""
        self.gateway.check_device(int(event.topic.split("/")[4]))

    def _greet(self) -> None:
        """Say once, on the terminal, how to begin."""
        if self.master_key is None:
            return
        base = self.services.links.base
        print(
            f"\n  Wayframe is ready at {base}\n"
            f"  Devices connect to {self.settings.public_device_host or socket.gethostname()}:"
            f"{self.settings.jt808_port} (JT/T 808)\n"
            f"  Master token, shown this once:\n\n    {self.master_key}\n",
            flush=True,
        )


def _settle_garbage() -> None:
    """What exists now lives as long as the server: full collections need not look at it, and come seldom.

    Measured with 10,000 devices: full collections took 6 % of the CPU and made the tail of the acknowledgements.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("part_failed", part=task.get_name(), exc_info=error)
