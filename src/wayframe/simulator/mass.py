"""Thousands of vehicles that only report positions, for load tests: one protocol object a vehicle, one scheduler.

No task, queue or timer belongs to a single vehicle; answer times go into a histogram of fixed size."""

from __future__ import annotations

import asyncio
import math
import struct
import time
from dataclasses import dataclass

from .bodies808 import Identity, Position, authenticate, location, register
from .device import log
from .fleet import Edition, idents, layout_of
from .road import City, road
from .wire808 import Layout, Msg, encode_frame, number_bcd, unescape

_TICK_S = 0.02
_HEARTBEAT_S = 90.0
_RECONNECT_S = 3.0
_MOST_AHEAD_S = 0.5
"""Reports the scheduler may be behind before it gives the delay up: a stuck loop must not end in a burst."""
_ROADS = 16
_MOST_PENDING = 1000
"""Unanswered reports a vehicle remembers."""
_TIMEZONE_S = 8 * 3600


@dataclass(frozen=True, slots=True)
class MassConfig:
    """Settings of a mass fleet."""

    host: str
    """Signalling server."""
    port: int
    """Signalling port."""
    first_ident: str
    """Ident of the first vehicle; the others follow it."""
    vehicles: int
    """How many."""
    edition: Edition = Edition.V2013
    """JT/T 808 edition."""
    rate: float = 100.0
    """Reports a second of the whole fleet."""
    connects_per_s: float = 500.0
    """Connections opened a second."""
    settle_s: float = 5.0
    """Longest wait for outstanding answers at the end."""


@dataclass(frozen=True, slots=True)
class MassSummary:
    """What a mass run did."""

    vehicles: int
    """Vehicles of the fleet."""
    online: int
    """Authenticated now, or when the run ended."""
    connects: int
    """Connections opened."""
    connect_failures: int
    """Connections that could not be opened."""
    disconnects: int
    """Connections that ended before the run did."""
    refused: int
    """Registrations and authentications refused."""
    sent: int
    """Location reports sent."""
    acknowledged: int
    """Location reports acknowledged with result 0."""
    rejected: int
    """Location reports answered with another result."""
    unanswered: int
    """Location reports without an answer."""
    seconds: float
    """From the first report to the last."""
    reports_per_s: float
    """Reports sent a second."""
    ack_ms_p50: float
    """Answer time, median, in ms."""
    ack_ms_p90: float
    """90th percentile."""
    ack_ms_p99: float
    """99th percentile."""
    ack_ms_max: float
    """Longest."""


