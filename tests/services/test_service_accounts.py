"""Accounts below accounts: who sees whom, what they may have at most, and what is left when one goes."""

from __future__ import annotations

from typing import Any

import pytest
from rooms import TACHOBOX, Rooms

from wayframe.model import Account, BadRequest, Conflict, Forbidden, NotFound, TooManyRequests
from wayframe.services import CHANNELS, CUSTOMER, DEVICES, TOKENS, Caller, Entry
from wayframe.services.entries import GROUPS, LIMITS, SUBACCOUNTS
from wayframe.storage import StateTable

pytestmark = pytest.mark.anyio


def acting(rooms: Rooms, cid: int) -> Caller:
    return rooms.directory.caller(rooms.master().token, cid=cid)


async def below(rooms: Rooms, parent: int, **body: Any) -> Entry:
    return await rooms.directory.create(acting(rooms, parent), SUBACCOUNTS, {"name": "branch", **body})


async def seen(rooms: Rooms, caller: Caller, entity: str = SUBACCOUNTS, selector: str = "all") -> list[int]:
    return [entry.id for entry in await rooms.directory.select(caller, entity, selector, "GET")]


async def owner(rooms: Rooms, cid: int) -> Caller:
    """Someone with a master token of an account of their own."""
    made = await rooms.directory.create(acting(rooms, cid), TOKENS, {"ttl": 3600, "access": {"type": 1}})
    return rooms.directory.caller(rooms.directory.authenticate(made.view["key"], "127.0.0.1"))


async def limited(rooms: Rooms, parent: int, **counts: int) -> Entry:
    limit = await rooms.directory.create(acting(rooms, parent), LIMITS, {"name": "small", **counts})
    return await below(rooms, parent, limit_id=limit.id)


async def device(rooms: Rooms, cid: int, ident: str) -> Entry:
    body = {"device_type_id": TACHOBOX, "configuration": {"ident": ident}}
    return await rooms.directory.create(acting(rooms, cid), DEVICES, body)


# --- who sees whom ----------------------------------------------------------------------------------------------------


async def test_a_subaccount_is_there_after_a_restart(rooms: Rooms) -> None:
    main = rooms.master().cid
    made = await below(rooms, main, name="north", metadata={"a": "b"})
    assert (made.view["cid"], made.view["limit_id"], made.view["blocked"]) == (main, 0, False)
    view = dict(made.view)
    await rooms.restart()
    again = rooms.directory.find(SUBACCOUNTS, made.id)
    assert again is not None and again.view == view
    assert rooms.directory.find(CUSTOMER, made.id) is again


async def test_parents_see_everything_below_and_nobody_looks_up_or_sideways(rooms: Rooms) -> None:
    main = rooms.master().cid
    left, right = await below(rooms, main), await below(rooms, main)
    child = await below(rooms, left.id)
    items = {cid: (await device(rooms, cid, f"of-{cid}")).id for cid in (main, left.id, right.id, child.id)}
    callers = {cid: await owner(rooms, cid) for cid in items}
    expected = {main: [left.id, right.id, child.id], left.id: [child.id], right.id: [], child.id: []}
    for cid, caller in callers.items():
        assert await seen(rooms, caller) == expected[cid]
        visible = [cid, *expected[cid]]
        assert await seen(rooms, caller, DEVICES) == sorted(items[account] for account in visible)
        for other in items:
            if other in visible:
                assert await seen(rooms, rooms.directory.caller(caller.token, cid=other), DEVICES)
                continue
            with pytest.raises(Forbidden):
                rooms.directory.caller(caller.token, cid=other)
            with pytest.raises(NotFound):
                await seen(rooms, caller, DEVICES, str(items[other]))
            with pytest.raises(NotFound):
                await seen(rooms, caller, SUBACCOUNTS, str(other))
            with pytest.raises(NotFound):
                await seen(rooms, caller, CUSTOMER, str(other))
        with pytest.raises(NotFound):
            await seen(rooms, caller, SUBACCOUNTS, str(cid))


async def test_selectors_ask_for_the_parent_as_cid(one: Rooms) -> None:
    main = one.master().cid
    left = await below(one, main, name="left")
    child = await below(one, left.id, name="child")
    assert await seen(one, one.master(), selector=f"cid={left.id}") == [child.id]
    assert await seen(one, one.master(), selector='{name=="left"}') == [left.id]


async def test_four_levels_and_no_more(rooms: Rooms) -> None:
    cid = rooms.master().cid
    for _ in range(4):
        cid = (await below(rooms, cid)).id
    with pytest.raises(Forbidden, match="4 levels"):
        await below(rooms, cid)


