"""The three vehicles of `wayframe demo`: a bus, a van and a taxi with differing equipment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from .bodies808 import Identity
from .config import CameraConfig, VehicleConfig
from .fleet import Fleet
from .footage import Codec, VideoFormat
from .road import City
from .sound import Sound
from .wire808 import Layout
from .wire_attachment import AlarmKind

DEMO_IDENTS = ("13800000001", "13800000002", "13800000003")
DEMO_NAMES = ("Bus 142 Berlin", "Van 7 Hamburg", "Taxi 23 Munich")

# Small pictures: drawing and encoding for a handful of streams must leave the machine to the server.
_MAIN = VideoFormat(Codec.H264, 854, 480, 15, 700, 30)
_SUB = VideoFormat(Codec.H264, 640, 360, 15, 300, 30)
_HEVC_MAIN = VideoFormat(Codec.H265, 640, 360, 15, 350, 30)
_HEVC_SUB = VideoFormat(Codec.H265, 480, 270, 15, 200, 30)
_DASHCAM_MAIN = VideoFormat(Codec.H264, 1280, 720, 15, 1200, 30)


def demo_configs(
    server_host: str = "127.0.0.1", port: int = 8808, idents: Sequence[str] = DEMO_IDENTS
) -> list[VehicleConfig]:
    """A bus with four H.264 cameras (2013), a van with two H.265 ones (2019) and a taxi with a dashcam and AAC."""
    bus = VehicleConfig(
        ident=idents[0],
        host=server_host,
        port=port,
        name=DEMO_NAMES[0],
        layout=Layout.V2013,
        identity=Identity(model="WF-MDVR-4", terminal_id="BUS0142", plate="B-VG 1142"),
        cameras=tuple(CameraConfig(channel, _MAIN, _SUB) for channel in (1, 2, 3, 4)),
        sound=Sound.G711A,
        city=City.BERLIN,
        drives_off=True,
        report_s=5.0,
        alarm_every_s=60.0,
        first_alarm_s=4.0,
        alarms=(AlarmKind.FORWARD_COLLISION, AlarmKind.PHONE, AlarmKind.PEDESTRIAN, AlarmKind.FATIGUE),
    )
    van = VehicleConfig(
        ident=idents[1],
        host=server_host,
        port=port,
        name=DEMO_NAMES[1],
        layout=Layout.V2019,
        identity=Identity(model="WF-MDVR-2-HEVC", terminal_id="VAN0007", plate="HH-VN 707", imei="861234050000022"),
        cameras=tuple(CameraConfig(channel, _HEVC_MAIN, _HEVC_SUB) for channel in (1, 2)),
        sound=Sound.G711A,
        city=City.HAMBURG,
        road_seed=2,
        drives_off=True,
        report_s=5.0,
        alarm_every_s=60.0,
        first_alarm_s=7.0,
        alarms=(AlarmKind.DISTRACTION, AlarmKind.LANE_DEPARTURE),
        seed=1,
    )
    taxi = VehicleConfig(
        ident=idents[2],
        host=server_host,
        port=port,
        name=DEMO_NAMES[2],
        layout=Layout.V2013,
        identity=Identity(model="WF-DASH-1", terminal_id="TAXI023", plate="M-TX 2300", plate_colour=2),
        cameras=(CameraConfig(1, _DASHCAM_MAIN, _SUB),),
        sound=Sound.AAC,
        city=City.MUNICH,
        road_seed=3,
        drives_off=True,
        report_s=5.0,
        alarm_every_s=60.0,
        first_alarm_s=9.0,
        alarms=(AlarmKind.TOO_CLOSE, AlarmKind.LANE_DEPARTURE),
        seed=2,
    )
    return [bus, van, taxi]


async def run_demo_fleet(
    server_host: str = "127.0.0.1",
    port: int = 8808,
    idents: Sequence[str] = DEMO_IDENTS,
    on_ready: Callable[[Fleet], Awaitable[None]] | None = None,
) -> None:
    """Drive the three demo vehicles until cancelled. `on_ready` is awaited once all are authenticated; it gets the
    fleet, and may go on as long as it likes. ExceptionGroup when a vehicle or `on_ready` fails."""
    fleet = Fleet(demo_configs(server_host, port, idents))

    async def announce() -> None:
        await fleet.all_online()
        if on_ready:
            await on_ready(fleet)

    async with asyncio.TaskGroup() as group:
        group.create_task(fleet.run())
        group.create_task(announce())
