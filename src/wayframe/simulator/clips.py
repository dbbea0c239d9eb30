"""Short video files cut from a camera's footage: attachments of alarms and uploads by FTP. Blocking."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av

from .footage import Codec, Render, VideoFormat, VideoFrame, frame_at, open_source

_MUXERS = {Codec.H264: "h264", Codec.H265: "hevc"}


def frames(
    video: VideoFormat, channel: int, title: str, begin: float, duration_s: float, render: Render, cache: Path | None
) -> list[VideoFrame]:
    """Access units from the key frame before `begin` on, `duration_s` long."""
    source = open_source(video, channel, title, frame_at(begin, video.fps), render, align=True, cache=cache)
    return [source.next() for _ in range(max(1, round(duration_s * video.fps)))]


def raw(units: list[VideoFrame]) -> bytes:
    """An elementary stream, Annex B."""
    return b"".join(unit.data for unit in units)


def mp4(units: list[VideoFrame], video: VideoFormat) -> bytes:
    """An MP4 file with its index at the end, as recorders write it."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream = container.add_mux_stream(_MUXERS[video.codec], width=video.width, height=video.height)
        stream.time_base = Fraction(1, 1000)
        for unit in units:
            packet = av.Packet(unit.data)
            packet.pts = packet.dts = unit.timestamp_ms - units[0].timestamp_ms
            packet.duration, packet.time_base = 1000 // video.fps, Fraction(1, 1000)
            packet.is_keyframe, packet.stream = unit.key, stream
            container.mux_one(packet)
    return target.getvalue()
