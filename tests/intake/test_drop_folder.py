"""The drop folder of a running server: whatever is dropped, however slowly, in whatever name."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from inside import InsideHouse, until


def picture(colour: tuple[int, int, int] = (200, 30, 40)) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(target, "JPEG")
    return target.getvalue()


class Drop:
    """The drop folder of one device."""

    def __init__(self, house: InsideHouse, name: str) -> None:
        self.house = house
        self.id = house.device(name)
        paths = house.ask("GET", f"/api/gallery/{self.id}/paths").json()["paths"]
        self.incoming, self.thumbnails = Path(paths["incoming"]), Path(paths["thumbnails"])
        self.folder = self.incoming.parent

    def events(self) -> dict[str, dict[str, Any]]:
        found = self.house.ask("GET", f"/api/gallery/{self.id}/events?limit=1000").json()
        return {event["name"]: event for event in found}

    def quiet(self) -> bool:
        """Whether nothing is left to do."""
        claimed = self.folder / ".claimed"
        return not any(self.incoming.iterdir()) and not (claimed.is_dir() and any(claimed.iterdir()))

    def settled(self) -> dict[str, dict[str, Any]]:
        until(self.quiet)
        return self.events()

    def failures(self) -> dict[str, str]:
        """File name → why it failed."""
        found = {}
        for note in (self.folder / "failed").glob("*.error.json"):
            found[note.name.removesuffix(".error.json")] = json.loads(note.read_text())["error"]
        return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideHouse]:
    made = InsideHouse(tmp_path_factory.mktemp("house"))
    yield made
    made.close()


def test_files_arrive_with_thumbnail_and_metadata(house: InsideHouse) -> None:
    drop = Drop(house, "dropped")
    (drop.thumbnails / "CLIP.JPG").write_bytes(picture())
    (drop.incoming / "clip.mp4.json").write_text('{"timestamp": "2024-03-20T10:00:00Z", "channel": 3, "trip": 9}')
    (drop.incoming / "clip.mp4").write_bytes(b"not really a clip")
    (drop.incoming / "alone.txt").write_bytes(b"text")
    found = drop.settled()
    assert {*found} == {"clip.mp4", "alone.txt"}
    clip = found["clip.mp4"]
    assert (clip["created"], clip["has_thumbnail"], clip["source"]) == ("2024-03-20T10:00:00.000Z", True, "drop")
    assert (clip["metadata"]["channel"], clip["metadata"]["trip"]) == (3, 9)
    receipt = json.loads((drop.folder / "processed" / "clip.mp4.json").read_text())
    assert (receipt["eventId"], receipt["uuid"], receipt["size"]) == (clip["id"], clip["uuid"], 17)
    assert not any(drop.thumbnails.iterdir())
    assert drop.failures() == {}
    assert house.temporary_files() == []


def test_a_file_that_grows_is_taken_once_and_whole(house: InsideHouse) -> None:
    drop = Drop(house, "growing")
    pause = threading.Event()
    with (drop.incoming / "slow.bin").open("wb") as file:
        for number in range(8):  # each pause is longer than a quiet file has to be
            file.write(bytes([number]) * 1000)
            file.flush()
            pause.wait(2.5 if number in (2, 5) else 0.2)
            assert drop.events() == {}
    found = drop.settled()
    assert [(event["name"], event["size"]) for event in found.values()] == [("slow.bin", 8000)]


def test_many_at_once_all_arrive(house: InsideHouse) -> None:
    drop = Drop(house, "many")
    for number in range(200):
        (drop.incoming / f"file{number}.txt").write_bytes(b"content %d" % number)
    found = drop.settled()
    assert len(found) == 200
    stats = house.ask("GET", f"/api/gallery/{drop.id}/stats").json()
    assert (stats["total_events"], stats["by_type"]["document"]["count"]) == (200, 200)


def test_the_same_file_again_is_the_same_event(house: InsideHouse) -> None:
    drop = Drop(house, "again")
    for _ in range(2):
        (drop.incoming / "same.txt").write_bytes(b"same")
        assert len(drop.settled()) == 1
    assert json.loads((drop.folder / "processed" / "same.txt.json").read_text())["duplicate"] is True


def test_unfinished_and_hidden_names_wait(house: InsideHouse) -> None:
    drop = Drop(house, "unfinished")
    for name in ("a.mp4.part", "b.tmp", ".c.mp4", "d.crdownload", "e~"):
        (drop.incoming / name).write_bytes(b"x")
    (drop.incoming / "f.mp4.part").write_bytes(b"whole")
    (drop.incoming / "f.mp4.part").rename(drop.incoming / "f.mp4")
    until(lambda: bool(drop.events()))
    assert [*drop.events()] == ["f.mp4"]
    assert len([*drop.incoming.iterdir()]) == 5


def test_a_thumbnail_that_is_no_picture_is_left_out(house: InsideHouse) -> None:
    drop = Drop(house, "no picture")
    (drop.thumbnails / "clip.jpg").write_bytes(b"no picture")
    (drop.incoming / "clip.bin").write_bytes(b"clip")
    found = drop.settled()
    assert (found["clip.bin"]["size"], found["clip.bin"]["has_thumbnail"]) == (4, False)
    assert drop.failures() == {}


def test_a_late_thumbnail_is_attached(house: InsideHouse) -> None:
    drop = Drop(house, "late")
    (drop.incoming / "clip.bin").write_bytes(b"clip")
    assert drop.settled()["clip.bin"]["has_thumbnail"] is False
    (drop.thumbnails / "clip.jpg").write_bytes(picture())
    until(lambda: drop.events()["clip.bin"]["has_thumbnail"])


def test_names_and_links_that_would_lead_elsewhere(house: InsideHouse, tmp_path: Path) -> None:
    drop = Drop(house, "hostile")
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"secret")
    (drop.incoming / "link.txt").symlink_to(secret)
    hard = drop.folder / "kept.txt"
    hard.write_bytes(b"kept")
    os.link(hard, drop.incoming / "hard.txt")
    os.mkfifo(drop.incoming / "pipe.txt")
    (drop.incoming / "folder.txt").mkdir()
    (drop.incoming / "$(touch owned);'\".txt").write_bytes(b"quoted")
    (drop.incoming / "r\u202egpj.exe").write_bytes(b"turned")
    (drop.incoming / os.fsdecode(b"\xff\xfe.txt")).write_bytes(b"no text")
    (drop.incoming / ("n" * 251 + ".txt")).write_bytes(b"long")
    (drop.incoming / "truck 🚚.txt").write_bytes(b"wide")
    (drop.incoming / "empty.txt").touch()
    os.utime(drop.incoming / "empty.txt", (1, 1))
    (drop.incoming / "bad.txt").write_bytes(b"x")
    (drop.incoming / "bad.txt.json").write_text('{"timestamp": "yesterday"}')
    until(lambda: {path.name for path in drop.incoming.iterdir()} == {"folder.txt"})
    until(lambda: not any((drop.folder / ".claimed").iterdir()))
    assert {*drop.events()} == {
        "$(touch owned);'\".txt", "rgpj.exe", "\ufffd\ufffd.txt", "n" * 251 + ".txt", "truck 🚚.txt"
    }  # fmt: skip
    failures = drop.failures()
    assert {*failures} == {"link.txt", "hard.txt", "pipe.txt", "empty.txt", "bad.txt"}
    assert "timestamp" in failures["bad.txt"]
    assert (drop.folder / "failed" / "link.txt").is_symlink()
    assert (drop.folder / "failed" / "bad.txt").read_bytes() == b"x"
    assert hard.read_bytes() == b"kept"


def test_files_of_a_blocked_account_wait(house: InsideHouse) -> None:
    branch = house.result("POST", "/platform/subaccounts", [{"name": "b"}])[0]["id"]
    waits, goes_on = Drop(house, "blocked"), Drop(house, "not-blocked")
    house.result("PUT", f"/gw/devices/{waits.id}/cid", {"cid": branch})
    house.result("PUT", f"/platform/subaccounts/{branch}", {"blocked": True})
    for drop in (waits, goes_on):
        (drop.incoming / "a.jpg").write_bytes(picture())
    assert "a.jpg" in goes_on.settled()
    assert [path.name for path in waits.incoming.iterdir()] == ["a.jpg"]
    house.result("PUT", f"/platform/subaccounts/{branch}", {"blocked": False})
    assert "a.jpg" in waits.settled()


def test_a_full_store_is_told(house: InsideHouse) -> None:
    drop = Drop(house, "small")
    house.result("PUT", f"/gw/devices/{drop.id}", {"media_rotate": 1 << 20})
    (drop.incoming / "big.bin").write_bytes(bytes(2 << 20))
    until(lambda: "big.bin" in drop.failures())
    assert "1048576" in drop.failures()["big.bin"]
    assert (drop.folder / "failed" / "big.bin").stat().st_size == 2 << 20


def test_folders_of_nobody_are_left_alone(house: InsideHouse) -> None:
    drop = Drop(house, "somebody")
    for name in ("99999", "..x", "007x"):
        folder = drop.folder.parent / name / "incoming"
        folder.mkdir(parents=True)
        (folder / "x.txt").write_bytes(b"x")
    (drop.incoming / "mine.txt").write_bytes(b"mine")
    assert {*drop.settled()} == {"mine.txt"}
    assert (drop.folder.parent / "99999" / "incoming" / "x.txt").exists()


def test_what_was_claimed_is_stored_after_a_restart(tmp_path: Path) -> None:
    house = InsideHouse(tmp_path)
    drop = Drop(house, "restarted")
    house.close()
    claim = drop.folder / ".claimed" / "0011223344556677"
    claim.mkdir(parents=True)
    (claim / "claimed.txt").write_bytes(b"claimed")
    # As a crash leaves a file that was on its way into the store: checked, and with a second name there.
    linked = claim.with_name("8899aabbccddeeff")
    linked.mkdir()
    (linked / "linked.txt").write_bytes(b"linked")
    (linked / ".checked").touch()
    blob = tmp_path / "data" / "blobs" / "ab" / "cd" / ("ab" + "cd" * 15)
    blob.parent.mkdir(parents=True)
    os.link(linked / "linked.txt", blob)
    (drop.incoming / "waiting.txt").write_bytes(b"waiting")
    again = InsideHouse(tmp_path)
    try:
        drop.house, again.key = again, house.key
        assert {*drop.settled()} == {"claimed.txt", "linked.txt", "waiting.txt"}
        assert drop.failures() == {}
    finally:
        again.close()
