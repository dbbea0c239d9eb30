"""Sequence parameter sets of H.264 (ITU-T H.264 7.3.2.1.1) and H.265 (ITU-T H.265 7.3.2.2): size, profile, level."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import BadParameterSet

# Profiles whose SPS carries chroma format, bit depths and perhaps scaling lists (H.264 7.3.2.1.1).
_H264_CHROMA_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 134, 135, 138, 139})
_MAX_SIDE = 16_384
_EXTENDED_SAR = 255


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What an SPS says about the pictures."""

    width: int
    """Width shown, in pixels, cropping applied."""
    height: int
    """Height shown, in pixels, cropping applied."""
    profile: int
    """profile_idc, e.g. 100 = High (H.264) or 1 = Main (H.265)."""
    level: int
    """level_idc: ten times (H.264) or thirty times (H.265) the level."""
    codec_string: str
    """RFC 6381 name, e.g. ``avc1.640028`` or ``hvc1.1.6.L120.90``."""
    chroma_format: int
    """chroma_format_idc: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4."""
    bit_depth_luma: int
    """Bits of a luma sample."""
    bit_depth_chroma: int
    """Bits of a chroma sample."""
    sub_layers: int = 1
    """Number of temporal sub-layers (H.265)."""
    nested: bool = False
    """sps_temporal_id_nesting_flag (H.265)."""
    frame_rate: float | None = None
    """Frames per second by the VUI (H.264); devices often lie here."""


