"""A simulated vehicle against a tiny platform over loopback sockets."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest
from PIL import Image
from sim_platform import AttachmentServer, FtpServer, Peer, Platform, Seen, Sink, address

from wayframe.simulator import (
    AlarmKind,
    CameraConfig,
    Codec,
    Dialect,
    Faults,
    Layout,
    PlaybackAnswer,
    Render,
    SimulatedVehicle,
    Sound,
    Timestamps,
    VehicleConfig,
    VideoFormat,
)
from wayframe.simulator.timecode import read_sei, read_strip
from wayframe.simulator.wire808 import bcd_time
from wayframe.simulator.wire1078 import FrameKind, MediaPacket, Part, parse_packets

pytestmark = pytest.mark.anyio

ZONE = 8 * 3600
H264 = VideoFormat(Codec.H264, 480, 272, 15, 300, 15)
H265 = VideoFormat(Codec.H265, 480, 272, 15, 300, 15)
CAMERAS = (CameraConfig(1, H264, H264), CameraConfig(2, H265, H265))


@contextlib.asynccontextmanager
async def driving(platform: Platform, **changes: object) -> AsyncIterator[SimulatedVehicle]:
    """A vehicle that is online at the platform."""
    settings: dict[str, object] = {
        "ident": "13800000001",
        "port": platform.port,
        "report_s": 0.1,
        "reconnect_s": 0.05,
        "cameras": CAMERAS,
        "playback_pace": 0.0,
        "sound": Sound.NONE,
    }
    vehicle = SimulatedVehicle(VehicleConfig(**{**settings, **changes}))  # type: ignore[arg-type]  # mixed settings
    async with asyncio.TaskGroup() as group:
        group.create_task(vehicle.run())
        try:
            async with asyncio.timeout(10):
                await vehicle.online.wait()
            yield vehicle
        finally:
            vehicle.stop()


def packets(data: bytes | bytearray, number_length: int = 6) -> list[MediaPacket]:
    return parse_packets(bytes(data), number_length)[0]


def frames(found: list[MediaPacket]) -> list[bytes]:
    """Access units put together from the packets of video."""
    units: list[bytes] = []
    for packet in found:
        if packet.kind in (FrameKind.I, FrameKind.P):
            if packet.part in (Part.ATOMIC, Part.FIRST):
                units.append(b"")
            units[-1] += packet.body
    return units


def decode(units: list[bytes], codec: str) -> list[Image.Image]:
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    pictures = [picture for unit in units for picture in decoder.decode(av.Packet(unit))]
    return [picture.to_image() for picture in pictures + decoder.decode(None)]


# ---- session and reports


@pytest.mark.parametrize("layout", [Layout.V2013, Layout.V2019])
async def test_registers_authenticates_and_reports(layout: Layout) -> None:
    async with Platform() as platform, driving(platform, layout=layout) as vehicle:
        body = await platform.message(0x0200, 3)
        assert [seen.id for seen in platform.seen[:2]] == [0x0100, 0x0102]
        expected = bytes.fromhex("013800000001".rjust(layout.number_length * 2, "0"))
        assert {seen.raw_number for seen in platform.seen} == {expected}
        serials = [seen.serial for seen in platform.seen]
        assert serials == list(range(len(serials)))
        code = platform.bodies(0x0102)[0]
        assert code == b"the-code" if layout is Layout.V2013 else code.startswith(b"\x08the-code")
        assert abs(struct.unpack_from(">I", body, 8)[0] / 1e6 - vehicle.position().latitude) < 0.1
        assert {body[at] for at in (28, 34, 38)} == {1, 2, 3}
        assert (0x0004 in [seen.id for seen in platform.seen]) == (layout is Layout.V2019)
        assert vehicle.stats.acknowledged >= 2


async def test_reports_of_an_outage_come_as_a_blind_zone_batch_afterwards() -> None:
    async with Platform() as platform, driving(platform) as vehicle:
        await platform.message(0x0200, 2)
        # Nothing but silence from here on: reports stay unacknowledged until the link is gone.
        platform.on_frame = lambda peer, seen: seen.id == 0x0200
        already = len(platform.bodies(0x0200))
        await platform.message(0x0200, already + 3)
        platform.on_frame = lambda peer, seen: False
        platform.peers[-1].writer.close()
        batch = await platform.message(0x0704)
        count, kind = struct.unpack_from(">HB", batch)
        assert count >= 3
        assert kind == 1
        assert platform.bodies(0x0200)[already] in batch
        assert vehicle.stats.connects == 2
        assert [seen.id for seen in platform.seen].count(0x0100) == 1, "a known code is used again"


async def test_a_refused_code_leads_to_a_new_registration() -> None:
    def refuse_once(peer: Peer, seen: Seen) -> bool:
        if seen.id == 0x0102 and len(platform.peers) == 1:
            peer.acknowledge(seen, 1)
            return True
        return False

    async with Platform() as platform:
        platform.on_frame = refuse_once
        async with driving(platform):
            assert [seen.id for seen in platform.seen[:4]] == [0x0100, 0x0102, 0x0100, 0x0102]


async def test_duplicate_reports() -> None:
    async with Platform() as platform, driving(platform, faults=Faults(duplicate_reports=1.0)):
        await platform.message(0x0200, 4)
        first, second = platform.bodies(0x0200)[:2]
        assert first == second


# ---- commands


async def test_answers_queries() -> None:
    async with Platform() as platform, driving(platform, layout=Layout.V2013) as vehicle:
        everything = await platform.ask(0x8104, b"", 0x0104)
        assert everything[2] == len(vehicle.parameters)
        assert (await platform.ask(0x8103, bytes.fromhex("01000000290400000007")))[-1] == 0
        assert vehicle.report_s == 7
        one = await platform.ask(0x8106, bytes.fromhex("0100000029"), 0x0104)
        assert one[2:].hex() == "01000000290400000007"
        assert (await platform.ask(0x8107, b"", 0x0107))[7:17] == b"WF-SIM-4CH"
        assert (await platform.ask(0x9003, b"", 0x1003))[7] == 98
        assert len(await platform.ask(0x8201, b"", 0x0201)) > 30
        assert (await platform.ask(0x8300, b"\x04hello"))[-1] == 0
        assert list(vehicle.texts) == ["hello"]
        assert (await platform.ask(0x8204, b""))[-1] == 0
        assert (await platform.ask(0x8888, b""))[-1] == 3
        assert (await platform.ask(0x9101, b"\x20"))[-1] == 2
        assert (await platform.ask(0x8802, bytes.fromhex("000001") + bytes(12), 0x0802))[2:4] == b"\0\6"


async def test_a_command_in_parts_is_understood() -> None:
    async with Platform() as platform, driving(platform) as vehicle:
        body = bytes.fromhex("02000000290400000007000000010400000008")
        platform.peers[-1].send(0x8103, body[:9], (2, 1))
        platform.peers[-1].send(0x8103, body[9:], (2, 2))
        await platform.message(0x0001)
        assert (vehicle.report_s, vehicle.heartbeat_s) == (7, 8)


async def test_a_reset_ends_in_a_new_connection() -> None:
    async with Platform() as platform, driving(platform) as vehicle:
        assert (await platform.ask(0x8105, b"\x04"))[-1] == 0
        await platform.wait(lambda: len(platform.peers) == 2 and platform.messages[-1][0] == 0x0200)
        assert vehicle.stats.authenticated == 2


async def test_long_answers_come_in_parts_and_lost_parts_on_request() -> None:
    faults = Faults(drop_parts=0.5, interleaved_serials=True)
    async with Platform() as platform, driving(platform, faults=faults) as vehicle:
        serial = platform.peers[-1].send(0x9205, bytes(24))
        await platform.wait(lambda: any(seen.id == 0x1205 for seen in platform.seen))
        # A command behind the query is answered when all its parts are out.
        await platform.ask(0x8204, b"")
        found = {seen.index: seen for seen in platform.seen if seen.id == 0x1205}
        total = next(iter(found.values())).total
        missing = [index for index in range(1, total + 1) if index not in found]
        assert missing
        lowest = found[min(found)]
        request = struct.pack(">HB", lowest.serial - lowest.index + 1, len(missing))
        platform.peers[-1].send(0x8003, request + b"".join(struct.pack(">H", index) for index in missing))
        body = await platform.message(0x1205)
        assert struct.unpack_from(">HI", body) == (serial, (len(body) - 6) // 28)
        assert vehicle.stats.parts_resent == len(missing)


@pytest.mark.parametrize(
    ("faults", "result"),
    [(Faults(refuse={0x9101: 1}), 1), (Faults(refuse={0x9101: 3}), 3), (Faults(answer_delay_s=0.2), 0)],
)
async def test_refuses_or_answers_late(faults: Faults, result: int) -> None:
    async with Platform() as platform, Sink() as sink, driving(platform, faults=faults):
        assert (await platform.ask(0x9101, address(sink.port) + b"\1\1\1"))[-1] == result


async def test_never_answers() -> None:
    async with Platform() as platform, driving(platform, faults=Faults(never_answer=frozenset({0x8300}))):
        platform.peers[-1].send(0x8300, b"\x04hello")
        await platform.ask(0x8204, b"")
        assert [body[2:4].hex() for body in platform.bodies(0x0001)] == ["8204"]


# ---- photos


@pytest.mark.parametrize("picky", [False, True])
async def test_takes_a_photo(picky: bool) -> None:
    async with Platform() as platform, driving(platform, parts_wait_for_ack=picky) as vehicle:
        request = bytes.fromhex("02000100000002057f3f3f7f")
        answer = await platform.ask(0x8801, request, 0x0805)
        media_id = answer[5:]
        assert answer[2:5].hex() == "000001"
        body = await platform.message(0x0801)
        assert body[:8] == media_id + b"\0\0\0\2"
        picture = Image.open(io.BytesIO(body[36:]))
        assert picture.size == (640, 480)
        taken = read_strip(picture)
        assert taken is not None
        assert abs(taken / 1000 - time.time()) < 30
        platform.peers[-1].send(0x8800, media_id)
        await platform.wait(lambda: vehicle.stats.photos == 1)


async def test_lost_parts_of_a_photo_are_asked_for_with_the_media_answer() -> None:
    async with Platform() as platform, driving(platform, faults=Faults(drop_parts=0.3)) as vehicle:
        answer = await platform.ask(0x8801, bytes.fromhex("0100010000000205"), 0x0805)
        await platform.wait(lambda: any(seen.id == 0x0801 for seen in platform.seen))
        await platform.ask(0x8204, b"")
        parts = [seen for seen in platform.seen if seen.id == 0x0801]
        missing = sorted(set(range(1, parts[0].total + 1)) - {seen.index for seen in parts})
        assert missing
        listed = bytes([len(missing)]) + b"".join(struct.pack(">H", index) for index in missing)
        platform.peers[-1].send(0x8800, answer[5:] + listed)
        body = await platform.message(0x0801)
        assert Image.open(io.BytesIO(body[36:])).size == (640, 480)
        assert vehicle.stats.parts_resent == len(missing)


async def test_a_photo_whose_part_count_is_a_lie_stays_incomplete() -> None:
    async with Platform() as platform, driving(platform, faults=Faults(photo_parts_lie=2)):
        await platform.ask(0x8801, bytes.fromhex("0100010000000205"), 0x0805)
        await platform.wait(lambda: any(seen.id == 0x0801 and seen.index == seen.total - 2 for seen in platform.seen))
        await platform.ask(0x8204, b"")
        assert max(seen.index for seen in platform.seen if seen.id == 0x0801) == next(
            seen.total - 2 for seen in platform.seen if seen.id == 0x0801
        )


async def test_an_unknown_channel_has_no_photo_and_no_video() -> None:
    async with Platform() as platform, Sink() as sink, driving(platform):
        assert (await platform.ask(0x8801, bytes.fromhex("0900010000000205"), 0x0805))[2] == 2
        assert (await platform.ask(0x9101, address(sink.port) + b"\x09\1\1"))[-1] == 1
        none = await platform.ask(0x9201, address(sink.port) + b"\x09\0\0\0\0\0" + bytes(12), 0x1205)
        assert none[2:] == bytes(4)


async def test_stored_photos_are_uploaded_on_request() -> None:
    async with Platform() as platform, driving(platform) as vehicle:
        listed = await platform.ask(0x8802, bytes.fromhex("000101") + bytes(12), 0x0802)
        media_id = listed[4:8]
        assert (await platform.ask(0x8805, media_id + b"\1"))[-1] == 0
        assert (await platform.message(0x0801))[:4] == media_id
        platform.peers[-1].send(0x8800, media_id)
        await platform.wait(lambda: vehicle.stats.photos == 1)
        assert (await platform.ask(0x8802, bytes.fromhex("000101") + bytes(12), 0x0802))[2:4] == b"\0\5"


# ---- live video


@pytest.mark.parametrize("render", list(Render))
@pytest.mark.parametrize(("channel", "codec", "payload"), [(1, "h264", 98), (2, "hevc", 99)])
async def test_live_video_is_real_time_and_ends_on_command(
    render: Render, channel: int, codec: str, payload: int, tmp_path: Path
) -> None:
    async with Platform() as platform, Sink() as sink, driving(platform, render=render, cache=tmp_path) as vehicle:
        started = time.time()
        await platform.ask(0x9101, address(sink.port) + bytes([channel, 1, 1]))
        await sink.wait(lambda: bool(sink.data) and len(frames(packets(sink.data[0]))) > 30)
        assert (await platform.ask(0x9102, bytes([channel, 0, 0, 1])))[-1] == 0
        await sink.wait(lambda: sink.closed[0])
        found = packets(sink.data[0])
        assert {(packet.payload, packet.channel, packet.number.hex()) for packet in found} == {
            (payload, channel, "013800000001")
        }
        assert [packet.sequence for packet in found] == list(range(len(found)))
        assert all(len(packet.body) <= 950 for packet in found)
        assert all(packet.marker == (packet.part in (Part.ATOMIC, Part.LAST)) for packet in found)
        units = frames(found)
        stamps = list(dict.fromkeys(packet.timestamp_ms for packet in found))
        assert [read_sei(unit) for unit in units] == stamps
        pictures = decode(units, codec)
        assert len(pictures) == len(units)
        if render is Render.LIVE:
            assert [read_strip(picture) for picture in pictures] == stamps
        keys = [packet for packet in found if packet.kind is FrameKind.I]
        assert keys[0] is found[0]
        assert {packet.since_key_ms for packet in keys} == {0}
        assert started * 1000 - 100 < stamps[0] < stamps[-1] < time.time() * 1000 + 100
        # On the beat, but for a camera that could not keep up and was over two seconds late and skipped to the present.
        gaps = [after - before for before, after in itertools.pairwise(stamps)]
        assert all(gap in (66, 67) or gap > 2000 for gap in gaps), gaps
        assert all(abs(gap * 15 / 1000 - round(gap * 15 / 1000)) < 0.015 for gap in gaps), gaps
        assert vehicle.stats.live_streams == 1
        assert not vehicle.live


async def test_sound_goes_along_with_video() -> None:
    async with Platform() as platform, Sink() as sink:
        async with driving(platform, sound=Sound.G711A, faults=Faults(hisilicon_audio=True), layout=Layout.V2019):
            await platform.ask(0x9101, address(sink.port) + b"\1\0\1")
            await sink.wait(lambda: bool(sink.data) and len(frames(packets(sink.data[0], 10))) > 15)
            found = [packet for packet in packets(sink.data[0], 10) if packet.kind is FrameKind.AUDIO]
        assert {(packet.payload, len(packet.body), packet.body[:4].hex()) for packet in found} == {(6, 164, "00015000")}
        stamps = [packet.timestamp_ms for packet in found]
        assert stamps == list(range(stamps[0], stamps[0] + 20 * len(stamps), 20))


async def test_listening_sends_sound_alone() -> None:
    async with Platform() as platform, Sink() as sink, driving(platform, sound=Sound.AAC):
        await platform.ask(0x9101, address(sink.port) + b"\1\3\0")
        await sink.wait(lambda: bool(sink.data) and len(packets(sink.data[0])) > 5)
        found = packets(sink.data[0])
        assert {(packet.kind, packet.payload, packet.body[:2].hex()) for packet in found} == {
            (FrameKind.AUDIO, 19, "fff1")
        }


async def test_live_video_can_be_switched_paused_and_resumed() -> None:
    cameras = (CameraConfig(1, VideoFormat(Codec.H264, 640, 360, 15, 400, 15), H264),)
    async with Platform() as platform, Sink() as sink, driving(platform, cameras=cameras):
        await platform.ask(0x9101, address(sink.port) + b"\1\1\1")
        await sink.wait(lambda: bool(sink.data) and len(frames(packets(sink.data[0]))) > 5)
        await platform.ask(0x9102, bytes([1, 2, 0, 0]))
        await platform.ask(0x9102, bytes([1, 1, 0, 0]))
        await platform.ask(0x9102, bytes([1, 3, 0, 0]))
        before = len(frames(packets(sink.data[0])))
        await sink.wait(lambda: len(frames(packets(sink.data[0]))) > before + 10)
        sizes = [picture.size for picture in decode(frames(packets(sink.data[0])), "h264")]
        assert sizes[0] == (480, 272)
        assert sizes[-1] == (640, 360)


async def test_lost_packets_leave_gaps() -> None:
    async with Platform() as platform, Sink() as sink, driving(platform, faults=Faults(drop_media=0.3)):
        await platform.ask(0x9101, address(sink.port) + b"\1\1\1")
        await sink.wait(lambda: bool(sink.data) and len(packets(sink.data[0])) > 30)
        sequence = [packet.sequence for packet in packets(sink.data[0])]
        assert sequence[-1] > len(sequence)


async def test_a_vehicle_vanishes_in_the_middle() -> None:
    async with (
        Platform() as platform,
        Sink() as sink,
        driving(platform, faults=Faults(vanish_media_bytes=20_000)) as vehicle,
    ):
        await platform.ask(0x9101, address(sink.port) + b"\1\1\1")
        await sink.wait(lambda: bool(sink.closed) and sink.closed[0])
        assert len(sink.data[0]) <= 20_000
        assert (await platform.ask(0x8204, b""))[-1] == 0
        assert vehicle.stats.media_failures == 0


async def test_a_stalled_live_stream_goes_on_with_the_present() -> None:
    faults = Faults(stall_after_s=0.3, stall_s=2.5)
    async with Platform() as platform, Sink() as sink, driving(platform, faults=faults):
        await platform.ask(0x9101, address(sink.port) + b"\1\1\1")
        await sink.wait(lambda: bool(sink.data) and len(frames(packets(sink.data[0]))) > 15)
        found = packets(sink.data[0])
        jumps = [
            later for earlier, later in itertools.pairwise(found) if later.timestamp_ms - earlier.timestamp_ms > 1000
        ]
        assert [packet.kind for packet in jumps] == [FrameKind.I]


async def test_a_nervous_link_reconnects_again_and_again() -> None:
    async with Platform() as platform, driving(platform, faults=Faults(disconnect_every_s=0.2)):
        await platform.wait(lambda: len(platform.peers) >= 3)


@pytest.mark.parametrize("fault", [Timestamps.ZERO_BASED, Timestamps.FROZEN, Timestamps.JUMPING])
async def test_timestamps_go_wrong(fault: Timestamps) -> None:
    now = time.time()
    window = bcd_time(now - 60, ZONE) + bcd_time(now - 50, ZONE)
    async with Platform() as platform, Sink() as sink, driving(platform, faults=Faults(timestamps=fault)):
        await platform.ask(0x9201, address(sink.port) + b"\1\0\0\0\0\0" + window, 0x1205)
        await sink.wait(lambda: bool(sink.closed) and sink.closed[0])
        stamps = [packet.timestamp_ms for packet in packets(sink.data[0])]
        steps = [b - a for a, b in itertools.pairwise(stamps)]
        if fault is Timestamps.ZERO_BASED:
            assert stamps[0] == 0
            assert 9_000 < stamps[-1] < 13_000
        elif fault is Timestamps.FROZEN:
            assert len(set(stamps)) == 1
        else:
            assert min(steps) < 0
            assert max(steps) > 5000


async def test_a_server_that_is_not_there_is_no_reason_to_stop() -> None:
    async with Platform() as platform, driving(platform) as vehicle:
        async with Sink() as sink:
            port = sink.port
        await platform.ask(0x9101, address(port) + b"\1\1\1")
        await platform.ask(0x8204, b"")
        await platform.message(0x0200, len(platform.bodies(0x0200)) + 3)
        assert vehicle.stats.media_failures == 1


# ---- playback


@pytest.mark.parametrize("render", list(Render))
async def test_playback_shows_the_asked_time_and_closes(render: Render, tmp_path: Path) -> None:
    begin = int(time.time()) - 3000
    window = bcd_time(begin, ZONE) + bcd_time(begin + 10, ZONE)
    async with (
        Platform() as platform,
        Sink() as sink,
        driving(platform, render=render, cache=tmp_path, sound=Sound.G711A),
    ):
        answer = await platform.ask(0x9201, address(sink.port) + b"\1\0\0\0\0\0" + window, 0x1205)
        assert struct.unpack_from(">I", answer, 2)[0] in (1, 2)
        await sink.wait(lambda: bool(sink.closed) and sink.closed[0])
        found = packets(sink.data[0])
        units = frames(found)
        times = [read_sei(unit) for unit in units]
        assert (begin - 1) * 1000 <= (times[0] or 0) <= begin * 1000
        assert (times[-1] or 0) == (begin + 10) * 1000 - 67
        assert len(decode(units, "h264")) == len(units)
        sound = [packet.timestamp_ms for packet in found if packet.kind is FrameKind.AUDIO]
        assert sound == list(range(sound[0], sound[0] + 20 * len(sound), 20))


@pytest.mark.parametrize(
    ("answer", "ids"),
    [(PlaybackAnswer.LIST, {0x1205}), (PlaybackAnswer.GENERAL, {0x0001}), (PlaybackAnswer.BOTH, {0x0001, 0x1205})],
)
async def test_playback_is_answered_as_terminals_differ(answer: PlaybackAnswer, ids: set[int]) -> None:
    begin = time.time() - 3000
    window = bcd_time(begin, ZONE) + bcd_time(begin + 3, ZONE)
    async with Platform() as platform, Sink() as sink, driving(platform, playback_answer=answer):
        platform.peers[-1].send(0x9201, address(sink.port) + b"\1\0\0\0\0\0" + window)
        await sink.wait(lambda: bool(sink.closed) and sink.closed[0])
        await platform.wait(lambda: ids <= {seen.id for seen in platform.seen})
        assert {seen.id for seen in platform.seen} & {0x0001, 0x1205} == ids


async def test_playback_can_be_sought_and_stopped() -> None:
    begin = int(time.time()) - 3000
    window = bcd_time(begin, ZONE) + bcd_time(begin + 1000, ZONE)
    async with Platform() as platform, Sink() as sink, driving(platform, playback_pace=1.0):
        await platform.ask(0x9201, address(sink.port) + b"\1\0\0\0\0\0" + window, 0x1205)
        await sink.wait(lambda: bool(sink.data) and len(frames(packets(sink.data[0]))) > 3)
        await platform.ask(0x9202, b"\1\5\0" + bcd_time(begin + 500, ZONE))
        await sink.wait(lambda: packets(sink.data[0])[-1].timestamp_ms >= (begin + 500) * 1000)
        assert (await platform.ask(0x9202, b"\1\2\0" + bytes(6)))[-1] == 0
        await sink.wait(lambda: sink.closed[0])
        assert (await platform.ask(0x9202, b"\1\2\0" + bytes(6)))[-1] == 1


@pytest.mark.parametrize(("mode", "order"), [(3, 1), (2, -1)])
async def test_playback_of_key_frames_forwards_and_backwards(mode: int, order: int) -> None:
    begin = int(time.time()) - 3000
    window = bcd_time(begin, ZONE) + bcd_time(begin + 5, ZONE)
    async with Platform() as platform, Sink() as sink, driving(platform):
        await platform.ask(0x9201, address(sink.port) + bytes([1, 0, 0, 0, mode, 1]) + window, 0x1205)
        await sink.wait(lambda: bool(sink.closed) and sink.closed[0])
        found = packets(sink.data[0])
        stamps = list(dict.fromkeys(packet.timestamp_ms for packet in found))
        assert {packet.kind for packet in found} == {FrameKind.I}
        assert len(stamps) >= 4
        assert stamps == sorted(stamps)[::order]


# ---- FTP


def ftp_body(port: int, begin: int, end: int) -> bytes:
    head = b"\x09127.0.0.1" + struct.pack(">H", port) + b"\x01u\x01p\x03/ab"
    return head + b"\1" + bcd_time(begin, ZONE) + bcd_time(end, ZONE) + bytes(8) + b"\0\1\1\7"


async def test_recordings_are_uploaded_by_ftp() -> None:
    begin = int(time.time()) - 3000
    async with Platform() as platform, FtpServer() as server, driving(platform) as vehicle:
        assert (await platform.ask(0x9206, ftp_body(server.port, begin, begin + 63)))[-1] == 0
        outcome = await platform.message(0x1206)
        assert outcome[-1] == 0
        assert server.logins == ["u", "p", "u", "p"]
        assert vehicle.stats.ftp_files == len(server.files) == 2
        assert all(name.startswith("/ab/CH1_") for name in server.files)
        lengths = []
        for data in server.files.values():
            with av.open(io.BytesIO(data)) as container:
                lengths.append(container.duration)
                picture = next(iter(container.decode(video=0))).to_image()
                assert begin - 1 <= (read_strip(picture) or 0) / 1000 <= begin + 61
        assert lengths == [60_000_000, 3_000_000]


async def test_an_ftp_upload_that_fails_is_reported() -> None:
    begin = int(time.time()) - 3000
    async with Platform() as platform, driving(platform):
        async with FtpServer() as server:
            port = server.port
        assert (await platform.ask(0x9206, ftp_body(port, begin, begin + 3)))[-1] == 0
        assert (await platform.message(0x1206))[-1] == 1
        assert (await platform.ask(0x9207, bytes.fromhex("000002")))[-1] == 1


# ---- alarms


async def raise_and_collect(
    platform: Platform, server: AttachmentServer, vehicle: SimulatedVehicle, kind: AlarmKind, length: int
) -> bytes:
    """Raise an alarm, ask for its files as a platform does, wait for all of them; returns the alarm's report."""
    identifier = vehicle.raise_alarm(kind)
    await platform.wait(lambda: any(identifier in body for body in platform.bodies(0x0200)))
    body = next(body for body in platform.bodies(0x0200) if identifier in body)
    assert len(identifier) == length
    number = b"0123456789abcdef0123456789abcdef"
    request = address(server.port) + identifier + number + bytes(16)
    await platform.ask(0x9208, request)
    await server.wait(lambda: len(server.complete) == 5)
    assert identifier + number in server.lists[0]
    return body


