"""The gallery as its documentation shows it: the seven requests with curl, and kill -9 in the middle of things."""

from __future__ import annotations

import json
import os
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
    jwt = run(house, "token", "jwt").strip()
    assert jwt.count(".") == 2
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
            .replace("YOUR_JWT_TOKEN", jwt)
            .replace("/path/to/", f"{tmp_path}/")
            .replace("evt_abc123", event)
        )
        done = subprocess.run(
            ["bash", "-c", f"{command} -s -S"], capture_output=True, text=True, check=True, timeout=60
        )
        answers.append(json.loads(done.stdout))
        event = answers[-1].get("eventId", event) if isinstance(answers[-1], dict) else event
    paths, events, upload, link, put, stats, deleted, pulled = answers
    for answer, shape in zip(answers, SHAPES, strict=True):
        fits(answer, shape)
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
    # The same with events there are: a list, and a pull of one whose bytes are here.
    base = f"http://127.0.0.1:{house.ports['gallery']}/api/gallery/device123"
    headers = {"Authorization": f"Bearer {jwt}"}
    listed = house.client.get(f"{base}/events?limit=10&offset=0&media_type=image", headers=headers).json()
    assert [event["media_type"] for event in listed] == ["image"]
    fits(listed[0], EVENT)
    pulled = house.client.post(f"{base}/pull/{listed[0]['id']}", headers=headers).json()
    fits(pulled, {"success": bool, "eventId": str})
    assert (pulled["success"], pulled["eventId"]) == (True, listed[0]["id"])


EVENT = {"id": str, "name": str, "media_type": str, "size": int, "has_thumbnail": bool, "created": str}
SHAPES: list[Any] = [
    {"success": bool, "paths": {"incoming": str, "thumbnails": str}},
    list,
    {"success": bool, "eventId": str},
    {"success": bool, "upload_url": str, "thumbnail_upload_url": str},
    {"success": bool},
    {"total_events": int, "total_size": int, "by_type": {"image": {"count": int, "size": int}}},
    {"success": bool},
    {"success": bool},
]
"""Keys and types as seed 002 documents them (gallery-api.md part A), in the order of its samples."""


def fits(answer: Any, shape: Any) -> None:
    """Whether an answer has what is documented, in the documented types; more is allowed."""
    if isinstance(shape, dict):
        for name, inner in shape.items():
            fits(answer[name], inner)
    else:
        assert type(answer) is shape, (answer, shape)


def run(house: House, *words: str, stdin: str = "") -> str:
    """One command of the command line against the server; what it prints."""
    environment = {"WAYFRAME_URL": house.base, "WAYFRAME_TOKEN": house.key, "PATH": "/usr/bin:/bin"}
    environment |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "wayframe", *words],
        input=stdin, capture_output=True, text=True, env=environment, cwd=house.folder, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


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
        # What is here already is not fetched again: the same file by size and time, with another beginning.
        times = (files / "long.bin").stat()
        with (files / "long.bin").open("r+b") as file:
            file.write(b"another")
        os.utime(files / "long.bin", ns=(times.st_atime_ns, times.st_mtime_ns))
        house.start()
        house.until(lambda: not part.exists(), "the pull goes on by itself", 60)
        (event,) = house.call("GET", f"{base}/events")
        assert (event["state"], event["size"]) == ("pulled", len(content))
        assert house.client.get(f"{base}/events/{event['id']}/file", headers=house.headers).content == content
        assert len(house.result("GET", f"/gw/devices/{device}/media")) == 1


def test_people_are_added_by_the_command_line(house: House) -> None:
    def login(password: str) -> int:
        body = {"identity": "ann@example.org", "password": password}
        return house.client.post("/api/auth/login", json=body).status_code

    assert "ann@example.org" in run(house, "user", "add", "ann@example.org", "--name", "Ann", stdin="correct horse\n")
    assert "Ann" in run(house, "user", "list")
    assert login("correct horse") == 200
    device = house.add_device("860000000000903")
    session = run(house, "token", "jwt", "--user", "ann@example.org", stdin="correct horse\n").strip()
    mine = {"Authorization": f"Bearer {session}"}
    assert house.client.get(f"/api/gallery/{device}/stats", headers=mine).status_code == 200
    run(house, "user", "passwd", "ann@example.org", stdin="battery staple\n")
    assert (login("correct horse"), login("battery staple")) == (401, 200)
    run(house, "user", "remove", "ann@example.org")
    assert login("battery staple") == 401
