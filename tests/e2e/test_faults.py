"""Vehicles that misbehave as real ones do: what can be had is had, what cannot ends with a reason, nothing twice."""

from __future__ import annotations

import asyncio
import io
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import av
import httpx
import pytest
from PIL import Image

from wayframe.simulator import CameraConfig, Faults, PlaybackAnswer, Timestamps
from wayframe.simulator.timecode import read_strip

from .house import House, driving
from .terminal import Terminal
from .test_crash import queue, results
from .test_main_road import SMALL, SMALL_HEVC, command, online, recorder

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CAMERAS = (CameraConfig(1, SMALL, SMALL),)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server for all of them; every test has its own vehicle."""
    opened = House(tmp_path_factory.mktemp("faults")).start()
    yield opened
    opened.close()


async def ask(house: House, device: int, name: str, **properties: Any) -> dict[str, Any]:
    """A real-time command that holds no thread: the vehicles of this process need them for their pictures."""
    body = [{"name": name, "properties": properties, "timeout": 60, "max_attempts": 1}]
    async with httpx.AsyncClient(base_url=house.base, timeout=70, trust_env=False) as client:
        answer = await client.post(f"/gw/devices/{device}/commands", json=body, headers=house.headers)
    result: dict[str, Any] = answer.json()["result"][0]
    return result


def shown_times(house: House, uuid: str) -> list[tuple[float, float]]:
    """(time in the file, time burned into the picture) of every frame, in seconds."""
    body = httpx.get(f"{house.base}/media/{uuid}", trust_env=False).content
    with av.open(io.BytesIO(body)) as container:
        frames = [(float(frame.time or 0), read_strip(frame.to_image())) for frame in container.decode(video=0)]
    return [(at, burned / 1000) for at, burned in frames if burned is not None]


def assert_continuous(times: list[tuple[float, float]], start: float) -> None:
    """The picture shows what the file says: no piece is missing, doubled or out of place."""
    assert len(times) > 10
    assert all(later[1] > earlier[1] for earlier, later in pairwise(times)), "no picture comes twice"
    assert all(abs(burned - start - at) < 0.4 for at, burned in times), [
        (at, round(burned - start, 2)) for at, burned in times
    ]


# --- clips ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clip:
    """A vehicle and what becomes of a clip asked of it."""

    changes: dict[str, Any]
    seconds: int = 6
    tolerance: float = 0.5
    exact: bool = True
    """Every picture stands where its burned time says."""


CLIPS = {
    "lossy": Clip({"faults": Faults(drop_media=0.02)}, 20, 2.0, exact=False),
    "stalls": Clip({"faults": Faults(stall_after_s=4.0, stall_s=30.0)}),
    "vanishes": Clip({"faults": Faults(vanish_media_bytes=150_000)}),
    "late": Clip({"faults": Faults(answer_delay_s=4.0)}),
    "zero based": Clip({"faults": Faults(timestamps=Timestamps.ZERO_BASED)}),
    "frozen": Clip({"faults": Faults(timestamps=Timestamps.FROZEN)}, 20, 1.5, exact=False),
    "jumping": Clip({"faults": Faults(timestamps=Timestamps.JUMPING), "playback_pace": 2.0}, 6, 1.0, exact=False),
    "answers 0x0001 only": Clip({"playback_answer": PlaybackAnswer.GENERAL}),
    "answers twice": Clip({"playback_answer": PlaybackAnswer.BOTH}),
    "HiSilicon sound": Clip({"faults": Faults(hisilicon_audio=True)}),
}


async def test_clips_of_vehicles_that_misbehave(house: House) -> None:
    idents = {name: str(13910000000 + number) for number, name in enumerate(CLIPS)}
    devices = {name: house.add_device(ident) for name, ident in idents.items()}
    start = int(time.time()) - 60
    configs = [recorder(house, idents[name], cameras=CAMERAS, **clip.changes) for name, clip in CLIPS.items()]
    async with driving(*configs):
        for device in devices.values():
            await online(house, device)
        answers = await asyncio.gather(
            *(
                ask(house, devices[name], "request_video", **{"channel": 1, "from": start, "duration": clip.seconds})
                for name, clip in CLIPS.items()
            )
        )
    wrong = []
    for (name, clip), answer in zip(CLIPS.items(), answers, strict=True):
        meta = answer["response"]["meta"] if answer["executed"] else {}
        if (
            not meta
            or abs(meta["duration"] - clip.seconds) > clip.tolerance
            or "partial" in meta
            or not meta["has_audio"]
        ):
            wrong.append((name, answer))
        elif clip.exact:
            assert_continuous(shown_times(house, answer["response"]["uuid"]), start)
    assert wrong == []


async def test_a_clip_that_breaks_off_for_good_is_kept_as_far_as_it_came(house: House) -> None:
    device = house.add_device("13920000001")
    start = int(time.time()) - 100
    config = recorder(house, "13920000001", cameras=CAMERAS, faults=Faults(vanish_media_bytes=60_000))
    async with driving(config):
        await online(house, device)
        answer = await command(house, device, "request_video", channel=1, **{"from": start, "duration": 30})
    meta = answer["response"]["meta"]
    assert answer["executed"] is True and meta["partial"] is True and meta["partial_reason"]
    assert 1 < meta["duration"] < 20
    assert_continuous(shown_times(house, answer["response"]["uuid"]), start)


async def test_a_clip_that_loses_both_connections_begins_anew(house: House) -> None:
    """The piece of the first attempt does not end up before the second one."""
    device = house.add_device("13920000002")
    start = int(time.time()) - 100
    config = recorder(house, "13920000002", cameras=CAMERAS, playback_pace=3.0, reconnect_s=0.5)
    for order in ("media first", "signalling first"):
        async with driving(config) as vehicles:
            vehicle = vehicles[0]
            await online(house, device)
            number = queue(house, device, "request_video", channel=1, **{"from": start, "duration": 10})
            await asyncio.to_thread(house.until, lambda vehicle=vehicle: vehicle.stats.frames > 60, "frames flow")
            stream = vehicle.playback[1]
            if order == "media first":
                stream.stop()
                vehicle.disconnect()
            else:
                vehicle.disconnect()
                await asyncio.to_thread(house.until, lambda: not house.connected(device), "signalling is gone")
                stream.stop()
            ended = {item["id"]: item for item in await asyncio.to_thread(ends, house, device, number)}
        answer = ended[number]
        assert answer["executed"] is True and "partial" not in answer["response"]["meta"], (order, answer)
        assert abs(answer["response"]["meta"]["duration"] - 10) < 0.5
        assert_continuous(shown_times(house, answer["response"]["uuid"]), start)


def ends(house: House, device: int, *numbers: int) -> list[dict[str, Any]]:
    """Wait until these commands are at their end."""

    def all_ended() -> list[dict[str, Any]]:
        found = house.result("GET", f"/gw/devices/{device}/commands-result")
        return found if set(numbers) <= {item["id"] for item in found} else []

    return list(house.until(all_ended, "the commands end", 60))


async def test_a_device_that_never_answers_ends_with_the_address_it_was_told(house: House) -> None:
    silent, refusing = "13920000003", "13920000004"
    devices = [house.add_device(silent), house.add_device(refusing)]
    configs = [
        recorder(house, silent, cameras=CAMERAS, faults=Faults(never_answer=frozenset({0x9201, 0x9101}))),
        recorder(house, refusing, cameras=CAMERAS, faults=Faults(refuse={0x9201: 3, 0x9101: 1})),
    ]
    clip = {"channel": 1, "from": int(time.time()) - 60, "duration": 5}
    async with driving(*configs):
        for device in devices:
            await online(house, device)
        answers = await asyncio.gather(
            *(
                job
                for device in devices
                for job in (
                    ask(house, device, "request_video", **clip),
                    ask(house, device, "start_videostream", channel=1),
                )
            )
        )
    unanswered, refused = answers[:2], answers[2:]
    for answer, port in zip(unanswered, ("playback", "live"), strict=True):
        assert answer["executed"] is False and f"127.0.0.1:{house.ports[port]}" in answer["reason"], answer
    for answer in refused:
        assert answer["executed"] is False and answer["reason"], answer


# --- photos, alarms, reports ----------------------------------------------------------------------------------------


async def test_a_photo_with_lost_parts_is_asked_for_again(house: House) -> None:
    device = house.add_device("13930000001")
    faults = Faults(drop_parts=0.3, interleaved_serials=True)
    async with driving(recorder(house, "13930000001", cameras=CAMERAS, faults=faults, part_bytes=200)) as vehicles:
        await online(house, device)
        answer = await command(house, device, "take_photo", channel=1)
        assert answer["executed"] is True, answer
        assert vehicles[0].stats.parts_resent > 0
    link = f"{house.base}/media/{answer['response']['uuid']}"
    picture = await asyncio.to_thread(httpx.get, link, trust_env=False)
    Image.open(io.BytesIO(picture.content)).load()


async def test_attachments_that_break_off_are_supplemented(house: House) -> None:
    device = house.add_device("13930000002")
    faults = Faults(vanish_attachment_bytes=30_000)
    config = recorder(house, "13930000002", cameras=CAMERAS, alarm_every_s=600.0, first_alarm_s=0.2, faults=faults)
    async with driving(config) as vehicles:
        await online(house, device)
        files = await asyncio.to_thread(
            house.until,
            lambda: len(found := house.result("GET", f"/gw/devices/{device}/media")) >= 5 and found,
            "all files of the alarm arrive",
            60,
        )
        await asyncio.to_thread(house.until, lambda: vehicles[0].stats.files_uploaded == 5, "all are confirmed")
    names = Counter(file["name"] for file in files)
    assert len(files) == 5 and max(names.values()) == 1
    for file in files:
        if file["meta"]["type"] == "image":
            body = await asyncio.to_thread(httpx.get, f"{house.base}/media/{file['uuid']}", trust_env=False)
            Image.open(io.BytesIO(body.content)).load()


async def test_a_report_sent_twice_is_stored_once(house: House) -> None:
    device = house.add_device("13930000003")
    terminal = await Terminal("13930000003", house.ports["signalling"]).sign_in()
    now = time.time()
    for mark in (1, 1, 2, 1, 2):
        assert await terminal.acknowledged(terminal.report(mark, now)) == 0
    terminal.close()
    messages = house.result("GET", f"/gw/devices/{device}/messages")
    assert sorted(message["position.altitude"] for message in messages) == [1, 2]


# --- a link that breaks all the time --------------------------------------------------------------------------------


async def test_a_link_that_breaks_every_other_second_executes_each_command_once(house: House) -> None:
    device = house.add_device("13940000001")
    config = recorder(
        house, "13940000001", cameras=CAMERAS, playback_pace=1.5, reconnect_s=0.2, faults=Faults(disconnect_every_s=2.0)
    )
    start = int(time.time()) - 100
    async with driving(config) as vehicles:
        await online(house, device)
        numbers = {queue(house, device, "send_text", text=f"text {n}"): f"text {n}" for n in range(12)}
        clip = queue(house, device, "request_video", channel=1, **{"from": start, "duration": 8})
        found = await asyncio.to_thread(ends, house, device, clip, *numbers)
        ended = {item["id"]: item for item in found}
        heard = Counter(vehicles[0].texts)
        assert vehicles[0].stats.playbacks == 1, ended[clip]
    for number, text in numbers.items():
        assert heard[text] == 1 or (heard[text] == 0 and ended[number]["executed"] is False), (text, ended[number])
        assert ended[number]["executed"] is True or "outcome unknown" in ended[number]["reason"]
    assert sum(ended[number]["executed"] for number in numbers) >= 10
    assert ended[clip]["executed"] is True and abs(ended[clip]["response"]["meta"]["duration"] - 8) < 0.5
    assert len(house.result("GET", f"/gw/devices/{device}/media")) == 1


async def test_a_link_lost_while_a_clip_is_converted_does_not_ask_for_it_again(house: House) -> None:
    device = house.add_device("13940000002")
    config = recorder(
        house, "13940000002", cameras=(CameraConfig(1, SMALL_HEVC, SMALL_HEVC),), playback_pace=0.0, reconnect_s=0.2
    )
    async with driving(config) as vehicles:
        await online(house, device)
        number = queue(house, device, "request_video", channel=1, **{"from": int(time.time()) - 100, "duration": 20})
        await asyncio.to_thread(
            house.until, lambda: house.result("GET", f"/gw/devices/{device}/media"), "the clip is stored"
        )
        vehicles[0].disconnect()
        ended = await asyncio.to_thread(results, house, device)
        assert vehicles[0].stats.playbacks == 1
    assert [(item["id"], item["executed"], item["attempts"]) for item in ended] == [(number, True, 1)]


async def test_a_device_that_dials_again_takes_over_and_loses_no_command(house: House) -> None:
    """What waits for a device goes over its new connection once, though the old one closes a moment later."""
    device = house.add_device("13940000003")
    old = await Terminal("13940000003", house.ports["signalling"]).sign_in()
    await online(house, device)
    stranger = Terminal("13940000003", house.ports["signalling"])
    with pytest.raises(AssertionError):  # without the code it may not push the other out
        await stranger.sign_in()
    stranger.close()
    new = await Terminal("13940000003", house.ports["signalling"]).sign_in(old.code)
    number = queue(house, device, "send_text", text="once")
    frame = await new.hear(0x8300)
    new.say(0x0001, frame.serial.to_bytes(2, "big") + (0x8300).to_bytes(2, "big") + b"\x00")
    await old.closed()
    ended = await asyncio.to_thread(ends, house, device, number)
    assert [(item["executed"], item["attempts"]) for item in ended] == [(True, 1)]
    new.close()
    await asyncio.to_thread(house.until, lambda: not house.connected(device), "both are gone")
    closes = [
        record["close_code"] for record in house.result("GET", f"/gw/devices/{device}/logs") if "close_code" in record
    ]
    assert closes[0] == 12
