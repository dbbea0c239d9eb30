"""A server as a person runs it: `wayframe serve` in a folder of its own, worked with from the command line, stopped."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from e2e.house import free_ports
from wayframe.config import PORTS, env_name

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100"
    "c9fe92ef0000000049454e44ae426082"
)
"""A PNG of one red pixel."""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Serving:
    """A server that runs."""

    url: str
    env: dict[str, str]
    folder: Path
    process: subprocess.Popen[str]

    def wayframe(self, *arguments: str) -> str:
        """Run a command to its end; what it printed."""
        done = subprocess.run(
            [str(BIN / "wayframe"), *arguments], cwd=self.folder, env=self.env, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("node")
    ports = dict(zip((port.setting for port in PORTS), free_ports(len(PORTS)), strict=True))
    env = {name: value for name, value in os.environ.items() if not name.startswith("WAYFRAME_")}
    env |= {env_name(name): str(number) for name, number in ports.items()}
    url = f"http://127.0.0.1:{ports['http_port']}"
    env |= {"WAYFRAME_PUBLIC_URL": url, "PATH": f"{BIN}{os.pathsep}{env['PATH']}"}
    log = (folder / "log").open("w")
    process = subprocess.Popen([str(BIN / "wayframe"), "serve"], cwd=folder, env=env, stderr=log, stdout=log, text=True)
    try:
        _wait_until_answering(url, process, folder / "log")
        yield Serving(url, env, folder, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        log.close()


def _wait_until_answering(url: str, process: subprocess.Popen[str], log: Path) -> None:
    """Ask until the server answers: there is no event another process could wait for."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/auth/regions", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"no answer at {url}:\n{log.read_text()[-4000:]}")


def test_tokens_devices_and_uploads(serving: Serving) -> None:
    key = serving.wayframe("token", "create", "--info", "app").strip()
    assert re.fullmatch(r"[A-Za-z0-9]{64}", key)
    listed = json.loads(serving.wayframe("token", "list", "--json"))
    mine = next(item for item in listed if item["info"] == "app")

    device = json.loads(serving.wayframe("device", "add", "13800000009", "--name", "Van", "--json"))
    assert "13800000009" in serving.wayframe("device", "list")

    (serving.folder / "red.png").write_bytes(PICTURE)
    selector = "configuration.ident=13800000009"
    link = serving.wayframe("upload", "red.png", "--device", selector, "--created", "1775000000").strip()
    assert httpx.get(link).content == PICTURE
    answer = httpx.get(
        f"{serving.url}/gw/devices/{device['id']}/media", headers={"Authorization": f"FlespiToken {key}"}
    ).json()
    (stored,) = answer["result"]
    assert (stored["name"], stored["created"], stored["meta"]["type"]) == ("red.png", 1775000000, "image")

    serving.wayframe("token", "revoke", str(mine["id"]))
    refused = httpx.get(f"{serving.url}/gw/devices/all", headers={"Authorization": f"FlespiToken {key}"})
    assert refused.status_code == 401


def test_doctor_sees_the_running_node(serving: Serving) -> None:
    checks = json.loads(serving.wayframe("doctor", "--json"))
    assert [check for check in checks if check["state"] == "fail"] == []
    ports = [check for check in checks if check["name"].startswith("port ")]
    assert all("while the node runs" in check["found"] for check in ports)


def test_logs_name_no_key(serving: Serving) -> None:
    key = serving.wayframe("token", "create").strip()
    httpx.get(f"{serving.url}/gw/devices/all?token={key}", headers={"Authorization": f"Bearer {key}"})
    assert key not in (serving.folder / "log").read_text()


def test_the_quickstart_works_as_written(serving: Serving) -> None:
    """Every shell block of docs/quickstart.md, in order; only address and port are this server's."""
    text = (ROOT / "docs/quickstart.md").read_text()
    text = text.replace("http://localhost:8080", serving.url)
    _, _, token, by_command, by_curl, simulate, look, ask, result, media = re.findall(
        r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL
    )

    env = dict(serving.env)

    def shell(block: str) -> str:
        done = subprocess.run(
            ["bash", "-c", f"set -euo pipefail\n{block}"], cwd=serving.folder, env=env, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        return done.stdout

    env["URL"] = serving.url
    env["TOKEN"] = shell(f"{token}\necho $TOKEN").split()[-1]
    assert "is registered" in shell(by_command)
    assert '"id"' in shell(by_curl)
    vehicle = subprocess.Popen(
        shlex.split(f"{simulate} --port {serving.env['WAYFRAME_JT808_PORT']}"),
        executable=str(BIN / "wayframe"), cwd=serving.folder, env=serving.env,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _until(lambda: "connected" in shell(look) and "position.latitude" in shell(look))
        assert "request_video" in shell(ask)
        _until(lambda: '"executed": true' in shell(result))
        url = json.loads(shell(result))["url"]
        assert json.loads(shell(media))["url"] == url
        clip = httpx.get(url)
        assert (clip.status_code, clip.headers["content-type"], clip.content[4:8]) == (200, "video/mp4", b"ftyp")
        assert httpx.get(url, params={"preview": "jpeg"}).content[:3] == b"\xff\xd8\xff"
        assert httpx.get(url, params={"preview": "json"}).json()["meta"]["type"] == "video"
    finally:
        vehicle.terminate()
        vehicle.wait(15)


def _until(holds: Callable[[], bool]) -> None:
    """Ask as a person would, again and again, for at most a minute."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_it_stops_when_asked(serving: Serving) -> None:
    serving.process.send_signal(signal.SIGTERM)
    assert serving.process.wait(30) == 0
    lines = (serving.folder / "log").read_text().splitlines()
    assert any('"stopped"' in line for line in lines)


def test_a_taken_port_is_named_before_anything_is_opened(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        number = other.getsockname()[1]
        env = {**os.environ, **{env_name(port.setting): "0" for port in PORTS}, "WAYFRAME_HTTP_HOST": "127.0.0.1"}
        env |= {"WAYFRAME_DATA_DIR": str(tmp_path / "data"), "WAYFRAME_GALLERY_PORT": str(number)}
        done = subprocess.run(
            [str(BIN / "wayframe"), "serve"],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert f"wayframe: gallery_port {number}: taken by another program: stop what listens there" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()
