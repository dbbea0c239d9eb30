"""A recording by FTP through the front door: command, the vehicle's own FTP connections, files, preview, links."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import av
import pytest
from PIL import Image

from .house import House, driving, free_ports
from .test_main_road import command, get, online, recorder

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_a_vehicle_uploads_its_recordings(open_house: Callable[..., House]) -> None:
    house = open_house(ftp_port=free_ports(1)[0], public_device_host="localhost")
    device = house.add_device("13900000001")
    start = int(time.time()) - 120
    async with driving(recorder(house)) as vehicles:
        await online(house, device)
        # Longer than a file of the vehicle: it comes in two.
        span = {"from": start, "duration": 63}
        result = await command(house, device, "request_video", channel=1, method="ftp", **span)
        assert result["executed"] is True, result
        assert vehicles[0].stats.ftp_files == 2
    clip = result["response"]
    assert clip["meta"]["video_codec"] == "h264" and abs(clip["meta"]["duration"] - 60) < 0.5
    assert clip["created"] == start and clip["mime"] == "video/mp4"
    body = await get(f"{house.base}/media/{clip['uuid']}")
    with av.open(io.BytesIO(body.content)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 900
    preview = await get(f"{house.base}/media/{clip['uuid']}?preview=jpeg")
    assert Image.open(io.BytesIO(preview.content)).size[0] > 100
    files = house.until(
        lambda: [file for file in house.result("GET", f"/gw/devices/{device}/media") if "duration" in file["meta"]][1:],
        "the second file is described",
    )
    assert (files[0]["created"], files[0]["meta"]["command_id"]) == (start + 60, result["id"])


async def test_a_vehicle_that_cannot_reach_the_door_says_so(open_house: Callable[..., House]) -> None:
    nobody = free_ports(1)[0]
    house = open_house(ftp_port=free_ports(1)[0], public_ftp_port=nobody)
    device = house.add_device("13900000001")
    async with driving(recorder(house)):
        await online(house, device)
        span = {"from": int(time.time()) - 60, "duration": 4}
        result = await command(house, device, "request_video", channel=1, method="ftp", **span)
    assert result["executed"] is False
    assert f"ftp://127.0.0.1:{nobody}" in result["reason"], result
