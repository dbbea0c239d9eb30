"""Terminal parameters: 0x8103 sets, 0x8104 and 0x8106 ask, 0x0104 reports (S13 8.8–8.11, S19 8.8–8.11)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..jt1078.wire import BodyError, Reader, text
from .frames import Layout


class Kind(Enum):
    """How a parameter's value is written."""

    BYTE = 1
    WORD = 2
    DWORD = 4
    STRING = 0
    BYTES = -1


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """What one parameter id means."""

    name: str
    """Name in commands and facts."""
    kind: Kind
    """Type on the wire."""
    title: str
    """For a person, with the unit."""


def _spec(name: str, kind: Kind, title: str) -> ParameterSpec:
    return ParameterSpec(name, kind, title)


PARAMETERS: dict[int, ParameterSpec] = {
    0x0001: _spec("heartbeat_interval", Kind.DWORD, "Heartbeat interval, s"),
    0x0002: _spec("tcp_timeout", Kind.DWORD, "TCP answer timeout, s"),
    0x0003: _spec("tcp_retries", Kind.DWORD, "TCP retries"),
    0x0004: _spec("udp_timeout", Kind.DWORD, "UDP answer timeout, s"),
    0x0005: _spec("udp_retries", Kind.DWORD, "UDP retries"),
    0x0006: _spec("sms_timeout", Kind.DWORD, "SMS answer timeout, s"),
    0x0007: _spec("sms_retries", Kind.DWORD, "SMS retries"),
    0x0010: _spec("main_apn", Kind.STRING, "Main server APN"),
    0x0011: _spec("main_user", Kind.STRING, "Main server dial-up user"),
    0x0012: _spec("main_password", Kind.STRING, "Main server dial-up password"),
    0x0013: _spec("main_server", Kind.STRING, "Main server address (2019: host:port;host:port)"),
    0x0014: _spec("backup_apn", Kind.STRING, "Backup server APN"),
    0x0015: _spec("backup_user", Kind.STRING, "Backup server dial-up user"),
    0x0016: _spec("backup_password", Kind.STRING, "Backup server dial-up password"),
    0x0017: _spec("backup_server", Kind.STRING, "Backup server address"),
    0x0018: _spec("tcp_port", Kind.DWORD, "Server TCP port (2013)"),
    0x0019: _spec("udp_port", Kind.DWORD, "Server UDP port (2013)"),
    0x001A: _spec("card_server", Kind.STRING, "IC card server address"),
    0x001B: _spec("card_tcp_port", Kind.DWORD, "IC card server TCP port"),
    0x001C: _spec("card_udp_port", Kind.DWORD, "IC card server UDP port"),
    0x001D: _spec("card_backup_server", Kind.STRING, "IC card backup server address"),
    0x0020: _spec("report_strategy", Kind.DWORD, "Report strategy: 0 time, 1 distance, 2 both"),
    0x0021: _spec("report_scheme", Kind.DWORD, "Report scheme: 0 by ACC, 1 by login and ACC"),
    0x0022: _spec("report_interval_logged_out", Kind.DWORD, "Report interval without driver, s"),
    0x0023: _spec("secondary_apn", Kind.STRING, "Secondary server APN (2019)"),
    0x0024: _spec("secondary_user", Kind.STRING, "Secondary server dial-up user (2019)"),
    0x0025: _spec("secondary_password", Kind.STRING, "Secondary server dial-up password (2019)"),
    0x0026: _spec("secondary_server", Kind.STRING, "Secondary server address (2019)"),
    0x0027: _spec("report_interval_sleep", Kind.DWORD, "Report interval asleep, s"),
    0x0028: _spec("report_interval_emergency", Kind.DWORD, "Report interval in an emergency, s"),
    0x0029: _spec("report_interval", Kind.DWORD, "Report interval, s"),
    0x002C: _spec("report_distance", Kind.DWORD, "Report distance, m"),
    0x002D: _spec("report_distance_logged_out", Kind.DWORD, "Report distance without driver, m"),
    0x002E: _spec("report_distance_sleep", Kind.DWORD, "Report distance asleep, m"),
    0x002F: _spec("report_distance_emergency", Kind.DWORD, "Report distance in an emergency, m"),
    0x0030: _spec("turn_angle", Kind.DWORD, "Extra report at a turn above, degrees"),
    0x0031: _spec("fence_radius", Kind.WORD, "Radius of the movement fence, m"),
    0x0032: _spec("illegal_driving_period", Kind.DWORD, "Forbidden driving hours, hh mm hh mm (2019)"),
    0x0040: _spec("platform_phone", Kind.STRING, "Phone number of the platform"),
    0x0041: _spec("reset_phone", Kind.STRING, "Phone number for a reset"),
    0x0042: _spec("factory_reset_phone", Kind.STRING, "Phone number for a factory reset"),
    0x0043: _spec("platform_sms_phone", Kind.STRING, "SMS number of the platform"),
    0x0044: _spec("alarm_sms_phone", Kind.STRING, "SMS number for alarms"),
    0x0045: _spec("answer_calls", Kind.DWORD, "Answering calls: 0 always, 1 by ACC"),
    0x0046: _spec("call_limit", Kind.DWORD, "Longest call, s"),
    0x0047: _spec("call_limit_month", Kind.DWORD, "Longest calls in a month, s"),
    0x0048: _spec("listen_phone", Kind.STRING, "Phone number that may listen"),
    0x0049: _spec("supervision_phone", Kind.STRING, "Privileged SMS number"),
    0x0050: _spec("alarm_mask", Kind.DWORD, "Alarms switched off, bits as in the location"),
    0x0051: _spec("alarm_sms", Kind.DWORD, "Alarms also sent by SMS"),
    0x0052: _spec("alarm_photo", Kind.DWORD, "Alarms that take a photo"),
    0x0053: _spec("alarm_photo_store", Kind.DWORD, "Alarms whose photo is stored instead of uploaded"),
    0x0054: _spec("key_alarms", Kind.DWORD, "Key alarms"),
    0x0055: _spec("speed_limit", Kind.DWORD, "Speed limit, km/h"),
    0x0056: _spec("overspeed_duration", Kind.DWORD, "Overspeed must last, s"),
    0x0057: _spec("driving_limit", Kind.DWORD, "Longest driving without a rest, s"),
    0x0058: _spec("driving_limit_day", Kind.DWORD, "Longest driving in a day, s"),
    0x0059: _spec("rest_minimum", Kind.DWORD, "Shortest rest, s"),
    0x005A: _spec("parking_limit", Kind.DWORD, "Longest parking, s"),
    0x005B: _spec("overspeed_warning_margin", Kind.WORD, "Overspeed warning below the limit, 0.1 km/h"),
    0x005C: _spec("fatigue_warning_margin", Kind.WORD, "Fatigue warning before the limit, s"),
    0x005D: _spec("collision", Kind.WORD, "Collision: low byte time 4 ms, high byte acceleration 0.1 g"),
    0x005E: _spec("rollover_angle", Kind.WORD, "Rollover angle, degrees"),
    0x0064: _spec("timed_photo", Kind.DWORD, "Photos by time"),
    0x0065: _spec("distance_photo", Kind.DWORD, "Photos by distance"),
    0x0070: _spec("image_quality", Kind.DWORD, "Image quality, 1 best to 10"),
    0x0071: _spec("brightness", Kind.DWORD, "Brightness, 0–255"),
    0x0072: _spec("contrast", Kind.DWORD, "Contrast, 0–127"),
    0x0073: _spec("saturation", Kind.DWORD, "Saturation, 0–127"),
    0x0074: _spec("chroma", Kind.DWORD, "Chroma, 0–255"),
    0x0075: _spec("av_settings", Kind.BYTES, "Audio and video settings (JT/T 1078)"),
    0x0076: _spec("av_channels", Kind.BYTES, "List of audio and video channels (JT/T 1078)"),
    0x0077: _spec("channel_video", Kind.BYTES, "Video settings of single channels (JT/T 1078)"),
    0x0079: _spec("alarm_recording", Kind.BYTES, "Recording of alarms (JT/T 1078)"),
    0x007A: _spec("video_alarm_mask", Kind.DWORD, "Video alarms switched off (JT/T 1078)"),
    0x007B: _spec("image_analysis", Kind.BYTES, "Overload and fatigue thresholds (JT/T 1078)"),
    0x007C: _spec("wake_up", Kind.BYTES, "Wake-up from sleep (JT/T 1078)"),
    0x0080: _spec("odometer", Kind.DWORD, "Odometer, 0.1 km"),
    0x0081: _spec("province", Kind.WORD, "Province id"),
    0x0082: _spec("city", Kind.WORD, "City id"),
    0x0083: _spec("plate", Kind.STRING, "Licence plate"),
    0x0084: _spec("plate_color", Kind.BYTE, "Plate colour: 0 none, 1 blue, 2 yellow, 3 black, 4 white, 9 other"),
    0x0090: _spec("gnss_mode", Kind.BYTE, "GNSS: bits 0 GPS, 1 Beidou, 2 GLONASS, 3 Galileo"),
    0x0091: _spec("gnss_baud", Kind.BYTE, "GNSS baud rate code"),
    0x0092: _spec("gnss_output", Kind.BYTE, "GNSS output frequency code"),
    0x0093: _spec("gnss_sampling", Kind.DWORD, "GNSS sampling interval, s"),
    0x0094: _spec("gnss_upload_mode", Kind.BYTE, "GNSS detail upload mode"),
    0x0095: _spec("gnss_upload_setting", Kind.DWORD, "GNSS detail upload setting"),
    0x0100: _spec("can1_interval", Kind.DWORD, "CAN 1 sampling interval, ms"),
    0x0101: _spec("can1_upload", Kind.WORD, "CAN 1 upload interval, s"),
    0x0102: _spec("can2_interval", Kind.DWORD, "CAN 2 sampling interval, ms"),
    0x0103: _spec("can2_upload", Kind.WORD, "CAN 2 upload interval, s"),
    0x0110: _spec("can_id", Kind.BYTES, "CAN id to sample"),
    0xF364: _spec("adas", Kind.BYTES, "ADAS settings (T/JSATL 12)"),
    0xF365: _spec("dsm", Kind.BYTES, "DSM settings (T/JSATL 12)"),
    0xF366: _spec("tpms", Kind.BYTES, "Tyre pressure settings (T/JSATL 12)"),
    0xF367: _spec("bsd", Kind.BYTES, "Blind spot settings (T/JSATL 12)"),
}
"""Parameters by id. Ids outside are read and written as hex."""