async def test_a_subaccount_cannot_change_what_its_parent_decides(one: Rooms) -> None:
    made = await below(one, one.master().cid, name="branch")
    caller = await owner(one, made.id)
    for body in ({"limit_id": 7}, {"blocked": True}, {"owner_id": 3}):
        with pytest.raises(BadRequest):
            await one.directory.update(caller, CUSTOMER, made, body, patch=True)
    await one.directory.update(caller, CUSTOMER, made, {"name": "renamed"}, patch=True)
    assert (await one.directory.select(one.master(), SUBACCOUNTS, str(made.id), "GET"))[0].view["name"] == "renamed"


async def test_changes_of_a_subaccount_are_news_of_its_parent(one: Rooms) -> None:
    made = await below(one, one.master().cid)
    await one.directory.update(one.master(), SUBACCOUNTS, made, {"name": "x"}, patch=True)
    await one.removal.remove(one.master(), SUBACCOUNTS, made)
    await one.journal.settled()
    events = [event for event in one.events if event.topic.startswith(f"flespi/log/platform/subaccounts/{made.id}/")]
    assert [event.topic.rpartition("/")[2] for event in events] == ["created", "updated", "updated", "deleted"]
    assert {event.cid for event in events} == {one.master().cid}
    assert one.retained(f"flespi/state/platform/subaccounts/{made.id}") == {}
    assert [record["event_code"] for record in await one.logs(made, 5)] == [1, 2, 2, 3]


@pytest.mark.parametrize("body", [{"name": 1}, {"cid": 99}, {"blocked": 1}, {"limit_id": 99}, {"limit_id": -1}, []])
async def test_a_bad_subaccount_is_refused(one: Rooms, body: Any) -> None:
    with pytest.raises(BadRequest):
        await one.directory.create(one.master(), SUBACCOUNTS, body)


# --- blocked ----------------------------------------------------------------------------------------------------------


async def test_a_blocked_account_is_shut_with_all_below(rooms: Rooms) -> None:
    made = await below(rooms, rooms.master().cid)
    child = await below(rooms, made.id)
    caller = await owner(rooms, child.id)
    await rooms.directory.update(rooms.master(), SUBACCOUNTS, made, {"blocked": True}, patch=True)
    assert rooms.directory.blocked(child.id) and rooms.directory.blocked(made.id)
    assert not rooms.directory.blocked(rooms.master().cid)
    assert "blocked" in str(rooms.directory.token_alive(caller.token.id))
    await rooms.restart()
    assert "blocked" in str(rooms.directory.token_alive(caller.token.id))
    again = rooms.directory.find(SUBACCOUNTS, made.id)
    assert again is not None
    await rooms.directory.update(rooms.master(), SUBACCOUNTS, again, {"blocked": False}, patch=True)
    assert rooms.directory.token_alive(caller.token.id) is None


# --- gone -------------------------------------------------------------------------------------------------------------


async def test_with_an_account_goes_everything_it_has(rooms: Rooms) -> None:
    main = rooms.master().cid
    kept = await device(rooms, main, "kept")
    made = await below(rooms, main)
    inner = await limited(rooms, made.id, devices_count=5)
    caller = await owner(rooms, inner.id)
    truck = await device(rooms, inner.id, "gone")
    file = await rooms.upload(truck, b"picture", "x.bin")
    group = await rooms.directory.create(acting(rooms, made.id), GROUPS, {"name": "g"})
    binned = await rooms.directory.create(acting(rooms, made.id), CHANNELS, {"protocol_name": "jt808"})
    await rooms.removal.remove(acting(rooms, made.id), CHANNELS, binned)
    await rooms.removal.remove(rooms.master(), SUBACCOUNTS, made)
    for entity, entry in ((SUBACCOUNTS, made), (SUBACCOUNTS, inner), (DEVICES, truck), (GROUPS, group)):
        assert rooms.directory.find(entity, entry.id) is None
    assert "deleted" in str(rooms.directory.token_alive(caller.token.id))
    assert await rooms.media.get(file["uuid"]) is None
    assert not rooms.bin.of_account(made.id) and not rooms.bin.of_account(inner.id)
    assert await seen(rooms, rooms.master(), DEVICES) == [kept.id]
    await rooms.restart()
    assert await seen(rooms, rooms.master()) == []
    assert await seen(rooms, rooms.master(), DEVICES) == [kept.id]


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_limits_are_kept_shown_and_changed_one_by_one(rooms: Rooms) -> None:
    made = await rooms.directory.create(rooms.master(), LIMITS, {"name": "small", "devices_count": 2, "api_calls": 10})
    assert (made.view["devices_count"], made.view["tokens_count"], made.view["api_calls"]) == (2, 0, 10)
    await rooms.directory.update(rooms.master(), LIMITS, made, {"api_calls": 0, "device_storage": 7}, patch=False)
    await rooms.restart()
    again = rooms.directory.find(LIMITS, made.id)
    assert again is not None
    assert (again.view["devices_count"], again.view["api_calls"], again.view["device_storage"]) == (2, 0, 7)
    for body in ({"devices_count": -1}, {"devices_count": 1.5}, {"devices": 1}, {"devices_count": 2**60}):
        with pytest.raises(BadRequest):
            await rooms.directory.update(rooms.master(), LIMITS, again, body, patch=True)


