"""Chromium with pages that can be questioned, and servers with recorders on the road for it to look at.

What an application does can be looked at on a server that runs already, too: docs/how-to/watch-applications.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Browser, sync_playwright
from screen import FLAGS, Road, Screen, chromium_program
from trusting import Running, Secure, SecureHouse, trusting_browser

from e2e.house import House, driving
from wayframe.simulator import CameraConfig, Codec, VehicleConfig, VideoFormat

PLAYBACK_PACE = {"13900000001": 0.0, "13900000002": 1.0}
"""Idents of the recorders, and how fast they play back: 0 as fast as they can."""
SMALL = VideoFormat(Codec.H264, 480, 270, 15, 300, 15)
SMALL_HEVC = VideoFormat(Codec.H265, 480, 270, 15, 300, 15)
CAMERAS = (CameraConfig(1, SMALL, SMALL), CameraConfig(2, SMALL_HEVC, SMALL_HEVC))

_left_out = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options for looking at a server that runs already."""
    group = parser.getgroup("wayframe")
    group.addoption("--at", metavar="URL", help="drive this server instead of a new one, https://localhost:9005")
    group.addoption("--token", metavar="KEY", help="a master token of that server")
    group.addoption("--authority", metavar="FILE", help="its ca.pem")
    group.addoption("--screens", metavar="FOLDER", help="keep a picture of each step here")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests of this folder out where there is no Chromium; CI must have it."""
    here = Path(__file__).parent
    wanting = [item for item in items if item.path.is_relative_to(here)]
    if not wanting or chromium_program():
        return
    if os.environ.get("CI") == "true":
        raise pytest.UsageError(f"Chromium is not installed, and CI must run the {len(wanting)} tests that drive it")
    items[:] = [item for item in items if item not in wanting]
    config.hook.pytest_deselected(items=wanting)
    config.stash[_left_out] = len(wanting)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    count = config.stash.get(_left_out, 0)
    if count:
        terminalreporter.write_line(f"{count} tests need Chromium and were left out (apt-get install chromium)")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser of this machine; nothing is downloaded."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_screen(chromium: Browser, tmp_path: Path) -> Iterator[Callable[[], Screen]]:
    """Opens viewers who know nothing of each other."""
    contexts = []

    def open_one() -> Screen:
        contexts.append(chromium.new_context(viewport={"width": 900, "height": 720}))
        return Screen(contexts[-1].new_page(), tmp_path)

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture
def screen(open_screen: Callable[[], Screen]) -> Screen:
    """One viewer."""
    return open_screen()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureHouse]:
    """A server over TLS."""
    started = SecureHouse(tmp_path_factory.mktemp("house"))
    try:
        started.start()
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Secure]:
    """The server named by --at, or one of our own."""
    option = request.config.getoption
    at = option("--at", None)
    if not at:
        yield request.getfixturevalue("house")
        return
    key, authority = option("--token", None), option("--authority", None)
    if not key or not authority:
        raise pytest.UsageError("--at needs --token and --authority, too")
    running = Running(at.rstrip("/"), key, Path(authority))
    yield running
    running.client.close()


@pytest.fixture(scope="module")
def trusting(server: Secure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium that trusts the server's certificate."""
    with sync_playwright() as playwright:
        browser = trusting_browser(playwright, tmp_path_factory.mktemp("home"), server.authority)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def screens(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the pictures that are kept: the one named by --screens, or a temporary one."""
    named = request.config.getoption("--screens", None)
    folder = Path(named) if named else tmp_path_factory.mktemp("screens")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Road]]:
    """A server with two recorders on the road, each with an H.264 and an H.265 camera."""
    house = House(tmp_path_factory.mktemp("house"))
    try:
        house.start()
        devices = [house.add_device(ident) for ident in PLAYBACK_PACE]
        configs = [
            VehicleConfig(
                ident=ident, port=house.ports["signalling"], cameras=CAMERAS, name=f"Browser {ident[-1]}", report_s=2.0,
                playback_pace=pace, drives_off=True,
            )
            for ident, pace in PLAYBACK_PACE.items()
        ]  # fmt: skip
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(driving(*configs)) as vehicles:
            for device in devices:
                house.until(partial(house.connected, device), "the vehicle connects")
            yield [Road(house, device, vehicle) for device, vehicle in zip(devices, vehicles, strict=True)]
    finally:
        house.close()


@pytest.fixture
def road(roads: list[Road]) -> Road:
    """A recorder that hands its recordings over as fast as it can."""
    return roads[0]


@pytest.fixture
def patient_road(roads: list[Road]) -> Road:
    """A recorder that plays its recordings back at the speed of life."""
    return roads[1]
