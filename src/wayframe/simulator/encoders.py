"""All that needs PyAV: video and AAC encoders and the MP4 writer.

The others import this module where they use it: PyAV is an extra (`wayframe[media]`), takes 30 MB, and a server that
mounts the simulator's command line shall not load it."""

from __future__ import annotations

import array
import io
from collections.abc import Callable, Sequence
from fractions import Fraction

import av
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter
from PIL import Image

from .footage import Codec, VideoFormat, VideoFrame, frame_time_ms

# PyAV leaves this method without types.
_from_image: Callable[[Image.Image], av.VideoFrame] = av.VideoFrame.from_image

_MUXERS = {Codec.H264: "h264", Codec.H265: "hevc"}


class VideoEncoder:
    """Pictures in, one access unit out at once: no B frames, no look-ahead, one slice a frame."""

    def __init__(self, video: VideoFormat) -> None:
        context = av.CodecContext.create(video.codec.value, "w")
        if not isinstance(context, av.VideoCodecContext):
            raise TypeError(f"libav has no encoder {video.codec.value}")
        context.width, context.height, context.pix_fmt = video.width, video.height, "yuv420p"
        context.time_base, context.framerate = Fraction(1, video.fps), Fraction(video.fps)
        context.bit_rate, context.thread_count = video.kbit * 1000, 1
        context.options = _options(video)
        self._context = context
        self._scaler = VideoReformatter()
        self._pts = 0

    def encode(self, picture: Image.Image, key: bool) -> bytes:
        """Annex B bytes of the picture; with `key` an IDR frame with parameter sets."""
        frame = self._scaler.reformat(_from_image(picture), format="yuv420p")
        frame.pts, frame.time_base = self._pts, self._context.time_base
        frame.pict_type = PictureType.I if key else PictureType.NONE
        self._pts += 1
        return b"".join(bytes(packet) for packet in self._context.encode(frame))


def _options(video: VideoFormat) -> dict[str, str]:
    peak, buffer = video.kbit * 5 // 4, video.kbit * 2
    common = {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"}
    if video.codec is Codec.H264:
        # Key frames come only where they are asked for.
        return common | {"maxrate": f"{peak}k", "bufsize": f"{buffer}k", "g": "100000", "bf": "0", "sc_threshold": "0"}
    settings = (
        "repeat-headers=1:keyint=-1:scenecut=0:bframes=0:rc-lookahead=0:open-gop=0:log-level=none:pools=none"
        f":frame-threads=1:vbv-maxrate={peak}:vbv-bufsize={buffer}"
    )
    return common | {"x265-params": settings}


def aac_frames(samples: Sequence[int], rate: int, frame_samples: int) -> list[bytes]:
    """Raw AAC-LC frames of mono 16-bit samples, a whole number of frames long; the encoder's priming is cut off."""
    encoder = av.CodecContext.create("aac", "w")
    if not isinstance(encoder, av.AudioCodecContext):
        raise TypeError("libav has no AAC encoder")
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", "fltp"
    encoder.bit_rate, encoder.time_base = 24_000, Fraction(1, rate)
    encoder.options = {"aac_coder": "fast"}
    packets: list[bytes] = []
    for at in range(0, len(samples), frame_samples):
        floats = array.array("f", (sample / 32768 for sample in samples[at : at + frame_samples]))
        block = av.AudioFrame(format="fltp", layout="mono", samples=frame_samples)
        block.planes[0].update(floats.tobytes())
        block.sample_rate, block.pts, block.time_base = rate, at, Fraction(1, rate)
        packets += [bytes(packet) for packet in encoder.encode(block)]
    packets += [bytes(packet) for packet in encoder.encode(None)]
    return packets[1:]


def mp4(units: Sequence[VideoFrame], video: VideoFormat) -> bytes:
    """An MP4 file with its index at the end, as recorders write it."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream = container.add_mux_stream(_MUXERS[video.codec], width=video.width, height=video.height)
        stream.time_base = Fraction(1, 1000)
        for unit in units:
            packet = av.Packet(unit.data)
            packet.pts = packet.dts = unit.timestamp_ms - units[0].timestamp_ms
            packet.duration = frame_time_ms(unit.number + 1, video.fps) - unit.timestamp_ms
            packet.time_base = Fraction(1, 1000)
            packet.is_keyframe, packet.stream = unit.key, stream
            container.mux_one(packet)
    return target.getvalue()
