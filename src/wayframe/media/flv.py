"""FLV over HTTP: file header and tags (Adobe Flash Video File Format Specification 10.1, annex E)."""

from __future__ import annotations

from .aac import AudioConfig

__all__ = ["audio_config_tag", "audio_tag", "file_header", "video_config_tag", "video_tag"]

_AUDIO, _VIDEO = 8, 9
# Sound format 10 (AAC); rate, size and channel bits are fixed for it (E.4.2.1).
_AAC_HEAD = b"\xaf"


def file_header(audio: bool) -> bytes:
    """The first 13 bytes; without sound its flag stays clear, or players wait for it."""
    return b"FLV\x01" + bytes((5 if audio else 1,)) + b"\x00\x00\x00\x09\x00\x00\x00\x00"


def _tag(kind: int, pts_ms: int, head: bytes, body: bytes) -> bytes:
    size = len(head) + len(body)
    time = pts_ms & 0xFFFFFFFF
    start = (kind << 80 | size << 56 | (time & 0xFFFFFF) << 32 | time >> 24 << 24).to_bytes(11, "big")
    return b"".join((start, head, body, (size + 11).to_bytes(4, "big")))


def video_config_tag(avcc: bytes, pts_ms: int) -> bytes:
    """AVC sequence header."""
    return _tag(_VIDEO, pts_ms, b"\x17\x00\x00\x00\x00", avcc)


def video_tag(sample: bytes, pts_ms: int, key: bool) -> bytes:
    """One H.264 access unit with four-byte NAL lengths."""
    return _tag(_VIDEO, pts_ms, b"\x17\x01\x00\x00\x00" if key else b"\x27\x01\x00\x00\x00", sample)


def audio_config_tag(config: AudioConfig, pts_ms: int) -> bytes:
    """AAC sequence header."""
    return _tag(_AUDIO, pts_ms, _AAC_HEAD + b"\x00", config.specific)


def audio_tag(frame: bytes, pts_ms: int) -> bytes:
    """One raw AAC frame."""
    return _tag(_AUDIO, pts_ms, _AAC_HEAD + b"\x01", frame)
