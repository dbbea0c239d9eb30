"""MPEG transport stream packets for live segments (ISO/IEC 13818-1), written for speed.

One `TsPackager` per stream: its continuity counters run on across segments. Every segment starts with
`tables()`, followed by what `video` and `aac` return: pieces, which are joined once, at the segment's end.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

from .aac import AudioConfig, adts_header
from .access_unit import Codec

__all__ = ["PACKET", "Counters", "TsPackager"]

PACKET = 188
_PMT_PID, _VIDEO_PID, _AUDIO_PID = 0x1000, 0x100, 0x101
_STREAM_TYPE = {"h264": 0x1B, "h265": 0x24}
_AAC_STREAM_TYPE = 0x0F
_VIDEO_STREAM_ID, _AUDIO_STREAM_ID = 0xE0, 0xC0

# Presentation times start at one second, the clock runs half a second behind them: room for a decoder to fill.
_START_90K = 90_000
_CLOCK_LAG_90K = 45_000
_WRAP = (1 << 33) - 1

_DELIMITER = {"h264": b"\x00\x00\x00\x01\x09\xf0", "h265": b"\x00\x00\x00\x01\x46\x01\x50"}
_DELIMITER_STARTS = {
    "h264": (b"\x00\x00\x00\x01\x09", b"\x00\x00\x01\x09"),
    "h265": (b"\x00\x00\x00\x01\x46", b"\x00\x00\x01\x46"),
}
_PES_START = struct.Struct(">4sHBBB")
_PTS = struct.Struct(">BHH")
_CLOCK = struct.Struct(">BIH")
# Length 0 is allowed for video and needed above 65,535 bytes.
_VIDEO_HEAD = _PES_START.pack(b"\x00\x00\x01\xe0", 0, 0x84, 0x80, 5)
# What the first packet holds: without header, adaptation length and field, PES header with time, and ADTS header.
_VIDEO_ROOM = PACKET - 4 - 1 - 7 - 14
_AUDIO_ROOM = PACKET - 4 - 1 - 1 - 14 - 7


def _headers(pid: int, flags: int) -> list[bytes]:
    """The sixteen possible packet headers, one per continuity counter."""
    return [struct.pack(">BHB", 0x47, pid, flags | counter) for counter in range(16)]


def _first_headers(pid: int, flags: int) -> list[bytes]:
    return _headers(0x4000 | pid, flags)


_PAYLOAD_ONLY, _WITH_ADAPTATION = 0x10, 0x30
_PLAIN = {pid: _headers(pid, _PAYLOAD_ONLY) for pid in (_VIDEO_PID, _AUDIO_PID)}
_STUFFED = {pid: _headers(pid, _WITH_ADAPTATION) for pid in (_VIDEO_PID, _AUDIO_PID)}
_FIRST = {pid: _first_headers(pid, _PAYLOAD_ONLY) for pid in (0, _PMT_PID)}
_FIRST_STUFFED = {pid: _first_headers(pid, _WITH_ADAPTATION) for pid in (_VIDEO_PID, _AUDIO_PID)}


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return table


_CRC = _crc_table()


def _crc32_mpeg2(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value = (value << 8 & 0xFFFFFFFF) ^ _CRC[value >> 24 ^ byte]
    return value


def _section(body: bytes) -> bytes:
    """Payload of a packet that holds one section: pointer, section, checksum, stuffing."""
    whole = body + struct.pack(">I", _crc32_mpeg2(body))
    return (b"\x00" + whole).ljust(184, b"\xff")


_PAT = _section(struct.pack(">BHHBBBHH", 0, 0xB00D, 1, 0xC1, 0, 0, 1, 0xE000 | _PMT_PID))


def _pmt(codec: Codec, audio: bool) -> bytes:
    streams = struct.pack(">BHH", _STREAM_TYPE[codec], 0xE000 | _VIDEO_PID, 0xF000)
    if audio:
        streams += struct.pack(">BHH", _AAC_STREAM_TYPE, 0xE000 | _AUDIO_PID, 0xF000)
    length = 0xB000 | (13 + len(streams))
    return _section(struct.pack(">BHHBBBHH", 2, length, 1, 0xC1, 0, 0, 0xE000 | _VIDEO_PID, 0xF000) + streams)


def _pts_field(ticks: int) -> bytes:
    """A presentation time with the marker bits of 13818-1 2.4.3.7."""
    return _PTS.pack(0x21 | (ticks >> 29) & 0x0E, (ticks >> 14) & 0xFFFE | 1, (ticks << 1) & 0xFFFE | 1)


class Counters(NamedTuple):
    """Continuity counters of the next packets, 0..15."""

    video: int = 0
    audio: int = 0
    tables: int = 0


_AT_FIRST = Counters()


class TsPackager:
    """Turns access units and AAC frames of one stream into transport packets."""

    def __init__(self, codec: Codec, counters: Counters = _AT_FIRST) -> None:
        self._codec = codec
        self._tables = {audio: _pmt(codec, audio) for audio in (False, True)}
        self._video_counter, self._audio_counter, self._table_counter = counters

    def tables(self, audio: bool) -> list[bytes]:
        """PAT and PMT: the first two packets of a segment."""
        counter = self._table_counter
        self._table_counter = (counter + 1) & 15
        return [_FIRST[0][counter], _PAT, _FIRST[_PMT_PID][counter], self._tables[audio]]

    def video(self, data: bytes, pts_ms: int, key: bool) -> list[bytes]:
        """Packets of one Annex B access unit; a delimiter is put in front when it has none."""
        ticks = (pts_ms * 90 + _START_90K) & _WRAP
        clock = (ticks - _CLOCK_LAG_90K) & _WRAP
        field = _CLOCK.pack(0x50 if key else 0x10, clock >> 1, (clock & 1) << 15 | 0x7E00)
        start = b"".join((_VIDEO_HEAD, _pts_field(ticks), self._delimiter(data)))
        packets, self._video_counter = _packets(_VIDEO_PID, self._video_counter, field, start, data)
        return packets

    def video_packets(self, data: bytes) -> int:
        """How many packets `video` makes of it."""
        room = _VIDEO_ROOM - len(self._delimiter(data))
        return 1 + max(0, len(data) - room + 183) // 184

    def _delimiter(self, data: bytes) -> bytes:
        return b"" if data.startswith(_DELIMITER_STARTS[self._codec]) else _DELIMITER[self._codec]

    def aac(self, frame: bytes, pts_ms: int, config: AudioConfig) -> list[bytes]:
        """Packets of one raw AAC frame, ADTS header added."""
        ticks = (pts_ms * 90 + _START_90K) & _WRAP
        adts = adts_header(config, len(frame))
        length = 8 + len(adts) + len(frame)
        head = _PES_START.pack(b"\x00\x00\x01\xc0", length & 0xFFFF, 0x84, 0x80, 5)
        start = b"".join((head, _pts_field(ticks), adts))
        packets, self._audio_counter = _packets(_AUDIO_PID, self._audio_counter, b"\x40", start, frame)
        return packets

    def aac_packets(self, frame: bytes) -> int:
        """How many packets `aac` makes of it."""
        return 1 + max(0, len(frame) - _AUDIO_ROOM + 183) // 184


@lru_cache(maxsize=256)
def _plain_headers(pid: int, many: int) -> list[bytes]:
    """Headers of packets that hold nothing but payload, in the order of counters, enough for 64 × (many + 1)."""
    return _PLAIN[pid] * (4 * many + 6)


@lru_cache(maxsize=1024)
def _slices(count: int) -> struct.Struct:
    """Cuts `count` payloads of a packet at once."""
    return struct.Struct("184s" * count)


def _packets(pid: int, counter: int, field: bytes, start: bytes, data: bytes) -> tuple[list[bytes], int]:
    """Cut `start` and `data` into packets, `field` (adaptation flags and clock) in the first; the next counter too.

    Stuffing stands in adaptation fields: in the first packet when everything fits there, else in the last.
    """
    room = PACKET - 4 - 1 - len(field) - len(start)
    size = len(data)
    if size <= room:
        stuffed = field + b"\xff" * (room - size)
        return [_FIRST_STUFFED[pid][counter], bytes((len(stuffed),)), stuffed, start, data], (counter + 1) & 15
    whole, rest = divmod(size - room, 184)
    # Headers and payload slices alternate; both lists come from single expressions, no loop per packet.
    headers = _plain_headers(pid, whole >> 6)[counter + 1 : counter + 1 + whole]
    pieces: list[bytes] = [b""] * (2 * whole + 2)
    pieces[0] = b"".join((_FIRST_STUFFED[pid][counter], bytes((len(field),)), field, start))
    pieces[1] = data[:room]
    pieces[2::2] = headers
    pieces[3::2] = _slices(whole).unpack_from(data, room)
    counter = (counter + 1 + whole) & 15
    if rest:
        stuffing = 183 - rest
        adaptation = b"\x00" if not stuffing else bytes((stuffing,)) + b"\x00" + b"\xff" * (stuffing - 1)
        pieces += (_STUFFED[pid][counter], adaptation, data[-rest:])
        counter = (counter + 1) & 15
    return pieces, counter
