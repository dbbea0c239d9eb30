"""JT/T 1078 video and T/JSATL 12 alarm attachments, sans-IO.

In: bytes of media and attachment connections, bodies of the video messages on the 808 link, alarm items of location
reports. Out: frames, file blocks, records, parameters, and the bytes to answer with. Time is passed in.
"""

from .alarms import ALARM_DECODERS, AlarmIdentifier, SafetyAlarm, decode_alarm
from .audio import AudioFormat, Hisilicon, audio_format
from .clock import StreamClock
from .packets import (
    DataType,
    MediaKind,
    MediaPacket,
    PacketError,
    Packetizer,
    Part,
    codec_name,
    decode_packet,
)
from .signalling import DECODERS, SignallingMessage, decode_body
from .stream import (
    ChannelSeen,
    CodecCorrected,
    Identified,
    MediaConnection,
    MediaCounters,
    MediaEvent,
    MediaFrame,
    MediaSettings,
    Violation,
    same_number,
)
from .times import DEFAULT_OFFSET_S, NO_TIME, bcd_to_unix, unix_to_bcd
from .wire import BodyError

__all__ = [
    "ALARM_DECODERS",
    "DECODERS",
    "DEFAULT_OFFSET_S",
    "NO_TIME",
    "AlarmIdentifier",
    "AudioFormat",
    "BodyError",
    "ChannelSeen",
    "CodecCorrected",
    "DataType",
    "Hisilicon",
    "Identified",
    "MediaConnection",
    "MediaCounters",
    "MediaEvent",
    "MediaFrame",
    "MediaKind",
    "MediaPacket",
    "MediaSettings",
    "PacketError",
    "Packetizer",
    "Part",
    "SafetyAlarm",
    "SignallingMessage",
    "StreamClock",
    "Violation",
    "audio_format",
    "bcd_to_unix",
    "codec_name",
    "decode_alarm",
    "decode_body",
    "decode_packet",
    "same_number",
    "unix_to_bcd",
]
