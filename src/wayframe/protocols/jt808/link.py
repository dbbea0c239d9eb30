"""The sending side of a signalling connection: serial numbers, long messages, and parts kept for a 0x0005."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from .frames import Layout, encode_frame, split_body

KEEP_PARTS_S = 60.0
"""How long sent parts can be asked for again."""
KEEP_PARTS_BYTES = 1024 * 1024
"""Most bytes of sent parts kept."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that went out."""

    message_id: int
    """Its id."""
    serials: tuple[int, ...]
    """Serial of every part; a terminal may answer any of them."""
    frames: tuple[bytes, ...]
    """The frames, for sending again byte by byte."""
    at: float
    """When, Unix seconds."""


class Link:
    """Frames messages for one terminal and gathers their bytes."""

    def __init__(self) -> None:
        """The first received frame sets layout and number."""
        self.layout = Layout.V2013
        self.number = bytes(6)
        self._serial = 0
        self._output = bytearray()
        self._kept: deque[Sent] = deque()
        self._kept_bytes = 0

    def send(self, message_id: int, body: bytes, now: float) -> Sent:
        """Send a message, in parts with consecutive serials if it is long."""
        parts = split_body(body)
        frames = []
        serials = []
        for index, part in enumerate(parts, 1):
            package = (len(parts), index) if len(parts) > 1 else None
            serials.append(self._serial)
            frames.append(
                encode_frame(
                    message_id, part, layout=self.layout, number=self.number, serial=self._serial, package=package
                )
            )
            self._serial = self._serial + 1 & 0xFFFF
        sent = Sent(message_id, tuple(serials), tuple(frames), now)
        self.repeat(sent)
        if len(parts) > 1:
            self._keep(sent, now)
        return sent

    def repeat(self, sent: Sent) -> None:
        """Send the same bytes again."""
        self._output += b"".join(sent.frames)

    def resend_parts(self, first_serial: int, indexes: tuple[int, ...], now: float) -> bool:
        """Send parts of a kept message again; False if it is not kept any more."""
        self._forget(now)
        for sent in self._kept:
            if sent.serials[0] == first_serial:
                for index in indexes:
                    if 1 <= index <= len(sent.frames):
                        self._output += sent.frames[index - 1]
                return True
        return False

    def take(self) -> bytes:
        """Take what is to be sent."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def _keep(self, sent: Sent, now: float) -> None:
        self._kept.append(sent)
        self._kept_bytes += _size(sent)
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._kept and (self._kept[0].at + KEEP_PARTS_S < now or self._kept_bytes > KEEP_PARTS_BYTES):
            self._kept_bytes -= _size(self._kept.popleft())


def _size(sent: Sent) -> int:
    return sum(map(len, sent.frames))
