"""Values of the terminal parameters 0x0075 to 0x007C (JT/T 1078-2016 5.2) and 0xF364 to 0xF367 (T/JSATL 12-2017 4.2).

A value is read by id **and exact length**: other lengths belong to dialects without a public table and stay raw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Value = int | str | list[dict[str, int | str]]
"""A number, text (hex for reserved bytes), or a list of records."""

Values = dict[str, Value]
"""Named values of one parameter, in the order of the bytes."""


@dataclass(frozen=True, slots=True)
class _Field:
    """One field: name, bytes, and how they read."""

    name: str
    size: int = 1
    form: str = "number"


def _fields(spec: str) -> tuple[_Field, ...]:
    """Fields from `name`, `name:size` and `name:size:form` separated by blanks."""
    found = []
    for entry in spec.split():
        name, _, rest = entry.partition(":")
        size, _, form = rest.partition(":")
        found.append(_Field(name, int(size or 1), form or "number"))
    return tuple(found)


# bitrate in kbit/s; mode 0 CBR, 1 VBR, 2 ABR; resolution 0 QCIF, 1 CIF, 2 WCIF, 3 D1, 4 WD1, 5 720p, 6 1080p.
_VIDEO: Final = (
    "live_mode live_resolution live_key_interval:2 live_fps live_bitrate:4 "
    "storage_mode storage_resolution storage_key_interval:2 storage_fps storage_bitrate:4 osd:2"
)
_CHANNEL_VIDEO: Final = _fields("channel " + _VIDEO)
_CHANNEL_COUNTS: Final = _fields("av_count audio_count video_count")
_CHANNEL_ENTRY: Final = _fields("physical_channel channel type ptz")
_PERIOD: Final = _fields("wake:2:hex sleep:2:hex")

# What the alarm parameters of both cameras begin with; photo and video intervals in 100 ms unless said otherwise.
_CAMERA: Final = (
    "speed_threshold volume photo_strategy photo_interval_s:2 photo_distance_m:2 photo_count photo_interval "
    "photo_resolution video_resolution alarm_enable:4 event_enable:4 "
)

_FLAT: Final[dict[int, tuple[_Field, ...]]] = {
    0x0075: _fields(_VIDEO + " audio_output"),
    0x0079: _fields("storage_percent duration_min pre_duration_min"),
    0x007A: _fields("alarm_mask:4"),
    0x007B: _fields("passenger_limit fatigue_threshold"),
    0xF364: _fields(
        _CAMERA + "reserved_1:1:hex "
        "obstacle_distance obstacle_speed obstacle_video_s obstacle_photos obstacle_photo_interval "
        "lane_change_period_s lane_change_count lane_change_speed lane_change_video_s lane_change_photos "
        "lane_change_photo_interval "
        "lane_departure_speed lane_departure_video_s lane_departure_photos lane_departure_photo_interval "
        "collision_time collision_speed collision_video_s collision_photos collision_photo_interval "
        "pedestrian_time pedestrian_speed pedestrian_video_s pedestrian_photos pedestrian_photo_interval "
        "distance_time distance_speed distance_video_s distance_photos distance_photo_interval "
        "sign_photos sign_photo_interval reserved_2:4:hex"
    ),
    0xF365: _fields(
        _CAMERA + "smoking_interval_s:2 phone_interval_s:2 reserved_1:3:hex "
        "fatigue_speed fatigue_video_s fatigue_photos fatigue_photo_interval "
        "phone_speed phone_video_s phone_photos phone_photo_interval "
        "smoking_speed smoking_video_s smoking_photos smoking_photo_interval "
        "distraction_speed distraction_video_s distraction_photos distraction_photo_interval "
        "abnormal_speed abnormal_video_s abnormal_photos abnormal_photo_interval "
        "identification_trigger reserved_2:2:hex"
    ),
    0xF366: _fields(
        "tire_model:12:text pressure_unit:2 normal_pressure:2 imbalance_percent:2 slow_leak_percent:2 "
        "low_pressure:2 high_pressure:2 high_temperature:2 battery_percent:2 report_interval_s:2 reserved:6:hex"
    ),
    0xF367: _fields("rear_time_s side_time_s"),
}

PARAMETER_IDS: Final = frozenset({*_FLAT, 0x0076, 0x0077, 0x007C})
"""Ids this module reads."""

_WAKE_HEAD: Final = _fields("mode condition weekdays periods_enabled")
_PERIODS: Final = 4


def decode_parameter(parameter_id: int, raw: bytes) -> Values | None:
    """Named values of a parameter; None when id or exact length is not one of the tables'."""
    if parameter_id in _FLAT:
        fields = _FLAT[parameter_id]
        return _read(fields, raw, 0) if len(raw) == _size(fields) else None
    reader = {0x0076: _channels, 0x0077: _channel_video, 0x007C: _wake_up}.get(parameter_id)
    return reader(raw) if reader else None


