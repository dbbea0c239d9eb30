"""What the benchmarks of MQTT share: both brokers on one core, and a load that costs far less than they do.

The load is one Python process on the other core. Packets are made before the run; what comes back is counted in bytes
(the kernel throws it away, MSG_TRUNC) or, for QoS 1, acknowledged by cutting the packet identifiers out of whole reads.
It keeps a window of messages between the brokers' ends: a message goes out when an earlier one has arrived everywhere,
so that nothing is dropped, and a broker is busy all the time. Both brokers get the very same bytes (MQTT 3.1.1).
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from _bench import CpuMeter, House, end, house, pid_of, spawn

from wayframe.mqtt import V5, V311, Connect, PacketType, Subscribe, Wish
from wayframe.mqtt.packets import Publish, encode, frame

_MOSQUITTO = "/usr/sbin/mosquitto"
_STALLED_S = 5.0
_PAUSE_S = 0.0005
"""Between two looks at the sockets: a load that is always awake makes every write of a broker dearer."""
_WARM_S = 60.0
_READ = 1 << 20
_buffer = bytearray(_READ)


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that runs."""

    name: str
    port: int
    pid: int
    user: str
    """User name of a CONNECT."""


# ---- brokers


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def mosquitto() -> Iterator[Broker]:
    """Debian's Mosquitto on the servers' core, with nothing that holds it back: no limits, no logging, no Nagle."""
    with tempfile.TemporaryDirectory(prefix="mosquitto-bench-") as folder:
        port = _free_port()
        settings = [
            f"listener {port} 127.0.0.1", "allow_anonymous true", "log_type error", "persistence false", "user root",
            "set_tcp_nodelay true", "max_queued_messages 0", "max_connections -1",
        ]  # fmt: skip
        config = Path(folder, "mosquitto.conf")
        config.write_text("\n".join(settings) + "\n")
        process = spawn([_MOSQUITTO, "-c", str(config)], Path(folder))
        try:
            _until_listening(port, process)
            yield Broker("Mosquitto", port, process.pid, "")
        finally:
            end(process)


def _until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit("mosquitto does not start: is the Debian package installed?")


def as_broker(server: House) -> Broker:
    """Our server's MQTT door, used with the master token: rights and persistence as for everybody."""
    return Broker("Wayframe", server.ports["mqtt"], pid_of(server), server.key)


@contextlib.contextmanager
def both() -> Iterator[tuple[Broker, Broker]]:
    """Ours and Mosquitto, on the same core; the one that is not measured is idle."""
    with house() as server, mosquitto() as other:
        yield as_broker(server), other


# ---- clients


