"""What a media connection is told and what it says: settings with limits, events, counters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .audio import Hisilicon
from .packets import MediaKind

MatchRequest = Callable[[bytes, int], bool]
"""(raw number, logical channel) → a pending request waits for this media."""


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """What is known or decided about a device's media, and the limits of its connections."""

    number_length: int | None = None
    """6 or 10 when forced by the device's settings; None to find out."""
    allow_unsolicited: bool = False
    """Deliver media that no request asked for."""
    wait_for_key: bool = True
    """Hold audio back until the channel's first I frame; False for listen-only and talk requests."""
    video_codec: str | None = None
    """Codec forced over the payload type."""
    audio_codec: str | None = None
    """Codec forced over the payload type."""
    hisilicon: Hisilicon = Hisilicon.AUTO
    """Whether audio carries the HiSilicon prefix."""
    max_frame: int = 4 * 1024 * 1024
    """Bytes of the largest frame."""
    max_open: int = 8 * 1024 * 1024
    """Bytes of all unfinished frames of the connection together."""
    max_channels: int = 16
    """Logical channels on one connection."""
    max_rate_bps: int = 16_000_000
    """Bits per second, averaged over `rate_window_s`."""
    rate_window_s: int = 10
    """Seconds over which the rate is averaged."""
    max_resyncs: int = 5
    """This many resynchronisations within `resync_window_s` end the connection."""
    resync_window_s: float = 10.0
    """Seconds over which resynchronisations are counted."""
    max_noise: int = 256 * 1024
    """Bytes without a packet that end the connection."""
    unsolicited_timeout_s: float = 10.0
    """Seconds a connection may live without matching a request."""
    undecided_timeout_s: float = 2.0
    """Seconds after which an undecided number length is taken as 6."""


class MediaFrame(NamedTuple):
    """One complete frame."""

    channel: int
    """Logical channel."""
    kind: MediaKind
    """Video, audio or data."""
    codec: str
    """As in `packets.PAYLOAD_CODECS`, corrected by the NAL units for video."""
    key: bool
    """A decoder can start here; always False for audio and data."""
    timestamp_ms: int
    """Device clock; 0 for data, which has none."""
    frame_interval_ms: int | None
    """The last-frame interval field; None when absent or saturated (FFFF)."""
    data: bytes
    """Annex B access unit, audio without prefix, or transparent bytes."""
    data_type: int
    """As sent, see `packets.DataType`."""
    payload_type: int
    """As sent."""


@dataclass(frozen=True, slots=True)
class Identified:
    """Whose media this is; sent once the number length is known, and again if a request matches only later."""

    number: bytes
    """Raw number field, 6 or 10 bytes."""
    channel: int
    """Logical channel of the packet."""
    number_length: int
    """6 or 10, fixed for the connection."""
    matched: bool
    """A pending request asked for it."""


@dataclass(frozen=True, slots=True)
class ChannelSeen:
    """Another logical channel on the same connection."""

    channel: int
    """Logical channel."""
    matched: bool
    """A pending request asked for it."""


@dataclass(frozen=True, slots=True)
class CodecCorrected:
    """The payload type of a channel's video is wrong; its frames carry the codec of their NAL units."""

    channel: int
    """Logical channel."""
    payload_type: int
    """As sent."""
    codec: str
    """What it is."""


@dataclass(frozen=True, slots=True)
class Violation:
    """The connection has to be closed; nothing it sends is looked at any more."""

    reason: str
    """What the terminal did, as a sentence for the log."""


MediaEvent = MediaFrame | Identified | ChannelSeen | CodecCorrected | Violation


@dataclass(slots=True)
class MediaCounters:
    """Running totals of one connection."""

    bytes: int = 0
    """Received."""
    packets: int = 0
    """Whole packets parsed."""
    frames: int = 0
    """Frames delivered."""
    resyncs: int = 0
    """Searches for the magic after bytes that were no packet."""
    gaps: int = 0
    """Jumps of the sequence number."""
    dropped_frames: int = 0
    """Unfinished frames thrown away."""
    skipped_before_key: int = 0
    """Video frames not delivered because their channel waited for a key frame."""
    skipped_unmatched: int = 0
    """Packets ignored because no request asked for them."""


def same_number(one: bytes, other: bytes) -> bool:
    """True when two raw number fields are the same bytes, or the same digits without leading zeros."""
    return one == other or one.hex().lstrip("0") == other.hex().lstrip("0")
