"""The lines people type: the seed contracts' curl commands and the upload page's blocks, run by the real curl."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, ImageDraw

from wayframe.simulator import CameraConfig, Codec, Render, VehicleConfig, VideoFormat

from .house import House, driving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SEED_CREATED = 1775000000
SEED_FROM, SEED_DURATION = 1701084647, 300
TINY = VideoFormat(Codec.H264, 160, 90, 5, 60, 5)
LARGE = 1_500_000_000
SCARCE_DISK = 6_000_000_000
"""With less room than this the large upload is a smaller one."""
MAY_GROW_KB = 48 * 1024
"""What the server may take more while a large file passes: buffers, and what it had not loaded yet."""


# --- things to upload -------------------------------------------------------------------------------------------------


def clip(path: Path) -> Path:
    """Three seconds of MP4 with something moving."""
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for index in range(30):
            out.mux(stream.encode(av.VideoFrame.from_image(picture(index))))
        out.mux(stream.encode())
    return path


def picture(index: int) -> Image.Image:
    """A ball on its way across a field."""
    drawn = Image.new("RGB", (320, 180), (60, 110, 60))
    ImageDraw.Draw(drawn).ellipse((index * 8, 60, index * 8 + 50, 110), fill=(240, 200, 40))
    return drawn


def driver_card(path: Path) -> Path:
    """The outline of a driver card's download: elementary files with id, kind and length before their bytes."""

    def file(number: int, kind: int, data: bytes) -> bytes:
        return struct.pack(">HBH", number, kind, len(data)) + data

    card = file(0x0002, 0, bytes(25)) + file(0x0005, 0, b"WAYFRAME")
    card += file(0x0501, 0, bytes.fromhex("01000302182B7E04500001")[:10]) + file(0x0501, 1, bytes(range(128)))
    path.write_bytes(card + file(0x0520, 0, b"\x11" + b"DF1200000000110200".ljust(142)) + file(0x0520, 1, bytes(128)))
    return path


# --- running what stands there ----------------------------------------------------------------------------------------