def encode_parameter(parameter_id: int, values: Mapping[str, Value]) -> bytes:
    """The bytes of named values as `decode_parameter` gives them.

    Raises `KeyError` for an unknown id or a missing name, `ValueError` for a value that does not fit its field.
    """
    if parameter_id in _FLAT:
        return _write(_FLAT[parameter_id], values)
    if parameter_id == 0x0076:
        records = _records(values["channels"])
        return _write(_CHANNEL_COUNTS, values) + b"".join(_write(_CHANNEL_ENTRY, record) for record in records)
    if parameter_id == 0x0077:
        records = _records(values["channels"])
        return bytes((len(records),)) + b"".join(_write(_CHANNEL_VIDEO, record) for record in records)
    if parameter_id == 0x007C:
        periods = _records(values["periods"])
        if len(periods) != _PERIODS:
            raise ValueError(f"periods must be {_PERIODS}, got {len(periods)}")
        return _write(_WAKE_HEAD, values) + b"".join(_write(_PERIOD, period) for period in periods)
    raise KeyError(f"parameter 0x{parameter_id:04X} has no table")


def _channels(raw: bytes) -> Values | None:
    """0x0076: channels with audio and video, audio only, video only; then one entry a channel."""
    size = _size(_CHANNEL_ENTRY)
    if len(raw) < 3 or len(raw) != 3 + size * sum(raw[:3]):
        return None
    channels = [_read(_CHANNEL_ENTRY, raw, at) for at in range(3, len(raw), size)]
    return {**_read(_CHANNEL_COUNTS, raw, 0), "channels": _plain(channels)}


def _channel_video(raw: bytes) -> Values | None:
    """0x0077: one video record a channel."""
    size = _size(_CHANNEL_VIDEO)
    if not raw or len(raw) != 1 + size * raw[0]:
        return None
    return {"channels": _plain([_read(_CHANNEL_VIDEO, raw, at) for at in range(1, len(raw), size)])}


def _wake_up(raw: bytes) -> Values | None:
    """0x007C: what wakes a sleeping terminal; four periods of hhmm to hhmm."""
    head, size = _size(_WAKE_HEAD), _size(_PERIOD)
    if len(raw) != head + _PERIODS * size:
        return None
    periods = [_read(_PERIOD, raw, head + index * size) for index in range(_PERIODS)]
    return {**_read(_WAKE_HEAD, raw, 0), "periods": _plain(periods)}


def _size(fields: Sequence[_Field]) -> int:
    return sum(field.size for field in fields)


def _read(fields: Sequence[_Field], raw: bytes, at: int) -> Values:
    values: Values = {}
    for field in fields:
        piece = raw[at : at + field.size]
        at += field.size
        if field.form == "hex":
            values[field.name] = piece.hex()
        elif field.form == "text":
            values[field.name] = piece.strip(b"\x00").decode("gbk", "backslashreplace")
        else:
            values[field.name] = int.from_bytes(piece, "big")
    return values


def _write(fields: Sequence[_Field], values: Mapping[str, Value] | Mapping[str, int | str]) -> bytes:
    return b"".join(_write_one(field, values[field.name]) for field in fields)


def _write_one(field: _Field, value: Value) -> bytes:
    if field.form == "number":
        if not isinstance(value, int) or not 0 <= value < 1 << 8 * field.size:
            raise ValueError(f"{field.name} must be 0..{(1 << 8 * field.size) - 1}, got {value!r}")
        return value.to_bytes(field.size, "big")
    if not isinstance(value, str):
        raise ValueError(f"{field.name} must be text, got {value!r}")
    raw = bytes.fromhex(value) if field.form == "hex" else value.encode("gbk").ljust(field.size, b"\x00")
    if len(raw) != field.size:
        raise ValueError(f"{field.name} must have {field.size} bytes, got {len(raw)}")
    return raw


def _records(value: Value) -> list[dict[str, int | str]]:
    if not isinstance(value, list):
        raise ValueError(f"a list of records is needed, got {value!r}")
    return value


def _plain(records: Sequence[Values]) -> list[dict[str, int | str]]:
    """Records without lists in them."""
    return [{name: value for name, value in r.items() if not isinstance(value, list)} for r in records]
