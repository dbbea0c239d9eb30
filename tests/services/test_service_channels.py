"""What came over channels: idents, and the messages a channel shows of its devices."""

from __future__ import annotations

from typing import Any

import pytest
from rooms import ALL, JT808, NOW, Rooms, SentLink

from wayframe.model import Conflict
from wayframe.model.query import HistoryQuery, parse
from wayframe.services import CHANNELS, Entry

pytestmark = pytest.mark.anyio


@pytest.fixture
async def channel(one: Rooms) -> Entry:
    return await one.directory.create(one.master(), CHANNELS, {"protocol_id": JT808})


# --- idents -----------------------------------------------------------------------------------------------------------


async def test_the_last_thousand_unknown_idents_are_remembered(one: Rooms, channel: Entry) -> None:
    for n in range(1001):
        one.idents.knocked(channel.id, str(n), "203.0.113.9:1")
    one.clock.advance(9)
    one.idents.knocked(channel.id, "1", "203.0.113.9:2")
    known = list(one.idents.of(channel.id))
    assert len(known) == 1000 and known[0].ident == "2"
    assert (known[-1].ident, known[-1].source, known[-1].seen) == ("1", "203.0.113.9:2", NOW + 9)
    assert list(one.idents.of(999)) == []


async def test_idents_outlive_a_restart_and_keep_their_numbers(one: Rooms, channel: Entry) -> None:
    truck = await one.device("0138")
    stranger = one.idents.knocked(channel.id, "0139", "a:1")
    one.idents.came(channel.id, truck, "a:2")
    await one.idents.save()
    await one.idents.save()
    await one.restart()
    found = {line["ident"]: line for line in await one.idents.views([channel])}
    assert found["0139"]["id"] == stranger.id and found["0139"]["registered"] is False
    assert (found["0138"]["device_id"], found["0138"]["registered"]) == (truck.id, True)
    again = one.directory.device(truck.id)
    assert again is not None and again.view["channels"] == [{"id": channel.id}]


async def test_a_line_tells_of_open_connections_and_of_a_device_made_later(one: Rooms, channel: Entry) -> None:
    one.idents.knocked(channel.id, "0138", "a:1")
    truck = await one.device("0138")
    (line,) = await one.idents.views([channel])
    assert (line["device_id"], line["registered"], line["connections"], line["established"]) == (truck.id, True, 0, 0)
    one.connect(truck, SentLink(), channel_id=channel.id)
    one.connect(truck, None, channel_id=channel.id, established=NOW - 5)
    (line,) = await one.idents.views([channel])
    assert (line["connections"], line["established"]) == (2, NOW - 5)


async def test_another_spelling_of_an_ident_goes_when_the_device_comes(one: Rooms, channel: Entry) -> None:
    one.idents.knocked(channel.id, "00138", "a:1")
    truck = await one.device("138")
    one.idents.came(channel.id, truck, "a:1", ["00138", "138"])
    assert [known.ident for known in one.idents.of(channel.id)] == ["138"]


async def test_what_a_channel_saw_goes_with_it(one: Rooms, channel: Entry) -> None:
    truck = await one.device("0138")
    one.idents.came(channel.id, truck, "a:1")
    stranger = one.idents.knocked(channel.id, "0139", "a:1")
    one.traffic.note(-stranger.id, b"~", received=True, source="a:1")
    await one.idents.save()
    assert len(await one.traffic.packets({-stranger.id: {}}, ALL)) == 1
    await one.removal.remove(one.master(), CHANNELS, channel)
    await one.idents.save()
    assert truck.view["channels"] == [] and list(one.idents.of(channel.id)) == []
    assert await one.traffic.packets({-stranger.id: {}}, ALL) == []
    await one.restart()
    assert list(one.idents.of(channel.id)) == []


async def test_raw_traffic_of_unknown_idents_ends_with_the_time_of_their_channel(one: Rooms) -> None:
    body = {"protocol_id": JT808, "configuration": {"packets_ttl": "60"}}
    channel = await one.directory.create(one.master(), CHANNELS, body)
    assert one.traffic.wanted(channel.item)
    stranger = one.idents.knocked(channel.id, "0139", "a:1")
    for _ in range(3):
        one.traffic.note(-stranger.id, b"~", received=True, source="a:1")
        one.clock.advance(40)
    await one.traffic.flush()
    await one.idents.expire()
    assert len(await one.traffic.packets({-stranger.id: {"device_id": 0}}, ALL)) == 1


# --- messages ---------------------------------------------------------------------------------------------------------


