"""Stored items around devices, assignments, settings and raw traffic: read back the same, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from wayframe.model import Account, Conflict
from wayframe.model.items import (
    Assignment,
    DeletedItem,
    DeviceSetting,
    Geofence,
    Group,
    Packet,
    Plugin,
    SeenIdent,
    Stream,
    Webhook,
)
from wayframe.storage import AccountTable, Database, ItemTables, PacketTable

pytestmark = pytest.mark.anyio
NOW = 1_760_000_000.123456
ODD = {"text": "Zoë", "nested": {"list": [1, 2.5, None, True]}}

ITEMS: tuple[tuple[str, Any], ...] = (
    ("groups", Group(id=0, cid=1, name="North", color="#ff0000", metadata=ODD)),
    ("streams", Stream(id=0, cid=1, name="out", protocol_id=1, configuration={"uri": "https://x"}, metadata=ODD)),
    ("plugins", Plugin(id=0, cid=1, name="p", type_id=2, required=True, priority=-3, configuration=ODD)),
    ("geofences", Geofence(id=0, cid=1, name="yard", geometry={"type": "circle"}, metadata=ODD)),
    ("webhooks", Webhook(id=0, cid=1, name="hook", triggers=[{"topic": "#"}], configuration=[ODD])),
    ("deleted", DeletedItem(id=0, cid=1, type=11, item_id=7, name="gone", deleted=NOW, data=ODD)),
)


@pytest.fixture
async def tables(db: Database) -> ItemTables:
    await AccountTable(db).insert(Account(id=1))
    return ItemTables(db)


@pytest.mark.parametrize(("name", "item"), ITEMS, ids=[name for name, _ in ITEMS])
async def test_an_item_is_read_back_the_same(tables: ItemTables, name: str, item: Any) -> None:
    table = getattr(tables, name)
    first, second = await table.insert(item), await table.insert(item)
    assert (first.id, second.id) == (1, 2)
    changed = replace(first, name="changed")
    await table.update(changed)
    assert await table.all() == [changed, second]
    await table.delete([1])
    assert await table.all() == [second]
    assert (await table.insert(item)).id == 3  # never given twice
    back = await table.insert(first)  # restored with the id it had
    assert back == first
    with pytest.raises(Conflict):
        await table.insert(first)


async def test_an_assignment_is_one_and_carries_the_newest_fields(tables: ItemTables) -> None:
    one = Assignment(parent_type=25, parent_id=1, child_type=11, child_id=2, fields={"driver.name": "Ada"})
    other = replace(one, child_id=3)
    group = replace(one, parent_type=31, parent_id=2, child_id=3)
    table = tables.assignments
    await table.put([one, other, group])
    await table.put([replace(one, fields=ODD)])
    assert sorted(await table.all(), key=repr) == sorted([replace(one, fields=ODD), other, group], key=repr)
    await table.delete([one])
    await table.delete_of(11, 3)
    assert await table.all() == []


async def test_settings_of_a_device(tables: ItemTables) -> None:
    table = tables.settings
    apn = DeviceSetting(device_id=1, name="apn", current={"host": "a"}, updated=NOW)
    await table.put(apn)
    await table.put(replace(apn, device_id=2))
    await table.put(replace(apn, pending={"host": "b"}))
    found = {setting.device_id: setting for setting in await table.all()}
    assert found == {1: replace(apn, pending={"host": "b"}), 2: replace(apn, device_id=2)}
    await table.delete([1])
    assert [setting.device_id for setting in await table.all()] == [2]


async def test_idents_of_channels(tables: ItemTables) -> None:
    table = tables.idents
    first = SeenIdent(id=11, channel_id=1, ident="0138", source="192.0.2.9:1", seen=NOW)
    second = SeenIdent(id=12, channel_id=1, ident="0139", device_id=7, seen=NOW - 1)
    await table.save([first, second], [])
    assert await table.all() == [second, first]
    await table.save([replace(second, seen=NOW + 1)], [11, 99])
    assert await table.all() == [replace(second, seen=NOW + 1)]
    await table.save([], [])


def packet(number: int, device_id: int = 1) -> Packet:
    return Packet(
        device_id=device_id, timestamp=NOW + number, received=number % 2 == 0, source="a:1", data=bytes([number])
    )


async def test_packets_by_time_and_the_newest_are_kept(db: Database) -> None:
    table = PacketTable(db)
    await table.insert_many([packet(number) for number in range(6)] + [packet(9, device_id=2)])
    assert await table.query([1], from_=NOW + 2, to=NOW + 3) == [packet(2), packet(3)]
    assert await table.query([1, 2], count=2, reverse=True) == [packet(9, 2), packet(5)]
    await table.keep_newest(1, 2)
    assert await table.query([1]) == [packet(4), packet(5)]
    await table.keep_newest(1, 2)
    await table.purge(NOW + 5)
    assert await table.query([1, 2]) == [packet(5), packet(9, 2)]
    await table.delete([1])
    assert await table.query([1, 2]) == [packet(9, 2)]
