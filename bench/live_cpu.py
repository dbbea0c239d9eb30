"""CPU of live streams from the device's socket to HLS, against one ffmpeg a stream and against nginx-rtmp.

Run: .venv/bin/python bench/live_cpu.py [--streams 100] [--many 400] [--ffmpegs 20] [--rounds 1] [--out FILE]
All three get the same 1 Mbit/s, 15 fps H.264 frames at the same pace: our server as JT/T 1078 from registered terminals
whose streams were started over REST, ffmpeg as MPEG-TS over TCP (`-c copy -f hls`), nginx-rtmp as RTMP. Our playlists
are polled so that streams stay alive; nobody polls the peers. Our segments are packaged when somebody asks for them,
so another run has a viewer of every stream who fetches each segment and pays for HTTP too, which the peers do not
have. The last run shows how many streams a core takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
from _bench import CpuMeter, Row, end, finish, house, median, options, pid_of, register, spawn
from _cameras import Pump, RtmpSource, TsSource, loop_kbit, recorders

from e2e.house import House

_SETTLE_S = 12.0
"""Until the first segments leave the playlist: memory and disk are then as they stay."""
_POLL_S = 20.0
_SEGMENT_S = 2.0
_AT_ONCE = 25


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in taken]


@contextlib.asynccontextmanager
async def pumping(pump: Pump) -> AsyncIterator[None]:
    """Frames flow while the block runs."""
    task = asyncio.create_task(pump.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def start_streams(server: House, devices: Sequence[int]) -> list[str]:
    """Start live video of devices over REST; the uuids of the streams."""
    body = [{"name": "start_videostream", "properties": {"channel": 1}, "timeout": 30}]
    found: list[str] = []
    for at in range(0, len(devices), _AT_ONCE):
        selector = ",".join(map(str, devices[at : at + _AT_ONCE]))
        results = await asyncio.to_thread(server.result, "POST", f"/gw/devices/{selector}/commands", body)
        for result in results:
            assert result["executed"], result
            found.append(result["response"]["uuid"])
    return found


@contextlib.asynccontextmanager
async def watched(server: House, uuids: Sequence[str], *, whole: bool = False) -> AsyncIterator[None]:
    """Playlists are fetched often enough that the streams go on, or for every segment, and it too (`whole`)."""
    period_s = _SEGMENT_S if whole else _POLL_S

    async def poll() -> None:
        async with httpx.AsyncClient(base_url=server.base, trust_env=False, timeout=30) as client:
            while True:
                for uuid in uuids:
                    playlist = (await client.get(f"/media/{uuid}")).raise_for_status().text
                    if whole:
                        (await client.get(f"/media/{playlist.split()[-1]}")).raise_for_status()
                    await asyncio.sleep(period_s / len(uuids))

    task = asyncio.create_task(poll())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled(), task.exception()


async def measured(pump: Pump, seconds: float, *pids: int) -> float:
    """Milliseconds of CPU a stream-second takes, from the frames that were really sent."""
    await asyncio.sleep(_SETTLE_S)
    sent, pump.latest_s, meter = pump.frames, 0.0, CpuMeter(*pids)
    await asyncio.sleep(seconds)
    used, _ = meter.read()
    print(f"  {pump.frames - sent} frames, the latest {pump.latest_s * 1000:.0f} ms late, {used:.2f} s CPU")
    return used * 1000 / ((pump.frames - sent) / 15)


async def ours(streams: int, seconds: float, *, whole: bool = False) -> float:
    """Our server."""
    print(f"wayframe, {streams} streams{', each with a viewer' if whole else ''}")
    idents = [f"0139{number:08d}" for number in range(streams)]
    with house() as server:
        devices = register(server, idents)
        pump = Pump()
        async with pumping(pump):
            await recorders(pump, server.ports["signalling"], idents)
            uuids = await start_streams(server, devices)
            async with watched(server, uuids, whole=whole):
                cost = await measured(pump, seconds, pid_of(server))
                await check(server, uuids)
    return cost


async def check(server: House, uuids: Sequence[str]) -> None:
    """Every stream still grows."""
    async with httpx.AsyncClient(base_url=server.base, trust_env=False, timeout=30) as client:
        for uuid in uuids:
            text = (await client.get(f"/media/{uuid}")).text
            assert "#EXT-X-ENDLIST" not in text and text.count("#EXTINF") >= 2, text
            assert "#EXT-X-DISCONTINUITY\n" not in text, text


async def ffmpegs(count: int, seconds: float) -> float:
    """One ffmpeg a stream."""
    print(f"ffmpeg, {count} processes")
    with tempfile.TemporaryDirectory(prefix="wayframe-bench-") as name:
        folder = Path(name)
        processes = []
        pump = Pump()
        try:
            ports = free_ports(count)
            for port in ports:
                source = f"tcp://127.0.0.1:{port}?listen=1"
                hls = ["-f", "hls", "-hls_time", "2", "-hls_list_size", "6", "-hls_flags", "delete_segments"]
                command = ["ffmpeg", "-loglevel", "error", "-f", "mpegts", "-i", source, "-c", "copy", *hls]
                processes.append(spawn([*command, f"{port}.m3u8"], folder))
            async with pumping(pump):
                for port in ports:
                    pump.add(TsSource(await dialled(port)))
                cost = await measured(pump, seconds, *(process.pid for process in processes))
            missing = [port for port in ports if not (folder / f"{port}.m3u8").is_file()]
            assert not missing, f"{len(missing)} ffmpegs wrote no playlist"
        finally:
            end(*processes)
    return cost


async def dialled(port: int) -> asyncio.StreamWriter:
    """A connection to a listener that may not be there yet."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            return (await asyncio.open_connection("127.0.0.1", port))[1]
        await asyncio.sleep(0.1)
    raise RuntimeError(f"nobody listens on port {port}")


