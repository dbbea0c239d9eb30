"""ISO base media file boxes (ISO/IEC 14496-12) that finished files and live fragments share."""

from __future__ import annotations

import struct

from .aac import AudioConfig
from .access_unit import ParameterSets

_SIZE_AND_KIND = struct.Struct(">I4s")
_U32 = struct.Struct(">I")
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_LANGUAGE_UNDETERMINED = 0x55C4  # "und", five bits a letter
_AVERAGE_DPI = 0x00480000

MOVIE_TIMESCALE = 1000
VIDEO_TRACK, AUDIO_TRACK = 1, 2


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box: size, four-letter kind, content."""
    body = b"".join(parts)
    return _SIZE_AND_KIND.pack(8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """A box that starts with a version byte and 24 bits of flags."""
    return box(kind, _U32.pack(version << 24 | flags), *parts)


def mvhd(duration_ms: int, next_track: int) -> bytes:
    """Movie header with a millisecond timescale."""
    times = struct.pack(">QQIQ", 0, 0, MOVIE_TIMESCALE, duration_ms)
    fixed = struct.pack(">IHH8x", 0x00010000, 0x0100, 0)
    return full_box(b"mvhd", 1, 0, times, fixed, _MATRIX, bytes(24), _U32.pack(next_track))


def tkhd(track: int, duration_ms: int, width: int, height: int, audible: bool) -> bytes:
    """Track header; sizes in pixels."""
    times = struct.pack(">QQIIQ", 0, 0, track, 0, duration_ms)
    fixed = struct.pack(">8xhhHH", 0, 0, 0x0100 if audible else 0, 0)
    return full_box(b"tkhd", 1, 3, times, fixed, _MATRIX, struct.pack(">II", width << 16, height << 16))


def mdhd(timescale: int, duration: int) -> bytes:
    """Media header of a track."""
    return full_box(b"mdhd", 1, 0, struct.pack(">QQIQHH", 0, 0, timescale, duration, _LANGUAGE_UNDETERMINED, 0))


def hdlr(video: bool) -> bytes:
    """Handler of a video or sound track."""
    kind, name = (b"vide", b"video\x00") if video else (b"soun", b"sound\x00")
    return full_box(b"hdlr", 0, 0, bytes(4), kind, bytes(12), name)


def minf(video: bool, stbl: bytes) -> bytes:
    """Media information: header, self-contained data reference, sample table."""
    head = full_box(b"vmhd", 0, 1, bytes(8)) if video else full_box(b"smhd", 0, 0, bytes(4))
    reference = full_box(b"dref", 0, 0, _U32.pack(1), full_box(b"url ", 0, 1))
    return box(b"minf", head, box(b"dinf", reference), stbl)


def video_entry(sets: ParameterSets) -> bytes:
    """Sample entry `avc1` with avcC or `hvc1` with hvcC. Raises BadParameterSet."""
    kind, record = (b"avc1", b"avcC") if sets.codec == "h264" else (b"hvc1", b"hvcC")
    facts = sets.facts
    head = struct.pack(">6xH16xHHIIIH32xHh", 1, facts.width, facts.height, _AVERAGE_DPI, _AVERAGE_DPI, 0, 1, 24, -1)
    return box(kind, head, box(record, sets.record))


def _descriptor(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((tag, len(body))) + body


def audio_entry(config: AudioConfig) -> bytes:
    """Sample entry `mp4a` with an `esds` box (ISO/IEC 14496-1 7.2.6)."""
    head = struct.pack(">6xH8xHHI", 1, config.channels, 16, 0)
    rate = _U32.pack(config.rate << 16 if config.rate < 65536 else 0)
    decoder = _descriptor(4, struct.pack(">BB3xII", 0x40, 0x15, 0, 0), _descriptor(5, config.specific))
    stream = _descriptor(3, struct.pack(">HB", 1, 0), decoder, _descriptor(6, b"\x02"))
    return box(b"mp4a", head, rate, full_box(b"esds", 0, 0, stream))


def stsd(entries: list[bytes]) -> bytes:
    """Sample descriptions."""
    return full_box(b"stsd", 0, 0, _U32.pack(len(entries)), *entries)
