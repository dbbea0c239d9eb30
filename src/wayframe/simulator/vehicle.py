"""A simulated vehicle: life cycle, signalling session, reports. The commands it obeys are in `commands`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine

from . import commands
from .alarms import AlarmBook
from .bodies808 import (
    DEFAULT_PARAMETERS,
    Position,
    authenticate,
    location,
    location_batch,
    parse_general,
    parse_register_answer,
    register,
)
from .config import VehicleConfig, VehicleStats
from .device import Device, log
from .ftp_upload import FtpUpload
from .link import Key, Link
from .media_stream import MediaStream
from .photos import Album
from .wire808 import Frame, Msg, WireError
from .wire_attachment import AlarmKind

_BATCH = 12
"""Reports in one 0x0704."""
_LOST_HEARTBEATS = 3
"""Unanswered heartbeats after which the link counts as dead."""


class SimulatedVehicle:
    """One vehicle. `await run()` until `stop()` or cancellation; `online` is set while it is authenticated."""

    def __init__(self, config: VehicleConfig, *, clock: Callable[[], float] = time.time) -> None:
        self.device = Device(config, clock)
        self.config = config
        self.online = asyncio.Event()
        self.parameters = dict(DEFAULT_PARAMETERS)
        self.report_s = config.report_s
        self.heartbeat_s = config.heartbeat_s
        self.tracking: tuple[float, float] | None = None
        """(interval in s, Unix time of its end) of 0x8202."""
        self.texts: deque[str] = deque(maxlen=100)
        """Texts the platform sent (0x8300)."""
        self.album = Album(self.device)
        self.alarms = AlarmBook(self.device)
        self.live: dict[int, MediaStream] = {}
        """Live streams by channel."""
        self.playback: dict[int, MediaStream] = {}
        """Playbacks by channel."""
        self.ftp_uploads: dict[int, FtpUpload] = {}
        """Running FTP uploads by the serial of their command."""
        self._code: str | None = None
        self._link: Link | None = None
        self._jobs: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._report_now = asyncio.Event()
        self._stored: deque[bytes] = deque(maxlen=config.blind_zone_limit)
        self._unacknowledged: OrderedDict[int, bytes] = OrderedDict()

    @property
    def stats(self) -> VehicleStats:
        """What happened so far."""
        return self.device.stats

    # ---- life

    async def run(self) -> None:
        """Drive, report and obey until `stop`. A bug in a job ends the vehicle with that exception."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self.spawn(self._stay_connected())
            self.spawn(self._report_forever())
            if self.config.alarm_every_s > 0:
                self.spawn(self._alarm_forever())
            if self.config.faults.disconnect_every_s > 0:
                self.spawn(self._disconnect_forever())
            await self._stopping.wait()
            for job in tuple(self._jobs):
                job.cancel()

    def stop(self) -> None:
        """End `run`; connections are closed."""
        self._stopping.set()

    def spawn(self, job: Coroutine[object, object, None]) -> None:
        """Run a job beside the others until the vehicle stops. A connection that breaks ends only the job."""
        task = self._group.create_task(self._guarded(job))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _guarded(self, job: Coroutine[object, object, None]) -> None:
        try:
            await job
        except (OSError, TimeoutError, WireError) as error:
            log.info("%s: %s ended: %r", self.config.ident, getattr(job, "__qualname__", "job"), error)

    def disconnect(self) -> None:
        """Close the signalling link; the vehicle dials again after its pause."""
        if self._link:
            self._link.close()

    def forget_code(self) -> None:
        """Drop the authentication code, so that the next connection registers again."""
        self._code = None

    # ---- signalling session

    async def _stay_connected(self) -> None:
        while True:
            try:
                await self._session()
            except (OSError, TimeoutError, WireError) as error:
                log.info("%s: signalling link ended: %r", self.config.ident, error)
            await asyncio.sleep(self.config.reconnect_s)

    async def _session(self) -> None:
        link = await Link.open(self.device, self.config.host, self.config.port)
        self.stats.connects += 1
        receiving = asyncio.ensure_future(self._receive(link))
        talking = asyncio.ensure_future(self._talk(link))
        try:
            await asyncio.wait((receiving, talking), return_when=asyncio.FIRST_COMPLETED)
            for job in (talking, receiving):
                if job.done():
                    job.result()
        finally:
            self.online.clear()
            self._link = None
            receiving.cancel()
            talking.cancel()
            link.close()
            await asyncio.gather(receiving, talking, return_exceptions=True)
            self._stored.extend(self._unacknowledged.values())
            self._unacknowledged.clear()

    async def _talk(self, link: Link) -> None:
        """Register, authenticate, deliver what was stored, then heartbeats."""
        await self._sign_in(link)
        self._link = link
        self.online.set()
        self.stats.authenticated += 1
        if self.device.layout.newer:
            link.write(Msg.TIME_REQUEST, b"")
        await self._deliver_stored(link)
        lost = 0
        while lost < _LOST_HEARTBEATS:
            await asyncio.sleep(self.heartbeat_s)
            link.ask_missing_parts()
            try:
                await link.request(Msg.HEARTBEAT, b"")
                lost = 0
            except TimeoutError:
                lost += 1
        raise ConnectionError("the platform answers no heartbeats")

    async def _sign_in(self, link: Link) -> None:
        identity, layout = self.config.identity, self.device.layout
        if self._code is None:
            answer = str(await link.request(Msg.REGISTER, register(identity, layout), "register"))
            result, _, code = answer.partition(" ")
            if result != "0":
                raise ConnectionError(f"registration refused with result {result}")
            self._code = code
        if await link.request(Msg.AUTHENTICATE, authenticate(identity, self._code, layout)) != 0:
            self._code = None
            raise ConnectionError("authentication refused")

    async def _deliver_stored(self, link: Link) -> None:
        """Blind-zone reports in batches; a batch leaves the store when it is acknowledged."""
        while self._stored:
            batch = [self._stored[index] for index in range(min(_BATCH, len(self._stored)))]
            body = location_batch(batch)
            self.stats.reports += len(batch)
            await link.request(Msg.LOCATION_BATCH, body)
            self.stats.acknowledged += len(batch)
            for _ in batch:
                self._stored.popleft()

    async def _receive(self, link: Link) -> None:
        async for frame, body in link.messages():
            match frame.message_id:
                case Msg.P_GENERAL:
                    answer = parse_general(body)
                    if answer.message_id == Msg.LOCATION and answer.serial in self._unacknowledged:
                        del self._unacknowledged[answer.serial]
                        self.stats.acknowledged += 1
                    link.resolve(Key("ack", answer.serial), answer.result)
                case Msg.REGISTER_ANSWER:
                    registered = parse_register_answer(body)
                    link.resolve(Key("register", registered.serial), f"{registered.result} {registered.code}")
                case _:
                    self._command(link, frame, body)

    def _command(self, link: Link, frame: Frame, body: bytes) -> None:
        self.stats.commands += 1
        faults = self.config.faults
        if frame.message_id in faults.never_answer:
            return
        self.spawn(commands.obey(self, link, frame, body, faults.answer_delay_s))

    # ---- reports

    def position(self, timestamp: float | None = None) -> Position:
        """Where it is now, or at a time."""
        return self.device.position(self.device.clock() if timestamp is None else timestamp)

    def raise_alarm(self, kind: AlarmKind) -> bytes:
        """Report an alarm with attachments at once; returns its identifier."""
        alarm = self.alarms.raise_alarm(kind, self.device.clock())
        self._report(location(alarm.position, self.config.timezone_s, self.alarms.item(alarm)))
        return alarm.identifier

    def report_soon(self) -> None:
        """Make the next location report due now: its interval has changed."""
        self._report_now.set()

    def _report(self, body: bytes) -> None:
        """Send a location report, or keep it for the next connection."""
        link = self._link
        if link is None:
            self._stored.append(body)
            return
        copies = 2 if self.device.chance.random() < self.config.faults.duplicate_reports else 1
        for _ in range(copies):
            serial = link.write(Msg.LOCATION, body)
            self._unacknowledged[serial] = body
            self.stats.reports += 1
        while len(self._unacknowledged) > self.config.blind_zone_limit:
            self._unacknowledged.popitem(last=False)

    async def _report_forever(self) -> None:
        # The first report waits a moment for the connection; without one it is stored like the others.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.report_s):
                await self.online.wait()
        while True:
            position = self.position()
            self._report(location(position, self.config.timezone_s))
            self._report_now.clear()
            try:
                async with asyncio.timeout(self._interval(position)):
                    await self._report_now.wait()
            except TimeoutError:
                continue

    def _interval(self, position: Position) -> float:
        if self.tracking and self.device.clock() < self.tracking[1]:
            return self.tracking[0]
        return self.report_s if position.acc else max(self.report_s, min(60.0, self.report_s * 3))

    async def _alarm_forever(self) -> None:
        await self.online.wait()
        await asyncio.sleep(self.config.first_alarm_s)
        number = 0
        while True:
            self.raise_alarm(self.config.alarms[number % len(self.config.alarms)])
            number += 1
            await asyncio.sleep(self.config.alarm_every_s)

    async def _disconnect_forever(self) -> None:
        while True:
            await asyncio.sleep(self.config.faults.disconnect_every_s)
            self.disconnect()

    # ---- media

    def start_stream(self, streams: dict[int, MediaStream], stream: MediaStream) -> None:
        """Run a stream as the one of its channel; an earlier one there ends."""
        channel = stream.plan.camera.channel
        if earlier := streams.get(channel):
            earlier.stop()
        streams[channel] = stream
        self.spawn(self._stream(streams, stream))

    async def _stream(self, streams: dict[int, MediaStream], stream: MediaStream) -> None:
        channel = stream.plan.camera.channel
        try:
            await stream.run()
        finally:
            if streams.get(channel) is stream:
                del streams[channel]
