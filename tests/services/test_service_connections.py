"""Connections, links and alarm numbers: who is there, how to reach them, and what is shown of it."""

from __future__ import annotations

import pytest
from rooms import NOW, Rooms, SentLink

from wayframe.model import NotFound
from wayframe.protocols.device import AttachmentsExpected
from wayframe.services import CHANNELS, DEVICES, Links
from wayframe.services.alarms import KEEP_S

pytestmark = pytest.mark.anyio
UUID = "AB" * 32


async def test_a_connection_is_announced_while_it_is_open(one: Rooms) -> None:
    truck = await one.device("a")
    channel = await one.directory.create(one.master(), CHANNELS, {"protocol_id": 552})
    connection, _ = one.connect(truck, SentLink(), channel_id=channel.id)
    await one.journal.settled()
    topic = f"flespi/state/gw/devices/{truck.id}/connections/{connection.info.id}"
    shown = {
        "id": connection.info.id, "channel_id": channel.id, "device_id": truck.id, "ident": "a", "meta": None,
        "source": "198.51.100.7:4000", "transport": "tcp", "established": NOW, "secondary": False,
    }  # fmt: skip
    assert one.retained(topic) == {topic: shown} and one.connections.views([truck]) == [shown]
    assert truck.view["connected"] is True and channel.view["connections_count"] == 1
    assert one.retained()[f"flespi/state/gw/channels/{channel.id}/connections_count"] == 1
    one.connections.remove(truck, connection.info.id, 17, {"duration": 5.5, "msgs": 3, "recv": 100, "send": 50})
    one.connections.remove(truck, connection.info.id, 17, {})
    await one.journal.settled()
    assert one.retained(topic) == {} and one.connections.views([truck]) == []
    assert truck.view["connected"] is False and channel.view["connections_count"] == 0
    assert one.retained()[f"flespi/state/gw/devices/{truck.id}/connected"] is False
    up, down = [record for record in await one.logs(truck) if record["event_code"] in (300, 301)]
    assert (up["event_code"], up["ident"], up["channel_id"]) == (300, "a", channel.id)
    assert (down["close_code"], down["msgs"], down["reason"]) == (17, 3, "inactivity")


async def test_a_media_connection_is_no_device_connection(one: Rooms) -> None:
    truck = await one.device()
    connection, _ = one.connect(truck, None, secondary=True)
    assert truck.view["connected"] is False and one.connections.link(truck.id) is None
    meta = {"mediastream": {"uuid": UUID, "mediastream": "hls", "channel": 1}}
    one.connections.update_meta(truck, connection.info.id, meta)
    one.connections.update_meta(truck, 999, meta)
    link = f"http://media.example:9005/media/{UUID}"
    stream = one.connections.views([truck])[0]["meta"]["mediastream"]
    assert (stream["url"], stream["hls"]) == (link, link)
    one.connections.remove(truck, connection.info.id, 0, {})
    assert await one.codes(truck) == [1]


async def test_the_newer_link_wins_and_the_older_one_s_end_changes_nothing(one: Rooms) -> None:
    truck = await one.device()
    older, newer = SentLink(), SentLink()
    first, _ = one.connect(truck, older)
    second, _ = one.connect(truck, newer)
    assert one.connections.link(truck.id) is newer
    one.connections.remove(truck, first.info.id, 12, {})
    assert one.connections.link(truck.id) is newer and truck.view["connected"] is True
    one.connections.remove(truck, second.info.id, 0, {})
    assert one.connections.link(truck.id) is None and truck.view["connected"] is False


async def test_connections_are_closed_by_selector_of_devices_or_channels(one: Rooms) -> None:
    a, b = await one.device("a"), await one.device("b")
    channel = await one.directory.create(one.master(), CHANNELS, {"protocol_id": 552})
    first, closed_first = one.connect(a, SentLink(), channel_id=channel.id)
    media, closed_media = one.connect(a, None, secondary=True, channel_id=99)
    other, closed_other = one.connect(b, SentLink(), channel_id=channel.id)
    assert [view["id"] for view in one.connections.views([a], "secondary=true")] == [media.info.id]
    assert one.connections.close([a], str(media.info.id)) == [{"id": media.info.id}]
    assert closed_media == [(22, "closed over the API")] and closed_first == [] == closed_other
    for wanted in ("77", str(other.info.id)):
        with pytest.raises(NotFound):
            one.connections.close([a], wanted)
    assert one.connections.close([b], "ident=nobody") == []
    views = one.connections.views([channel], channels=True)
    assert [view["id"] for view in views] == [first.info.id, other.info.id]
    one.connections.close([channel], "all", channels=True)
    assert len(closed_first) == len(closed_other) == 1 and len(closed_media) == 1


# --- links ------------------------------------------------------------------------------------------------------------


def test_links_follow_the_public_url() -> None:
    links = Links("https://new.example/base/")
    value = {"uuid": UUID, "url": "http://old/x", "list": [{"uuid": UUID, "mediastream": "flv"}], "n": 1}
    shown = links.render(value)
    url = f"https://new.example/base/media/{UUID}"
    assert shown == {**value, "url": url, "list": [{"uuid": UUID, "mediastream": "flv", "url": url, "flv": url}]}
    assert value["url"] == "http://old/x"
    assert links.strip(shown) == {"uuid": UUID, "list": [{"uuid": UUID, "mediastream": "flv"}], "n": 1}


def test_what_names_no_media_keeps_its_urls() -> None:
    links = Links("https://new.example")
    for value in ({"url": "http://x"}, {"uuid": "short"}, {"uuid": 5}, [], None, "text"):
        assert links.render(value) == value and links.strip(value) == value


# --- alarm numbers ----------------------------------------------------------------------------------------------------


async def test_an_alarm_number_opens_its_upload_for_a_week_also_over_a_restart(rooms: Rooms) -> None:
    truck = await rooms.device()
    number = "f" * 32
    rooms.alarms.expect(truck, 3, AttachmentsExpected(number, b"\x01\x02", NOW - 5, {"alarm.code": 1}))
    found = rooms.alarms.find(number)
    assert found is not None and found[1] is truck
    upload = found[0]
    assert (upload.channel_id, upload.created, upload.identifier) == (3, NOW - 5, "0102")
    assert upload.parameters == {"alarm.code": 1} and rooms.alarms.find("0" * 32) is None
    await rooms.alarms.settle()
    await rooms.restart()
    again = rooms.alarms.find(number)
    assert again is not None and again[0] == upload
    rooms.clock.advance(KEEP_S)
    assert rooms.alarms.find(number) is not None
    rooms.clock.advance(1)
    assert rooms.alarms.find(number) is None
    await rooms.alarms.expire()
    await rooms.restart()
    rooms.clock.advance(-KEEP_S)
    assert rooms.alarms.find(number) is None


async def test_an_alarm_of_a_deleted_device_is_nobody_s(one: Rooms) -> None:
    truck = await one.device()
    one.alarms.expect(truck, 3, AttachmentsExpected("a" * 32, b"", NOW, {}))
    await one.directory.delete(one.master(), DEVICES, truck)
    assert one.alarms.find("a" * 32) is None
