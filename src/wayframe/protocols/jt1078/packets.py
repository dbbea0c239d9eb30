"""The JT/T 1078 media packet ("01cd"): header forms, payload types, NAL inspection, packet encoder.

Source: JT/T 1078-2016, 5.5.3, tables 12 and 19; the number field is 6 bytes in the standard and 10 bytes on
terminals that signal with the 2019 edition of JT/T 808.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

MAGIC: Final = b"01cd"
"""The four bytes every media packet (and every attachment block) opens with."""

MAX_BODY: Final = 65_535 - 34
"""Longest body length field that is believed; the standard says 950, real terminals send more."""

STANDARD_BODY: Final = 950
"""Longest body the standard allows; the encoder cuts here."""


class DataType(enum.IntEnum):
    """High nibble of the byte behind the channel."""

    I = 0  # noqa: E741 - the letter is the standard's name of the frame
    P = 1
    B = 2
    AUDIO = 3
    TRANSPARENT = 4


class Part(enum.IntEnum):
    """Low nibble of the byte behind the channel. The values are not in the order of transmission."""

    ATOMIC = 0
    FIRST = 1
    LAST = 2
    MIDDLE = 3


class MediaKind(enum.Enum):
    """What a frame holds."""

    __hash__ = object.__hash__  # there is one object of each: no need to hash its name, for every packet

    VIDEO = "video"
    AUDIO = "audio"
    DATA = "data"


KINDS: Final = (MediaKind.VIDEO, MediaKind.VIDEO, MediaKind.VIDEO, MediaKind.AUDIO, MediaKind.DATA)
"""Kind of a frame by data type."""

PAYLOAD_CODECS: Final[dict[int, str]] = {
    1: "g721",
    2: "g722",
    3: "g723",
    4: "g728",
    5: "g729",
    6: "g711a",
    7: "g711u",
    8: "g726",
    9: "g729a",
    10: "dvi4_3",
    11: "dvi4_4",
    12: "dvi4_8k",
    13: "dvi4_16k",
    14: "lpc",
    15: "s16be_stereo",
    16: "s16be_mono",
    17: "mpegaudio",
    18: "lpcm",
    19: "aac",
    20: "wma9",
    21: "heaac",
    22: "pcm_voice",
    23: "pcm_audio",
    24: "aac",
    25: "mp3",
    26: "adpcm",
    27: "mp4audio",
    28: "amr",
    91: "transparent",
    98: "h264",
    99: "h265",
    100: "avs",
    101: "svac",
}
"""Codec name by payload type (JT/T 1078-2016 table 12)."""


def codec_name(payload_type: int) -> str:
    """Name of a payload type; `pt<number>` for the ones the table leaves open."""
    return PAYLOAD_CODECS.get(payload_type) or f"pt{payload_type}"


# One precompiled struct per header form: magic, V/P/X/CC, M/PT, sequence, number, channel, type/part, then what
# the data type has: timestamp and two intervals, timestamp only, or neither; body length last.
_FORMS: Final = {
    (length, data_type): struct.Struct(f">4sBBH{length}sBB{tail}")
    for length in (6, 10)
    for data_type, tail in ((0, "QHHH"), (1, "QHHH"), (2, "QHHH"), (3, "QH"), (4, "H"))
}

HEADER_LENGTHS: Final = {key: form.size for key, form in _FORMS.items()}
"""Header length in bytes by (number length, data type)."""


class PacketError(ValueError):
    """Bytes that are no media packet; the message says why."""


@dataclass(frozen=True, slots=True)
class MediaPacket:
    """One media packet, all header fields and the body."""

    marker: bool
    """M bit: last or only packet of a frame (terminals set it carelessly on audio)."""
    payload_type: int
    """PT, 7 bits."""
    sequence: int
    """0..65535, wraps."""
    number: bytes
    """Terminal number field as sent, 6 or 10 bytes."""
    channel: int
    """Logical channel."""
    data_type: int
    """See `DataType`."""
    part: int
    """See `Part`."""
    timestamp_ms: int | None
    """Device clock in ms; only differences mean anything. None for transparent data."""
    key_interval_ms: int | None
    """Milliseconds since the last I frame; video only."""
    frame_interval_ms: int | None
    """Milliseconds since the last frame; video only."""
    body: bytes
    """Payload of this packet."""

    @property
    def header_length(self) -> int:
        """Bytes in front of the body."""
        return HEADER_LENGTHS[len(self.number), self.data_type]

    def encode(self) -> bytes:
        """The packet as it goes over the wire."""
        form = _FORMS[len(self.number), self.data_type]
        head: list[object] = [
            MAGIC,
            0x81,
            (0x80 if self.marker else 0) | self.payload_type,
            self.sequence & 0xFFFF,
            self.number,
            self.channel,
            self.data_type << 4 | self.part,
        ]
        if self.data_type != DataType.TRANSPARENT:
            head.append(self.timestamp_ms or 0)
        if self.data_type <= DataType.B:
            head += [self.key_interval_ms or 0, self.frame_interval_ms or 0]
        return form.pack(*head, len(self.body)) + self.body


def decode_packet(raw: bytes, number_length: int) -> MediaPacket:
    """Read the packet `raw` starts with; bytes behind it are ignored.

    Raises `PacketError` when the magic, the data type, the part or the length is impossible or bytes are missing.
    """
    if raw[:4] != MAGIC:
        raise PacketError("a media packet starts with 30 31 63 64")
    kind_at = 9 + number_length
    if len(raw) <= kind_at:
        raise PacketError("header cut short")
    data_type, part = raw[kind_at] >> 4, raw[kind_at] & 0x0F
    if data_type > DataType.TRANSPARENT or part > Part.MIDDLE:
        raise PacketError(f"data type {data_type} or part {part} does not exist")
    form = _FORMS[number_length, data_type]
    if len(raw) < form.size:
        raise PacketError("header cut short")
    _, _, mpt, sequence, number, channel, _, *tail = form.unpack_from(raw)
    length = tail.pop()
    if length > MAX_BODY:
        raise PacketError(f"body length {length} is over {MAX_BODY}")
    body = raw[form.size : form.size + length]
    if len(body) < length:
        raise PacketError(f"body has {len(body)} of {length} bytes")
    timestamp, key_interval, frame_interval = [*tail, None, None, None][:3]
    return MediaPacket(
        marker=mpt >= 0x80,
        payload_type=mpt & 0x7F,
        sequence=sequence,
        number=number,
        channel=channel,
        data_type=data_type,
        part=part,
        timestamp_ms=timestamp,
        key_interval_ms=key_interval,
        frame_interval_ms=frame_interval,
        body=body,
    )


class Packetizer:
    """Cuts frames of one media connection into packets with running sequence numbers (the terminal's side)."""

    def __init__(self, number: bytes, *, sequence: int = 0, body_size: int = STANDARD_BODY) -> None:
        """`number`: 6 or 10 raw bytes; `sequence`: of the first packet; `body_size`: bytes per packet."""
        self._number = number
        self._sequence = sequence
        self._body_size = body_size

    def frame(
        self,
        data: bytes,
        *,
        channel: int,
        data_type: int,
        payload_type: int,
        timestamp_ms: int = 0,
        key_interval_ms: int = 0,
        frame_interval_ms: int = 0,
    ) -> list[bytes]:
        """The packets of one frame, in order."""
        pieces = [data[at : at + self._body_size] for at in range(0, len(data), self._body_size)] or [b""]
        last = len(pieces) - 1
        packets = []
        for index, piece in enumerate(pieces):
            part = Part.MIDDLE
            if last == 0:
                part = Part.ATOMIC
            elif index == 0:
                part = Part.FIRST
            elif index == last:
                part = Part.LAST
            packet = MediaPacket(
                marker=index == last,
                payload_type=payload_type,
                sequence=self._sequence,
                number=self._number,
                channel=channel,
                data_type=data_type,
                part=part,
                timestamp_ms=timestamp_ms,
                key_interval_ms=key_interval_ms,
                frame_interval_ms=frame_interval_ms,
                body=piece,
            )
            packets.append(packet.encode())
            self._sequence = (self._sequence + 1) & 0xFFFF
        return packets


class NalSummary(NamedTuple):
    """What the NAL units up to the first slice of a frame say."""

    codec: str | None
    """"h264" or "h265" when the parameter sets show it beyond doubt."""
    has_sps: bool
    """A sequence parameter set is in front of the slice."""
    has_key_slice: bool
    """The first slice is IDR (H.264) or IRAP (H.265)."""


def sniff_codec(first: int, second: int) -> str | None:
    """Codec by the two header bytes of a parameter set NAL: 40 01, 42 01, 44 01 are HEVC; x7, x8 are AVC."""
    if first in (0x40, 0x42, 0x44) and second == 0x01:
        return "h265"
    if first < 0x80 and first & 0x60 and first & 0x1F in (7, 8):
        return "h264"
    return None


def inspect_nals(body: bytes, codec: str) -> NalSummary:
    """Walk the Annex B NAL units of `body` up to its first slice; parameter sets overrule `codec`."""
    seen: str | None = None
    has_sps = False
    last = len(body) - 3
    # The three-byte start code alone: the search with an optional leading zero is twenty times slower.
    at = body.find(b"\x00\x00\x01")
    while 0 <= at < last:
        first = body[at + 3]
        second = body[at + 4] if at + 4 < len(body) else 0
        seen = seen or sniff_codec(first, second)
        if (seen or codec) == "h265":
            nal = first >> 1 & 0x3F
            has_sps = has_sps or nal == 33
            if nal < 32:
                return NalSummary(seen, has_sps, 16 <= nal <= 23)
        else:
            nal = first & 0x1F
            has_sps = has_sps or nal == 7
            if 1 <= nal <= 5:
                return NalSummary(seen, has_sps, nal == 5)
        at = body.find(b"\x00\x00\x01", at + 3)
    return NalSummary(seen, has_sps, False)
