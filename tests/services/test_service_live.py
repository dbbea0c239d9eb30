"""Live video: from the first key frame to the last chunk, and every way it can end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rooms import ALL, Rooms, SentLink

from camera import FPS, encoded
from wayframe.model import ConnectionInfo
from wayframe.protocols.device import MediaExpected, MediaKind, MediaNews
from wayframe.services import Connection, Entry
from wayframe.services.live import LiveSession

pytestmark = pytest.mark.anyio
LIVE: dict[str, Any] = {"name": "start_videostream", "properties": {"channel": 1}}


@pytest.fixture(scope="session")
def units() -> list[tuple[bytes, bool]]:
    """Six seconds of pictures."""
    return encoded(FPS * 6)


class Stage:
    """A device whose camera is asked for, as the gateway does it."""

    def __init__(self, rooms: Rooms, units: list[tuple[bytes, bool]], entry: Entry, link: SentLink) -> None:
        self.rooms, self.units, self.entry, self.link = rooms, units, entry, link
        self.closings: list[tuple[int, str]] = []
        self.news: list[tuple[MediaNews, float]] = []
        self.number = 0
        self.connection = 0
        self.session: LiveSession

    async def ask(self, **properties: Any) -> Stage:
        """Queue the command and open the media connection it asks for."""
        body = {**LIVE, "properties": {**LIVE["properties"], **properties}}
        created, errors = await self.rooms.commands.enqueue(self.rooms.master(), [self.entry], [body])
        assert errors == []
        self.number = created[0]["id"]
        await self.link.received(len(self.link.requests) or 1)
        await self.rooms.until(lambda: self.link.requests and self.link.requests[-1].id == self.number)
        expected = MediaExpected(self.number, MediaKind.LIVE, b"", 1, "stream")
        self.session = self.rooms.live.begin(self.entry, expected)
        self.dial()
        return self

    def dial(self) -> None:
        """The device opens a media connection."""
        self.connection = self.rooms.ids.next()
        info = ConnectionInfo(
            id=self.connection, channel_id=1, device_id=self.entry.id, ident="truck", source="198.51.100.7:5000",
            established=self.rooms.clock.now(), secondary=True,
        )  # fmt: skip
        self.rooms.connections.add(self.entry, Connection(info, self._closed_by_api))
        self.session.attach(self.connection, self._close, lambda news, at: self.news.append((news, at)))

    def _closed_by_api(self, code: int, reason: str) -> None:
        self.session.stop(reason)

    def _close(self, code: int, reason: str) -> None:
        self.closings.append((code, reason))

    def drop(self) -> None:
        """The media connection breaks."""
        self.session.closed(self.rooms.clock.now())
        self.rooms.connections.remove(self.entry, self.connection, 0, {})

    def send(self, first: int, last: int, codec: str = "h264") -> None:
        """Pictures of these seconds."""
        for index in range(first * FPS, last * FPS):
            data, key = self.units[index]
            self.session.video(codec, data, key, index * 1000 // FPS, self.rooms.clock.now())

    async def streaming(self) -> dict[str, Any]:
        """Wait until the command is answered; its result."""
        state = f"flespi/state/gw/devices/{self.entry.id}/commands-queue/{self.number}"
        await self.rooms.until(lambda: None in self.rooms.payloads(state))
        return (await self.rooms.commands.results([self.entry], ALL, str(self.number)))[0]

    def stops(self) -> list[dict[str, Any]]:
        """Stop events."""
        return self.rooms.payloads(f"flespi/log/gw/devices/{self.entry.id}/mediastream/stop")


async def staged(rooms: Rooms, units: list[tuple[bytes, bool]], **device: Any) -> Stage:
    entry = await rooms.device(**device)
    link = SentLink()
    rooms.connect(entry, link)
    return Stage(rooms, units, entry, link)


@pytest.fixture
async def stage(one: Rooms, units: list[tuple[bytes, bool]]) -> AsyncIterator[Stage]:
    """A connected device and its camera."""
    yield await staged(one, units)


async def test_a_stream_is_playable_then_announced_then_answered(stage: Stage) -> None:
    await stage.ask()
    session = stage.session
    session.video("h264", stage.units[1][0], False, 0, 0)
    assert stage.rooms.live.find(session.uuid) is None  # nothing decodable yet
    stage.send(0, 3)
    assert session.stream is not None
    result = await stage.streaming()
    link = f"http://media.example:9005/media/{session.uuid}"
    assert result["response"] == {
        "uuid": session.uuid, "mediastream": "hls", "channel": 1, "url": link, "hls": link,
    }  # fmt: skip
    device = f"gw/devices/{stage.entry.id}"
    order = [event.topic for event in stage.rooms.events if not event.retain or event.payload is not None]
    state = f"flespi/state/{device}/connections/{stage.connection}"
    meta = stage.rooms.payloads(state)[-1]["meta"]["mediastream"]
    assert (meta["uuid"], meta["url"], meta["video_codec"]) == (session.uuid, link, "h264")
    assert (meta["width"], meta["height"], meta["command_id"]) == (160, 96, stage.number)
    start = f"flespi/log/{device}/mediastream/start"
    processed = f"flespi/log/{device}/commands-queue/start_videostream/processed"
    last_state = len(order) - 1 - order[::-1].index(state)
    assert last_state < order.index(start) < order.index(processed)
    begun = stage.rooms.payloads(start)[0]
    assert (begun["uuid"], begun["url"], begun["connection_id"]) == (session.uuid, link, stage.connection)
    assert session.document()["meta"]["type"] == "mediastream" and session.document()["live"] is True


async def test_a_stream_that_nobody_fetches_ends_and_its_chunks_are_forgotten_later(stage: Stage) -> None:
    await stage.ask()
    stage.send(0, 4)
    await stage.streaming()
    rooms, session = stage.rooms, stage.session
    rooms.clock.advance(59)
    session.touch()
    rooms.clock.advance(60)
    rooms.live.look_after()
    assert not session.ended and rooms.quota.used(stage.entry.id) > 0
    rooms.clock.advance(1)
    rooms.live.look_after()
    assert session.ended and rooms.live.running() == []
    assert stage.news == [(MediaNews.STOPPED, 0.0)] and len(stage.closings) == 1
    assert rooms.live.find(session.uuid) is session  # what is buffered can be watched to its end
    rooms.clock.advance(121)
    rooms.live.look_after()
    assert rooms.live.find(session.uuid) is None and rooms.quota.used(stage.entry.id) == 0
    assert rooms.spooled() == []


async def test_the_connection_is_gone_before_the_stop_is_told(stage: Stage) -> None:
    await stage.ask()
    stage.send(0, 2)
    await stage.streaming()
    rooms = stage.rooms
    rooms.connections.close([stage.entry], str(stage.connection))
    await rooms.journal.settled()
    state = f"flespi/state/gw/devices/{stage.entry.id}/connections/{stage.connection}"
    stop = f"flespi/log/gw/devices/{stage.entry.id}/mediastream/stop"
    assert rooms.payloads(state)[-1] is None
    topics = rooms.topics()
    assert len(topics) - 1 - topics[::-1].index(state) < topics.index(stop)
    told = stage.stops()
    assert len(told) == 1 and told[0]["uuid"] == stage.session.uuid and "API" in told[0]["reason"]


async def test_a_second_start_joins_the_running_stream(stage: Stage) -> None:
    await stage.ask()
    stage.send(0, 2)
    await stage.streaming()
    sent = len(stage.link.requests)
    answers, _ = await stage.rooms.commands.execute(stage.rooms.master(), [stage.entry], [LIVE])
    assert answers[0]["executed"] is True and answers[0]["response"]["uuid"] == stage.session.uuid
    assert len(stage.link.requests) == sent
    stage.session.stop("enough")
    body = {**LIVE, "timeout": 5}
    asking = asyncio.ensure_future(stage.rooms.commands.execute(stage.rooms.master(), [stage.entry], [body]))
    await stage.link.received(sent + 1)  # a stream that ended is not joined
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_device_that_comes_back_goes_on_with_the_same_stream(stage: Stage) -> None:
    await stage.ask()
    stage.send(0, 2)
    await stage.streaming()
    rooms = stage.rooms
    assert stage.session.stream is not None
    frames = stage.session.stream.frames
    stage.drop()
    rooms.clock.advance(19)
    rooms.live.look_after()
    assert not stage.session.ended
    first = stage.connection
    stage.dial()
    stage.send(0, 2)  # its clock starts anew
    rooms.clock.advance(19)
    rooms.live.look_after()
    assert not stage.session.ended and stage.session.stream.frames == 2 * frames
    await rooms.journal.settled()
    shown = rooms.connections.views([stage.entry], str(stage.connection))[0]
    assert stage.connection != first and shown["meta"]["mediastream"]["uuid"] == stage.session.uuid
    assert rooms.topics().count(f"flespi/log/gw/devices/{stage.entry.id}/mediastream/start") == 1


async def test_sound_that_comes_later_is_announced_once(stage: Stage) -> None:
    """A player that was told of no sound would stay silent."""
    await stage.ask()
    stage.send(0, 2)
    await stage.streaming()
    state = f"flespi/state/gw/devices/{stage.entry.id}/connections/{stage.connection}"
    told = len(stage.rooms.payloads(state))
    for index in range(3):
        stage.session.audio("aac", bytes(64), index * 64, 16_000, 1)
    await stage.rooms.journal.settled()
    heard = [payload["meta"]["mediastream"]["has_audio"] for payload in stage.rooms.payloads(state)[told - 1 :]]
    assert heard == [False, True]
    (shown,) = stage.rooms.connections.views([stage.entry], str(stage.connection))
    assert shown["meta"]["mediastream"]["has_audio"] is True


async def test_a_device_that_does_not_come_back_ends_the_stream(stage: Stage) -> None:
    await stage.ask()
    stage.send(0, 2)
    await stage.streaming()
    stage.drop()
    stage.rooms.clock.advance(21)
    stage.rooms.live.look_after()
    await stage.rooms.journal.settled()
    assert stage.session.ended and "device" in stage.stops()[0]["reason"]


async def test_live_chunks_count_and_a_store_that_they_fill_ends_them(
    sqlite_url: str, tmp_path: Path, units: list[tuple[bytes, bool]]
) -> None:
    rooms = await Rooms(sqlite_url, tmp_path, device_limit=1 << 20).start()
    stage = await staged(rooms, [(data + b"\xff" * 30_000, key) for data, key in units])
    await stage.ask()
    stage.send(0, 4)
    await stage.streaming()
    rooms.live.look_after()
    await rooms.until(stage.stops)
    assert "full" in stage.stops()[0]["reason"] and stage.session.ended
    assert 28 in await rooms.codes(stage.entry)
    again = await stage.ask()  # what is left of it still counts
    again.send(0, 1)
    result = await again.streaming()
    assert result["executed"] is False and "full" in result["reason"]
    await rooms.stop()


async def test_without_a_conversion_slot_the_command_says_why(
    sqlite_url: str, tmp_path: Path, units: list[tuple[bytes, bool]]
) -> None:
    rooms = await Rooms(sqlite_url, tmp_path, conversion_slots=0, workers=True).start()
    stage = await staged(rooms, units)
    await stage.ask()
    stage.send(0, 1, "h265")
    result = await stage.streaming()
    assert result["executed"] is False and "slot" in result["reason"]
    assert stage.closings and stage.news == [(MediaNews.STOPPED, 0.0)]
    assert 28 in await rooms.codes(stage.entry) and stage.stops() == []
    assert rooms.live.find(stage.session.uuid) is None
    await rooms.stop()


async def test_a_poster_is_made_at_most_once_a_second(seeing: Rooms, units: list[tuple[bytes, bool]]) -> None:
    stage = await staged(seeing, units)
    await stage.ask()
    assert await seeing.live.poster(stage.session) is None
    stage.send(0, 2)
    first = await seeing.live.poster(stage.session)
    assert first is not None and first.startswith(b"\xff\xd8")
    stage.send(4, 5)
    assert await seeing.live.poster(stage.session) is first
    seeing.clock.advance(1)
    second = await seeing.live.poster(stage.session)
    assert second is not None and second is not first


async def test_a_command_given_up_before_the_first_picture_leaves_no_stream_behind(stage: Stage) -> None:
    await stage.ask()
    assert stage.session.give_up("no answer") is False
    assert len(stage.closings) == 1
    stage.send(0, 2)
    await stage.rooms.journal.settled()
    assert stage.rooms.live.find(stage.session.uuid) is None and stage.session.stream is None
    assert not any("mediastream" in topic for topic in stage.rooms.topics())


async def test_a_command_given_up_while_it_streams_ends_the_stream(stage: Stage) -> None:
    await stage.ask()
    stage.send(0, 2)
    await stage.streaming()
    assert stage.session.give_up("the device says stop") is True
    await stage.rooms.journal.settled()
    assert [record["reason"] for record in stage.stops()] == ["the device says stop"]


async def test_nothing_is_left_after_the_server_stops(stage: Stage) -> None:
    await stage.ask()
    stage.send(0, 4)
    await stage.streaming()
    await stage.rooms.live.stop()
    assert stage.rooms.live.running() == [] and stage.rooms.quota.used(stage.entry.id) == 0
    assert stage.rooms.spooled() == []
