"""What is inside a file or a stream of media; knows nothing of devices or HTTP.

In come access units and sound frames (`LiveStream`, `Mp4Recorder`) or files (`MediaWorkers`, `sniff`); out come
playlists, segments and FLV for viewers, finished MP4 files, facts, previews and conversions. The server process
packages in pure Python; everything that decodes or encodes runs in the worker processes of `MediaWorkers`.
"""

from .aac import AudioConfig, audio_config, is_adts, parse_audio_config, split_adts
from .access_unit import AccessUnit, Codec, ParameterSets, VideoFacts, detect_codec, is_key
from .errors import (
    BadParameterSet,
    EmptyRecording,
    MediaError,
    MediaUnavailable,
    NoConversionSlot,
    UnreadableMedia,
    WorkerFailed,
    WorkersBusy,
)
from .live import FlvViewer, LiveStream, LlPlaylist, LlStatus
from .mp4 import EncodedAudio, Mp4Recorder, PendingAudio, RecordingFacts
from .sniff import SNIFF_BYTES, Kind, Sniffed, sniff
from .spool import SegmentSpool
from .workers import (
    AUDIO_CODECS,
    VIDEO_CODECS,
    AudioStream,
    MediaFacts,
    MediaLimits,
    MediaWorkers,
    VideoStream,
)

__all__ = [
    "AUDIO_CODECS",
    "SNIFF_BYTES",
    "VIDEO_CODECS",
    "AccessUnit",
    "AudioConfig",
    "AudioStream",
    "BadParameterSet",
    "Codec",
    "EmptyRecording",
    "EncodedAudio",
    "FlvViewer",
    "Kind",
    "LiveStream",
    "LlPlaylist",
    "LlStatus",
    "MediaError",
    "MediaFacts",
    "MediaLimits",
    "MediaUnavailable",
    "MediaWorkers",
    "Mp4Recorder",
    "NoConversionSlot",
    "ParameterSets",
    "PendingAudio",
    "RecordingFacts",
    "SegmentSpool",
    "Sniffed",
    "UnreadableMedia",
    "VideoFacts",
    "VideoStream",
    "WorkerFailed",
    "WorkersBusy",
    "audio_config",
    "detect_codec",
    "is_adts",
    "is_key",
    "parse_audio_config",
    "sniff",
    "split_adts",
]
