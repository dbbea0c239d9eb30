"""Media and attachment connections: which request they answer, and what becomes of bytes nobody asked for."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest
from doors import IDENT, Doors

from camera import FPS, encoded
from e2e.terminal import Terminal
from wayframe.gateway.media import MediaPeer
from wayframe.gateway.peers import Peer
from wayframe.protocols.device import AttachmentsExpected
from wayframe.services import Entry
from wayframe.simulator import bodies808 as b808
from wayframe.simulator.wire808 import Layout, Msg, number_bcd
from wayframe.simulator.wire1078 import FrameKind, MediaPacketizer, Payload, parse_live
from wayframe.simulator.wire_attachment import (
    Dialect,
    FileKind,
    attachment_list,
    file_blocks,
    file_mark,
    identifier,
    parse_file_end_answer,
)

pytestmark = pytest.mark.anyio
NUMBER = number_bcd(IDENT, Layout.V2013)
LIVE: dict[str, Any] = {"name": "start_videostream", "properties": {"channel": 1}}


@pytest.fixture(scope="session")
def packets() -> list[bytes]:
    """Three seconds of camera 1."""
    packetizer = MediaPacketizer(NUMBER, 1)
    made: list[bytes] = []
    for index, (data, key) in enumerate(encoded(FPS * 3)):
        kind = FrameKind.I if key else FrameKind.P
        made += packetizer.video(data, kind, Payload.H264, index * 1000 // FPS, index % FPS * 66, 66)
    return made


async def media(doors: Doors, use: str = "live") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", doors.port(use))


def parsed(peer: Peer) -> int:
    """Bytes of a media connection that have been looked at."""
    return peer.received_bytes if isinstance(peer, MediaPeer) else 0


async def closed(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(10):
        try:
            assert await reader.read() == b""
        except ConnectionError:
            return


async def asked(doors: Doors, truck: Entry, terminal: Terminal) -> int:
    """Ask for camera 1; the terminal agrees."""
    created, errors = await doors.services.commands.enqueue(doors.master, [truck], [LIVE])
    assert errors == []
    frame = await terminal.hear(Msg.LIVE)
    request = parse_live(frame.body)
    assert (request.port, request.channel) == (doors.port("live"), 1)
    terminal.say(Msg.T_GENERAL, b808.general(frame.serial, Msg.LIVE, 0))
    return int(created[0]["id"])


async def test_a_media_connection_answers_the_request_of_its_number_and_camera(
    doors: Doors, packets: list[bytes]
) -> None:
    truck = await doors.device()
    terminal = await doors.sign_in()
    number = await asked(doors, truck, terminal)
    reader, writer = await media(doors)
    writer.write(b"".join(packets))
    await doors.until(lambda: doors.services.commands.find(number) is None)
    session = doors.services.live.running(truck.id)[0]
    secondary = [item for item in doors.services.connections.views([truck]) if item["secondary"]]
    assert [item["meta"]["mediastream"]["uuid"] for item in secondary] == [session.uuid]
    # The same camera once more has nowhere to go, and does not disturb the first.
    second_reader, second = await media(doors)
    second.write(b"".join(packets))
    await closed(second_reader)
    assert not session.ended
    # Closing it over the API ends the stream and tells the device.
    doors.services.connections.close([truck], str(secondary[0]["id"]))
    await closed(reader)
    assert session.ended and (await terminal.hear(Msg.LIVE_CONTROL)).body[1] == 0
    for socket in (writer, second):
        socket.close()
    terminal.close()


async def test_media_nobody_asked_for_is_taken_nowhere_and_closed(doors: Doors, packets: list[bytes]) -> None:
    truck = await doors.device()
    terminal = await doors.sign_in()
    reader, writer = await media(doors)
    writer.write(b"".join(packets[:40]))
    size = sum(map(len, packets[:40]))
    await doors.until(lambda: any(parsed(peer) == size for peer in doors.gateway.peers))
    doors.clock.ahead += 120
    await closed(reader)
    assert doors.services.live.running() == []
    assert not any(item["secondary"] for item in doors.services.connections.views([truck]))
    writer.close()
    terminal.close()


async def test_live_media_on_the_playback_port_matches_nothing(doors: Doors, packets: list[bytes]) -> None:
    truck = await doors.device()
    terminal = await doors.sign_in()
    number = await asked(doors, truck, terminal)
    _, wrong = await media(doors, "playback")
    wrong.write(b"".join(packets))
    _, right = await media(doors)
    right.write(b"".join(packets))
    await doors.until(lambda: doors.services.commands.find(number) is None)
    assert len([item for item in doors.services.connections.views([truck]) if item["secondary"]]) == 1
    for socket in (wrong, right):
        socket.close()
    terminal.close()


async def test_noise_on_a_media_port_is_closed(doors: Doors) -> None:
    reader, writer = await media(doors)
    writer.write(random.Random(1).randbytes(1 << 20))
    await closed(reader)
    writer.close()


# --- attachments ------------------------------------------------------------------------------------------------------

ALARM = "0123456789abcdef" * 2
CREATED = float(int(time.time()) - 30)
MARK = identifier("SIM0001", CREATED, 1, 1, Dialect.JIANGSU, 8 * 3600)
JPEG = b"\xff\xd8\xff\xe0" + random.Random(2).randbytes(200_000)
NAME = f"00_64_6401_0_{ALARM}.jpg"


def announce(terminal: Terminal, *, supplement: bool) -> None:
    files = [(NAME, len(JPEG))]
    number = ALARM.encode()
    body = attachment_list("SIM0001", MARK, number, files, Dialect.JIANGSU, supplement)
    terminal.say(Msg.ATTACHMENT_LIST, body)


async def expected(doors: Doors) -> Entry:
    truck = await doors.device()
    told = AttachmentsExpected(ALARM, MARK, CREATED, {"event.code": 5})
    doors.services.alarms.expect(truck, doors.channel.id, told)
    return truck


async def stored(doors: Doors, truck: Entry) -> bytes:
    """The one file of a device."""
    message = f"flespi/message/gw/devices/{truck.id}"
    await doors.until(lambda: any(event.topic == message for event in doors.events))
    file = (await doors.services.media.files([truck]))[0]
    assert (file.name, file.kind, file.created, file.channel_id) == (NAME, "image", CREATED, doors.channel.id)
    return doors.services.media.path(file).read_bytes()


async def test_attachments_are_put_together_from_blocks_in_any_order(doors: Doors) -> None:
    truck = await expected(doors)
    terminal = await doors.dial(port=doors.port("attachments"))
    announce(terminal, supplement=False)
    await terminal.hear(Msg.P_GENERAL)
    await doors.until(lambda: len(doors.services.connections.of(truck.id)) == 1)
    assert doors.services.connections.views([truck])[0]["secondary"] is True
    terminal.say(Msg.FILE_START, file_mark(NAME, FileKind.IMAGE, len(JPEG)))
    blocks = list(file_blocks(NAME, JPEG, 0, len(JPEG), 16_384))
    random.Random(3).shuffle(blocks)
    for block in blocks:
        terminal.raw(block)
    terminal.say(Msg.FILE_END, file_mark(NAME, FileKind.IMAGE, len(JPEG)))
    answer = parse_file_end_answer((await terminal.hear(Msg.FILE_END_ANSWER)).body)
    assert answer.complete and answer.name == NAME
    assert await stored(doors, truck) == JPEG
    terminal.close()
    await doors.until(lambda: doors.services.connections.of(truck.id) == [])


async def test_a_broken_attachment_is_supplemented_over_the_next_connection(doors: Doors) -> None:
    truck = await expected(doors)
    terminal = await doors.dial(port=doors.port("attachments"))
    announce(terminal, supplement=False)
    await terminal.hear(Msg.P_GENERAL)
    terminal.say(Msg.FILE_START, file_mark(NAME, FileKind.IMAGE, len(JPEG)))
    await terminal.hear(Msg.P_GENERAL)
    half = len(JPEG) // 2
    for block in file_blocks(NAME, JPEG, 0, half, 16_384):
        terminal.raw(block)
    terminal.say(Msg.FILE_END, file_mark(NAME, FileKind.IMAGE, len(JPEG)))
    missing = parse_file_end_answer((await terminal.hear(Msg.FILE_END_ANSWER)).body).missing
    assert missing == ((half, len(JPEG) - half),)
    terminal.close()
    await doors.until(lambda: doors.services.connections.of(truck.id) == [])
    assert await doors.services.media.files([truck]) == []
    again = await doors.dial(port=doors.port("attachments"))
    announce(again, supplement=True)
    await again.hear(Msg.P_GENERAL)
    again.say(Msg.FILE_START, file_mark(NAME, FileKind.IMAGE, len(JPEG)))
    for block in file_blocks(NAME, JPEG, half, len(JPEG) - half, 16_384):
        again.raw(block)
    again.say(Msg.FILE_END, file_mark(NAME, FileKind.IMAGE, len(JPEG)))
    assert parse_file_end_answer((await again.hear(Msg.FILE_END_ANSWER)).body).complete
    assert await stored(doors, truck) == JPEG
    again.close()


async def test_an_alarm_number_nobody_gave_out_is_refused(doors: Doors) -> None:
    await doors.device()
    terminal = await doors.dial(port=doors.port("attachments"))
    announce(terminal, supplement=False)
    await terminal.closed()
    assert list(doors.node.blobs.root.glob("tmp/*")) == []
