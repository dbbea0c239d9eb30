"""`wayframe simulate`: simulated vehicles from the command line."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib.util
import json
import logging
import signal
from collections.abc import Coroutine
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from .config import Faults, PlaybackAnswer, Timestamps, VehicleConfig
from .fleet import Edition, Fleet, cameras, variations
from .footage import Render
from .mass import MassConfig, MassFleet
from .sound import Sound
from .wire_attachment import Dialect

app = typer.Typer(no_args_is_help=True, help="Simulated vehicles that speak real protocols over real sockets.")

_Server = Annotated[str, typer.Option(help="Host of the signalling server.")]
_Port = Annotated[int, typer.Option(help="Port of the signalling server.")]
_Ident = Annotated[str, typer.Option(help="Ident of the first vehicle; the others follow it.")]
_For = Annotated[float, typer.Option("--for", help="Seconds to run; 0 until interrupted.")]


def _codes(text: str) -> list[int]:
    return [int(part, 0) for part in text.replace(",", " ").split()]


def _refusals(text: str) -> dict[int, int]:
    pairs = (part.partition("=") for part in text.replace(",", " ").split())
    return {int(message, 0): int(result or "1") for message, _, result in pairs}


@app.command()
def jt808(
    server: _Server = "127.0.0.1",
    port: _Port = 8808,
    vehicles: Annotated[int, typer.Option(help="How many.")] = 1,
    camera_count: Annotated[int, typer.Option("--cameras", help="Cameras of each vehicle.")] = 4,
    hevc: Annotated[int, typer.Option(help="How many of the cameras encode H.265, counted from the last.")] = 0,
    ident: _Ident = "13800000001",
    edition: Annotated[Edition, typer.Option(help="JT/T 808 edition.")] = Edition.V2013,
    render: Annotated[Render, typer.Option(help="Draw video for each stream, or share encoded loops.")] = Render.LIVE,
    sound: Annotated[Sound, typer.Option(help="Codec of the microphone.")] = Sound.G711A,
    report_s: Annotated[float, typer.Option(help="Seconds between location reports.")] = 10.0,
    alarm_every_s: Annotated[float, typer.Option(help="Seconds between alarms with attachments; 0 none.")] = 0.0,
    dialect: Annotated[str, typer.Option(help="Alarm identifiers: jiangsu (16 bytes), guangdong (40).")] = "jiangsu",
    attachment_video: Annotated[str, typer.Option(help="Clip of an alarm: mp4 or h264.")] = "mp4",
    playback_pace: Annotated[float, typer.Option(help="Speed of playback; 0 as fast as the link goes.")] = 4.0,
    playback_answer: Annotated[PlaybackAnswer, typer.Option(help="Answer to 0x9201.")] = PlaybackAnswer.LIST,
    spread_s: Annotated[float, typer.Option(help="Seconds over which the vehicles dial in.")] = 0.0,
    seconds: _For = 0.0,
    drop_media: Annotated[float, typer.Option(help="Fault: share of media packets lost.")] = 0.0,
    drop_parts: Annotated[float, typer.Option(help="Fault: share of message parts and file blocks lost.")] = 0.0,
    stall: Annotated[str, typer.Option(help="Fault: AFTER:SECONDS stall of each media stream.")] = "",
    disconnect_every_s: Annotated[float, typer.Option(help="Fault: drop the link this often.")] = 0.0,
    attachment_size_lie: Annotated[int, typer.Option(help="Fault: added to announced file sizes.")] = 0,
    photo_parts_lie: Annotated[int, typer.Option(help="Fault: added to the part count of photos.")] = 0,
    vanish_media_bytes: Annotated[int, typer.Option(help="Fault: break media links off after this.")] = 0,
    vanish_attachment_bytes: Annotated[int, typer.Option(help="Fault: break attachment links off after this.")] = 0,
    answer_delay_s: Annotated[float, typer.Option(help="Fault: handle commands late.")] = 0.0,
    never_answer: Annotated[str, typer.Option(help="Fault: message ids ignored, e.g. 0x9101,0x8801.")] = "",
    refuse: Annotated[str, typer.Option(help="Fault: ID=RESULT pairs refused, e.g. 0x9101=1.")] = "",
    duplicate_reports: Annotated[float, typer.Option(help="Fault: share of reports sent twice.")] = 0.0,
    timestamps: Annotated[Timestamps, typer.Option(help="Fault: media timestamps.")] = Timestamps.TRUE,
    hisilicon_audio: Annotated[bool, typer.Option(help="Fault: chip head before G.711.")] = False,
    interleaved_serials: Annotated[bool, typer.Option(help="Fault: heartbeats between parts.")] = False,
) -> None:
    """Recorders with cameras: JT/T 808 signalling, JT/T 1078 video, T/JSATL 12 alarms with attachments."""
    if importlib.util.find_spec("av") is None:
        raise typer.BadParameter("video needs PyAV: install wayframe[media]")
    stall_after, _, stall_s = stall.partition(":")
    faults = Faults(
        drop_media=drop_media,
        drop_parts=drop_parts,
        stall_after_s=float(stall_after or 0),
        stall_s=float(stall_s or 0),
        disconnect_every_s=disconnect_every_s,
        attachment_size_lie=attachment_size_lie,
        photo_parts_lie=photo_parts_lie,
        vanish_media_bytes=vanish_media_bytes,
        vanish_attachment_bytes=vanish_attachment_bytes,
        answer_delay_s=answer_delay_s,
        never_answer=frozenset(_codes(never_answer)),
        refuse=_refusals(refuse),
        duplicate_reports=duplicate_reports,
        timestamps=timestamps,
        hisilicon_audio=hisilicon_audio,
        interleaved_serials=interleaved_serials,
    )
    base = VehicleConfig(
        ident=ident,
        host=server,
        port=port,
        cameras=cameras(camera_count, hevc),
        sound=sound,
        render=render,
        report_s=report_s,
        alarm_every_s=alarm_every_s,
        dialect=Dialect[dialect.upper()],
        attachment_video=attachment_video,
        playback_pace=playback_pace,
        playback_answer=playback_answer,
        faults=faults,
    )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(_drive(Fleet(variations(base, ident, vehicles, edition), spread_s=spread_s), seconds))


async def _drive(fleet: Fleet, seconds: float) -> None:
    await _until(fleet.run(), fleet, seconds)
    typer.echo(json.dumps(dataclasses.asdict(fleet.totals())))


@app.command()
def mass(
    server: _Server = "127.0.0.1",
    port: _Port = 8808,
    vehicles: Annotated[int, typer.Option(help="How many.")] = 1000,
    ident: _Ident = "13900000001",
    edition: Annotated[Edition, typer.Option(help="JT/T 808 edition.")] = Edition.V2013,
    rate: Annotated[float, typer.Option(help="Reports a second of the whole fleet.")] = 100.0,
    connects_per_s: Annotated[float, typer.Option(help="Connections opened a second.")] = 500.0,
    seconds: _For = 0.0,
    settle_s: Annotated[float, typer.Option(help="Longest wait for outstanding answers at the end.")] = 5.0,
    quiet: Annotated[bool, typer.Option(help="Print nothing but the JSON at the end.")] = False,
) -> None:
    """Thousands of vehicles that only report positions; prints counts and answer times as JSON at the end."""
    config = MassConfig(server, port, ident, vehicles, edition, rate, connects_per_s, settle_s)
    asyncio.run(_drive_mass(MassFleet(config), seconds, quiet))


async def _drive_mass(fleet: MassFleet, seconds: float, quiet: bool) -> None:
    showing = None if quiet else asyncio.ensure_future(_show(fleet))
    try:
        await _until(fleet.run(), fleet, seconds)
    finally:
        if showing:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)
    typer.echo(json.dumps(dataclasses.asdict(fleet.summary())))


async def _show(fleet: MassFleet) -> None:
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        while True:
            table = Table("online", "sent", "acknowledged", "p50 ms", "p99 ms", "lost links")
            now = fleet.summary()
            counts = (now.online, now.sent, now.acknowledged, now.ack_ms_p50, now.ack_ms_p99, now.disconnects)
            table.add_row(*(f"{value:g}" for value in counts))
            live.update(table, refresh=True)
            await asyncio.sleep(1)


async def _until(job: Coroutine[Any, Any, None], fleet: Fleet | MassFleet, seconds: float) -> None:
    """Run a fleet until its time is over or the user interrupts."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers in the loop
            loop.add_signal_handler(number, fleet.stop)
    timer = loop.call_later(seconds, fleet.stop) if seconds > 0 else None
    try:
        await job
    finally:
        if timer:
            timer.cancel()


if __name__ == "__main__":
    app()
