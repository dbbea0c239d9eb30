"""From parts to frames: what the channels of one media connection have begun, and what becomes of a complete frame.

Source: JT/T 1078-2016 table 19 for the parts; reference 4.2 for frames that stay unfinished, the wait for a key frame,
and payload types that are wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from .audio import strip_prefix
from .media_events import CodecCorrected, MediaCounters, MediaEvent, MediaFrame, MediaSettings
from .packets import KINDS, MediaKind, Part, codec_name, inspect_nals

_LOOKED_INTO: Final = ("h264", "h265")

# What frames that open with an ordinary slice begin with, behind a short SEI at most: no need to look further.
_PLAIN_SLICE: Final = {
    "h264": re.compile(rb"\x00\x00\x00\x01(?:\x06.{,99}?\x00\x00\x01)?[\x01\x21\x41\x61]", re.DOTALL),
    "h265": re.compile(rb"\x00\x00\x00\x01(?:\x4e.{,99}?\x00\x00\x01)?[\x00\x02]", re.DOTALL),
}


class TooLarge(Exception):
    """A frame, or all unfinished ones together, went beyond the limit; the message says which."""


class Head(NamedTuple):
    """What the first packet of a frame says about it."""

    data_type: int
    payload_type: int
    timestamp_ms: int
    interval_ms: int


@dataclass(slots=True)
class Assembly:
    """A frame whose last part has not come yet."""

    head: Head
    pieces: list[bytes]
    size: int


@dataclass(slots=True)
class Channel:
    """State of one logical channel."""

    number: int
    accepted: bool
    """A request asked for it."""
    waiting: bool = True
    """Video is held back until a key frame."""
    key_begun: bool = False
    sps_seen: bool = False
    video_codec: str | None = None
    """Found in the NAL units, against the payload type."""
    next_sequence: int = -1
    next_by_kind: dict[MediaKind, int] = field(default_factory=dict)
    open: dict[MediaKind, Assembly] = field(default_factory=dict)


class Frames:
    """Puts the parts of all channels together."""

    def __init__(self, settings: MediaSettings, counters: MediaCounters) -> None:
        self._settings = settings
        self._counters = counters
        self.events: list[MediaEvent] = []
        """Where complete frames go, and news about codecs."""
        self.open_bytes = 0
        """Bytes of unfinished frames."""

    def add(self, channel: Channel, part: int, head: Head, body: bytes) -> None:
        """Put a part where it belongs; deliver the frame it completes. Raises TooLarge."""
        kind = KINDS[head.data_type]
        if part in (Part.LAST, Part.MIDDLE):
            assembly = channel.open.get(kind)
            if assembly is not None:
                self.extend(channel, assembly, [body])
                if part == Part.LAST:
                    self.complete(channel, kind)
            elif part == Part.LAST and kind is MediaKind.VIDEO and channel.waiting:
                self._counters.skipped_before_key += 1
            return
        if kind in channel.open:
            self.drop(channel, kind)
        if head.data_type == 0:
            channel.key_begun = True
        if part == Part.ATOMIC:
            self._deliver(channel, head, body)
        else:
            channel.open[kind] = assembly = Assembly(head, [], 0)
            self.extend(channel, assembly, [body])

    def whole(self, channel: Channel, head: Head, data: bytes) -> None:
        """A frame whose parts came together. Raises TooLarge."""
        self._check(channel, len(data))
        if head.data_type == 0:
            channel.key_begun = True
        self._deliver(channel, head, data)

    def extend(self, channel: Channel, assembly: Assembly, bodies: list[bytes]) -> None:
        """Further parts of an unfinished frame. Raises TooLarge."""
        size = sum(map(len, bodies))
        assembly.pieces += bodies
        assembly.size += size
        self.open_bytes += size
        self._check(channel, assembly.size)
        if self.open_bytes > self._settings.max_open:
            raise TooLarge(f"unfinished frames hold more than {self._settings.max_open} bytes")

    def _check(self, channel: Channel, size: int) -> None:
        if size > self._settings.max_frame:
            raise TooLarge(f"a frame of channel {channel.number} is larger than {self._settings.max_frame} bytes")

    def complete(self, channel: Channel, kind: MediaKind) -> None:
        """The last part of the unfinished frame is there."""
        assembly = channel.open.pop(kind)
        self.open_bytes -= assembly.size
        self._deliver(channel, assembly.head, b"".join(assembly.pieces))

    def drop(self, channel: Channel, kind: MediaKind) -> None:
        """Throw an unfinished frame away."""
        self.open_bytes -= channel.open.pop(kind).size
        self._counters.dropped_frames += 1

    def _deliver(self, channel: Channel, head: Head, data: bytes) -> None:
        """All parts of a frame are there: pass it on, or keep it back."""
        kind = KINDS[head.data_type]
        key = False
        interval: int | None = None
        if kind is MediaKind.VIDEO:
            codec, key = self._inspect(channel, head, data)
            if channel.waiting:
                # Only H.264 and H.265 are looked into; other codecs' word is taken.
                if not key or (codec in _LOOKED_INTO and not channel.sps_seen):
                    self._counters.skipped_before_key += 1
                    return
                channel.waiting = False
                channel.key_begun = True
            interval = head.interval_ms if head.interval_ms != 0xFFFF else None
        elif kind is MediaKind.AUDIO:
            if self._settings.wait_for_key and not channel.key_begun:
                return
            codec = self._settings.audio_codec or codec_name(head.payload_type)
            data = strip_prefix(codec, data, self._settings.hisilicon)
        else:
            codec = codec_name(head.payload_type)
        self._counters.frames += 1
        data_type, payload_type, timestamp_ms, _ = head
        self.events.append(
            MediaFrame(channel.number, kind, codec, key, timestamp_ms, interval, data, data_type, payload_type)
        )

    def _inspect(self, channel: Channel, head: Head, data: bytes) -> tuple[str, bool]:
        """Codec of a video frame and whether it is a key frame, by its NAL units as well as by its header."""
        forced = self._settings.video_codec
        codec = forced or channel.video_codec or codec_name(head.payload_type)
        key = head.data_type == 0
        plain = _PLAIN_SLICE.get(codec)
        if codec in ("avs", "svac") or (plain is not None and plain.match(data)):
            return codec, key
        nals = inspect_nals(data, codec)
        channel.sps_seen = channel.sps_seen or nals.has_sps
        if nals.codec and nals.codec != codec and not forced:
            codec = channel.video_codec = nals.codec
            self.events.append(CodecCorrected(channel.number, head.payload_type, codec))
        return codec, key or (nals.has_key_slice and codec in _LOOKED_INTO)
