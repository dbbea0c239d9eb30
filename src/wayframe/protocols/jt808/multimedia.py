"""Multimedia messages: photos, and the audio and clips of old trackers (S13 8.35–8.45; reference section 5)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..jt1078.wire import BodyError, Reader, bcd
from .frames import Layout
from .location import BASE_SIZE, Location

HEAD_SIZE = 8 + BASE_SIZE
"""Bytes in front of the data of an upload."""
MAX_RESEND = 125
"""Most part numbers one 0x8800 carries (S19)."""
ANY_TIME = "000000000000"
"""No bound, in filters."""
MEDIA_TYPES = {0: "image", 1: "audio", 2: "video"}
"""Kind of medium by code."""
MEDIA_FORMATS = {0: "jpg", 1: "tif", 2: "mp3", 3: "wav", 4: "wmv"}
"""File name extension by format code."""
MEDIA_EVENTS = {
    0: "platform command",
    1: "timer",
    2: "robbery",
    3: "collision or rollover",
    4: "door open",
    5: "door close",
    6: "door closed above 20 km/h",
    7: "distance",
}
"""Why it was recorded, by event code."""
_HEAD = struct.Struct(">IBBBB")


@dataclass(frozen=True, slots=True)
class MediaEvent:
    """0x0800: something was recorded. Also the first eight bytes of 0x0801."""

    media_id: int
    """The terminal's number for it."""
    type: int
    """See `MEDIA_TYPES`."""
    format: int
    """See `MEDIA_FORMATS`."""
    event: int
    """See `MEDIA_EVENTS`."""
    channel: int
    """Camera or microphone, from 1."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout = Layout.V2013) -> MediaEvent:
        """Read a body. Raises `BodyError`."""
        if len(body) < _HEAD.size:
            raise BodyError(f"a media head has {_HEAD.size} bytes, got {len(body)}")
        return cls(*_HEAD.unpack_from(body))

    def encode(self, layout: Layout = Layout.V2013) -> bytes:
        """Write the body."""
        return _HEAD.pack(self.media_id, self.type, self.format, self.event, self.channel)


@dataclass(frozen=True, slots=True)
class MediaUpload:
    """0x0801: a recording with its bytes; 2013 and 2019."""

    head: MediaEvent
    """What it is."""
    location: Location
    """Where it was recorded; without items."""
    data: bytes
    """The file."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> MediaUpload:
        """Read an assembled body. Raises `BodyError`."""
        if len(body) < HEAD_SIZE:
            raise BodyError(f"a media upload has at least {HEAD_SIZE} bytes, got {len(body)}")
        return cls(MediaEvent.decode(body), Location.decode(body[8:HEAD_SIZE]), body[HEAD_SIZE:])

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return self.head.encode() + self.location.encode() + self.data


@dataclass(frozen=True, slots=True)
class LegacyMediaPart:
    """0x0801 of the 2011 edition: parts are numbered in the body, and there is no location."""

    head: MediaEvent
    """What it is; repeated in every part."""
    total: int
    """Number of parts."""
    index: int
    """This part, from 1."""
    data: bytes
    """Its piece of the file."""

    @classmethod
    def decode(cls, body: bytes, known: frozenset[int] = frozenset()) -> LegacyMediaPart | None:
        """Read a body that is one of 2011, else None.

        The first part shows it by a JPEG start where 2013 has the middle of a location, the others by a media id of
        which such a first part was seen (`known`).
        """
        if len(body) <= 16:
            return None
        head = MediaEvent.decode(body)
        total, index = struct.unpack_from(">II", body, 8)
        if not 1 <= index <= total <= 0xFFFF or not (body[16:18] == b"\xff\xd8" or head.media_id in known):
            return None
        return cls(head, total, index, body[16:])


@dataclass(frozen=True, slots=True)
class MediaAnswer:
    """0x8800: the upload arrived, or these parts of it are missing."""

    media_id: int
    """As in the upload."""
    missing: tuple[int, ...] = ()
    """Part numbers to send again, at most `MAX_RESEND`."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> MediaAnswer:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        media_id = reader.dword()
        count = reader.byte() if reader.left else 0
        return cls(media_id, tuple(reader.word() for _ in range(count)))

    def encode(self, layout: Layout) -> bytes:
        """Write the body. Nothing follows the id when all is there: terminals reject a count of 0."""
        if not self.missing:
            return self.media_id.to_bytes(4, "big")
        return struct.pack(f">IB{len(self.missing)}H", self.media_id, len(self.missing), *self.missing)


@dataclass(frozen=True, slots=True)
class TakePhoto:
    """0x8801: take pictures or record a clip."""

    channel: int
    """Camera, from 1; T/JSATL 12 adds 0x64 (ADAS) and 0x65 (DSM)."""
    command: int = 1
    """0 stop, 1..n pictures, 0xFFFF video."""
    interval_s: int = 0
    """Between pictures, or length of the video; 0 as fast as possible or endless."""
    save: int = 0
    """1 keep in the terminal, 0 upload at once."""
    resolution: int = 4
    """0 lowest (2019), 1 320×240, 2 640×480, 3 800×600, 4 1024×768, 5 QCIF, 6 CIF, 7 half D1, 8 D1, 255 highest."""
    quality: int = 5
    """1 best to 10."""
    brightness: int = 127
    """0–255."""
    contrast: int = 63
    """0–127."""
    saturation: int = 63
    """0–127."""
    chroma: int = 127
    """0–255."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> TakePhoto:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.byte(), reader.word(), reader.word(), *(reader.byte() for _ in range(7)))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        look = (self.resolution, self.quality, self.brightness, self.contrast, self.saturation, self.chroma)
        return struct.pack(">BHHB6B", self.channel, self.command, self.interval_s, self.save, *look)


