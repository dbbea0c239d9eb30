"""What is left after kill -9 at any moment, and after an orderly stop: everything that was promised, nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from wayframe.simulator import CameraConfig, Faults

from .house import House, driving
from .terminal import Terminal
from .test_main_road import SMALL, SMALL_HEVC, command, online, recorder

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

IDENT = "13900000001"
CAMERAS = (CameraConfig(1, SMALL, SMALL),)


def photo(seed: int, side: int = 160) -> bytes:
    """A JPEG that is unlike others."""
    chance = random.Random(seed)
    picture = io.BytesIO()
    Image.frombytes("RGB", (side, side), chance.randbytes(side * side * 3)).save(picture, "JPEG", quality=90)
    return picture.getvalue()


def upload(house: House, device: int, data: bytes, name: str = "photo.jpg") -> httpx.Response:
    """POST one file."""
    return house.client.post(
        f"/gw/devices/{device}/media", headers=house.headers, files={"file": (name, data), "data": (None, "{}")}
    )


def blobs(house: House) -> set[str]:
    """Keys on disk."""
    root = house.folder / "data" / "blobs"
    return {path.name for path in root.rglob("*") if path.is_file() and path.parent.parent.parent == root}


def temporary(house: House) -> list[Path]:
    """Files that are not finished: transfers, and old live segments."""
    root = house.folder / "data" / "blobs"
    return [path for part in ("tmp", "live") for path in (root / part).rglob("*") if path.is_file()]


def rows(house: House, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask, or change, the database of a server that does not run."""
    with contextlib.closing(sqlite3.connect(house.folder / "data" / "wayframe.db")) as db, db:
        return db.execute(query, values).fetchall()


