"""`wayframe upload`: a file into a device's media store, through the same door as everybody's."""

from __future__ import annotations

import json
import mimetypes
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from .access import connect
from .client import segment
from .errors import CommandError
from .options import ConfigOption, JsonOption, TokenOption, UrlOption, print_json

_TACHO = frozenset({".ddd", ".v1b", ".v2b", ".c1b", ".c2b", ".tgd", ".esm"})
"""Extensions of tachograph files (rest-api.md 8.1)."""
_TYPES = ("video", "image", "tacho")


class _Watched:
    """A file that tells a progress bar how much of it was read."""

    def __init__(self, file: BinaryIO, progress: Progress, task: TaskID) -> None:
        self._file = file
        self._progress = progress
        self._task = task

    def fileno(self) -> int:
        return self._file.fileno()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._progress.advance(self._task, len(data))
        return data


def upload(
    file: Annotated[Path, typer.Argument(help="Video, photo or tachograph file.")],
    device: Annotated[str, typer.Option("--device", help="Device id, or a selector such as configuration.ident=0138…")],
    kind: Annotated[str, typer.Option("--type", help="video, image or tacho; empty takes it from the name.")] = "",
    created: Annotated[
        str,
        typer.Option("--created", help="When it was recorded: Unix seconds or 2026-11-21T08:00:00Z; empty for now."),
    ] = "",
    channel: Annotated[int, typer.Option("--channel", min=1, max=64, help="Camera it belongs to.")] = 1,
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Put a file into a device's media store and print its link."""
    if not file.is_file():
        raise CommandError(f"{file} is no file", exit_code=2)
    about = json.dumps(_about(file, kind, created, channel))
    mime = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    api = connect(config, url, token)
    with file.open("rb") as source, _bar() as progress:
        watched = _Watched(source, progress, progress.add_task(file.name, total=file.stat().st_size))
        parts = [("file", (file.name, watched, mime)), ("data", (None, about))]
        stored = api.send_parts(f"/gw/devices/{segment(device)}/media", parts)
    if as_json:
        print_json(stored)
        return
    for item in stored:
        typer.echo(item.get("url") or f"{api.url}/media/{item['uuid']}")


def _about(file: Path, kind: str, created: str, channel: int) -> dict[str, Any]:
    """The `data` part of an upload (rest-api.md 8.3)."""
    kind = kind or _kind_of(file)
    if kind not in _TYPES:
        raise CommandError(f"--type must be one of {', '.join(_TYPES)}, got {kind!r}", exit_code=2)
    meta: dict[str, Any] = {} if kind == "tacho" else {"channel": channel}
    if created:
        meta["created"] = _time(created)
    return {"type": kind, "meta": meta}


def _kind_of(file: Path) -> str:
    if file.suffix.lower() in _TACHO:
        return "tacho"
    return "image" if (mimetypes.guess_type(file.name)[0] or "").startswith("image/") else "video"


def _time(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise CommandError(
            f"--created must be Unix seconds or a time such as 2026-11-21T08:00:00Z, got {text!r}", exit_code=2
        ) from None


def _bar() -> Progress:
    """A progress bar on stderr, and only where a person looks."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty(),
    )