async def send(one: Rooms, channel: Entry, device: Entry, *numbers: int, **more: Any) -> None:
    """A device reports over a channel: one message a number, at so many seconds."""
    one.idents.came(channel.id, device, "a:1")
    messages = [{"timestamp": NOW + number, "n": number, **more} for number in numbers]
    await one.history.store(device, messages, {"channel.id": channel.id})


async def shown(one: Rooms, *channels: Entry, **asked: Any) -> list[Any]:
    """`n` of the messages that channels show."""
    return [message["n"] for message in await one.channel_history.messages(channels, parse(asked))]


async def test_a_channel_shows_what_came_over_it_and_nothing_else(one: Rooms, channel: Entry) -> None:
    other = await one.directory.create(one.master(), CHANNELS, {"protocol_id": JT808})
    truck, bus = await one.device("0138"), await one.device("0139")
    await send(one, channel, truck, 1, 4)
    await send(one, channel, bus, 2)
    await send(one, other, bus, 3)
    await send(one, channel, truck, 5, media=True)
    await one.history.store(truck, [{"timestamp": NOW + 6, "n": 6}])
    assert await shown(one, channel) == [1, 2, 4]
    assert await shown(one, other) == [3]
    assert await shown(one, channel, other, reverse=True, count=2) == [4, 3]
    assert await shown(one, channel, **{"from": NOW + 2, "to": NOW + 4, "filter": "n>2"}) == [4]
    (message,) = await one.channel_history.messages([channel], parse({"count": 1, "fields": "ident,channel.id"}))
    assert message == {"ident": "0138", "channel.id": channel.id}


async def test_a_channel_shows_messages_for_its_own_time_from_their_arrival(rooms: Rooms) -> None:
    channel = await rooms.directory.create(rooms.master(), CHANNELS, {"protocol_id": JT808, "messages_ttl": 100})
    truck = await rooms.device("0138")
    await send(rooms, channel, truck, 1)
    rooms.clock.advance(60)
    await send(rooms, channel, truck, -1000, 2)  # an old report that comes late
    rooms.clock.advance(60)
    assert await shown(rooms, channel) == [-1000, 2]
    await rooms.messages.compact(rooms.clock.now() + 1000)
    assert await shown(rooms, channel) == [-1000, 2]
    rooms.clock.advance(60)
    assert await shown(rooms, channel) == []
    assert len(await rooms.history.messages([truck], ALL)) == 3


async def test_what_is_deleted_from_a_channel_stays_with_the_device(one: Rooms, channel: Entry) -> None:
    truck = await one.device("0138")
    await send(one, channel, truck, 1, 2, 3, 4)
    span = parse({"from": NOW + 2, "to": NOW + 3})
    assert await one.channel_history.delete([channel], span) == [{"id": channel.id}]
    assert await shown(one, channel) == [1, 4]
    one.clock.advance(1)
    await send(one, channel, truck, 2, again=True)
    assert await shown(one, channel) == [1, 2, 4]
    await one.idents.save()
    await one.restart()
    again = one.directory.find(CHANNELS, channel.id)
    assert again is not None
    assert await shown(one, again) == [1, 2, 4]
    await one.channel_history.delete([again], HistoryQuery())
    assert await shown(one, again) == []
    device = one.directory.device(truck.id)
    assert device is not None and len(await one.history.messages([device], ALL)) == 5


async def test_deletions_are_bounded_and_forgotten_with_what_they_hide(one: Rooms, channel: Entry) -> None:
    for n in range(1000):
        await one.channel_history.delete([channel], parse({"from": n, "to": n}))
    with pytest.raises(Conflict, match="longer span"):
        await one.channel_history.delete([channel], parse({"from": 5000, "to": 5000}))
    one.clock.advance(90_000)
    await one.channel_history.delete([channel], parse({"from": 5000, "to": 5000}))


async def test_a_device_that_went_to_another_account_is_shown_no_more(one: Rooms) -> None:
    made = await one.directory.create(one.master(), "platform/subaccounts", {"name": "branch"})
    token = await one.directory.add("platform/tokens", made.id, {"ttl": 600, "access": {"type": 1}})
    caller = one.directory.caller(one.directory.authenticate(token.view["key"], ""))
    channel = await one.directory.create(caller, CHANNELS, {"protocol_id": JT808})
    truck = await one.device("0138")
    truck = await one.directory.move(one.master(), "gw/devices", truck, made.id)
    await send(one, channel, truck, 1)
    assert await shown(one, channel) == [1]
    await one.directory.move(one.master(), "gw/devices", truck, one.master().cid)
    assert await shown(one, channel) == []
    assert [line["registered"] for line in await one.idents.views([channel])] == [False]
