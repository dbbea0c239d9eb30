"""Jobs on files inside a worker process: probe, previews, conversion, sound of recordings.

PyAV is imported inside the functions that need it: photo jobs work without it.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Callable, Iterator
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image, ImageFile, ImageOps, ImageStat

from .sniff import SNIFF_BYTES, Kind, sniff

Answer = tuple[dict[str, Any], bytes]

_IMAGE_FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "BMP"]
# The demuxer is always named: left to guess, libav would also accept playlists that open other files.
_DEMUXERS = {
    "mp4": "mp4", "m4a": "mp4", "mov": "mp4", "3gp": "mp4", "avi": "avi", "mkv": "matroska", "webm": "matroska",
    "ts": "mpegts", "flv": "flv", "mpg": "mpeg", "h264": "h264", "h265": "hevc", "wav": "wav", "mp3": "mp3",
    "aac": "aac", "amr": "amr", "ogg": "ogg",
}  # fmt: skip
_OPEN_OPTIONS = {"protocol_whitelist": "file"}
_NEARLY_BLACK = 24
_LOOK_AHEAD_FRAMES = 250
_JPEG_QUALITY = 75
_CODEC_NAMES = {"hevc": "h265", "mpeg4": "mpeg4", "cavs": "avs"}
_SMALL_PIXELS = 1280 * 720


def _head(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(SNIFF_BYTES)


def _check_pixels(width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise ValueError(f"picture of {width}x{height} is larger than the limit of {limit} pixels")


def _open_av(path: str, extension: str, options: dict[str, str]) -> Any:
    import av

    av.logging.set_level(av.logging.PANIC)
    demuxer = _DEMUXERS.get(extension)
    if demuxer is None:
        raise ValueError("not a kind of video or sound that can be read")
    return av.open(path, format=demuxer, options={**_OPEN_OPTIONS, **options})


def probe(arguments: dict[str, Any], _: bytes) -> Answer:
    """Facts of a file: `path`, `max_pixels`, `max_duration_s`."""
    path = arguments["path"]
    found = sniff(_head(path))
    facts: dict[str, Any] = {"kind": found.kind.value, "mime": found.mime, "extension": found.extension}
    if found.kind is Kind.IMAGE:
        with Image.open(path, formats=_IMAGE_FORMATS) as image:
            _check_pixels(*image.size, arguments["max_pixels"])
            facts |= {"width": image.width, "height": image.height}
    elif found.kind in (Kind.VIDEO, Kind.AUDIO):
        with _open_av(path, found.extension, {"skip_frame": "all"}) as container:
            facts |= _stream_facts(container, arguments)
        if found.kind is Kind.VIDEO and "video_codec" not in facts:
            facts["kind"] = Kind.AUDIO.value
    return facts, b""


def _stream_facts(container: Any, limits: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {"has_audio": bool(container.streams.audio)}
    if container.duration is not None:
        facts["duration_s"] = max(0.0, container.duration / 1_000_000)
        if facts["duration_s"] > limits["max_duration_s"]:
            raise ValueError(f"{facts['duration_s']:.0f} s is longer than the limit of {limits['max_duration_s']} s")
    if container.streams.audio:
        facts["audio_codec"] = container.streams.audio[0].codec_context.name
    if container.streams.video:
        stream = container.streams.video[0]
        context = stream.codec_context
        _check_pixels(context.width, context.height, limits["max_pixels"])
        name = _CODEC_NAMES.get(context.name, context.name)
        facts |= {"width": context.width, "height": context.height, "video_codec": name}
        if stream.average_rate:
            facts["fps"] = float(stream.average_rate)
    created = _unix(container.metadata.get("creation_time", ""))
    return facts | ({"created": created} if created else {})


def _unix(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # Times without a zone are somebody's local time: worse than none.
    return moment.timestamp() if moment.tzinfo else None


def _jpeg(image: Image.Image, width: int) -> bytes:
    image.thumbnail((width, width))
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=_JPEG_QUALITY)
    return out.getvalue()


def preview(arguments: dict[str, Any], _: bytes) -> Answer:
    """A small JPEG of a photo or clip: `path`, `width`, `max_pixels`."""
    path, width = arguments["path"], arguments["width"]
    found = sniff(_head(path))
    if found.kind is Kind.IMAGE:
        return {}, _photo_preview(path, width, arguments["max_pixels"])
    if found.kind is Kind.VIDEO:
        return {}, _clip_preview(path, found.extension, width, arguments["max_pixels"])
    raise ValueError("neither a photo nor a clip")


def _photo_preview(path: str, width: int, max_pixels: int) -> bytes:
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # devices send cut-off photos
    with Image.open(path, formats=_IMAGE_FORMATS) as image:
        _check_pixels(*image.size, max_pixels)
        image.draft("RGB", (width, width))
        return _jpeg(ImageOps.exif_transpose(image), width)


def _clip_preview(path: str, extension: str, width: int, max_pixels: int) -> bytes:
    with _open_av(path, extension, {"skip_frame": "all"}) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        _check_pixels(context.width, context.height, max_pixels)
        context.skip_frame = "NONKEY"
        context.thread_count = 1
        frames = container.decode(stream)
        first = next(frames, None)
        if first is None:
            raise ValueError("no picture could be decoded")
        image = _small_image(first, width, max_pixels)
        if not _is_black(image):
            return _jpeg(image, width)
        context.skip_frame = "DEFAULT"
        later = _picture_after(frames, first, 1.0)
        return _jpeg(image if later is None else _small_image(later, width, max_pixels), width)


def _picture_after(frames: Iterator[Any], first: Any, seconds: float) -> Any:
    """The first picture `seconds` after `first`, else the last one found before the search is given up."""
    found = None
    start = first.time or 0.0
    for count, frame in enumerate(frames):
        found = frame
        if count >= _LOOK_AHEAD_FRAMES or (frame.time is not None and frame.time - start >= seconds):
            break
    return found


def _small_image(frame: Any, width: int, max_pixels: int) -> Image.Image:
    _check_pixels(frame.width, frame.height, max_pixels)
    scale = min(1.0, width / max(frame.width, frame.height))
    size = max(2, round(frame.width * scale)), max(2, round(frame.height * scale))
    image: Image.Image = frame.reformat(*size, "rgb24", interpolation="AREA").to_image()
    return image


def _is_black(image: Image.Image) -> bool:
    return ImageStat.Stat(image.convert("L")).mean[0] < _NEARLY_BLACK


def key_frame_preview(arguments: dict[str, Any], blob: bytes) -> Answer:
    """A small JPEG of one key access unit: `codec`, `width`, `max_pixels`."""
    import av

    from ._worker_codecs import VIDEO_DECODERS

    decoder: Any = av.CodecContext.create(VIDEO_DECODERS[arguments["codec"]], "r")
    decoder.thread_count = 1
    frames = [*decoder.decode(av.Packet(blob)), *decoder.decode(None)]
    if not frames:
        raise ValueError("the key frame could not be decoded")
    return {}, _jpeg(_small_image(frames[0], arguments["width"], arguments["max_pixels"]), arguments["width"])


def encode_audio(arguments: dict[str, Any], blob: bytes) -> Answer:
    """AAC of a recording's sound: `path`, `target`, `codec`, `rate`, `channels`, `count`; blob: sizes, times."""
    from ._worker_codecs import AacEncoder

    count = arguments["count"]
    sizes, times = array("I"), array("q")
    sizes.frombytes(blob[: count * sizes.itemsize])
    times.frombytes(blob[count * sizes.itemsize :])
    encoder = AacEncoder(arguments["codec"], arguments["rate"], arguments["channels"])
    made, start_ms = array("I"), None
    with Path(arguments["path"]).open("rb") as source, Path(arguments["target"]).open("wb") as target:
        for size, pts_ms in zip(sizes, times, strict=True):
            for packet in encoder.push(source.read(size), pts_ms):
                start_ms = packet.pts_ms if start_ms is None else start_ms
                made.append(target.write(packet.data))
        for packet in encoder.finish():
            start_ms = packet.pts_ms if start_ms is None else start_ms
            made.append(target.write(packet.data))
    specific = encoder.config.specific
    return {"start_ms": start_ms or 0, "specific": len(specific)}, specific + made.tobytes()


