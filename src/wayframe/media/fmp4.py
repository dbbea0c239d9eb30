"""Fragmented MP4 (CMAF) for live playback: init segments and parts (ISO/IEC 14496-12 8.8, ISO/IEC 23000-19)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from . import boxes
from .aac import SAMPLES_PER_FRAME, AudioConfig
from .access_unit import ParameterSets
from .boxes import box, full_box

__all__ = ["VIDEO_TIMESCALE", "Sample", "init_segment", "media_part"]

VIDEO_TIMESCALE = 1000
_SYNC, _DEPENDENT = 0x02000000, 0x01010000
_DEFAULT_BASE_IS_MOOF = 0x020000
_TRUN_VIDEO = 0x000701  # data offset; duration, size and flags of each sample
_TRUN_AUDIO = 0x000201  # data offset; size of each sample
_TFHD_AUDIO = _DEFAULT_BASE_IS_MOOF | 0x08  # default sample duration present
_ENTRY = struct.Struct(">III")
_U32 = struct.Struct(">I")
_EMPTY_TABLES = (
    full_box(b"stts", 0, 0, bytes(4)),
    full_box(b"stsc", 0, 0, bytes(4)),
    full_box(b"stsz", 0, 0, bytes(8)),
    full_box(b"stco", 0, 0, bytes(4)),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of a part."""

    data: bytes
    """NAL units with four-byte lengths."""
    duration: int
    """Ticks of VIDEO_TIMESCALE (milliseconds)."""
    key: bool
    """True for a random access picture."""


def _trak(track: int, timescale: int, entry: bytes, width: int, height: int) -> bytes:
    video = track == boxes.VIDEO_TRACK
    stbl = box(b"stbl", boxes.stsd([entry]), *_EMPTY_TABLES)
    media = box(b"mdia", boxes.mdhd(timescale, 0), boxes.hdlr(video), boxes.minf(video, stbl))
    return box(b"trak", boxes.tkhd(track, 0, width, height, not video), media)


def _trex(track: int) -> bytes:
    return full_box(b"trex", 0, 0, struct.pack(">IIIII", track, 1, 0, 0, 0))


def init_segment(sets: ParameterSets, audio: AudioConfig | None = None) -> bytes:
    """`ftyp` and `moov` of a live stream. Raises BadParameterSet."""
    facts = sets.facts
    ftyp = box(b"ftyp", b"iso6", _U32.pack(0), b"iso6mp41cmfc")
    traks = [_trak(boxes.VIDEO_TRACK, VIDEO_TIMESCALE, boxes.video_entry(sets), facts.width, facts.height)]
    extends = [_trex(boxes.VIDEO_TRACK)]
    if audio is not None:
        traks.append(_trak(boxes.AUDIO_TRACK, audio.rate, boxes.audio_entry(audio), 0, 0))
        extends.append(_trex(boxes.AUDIO_TRACK))
    return ftyp + box(b"moov", boxes.mvhd(0, len(traks) + 1), *traks, box(b"mvex", *extends))


def _tfdt(time: int) -> bytes:
    return full_box(b"tfdt", 1, 0, struct.pack(">Q", time))


def _video_traf(samples: list[Sample], time: int, offset: int) -> bytes:
    entries = [
        _ENTRY.pack(sample.duration, len(sample.data), _SYNC if sample.key else _DEPENDENT) for sample in samples
    ]
    trun = full_box(b"trun", 0, _TRUN_VIDEO, struct.pack(">Ii", len(samples), offset), *entries)
    tfhd = full_box(b"tfhd", 0, _DEFAULT_BASE_IS_MOOF, _U32.pack(boxes.VIDEO_TRACK))
    return box(b"traf", tfhd, _tfdt(time), trun)


def _audio_traf(frames: list[bytes], time: int, offset: int) -> bytes:
    sizes = struct.pack(f">Ii{len(frames)}I", len(frames), offset, *map(len, frames))
    tfhd = full_box(b"tfhd", 0, _TFHD_AUDIO, struct.pack(">II", boxes.AUDIO_TRACK, SAMPLES_PER_FRAME))
    return box(b"traf", tfhd, _tfdt(time), full_box(b"trun", 0, _TRUN_AUDIO, sizes))


def media_part(
    sequence: int,
    samples: list[Sample],
    video_time: int,
    audio_frames: list[bytes] | None = None,
    audio_time: int = 0,
) -> bytes:
    """One `moof` + `mdat`.

    `sequence` rises with every part; `video_time` is in VIDEO_TIMESCALE, `audio_time` in samples of the sound.
    """
    pictures = [sample.data for sample in samples]
    audio = audio_frames or []
    mfhd = full_box(b"mfhd", 0, 0, _U32.pack(sequence))
    video_size = sum(map(len, pictures))

    def moof(base: int) -> bytes:
        trafs = [_video_traf(samples, video_time, base)] if samples else []
        if audio:
            trafs.append(_audio_traf(audio, audio_time, base + video_size))
        return box(b"moof", mfhd, *trafs)

    # Offsets count from the start of moof; its own size does not depend on their values.
    head = moof(len(moof(0)) + 8)
    mdat = struct.pack(">I4s", 8 + video_size + sum(map(len, audio)), b"mdat")
    return b"".join((head, mdat, *pictures, *audio))