async def test_only_limits_of_the_parent_can_be_given(one: Rooms) -> None:
    main = one.master().cid
    made = await below(one, main)
    other = await one.directory.create(acting(one, made.id), LIMITS, {"name": "of the child"})
    with pytest.raises(BadRequest, match="limit_id"):
        await one.directory.update(one.master(), SUBACCOUNTS, made, {"limit_id": other.id}, patch=True)
    mine = await one.directory.create(one.master(), LIMITS, {"name": "mine"})
    await one.directory.update(one.master(), SUBACCOUNTS, made, {"limit_id": mine.id}, patch=True)
    with pytest.raises(Conflict, match=str(made.id)):
        await one.removal.remove(one.master(), LIMITS, mine)
    await one.directory.update(one.master(), SUBACCOUNTS, made, {"limit_id": 0}, patch=True)
    await one.removal.remove(one.master(), LIMITS, mine)


BODIES: dict[str, dict[str, Any]] = {
    CHANNELS: {"protocol_name": "jt808", "enabled": False},
    DEVICES: {"device_type_id": 0},
    TOKENS: {"ttl": 60},
    GROUPS: {"name": "g"},
    "gw/streams": {"protocol_id": 1, "configuration": {"uri": "https://example.com/x"}},
    "gw/plugins": {"item_type": "item-fields"},
    "platform/webhooks": {
        "triggers": [{"topic": "flespi/message/gw/devices/+"}],
        "configuration": {"type": "custom-server", "uri": "https://example.com/x", "method": "POST", "body": "x"},
    },
    SUBACCOUNTS: {"name": "s"},
    LIMITS: {"name": "l"},
}


@pytest.mark.parametrize("entity", BODIES)
async def test_an_account_has_no_more_items_than_it_may(one: Rooms, entity: str) -> None:
    name = f"{entity.rpartition('/')[2]}_count"
    made = await limited(one, one.master().cid, **{name: 2})
    kept = [await one.directory.create(acting(one, made.id), entity, BODIES[entity]) for _ in range(2)]
    with pytest.raises(Forbidden, match=f"`{name}` is 2"):
        await one.directory.create(acting(one, made.id), entity, BODIES[entity])
    assert one.directory.limits.counters(made.id)[name] == 2
    await one.directory.create(one.master(), entity, BODIES[entity])
    first = one.directory.find(entity, kept[0].id)
    assert first is not None
    await one.removal.remove(one.master(), entity, first)
    await one.directory.create(acting(one, made.id), entity, BODIES[entity])


async def test_a_subaccount_makes_nobody_richer(one: Rooms) -> None:
    made = await limited(one, one.master().cid, devices_count=2)
    child = await below(one, made.id)
    await device(one, made.id, "a")
    inner = await device(one, child.id, "b")
    for cid in (made.id, child.id):
        with pytest.raises(Forbidden, match=f"account {made.id}"):
            await device(one, cid, "c")
    outside = await device(one, one.master().cid, "d")
    with pytest.raises(Forbidden):
        await one.directory.move(one.master(), DEVICES, outside, child.id)
    await one.directory.move(acting(one, made.id), DEVICES, inner, made.id)
    await one.removal.remove(one.master(), DEVICES, inner)
    await device(one, child.id, "e")
    kept = one.bin.of_account(made.id)
    with pytest.raises(Forbidden):
        await one.bin.restore(one.master(), kept[0])


async def test_the_strictest_limit_of_the_line_holds(one: Rooms) -> None:
    made = await limited(one, one.master().cid, device_media_storage=100, api_calls=10)
    child = await limited(one, made.id, device_media_storage=200, device_storage=50)
    assert one.directory.limits.values(child.id) == {"api_calls": 10, "device_media_storage": 100, "device_storage": 50}
    assert one.directory.limits.value(one.master().cid, "device_media_storage") == 0


