"""The remaining messages of JT/T 808, and `decode_body` for all of them.

Every record has `decode(body, layout)` and `encode(layout)`; the layout of the header tells the edition of the body.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..jt1078 import signalling as video
from ..jt1078.wire import BodyError, Reader, text
from .areas import AreaAnswer, DeleteAreas, PhoneBook, QueryAreas, SetAreas, SetPolygon, SetRoute
from .frames import Layout
from .ids import MessageId
from .location import AlarmConfirmation, CanFrames, Location, LocationAnswer, LocationBatch, Tracking
from .multimedia import (
    MediaAnswer,
    MediaEvent,
    MediaFilter,
    MediaList,
    MediaUpload,
    PhotoAnswer,
    RecordAudio,
    TakePhoto,
    UploadMedia,
    UploadOneMedia,
)
from .terminal import (
    Authentication,
    DriverIdentity,
    Properties,
    Registration,
    RegistrationAnswer,
    ServerTime,
    Upgrade,
    UpgradeResult,
    VendorTime,
)
from .terminal_parameters import ParameterReport, QueryParameters, SetParameters

MAX_INFLATED = 1024 * 1024
"""Largest body a 0x0901 may unfold to."""


class Message(Protocol):
    """What every record of this protocol can do."""

    def encode(self, layout: Layout) -> bytes:
        """Write the body for that header layout."""


@dataclass(frozen=True, slots=True)
class GeneralResponse:
    """0x0001 and 0x8001: the answer to whatever has no answer of its own."""

    reply_serial: int
    """Serial of the message answered."""
    reply_id: int
    """Its id."""
    result: int
    """0 ok, 1 failure, 2 malformed, 3 not supported, 4 alarm confirmed (platform only)."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> GeneralResponse:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.word(), reader.word(), reader.byte())

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return struct.pack(">HHB", self.reply_serial, self.reply_id, self.result)


@dataclass(frozen=True, slots=True)
class Empty:
    """A message whose id says it all."""

    extra: bytes = b""
    """Bytes that some trackers append, to heartbeats above all."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> Empty:
        """Read a body."""
        return cls(body)

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return self.extra


@dataclass(frozen=True, slots=True)
class Resend:
    """0x8003 and 0x0005: send these parts of a long message again."""

    first_serial: int
    """Serial of the message's first part."""
    indexes: tuple[int, ...]
    """Part numbers, from 1."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> Resend:
        """Read a body; the length tells whether the count is a BYTE (2013) or a WORD (2019). Raises `BodyError`."""
        reader = Reader(body)
        serial = reader.word()
        if reader.left % 2:
            reader.byte()
        else:
            reader.word()
        return cls(serial, tuple(reader.word() for _ in range(reader.left // 2)))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        count = struct.pack(">H" if layout.is_2019 else ">B", len(self.indexes))
        return self.first_serial.to_bytes(2, "big") + count + struct.pack(f">{len(self.indexes)}H", *self.indexes)


@dataclass(frozen=True, slots=True)
class Control:
    """0x8105: reset, switch off, connect elsewhere."""

    command: int
    """1 upgrade, 2 connect to a server, 3 power off, 4 reset, 5 factory reset, 6 close data link, 7 close all radio."""
    arguments: str = ""
    """Separated by `;`."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> Control:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.byte(), text(reader.take(reader.left)))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return bytes((self.command,)) + self.arguments.encode("gbk", "replace")


@dataclass(frozen=True, slots=True)
class Text:
    """0x8300: a text for the driver, or a command in text form."""

    flags: int
    """Bits: 2 display, 3 read aloud, 4 advertising screen, 5 fault code; 0 urgent (2013), 0–1 1 service, 2 urgent,
    3 notice (2019)."""
    text: str
    """At most 1024 bytes in GBK."""
    type: int = 1
    """1 notice, 2 service; 2019 only."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> Text:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        flags = reader.byte()
        kind = reader.byte() if layout.is_2019 else 1
        return cls(flags, text(reader.take(reader.left)), kind)

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        head = bytes((self.flags, self.type)) if layout.is_2019 else bytes((self.flags,))
        return head + self.text.encode("gbk", "replace")


@dataclass(frozen=True, slots=True)
class Transparent:
    """0x0900 and 0x8900: bytes between the platform and what is attached to the terminal."""

    type: int
    """0x00 GNSS detail, 0x0B IC card, 0x41 and 0x42 serial ports, 0xF0–0xFF vendor (T/JSATL 12: F7, F8 peripherals)."""
    payload: bytes
    """The bytes."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> Transparent:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.byte(), reader.take(reader.left))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return bytes((self.type,)) + self.payload


