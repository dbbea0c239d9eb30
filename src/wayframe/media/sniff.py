"""What a file is, by its first bytes. Names given by senders are never believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from .aac import is_adts
from .access_unit import detect_codec

__all__ = ["SNIFF_BYTES", "Kind", "Sniffed", "sniff"]

SNIFF_BYTES = 1024
"""How many bytes from the start of a file `sniff` wants to see."""


class Kind(StrEnum):
    """The kinds of media files the system tells apart."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    TACHOGRAPH = "tachograph"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Sniffed:
    """Result of `sniff`."""

    kind: Kind
    """Rough kind."""
    mime: str
    """Content type to serve the file with; never one a browser would execute."""
    extension: str
    """Usual file name ending, without dot; ``"bin"`` when unknown."""


UNKNOWN = Sniffed(Kind.OTHER, "application/octet-stream", "bin")

_MP4 = Sniffed(Kind.VIDEO, "video/mp4", "mp4")
_M4A = Sniffed(Kind.AUDIO, "audio/mp4", "m4a")
_MOV = Sniffed(Kind.VIDEO, "video/quicktime", "mov")
_3GP = Sniffed(Kind.VIDEO, "video/3gpp", "3gp")
_WAV = Sniffed(Kind.AUDIO, "audio/wav", "wav")
_AAC = Sniffed(Kind.AUDIO, "audio/aac", "aac")
_MP3 = Sniffed(Kind.AUDIO, "audio/mpeg", "mp3")
_TS = Sniffed(Kind.VIDEO, "video/mp2t", "ts")
_MKV = Sniffed(Kind.VIDEO, "video/x-matroska", "mkv")
_WEBM = Sniffed(Kind.VIDEO, "video/webm", "webm")
_H264 = Sniffed(Kind.VIDEO, "video/h264", "h264")
_H265 = Sniffed(Kind.VIDEO, "video/h265", "h265")
_TEXT = Sniffed(Kind.OTHER, "text/plain", "txt")

# (offset, bytes) that identify a format by themselves, in the order they are tried.
_MAGIC: tuple[tuple[int, bytes, Sniffed], ...] = (
    (0, b"\xff\xd8\xff", Sniffed(Kind.IMAGE, "image/jpeg", "jpg")),
    (0, b"\x89PNG\r\n\x1a\n", Sniffed(Kind.IMAGE, "image/png", "png")),
    (0, b"GIF87a", Sniffed(Kind.IMAGE, "image/gif", "gif")),
    (0, b"GIF89a", Sniffed(Kind.IMAGE, "image/gif", "gif")),
    (0, b"FLV\x01", Sniffed(Kind.VIDEO, "video/x-flv", "flv")),
    (0, b"OggS", Sniffed(Kind.AUDIO, "audio/ogg", "ogg")),
    (0, b"#!AMR", Sniffed(Kind.AUDIO, "audio/amr", "amr")),
    (0, b"ID3", _MP3),
    (0, b"\x00\x00\x01\xba", Sniffed(Kind.VIDEO, "video/mpeg", "mpg")),
    (0, b"%PDF-", Sniffed(Kind.OTHER, "application/pdf", "pdf")),
    (0, b"PK\x03\x04", Sniffed(Kind.OTHER, "application/zip", "zip")),
    (0, b"PK\x05\x06", Sniffed(Kind.OTHER, "application/zip", "zip")),
    (0, b"\x1f\x8b\x08", Sniffed(Kind.OTHER, "application/gzip", "gz")),
)
_RIFF = {
    b"WEBP": Sniffed(Kind.IMAGE, "image/webp", "webp"),
    b"AVI ": Sniffed(Kind.VIDEO, "video/x-msvideo", "avi"),
    b"WAVE": _WAV,
}
_BRANDS = {b"qt  ": _MOV, b"M4A ": _M4A, b"3gp4": _3GP, b"3gp5": _3GP, b"3gp6": _3GP}
_QUICKTIME_FIRST = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip"})
_TEXT_BYTES = bytes({7, 8, 9, 10, 12, 13, 27} | set(range(0x20, 0x100)) - {0x7F})
# Bitmap headers have a few known sizes; "BM" alone would catch texts.
_BITMAP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})


def _riff(head: bytes) -> Sniffed | None:
    return _RIFF.get(head[8:12]) if head.startswith(b"RIFF") else None


def _bitmap(head: bytes) -> Sniffed | None:
    if head.startswith(b"BM") and len(head) >= 18 and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS:
        return Sniffed(Kind.IMAGE, "image/bmp", "bmp")
    return None


def _iso_media(head: bytes) -> Sniffed | None:
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], _MP4)
    return _MOV if head[4:8] in _QUICKTIME_FIRST else None


def _matroska(head: bytes) -> Sniffed | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    return _WEBM if b"webm" in head[:64] else _MKV


def _transport_stream(head: bytes) -> Sniffed | None:
    """Sync bytes at three packet starts; packets of 188 bytes, or 192 with a time stamp in front."""
    for offset, step in ((0, 188), (4, 192)):
        starts = range(offset, min(len(head), offset + 3 * step), step)
        if len(starts) == 3 and all(head[at] == 0x47 for at in starts):
            return _TS
    return None


def _annexb(head: bytes) -> Sniffed | None:
    if not head.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01")):
        return None
    return {"h264": _H264, "h265": _H265, None: None}[detect_codec(head)]


def _mpeg_audio(head: bytes) -> Sniffed | None:
    if is_adts(head):
        return _AAC
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 and head[2] >> 4 != 15:
        return _MP3
    return None


def _tachograph(head: bytes) -> Sniffed | None:
    """Place for the recognition of .ddd files; their structure is known to another room, so nothing is claimed."""
    return None


def _text(head: bytes) -> Sniffed | None:
    """Plain text. Markup that a browser would execute (HTML, SVG, XML) is served as bytes only."""
    if not head or head.translate(None, _TEXT_BYTES):
        return None
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return UNKNOWN if start.startswith(b"<") else _TEXT


_TESTS: tuple[Callable[[bytes], Sniffed | None], ...] = (
    _riff,
    _bitmap,
    _iso_media,
    _matroska,
    _transport_stream,
    _annexb,
    _mpeg_audio,
    _tachograph,
    _text,
)


def sniff(head: bytes) -> Sniffed:
    """Tell the kind of a file from its first SNIFF_BYTES; UNKNOWN when nothing fits. Never raises."""
    for offset, magic, found in _MAGIC:
        if head.startswith(magic, offset):
            return found
    for test in _TESTS:
        if found_by_test := test(head):
            return found_by_test
    return UNKNOWN
