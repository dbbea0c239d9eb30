"""Uploads that may be sent again: a key of the sender's, and for a day the answer that was given to it (C8).

A key is noted before anything is stored, and its answer after. So an upload that is sent again after a crash finds
what the first one stored, by its bytes, and is answered as that one would have been.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from wayframe.model import BadRequest, Clock, Conflict, Json, WayframeError
from wayframe.model.gallery import UploadKey
from wayframe.storage import GalleryKeyTable

KEEP_S = 86_400.0
"""How long an answer is kept."""
_MAX_KEY = 255


class KeyReused(WayframeError):
    """The key came with something else before."""

    status = code = 422
    word = "key_reused"


@dataclass(slots=True)
class HeldKey:
    """One upload with its key, or without one: then nothing is known and nothing kept."""

    keys: UploadKeys
    device_id: int
    key: str
    noted: UploadKey | None = None
    begun_before: bool = False
    """Whether a crash came between the first of these uploads and its answer."""

    async def known(self, body: str) -> Json:
        """The answer to this very upload, None if there is none yet. `body`: SHA-256 of what came, in hex.

        Raises `KeyReused` where something else came with the key.
        """
        if not self.key:
            return None
        found = await self.keys.find(self.device_id, self.key)
        if found is not None and found.body != body:
            raise KeyReused("this Idempotency-Key came with another body before: take a new one for each upload")
        if found is not None and found.answer is not None:
            return found.answer
        self.begun_before = found is not None
        self.noted = await self.keys.note(self.device_id, self.key, body)
        return None

    async def keep(self, answer: Json) -> None:
        """What was answered."""
        if self.noted is not None:
            await self.keys.answered(self.noted, answer)


class UploadKeys:
    """The keys of all devices."""

    def __init__(self, table: GalleryKeyTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._busy: set[tuple[int, str]] = set()

    @asynccontextmanager
    async def holding(self, device_id: int, key: str) -> AsyncIterator[HeldKey]:
        """For the time of one upload. `key`: empty if the sender gave none.

        Raises `BadRequest` for what is no key, `Conflict` while another upload with it is under way.
        """
        if len(key) > _MAX_KEY or not key.isascii() or not key.isprintable():
            raise BadRequest(f"Idempotency-Key must be at most {_MAX_KEY} printable ASCII characters")
        held = HeldKey(self, device_id, key)
        if not key:
            yield held
            return
        mine = (device_id, key)
        if mine in self._busy:
            raise Conflict("an upload with this Idempotency-Key is under way")
        self._busy.add(mine)
        try:
            yield held
        except BaseException:
            # Nothing was stored, so the key is free again.
            if held.noted is not None and not held.begun_before:
                await self._table.forget(*mine)
            raise
        finally:
            self._busy.discard(mine)

    async def find(self, device_id: int, key: str) -> UploadKey | None:
        """What is known of a key, unless its time is over."""
        found = await self._table.of_device(device_id, key)
        return found if found is not None and found.made > self._clock.now() - KEEP_S else None

    async def note(self, device_id: int, key: str, body: str) -> UploadKey:
        """A key is used from now on."""
        made = UploadKey(device_id=device_id, key=key, body=body, answer=None, made=self._clock.now())
        await self._table.put(made)
        return made

    async def answered(self, noted: UploadKey, answer: Json) -> None:
        """Its upload was answered."""
        await self._table.put(
            UploadKey(device_id=noted.device_id, key=noted.key, body=noted.body, answer=answer, made=noted.made)
        )

    async def sweep(self) -> None:
        """Forget keys whose time is over. Called every minute."""
        await self._table.purge(self._clock.now() - KEEP_S)
