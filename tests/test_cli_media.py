"""`wayframe media`: files listed, fetched, put and removed through a real server, over lines that break."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from e2e.house import House
from terminal_user import Cable, User, awaited, ended_by_kill

BIG = 6 << 20
_IDENTS = itertools.count(1)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house")).start()
    yield house
    house.close()


@pytest.fixture
def device(house: House) -> int:
    return house.add_device(f"13{next(_IDENTS):09d}")


@pytest.fixture
def user(house: House, tmp_path: Path) -> User:
    return User(house, tmp_path)


def card(path: Path, size: int = 5000) -> bytes:
    """A tachograph file of random bytes: kept as it is."""
    content = os.urandom(size)
    path.write_bytes(content)
    return content


def put(user: User, device: int, path: Path, *options: str) -> dict[str, Any]:
    (file,) = user.good("media", "put", str(path), "--device", str(device), "--json", *options).json
    return dict(file)


def test_a_file_goes_in_is_listed_comes_out_and_is_removed(user: User, device: int, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "front.jpg")
    link = user.good("media", "put", "front.jpg", "--device", str(device), "--created", "1700000000", "--channel", "3")
    assert link.out.startswith("http")
    (file,) = user.good("media", "ls", str(device), "--json").json
    assert (file["name"], file["created"], file["meta"]["channel"]) == ("front.jpg", 1700000000, 3)
    head, row = user.good("media", "ls", str(device)).out.splitlines()
    assert head.split()[:3] == ["RECORDED", "DEVICE", "CHANNEL"] and row.endswith("front.jpg")
    assert file["uuid"] in row
    assert user.good("media", "ls", str(device), "--filter", "meta.channel==1", "--json").json == []
    (hashes,) = user.good("media", "ls", str(device), "--fields", "sha256,source_sha256", "--json").json
    assert set(hashes.values()) == {hashlib.sha256((tmp_path / "front.jpg").read_bytes()).hexdigest()}

    (tmp_path / "out").mkdir()
    got = user.good("media", "get", link.out.strip(), "--output", "out", "--sidecar")
    assert got.out == "out/front.jpg\n"
    assert (tmp_path / "out/front.jpg").read_bytes() == (tmp_path / "front.jpg").read_bytes()
    assert (tmp_path / "out/front.jpg").stat().st_mtime == 1700000000
    assert json.loads((tmp_path / "out/front.jpg.json").read_text())["uuid"] == file["uuid"]
    (again,) = user.good("media", "get", "--device", str(device), "--output", "out", "--json").lines
    assert again["status"] == "there"

    unasked = user.run("media", "rm", file["uuid"])
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    assert user.good("media", "rm", file["uuid"], "--yes").out == "1 removed\n"
    assert user.files(device) == []
    gone = user.run("media", "get", file["uuid"])
    assert gone.code == 1 and "no such media file" in gone.err


def test_a_filter_removes_what_it_names(user: User, device: int, tmp_path: Path) -> None:
    for name in ("a.ddd", "b.ddd"):
        card(tmp_path / name)
        put(user, device, tmp_path / name)
    options = ("media", "rm", "--device", str(device), "--yes", "--filter")
    assert user.run(*options, "name==").code == 1
    assert len(user.files(device)) == 2
    assert user.good(*options, 'name=="a.ddd"').out == "1 removed\n"
    assert user.good(*options, "true").out == "1 removed\n"


def test_a_fetch_goes_on_where_the_line_broke(house: House, user: User, device: int, tmp_path: Path) -> None:
    content = card(tmp_path / "big.ddd", BIG)
    uuid = put(user, device, tmp_path / "big.ddd")["uuid"]
    cable = Cable(house.ports["http"], breaks=(BIG // 3, BIG // 3))
    with contextlib.closing(cable):
        there = User(house, tmp_path, url=cable.url)
        (tmp_path / "out").mkdir()
        (told,) = there.good("media", "get", uuid, "--output", "out", "--json").lines
    assert told["sha256"] == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "out/big.ddd").read_bytes() == content
    assert cable.cuts == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["big.ddd"]


def test_a_fetch_that_was_killed_goes_on(house: House, user: User, device: int, tmp_path: Path) -> None:
    content = card(tmp_path / "big.ddd", BIG)
    uuid = put(user, device, tmp_path / "big.ddd")["uuid"]
    (tmp_path / "out").mkdir()
    with contextlib.closing(Cable(house.ports["http"], holds=BIG // 2)) as cable:
        process = User(house, tmp_path, url=cable.url).spawn("media", "get", uuid, "--output", "out")
        assert cable.held.wait(30)
        (part,) = awaited(lambda: [path for path in (tmp_path / "out").iterdir() if path.stat().st_size], "bytes")
        ended_by_kill(process)
    begun = part.stat().st_size
    assert 0 < begun < BIG and part.name.startswith(".")
    # What is missing fits through this line, the whole file does not.
    with contextlib.closing(Cable(house.ports["http"], breaks=(BIG - begun + 50_000,))) as cable:
        User(house, tmp_path, url=cable.url).good("media", "get", uuid, "--output", "out", "--patience", "0")
        assert cable.cuts == 0
    assert (tmp_path / "out/big.ddd").read_bytes() == content
    assert not part.exists()


def test_bytes_that_are_not_what_the_server_says_are_thrown_away(user: User, device: int, tmp_path: Path) -> None:
    content = card(tmp_path / "card.ddd")
    uuid = put(user, device, tmp_path / "card.ddd")["uuid"]
    (tmp_path / "out").mkdir()
    part = tmp_path / "out" / f".{uuid}.{hashlib.sha256(content).hexdigest()[:16]}.part"
    part.write_bytes(b"x" * 100)
    wrong = user.run("media", "get", uuid, "--output", "out")
    assert wrong.code == 1 and "hash" in wrong.err
    assert list((tmp_path / "out").iterdir()) == []
    user.good("media", "get", uuid, "--output", "out")
    assert (tmp_path / "out/card.ddd").read_bytes() == content


def test_a_file_of_that_name_is_never_written_over(user: User, device: int, tmp_path: Path) -> None:
    content = card(tmp_path / "card.ddd")
    uuid = put(user, device, tmp_path / "card.ddd")["uuid"]
    (tmp_path / "card.ddd").write_text("mine")
    assert user.good("media", "get", uuid).out == f"card-{uuid[:8]}.ddd\n"
    assert (tmp_path / f"card-{uuid[:8]}.ddd").read_bytes() == content
    refused = user.run("media", "get", uuid, "--output", "card.ddd")
    assert refused.code == 1 and "is there already" in refused.err
    assert (tmp_path / "card.ddd").read_text() == "mine"
    assert user.run("media", "get", uuid, "--output", "no/such/folder").code == 1


TRICKS = [
    "a..%2f..%2fetc%2fpasswd.ddd",
    'quote".ddd',
    "back\\slash.ddd",
    "new\nline.ddd",
    "\u202egpj.ddd",
    "esc\x1b[2J.ddd",
    "  blank .ddd",
    "[red]markup[bold].ddd",
    "%00.ddd",
    "Ünïcödé 車.ddd",
    b"latin-\xe9.ddd".decode(errors="surrogateescape"),
    "x" * 200 + ".ddd",
    "-rf.ddd",
]


def test_names_with_tricks_stay_names(user: User, device: int, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    contents = {card(folder / name) for name in TRICKS}
    put_each = user.good("media", "put", *(str(folder / name) for name in TRICKS), "--device", str(device), "--json")
    names = [file["name"] for file in put_each.json]
    assert len(names) == len(TRICKS) and not set("".join(names)) & set("/\\\n\x1b\u202e")
    listing = user.good("media", "ls", str(device)).out
    assert len(listing.splitlines()) == 1 + len(TRICKS) and listing.replace("\n", "").isprintable()
    user.good("media", "get", "--device", str(device), "--output", "out")
    assert {path.read_bytes() for path in out.iterdir()} == contents
    assert len(list(out.iterdir())) == len(TRICKS) and not any(path.name.startswith(".") for path in out.iterdir())
    again = user.good("media", "put", "-r", "in", "--device", str(device))
    assert again.out == f"0 stored, {len(TRICKS)} there already, 0 failed\n"


def test_who_may_not_is_told_why(house: House, user: User, device: int, tmp_path: Path) -> None:
    card(tmp_path / "card.ddd")
    stranger = User(house, tmp_path, key="z" * 64)
    for words in (["media", "ls", str(device)], ["media", "put", "card.ddd", "--device", str(device)], ["devices"]):
        refused = stranger.run(*words)
        assert refused.code == 1 and "check --token" in refused.err and refused.err.count("\n") == 1
    (account,) = house.result("POST", "/platform/subaccounts", [{"name": "other"}])
    acting = {"x-flespi-cid": str(account["id"])}
    body = [{"info": "other", "ttl": 3600, "access": {"type": 1}}]
    answer = house.client.post("/platform/tokens", json=body, headers=house.headers | acting)
    other = User(house, tmp_path, key=answer.json()["result"][0]["key"])
    for words in (["media", "ls", str(device)], ["media", "put", "card.ddd", "--device", str(device)]):
        refused = other.run(*words)
        assert refused.code == 1 and str(device) in refused.err
    assert other.good("devices", "--json").json == []
    uuid = put(user, device, tmp_path / "card.ddd")["uuid"]
    refused = other.run("media", "rm", uuid, "--yes")
    assert refused.code == 1 and uuid in refused.err
    assert len(user.files(device)) == 1


def test_a_link_of_another_server_gets_no_token(house: House, user: User, device: int, tmp_path: Path) -> None:
    content = card(tmp_path / "card.ddd")
    uuid = put(user, device, tmp_path / "card.ddd")["uuid"]
    (tmp_path / "out").mkdir()
    elsewhere = User(house, tmp_path, url="http://192.0.2.1", key="z" * 64)
    elsewhere.good("media", "get", f"{house.base}/media/{uuid}", "--output", "out")
    assert (tmp_path / "out/card.ddd").read_bytes() == content
    house.result("PUT", f"/gw/devices/{device}/media", {"uuid": uuid, "shared": False})
    refused = elsewhere.run("media", "get", f"{house.base}/media/{uuid}", "--output", "out")
    assert refused.code == 1 and "not shared" in refused.err
    user.good("media", "get", uuid, "--output", "out/mine.ddd")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["media", "get", "7"], "is no media link"),
        (["media", "get"], "name files"),
        (["media", "put", "missing.mp4", "--device", "1"], "missing.mp4 is no file"),
        (["media", "put", ".", "--device", "1"], "--recursive"),
        (["media", "put", "missing", "-r", "--device", "1"], "one folder"),
        (["media", "put", "a.mp4"], "a.mp4 is no file|--device is missing"),
        (["media", "ls", "1", "--from", "yesterday"], "--from must be Unix seconds"),
        (["media", "ls", "1", "--from", "1700000000000"], "not milliseconds"),
        (["media", "rm", "--filter", "true"], "--device and --filter"),
        (["live", "http://localhost/watch"], "is no media link"),
        (["command", "send", "1", "x", "-p", "novalue"], "NAME=VALUE"),
    ],
)
def test_wrong_use_is_named(user: User, words: list[str], said: str) -> None:
    done = user.run(*words)
    assert done.code == 2, done
    assert any(part in done.err for part in said.split("|")), done.err