class Shell:
    """bash in a folder, with the server's address and a token in its environment."""

    def __init__(self, house: House, folder: Path) -> None:
        self.folder = folder
        inherited = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = inherited | {
            "PATH": path, "URL": house.base, "TOKEN": house.key,
            "WAYFRAME_URL": house.base, "WAYFRAME_TOKEN": house.key,
        }  # fmt: skip

    def run(self, script: str) -> str:
        """What a script prints; it must succeed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=self.folder, env=self.environment, capture_output=True,
            text=True, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def result(self, script: str) -> Any:
        """The `result` of a curl line, which must bring no errors."""
        envelope = json.loads(self.run(script))
        assert "errors" not in envelope, envelope
        return envelope["result"]


@pytest.fixture
def shell(house: House, tmp_path: Path) -> Shell:
    return Shell(house, tmp_path)


def seed_lines(shared: Path, number: str) -> list[str]:
    """The curl commands of a seed text, as they stand there."""
    (text,) = (path.read_text() for path in (shared / "seeds").glob(f"{number}_*.txt"))
    return re.findall(r"^curl (?:.*\\\n)*.*", text, flags=re.MULTILINE)


def messages(house: House, device: int, name: str) -> list[dict[str, Any]]:
    """Messages that carry a parameter, once there are some: processing goes on after the answer."""

    def look() -> list[dict[str, Any]]:
        return [message for message in house.result("GET", f"/gw/devices/{device}/messages") if name in message]

    found = house.until(look, f"a message with {name}")
    assert isinstance(found, list)
    return found


# --- the seeds --------------------------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize("content", ["video", "image"])
def test_the_upload_contract_works_as_it_was_published(house: House, shell: Shell, shared: Path, content: str) -> None:
    device = house.add_device("13900000001")
    driver_card(shell.folder / "driver_card.ddd")
    if content == "video":
        clip(shell.folder / "event_clip.mp4")
    else:
        picture(5).save(shell.folder / "event_clip.mp4", "JPEG")  # `video` takes both: what counts is the content
    lines = [
        line.replace("https://flespi.io", house.base).replace("YOUR_TOKEN", house.key).replace("123456/", f"{device}/")
        for line in seed_lines(shared, "000")
    ]
    assert len(lines) == 2
    tacho, media = (shell.result(line)[0] for line in lines)

    assert tacho["name"] == "driver_card.ddd" and tacho["meta"]["type"] == "tacho"
    assert tacho["meta"]["vin"] == "WDB1234567890" and tacho["meta"]["driver_last_name"] == "Smith"
    assert media["meta"]["channel"] == 1 and media["meta"]["type"] == content
    assert tacho["created"] == media["created"] == SEED_CREATED
    for file, name in ((tacho, "media.tacho"), (media, f"media.{content}.1")):
        message = messages(house, device, name)[0]
        assert message["timestamp"] == SEED_CREATED and message["media"] is True
        assert message[name]["uuid"] == file["uuid"]
    assert shell.run(f"curl -s '{tacho['url']}' | cmp - driver_card.ddd && echo same") == "same\n"


@pytest.mark.shared
async def test_the_video_request_works_as_it_was_published(house: House, shell: Shell, shared: Path) -> None:
    device = house.add_device("13900000001")
    published = seed_lines(shared, "001")[0].replace("XXX", house.key)
    assert f'"from":{SEED_FROM}' in published and published.endswith(" ''")
    line = published.removesuffix("''") + f"'{house.base}/gw/devices/{device}/commands-queue'"
    queued = shell.result(line)[0]
    # A memory card that reaches back to the day of the example.
    hours = (time.time() - SEED_FROM) / 3600 + 1
    async with driving(recorder(house, hours)):
        done = await answered(house, device, queued["id"])
    assert done["executed"] is True, done
    file = done["response"]
    assert file["created"] == SEED_FROM and abs(file["meta"]["duration"] - SEED_DURATION) < 2
    assert messages(house, device, "media.video.1")[0]["timestamp"] == SEED_FROM


async def test_several_commands_in_one_line(house: House, shell: Shell) -> None:
    device = house.add_device("13900000001")
    start = int(time.time()) - 120
    ask = json.dumps(
        [
            {"name": "request_video", "properties": {"channel": channel, "duration": 4, "from": start}, "ttl": 86400}
            for channel in (1, 2)
        ]
    )
    queue = (
        f"curl -s -X POST $URL/gw/devices/{device}/commands-queue -H \"Authorization: FlespiToken $TOKEN\" -d '{ask}'"
    )
    watch = json.dumps(
        [{"name": "start_videostream", "properties": {"channel": channel}, "timeout": 60} for channel in (1, 2)]
    )
    live = f"curl -s -X POST $URL/gw/devices/{device}/commands -H \"Authorization: FlespiToken $TOKEN\" -d '{watch}'"
    queued = shell.result(queue)
    assert len(queued) == 2
    async with driving(recorder(house)):
        for command in queued:
            done = await answered(house, device, command["id"])
            assert done["executed"] is True and done["response"]["meta"]["type"] == "video", done
        streams = await in_thread(shell.result, live)
        assert [stream["executed"] for stream in streams] == [True, True], streams
        for stream in streams:
            url = stream["response"]["url"]
            assert (await in_thread(shell.run, f"curl -s '{url}'")).startswith("#EXTM3U")
            assert "200" in (await in_thread(shell.run, f"curl -s -I '{url}'")).splitlines()[0]


def recorder(house: House, card_hours: float = 72.0) -> VehicleConfig:
    """Two cameras whose recordings cost next to nothing."""
    cameras = tuple(CameraConfig(channel, TINY, TINY) for channel in (1, 2))
    return VehicleConfig(
        ident="13900000001", port=house.ports["signalling"], cameras=cameras, render=Render.LOOP, playback_pace=0.0,
        drives_off=True, card_hours=card_hours,
    )  # fmt: skip


async def in_thread(call: Any, *arguments: Any) -> Any:
    """A blocking call, while the vehicle drives on."""
    return await asyncio.to_thread(call, *arguments)


async def answered(house: House, device: int, command: int) -> dict[str, Any]:
    """The result of a queued command, when it is there."""

    def look() -> list[dict[str, Any]]:
        return [done for done in house.result("GET", f"/gw/devices/{device}/commands-result") if done["id"] == command]

    found = await in_thread(house.until, look, "the queued command is carried out", 80)
    assert isinstance(found, list)
    return dict(found[0])


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_upload_page_works_as_written(house: House, shell: Shell) -> None:
    """Every shell block of docs/how-to/upload-files.md, in order and in one shell."""
    assert house.add_device("13800000001") == 1
    made = clip(shell.folder / "event.mp4").read_bytes()
    driver_card(shell.folder / "card.ddd")
    text = (ROOT / "docs" / "how-to" / "upload-files.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    said = shell.run("\necho -----\n".join(blocks)).split("-----\n")
    assert len(said) == len(blocks)
    by_command, video, tacho, found, _, link, protect, delete = said

    assert re.fullmatch(r"(http://\S+/media/[0-9A-F]{64}\n){2}", by_command), by_command
    assert json.loads(video)["params"] == {"case": "2026-117"}
    assert json.loads(tacho)["meta"]["type"] == "tacho"
    assert [file["meta"]["channel"] for file in json.loads(found)] == [2, 2]
    assert (shell.folder / "copy.mp4").read_bytes() == made
    assert (shell.folder / "start.bin").read_bytes() == made[:100]
    assert Image.open(shell.folder / "picture.jpg").size[0] >= 160
    head, _, known = link.partition("\n\n")
    assert head.splitlines()[0].split()[1] == "200" and f"content-length: {len(made)}" in head.lower()
    assert json.loads(known)["meta"]["type"] == "video"
    assert protect == "true\n"
    assert delete.splitlines()[-1] == "404"


# --- size -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Path]:
    """A file too large for any buffer; mostly a hole, so that making it costs nothing. It is gone afterwards."""
    path = tmp_path / "large.ddd"
    stat = os.statvfs(tmp_path)
    size = LARGE if stat.f_bavail * stat.f_frsize > SCARCE_DISK else LARGE // 5 * 2
    with path.open("wb") as out:
        for place in range(0, size, size // 50):
            out.seek(place)
            out.write(hashlib.sha256(str(place).encode()).digest() * 1000)
        out.truncate(size)
    yield path
    path.unlink()


def test_a_large_file_passes_through_flat_memory(house: House, shell: Shell, large: Path) -> None:
    device = house.add_device("13900000001")
    driver_card(shell.folder / "card.ddd")
    upload = (
        f'curl -s -X POST $URL/gw/devices/{device}/media -H "Authorization: FlespiToken $TOKEN" '
        '-F file=@{} -F \'data={{"type": "tacho"}}\''
    )
    shell.result(upload.format("card.ddd"))  # whatever loads at the first upload is loaded now
    before = peak_kb(house)
    file = shell.result(upload.format(large.name))[0]
    assert file["size"] == large.stat().st_size
    sums = shell.run(f"curl -s '{file['url']}' | sha256sum; sha256sum <{large.name}").splitlines()
    assert sums[0] == sums[1]
    assert peak_kb(house) - before < MAY_GROW_KB
    house.result("DELETE", f"/gw/devices/{device}/media", {"uuid": file["uuid"]})


def peak_kb(house: House) -> int:
    """The most memory the server has ever had in use, as the kernel counts it."""
    assert house.process is not None
    status = Path(f"/proc/{house.process.pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, flags=re.MULTILINE)
    assert found
    return int(found.group(1))
