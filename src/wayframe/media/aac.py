"""AAC framing: AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1) and ADTS headers (ISO/IEC 13818-7 6.2)."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import BadParameterSet

SAMPLES_PER_FRAME = 1024
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_ESCAPE_RATE = 15
_ADTS_SYNC = 0xFFF


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """How to decode a stream of raw AAC frames."""

    object_type: int
    """Audio object type; 2 is AAC-LC."""
    rate: int
    """Samples per second."""
    channels: int
    """Number of channels, 1..8."""
    specific: bytes
    """The AudioSpecificConfig."""

    @property
    def codec_string(self) -> str:
        """RFC 6381 name, e.g. ``mp4a.40.2``."""
        return f"mp4a.40.{self.object_type}"


def audio_config(rate: int, channels: int, object_type: int = 2) -> AudioConfig:
    """Build the configuration of a plain AAC stream. Raises BadParameterSet for a rate ADTS cannot name."""
    if rate not in _RATES or not 1 <= channels <= 8:
        raise BadParameterSet(f"AAC of {rate} Hz and {channels} channels cannot be described")
    index, layout = _RATES.index(rate), 7 if channels == 8 else channels
    value = object_type << 11 | index << 7 | layout << 3
    return AudioConfig(object_type, rate, channels, value.to_bytes(2, "big"))


def parse_audio_config(specific: bytes) -> AudioConfig:
    """Read an AudioSpecificConfig. Raises BadParameterSet."""
    if len(specific) < 2:
        raise BadParameterSet("AudioSpecificConfig shorter than two bytes")
    object_type, index = specific[0] >> 3, (specific[0] & 7) << 1 | specific[1] >> 7
    layout = (specific[1] >> 3) & 15
    if index == _ESCAPE_RATE and len(specific) >= 5:
        rate = (int.from_bytes(specific[1:5], "big") >> 7) & 0xFFFFFF
        layout = (specific[4] >> 3) & 15
    elif index < len(_RATES):
        rate = _RATES[index]
    else:
        raise BadParameterSet(f"AAC sampling frequency index {index} is reserved")
    if not 1 <= layout <= 7 or not rate:
        raise BadParameterSet(f"AAC channel configuration {layout} is not supported")
    return AudioConfig(object_type, rate, 8 if layout == 7 else layout, bytes(specific))


def is_adts(data: bytes) -> bool:
    """Whether the bytes start with an ADTS header."""
    return len(data) >= 7 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0


def split_adts(data: bytes) -> list[tuple[AudioConfig, bytes]]:
    """Raw frames and their configuration out of whole ADTS frames; stops at the first damaged header."""
    frames: list[tuple[AudioConfig, bytes]] = []
    position = 0
    while is_adts(head := data[position : position + 9]):
        size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        skip = 7 if head[1] & 1 else 9
        index, layout = (head[2] >> 2) & 15, (head[2] & 1) << 2 | head[3] >> 6
        if size <= skip or position + size > len(data) or index >= len(_RATES) or not layout:
            break
        config = audio_config(_RATES[index], 8 if layout == 7 else layout, (head[2] >> 6) + 1)
        frames.append((config, data[position + skip : position + size]))
        position += size
    return frames


def adts_header(config: AudioConfig, size: int) -> bytes:
    """The seven ADTS bytes before a raw frame of `size` bytes."""
    index = _RATES.index(config.rate) if config.rate in _RATES else 4
    layout = 7 if config.channels == 8 else config.channels
    # HE-AAC streams are announced as their AAC-LC core: two bits hold no higher object type.
    profile = min(config.object_type, 4) - 1 if config.object_type <= 4 else 1
    fixed = _ADTS_SYNC << 44 | 1 << 40 | profile << 38 | index << 34 | layout << 30
    return (fixed | (size + 7) << 13 | 0x7FF << 2).to_bytes(7, "big")


class AudioClock:
    """Lays frames on an even grid: small timestamp jitter is smoothed away, real gaps and jumps are kept."""

    _TOLERANCE_S = 0.2

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._next: int | None = None

    def place(self, pts_ms: int) -> int:
        """Sample position of the next frame, which the source says begins at `pts_ms`."""
        wanted = pts_ms * self.rate // 1000
        position = self._next
        if position is None or abs(wanted - position) > self._TOLERANCE_S * self.rate:
            position = wanted
        self._next = position + SAMPLES_PER_FRAME
        return position
