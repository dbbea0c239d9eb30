"""Live segments between their publication and two minutes after their last access.

Listed segments stay in memory; those that left the playlist move to a `SegmentSpool` (a folder, in practice).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["KEEP_S", "SegmentSpool", "SegmentStore"]

KEEP_S = 120.0
"""Seconds a segment stays fetchable after its last access (flespi: two minutes)."""


class SegmentSpool(Protocol):
    """Where segments go that left the playlist. Names are unique for ever; calls must be quick."""

    def put(self, name: str, data: bytes) -> None:
        """Keep `data`. May raise OSError when the disk is full; the segment is then forgotten."""

    def get(self, name: str) -> bytes | None:
        """The bytes kept under `name`, or None."""

    def delete(self, name: str) -> None:
        """Forget `name`; harmless when it is not there."""


@dataclass(slots=True)
class _Item:
    size: int
    pieces: tuple[bytes, ...] | None
    accessed: float
    package: Callable[[bytes], bytes] | None
    listed: bool = True


class SegmentStore:
    """All named bytes of one live stream, with the size of what is held."""

    def __init__(self, spool: SegmentSpool | None = None) -> None:
        self._spool = spool
        self._items: dict[str, _Item] = {}
        self.bytes_held = 0
        """Bytes in memory and in the spool together."""
        self.spool_failures = 0
        """Segments lost because the spool refused them."""

    def put(
        self, name: str, pieces: tuple[bytes, ...], now: float, package: Callable[[bytes], bytes] | None = None
    ) -> None:
        """Publish the bytes `pieces` make together, or what `package` makes of them for the first who asks.

        They stay in memory until `retire`.
        """
        size = sum(map(len, pieces))
        self._items[name] = _Item(size, pieces, now, package)
        self.bytes_held += size

    def get(self, name: str, now: float) -> bytes | None:
        """The bytes of `name`, or None; counts as an access."""
        item = self._items.get(name)
        if item is None:
            return None
        item.accessed = max(item.accessed, now)
        if item.pieces is None:
            kept = self._spool.get(name) if self._spool is not None else None
            return kept if item.package is None or kept is None else item.package(kept)
        data = item.pieces[0] if len(item.pieces) == 1 else b"".join(item.pieces)
        if item.package is not None:
            data = item.package(data)
            self.bytes_held += len(data) - item.size
            item.size, item.pieces, item.package = len(data), (data,), None
        return data

    def retire(self, name: str) -> None:
        """The segment left the playlist: move it to the spool, when there is one."""
        item = self._items.get(name)
        if item is None or not item.listed:
            return
        item.listed = False
        if self._spool is None or item.pieces is None:
            return
        try:
            self._spool.put(name, b"".join(item.pieces))
        except OSError:
            self.spool_failures += 1
            self._forget(name)
            return
        item.pieces = None

    def delete(self, name: str) -> None:
        """Forget a segment at once."""
        if name in self._items:
            self._forget(name)

    def expire(self, now: float, everything_retired: bool) -> int:
        """Remove what was not accessed for KEEP_S (listed ones only when the stream is over); returns how many."""
        old = [
            name
            for name, item in self._items.items()
            if now - item.accessed >= KEEP_S and (everything_retired or not item.listed)
        ]
        for name in old:
            self._forget(name)
        return len(old)

    def _forget(self, name: str) -> None:
        item = self._items.pop(name)
        self.bytes_held -= item.size
        if item.pieces is None and self._spool is not None:
            self._spool.delete(name)
