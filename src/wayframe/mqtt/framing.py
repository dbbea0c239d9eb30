"""A stream of bytes cut into packets (MQTT 5, section 2.1)."""

from __future__ import annotations

from .reasons import Malformed, MqttError, Reason

FIXED_HEADER = 5
"""Most bytes of a fixed header."""

Cut = tuple[int, int, int]
"""Where a packet begins, where its body begins, and where it ends."""


class Framer:
    """Cuts. It holds what came of one unfinished packet and never more than the largest packet allowed."""

    __slots__ = ("_need", "_rest", "error", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Largest packet taken, in bytes with its fixed header."""
        self.error: MqttError | None = None
        """What is wrong with the bytes after the packets found so far; nothing more is read."""
        self._rest: bytearray | None = None
        self._need = 0

    @property
    def waiting(self) -> int:
        """Bytes held of an unfinished packet."""
        return len(self._rest) if self._rest is not None else 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """First byte and body of every packet that is complete now. Look at `error` after having worked on them."""
        data, cuts = self.cut(data)
        return [(data[start], data[body:end]) for start, body, end in cuts]

    def cut(self, data: bytes) -> tuple[bytes, list[Cut]]:
        """Like `feed`, without copying: where in the bytes returned the complete packets are."""
        rest = self._rest
        found: list[Cut] = []
        if rest is not None:
            rest += data
            if len(rest) < self._need:
                return b"", []
            data = bytes(rest)
            self._rest = None
        try:
            self._cut(data, found)
        except MqttError as error:
            self.error = error
        return data, found

    def _cut(self, data: bytes, found: list[Cut]) -> None:
        place, size, limit = 0, len(data), self.limit
        while size - place >= 2:
            length = data[place + 1]
            body = place + 2
            if length > 127:
                length &= 127
                shift = 7
                while True:
                    if body >= size:
                        self._keep(data, place, size - place + 1)
                        return
                    byte = data[body]
                    body += 1
                    length |= (byte & 127) << shift
                    if byte < 128:
                        if not byte:
                            raise Malformed("the remaining length is written longer than needed")
                        break
                    shift += 7
                    if shift > 21:
                        raise Malformed("the remaining length has more than four bytes")
            end = body + length
            if end - place > limit:
                raise MqttError(Reason.PACKET_TOO_LARGE, f"a packet of {end - place} bytes; at most {limit} are taken")
            if end > size:
                self._keep(data, place, end - place)
                return
            found.append((place, body, end))
            place = end
        if place < size:
            self._keep(data, place, 2)

    def _keep(self, data: bytes, place: int, need: int) -> None:
        self._rest = bytearray(data[place:])
        self._need = need
