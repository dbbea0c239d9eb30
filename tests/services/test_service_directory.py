"""The directory: items made, changed, removed and found, and who may do that."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rooms import MDVR, NOW, TACHOBOX, TRACKER, Rooms

from wayframe.model import Account, BadRequest, Conflict, Forbidden, NotFound, Unauthorized
from wayframe.services import CHANNELS, CUSTOMER, DEVICES, TOKENS, Caller, Entry
from wayframe.storage import AccountTable, TokenTable

pytestmark = pytest.mark.anyio


async def ids(rooms: Rooms, caller: Caller, selector: str, method: str = "GET", entity: str = DEVICES) -> list[int]:
    return [entry.id for entry in await rooms.directory.select(caller, entity, selector, method)]


async def change(rooms: Rooms, entity: str, entry: Entry, *, patch: bool, **body: Any) -> Entry:
    return await rooms.directory.update(rooms.master(), entity, entry, body, patch=patch)


# --- making and changing ----------------------------------------------------------------------------------------------


async def test_a_new_device_is_there_after_a_restart(rooms: Rooms) -> None:
    made = await rooms.device("860112345678901", name="Truck 1", metadata={"fleet": "north"}, media_ttl=86400)
    view = dict(made.view)
    await rooms.restart()
    entry = rooms.directory.device(made.id)
    assert entry is not None and entry.view == view
    assert entry.view["device_type_name"] == "mdvr" and entry.view["protocol_name"] == "jt808"
    assert rooms.directory.device_by_ident(552, ["unknown", "860112345678901"]) is entry
    assert rooms.directory.device_by_ident(0, ["860112345678901"]) is None


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "device_type_id"),
        ({"device_type_id": MDVR}, "configuration.ident"),
        ({"device_type_id": 999, "configuration": {"ident": "a"}}, "device_type_id"),
        ({"device_type_id": "5", "configuration": {"ident": "a"}}, "device_type_id"),
        ({"device_type_id": MDVR, "configuration": {"ident": 5}}, "configuration.ident"),
        ({"device_type_id": MDVR, "configuration": {"ident": "a\n"}}, "configuration.ident"),
        ({"device_type_id": MDVR, "configuration": {"ident": "a" * 129}}, "configuration.ident"),
        ({"device_type_id": 0, "configuration": []}, "configuration"),
        ({"device_type_id": 0, "media_ttl": 59}, "media_ttl"),
        ({"device_type_id": 0, "media_ttl": 315_360_001}, "media_ttl"),
        ({"device_type_id": 0, "media_rotate": 1000}, "media_rotate"),
        ({"device_type_id": 0, "media_rotate": -1}, "media_rotate"),
        ({"device_type_id": 0, "messages_ttl": 1.5}, "messages_ttl"),
        ({"device_type_id": 0, "messages_rotate": -1}, "messages_rotate"),
        ({"device_type_id": 0, "name": "x" * 256}, "name"),
        ({"device_type_id": 0, "name": None}, "name"),
        ({"device_type_id": 0, "enabled": 1}, "enabled"),
        ({"device_type_id": 0, "metadata": "x"}, "metadata"),
        ({"device_type_id": 0, "colour": "red"}, "colour"),
        ([], "object"),
    ],
)
async def test_a_bad_device_is_refused_with_the_field_named(one: Rooms, body: Any, named: str) -> None:
    with pytest.raises(BadRequest) as refused:
        await one.directory.create(one.master(), DEVICES, body)
    assert named in refused.value.reason
    assert one.directory.count(DEVICES) == 0


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "protocol_id"),
        ({"protocol_id": 1}, "protocol_id"),
        ({"protocol_name": "nope"}, "protocol_name"),
        ({"protocol_id": 552, "configuration": {"unknown_idents": "maybe"}}, "configuration.unknown_idents"),
        ({"protocol_id": 552, "configuration": {"auth": "none"}}, "configuration.auth"),
        ({"protocol_id": 552, "configuration": {"port": 70_000}}, "configuration.port"),
        ({"protocol_id": 552, "configuration": {"port": True}}, "configuration.port"),
        ({"protocol_id": 552, "configuration": {"port": "abc"}}, "configuration.port"),
        ({"protocol_id": 552, "configuration": {"port": "0"}}, "configuration.port"),
        ({"protocol_id": 552, "configuration": {"device_type_id": 171}}, "configuration.device_type_id"),
        ({"protocol_id": 552, "configuration": {"device_type_id": "abc"}}, "configuration.device_type_id"),
        ({"protocol_id": 552, "configuration": {"device_type_id": None}}, "configuration.device_type_id"),
        ({"protocol_id": 552, "configuration": {"device_type_id": 999}}, "device_type_id"),
    ],
)
async def test_a_bad_channel_is_refused_with_the_field_named(one: Rooms, body: Any, named: str) -> None:
    with pytest.raises(BadRequest) as refused:
        await one.directory.create(one.master(), CHANNELS, body)
    assert named in refused.value.reason


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "expire"),
        ({"ttl": 0}, "expire"),
        ({"ttl": -1}, "ttl"),
        ({"ttl": 60, "ips": "not-an-address"}, "ips"),
        ({"ttl": 60, "access": {"type": 3}}, "access.type"),
        ({"ttl": 60, "access": {"type": 0, "acl": [{"uri": "gw"}]}}, "access.acl"),
        ({"ttl": 60, "access": {"type": 2, "acl": [{"uri": "nowhere"}]}}, "access.acl[0].uri"),
        ({"ttl": 60, "access": {"type": 2, "acl": [{"uri": "mqtt", "topic": "a#b"}]}}, "access.acl[0].topic"),
        ({"ttl": 60, "key": "x"}, "key"),
    ],
)
async def test_a_bad_token_is_refused_with_the_field_named(one: Rooms, body: Any, named: str) -> None:
    with pytest.raises(BadRequest) as refused:
        await one.directory.create(one.master(), TOKENS, body)
    assert named in refused.value.reason


async def test_a_channel_takes_its_numbers_as_text_too(one: Rooms) -> None:
    configuration = {"port": "7650", "device_type_id": "7", "unknown_idents": "create"}
    body = {"protocol_name": "jt808", "configuration": configuration}
    made = await one.directory.create(one.master(), CHANNELS, body)
    assert made.view["protocol_id"] == 552 and made.view["configuration"] == configuration


async def test_an_ident_is_unique_within_its_protocol(rooms: Rooms) -> None:
    first = await rooms.device("a")
    with pytest.raises(Conflict, match="ident"):
        await rooms.device("a", TRACKER)
    other = await rooms.device("a", TACHOBOX)  # another protocol
    second = await rooms.device("b")
    with pytest.raises(Conflict, match="ident"):
        await change(rooms, DEVICES, second, patch=True, configuration={"ident": "a"})
    with pytest.raises(Conflict, match="ident"):
        await change(rooms, DEVICES, other, patch=False, device_type_id=MDVR)
    outcomes = await asyncio.gather(*(rooms.device("c") for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if not isinstance(outcome, Entry)] == [Conflict] * 4
    await change(rooms, DEVICES, first, patch=True, configuration={"ident": "z"})
    assert (await rooms.device("a")).id not in (first.id, second.id, other.id)


async def test_put_replaces_and_patch_merges(rooms: Rooms) -> None:
    entry = await rooms.device("a", name="Truck", metadata={"fleet": {"id": "1", "city": "Ulm"}, "driver": "Ada"})
    await change(rooms, DEVICES, entry, patch=True, metadata={"fleet": {"city": None, "zip": "89"}, "driver": None})
    assert entry.view["metadata"] == {"fleet": {"id": "1", "zip": "89"}} and entry.view["name"] == "Truck"
    await change(rooms, DEVICES, entry, patch=True, configuration={"tacho": "1"})
    assert entry.view["configuration"] == {"ident": "a", "tacho": "1"}
    await change(rooms, DEVICES, entry, patch=False, metadata={"x": "1"}, name="")
    assert entry.view["metadata"] == {"x": "1"} and entry.view["name"] == ""
    with pytest.raises(BadRequest, match=r"configuration\.ident"):
        await change(rooms, DEVICES, entry, patch=False, configuration={"tacho": "1"})
    await change(rooms, DEVICES, entry, patch=False, device_type_id=TACHOBOX)
    assert entry.view["protocol_name"] == "generic" and entry.view["device_type_name"] == "tachobox"
    view = dict(entry.view)
    await rooms.restart()
    again = rooms.directory.device(entry.id)
    assert again is not None and again.view == view


async def test_changes_at_the_same_time_do_not_undo_each_other(rooms: Rooms) -> None:
    entry = await rooms.device("a")
    await asyncio.gather(
        *(change(rooms, DEVICES, entry, patch=True, metadata={f"k{n}": str(n)}) for n in range(4)),
        rooms.directory.add_metadata(entry, {"terminal.model": "M"}),
    )
    expected = {**{f"k{n}": str(n) for n in range(4)}, "terminal.model": "M"}
    assert entry.view["metadata"] == expected
    await rooms.restart()
    again = rooms.directory.device(entry.id)
    assert again is not None and again.view["metadata"] == expected


async def test_a_channel_keeps_its_protocol(rooms: Rooms) -> None:
    entry = await rooms.directory.create(rooms.master(), CHANNELS, {"protocol_id": 552, "name": "in"})
    with pytest.raises(BadRequest, match="protocol_id"):
        await change(rooms, CHANNELS, entry, patch=False, protocol_id=0)
    await change(rooms, CHANNELS, entry, patch=False, protocol_id=552, name="new")
    assert entry.view["name"] == "new"


async def test_the_account_can_be_renamed_and_not_deleted(rooms: Rooms) -> None:
    entry = next(rooms.directory.entries(CUSTOMER))
    await change(rooms, CUSTOMER, entry, patch=True, name="Fleet Ltd", metadata={"vat": "1"})
    assert entry.view["name"] == "Fleet Ltd"
    with pytest.raises(Forbidden):
        await rooms.directory.delete(rooms.master(), CUSTOMER, entry)
    await rooms.journal.settled()
    assert rooms.retained()["flespi/state/platform/customer"]["name"] == "Fleet Ltd"


# --- what is announced ------------------------------------------------------------------------------------------------


async def test_an_item_is_announced_when_it_is_made_changed_and_removed(rooms: Rooms) -> None:
    entry = await rooms.device("a", name="Truck")
    await rooms.journal.settled()
    base = f"flespi/state/gw/devices/{entry.id}"
    kept = rooms.retained(base)
    assert kept[base]["name"] == kept[f"{base}/name"] == "Truck"
    assert kept[base].keys() == {topic.rpartition("/")[2] for topic in kept if topic != base}
    assert rooms.topics().index(f"flespi/log/gw/devices/{entry.id}/created") < rooms.topics().index(base)
    await change(rooms, DEVICES, entry, patch=True, name="Lorry")
    await rooms.history.store(entry, [{"timestamp": NOW, "speed": 5}])
    await rooms.journal.settled()
    assert rooms.retained(base)[f"{base}/name"] == "Lorry" and rooms.retained(base)[f"{base}/telemetry/speed"] == 5
    updated = rooms.payloads(f"flespi/log/gw/devices/{entry.id}/updated")[0]
    assert (updated["old"]["name"], updated["new"]["name"], updated["item_data"]["name"]) == ("Truck", "Lorry", "Lorry")
    rooms.events.clear()
    await rooms.directory.delete(rooms.master(), DEVICES, entry)
    await rooms.journal.settled()
    assert rooms.topics()[0] == f"{base}/deleted" and rooms.events[0].payload is True and rooms.events[0].retain
    gone = {event.topic for event in rooms.events if event.retain and event.payload is None}
    assert {base, f"{base}/name", f"{base}/configuration", f"{base}/telemetry/speed"} <= gone
    assert rooms.payloads(f"flespi/log/gw/devices/{entry.id}/deleted")[0]["item_data"]["name"] == "Lorry"
    await rooms.restart()
    assert rooms.directory.device(entry.id) is None
    assert rooms.directory.device_by_ident(552, ["a"]) is None


async def test_nothing_retained_is_left_of_a_deleted_item(one: Rooms) -> None:
    entry = await one.device("a")
    one.directory.set_device_field(entry, "connected", True)
    one.directory.set_device_field(entry, "media_size", 7)
    await one.directory.delete(one.master(), DEVICES, entry)
    channel = await one.directory.create(one.master(), CHANNELS, {"protocol_id": 552})
    await one.directory.delete(one.master(), CHANNELS, channel)
    await one.journal.settled()
    left = {**one.retained("flespi/state/gw/devices"), **one.retained("flespi/state/gw/channels")}
    assert set(left) <= {
        f"flespi/state/gw/devices/{entry.id}/deleted",
        f"flespi/state/gw/channels/{channel.id}/deleted",
    }


# --- finding ----------------------------------------------------------------------------------------------------------


async def test_selectors_find_by_id_ident_expression_and_all(rooms: Rooms) -> None:
    a = await rooms.device("860112345678901", name="Truck A", metadata={"fleet": "1"})
    b = await rooms.device("b", name="Truck B")
    c = await rooms.device("c", TACHOBOX, name="Van C")
    me = rooms.master()
    assert await ids(rooms, me, "all") == [a.id, b.id, c.id]
    assert await ids(rooms, me, f"{c.id},{a.id},{c.id}") == [a.id, c.id]
    assert await ids(rooms, me, f"{a.id},9999") == [a.id]
    assert await ids(rooms, me, "configuration.ident=b") == [b.id]
    assert await ids(rooms, me, "configuration.ident=860112345678901") == [a.id]
    assert await ids(rooms, me, "name=Truck*") == [a.id, b.id]
    assert await ids(rooms, me, "metadata.fleet=1") == [a.id]
    assert await ids(rooms, me, "device_type_id=171") == [c.id]
    await rooms.history.store(b, [{"timestamp": NOW, "speed": 90}])
    assert await ids(rooms, me, "{telemetry.speed>80}") == [b.id]


async def test_what_is_not_there_is_404_for_ids_and_empty_for_expressions(one: Rooms) -> None:
    me = one.master()
    with pytest.raises(NotFound):
        await ids(one, me, "77")
    assert await ids(one, me, "all") == [] == await ids(one, me, "name=nobody")
    assert await ids(one, me, "configuration.ident=nobody") == []
    with pytest.raises(BadRequest):
        await ids(one, me, "{telemetry.speed>}")


async def test_an_account_sees_itself_and_its_subaccounts(rooms: Rooms) -> None:
    table = AccountTable(rooms.db)
    main = rooms.master().cid
    child = await table.insert(Account(id=0, owner_id=main, name="child"))
    grandchild = await table.insert(Account(id=0, owner_id=child.id, name="grandchild"))
    stranger = await table.insert(Account(id=0, owner_id=0, name="stranger"))
    await rooms.restart()
    made = {
        cid: await rooms.directory.create_device(cid, {"device_type_id": 0, "name": str(cid)})
        for cid in (main, child.id, grandchild.id, stranger.id)
    }
    me = rooms.master()
    assert await ids(rooms, me, "all") == [made[main].id, made[child.id].id, made[grandchild.id].id]
    with pytest.raises(NotFound):
        await ids(rooms, me, str(made[stranger.id].id))
    below = rooms.directory.caller(me.token, cid=child.id)
    assert await ids(rooms, below, "all") == [made[child.id].id, made[grandchild.id].id]
    with pytest.raises(Forbidden, match="x-flespi-cid"):
        rooms.directory.caller(me.token, cid=stranger.id)
    # A token of the child cannot look up.
    key = (await rooms.directory.create_token(child.id, {"ttl": 60, "access": {"type": 1}})).view["key"]
    token = rooms.directory.authenticate(key, "127.0.0.1")
    with pytest.raises(Forbidden):
        rooms.directory.caller(token, cid=main)
    assert await ids(rooms, rooms.directory.caller(token), "all") == [made[child.id].id, made[grandchild.id].id]


async def test_the_token_of_a_blocked_account_is_refused(rooms: Rooms) -> None:
    table = AccountTable(rooms.db)
    child = await table.insert(Account(id=0, owner_id=rooms.master().cid, blocked=True))
    await rooms.restart()
    key = (await rooms.directory.create_token(child.id, {"ttl": 60})).view["key"]
    with pytest.raises(Forbidden, match="blocked"):
        rooms.directory.authenticate(key, "127.0.0.1")


# --- tokens -----------------------------------------------------------------------------------------------------------


async def test_a_key_is_shown_at_creation_only_and_never_stored_or_announced(rooms: Rooms) -> None:
    made = await rooms.directory.create(rooms.master(), TOKENS, {"ttl": 60, "info": "for the app"})
    key = made.view["key"]
    assert len(key) == 64 and key.isalnum()
    await rooms.journal.settled()
    entry = rooms.directory.find(TOKENS, made.id)
    assert entry is not None and "key" not in entry.view and not {"digest", "sealed"} & entry.view.keys()
    assert key not in repr(rooms.events)
    row = await TokenTable(rooms.db).get(made.id)
    assert row is not None and key not in repr(row)
    await rooms.restart()
    token = rooms.directory.authenticate(f"FlespiToken {key}", "127.0.0.1")
    assert (token.id, token.info) == (made.id, "for the app")
    assert rooms.directory.token_key(token) == key


@pytest.mark.parametrize("form", ["{}", "FlespiToken {}", "Bearer {}", "bearer {}", "  {} "])
async def test_a_key_comes_in_several_forms(one: Rooms, form: str) -> None:
    assert one.directory.authenticate(form.format(one.master_key), "127.0.0.1").access == {"type": 1}


@pytest.mark.parametrize("text", ["", "FlespiToken", "FlespiToken ", "x" * 64, "\ud800", "Basic abc"])
async def test_anything_else_is_no_token(one: Rooms, text: str) -> None:
    with pytest.raises(Unauthorized):
        one.directory.authenticate(text, "127.0.0.1")


async def test_a_token_ends_by_time_by_silence_and_by_switch(rooms: Rooms) -> None:
    def works(made: Entry) -> bool:
        try:
            return rooms.directory.authenticate(made.view["key"], "127.0.0.1").id == made.id
        except Unauthorized:
            return False

    create = rooms.directory.create
    dated = await create(rooms.master(), TOKENS, {"expire": NOW + 100})
    quiet = await create(rooms.master(), TOKENS, {"ttl": 60})
    busy = await create(rooms.master(), TOKENS, {"ttl": 60})
    off = await create(rooms.master(), TOKENS, {"ttl": 600, "enabled": False})
    assert not works(off)
    for _ in range(3):
        rooms.clock.advance(33)
        assert works(dated) and works(busy)
    assert not works(quiet)
    rooms.clock.advance(1)
    assert not works(dated) and works(busy)
    await rooms.directory.save_token_use()
    await rooms.directory.end_tokens()
    await rooms.restart()
    rooms.clock.advance(59)
    assert works(busy)
    left = {entry.id for entry in rooms.directory.entries(TOKENS)}
    assert dated.id not in left and quiet.id not in left and {busy.id, off.id} <= left
    switched = rooms.directory.find(TOKENS, off.id)
    assert switched is not None
    await change(rooms, TOKENS, switched, patch=True, enabled=True)
    assert works(off)


async def test_a_dead_token_is_announced_as_deleted(one: Rooms) -> None:
    made = await one.directory.create(one.master(), TOKENS, {"ttl": 60})
    one.clock.advance(61)
    one.events.clear()
    await one.directory.end_tokens()
    await one.journal.settled()
    assert f"flespi/log/platform/tokens/{made.id}/deleted" in one.topics()
    assert await TokenTable(one.db).get(made.id) is None


async def test_a_token_is_good_from_its_addresses_only(one: Rooms) -> None:
    made = await one.directory.create(one.master(), TOKENS, {"ttl": 60, "ips": "203.0.113.5, 10.0.0.0/8,2001:db8::/32"})
    for address in ("203.0.113.5", "10.1.2.3", "2001:db8::1"):
        one.directory.authenticate(made.view["key"], address)
    for address in ("203.0.113.6", "11.0.0.1", "2001:db9::1", ""):
        with pytest.raises(Forbidden):
            one.directory.authenticate(made.view["key"], address)
    entry = one.directory.find(TOKENS, made.id)
    assert entry is not None
    await change(one, TOKENS, entry, patch=True, ips="")
    one.directory.authenticate(made.view["key"], "203.0.113.6")


async def test_a_part_of_what_a_selector_finds(rooms: Rooms) -> None:
    """With the number of all; and one that comes back from the bin stands where it stood."""
    master = rooms.master()
    made = [await rooms.device(str(number), name=f"Truck {number % 2}") for number in range(5)]
    await rooms.removal.remove(master, DEVICES, made[1])

    async def part(caller: Caller, selector: str, offset: int, limit: int) -> tuple[list[int], int]:
        found, count = await rooms.directory.select_part(caller, DEVICES, selector, "GET", offset, limit)
        return [made.index(entry) if entry in made else -1 for entry in found], count

    assert await part(master, "all", 1, 2) == ([2, 3], 4)
    (entry,) = await rooms.bin.select(master, "all", "GET")
    made[1] = await rooms.bin.restore(master, entry)
    assert await part(master, "all", 0, 3) == ([0, 1, 2], 5)
    assert await part(master, "all", 4, 10) == ([4], 5)
    assert await part(master, "all", 9, 10) == ([], 5)
    assert await part(master, "name=Truck 0", 1, 1) == ([2], 3)
    assert await ids(rooms, master, "all") == sorted(entry.id for entry in made)


async def test_rights_narrow_what_a_selector_finds(rooms: Rooms) -> None:
    a, b = await rooms.device("a"), await rooms.device("b")
    reader = await rooms.caller(access={"type": 2, "acl": [{"uri": "gw/devices", "methods": ["GET"], "ids": [a.id]}]})
    assert await ids(rooms, reader, "all") == [a.id]
    with pytest.raises(NotFound):
        await ids(rooms, reader, str(b.id))
    with pytest.raises(Forbidden):
        await ids(rooms, reader, "all", "DELETE")
    with pytest.raises(Forbidden):
        await ids(rooms, reader, "all", entity=TOKENS)
    with pytest.raises(Forbidden):
        await rooms.directory.create(reader, DEVICES, {"device_type_id": 0})
    standard = await rooms.caller(access={"type": 0})
    assert await ids(rooms, standard, "all", "DELETE") == [a.id, b.id]
    with pytest.raises(Forbidden):
        await ids(rooms, standard, "all", entity=TOKENS)
    media = {"uri": "gw/devices", "methods": ["GET"], "submodules": [{"name": "media", "methods": ["GET"]}]}
    viewer = await rooms.caller(access={"type": 2, "acl": [media]})
    found = await rooms.directory.select(viewer, DEVICES, "all", "GET", "media")
    assert [entry.id for entry in found] == [a.id, b.id]
    for method, part in (("DELETE", "media"), ("GET", "messages"), ("PUT", None)):
        with pytest.raises(Forbidden):
            await rooms.directory.select(viewer, DEVICES, "all", method, part)


async def test_rights_change_with_the_token_at_once(one: Rooms) -> None:
    await one.device("a")
    made = await one.directory.create(one.master(), TOKENS, {"ttl": 60, "access": {"type": 0}})
    entry = one.directory.find(TOKENS, made.id)
    assert entry is not None
    caller = one.directory.caller(one.directory.authenticate(made.view["key"], "127.0.0.1"))
    await ids(one, caller, "all")
    await change(one, TOKENS, entry, patch=False, access={"type": 2, "acl": []})
    caller = one.directory.caller(one.directory.authenticate(made.view["key"], "127.0.0.1"))
    with pytest.raises(Forbidden):
        await ids(one, caller, "all")
    await one.directory.delete(one.master(), TOKENS, entry)
    with pytest.raises(Unauthorized):
        one.directory.authenticate(made.view["key"], "127.0.0.1")


async def test_a_server_never_stays_without_a_master_token(rooms: Rooms) -> None:
    first = rooms.master_key
    entry = next(rooms.directory.entries(TOKENS))
    await rooms.directory.delete(rooms.master(), TOKENS, entry)
    await rooms.restart()
    assert rooms.master_key != first
    assert rooms.master().token.access == {"type": 1}
    again = rooms.master_key
    await rooms.restart()
    assert rooms.master_key == again


async def test_activity_is_kept_over_a_restart(rooms: Rooms) -> None:
    entry = await rooms.device("a")
    rooms.clock.advance(5)
    rooms.directory.heard(entry, rooms.clock.now())
    await rooms.directory.save_activity()
    await rooms.restart()
    again = rooms.directory.device(entry.id)
    assert again is not None and again.view["last_active"] == NOW + 5