IDS: dict[str, int] = {spec.name: id for id, spec in PARAMETERS.items()}
"""Id by name."""


@dataclass(frozen=True, slots=True)
class TerminalParameter:
    """One parameter."""

    id: int
    """See `PARAMETERS`."""
    raw: bytes
    """Value on the wire."""

    @property
    def name(self) -> str:
        """Its name, or `0xNNNN`."""
        spec = PARAMETERS.get(self.id)
        return spec.name if spec else f"0x{self.id:04X}"

    @property
    def value(self) -> int | str:
        """Number or text when id and length say which, else hex."""
        spec = PARAMETERS.get(self.id)
        if spec is None or spec.kind is Kind.BYTES:
            return self.raw.hex()
        if spec.kind is Kind.STRING:
            return text(self.raw)
        return int.from_bytes(self.raw, "big") if len(self.raw) == spec.kind.value else self.raw.hex()


def parameter_id(name: str) -> int:
    """Id of a parameter by a name of `PARAMETERS` or as `0xNNNN`. Raises `ValueError`."""
    if name in IDS:
        return IDS[name]
    try:
        id = int(name, 16) if name.lower().startswith("0x") else -1
    except ValueError:
        id = -1
    if not 0 <= id <= 0xFFFFFFFF:
        raise ValueError(f"unknown parameter {name!r}: give a known name or an id such as 0x0029")
    return id


