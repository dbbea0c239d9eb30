"""Renders small clips through PyAV and plays finished bytes back, for the tests of this folder."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import PictureType
from PIL import Image

from wayframe.media.access_unit import AccessUnit, Codec

FPS = 15
GOP = 15


def picture(index: int, width: int, height: int) -> Image.Image:
    """A moving gradient, different for every index."""
    base = Image.linear_gradient("L").resize((width, height))
    shifted = base.rotate(index * 7 % 360)
    return Image.merge("RGB", (shifted, base, Image.new("L", (width, height), index * 5 % 256)))


def encode(
    codec: Codec,
    frames: int,
    *,
    width: int = 320,
    height: int = 180,
    gop: int = GOP,
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> list[AccessUnit]:
    """Annex B access units, parameter sets before every key frame, no B frames, FPS pictures a second."""
    name = "libx264" if codec == "h264" else "libx265"
    encoder = av.CodecContext.create(name, "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, pixel_format
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    encoder.gop_size, encoder.max_b_frames = gop, 0
    tune = {"preset": "ultrafast", "tune": "zerolatency"}
    if codec == "h264":
        extra = {"x264-params": f"repeat-headers=1:keyint={gop}:scenecut=0"}
    else:
        extra = {"x265-params": f"repeat-headers=1:keyint={gop}:scenecut=0:bframes=0:log-level=none"}
    encoder.options = {**tune, **extra, **(options or {})}
    units: list[AccessUnit] = []
    for index in range(frames):
        frame = av.VideoFrame.from_image(picture(index, width, height))
        frame.pts, frame.pict_type = index, PictureType.NONE
        units += [_unit(codec, packet) for packet in encoder.encode(frame)]
    return units + [_unit(codec, packet) for packet in encoder.encode(None)]


def _unit(codec: Codec, packet: av.Packet) -> AccessUnit:
    return AccessUnit(codec, bool(packet.is_keyframe), round((packet.pts or 0) * 1000 / FPS), bytes(packet))


@dataclass
class Decoded:
    """What a player sees of one track."""

    codec: str
    size: tuple[int, int]
    times: list[float]


def play(data: bytes, demuxer: str) -> dict[str, Decoded]:
    """Decode everything with FFmpeg, strictly; keys ``video`` and ``audio``."""
    tracks: dict[str, Decoded] = {}
    with av.open(io.BytesIO(data), format=demuxer) as container:
        for stream in container.streams:
            context = stream.codec_context
            size = (context.width, context.height) if stream.type == "video" else (0, 0)
            tracks[stream.type] = Decoded(context.name, size, [])
        for frame in container.decode():
            kind = "video" if isinstance(frame, av.VideoFrame) else "audio"
            tracks[kind].times.append(float(frame.time or 0.0))
    return tracks


class FolderSpool:
    """A spool in a folder, as services make it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)

    def get(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
