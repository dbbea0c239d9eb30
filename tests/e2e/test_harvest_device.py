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