class Histogram:
    """Times in buckets 5 % apart from 10 µs on: percentiles of any number of values in fixed memory."""

    _BASE_S = 1e-5
    _GROWTH = math.log(1.05)

    def __init__(self) -> None:
        self._counts = [0] * 320
        self.total = 0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one value."""
        index = int(math.log(max(seconds, self._BASE_S) / self._BASE_S) / self._GROWTH)
        self._counts[min(index, len(self._counts) - 1)] += 1
        self.total += 1
        self.longest = max(self.longest, seconds)

    def percentile(self, share: float) -> float:
        """Seconds below which `share` of the values lie, to 5 %; 0 without values."""
        wanted, seen = share * self.total, 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(self.longest, self._BASE_S * math.exp((index + 1) * self._GROWTH))
        return 0.0


class _Link(asyncio.Protocol):
    """One vehicle on the wire."""

    __slots__ = ("_buffer", "_fleet", "_layout", "_number", "_pending", "_serial", "index", "online", "transport")

    def __init__(self, fleet: MassFleet, index: int, ident: str, layout: Layout) -> None:
        self._fleet = fleet
        self.index = index
        self._layout = layout
        self._number = number_bcd(ident, layout)
        self._buffer = b""
        self._serial = 0
        self._pending: dict[int, float] = {}
        self.online = False
        self.transport: asyncio.Transport | None = None

    def write(self, message_id: int, body: bytes) -> int:
        serial = self._serial
        self._serial = (serial + 1) & 0xFFFF
        if self.transport is not None:
            frame = encode_frame(message_id, body, number=self._number, layout=self._layout, serial=serial)
            self.transport.write(frame)
        return serial

    def report(self, body: bytes) -> None:
        self._pending[self.write(Msg.LOCATION, body)] = time.perf_counter()
        if len(self._pending) > _MOST_PENDING:
            del self._pending[next(iter(self._pending))]
            self._fleet.lost_answers(1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._buffer = b""
        self._pending.clear()
        self.write(Msg.REGISTER, register(self._fleet.identity, self._layout))

    def data_received(self, data: bytes) -> None:
        *pieces, self._buffer = (self._buffer + data).split(b"\x7e") if self._buffer else data.split(b"\x7e")
        now = time.perf_counter()
        for piece in pieces:
            if piece:
                self._message(unescape(piece) if b"\x7d" in piece else piece, now)

    def _message(self, raw: bytes, now: float) -> None:
        message_id = raw[0] << 8 | raw[1]
        body_at = self._layout.header_length
        if message_id == Msg.P_GENERAL:
            serial, answered, result = struct.unpack_from(">HHB", raw, body_at)
            if answered == Msg.LOCATION:
                sent = self._pending.pop(serial, None)
                if sent is not None:
                    self._fleet.answered(now - sent, result)
            elif answered == Msg.AUTHENTICATE:
                self.online = result == 0
                self._fleet.signed_in(result)
        elif message_id == Msg.REGISTER_ANSWER:
            code = raw[body_at + 3 : -1].decode("ascii", "replace")
            if raw[body_at + 2] == 0:
                self.write(Msg.AUTHENTICATE, authenticate(self._fleet.identity, code, self._layout))
            else:
                self._fleet.signed_in(raw[body_at + 2])

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._fleet.lost(self, self.online, len(self._pending))
        self.online = False
        self._pending.clear()


class MassFleet:
    """Runs the vehicles: opens connections at a steady pace, then reports at a steady rate in turn."""

    def __init__(self, config: MassConfig) -> None:
        self._config = config
        self.identity = Identity()
        names = idents(config.first_ident, config.vehicles)
        self._links = [_Link(self, index, ident, layout_of(config.edition, index)) for index, ident in enumerate(names)]
        self._roads = [road(list(City)[seed % len(City)], seed) for seed in range(_ROADS)]
        self._times = Histogram()
        self._stopping = asyncio.Event()
        self._settled = asyncio.Event()
        self._to_connect: list[_Link] = self._links[::-1]
        self._online = self._connects = self._connect_failures = self._disconnects = self._refused = 0
        self._sent = self._acknowledged = self._rejected = self._gone = 0
        self._first = self._last = 0.0

    async def run(self) -> None:
        """Until `stop`: then no more reports, a wait for outstanding answers, and all connections closed."""
        async with asyncio.TaskGroup() as group:
            jobs = [group.create_task(job) for job in (self._connect(), self._report(), self._keep_alive())]
            await self._stopping.wait()
            for job in jobs:
                job.cancel()
        await self._settle()
        for link in self._links:
            if link.transport is not None:
                link.transport.close()

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()

    def summary(self) -> MassSummary:
        """The figures so far."""
        span = self._last - self._first
        milliseconds = [round(self._times.percentile(share) * 1000, 2) for share in (0.5, 0.9, 0.99)]
        return MassSummary(
            vehicles=len(self._links),
            online=self._online,
            connects=self._connects,
            connect_failures=self._connect_failures,
            disconnects=self._disconnects,
            refused=self._refused,
            sent=self._sent,
            acknowledged=self._acknowledged,
            rejected=self._rejected,
            unanswered=self._gone + self._outstanding,
            seconds=round(span, 3),
            reports_per_s=round(self._sent / span, 1) if span > 0 else 0.0,
            ack_ms_p50=milliseconds[0],
            ack_ms_p90=milliseconds[1],
            ack_ms_p99=milliseconds[2],
            ack_ms_max=round(self._times.longest * 1000, 2),
        )

    # ---- called by the links

    def answered(self, seconds: float, result: int) -> None:
        """A location report was answered."""
        self._times.add(seconds)
        if result == 0:
            self._acknowledged += 1
        else:
            self._rejected += 1
        self._check_settled()

    def signed_in(self, result: int) -> None:
        """A registration failed, or an authentication was answered."""
        if result == 0:
            self._online += 1
        else:
            self._refused += 1

    def lost_answers(self, count: int) -> None:
        """Answers that nobody waits for any more."""
        self._gone += count

    def lost(self, link: _Link, was_online: bool, outstanding: int) -> None:
        """A connection ended."""
        self._gone += outstanding
        self._check_settled()
        if not self._stopping.is_set():
            self._online -= was_online
            self._disconnects += 1
            asyncio.get_running_loop().call_later(_RECONNECT_S, self._to_connect.append, link)

    # ---- the three shared jobs

    async def _connect(self) -> None:
        """Open connections at the configured pace, at most 100 at a time."""
        allowance = 0.0
        while True:
            await asyncio.sleep(_TICK_S)
            allowance = min(allowance + self._config.connects_per_s * _TICK_S, 100.0)
            count = min(int(allowance), len(self._to_connect))
            allowance -= count
            if count:
                await asyncio.gather(*(self._open(self._to_connect.pop()) for _ in range(count)))

    async def _open(self, link: _Link) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(10):
                await loop.create_connection(lambda: link, self._config.host, self._config.port)
            self._connects += 1
        except (OSError, TimeoutError):
            self._connect_failures += 1
            loop.call_later(_RECONNECT_S, self._to_connect.append, link)

    async def _report(self) -> None:
        """Reports in turn; vehicles that are not online are passed over."""
        turn, due = 0, time.perf_counter()
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.perf_counter()
            if not self._online:
                due = now
                continue
            due = max(due, now - _MOST_AHEAD_S)
            count = int((now - due) * self._config.rate)
            due += count / self._config.rate
            for _ in range(count):
                for _ in self._links:
                    link = self._links[turn]
                    turn = (turn + 1) % len(self._links)
                    if link.online:
                        self._send(link)
                        break
            if count:
                self._first = self._first or now
                self._last = time.perf_counter()

    def _send(self, link: _Link) -> None:
        now = time.time()
        motion = self._roads[link.index % _ROADS].at(now + link.index * 7.3)
        position = Position(
            timestamp=now,
            latitude=motion.latitude,
            longitude=motion.longitude,
            altitude_m=motion.altitude_m,
            speed_kmh=motion.speed_kmh,
            course=motion.course,
            acc=motion.acc,
            mileage_km=motion.distance_km % 500_000,
            fuel_l=motion.fuel_l,
            signal=25,
            satellites=12,
        )
        link.report(location(position, _TIMEZONE_S))
        self._sent += 1

    async def _keep_alive(self) -> None:
        """A heartbeat of every vehicle now and then, a slice of the fleet each second."""
        slices = int(_HEARTBEAT_S)
        turn = 0
        while True:
            await asyncio.sleep(1)
            for link in self._links[turn::slices]:
                if link.online:
                    link.write(Msg.HEARTBEAT, b"")
            turn = (turn + 1) % slices

    async def _settle(self) -> None:
        self._check_settled()
        try:
            async with asyncio.timeout(self._config.settle_s):
                await self._settled.wait()
        except TimeoutError:
            log.warning("%d reports had no answer after %g s", self._outstanding, self._config.settle_s)

    @property
    def _outstanding(self) -> int:
        return self._sent - self._acknowledged - self._rejected - self._gone

    def _check_settled(self) -> None:
        if self._stopping.is_set() and self._outstanding <= 0:
            self._settled.set()
