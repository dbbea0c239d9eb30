"""Harvests, hooks and their calls as rows: they come back as they were, and go with what they belong to."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from wayframe.model import Account, Device, NotFound
from wayframe.model.gallery import EventSource, EventState, GalleryEvent, event_id
from wayframe.model.harvest import Harvest
from wayframe.model.hooks import Hook, HookAction, HookCall, HookEvent
from wayframe.storage import AccountTable, Database, DeviceTable, GalleryTable, HarvestTable, HookCallTable, HookTable

pytestmark = pytest.mark.anyio
NOW = 1_760_000_000.5
HARVEST = Harvest(
    device_id=1, running=True, interval_s=12.5, auto_pull=True, types=["video"], thumbnails=True, started_by=-3,
    last_run=NOW, last_error="\U0001d11e 'no' \"answer\"", next_run=NOW + 1, seen_to=NOW - 1,
)  # fmt: skip
HOOK = Hook(
    id=0, cid=1, name="n", event_type=HookEvent.AFTER_EVENT_PULLED, action=HookAction.WEBHOOK,
    parameters={"url": "https://example.com/", "body": {"{{eventName}}": [1, None]}}, made_by=4, created=NOW,
    changed=NOW,
)  # fmt: skip


@pytest.fixture(autouse=True)
async def devices(db: Database) -> None:
    await AccountTable(db).insert(Account(id=1, name="main"))
    made = [Device(id=n, cid=1, device_type_id=171, protocol_id=0, created=NOW) for n in (1, 2)]
    await DeviceTable(db).insert_many(made)


async def test_a_harvest_comes_back_and_goes_with_its_device(db: Database) -> None:
    table = HarvestTable(db)
    await table.insert(HARVEST)
    await table.insert(replace(HARVEST, device_id=2))
    await table.update(replace(HARVEST, running=False, last_error=""))
    assert await table.all() == [replace(HARVEST, running=False, last_error=""), replace(HARVEST, device_id=2)]
    await DeviceTable(db).delete([1])
    assert [harvest.device_id for harvest in await table.all()] == [2]
    with pytest.raises(NotFound):
        await table.update(HARVEST)
    with pytest.raises(NotFound):
        await table.insert(replace(HARVEST, device_id=9))


async def test_calls_go_with_their_hook_and_hooks_with_their_account(db: Database) -> None:
    hooks, calls = HookTable(db), HookCallTable(db)
    first, second = [await hooks.insert(HOOK) for _ in range(2)]
    assert await hooks.all() == [first, second]
    made = [
        HookCall(id=0, hook_id=hook.id, device_id=1, facts={"eventName": "$(id)"}, made=NOW) for hook in (first, second)
    ]
    written = await calls.insert_many(made)
    await calls.update(replace(written[0], attempts=1, error="no", not_before=NOW + 5))
    assert [call.attempts for call in await calls.all()] == [1, 0]
    await hooks.delete([first.id])
    assert await calls.all() == [written[1]]
    with pytest.raises(NotFound):
        await calls.insert(made[0])
    await hooks.delete_of_account(1)
    assert (await hooks.all(), await calls.all()) == ([], [])


async def test_what_is_to_be_pulled_by_itself(db: Database) -> None:
    table = GalleryTable(db)

    def event(number: int, state: EventState, **more: float) -> GalleryEvent:
        return GalleryEvent(
            id=event_id(NOW + number, number.to_bytes(10)), device_id=1, source=EventSource.HARVEST,
            source_key=f"/{number}", name=f"{number}.mp4", media_type="video", created=NOW - number, state=state,
            added=more.pop("added", NOW), not_before=more.pop("not_before", 0.0),
        )  # fmt: skip

    states = [
        event(1, EventState.NEW), event(2, EventState.NEW), event(3, EventState.QUEUED), event(4, EventState.PULLED),
        event(5, EventState.FAILED, not_before=NOW), event(6, EventState.FAILED, not_before=NOW + 60),
        event(7, EventState.FAILED, added=NOW - 1000), event(8, EventState.DELETED), event(9, EventState.PULLING),
    ]  # fmt: skip
    await table.insert_many(states)
    found = await table.to_pull(1, NOW + 1, NOW - 500, 100)
    assert [one.name for one in found] == ["5.mp4", "2.mp4", "1.mp4"]
    assert [one.name for one in await table.to_pull(1, NOW + 1, NOW - 500, 3)] == ["5.mp4"]
    assert await table.to_pull(1, NOW + 1, NOW - 500, 2) == []
    assert await table.to_pull(2, NOW + 1, NOW - 500, 100) == []
