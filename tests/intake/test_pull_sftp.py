"""Pulling files from a host: a real OpenSSH server, a real gallery, cuts in between, and a host that lies."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from host_device import HostDevice

from inside import InsideHouse, until
from sshd import Sshd
from wayframe.storage import StateTable

BIG = 24 << 20


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideHouse]:
    made = InsideHouse(tmp_path_factory.mktemp("house"), pull_networks="127.0.0.0/30")
    yield made
    made.close()


class Device(HostDevice):
    """One whose files are pulled."""

    def scan(self) -> Any:
        return self.ask("POST", "/scan", {}).json()

    def pull(self, event: str, wait: float = 30) -> Any:
        return self.ask("POST", f"/pull/{event}?wait={wait}")


def test_a_file_is_found_and_pulled(house: InsideHouse, host: Sshd, files: Path) -> None:
    (files / "trip").mkdir()
    (files / "trip" / "clip one.mp4").write_bytes(b"bytes of a clip" * 1000)
    (files / "card.ddd").write_bytes(b"tachograph")
    device = Device(house, host, files)
    assert device.scan() == {"success": True, "found": 2, "new": 2}
    assert device.scan()["new"] == 0
    event = device.events()["clip one.mp4"]
    assert (event["state"], event["size"], event["media_type"], event["has_thumbnail"]) == (
        "new",
        15000,
        "video",
        False,
    )
    answer = device.pull(event["id"])
    assert (answer.status_code, answer.json()["success"], answer.json()["state"]) == (200, True, "pulled")
    content = house.ask("GET", f"{device.base}/events/{event['id']}/file").content
    assert content == b"bytes of a clip" * 1000
    assert device.pull(event["id"]).json()["state"] == "pulled"
    files_of = house.result("GET", f"/gw/devices/{device.id}/media")
    assert [file["name"] for file in files_of] == ["clip one.mp4"]
    shown = house.ask("GET", f"{device.base}/source").json()["source"]
    assert "private_key" not in shown
    assert shown["host_key"] == host.host_key
    # What was harvested and deleted does not come back, and the other API no longer has it either.
    assert house.ask("DELETE", f"{device.base}/events/{event['id']}").json() == {"success": True}
    assert house.result("GET", f"/gw/devices/{device.id}/media") == []
    assert device.scan()["new"] == 0


def test_many_callers_cause_one_transfer(house: InsideHouse, host: Sshd, files: Path) -> None:
    content = os.urandom(BIG)
    (files / "a.bin").write_bytes(content)
    device = Device(house, host, files)
    device.scan()
    event = device.events()["a.bin"]["id"]
    logins = host.logins
    with ThreadPoolExecutor(20) as callers:
        answers = list(callers.map(lambda _: device.pull(event).json(), range(20)))
    assert {answer["state"] for answer in answers} == {"pulled"}
    assert host.logins == logins + 1
    assert len(house.result("GET", f"/gw/devices/{device.id}/media")) == 1
    assert house.ask("GET", f"{device.base}/events/{event}/file").content == content
    assert list((house.folder / "data" / "blobs" / "pulls").iterdir()) == []


def test_a_host_that_is_away_is_asked_again(house: InsideHouse, host: Sshd, files: Path) -> None:
    (files / "late.txt").write_bytes(b"patience")
    device = Device(house, host, files)
    device.scan()
    event = device.events()["late.txt"]["id"]
    host.stop()
    answer = device.pull(event, 0)
    assert (answer.status_code, answer.json()["success"]) == (202, False)
    until(lambda: "error" in device.events()["late.txt"])
    host.start()
    until(lambda: device.events()["late.txt"]["state"] == "pulled")


def test_the_second_host_is_asked_where_the_first_does_not_answer(house: InsideHouse, host: Sshd, files: Path) -> None:
    device = Device(house, host, files)
    with socket.socket() as closed:  # bound, and not listening: whoever dials it is refused
        closed.bind(("127.0.0.2", host.port))
        for number, first in enumerate(("127.0.0.2", "no-such-host.invalid")):
            (files / f"{number}.txt").write_bytes(b"over the second line")
            both = host.source(files, host=first, second_host="127.0.0.1")
            assert house.ask("PUT", f"{device.base}/source", both).status_code == 200
            assert device.scan() == {"success": True, "found": number + 1, "new": 1}
            event = device.events()[f"{number}.txt"]["id"]
            assert device.pull(event).json()["state"] == "pulled"
        house.ask("PUT", f"{device.base}/source", host.source(files, host="127.0.0.2"))
        assert device.scan()["success"] is False


def test_a_host_that_shows_another_key_first_is_not_passed_over(house: InsideHouse, host: Sshd, files: Path) -> None:
    wrong = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGBhi4WVQXb8sHF8wsRGHnFzBvbyBlaO2TzqVXgbS9ZX"
    device = Device(house, host, files, host_key=wrong, second_host="127.0.0.1")
    assert "another key" in device.scan()["error"]


def test_what_was_pulled_is_deleted_there_where_that_is_wanted(house: InsideHouse, host: Sshd, files: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (files / name).write_bytes(name.encode())
    device = Device(house, host, files, after_pull="delete")
    device.scan()
    found = device.events()
    assert device.pull(found["a.txt"]["id"]).json()["state"] == "pulled"
    until(lambda: not (files / "a.txt").exists())
    # From a card that cannot be written: the pull is none the worse, and deleting is tried again.
    cleaning = house.node.services.gallery.cleaning
    host.stop()
    host.configure(read_only=True)
    host.start()
    try:
        for name in ("b.txt", "c.txt"):
            assert device.pull(found[name]["id"]).json()["state"] == "pulled"
        until(lambda: cleaning.waiting == 2)
    finally:
        host.stop()
        host.configure()
        host.start()
    assert {path.name for path in files.iterdir()} == {"b.txt", "c.txt"}
    (files / "c.txt").write_bytes(b"a new recording under the old name")
    house.run(cleaning.look_after())
    assert (files / "b.txt").exists()  # it is not due yet
    house.run(due(house))
    house.run(cleaning.load())
    house.run(cleaning.look_after())
    assert [path.name for path in files.iterdir()] == ["c.txt"]
    assert cleaning.waiting == 0


async def due(house: InsideHouse) -> None:
    """As later: what waits to be deleted is due."""
    state = StateTable(house.node.db)
    for key, value in (await state.all("host-cleaning:")).items():
        await state.put({key: json.dumps({**json.loads(value), "due": 0}).encode()})


def test_a_host_with_another_key_gets_nothing(house: InsideHouse, host: Sshd, files: Path) -> None:
    (files / "x.txt").write_bytes(b"x")
    device = Device(house, host, files)
    device.scan()
    event = device.events()["x.txt"]["id"]
    other = host.source(
        files, host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGBhi4WVQXb8sHF8wsRGHnFzBvbyBlaO2TzqVXgbS9ZX"
    )
    assert house.ask("PUT", f"{device.base}/source", other).status_code == 200
    answer = device.pull(event).json()
    assert (answer["state"], answer["success"]) == ("failed", False)
    assert "another key" in answer["error"]


def test_a_key_is_learned_once_and_pinned(house: InsideHouse, host: Sshd, files: Path) -> None:
    device = Device(house, host, files, host_key="", learn_host_key=True)
    assert device.scan()["success"]
    shown = house.ask("GET", f"{device.base}/source").json()["source"]
    assert shown["host_key"] == host.host_key


def test_private_addresses_are_not_dialled_unless_allowed(tmp_path: Path, host: Sshd, files: Path) -> None:
    house = InsideHouse(tmp_path / "strict")
    try:
        device = Device(house, host, files)
        for name in ("127.0.0.1", "localhost", "::1", "169.254.169.254", "10.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"):
            house.ask("PUT", f"{device.base}/source", host.source(files, host=name))
            said = device.scan()
            assert (said["success"], "pull_networks" in said["error"]) == (False, True), name
    finally:
        house.close()


def test_names_that_are_no_names_are_left_out(house: InsideHouse, host: Sshd, files: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_bytes(b"secret")
    for name in (
        b"..\\evil.txt",
        b"\xff\xfe.txt",
        b".hidden",
        "r\u202ecod.exe".encode(),
        b"new\nline.txt",
        b"$(id).txt",
    ):
        (files / os.fsdecode(name)).write_bytes(b"x")
    (files / "link.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    (files / "linked").symlink_to(tmp_path / "outside")
    device = Device(house, host, files)
    assert device.scan() == {"success": True, "found": 1, "new": 1}
    assert [*device.events()] == ["$(id).txt"]


@pytest.mark.parametrize("path", ["/etc/passwd", "{root}/../outside/secret.txt", "{root}", "{root}/link.txt", "a.txt"])
def test_paths_outside_the_roots_are_not_pulled(
    house: InsideHouse, host: Sshd, files: Path, tmp_path: Path, path: str
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_bytes(b"secret")
    (files / "link.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    device = Device(house, host, files)
    made = house.ask("POST", f"{device.base}/upload", b'{"name": "%s"}' % path.format(root=files).encode(),
                     headers={"Content-Type": "application/json"}).json()  # fmt: skip
    answer = device.pull(made["eventId"])
    assert answer.status_code in (202, 422)
    assert answer.json().get("state", "failed") == "failed"
    assert house.result("GET", f"/gw/devices/{device.id}/media") == []


def test_a_store_that_is_full_says_so_and_waits(house: InsideHouse, host: Sshd, files: Path) -> None:
    (files / "big.bin").write_bytes(bytes(3 << 20))
    device = Device(house, host, files)
    house.result("PUT", f"/gw/devices/{device.id}", {"media_rotate": 2 << 20})
    device.scan()
    event = device.events()["big.bin"]["id"]
    answer = device.pull(event).json()
    assert (answer["success"], answer["state"]) == (False, "failed")
    assert "3145728 bytes" in answer["error"]