@dataclass(frozen=True, slots=True)
class Compressed:
    """0x0901: gzip of a whole message body."""

    length: int
    """Length as stated."""
    data: bytes
    """Gzip data."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> Compressed:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.dword(), reader.take(reader.left))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return self.length.to_bytes(4, "big") + self.data

    def inflate(self) -> bytes:
        """The body inside. Raises `BodyError` for damaged data and above `MAX_INFLATED`."""
        unfolder = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            body = unfolder.decompress(self.data, MAX_INFLATED + 1)
        except zlib.error as error:
            raise BodyError(f"not gzip: {error}") from None
        if len(body) > MAX_INFLATED:
            raise BodyError(f"unfolds to more than {MAX_INFLATED} bytes")
        return body


@dataclass(frozen=True, slots=True)
class RecorderData:
    """0x0700: data of the Chinese driving recorder (GB/T 19056)."""

    reply_serial: int
    """Serial of the 0x8700."""
    command: int
    """GB/T 19056 command word."""
    data: bytes
    """Recorder block."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> RecorderData:
        """Read an assembled body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.word(), reader.byte(), reader.take(reader.left))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return struct.pack(">HB", self.reply_serial, self.command) + self.data


@dataclass(frozen=True, slots=True)
class RecorderCommand:
    """0x8700 and 0x8701: ask or set the Chinese driving recorder (GB/T 19056)."""

    command: int
    """GB/T 19056 command word."""
    data: bytes = b""
    """Data block of the command."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> RecorderCommand:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.byte(), reader.take(reader.left))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return bytes((self.command,)) + self.data


@dataclass(frozen=True, slots=True)
class Waybill:
    """0x0701: an electronic waybill."""

    content: bytes
    """Its text."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> Waybill:
        """Read an assembled body; a wrong stated length gives way to the bytes. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.take(min(reader.dword(), reader.left)))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return len(self.content).to_bytes(4, "big") + self.content


@dataclass(frozen=True, slots=True)
class Event:
    """0x0301: the driver chose an entry of the event menu (removed in 2019)."""

    id: int
    """Event id."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> Event:
        """Read a body. Raises `BodyError`."""
        return cls(Reader(body).byte())

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return bytes((self.id,))


@dataclass(frozen=True, slots=True)
class QuestionAnswer:
    """0x0302: the driver answered a question (removed in 2019)."""

    reply_serial: int
    """Serial of the question."""
    answer: int
    """Answer id."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> QuestionAnswer:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.word(), reader.byte())

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return struct.pack(">HB", self.reply_serial, self.answer)


@dataclass(frozen=True, slots=True)
class InformationDemand:
    """0x0303: the driver ordered or cancelled a kind of information (removed in 2019)."""

    type: int
    """Kind of information."""
    on: int
    """1 ordered, 0 cancelled."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> InformationDemand:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.byte(), reader.byte())

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return bytes((self.type, self.on))


@dataclass(frozen=True, slots=True)
class CallBack:
    """0x8400: let the terminal call a phone."""

    mode: int
    """0 ordinary call, 1 listen in."""
    phone: str
    """Number to call."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> CallBack:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(reader.byte(), text(reader.take(reader.left)))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return bytes((self.mode,)) + self.phone.encode("gbk", "replace")


