"""Retained state, as a subscriber finds it: the topics of accounts, and who sees which."""

from __future__ import annotations

from typing import Any

import pytest
from rooms import Rooms

from wayframe.bus import split_filter
from wayframe.services import CUSTOMER, Caller, StateTopics
from wayframe.services.entries import SUBACCOUNTS

pytestmark = pytest.mark.anyio


def state(rooms: Rooms, cid: int, topic_filter: str) -> dict[str, Any]:
    """What an account finds with a topic filter: payloads by topic, each with the account it comes from."""
    topics = StateTopics(
        rooms.directory, rooms.connections, rooms.commands, rooms.assignments, rooms.settings, rooms.clock
    )
    found = topics.find(rooms.directory.visible_accounts(cid), split_filter(topic_filter))
    return {event.topic: (event.payload, event.cid) for event in found}


async def branch(rooms: Rooms) -> Caller:
    """A subaccount of the main one."""
    made = await rooms.directory.create(rooms.master(), SUBACCOUNTS, {"name": "Branch"})
    return Caller(rooms.master().token, made.id)


async def test_an_account_has_its_state_without_an_id(rooms: Rooms) -> None:
    main = rooms.master().cid
    found = state(rooms, main, "flespi/state/platform/customer")
    assert found["flespi/state/platform/customer"][0]["id"] == main
    assert state(rooms, main, "flespi/state/platform/customer/id") == {
        "flespi/state/platform/customer/id": (main, main)
    }
    assert state(rooms, main, "flespi/state/platform/customer/#").keys() > {"flespi/state/platform/customer"}


async def test_a_subaccount_is_state_of_its_parent_and_of_nobody_else(rooms: Rooms) -> None:
    main, below = rooms.master().cid, (await branch(rooms)).cid
    topic = f"flespi/state/platform/subaccounts/{below}"
    assert state(rooms, main, "flespi/state/platform/subaccounts/+").keys() == {topic}
    assert state(rooms, main, topic)[topic][1] == main
    assert state(rooms, below, "flespi/state/platform/subaccounts/#") == {}
    assert state(rooms, below, "flespi/state/#")["flespi/state/platform/customer"][1] == below


async def test_what_changes_on_one_side_of_an_account_shows_on_the_other(rooms: Rooms) -> None:
    caller = await branch(rooms)
    entry = rooms.directory.find(CUSTOMER, caller.cid)
    assert entry is not None
    await rooms.directory.update(rooms.master(), SUBACCOUNTS, entry, {"name": "by the parent"}, patch=True)
    await rooms.directory.update(caller, CUSTOMER, entry, {"name": "by itself"}, patch=True)
    await rooms.journal.settled()
    told = [(event.topic, event.cid, event.payload) for event in rooms.events if event.topic.endswith("/name")]
    above, own = f"flespi/state/platform/subaccounts/{caller.cid}/name", "flespi/state/platform/customer/name"
    for name in ("by the parent", "by itself"):
        assert (above, rooms.master().cid, name) in told
        assert (own, caller.cid, name) in told


async def test_a_device_that_moves_takes_its_values_from_where_it_was(rooms: Rooms) -> None:
    entry = await rooms.device("a")
    await rooms.history.store(entry, [{"timestamp": rooms.clock.now(), "speed": 5}])
    caller = await branch(rooms)
    await rooms.directory.move(rooms.master(), "gw/devices", entry, caller.cid)
    await rooms.journal.settled()
    cleared = [event.topic for event in rooms.events if event.cid == rooms.master().cid and event.payload is None]
    base = f"flespi/state/gw/devices/{entry.id}"
    assert {base, f"{base}/name", f"{base}/telemetry/speed"} <= set(cleared)
    assert not any("telemetry_times" in topic for topic in cleared)


async def test_a_parameter_whose_name_no_topic_can_hold_has_none(rooms: Rooms) -> None:
    entry = await rooms.device("a")
    odd = dict.fromkeys(["a/b", "x+y", "h#", "nul\0", "n" * 70_000, "$s", "fine"], 1)
    await rooms.history.store(entry, [{"timestamp": rooms.clock.now(), **odd}])
    base = f"flespi/state/gw/devices/{entry.id}/telemetry"
    found = state(rooms, entry.cid, f"{base}/+").keys()
    assert {f"{base}/$s", f"{base}/fine"} <= found
    assert not found & {f"{base}/{name}" for name in odd if name not in ("$s", "fine")}
