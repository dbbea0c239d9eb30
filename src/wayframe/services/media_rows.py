"""Rows of the media store, the ones that links asked for lately in memory: a gallery asks for the same files again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from wayframe.model import MediaFile
from wayframe.model.gallery import GalleryEvent
from wayframe.storage import MediaTable

_MOST = 2048


class MediaRows:
    """Single rows by uuid. Every change of one goes through here, so that what is remembered is what is stored.

    New rows need not: nobody can have asked for their uuid before.
    """

    def __init__(self, table: MediaTable, most: int = _MOST) -> None:
        """`most`: rows that are remembered, about 2 KB each."""
        self._table = table
        self._most = most
        self._recent: OrderedDict[str, MediaFile] = OrderedDict()
        self._writes = 0

    def recall(self, uuid: str) -> MediaFile | None:
        """The row, if it is remembered."""
        file = self._recent.get(uuid)
        if file is not None:
            self._recent.move_to_end(uuid)
        return file

    async def read(self, uuid: str) -> MediaFile | None:
        """The row, from the database; remembered from now on."""
        writes = self._writes
        file = await self._table.get(uuid)
        self._remember([file] if file is not None else [], writes)
        return file

    async def list(
        self, device_ids: Sequence[int], *, uuids: Sequence[str] | None, from_: float | None, to: float | None
    ) -> list[MediaFile]:
        """As `MediaTable.list`. The last of them are remembered: who lists files asks for their previews next."""
        writes = self._writes
        files = await self._table.list(device_ids, uuids=uuids, from_=from_, to=to)
        self._remember(files[-self._most :], writes)
        return files

    def _remember(self, files: Sequence[MediaFile], writes: int) -> None:
        """Remember rows that were read when so many writes had ended."""
        if writes != self._writes:  # they may be the rows before a write that ended meanwhile
            return
        for file in files:
            self._recent.setdefault(file.uuid, file)
        while len(self._recent) > self._most:
            self._recent.popitem(last=False)

    async def update(self, file: MediaFile) -> None:
        """As `MediaTable.update`."""
        async with self._writing([file.uuid]):
            await self._table.update(file)

    async def delete(self, uuids: Sequence[str]) -> Sequence[GalleryEvent]:
        """As `MediaTable.remove`."""
        async with self._writing(uuids):
            return await self._table.remove(uuids)

    @asynccontextmanager
    async def _writing(self, uuids: Sequence[str]) -> AsyncIterator[None]:
        try:
            yield
        finally:  # also after a failure: whether it was committed is not known
            self._writes += 1
            for uuid in uuids:
                self._recent.pop(uuid, None)
