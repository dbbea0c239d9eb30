"""Alarms whose files a device was told to upload; their numbers are capabilities, valid for a week."""

from __future__ import annotations

from msgspec import Struct, json

from wayframe.model import Clock, Json
from wayframe.protocols.device import AttachmentsExpected
from wayframe.storage import StateTable

from .background import Background
from .directory import Directory
from .entries import Entry

KEEP_S = 7 * 86_400
_MAX = 50_000
_PREFIX = "alarm."


class AlarmUpload(Struct, frozen=True):
    """One alarm that files may come for."""

    number: str
    """The 32 characters the device was given."""
    device_id: int
    channel_id: int
    created: float
    """Time of the alarm."""
    expires: float
    identifier: str
    """The device's own identifier of the alarm, hex."""
    parameters: dict[str, Json]
    """What goes into the device messages of its files."""


class Alarms:
    """Expected uploads by alarm number."""

    def __init__(self, directory: Directory, state: StateTable, clock: Clock) -> None:
        self._directory = directory
        self._state = state
        self._clock = clock
        self._uploads: dict[str, AlarmUpload] = {}
        self._background = Background("alarms")

    async def load(self) -> None:
        """Take up what an earlier run expected."""
        for record in (await self._state.all(_PREFIX)).values():
            upload = json.decode(record, type=AlarmUpload)
            self._uploads[upload.number] = upload
        await self.expire()

    def expect(self, entry: Entry, channel_id: int, expected: AttachmentsExpected) -> None:
        """A device was told to upload an alarm's files."""
        upload = AlarmUpload(
            expected.alarm_number, entry.id, channel_id, expected.created, self._clock.now() + KEEP_S,
            expected.identifier.hex(), dict(expected.parameters),
        )  # fmt: skip
        self._uploads[upload.number] = upload
        self._background.spawn(self._state.put({_PREFIX + upload.number: json.encode(upload)}))
        if len(self._uploads) > _MAX:
            del self._uploads[next(iter(self._uploads))]

    def find(self, number: str) -> tuple[AlarmUpload, Entry] | None:
        """The alarm behind a number and its device, while both are there and the device may come."""
        upload = self._uploads.get(number)
        if upload is None or upload.expires < self._clock.now():
            return None
        entry = self._directory.device(upload.device_id)
        refused = entry is None or not entry.device.enabled or self._directory.blocked(entry.cid)
        return None if entry is None or refused else (upload, entry)

    async def settle(self) -> None:
        """Wait until every number given out is written. Called at the end."""
        await self._background.settle(5)

    async def expire(self) -> None:
        """Forget numbers that are no longer valid. Called every minute."""
        now = self._clock.now()
        over = [number for number, upload in self._uploads.items() if upload.expires < now]
        for number in over:
            del self._uploads[number]
        await self._state.delete([_PREFIX + number for number in over])
