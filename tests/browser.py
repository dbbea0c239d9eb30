"""A page in headless Chromium for tests that ask it questions."""

from __future__ import annotations

import shutil
import time
from typing import Any

from playwright.sync_api import ConsoleMessage, Page, sync_playwright

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# As root there is no sandbox to be had; QUIC and the GPU are not there at all.
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--autoplay-policy=no-user-gesture-required"]
_WAIT_S = 30.0
_LOOK_MS = 50


def executable() -> str | None:
    """The browser of this machine, if there is one; nothing is downloaded."""
    return next((found for name in _PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    """One page."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        """Errors of the page since it was opened."""
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=executable(), args=_FLAGS)
        self._page: Page = self._browser.new_page(viewport={"width": 1000, "height": 800})
        self._page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self._page.on("console", self._said)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def open(self, url: str) -> None:
        """Load a page."""
        self.complaints.clear()
        self._page.goto(url)

    def value(self, expression: str) -> Any:
        """What an expression gives in the page."""
        return self._page.evaluate(expression)

    def until(self, expression: str) -> None:
        """Wait until an expression is true. Asked from here: the pages' content policy lets nothing ask inside."""
        deadline = time.monotonic() + _WAIT_S
        while not self.value(expression):
            assert time.monotonic() < deadline, f"{expression} never held; the page complains: {self.complaints}"
            self._page.wait_for_timeout(_LOOK_MS)

    def close(self) -> None:
        """End the browser."""
        self._browser.close()
        self._playwright.stop()
