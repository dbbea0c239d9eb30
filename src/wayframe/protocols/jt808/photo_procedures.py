"""take_photo and request_media: commands whose result is uploaded over the signalling link (reference section 5.1)."""

from __future__ import annotations

from ..device import CommandRequest
from .ids import MessageId
from .multimedia import MediaUpload, PhotoAnswer, TakePhoto, UploadOneMedia
from .procedures import Context, Procedure, integer, string

ANSWER_S = 10.0
"""The terminal must have answered 0x8801 after so long."""
UPLOAD_S = 120.0
"""Between two parts of the upload, and before the first."""
RESOLUTIONS = {
    "lowest": 0,
    "320x240": 1,
    "640x480": 2,
    "800x600": 3,
    "1024x768": 4,
    "qcif": 5,
    "cif": 6,
    "hd1": 7,
    "d1": 8,
    "highest": 0xFF,
}
"""Codes of 0x8801 by the words of the command."""
_XGA, _HIGHEST = 4, 0xFF
_BY_PLATFORM = 0


class Upload(Procedure):
    """Common to both: an answer, then parts of a 0x0801."""

    query = True

    def part(self, message_id: int, now: float) -> None:
        """The upload is arriving."""
        if message_id == MessageId.MEDIA_UPLOAD and self.deadline is not None:
            self.deadline = now + UPLOAD_S

    def accepted(self, now: float) -> None:
        """The upload is to come."""
        self.deadline = now + UPLOAD_S

    def unanswered(self, now: float) -> None:
        """The deadline decides."""

    def timed_out(self, now: float) -> None:
        """No answer, or no (further) part of the upload."""
        if self._answered:
            self.fail(f"no upload came within {UPLOAD_S:.0f} s; it is kept should it come later", retry=True)
        else:
            self.fail(f"the device did not answer within {ANSWER_S:.0f} s", retry=True)


class Photo(Upload):
    """take_photo."""

    answers = frozenset({MessageId.PHOTO_ANSWER})

    def __init__(self, request: CommandRequest, context: Context) -> None:
        """Properties `channel`, `resolution`, `quality`, `brightness`, `contrast`, `saturation`, `chroma`."""
        super().__init__(request, context)
        self._channel = integer(request.properties, "channel", 1)
        self._media_ids: frozenset[int] = frozenset()

    def start(self, now: float) -> None:
        """0x8801: one picture, uploaded at once."""
        properties = self.request.properties
        highest = _HIGHEST if self.context.link.layout.is_2019 else _XGA
        message = TakePhoto(
            channel=self._channel,
            resolution=RESOLUTIONS.get(string(properties, "resolution"), highest),
            quality=integer(properties, "quality", 5),
            brightness=integer(properties, "brightness", 127),
            contrast=integer(properties, "contrast", 63),
            saturation=integer(properties, "saturation", 63),
            chroma=integer(properties, "chroma", 127),
        )
        self.deadline = now + ANSWER_S
        self.ask(MessageId.TAKE_PHOTO, message.encode(self.context.link.layout), now)

    def answered(self, message: object, now: float) -> bool:
        """0x0805: media ids, or why there will be none."""
        if not isinstance(message, PhotoAnswer) or not self.asked_with(message.reply_serial):
            return False
        self.settle()
        if message.result == 0:
            self._media_ids = frozenset(message.media_ids)
            self.accepted(now)
        elif message.result == 2:
            self.fail(f"the device does not support camera {self._channel}")
        else:
            self.fail("the device could not take the photo", retry=True)
        return True

    def claims(self, upload: MediaUpload, now: float) -> bool:
        """By media id, else the first picture of the channel that the platform ordered."""
        head = upload.head
        ordered = head.channel == self._channel and head.event == _BY_PLATFORM
        self.over = head.media_id in self._media_ids or ordered
        return self.over


class StoredMedia(Upload):
    """request_media with an id."""

    def __init__(self, request: CommandRequest, context: Context) -> None:
        """Properties `media_id`, `delete`."""
        super().__init__(request, context)
        self._media_id = integer(request.properties, "media_id")

    def start(self, now: float) -> None:
        """0x8805."""
        message = UploadOneMedia(self._media_id, int(bool(self.request.properties.get("delete"))))
        self.deadline = now + ANSWER_S
        self.ask(MessageId.UPLOAD_ONE_MEDIA, message.encode(self.context.link.layout), now)

    def claims(self, upload: MediaUpload, now: float) -> bool:
        """By media id."""
        self.over = upload.head.media_id == self._media_id
        return self.over
