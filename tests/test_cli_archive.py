"""`wayframe media put --recursive`: an archive moves in once, whatever happens on the way."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import signal
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from e2e.house import House
from terminal_user import Cable, Done, User, awaited, ended_by_kill

_IDENTS = itertools.count(1)
STATE = ".wayframe-put.jsonl"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"), device_media_limit="20 MB").start()
    yield house
    house.close()


@pytest.fixture
def ident() -> str:
    return f"13{next(_IDENTS):09d}"


@pytest.fixture
def device(house: House, ident: str) -> int:
    return house.add_device(ident)


@pytest.fixture
def user(house: House, tmp_path: Path) -> User:
    return User(house, tmp_path)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    return folder


def fill(archive: Path, count: int, size: int = 3000) -> dict[str, bytes]:
    """Tachograph files of random bytes in folders of ten."""
    contents = {}
    for number in range(count):
        path = archive / f"{number // 10:03d}" / f"card{number}.ddd"
        path.parent.mkdir(exist_ok=True)
        contents[path.name] = os.urandom(size)
        path.write_bytes(contents[path.name])
    return contents


def move(user: User, *options: str) -> Done:
    return user.run("media", "put", "--recursive", "archive", "--json", *options)


def statuses(done: Done) -> dict[str, int]:
    listed = [line["status"] for line in done.lines]
    return {status: listed.count(status) for status in listed}


def test_times_and_metadata_come_along(house: House, user: User, device: int, ident: str, archive: Path) -> None:
    for name in ("by_sidecar.jpg", "by_stem.jpg", "by_list.jpg", "by_nobody.jpg"):
        colour = (len(name) * 9, 90, 30)
        Image.new("RGB", (32, 32), colour).save(archive / name)
    (archive / "deep").mkdir()
    (archive / "deep" / "raw.bin").write_bytes(b"something else")
    (archive / "notes.txt").write_text("not media")
    (archive / ".hidden.jpg").write_bytes(b"no")
    (archive / "link.jpg").symlink_to(archive / "by_list.jpg")
    os.utime(archive / "by_nobody.jpg", (1500000000, 1500000000))
    exported = {
        "uuid": "AB" * 32, "url": "https://elsewhere/media/AB", "name": "Front.jpg", "size": 1, "mime": "image/jpeg",
        "created": 1600000000.25, "modified": 1.0, "uploaded": 1.0, "protected": True, "shared": False,
        "meta": {"type": "image", "channel": 4, "lens": "wide"}, "params": {"case": "A1"}, "channel_id": 9,
        "device_id": 999,
    }  # fmt: skip
    (archive / "by_sidecar.jpg.json").write_text(json.dumps(exported | {"ident": ident}))
    (archive / "by_stem.json").write_text('{"timestamp": "2024-03-20T10:00:00Z", "trip": "A-17"}')
    with (archive / "metadata.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "ident", "created", "channel", "meta.speed", "params.trip", "message_params.event"])
        rows.writerow(["by_list.jpg", ident, "2024-03-20T12:00:00+02:00", "2", "47.5", "A-18", "harsh"])
        rows.writerow(["deep\\raw.bin", ident, "1700000000", "", "", "", ""])
    done = move(user, "--device", str(device), "--channel", "7")
    assert (done.code, statuses(done)) == (0, {"stored": 5})
    assert "3 other files" in user.good("media", "put", "-r", "archive", "--device", str(device)).err
    files = {file["name"]: file for file in user.files(device, "name,created,meta,params,protected,shared")}
    assert set(files) == {"Front.jpg", "by_stem.jpg", "by_list.jpg", "by_nobody.jpg", "raw.bin"}
    front = files["Front.jpg"]
    assert (front["created"], front["protected"], front["shared"]) == (1600000000.25, True, False)
    assert (front["params"], front["meta"]["channel"], front["meta"]["lens"]) == ({"case": "A1"}, 4, "wide")
    assert files["by_stem.jpg"]["created"] == files["by_list.jpg"]["created"] == 1710928800
    assert (files["by_stem.jpg"]["params"], files["by_stem.jpg"]["meta"]["channel"]) == ({"trip": "A-17"}, 7)
    assert (files["by_list.jpg"]["meta"]["speed"], files["by_list.jpg"]["meta"]["channel"]) == (47.5, 2)
    assert files["by_nobody.jpg"]["created"] == 1500000000
    path = f"/gw/devices/{device}/messages"
    events = [message.get("event") for message in house.result("GET", path) if message["timestamp"] == 1710928800]
    assert sorted(events, key=str) == [None, "harsh"]  # by_stem.jpg says nothing of it


def test_what_is_there_is_not_put_again(user: User, device: int, archive: Path) -> None:
    fill(archive, 12)
    assert statuses(move(user, "--device", str(device))) == {"stored": 12}
    assert statuses(move(user, "--device", str(device))) == {"there": 12}
    (archive / STATE).unlink()
    assert statuses(move(user, "--device", str(device))) == {"there": 12}
    (archive / "copies").mkdir()
    (archive / "copies" / "card0.ddd").write_bytes((archive / "000" / "card0.ddd").read_bytes())
    (archive / "copies" / "other_name.ddd").write_bytes((archive / "000" / "card0.ddd").read_bytes())
    (archive / "000" / "card1.ddd").write_bytes(b"other bytes of the same name")
    assert statuses(move(user, "--device", str(device))) == {"there": 12, "stored": 2}
    assert len(user.files(device)) == 14


def test_what_was_deleted_on_the_server_stays_deleted(house: House, user: User, device: int, archive: Path) -> None:
    fill(archive, 3)
    first = move(user, "--device", str(device)).lines[0]
    house.call("DELETE", f"/gw/devices/{device}/media", {"uuid": first["uuid"]})
    done = move(user, "--device", str(device))
    assert (done.code, statuses(done)) == (0, {"gone": 1, "there": 2})
    assert statuses(move(user, "--device", str(device), "--again")) == {"stored": 1, "there": 2}


def test_a_converted_clip_is_known_again(user: User, device: int, archive: Path) -> None:
    with av.open(str(archive / "clip.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.time_base = 64, 48, Fraction(1, 10)
        for index in range(10):
            frame = av.VideoFrame.from_image(Image.new("RGB", (64, 48), (index * 20, 0, 0)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert statuses(move(user, "--device", str(device))) == {"stored": 1}
    user.house.until(lambda: user.files(device)[0]["name"] == "clip.mp4", "the conversion")
    (archive / STATE).unlink()
    assert statuses(move(user, "--device", str(device))) == {"there": 1}


def test_a_kill_in_the_middle_costs_nothing(house: House, user: User, device: int, archive: Path) -> None:
    contents = fill(archive, 30)
    process = user.spawn("media", "put", "-r", "archive", "--json", "--device", str(device), "--parallel", "3")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["status"] == "stored"
    ended_by_kill(process)
    done = move(user, "--device", str(device))
    told = statuses(done)
    assert done.code == 0 and sum(told.values()) == 30 and set(told) <= {"stored", "there"} and told["there"] >= 1
    assert sorted(file["name"] for file in user.files(device)) == sorted(contents)


def test_a_kill_inside_a_file_costs_nothing(house: House, user: User, device: int, archive: Path) -> None:
    contents = fill(archive, 3, 2_000_000)
    with contextlib.closing(Cable(house.ports["http"], holds=3_000_000)) as cable:
        process = User(house, user.folder, url=cable.url).spawn(
            "media", "put", "-r", "archive", "--device", str(device), "--parallel", "1"
        )
        assert cable.held.wait(30)
        ended_by_kill(process)
    # A state file that broke off inside its last line.
    with (archive / STATE).open("ab") as file:
        file.write(b'{"server": "http://half')
    done = move(user, "--device", str(device))
    assert done.code == 0 and sum(statuses(done).values()) == 3
    assert sorted(file["name"] for file in user.files(device)) == sorted(contents)
    assert len((archive / STATE).read_bytes().splitlines()) >= 3
    assert statuses(move(user, "--device", str(device))) == {"there": 3}


def test_a_line_that_breaks_again_and_again_is_taken_up(house: House, user: User, device: int, archive: Path) -> None:
    contents = fill(archive, 6, 500_000)
    with contextlib.closing(Cable(house.ports["http"], breaks=(700_000, 300_000, 900_000))) as cable:
        there = User(house, user.folder, url=cable.url)
        done = move(there, "--device", str(device), "--parallel", "2")
        assert cable.cuts == 3
    assert (done.code, sum(statuses(done).values())) == (0, 6), done
    assert sorted(file["name"] for file in user.files(device)) == sorted(contents)


def test_a_restart_of_the_server_is_waited_for(house: House, user: User, device: int, archive: Path) -> None:
    contents = fill(archive, 40, 20_000)
    process = user.spawn("media", "put", "-r", "archive", "--json", "--device", str(device), "--parallel", "2")
    assert process.stdout is not None
    process.stdout.readline()
    house.kill()
    house.start()
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert len(out.splitlines()) == 39
    assert sorted(file["name"] for file in user.files(device)) == sorted(contents)


def test_ctrl_c_says_how_to_go_on(house: House, user: User, device: int, archive: Path) -> None:
    fill(archive, 2, 2_000_000)
    with contextlib.closing(Cable(house.ports["http"], holds=1_000_000)) as cable:
        process = User(house, user.folder, url=cable.url).spawn(
            "media", "put", "-r", "archive", "--device", str(device)
        )
        assert cable.held.wait(30)
        process.send_signal(signal.SIGINT)
        cable.close()
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == "wayframe: stopped; the same command goes on from here\n"


def test_a_full_store_ends_what_goes_there_and_nothing_else(
    house: House, user: User, device: int, archive: Path
) -> None:
    other = house.add_device("13900000099")
    fill(archive, 5, 6_000_000)
    small = archive / "small.ddd"
    small.write_bytes(b"for the other device")
    (archive / "small.json").write_text(json.dumps({"device": other}))
    done = move(user, "--device", str(device), "--parallel", "1")
    assert (done.code, statuses(done)) == (1, {"stored": 4, "failed": 2})
    reasons = {line["error"] for line in done.lines if line["status"] == "failed"}
    assert len(reasons) == 1 and "is full" in reasons.pop()
    assert len(user.files(device)) == 3 and len(user.files(other)) == 1
    plain = user.run("media", "put", str(small), str(archive / "000" / "card4.ddd"), "--device", str(device))
    assert plain.code == 1 and "is full" in plain.err


def test_one_bad_sidecar_stops_its_own_file(user: User, device: int, archive: Path) -> None:
    fill(archive, 6)
    bad: dict[str, Any] = {
        "card0": '{"creatd": 1}', "card1": '{"created": "soon"}', "card2": "{", "card3": '{"channel": 900}',
        "card4": '{"device": "name=nobody"}',
    }  # fmt: skip
    for name, text in bad.items():
        (archive / "000" / f"{name}.json").write_text(text)
    done = move(user, "--device", str(device))
    assert (done.code, statuses(done)) == (1, {"failed": 5, "stored": 1})
    errors = {line["file"]: line["error"] for line in done.lines}
    assert "'creatd', did you mean 'created'?" in errors["000/card0.ddd"]
    assert "000/card1.ddd: created must be Unix seconds" in errors["000/card1.ddd"]
    assert "no JSON" in errors["000/card2.ddd"]
    assert "channel must be an integer from 0 to 255, got 900" in errors["000/card3.ddd"]
    assert "must be one, it names 0" in errors["000/card4.ddd"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,created\nnone.jpg,1\n", "1 of 1 files are not in archive"),
        ("file,created\n../outside.jpg,1\n", "must be a path below the folder"),
        ("created\n1\n", "the field file"),
        ("file,chanel\na.ddd,1\n", "did you mean 'channel'?"),
        ("file\na.ddd\na.ddd\n", "stands twice"),
        ("file\na.ddd,1\n", "more cells"),
    ],
)
def test_a_wrong_list_is_refused_before_anything_moves(user: User, archive: Path, text: str, said: str) -> None:
    (archive / "a.ddd").write_bytes(b"a")
    (archive / "metadata.csv").write_text(text)
    done = move(user, "--device", "1")
    assert (done.code, done.out) == (2, "") and said in done.err


def test_who_may_not_moves_nothing(house: House, user: User, device: int, archive: Path) -> None:
    fill(archive, 20)
    refused = move(User(house, user.folder, key="z" * 64), "--device", str(device))
    assert (refused.code, refused.out) == (1, "") and "check --token" in refused.err
    entry = {"uri": "gw/devices", "methods": ["GET"], "submodules": [{"name": "media", "methods": ["GET"]}]}
    body = [{"info": "reader", "ttl": 3600, "access": {"type": 2, "acl": [entry]}}]
    reader = house.result("POST", "/platform/tokens", body)[0]["key"]
    denied = move(User(house, user.folder, key=reader), "--device", str(device))
    assert (denied.code, statuses(denied)) == (1, {"failed": 20})
    nobody = move(user, "--device", "99999")
    assert (nobody.code, statuses(nobody)) == (1, {"failed": 20})
    assert user.files(device) == []


def test_two_at_once_are_one_too_many(house: House, user: User, device: int, archive: Path) -> None:
    fill(archive, 2, 2_000_000)
    with contextlib.closing(Cable(house.ports["http"], holds=1_000_000)) as cable:
        first = User(house, user.folder, url=cable.url).spawn("media", "put", "-r", "archive", "--device", str(device))
        assert cable.held.wait(30)
        second = move(user, "--device", str(device))
        assert second.code == 1 and "is in use" in second.err
        ended_by_kill(first)
    (archive / STATE).unlink()
    (archive / STATE).mkdir()
    assert "cannot be written" in move(user, "--device", str(device)).err
    elsewhere = user.folder / "state.jsonl"
    assert statuses(move(user, "--device", str(device), "--state", str(elsewhere))) == {"stored": 2}
    awaited(lambda: len(elsewhere.read_text().splitlines()) == 2, "the state")
