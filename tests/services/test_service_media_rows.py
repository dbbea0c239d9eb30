"""Remembered rows of the media store are the rows as they are stored."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from rooms import TACHOBOX, Rooms

from wayframe.model import MediaFile
from wayframe.services.media_rows import MediaRows

pytestmark = pytest.mark.anyio


async def _files(rooms: Rooms, count: int) -> list[MediaFile]:
    truck = await rooms.device(type_id=TACHOBOX)
    made = []
    for number in range(count):
        name = f"{number}.bin"
        uuid = str((await rooms.upload(truck, b"%d" % number, name))["uuid"])
        file = await rooms.media_table.get(uuid)
        assert file is not None
        made.append(file)
    return made


async def test_the_rows_asked_for_last_are_remembered(one: Rooms) -> None:
    files = await _files(one, 3)
    rows = MediaRows(one.media_table, most=2)
    assert rows.recall(files[0].uuid) is None
    for file in (files[0], files[1], files[0]):
        assert (rows.recall(file.uuid) or await rows.read(file.uuid)) == file
    await rows.read(files[2].uuid)
    assert [rows.recall(file.uuid) is not None for file in files] == [True, False, True]


async def test_what_was_listed_last_is_remembered(one: Rooms) -> None:
    files = await _files(one, 3)
    rows = MediaRows(one.media_table, most=2)
    first = await rows.read(files[2].uuid)
    listed = await rows.list([files[0].device_id], uuids=None, from_=None, to=None)
    assert [file.uuid for file in listed] == [file.uuid for file in sorted(files, key=lambda f: (f.created, f.uuid))]
    assert [rows.recall(file.uuid) is not None for file in listed[-2:]] == [True, True]
    assert rows.recall(files[2].uuid) in (None, first)


async def test_what_changes_is_forgotten(one: Rooms) -> None:
    (file,) = await _files(one, 1)
    rows = MediaRows(one.media_table)
    await rows.read(file.uuid)
    await rows.update(replace(file, shared=False))
    assert rows.recall(file.uuid) is None
    again = await rows.read(file.uuid)
    assert again is not None and not again.shared
    await rows.delete([file.uuid])
    assert rows.recall(file.uuid) is None
    assert await rows.read(file.uuid) is None


async def test_a_reader_beside_a_writer_remembers_nothing_old(rooms: Rooms) -> None:
    (file,) = await _files(rooms, 1)
    rows = MediaRows(rooms.media_table)
    for number in range(50):
        reads = [rows.read(file.uuid) for _ in range(3)]
        listing = rows.list([file.device_id], uuids=None, from_=None, to=None)
        await asyncio.gather(*reads, listing, rows.update(replace(file, name=f"{number}")), rows.read(file.uuid))
        remembered = rows.recall(file.uuid)
        assert remembered is None or remembered.name == f"{number}"
