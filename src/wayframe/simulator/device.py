"""What all parts of one simulated vehicle share: settings, counters, clock, chance, serial numbers, position."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from .bodies808 import Position
from .config import VehicleConfig, VehicleStats
from .road import road
from .wire808 import Layout, number_bcd

log = logging.getLogger("wayframe.simulator")

_ODOMETER_EPOCH = 1_767_225_600
"""2026-01-01: a round trip driven for ever since 1970 would make an absurd mileage."""
_ODOMETER_KM = 20_000.0
_DRIVING_KMH = 30.0


class Serials:
    """The counter of message serials; a terminal shares one between all its signalling connections."""

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> int:
        """The next serial, 0..65535."""
        serial = self._next
        self._next = (serial + 1) & 0xFFFF
        return serial


class Device:
    """The unconnected half of a vehicle."""

    def __init__(self, config: VehicleConfig, clock: Callable[[], float]) -> None:
        self.config = config
        self.clock = clock
        self.stats = VehicleStats()
        self.serials = Serials()
        self.chance = random.Random(f"{config.ident} {config.seed}")
        self.number = number_bcd(config.ident, config.layout)
        self.road = road(config.city, config.road_seed)
        self._phase = random.Random(config.ident).uniform(0, self.road.period_s)
        while config.drives_off and self.road.at(clock() + self._phase).speed_kmh < _DRIVING_KMH:
            self._phase += 30.0
        self._odometer = self.road.at(_ODOMETER_EPOCH + self._phase).distance_km

    @property
    def layout(self) -> Layout:
        """Header layout."""
        return self.config.layout

    def position(self, timestamp: float, alarm_bits: int = 0) -> Position:
        """Where the vehicle is, was or will be at a Unix time."""
        motion = self.road.at(timestamp + self._phase)
        return Position(
            timestamp=timestamp,
            latitude=motion.latitude,
            longitude=motion.longitude,
            altitude_m=motion.altitude_m,
            speed_kmh=motion.speed_kmh,
            course=motion.course,
            acc=motion.acc,
            mileage_km=max(0.0, motion.distance_km - self._odometer) + _ODOMETER_KM,
            fuel_l=motion.fuel_l,
            signal=22 + int(timestamp / 37) % 9,
            satellites=9 + int(timestamp / 53) % 7,
            alarm_bits=alarm_bits,
        )
