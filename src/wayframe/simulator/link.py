"""One TCP connection that speaks JT/T 808 frames: the signalling link, and the attachment link with its raw blocks."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from .bodies808 import general
from .device import Device, log
from .wire808 import (
    Deframer,
    Frame,
    Msg,
    PartAssembler,
    WireError,
    decode_frame,
    encode_frame,
    resend_request,
    split_body,
)

CONNECT_S = 10.0
"""Seconds a connection may take to open."""
_KEPT_GROUPS = 8
_BUFFER_LIMIT = 1 << 20


class Key(NamedTuple):
    """What an awaited answer is recognised by."""

    kind: str
    """`ack`, `register`, `time`, `media` or `file`."""
    value: int | str = 0
    """Serial, media id or file name."""


class Link:
    """Sends messages, remembers the parts of long ones, and gives answers to whoever waits for them."""

    def __init__(self, device: Device, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._device = device
        self._reader = reader
        self._writer = writer
        self._waiting: dict[Key, asyncio.Future[int | str]] = {}
        self._groups: OrderedDict[int, list[bytes]] = OrderedDict()
        self._assembler = PartAssembler()

    @classmethod
    async def open(cls, device: Device, host: str, port: int) -> Link:
        """Connect; OSError or TimeoutError when the server is not there."""
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(host, port)
        return cls(device, reader, writer)

    # ---- sending

    def write(self, message_id: int, body: bytes, serial: int | None = None) -> int:
        """Send a message of one frame; returns its serial."""
        if serial is None:
            serial = self._device.serials.take()
        self.write_raw(self._frame(message_id, body, serial))
        return serial

    def write_raw(self, data: bytes) -> None:
        """Send bytes as they are. A peer that stops reading is cut off at 1 MiB."""
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > _BUFFER_LIMIT:
            log.warning("%s: the platform does not read, connection aborted", self._device.config.ident)
            self.abort()

    async def drain(self) -> None:
        """Wait until the socket has taken what was written."""
        await self._writer.drain()

    async def send(self, message_id: int, body: bytes) -> int:
        """Send a message of any length; returns the serial of its first frame."""
        size = self._device.config.part_bytes
        if len(body) <= size:
            serial = self.write(message_id, body)
            await self.drain()
            return serial
        return await self._send_parts(message_id, split_body(body, size), 0)

    async def upload(self, body: bytes) -> int:
        """Send an 0x0801, in parts even when it is short; returns the serial of the first part."""
        parts = split_body(body, self._device.config.part_bytes)
        return await self._send_parts(Msg.MEDIA_UPLOAD, parts, self._device.config.faults.photo_parts_lie)

    async def _send_parts(self, message_id: int, parts: Sequence[bytes], lie: int) -> int:
        config, faults = self._device.config, self._device.config.faults
        frames: list[bytes] = []
        first = -1
        for index, part in enumerate(parts, 1):
            if faults.interleaved_serials and index % 3 == 0:
                self.write(Msg.HEARTBEAT, b"")
            serial = self._device.serials.take()
            first = serial if index == 1 else first
            frames.append(self._frame(message_id, part, serial, (max(1, len(parts) + lie), index)))
            self._keep(first, frames)
            if self._device.chance.random() < faults.drop_parts:
                continue
            if config.parts_wait_for_ack:
                await self._answered(Key("ack", serial), frames[-1], config.answer_s)
            else:
                self.write_raw(frames[-1])
                await self.drain()
        return first

    def _keep(self, first: int, frames: list[bytes]) -> None:
        self._groups[first] = frames
        while len(self._groups) > _KEPT_GROUPS:
            self._groups.popitem(last=False)

    async def resend(self, first_serial: int, indexes: Sequence[int]) -> None:
        """Send parts of an earlier message again, unchanged. An unknown first serial means the latest one, for the
        platform has to guess it when the first part was lost."""
        if not self._groups:
            return
        frames = self._groups.get(first_serial) or next(reversed(self._groups.values()))
        for index in indexes:
            if 1 <= index <= len(frames):
                self.write_raw(frames[index - 1])
                self._device.stats.parts_resent += 1
        await self.drain()

    def _frame(self, message_id: int, body: bytes, serial: int, part: tuple[int, int] | None = None) -> bytes:
        device = self._device
        return encode_frame(message_id, body, number=device.number, layout=device.layout, serial=serial, part=part)

    # ---- answers

    async def request(self, message_id: int, body: bytes, kind: str = "ack") -> int | str:
        """Send a message of one frame and wait for its answer; TimeoutError without one."""
        serial = self._device.serials.take()
        key = Key(kind, 0 if kind == "time" else serial)
        return await self._answered(key, self._frame(message_id, body, serial), self._device.config.answer_s)

    async def _answered(self, key: Key, frame: bytes, timeout_s: float) -> int | str:
        with self.expect(key) as waiting:
            self.write_raw(frame)
            await self.drain()
            async with asyncio.timeout(timeout_s):
                return await waiting

    def expect(self, key: Key) -> _Expectation:
        """A context in which the answer `key` can be awaited; enter it before sending the question."""
        return _Expectation(self._waiting, key)

    def resolve(self, key: Key, value: int | str) -> bool:
        """Hand an answer to whoever waits for it; False when nobody does."""
        waiting = self._waiting.get(key)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(value)
        return True

    # ---- receiving

    async def messages(self) -> AsyncIterator[tuple[Frame, bytes]]:
        """(last frame, whole body) of each message until the peer closes. Broken frames are dropped with a warning."""
        deframer = Deframer()
        while data := await self._reader.read(65536):
            for piece in deframer.feed(data):
                try:
                    frame = decode_frame(piece)
                except WireError as error:
                    log.warning("%s: dropped a frame: %s", self._device.config.ident, error)
                    continue
                if frame.encryption:
                    self.write(Msg.T_GENERAL, general(frame.serial, frame.message_id, 3))
                    continue
                body = self._assembler.add(frame, self._device.clock())
                if body is not None:
                    yield frame, body

    def ask_missing_parts(self) -> None:
        """0x0005 for platform messages whose parts stay away; terminals before 2019 have no such message."""
        for first_serial, indexes in self._assembler.overdue(self._device.clock()):
            if self._device.layout.newer:
                self.write(Msg.T_RESEND_PARTS, resend_request(first_serial, indexes, self._device.layout))

    def abort(self) -> None:
        """Drop the connection without a farewell."""
        self._writer.transport.abort()

    def close(self) -> None:
        """Close the connection and disappoint all who wait for answers."""
        self._writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the connection closed before the answer came"))


class _Expectation:
    """See `Link.expect`."""

    def __init__(self, waiting: dict[Key, asyncio.Future[int | str]], key: Key) -> None:
        self._waiting, self._key = waiting, key
        self._future: asyncio.Future[int | str] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> asyncio.Future[int | str]:
        self._waiting[self._key] = self._future
        return self._future

    def __exit__(self, *_: object) -> None:
        if self._waiting.get(self._key) is self._future:
            del self._waiting[self._key]
        if not self._future.done():
            self._future.cancel()
        elif not self._future.cancelled():
            self._future.exception()  # marks it as seen: it may have failed while nobody awaited it