async def nginx_rtmp(streams: int, seconds: float) -> float:
    """nginx-rtmp with one worker."""
    print(f"nginx-rtmp, {streams} streams")
    with tempfile.TemporaryDirectory(prefix="wayframe-bench-") as name:
        folder = Path(name)
        (port,) = free_ports(1)
        (folder / "hls").mkdir()
        (folder / "nginx.conf").write_text(
            "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;\n"
            f"daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn;\n"
            "events { worker_connections 4096; }\n"
            f"rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size 4096; application live {{ live on; hls on; "
            f"hls_path {folder}/hls; hls_fragment 2s; hls_playlist_length 12s; }} }} }}\n"
        )
        process = spawn(["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)], folder)
        pump = Pump()
        try:
            (await dialled(port)).close()
            async with pumping(pump):
                for number in range(streams):
                    pump.add(await RtmpSource.open(port, f"s{number}"))
                cost = await measured(pump, seconds, process.pid)
            written = len(list((folder / "hls").glob("*.m3u8")))
            assert written == streams, f"nginx-rtmp wrote {written} playlists: {(folder / 'error.log').read_text()}"
        finally:
            end(process)
    return cost


def main() -> None:
    """Run and print."""
    parser = options(__doc__)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--many", type=int, default=400, help="streams of the last run; 0 leaves it out")
    parser.add_argument("--ffmpegs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=1, help="of the first three runs; medians are shown")
    chosen = parser.parse_args()
    print(f"frames of {loop_kbit():.0f} kbit/s")
    rounds = []
    for _ in range(chosen.rounds):
        own = asyncio.run(ours(chosen.streams, chosen.seconds))
        rtmp = asyncio.run(nginx_rtmp(chosen.streams, chosen.seconds))
        rounds.append((own, rtmp, asyncio.run(ffmpegs(chosen.ffmpegs, chosen.seconds))))
    own, rtmp, ffmpeg = (median(figures) for figures in zip(*rounds, strict=True))
    rows = [
        Row("wayframe, CPU of a stream-second", own, "ms"),
        Row("ffmpeg -c copy -f hls", ffmpeg, "ms"),
        Row("nginx-rtmp", rtmp, "ms"),
        Row("wayframe / ffmpeg", median([one[0] / one[2] for one in rounds]), "×", 0.5),
        Row("wayframe / nginx-rtmp", median([one[0] / one[1] for one in rounds]), "×", 1.3),
    ]
    viewed = asyncio.run(ours(chosen.streams, chosen.seconds, whole=True))
    rows.append(Row("wayframe with a viewer of every segment", viewed, "ms"))
    if chosen.many:
        crowd = asyncio.run(ours(chosen.many, chosen.seconds))
        rows.append(Row(f"cores taken by {chosen.many} streams", crowd * chosen.many / 1000, "cores", 1.0))
        rows.append(Row("streams a core takes, at that cost", 1000 / crowd, "streams", 400, at_least=True))
    finish("live_cpu: 1 Mbit/s, 15 fps, socket to HLS", rows, chosen.out)


if __name__ == "__main__":
    main()
