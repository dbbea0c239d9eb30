"""Pulling by a device's own command, where things come at the worst moment: a file at once, a crash in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gallery_client import GalleryClient
from inside import InsideHouse, until
from wayframe.model import ConnectionInfo
from wayframe.model.gallery import EventState
from wayframe.protocols.device import CommandRequest, MediaNews
from wayframe.services import Connection
from wayframe.services.media_files import NewFile
from wayframe.storage import GalleryTable

MDVR = 5
CLIP = {"name": "clip.mp4", "metadata": {"channel": 1, "from": 1_790_000_000, "duration": 5}}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideHouse]:
    made = InsideHouse(tmp_path_factory.mktemp("house"))
    yield made
    made.close()


class Recorder:
    """The link of a recorder that hands out its file in the moment it hears of the command."""

    def __init__(self, house: InsideHouse, device: int) -> None:
        self.house, self.device = house, device
        self._work: list[asyncio.Task[None]] = []

    def execute(self, request: CommandRequest) -> None:
        self._work.append(asyncio.get_running_loop().create_task(self._send(request.id)))

    async def _send(self, number: int) -> None:
        services = self.house.node.services
        entry = services.directory.device(self.device)
        assert entry is not None
        writer = await self.house.node.blobs.begin()
        writer.write(b"a clip")
        blob = await writer.commit()
        facts = NewFile(name="sent.mp4", kind="other", mime="application/octet-stream", created=1e9, channel=1,
                        command_id=number)  # fmt: skip
        await services.media.store_blob(entry, blob, facts)

    def cancel(self, command_id: int) -> None:
        """Nobody wants it any more."""

    def media_event(self, command_id: int, news: MediaNews, position: float = 0.0) -> None:
        """It sends files at once, and no news."""


async def connected(house: InsideHouse, device: int) -> Recorder:
    services, link = house.node.services, Recorder(house, device)
    entry = services.directory.device(device)
    assert entry is not None
    info = ConnectionInfo(
        id=house.node.ids.next(), channel_id=1, device_id=device, ident=entry.device.ident, source="198.51.100.7:4000",
        established=house.node.clock.now(),
    )  # fmt: skip
    services.connections.add(entry, Connection(info, lambda code, reason: None, link))
    return link


def registered(client: GalleryClient) -> str:
    made = client.ask("POST", "/upload", CLIP, headers={"Content-Type": "application/json"})
    return str(made.json()["eventId"])


def shown(client: GalleryClient, event: str) -> Any:
    return client.ask("GET", f"/events/{event}").json()


def test_a_file_that_comes_at_once_fills_its_event(house: InsideHouse) -> None:
    client = GalleryClient(house, "quick", device_type_id=MDVR)
    house.run(connected(house, client.id))
    house.run(watched(house))
    for _ in range(5):
        event = registered(client)
        answer = client.ask("POST", f"/pull/{event}?wait=20").json()
        assert (answer["success"], answer["state"]) == (True, "pulled")
        client.ask("DELETE", f"/events/{event}")
    assert client.events() == []
    # The event knew its command before there was one: no file can be too early.
    assert house.run(known(house)) == [1] * 5


async def watched(house: InsideHouse) -> None:
    """Have the database note, as a command is written, how many events stand with it."""
    async with house.node.db.write() as conn:
        await conn.execute(text("CREATE TABLE noted (events INTEGER)"))
        await conn.execute(
            text(
                "CREATE TRIGGER note AFTER INSERT ON commands BEGIN INSERT INTO noted "
                "SELECT count(*) FROM gallery_events WHERE command_id = NEW.id; END"
            )
        )


async def known(house: InsideHouse) -> list[int]:
    return await house.node.db.ask(lambda conn: list(conn.execute(text("SELECT events FROM noted")).scalars()))


def test_a_command_that_never_came_to_its_queue_leaves_the_event_as_it_was(tmp_path: Path) -> None:
    """A crash between noting the command on the event and queueing it."""
    first = InsideHouse(tmp_path)
    client = GalleryClient(first, "crashed", device_type_id=MDVR)
    lost = registered(client)
    first.run(noted(first, lost))
    assert shown(client, lost)["state"] == "queued"
    # One whose command did stand in its queue, and ended unheard.
    clip = {**CLIP, "name": "other.mp4"}
    ended = client.ask("POST", "/upload", clip, headers={"Content-Type": "application/json"}).json()["eventId"]
    number = client.ask("POST", f"/pull/{ended}?wait=0").json()["commandId"]
    first.result("DELETE", f"/gw/devices/{client.id}/commands-queue/{number}")
    until(lambda: shown(client, ended)["state"] == "failed")
    first.run(noted(first, ended, number))
    first.close()
    second = InsideHouse(tmp_path)
    try:
        client.house, second.key = second, first.key
        assert shown(client, lost)["state"] == "new"
        assert shown(client, ended)["state"] == "failed"
        assert client.ask("POST", f"/pull/{lost}?wait=0").json()["state"] == "queued"
    finally:
        second.close()


async def noted(house: InsideHouse, event: str, number: int = 0) -> None:
    """As a crash leaves an event whose command was to be queued."""
    number = number or house.node.ids.next()
    await GalleryTable(house.node.db).change(event, state=EventState.QUEUED, command_id=number)
