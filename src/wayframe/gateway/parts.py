"""Unfinished attachments, kept a day for a supplement after a broken link (jt1078.md 9)."""

from __future__ import annotations

from wayframe.protocols.jt1078.attachment_events import PartialFile
from wayframe.storage import BlobWriter

Parts = dict[str, tuple[PartialFile, BlobWriter]]
"""By file name."""

_KEEP_S = 86_400
_MAX_ALARMS = 1000


class KeptParts:
    """Parts by alarm number, with their open temporary files. They do not outlive the server."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[float, Parts]] = {}

    def keep(self, number: str, parts: Parts, now: float) -> Parts:
        """Put parts aside. Returns what they displace, for the caller to abandon: two connections of one alarm."""
        displaced = self.take(number)
        self._parts[number] = (now, parts)
        return displaced

    def take(self, number: str) -> Parts:
        """Take parts back; empty if there are none."""
        _, parts = self._parts.pop(number, (0.0, {}))
        return parts

    async def expire(self, now: float) -> None:
        """Forget parts nobody came back for, and the oldest of very many."""
        for number, (kept_at, parts) in list(self._parts.items()):
            if now - kept_at > _KEEP_S or len(self._parts) > _MAX_ALARMS:
                del self._parts[number]
                for _, writer in parts.values():
                    await writer.abandon()

    async def clear(self) -> None:
        """Forget everything."""
        await self.expire(float("inf"))