@pytest.mark.parametrize(
    ("kind", "dialect", "layout"),
    [
        (AlarmKind.FORWARD_COLLISION, Dialect.JIANGSU, Layout.V2013),
        (AlarmKind.PHONE, Dialect.JIANGSU, Layout.V2019),
        (AlarmKind.FATIGUE, Dialect.GUANGDONG, Layout.V2019),
    ],
)
async def test_an_alarm_delivers_its_files(kind: AlarmKind, dialect: Dialect, layout: Layout) -> None:
    async with Platform() as platform, AttachmentServer() as server:
        async with driving(platform, dialect=dialect, layout=layout) as vehicle:
            body = await raise_and_collect(platform, server, vehicle, kind, dialect.length)
            assert bytes([kind.item_id, 31 + dialect.length]) in body
            await platform.wait(lambda: vehicle.stats.files_uploaded == 5)
        assert [name.split("_")[0] for name in server.files] == ["00", "00", "00", "04", "02"]
        pictures = [Image.open(io.BytesIO(data)) for name, data in server.files.items() if name.endswith("jpg")]
        times = [read_strip(picture) for picture in pictures]
        assert times[1] is not None
        assert [(moment or 0) - times[1] for moment in times] == [-1000, 0, 1000]
        (state,) = (data for name, data in server.files.items() if name.endswith("bin"))
        assert len(state) == 100 * 64
        assert all(sum(state[at : at + 63]) & 0xFF == state[at + 63] for at in range(0, len(state), 64))
        (clip,) = (data for name, data in server.files.items() if name.endswith("mp4"))
        with av.open(io.BytesIO(bytes(clip))) as container:
            assert sum(1 for _ in container.decode(video=0)) == 90


