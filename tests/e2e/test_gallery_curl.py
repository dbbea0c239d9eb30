"""The gallery as its documentation shows it: the seven requests with curl, and kill -9 in the middle of things."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sshd import sshd

from .house import House


def seed_requests(text: str) -> list[str]:
    """Every curl command of the seed, lines joined."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [line for line in joined.splitlines() if line.startswith("curl ")]


@pytest.mark.shared
def test_the_requests_of_the_seed_word_by_word(open_house: Callable[..., House], shared: Path, tmp_path: Path) -> None:
    house = open_house()
    device = house.add_device("device-of-the-seed", metadata={"gallery_id": "device123"})
    (tmp_path / "capture.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much of a picture")
    (tmp_path / "video.mp4").write_bytes(b"not much of a clip")
    commands = seed_requests((shared / "seeds" / "002_005d169526c9f4d0.txt").read_text())
    assert len(commands) == 8
    answers: list[Any] = []
    event = ""
    for command in commands:
        if "storage.example.com" in command:
            command = command.replace("https://storage.example.com/upload/abc123", answers[-1]["upload_url"])
        command = (
            command.replace("http://localhost:8001", f"http://127.0.0.1:{house.ports['gallery']}")
            .replace("YOUR_JWT_TOKEN", house.key)
            .replace("/path/to/", f"{tmp_path}/")
            .replace("evt_abc123", event)
        )
        done = subprocess.run(
            ["bash", "-c", f"{command} -s -S"], capture_output=True, text=True, check=True, timeout=60
        )
        answers.append(json.loads(done.stdout))
        event = answers[-1].get("eventId", event) if isinstance(answers[-1], dict) else event
    paths, events, upload, link, put, stats, deleted, pulled = answers
    assert paths["success"] is True
    assert paths["paths"]["incoming"].endswith(f"/{device}/incoming")
    assert events == []
    assert (upload["success"], upload["eventId"][:4]) == (True, "evt_")
    assert link["success"] is True
    assert link["thumbnail_upload_url"].startswith(f"http://127.0.0.1:{house.ports['gallery']}/upload/")
    assert put["success"] is True
    assert (stats["total_events"], {*stats["by_type"]}) == (2, {"image", "video"})
    assert stats["total_size"] == sum(kind["size"] for kind in stats["by_type"].values())
    assert deleted == {"success": True}
    assert (pulled["success"], pulled["code"]) == (False, "not_found")  # it was deleted in the request before


def test_kill_in_the_middle_of_a_put(house: House) -> None:
    device = house.add_device("860000000000901")
    link = house.call("GET", f"/api/gallery/{device}/upload-url?filename=clip.bin")
    path = urlsplit(link["upload_url"]).path
    temporary = house.folder / "data" / "blobs" / "tmp"
    with socket.create_connection(("127.0.0.1", house.ports["http"]), 10) as connection:
        head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n".encode()
        connection.sendall(head + bytes(1_000_000))
        house.until(lambda: temporary.is_dir() and any(temporary.iterdir()), "the transfer has begun")
        house.kill()
    house.start()
    assert list(temporary.iterdir()) == []
    assert house.call("GET", f"/api/gallery/{device}/events") == []
    # The link outlives the restart, and takes the whole file now.
    answer = house.client.put(path, content=bytes(2_000_000))
    assert (answer.status_code, answer.json()["eventId"]) == (200, link["eventId"])
    stats = house.call("GET", f"/api/gallery/{device}/stats")
    assert (stats["total_events"], stats["total_size"]) == (1, 2_000_000)
    house.kill()
    house.start()
    assert house.call("GET", f"/api/gallery/{device}/stats") == stats
    assert house.logged("gallery_repaired") == []


def test_kill_in_the_middle_of_a_pull(open_house: Callable[..., House], tmp_path: Path) -> None:
    house = open_house(pull_networks="127.0.0.1/32")
    device = house.add_device("860000000000902")
    files = tmp_path / "sd"
    files.mkdir()
    content = bytes(range(256)) * 600_000
    (files / "long.bin").write_bytes(content)
    with sshd(tmp_path / "sshd") as host:
        base = f"/api/gallery/{device}"
        house.call("PUT", f"{base}/source", host.source(files))
        assert house.call("POST", f"{base}/scan", {})["new"] == 1
        (event,) = house.call("GET", f"{base}/events")
        answer = house.call("POST", f"{base}/pull/{event['id']}?wait=0", status=202)
        assert answer["success"] is False
        part = house.folder / "data" / "blobs" / "pulls" / f"{event['id']}.part"
        house.until(lambda: part.exists() and part.stat().st_size > 8 << 20, "some of the file is here")
        house.kill()
        there = part.stat().st_size
        assert there < len(content)
        house.start()
        house.until(lambda: not part.exists(), "the pull goes on by itself", 60)
        (event,) = house.call("GET", f"{base}/events")
        assert (event["state"], event["size"]) == ("pulled", len(content))
        assert house.client.get(f"{base}/events/{event['id']}/file", headers=house.headers).content == content
        assert len(house.result("GET", f"/gw/devices/{device}/media")) == 1


def test_people_are_added_by_the_command_line(house: House) -> None:
    environment = {"WAYFRAME_URL": house.base, "WAYFRAME_TOKEN": house.key, "PATH": "/usr/bin:/bin"}

    def run(*words: str, stdin: str = "") -> str:
        command = [sys.executable, "-m", "wayframe", "user", *words]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, cwd=house.folder, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def login(password: str) -> int:
        body = {"identity": "ann@example.org", "password": password}
        return house.client.post("/api/auth/login", json=body).status_code

    assert "ann@example.org" in run("add", "ann@example.org", "--name", "Ann", stdin="correct horse\n")
    assert "Ann" in run("list")
    assert login("correct horse") == 200
    run("passwd", "ann@example.org", stdin="battery staple\n")
    assert (login("correct horse"), login("battery staple")) == (401, 200)
    run("remove", "ann@example.org")
    assert login("battery staple") == 401