class _Bits:
    """Reads bits, most significant first, from a NAL's payload without its emulation prevention bytes."""

    __slots__ = ("_left", "_value")

    def __init__(self, nal: bytes) -> None:
        rbsp = nal.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(rbsp, "big")
        self._left = len(rbsp) * 8

    def u(self, count: int) -> int:
        """Unsigned integer of `count` bits."""
        if count > self._left:
            raise BadParameterSet("parameter set ends too early")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def ue(self) -> int:
        """Unsigned Exp-Golomb code (H.264 9.1)."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 31:
                raise BadParameterSet("Exp-Golomb code longer than 31 bits")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """Signed Exp-Golomb code (H.264 9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _skip_scaling_lists(bits: _Bits, count: int) -> None:
    for index in range(count):
        if not bits.u(1):
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
            last = following or last


def _h264_vui_frame_rate(bits: _Bits) -> float | None:
    if bits.u(1) and bits.u(8) == _EXTENDED_SAR:
        bits.u(32)
    if bits.u(1):  # overscan_info_present_flag
        bits.u(1)
    if bits.u(1):  # video_signal_type_present_flag
        bits.u(4)
        if bits.u(1):
            bits.u(24)
    if bits.u(1):  # chroma_loc_info_present_flag
        bits.ue()
        bits.ue()
    if not bits.u(1):  # timing_info_present_flag
        return None
    units, scale = bits.u(32), bits.u(32)
    return scale / (2 * units) if units and scale else None


def _cropped(size: int, unit: int, before: int, after: int) -> int:
    shown = size - unit * (before + after)
    if not 0 < shown <= _MAX_SIDE:
        raise BadParameterSet(f"picture side must be 1..{_MAX_SIDE}, got {shown}")
    return shown


def parse_h264_sps(nal: bytes) -> VideoFacts:
    """Read an H.264 SPS NAL (header byte included, start code not). Raises BadParameterSet."""
    bits = _Bits(nal[1:])
    profile, constraints, level = bits.u(8), bits.u(8), bits.u(8)
    bits.ue()
    chroma, separate_planes, luma_depth, chroma_depth = 1, 0, 8, 8
    if profile in _H264_CHROMA_PROFILES:
        chroma = bits.ue()
        if chroma > 3:
            raise BadParameterSet(f"chroma format must be 0..3, got {chroma}")
        if chroma == 3:
            separate_planes = bits.u(1)
        luma_depth, chroma_depth = 8 + bits.ue(), 8 + bits.ue()
        bits.u(1)
        if bits.u(1):
            _skip_scaling_lists(bits, 12 if chroma == 3 else 8)
    bits.ue()  # log2_max_frame_num_minus4
    order_type = bits.ue()
    if order_type == 0:
        bits.ue()
    elif order_type == 1:
        bits.u(1)
        bits.se()
        bits.se()
        for _ in range(min(bits.ue(), 255)):
            bits.se()
    bits.ue()  # max_num_ref_frames
    bits.u(1)
    width_blocks, height_units = bits.ue() + 1, bits.ue() + 1
    frames_only = bits.u(1)
    if not frames_only:
        bits.u(1)
    bits.u(1)
    left = right = top = bottom = 0
    if bits.u(1):
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
    array_type = 0 if separate_planes else chroma
    unit_x = 2 if array_type in (1, 2) else 1
    unit_y = (2 if array_type == 1 else 1) * (2 - frames_only)
    width = _cropped(width_blocks * 16, unit_x, left, right)
    height = _cropped(height_units * 16 * (2 - frames_only), unit_y, top, bottom)
    frame_rate = None
    try:
        if bits.u(1):
            frame_rate = _h264_vui_frame_rate(bits)
    except BadParameterSet:
        frame_rate = None  # a cut VUI harms nothing: size and profile were read before it
    return VideoFacts(
        width, height, profile, level, f"avc1.{profile:02x}{constraints:02x}{level:02x}", chroma, luma_depth,
        chroma_depth, frame_rate=frame_rate,
    )  # fmt: skip


def _h265_codec_string(general: bytes) -> str:
    """Name from the 12 bytes of the general profile, tier and level (ISO/IEC 14496-15 annex E)."""
    space = ("", "A", "B", "C")[general[0] >> 6]
    compatibility = int(f"{int.from_bytes(general[1:5], 'big'):032b}"[::-1], 2)
    tier = "H" if general[0] & 0x20 else "L"
    constraints = "".join(f".{byte:X}" for byte in general[5:11].rstrip(b"\x00"))
    return f"hvc1.{space}{general[0] & 31}.{compatibility:X}.{tier}{general[11]}{constraints}"


def h265_general_ptl(nal: bytes) -> bytes:
    """The 12 bytes of general profile, tier and level of an H.265 SPS NAL (H.265 7.3.3)."""
    general = nal[2:].replace(b"\x00\x00\x03", b"\x00\x00")[1:13]
    if len(general) < 12:
        raise BadParameterSet("parameter set ends too early")
    return general


def parse_h265_sps(nal: bytes) -> VideoFacts:
    """Read an H.265 SPS NAL (two header bytes included, start code not). Raises BadParameterSet."""
    general = h265_general_ptl(nal)
    bits = _Bits(nal[2:])
    bits.u(4)
    more_layers, nested = bits.u(3), bits.u(1)
    bits.u(96)
    if more_layers:
        present = [(bits.u(1), bits.u(1)) for _ in range(more_layers)]
        bits.u(2 * (8 - more_layers))
        for profile_present, level_present in present:
            bits.u(88 * profile_present + 8 * level_present)
    bits.ue()
    chroma = bits.ue()
    if chroma > 3:
        raise BadParameterSet(f"chroma format must be 0..3, got {chroma}")
    separate_planes = bits.u(1) if chroma == 3 else 0
    width, height = bits.ue(), bits.ue()
    left = right = top = bottom = 0
    if bits.u(1):
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
    array_type = 0 if separate_planes else chroma
    shown_width = _cropped(width, 2 if array_type in (1, 2) else 1, left, right)
    shown_height = _cropped(height, 2 if array_type == 1 else 1, top, bottom)
    return VideoFacts(
        shown_width, shown_height, general[0] & 31, general[11], _h265_codec_string(general), chroma,
        8 + bits.ue(), 8 + bits.ue(), more_layers + 1, bool(nested),
    )  # fmt: skip
