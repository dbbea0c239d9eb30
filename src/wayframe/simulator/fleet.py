"""Many simulated vehicles in one process."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import time
from collections.abc import Callable, Sequence

from .config import CameraConfig, VehicleConfig, VehicleStats
from .footage import Codec
from .road import City
from .vehicle import SimulatedVehicle
from .wire808 import Layout


class Edition(enum.Enum):
    """Which JT/T 808 edition a fleet speaks."""

    V2013 = "2013"
    V2019 = "2019"
    MIXED = "mixed"
    """Every second vehicle the newer one."""


def idents(first: str, count: int) -> list[str]:
    """Consecutive idents with the width of the first."""
    return [str(int(first) + number).zfill(len(first)) for number in range(count)]


def layout_of(edition: Edition, number: int) -> Layout:
    """The header layout of vehicle `number` of a fleet."""
    newer = edition is Edition.V2019 or (edition is Edition.MIXED and number % 2 == 1)
    return Layout.V2019 if newer else Layout.V2013


def cameras(count: int, hevc: int = 0) -> tuple[CameraConfig, ...]:
    """Cameras on channels 1..count; the last `hevc` of them encode H.265."""
    found = [CameraConfig(channel) for channel in range(1, count + 1)]
    return tuple(
        dataclasses.replace(
            camera,
            main=dataclasses.replace(camera.main, codec=Codec.H265),
            sub=dataclasses.replace(camera.sub, codec=Codec.H265),
        )
        if camera.channel > count - hevc
        else camera
        for camera in found
    )


def variations(base: VehicleConfig, first_ident: str, count: int, edition: Edition) -> list[VehicleConfig]:
    """`count` vehicles like `base`, each with its own ident, name, papers and road."""
    return [
        dataclasses.replace(
            base,
            ident=ident,
            name=base.name and f"{base.name} {number + 1}",
            layout=layout_of(edition, number),
            identity=dataclasses.replace(
                base.identity, terminal_id=ident[-7:], plate=f"B-WF {1001 + number}", imei=f"8612340{number:08d}"
            ),
            city=list(City)[number % len(City)],
            road_seed=1 + number // len(City) % 8,
            seed=number,
        )
        for number, ident in enumerate(idents(first_ident, count))
    ]


class Fleet:
    """Runs vehicles together; the dialling-in is spread over `spread_s` seconds."""

    def __init__(
        self, configs: Sequence[VehicleConfig], *, spread_s: float = 0.0, clock: Callable[[], float] = time.time
    ) -> None:
        self.vehicles = [SimulatedVehicle(config, clock=clock) for config in configs]
        self._spread_s = spread_s
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Drive until `stop` or cancellation."""
        async with asyncio.TaskGroup() as group:
            for number, vehicle in enumerate(self.vehicles):
                group.create_task(self._start(vehicle, self._spread_s * number / len(self.vehicles)))

    async def _start(self, vehicle: SimulatedVehicle, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
        except TimeoutError:
            await vehicle.run()

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()
        for vehicle in self.vehicles:
            vehicle.stop()

    async def all_online(self) -> None:
        """Wait until every vehicle is authenticated."""
        await asyncio.gather(*(vehicle.online.wait() for vehicle in self.vehicles))

    def totals(self) -> VehicleStats:
        """The vehicles' counters added up; the lateness is the worst."""
        total = VehicleStats()
        for field in dataclasses.fields(VehicleStats):
            values = [getattr(vehicle.stats, field.name) for vehicle in self.vehicles]
            setattr(total, field.name, max(values, default=0.0) if field.name == "late_ms" else sum(values))
        return total