async def test_storage_of_a_device_ends_where_its_account_says(one: Rooms) -> None:
    made = await limited(one, one.master().cid, device_media_storage=2_000_000, device_storage=5000)
    truck = await device(one, made.id, "small")
    free = await device(one, one.master().cid, "free")
    one.quota.account_limit = lambda cid: one.directory.limits.value(cid, "device_media_storage")
    assert one.quota.limit(truck.device) == 2_000_000
    assert one.quota.limit(free.device) == one.device_limit
    assert one.history.limits()[truck.id][1] == 5000
    assert one.history.limits()[free.id][1] == 0
    await one.directory.update(one.master(), DEVICES, truck, {"messages_rotate": 4000}, patch=True)
    assert one.history.limits()[truck.id][1] == 4000


async def test_rates_are_counted_by_the_minute(one: Rooms) -> None:
    made = await limited(one, one.master().cid, api_calls=3)
    child = await below(one, made.id)
    meter = one.directory.meter
    for cid in (made.id, child.id, child.id):
        meter.check("api_calls", cid)
        meter.count("api_calls", cid, 1)
        one.clock.advance(10)
    for cid in (made.id, child.id):
        with pytest.raises(TooManyRequests, match=f"account {made.id} has used up") as refused:
            meter.check("api_calls", cid)
        assert refused.value.retry_after_s == pytest.approx(30)
    meter.check("api_calls", one.master().cid)
    one.clock.advance(30)
    meter.check("api_calls", child.id)
    await one.journal.settled()
    (record,) = [event.payload for event in one.events if event.topic.endswith(f"customer/{made.id}/limit_reached")]
    assert (record["limit"], record["value"], record["event_code"]) == ("api_calls", 3, 200)


async def test_a_rate_that_is_used_up_stays_shut_as_long_as_its_limit_says(one: Rooms) -> None:
    made = await limited(one, one.master().cid, channel_traffic=1000, blocking_duration=600)
    meter = one.directory.meter
    meter.count("channel_traffic", made.id, 999, 7)
    assert meter.shut("channel_traffic", made.id, 7) is None
    meter.count("channel_traffic", made.id, 1, 7)
    assert meter.shut("channel_traffic", made.id, 8) is None
    one.clock.advance(599)
    with pytest.raises(TooManyRequests, match="channel 7 has used up its bytes"):
        meter.check("channel_traffic", made.id, 7)
    one.clock.advance(2)
    meter.check("channel_traffic", made.id, 7)


async def test_of_the_limits_on_an_item_the_strictest_holds(one: Rooms) -> None:
    made = await limited(one, one.master().cid, channel_messages=5)
    child = await limited(one, made.id, channel_messages=50)
    one.directory.meter.count("channel_messages", child.id, 5, 1)
    with pytest.raises(TooManyRequests, match="is 5"):
        one.directory.meter.check("channel_messages", child.id, 1)
    limit = one.directory.find(LIMITS, made.view["limit_id"])
    assert limit is not None
    await one.directory.update(one.master(), LIMITS, limit, {"channel_messages": 0}, patch=True)
    one.directory.meter.count("channel_messages", child.id, 5, 2)
    one.directory.meter.check("channel_messages", child.id, 2)


async def test_a_restart_opens_no_door(one: Rooms) -> None:
    made = await limited(one, one.master().cid, mqtt_messages=2, blocking_duration=3600)
    one.directory.meter.count("mqtt_messages", made.id, 2)
    await one.directory.meter.save(StateTable(one.db))
    await one.restart()
    await one.directory.meter.load(StateTable(one.db))
    with pytest.raises(TooManyRequests):
        one.directory.meter.check("mqtt_messages", made.id)


async def test_a_clock_that_goes_back_begins_a_new_minute(one: Rooms) -> None:
    made = await limited(one, one.master().cid, mqtt_messages=2)
    one.directory.meter.count("mqtt_messages", made.id, 1)
    one.clock.advance(-3600)
    one.directory.meter.count("mqtt_messages", made.id, 1)
    one.directory.meter.check("mqtt_messages", made.id)


async def test_the_main_account_stays(one: Rooms) -> None:
    main = one.directory.find(CUSTOMER, one.master().cid)
    assert main is not None and isinstance(main.item, Account)
    with pytest.raises(Forbidden):
        await one.directory.delete(one.master(), CUSTOMER, main)
    assert await seen(one, one.master()) == []
