"""Bodies of the video messages on the 808 link, both directions (JT/T 1078-2016 5.4 to 5.6, tables 17 to 28).

Values stay as sent: codes are plain integers (terminals send ones no table lists), times are twelve BCD digits of
local time (see `times`). Every record has `ID`, `decode(body)` and `encode()`; `DECODERS` finds them by message id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .attachment_messages import AttachmentList, AttachmentRequest, FileEnd, FileEndReply, FileStart
from .live_messages import (
    AvAttributes,
    LiveControl,
    LiveRequest,
    LiveStatus,
    PassengerFlow,
    PtzFocus,
    PtzInfrared,
    PtzIris,
    PtzRotate,
    PtzWiper,
    PtzZoom,
    QueryAvAttributes,
)
from .recording_messages import (
    FtpUpload,
    FtpUploadControl,
    FtpUploadFinished,
    PlaybackControl,
    PlaybackRequest,
    RecordingItem,
    RecordingList,
    RecordingQuery,
)
from .wire import BodyError

SignallingMessage = (
    QueryAvAttributes
    | AvAttributes
    | PassengerFlow
    | LiveRequest
    | LiveControl
    | LiveStatus
    | PlaybackRequest
    | PlaybackControl
    | RecordingQuery
    | RecordingList
    | FtpUpload
    | FtpUploadFinished
    | FtpUploadControl
    | PtzRotate
    | PtzFocus
    | PtzIris
    | PtzWiper
    | PtzInfrared
    | PtzZoom
    | AttachmentRequest
    | AttachmentList
    | FileStart
    | FileEnd
    | FileEndReply
)
"""Any body of this package."""

DECODERS: Final[dict[int, Callable[[bytes], SignallingMessage]]] = {
    kind.ID: kind.decode
    for kind in (
        QueryAvAttributes,
        AvAttributes,
        PassengerFlow,
        LiveRequest,
        LiveControl,
        LiveStatus,
        PlaybackRequest,
        PlaybackControl,
        RecordingQuery,
        RecordingList,
        FtpUpload,
        FtpUploadFinished,
        FtpUploadControl,
        PtzRotate,
        PtzFocus,
        PtzIris,
        PtzWiper,
        PtzInfrared,
        PtzZoom,
        AttachmentRequest,
        AttachmentList,
        FileStart,
        FileEnd,
        FileEndReply,
    )
}
"""Decoder by message id; each raises `BodyError` for a body that does not fit."""


def decode_body(message_id: int, body: bytes) -> SignallingMessage:
    """Read the assembled body of a video or attachment message; the header's layout makes no difference.

    Raises `BodyError` for a body that does not fit, `KeyError` for a message id that is not in `DECODERS`.
    """
    return DECODERS[message_id](body)


__all__ = [
    "DECODERS",
    "AttachmentList",
    "AttachmentRequest",
    "AvAttributes",
    "BodyError",
    "FileEnd",
    "FileEndReply",
    "FileStart",
    "FtpUpload",
    "FtpUploadControl",
    "FtpUploadFinished",
    "LiveControl",
    "LiveRequest",
    "LiveStatus",
    "PassengerFlow",
    "PlaybackControl",
    "PlaybackRequest",
    "PtzFocus",
    "PtzInfrared",
    "PtzIris",
    "PtzRotate",
    "PtzWiper",
    "PtzZoom",
    "QueryAvAttributes",
    "RecordingItem",
    "RecordingList",
    "RecordingQuery",
    "SignallingMessage",
    "decode_body",
]
