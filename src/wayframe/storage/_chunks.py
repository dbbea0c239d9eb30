"""The layout of a chunk: some hundred messages of one device, column by column, compressed with zstd.

Reports of a device repeat each other: the same keys, values that hardly move. So a chunk holds each key once and its
values one below the other; compressing that takes a third of what compressing the messages in a row takes.

`heads` (small, read to find duplicates): zstd of the timestamps and arrivals as differences, 64-bit little-endian
microseconds, then 8 bytes of each message's digest, in order of timestamp.
`body`: zstd of a MessagePack `_Layout`. Bodies come back byte for byte; one that would not (spaces, a key twice) is
kept as it is.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate
from operator import itemgetter
from typing import NamedTuple

import msgspec
import zstandard

DIGEST = 8
"""Bytes of the digest kept: enough between messages of one device and one microsecond."""
_LEVEL = 9
_VERBATIM = 0xFFFF
_BODY = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Entry(NamedTuple):
    """A message in a chunk; sorts by time, then arrival."""

    timestamp: int
    """Device time, microseconds."""
    arrival: int
    """Server time, microseconds."""
    digest: bytes
    """The first 8 bytes of the content hash."""
    body: bytes
    """The flat JSON object."""


class Heads(NamedTuple):
    """What tells messages apart, without their bodies; three sequences of equal length."""

    timestamps: Sequence[int]
    """Ascending."""
    arrivals: Sequence[int]
    digests: list[bytes]


class _Layout(msgspec.Struct, array_like=True):
    names: list[bytes]
    """Each key of the bodies once, as JSON text."""
    columns: list[bytes]
    """The values of each key as JSON texts by line, a line a message; empty where a message lacks the key."""
    schemas: list[list[int]]
    """Sets of keys seen together, as indexes of `names`, in their order in the body."""
    rows: bytes
    """The schema of each message, 16-bit little-endian; 65535 for verbatim."""
    verbatim: list[bytes]
    """Bodies kept as they are, in the order of their rows."""


def pack(entries: Sequence[Entry]) -> tuple[bytes, bytes]:
    """`heads` and `body` of a chunk holding these entries, sorted by time. 1..65000 of them. Takes milliseconds."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    times = _differences([entry.timestamp for entry in entries])
    delays = _differences([entry.arrival for entry in entries])
    digests = b"".join(entry.digest[:DIGEST] for entry in entries)
    heads = compressor.compress(times + delays) + digests
    layout = _columns([entry.body for entry in entries])
    return heads, compressor.compress(msgspec.msgpack.encode(layout))


def unpack_heads(heads: bytes, count: int) -> Heads:
    """Times and digests of a chunk of `count` messages."""
    split = len(heads) - count * DIGEST
    plain = zstandard.ZstdDecompressor().decompress(heads[:split])
    half = len(plain) // 2
    digests = [heads[at : at + DIGEST] for at in range(split, len(heads), DIGEST)]
    return Heads(_sums(plain[:half]), _sums(plain[half:]), digests)


def unpack_bodies(body: bytes, start: int = 0, stop: int | None = None) -> list[bytes]:
    """Bodies of the messages `start`..`stop` of a chunk, in order."""
    layout = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(body), type=_Layout)
    rows = _little(array("H", layout.rows))
    before = rows[:start].count(_VERBATIM)
    wanted = rows[start:stop]
    columns = [column.split(b"\n")[start:stop] for column in layout.columns]
    if len(set(wanted)) == 1 and wanted[0] != _VERBATIM:  # the usual case: all alike
        return _rebuilt(layout, layout.schemas[wanted[0]], columns)
    bodies = [b""] * len(wanted)
    by_schema: dict[int, list[int]] = {}
    for position, schema in enumerate(wanted):
        by_schema.setdefault(schema, []).append(position)
    for schema, positions in by_schema.items():
        if schema == _VERBATIM:
            texts = layout.verbatim[before:]
        else:
            texts = _rebuilt(layout, layout.schemas[schema], [_picked(column, positions) for column in columns])
        for position, text in zip(positions, texts, strict=False):
            bodies[position] = text
    return bodies


def unpack(heads: bytes, body: bytes, count: int) -> list[Entry]:
    """Every entry of a chunk of `count` messages."""
    return list(map(Entry, *unpack_heads(heads, count), unpack_bodies(body)))


def _columns(bodies: list[bytes]) -> _Layout:
    names: dict[str, int] = {}
    columns: list[list[bytes]] = []
    schemas: dict[tuple[str, ...], int] = {}
    templates: dict[tuple[str, ...], bytes] = {}
    rows = array("H")
    verbatim: list[bytes] = []
    for number, body in enumerate(bodies):
        values = _values(body)
        keys = tuple(values)
        if keys not in templates:
            templates[keys] = _template(keys)
        if not keys or b"\n" in body or templates[keys] % tuple(values.values()) != body:
            rows.append(_VERBATIM)
            verbatim.append(body)
            continue
        rows.append(schemas.setdefault(keys, len(schemas)))
        for key, value in values.items():
            if key not in names:
                names[key] = len(names)
                columns.append([])
            column = columns[names[key]]
            column.extend(b"" for _ in range(number - len(column)))
            column.append(value)
    for column in columns:
        column.extend(b"" for _ in range(len(bodies) - len(column)))
    return _Layout(
        names=[msgspec.json.encode(name) for name in names],
        columns=[b"\n".join(column) for column in columns],
        schemas=[[names[key] for key in keys] for keys in schemas],
        rows=_little(rows).tobytes(),
        verbatim=verbatim,
    )


def _values(body: bytes) -> dict[str, bytes]:
    """The JSON text of each value; empty for what is no flat object, which is then kept verbatim."""
    try:
        return {key: bytes(value) for key, value in _BODY.decode(body).items()}
    except (msgspec.DecodeError, UnicodeError):
        return {}


def _template(keys: Sequence[str]) -> bytes:
    return _joined([msgspec.json.encode(key) for key in keys])


def _joined(names: Sequence[bytes]) -> bytes:
    return b"{" + b",".join(name.replace(b"%", b"%%") + b":%b" for name in names) + b"}"


def _rebuilt(layout: _Layout, schema: list[int], columns: Sequence[Sequence[bytes]]) -> list[bytes]:
    template = _joined([layout.names[index] for index in schema])
    return [template % values for values in zip(*(columns[index] for index in schema), strict=True)]


def _picked(column: list[bytes], positions: list[int]) -> Sequence[bytes]:
    if len(positions) == 1:
        return (column[positions[0]],)
    picked: tuple[bytes, ...] = itemgetter(*positions)(column)
    return picked


def _differences(values: list[int]) -> bytes:
    return _little(array("q", [b - a for a, b in zip([0, *values], values, strict=False)])).tobytes()


def _sums(plain: bytes) -> list[int]:
    return list(accumulate(_little(array("q", plain))))


def _little(values: array[int]) -> array[int]:
    """The array in little-endian order, or back."""
    if sys.byteorder == "big":
        values.byteswap()
    return values
