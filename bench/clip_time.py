"""How long after the device has finished, or the clock has reached its end, a 10 s clip by request_video is there.

Run: .venv/bin/python bench/clip_time.py [--rounds 3] [--out FILE]
A simulated recorder plays back as fast as it can, at four times real time, and in real time up to the present for a
clip whose end lies five seconds ahead. The delay counts from the device's last frame, or from the clip's end where that
is later, until the command's result has come over REST with the file stored and playable.
"""

from __future__ import annotations

import asyncio
import time

from _bench import Row, finish, house, options, register

from e2e.house import House, driving
from wayframe.simulator import CameraConfig, Codec, Render, SimulatedVehicle, VehicleConfig, VideoFormat

_DURATION = 10
_FORMAT = VideoFormat(Codec.H264, 1280, 720, 15, 1250, 30)
_CASES = {"as fast as the link goes": (0.0, 60), "at four times real time": (4.0, 60), "ending 5 s ahead": (1.0, 5)}
"""Case → pace of the playback, seconds that the clip begins in the past."""


async def last_frame(vehicle: SimulatedVehicle) -> float:
    """Sample the vehicle until cancelled; the task's `seen` is the time of its last frame."""
    frames = vehicle.stats.frames
    while True:
        await asyncio.sleep(0.005)
        if vehicle.stats.frames != frames:
            frames = vehicle.stats.frames
            _SEEN[vehicle] = time.time()


_SEEN: dict[SimulatedVehicle, float] = {}


async def one(server: House, device: int, ident: str, pace: float, ago: int) -> tuple[float, float]:
    """Seconds from the end to the result, and of the whole command."""
    config = VehicleConfig(
        ident=ident,
        port=server.ports["signalling"],
        cameras=(CameraConfig(1, _FORMAT, _FORMAT),),
        render=Render.LOOP,
        playback_pace=pace,
        drives_off=True,
    )
    async with driving(config) as (vehicle,):
        await asyncio.to_thread(server.until, lambda: server.connected(device), "the vehicle connects")
        begin = int(time.time()) - ago
        body = {"channel": 1, "from": begin, "duration": _DURATION}
        command = [{"name": "request_video", "properties": body, "timeout": 60}]
        watching = asyncio.create_task(last_frame(vehicle))
        asked = time.time()
        results = await asyncio.to_thread(server.result, "POST", f"/gw/devices/{device}/commands", command)
        done = time.time()
        watching.cancel()
    (result,) = results
    assert result["executed"], result
    assert abs(result["response"]["meta"]["duration"] - _DURATION) < 0.5, result
    return done - max(_SEEN[vehicle], min(done, begin + _DURATION)), done - asked


def main() -> None:
    """Run and print."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    rows = []
    with house() as server:
        for number, (case, (pace, ago)) in enumerate(_CASES.items()):
            ident = f"01390000000{number}"
            (device,) = register(server, [ident])
            runs = [asyncio.run(one(server, device, ident, pace, ago)) for _ in range(chosen.rounds)]
            rows.append(Row(f"{case}: longest delay", max(delay for delay, _ in runs), "s", 2))
            rows.append(Row(f"{case}: longest whole command", max(whole for _, whole in runs), "s"))
    finish(f"clip_time: {_DURATION} s of H.264", rows, chosen.out)


if __name__ == "__main__":
    main()
