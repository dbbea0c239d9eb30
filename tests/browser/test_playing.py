"""Every kind of link, played in a real browser: frames advance, sound decodes, the picture is there, no error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from screen import Road, Screen

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HLS_JS = Path(__file__).parents[2] / "web" / "node_modules" / "hls.js" / "dist" / "hls.min.js"
BARE_PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>bare</title>
<video muted autoplay playsinline style="width:480px"></video>"""
PLAY_WITH_HLS_JS = """link => {
  const hls = new Hls({ lowLatencyMode: false })
  hls.on(Hls.Events.ERROR, (_event, data) => { if (data.fatal) console.error(data.details) })
  hls.loadSource(link)
  hls.attachMedia(document.querySelector('video'))
}"""


@pytest.fixture
def live(road: Road) -> Iterator[Callable[..., dict[str, str]]]:
    """Starts live streams; they end with the test."""
    yield lambda channel, **properties: road.command("start_videostream", channel=channel, **properties)
    road.end_streams()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """Address of somebody else's page, on another origin, with a video element and hls.js."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "index.html").write_text(BARE_PAGE)
    (folder / "hls.js").write_bytes(HLS_JS.read_bytes())

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.mark.parametrize("channel", [1, 2], ids=["h264", "from-h265"])
def test_a_clip_plays_with_sound(road: Road, screen: Screen, channel: int) -> None:
    clip = road.clip(channel)
    assert clip["meta"]["video_codec"] == "h264"
    screen.open(road.watch(clip))
    screen.press_play()
    facts = screen.plays()
    assert (facts["width"], facts["height"]) == (480, 270)
    assert abs(facts["duration"] - 6) < 0.5
    assert facts["poster"].endswith("?preview=jpeg")
    screen.sounds()
    screen.shows_a_picture(f"clip-{channel}")
    assert screen.complaints == []


def test_a_clip_can_be_wound(road: Road, screen: Screen) -> None:
    screen.open(road.watch(road.clip(1, seconds=10)))
    screen.press_play()
    screen.plays(0.5)
    screen.page.evaluate("() => { document.querySelector('video').currentTime = 7 }")
    screen.until(lambda: (screen.video() or {})["time"] > 7.5, "it plays from second 7")
    assert screen.complaints == []


def test_a_clip_waits_behind_its_poster(road: Road, screen: Screen) -> None:
    screen.open(road.watch(road.clip(1)))
    screen.until(lambda: (screen.video() or {}).get("width"), "the clip is known")
    size = screen.page.evaluate(
        "async () => { const poster = new Image(); poster.src = document.querySelector('video').poster;"
        " await poster.decode(); return [poster.naturalWidth, poster.naturalHeight] }"
    )
    assert size[0] > 100 and size[1] > 50
    screen.shows_a_picture("poster")
    facts = screen.video()
    assert facts is not None and facts["paused"] and facts["time"] == 0
    assert screen.complaints == []


def test_a_photo_is_shown(road: Road, screen: Screen) -> None:
    photo = road.command("take_photo", channel=1)
    screen.open(road.watch(photo))
    width = screen.until(
        lambda: screen.page.evaluate("() => document.querySelector('#stage img')?.naturalWidth"), "the photo loads"
    )
    assert width == photo["meta"]["width"]
    screen.shows_a_picture("photo", "#stage img")
    assert screen.complaints == []


def test_two_cameras_live_at_once(
    road: Road, live: Callable[..., dict[str, str]], open_screen: Callable[[], Screen]
) -> None:
    screens = [open_screen(), open_screen()]
    for channel, screen in enumerate(screens, 1):
        screen.open(road.watch(live(channel)))
    for channel, screen in enumerate(screens, 1):
        facts = screen.plays(4)
        assert (facts["width"], facts["height"]) == (480, 270)
        screen.sounds()
        screen.shows_a_picture(f"live-{channel}")
        screen.says("Live ·")
        assert screen.complaints == []


def test_a_stream_asked_for_as_flv_plays_on_its_page(
    road: Road, live: Callable[..., dict[str, str]], screen: Screen
) -> None:
    stream = live(1, mediastream="flv")
    assert stream["flv"] == stream["url"]
    screen.open(road.watch(stream))
    screen.plays(3)
    screen.sounds()
    screen.shows_a_picture("live-flv")
    assert screen.complaints == []


def test_a_recording_plays_back_as_a_stream(patient_road: Road, screen: Screen) -> None:
    stream = patient_road.command("playback_video", channel=1, **{"from": int(time.time()) - 120, "duration": 60})
    screen.open(patient_road.watch(stream))
    screen.plays(3)
    screen.shows_a_picture("playback")
    assert screen.complaints == []
    patient_road.end_streams()


def test_the_plain_link_plays_with_hls_js_on_somebody_elses_page(
    road: Road, live: Callable[..., dict[str, str]], screen: Screen, elsewhere: str
) -> None:
    stream = live(1)
    screen.open(elsewhere)
    screen.page.add_script_tag(url="hls.js")
    screen.page.evaluate(PLAY_WITH_HLS_JS, stream["url"])
    screen.plays(8)  # longer than the playlist at the start: it goes on with what is new
    screen.sounds()
    screen.shows_a_picture("plain-hls-js")
    assert screen.complaints == []


def test_the_plain_link_plays_in_a_browser_that_knows_hls(
    road: Road, live: Callable[..., dict[str, str]], screen: Screen, elsewhere: str
) -> None:
    screen.open(elsewhere)
    if not screen.page.evaluate("() => document.querySelector('video').canPlayType('application/vnd.apple.mpegurl')"):
        pytest.skip("this Chromium plays HLS only through scripts")
    link = live(1)["url"]
    # Chromium's own player gives up on a live playlist that lists fewer than three segments.
    road.house.until(lambda: road.house.client.get(link).text.count("#EXTINF") >= 3, "the playlist grows")
    screen.page.evaluate("link => { document.querySelector('video').src = link }", link)
    screen.press_play()
    screen.plays(4)
    screen.shows_a_picture("plain-native")
    assert screen.complaints == []


def test_viewers_share_one_stream_of_the_device(
    road: Road, live: Callable[..., dict[str, str]], open_screen: Callable[[], Screen]
) -> None:
    before = road.vehicle.stats.live_streams
    stream = live(1)
    screens = [open_screen() for _ in range(3)]
    for screen in screens:
        screen.open(road.watch(stream))
    for screen in screens:
        screen.plays(2)
        assert screen.complaints == []
    assert live(1)["uuid"] == stream["uuid"]
    assert road.vehicle.stats.live_streams == before + 1
    assert len(road.streams()) == 1
    screens[0].page.close()
    screens[1].plays(2)


def test_a_stream_that_is_stopped_says_so_to_who_watches_and_who_comes_late(
    road: Road, live: Callable[..., dict[str, str]], screen: Screen
) -> None:
    stream = live(1)
    screen.open(road.watch(stream))
    screen.plays(1)
    road.end_streams()
    screen.says("The live stream has ended.")
    screen.open(road.watch(stream))  # its last pieces are kept for a while
    screen.says("The live stream has ended.")


def test_a_deleted_clip_and_a_link_nobody_made_say_so(road: Road, screen: Screen) -> None:
    clip = road.clip(1)
    screen.open(road.watch(clip))
    screen.until(lambda: (screen.video() or {}).get("width"), "the clip is known")
    road.house.result("DELETE", f"/gw/devices/{road.device}/media", {"uuid": clip["uuid"]})
    for uuid in (clip["uuid"], "F" * 64):
        screen.open(road.watch({"uuid": uuid}))
        screen.says("not here any more")


def test_the_api_description_is_shown(road: Road, screen: Screen) -> None:
    screen.open(f"{road.house.base}/docs")
    screen.says("/gw/devices")
    assert screen.page.locator("details").count() > 40
    screen.page.screenshot(path=screen.folder / "docs.png")
    assert screen.complaints == []
