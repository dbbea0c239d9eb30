"""Audio payloads: the HiSilicon prefix, ADPCM block heads, G.726 rates, ADTS, and the format of a track.

Reference 4.5; field names of the 0x1003 answer in `signalling.AvAttributes`.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final

from .live_messages import AvAttributes

HISILICON_CODECS: Final = frozenset({"g711a", "g711u", "g726", "adpcm"})
"""Codecs that HiSilicon encoders deliver with a four-byte prefix."""

_SAMPLE_RATES: Final = {0: 8_000, 1: 22_050, 2: 44_100, 3: 48_000}
_SAMPLE_BITS: Final = {0: 8, 1: 16, 2: 32}
_ADTS_RATES: Final = (
    96_000,
    88_200,
    64_000,
    48_000,
    44_100,
    32_000,
    24_000,
    22_050,
    16_000,
    12_000,
    11_025,
    8_000,
    7_350,
)
# Bits of one coded sample; codecs that are not listed code whole frames.
_CODED_BITS: Final = {
    "g711a": 8,
    "g711u": 8,
    "adpcm": 4,
    "s16be_stereo": 16,
    "s16be_mono": 16,
    "lpcm": 16,
    "pcm_voice": 16,
    "pcm_audio": 16,
}
_TELEPHONE_CODECS: Final = frozenset({"g711a", "g711u", "g726", "amr", "g729", "g729a", "g728", "g723", "adpcm"})


class Hisilicon(enum.Enum):
    """Whether a device puts the HiSilicon prefix in front of audio."""

    AUTO = "auto"
    YES = "yes"
    NO = "no"


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What a decoder has to know about an audio track."""

    codec: str
    """Codec name as in `packets.PAYLOAD_CODECS`."""
    sample_rate: int
    """Samples per second and channel."""
    channels: int
    """1 or 2."""
    bits_per_sample: int
    """Bits of one coded sample (G.711 8, G.726 2 to 5, ADPCM 4, PCM 16); 0 for codecs that code whole frames."""


@dataclass(frozen=True, slots=True)
class AdpcmHead:
    """Start state of an IMA block; the nibbles behind it come high nibble first."""

    predictor: int
    """Signed 16-bit sample value."""
    step_index: int
    """0..88."""


@dataclass(frozen=True, slots=True)
class AdtsHeader:
    """The fields of an ADTS header that a track needs (ISO/IEC 13818-7, 6.2)."""

    sample_rate: int
    """Samples per second."""
    channels: int
    """Channel configuration."""
    frame_length: int
    """Bytes of the frame with its header."""
    header_length: int
    """7, or 9 with a checksum."""


def has_hisilicon_prefix(data: bytes) -> bool:
    """True when `data` starts with 00 01 n 00, n counting the 16-bit words behind the prefix."""
    return len(data) > 4 and data[:2] == b"\x00\x01" and data[3] == 0 and data[2] == (len(data) - 4) // 2


def strip_prefix(codec: str, data: bytes, mode: Hisilicon) -> bytes:
    """`data` without its HiSilicon prefix; unchanged where the codec has none or the mode says no."""
    if mode is Hisilicon.NO or codec not in HISILICON_CODECS:
        return data
    if mode is Hisilicon.YES and len(data) > 4 and data[:2] == b"\x00\x01":
        return data[4:]
    return data[4:] if has_hisilicon_prefix(data) else data


def adpcm_block(data: bytes) -> tuple[AdpcmHead, bytes]:
    """Head and nibbles of an ADPCM block whose prefix is stripped. Raises `ValueError` when impossible."""
    if len(data) < 4:
        raise ValueError(f"an ADPCM block has a 4-byte head, got {len(data)} bytes")
    predictor, step_index = struct.unpack_from("<hB", data)
    if step_index > 88:
        raise ValueError(f"ADPCM step index is 0..88, got {step_index}")
    return AdpcmHead(predictor, step_index), data[4:]


def g726_bits(length: int, duration_ms: int | None = None) -> int | None:
    """Bits per sample (2 to 5) of a G.726 packet of `length` bytes at 8 kHz.

    Without a duration the packet is taken to hold 320 samples. None when no rate fits.
    """
    samples = duration_ms * 8 if duration_ms else 320
    bits, rest = divmod(length * 8, samples)
    return bits if rest == 0 and 2 <= bits <= 5 else None


def adts_header(data: bytes) -> AdtsHeader | None:
    """The ADTS header `data` starts with; None for raw AAC frames."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return None
    rate = data[2] >> 2 & 0x0F
    if rate >= len(_ADTS_RATES):
        return None
    return AdtsHeader(
        sample_rate=_ADTS_RATES[rate],
        channels=(data[2] & 1) << 2 | data[3] >> 6,
        frame_length=(data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5,
        header_length=7 if data[1] & 1 else 9,
    )


def audio_format(
    codec: str,
    data: bytes,
    *,
    payload_type: int,
    attributes: AvAttributes | None = None,
    duration_ms: int | None = None,
) -> AudioFormat:
    """Format of the track whose frame is `data` (prefix stripped).

    `attributes` (the 0x1003 answer) counts only when it speaks of the same payload type; telephone codecs run at
    8 kHz mono whatever it says unless it does. `duration_ms`: time to the next frame, for the G.726 rate.
    """
    told = attributes if attributes is not None and attributes.audio_codec == payload_type else None
    rate = _SAMPLE_RATES.get(told.audio_rate, 8_000) if told else 8_000
    channels = told.audio_channels if told and told.audio_channels in (1, 2) else 1
    bits = _CODED_BITS.get(codec, 0)
    if codec in _TELEPHONE_CODECS:
        channels = 1
    if codec == "g726":
        bits = g726_bits(len(data), duration_ms) or g726_bits(len(data)) or 4
    elif codec == "s16be_stereo":
        channels = 2
    elif codec in ("lpcm", "pcm_voice", "pcm_audio") and told:
        bits = _SAMPLE_BITS.get(told.audio_bits, 16)
    elif codec in ("aac", "heaac"):
        header = adts_header(data)
        if header is not None:
            rate, channels = header.sample_rate, header.channels or channels
    return AudioFormat(codec, rate, channels, bits)
