"""Links of live streams, over a real socket: playlists, segments, parts, FLV, poster, description."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from camera import FPS, Camera
from inside import PUBLIC, InsideHouse, until


@pytest.fixture(scope="module")
def device(house: InsideHouse) -> int:
    return house.device("live")


@pytest.fixture
def camera(house: InsideHouse, device: int) -> Iterator[Camera]:
    made = Camera(house, device)
    yield made
    house.run(made.end())


def get(house: InsideHouse, path: str, **more: Any) -> httpx.Response:
    return house.ask("GET", path, key="", **more)


def addresses(house: InsideHouse, answer: httpx.Response) -> list[str]:
    """What a playlist lists, as a player resolves it."""
    lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    named = re.findall(r'URI="([^"]+)"', answer.text)
    return [urljoin(str(answer.url), address) for address in (*named, *lines)]


def test_the_plain_link_is_a_classic_playlist_whose_segments_are_there(house: InsideHouse, camera: Camera) -> None:
    camera.send(FPS * 4 + 1)
    answer = get(house, camera.path)
    assert answer.headers["content-type"].startswith("application/vnd.apple.mpegurl")
    assert answer.headers["cache-control"] == "no-cache"
    listed = addresses(house, answer)
    assert len(listed) >= 3
    for address in listed:
        segment = get(house, address)
        assert segment.headers["content-type"] == "video/mp2t"
        assert segment.content[0] == 0x47
    assert get(house, f"{camera.path}/none.ts").status_code == 404
    assert house.ask("HEAD", camera.path, key="").content == b""


def test_the_low_latency_playlist_lists_parts_that_are_there(house: InsideHouse, camera: Camera) -> None:
    camera.send(FPS * 3)
    answer = get(house, f"{camera.path}/ll.m3u8")
    assert "#EXT-X-PART:" in answer.text
    hint = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', answer.text)
    listed = [address for address in addresses(house, answer) if not address.endswith(hint[0])]
    for address in listed:
        piece = get(house, address)
        assert (piece.status_code, piece.headers["content-type"]) == (200, "video/mp4"), address


def test_a_low_latency_request_waits_for_what_it_names(house: InsideHouse, camera: Camera) -> None:
    camera.send(FPS * 3)
    first = get(house, f"{camera.path}/ll.m3u8").text
    number = int(re.findall(r"MEDIA-SEQUENCE:(\d+)", first)[0]) + first.count("#EXTINF") + 1
    answers: list[httpx.Response] = []
    asking = threading.Thread(
        target=lambda: answers.append(get(house, f"{camera.path}/ll.m3u8?_HLS_msn={number}&_HLS_part=0"))
    )
    asking.start()
    while asking.is_alive() and camera.sent < len(camera.units):
        camera.send(1)
        asking.join(0.01)
    asking.join(10)
    assert answers[0].status_code == 200
    assert f"-l{number}.0." in answers[0].text


@pytest.mark.parametrize("query", ["_HLS_msn=-1", "_HLS_msn=x", "_HLS_part=1", "_HLS_msn=999999"])
def test_a_wrong_low_latency_request_is_400(house: InsideHouse, camera: Camera, query: str) -> None:
    camera.send(FPS * 3)
    get(house, f"{camera.path}/ll.m3u8")
    assert get(house, f"{camera.path}/ll.m3u8?{query}").status_code == 400


def test_poster_and_description(house: InsideHouse, camera: Camera) -> None:
    camera.send(FPS * 2)
    poster = get(house, f"{camera.path}?preview=jpeg")
    assert poster.headers["content-type"] == "image/jpeg"
    assert poster.content.startswith(b"\xff\xd8")
    described = get(house, f"{camera.path}?preview=json").json()
    assert described["meta"]["type"] == "mediastream"
    assert (described["mime"], described["meta"]["channel"]) == ("application/x-mpegURL", 2)
    assert described["url"] == f"{PUBLIC}{camera.path}"
    assert described["preview"]["jpeg"]


def test_flv_flows_until_the_stream_ends(house: InsideHouse, device: int) -> None:
    camera = Camera(house, device, "flv")
    camera.send(FPS)
    received = bytearray()
    headers: list[httpx.Headers] = []

    def watch() -> None:
        with httpx.stream("GET", house.url + camera.path, timeout=20, trust_env=False) as answer:
            headers.append(answer.headers)
            for piece in answer.iter_raw():
                received.extend(piece)

    watching = threading.Thread(target=watch)
    watching.start()
    stream = camera.session.stream
    assert stream is not None
    until(lambda: stream.flv_viewers > 0)
    camera.send(FPS * 4)
    house.run(camera.end())
    watching.join(20)
    assert not watching.is_alive()
    assert headers[0]["content-type"] == "video/x-flv"
    assert received.startswith(b"FLV\x01")
    assert len(received) > 1000


def test_a_viewer_that_goes_away_is_let_go(house: InsideHouse, device: int) -> None:
    camera = Camera(house, device, "flv")
    camera.send(FPS)
    stream = camera.session.stream
    assert stream is not None
    with httpx.stream("GET", house.url + camera.path, timeout=20, trust_env=False):
        until(lambda: stream.flv_viewers > 0)
    until(lambda: stream.flv_viewers == 0)
    house.run(camera.end())


def test_an_ended_stream_says_so(house: InsideHouse, device: int) -> None:
    camera = Camera(house, device)
    camera.send(FPS * 3)
    house.run(camera.end())
    assert get(house, camera.path).text.rstrip().endswith("#EXT-X-ENDLIST")
