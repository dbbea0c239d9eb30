"""Backup and restore: one tar for both databases, so that a node can move from SQLite to PostgreSQL and back.

Inside: `manifest.json`, `secret` (the node's, without which stored tokens are useless), `tables/<name>.jsonl.zst` with
a JSON array a row (bytes as base64), and `blobs/<key>`, or only the names of blobs in the manifest.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import zstandard
from sqlalchemy import Connection, LargeBinary, MetaData, Table, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from wayframe.model import BadRequest, Conflict

from . import secret as node_secret
from .blobs import BlobStore
from .database import Database, check_revision, run_migrations

_FORMAT = 1
_BATCH = 1000
_PIECE = 1024 * 1024
_REVISIONS = "alembic_version"


class TableDump(msgspec.Struct):
    """One table of a backup."""

    name: str
    columns: list[str]
    """In the order of the values of a row."""
    binary: list[str]
    """Columns whose values are base64."""
    rows: int
    sequence: int = 0
    """The last number its own counter gave, 0 if it has none; numbers are never given twice, restored or not."""


class Manifest(msgspec.Struct):
    """What a backup holds."""

    revision: str
    """Schema revision of the tables."""
    version: str
    """Of Wayframe."""
    created: float
    """Unix seconds."""
    tables: list[TableDump]
    """In the order they can be filled."""
    blobs: list[str]
    """Keys of the files that the media table names and that were there."""
    missing: list[str]
    """Keys it names and that were not there."""
    with_blobs: bool
    """Whether the files themselves are in the backup."""
    format: int = _FORMAT


async def backup(
    db: Database,
    blobs: BlobStore,
    target: Path,
    *,
    with_blobs: bool,
    now: float,
    version: str,
    secret: Path | None = None,
) -> Manifest:
    """Write a backup to `target`, whole or not at all, while everything runs on; one moment of the database.

    `now`: Unix seconds; `version`: of Wayframe; `secret`: the node's secret file, to be taken along.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        room = Path(folder)
        revision, dumps, named = await db.ask(lambda conn: _dumped(conn, db, room))
        there = await asyncio.to_thread(lambda: {key for key in named if blobs.path(key).is_file()})
        manifest = Manifest(
            revision=revision,
            version=version,
            created=now,
            tables=dumps,
            blobs=sorted(there),
            missing=sorted(named - there),
            with_blobs=with_blobs,
        )
        await asyncio.to_thread(_write_tar, room / "backup.tar", room, manifest, blobs, secret)
        await asyncio.to_thread((room / "backup.tar").rename, target)
    return manifest


async def restore(
    source: Path, db: Database, blobs: BlobStore, *, secret: Path | None = None, replace: bool = False
) -> Manifest:
    """Fill an open database (and blob store, and secret file) from a backup, then bring it to this version's schema.

    Raises `Conflict` if the database holds anything or there is another secret, unless `replace`; `DatabaseTooNew` for
    a backup of a newer schema; `BadRequest` for what is no backup. The database changes whole or not at all.
    """
    try:
        tar = await asyncio.to_thread(tarfile.open, source, "r:")
    except tarfile.TarError as error:
        raise BadRequest(f"{source} is no backup: {error}") from error
    with tar:
        manifest = await asyncio.to_thread(_manifest, tar, source)
        check_revision(manifest.revision, f"the backup {source}")
        if not replace and await _in_use(db):
            raise Conflict("the database is not empty: restore into an empty one, or say that it may be replaced")
        if secret is not None:
            await asyncio.to_thread(_restore_secret, tar, secret, replace)
        # Files first: a row never names bytes that are still to come.
        for key in manifest.blobs if manifest.with_blobs else ():
            await _restore_blob(tar, blobs, key)
        async with db.write() as conn:
            await conn.run_sync(_drop_all)
            await conn.run_sync(run_migrations, manifest.revision)
            tables = {table.name: table for table in await conn.run_sync(_tables)}
            for dump in manifest.tables:
                try:
                    await _fill(conn, db, tables[dump.name], dump, tar)
                except (zstandard.ZstdError, msgspec.DecodeError, tarfile.TarError, LookupError, ValueError) as error:
                    raise BadRequest(f"the backup is damaged: table {dump.name}: {error}") from error
            await conn.run_sync(run_migrations, "head")
    return manifest


