"""Live and recorded video through the front door: channels at once, FLV, low latency, playback, the idle end."""

from __future__ import annotations

import asyncio
import io
import time
from typing import Any

import av
import httpx
import pytest

from wayframe.simulator import CameraConfig, Sound

from .house import House, driving
from .test_main_road import SMALL, command, get, online, recorder

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
TWO_CAMERAS = (CameraConfig(1, SMALL, SMALL), CameraConfig(2, SMALL, SMALL))
CARD_SEGMENT_S = 300


def pictures(data: bytes, form: str | None = None) -> int:
    """How many pictures decode."""
    with av.open(io.BytesIO(data), format=form) as container:
        return sum(1 for _ in container.decode(video=0))


async def gone(house: House, device: int) -> None:
    """Wait until no connection of the device carries a stream."""
    path = f"/gw/devices/{device}/connections/all"
    await asyncio.to_thread(
        house.until, lambda: not any(item["meta"] for item in house.result("GET", path)), "the streams end"
    )


async def test_two_channels_in_one_call(house: House) -> None:
    device = house.add_device("13900000001")
    body = [{"name": "start_videostream", "properties": {"channel": channel}, "timeout": 30} for channel in (1, 2)]
    async with driving(recorder(house, cameras=TWO_CAMERAS)):
        await online(house, device)
        results = await asyncio.to_thread(house.result, "POST", f"/gw/devices/{device}/commands", body)
        assert [result["executed"] for result in results] == [True, True], results
        links = {result["response"]["url"] for result in results}
        assert len(links) == 2
        for link in links:
            assert (
                "#EXTINF" in (await get(link.replace(house.result("GET", "/auth/regions")[0]["rest"], house.base))).text
            )


async def test_an_flv_stream_plays_with_sound(house: House) -> None:
    device = house.add_device("13900000001")
    async with driving(recorder(house, sound=Sound.AAC)):
        await online(house, device)
        result = await command(house, device, "start_videostream", channel=1, mediastream="flv")
        assert result["response"]["mediastream"] == "flv" and result["response"]["flv"] == result["response"]["url"]
        data = await asyncio.to_thread(_some_of, f"{house.base}/media/{result['response']['uuid']}", 120_000)
    with av.open(io.BytesIO(data), format="flv") as container:
        kinds = {stream.type for stream in container.streams}
        assert kinds == {"video", "audio"}


def _some_of(url: str, size: int) -> bytes:
    data = b""
    with httpx.stream("GET", url, timeout=30, trust_env=False) as answer:
        assert answer.headers["content-type"] == "video/x-flv"
        for piece in answer.iter_bytes():
            data += piece
            if len(data) >= size:
                break
    return data


async def test_the_low_latency_playlist_gives_parts_that_decode(house: House) -> None:
    device = house.add_device("13900000001")
    async with driving(recorder(house)):
        await online(house, device)
        result = await command(house, device, "start_videostream", channel=1)
        base = f"{house.base}/media/{result['response']['uuid']}"
        playlist = (await get(f"{base}/ll.m3u8")).text
        newest = [line for line in playlist.splitlines() if line.startswith("#EXT-X-PART:")][-1]
        assert "#EXT-X-PART-INF" in playlist and "CAN-BLOCK-RELOAD=YES" in playlist
        init = playlist.split('#EXT-X-MAP:URI="')[1].split('"')[0]
        first = (
            next(line for line in playlist.splitlines() if "INDEPENDENT=YES" in line).split('URI="')[1].split('"')[0]
        )
        data = (await get(f"{base}/{init}")).content + (await get(f"{base}/{first}")).content
        assert pictures(data, "mp4") >= 4, newest


async def test_a_stream_nobody_watches_ends_and_its_chunks_go(open_house: Any) -> None:
    house = open_house(live_idle_s=5, chunk_keep_s=5)
    device = house.add_device("13900000001")
    async with driving(recorder(house)) as vehicles:
        await online(house, device)
        result = await command(house, device, "start_videostream", channel=1)
        base = f"{house.base}/media/{result['response']['uuid']}"
        segment = next(line for line in (await get(base)).text.splitlines() if not line.startswith("#"))
        await gone(house, device)
        await asyncio.to_thread(house.until, lambda: not vehicles[0].live, "the device was told to stop")
        await asyncio.to_thread(
            house.until,
            lambda: httpx.get(f"{house.base}/media/{segment}", trust_env=False).status_code == 404,
            "the chunks go",
        )
    codes = [record["event_code"] for record in house.result("GET", f"/gw/devices/{device}/logs")]
    assert codes.index(340) < codes.index(341)


async def test_a_recording_is_watched_like_a_live_stream(house: House) -> None:
    device = house.add_device("13900000001")
    start = int(time.time()) - 100
    async with driving(recorder(house, playback_pace=1.0)):
        await online(house, device)
        result = await command(house, device, "playback_video", channel=1, **{"from": start, "duration": 30})
        assert result["executed"] is True, result
        playlist = (await get(f"{house.base}/media/{result['response']['uuid']}")).text
        shown = playlist.split("#EXT-X-PROGRAM-DATE-TIME:")[1].split("\n")[0]
        recorded = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(start))
        assert shown.startswith(recorded) or abs(start % 60 - 60) < 5, (shown, recorded)


async def test_a_clip_over_the_border_of_two_recordings_is_whole(house: House) -> None:
    device = house.add_device("13900000001")
    border = int(time.time()) // CARD_SEGMENT_S * CARD_SEGMENT_S
    async with driving(recorder(house, card_segment_s=CARD_SEGMENT_S)):
        await online(house, device)
        wanted = {"from": border - CARD_SEGMENT_S - 5, "duration": 12}
        result = await command(house, device, "request_video", channel=1, **wanted)
    assert result["executed"] is True, result
    assert abs(result["response"]["meta"]["duration"] - 12) < 0.5 and "partial" not in result["response"]["meta"]


async def test_properties_out_of_range_are_refused_by_name(house: House) -> None:
    device = house.add_device("13900000001")
    body = [{"name": "request_video", "properties": {"channel": 1, "from": 1760000000, "duration": 0}}]
    errors = house.call("POST", f"/gw/devices/{device}/commands-queue", body, status=400)["errors"]
    assert errors[0]["code"] == 2 and "duration" in errors[0]["reason"]
    unknown = house.call("POST", f"/gw/devices/{device}/commands-queue", [{"name": "fly"}], status=400)["errors"]
    assert "request_video" in unknown[0]["reason"]
