"""Photos that arrive in 0x0801: what is being stored, and the 0x8800 that may go out only then (ruling 1)."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime

from ..device import FileReceived
from .assembly import MAX_BYTES, MAX_PARTS
from .frames import Layout
from .location import BASE_SIZE, Location
from .mapping import DeviceMessage, Moment, map_base, map_media_event
from .multimedia import MEDIA_FORMATS, LegacyMediaPart, MediaUpload

MAX_STORING = 8
"""Most photos of a session that wait to be stored; further ones are dropped, and the terminal sends them again."""
_REMEMBER = 64
_MAX_LEGACY = 4
_NO_LOCATION = Location.decode(bytes(BASE_SIZE))


@dataclass(slots=True)
class _Storing:
    media_id: int
    fingerprint: int


class Uploads:
    """The photos of one session."""

    def __init__(self) -> None:
        """Start empty."""
        self._storing: dict[int, _Storing] = {}
        self._stored: OrderedDict[int, None] = OrderedDict()
        self._legacy: OrderedDict[int, dict[int, bytes]] = OrderedDict()

    @staticmethod
    def fingerprint(upload: MediaUpload) -> int:
        """What a repeated upload has in common with the first: head, place, time and bytes."""
        return zlib.crc32(upload.data, zlib.crc32(upload.location.encode(), upload.head.media_id))

    def is_stored(self, fingerprint: int) -> bool:
        """Whether the same upload was stored already: its 0x8800 was lost."""
        return fingerprint in self._stored

    def is_storing(self, fingerprint: int) -> bool:
        """Whether the same upload is being stored: its 0x8800 will come."""
        return any(storing.fingerprint == fingerprint for storing in self._storing.values())

    @property
    def full(self) -> bool:
        """Whether no further photo is taken now."""
        return len(self._storing) >= MAX_STORING

    def begin(self, token: int, upload: MediaUpload) -> None:
        """A photo was given to the gateway."""
        self._storing[token] = _Storing(upload.head.media_id, self.fingerprint(upload))

    def finish(self, token: int, ok: bool) -> int | None:
        """The gateway has stored a photo or not; the media id to confirm, if any."""
        storing = self._storing.pop(token, None)
        if storing is None or not ok:
            return None
        self._stored[storing.fingerprint] = None
        while len(self._stored) > _REMEMBER:
            self._stored.popitem(last=False)
        return storing.media_id

    def legacy_part(self, body: bytes) -> tuple[LegacyMediaPart, MediaUpload | None] | None:
        """A body of the 2011 edition and, once all its parts are there, the upload; None for other editions."""
        part = LegacyMediaPart.decode(body, frozenset(self._legacy))
        if part is None or part.total > MAX_PARTS:
            return None
        media_id = part.head.media_id
        parts = self._legacy.setdefault(media_id, {})
        parts[part.index] = part.data
        self._legacy.move_to_end(media_id)
        while len(self._legacy) > _MAX_LEGACY:
            self._legacy.popitem(last=False)
        if sum(map(len, parts.values())) > MAX_BYTES:
            del self._legacy[media_id]
        elif len(parts) == part.total:
            del self._legacy[media_id]
            data = b"".join(parts[index] for index in sorted(parts))
            return part, MediaUpload(part.head, _NO_LOCATION, data)
        return part, None


def file_of(upload: MediaUpload, token: int, command_id: int | None, layout: Layout, moment: Moment) -> FileReceived:
    """An upload as a file for the gateway, with the parameters of its device message."""
    head = upload.head
    parameters: DeviceMessage = map_base(upload.location, layout, moment) if upload.location is not _NO_LOCATION else {}
    parameters.update(map_media_event(head))
    stamp = parameters.pop("timestamp", moment.now)
    created = stamp if isinstance(stamp, float) else moment.now
    when = datetime.fromtimestamp(created, UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"ch{head.channel}_{when}_{head.media_id}.{MEDIA_FORMATS.get(head.format, 'bin')}"
    return FileReceived(token, name, upload.data, created, head.channel, command_id, parameters)
