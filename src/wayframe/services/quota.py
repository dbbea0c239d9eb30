"""How much a device's media store holds, and whether more fits.

Used = stored files + live chunks + transfers under way. The counters live in memory and start from the sums of the
database, so they cannot drift from what is there (issue: "always equal to the sum of what is there, also after a
crash").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from wayframe.model import Device, StorageFull


class Quota:
    """Bytes by device."""

    def __init__(self, device_limit: int, min_free: int, free_bytes: Callable[[], int]) -> None:
        self._device_limit = device_limit
        self._min_free = min_free
        self._free_bytes = free_bytes
        self._files: Counter[int] = Counter()
        self._live: Counter[int] = Counter()
        self._reserved: Counter[int] = Counter()
        self.account_limit: Callable[[int], int] = lambda cid: 0
        """Bytes a device of an account may store (`device_media_storage`); 0 for no limit."""

    def set_files(self, device_id: int, size: int) -> None:
        """Start from what the database says."""
        self._files[device_id] = size

    def add_file(self, device_id: int, size: int) -> None:
        """A file came (or, negative, went)."""
        self._files[device_id] += size
        if not self._files[device_id]:
            del self._files[device_id]

    def set_live(self, device_id: int, size: int) -> None:
        """Bytes that live streams of the device hold now."""
        if size:
            self._live[device_id] = size
        else:
            self._live.pop(device_id, None)

    def reserve(self, device_id: int, size: int) -> None:
        """A transfer under way holds these bytes (negative to release)."""
        self._reserved[device_id] += size
        if self._reserved[device_id] <= 0:
            del self._reserved[device_id]

    def stored(self, device_id: int) -> int:
        """Bytes of stored files."""
        return self._files[device_id]

    def used(self, device_id: int) -> int:
        """Everything that counts against the store."""
        return self._files[device_id] + self._live[device_id] + self._reserved[device_id]

    def limit(self, device: Device) -> int:
        """The size of a device's store: its rotation size, at most the limits of this server and of its account."""
        most = min(self._device_limit, self.account_limit(device.cid) or self._device_limit)
        return min(device.media_rotate or most, most)

    def over(self, device: Device, more: int = 0) -> int:
        """Bytes by which the store would be too full with `more`; 0 if it fits."""
        return max(0, self.used(device.id) + more - self.limit(device))

    def check_disk(self, more: int = 0) -> None:
        """Raises `StorageFull` when the disk would fall below its reserve."""
        free = self._free_bytes()
        if free - more < self._min_free:
            raise StorageFull(
                f"the disk of the media store has {free} bytes left and keeps {self._min_free} in reserve: free some "
                "space, or lower min_free_disk_bytes"
            )

    def full(self, device: Device) -> StorageFull:
        """The error that says why nothing more fits."""
        hint = (
            "every file left is protected: unprotect or delete some, or raise media_rotate"
            if device.media_rotate
            else "delete files, or set media_rotate so that the oldest go by themselves"
        )
        return StorageFull(
            f"the store of device {device.id} is full ({self.used(device.id)} of {self.limit(device)} bytes): {hint}",
            item_id=device.id,
        )
