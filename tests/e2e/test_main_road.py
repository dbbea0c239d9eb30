"""The main job, through the front door: a recorder dials in, and its photos, clips and live video come out as links."""

from __future__ import annotations

import asyncio
import io
import time
from typing import Any

import av
import httpx
import pytest
from PIL import Image

from wayframe.simulator import CameraConfig, Codec, VehicleConfig, VideoFormat

from .house import House, driving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SMALL = VideoFormat(Codec.H264, 320, 180, 15, 200, 15)
SMALL_HEVC = VideoFormat(Codec.H265, 320, 180, 15, 200, 15)


def recorder(house: House, ident: str = "13900000001", **changes: Any) -> VehicleConfig:
    """A two-camera recorder that drives at once and plays back as fast as it can."""
    cameras = changes.pop("cameras", (CameraConfig(1, SMALL, SMALL), CameraConfig(2, SMALL_HEVC, SMALL_HEVC)))
    options = {"report_s": 2.0, "playback_pace": 0.0, "drives_off": True, "first_alarm_s": 1.0} | changes
    return VehicleConfig(ident=ident, port=house.ports["signalling"], cameras=cameras, **options)


async def command(house: House, device: int, name: str, timeout: float = 60, **properties: Any) -> dict[str, Any]:
    """A real-time command and its result."""
    body = [{"name": name, "properties": properties, "timeout": timeout}]
    return (await asyncio.to_thread(house.result, "POST", f"/gw/devices/{device}/commands", body))[0]


async def get(url: str, **options: Any) -> httpx.Response:
    """GET without a token, as a browser would."""
    return await asyncio.to_thread(httpx.get, url, timeout=30, trust_env=False, **options)


async def online(house: House, device: int) -> None:
    await asyncio.to_thread(house.until, lambda: house.connected(device), "the vehicle connects")


