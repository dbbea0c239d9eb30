"""Live conversions inside a worker process: sound to AAC (many sessions), pictures to H.264 (one session)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, ClassVar, Protocol

from .aac import parse_audio_config

Send = Callable[[dict[str, Any], bytes], None]


class _Session(Protocol):
    def push(self, message: dict[str, Any], blob: bytes) -> None: ...


class _AudioSession:
    def __init__(self, number: int, message: dict[str, Any], send: Send) -> None:
        from ._worker_codecs import AacEncoder

        self._encoder = AacEncoder(message["codec"], message["rate"], message["channels"])
        self._number, self._send = number, send
        specific = self._encoder.config.specific
        parse_audio_config(specific)
        send({"session": number, "event": "config"}, specific)

    def push(self, message: dict[str, Any], blob: bytes) -> None:
        for packet in self._encoder.push(blob, message["pts"]):
            self._send({"session": self._number, "event": "frame", "pts": packet.pts_ms}, packet.data)


class _VideoSession:
    def __init__(self, number: int, message: dict[str, Any], send: Send) -> None:
        import av

        from ._worker_codecs import VIDEO_DECODERS, H264Encoder

        self._av = av
        self._decoder: Any = av.CodecContext.create(VIDEO_DECODERS[message["codec"]], "r")
        self._decoder.thread_count = 1
        self._decoder.flags |= 0x80000  # AV_CODEC_FLAG_LOW_DELAY
        self._encoder = H264Encoder(max_side=message["max_side"])
        self._number, self._send = number, send

    def push(self, message: dict[str, Any], blob: bytes) -> None:
        packet = self._av.Packet(blob)
        packet.pts = packet.dts = message["pts"]
        packet.time_base = Fraction(1, 1000)
        try:
            frames = self._decoder.decode(packet)
        except self._av.FFmpegError:
            return  # a damaged picture; the decoder goes on at the next one it understands
        for frame in frames:
            pts = message["pts"] if frame.pts is None else frame.pts
            for encoded in self._encoder.encode(frame, pts):
                head = {"session": self._number, "event": "unit", "pts": encoded.pts}
                self._send({**head, "key": bool(encoded.is_keyframe)}, bytes(encoded))


class StreamSessions:
    """All live sessions of this process, by number."""

    _KINDS: ClassVar[dict[str, Callable[[int, dict[str, Any], Send], _Session]]] = {
        "audio": _AudioSession,
        "video": _VideoSession,
    }

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sessions: dict[int, _Session] = {}

    def handle(self, message: dict[str, Any], blob: bytes) -> None:
        """Do what a message asks; a session that fails is reported and forgotten."""
        number = message["session"]
        try:
            if message["do"] == "open":
                self._sessions[number] = self._KINDS[message["kind"]](number, message, self._send)
            elif message["do"] == "close":
                self._sessions.pop(number, None)
            elif number in self._sessions:
                self._sessions[number].push(message, blob)
        except Exception as error:  # whatever a hostile stream provokes ends its own session only
            self._sessions.pop(number, None)
            self._send({"session": number, "event": "failed", "reason": f"{type(error).__name__}: {error}"[:300]}, b"")