async def test_lost_blocks_are_sent_again() -> None:
    async with Platform() as platform, AttachmentServer() as server:
        faults = Faults(drop_parts=0.4)
        async with driving(platform, faults=faults, attachment_block=4096, attachment_video="h264") as vehicle:
            await raise_and_collect(platform, server, vehicle, AlarmKind.SMOKING, 16)
            assert server.resends > 0
            assert vehicle.stats.blocks_resent > 0
        (clip,) = (data for name, data in server.files.items() if name.endswith("h264"))
        assert clip.startswith(b"\0\0\0\1")


async def test_a_broken_upload_goes_on_as_a_supplement() -> None:
    async with Platform() as platform, AttachmentServer() as server:
        faults = Faults(vanish_attachment_bytes=60_000)
        async with driving(platform, faults=faults, attachment_block=4096) as vehicle:
            await raise_and_collect(platform, server, vehicle, AlarmKind.PEDESTRIAN, 16)
        first, second = server.lists
        assert (first[7 + 16 + 32], second[7 + 16 + 32]) == (0, 1)
        assert second[7 + 16 + 33] < first[7 + 16 + 33] == 5


async def test_sizes_can_be_a_lie() -> None:
    faults = Faults(attachment_size_lie=100)
    async with Platform() as platform, AttachmentServer() as server, driving(platform, faults=faults) as vehicle:
        identifier = vehicle.raise_alarm(AlarmKind.TOO_CLOSE)
        await platform.ask(0x9208, address(server.port) + identifier + b"n" * 32 + bytes(16))
        await server.wait(lambda: server.resends >= 5)
        assert not server.complete


async def test_attachments_of_an_unknown_alarm_are_refused() -> None:
    async with Platform() as platform, driving(platform):
        assert (await platform.ask(0x9208, address(1) + bytes(16) + bytes(32) + bytes(16)))[-1] == 1


async def test_alarms_come_by_themselves() -> None:
    async with Platform() as platform, driving(platform, alarm_every_s=0.1, first_alarm_s=0.0) as vehicle:
        await platform.wait(lambda: vehicle.stats.alarms >= 3)
        kinds = [body[body.index(b"\x31\x01") + 3] for body in platform.bodies(0x0200) if len(body) > 80]
        assert {0x64, 0x65} >= set(kinds)
