"""Short video files cut from a camera's footage: attachments of alarms and uploads by FTP. Blocking."""

from __future__ import annotations

from pathlib import Path

from .footage import Render, VideoFormat, VideoFrame, frame_at, open_source


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
    """An MP4 file with its index at the end."""
    from . import encoders  # loads PyAV, see there

    return encoders.mp4(units, video)
