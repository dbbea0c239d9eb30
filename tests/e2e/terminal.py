"""A terminal in the hand of a test: one signalling socket, frame by frame, for what a whole vehicle would not do."""

from __future__ import annotations

import asyncio
import dataclasses
import struct
import time

from wayframe.simulator import bodies808 as b808
from wayframe.simulator.bodies808 import Identity, Position
from wayframe.simulator.wire808 import Frame, Layout, Msg, decode_frame, encode_frame, number_bcd

ZONE_S = 8 * 3600
_HERE = Position(0, 52.5, 13.4, 40, 36.0, 90, True, mileage_km=1200.0, fuel_l=40.0, signal=20, satellites=9)


class Terminal:
    """Dials, registers, reports. Frames from the platform are read only while a call waits for one."""

    def __init__(self, ident: str, port: int) -> None:
        self.code = ""
        """What the platform gave it to authenticate with."""
        self.number = number_bcd(ident, Layout.V2013)
        self._port = port
        self._serial = 0
        self._buffer = b""
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def dial(self) -> Terminal:
        """Open the connection; nothing is said yet."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def sign_in(self, code: str = "") -> Terminal:
        """Dial, register unless there is a code from before, and authenticate."""
        await self.dial()
        self.code = code
        if not code:
            self.say(Msg.REGISTER, b808.register(Identity(), Layout.V2013))
            answer = b808.parse_register_answer((await self.hear(Msg.REGISTER_ANSWER)).body)
            assert answer.result == 0, answer
            self.code = answer.code
        self.say(Msg.AUTHENTICATE, b808.authenticate(Identity(), self.code, Layout.V2013))
        assert b808.parse_general((await self.hear(Msg.P_GENERAL)).body).result == 0
        return self

    def frame(self, message_id: int, body: bytes) -> bytes:
        """A frame with the next serial."""
        self._serial = (self._serial + 1) & 0xFFFF
        return encode_frame(message_id, body, number=self.number, layout=Layout.V2013, serial=self._serial)

    def say(self, message_id: int, body: bytes) -> int:
        """Send one message; returns its serial."""
        self.raw(self.frame(message_id, body))
        return self._serial

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)

    def report(self, mark: int, timestamp: float | None = None) -> int:
        """Send a location report whose altitude is a mark to find it by; returns its serial."""
        position = dataclasses.replace(_HERE, timestamp=timestamp or time.time(), altitude_m=mark)
        return self.say(Msg.LOCATION, b808.location(position, ZONE_S))

    async def hear(self, message_id: int, timeout_s: float = 20) -> Frame:
        """The next frame with an id; others are passed over. Raises `ConnectionError` when the platform closes."""
        async with asyncio.timeout(timeout_s):
            while True:
                frame = await self._frame()
                if frame.message_id == message_id:
                    return frame

    async def _frame(self) -> Frame:
        while True:
            start = self._buffer.find(b"\x7e")
            end = self._buffer.find(b"\x7e", start + 1) if start >= 0 else -1
            if end > start + 1:
                piece, self._buffer = self._buffer[start + 1 : end], self._buffer[end + 1 :]
                return decode_frame(piece)
            if end == start + 1:
                self._buffer = self._buffer[end:]
            data = await self._reader.read(65536)
            if not data:
                raise ConnectionError("the platform closed the connection")
            self._buffer += data

    async def acknowledged(self, serial: int) -> int:
        """Wait for the general answer to a serial; its result."""
        while True:
            answer = b808.parse_general((await self.hear(Msg.P_GENERAL)).body)
            if answer.serial == serial:
                return answer.result

    async def closed(self, timeout_s: float = 20) -> bytes:
        """Wait until the platform closes; what it said before."""
        async with asyncio.timeout(timeout_s):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""

    async def drain(self) -> None:
        """Wait until what was sent is on its way."""
        await self._writer.drain()

    def close(self) -> None:
        """Abort the connection."""
        self._writer.transport.abort()


def unescaped_garbage(seed: int, size: int) -> bytes:
    """Reproducible bytes without meaning."""
    state, out = seed or 1, bytearray()
    while len(out) < size:
        state = (state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        out += struct.pack(">Q", state)
    return bytes(out[:size])
