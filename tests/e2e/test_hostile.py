"""Full stores, full disks, bad peers on every port and bad callers: a reason for them, service for all others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from wayframe.simulator import CameraConfig
from wayframe.simulator.wire808 import Layout, Msg, number_bcd, padded
from wayframe.simulator.wire1078 import FrameKind, MediaPacketizer, Payload
from wayframe.simulator.wire_attachment import Dialect, FileKind, attachment_list, file_blocks, file_mark

from .house import House, driving
from .terminal import Terminal, unescaped_garbage
from .test_crash import assert_whole, half_an_upload, photo, rows, temporary, upload
from .test_main_road import SMALL, command, online, recorder

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CAMERAS = (CameraConfig(1, SMALL, SMALL),)
_GROWTH = 96 << 20
"""Bytes of memory the server may take while it is attacked."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server that all of them attack."""
    opened = House(tmp_path_factory.mktemp("hostile"), device_idle_s=5, max_upload_bytes=4 << 20).start()
    yield opened
    opened.close()


def memory(house: House) -> int:
    """Resident bytes of the server's own process."""
    assert house.process is not None
    text = Path(f"/proc/{house.process.pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


@contextlib.asynccontextmanager
async def served_meanwhile(house: House, ident: str) -> AsyncIterator[None]:
    """While the block attacks, another vehicle reports and is answered; afterwards the server is as it was."""
    device = house.add_device(ident)
    before = memory(house)
    async with driving(recorder(house, ident, cameras=CAMERAS, report_s=0.3)) as vehicles:
        await online(house, device)
        yield
        mark = vehicles[0].stats.acknowledged
        await asyncio.to_thread(house.until, lambda: vehicles[0].stats.acknowledged > mark, "reports are acknowledged")
        answer = await command(house, device, "take_photo", channel=1)
        assert answer["executed"] is True, answer
        assert vehicles[0].stats.connects == 1
    assert house.client.get("/healthz").status_code == 200
    assert house.client.get("/readyz").status_code == 200
    assert memory(house) - before < _GROWTH
    assert house.logged("part_failed") + house.logged("background_task_failed") == []


# --- limits of the store --------------------------------------------------------------------------------------------


def reason(answer: httpx.Response) -> str:
    return str(answer.json()["errors"][0]["reason"])


async def test_rotation_takes_the_oldest_and_spares_the_protected(house: House) -> None:
    data = random.Random(1).randbytes(400_000)
    device = house.add_device("13950000001", media_rotate=len(data) * 3 + 1000)
    uuids = [upload(house, device, data, f"{n}.jpg").json()["result"][0]["uuid"] for n in range(3)]
    house.result("PUT", f"/gw/devices/{device}/media", {"uuid": uuids[0], "protected": True})
    uuids.append(upload(house, device, data, "3.jpg").json()["result"][0]["uuid"])
    left = [file["uuid"] for file in house.result("GET", f"/gw/devices/{device}/media")]
    assert sorted(left) == sorted([uuids[0], uuids[2], uuids[3]])
    house.result("PUT", f"/gw/devices/{device}/media", {"uuid": uuids[2:], "protected": True})
    refused = upload(house, device, data, "4.jpg")
    assert refused.status_code == 507 and "protected" in reason(refused)
    assert len(house.result("GET", f"/gw/devices/{device}/media")) == 3
    async with driving(recorder(house, "13950000001", cameras=CAMERAS)):
        await online(house, device)
        clip = await command(
            house, device, "request_video", channel=1, **{"from": int(time.time()) - 60, "duration": 4}
        )
        live = await command(house, device, "start_videostream", channel=1)
    assert clip["executed"] is False and "protected" in clip["reason"], clip
    assert live["executed"] is False and "full" in live["reason"], live


async def test_files_that_come_together_do_not_share_the_same_room(open_house: Callable[..., House]) -> None:
    house = open_house(device_media_limit=1_000_000)
    device, data = house.add_device("13950000002"), random.Random(2).randbytes(300_000)
    answers = await asyncio.gather(*(asyncio.to_thread(upload_alone, house, device, "a.bin", data) for _ in range(9)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [507] * 6
    assert "media_rotate" in reason(next(answer for answer in answers if answer.status_code == 507))
    assert len(assert_whole(house, device)) == 3


def upload_alone(house: House, device: int, name: str, data: bytes) -> httpx.Response:
    """An upload over a connection of its own, for many at once."""
    with httpx.Client(base_url=house.base, timeout=60, trust_env=False) as client:
        return client.post(f"/gw/devices/{device}/media", headers=house.headers, files={"file": (name, data)})


async def test_files_go_when_their_time_is_over(open_house: Callable[..., House]) -> None:
    house = open_house(upkeep_s=1)
    device = house.add_device("13950000003", media_ttl=60)
    kept = upload(house, device, photo(3)).json()["result"][0]["uuid"]
    old = upload(house, device, photo(4)).json()["result"][0]["uuid"]
    protected = upload(house, device, photo(5)).json()["result"][0]["uuid"]
    house.result("PUT", f"/gw/devices/{device}/media", {"uuid": protected, "protected": True})
    house.stop()
    rows(house, "UPDATE media SET uploaded = uploaded - 61000000 WHERE uuid <> ?", kept)
    house.start()
    house.until(lambda: house.client.get(f"/media/{old}").status_code == 404, "the old file goes", 20)
    files = assert_whole(house, device)
    assert sorted(file["uuid"] for file in files) == sorted([kept, protected])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if (
        os.geteuid()
        or mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=20m", "none", folder]).returncode
    ):
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


async def test_a_full_disk_refuses_files_and_nothing_else(open_house: Callable[..., House], small_disk: Path) -> None:
    house = open_house(blobs_dir=small_disk)
    device = house.add_device("13950000004")
    data = random.Random(1).randbytes(12 << 20)
    assert upload(house, device, data, "large.bin").status_code == 200
    (small_disk / "ballast").write_bytes(bytes(5 << 20))
    refused = upload(house, device, data[: 6 << 20], "second.bin")
    assert refused.status_code == 507 and "disk" in reason(refused)
    async with driving(recorder(house, "13950000004", cameras=CAMERAS)) as vehicles:
        await online(house, device)
        (small_disk / "ballast").write_bytes(bytes(8 << 20)[: _free(small_disk) + (5 << 20) - 4096])
        clip = await command(
            house, device, "request_video", channel=1, **{"from": int(time.time()) - 60, "duration": 20}
        )
        assert clip["executed"] is False and ("disk" in clip["reason"] or "space" in clip["reason"]), clip
        shot = await command(house, device, "take_photo", channel=1)
        assert shot["executed"] is False and "disk" in shot["reason"], shot
        mark = vehicles[0].stats.acknowledged
        await asyncio.to_thread(house.until, lambda: vehicles[0].stats.acknowledged > mark, "reports are stored")
        (small_disk / "ballast").unlink()
        clip = await command(
            house, device, "request_video", channel=1, **{"from": int(time.time()) - 60, "duration": 4}
        )
        assert clip["executed"] is True, clip
    assert list((small_disk / "tmp").iterdir()) == []
    names = [file["name"] for file in house.result("GET", f"/gw/devices/{device}/media")]
    assert names[-1] == "large.bin" and len(names) == 2


def _free(folder: Path) -> int:
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


# --- bad peers ------------------------------------------------------------------------------------------------------


async def dialled(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def throw(port: int, data: bytes) -> None:
    """Send bytes for as long as the platform takes them, then go."""
    _, writer = await dialled(port)
    with contextlib.suppress(ConnectionError):
        for at in range(0, len(data), 65536):
            writer.write(data[at : at + 65536])
            await writer.drain()
    writer.transport.abort()


async def test_garbage_on_every_port(house: House) -> None:
    garbage = unescaped_garbage(7, 2 << 20)
    attacks = [
        garbage,
        b"\x7e" + bytes(4 << 20),
        b"\x7e" * (1 << 20),
        b"\x30\x31\x63\x64" * (1 << 18),
        b"GET / HTTP/1.1\r\n\r\n",
    ]
    async with served_meanwhile(house, "13960000001"):
        ports = [house.ports[name] for name in ("signalling", "live", "playback", "attachments", "http")]
        await asyncio.gather(*(throw(port, data) for port in ports for data in attacks))


async def test_frames_that_are_wrong_or_far_too_many(house: House) -> None:
    async with served_meanwhile(house, "13960000002"):
        await asyncio.gather(wrong_checksums(house), flood(house), tiny_frames(house), slow_drip(house))


async def wrong_checksums(house: House) -> None:
    terminal = await Terminal("13960000092", house.ports["signalling"]).dial()
    for _ in range(5000):
        frame = bytearray(terminal.frame(Msg.HEARTBEAT, b""))
        frame[-2] ^= 0x55 if frame[-2] ^ 0x55 not in (0x7D, 0x7E) else 0x11
        terminal.raw(bytes(frame))
    terminal.close()


async def flood(house: House) -> None:
    """Many messages before authentication: closed."""
    terminal = await Terminal("13960000093", house.ports["signalling"]).dial()
    for _ in range(2000):
        terminal.say(Msg.HEARTBEAT, b"")
    await terminal.closed()


async def tiny_frames(house: House) -> None:
    """A known terminal that sends thousands of heartbeats is answered, each of them."""
    house.add_device("13960000094")
    terminal = await Terminal("13960000094", house.ports["signalling"]).sign_in()
    serial = 0
    for _ in range(5000):
        serial = terminal.say(Msg.HEARTBEAT, b"")
    assert await terminal.acknowledged(serial) == 0
    terminal.close()


async def slow_drip(house: House) -> None:
    """Byte by byte without an end: the time to identify does not begin anew with every byte."""
    terminal = await Terminal("13960000095", house.ports["signalling"]).dial()
    frame = terminal.frame(Msg.HEARTBEAT, b"")
    for byte in frame[:-1] * 3:
        terminal.raw(bytes([byte]))
        await terminal.drain()
    terminal.close()


async def test_connections_that_say_nothing_are_closed_in_time(house: House) -> None:
    """Silent ones on every port for devices; `device_idle_s` is 5 s here."""
    device = house.add_device("13960000003")
    terminal = await Terminal("13960000003", house.ports["signalling"]).sign_in()
    live, _ = await dialled(house.ports["live"])
    begun = time.monotonic()
    async with served_meanwhile(house, "13960000004"):
        await terminal.closed(15)
        async with asyncio.timeout(20):
            assert await live.read() == b""
    assert time.monotonic() - begun < 20
    assert not house.connected(device)
    closes = [item["close_code"] for item in house.result("GET", f"/gw/devices/{device}/logs") if "close_code" in item]
    assert closes == [17]


async def test_media_that_nobody_asked_for_is_closed(house: House) -> None:
    house.add_device("13960000005")
    packets = MediaPacketizer(number_bcd("13960000005", Layout.V2013), 1)
    data = b"".join(packets.video(bytes(5000), FrameKind.I, Payload.H264, int(time.time() * 1000), 0, 0))
    async with served_meanwhile(house, "13960000006"):
        await asyncio.gather(*(unasked(house.ports[port], data) for port in ("live", "playback")))
    assert house.result("GET", "/gw/devices/all/media?data=%7B%22filter%22:%22meta.type==%5C%22video%5C%22%22%7D") == []


async def unasked(port: int, data: bytes) -> None:
    """Stream until the platform closes."""
    reader, writer = await dialled(port)
    with contextlib.suppress(ConnectionError):
        for _ in range(300):
            writer.write(data)
            await writer.drain()
        async with asyncio.timeout(20):
            assert await reader.read() == b""
    writer.transport.abort()


async def test_many_half_open_connections(house: House) -> None:
    async with served_meanwhile(house, "13960000007"):
        open_now = [await dialled(house.ports["signalling"]) for _ in range(300)]
        for _, writer in open_now[::2]:
            writer.write(b"\x7e\x01\x00")
        for _, writer in open_now:
            writer.transport.abort()


async def attachments(house: House, ident: str) -> tuple[Terminal, bytes, bytes]:
    """A terminal that raised an alarm, with the alarm's number and identifier."""
    from wayframe.simulator.bodies808 import Position, item, location
    from wayframe.simulator.wire_attachment import AlarmKind, alarm_item, identifier, parse_attachment_request

    house.add_device(ident)
    terminal = await Terminal(ident, house.ports["signalling"]).sign_in()
    now = time.time()
    position = Position(now, 52.5, 13.4, 40, 36.0, 90, True, 1200.0, 40.0, 20, 9)
    ident_bytes = identifier("HOSTILE", now, 1, 3, Dialect.JIANGSU, 8 * 3600)
    kind = AlarmKind.FATIGUE
    extra = item(kind.item_id, alarm_item(kind, 1, position, ident_bytes, 8 * 3600))
    terminal.say(Msg.LOCATION, location(position, 8 * 3600, extra))
    request = parse_attachment_request((await terminal.hear(Msg.REQUEST_ATTACHMENTS)).body, Dialect.JIANGSU)
    return terminal, request.number, ident_bytes


async def test_attachments_that_lie(house: House) -> None:
    async with served_meanwhile(house, "13960000008"):
        terminal, number, ident = await attachments(house, "13960000009")
        uploader = await Terminal("13960000009", house.ports["attachments"]).dial()
        good, evil = photo(9), "../../../../tmp/evil_65_6501_0_0.jpg"
        files = [(evil, len(good)), ("02_65_6501_1_huge.mp4", 400 << 20), ("00_65_6501_2_beyond.jpg", 5000)]
        uploader.say(Msg.ATTACHMENT_LIST, attachment_list("HOSTILE", ident, number, files, Dialect.JIANGSU, False))
        assert await uploader.acknowledged(1) == 0
        uploader.say(Msg.FILE_START, file_mark(evil, FileKind.IMAGE, len(good)))
        for block in file_blocks(evil, good, 0, len(good)):
            uploader.raw(block)
        uploader.say(Msg.FILE_END, file_mark(evil, FileKind.IMAGE, len(good)))
        await uploader.hear(Msg.FILE_END_ANSWER)
        # A block outside its file, one of a file nobody named, and sizes that are lies.
        uploader.say(Msg.FILE_START, file_mark("00_65_6501_2_beyond.jpg", FileKind.IMAGE, 5000))
        uploader.raw(
            b"01cd" + padded("00_65_6501_2_beyond.jpg", 50) + struct.pack(">II", 0xFFFFFF00, 4000) + bytes(4000)
        )
        uploader.raw(b"01cd" + padded("unknown.jpg", 50) + struct.pack(">II", 0, 4000) + bytes(4000))
        uploader.say(Msg.FILE_START, file_mark("02_65_6501_1_huge.mp4", FileKind.VIDEO, 0xFFFFFFFF))
        uploader.raw(b"01cd" + padded("02_65_6501_1_huge.mp4", 50) + struct.pack(">II", 0, 0xFFFFFFFF) + bytes(100_000))
        uploader.close()
        terminal.close()
    device = house.result("GET", "/gw/devices/configuration.ident=13960000009?fields=id")[0]["id"]
    files_now = house.until(lambda: house.result("GET", f"/gw/devices/{device}/media"), "the good file is there")
    assert [file["size"] for file in files_now] == [len(good)]
    assert "/" not in files_now[0]["name"] and ".." not in files_now[0]["name"]
    assert house.client.get(f"/media/{files_now[0]['uuid']}").content == good
    assert not list(house.folder.parent.rglob("*evil*"))


async def test_attachments_of_an_unknown_alarm_are_refused(house: House) -> None:
    async with served_meanwhile(house, "13960000010"):
        uploader = await Terminal("13960000011", house.ports["attachments"]).dial()
        listed = attachment_list("HOSTILE", bytes(16), b"f" * 32, [("a.jpg", 100)], Dialect.JIANGSU, False)
        uploader.say(Msg.ATTACHMENT_LIST, listed)
        with contextlib.suppress(ConnectionError):
            assert await uploader.acknowledged(1) != 0
            uploader.say(Msg.FILE_START, file_mark("a.jpg", FileKind.IMAGE, 100))
            for block in file_blocks("a.jpg", bytes(100), 0, 100):
                uploader.raw(block)
        uploader.close()
    device = house.add_device("13960000011")
    assert house.result("GET", f"/gw/devices/{device}/media") == []


# --- HTTP -----------------------------------------------------------------------------------------------------------


async def test_tokens_open_what_they_are_for_and_nothing_else(house: House) -> None:
    mine, other = house.add_device("13970000001"), house.add_device("13970000002")
    file = upload(house, mine, photo(11)).json()["result"][0]
    acl = [
        {"uri": "gw/devices", "methods": ["GET"], "ids": [mine], "submodules": [{"name": "media", "methods": ["GET"]}]}
    ]
    token = house.result("POST", "/platform/tokens", [{"info": "one", "ttl": 600, "access": {"type": 2, "acl": acl}}])[
        0
    ]
    headers = {"Authorization": f"FlespiToken {token['key']}"}

    def status(method: str, path: str, **options: Any) -> int:
        return house.client.request(method, path, headers=headers, **options).status_code

    assert status("GET", f"/gw/devices/{mine}/media") == 200
    assert status("GET", f"/gw/devices/{other}/media") in (403, 404)
    assert status("DELETE", f"/gw/devices/{mine}/media", json={}) == 403
    assert status("POST", f"/gw/devices/{mine}/media", files={"file": ("a.jpg", photo(12))}) == 403
    assert status("GET", f"/gw/devices/{mine}/messages") == 403
    assert status("POST", f"/gw/devices/{mine}/commands", json=[{"name": "reboot", "properties": {}}]) == 403
    assert status("GET", "/platform/tokens/all") == 403
    assert [item["id"] for item in house.client.get("/gw/devices/all", headers=headers).json()["result"]] == [mine]
    for wrong in ({}, {"Authorization": "FlespiToken " + "x" * 64}, {"Authorization": "Bearer \xff".encode("latin-1")}):
        assert house.client.get("/gw/devices/all", headers=wrong).status_code == 401
        post = house.client.post(f"/gw/devices/{mine}/media", headers=wrong, files={"file": ("a.jpg", photo(12))})
        assert post.status_code == 401
    assert house.client.get(f"/gw/devices/{2**53 - 1}/media", headers=house.headers).status_code == 404
    assert [item["uuid"] for item in house.result("GET", f"/gw/devices/{mine}/media")] == [file["uuid"]]


async def test_uploads_that_are_wrong_leave_nothing(house: House) -> None:
    device = house.add_device("13970000003")
    path, data = f"/gw/devices/{device}/media", photo(13)

    def post(**options: Any) -> httpx.Response:
        headers = house.headers | options.pop("headers", {})
        return house.client.post(path, headers=headers, **options)

    others = set(temporary(house))  # attachments that broke off are kept for a day
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    assert post(files={"data": (None, "{}")}).status_code == 400
    assert post(files={"file": ("a.jpg", b"")}).status_code == 400
    assert post(files={"file": ("a.jpg", data), "data": (None, "{nonsense")}).status_code == 400
    assert post(files={"file": ("a.jpg", data), "data": (None, '{"type":"unheard"}')}).status_code == 400
    assert post(files={"file": ("a.jpg", data), "more": ("b.jpg", data)}).status_code == 400
    assert post(content=head + data, headers=form).status_code == 400
    assert post(content=b"--b--\r\n", headers=form).status_code == 400
    assert post(content=data, headers={"Content-Type": "multipart/form-data"}).status_code == 400
    assert post(files={"file": ("a.bin", bytes(5 << 20))}).status_code == 413
    assert post(content=(bytes(1 << 20) for _ in range(9)), headers=form).status_code in (400, 413)
    large = json.dumps([{"info": "x" * (5 << 20)}])
    assert house.client.post("/platform/tokens", headers=house.headers, content=large).status_code == 413
    house.until(lambda: set(temporary(house)) <= others, "nothing of them is left")
    assert assert_empty(house, device)


def assert_empty(house: House, device: int) -> bool:
    used = house.result("GET", f"/gw/devices/{device}?fields=media_size")[0]["media_size"]
    return house.result("GET", f"/gw/devices/{device}/media") == [] and used == 0


async def test_slow_and_broken_uploads_do_not_hold_up_others(house: House) -> None:
    device, busy = house.add_device("13970000004"), house.add_device("13970000005")
    others = set(temporary(house))
    slow = [await half_an_upload(house, device, 3 << 20) for _ in range(5)]
    answers = await asyncio.gather(
        *(asyncio.to_thread(upload_alone, house, busy, f"{n}.jpg", photo(n)) for n in range(20))
    )
    assert [answer.status_code for answer in answers] == [200] * 20
    sent = {photo(n) for n in range(20)}
    files = house.result("GET", f"/gw/devices/{busy}/media")
    assert {house.client.get(f"/media/{file['uuid']}").content for file in files} == sent and len(files) == 20
    for writer in slow:
        writer.transport.abort()
    await asyncio.to_thread(house.until, lambda: set(temporary(house)) <= others, "what was broken off is gone")
    assert assert_empty(house, device)
