"""Age of the newest frame when a low-latency part arrives at its viewer: 100 streams with one viewer each.

Run: .venv/bin/python bench/ll_hls_age.py [--streams 100] [--seconds 20] [--out FILE]
Every frame carries the time it was sent in an SEI message. A viewer asks for the announced next part (which the server
holds back until it exists), takes the newest time code in it when its last byte is there, then fetches the playlist
with `_HLS_msn` and `_HLS_part` to learn what comes next, as players do. Parts are 400 ms long; a picture is in a part
only once the next one has told its duration, so one frame distance (67 ms at 15 fps) is part of the age.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence

from _bench import CpuMeter, Row, finish, house, options, percentile, pid_of, register
from _cameras import FPS, Pump, recorders
from live_cpu import pumping, start_streams

from wayframe.simulator.timecode import UUID, read_sei

_SETTLE_S = 5.0
_HINT = re.compile(r'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="([^"]+)"')
_PLACE = re.compile(r"-l(\d+)\.(\d+)\.m4s$")


class Viewer:
    """A player on one kept-open HTTP connection."""

    def __init__(self, port: int, uuid: str) -> None:
        self._port, self._uuid = port, uuid
        self.ages: list[float] = []
        """Ages in ms since `counting`."""
        self.counting = False
        self.missed = 0
        """Parts that were announced and did not come."""

    async def run(self) -> None:
        """Watch until cancelled."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        path = f"/media/{self._uuid}/ll.m3u8"
        status, body = await self._get(path)
        while True:
            assert status == 200, (status, body)
            hint = _HINT.search(body.decode())
            assert hint is not None, body
            status, part = await self._get(f"/media/{self._uuid}/{hint[1]}")
            if status == 200 and self.counting:
                self.ages.append(time.time() * 1000 - newest(part))
            self.missed += status != 200
            place = _PLACE.search(hint[1])
            assert place is not None, hint
            status, body = await self._get(f"{path}?_HLS_msn={place[1]}&_HLS_part={place[2]}")

    async def _get(self, path: str) -> tuple[int, bytes]:
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = re.search(r"content-length: (\d+)", head)
        assert length is not None, head
        return int(head.split()[1]), await self._reader.readexactly(int(length[1]))


def newest(part: bytes) -> int:
    """The time code of the last picture in a part, Unix ms."""
    code = read_sei(part[part.rfind(UUID) :])
    assert code is not None
    return code


async def run(streams: int, seconds: float) -> tuple[Sequence[Viewer], Pump, float]:
    """All viewers after the run, the source of frames, and the server's share of a core."""
    idents = [f"0139{number:08d}" for number in range(streams)]
    with house() as server:
        devices = register(server, idents)
        pump = Pump()
        async with pumping(pump):
            await recorders(pump, server.ports["signalling"], idents)
            viewers = [Viewer(server.ports["http"], uuid) for uuid in await start_streams(server, devices)]
            tasks = [asyncio.create_task(viewer.run()) for viewer in viewers]
            await asyncio.sleep(_SETTLE_S)
            pump.latest_s, meter = 0.0, CpuMeter(pid_of(server))
            for viewer in viewers:
                viewer.counting = True
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
            used, wall = meter.read()
            for task in tasks:
                if task.done():
                    task.result()
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return viewers, pump, used / wall


def main() -> None:
    """Run and print."""
    parser = options(__doc__)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    chosen = parser.parse_args()
    viewers, pump, share = asyncio.run(run(chosen.streams, chosen.seconds))
    ages = [age for viewer in viewers for age in viewer.ages]
    expected = chosen.streams * chosen.seconds / 0.4
    rows = [
        Row("age of the newest frame at the part's arrival, median", percentile(ages, 0.5), "ms"),
        Row("90th percentile", percentile(ages, 0.9), "ms"),
        Row("99th percentile", percentile(ages, 0.99), "ms", 150),
        Row("highest", max(ages), "ms"),
        Row("parts received, of those that came into being", len(ages) / expected * 100, "%", 95, at_least=True),
        Row("announced parts that did not come", sum(viewer.missed for viewer in viewers), ""),
        Row("latest frame of the load itself", pump.latest_s * 1000, "ms"),
        Row("share of a core the server used", share, "cores"),
    ]
    finish(f"ll_hls_age: {chosen.streams} streams and viewers, {FPS} fps, parts of 400 ms", rows, chosen.out)


if __name__ == "__main__":
    main()
