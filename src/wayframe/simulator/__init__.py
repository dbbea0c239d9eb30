"""Simulated dashcams and recorders that speak JT/T 808, JT/T 1078 and T/JSATL 12 over real sockets.

In goes a `VehicleConfig` (or a fleet of them) and the address of a server; out come connections as a real vehicle opens
them, with rendered video. The wire codecs here are written from the standards a second time and import nothing of the
server, so that an error cannot hide on both sides."""

from .bodies808 import Identity
from .config import CameraConfig, Faults, PlaybackAnswer, Timestamps, VehicleConfig, VehicleStats
from .demo import DEMO_IDENTS, DEMO_NAMES, demo_configs, run_demo_fleet
from .fleet import Edition, Fleet
from .footage import Codec, Render, VideoFormat
from .mass import MassConfig, MassFleet, MassSummary
from .road import City
from .sound import Sound
from .vehicle import SimulatedVehicle
from .wire808 import Layout
from .wire_attachment import AlarmKind, Dialect

__all__ = [
    "DEMO_IDENTS",
    "DEMO_NAMES",
    "AlarmKind",
    "CameraConfig",
    "City",
    "Codec",
    "Dialect",
    "Edition",
    "Faults",
    "Fleet",
    "Identity",
    "Layout",
    "MassConfig",
    "MassFleet",
    "MassSummary",
    "PlaybackAnswer",
    "Render",
    "SimulatedVehicle",
    "Sound",
    "Timestamps",
    "VehicleConfig",
    "VehicleStats",
    "VideoFormat",
    "demo_configs",
    "run_demo_fleet",
]