@dataclass(frozen=True, slots=True)
class PhotoAnswer:
    """0x0805: what became of a 0x8801."""

    reply_serial: int
    """Serial of the 0x8801."""
    result: int
    """0 ok, 1 failure, 2 channel not supported."""
    media_ids: tuple[int, ...] = ()
    """Ids of the pictures; some terminals leave the list out."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> PhotoAnswer:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        serial, result = reader.word(), reader.byte()
        count = min(reader.word(), reader.left // 4) if reader.left >= 2 else 0
        return cls(serial, result, tuple(reader.dword() for _ in range(count)))

    def encode(self, layout: Layout) -> bytes:
        """Write the body; a failure has no list."""
        head = struct.pack(">HB", self.reply_serial, self.result)
        if self.result:
            return head
        return head + struct.pack(f">H{len(self.media_ids)}I", len(self.media_ids), *self.media_ids)


@dataclass(frozen=True, slots=True)
class MediaFilter:
    """0x8802, and the beginning of 0x8803: which stored recordings."""

    type: int
    """See `MEDIA_TYPES`."""
    channel: int
    """0 all."""
    event: int
    """See `MEDIA_EVENTS`."""
    start: str = ANY_TIME
    """Twelve BCD digits, zeros for any."""
    end: str = ANY_TIME
    """Twelve BCD digits, zeros for any."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> MediaFilter:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.byte(), reader.byte(), reader.byte(), reader.time(), reader.time())

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return bytes((self.type, self.channel, self.event)) + bcd(self.start) + bcd(self.end)


@dataclass(frozen=True, slots=True)
class UploadMedia:
    """0x8803: upload the stored recordings a filter finds."""

    filter: MediaFilter
    """Which."""
    delete: int = 0
    """1 to delete them afterwards."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> UploadMedia:
        """Read a body. Raises `BodyError`."""
        return cls(MediaFilter.decode(body, layout), Reader(body[15:]).byte())

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return self.filter.encode(layout) + bytes((self.delete,))


@dataclass(frozen=True, slots=True)
class UploadOneMedia:
    """0x8805: upload one stored recording."""

    media_id: int
    """The terminal's number for it."""
    delete: int = 0
    """1 to delete it afterwards."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> UploadOneMedia:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.dword(), reader.byte())

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return struct.pack(">IB", self.media_id, self.delete)


@dataclass(frozen=True, slots=True)
class RecordAudio:
    """0x8804: record sound. Withdrawn by JT/T 1078 for video terminals."""

    command: int
    """0 stop, 1 start."""
    seconds: int
    """How long; 0 until stopped."""
    save: int
    """1 keep in the terminal, 0 upload at once."""
    rate: int
    """0 8 kHz, 1 11 kHz, 2 23 kHz, 3 32 kHz."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> RecordAudio:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.byte(), reader.word(), reader.byte(), reader.byte())

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return struct.pack(">BHBB", self.command, self.seconds, self.save, self.rate)


@dataclass(frozen=True, slots=True)
class MediaItem:
    """One stored recording in a 0x0802."""

    media_id: int
    """The terminal's number for it; 0 in the 2011 edition, which has none."""
    type: int
    """See `MEDIA_TYPES`."""
    channel: int
    """Camera or microphone."""
    event: int
    """See `MEDIA_EVENTS`."""
    location: Location
    """Where and when; without items."""


@dataclass(frozen=True, slots=True)
class MediaList:
    """0x0802: stored recordings."""

    reply_serial: int
    """Serial of the 0x8802."""
    total: int
    """Number as stated."""
    items: tuple[MediaItem, ...]
    """The complete items found."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> MediaList:
        """Read a body of any edition; 2011 shows by its length. Raises `BodyError`."""
        reader = Reader(body)
        serial, total = reader.word(), reader.word()
        legacy = reader.left % 35 != 0 and (reader.left - 2) % 31 == 0
        if legacy:
            reader.word()
        items = []
        while reader.left >= (31 if legacy else 35):
            media_id = 0 if legacy else reader.dword()
            kind, channel, event = reader.byte(), reader.byte(), reader.byte()
            items.append(MediaItem(media_id, kind, channel, event, Location.decode(reader.take(BASE_SIZE))))
        return cls(serial, total, tuple(items))

    def encode(self, layout: Layout) -> bytes:
        """Write the body of 2013 and 2019."""
        items = (
            struct.pack(">IBBB", item.media_id, item.type, item.channel, item.event) + item.location.encode()
            for item in self.items
        )
        return struct.pack(">HH", self.reply_serial, self.total) + b"".join(items)
