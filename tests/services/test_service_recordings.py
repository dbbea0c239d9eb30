"""Recordings: played-back frames become a clip, cut exactly, over breaks, refusals and full stores."""

from __future__ import annotations

import io
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import pytest
from rooms import ALL, NOW, Rooms, SentLink

from camera import FPS, encoded
from wayframe.model import MediaFile
from wayframe.protocols.device import MediaExpected, MediaKind, MediaNews
from wayframe.services import Entry
from wayframe.services.recordings import RecordingFeed

pytestmark = pytest.mark.anyio
START = NOW - 600


@pytest.fixture(scope="session")
def units() -> list[tuple[bytes, bool]]:
    """Twelve seconds of pictures."""
    return encoded(FPS * 12)


class Playback:
    """A device that plays back, as the gateway feeds it."""

    def __init__(self, rooms: Rooms, units: list[tuple[bytes, bool]], entry: Entry, link: SentLink) -> None:
        self.rooms, self.units, self.entry, self.link = rooms, units, entry, link
        self.closings: list[str] = []
        self.news: list[tuple[MediaNews, float]] = []
        self.number = 0
        self.feed: RecordingFeed

    async def ask(self, duration: int = 10) -> Playback:
        """Queue a request for a clip and open its media connection."""
        body = {"name": "request_video", "properties": {"channel": 1, "from": START, "duration": duration}}
        created, errors = await self.rooms.commands.enqueue(self.rooms.master(), [self.entry], [body])
        assert errors == []
        self.number = created[0]["id"]
        await self.link.received(1)
        expected = MediaExpected(self.number, MediaKind.PLAYBACK, b"", 1, "record", START, duration)
        self.feed = self.rooms.recordings.begin(self.entry, expected, 3)
        self.dial()
        return self

    def dial(self) -> None:
        """The device opens a media connection."""
        self.feed.attach(
            1, lambda code, reason: self.closings.append(reason), lambda news, at: self.news.append((news, at))
        )

    def play(self, first: float, last: float, offset: float = 0.0) -> None:
        """Pictures of these seconds; the clock of the connection begins at `offset`."""
        for index in range(round(first * FPS), round(last * FPS)):
            data, key = self.units[index]
            pts = round((index / FPS - offset) * 1000)
            self.feed.video("h264", data, key, pts, self.rooms.clock.now())

    async def result(self) -> dict[str, Any]:
        """Wait for the command's end."""
        state = f"flespi/state/gw/devices/{self.entry.id}/commands-queue/{self.number}"
        await self.rooms.until(lambda: None in self.rooms.payloads(state))
        return (await self.rooms.commands.results([self.entry], ALL))[0]

    async def clip(self) -> tuple[MediaFile, list[float]]:
        """The stored clip and the times of its pictures."""
        file = (await self.rooms.media.files([self.entry]))[0]
        with av.open(io.BytesIO(self.rooms.media.path(file).read_bytes())) as container:
            return file, [float(frame.time or 0.0) for frame in container.decode(video=0)]

    def assert_released(self) -> None:
        """Nothing is held any more."""
        assert self.rooms.quota.used(self.entry.id) == self.rooms.quota.stored(self.entry.id)
        assert self.rooms.temporary() == []


@pytest.fixture
async def playback(one: Rooms, units: list[tuple[bytes, bool]]) -> AsyncIterator[Playback]:
    """A connected recorder."""
    entry, link = await one.device(), SentLink()
    one.connect(entry, link)
    yield Playback(one, units, entry, link)


async def test_a_clip_is_cut_exactly_and_answers_its_command(playback: Playback) -> None:
    await playback.ask(10)
    playback.play(0, 12)
    result = await playback.result()
    assert result["executed"] is True and result["response"]["meta"]["command_id"] == playback.number
    file, times = await playback.clip()
    assert len(times) == 10 * FPS and abs(file.meta["duration"] - 10) < 0.1
    assert (file.created, file.channel_id, file.kind, file.mime) == (START, 3, "video", "video/mp4")
    assert (file.meta["channel"], file.meta["width"], file.meta["height"]) == (1, 160, 96)
    assert file.name == "VID_1_20270115_075000.mp4" and "partial" not in file.meta
    assert playback.news == [(MediaNews.FINISHED, 0.0)] and playback.closings == ["recording complete"]
    playback.assert_released()


async def test_most_of_a_clip_is_a_clip(playback: Playback) -> None:
    await playback.ask(10)
    playback.play(0, 9.5)
    playback.feed.closed(playback.rooms.clock.now())
    assert (await playback.result())["executed"] is True
    file, _ = await playback.clip()
    assert "partial" not in file.meta


async def test_a_break_is_asked_for_again_and_joined_without_a_seam(playback: Playback) -> None:
    await playback.ask(10)
    playback.play(0, 4.4)
    playback.feed.closed(playback.rooms.clock.now())
    assert playback.news == [(MediaNews.STALLED, START + 4)]
    playback.dial()
    playback.play(4, 12, offset=4)
    assert (await playback.result())["executed"] is True
    file, times = await playback.clip()
    assert len(times) == 10 * FPS
    assert all(0 < later - earlier < 0.1 for earlier, later in itertools.pairwise(times))
    assert "partial" not in file.meta
    playback.assert_released()


