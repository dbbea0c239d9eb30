"""Where a simulated vehicle is at any time: a smooth closed round trip about a city, driven with believable speeds,
halts at lights with the engine running and longer ones with the ignition off. A pure function of time."""

from __future__ import annotations

import bisect
import enum
import functools
import math
import random
from dataclasses import dataclass

_EARTH_M = 6_371_000.0
_POINTS = 720
_CRUISE = 15.5
"""m/s on straight stretches, 56 km/h."""
_SIDEWAYS = 1.6
"""m/s² of comfortable lateral acceleration, limits speed in bends."""
_PUSH, _BRAKE = 1.1, 1.5
_FUEL_PER_KM = 0.11
_TANK_L = 58.0


class City(enum.Enum):
    """Cities to drive about: latitude, longitude, altitude in m."""

    BERLIN = (52.5163, 13.3777, 38)
    HAMBURG = (53.5503, 9.9920, 8)
    MUNICH = (48.1391, 11.5802, 519)
    VILNIUS = (54.6872, 25.2797, 112)
    PORTO = (41.1496, -8.6110, 83)
    SANTIAGO = (-33.4489, -70.6693, 570)


@dataclass(frozen=True, slots=True)
class Motion:
    """State of motion at one moment."""

    latitude: float
    """Degrees."""
    longitude: float
    """Degrees."""
    altitude_m: int
    """Metres."""
    speed_kmh: float
    """km/h."""
    course: int
    """Degrees clockwise from north."""
    acc: bool
    """Ignition on."""
    distance_km: float
    """Driven since the Unix epoch."""
    fuel_l: float
    """Fuel left."""


@dataclass(frozen=True, slots=True)
class Road:
    """One round trip as tables over `_POINTS` points; see `road`."""

    city: City
    """Where it lies."""
    points: tuple[tuple[float, float], ...]
    """Metres east and north of the centre; the last equals the first."""
    distances: tuple[float, ...]
    """Metres from the start to each point."""
    speeds: tuple[float, ...]
    """m/s at each point; 0 where the vehicle halts."""
    times: tuple[float, ...]
    """Seconds from the start at which each point is reached."""
    halts: dict[int, tuple[float, bool]]
    """Point → (seconds of halt, whether the ignition goes off)."""
    period_s: float
    """Seconds of a whole round, halts included."""

    def at(self, seconds: float) -> Motion:
        """Motion at a time in seconds on any clock; the round repeats for ever in both directions."""
        rounds, within = divmod(seconds, self.period_s)
        index = bisect.bisect_right(self.times, within) - 1
        halt, off = self.halts.get(index, (0.0, False))
        moving = within - self.times[index] - halt
        if moving < 0:
            # The engine stops a few seconds after the halt begins and starts a few before it ends.
            acc = not (off and 8 < within - self.times[index] < halt - 5)
            return self._motion(index, 0.0, 0.0, acc, rounds)
        length = self.distances[index + 1] - self.distances[index]
        start, end = self.speeds[index], self.speeds[index + 1]
        gain = (end * end - start * start) / (2 * length)
        along = min(length, start * moving + gain * moving * moving / 2)
        return self._motion(index, along / length, start + gain * moving, True, rounds)

    def _motion(self, index: int, share: float, speed: float, acc: bool, rounds: float) -> Motion:
        (x0, y0), (x1, y1) = self.points[index], self.points[index + 1]
        latitude, longitude, altitude = self.city.value
        east, north = x0 + (x1 - x0) * share, y0 + (y1 - y0) * share
        driven = self.distances[index] + (self.distances[index + 1] - self.distances[index]) * share
        total_km = (rounds * self.distances[-1] + driven) / 1000
        return Motion(
            latitude=latitude + math.degrees(north / _EARTH_M),
            longitude=longitude + math.degrees(east / _EARTH_M / math.cos(math.radians(latitude))),
            altitude_m=altitude + round(6 * math.sin(driven / 900)),
            speed_kmh=speed * 3.6,
            course=round(math.degrees(math.atan2(x1 - x0, y1 - y0))) % 360,
            acc=acc,
            distance_km=total_km,
            fuel_l=_TANK_L - total_km * _FUEL_PER_KM % (_TANK_L * 0.8),
        )


@functools.lru_cache(maxsize=64)
def road(city: City, seed: int) -> Road:
    """The round trip number `seed` about a city: 15–35 km, about half an hour to an hour."""
    chance = random.Random(f"{city.name} {seed}")
    points = _closed_curve(chance)
    steps = [math.dist(points[i], points[i + 1]) for i in range(_POINTS)]
    distances = [0.0]
    for step in steps:
        distances.append(distances[-1] + step)
    halts = {0: (180.0, True)}
    at = chance.randint(25, 45)
    while at < _POINTS - 25:
        halts[at] = (210.0, True) if chance.random() < 0.18 else (float(chance.randint(8, 35)), False)
        at += chance.randint(30, 60)
    speeds = _speeds(points, steps, halts)
    times, now = [0.0], 0.0
    for index, step in enumerate(steps):
        now += halts.get(index, (0.0, False))[0] + 2 * step / (speeds[index] + speeds[index + 1])
        times.append(now)
    return Road(city, tuple(points), tuple(distances), tuple(speeds), tuple(times), halts, now)


def _closed_curve(chance: random.Random) -> list[tuple[float, float]]:
    """A circle of 2.5–5 km bent by a few low harmonics."""
    radius, turn = chance.uniform(2500, 5000), chance.uniform(0, 2 * math.pi)
    waves = [(n, chance.uniform(0.03, 0.11), chance.uniform(0, 2 * math.pi)) for n in (2, 3, 5, 8)]
    points = []
    for index in range(_POINTS):
        angle = 2 * math.pi * index / _POINTS
        reach = radius * (1 + sum(size * math.sin(n * angle + phase) for n, size, phase in waves))
        points.append((reach * math.sin(angle + turn), reach * math.cos(angle + turn)))
    return [*points, points[0]]


def _speeds(points: list[tuple[float, float]], steps: list[float], halts: dict[int, tuple[float, bool]]) -> list[float]:
    """Speed at each point: limited by bends, zero at halts, reached and left with ordinary acceleration."""
    speeds = [0.0 if index % _POINTS in halts else _bend_limit(points, index) for index in range(_POINTS + 1)]
    for index, step in enumerate(steps):
        speeds[index + 1] = min(speeds[index + 1], math.sqrt(speeds[index] ** 2 + 2 * _PUSH * step))
    for index in range(_POINTS - 1, -1, -1):
        speeds[index] = min(speeds[index], math.sqrt(speeds[index + 1] ** 2 + 2 * _BRAKE * steps[index]))
    return speeds


def _bend_limit(points: list[tuple[float, float]], index: int) -> float:
    before, here, after = points[index - 1 if index else _POINTS - 1], points[index], points[(index + 1) % _POINTS]
    a, b = math.dist(before, here), math.dist(here, after)
    first = math.atan2(here[1] - before[1], here[0] - before[0])
    second = math.atan2(after[1] - here[1], after[0] - here[0])
    turn = abs(math.remainder(second - first, 2 * math.pi))
    radius = (a + b) / 2 / max(turn, 1e-6)
    return min(_CRUISE, math.sqrt(_SIDEWAYS * radius))
