"""The pages in a real browser: a clip, live streams, links that are gone, the API description."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image

from browser import Browser, executable
from camera import FPS, Camera
from inside import InsideHouse

WEB = Path(__file__).parents[2] / "src" / "wayframe" / "web"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        (executable() is None or not WEB.is_dir()) and os.environ.get("CI") != "true",
        reason="needs Chromium and the built pages (make)",
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    opened = Browser()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def device(house: InsideHouse) -> int:
    return house.device("watched")


@pytest.fixture
def streaming(house: InsideHouse, device: int, request: pytest.FixtureRequest) -> Iterator[Camera]:
    """A camera that films in real time until the test ends."""
    camera = Camera(house, device, getattr(request, "param", "hls"), seconds=40)
    camera.send(FPS * 2 + 1)
    camera.began = time.time() - camera.sent / FPS
    ended = threading.Event()

    def film() -> None:
        while not ended.wait(max(0.0, camera.began + camera.sent / FPS - time.time())):
            camera.send(1)

    filming = threading.Thread(target=film)
    filming.start()
    yield camera
    ended.set()
    filming.join()
    house.run(camera.end())


def clip(path: Path) -> bytes:
    """Four seconds of MP4."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=15)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        for index in range(60):
            out.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (320, 192), (index * 4, 80, 200)))))
        out.mux(stream.encode())
    return path.read_bytes()


def test_a_clip_plays_and_can_be_downloaded(house: InsideHouse, browser: Browser, device: int, tmp_path: Path) -> None:
    file = house.upload(device, clip(tmp_path / "c.mp4"), "clip one.mp4", type="video", meta={"channel": 2})
    browser.open(f"{house.url}/watch/{file['uuid']}")
    browser.until("document.querySelector('video')?.readyState >= 2")
    browser.value("document.querySelector('video').play()")
    browser.until("document.querySelector('video').currentTime > 0.2")
    assert browser.value("document.querySelector('video').videoWidth") == 320
    assert browser.value("document.querySelector('h1').textContent") == "clip one.mp4"
    assert "Camera 2" in browser.value("document.querySelector('#facts').textContent")
    assert browser.value("document.querySelector('#actions a').download") == "clip one.mp4"
    assert browser.value("document.querySelector('video').poster").endswith("?preview=jpeg")
    assert browser.complaints == []


@pytest.mark.parametrize("streaming", ["hls", "flv"], indirect=True)
def test_a_live_stream_plays_and_its_end_is_told(house: InsideHouse, browser: Browser, streaming: Camera) -> None:
    browser.open(f"{house.url}/watch/{streaming.session.uuid}")
    browser.until("document.querySelector('#status').textContent.startsWith('Live')")
    browser.until("document.querySelector('video').currentTime > 1")
    assert browser.value("document.querySelector('video').videoWidth") == 160
    assert browser.complaints == []
    house.run(streaming.end())
    browser.until("document.querySelector('#status').textContent.includes('has ended')")


def test_a_link_that_is_gone_says_so(house: InsideHouse, browser: Browser) -> None:
    browser.open(f"{house.url}/watch/{'A' * 64}")
    browser.until("document.querySelector('#status').textContent.includes('not here any more')")
    browser.open(f"{house.url}/watch/short")
    browser.until("document.querySelector('#status').textContent.includes('not complete')")


def test_a_file_that_is_not_shared_says_so(house: InsideHouse, browser: Browser, device: int) -> None:
    file = house.upload(device, b"secret", "s.bin")
    house.result("PUT", f"/gw/devices/{device}/media", {"uuid": file["uuid"], "shared": False})
    browser.open(f"{house.url}/watch/{file['uuid']}")
    browser.until("document.querySelector('#status').textContent.includes('not shared')")


def test_the_description_is_readable(house: InsideHouse, browser: Browser) -> None:
    browser.open(f"{house.url}/docs")
    browser.until("document.querySelectorAll('details').length > 40")
    browser.value("[...document.querySelectorAll('details')].forEach(part => part.open = true)")
    text = browser.value("document.body.innerText")
    for wanted in ("/gw/devices/{devices}/media", "DeviceBody", "Carry out commands now and wait"):
        assert wanted in text
    assert browser.complaints == []