async def test_a_second_break_leaves_a_partial_clip_that_says_so(playback: Playback) -> None:
    await playback.ask(10)
    playback.play(0, 3)
    playback.rooms.clock.advance(11)
    playback.feed.tick(playback.rooms.clock.now())
    assert playback.news[-1] == (MediaNews.STALLED, START + 2)
    playback.dial()
    playback.play(2, 5, offset=2)
    playback.feed.closed(playback.rooms.clock.now())
    result = await playback.result()
    assert result["executed"] is True and result["response"]["meta"]["partial"] is True
    file, times = await playback.clip()
    assert "after" in file.meta["partial_reason"] and len(times) == 5 * FPS


async def test_nothing_at_all_fails_and_is_tried_again(playback: Playback) -> None:
    await playback.ask(10)
    playback.rooms.clock.advance(31)
    playback.feed.tick(playback.rooms.clock.now())
    await playback.rooms.until(lambda: "reason" in (playback.rooms.commands.queue([playback.entry]) or [{}])[0])
    item = playback.rooms.commands.queue([playback.entry])[0]
    assert "no frame" in item["reason"] and item["attempts"] == 1
    assert (MediaNews.STOPPED, 0.0) in playback.news
    playback.assert_released()


async def test_a_device_that_gives_up_leaves_what_came(playback: Playback) -> None:
    await playback.ask(10)
    playback.play(0, 2)
    assert playback.feed.give_up("no more recordings") is True
    assert playback.feed.give_up("again") is True
    assert (await playback.result())["response"]["meta"]["partial_reason"] == "no more recordings"


async def test_a_device_that_gives_up_with_nothing_leaves_nothing(playback: Playback) -> None:
    await playback.ask(10)
    assert playback.feed.give_up("no recordings") is False
    assert playback.closings == ["no recordings"]
    playback.play(0, 12)
    assert await playback.rooms.media.files([playback.entry]) == []
    playback.assert_released()


async def test_a_canceled_recording_is_dropped(playback: Playback) -> None:
    await playback.ask(10)
    playback.play(0, 5)
    playback.feed.drop()
    playback.play(5, 12)
    assert playback.closings == ["canceled"]
    assert await playback.rooms.media.files([playback.entry]) == []
    playback.assert_released()


async def test_a_person_stops_it_and_keeps_what_came(playback: Playback) -> None:
    await playback.ask(10)
    playback.play(0, 5)
    playback.feed.stop("closed over the API")
    assert "closed over the API" in (await playback.result())["response"]["meta"]["partial_reason"]


async def test_a_person_stops_it_before_anything_came(playback: Playback) -> None:
    await playback.ask(10)
    playback.feed.stop("closed over the API")
    result = await playback.result()
    assert result["executed"] is False and "closed over the API" in result["reason"]
    playback.assert_released()


async def test_a_recording_holds_its_bytes_in_the_store_and_a_full_one_ends_it(
    sqlite_url: str, tmp_path: Path, units: list[tuple[bytes, bool]]
) -> None:
    rooms = await Rooms(sqlite_url, tmp_path, device_limit=2 << 20).start()
    entry, link = await rooms.device(), SentLink()
    rooms.connect(entry, link)
    playback = await Playback(rooms, units, entry, link).ask(10)
    playback.play(0, 1)
    assert rooms.quota.used(entry.id) == 1 << 20
    for index in range(1, 10):
        data, _ = units[0]
        padded = data + b"\xff" * (300 << 10)
        playback.feed.video("h264", padded, True, 1000 + index * 66, rooms.clock.now())
    result = await playback.result()
    assert result["executed"] is False and "full" in result["reason"]
    refused = [record for record in await rooms.logs(entry) if record["event_code"] == 28]
    assert len(refused) == 1
    playback.assert_released()
    await rooms.stop()


async def test_what_is_complete_when_the_server_stops_is_stored(playback: Playback) -> None:
    await playback.ask(10)
    playback.play(0, 12)
    await playback.rooms.recordings.stop()
    file, times = await playback.clip()
    assert len(times) == 10 * FPS and file.command_id == playback.number
    playback.assert_released()


async def test_what_is_under_way_when_the_server_stops_is_left_out(playback: Playback) -> None:
    await playback.ask(10)
    playback.play(0, 5)
    await playback.rooms.recordings.stop()
    assert await playback.rooms.media.files([playback.entry]) == []
    playback.assert_released()


async def test_pictures_nobody_can_put_into_a_clip_fail_the_command(playback: Playback) -> None:
    await playback.ask(10)
    playback.feed.video("avs", b"\x00", True, 0, playback.rooms.clock.now())
    result = await playback.result()
    assert result["executed"] is False and "avs" in result["reason"]
    playback.assert_released()
