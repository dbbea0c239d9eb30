"""Segments of a stream as MPEG-TS, packaged when the first viewer asks: until then they are the frames as they came.

Streams nobody watches, and those watched by low-latency HLS or FLV alone, so cost no packaging.
"""

from __future__ import annotations

from array import array

from ._hls import Cached
from .aac import AudioConfig
from .access_unit import Codec
from .mpegts import Counters, TsPackager


class Unpackaged:
    """What it takes to package one segment, beside the bytes of its frames; called with them, one behind the other."""

    __slots__ = ("_codec", "_config", "_counters", "_frames")

    def __init__(self, codec: Codec, counters: Counters, items: list[Cached], config: AudioConfig | None) -> None:
        self._codec: Codec = codec
        self._counters = counters
        self._config = config
        self._frames = array("Q", [number for item in items for number in _numbers(item)])

    def __call__(self, frames: bytes) -> bytes:
        packager, config = TsPackager(self._codec, self._counters), self._config
        pieces = packager.tables(config is not None)
        at = 0
        numbers = iter(self._frames)
        for size, time, kind in zip(numbers, numbers, numbers, strict=True):
            data = frames[at : at + size]
            at += size
            if kind != _SOUND:
                pieces += packager.video(data, time, kind == _KEY)
            elif config is not None:
                pieces += packager.aac(data, time * 1000 // config.rate, config)
        return b"".join(pieces)


_PICTURE, _KEY, _SOUND = range(3)


def _numbers(item: Cached) -> tuple[int, int, int]:
    """Size, time and kind of a frame."""
    return len(item.data), item.pts_ms, (_KEY if item.key else _PICTURE) if item.video else _SOUND


class TsSegments:
    """The segments of one stream: their packets are counted, for continuity counters run on, and made later."""

    def __init__(self, codec: Codec) -> None:
        self._codec: Codec = codec
        self._counters = Counters()

    def close(self, items: list[Cached], config: AudioConfig | None) -> Unpackaged:
        """The next segment has these frames; `config` is the one of its sound, None if the stream has none."""
        begun = self._counters
        packager = TsPackager(self._codec, begun)
        video = sum([packager.video_packets(item.data) for item in items if item.video])
        audio = sum([packager.aac_packets(item.data) for item in items if not item.video]) if config else 0
        self._counters = Counters((begun.video + video) & 15, (begun.audio + audio) & 15, (begun.tables + 1) & 15)
        return Unpackaged(self._codec, begun, items, config)
