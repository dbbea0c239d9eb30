"""Commands: every way from the queue to an end, over lost links and crashes, and what is announced on it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rooms import ALL, NOW, TACHOBOX, Rooms, SentLink

from wayframe.model import BadRequest, Command, CommandStage, NotFound
from wayframe.model.query import parse as query
from wayframe.services import DEVICES, Entry
from wayframe.services.commands import MAX_OPEN
from wayframe.storage import CommandTable

pytestmark = pytest.mark.anyio
CLIP: dict[str, Any] = {"name": "request_video", "properties": {"channel": 1, "from": NOW - 60, "duration": 10}}
PHOTO: dict[str, Any] = {"name": "take_photo", "properties": {"channel": 1}}
ASK: dict[str, Any] = {"name": "request_location"}
TEXT: dict[str, Any] = {"name": "send_text", "properties": {"text": "hello"}}
LIVE: dict[str, Any] = {"name": "start_videostream", "properties": {"channel": 1}}


async def queue(rooms: Rooms, entry: Entry, *bodies: dict[str, Any]) -> list[int]:
    """Queue commands that must be taken; their ids."""
    created, errors = await rooms.commands.enqueue(rooms.master(), [entry], bodies)
    assert errors == []
    return [item["id"] for item in created]


async def results(rooms: Rooms, entry: Entry, selector: str | None = None, **asked: Any) -> list[dict[str, Any]]:
    return await rooms.commands.results([entry], query(asked), selector)


async def ended(rooms: Rooms, entry: Entry, number: int) -> dict[str, Any]:
    """The result of a command, once it has one."""
    topic = f"flespi/state/gw/devices/{entry.id}/commands-queue/{number}"
    await rooms.until(lambda: None in rooms.payloads(topic))
    return (await results(rooms, entry, str(number)))[0]


async def row(rooms: Rooms, number: int) -> Command:
    found = await CommandTable(rooms.db).get(number)
    assert found is not None
    return found


async def online(rooms: Rooms, entry: Entry, link: SentLink | None = None) -> SentLink:
    """Connect a device."""
    link = link or SentLink()
    rooms.connect(entry, link)
    return link


async def lose(rooms: Rooms, entry: Entry) -> None:
    """Every connection of a device breaks."""
    for connection in rooms.connections.of(entry.id):
        rooms.connections.remove(entry, connection.info.id, 0, {})
    await rooms.commands.connection_lost(entry)


# --- taking commands --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"name": "fly"}, "fly"),
        ({"name": "request_video", "properties": {"channel": 1}}, "from"),
        ({**CLIP, "properties": {**CLIP["properties"], "duration": 0}}, "properties.duration"),
        ({**CLIP, "properties": {**CLIP["properties"], "colour": 1}}, "colour"),
        ({**ASK, "ttl": 59}, "ttl"),
        ({**ASK, "ttl": 2_592_001}, "ttl"),
        ({**ASK, "timeout": 4}, "timeout"),
        ({**ASK, "timeout": 61}, "timeout"),
        ({**ASK, "max_attempts": 0}, "max_attempts"),
        ({**ASK, "max_attempts": 11}, "max_attempts"),
        ({**ASK, "expires": NOW}, "expires"),
        ({**ASK, "condition": "speed>"}, "`condition`"),
        ({**ASK, "urgency": 1}, "urgency"),
        ({"properties": {}}, "name"),
        ("reboot", "object"),
    ],
)
async def test_a_bad_command_is_refused_by_itself(one: Rooms, body: Any, named: str) -> None:
    truck = await one.device()
    created, errors = await one.commands.enqueue(one.master(), [truck], [ASK, body])
    assert [item["name"] for item in created] == ["request_location"]
    assert isinstance(errors[0], BadRequest) and named in errors[0].reason
    assert errors[0].reason.startswith("command 2 of 2: ") and errors[0].item_id == truck.id


async def test_a_device_type_without_commands_takes_none(one: Rooms) -> None:
    box = await one.device("box", TACHOBOX)
    created, errors = await one.commands.enqueue(one.master(), [box], [ASK])
    assert created == [] and "no command" in errors[0].reason


async def test_a_device_holds_a_bounded_number_of_commands(one: Rooms) -> None:
    truck, other = await one.device("a"), await one.device("b")
    created, errors = await one.commands.enqueue(one.master(), [truck, other], [ASK] * MAX_OPEN)
    assert len(created) == 2 * MAX_OPEN and errors == []
    created, errors = await one.commands.enqueue(one.master(), [truck], [ASK])
    assert created == [] and errors[0].item_id == truck.id
    await one.commands.cancel(one.master(), [truck], str(one.commands.queue([truck])[0]["id"]))
    assert len(await queue(one, truck, ASK)) == 1


async def test_one_call_cannot_exceed_the_bound_either(one: Rooms) -> None:
    truck = await one.device()
    created, errors = await one.commands.enqueue(one.master(), [truck], [ASK] * (MAX_OPEN + 3))
    assert len(created) == MAX_OPEN and len(errors) == 3


async def test_a_queued_command_shows_what_clients_read(rooms: Rooms) -> None:
    truck = await rooms.device()
    number = (await queue(rooms, truck, {**CLIP, "priority": 5, "meta": {"case": "A1"}}))[0]
    shown = {
        "id": number, "device_id": truck.id, "name": "request_video", "properties": CLIP["properties"],
        "timestamp": NOW, "expires": NOW + 600, "position": 1, "priority": 5, "max_attempts": 3, "attempts": 0,
        "condition": "", "meta": {"case": "A1"},
    }  # fmt: skip
    assert rooms.commands.queue([truck], str(number)) == [shown]
    assert abs(number / 1e6 - NOW) < 1 and number < 2**53
    assert rooms.commands.queue([truck], "name=take_photo") == []
    with pytest.raises(NotFound):
        rooms.commands.queue([truck], "7")
    await rooms.restart()
    again = rooms.directory.device(truck.id)
    assert again is not None and rooms.commands.queue([again]) == [shown]
    await rooms.journal.settled()
    assert rooms.retained(f"flespi/state/gw/devices/{truck.id}/commands-queue").popitem()[1] == shown


# --- to its end -------------------------------------------------------------------------------------------------------


async def test_the_way_of_a_command_is_announced_in_the_order_clients_need(rooms: Rooms) -> None:
    truck = await rooms.device()
    link = await online(rooms, truck)
    number = (await queue(rooms, truck, {**ASK, "meta": {"case": "A1"}}))[0]
    sent = (await link.received(1))[0]
    assert (sent.id, sent.name, sent.properties) == (number, "request_location", {})
    assert (await row(rooms, number)).stage is CommandStage.SENT
    rooms.clock.advance(1)
    await rooms.commands.done(number, {"uuid": "AB" * 32, "url": "http://old/x"})
    await rooms.journal.settled()
    state = f"flespi/state/gw/devices/{truck.id}/commands-queue/{number}"
    log = f"flespi/log/gw/devices/{truck.id}/commands-queue/request_location"
    way = [event for event in rooms.events if "commands-queue" in event.topic]
    assert [event.topic for event in way] == [
        state, f"{log}/queued", state, f"{log}/sent", f"{log}/processed", state,
    ]  # fmt: skip
    times = [event.payload["timestamp"] for event in way if event.payload]
    assert max(times[0], times[2]) < times[3] and times[0] < times[1] < times[3] < times[4]
    logged = [event.payload for event in way if event.topic.startswith(log)]
    assert [record["event_code"] for record in logged] == [330, 335, 331]
    assert all(record["id"] == number and record["properties"] == {} for record in logged)
    assert way[-1].payload is None and way[-1].retain
    last = logged[-1]
    assert last["executed"] is True and last["meta"] == {"case": "A1"}
    assert last["response"] == {"uuid": "AB" * 32, "url": f"http://media.example:9005/media/{'AB' * 32}"}
    result = (await results(rooms, truck))[0]
    assert result["response"] == last["response"] and result["timestamp"] == NOW + 1
    assert "http" not in str((await row(rooms, number)).response)


async def test_higher_priority_goes_first_then_age(one: Rooms) -> None:
    truck = await one.device()
    low, high, same, last = await queue(
        one, truck, {**ASK, "priority": -5}, {**ASK, "priority": 5}, {**ASK, "priority": 5}, {**ASK, "priority": -10}
    )
    link = await online(one, truck)
    assert [sent.id for sent in await link.received(4)] == [high, same, low, last]


async def test_commands_of_one_lane_wait_for_each_other_and_others_do_not(one: Rooms) -> None:
    truck = await one.device()
    link = await online(one, truck)
    second = {**CLIP, "properties": {**CLIP["properties"], "channel": 2}}
    a, b, other, photo = await queue(one, truck, CLIP, CLIP, second, PHOTO)
    assert [sent.id for sent in await link.received(3)] == [a, other, photo]
    await one.commands.done(photo, None)
    await ended(one, truck, photo)
    assert len(link.requests) == 3
    await one.commands.done(a, None)
    assert (await link.received(4))[3].id == b


async def test_only_so_many_are_under_way_at_once(one: Rooms) -> None:
    truck = await one.device()
    link = await online(one, truck)
    numbers = await queue(one, truck, *[ASK] * 12)
    await link.received(8)
    await one.journal.settled()
    assert len(link.requests) == 8
    await one.commands.done(numbers[0], None)
    assert (await link.received(9))[8].id == numbers[8]


async def test_a_condition_holds_a_command_back_until_telemetry_meets_it(one: Rooms) -> None:
    truck = await one.device()
    link = await online(one, truck)
    waits, goes = await queue(one, truck, {**ASK, "condition": "speed==0"}, ASK)
    assert [sent.id for sent in await link.received(1)] == [goes]
    await one.history.store(truck, [{"timestamp": NOW, "speed": 0}])
    await one.commands.look_after()
    assert (await link.received(2))[1].id == waits


async def test_an_offline_device_gets_its_commands_when_it_connects(rooms: Rooms) -> None:
    truck = await rooms.device()
    numbers = await queue(rooms, truck, ASK, TEXT)
    await rooms.commands.look_after()
    assert len(rooms.commands.queue([truck])) == 2
    link = await online(rooms, truck)
    assert [sent.id for sent in await link.received(2)] == numbers


async def test_a_command_expires_when_its_time_is_over(rooms: Rooms) -> None:
    truck = await rooms.device()
    short, long = await queue(rooms, truck, {**ASK, "ttl": 60}, {**ASK, "expires": NOW + 90})
    rooms.clock.advance(60)
    await rooms.commands.look_after()
    result = await ended(rooms, truck, short)
    assert result["executed"] is False and result["response"] is None and "not connected" in result["reason"]
    assert f"flespi/log/gw/devices/{truck.id}/commands-queue/request_location/expired" in rooms.topics()
    assert [item["id"] for item in rooms.commands.queue([truck])] == [long]
    link = await online(rooms, truck)
    assert [sent.id for sent in await link.received(1)] == [long]
    rooms.clock.advance(1000)
    await rooms.commands.look_after()  # a transfer that has begun goes on (ruling 16)
    assert rooms.commands.find(long) is not None
    await rooms.commands.done(long, "late")
    assert (await ended(rooms, truck, long))["executed"] is True


async def test_a_failure_that_may_pass_is_tried_again_later_up_to_the_limit(rooms: Rooms) -> None:
    truck = await rooms.device()
    link = await online(rooms, truck)
    number = (await queue(rooms, truck, {**CLIP, "max_attempts": 3}))[0]
    for attempt in (1, 2):
        await link.received(attempt)
        await rooms.commands.failed(number, f"busy {attempt}", retry=True)
        item = rooms.commands.queue([truck])[0]
        assert (item["attempts"], item["reason"]) == (attempt, f"busy {attempt}")
        await rooms.commands.look_after()
        await rooms.journal.settled()
        assert len(link.requests) == attempt  # not at once
        rooms.clock.advance(5 * attempt)
        await rooms.commands.look_after()
    await link.received(3)
    await rooms.commands.failed(number, "busy 3", retry=True)
    result = await ended(rooms, truck, number)
    assert (result["executed"], result["reason"], result["attempts"]) == (False, "busy 3", 3)


async def test_a_failure_for_good_ends_it(rooms: Rooms) -> None:
    truck = await rooms.device()
    link = await online(rooms, truck)
    number = (await queue(rooms, truck, CLIP))[0]
    await link.received(1)
    await rooms.commands.failed(number, "no such recording", retry=False)
    result = await ended(rooms, truck, number)
    assert (result["executed"], result["reason"]) == (False, "no such recording")
    await rooms.commands.done(number, "too late")
    await rooms.commands.failed(number, "too late", retry=True)
    assert (await results(rooms, truck)) == [result]


async def test_a_command_with_an_effect_is_never_sent_twice(rooms: Rooms) -> None:
    truck = await rooms.device()
    link = await online(rooms, truck)
    failed, lost = await queue(rooms, truck, TEXT, TEXT)
    await link.received(2)
    await rooms.commands.failed(failed, "busy", retry=True)
    assert (await ended(rooms, truck, failed))["reason"] == "busy"
    await lose(rooms, truck)
    result = await ended(rooms, truck, lost)
    assert result["executed"] is False and "sent, outcome unknown" in result["reason"]
    again = await online(rooms, truck)
    await queue(rooms, truck, ASK)
    assert [sent.name for sent in await again.received(1)] == ["request_location"]


async def test_a_harmless_command_is_sent_again_over_the_next_connection_up_to_the_limit(rooms: Rooms) -> None:
    truck = await rooms.device()
    number = (await queue(rooms, truck, {**ASK, "max_attempts": 2}))[0]
    for _ in range(2):
        link = await online(rooms, truck)
        await link.received(1)
        await lose(rooms, truck)
    result = await ended(rooms, truck, number)
    assert result["executed"] is False and "2 attempts" in result["reason"]


async def test_what_was_sent_over_the_newer_connection_is_not_judged_by_the_older_one_s_end(one: Rooms) -> None:
    truck = await one.device()
    old, _ = one.connect(truck, SentLink())
    newer = await online(one, truck)
    number = (await queue(one, truck, TEXT))[0]
    await newer.received(1)
    one.connections.remove(truck, old.info.id, 12, {})
    await one.commands.connection_lost(truck)
    assert one.commands.find(number) is not None
    await one.commands.done(number, "shown")
    assert (await ended(one, truck, number))["executed"] is True


# --- crashes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "stage", "attempts", "queued", "outcome"),
    [
        (ASK, CommandStage.QUEUED, 0, True, "waits"),
        (ASK, CommandStage.SENT, 1, True, "waits"),
        (ASK, CommandStage.SENT, 3, True, "gave up after 3 attempts"),
        (TEXT, CommandStage.QUEUED, 0, True, "waits"),
        (TEXT, CommandStage.SENT, 1, True, "sent, outcome unknown"),
        (ASK, CommandStage.QUEUED, 0, False, "interrupted"),
        (ASK, CommandStage.SENT, 1, False, "interrupted"),
        (TEXT, CommandStage.SENT, 1, False, "sent, outcome unknown"),
    ],
)
async def test_a_crash_at_any_stage_has_a_known_outcome(
    rooms: Rooms, body: dict[str, Any], stage: CommandStage, attempts: int, queued: bool, outcome: str
) -> None:
    truck = await rooms.device()
    left = Command(
        id=int(NOW * 1e6), device_id=truck.id, cid=truck.cid, name=body["name"], queued=queued, timestamp=NOW,
        properties=body.get("properties", {}), expires=NOW + 600, stage=stage, attempts=attempts,
    )  # fmt: skip
    await CommandTable(rooms.db).insert(left)
    await rooms.restart()
    again = rooms.directory.device(truck.id)
    assert again is not None
    if outcome == "waits":
        item = rooms.commands.queue([again])[0]
        assert (item["id"], item["attempts"]) == (left.id, attempts)
        link = await online(rooms, again)
        assert (await link.received(1))[0].id == left.id
    else:
        result = (await results(rooms, again, str(left.id)))[0]
        assert result["executed"] is False and outcome in result["reason"]
        assert rooms.commands.open_count == 0
        await rooms.journal.settled()
        assert rooms.retained(f"flespi/state/gw/devices/{truck.id}/commands-queue") == {}


async def test_a_command_that_the_device_s_new_type_does_not_know_does_not_stop_the_start(rooms: Rooms) -> None:
    truck = await rooms.device()
    number = (await queue(rooms, truck, CLIP))[0]
    await rooms.directory.update(rooms.master(), DEVICES, truck, {"device_type_id": TACHOBOX}, patch=False)
    await rooms.restart()
    assert rooms.commands.open_count == 0
    ended_so = await row(rooms, number)
    assert ended_so.stage is CommandStage.CANCELED and "request_video" in ended_so.reason


async def test_results_are_kept_and_purged(rooms: Rooms) -> None:
    truck = await rooms.device()
    link = await online(rooms, truck)
    number = (await queue(rooms, truck, ASK))[0]
    await link.received(1)
    await rooms.commands.done(number, "here")
    await ended(rooms, truck, number)
    rooms.clock.advance(30 * 86_400 - 1)
    await rooms.commands.purge()
    assert len(await results(rooms, truck)) == 1
    rooms.clock.advance(2)
    await rooms.commands.purge()
    assert await results(rooms, truck) == []


# --- cancelling -------------------------------------------------------------------------------------------------------


async def test_commands_are_canceled_in_the_queue_and_under_way(rooms: Rooms) -> None:
    truck = await rooms.device()
    link = await online(rooms, truck)
    under_way, waiting, kept = await queue(rooms, truck, CLIP, CLIP, ASK)
    await link.received(2)
    selector = f"{under_way},{waiting}"
    assert await rooms.commands.cancel(rooms.master(), [truck], selector) == [{"id": under_way}, {"id": waiting}]
    assert link.canceled == [under_way]
    for number in (under_way, waiting):
        result = await ended(rooms, truck, number)
        assert result["executed"] is False and "canceled" in result["reason"]
        assert (await row(rooms, number)).stage is CommandStage.CANCELED
    assert rooms.topics(f"flespi/log/gw/devices/{truck.id}/commands-queue/request_video/canceled")
    await rooms.commands.done(under_way, "came after all")
    assert (await row(rooms, under_way)).stage is CommandStage.CANCELED
    with pytest.raises(NotFound):
        await rooms.commands.cancel(rooms.master(), [truck], str(waiting))
    assert await rooms.commands.cancel(rooms.master(), [truck], "name=request_location") == [{"id": kept}]
    assert await rooms.commands.cancel(rooms.master(), [truck], "all") == []


async def test_a_command_canceled_while_it_waits_for_its_retry_is_not_sent(one: Rooms) -> None:
    truck = await one.device()
    link = await online(one, truck)
    number = (await queue(one, truck, CLIP))[0]
    await link.received(1)
    await one.commands.failed(number, "busy", retry=True)
    await one.commands.cancel(one.master(), [truck], "all")
    one.clock.advance(60)
    await one.commands.look_after()
    await ended(one, truck, number)
    assert len(link.requests) == 1


async def test_a_device_deleted_under_its_commands_ends_them_and_stops_nothing(rooms: Rooms) -> None:
    truck, other = await rooms.device("a"), await rooms.device("b")
    link = await online(rooms, truck)
    asking = asyncio.ensure_future(rooms.commands.execute(rooms.master(), [truck], [{**ASK, "timeout": 5}]))
    await link.received(1)
    await rooms.commands.cancel(rooms.master(), [truck], "all")
    await rooms.directory.delete(rooms.master(), DEVICES, truck)
    await lose(rooms, truck)
    rooms.clock.advance(5)
    await rooms.commands.look_after()
    answer, _ = await asking
    assert answer[0]["executed"] is False
    assert rooms.commands.open_count == 0
    far = await online(rooms, other)
    number = (await queue(rooms, other, ASK))[0]
    await far.received(1)
    await rooms.commands.done(number, "still at work")
    assert (await ended(rooms, other, number))["executed"] is True


# --- real time --------------------------------------------------------------------------------------------------------


async def test_real_time_commands_run_together_and_answer_in_order(rooms: Rooms) -> None:
    truck = await rooms.device()
    link = await online(rooms, truck)
    asking = asyncio.ensure_future(rooms.commands.execute(rooms.master(), [truck], [ASK, TEXT]))
    first, second = await link.received(2)
    assert first.deadline == NOW + 30
    await rooms.commands.failed(second.id, "no screen", retry=False)
    await rooms.commands.done(first.id, {"position": 1})
    answers, errors = await asking
    assert errors == []
    assert [(item["name"], item["position"], item["executed"]) for item in answers] == [
        ("request_location", 1, True), ("send_text", 2, False),
    ]  # fmt: skip
    assert answers[0]["response"] == {"position": 1} and answers[1]["reason"] == "no screen"
    await rooms.journal.settled()
    assert not any("commands-queue" in topic for topic in rooms.topics())
    base = f"flespi/log/gw/devices/{truck.id}/command"
    assert {f"{base}/request_location/processed", f"{base}/send_text/processed"} <= set(rooms.topics())
    assert rooms.commands.queue([truck]) == []
    assert {item["id"] for item in await results(rooms, truck)} == {first.id, second.id}


async def test_a_real_time_command_for_an_offline_device_ends_with_its_timeout(one: Rooms) -> None:
    truck = await one.device()
    asking = asyncio.ensure_future(one.commands.execute(one.master(), [truck], [{**TEXT, "timeout": 5}]))
    while not one.commands.open_count:  # noqa: ASYNC110  # until it is written, which nothing announces
        await asyncio.sleep(0)
    one.clock.advance(5)
    await one.commands.look_after()
    answers, _ = await asking
    assert answers[0]["executed"] is False and "not connected" in answers[0]["reason"]
    link = await online(one, truck)
    await queue(one, truck, ASK)
    assert [sent.name for sent in await link.received(1)] == ["request_location"]


async def test_a_real_time_command_past_its_timeout_answers_and_the_transfer_goes_on(one: Rooms) -> None:
    truck = await one.device()
    link = await online(one, truck)
    asking = asyncio.ensure_future(one.commands.execute(one.master(), [truck], [{**CLIP, "timeout": 5}]))
    number = (await link.received(1))[0].id
    one.clock.advance(60)
    await one.commands.look_after()
    answers, _ = await asking  # the only wait here that is real: the shortest timeout there is
    assert answers[0]["executed"] is False and "within the timeout" in answers[0]["reason"]
    assert one.commands.find(number) is not None
    await one.commands.done(number, "the clip")
    assert (await results(one, truck, str(number)))[0]["response"] == "the clip"


async def test_a_client_that_hangs_up_does_not_end_the_command(one: Rooms) -> None:
    truck = await one.device()
    link = await online(one, truck)
    asking = asyncio.ensure_future(one.commands.execute(one.master(), [truck], [CLIP]))
    number = (await link.received(1))[0].id
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await one.commands.done(number, "the clip")
    assert (await results(one, truck, str(number)))[0]["executed"] is True


# --- results ----------------------------------------------------------------------------------------------------------


async def test_results_come_by_page_time_id_and_filter(rooms: Rooms) -> None:
    truck, other = await rooms.device("a"), await rooms.device("b")
    link = await online(rooms, truck)
    numbers = []
    for n in range(4):
        numbers += await queue(rooms, truck, ASK if n % 2 else TEXT)
        await link.received(n + 1)
        rooms.clock.advance(10)
        await rooms.commands.done(numbers[-1], n)
        await ended(rooms, truck, numbers[-1])
    assert [item["response"] for item in await results(rooms, truck)] == [0, 1, 2, 3]
    assert [item["response"] for item in await results(rooms, truck, count=2, reverse=True)] == [3, 2]
    assert [item["response"] for item in await results(rooms, truck, **{"from": NOW + 20, "to": NOW + 30})] == [1, 2]
    assert [item["response"] for item in await results(rooms, truck, filter='name=="send_text"', count=1)] == [0]
    assert [item["response"] for item in await results(rooms, truck, f"{numbers[1]},{numbers[3]},5")] == [1, 3]
    assert [item["response"] for item in await results(rooms, truck, "name=send_text")] == [0, 2]
    assert await results(rooms, truck, str(numbers[0]), fields="id") == [{"id": numbers[0]}]
    assert len(await results(rooms, truck, "all")) == 4
    with pytest.raises(NotFound):
        await results(rooms, truck, "5")
    with pytest.raises(NotFound):
        await results(rooms, other, str(numbers[0]))
    assert await rooms.commands.results([other], ALL) == []


async def test_a_second_start_of_a_running_stream_is_answered_without_the_device(one: Rooms) -> None:
    truck = await one.device()
    link = await online(one, truck)
    stream = {"uuid": "EF" * 32, "mediastream": "hls", "channel": 1}
    first, second = await queue(one, truck, LIVE, LIVE)
    await link.received(1)
    one.commands.join_stream = lambda device, command: stream if command.name == "start_videostream" else None
    await one.commands.done(first, stream)
    result = await ended(one, truck, second)
    assert result["executed"] is True and result["response"]["hls"].endswith("EF" * 32)
    assert len(link.requests) == 1
