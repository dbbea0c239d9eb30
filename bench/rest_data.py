"""A database as a large house has it: 100,000 devices, 1,000,000 media files, made by bulk inserts in some minutes.

.venv/bin/python bench/rest_data.py FOLDER [--devices N] [--files N] [--busy N] [--blobs] [--database URL]

FOLDER is the data folder of a server that was started once, so that its account is there (bench/rest_cost.py does
both). A few busy devices hold 100 files of every month of a year, the rest is spread evenly. Every file has its gallery
event, and the counts of events are what they must be, so that the server finds nothing to repair. The rows share a few
blobs; `--blobs` gives each row one of its own (hard links: 65,536 folders, no space), as the check at start meets them.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import insert, text

from wayframe.model import Device, MediaFile, MediaState
from wayframe.model.gallery import event_of
from wayframe.storage import Database, DeviceTable, GalleryTable, MediaTable, TelemetryTable, schema

MONTHS = 12
A_MONTH = 100
"""Files a busy device has of each month."""
MONTH_S = 30 * 86_400
BEGIN = 1_735_689_600
"""1 January 2025: the first of the months."""
_BATCH = 5_000
_LINKS = 30_000
"""Names one inode may have, with room to spare: ext4 allows 65,000."""
_PHOTO = b"\xff\xd8\xff\xe0 a picture \xff\xd9"


def ident(number: int) -> str:
    """The ident of a device, from 1."""
    return f"139{number:09d}"


def devices(count: int, cid: int, now: float) -> Iterator[Device]:
    """Devices with the ids 1 to `count`."""
    for number in range(1, count + 1):
        yield Device(
            id=number, cid=cid, name=f"Truck {number}", device_type_id=5, protocol_id=552, created=now,
            configuration={"ident": ident(number)}, metadata={"fleet": number % 50}, media_ttl=20 * 365 * 86_400,
        )  # fmt: skip


def media(count: int, of: int, busy: int, cid: int, blobs: bool) -> Iterator[MediaFile]:
    """Files: a whole year of the first `busy` devices, the others take what is left in turn."""
    year = A_MONTH * MONTHS
    for number in range(count):
        if number < busy * year:
            device, place = number // year + 1, number % year / year
        else:
            device, place = busy + 1 + number % (of - busy), number / count
        created = BEGIN + place * MONTHS * MONTH_S
        digest = hashlib.sha256(b"%d" % number).hexdigest()
        key = digest[:32] if blobs else shared_key(number % 16)
        yield MediaFile(
            uuid=digest.upper(), device_id=device, cid=cid, name=f"clip_{number}.jpg", size=len(_PHOTO),
            mime="image/jpeg", kind="image", created=created, modified=created + 9, uploaded=created + 9,
            meta={"type": "image", "channel": 1, "width": 1280, "height": 720}, state=MediaState.READY,
            announced=True, blob=key, preview=key, sha256=digest, source_sha256=digest,
        )  # fmt: skip


def shared_key(number: int) -> str:
    """The key of a blob that many rows share."""
    return hashlib.sha256(b"shared %d" % number).hexdigest()[:32]


async def fill(db: Database, *, device_count: int, file_count: int, busy: int, blobs: bool) -> None:
    """Write the rows, a few thousand a transaction."""
    cid = await db.ask(lambda conn: conn.execute(text("SELECT min(id) FROM accounts")).scalar_one())
    table = DeviceTable(db)
    fleet = list(devices(device_count, cid, time.time()))
    for start in range(0, device_count, _BATCH):
        part = fleet[start : start + _BATCH]
        await table.insert_many(part)
        record = b'{"position.speed":[1700000000,42],"position.latitude":[1700000000,52.5]}'
        await TelemetryTable(db).save_many({device.id: record for device in part})
    rows, events = MediaTable(db), GalleryTable(db)
    batch: list[MediaFile] = []
    for file in media(file_count, device_count, busy, cid, blobs):
        batch.append(file)
        if len(batch) == _BATCH:
            await _store(db, rows, events, batch)
            batch = []
    await _store(db, rows, events, batch)
    if not db.sqlite:  # what PostgreSQL does by itself after some minutes
        async with db.write() as conn:
            await conn.execute(text("ANALYZE"))


async def _store(db: Database, rows: MediaTable, events: GalleryTable, files: list[MediaFile]) -> None:
    if files:
        async with db.write() as conn:
            await conn.execute(insert(schema.media), [rows.values(file) for file in files])
            await events.add(conn, [event_of(file) for file in files])


def link_blobs(root: Path, keys: Iterator[str]) -> None:
    """A file for every key, in the folders of the blob store: hard links to a few."""
    made: Counter[str] = Counter()
    source = ""
    for key in keys:
        path = root / key[:2] / key[2:4] / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if not source or made[source] >= _LINKS:
            path.write_bytes(_PHOTO)
            source = str(path)
        else:
            os.link(source, path)
        made[source] += 1


def make(folder: Path, url: str, *, device_count: int, file_count: int, busy: int, blobs: bool) -> None:
    """Everything: rows and the blobs they name."""

    async def write() -> None:
        db = Database(url)
        await db.open()
        await fill(db, device_count=device_count, file_count=file_count, busy=busy, blobs=blobs)
        await db.close()

    asyncio.run(write())
    if blobs:
        keys = (file.blob for file in media(file_count, device_count, busy, 1, blobs))
    else:
        keys = iter([shared_key(number) for number in range(16)])
    link_blobs(folder / "blobs", keys)


def arguments(parser: argparse.ArgumentParser) -> None:
    """How much."""
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--busy", type=int, default=500, help="devices with 100 files of every month")
    parser.add_argument("--blobs", action="store_true", help="a blob for every row, not a few for all")


def main() -> None:
    """Fill the database of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--database", help="its URL; SQLite in the folder without one")
    arguments(parser)
    chosen = parser.parse_args()
    url = chosen.database or f"sqlite:///{chosen.folder.absolute() / 'wayframe.db'}"
    begun = time.monotonic()
    make(
        chosen.folder, url, device_count=chosen.devices, file_count=chosen.files, busy=chosen.busy,
        blobs=chosen.blobs,
    )  # fmt: skip
    print(f"made in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
