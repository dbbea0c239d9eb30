"""docs/how-to/curl.md: every block is run by the real curl, in order; and it holds what the seeds published."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from PIL import Image

from .house import House, driving
from .test_curl import SEED_CREATED, SEED_FROM, Shell, clip, driver_card, picture, recorder, seed_lines

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "curl.md"
HOSTS = ("https://flespi.io", "http://localhost:8080", "http://localhost:8001", "https://storage.example.com")


def sections() -> dict[str, list[str]]:
    """The shell blocks of the page, by heading."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        found[part.partition("\n")[0]] = re.findall(r"^```sh\n(.*?)^```", part, flags=re.MULTILINE | re.DOTALL)
    return found


class Reader:
    """Somebody who works through the page with a server and a device of his own."""

    def __init__(self, shell: Shell, house: House, device: int) -> None:
        self._shell = shell
        self.folder = shell.folder
        self._values = {
            "http://localhost:8080": house.base, "http://localhost:8001": f"http://127.0.0.1:{house.ports['gallery']}",
            "YOUR_TOKEN": house.key, "123456": str(device), "/path/to": str(shell.folder),
        }  # fmt: skip

    def knows(self, **values: str) -> None:
        """Put in from now on what the page leaves open."""
        self._values |= values

    def run(self, block: str) -> str:
        """What a block prints."""
        for ours, theirs in self._values.items():
            block = block.replace(ours, theirs)
        return self._shell.run(block.replace("curl ", "curl -sS ", 1) if block.startswith("curl ") else block)

    def result(self, block: str) -> Any:
        """The `result` that a block prints."""
        envelope = json.loads(self.run(block))
        assert "errors" not in envelope, (block, envelope)
        return envelope["result"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"))
    try:
        yield house.start()
    finally:
        house.close()


@pytest.fixture(scope="module")
def device(house: House) -> int:
    return house.add_device("13900000001", metadata={"fleet_id": "10", "gallery_id": "device123"})


@pytest.fixture(scope="module")
def reader(house: House, device: int, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    shell = Shell(house, tmp_path_factory.mktemp("reader"))
    driver_card(shell.folder / "driver_card.ddd")
    clip(shell.folder / "event_clip.mp4")
    return Reader(shell, house, device)


@pytest.fixture(scope="module")
def on_the_road(house: House, device: int) -> Iterator[None]:
    """A recorder whose memory card reaches back to the day of the examples."""
    config = recorder(house, (time.time() - SEED_FROM) / 3600 + 1)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(driving(config)):
        house.until(partial(house.connected, device), "the recorder connects")
        yield


def test_every_section_is_run() -> None:
    run = ["Upload a file", "Ask for a recording", "Files and their links", "Live video", "Select items", "The gallery"]
    assert list(sections()) == run


@pytest.mark.shared
def test_it_holds_every_published_command(shared: Path) -> None:
    """Word for word, but for host and token (one was published without its address)."""

    def bare(text: str) -> str:
        for host in HOSTS:
            text = text.replace(host, "HOST")
        text = re.sub(r"FlespiToken (YOUR_TOKEN|XXX)", "FlespiToken TOKEN", text)
        return text.removesuffix(" ''").strip()

    page = bare(PAGE.read_text())
    for number in ("000", "001", "002"):
        lines = [line for line in seed_lines(shared, number) if "channel1-command-json" not in line]
        assert lines
        for line in lines:
            assert bare(line) in page, line


def test_uploads(reader: Reader) -> None:
    tacho, video = (reader.result(block)[0] for block in sections()["Upload a file"])
    assert (tacho["meta"]["type"], tacho["meta"]["driver_last_name"]) == ("tacho", "Smith")
    assert (video["meta"]["type"], video["meta"]["channel"]) == ("video", 1)
    assert tacho["created"] == video["created"] == SEED_CREATED


def test_recordings(reader: Reader, house: House, device: int) -> None:
    single, several, waiting, results, messages = sections()["Ask for a recording"]
    queued = reader.result(single) + reader.result(several)
    assert [each["id"] for each in reader.result(waiting)] == [each["id"] for each in queued]
    config = recorder(house, (time.time() - SEED_FROM) / 3600 + 1)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(driving(config)):
        done = house.until(
            lambda: [each for each in reader.result(results) if each["executed"]][2:] and reader.result(results),
            "three recordings are fetched", 90,
        )  # fmt: skip
    assert [each["response"]["created"] for each in done] == [SEED_FROM] * 3
    assert sorted(each["response"]["meta"]["channel"] for each in done) == [1, 1, 2]
    house.until(lambda: len(reader.result(messages)) >= 5, "five files have their message")
    assert all(message["media"] is True for message in reader.result(messages))


def test_files_and_links(reader: Reader, house: House, device: int) -> None:
    listed, links, protect, delete = sections()["Files and their links"]
    files = reader.result(listed)
    head, _, about = reader.run(links).replace("\r", "").partition("\n\n")
    assert head.splitlines()[0].split()[1] == "200"
    assert json.loads(about)["uuid"] == files[0]["uuid"]
    assert (reader.folder / "file").stat().st_size == files[0]["size"]
    assert Image.open(reader.folder / "preview.jpg").format == "JPEG"
    (protected,) = reader.result(protect)
    assert (protected["protected"], protected["params"]) == (True, {"case": "A1"})
    reader.result(delete)
    assert [file["uuid"] for file in reader.result(listed)] == [file["uuid"] for file in files[1:]]


@pytest.mark.usefixtures("on_the_road")
def test_live_video(reader: Reader) -> None:
    start, connections, stop = sections()["Live video"]
    streams = reader.result(start)
    assert [stream["executed"] for stream in streams] == [True, True]
    shown = [each["meta"]["mediastream"]["uuid"] for each in reader.result(connections) if each["meta"]]
    assert sorted(shown) == sorted(stream["response"]["uuid"] for stream in streams)
    reader.result(stop)
    assert len([each for each in reader.result(connections) if each["meta"]]) == 1


def test_selectors(reader: Reader, device: int) -> None:
    selectors, fields, first, second = sections()["Select items"]
    answers = [json.loads(line) for line in reader.run(selectors).splitlines()]
    chosen = [[item["id"] for item in answer["result"]] for answer in answers]
    assert len(chosen) == selectors.count("\ndevices ")
    every, ids, ident, models, accounts, mileage, driver, fleet, group, protocol, kind, both, ignition, *far = chosen
    assert every == ids == fleet == protocol == kind == ignition == [device]
    assert ident == models == accounts == mileage == driver == group == both == []
    assert far == [[], []], "neither silent nor near"
    assert reader.result(fields) == [{"id": device, "configuration": {"ident": "13900000001"}}]
    for block, offset in ((first, 0), (second, 10)):
        assert json.loads(reader.run(block))["pagination"] == {"limit": 10, "offset": offset, "count": 1}


def test_the_gallery(reader: Reader, house: House, device: int) -> None:
    login, paths, upload, events, links, put, stats, pull, delete = sections()["The gallery"]
    person = {"identity": "dispatcher@example.com", "password": "a long password"}
    house.result("POST", "/platform/users", [person])
    picture(3).save(reader.folder / "capture.jpg", "JPEG")
    video = clip(reader.folder / "video.mp4").stat().st_size
    before = house.result("GET", f"/gw/devices/{device}/media")

    reader.knows(YOUR_JWT_TOKEN=json.loads(reader.run(login))["token"])
    assert set(json.loads(reader.run(paths))["paths"]) == {"incoming", "thumbnails"}
    taken = json.loads(reader.run(upload))
    assert taken["success"] is True and taken["eventId"].startswith("evt_")
    known = {event["id"] for event in json.loads(reader.run(events))}
    linked = json.loads(reader.run(links))
    assert linked["success"] is True and linked["thumbnail_upload_url"] != linked["upload_url"]
    reader.knows(**{"https://storage.example.com/upload/abc123": linked["upload_url"]})
    reader.run(put)
    (new,) = [event for event in json.loads(reader.run(events)) if event["id"] not in known]
    assert (new["name"], new["media_type"], new["size"]) == ("video.mp4", "video", video)
    assert set(new) >= {"id", "name", "media_type", "size", "has_thumbnail", "created"}
    counted = json.loads(reader.run(stats))
    assert counted["total_events"] == sum(kind["count"] for kind in counted["by_type"].values())
    assert counted["total_size"] == sum(kind["size"] for kind in counted["by_type"].values())
    reader.knows(evt_abc123=new["id"])
    pulled = json.loads(reader.run(pull))
    assert (pulled["success"], pulled["eventId"]) == (True, new["id"])

    # One store: what came this way is among the device's files, and what is deleted here is gone there.
    files = house.result("GET", f"/gw/devices/{device}/media")
    assert len(files) == len(before) + 2
    assert json.loads(reader.run(delete)) == {"success": True}
    assert len(house.result("GET", f"/gw/devices/{device}/media")) == len(before) + 1