async def test_a_clip_on_request_becomes_a_link_that_plays(house: House) -> None:
    device = house.add_device("13900000001")
    start = int(time.time()) - 60
    async with driving(recorder(house)):
        await online(house, device)
        result = await command(house, device, "request_video", channel=1, **{"from": start, "duration": 10})
    assert result["executed"] is True, result
    clip = result["response"]
    assert clip["meta"]["video_codec"] == "h264" and abs(clip["meta"]["duration"] - 10) < 0.5
    assert clip["created"] == start
    body = await get(f"{house.base}/media/{clip['uuid']}")
    assert body.headers["content-type"] == "video/mp4"
    with av.open(io.BytesIO(body.content)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert 140 <= frames <= 160
    first = await get(f"{house.base}/media/{clip['uuid']}", headers={"Range": "bytes=0-99"})
    assert first.status_code == 206 and first.content == body.content[:100]
    preview = await get(f"{house.base}/media/{clip['uuid']}?preview=jpeg")
    assert Image.open(io.BytesIO(preview.content)).size[0] > 100
    listed = house.result("GET", f"/gw/devices/{device}/media")
    assert [file["uuid"] for file in listed] == [clip["uuid"]]
    messages = house.result("GET", f'/gw/devices/{device}/messages?data={{"filter":"media"}}')
    assert messages[0]["media.video.1"]["uuid"] == clip["uuid"] and messages[0]["timestamp"] == start


async def test_h265_comes_out_as_h264(house: House) -> None:
    device = house.add_device("13900000001")
    async with driving(recorder(house)):
        await online(house, device)
        result = await command(
            house, device, "request_video", channel=2, **{"from": int(time.time()) - 60, "duration": 4}
        )
    assert result["executed"] is True, result
    assert result["response"]["meta"]["video_codec"] == "h264"
    assert result["response"]["meta"]["source_codec"] == "h265"


async def test_a_photo_on_request(house: House) -> None:
    device = house.add_device("13900000001")
    async with driving(recorder(house)):
        await online(house, device)
        result = await command(house, device, "take_photo", channel=1)
    assert result["executed"] is True, result
    photo = await get(f"{house.base}/media/{result['response']['uuid']}")
    assert photo.headers["content-type"] == "image/jpeg"
    Image.open(io.BytesIO(photo.content)).verify()


async def test_live_video_plays_is_shared_and_stops(house: House) -> None:
    device = house.add_device("13900000001")
    async with driving(recorder(house)) as vehicles:
        await online(house, device)
        result = await command(house, device, "start_videostream", channel=1)
        assert result["executed"] is True, result
        uuid = result["response"]["uuid"]
        again = await command(house, device, "start_videostream", channel=1)
        assert again["response"]["uuid"] == uuid
        assert vehicles[0].stats.live_streams == 1
        playlist = await get(f"{house.base}/media/{uuid}")
        assert playlist.headers["content-type"] == "application/vnd.apple.mpegurl"
        segment = next(line for line in playlist.text.splitlines() if not line.startswith("#"))
        data = await get(f"{house.base}/media/{segment}")
        with av.open(io.BytesIO(data.content), format="mpegts") as container:
            assert sum(1 for _ in container.decode(video=0)) >= 10
        poster = await get(f"{house.base}/media/{uuid}?preview=jpeg")
        assert poster.status_code == 200 and poster.content[:2] == b"\xff\xd8"
        connections = house.result("GET", f"/gw/devices/{device}/connections/all")
        live = next(item for item in connections if item["meta"])
        assert live["meta"]["mediastream"]["uuid"] == uuid and live["secondary"] is True
        house.result("DELETE", f"/gw/devices/{device}/connections/{live['id']}")
        await asyncio.to_thread(
            house.until,
            lambda: not any(item["meta"] for item in house.result("GET", f"/gw/devices/{device}/connections/all")),
            "the stream's connection goes",
        )


async def test_live_h265_is_converted_within_the_limit_and_refused_beyond(house: House) -> None:
    device = house.add_device("13900000001")
    cameras = (CameraConfig(1, SMALL_HEVC, SMALL_HEVC), CameraConfig(2, SMALL_HEVC, SMALL_HEVC))
    async with driving(recorder(house, cameras=cameras)):
        await online(house, device)
        first = await command(house, device, "start_videostream", channel=1)
        assert first["executed"] is True, first
        playlist = await get(f"{house.base}/media/{first['response']['uuid']}")
        assert playlist.status_code == 200
        second = await command(house, device, "start_videostream", channel=2)
        assert second["executed"] is False and "conver" in second["reason"], second


async def test_recordings_are_listed(house: House) -> None:
    device = house.add_device("13900000001")
    now = int(time.time())
    async with driving(recorder(house)):
        await online(house, device)
        result = await command(house, device, "video_timeline", **{"from": now - 7200, "to": now, "channel": 1})
    assert result["executed"] is True, result
    timeline = result["response"]
    assert timeline and all(item["channel"] == 1 and item["begin"] < item["end"] for item in timeline)


async def test_an_alarm_brings_its_pictures_and_clips(house: House) -> None:
    device = house.add_device("13900000001")
    path = f'/gw/devices/{device}/messages?data={{"filter":"media"}}'
    async with driving(recorder(house, alarm_every_s=60.0)):
        await online(house, device)
        messages = await asyncio.to_thread(
            house.until,
            lambda: len(found := house.result("GET", path)) >= 5 and found,
            "the alarm's five files arrive",
        )
    kinds = [file["meta"]["type"] for file in house.result("GET", f"/gw/devices/{device}/media")]
    assert kinds.count("image") == 3 and kinds.count("video") == 1
    assert all(any(name.startswith(("adas.", "dsm.")) for name in message) for message in messages)
    assert sum(any(name.startswith("media.image.") for name in message) for message in messages) == 3


async def test_reports_become_messages_and_telemetry(house: House) -> None:
    device = house.add_device("13900000001")
    async with driving(recorder(house, report_s=0.5)):
        await online(house, device)
        messages = await asyncio.to_thread(
            house.until,
            lambda: len(found := house.result("GET", f"/gw/devices/{device}/messages")) >= 3 and found,
            "reports arrive",
        )
    assert {"timestamp", "server.timestamp", "ident", "device.id", "channel.id", "protocol.id", "peer"} <= set(
        messages[0]
    )
    telemetry = house.result("GET", f"/gw/devices/{device}/telemetry/position.latitude,position")[0]["telemetry"]
    assert telemetry["position"]["value"]["latitude"] == telemetry["position.latitude"]["value"]


async def test_a_queued_clip_waits_for_the_vehicle(house: House) -> None:
    device = house.add_device("13900000001")
    body = [
        {
            "name": "request_video",
            "properties": {"channel": 1, "from": int(time.time()) - 60, "duration": 3},
            "ttl": 600,
        }
    ]
    queued = house.result("POST", f"/gw/devices/{device}/commands-queue", body)[0]
    assert house.result("GET", f"/gw/devices/{device}/commands-queue/{queued['id']}")[0]["name"] == "request_video"
    async with driving(recorder(house)):
        found = await asyncio.to_thread(
            house.until,
            lambda: house.result("GET", f"/gw/devices/{device}/commands-result"),
            "the queued command is carried out",
            60,
        )
    assert found[0]["id"] == queued["id"] and found[0]["executed"] is True, found
    assert house.result("GET", f"/gw/devices/{device}/commands-queue/all") == []
    codes = [record["event_code"] for record in house.result("GET", f"/gw/devices/{device}/logs")]
    for earlier, later in ((330, 335), (335, 24), (24, 331)):
        assert codes.index(earlier) < codes.index(later)


async def test_an_unknown_ident_is_refused_and_the_log_says_what_to_create(house: House) -> None:
    async with driving(recorder(house, "13900000077")):
        channel = house.result("GET", "/gw/channels/all")[0]["id"]
        record = await asyncio.to_thread(
            house.until,
            lambda: [item for item in house.result("GET", f"/gw/channels/{channel}/logs") if item["event_code"] == 104],
            "the refusal is logged",
        )
    assert "13900000077" in record[0]["error_text"] and "POST /gw/devices" in record[0]["error_text"]


async def test_unknown_idents_are_created_where_the_channel_says_so(open_house: Any) -> None:
    house = open_house(unknown_idents="create")
    async with driving(recorder(house, "13900000078")):
        found = await asyncio.to_thread(
            house.until,
            lambda: house.result("GET", "/gw/devices/configuration.ident=13900000078?fields=id,connected"),
            "the device is created",
        )
    assert found