def connect(broker: Broker, name: str, version: int = V311, source: str = "") -> socket.socket:
    """A connected client with a clean session. Raises OSError, SystemExit if it is refused."""
    sock = socket.create_connection(("127.0.0.1", broker.port), 30, (source, 0) if source else None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(encode(Connect(version, name, keep_alive=1200, username=broker.user or None), version))
    first, body = read_packet(sock)
    if first != PacketType.CONNACK << 4 or body[1]:
        raise SystemExit(f"{broker.name} refuses a client: {body!r}")
    sock.settimeout(None)
    return sock


def subscribe(sock: socket.socket, text: str, qos: int, version: int = V311) -> None:
    """Subscribe, and wait for the answer."""
    sock.sendall(encode(Subscribe(1, [Wish(text, qos)]), version))
    while True:
        first, body = read_packet(sock)
        if first == PacketType.SUBACK << 4:
            if body[-1] > 2:
                raise SystemExit(f"the subscription {text} is refused")
            return


def read_packet(sock: socket.socket) -> tuple[int, bytes]:
    """First byte and body of the next packet."""
    first, length, shift = _exactly(sock, 1)[0], 0, 0
    while True:
        byte = _exactly(sock, 1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return first, _exactly(sock, length)


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = sock.recv(count, socket.MSG_WAITALL) if count else b""
    if len(data) < count:
        raise SystemExit("a broker closed a connection of the load")
    return data


def publish(topic: str, payload: bytes, qos: int = 0, packet_id: int = 0, version: int = V311) -> bytes:
    """A PUBLISH as bytes."""
    return encode(Publish(topic, payload, qos, packet_id=packet_id), version)


# ---- load


@dataclass(frozen=True, slots=True)
class Rate:
    """What a run gave."""

    deliveries: int
    wall_s: float
    cpu_s: float
    """Of the broker, all its threads."""
    load_s: float
    """CPU seconds of the load."""
    lost: int
    """Messages that did not arrive."""

    @property
    def per_s(self) -> float:
        """Deliveries a second."""
        return self.deliveries / self.wall_s

    @property
    def per_cpu(self) -> float:
        """Deliveries for a second of one core."""
        return self.deliveries / self.cpu_s


@dataclass(slots=True)
class Case:
    """A load."""

    what: str
    filters: Sequence[str]
    """Topic filter of each subscriber."""
    topics: Sequence[str]
    """Topics that are published to in turn, all of one length."""
    payload: bytes
    copies: int
    """Subscribers that get each message."""
    publishers: int = 1
    qos: int = 0
    window: int = 2000
    """Messages under way for each publisher."""
    version: int = V311
    seconds: float = 3.0
    cycle: int = field(init=False)
    """Messages after which a publisher's bytes repeat."""

    def __post_init__(self) -> None:
        self.cycle = max(len(self.topics), self.window)

    def bytes_of_publisher(self) -> bytes:
        """Everything a publisher sends before it starts again. Identifiers are free again after one cycle."""
        return b"".join(
            publish(self.topics[number % len(self.topics)], self.payload, self.qos, number % 65535 + 1, self.version)
            for number in range(self.cycle)
        )


class Run:
    """One case on one broker."""

    def __init__(self, broker: Broker, case: Case) -> None:
        self._broker = broker
        self._case = case
        self._block = memoryview(case.bytes_of_publisher())
        self._size = len(self._block) // case.cycle
        self._publishers = [connect(broker, f"p{number}", case.version) for number in range(case.publishers)]
        self._subscribers = [connect(broker, f"s{number}", case.version) for number in range(len(case.filters))]
        for sock, text in zip(self._subscribers, case.filters, strict=True):
            subscribe(sock, text, case.qos, case.version)
        self._sent = [0] * case.publishers
        """Bytes."""
        self._received = 0
        """Bytes that subscribers got."""
        self._acknowledged = 0
        """Bytes that publishers got."""
        self._lost = 0
        self._rests: dict[int, bytes] = {}
        self._delivered = self._size + self._added()

    def _added(self) -> int:
        """Bytes by which a delivery is longer than the message: ours stamps those for subscribers of MQTT 5."""
        if self._case.version != V5:
            return 0
        self._publishers[0].sendall(self._block[: self._size])
        sizes = {len(frame(*read_packet(sock))) for sock in self._subscribers}
        return sizes.pop() - self._size

    @property
    def _arrived(self) -> float:
        """Messages that are through, for every publisher."""
        case = self._case
        done = self._received / (self._delivered * case.copies)
        if case.qos:
            done = min(done, self._acknowledged / 4)
        return (done + self._lost) / case.publishers

    def _top_up(self) -> None:
        """Send as far as the window goes, a quarter of it at least."""
        case, block, size = self._case, self._block, self._size
        limit = int(self._arrived + case.window) * size
        least = case.window // 4 * size
        for index, sock in enumerate(self._publishers):
            sent = self._sent[index]
            free = limit - sent
            if free < least:
                continue
            place = sent % len(block)
            try:
                self._sent[index] += sock.send(block[place : place + free], socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue

    def _acknowledge(self, sock: socket.socket) -> int:
        """Answer every whole packet that came. All have one size, so their identifiers lie in two columns."""
        size, fd = self._delivered, sock.fileno()
        data = self._rests.get(fd, b"") + sock.recv(_READ, socket.MSG_DONTWAIT)
        count = len(data) // size
        whole = count * size
        self._rests[fd] = data[whole:]
        place = size - len(self._case.payload) - 2
        answer = bytearray(b"\x40\x02\0\0" * count)
        answer[2::4] = data[place:whole:size]
        answer[3::4] = data[place + 1 : whole : size]
        sock.sendall(answer)
        return whole

    def _loop(self, seconds: float, messages: float = float("inf")) -> None:
        """Run for so long, or until so many messages went out and most of them arrived."""
        poll = select.epoll()
        by_fd = {sock.fileno(): sock for sock in (*self._subscribers, *self._publishers)}
        publishing = {sock.fileno() for sock in self._publishers}
        for fd in by_fd:
            poll.register(fd, select.EPOLLIN)
        qos, until, moved = self._case.qos, time.monotonic() + seconds, time.monotonic()
        while True:
            self._top_up()
            time.sleep(_PAUSE_S)
            ready = poll.poll(0.05, 2000)
            for fd, _ in ready:
                sock = by_fd[fd]
                if fd in publishing:
                    self._acknowledged += sock.recv_into(_buffer, _READ, socket.MSG_TRUNC | socket.MSG_DONTWAIT)
                elif qos:
                    self._received += self._acknowledge(sock)
                else:
                    self._received += sock.recv_into(_buffer, _READ, socket.MSG_TRUNC | socket.MSG_DONTWAIT)
            now = time.monotonic()
            if ready:
                moved = now
            elif now - moved > _STALLED_S:  # what has not come by now was dropped
                self._lost += int(sum(self._sent) / self._size - self._arrived * self._case.publishers)
                moved = now
            if now >= until or self._arrived * self._case.publishers > messages:
                break
        poll.close()

    def measure(self) -> Rate:
        """Warm up, then measure."""
        try:
            self._loop(0.5)
            self._loop(_WARM_S, len(self._case.topics))  # every topic was there once
            before, lost, load = self._received, self._lost, time.process_time()
            meter = CpuMeter(self._broker.pid)
            self._loop(self._case.seconds)
            cpu, wall = meter.read()
            deliveries = (self._received - before) // self._delivered
            return Rate(deliveries, wall, cpu, time.process_time() - load, self._lost - lost)
        finally:
            for sock in (*self._publishers, *self._subscribers):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
            time.sleep(0.3)


def rate(broker: Broker, case: Case) -> Rate:
    """Run a case on a broker."""
    return Run(broker, case).measure()
