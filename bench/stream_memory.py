"""Memory of a live stream against the bytes of its window.

Run: .venv/bin/python bench/stream_memory.py [--streams 100] [--out FILE]
Ten streams warm the server up, then the others are started; once their playlists are full, the growth of the server's
resident memory is divided by their number and compared with the bytes of the segments a playlist lists. The open
segment, the cached group of pictures for viewers that join, and all state of a device and its two connections are in
the growth and not in the window.
"""

from __future__ import annotations

import asyncio

import httpx
from _bench import Row, finish, house, options, pid_of, register, rss
from _cameras import Pump, recorders
from live_cpu import pumping, start_streams, watched

_FIRST = 10
_FULL_S = 18.0
"""Six segments of two seconds, and some."""


async def window_bytes(client: httpx.AsyncClient, uuid: str) -> int:
    """Bytes of the segments that a playlist lists."""
    lines = (await client.get(f"/media/{uuid}")).text.splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    return sum([len((await client.get(f"/media/{name}")).content) for name in names])


async def run(streams: int) -> tuple[float, float]:
    """Bytes of memory and of the window of a stream."""
    idents = [f"0139{number:08d}" for number in range(_FIRST + streams)]
    with house() as server:
        devices = register(server, idents)
        pump = Pump()
        async with pumping(pump):
            await recorders(pump, server.ports["signalling"], idents)
            first = await start_streams(server, devices[:_FIRST])
            async with watched(server, first):
                await asyncio.sleep(_FULL_S)
                before = rss(pid_of(server))
                others = await start_streams(server, devices[_FIRST:])
                async with watched(server, others):
                    await asyncio.sleep(_FULL_S)
                    grown = rss(pid_of(server)) - before
                    async with httpx.AsyncClient(base_url=server.base, trust_env=False, timeout=30) as client:
                        windows = [await window_bytes(client, uuid) for uuid in others[::10]]
    return grown / streams, sum(windows) / len(windows)


def main() -> None:
    """Run and print."""
    parser = options(__doc__)
    parser.add_argument("--streams", type=int, default=100)
    chosen = parser.parse_args()
    memory, window = asyncio.run(run(chosen.streams))
    rows = [
        Row("memory of a stream", memory / 1e6, "MB"),
        Row("bytes of the segments its playlist lists", window / 1e6, "MB"),
        Row("memory / window", memory / window, "×", 1.3),
    ]
    finish(f"stream_memory: {chosen.streams} streams", rows, chosen.out)


if __name__ == "__main__":
    main()
