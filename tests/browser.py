"""Headless Chromium, driven over its debugging pipe: nothing to install beside the browser itself."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

_COMMANDS_FD, _ANSWERS_FD = 3, 4
_WAIT_S = 20.0


def executable() -> str | None:
    """The browser, if there is one."""
    return next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )


class Browser:
    """One browser with one page."""

    def __init__(self, profile: Path) -> None:
        program = executable()
        assert program is not None
        commands, self._to_browser = _high_pipe()
        self._from_browser, answers = _high_pipe()

        def place() -> None:
            os.dup2(commands, _COMMANDS_FD)
            os.dup2(answers, _ANSWERS_FD)

        self._process = subprocess.Popen(
            [
                program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
                "--autoplay-policy=no-user-gesture-required", "--no-first-run",
                f"--user-data-dir={profile}", "about:blank",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(_COMMANDS_FD, _ANSWERS_FD), preexec_fn=place,
        )  # fmt: skip
        os.close(commands)
        os.close(answers)
        self._number = 0
        self._buffer = b""
        self._session = ""
        self.complaints: list[str] = []
        """Errors the page wrote, content policy violations included."""
        target = self._do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._do(f"{domain}.enable")

    def open(self, url: str) -> None:
        """Go to an address."""
        self._do("Page.navigate", url="about:blank")
        self.value("1")
        self.complaints.clear()
        self._do("Page.navigate", url=url)

    def value(self, script: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        done = self._do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def until(self, script: str) -> Any:
        """Wait until an expression is true; fails after 20 s with what the page shows."""
        turn = threading.Event()
        for _ in range(int(_WAIT_S / 0.05)):
            # What the page does not have yet is not true yet.
            if found := self.value(f"(() => {{ try {{ return {script} }} catch {{ return false }} }})()"):
                return found
            turn.wait(0.05)
        said = self.value("document.body.innerText")
        raise AssertionError(f"{script} never held; the page says {said!r}, and {self.complaints}")

    def screenshot(self) -> str:
        """The page as a PNG, base64."""
        return str(self._do("Page.captureScreenshot")["data"])

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(10)
        os.close(self._to_browser)
        os.close(self._from_browser)

    def _do(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._to_browser, json.dumps(command).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._number:
                assert "error" not in message, message["error"]
                result = message["result"]
                assert isinstance(result, dict)
                return result
            self._note(message)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = os.read(self._from_browser, 1 << 16)
            assert piece, "the browser ended"
            self._buffer += piece
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        assert isinstance(message, dict)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))


def _high_pipe() -> tuple[int, int]:
    """A pipe whose ends are out of the way of the numbers the browser wants."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
