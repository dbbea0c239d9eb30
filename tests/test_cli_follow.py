"""`wayframe devices`, `command`, `live`, `logs` and `tail` with a vehicle that drives."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from e2e.house import House, driving
from terminal_user import User
from wayframe.simulator import CameraConfig, Codec, VehicleConfig, VideoFormat

IDENT = "13900000001"
SMALL = VideoFormat(Codec.H264, 320, 180, 15, 200, 15)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house")).start()
    yield house
    house.close()


@pytest.fixture(scope="module")
def device(house: House) -> int:
    return house.add_device(IDENT)


@pytest.fixture(scope="module")
def vehicle(house: House, device: int) -> Iterator[int]:
    """The device, driving, with one camera."""
    config = VehicleConfig(
        ident=IDENT, port=house.ports["signalling"], cameras=(CameraConfig(1, SMALL, SMALL),), playback_pace=0.0,
        drives_off=True,
    )  # fmt: skip
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(driving(config)):
        house.until(lambda: house.connected(device), "the vehicle connects")
        yield device


@pytest.fixture
def user(house: House, tmp_path: Path) -> User:
    return User(house, tmp_path)


def register(house: House, device: int, *messages: dict[str, Any]) -> None:
    house.result("POST", f"/gw/devices/{device}/messages", list(messages))


def line(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_devices_are_listed_by_selector_and_fields(user: User, vehicle: int) -> None:
    (device,) = user.good("devices", f"configuration.ident={IDENT}", "--json").json
    assert (device["id"], device["connected"]) == (vehicle, True)
    rows = user.good("devices", "all", "--fields", "id,configuration.ident,nothing").out.splitlines()
    assert rows[0].split() == ["id", "configuration.ident", "nothing"]
    assert rows[1].split() == [str(vehicle), IDENT]
    speed = user.good("devices", str(vehicle), "--fields", "telemetry.position.speed").out.splitlines()[1]
    assert float(speed) >= 0, "the value alone; --json tells when it was measured, too"
    wrong = user.run("devices", "{id==")
    assert wrong.code == 1 and wrong.err.startswith("wayframe: ")


def test_a_command_is_sent_and_its_answer_awaited(user: User, vehicle: int) -> None:
    assert "take_photo" in user.good("command", "list", str(vehicle)).out
    sent = user.good("command", "send", str(vehicle), "take_photo", "--property", "channel=1", "--wait", "--json")
    (result,) = sent.json
    assert result["executed"] and len(result["response"]["uuid"]) == 64
    queued = user.good("command", "send", str(vehicle), "take_photo", "-p", "channel=1")
    assert queued.out.startswith("command ")
    unknown = user.run("command", "send", str(vehicle), "fly", "--wait")
    assert unknown.code == 1 and "fly" in unknown.err
    wrong = user.run("command", "send", str(vehicle), "take_photo", "-p", "channel=one")
    assert wrong.code == 1 and "channel" in wrong.err


def test_live_video_has_a_link_that_says_what_plays(user: User, vehicle: int) -> None:
    link, page = user.good("live", str(vehicle)).out.split()
    assert "/media/" in link and "/watch/" in page
    described = user.good("live", link).out.splitlines()
    assert "mediastream" in described[0] and described[1] == link
    assert user.good("live", link, "--json").json["mime"] == "application/x-mpegURL"
    refused = user.run("media", "get", link)
    assert refused.code == 1 and "live stream" in refused.err
    assert user.run("live", str(vehicle), "9").code == 1


def test_messages_are_followed_over_a_restart(house: House, user: User, tmp_path: Path) -> None:
    device = house.add_device("13900000007")
    register(house, device, {"timestamp": 1700000000, "step": 1}, {"timestamp": 1700000001, "step": 2})
    process = user.spawn("tail", "messages", str(device), "--json", "--count", "1", "--limit", "3")
    assert line(process)["step"] == 2
    register(house, device, {"timestamp": 1600000000, "step": 3})
    assert line(process)["step"] == 3, "what is older than the history, too"
    house.kill()
    house.start()
    house.until(lambda: len(house.logged("ready")) > 1, "the server is back")
    register(house, device, {"timestamp": 1700000003, "step": 4}, {"timestamp": 1700000004, "step": 5})
    out, err = process.communicate(timeout=60)
    assert [json.loads(text)["step"] for text in out.splitlines()] == [4, 5], err
    assert process.returncode == 0


def test_messages_are_followed_by_condition(house: House, user: User) -> None:
    device = house.add_device("13900000008")
    process = user.spawn(
        "tail", "messages", str(device), "--filter", "step>=2", "--limit", "1", "--count", "1", "--json"
    )
    house.until(
        lambda: any(
            found["client_id"].startswith("wayframe-cli") for found in house.result("GET", "/mqtt/sessions/all")
        ),
        "it listens",
    )
    register(house, device, {"timestamp": 1700000000, "step": 1}, {"timestamp": 1700000001, "step": 2})
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert [json.loads(text)["step"] for text in out.splitlines()] == [2]


def test_logs_are_read_and_followed(house: House, user: User) -> None:
    device = house.add_device("13900000009")
    (created,) = user.good("logs", str(device), "--json").json
    assert (created["event_code"], created["origin_id"]) == (1, device)
    assert f"  {device}  1 item created  " in user.good("logs", str(device)).out
    assert user.good("logs", str(device), "--to", "1h", "--json").json == []
    process = user.spawn("logs", "-f", str(device), "--json", "--limit", "1")
    assert line(process)["event_code"] == 1
    house.result("PUT", f"/gw/devices/{device}", {"name": "renamed"})
    assert line(process)["event_code"] == 2
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")


def test_who_may_not_follows_nothing(house: House, user: User, tmp_path: Path) -> None:
    stranger = User(house, tmp_path, key="z" * 64)
    assert "check --token" in stranger.run("tail", "messages").err
    entry = {"uri": "gw/devices", "methods": ["GET"]}
    body = [{"info": "reader", "ttl": 3600, "access": {"type": 2, "acl": [entry]}}]
    reader = User(house, tmp_path, key=house.result("POST", "/platform/tokens", body)[0]["key"])
    refused = reader.run("logs", "-f")
    assert refused.code == 1 and "subscribe over mqtt" in refused.err
    assert reader.good("logs", "--json").json
    assert user.run("logs", "99999").code == 1


@pytest.mark.parametrize(
    ("words", "found"), [("wayframe media ls {first}", "{device}"), ("wayframe command send {device} ta", "take_photo")]
)
def test_a_shell_completes_devices_and_their_commands(user: User, house: House, words: str, found: str) -> None:
    device = house.add_device(f"139000001{len(words)}", name="Blue truck")
    typed = words.format(device=device, first=str(device)[0])
    asked = {
        "_WAYFRAME_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)
    }  # fmt: skip
    program = str(Path(sys.executable).parent / "wayframe")
    for environment, known in ((user.environment, True), (user.environment | {"WAYFRAME_TOKEN": "z" * 64}, False)):
        done = subprocess.run(
            [program], env=environment | asked, cwd=user.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert (found.format(device=device) in done.stdout.split()) is known, done
        assert done.stderr == ""
