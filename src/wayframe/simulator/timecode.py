"""Machine-readable time in simulated video, so that tests and benchmarks can measure the age of a frame.

Two carriers of the same number, Unix time in ms:
* a strip at the picture's lower edge, two rows of 32 black or white cells across the whole width, most significant bit
  first: sync byte A5, 48 bits of ms, CRC-8 over the six time bytes. It survives scaling and re-encoding;
* an SEI message user_data_unregistered (H.264 annex D.1.7, H.265 D.2.7) per access unit: `UUID` + 8 bytes of ms. It
  survives remuxing and can be patched into frames that were encoded before."""

from __future__ import annotations

import struct

from PIL import Image

UUID = bytes.fromhex("9f1d0c5a6b7e4f32a8c4d2e05b91763f")
"""Marks the SEI message as the simulator's own time code."""

CELLS = 32
"""Cells in each of the strip's two rows."""
SYNC = 0xA5

_START = b"\x00\x00\x00\x01"
_H264_SLICES = range(1, 6)
_H265_SLICES = range(32)
_SEI_TYPE_UNREGISTERED = 5


def strip_height(height: int) -> int:
    """Pixels the strip takes of a picture of this height: two rows, each an even number of at least 8."""
    return 2 * max(8, height // 45 // 2 * 2)


def crc8(data: bytes) -> int:
    """CRC-8 with polynomial 07, start 0."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07 if value & 0x80 else value << 1) & 0xFF
    return value


def strip_image(timestamp_ms: int, width: int, height: int) -> Image.Image:
    """The strip for a picture of width × height, mode L."""
    time = timestamp_ms.to_bytes(6, "big")
    bits = int.from_bytes(bytes([SYNC]) + time + bytes([crc8(time)]), "big")
    cells = bytes(235 if bits >> 63 - index & 1 else 16 for index in range(64))
    return Image.frombytes("L", (CELLS, 2), cells).resize((width, strip_height(height)), Image.Resampling.NEAREST)


def read_strip(picture: Image.Image, original_height: int | None = None) -> int | None:
    """Unix ms from a decoded picture with the strip at its lower edge; None when sync or CRC are wrong.

    The strip's share of the height differs a little from size to size, so a scaled picture may need the height it was
    drawn with; without it the picture's own height and the share of 360, 720 and 1080 lines are tried."""
    grey = picture.convert("L")
    for original in (original_height,) if original_height else (grey.height, 720):
        found = _read_rows(grey, strip_height(original) * grey.height / original)
        if found is not None:
            return found
    return None


def _read_rows(grey: Image.Image, rows: float) -> int | None:
    width, height = grey.size
    bits = 0
    for row in range(2):
        y = int(height - rows * (3 - 2 * row) / 4)
        for cell in range(CELLS):
            value = grey.getpixel(((2 * cell + 1) * width // (2 * CELLS), y))
            bits = bits << 1 | (isinstance(value, int | float) and value >= 128)
    raw = bits.to_bytes(8, "big")
    if raw[0] != SYNC or crc8(raw[1:7]) != raw[7]:
        return None
    return int.from_bytes(raw[1:7], "big")


def with_sei(access_unit: bytes, timestamp_ms: int, hevc: bool) -> bytes:
    """The access unit (Annex B) with a time SEI in front of its first slice."""
    at = _first_slice(access_unit, hevc)
    payload = UUID + struct.pack(">Q", timestamp_ms)
    message = bytes([_SEI_TYPE_UNREGISTERED, len(payload)]) + payload + b"\x80"
    head = b"\x4e\x01" if hevc else b"\x06"
    return access_unit[:at] + _START + head + _escape(message) + access_unit[at:]


def read_sei(access_unit: bytes) -> int | None:
    """Unix ms from the time SEI of an access unit, Annex B or length-prefixed, H.264 or H.265; None without one."""
    at = access_unit.find(UUID)
    if at < 0:
        return None
    # Eight bytes with at most four emulation bytes among them; what follows only has to be long enough.
    return int.from_bytes(_unescape(access_unit[at + 14 : at + 16 + 13])[2:10], "big")


def _first_slice(access_unit: bytes, hevc: bool) -> int:
    """Offset of the start code of the first slice NAL unit; the end when there is none."""
    at = access_unit.find(b"\x00\x00\x01")
    while at >= 0:
        head = access_unit[at + 3]
        kind = head >> 1 & 63 if hevc else head & 31
        if kind in (_H265_SLICES if hevc else _H264_SLICES):
            return at - 1 if at and access_unit[at - 1] == 0 else at
        at = access_unit.find(b"\x00\x00\x01", at + 3)
    return len(access_unit)


def _escape(payload: bytes) -> bytes:
    out = bytearray()
    zeros = 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def _unescape(payload: bytes) -> bytes:
    out = bytearray()
    zeros = 0
    for byte in payload:
        if zeros >= 2 and byte == 3:
            zeros = 0
            continue
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)
