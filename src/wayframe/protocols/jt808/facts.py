"""What a terminal says of itself, as named JSON-like values."""

from __future__ import annotations

from collections.abc import Iterable

from ..jt1078.live_messages import AvAttributes
from ..jt1078.parameters import decode_parameter
from .terminal import Properties
from .terminal_parameters import TerminalParameter

_AUDIO_RATES = {0: 8000, 1: 22050, 2: 44100, 3: 48000}
_AUDIO_BITS = {0: 8, 1: 16, 2: 32}
_GNSS = ("gps", "beidou", "glonass", "galileo")
_NETWORKS = ("gprs", "cdma", "td-scdma", "wcdma", "cdma2000", "td-lte", "", "other")


def _names(bits: int, names: Iterable[str]) -> list[str]:
    return [name for bit, name in enumerate(names) if name and bits >> bit & 1]


def parameter_values(parameters: Iterable[TerminalParameter]) -> dict[str, object]:
    """Terminal parameters by name; those of the video standard as records, unknown ones as hex."""
    return {item.name: decode_parameter(item.id, item.raw) or item.value for item in parameters}


def property_values(properties: Properties) -> dict[str, object]:
    """A 0x0107."""
    return {
        "maker": properties.maker,
        "model": properties.model,
        "terminal_id": properties.terminal_id,
        "iccid": properties.iccid,
        "hardware_version": properties.hardware,
        "firmware_version": properties.firmware,
        "type": properties.type,
        "gnss": _names(properties.gnss, _GNSS),
        "networks": _names(properties.network, _NETWORKS),
    }


def attribute_values(attributes: AvAttributes) -> dict[str, object]:
    """A 0x1003; codes are the payload types of JT/T 1078 table 12."""
    return {
        "audio_codec": attributes.audio_codec,
        "audio_channels": attributes.audio_channels,
        "audio_sample_rate": _AUDIO_RATES.get(attributes.audio_rate, 0),
        "audio_bits": _AUDIO_BITS.get(attributes.audio_bits, 0),
        "audio_frame_length": attributes.audio_frame_length,
        "audio_output": bool(attributes.audio_output),
        "video_codec": attributes.video_codec,
        "max_audio_channels": attributes.max_audio_channels,
        "max_video_channels": attributes.max_video_channels,
    }
