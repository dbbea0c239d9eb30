"""A tiny platform for the loopback tests: answers what a vehicle must be answered and keeps what it sent.

It takes frames apart with its own few lines, not with the simulator's codec."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field


def xor(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
    return value


@dataclass
class Seen:
    """One frame from a vehicle."""

    id: int
    serial: int
    body: bytes
    total: int
    index: int
    raw_number: bytes


def take_apart(piece: bytes) -> Seen:
    raw = piece.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
    assert xor(raw) == 0, raw.hex()
    message_id, properties = struct.unpack_from(">HH", raw)
    newer = bool(properties & 0x4000)
    assert not newer or raw[4] == 1
    number_at, length = (5, 10) if newer else (4, 6)
    at = number_at + length
    (serial,) = struct.unpack_from(">H", raw, at)
    total, index = 1, 1
    at += 2
    if properties & 0x2000:
        total, index = struct.unpack_from(">HH", raw, at)
        at += 4
    body = raw[at:-1]
    assert len(body) == properties & 0x3FF
    return Seen(message_id, serial, body, total, index, raw[number_at : number_at + length])


@dataclass
class Peer:
    """One connection of a vehicle."""

    platform: Platform
    writer: asyncio.StreamWriter
    newer: bool = False
    number: bytes = b""
    serial: int = 0
    parts: dict[tuple[int, int], dict[int, Seen]] = field(default_factory=dict)

    def send(self, message_id: int, body: bytes, part: tuple[int, int] | None = None) -> int:
        properties = len(body) | (0x4000 if self.newer else 0) | (0x2000 if part else 0)
        head = struct.pack(">HH", message_id, properties) + (b"\x01" if self.newer else b"") + self.number
        raw = head + struct.pack(">H", self.serial) + (struct.pack(">HH", *part) if part else b"") + body
        raw += bytes([xor(raw)])
        self.writer.write(b"\x7e" + raw.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02") + b"\x7e")
        self.serial += 1
        return self.serial - 1

    def acknowledge(self, seen: Seen, result: int = 0) -> None:
        self.send(0x8001, struct.pack(">HHB", seen.serial, seen.id, result))


class Platform:
    """Listens for signalling; `ask` sends a command and waits for an answer by message id."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.messages: list[tuple[int, bytes]] = []
        self.peers: list[Peer] = []
        self.news = asyncio.Condition()
        self.on_frame: Callable[[Peer, Seen], bool] = lambda peer, seen: False
        """Handles a frame itself when it returns True."""
        self.register_result = 0

    async def __aenter__(self) -> Platform:
        self.server = await asyncio.start_server(self.talk, "127.0.0.1", 0)
        self.port: int = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for peer in self.peers:
            peer.writer.close()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(self, writer)
        self.peers.append(peer)
        buffer = b""
        with contextlib.suppress(ConnectionResetError):
            while data := await reader.read(65536):
                *pieces, buffer = (buffer + data).split(b"\x7e")
                for piece in pieces:
                    if piece:
                        await self.frame(peer, take_apart(piece))
        writer.close()

    async def frame(self, peer: Peer, seen: Seen) -> None:
        peer.number, peer.newer = seen.raw_number, len(seen.raw_number) == 10
        self.seen.append(seen)
        if self.on_frame(peer, seen):
            pass
        elif seen.id == 0x0100:
            code = b"the-code" if self.register_result == 0 else b""
            peer.send(0x8100, struct.pack(">HB", seen.serial, self.register_result) + code)
        elif seen.id not in (0x0001, 0x0004):
            peer.acknowledge(seen)
        body = self.whole(peer, seen)
        if body is not None:
            self.messages.append((seen.id, body))
        async with self.news:
            self.news.notify_all()

    def whole(self, peer: Peer, seen: Seen) -> bytes | None:
        if seen.total == 1:
            return seen.body
        parts = peer.parts.setdefault((seen.id, seen.total), {})
        parts[seen.index] = seen
        if len(parts) < seen.total:
            return None
        del peer.parts[seen.id, seen.total]
        return b"".join(parts[index].body for index in sorted(parts))

    async def wait(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30), self.news:
            await self.news.wait_for(condition)

    async def message(self, message_id: int, count: int = 1) -> bytes:
        """The body of the count-th message of an id."""
        await self.wait(lambda: len(self.bodies(message_id)) >= count)
        return self.bodies(message_id)[count - 1]

    def bodies(self, message_id: int) -> list[bytes]:
        return [body for seen_id, body in self.messages if seen_id == message_id]

    async def ask(self, message_id: int, body: bytes, answer_id: int = 0x0001) -> bytes:
        """Send a command to the newest peer; the body of the next answer of `answer_id`, which must name the command
        where it is a general one."""
        start = len(self.messages)
        serial = self.peers[-1].send(message_id, body)

        def answers() -> list[bytes]:
            found = [body for seen_id, body in self.messages[start:] if seen_id == answer_id]
            if answer_id == 0x0001:
                found = [body for body in found if body[:4] == struct.pack(">HH", serial, message_id)]
            return found

        await self.wait(lambda: bool(answers()))
        return answers()[0]


