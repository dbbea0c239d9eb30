"""Files come in as a stream, are whole or not there, and leave nothing behind."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wayframe.model import StorageFull
from wayframe.storage import DirectoryBlobs, DirectorySpool, SecretError
from wayframe.storage import secret as node_secret

pytestmark = pytest.mark.anyio
DATA = random.Random(1).randbytes(3_000_001)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
async def blobs(tmp_path: Path, anyio_backend: str) -> AsyncIterator[DirectoryBlobs]:
    store = DirectoryBlobs(tmp_path / "media")
    yield store
    await store.close()


def files(store: DirectoryBlobs) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


async def stored(store: DirectoryBlobs) -> set[str]:
    keys = store.keys()
    return {key async for key in keys}


@pytest.mark.parametrize("step", [1_000, 65_536, 1_000_000, len(DATA)])
async def test_a_stream_becomes_a_file(blobs: DirectoryBlobs, step: int) -> None:
    writer = await blobs.begin()
    for at in range(0, len(DATA), step):
        writer.write(memoryview(DATA)[at : at + step])
        await writer.drain()
    assert writer.size == len(DATA)
    assert await stored(blobs) == set()
    blob = await writer.commit()
    assert (blob.size, blob.sha256) == (len(DATA), SHA256)
    assert blobs.path(blob.key).read_bytes() == DATA
    assert files(blobs) == [blobs.path(blob.key)]
    assert await writer.commit() == blob
    await writer.abandon()
    assert await blobs.exists(blob.key)
    assert await stored(blobs) == {blob.key}
    await blobs.delete(blob.key)
    await blobs.delete(blob.key)
    assert not await blobs.exists(blob.key)


async def test_pieces_may_come_in_any_order_and_twice(blobs: DirectoryBlobs) -> None:
    pieces = [(at, DATA[at : at + 4096]) for at in range(0, len(DATA), 4096)]
    random.Random(2).shuffle(pieces)
    writer = await blobs.begin()
    for at, piece in [*pieces, *pieces[:50]]:
        writer.pwrite(at, piece)
    assert (await writer.commit()).sha256 == SHA256


async def test_an_overwritten_start_is_hashed_as_it_ends(blobs: DirectoryBlobs) -> None:
    writer = await blobs.begin()
    writer.write(b"?" * 8)
    writer.write(DATA[8:])
    writer.pwrite(0, DATA[:8])
    blob = await writer.commit()
    assert (blob.size, blob.sha256) == (len(DATA), SHA256)


async def test_a_writer_that_never_waits_stays_bounded_and_right(blobs: DirectoryBlobs) -> None:
    writers = [await blobs.begin() for _ in range(6)]
    for _ in range(20):
        for writer in writers:
            writer.write(DATA)
    done = await asyncio.gather(*(writer.commit() for writer in writers))
    assert {blob.sha256 for blob in done} == {hashlib.sha256(DATA * 20).hexdigest()}


async def test_empty_files_are_files(blobs: DirectoryBlobs) -> None:
    blob = await (await blobs.begin()).commit()
    assert (blob.size, blob.sha256) == (0, hashlib.sha256().hexdigest())


async def test_what_is_abandoned_leaves_nothing(blobs: DirectoryBlobs) -> None:
    writer = await blobs.begin()
    writer.write(DATA)
    await writer.abandon()
    await writer.abandon()
    assert files(blobs) == []
    with pytest.raises(ValueError, match="abandoned"):
        writer.write(b"more")
    with pytest.raises(ValueError, match="abandoned"):
        await writer.commit()


async def test_a_finished_file_is_adopted(blobs: DirectoryBlobs) -> None:
    path = blobs.temporary_path(".mp4")
    assert path.suffix == ".mp4"
    path.write_bytes(DATA)
    blob = await blobs.adopt(path)
    assert (blob.size, blob.sha256) == (len(DATA), SHA256)
    assert files(blobs) == [blobs.path(blob.key)]


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "AB" * 16, "ab" * 15, "ab/" * 10 + "ab"])
async def test_no_text_becomes_a_path(blobs: DirectoryBlobs, key: str) -> None:
    with pytest.raises(ValueError, match="not a blob key"):
        blobs.path(key)


async def test_a_sweep_takes_leftovers_and_orphans_only(blobs: DirectoryBlobs) -> None:
    writer = await blobs.begin()
    writer.write(b"still coming")
    recording = blobs.temporary_path(".ts")
    recording.write_bytes(b"recording")
    (blobs.root / "tmp" / "0123-left.mp4").write_bytes(b"of an earlier run")
    keys = []
    for _ in range(3):
        other = await blobs.begin()
        other.write(b"x")
        keys.append((await other.commit()).key)
    os.utime(blobs.path(keys[0]), (1000, 1000))
    os.utime(blobs.path(keys[1]), (1000, 1000))
    os.utime(blobs.path(keys[2]), (9000, 9000))
    assert await blobs.sweep({keys[0]}, now=10_000, grace_s=5000) == 2
    assert await stored(blobs) == {keys[0], keys[2]}
    assert recording.exists()
    assert (await writer.commit()).size == 12


async def test_free_space_is_told_before_the_first_file(blobs: DirectoryBlobs) -> None:
    assert blobs.free_bytes() > 0


_FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from wayframe.model import StorageFull
from wayframe.storage import DirectoryBlobs

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    store = DirectoryBlobs(Path(sys.argv[1]))
    for way in ("write", "drain", "commit"):
        writer = await store.begin()
        try:
            while way != "commit":
                writer.write(bytes(100_000))
                if way == "drain":
                    await writer.drain()
            writer.write(bytes(1_100_000))
            await writer.commit()
        except StorageFull as error:
            print(error)
        await writer.abandon()
        try:
            await writer.commit()
        except StorageFull as error:
            print("again")
    print([str(p) for p in store.root.rglob("*") if p.is_file()])
    await store.close()

asyncio.run(main())
"""