def parameter(name: str, value: object) -> TerminalParameter:
    """A parameter from what a person gave: a name of `PARAMETERS` or `0xNNNN`, and number, text or hex.

    Raises `ValueError` saying what is wrong.
    """
    id = parameter_id(name)
    spec = PARAMETERS.get(id)
    return TerminalParameter(id, _value_bytes(name, spec.kind if spec else Kind.BYTES, value))


def _value_bytes(name: str, kind: Kind, value: object) -> bytes:
    if kind is Kind.STRING:
        raw = str(value).encode("gbk", "replace")
    elif kind is Kind.BYTES:
        try:
            raw = bytes.fromhex(str(value))
        except ValueError:
            raise ValueError(f"{name} takes hex digits, got {value!r}") from None
    else:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 8 * kind.value:
            raise ValueError(f"{name} takes an integer 0..{(1 << 8 * kind.value) - 1}, got {value!r}")
        raw = value.to_bytes(kind.value, "big")
    if len(raw) > 255:
        raise ValueError(f"{name} takes at most 255 bytes, got {len(raw)}")
    return raw


@dataclass(frozen=True, slots=True)
class SetParameters:
    """0x8103: change parameters. Its body is also the end of 0x0104."""

    parameters: tuple[TerminalParameter, ...]
    """The complete parameters found."""
    count: int = -1
    """Number as stated; -1 for their real number."""
    rest: bytes = b""
    """What follows the last complete parameter."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> SetParameters:
        """Read a body; stops at the first parameter that is cut. Raises `BodyError`."""
        reader = Reader(body)
        count = reader.byte()
        found: list[TerminalParameter] = []
        at = 1
        while len(found) < count and reader.left:
            try:
                found.append(TerminalParameter(reader.dword(), reader.counted()))
            except BodyError:
                break
            at = len(body) - reader.left
        return cls(tuple(found), count, body[at:])

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        count = len(self.parameters) if self.count < 0 else self.count
        items = (item.id.to_bytes(4, "big") + bytes((len(item.raw),)) + item.raw for item in self.parameters)
        return bytes((count,)) + b"".join(items) + self.rest


@dataclass(frozen=True, slots=True)
class QueryParameters:
    """0x8106: report these parameters."""

    ids: tuple[int, ...]
    """Parameter ids."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> QueryParameters:
        """Read a body. Raises `BodyError`."""
        reader = Reader(body)
        return cls(tuple(reader.dword() for _ in range(reader.byte())))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return bytes((len(self.ids),)) + b"".join(id.to_bytes(4, "big") for id in self.ids)


@dataclass(frozen=True, slots=True)
class ParameterReport:
    """0x0104: the parameters asked for."""

    reply_serial: int
    """Serial of the question."""
    content: SetParameters
    """The parameters."""

    @classmethod
    def decode(cls, body: bytes, layout: Layout) -> ParameterReport:
        """Read an assembled body. Raises `BodyError`."""
        return cls(Reader(body).word(), SetParameters.decode(body[2:], layout))

    def encode(self, layout: Layout) -> bytes:
        """Write the body."""
        return self.reply_serial.to_bytes(2, "big") + self.content.encode(layout)