def convert(arguments: dict[str, Any], _: bytes) -> Answer:
    """H.264 + AAC fast-start MP4 of anything decodable: `path`, `target`, `max_side`, and probe's limits."""
    found = sniff(_head(arguments["path"]))
    with _open_av(arguments["path"], found.extension, {"skip_frame": "all"}) as source:
        _stream_facts(source, arguments)
        if not source.streams.video:
            raise ValueError("no pictures in this file")
    with _open_av(arguments["path"], found.extension, {}) as source:
        _transcode(source, arguments["target"], arguments["max_side"], arguments["max_pixels"])
    return probe({**arguments, "path": arguments["target"]}, b"")


def _transcode(source: Any, target: str, max_side: int, max_pixels: int) -> None:
    import av

    video = source.streams.video[0]
    audio = source.streams.audio[0] if source.streams.audio else None
    with av.open(target, "w", format="mp4", options={"movflags": "faststart"}) as out:
        pictures = _PictureTrack(out, video, max_side, max_pixels)
        sound = _SoundTrack(out, audio) if audio is not None else None
        for packet in source.demux([video, audio] if audio is not None else [video]):
            track = pictures if packet.stream is video else sound
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue  # one damaged packet; what follows may be whole
            for frame in frames:
                if track is not None:
                    track.take(frame)
        pictures.finish()
        if sound is not None:
            sound.finish()