def test_a_full_disk_is_said_and_nothing_stays(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: the write fails in the same place."""
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path / "media")], capture_output=True, text=True, timeout=60
    )
    said = "the disk of the media store is full: File too large"
    assert done.stdout.splitlines() == [said, "again"] * 3 + ["[]"], done.stderr


_ENDLESS = """
import asyncio, sys
from pathlib import Path
from wayframe.storage import DirectoryBlobs

async def main():
    store = DirectoryBlobs(Path(sys.argv[1]))
    while True:
        open_writer = await store.begin()
        open_writer.write(bytes(500_000))
        await open_writer.drain()
        writer = await store.begin()
        writer.write(b"whole" * 100_000)
        print((await writer.commit()).key, flush=True)

asyncio.run(main())
"""


def killed_after(lines: int, root: Path) -> list[str]:
    """Run the endless writer, kill it after so many files, and return every key it told of."""
    command = [sys.executable, "-c", _ENDLESS, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = [child.stdout.readline().strip() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        return told + [line.strip() for line in child.stdout if line.endswith("\n")]


@pytest.mark.parametrize("after", [1, 7, 30])
async def test_a_killed_writer_leaves_whole_files_and_sweepable_rests(blobs: DirectoryBlobs, after: int) -> None:
    told = killed_after(after, blobs.root)
    kept = await stored(blobs)
    assert set(told) <= kept
    assert all(blobs.path(key).read_bytes() == b"whole" * 100_000 for key in kept)
    assert await blobs.sweep(set(told), now=4e9) >= 1
    assert {path.name for path in files(blobs)} == set(told)


async def test_a_spool_holds_segments_until_the_next_start(tmp_path: Path) -> None:
    spool = DirectorySpool(tmp_path / "live")
    await spool.open()
    spool.put("000001.ts", b"one")
    spool.put("000001.ts", b"two")
    spool.put("other", b"three")
    assert spool.get("000001.ts") == b"two"
    assert spool.get("000002.ts") is None
    spool.delete("other")
    spool.delete("other")
    assert spool.get("other") is None
    assert spool.get("000001.ts") == b"two"
    await spool.open()
    assert spool.get("000001.ts") is None
    assert list(spool.root.iterdir()) == []


async def test_a_spool_gives_its_disk_back(tmp_path: Path) -> None:
    spool = DirectorySpool(tmp_path / "live")
    await spool.open()
    segment = bytes(8 << 20)
    for number in range(40):
        spool.put(f"{number}.ts", segment + bytes([number]))
        if number >= 10:
            spool.delete(f"{number - 10}.ts")
    assert all(spool.get(f"{number}.ts") == segment + bytes([number]) for number in range(30, 40))
    assert sum(path.stat().st_size for path in spool.root.iterdir()) < 25 * len(segment)
    for number in range(30, 40):
        spool.delete(f"{number}.ts")
    assert list(spool.root.iterdir()) == []
    spool.root.rmdir()
    with pytest.raises(OSError):
        spool.put("last", b"1")


async def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "node" / "secret"
    secret = node_secret.load_or_create(path)
    assert len(secret) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert node_secret.load_or_create(path) == secret
    assert [p.name for p in path.parent.iterdir()] == ["secret"]
    node_secret.store(path, bytes(32))
    assert node_secret.load_or_create(path) == secret
    path.write_bytes(b"short")
    with pytest.raises(SecretError, match="32 bytes"):
        node_secret.load_or_create(path)


async def test_sealed_things_open_with_the_same_secret_only() -> None:
    secret, other = bytes(32), bytes(31) + b"1"
    sealed = node_secret.seal(secret, b"key", b"token 7")
    assert node_secret.unseal(secret, sealed, b"token 7") == b"key"
    assert sealed != node_secret.seal(secret, b"key", b"token 7")
    wrong = [(other, sealed, b"token 7"), (secret, sealed, b"token 8"), (secret, sealed[:-1], b"token 7")]
    for key, box, context in [*wrong, (secret, b"", b"token 7")]:
        with pytest.raises(SecretError):
            node_secret.unseal(key, box, context)
    assert node_secret.digest(secret, b"key") == node_secret.digest(secret, b"key")
    assert node_secret.digest(secret, b"key") != node_secret.digest(other, b"key")
    assert len(node_secret.digest(secret, b"key")) == 32


def test_storage_full_has_its_http_code() -> None:
    assert StorageFull("x").status == 507
