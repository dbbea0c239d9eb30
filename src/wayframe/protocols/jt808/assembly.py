"""Long messages: joining the parts that arrive and asking for those that do not (reference section 1.2).

Terminals number the parts in the package fields, but not always with consecutive serials: they interleave heartbeats
and locations. So parts are matched by message id and total alone, and stored by index.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .frames import Frame, Header
from .ids import MessageId

MAX_PARTS_MEDIA = 20_000
"""Most parts of a 0x0801."""
MAX_PARTS = 512
"""Most parts of any other message."""
MAX_BYTES = 16 * 1024 * 1024
"""Largest assembled body."""
MAX_OPEN = 4
"""Most assemblies at a time; the oldest goes."""
RESEND_AFTER_S = 5.0
"""Without a new part for so long, missing ones are asked for."""
MAX_RESENDS = 6
"""Requests for missing parts before waiting quietly."""
DROP_AFTER_S = 60.0
"""Without a new part for so long, the assembly is dropped."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """A whole message."""

    message_id: int
    """Its id."""
    body: bytes
    """All bodies joined."""
    serials: tuple[int, ...]
    """Serial of every part, by index."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Parts to ask for again."""

    message_id: int
    """Message concerned."""
    first_serial: int
    """Serial of part 1, computed if that part itself is missing."""
    indexes: tuple[int, ...]
    """Missing parts."""
    head: bytes
    """Body of part 1, empty if missing; that of a 0x0801 starts with the media id."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """An assembly that is given up."""

    message_id: int
    """Message concerned."""
    total: int
    """Parts it should have had."""
    received: int
    """Parts that came."""
    reason: str
    """`timeout`, `too many open` or `too large`."""


@dataclass(slots=True)
class _Assembly:
    message_id: int
    total: int
    last_part: float
    parts: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    size: int = 0
    resends: int = 0
    last_resend: float = 0.0

    def missing(self) -> Missing:
        indexes = tuple(index for index in range(1, self.total + 1) if index not in self.parts)
        lowest = min(self.parts)
        first_serial = (self.parts[lowest][0] - (lowest - 1)) & 0xFFFF
        head = self.parts[1][1] if 1 in self.parts else b""
        return Missing(self.message_id, first_serial, indexes, head)

    def due(self) -> float:
        """When something is to be done about it."""
        if self.resends >= MAX_RESENDS:
            return self.last_part + DROP_AFTER_S
        return min(max(self.last_part, self.last_resend) + RESEND_AFTER_S, self.last_part + DROP_AFTER_S)


class Assembler:
    """The long messages of one session that are under way."""

    def __init__(self) -> None:
        """Start empty."""
        self._open: dict[tuple[int, int], _Assembly] = {}
        self._dropped: list[Dropped] = []

    def acceptable(self, header: Header) -> bool:
        """Whether the package fields make sense; a part that fails this is to be dropped."""
        total, index = header.package or (1, 1)
        limit = MAX_PARTS_MEDIA if header.message_id == MessageId.MEDIA_UPLOAD else MAX_PARTS
        return 0 < index <= total <= limit

    def add(self, frame: Frame, now: float) -> Assembled | None:
        """Take an acceptable frame; return the message once it is whole. A message of one part is whole at once."""
        header = frame.header
        total, index = header.package or (1, 1)
        if total == 1:
            return Assembled(header.message_id, frame.body, (header.serial,))
        key = (header.message_id, total)
        assembly = self._open.get(key)
        if assembly is None or self._starts_anew(assembly, frame, index):
            assembly = self._begin(key, now)
        if index in assembly.parts:
            return None
        assembly.parts[index] = (header.serial, frame.body)
        assembly.size += len(frame.body)
        assembly.last_part = now
        if assembly.size > MAX_BYTES:
            self._drop(key, "too large")
            return None
        if len(assembly.parts) < total:
            return None
        del self._open[key]
        ordered = [assembly.parts[number] for number in range(1, total + 1)]
        return Assembled(header.message_id, b"".join(body for _, body in ordered), tuple(s for s, _ in ordered))

    def tick(self, now: float) -> list[Missing]:
        """Let time pass; return what is to be asked for again."""
        asked = []
        for key, assembly in list(self._open.items()):
            if now >= assembly.last_part + DROP_AFTER_S:
                self._drop(key, "timeout")
            elif now >= assembly.due():
                assembly.resends += 1
                assembly.last_resend = now
                asked.append(assembly.missing())
        return asked

    def next_tick(self) -> float | None:
        """When `tick` is due."""
        return min(assembly.due() for assembly in self._open.values()) if self._open else None

    def receiving(self, message_id: int) -> float | None:
        """Time of the last part of the newest open message with that id, None if there is none."""
        return max((a.last_part for a in self._open.values() if a.message_id == message_id), default=None)

    def dropped(self) -> list[Dropped]:
        """Take the assemblies given up since the last call."""
        dropped, self._dropped = self._dropped, []
        return dropped

    @staticmethod
    def _starts_anew(assembly: _Assembly, frame: Frame, index: int) -> bool:
        """Whether the part belongs to a later message of the same id and total.

        A part is sent again unchanged, with its serial or a new one: only other bytes make another message. A first
        part with the same bytes but another serial is a new message too, unless this one is still short of parts that
        were asked for.
        """
        stored = assembly.parts.get(index)
        if stored is None:
            return False
        serial, body = stored
        return body != frame.body or (index == 1 and serial != frame.header.serial and not assembly.resends)

    def _begin(self, key: tuple[int, int], now: float) -> _Assembly:
        self._open.pop(key, None)
        while len(self._open) >= MAX_OPEN:
            self._drop(min(self._open, key=lambda k: self._open[k].last_part), "too many open")
        self._open[key] = _Assembly(*key, last_part=now)
        return self._open[key]

    def _drop(self, key: tuple[int, int], reason: str) -> None:
        assembly = self._open.pop(key)
        self._dropped.append(Dropped(assembly.message_id, assembly.total, len(assembly.parts), reason))