def _tables(connection: Any) -> list[Table]:
    """The tables that are there, as they are there, owners before what belongs to them."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != _REVISIONS]


def _drop_all(connection: Any) -> None:
    found = MetaData()
    found.reflect(connection)
    found.drop_all(connection)


def _dumped(conn: Connection, db: Database, room: Path) -> tuple[str, list[TableDump], set[str]]:
    """Revision, tables written to the folder, and the keys of blobs they name."""
    tables = _tables(conn)
    revision = str(conn.scalar(text(f"SELECT version_num FROM {_REVISIONS}")))
    dumps = [_dump(conn, db, table, room / f"{table.name}.jsonl.zst") for table in tables]
    return revision, dumps, _named_blobs(conn, tables)


def _dump(conn: Connection, db: Database, table: Table, path: Path) -> TableDump:
    rows = 0
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    with path.open("wb") as file, compressor.stream_writer(file) as packed:
        for batch in conn.execute(select(table), execution_options={"yield_per": _BATCH}).partitions():
            rows += len(batch)
            _write_rows(packed, batch)
            db.pause(conn)
    return TableDump(
        name=str(table.name),
        columns=[str(column.name) for column in table.columns],
        binary=[str(column.name) for column in table.columns if isinstance(column.type, LargeBinary)],
        rows=rows,
        sequence=_sequence(conn, db, table),
    )


def _write_rows(packed: Any, batch: Sequence[Any]) -> None:
    packed.write(msgspec.json.Encoder().encode_lines([list(row) for row in batch]))


def _sequence(conn: Connection, db: Database, table: Table) -> int:
    """The last number given by a table's own counter."""
    if db.sqlite:
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return int(conn.scalar(query, {"name": table.name}) or 0)
    name = _sequence_name(conn, table)
    if name is None:
        return 0
    # A name from the catalogue, quoted by PostgreSQL where it must be.
    query = text(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {name}")
    return int(conn.scalar(query) or 0)


def _sequence_name(conn: Connection, table: Table) -> str | None:
    key = next(iter(table.primary_key.columns)).name
    query = text("SELECT pg_get_serial_sequence(:table, :column)")
    name: str | None = conn.scalar(query, {"table": table.name, "column": key})
    return name


def _named_blobs(conn: Connection, tables: Sequence[Table]) -> set[str]:
    media = next((table for table in tables if table.name == "media"), None)
    if media is None:
        return set()
    columns = [media.c[name] for name in ("blob", "preview", "original") if name in media.c]
    return {key for row in conn.execute(select(*columns)) for key in row if key}


def _write_tar(path: Path, room: Path, manifest: Manifest, blobs: BlobStore, secret: Path | None) -> None:
    with path.open("wb") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            _add(tar, "manifest.json", msgspec.json.format(msgspec.json.encode(manifest)))
            if secret is not None:
                _add(tar, "secret", secret.read_bytes())
            for dump in manifest.tables:
                tar.add(room / f"{dump.name}.jsonl.zst", f"tables/{dump.name}.jsonl.zst")
            for key in manifest.blobs if manifest.with_blobs else ():
                try:
                    tar.add(blobs.path(key), f"blobs/{key}")
                except FileNotFoundError:
                    continue  # deleted since, like the row that named it: retention goes on during a backup
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o600)  # it holds the secret


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _manifest(tar: tarfile.TarFile, source: Path) -> Manifest:
    member = tar.next()
    file = tar.extractfile(member) if member is not None and member.name == "manifest.json" else None
    if file is None:
        raise BadRequest(f"{source} is no backup: it does not begin with manifest.json")
    try:
        manifest = msgspec.json.decode(file.read(), type=Manifest)
    except msgspec.DecodeError as error:
        raise BadRequest(f"{source} is no backup: {error}") from error
    if manifest.format != _FORMAT:
        raise BadRequest(f"{source} has backup format {manifest.format}; this version reads {_FORMAT}")
    return manifest


async def _in_use(db: Database) -> bool:
    """Whether any table holds a row."""
    return await db.ask(
        lambda conn: any(conn.execute(select(table).limit(1)).first() is not None for table in _tables(conn))
    )


def _restore_secret(tar: tarfile.TarFile, path: Path, replace: bool) -> None:
    try:
        file = tar.extractfile("secret")
    except KeyError:
        return
    restored = file.read() if file is not None else b""
    if path.exists() and path.read_bytes() != restored:
        if not replace:
            raise Conflict(f"{path} holds another secret than the backup: move it away, or say that it may be replaced")
        path.unlink()
    node_secret.store(path, restored)


async def _restore_blob(tar: tarfile.TarFile, blobs: BlobStore, key: str) -> None:
    try:
        file = await asyncio.to_thread(tar.extractfile, f"blobs/{key}")
    except KeyError:
        return  # it was deleted while the backup was written
    if file is None:
        raise BadRequest(f"blobs/{key} in the backup is no file")
    writer = await blobs.begin()
    try:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            writer.write(piece)
            await writer.drain()
        await writer.commit(key)
    finally:
        await writer.abandon()


async def _fill(conn: AsyncConnection, db: Database, table: Table, dump: TableDump, tar: tarfile.TarFile) -> None:
    file = await asyncio.to_thread(tar.extractfile, f"tables/{dump.name}.jsonl.zst")
    assert file is not None, dump.name
    batches = _batches(file, dump)
    rows = 0
    while batch := await asyncio.to_thread(next, batches, None):
        await conn.execute(insert(table), batch)
        rows += len(batch)
    if rows != dump.rows:
        raise BadRequest(f"the backup is damaged: table {dump.name} has {rows} rows and should have {dump.rows}")
    if not dump.sequence:
        return
    if db.sqlite:
        await conn.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
        query = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)")
        await conn.execute(query, {"name": table.name, "seq": dump.sequence})
    elif name := await conn.run_sync(_sequence_name, table):
        await conn.execute(text("SELECT setval(CAST(:name AS regclass), :seq)"), {"name": name, "seq": dump.sequence})


def _batches(file: IO[bytes], dump: TableDump) -> Iterator[list[dict[str, Any]]]:
    """Rows of a table as the database takes them."""
    binary = [dump.columns.index(name) for name in dump.binary]
    batch: list[dict[str, Any]] = []
    with zstandard.ZstdDecompressor().stream_reader(file) as plain:
        for line in io.BufferedReader(plain, _PIECE):
            row = msgspec.json.decode(line)
            for at in binary:
                row[at] = base64.b64decode(row[at])
            batch.append(dict(zip(dump.columns, row, strict=True)))
            if len(batch) >= _BATCH:
                yield batch
                batch = []
    if batch:
        yield batch
