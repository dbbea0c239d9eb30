"""What is on a simulated memory card: gapless recordings of equal length, as far back as the card reaches."""

from __future__ import annotations

import math

from .config import VehicleConfig
from .wire1078 import Recording, RecordingQuery

_MOST = 5000
"""Most items in one answer; a real terminal has a limit as well."""


def recordings(config: VehicleConfig, query: RecordingQuery, now: float) -> list[Recording]:
    """Recordings that touch the asked window, by channel and time: the main stream on storage 1, with sound if the
    vehicle has a microphone. The newest one ends now."""
    oldest = now - config.card_hours * 3600
    begin = max(oldest, query.begin if query.begin is not None else oldest)
    end = min(now, query.end if query.end is not None else now)
    if begin >= end or query.stream == 2 or query.storage == 2 or query.media == 1 or query.alarm_mask:
        return []
    step = config.card_segment_s
    first, last = math.floor(begin / step), math.ceil(end / step)
    cameras = [camera for camera in config.cameras if query.channel in (0, camera.channel)]
    found = [
        _recording(config, camera.channel, camera.main.kbit, number * step, min(now, (number + 1) * step))
        for camera in cameras
        for number in range(first, last)
    ]
    return found[-_MOST:]


def _recording(config: VehicleConfig, channel: int, kbit: int, begin: float, end: float) -> Recording:
    has_sound = config.sound.value != "none"
    return Recording(
        channel=channel,
        begin=begin,
        end=end,
        media=0 if has_sound else 2,
        stream=1,
        storage=1,
        size=int((end - begin) * kbit * 125),
    )
