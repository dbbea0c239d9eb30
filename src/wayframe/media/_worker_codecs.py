"""Decoders and encoders as the worker process uses them. Needs PyAV; imported only there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.audio.resampler import AudioResampler

from .aac import SAMPLES_PER_FRAME, AudioConfig, audio_config

av.logging.set_level(av.logging.PANIC)

_G726_BITS = {"g726-16": "2", "g726-24": "3", "g726": "4", "g726-32": "4", "g726-40": "5"}
_PLAIN_DECODERS = {
    "g711a": "pcm_alaw",
    "g711u": "pcm_mulaw",
    "pcm_s16le": "pcm_s16le",
    "pcm_s16be": "pcm_s16be",
    "amr": "amrnb",
    "amrwb": "amrwb",
    "mp3": "mp3",
}
_GAP_S = 0.1
_LONGEST_SILENCE_S = 600.0
_MAX_PAYLOAD = 64 * 1024
_IMA_STEPS_COUNT = 89


def _ima_steps() -> list[int]:
    """The 89 step sizes of IMA ADPCM (IMA Digital Audio Focus 1992, table 2)."""
    return [
        7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73, 80, 88,
        97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494, 544, 598, 658,
        724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660,
        4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493, 10442, 11487, 12635, 13899, 15289, 16818,
        18500, 20350, 22385, 24623, 27086, 29794, 32767,
    ]  # fmt: skip


_IMA_STEPS = _ima_steps()
_IMA_INDEX = (-1, -1, -1, -1, 2, 4, 6, 8)


def decode_ima(block: bytes) -> bytes:
    """16-bit little-endian samples of one IMA ADPCM block as JT/T 1078 terminals send it.

    Head: predictor int16 little-endian, step index, reserved; then nibbles, high nibble first.
    """
    if len(block) < 5:
        return b""
    value = int.from_bytes(block[:2], "little", signed=True)
    index = min(block[2], _IMA_STEPS_COUNT - 1)
    out = bytearray()
    for byte in block[4:]:
        for nibble in (byte >> 4, byte & 15):
            step = _IMA_STEPS[index]
            # (2 × magnitude + 1) × step / 8, in the integer steps the standard adds up
            change = step >> 3
            if nibble & 4:
                change += step
            if nibble & 2:
                change += step >> 1
            if nibble & 1:
                change += step >> 2
            value = max(-32768, min(32767, value - change if nibble & 8 else value + change))
            index = max(0, min(_IMA_STEPS_COUNT - 1, index + _IMA_INDEX[nibble & 7]))
            out += value.to_bytes(2, "little", signed=True)
    return bytes(out)


@dataclass(frozen=True, slots=True)
class AacPacket:
    """One encoded frame."""

    data: bytes
    """Raw AAC."""
    pts_ms: int
    """Time of its first sample."""


class AacEncoder:
    """Decodes one sound codec and encodes it to AAC-LC at the same rate, gaps filled with silence.

    Raises ValueError for a codec, rate or channel number that cannot be handled.
    """

    def __init__(self, codec: str, rate: int, channels: int) -> None:
        if not 1 <= channels <= 2:
            raise ValueError(f"channels must be 1 or 2, got {channels}")
        self.config: AudioConfig = audio_config(rate, channels)
        self._codec, self._rate = codec, rate
        self._layout = "mono" if channels == 1 else "stereo"
        self._channels = channels
        self._decoder = self._make_decoder(codec)
        encoder = av.CodecContext.create("aac", "w")
        encoder.sample_rate, encoder.layout, encoder.format = rate, self._layout, "fltp"
        encoder.time_base = Fraction(1, rate)
        encoder.bit_rate = (24_000 if rate <= 16_000 else 64_000) * channels
        encoder.options = {"aac_coder": "fast"}
        self._encoder: Any = encoder
        encoder.open()
        if encoder.extradata:
            self.config = AudioConfig(2, rate, channels, bytes(encoder.extradata))
        self._resampler: Any = AudioResampler("fltp", self._layout, rate, SAMPLES_PER_FRAME)
        self._origin_ms: int | None = None
        self._position = 0

    def _make_decoder(self, codec: str) -> Any:
        if codec == "adpcm_ima":
            return None
        options = {"bits_per_coded_sample": _G726_BITS[codec]} if codec in _G726_BITS else {}
        name = "adpcm_g726le" if codec in _G726_BITS else _PLAIN_DECODERS.get(codec)
        if name is None:
            raise ValueError(f"sound codec {codec!r} cannot be converted")
        decoder: Any = av.CodecContext.create(name, "r")
        decoder.sample_rate, decoder.layout = self._rate, self._layout
        if codec not in ("amr", "amrwb", "mp3"):
            decoder.format = "s16"
        decoder.options = options
        return decoder

    def push(self, payload: bytes, pts_ms: int) -> list[AacPacket]:
        """Take one payload; returns the frames that are ready. Damaged payloads become nothing."""
        frames = self._decode(payload[:_MAX_PAYLOAD])
        if not frames:
            return []
        if self._origin_ms is None:
            self._origin_ms = pts_ms
        missing = (pts_ms - self._origin_ms) / 1000 - self._position / self._rate
        packets: list[AacPacket] = []
        if missing > _GAP_S:
            if missing > _LONGEST_SILENCE_S:
                missing = _GAP_S
            packets += self._encode_silence(int(missing * self._rate))
        for frame in frames:
            packets += self._encode(frame)
        return packets

    def finish(self) -> list[AacPacket]:
        """Flush resampler and encoder."""
        if self._origin_ms is None:
            return []
        packets = [packet for frame in self._resampler.resample(None) for packet in self._take(frame)]
        return packets + self._take(None)

    def _decode(self, payload: bytes) -> list[Any]:
        if self._decoder is None:
            return [self._plain(decode_ima(payload))] if len(payload) > 4 else []
        if self._codec in ("amr", "amrwb") and payload.startswith(b"#!AMR"):
            payload = payload[payload.index(b"\n") + 1 :] if b"\n" in payload else b""
        try:
            return list(self._decoder.decode(av.Packet(payload))) if payload else []
        except av.FFmpegError:
            return []  # one damaged payload costs its own sound, nothing more; the gap becomes silence

    def _plain(self, samples: bytes) -> Any:
        count = len(samples) // (2 * self._channels)
        frame = av.AudioFrame(format="s16", layout=self._layout, samples=count)
        frame.planes[0].update(samples[: 2 * self._channels * count].ljust(frame.planes[0].buffer_size, b"\x00"))
        return frame

    def _encode_silence(self, samples: int) -> list[AacPacket]:
        packets: list[AacPacket] = []
        while samples > 0:
            count = min(samples, self._rate)
            packets += self._encode(self._plain(bytes(2 * self._channels * count)))
            samples -= count
        return packets

    def _encode(self, frame: Any) -> list[AacPacket]:
        samples = frame.samples
        frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
        frame.pts = self._position
        self._position += samples
        # The resampler wants one input format for life; decoders and silence differ in theirs.
        if frame.format.name != "s16":
            frame = self._to_s16(frame)
        return [packet for piece in self._resampler.resample(frame) for packet in self._take(piece)]

    def _to_s16(self, frame: Any) -> Any:
        pieces = AudioResampler("s16", self._layout, self._rate).resample(frame)
        return pieces[0] if pieces else frame

    def _take(self, frame: Any) -> list[AacPacket]:
        origin = self._origin_ms or 0
        return [
            AacPacket(bytes(packet), origin + (packet.pts or 0) * 1000 // self._rate)
            for packet in self._encoder.encode(frame)
        ]


VIDEO_DECODERS = {"h264": "h264", "h265": "hevc", "mjpeg": "mjpeg", "mpeg4": "mpeg4", "avs": "cavs"}


class H264Encoder:
    """Encodes pictures to H.264 without B frames, made anew when the size changes."""

    def __init__(self, max_side: int) -> None:
        self._max_side = max_side
        self._encoder: Any = None
        self._size = (0, 0)
        self._reformatter: Any = av.video.reformatter.VideoReformatter()
        self._last_key_ms: int | None = None

    @property
    def context(self) -> Any:
        """The codec context; None before the first picture."""
        return self._encoder

    def _open(self, width: int, height: int) -> None:
        encoder = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
        encoder.time_base, encoder.framerate = Fraction(1, 1000), Fraction(25)
        encoder.gop_size, encoder.max_b_frames = 250, 0
        # A bit rate that suits the size; ultrafast needs it capped.
        cap = max(256, width * height * 3 // 1000)
        parameters = f"bframes=0:scenecut=0:force-cfr=0:vbv-maxrate={cap}:vbv-bufsize={2 * cap}"
        options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "26"}
        encoder.options = {**options, "x264-params": "repeat-headers=1:" + parameters}
        encoder.thread_count = 2
        self._encoder, self._size = encoder, (width, height)

    def _target_size(self, frame: Any) -> tuple[int, int]:
        scale = min(1.0, self._max_side / max(frame.width, frame.height))
        return max(2, int(frame.width * scale) // 2 * 2), max(2, int(frame.height * scale) // 2 * 2)

    def encode(self, frame: Any, pts_ms: int) -> Iterator[Any]:
        """Packets that are ready; a key frame every two seconds."""
        size = self._target_size(frame)
        if self._encoder is not None and size != self._size:
            yield from self._encoder.encode(None)
            self._encoder = None
        if self._encoder is None:
            self._open(*size)
            self._last_key_ms = None
        small = self._reformatter.reformat(frame, *size, "yuv420p")
        small.pts, small.time_base = pts_ms, Fraction(1, 1000)
        force = self._last_key_ms is None or pts_ms - self._last_key_ms >= 2000 or pts_ms < self._last_key_ms
        if force:
            self._last_key_ms = pts_ms
        # The source's picture types must not become the encoder's.
        small.pict_type = av.video.frame.PictureType.I if force else av.video.frame.PictureType.NONE
        yield from self._encoder.encode(small)

    def finish(self) -> Iterator[Any]:
        """What the encoder still holds."""
        if self._encoder is not None:
            yield from self._encoder.encode(None)
