"""Access units of H.264 and H.265: Annex B splitting, NAL types, parameter sets, avcC and hvcC.

Sources: ITU-T H.264 7.4.1 and annex B, ITU-T H.265 7.4.2 and annex B, ISO/IEC 14496-15 5.3 and 8.3.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from .errors import BadParameterSet
from .sps import VideoFacts, h265_general_ptl, parse_h264_sps, parse_h265_sps

__all__ = [
    "START_CODE",
    "AccessUnit",
    "Codec",
    "ParameterSets",
    "VideoFacts",
    "annexb",
    "build_avcc",
    "build_hvcc",
    "detect_codec",
    "is_key",
    "leading_nals",
    "length_prefixed",
    "nal_type",
    "parameter_sets",
    "parse_h264_sps",
    "parse_h265_sps",
    "sample_nals",
    "split_annexb",
]

Codec = Literal["h264", "h265"]

START_CODE = b"\x00\x00\x00\x01"
_START_CODES = re.compile(rb"\x00\x00\x01")
"""Cut by this, bytes are split at twice the speed of `bytes.split`."""
_LENGTH = struct.Struct(">I")
_PAIR = struct.Struct(">H")

H264_SLICE, H264_IDR, H264_SEI, H264_SPS, H264_PPS, H264_DELIMITER, H264_FILLER = 1, 5, 6, 7, 8, 9, 12
H265_VPS, H265_SPS, H265_PPS, H265_DELIMITER, H265_FILLER = 32, 33, 34, 35, 38

# NAL units that do not belong into samples of `avc1` and `hvc1` tracks: parameter sets live in the sample
# entry, delimiters and filler in nothing but a byte stream.
_H264_OUTSIDE = frozenset({H264_SPS, H264_PPS, H264_DELIMITER, 10, 11, H264_FILLER, 13})
_H265_OUTSIDE = frozenset({H265_VPS, H265_SPS, H265_PPS, H265_DELIMITER, 36, 37, H265_FILLER})

# The literal three bytes in front let the regex engine search at memory speed.
_KEY_PATTERN: dict[str, re.Pattern[bytes]] = {
    "h264": re.compile(rb"\x00\x00\x01[\x05\x25\x45\x65]"),
    "h265": re.compile(rb"\x00\x00\x01[\x20-\x2b]"),
}
_SLICE_PATTERN: dict[str, re.Pattern[bytes]] = {
    "h264": re.compile(rb"\x00\x00\x01[\x01-\x05\x21-\x25\x41-\x45\x61-\x65]"),
    "h265": re.compile(rb"\x00\x00\x01[\x00-\x3f]"),
}
# First header bytes of H.265 NALs in layer 0 (second byte 01) that no sensible H.264 stream starts a NAL with:
# TRAIL_N, TRAIL_R, IDR_W_RADL, IDR_N_LP, CRA, VPS, SPS, PPS, delimiter, SEI.
_H265_FIRST_BYTES = frozenset({0x00, 0x02, 0x26, 0x28, 0x2A, 0x40, 0x42, 0x44, 0x46, 0x4E, 0x50})
_H264_KNOWN = frozenset({H264_SLICE, 2, H264_IDR, H264_SEI, H264_SPS, H264_PPS, H264_DELIMITER})
_AVCC_EXTENDED_PROFILES = frozenset({100, 110, 122, 144, 244})


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One picture of a stream, as bytes."""

    codec: Codec
    """``"h264"`` or ``"h265"``."""
    key: bool
    """True when decoding can start here."""
    pts_ms: int
    """Presentation time in milliseconds on the stream's clock."""
    data: bytes
    """NAL units in Annex B form, start codes included."""


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """The parameter sets a decoder needs before its first slice, without start codes."""

    codec: Codec
    """``"h264"`` or ``"h265"``."""
    vps: tuple[bytes, ...]
    """Video parameter sets (H.265 only)."""
    sps: tuple[bytes, ...]
    """Sequence parameter sets, at least one."""
    pps: tuple[bytes, ...]
    """Picture parameter sets, at least one."""

    @property
    def facts(self) -> VideoFacts:
        """Size, profile and codec string from the first SPS. Raises BadParameterSet."""
        return _facts(self.codec, self.sps[0])

    @property
    def record(self) -> bytes:
        """The decoder configuration record: avcC or hvcC content."""
        return build_avcc(self) if self.codec == "h264" else build_hvcc(self)

    @property
    def annexb(self) -> bytes:
        """All sets in Annex B form, ready to stand before a key frame."""
        return annexb([*self.vps, *self.sps, *self.pps])


@lru_cache(maxsize=64)
def _facts(codec: Codec, sps: bytes) -> VideoFacts:
    return parse_h264_sps(sps) if codec == "h264" else parse_h265_sps(sps)


def split_annexb(data: bytes) -> list[bytes]:
    """NAL units of an Annex B byte stream, without start codes and trailing zero bytes."""
    # Bytes before the first start code belong to no NAL unit.
    return [nal for part in _START_CODES.split(data)[1:] if (nal := part.rstrip(b"\x00"))]


