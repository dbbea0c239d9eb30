"""docs/how-to/subscribe-with-mqtt.md: every example prints what a device reports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .house import House

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "subscribe-with-mqtt.md"
WAIT_S = 60.0


def example(language: str, house: House) -> str:
    """The page's example in a language, for this server."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None, f"the page has no example in {language}"
    text = found[1].replace("YOUR_TOKEN", house.key).replace("1883", str(house.ports["mqtt"]))
    return text.replace("9005", str(house.ports["https"]))


@pytest.fixture
def reporting(house: House) -> Iterator[int]:
    """A device that reports twice a second; its id."""
    device = house.add_device("13900000001")
    stop = threading.Event()

    def report() -> None:
        while not stop.wait(0.5):
            house.result("POST", f"/gw/devices/{device}/messages", [{"timestamp": time.time(), "position.speed": 61}])

    thread = threading.Thread(target=report)
    thread.start()
    yield device
    stop.set()
    thread.join()


def _shell(text: str, folder: Path) -> list[str]:
    return ["sh", "-c", text]


def _python(text: str, folder: Path) -> list[str]:
    return [sys.executable, "-c", text]


def _node(text: str, folder: Path) -> list[str]:
    return ["node", "--input-type=module", "-e", text]


def _c(text: str, folder: Path) -> list[str]:
    (folder / "subscribe.c").write_text(text)
    program = folder / "subscribe"
    subprocess.run(["cc", "-Wall", "-o", program, folder / "subscribe.c", "-lmosquitto"], check=True, timeout=WAIT_S)
    return [str(program)]


@pytest.mark.parametrize(
    ("language", "command"), [("sh", _shell), ("python", _python), ("js", _node), ("c", _c)], ids=lambda x: str(x)[:6]
)
def test_an_example_prints_a_message(
    house: House, reporting: int, tmp_path: Path, language: str, command: Callable[[str, Path], list[str]]
) -> None:
    arguments = command(example(language, house), tmp_path)
    done = subprocess.run(arguments, cwd=ROOT / "web", capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    message = json.loads(done.stdout)
    assert message["device.id"] == reporting and message["position.speed"] == 61