class Sink:
    """Listens for media connections and keeps their bytes; `closed` is set when a connection has ended."""

    def __init__(self) -> None:
        self.data: list[bytearray] = []
        self.closed: list[bool] = []
        self.news = asyncio.Condition()

    async def __aenter__(self) -> Sink:
        self.server = await asyncio.start_server(self.take, "127.0.0.1", 0)
        self.port: int = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        index = len(self.data)
        self.data.append(bytearray())
        self.closed.append(False)
        with contextlib.suppress(ConnectionResetError):
            while data := await reader.read(65536):
                self.data[index] += data
                await self.tell()
        self.closed[index] = True
        writer.close()
        await self.tell()

    async def tell(self) -> None:
        async with self.news:
            self.news.notify_all()

    async def wait(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60), self.news:
            await self.news.wait_for(condition)


class FtpServer:
    """Takes files by FTP in passive mode, with any name and password."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.logins: list[str] = []

    async def __aenter__(self) -> FtpServer:
        self.server = await asyncio.start_server(self.talk, "127.0.0.1", 0)
        self.port: int = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming: asyncio.Queue[bytes] = asyncio.Queue(1)
        folder = ""
        writer.write(b"220 ready\r\n")

        async def receive(data: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
            await incoming.put(await data.read())
            back.close()

        while line := (await reader.readline()).decode().strip():
            word, _, rest = line.partition(" ")
            match word.upper():
                case "USER" | "PASS":
                    self.logins.append(rest)
                    writer.write(b"230 in\r\n" if word == "PASS" else b"331 and\r\n")
                case "CWD":
                    folder = rest
                    writer.write(b"250 there\r\n")
                case "PASV" | "EPSV":
                    data = await asyncio.start_server(receive, "127.0.0.1", 0)
                    port = data.sockets[0].getsockname()[1]
                    writer.write(f"227 go (127,0,0,1,{port // 256},{port % 256})\r\n".encode())
                case "STOR":
                    writer.write(b"150 come\r\n")
                    self.files[f"{folder}/{rest}"] = await incoming.get()
                    writer.write(b"226 done\r\n")
                case _:
                    writer.write(b"200 fine\r\n")
        writer.close()


class AttachmentServer:
    """Listens for attachment connections: takes frames and raw blocks, asks for gaps, keeps the files."""

    def __init__(self) -> None:
        self.lists: list[bytes] = []
        self.files: dict[str, bytearray] = {}
        self.covered: dict[str, set[tuple[int, int]]] = {}
        self.sizes: dict[str, int] = {}
        self.complete: list[str] = []
        self.resends = 0
        self.identifier_length = 16
        self.terminal_length = 7
        self.news = asyncio.Condition()

    async def __aenter__(self) -> AttachmentServer:
        self.server = await asyncio.start_server(self.talk, "127.0.0.1", 0)
        self.port: int = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(None, writer)  # type: ignore[arg-type]  # it only frames messages here
        buffer = b""
        with contextlib.suppress(ConnectionResetError):
            while data := await reader.read(65536):
                buffer = self.consume(peer, buffer + data)
                async with self.news:
                    self.news.notify_all()
        writer.close()

    def consume(self, peer: Peer, buffer: bytes) -> bytes:
        while buffer:
            if buffer[:1] == b"\x7e":
                end = buffer.find(b"\x7e", 1)
                if end < 0:
                    break
                self.frame(peer, take_apart(buffer[1:end]))
                buffer = buffer[end + 1 :]
            else:
                assert b"01cd".startswith(buffer[:4]), buffer[:8].hex()
                if len(buffer) < 62:
                    break
                offset, length = struct.unpack_from(">II", buffer, 54)
                if len(buffer) < 62 + length:
                    break
                name = buffer[4:54].rstrip(b"\x00").decode()
                self.files[name][offset : offset + length] = buffer[62 : 62 + length]
                self.covered[name].add((offset, length))
                buffer = buffer[62 + length :]
        return buffer

    def frame(self, peer: Peer, seen: Seen) -> None:
        peer.number, peer.newer = seen.raw_number, len(seen.raw_number) == 10
        if seen.id == 0x1212:
            self.finish(peer, seen)
            return
        if seen.id == 0x1210:
            self.lists.append(seen.body)
        elif seen.id == 0x1211:
            name, size = self.mark(seen.body)
            self.sizes[name] = size
            self.files.setdefault(name, bytearray(size))
            self.covered.setdefault(name, set())
        peer.acknowledge(seen)

    @staticmethod
    def mark(body: bytes) -> tuple[str, int]:
        name = body[1 : 1 + body[0]].decode()
        return name, struct.unpack_from(">I", body, 2 + body[0])[0]

    def finish(self, peer: Peer, seen: Seen) -> None:
        name, size = self.mark(seen.body)
        gaps, at = [], 0
        for offset, length in sorted(self.covered[name]):
            if offset > at:
                gaps.append((at, offset - at))
            at = max(at, offset + length)
        if at < size:
            gaps.append((at, size - at))
        head = seen.body[: 2 + seen.body[0]]
        lists = b"".join(struct.pack(">II", *gap) for gap in gaps)
        peer.send(0x9212, head + bytes([1 if gaps else 0, len(gaps)]) + lists)
        if gaps:
            self.resends += 1
        else:
            self.complete.append(name)

    async def wait(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60), self.news:
            await self.news.wait_for(condition)


def address(port: int) -> bytes:
    """Length, host, TCP port, UDP port 0 as in 0x9101, 0x9201 and 0x9208."""
    host = b"127.0.0.1"
    return bytes([len(host)]) + host + struct.pack(">HH", port, 0)
