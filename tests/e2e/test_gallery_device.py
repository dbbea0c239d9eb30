"""Events whose bytes lie in a recorder: pulled by its own command, also when it is away, and over a restart."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from wayframe.simulator import CameraConfig, Codec, VehicleConfig, VideoFormat

from .house import House, driving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SMALL = VideoFormat(Codec.H264, 320, 180, 15, 200, 15)


def recorder(house: House, ident: str) -> VehicleConfig:
    return VehicleConfig(
        ident=ident, port=house.ports["signalling"], cameras=(CameraConfig(1, SMALL, SMALL),), report_s=2.0,
        playback_pace=0.0, drives_off=True, first_alarm_s=1.0,
    )  # fmt: skip


def registered(house: House, device: int, seconds_ago: int) -> str:
    """An event that an application knows of; its id."""
    start = int(time.time()) - seconds_ago
    body = {
        "name": f"clip{seconds_ago}.mp4", "media_type": "video",
        "metadata": {"channel": 1, "from": start, "duration": 5, "timestamp": start, "why": "harsh braking"},
    }  # fmt: skip
    return str(house.call("POST", f"/api/gallery/{device}/upload", body)["eventId"])


async def ask(house: House, method: str, path: str, **options: Any) -> Any:
    answer = await asyncio.to_thread(house.client.request, method, path, headers=house.headers, **options)
    return answer.status_code, answer.json()


async def test_a_clip_is_pulled_by_the_recorders_own_command(house: House) -> None:
    device = house.add_device("13900000071")
    event = registered(house, device, 90)
    async with driving(recorder(house, "13900000071")):
        await asyncio.to_thread(house.until, lambda: house.connected(device), "the vehicle connects")
        pulls = [ask(house, "POST", f"/api/gallery/{device}/pull/{event}?wait=50") for _ in range(5)]
        answers = await asyncio.gather(*pulls)
    assert {(status, body["success"], body["state"]) for status, body in answers} == {(200, True, "pulled")}
    (file,) = house.result("GET", f"/gw/devices/{device}/media")
    (shown,) = house.call("GET", f"/api/gallery/{device}/events")
    assert (shown["id"], shown["uuid"], shown["source"]) == (event, file["uuid"], "registered")
    assert (shown["size"], shown["has_thumbnail"]) == (file["size"], True)
    words = shown["metadata"]
    assert (words["why"], words["type"], words["duration"]) == (
        "harsh braking", "video", file["meta"]["duration"],
    )  # fmt: skip
    body = {"metadata": {"why": None, "trip": 1}}
    _, changed = await ask(house, "PATCH", f"/api/gallery/{device}/events/{event}", json=body)
    assert ("why" in changed["event"]["metadata"], changed["event"]["metadata"]["trip"]) == (False, 1)


async def test_a_pull_waits_for_a_recorder_that_is_away_and_outlives_a_restart(house: House) -> None:
    device = house.add_device("13900000072")
    event = registered(house, device, 120)
    status, body = await ask(house, "POST", f"/api/gallery/{device}/pull/{event}?wait=0")
    assert (status, body["success"], body["state"]) == (202, False, "queued")
    waiting = house.result("GET", f"/gw/devices/{device}/commands-queue/all")
    assert [(one["id"], one["name"]) for one in waiting] == [(body["commandId"], "request_video")]
    await asyncio.to_thread(house.kill)
    await asyncio.to_thread(house.start)
    async with driving(recorder(house, "13900000072")):
        _, body = await ask(house, "POST", f"/api/gallery/{device}/pull/{event}?wait=60")
    assert (body["success"], body["state"]) == (True, "pulled")
    stats = house.call("GET", f"/api/gallery/{device}/stats")
    assert (stats["total_events"], stats["stats"]["newEvents"], stats["by_type"]["video"]["count"]) == (1, 0, 1)
    await ask(house, "DELETE", f"/api/gallery/{device}/events/{event}")
    assert house.result("GET", f"/gw/devices/{device}/media") == []


async def test_a_canceled_command_fails_the_pull(house: House) -> None:
    device = house.add_device("13900000073")
    event = registered(house, device, 60)
    _, body = await ask(house, "POST", f"/api/gallery/{device}/pull/{event}?wait=0")
    house.result("DELETE", f"/gw/devices/{device}/commands-queue/{body['commandId']}")
    house.until(lambda: house.call("GET", f"/api/gallery/{device}/events/{event}")["state"] == "failed", "it failed")
    _, again = await ask(house, "POST", f"/api/gallery/{device}/pull/{event}?wait=0")
    assert again["state"] == "queued"
    _, gone = await ask(house, "DELETE", f"/api/gallery/{device}/events/{event}")
    assert gone == {"success": True}
    assert house.result("GET", f"/gw/devices/{device}/commands-queue/all") == []
