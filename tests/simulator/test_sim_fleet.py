"""Fleets, the demo's vehicles, mass mode and the command line, over loopback sockets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator

import pytest
from sim_platform import Peer, Platform, Seen, Sink, address
from typer.testing import CliRunner

from wayframe.simulator import (
    DEMO_IDENTS,
    Edition,
    Fleet,
    Layout,
    MassConfig,
    MassFleet,
    SimulatedVehicle,
    VehicleConfig,
    demo_configs,
    run_demo_fleet,
)
from wayframe.simulator.cli import app
from wayframe.simulator.fleet import cameras, idents, variations
from wayframe.simulator.footage import Codec
from wayframe.simulator.wire1078 import parse_packets

anyio = pytest.mark.anyio


def test_idents_follow_each_other() -> None:
    assert idents("0099", 3) == ["0099", "0100", "0101"]


def test_a_fleet_differs_in_edition_road_and_papers() -> None:
    fleet = variations(VehicleConfig("1", name="Bus"), "13800000001", 4, Edition.MIXED)
    assert [config.layout for config in fleet] == [Layout.V2013, Layout.V2019] * 2
    assert len({(config.ident, config.identity.plate, config.identity.terminal_id) for config in fleet}) == 4
    assert [config.name for config in fleet] == ["Bus 1", "Bus 2", "Bus 3", "Bus 4"]
    assert len({config.city for config in fleet}) == 4
    codecs = [camera.main.codec for camera in cameras(3, hevc=1)]
    assert codecs == [Codec.H264, Codec.H264, Codec.H265]


@anyio
async def test_a_fleet_dials_in_and_stops() -> None:
    async with Platform() as platform:
        base = VehicleConfig("1", port=platform.port, report_s=0.1, cameras=())
        fleet = Fleet(variations(base, "13800000001", 5, Edition.MIXED), spread_s=0.1)
        running = asyncio.create_task(fleet.run())
        async with asyncio.timeout(10):
            await fleet.all_online()
        await platform.message(0x0200, 10)
        fleet.stop()
        await running
        assert fleet.totals().authenticated == 5
        assert len({seen.raw_number[-4:] for seen in platform.seen}) == 5


@anyio
async def test_the_demo_vehicles_go_online_and_raise_alarms_soon() -> None:
    bus, van, taxi = demo_configs()
    assert [config.ident for config in (bus, van, taxi)] == list(DEMO_IDENTS)
    assert [len(config.cameras) for config in (bus, van, taxi)] == [4, 2, 1]
    assert {config.layout for config in (bus, taxi)} == {Layout.V2013}
    assert van.layout is Layout.V2019
    assert {camera.main.codec for camera in van.cameras} == {Codec.H265}
    assert all(config.first_alarm_s < 10 for config in (bus, van, taxi))
    assert all(SimulatedVehicle(config).position().speed_kmh > 20 for config in (bus, van, taxi))
    async with Platform() as platform, Sink() as sink:
        ready = asyncio.Event()

        async def on_ready(fleet: Fleet) -> None:
            assert len(fleet.vehicles) == 3
            ready.set()

        running = asyncio.create_task(run_demo_fleet("127.0.0.1", platform.port, on_ready=on_ready))
        async with asyncio.timeout(10):
            await ready.wait()
        for peer in platform.peers:
            peer.send(0x9101, address(sink.port) + b"\1\0\1")
        await sink.wait(lambda: len(sink.data) == 3 and all(len(data) > 30_000 for data in sink.data))
        payloads = set()
        for data in sink.data:
            length = 10 if data[8:14] == bytes.fromhex("000000000138") else 6
            payloads.add(frozenset(packet.payload for packet in parse_packets(bytes(data), length)[0]))
        assert payloads == {frozenset({98, 6}), frozenset({99, 6}), frozenset({98, 19})}
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


@anyio
@pytest.mark.parametrize("edition", list(Edition))
async def test_mass_fleet_counts_what_was_sent_and_acknowledged(edition: Edition) -> None:
    async with Platform() as platform:
        config = MassConfig("127.0.0.1", platform.port, "13900000001", 40, edition, rate=500, connects_per_s=1000)
        fleet = MassFleet(config)
        running = asyncio.create_task(fleet.run())
        await platform.message(0x0200, 120)
        fleet.stop()
        await running
        summary = fleet.summary()
        assert (summary.online, summary.connects, summary.refused, summary.disconnects) == (40, 40, 0, 0)
        assert summary.sent == summary.acknowledged == len(platform.bodies(0x0200))
        assert summary.unanswered == 0
        assert 0 < summary.ack_ms_p50 <= summary.ack_ms_p99 <= summary.ack_ms_max
        assert len({seen.raw_number for seen in platform.seen}) == 40
        layouts = {len(seen.raw_number) for seen in platform.seen}
        assert layouts == {Edition.V2013: {6}, Edition.V2019: {10}, Edition.MIXED: {6, 10}}[edition]


@anyio
async def test_mass_fleet_counts_refusals_silence_and_lost_links() -> None:
    def silent(peer: Peer, seen: Seen) -> bool:
        return seen.id == 0x0200

    async with Platform() as platform:
        platform.on_frame = silent
        config = MassConfig("127.0.0.1", platform.port, "13900000001", 4, rate=200, connects_per_s=1000, settle_s=0.1)
        fleet = MassFleet(config)
        running = asyncio.create_task(fleet.run())
        await platform.message(0x0200, 20)
        platform.peers[0].writer.close()
        sent = len(platform.bodies(0x0200))
        await platform.message(0x0200, sent + 20)
        fleet.stop()
        await running
        summary = fleet.summary()
        assert summary.acknowledged == 0
        assert summary.unanswered == summary.sent >= 40
        assert summary.disconnects == 1

    async with Platform() as platform:
        platform.register_result = 4
        fleet = MassFleet(MassConfig("127.0.0.1", platform.port, "13900000001", 4, connects_per_s=1000))
        running = asyncio.create_task(fleet.run())
        await platform.message(0x0100, 4)
        fleet.stop()
        await running
        assert fleet.summary().sent == 0


@pytest.fixture
def served() -> Iterator[Platform]:
    """A platform on a loop of its own, for tests of the command line."""
    platform = Platform()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(platform.__aenter__(), loop).result(10)
    yield platform
    asyncio.run_coroutine_threadsafe(platform.__aexit__(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_the_command_line_drives_a_fleet(served: Platform) -> None:
    arguments = ["jt808", "--port", str(served.port), "--vehicles", "2", "--cameras", "1", "--edition", "mixed"]
    faults = ["--never-answer", "0x9101,0x8801", "--refuse", "0x8300=3", "--stall", "2:5", "--drop-media", "0.1"]
    result = CliRunner().invoke(app, [*arguments, *faults, "--report-s", "0.2", "--for", "1"])
    assert result.exit_code == 0, result.output
    totals = json.loads(result.stdout.splitlines()[-1])
    assert totals["authenticated"] == 2
    assert totals["reports"] >= 4


def test_the_command_line_drives_a_mass_fleet(served: Platform) -> None:
    arguments = ["mass", "--port", str(served.port), "--vehicles", "10", "--rate", "100", "--for", "1", "--quiet"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["connects"] == 10
    assert summary["sent"] == summary["acknowledged"] > 0
