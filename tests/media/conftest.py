"""Self-made media: small clips rendered once a session through PyAV, nothing recorded or downloaded."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from media_clips import FolderSpool, encode

from wayframe.media.aac import AudioConfig, parse_audio_config
from wayframe.media.access_unit import AccessUnit


@pytest.fixture(scope="session")
def h264() -> list[AccessUnit]:
    """Ten seconds of 320x180 at 15 pictures a second, a key frame every second."""
    return encode("h264", 150)


@pytest.fixture(scope="session")
def h265() -> list[AccessUnit]:
    """Four seconds of H.265, 320x180."""
    return encode("h265", 60)


@pytest.fixture(scope="session")
def aac() -> tuple[list[bytes], AudioConfig]:
    """Ten seconds of AAC at 8 kHz mono: raw frames (128 ms each) and their configuration."""
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 8000, "mono", "fltp"
    encoder.time_base = Fraction(1, 8000)
    frames: list[bytes] = []
    for index in range(79):
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        tone = bytes(4096) if index % 2 else b"\x00\x00\x80\x3c\x00\x00\x80\xbc" * 512
        frame.planes[0].update(tone)
        frame.sample_rate, frame.pts, frame.time_base = 8000, index * 1024, Fraction(1, 8000)
        frames += [bytes(packet) for packet in encoder.encode(frame)]
    return frames, parse_audio_config(bytes(encoder.extradata or b""))


@pytest.fixture
def spool(tmp_path: Path) -> FolderSpool:
    """An empty folder spool."""
    folder = tmp_path / "spool"
    folder.mkdir()
    return FolderSpool(folder)