def leading_nals(codec: Codec, data: bytes) -> list[bytes]:
    """NAL units in front of the first slice of an Annex B access unit: parameter sets, delimiter, SEI."""
    slices = _SLICE_PATTERN[codec].search(data)
    return split_annexb(data[: slices.start()] if slices is not None else data)


def annexb(nals: list[bytes]) -> bytes:
    """Join NAL units into an Annex B byte stream with four-byte start codes."""
    return b"".join([piece for nal in nals for piece in (START_CODE, nal)])


def nal_type(codec: Codec, nal: bytes) -> int:
    """nal_unit_type from the NAL header (H.264 7.3.1, H.265 7.3.1.2)."""
    return nal[0] & 31 if codec == "h264" else (nal[0] >> 1) & 63


def is_key(codec: Codec, data: bytes) -> bool:
    """Whether the Annex B access unit holds an IDR (H.264) or random access (H.265) slice."""
    return _KEY_PATTERN[codec].search(data) is not None


def detect_codec(data: bytes) -> Codec | None:
    """Tell H.264 from H.265 by the headers of the first NAL units; None when the bytes are neither."""
    for nal in split_annexb(data[:4096])[:4]:
        if len(nal) > 1 and nal[1] == 1 and nal[0] in _H265_FIRST_BYTES:
            return "h265"
        if nal[0] & 0x80 == 0 and nal[0] & 31 in _H264_KNOWN:
            return "h264"
    return None


def sample_nals(codec: Codec, nals: list[bytes]) -> list[bytes]:
    """The NAL units that belong into an `avc1` or `hvc1` sample: no parameter sets, delimiters or filler."""
    if codec == "h264":
        return [nal for nal in nals if nal[0] & 31 not in _H264_OUTSIDE]
    return [nal for nal in nals if (nal[0] >> 1) & 63 not in _H265_OUTSIDE]


def length_prefixed(nals: list[bytes]) -> bytes:
    """Join NAL units with four-byte big-endian lengths (ISO/IEC 14496-15)."""
    pack = _LENGTH.pack
    return b"".join([piece for nal in nals for piece in (pack(len(nal)), nal)])


def parameter_sets(codec: Codec, nals: list[bytes]) -> ParameterSets | None:
    """The complete parameter sets among `nals`, or None when one kind is missing or the SPS is unreadable."""
    kinds: dict[int, list[bytes]] = {}
    for nal in nals:
        found = kinds.setdefault(nal_type(codec, nal), [])
        if nal not in found:
            found.append(nal)
    if codec == "h264":
        sets = ParameterSets(codec, (), tuple(kinds.get(H264_SPS, ())), tuple(kinds.get(H264_PPS, ())))
    else:
        sets = ParameterSets(
            codec, tuple(kinds.get(H265_VPS, ())), tuple(kinds.get(H265_SPS, ())), tuple(kinds.get(H265_PPS, ()))
        )
    if not sets.sps or not sets.pps or (codec == "h265" and not sets.vps):
        return None
    try:
        _ = sets.facts
    except BadParameterSet:
        return None
    return sets


def _counted(nals: tuple[bytes, ...]) -> bytes:
    return b"".join([_PAIR.pack(len(nal)) + nal for nal in nals])


def build_avcc(sets: ParameterSets) -> bytes:
    """AVCDecoderConfigurationRecord (ISO/IEC 14496-15 5.3.3.1)."""
    facts = sets.facts
    sps, pps = sets.sps[:31], sets.pps[:255]
    head = b"\x01" + sps[0][1:4] + bytes((0xFF, 0xE0 | len(sps)))
    body = head + _counted(sps) + bytes((len(pps),)) + _counted(pps)
    if facts.profile not in _AVCC_EXTENDED_PROFILES:
        return body
    depths = (0xF8 | (facts.bit_depth_luma - 8) & 7, 0xF8 | (facts.bit_depth_chroma - 8) & 7)
    return body + bytes((0xFC | facts.chroma_format, *depths, 0))


def build_hvcc(sets: ParameterSets) -> bytes:
    """HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 8.3.3.1)."""
    facts = sets.facts
    layers = facts.sub_layers << 3 | int(facts.nested) << 2 | 3
    tail = bytes(
        (
            0xF0, 0x00, 0xFC, 0xFC | facts.chroma_format, 0xF8 | (facts.bit_depth_luma - 8) & 7,
            0xF8 | (facts.bit_depth_chroma - 8) & 7, 0, 0, layers, 3,
        )
    )  # fmt: skip
    arrays = [
        bytes((0x80 | kind,)) + _PAIR.pack(len(nals)) + _counted(nals)
        for kind, nals in ((H265_VPS, sets.vps), (H265_SPS, sets.sps), (H265_PPS, sets.pps))
    ]
    return b"\x01" + h265_general_ptl(sets.sps[0]) + tail + b"".join(arrays)