@dataclass(frozen=True, slots=True)
class VehicleControl:
    """0x8500: act on the vehicle."""

    doors_locked: bool
    """2013: the only thing there is to control, bit 0 of one byte; 2019: control type 1."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> VehicleControl:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        if layout.is_2019:
            reader.take(4)
        return cls(bool(reader.byte() & 1))

    def encode(self, layout: Layout) -> bytes:
        """Write the body; 2019 has a WORD count and (WORD type, BYTE value) instead of one byte."""
        if layout.is_2019:
            return struct.pack(">HHB", 1, 1, self.doors_locked)
        return bytes((self.doors_locked,))


Decoder = Callable[[bytes, Layout], Message]

_DECODERS: dict[int, Decoder] = {
    MessageId.TERMINAL_RESPONSE: GeneralResponse.decode,
    MessageId.HEARTBEAT: Empty.decode,
    MessageId.LOGOUT: Empty.decode,
    MessageId.TIME_QUERY: Empty.decode,
    MessageId.TERMINAL_RESEND: Resend.decode,
    MessageId.REGISTER: Registration.decode,
    MessageId.AUTHENTICATE: Authentication.decode,
    MessageId.PARAMETERS: ParameterReport.decode,
    MessageId.PROPERTIES: Properties.decode,
    MessageId.UPGRADE_RESULT: UpgradeResult.decode,
    MessageId.VENDOR_TIME_QUERY: Empty.decode,
    MessageId.LOCATION: Location.decode,
    MessageId.LOCATION_ANSWER: LocationAnswer.decode,
    MessageId.EVENT_REPORT: Event.decode,
    MessageId.QUESTION_ANSWER: QuestionAnswer.decode,
    MessageId.INFORMATION_DEMAND: InformationDemand.decode,
    MessageId.VEHICLE_CONTROL_ANSWER: LocationAnswer.decode,
    MessageId.RECORDER_DATA: RecorderData.decode,
    MessageId.WAYBILL: Waybill.decode,
    MessageId.DRIVER_IDENTITY: DriverIdentity.decode,
    MessageId.LOCATION_BATCH: LocationBatch.decode,
    MessageId.CAN_FRAMES: CanFrames.decode,
    MessageId.MEDIA_EVENT: MediaEvent.decode,
    MessageId.MEDIA_UPLOAD: MediaUpload.decode,
    MessageId.MEDIA_LIST: MediaList.decode,
    MessageId.PHOTO_ANSWER: PhotoAnswer.decode,
    MessageId.TRANSPARENT_UP: Transparent.decode,
    MessageId.COMPRESSED: Compressed.decode,
    MessageId.PLATFORM_RESPONSE: GeneralResponse.decode,
    MessageId.PLATFORM_RESEND: Resend.decode,
    MessageId.TIME_ANSWER: ServerTime.decode,
    MessageId.REGISTER_ANSWER: RegistrationAnswer.decode,
    MessageId.SET_PARAMETERS: SetParameters.decode,
    MessageId.QUERY_ALL_PARAMETERS: Empty.decode,
    MessageId.CONTROL: Control.decode,
    MessageId.QUERY_PARAMETERS: QueryParameters.decode,
    MessageId.QUERY_PROPERTIES: Empty.decode,
    MessageId.UPGRADE: Upgrade.decode,
    MessageId.VENDOR_TIME_ANSWER: VendorTime.decode,
    MessageId.QUERY_LOCATION: Empty.decode,
    MessageId.TRACKING: Tracking.decode,
    MessageId.CONFIRM_ALARM: AlarmConfirmation.decode,
    MessageId.LINK_CHECK: Empty.decode,
    MessageId.TEXT: Text.decode,
    MessageId.CALL_BACK: CallBack.decode,
    MessageId.VEHICLE_CONTROL: VehicleControl.decode,
    MessageId.PHONE_BOOK: PhoneBook.decode,
    MessageId.SET_CIRCLES: SetAreas.circles,
    MessageId.DELETE_CIRCLES: DeleteAreas.decode,
    MessageId.SET_RECTANGLES: SetAreas.rectangles,
    MessageId.DELETE_RECTANGLES: DeleteAreas.decode,
    MessageId.SET_POLYGON: SetPolygon.decode,
    MessageId.DELETE_POLYGONS: DeleteAreas.decode,
    MessageId.SET_ROUTE: SetRoute.decode,
    MessageId.DELETE_ROUTES: DeleteAreas.decode,
    MessageId.QUERY_AREAS: QueryAreas.decode,
    MessageId.AREA_ANSWER: AreaAnswer.decode,
    MessageId.QUERY_RECORDER: RecorderCommand.decode,
    MessageId.SET_RECORDER: RecorderCommand.decode,
    MessageId.QUERY_DRIVER: Empty.decode,
    MessageId.MEDIA_ANSWER: MediaAnswer.decode,
    MessageId.TAKE_PHOTO: TakePhoto.decode,
    MessageId.QUERY_MEDIA: MediaFilter.decode,
    MessageId.UPLOAD_MEDIA: UploadMedia.decode,
    MessageId.RECORD_AUDIO: RecordAudio.decode,
    MessageId.UPLOAD_ONE_MEDIA: UploadOneMedia.decode,
    MessageId.TRANSPARENT_DOWN: Transparent.decode,
}

KNOWN: frozenset[int] = frozenset(_DECODERS) | frozenset(video.DECODERS)
"""Ids that `decode_body` reads."""


def decode_body(message_id: int, body: bytes, layout: Layout) -> Message | video.SignallingMessage:
    """Read an assembled body. Raises `BodyError` if it does not fit, `KeyError` for an id not in `KNOWN`."""
    decoder = _DECODERS.get(message_id)
    return decoder(body, layout) if decoder else video.decode_body(message_id, body)
