"""Harvests over SFTP: a real OpenSSH server whose files are found, listed by it, and pulled by themselves."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host_device import HostDevice
from PIL import Image

from inside import InsideHouse, until
from receiver import Receiver
from sshd import Sshd

EVERY = {"interval": 10, "autoPull": False}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideHouse]:
    made = InsideHouse(tmp_path_factory.mktemp("house"), pull_networks="127.0.0.1/32", private_destinations="127.0.0.1")
    yield made
    made.close()


class Device(HostDevice):
    """One that is harvested."""

    def start(self, **body: Any) -> None:
        answer = self.ask("POST", "/start", EVERY | body)
        assert (answer.status_code, answer.json()) == (200, {"success": True})

    def status(self) -> dict[str, Any]:
        answer = self.ask("GET", "/status").json()
        assert ({*answer}, answer["success"]) == ({"success", "status"}, True)
        found: dict[str, Any] = answer["status"]
        assert {*found} == {"status", "isProcessing", "lastRun", "lastError", "nextRun"}
        return found

    def again(self, **body: Any) -> dict[str, Any]:
        """The status after another run: to start again looks again at once."""
        before = self.status()["lastRun"]
        self.start(**body)
        until(lambda: self.status()["lastRun"] != before)
        return self.status()


def picture() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (900, 600), (20, 120, 40)).save(target, "JPEG")
    return target.getvalue()


# --- start, stop, status ---


def test_what_is_new_is_noted_and_pulled(house: InsideHouse, host: Sshd, files: Path) -> None:
    (files / "a.mp4").write_bytes(b"clip" * 100)
    device = Device(house, host, files)
    assert device.status() == {
        "status": "stopped", "isProcessing": False, "lastRun": None, "lastError": None, "nextRun": None
    }  # fmt: skip
    device.start()
    until(lambda: device.status()["lastRun"] is not None)
    status = device.status()
    assert (status["status"], status["isProcessing"], status["lastError"]) == ("running", False, None)
    assert status["nextRun"] > status["lastRun"]
    assert device.events()["a.mp4"]["state"] == "new"
    # Auto-pull is for every new event, not only for those of its own runs.
    (files / "b.mp4").write_bytes(b"other")
    device.again(autoPull=True)
    until(lambda: [event["state"] for event in device.events().values()] == ["pulled", "pulled"])
    assert device.ask("POST", "/stop").json() == {"success": True}
    stopped = device.status()
    assert (stopped["status"], stopped["nextRun"]) == ("stopped", None)
    assert stopped["lastRun"] is not None
    assert device.ask("POST", "/stop").json() == {"success": True}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"autoPull": True}, "interval"),
        ({"interval": 60}, "autoPull"),
        ({"interval": 9.9, "autoPull": True}, "interval"),
        ({"interval": 86401, "autoPull": True}, "interval"),
        ({"interval": "60", "autoPull": True}, "interval"),
        ({"interval": True, "autoPull": True}, "interval"),
        ({"interval": 60, "autoPull": "yes"}, "autoPull"),
        ({"interval": 60, "autoPull": True, "supportedTypes": ["movie"]}, "supportedTypes"),
        ({"interval": 60, "autoPull": True, "generateThumbnails": 1}, "generateThumbnails"),
        ({"interval": 60, "autoPull": True, "often": 1}, "often"),
    ],
)
def test_a_wrong_start_names_its_field(
    house: InsideHouse, host: Sshd, files: Path, body: dict[str, Any], word: str
) -> None:
    device = Device(house, host, files)
    answer = device.ask("POST", "/start", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert word in answer.json()["error"]
    assert device.status()["status"] == "stopped"


def test_only_the_types_that_are_wanted(house: InsideHouse, host: Sshd, files: Path) -> None:
    for name in ("a.jpg", "b.mp4", "c.txt"):
        (files / name).write_bytes(b"x")
    device = Device(house, host, files)
    device.start(supportedTypes=["image", "video"])
    until(lambda: device.status()["lastRun"] is not None)
    assert {*device.events()} == {"a.jpg", "b.mp4"}


def test_what_was_deleted_does_not_come_back(house: InsideHouse, host: Sshd, files: Path) -> None:
    (files / "a.mp4").write_bytes(b"x")
    device = Device(house, host, files)
    device.start()
    until(lambda: bool(device.events()))
    assert device.ask("DELETE", f"/events/{device.events()['a.mp4']['id']}").json() == {"success": True}
    (files / "b.mp4").write_bytes(b"x")
    assert device.again()["lastError"] is None
    assert {*device.events()} == {"b.mp4"}


def test_a_device_that_is_away_is_an_error_until_it_is_back(house: InsideHouse, host: Sshd, files: Path) -> None:
    (files / "a.mp4").write_bytes(b"x")
    device = Device(house, host, files)
    host.stop()
    device.start()
    until(lambda: device.status()["lastError"] is not None)
    assert "does not answer" in device.status()["lastError"]
    assert device.status()["status"] == "running"
    host.start()
    assert device.again()["lastError"] is None
    assert {*device.events()} == {"a.mp4"}


def test_a_device_with_nothing_to_look_at_says_so(house: InsideHouse) -> None:
    base = f"/api/gallery/{house.device('nothing to see')}"
    assert house.ask("POST", f"{base}/start", EVERY).json() == {"success": True}
    until(lambda: house.ask("GET", f"{base}/status").json()["status"]["lastError"] is not None)
    assert "no host" in house.ask("GET", f"{base}/status").json()["status"]["lastError"]


def test_a_device_that_is_disabled_is_left_alone(house: InsideHouse, host: Sshd, files: Path) -> None:
    (files / "a.mp4").write_bytes(b"x")
    device = Device(house, host, files)
    house.result("PUT", f"/gw/devices/{device.id}", {"enabled": False})
    device.start(autoPull=True)
    until(lambda: device.status()["lastError"] is not None)
    assert "disabled" in device.status()["lastError"]
    assert device.events() == {}
    house.result("PUT", f"/gw/devices/{device.id}", {"enabled": True})
    assert device.again()["lastError"] is None


def test_an_event_without_a_source_does_not_stop_the_others(house: InsideHouse, host: Sshd, files: Path) -> None:
    device = Device(house, host, files)
    registered = house.ask("POST", f"{device.base}/upload", {"name": "/etc/x.mp4"},
                           headers={"Content-Type": "application/json"}).json()  # fmt: skip
    (files / "a.mp4").write_bytes(b"x")
    device.start(autoPull=True)
    until(lambda: "a.mp4" in device.events() and device.events()["a.mp4"]["state"] == "pulled")
    stray = device.ask("GET", f"/events/{registered['eventId']}").json()
    assert stray["state"] == "failed"
    assert "cannot be pulled" in stray["error"]


def test_a_harvest_outlives_a_restart(tmp_path: Path, host: Sshd, files: Path) -> None:
    house = InsideHouse(tmp_path / "house", pull_networks="127.0.0.1/32")
    device = Device(house, host, files)
    device.start(supportedTypes=["video"])
    until(lambda: device.status()["lastRun"] is not None)
    key, last = house.key, device.status()["lastRun"]
    house.close()
    (files / "late.mp4").write_bytes(b"x")
    (files / "late.txt").write_bytes(b"x")
    device.house = house = InsideHouse(tmp_path / "house", pull_networks="127.0.0.1/32")
    try:
        house.key = key
        assert (device.status()["status"], device.status()["lastRun"]) == ("running", last)
        until(lambda: device.status()["lastRun"] != last)  # ten seconds after the run before
        assert {*device.events()} == {"late.mp4"}
        house.result("DELETE", f"/gw/devices/{device.id}")
        assert device.ask("GET", "/status").status_code == 404
    finally:
        house.close()


def test_who_may(house: InsideHouse, host: Sshd, files: Path) -> None:
    device = Device(house, host, files)

    def token(*submodules: str) -> str:
        acl = {"uri": "gw/devices", "methods": ["GET"], "ids": [device.id],
               "submodules": [{"name": name, "methods": ["GET", "POST"]} for name in submodules]}  # fmt: skip
        return house.token({"type": 2, "acl": [acl]})

    media, both = token("media"), token("media", "commands-queue")
    assert house.ask("POST", f"{device.base}/start", EVERY, key=media).status_code == 403
    assert house.ask("POST", f"{device.base}/start", EVERY, key=both).status_code == 200
    assert house.ask("GET", f"{device.base}/status", key=media).status_code == 200
    assert house.ask("POST", f"{device.base}/stop", key=token("commands-queue")).status_code == 403
    assert house.ask("POST", f"{device.base}/stop", key=media).status_code == 200
    port = house.node.doors["gallery_port"].port
    for url in (f"{house.url}/studio{device.base}/status", f"http://127.0.0.1:{port}{device.base}/status"):
        assert house.ask("GET", url).json()["status"]["status"] == "stopped"
        assert house.ask("GET", url, key="").status_code == 401


# --- lists that the host makes ---

HOSTILE = ("$(id).mp4", "quo'te\".mp4", "back`tick`.mp4", "; rm -rf *.mp4", "𝄞 clip 🚗.mp4", "-rf.mp4")


def lines(files: Path) -> bytes:
    """A list with everything that can be wrong in it, between lines that are right."""
    good = [f"{files}/{name}\t\t4\t{{}}" for name in HOSTILE]
    bad = [
        "", "\t\t\t", "relative.mp4", f"{files}/../outside.mp4", f"{files}//double.mp4", "/etc/passwd", f"{files}",
        f"{files}/.hidden", f"{files}/r\u202ecod.mp4", f"{files}/nul\0.mp4", f"{files}/{'x' * 300}.mp4",
        f"{files}/" + "y/" * 600 + "deep.mp4",
    ]  # fmt: skip
    half = [
        f"{files}/size.mp4\t\tmany", f"{files}/about.mp4\t\t5\t{{broken", f"{files}/time.mp4\t\t5\t"
        + json.dumps({"timestamp": "never"}), f"{files}/only.mp4", f"{files}/only.mp4\t\t9",
        f"{files}/told.mp4\t\t7\t" + json.dumps({"timestamp": 1_700_000_000, "why": "a\tb", "channel": 1,
                                                  "duration": 5}),
    ]  # fmt: skip
    return "\n".join([*bad, *good, *half]).encode() + b"\n\xff\xfe.mp4\n" + f"{files}/crlf.mp4\t\t3\r\n".encode()


def test_a_list_on_the_host_is_read_line_by_line(house: InsideHouse, host: Sshd, files: Path) -> None:
    for name in HOSTILE:
        (files / name).write_bytes(b"clip")
    (files / "told.mp4").write_bytes(b"told us")
    (files.parent / "list.tsv").write_bytes(lines(files))
    device = Device(house, host, files, list_file=str(files.parent / "list.tsv"))
    device.start(autoPull=True)
    names = {*HOSTILE, "size.mp4", "about.mp4", "time.mp4", "only.mp4", "told.mp4", "crlf.mp4"}
    until(lambda: device.status()["lastRun"] is not None)
    found = device.events()
    assert {*found} == names
    assert (found["size.mp4"]["size"], found["crlf.mp4"]["size"], found["only.mp4"]["size"]) == (0, 3, 0)
    assert found["told.mp4"]["created"] == "2023-11-14T22:13:20.000Z"
    assert found["told.mp4"]["metadata"]["why"] == "a\tb"
    there = {*HOSTILE, "told.mp4"}
    until(lambda: {name for name, event in device.events().items() if event["state"] == "pulled"} == there)
    content = device.ask("GET", f"/events/{device.events()['$(id).mp4']['id']}/file").content
    assert content == b"clip"
    stored = house.result("GET", f"/gw/devices/{device.id}/media")
    assert {file["name"] for file in stored} == there
    until(lambda: device.events()["only.mp4"]["state"] == "failed")
    assert device.again()["lastError"] is None
    assert len(device.events()) == len(names)


def test_a_command_of_the_host_may_make_the_list(house: InsideHouse, host: Sshd, files: Path) -> None:
    (files / "a b.mp4").write_bytes(b"clip")
    command = f"for f in {files}/*; do printf '%s\\t\\t4\\n' \"$f\"; done"
    device = Device(house, host, files, list_command=command)
    device.start(autoPull=True)
    until(lambda: bool(device.events()) and device.events()["a b.mp4"]["state"] == "pulled")
    assert device.ask("GET", "/source").json()["source"]["list_command"] == command


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ({"list_command": "exit 3"}, "status 3"),
        ({"list_command": "head -c 9000000 /dev/zero"}, "more than"),
        ({"list_file": "/nowhere/list"}, "no such file"),
        ({"list_file": "/dev/zero"}, "regular file"),
    ],
)
def test_a_list_that_cannot_be_had_is_an_error(
    house: InsideHouse, host: Sshd, files: Path, source: dict[str, str], word: str
) -> None:
    (files / "a.mp4").write_bytes(b"x")
    device = Device(house, host, files, **source)
    device.start()
    until(lambda: device.status()["lastError"] is not None)
    assert word in device.status()["lastError"]
    assert device.events() == {}


def test_a_command_is_only_for_who_knows_the_key(house: InsideHouse, host: Sshd, files: Path) -> None:
    device = Device(house, host, files)
    shown = device.ask("GET", "/source").json()["source"]
    known = {name: value for name, value in shown.items() if not name.startswith("last_")}
    assert device.ask("PUT", "/source", known).status_code == 200
    for change in ({"list_command": "id"}, {"host": "127.0.0.2"}, {"user": "other"}, {"port": 1}):
        answer = device.ask("PUT", "/source", known | change)
        assert (answer.status_code, "private_key" in answer.json()["error"]) == (400, True), change
    for wrong in ({"list_file": "x"}, {"list_file": "/a/../b"}, {"list_command": "a\nb"},
                  {"list_file": "/a", "list_command": "b"}):  # fmt: skip
        assert device.ask("PUT", "/source", host.source(files) | wrong).status_code == 400, wrong


def test_thumbnails_come_before_their_files(house: InsideHouse, host: Sshd, files: Path) -> None:
    (files / "clip.mp4").write_bytes(b"clip")
    (files / "clip.jpg").write_bytes(picture())
    (files / "self.jpg").write_bytes(picture())
    (files / "bad.mp4").write_bytes(b"clip")
    (files / "link.jpg").symlink_to("/etc/passwd")
    listed = [f"{files}/clip.mp4\t{files}/clip.jpg\t4", f"{files}/self.jpg\t\t9", f"{files}/bad.mp4\t/etc/passwd\t4",
              f"{files}/bad2.mp4\t{files}/link.jpg\t4", f"{files}/bad3.mp4\t{files}/clip.mp4\t4"]  # fmt: skip
    (files.parent / "list").write_text("\n".join(listed))
    device = Device(house, host, files, list_file=str(files.parent / "list"))
    device.start(generateThumbnails=True)
    until(lambda: device.status()["lastRun"] is not None)
    assert {name for name, event in device.events().items() if event["has_thumbnail"]} == {"clip.mp4", "self.jpg"}
    clip = device.events()["clip.mp4"]
    answer = device.ask("GET", f"/events/{clip['id']}/thumbnail")
    assert Image.open(io.BytesIO(answer.content)).size == (640, 427)
    assert clip["thumbnail_url"].endswith(f"/events/{clip['id']}/thumbnail")
    # It is that of the file, once that is here.
    pulled = device.ask("POST", f"/pull/{clip['id']}?wait=30").json()
    assert pulled["success"]
    assert device.events()["clip.mp4"]["has_thumbnail"]
    other = device.ask("GET", f"/events/{clip['id']}/thumbnail")
    assert Image.open(io.BytesIO(other.content)).size == (640, 427)
    # And goes with its event where the file never came.
    blobs = house.folder / "data" / "blobs"
    before = len(list(blobs.glob("??/??/*")))
    device.ask("DELETE", f"/events/{device.events()['self.jpg']['id']}")
    assert len(list(blobs.glob("??/??/*"))) == before - 1
    assert house.temporary_files() == []


# --- what hooks are told ---


def test_hooks_hear_of_every_step(house: InsideHouse, host: Sshd, files: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (files / name).write_bytes(b"clip")
    device = Device(house, host, files)
    kinds = ("after_event_created", "before_event_pull", "after_file_downloaded", "after_event_pulled",
             "after_all_events_pulled", "after_gallery_start")  # fmt: skip
    with Receiver() as receiver:
        for kind in kinds:
            hook = {"hookName": kind, "eventType": kind, "deviceId": str(device.id), "actionId": "webhook",
                    "parameters": {"url": receiver.url}}  # fmt: skip
            assert house.ask("POST", "/api/hooks", hook).status_code == 200
        device.start(autoPull=True)
        until(lambda: len(receiver.seen) == 10)
        bodies = receiver.bodies()
        told = {kind: [body for body in bodies if body["eventType"] == kind] for kind in kinds}
        assert [len(told[kind]) for kind in kinds] == [2, 2, 2, 2, 1, 1]
        assert {body["eventPath"] for body in told["before_event_pull"]} == {f"{files}/a.mp4", f"{files}/b.mp4"}
        assert all(body["localPath"] == "" for body in told["after_file_downloaded"])
        assert all(body["localPath"].endswith("/file") for body in told["after_event_pulled"])
        assert told["after_all_events_pulled"][0]["totalProcessed"] == 2
    device.ask("POST", "/stop")