class _PictureTrack:
    """Encodes pictures for a stored clip, made when the first one shows its size."""

    def __init__(self, out: Any, source: Any, max_side: int, max_pixels: int) -> None:
        from av.video.reformatter import VideoReformatter

        self._out, self._max_side, self._max_pixels = out, max_side, max_pixels
        self._rate = Fraction(source.average_rate or 25).limit_denominator(1000)
        if not 1 <= self._rate <= 120:
            self._rate = Fraction(25)  # containers lie about this; the pictures' own times are used anyway
        self._reformatter: Any = VideoReformatter()
        width, height = source.codec_context.width, source.codec_context.height
        scale = min(1.0, max_side / max(width, height, 1))
        self._size = max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)
        pixels = self._size[0] * self._size[1]
        stream = out.add_stream("libx264", rate=self._rate)
        stream.width, stream.height, stream.pix_fmt = *self._size, "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, 1000)
        context.gop_size, context.max_b_frames = max(1, round(2 * self._rate)), 0
        cap = max(256, pixels * 3 // 1000)
        preset = "veryfast" if pixels <= _SMALL_PIXELS else "ultrafast"
        parameters = f"bframes=0:force-cfr=0:vbv-maxrate={cap}:vbv-bufsize={2 * cap}"
        context.options = {"preset": preset, "crf": "26", "x264-params": parameters}
        context.thread_count = 2
        self._stream = stream
        self._origin: float | None = None
        self._last_ms = -1

    def take(self, frame: Any) -> None:
        """Encode one decoded picture."""
        from av.video.frame import PictureType

        _check_pixels(frame.width, frame.height, self._max_pixels)
        if frame.time is None:
            at_ms = self._last_ms + max(1, round(1000 / self._rate))
        else:
            self._origin = frame.time if self._origin is None else self._origin
            at_ms = round((frame.time - self._origin) * 1000)
        self._last_ms = max(at_ms, self._last_ms + 1)
        small = self._reformatter.reformat(frame, *self._size, "yuv420p")
        small.pts, small.time_base = self._last_ms, Fraction(1, 1000)
        small.pict_type = PictureType.NONE  # or the source's picture types would force the encoder's
        self._out.mux(self._with_durations(self._stream.encode(small)))

    def _with_durations(self, packets: list[Any]) -> list[Any]:
        for packet in packets:
            packet.duration = max(1, round(1000 / self._rate))
        return packets

    def finish(self) -> None:
        """Flush the encoder."""
        if self._last_ms < 0:
            raise ValueError("no picture could be decoded")
        self._out.mux(self._with_durations(self._stream.encode(None)))


class _SoundTrack:
    """Encodes sound for a stored clip."""

    _RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})

    def __init__(self, out: Any, source: Any) -> None:
        from av.audio.resampler import AudioResampler

        context = source.codec_context
        rate = context.sample_rate if context.sample_rate in self._RATES else 48000
        layout = "mono" if context.channels == 1 else "stereo"
        self._out = out
        self._stream = out.add_stream("aac", rate=rate, layout=layout, options={"aac_coder": "fast"})
        self._stream.bit_rate = 32_000 if rate <= 16_000 else 96_000
        self._resampler: Any = AudioResampler("fltp", layout, rate, 1024)
        self._position = 0
        self._taken = False

    def take(self, frame: Any) -> None:
        """Encode one decoded sound frame."""
        self._taken = True
        frame.pts = None
        self._encode(self._resampler.resample(frame))

    def _encode(self, frames: list[Any]) -> None:
        for frame in frames:
            frame.pts, frame.time_base = self._position, Fraction(1, frame.sample_rate)
            self._position += frame.samples
            self._out.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Flush resampler and encoder."""
        if self._taken:
            self._encode(self._resampler.resample(None))
        self._out.mux(self._stream.encode(None))


FILE_JOBS: dict[str, Callable[[dict[str, Any], bytes], Answer]] = {
    "probe": probe,
    "preview": preview,
    "key_frame_preview": key_frame_preview,
    "encode_audio": encode_audio,
    "convert": convert,
}
