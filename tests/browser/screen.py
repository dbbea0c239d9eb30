"""What a viewer sees: a page in Chromium that can be asked whether its video plays, sounds and shows a picture."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageStat
from playwright.sync_api import Page

from e2e.house import House
from wayframe.simulator import SimulatedVehicle

# As root there is no sandbox to be had; QUIC and the GPU are not there at all.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--autoplay-policy=no-user-gesture-required"]
_WAIT_S = 30.0
_LOOK = """() => {
  const video = document.querySelector('video')
  if (!video) return null
  return {
    time: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames,
    width: video.videoWidth, height: video.videoHeight, duration: video.duration, poster: video.poster.slice(0, 200),
    sound: video.webkitAudioDecodedByteCount, paused: video.paused, error: video.error && video.error.message,
  }
}"""


def chromium_program() -> str | None:
    """The browser of this machine, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


@dataclass(frozen=True, slots=True)
class Road:
    """A server and the vehicle that drives for it."""

    house: House
    """The server."""
    device: int
    """Id of the vehicle's device."""
    vehicle: SimulatedVehicle
    """The vehicle, for what it counts."""

    def command(self, name: str, **properties: Any) -> Any:
        """The response of a real-time command that must be carried out."""
        body = [{"name": name, "properties": properties, "timeout": 60}]
        done = self.house.result("POST", f"/gw/devices/{self.device}/commands", body)[0]
        assert done["executed"] is True, done
        return done["response"]

    def clip(self, channel: int, seconds: int = 6) -> Any:
        """The file of a clip recorded a minute ago."""
        return self.command("request_video", channel=channel, **{"from": int(time.time()) - 60, "duration": seconds})

    def streams(self) -> list[dict[str, Any]]:
        """Connections that carry live video."""
        every = self.house.result("GET", f"/gw/devices/{self.device}/connections/all")
        return [connection for connection in every if connection["meta"]]

    def end_streams(self) -> None:
        """Stop all live video, as an application does: delete the connections."""
        for connection in self.streams():
            self.house.result("DELETE", f"/gw/devices/{self.device}/connections/{connection['id']}")
        self.house.until(lambda: not self.streams(), "the live streams end")

    def watch(self, file: Any) -> str:
        """Address of a link's page."""
        return f"{self.house.base}/watch/{file['uuid']}"


class Screen:
    """One viewer's page."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.complaints: list[str] = []
        """Errors on the console, content policy violations and failed loads included."""
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, url: str) -> None:
        """Go to an address."""
        self.page.goto(url)

    def until(self, look: Callable[[], Any], what: str) -> Any:
        """Ask again and again until the answer is true; the page lives on meanwhile."""
        deadline = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline:
            if found := look():
                return found
            self.page.wait_for_timeout(50)
        says = self.page.inner_text("body")
        raise AssertionError(f"{what}: not within {_WAIT_S:.0f} s; {self.video()}, {says!r}, {self.complaints}")

    def says(self, words: str) -> None:
        """Wait until the page says something."""
        self.until(lambda: words in self.page.inner_text("body"), f"the page says {words!r}")

    def video(self) -> dict[str, Any] | None:
        """What the video element tells of itself."""
        facts = self.page.evaluate(_LOOK)
        assert facts is None or isinstance(facts, dict)
        return facts

    def press_play(self) -> None:
        """Start the video, muted or not."""
        self.page.wait_for_selector("video", state="attached")
        self.page.evaluate("() => document.querySelector('video').play()")

    def plays(self, seconds: float = 2.0) -> dict[str, Any]:
        """Wait until the video has played for some seconds more, its frames decoded. Returns the last facts."""

        def playing_since(time_s: float, frames: int) -> dict[str, Any] | None:
            facts = self.video()
            assert facts is None or facts["error"] is None, facts
            return facts if facts and facts["time"] > time_s and facts["frames"] > frames else None

        first = self.until(lambda: playing_since(0, 0), "the video starts")
        # A third of the frames may fall behind on a machine that is busy.
        wanted = first["frames"] + int(seconds * 15 * 2 / 3)
        last = self.until(lambda: playing_since(first["time"] + seconds, wanted), "the video goes on")
        assert isinstance(last, dict)
        return last

    def sounds(self) -> None:
        """Wait until sound has been decoded."""
        self.until(lambda: (self.video() or {}).get("sound"), "sound is decoded")

    def shows_a_picture(self, name: str, selector: str = "video") -> None:
        """Look at the pixels on the screen: neither black nor of one colour. Keeps them as files."""
        self.page.screenshot(path=self.folder / f"{name}-page.png")
        shot = self.page.locator(selector).first.screenshot(path=self.folder / f"{name}.png")
        picture = Image.open(io.BytesIO(shot)).convert("L")
        # The middle: controls and captions lie at the edges.
        width, height = picture.size
        stat = ImageStat.Stat(picture.crop((width // 8, height // 8, width * 7 // 8, height * 3 // 4)))
        assert stat.mean[0] > 25 and stat.stddev[0] > 10, (
            f"{name}: mean {stat.mean[0]:.0f}, spread {stat.stddev[0]:.0f}"
        )
