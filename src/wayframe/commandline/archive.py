"""An archive in a folder: its files, and what its sidecars know of them.

What is known of `a/clip.mp4` stands in `a/clip.mp4.json` or `a/clip.json`, or in a list for the whole archive: CSV with
one line a file, or a JSON array. A sidecar goes before the list, the list before the command line, and the file's own
time of change stands in where nobody says when it was recorded.
"""

from __future__ import annotations

import csv
import difflib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import CommandError
from .options import moment, shown, value_of
from .upload import TYPES, About, checked_kind, kind_of

STATE_NAME = ".wayframe-put.jsonl"
"""Where the progress of moving an archive is kept, in its top folder."""
_LISTS = ("metadata.csv", "metadata.json")
"""Lists that are taken up by themselves."""
_OBJECTS = ("meta", "params", "message_params")
_FIELDS = ("device", "ident", "name", "type", "created", "channel", "protected", "shared", *_OBJECTS)
_NOT_OURS = frozenset(
    {"uuid", "url", "size", "mime", "modified", "uploaded", "channel_id", "device_id", "preview", "content", "sha256",
     "source_sha256"}
)  # fmt: skip
"""Fields of a file object (rest-api.md 8.1) that the new server sets itself: a file object serves as a sidecar."""
_MOST_SIDECAR = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the archive."""

    relative: str
    """Its path below the top folder, with `/`."""
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Described:
    """A file with what is known of it."""

    found: Found
    path: Path
    device: str
    """Selector of the device it belongs to."""
    about: About
    flags: dict[str, bool]
    """`protected` and `shared`, where they are said."""


class Archive:
    """A folder, its list, and what holds for files of which nothing else is known."""

    def __init__(self, folder: Path, metadata: Path | None, device: str, defaults: Mapping[str, Any]) -> None:
        """Raises CommandError for a list that cannot be read or names files that are not there."""
        self.folder = folder
        self._device = device
        self._defaults = dict(defaults)
        self._list = metadata or next((folder / name for name in _LISTS if (folder / name).is_file()), None)
        self.left_out = 0
        """Files that the last walk left out: no media, hidden ones, links."""
        self._rows = _rows(self._list) if self._list is not None else {}
        missing = [name for name in self._rows if not (folder / name).is_file()]
        if missing:
            raise CommandError(
                f"{self._list}: {len(missing)} of {len(self._rows)} files are not in {folder}; the first is "
                f"{missing[0]!r}",
                exit_code=2,
            )

    def files(self) -> Iterator[Found]:
        """Every media file, and every other one a list or sidecar names; in order of their paths. Links and hidden
        files are left out."""
        self.left_out = 0
        for at, folders, names in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            there = set(names)
            for name in sorted(names):
                path = Path(at) / name
                relative = path.relative_to(self.folder).as_posix()
                wanted = kind_of(name) or relative in self._rows or f"{name}.json" in there
                if wanted and not name.startswith(".") and not path.is_symlink() and path.is_file():
                    facts = path.stat()
                    yield Found(relative, facts.st_size, facts.st_mtime_ns)
                elif path != self._list and name != STATE_NAME and path.suffix != ".json":
                    self.left_out += 1

    def describe(self, found: Found) -> Described:
        """What is known of a file. Raises CommandError naming file, field and rule."""
        path = self.folder / found.relative
        said = {**self._rows.get(found.relative, {}), **_sidecar(path)}
        try:
            return self._described(found, path, said)
        except CommandError as error:
            raise CommandError(f"{shown(found.relative)}: {error}") from None

    def _described(self, found: Found, path: Path, said: dict[str, Any]) -> Described:
        for name in _OBJECTS:
            if not isinstance(said.get(name, {}), dict):
                raise CommandError(f"{name} must be an object, got {said[name]!r}")
        meta: dict[str, Any] = dict(said.get("meta", {}))
        inner = {name: meta.pop(name) for name in ("type", "created", "channel") if meta.get(name) is not None}
        if inner.get("type") not in TYPES:  # a file object may be of a kind that no upload names
            inner.pop("type", None)
        record = {**self._defaults, **inner, **said}
        kind, created = checked_kind(str(record.get("type", "")), found.relative, "type"), record.get("created")
        if "channel" in record:
            meta["channel"] = _channel(record["channel"])
        elif kind != "tacho":
            meta["channel"] = 1
        return Described(
            found, path, self._device_of(record),
            About(
                kind, found.mtime_ns / 1e9 if created is None else moment(str(created), "created"),
                _text(record, "name"), meta, dict(record.get("params", {})), dict(record.get("message_params", {})),
            ),
            {name: _flag(record, name) for name in ("protected", "shared") if record.get(name) is not None},
        )  # fmt: skip

    def _device_of(self, record: Mapping[str, Any]) -> str:
        ident, device = record.get("ident"), record.get("device")
        if ident is not None:
            return f"configuration.ident={ident}"
        if device is None and not self._device:
            raise CommandError("no device: give --device, or device or ident in a sidecar or list")
        return self._device if device is None else str(device)


def _sidecar(path: Path) -> dict[str, Any]:
    for candidate in (path.with_name(path.name + ".json"), path.with_suffix(".json")):
        if candidate == path or not _there(candidate):
            continue
        try:
            if candidate.stat().st_size > _MOST_SIDECAR:
                raise CommandError(f"{candidate} is larger than {_MOST_SIDECAR} bytes, the most a sidecar may have")
            record = json.loads(candidate.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise CommandError(f"{candidate} is no JSON that can be read: {error}") from None
        if not isinstance(record, dict):
            raise CommandError(f"{candidate} must hold one JSON object")
        return _known(record, str(candidate))
    return {}


def _there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long with `.json` behind it
        return False


def _rows(file: Path) -> dict[str, dict[str, Any]]:
    """The list of an archive by path. Raises CommandError."""
    try:
        if file.suffix.lower() == ".csv":
            with file.open(encoding="utf-8-sig", newline="") as text:
                records = [_unfolded(row) for row in csv.DictReader(text, strict=True)]
        else:
            records = json.loads(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", exit_code=2) from None
    except (ValueError, csv.Error, RecursionError) as error:
        raise CommandError(f"{file} cannot be read as a list of files: {error}", exit_code=2) from None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise CommandError(f"{file} must hold an array of objects, one a file", exit_code=2)
    rows: dict[str, dict[str, Any]] = {}
    for number, record in enumerate(records, 1):
        name = record.pop("file", None)
        if not isinstance(name, str) or not name:
            raise CommandError(f"{file}, entry {number}: the field file, a path below the folder, is missing", 2)
        relative = os.path.normpath(name.replace("\\", "/"))
        if relative.startswith(("/", "..")) or "\0" in relative:
            raise CommandError(f"{file}, entry {number}: file must be a path below the folder, got {name!r}", 2)
        if relative in rows:
            raise CommandError(f"{file}, entry {number}: {name!r} stands twice", exit_code=2)
        rows[relative] = _known(record, f"{file}, entry {number}")
    return rows


def _unfolded(row: dict[str | None, Any]) -> dict[str, Any]:
    """A line of CSV as a record: empty cells are left out, `meta.x` goes into the object `meta`. Raises ValueError."""
    record: dict[str, Any] = {}
    for column, cell in row.items():
        if column is None:
            raise ValueError(f"a line has more cells than the heading: {cell!r}")
        if not cell:
            continue
        head, dot, rest = column.strip().partition(".")
        if dot and head in _OBJECTS:
            record.setdefault(head, {})[rest] = value_of(cell)
        else:
            record[column.strip()] = value_of(cell) if column.strip() in ("protected", "shared", "channel") else cell
    return record


def _known(record: dict[str, Any], where: str) -> dict[str, Any]:
    """The record with what is nobody's field kept below `params`. Raises CommandError for what looks misspelt."""
    record = {"created" if name == "timestamp" else name: value for name, value in record.items()}
    kept = {name: value for name, value in record.items() if name in _FIELDS and value is not None}
    others = {name: value for name, value in record.items() if name not in _FIELDS and name not in _NOT_OURS}
    for name in others:
        if meant := difflib.get_close_matches(name.lower(), _FIELDS, 1, 0.8):
            raise CommandError(
                f"{where}: unknown field {name!r}, did you mean {meant[0]!r}? Attributes of your own go below params", 2
            )
    if others and isinstance(kept.get("params", {}), dict):
        kept["params"] = {**others, **kept.get("params", {})}
    return kept


def _channel(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
        raise CommandError(f"channel must be an integer from 0 to 255, got {value!r}")
    return value


def _flag(record: Mapping[str, Any], name: str) -> bool:
    value = record[name]
    if value not in (True, False):
        raise CommandError(f"{name} must be true or false, got {value!r}")
    return bool(value)


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name) or ""
    if not isinstance(value, str):
        raise CommandError(f"{name} must be a text, got {value!r}")
    return value
