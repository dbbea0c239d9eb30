"""A recorder is asked for its list of recordings by itself, and what is new on it is pulled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from wayframe.simulator import CameraConfig, Codec, VehicleConfig, VideoFormat

from .house import House, driving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SMALL = VideoFormat(Codec.H264, 320, 180, 15, 200, 15)
IDENT = "13900000081"


def recorder(house: House) -> VehicleConfig:
    """Six minutes on its card, a minute a recording; what ended in the last two minutes may still grow."""
    return VehicleConfig(
        ident=IDENT, port=house.ports["signalling"], cameras=(CameraConfig(1, SMALL, SMALL),), report_s=2.0,
        playback_pace=0.0, drives_off=True, card_hours=0.1, card_segment_s=60,
    )  # fmt: skip


async def test_recordings_are_noted_and_pulled(house: House) -> None:
    device = house.add_device(IDENT)
    base = f"/api/gallery/{device}"

    def status() -> dict[str, Any]:
        found: dict[str, Any] = house.call("GET", f"{base}/status")["status"]
        return found

    def events() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = house.call("GET", f"{base}/events?sort=created")
        return found

    async def until(look: Any, what: str) -> Any:
        return await asyncio.to_thread(house.until, look, what, 60)

    house.call("POST", f"{base}/start", {"interval": 10, "autoPull": False, "supportedTypes": ["video"]})
    await until(lambda: status()["lastError"] == "the device is not connected", "a device that is away is an error")
    async with driving(recorder(house)):
        await until(lambda: house.connected(device), "the vehicle connects")
        await until(lambda: status()["lastRun"] and status()["lastError"] is None, "the next run works")
        noted = events()
        assert 3 <= len(noted) <= 5
        assert {(event["state"], event["source"], event["media_type"]) for event in noted} == {
            ("new", "harvest", "video")
        }
        about = noted[0]["metadata"]
        assert (about["channel"], about["duration"], about["from"] % 60) == (1, 60, 0)
        gone = noted[0]["id"]
        await asyncio.to_thread(house.call, "DELETE", f"{base}/events/{gone}")
        house.call("POST", f"{base}/start", {"interval": 10, "autoPull": True})
        wanted = {event["id"] for event in noted[1:]}
        await until(
            lambda: wanted <= {event["id"] for event in events() if event["state"] == "pulled"}, "they are pulled"
        )
        house.call("POST", f"{base}/stop")
    assert gone not in {event["id"] for event in events()}
    assert len({event["created"] for event in events()}) == len(events())
    files = house.result("GET", f"/gw/devices/{device}/media")
    assert {file["uuid"] for file in files} >= {event["uuid"] for event in events() if event["id"] in wanted}
    assert {file["meta"]["channel"] for file in files} == {1}


async def test_a_hooks_command_brings_forth_no_other(house: House) -> None:
    """A hook takes a photo for every new file; the photo is a new file too."""
    device = house.add_device(IDENT)
    photo = {"name": "take_photo", "properties": {"channel": 1}}
    hook = {"hookName": "look", "eventType": "after_event_created", "deviceId": device, "actionId": "command",
            "parameters": photo}  # fmt: skip
    assert house.call("POST", "/api/hooks", hook)["success"]

    def upload(name: str) -> None:
        files = {"event": (name, name.encode())}
        answer = house.client.post(
            f"/api/gallery/{device}/upload", data={"name": name}, files=files, headers=house.headers
        )
        assert answer.status_code == 200, answer.text

    def photos() -> int:
        return len(house.call("GET", f"/api/gallery/{device}/events?media_type=image"))

    async with driving(recorder(house)):
        await asyncio.to_thread(house.until, lambda: house.connected(device), "the vehicle connects")
        for number in (1, 2):  # what happens is told in order: the second photo comes after whatever the first brought
            await asyncio.to_thread(upload, f"{number}.txt")
            await asyncio.to_thread(house.until, lambda wanted=number: photos() >= wanted, "the photo comes", 60)
    done = house.result("GET", f"/gw/devices/{device}/commands-result/all")
    waiting = house.result("GET", f"/gw/devices/{device}/commands-queue/all")
    assert (photos(), len(done) + len(waiting)) == (2, 2)