def assert_whole(house: House, device: int) -> list[dict[str, Any]]:
    """The store is consistent: every listed file is there in full, nothing else is, and the counter is their sum."""
    house.until(lambda: not temporary(house), "what was unfinished is swept")
    files: list[dict[str, Any]] = house.result("GET", f"/gw/devices/{device}/media")
    for file in files:
        served = house.client.get(f"/media/{file['uuid']}")
        assert served.status_code == 200 and len(served.content) == file["size"], file
    size = house.result("GET", f"/gw/devices/{device}?fields=media_size")[0]["media_size"]
    assert size == -(-sum(file["size"] for file in files) // 1024)
    previews = sum(house.client.get(f"/media/{file['uuid']}?preview=jpeg").status_code == 200 for file in files)
    assert len(blobs(house)) == len(files) + previews
    return files


def restarted(house: House) -> None:
    house.kill()
    house.start()


async def until(look: Callable[[], Any], timeout_s: float = 20) -> None:
    """Wait for something in this process, and let it go on meanwhile."""
    async with asyncio.timeout(timeout_s):
        while not look():  # noqa: ASYNC110  # what is looked at belongs to a vehicle, which announces nothing
            await asyncio.sleep(0.01)


async def frames_flow(vehicle: Any, frames: int = 10) -> None:
    """Wait until a vehicle has sent some frames more."""
    mark = vehicle.stats.frames
    await until(lambda: vehicle.stats.frames >= mark + frames)


def results(house: House, device: int, count: int = 1, timeout_s: float = 60) -> list[dict[str, Any]]:
    """Wait for commands to come to their end."""
    return list(
        house.until(
            lambda: len(found := house.result("GET", f"/gw/devices/{device}/commands-result")) >= count and found,
            f"{count} commands end",
            timeout_s,
        )
    )


def queue(house: House, device: int, name: str, **properties: Any) -> int:
    body = [{"name": name, "properties": properties, "ttl": 600}]
    return int(house.result("POST", f"/gw/devices/{device}/commands-queue", body)[0]["id"])


# --- uploads --------------------------------------------------------------------------------------------------------


async def half_an_upload(house: House, device: int, size: int = 8 << 20) -> asyncio.StreamWriter:
    """Begin a multipart upload and stop in the middle, with bytes on the disk of the server."""
    _, writer = await asyncio.open_connection("127.0.0.1", house.ports["http"])
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="half.mp4"\r\n\r\n'
    writer.write(
        f"POST /gw/devices/{device}/media HTTP/1.1\r\nHost: x\r\nAuthorization: FlespiToken {house.key}\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {size}\r\n\r\n".encode()
        + head
        + bytes(size // 2)
    )
    await asyncio.to_thread(
        house.until, lambda: any(path.stat().st_size > 1 << 20 for path in temporary(house)), "half of the upload"
    )
    return writer


async def test_killed_during_an_upload_nothing_is_left(house: House) -> None:
    device = house.add_device(IDENT)
    writer = await half_an_upload(house, device)
    restarted(house)
    writer.close()
    assert assert_whole(house, device) == []


async def test_killed_right_after_the_answer_the_file_is_there_and_announced(house: House) -> None:
    device = house.add_device(IDENT)
    data = photo(1)
    answer = upload(house, device, data)
    house.kill()
    assert answer.status_code == 200, answer.text
    house.start()
    files = assert_whole(house, device)
    assert [file["uuid"] for file in files] == [answer.json()["result"][0]["uuid"]]
    assert house.client.get(f"/media/{files[0]['uuid']}").content == data
    messages = house.until(lambda: house.result("GET", f"/gw/devices/{device}/messages"), "the file is announced")
    assert [message["media.image.1"]["uuid"] for message in messages] == [files[0]["uuid"]]


# --- transfers, streams, commands -----------------------------------------------------------------------------------


async def test_killed_during_a_clip_the_clip_arrives_after_all(house: House) -> None:
    device = house.add_device(IDENT)
    config = recorder(house, cameras=CAMERAS, playback_pace=4.0, reconnect_s=0.5)
    async with driving(config) as vehicles:
        await online(house, device)
        number = queue(house, device, "request_video", channel=1, **{"from": int(time.time()) - 60, "duration": 12})
        await frames_flow(vehicles[0])
        await asyncio.to_thread(restarted, house)
        assert house.result("GET", f"/gw/devices/{device}/media") == []
        ended = await asyncio.to_thread(results, house, device)
    assert [(item["id"], item["executed"]) for item in ended] == [(number, True)], ended
    files = assert_whole(house, device)
    assert len(files) == 1 and abs(files[0]["meta"]["duration"] - 12) < 0.5
    assert "partial" not in files[0]["meta"] and files[0]["meta"]["command_id"] == number


async def test_killed_during_live_video_it_starts_clean(house: House) -> None:
    device = house.add_device(IDENT)
    async with driving(recorder(house, cameras=CAMERAS, reconnect_s=0.5)) as vehicles:
        await online(house, device)
        first = await command(house, device, "start_videostream", channel=1)
        assert first["executed"] is True, first
        link = f"{house.base}/media/{first['response']['uuid']}"
        assert (await asyncio.to_thread(httpx.get, link, timeout=30, trust_env=False)).status_code == 200
        await frames_flow(vehicles[0], 40)
        await asyncio.to_thread(restarted, house)
        assert not any(item["meta"] for item in house.result("GET", f"/gw/devices/{device}/connections/all"))
        assert (await asyncio.to_thread(httpx.get, link, timeout=30, trust_env=False)).status_code == 404
        assert temporary(house) == []
        await online(house, device)
        second = await command(house, device, "start_videostream", channel=1)
        assert second["executed"] is True, second
        assert second["response"]["uuid"] != first["response"]["uuid"]
        again = f"{house.base}/media/{second['response']['uuid']}"
        assert (await asyncio.to_thread(httpx.get, again, timeout=30, trust_env=False)).status_code == 200


async def test_queued_commands_survive_and_none_with_an_effect_is_done_twice(house: House) -> None:
    device = house.add_device(IDENT)
    before = queue(house, device, "send_text", text="written before the crash")
    await asyncio.to_thread(restarted, house)
    assert [item["id"] for item in house.result("GET", f"/gw/devices/{device}/commands-queue/all")] == [before]
    config = recorder(house, cameras=CAMERAS, reconnect_s=0.5, faults=Faults(answer_delay_s=3.0))
    async with driving(config) as vehicles:
        first = await asyncio.to_thread(results, house, device)
        assert first[0]["id"] == before and first[0]["executed"] is True
        heard = vehicles[0].stats.commands
        sent = queue(house, device, "send_text", text="sent when it crashes")
        query = queue(house, device, "get_properties")
        await asyncio.to_thread(house.until, lambda: vehicles[0].stats.commands == heard + 2, "both are sent")
        await asyncio.to_thread(restarted, house)
        ended = {item["id"]: item for item in await asyncio.to_thread(results, house, device, 3)}
        assert ended[sent]["executed"] is False and "outcome unknown" in ended[sent]["reason"]
        assert ended[query]["executed"] is True and ended[query]["attempts"] == 2
        assert list(vehicles[0].texts).count("written before the crash") == 1
        assert list(vehicles[0].texts).count("sent when it crashes") <= 1
    assert house.result("GET", f"/gw/devices/{device}/commands-queue/all") == []


async def test_killed_while_a_clip_is_converted_its_command_ends_with_it(house: House) -> None:
    """The clip is stored, its command is not yet at its end: it is not carried out again."""
    device = house.add_device(IDENT)
    config = recorder(house, cameras=(CameraConfig(1, SMALL_HEVC, SMALL_HEVC),), reconnect_s=0.5)
    async with driving(config) as vehicles:
        number = queue(house, device, "request_video", channel=1, **{"from": int(time.time()) - 60, "duration": 20})
        await asyncio.to_thread(
            house.until, lambda: house.result("GET", f"/gw/devices/{device}/media"), "the clip is stored"
        )
        house.kill()
        assert rows(house, "SELECT state, announced FROM media") == [("processing", 0)]
        await asyncio.to_thread(house.start)
        ended = await asyncio.to_thread(results, house, device)
        await online(house, device)
        assert [(item["id"], item["executed"], item["attempts"]) for item in ended] == [(number, True, 1)], ended
        assert vehicles[0].stats.playbacks == 1
    files = await asyncio.to_thread(settled_files, house, device, "media.video.1")
    assert [file["uuid"] for file in files] == [ended[0]["response"]["uuid"]]


async def test_killed_between_the_end_of_a_command_and_its_mark_the_news_is_caught_up_on(house: House) -> None:
    device = house.add_device(IDENT)
    config = recorder(house, cameras=CAMERAS, reconnect_s=0.5)
    async with driving(config) as vehicles:
        number = queue(house, device, "request_video", channel=1, **{"from": int(time.time()) - 60, "duration": 3})
        assert (await asyncio.to_thread(results, house, device))[0]["executed"] is True
        house.kill()
        rows(house, "UPDATE media SET announced = 0")
        await asyncio.to_thread(house.start)
        await online(house, device)
        files = await asyncio.to_thread(settled_files, house, device, "media.video.1")
        assert vehicles[0].stats.playbacks == 1
    assert [item["id"] for item in house.result("GET", f"/gw/devices/{device}/commands-result")] == [number]
    assert len(files) == len(house.result("GET", f'/gw/devices/{device}/messages?data={{"filter":"media"}}')) == 1


# --- reports --------------------------------------------------------------------------------------------------------


class Reporter:
    """Sends reports as fast as they are acknowledged, until the connection breaks; knows which were acknowledged."""

    def __init__(self, port: int, first: int) -> None:
        self.acknowledged: list[int] = []
        self.begun = asyncio.Event()
        """Two rounds are acknowledged."""
        self._port = port
        self._mark = first

    async def run(self) -> None:
        """Report until the end of the connection."""
        with contextlib.suppress(ConnectionError):
            terminal = await Terminal(IDENT, self._port).sign_in()
            while True:
                marks = list(range(self._mark, self._mark + 20))
                serials = [terminal.report(mark) for mark in marks]
                self._mark += len(marks)
                for mark, serial in zip(marks, serials, strict=True):
                    assert await terminal.acknowledged(serial) == 0
                    self.acknowledged.append(mark)
                if len(self.acknowledged) >= 40:
                    self.begun.set()


def assert_reported(house: House, device: int, marks: list[int]) -> None:
    """Every acknowledged report is a message, and the telemetry is that of the newest one."""
    messages = house.result("GET", f"/gw/devices/{device}/messages?data=%7B%22filter%22:%22position.altitude%22%7D")
    stored = [message["position.altitude"] for message in messages]
    assert len(stored) == len(set(stored)), "no report is stored twice"
    assert set(marks) <= set(stored), sorted(set(marks) - set(stored))
    newest = max(message["timestamp"] for message in messages)
    telemetry = house.result("GET", f"/gw/devices/{device}/telemetry/position.altitude")[0]["telemetry"]
    shown = telemetry["position.altitude"]
    assert shown["ts"] == newest
    assert shown["value"] == [item["position.altitude"] for item in messages if item["timestamp"] == newest][-1]


async def test_killed_at_any_moment_what_was_acknowledged_is_there(house: House) -> None:
    """Five times: reports and uploads flow, the server dies at a random moment, and everything adds up."""
    device = house.add_device(IDENT)
    chance = random.Random(20)
    marks: list[int] = []
    kept: dict[str, bytes] = {}

    def upload_on(base: int) -> None:
        with httpx.Client(base_url=house.base, trust_env=False) as client, contextlib.suppress(httpx.HTTPError):
            for number in range(base, base + 1000):
                data = photo(number)
                answer = client.post(
                    f"/gw/devices/{device}/media", headers=house.headers, files={"file": (f"{number}.jpg", data)}
                )
                if answer.status_code == 200:
                    kept[answer.json()["result"][0]["uuid"]] = data

    for turn in range(5):
        reporter = Reporter(house.ports["signalling"], 1 + turn * 6000)
        work = [asyncio.create_task(reporter.run())]
        work += [asyncio.create_task(asyncio.to_thread(upload_on, turn * 10_000 + n * 1000)) for n in range(2)]
        await reporter.begun.wait()
        await asyncio.sleep(chance.random())  # the random moment, not a wait
        house.kill()
        await asyncio.gather(*work)
        marks += reporter.acknowledged
        await asyncio.to_thread(house.start)
        await asyncio.to_thread(assert_reported, house, device, marks)
        files = {file["uuid"]: file for file in await asyncio.to_thread(settled_files, house, device)}
        assert set(kept) <= set(files)
    assert len(marks) > 200 and kept
    for uuid, data in kept.items():
        assert house.client.get(f"/media/{uuid}").content == data
    announced = {
        message["media.image.1"]["uuid"]
        for message in house.result("GET", f'/gw/devices/{device}/messages?data={{"filter":"media"}}')
    }
    assert set(kept) <= announced <= set(files)


def settled_files(house: House, device: int, parameter: str = "media.image.1") -> list[dict[str, Any]]:
    """The consistent store, once files that a crash left unprocessed are through."""

    def all_announced() -> bool:
        files = house.result("GET", f"/gw/devices/{device}/media")
        messages = house.result("GET", f'/gw/devices/{device}/messages?data={{"filter":"media"}}')
        return {file["uuid"] for file in files} == {message[parameter]["uuid"] for message in messages}

    house.until(all_announced, "every file is announced")
    return assert_whole(house, device)


# --- an orderly stop ------------------------------------------------------------------------------------------------


async def test_a_stop_in_full_work_is_quick_and_leaves_nothing_half_done(house: House) -> None:
    device = house.add_device(IDENT)
    cameras = (CameraConfig(1, SMALL, SMALL), CameraConfig(2, SMALL_HEVC, SMALL_HEVC))
    config = recorder(house, cameras=cameras, playback_pace=3.0, reconnect_s=0.5)
    async with driving(config) as vehicles:
        await online(house, device)
        for channel in (1, 2):
            live = await command(house, device, "start_videostream", channel=channel)
            assert live["executed"] is True, live
        start = int(time.time()) - 60
        clips = [queue(house, device, "request_video", channel=1, **{"from": start, "duration": 6}) for _ in range(2)]
        await until(lambda: vehicles[0].playback)
        await frames_flow(vehicles[0], 20)
        writer = await half_an_upload(house, device)
        begun = time.monotonic()
        assert await asyncio.to_thread(house.stop, 15) == 0
        assert time.monotonic() - begun < 10
        assert house.logged("stopped_late") == []
        assert temporary(house) == []
        writer.close()
        await asyncio.to_thread(house.start)
        ended = (await asyncio.to_thread(results, house, device, 4))[2:]
    assert [(item["id"], item["executed"]) for item in ended] == [(number, True) for number in clips], ended
    files = assert_whole(house, device)
    assert sorted(file["meta"]["command_id"] for file in files) == clips
