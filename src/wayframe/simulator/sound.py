"""The sound of a simulated vehicle: engine hum with a beep at every full second, as G.711 A-law or AAC (ADTS) frames.

A pure function of time: frame n of a codec is the same bytes for every vehicle."""

from __future__ import annotations

import enum
import functools
import math
from dataclasses import dataclass
from fractions import Fraction

RATE = 8000
"""Samples a second of both codecs."""
_AAC_SAMPLES = 1024
_AAC_FRAMES = 125
"""Sixteen seconds: the shortest loop in which AAC frames and full seconds meet."""


class Sound(enum.Enum):
    """What a vehicle's microphone delivers."""

    NONE = "none"
    G711A = "g711a"
    AAC = "aac"


@dataclass(frozen=True, slots=True)
class SoundFrame:
    """One frame on the time line."""

    timestamp_ms: int
    """Unix ms of its first sample."""
    data: bytes
    """Encoded bytes."""


def frame_ms(sound: Sound) -> Fraction:
    """Length of one frame in ms: 20 for G.711, 128 for AAC."""
    return Fraction(20) if sound is Sound.G711A else Fraction(1000 * _AAC_SAMPLES, RATE)


def frame(sound: Sound, number: int) -> SoundFrame:
    """Frame `number` since the Unix epoch; ValueError for `Sound.NONE`."""
    timestamp = int(number * frame_ms(sound))
    if sound is Sound.G711A:
        at = number % 50 * 160
        return SoundFrame(timestamp, _alaw_second()[at : at + 160])
    if sound is Sound.AAC:
        return SoundFrame(timestamp, _aac_loop()[number % _AAC_FRAMES])
    raise ValueError("a silent vehicle has no sound frames")


def hisilicon(data: bytes) -> bytes:
    """The frame with the four bytes 00 01 n 00 some chips put in front; n counts 16-bit words of the sound."""
    return bytes([0, 1, len(data) // 2 & 0xFF, 0]) + data


def _sample(index: int) -> int:
    seconds = index / RATE
    value = 2200 * math.sin(2 * math.pi * 90 * seconds) + 1100 * math.sin(2 * math.pi * 181 * seconds)
    if seconds % 1 < 0.08:
        value += 9000 * math.sin(2 * math.pi * 1000 * seconds)
    return int(value)


def alaw(sample: int) -> int:
    """One 16-bit sample as G.711 A-law (ITU-T G.711 table 1): sign, three bits of segment, four of step, every other
    bit inverted."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = min((sample if sample >= 0 else -sample - 1) >> 3, 0xFFF)
    segment = max(0, magnitude.bit_length() - 5)
    step = magnitude >> max(1, segment) & 0x0F
    return (sign | segment << 4 | step) ^ 0x55


@functools.cache
def _alaw_second() -> bytes:
    return bytes(alaw(_sample(index)) for index in range(RATE))


@functools.cache
def _aac_loop() -> tuple[bytes, ...]:
    from .encoders import aac_frames  # loads PyAV, see there

    # Two frames more than wanted give the encoder's delay something to push out.
    samples = [_sample(index) for index in range((_AAC_FRAMES + 2) * _AAC_SAMPLES)]
    return tuple(_adts(packet) for packet in aac_frames(samples, RATE, _AAC_SAMPLES)[:_AAC_FRAMES])


def _adts(raw: bytes) -> bytes:
    """Seven-byte ADTS header (ISO 13818-7 6.2): MPEG-4, LC, 8 kHz (index 11), mono, no CRC."""
    length = len(raw) + 7
    return (
        bytes([0xFF, 0xF1, 1 << 6 | 11 << 2, 1 << 6 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5 | 0x1F, 0xFC])
        + raw
    )
