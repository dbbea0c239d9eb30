"""`wayframe demo` as somebody starts it who has just cloned the project: the links it prints show moving pictures."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from screen import Screen

from e2e.house import free_ports
from wayframe.config import PORTS

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_WAIT_S = 60.0
_LINK = re.compile(r"^ *(live|photo|clip) +(.+): (http://\S+/watch/[0-9A-F]{64})$", re.MULTILINE)


class Demo:
    """The demo's process and what it has printed."""

    def __init__(self, folder: Path) -> None:
        self.port = free_ports(1)[0]
        devices = tuple(port.setting for port in PORTS if port.setting != "http_port")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WAYFRAME_")}
        environment |= {f"WAYFRAME_{name.upper()}": "0" for name in devices}
        environment |= {"WAYFRAME_HTTP_PORT": str(self.port), "WAYFRAME_DATA_DIR": str(folder / "data")}
        environment["PYTHONUNBUFFERED"] = "1"
        self._output = folder / "demo.txt"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name("wayframe"), "demo"],
                stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=folder,
            )  # fmt: skip

    def said(self) -> str:
        """Everything it printed."""
        return self._output.read_text()

    def links(self, kind: str, count: int = 1) -> list[tuple[str, str]]:
        """Wait for links of a kind: what they show, and the address."""
        deadline = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline:
            found = [(what, link) for of, what, link in _LINK.findall(self.said()) if of == kind]
            if len(found) >= count:
                return found
            assert self.process.poll() is None, self.said()
            time.sleep(0.1)
        raise AssertionError(f"no {count} {kind} links within {_WAIT_S:.0f} s:\n{self.said()}")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    started = Demo(tmp_path_factory.mktemp("demo"))
    yield started
    if started.process.poll() is None:
        started.process.kill()
        started.process.wait()


def test_its_live_links_play_h265_at_the_device_included(demo: Demo, open_screen: Callable[[], Screen]) -> None:
    links = dict(demo.links("live", 2))
    bus = next(link for what, link in links.items() if "Bus" in what)
    van = next(link for what, link in links.items() if "Van" in what)  # its cameras speak nothing but H.265
    screens = {"bus": open_screen(), "van": open_screen()}
    for name, link in (("bus", bus), ("van", van)):
        screens[name].open(link)
    for name, screen in screens.items():
        screen.plays(3)
        screen.sounds()
        screen.shows_a_picture(f"demo-live-{name}")
        assert screen.complaints == []


def test_its_clips_play(demo: Demo, screen: Screen) -> None:
    screen.open(demo.links("clip")[0][1])
    screen.press_play()
    screen.plays(2)
    screen.shows_a_picture("demo-clip")
    assert screen.complaints == []


def test_its_photos_are_shown(demo: Demo, screen: Screen) -> None:
    screen.open(demo.links("photo")[0][1])
    screen.until(lambda: screen.page.evaluate("() => document.querySelector('#stage img')?.naturalWidth"), "it loads")
    screen.shows_a_picture("demo-photo", "#stage img")
    assert screen.complaints == []


def test_ctrl_c_ends_it_without_a_word(demo: Demo) -> None:
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(30) == 0
    assert "Traceback" not in demo.said() and '"error"' not in demo.said()
