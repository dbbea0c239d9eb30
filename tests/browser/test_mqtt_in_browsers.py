"""MQTT over secure WebSocket as browsers speak it: the documented example, and the page that shows the fleet."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Browser, expect, sync_playwright
from trusting import SecureHouse, served, trusting_browser

from e2e.house import driving
from e2e.test_mqtt_page import example
from wayframe.simulator import VehicleConfig

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_WEB = Path(__file__).parents[2] / "web"
_WAIT_MS = 30_000


@pytest.fixture(scope="module")
def browser(house: SecureHouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = trusting_browser(playwright, tmp_path_factory.mktemp("home"), house.authority)
        yield browser
        browser.close()


def test_the_documented_page_shows_a_message(house: SecureHouse, browser: Browser, tmp_path: Path) -> None:
    device = house.add_device("13900000009")
    (tmp_path / "index.html").write_text(example("html", house))
    shutil.copy(_WEB / "node_modules" / "mqtt" / "dist" / "mqtt.esm.js", tmp_path)
    stop = threading.Event()

    def report() -> None:
        while not stop.wait(0.5):
            house.result("POST", f"/gw/devices/{device}/messages", [{"timestamp": time.time(), "position.speed": 61}])

    thread = threading.Thread(target=report)
    thread.start()
    try:
        with served(tmp_path) as address:
            page = browser.new_page()
            page.goto(f"{address}/index.html")
            page.wait_for_function("document.getElementById('log').textContent !== ''", timeout=_WAIT_MS)
            message = json.loads(page.inner_text("#log"))
    finally:
        stop.set()
        thread.join()
    assert message["device.id"] == device


def test_the_fleet_page_shows_live_telemetry(house: SecureHouse, browser: Browser, tmp_path: Path) -> None:
    device = house.add_device("13900000001")
    config = VehicleConfig(ident="13900000001", port=house.ports["signalling"], report_s=1.0, drives_off=True)
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto(f"{house.at}/fleet#token={house.key}")
    row = page.locator(f"tr[data-device='{device}']")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(driving(config)):
        expect(row).to_contain_text("connected", timeout=_WAIT_MS)
        expect(row).to_contain_text("km/h", timeout=_WAIT_MS)
        before = row.inner_text()
        page.wait_for_function(
            "([id, before]) => document.querySelector(`tr[data-device='${id}']`).innerText !== before",
            arg=[device, before], timeout=_WAIT_MS,
        )  # fmt: skip
        page.screenshot(path=str(tmp_path / "fleet.png"))
        assert house.key not in page.url
    expect(row).to_contain_text("away", timeout=_WAIT_MS)
    assert complaints == []


def test_the_fleet_page_says_that_a_token_is_refused(house: SecureHouse, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{house.at}/fleet#token={'x' * 64}")
    expect(page.locator("#status")).to_contain_text("refuses this token", timeout=_WAIT_MS)
    page.fill("#token", house.key)
    page.click("button")
    expect(page.locator("#status")).to_contain_text("Live", timeout=_WAIT_MS)
