"""`wayframe media …`: the files of devices, listed, fetched, put, removed."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .access import connect, link_parts, reach
from .client import Api, segment
from .completion import complete_device
from .errors import CommandError
from .options import (
    ConfigOption,
    DeviceArgument,
    FilterOption,
    FromOption,
    JsonOption,
    PatienceOption,
    TokenOption,
    ToOption,
    UrlOption,
    moment,
    print_columns,
    print_fields,
    print_json,
    print_line,
    shown,
    size_of,
    span,
    when,
)

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from .moving import Outcome

media = typer.Typer(no_args_is_help=True, help="Files of devices: list, fetch, put, remove.")

_PATIENCE_S = 300
_DeviceOption = Annotated[
    str,
    typer.Option(
        "--device", help="Device id, or a selector such as configuration.ident=0138…", autocompletion=complete_device
    ),
]


# --- list -------------------------------------------------------------------------------------------------------------


@media.command("ls")
def listed(
    device: DeviceArgument,
    earliest: FromOption = "",
    latest: ToOption = "",
    condition: FilterOption = "",
    newest: Annotated[int, typer.Option("--newest", min=0, help="Only so many, the newest first; 0 for all.")] = 0,
    fields: Annotated[str, typer.Option("--fields", help="Which fields, by comma; sha256 and more.")] = "",
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """List files by the time they were recorded, oldest first."""
    asked = {"count": newest, "reverse": True} if newest else {}
    found = _found(connect(config, url, token), device, earliest, latest, condition, fields=fields or None, **asked)
    if as_json:
        print_json(found)
        return
    if fields:
        print_fields(found, [name.strip() for name in fields.split(",")])
        return
    rows = [["RECORDED", "DEVICE", "CHANNEL", "TYPE", "LASTS", "SIZE", "UUID", "NAME"]]
    for file in found:
        meta = file["meta"]
        lasts = f"{meta['duration']:.0f} s" if meta.get("duration") else ""
        rows.append(
            [when(file["created"]), str(file["device_id"]), str(meta.get("channel", "")), str(meta.get("type", "")),
             lasts, size_of(file["size"]), file["uuid"], file["name"]]
        )  # fmt: skip
    print_columns(rows)


def _found(api: Api, device: str, earliest: str, latest: str, condition: str, **asked: Any) -> list[Any]:
    data = {**span(earliest, latest), "filter": condition or None, **asked}
    return api.ask(f"/gw/devices/{segment(device)}/media", **data)


# --- fetch ------------------------------------------------------------------------------------------------------------


@media.command("get")
def get(
    files: Annotated[list[str] | None, typer.Argument(help="Links or uuids.")] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to put them in, or, for one file, its path.")
    ] = Path(),
    device: _DeviceOption = "",
    earliest: FromOption = "",
    latest: ToOption = "",
    condition: FilterOption = "",
    sidecar: Annotated[bool, typer.Option("--sidecar", help="Write what is known of each to NAME.json.")] = False,
    patience: PatienceOption = _PATIENCE_S,
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Fetch files: the named ones, or those of --device that --from, --to and --filter leave.

    A file appears under its name when it is whole and its hash is right. Give the same again after a break: it goes on
    from there.
    """
    from .fetching import describe, fetch  # rich takes a tenth of a second to load
    from .transfers import bar

    if bool(files) == bool(device):
        raise CommandError("name files (links or uuids), or --device", exit_code=2)
    wanted: list[tuple[Api, dict[str, Any]]] = []
    for text in files or []:
        origin, uuid = _link(text)
        api = reach(origin, config, url, token)
        wanted.append((api, describe(api, uuid)))
    if device:
        api = connect(config, url, token)
        wanted = [(api, file) for file in _found(api, device, earliest, latest, condition)]
    if len(wanted) != 1 and not output.is_dir():
        raise CommandError(f"{output} must be a folder that is there, for {len(wanted)} files", exit_code=2)
    with bar() as progress:
        for api, file in wanted:
            task = progress.add_task(shown(file["name"]), total=None)
            done = fetch(
                api,
                file,
                output,
                patience_s=patience,
                sidecar=sidecar,
                started=partial(_total, progress, task),
                moved=partial(progress.advance, task),
            )
            if as_json:
                told = {"uuid": done.uuid, "file": str(done.path), "size": done.size, "sha256": done.sha256}
                print_line({**told, "status": done.status})
            else:
                typer.echo(shown(str(done.path)))


def _total(progress: Progress, task: TaskID, size: int) -> None:
    progress.update(task, total=size)


def _link(text: str) -> tuple[str, str]:
    parts = link_parts(text)
    if parts is None:
        raise CommandError(f"{text[:100]!r} is no media link and no uuid of 64 hex characters", exit_code=2)
    return parts


# --- put --------------------------------------------------------------------------------------------------------------


@media.command("put")
def put(
    files: Annotated[list[Path], typer.Argument(help="Videos, photos, tachograph files; a folder with --recursive.")],
    device: _DeviceOption = "",
    kind: Annotated[str, typer.Option("--type", help="video, image or tacho; empty takes it from the name.")] = "",
    created: Annotated[
        str,
        typer.Option("--created", help="When it was recorded: Unix seconds or 2026-11-21T08:00:00Z; empty for now."),
    ] = "",
    channel: Annotated[int | None, typer.Option("--channel", min=0, max=255, help="Camera; 1 if not said.")] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Move a folder in, with what sidecars know; each file once.")
    ] = False,
    metadata: Annotated[
        Path | None,
        typer.Option("--metadata", help="List for --recursive, CSV or JSON; else metadata.csv or .json in the folder."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", help="Progress of --recursive; else .wayframe-put.jsonl in the folder.")
    ] = None,
    parallel: Annotated[int, typer.Option("--parallel", min=1, max=32, help="Files at a time, for --recursive.")] = 4,
    again: Annotated[
        bool, typer.Option("--again", help="With --recursive: also what was put before and is on the server no more.")
    ] = False,
    patience: PatienceOption = _PATIENCE_S,
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Put files into a device's media store and print their links; with --recursive, move an archive in.

    --recursive keeps the times and the metadata of sidecars (NAME.json, or a list), asks the server first what is
    there, and goes on where it was interrupted: give the same again.
    """
    if recursive:
        if len(files) != 1 or not files[0].is_dir():
            raise CommandError("--recursive takes one folder that is there", exit_code=2)
        defaults = {"type": kind or None, "created": created or None, "channel": channel}
        given = {name: value for name, value in defaults.items() if value is not None}
        _move(connect(config, url, token), files[0], metadata, state, device, given, parallel, patience, again, as_json)
        return
    _put_each(files, device, kind, created, channel, config, url, token, as_json)


def _put_each(
    files: list[Path], device: str, kind: str, created: str, channel: int | None,
    config: Path | None, url: str, token: str, as_json: bool,
) -> None:  # fmt: skip
    from .transfers import bar  # rich takes a tenth of a second to load
    from .upload import About, checked_kind, send

    if not device:
        raise CommandError("--device is missing: say whose files these are", exit_code=2)
    outgoing = []
    for file in files:
        if not file.is_file():
            what = "is a folder; move it in with --recursive" if file.is_dir() else "is no file"
            raise CommandError(f"{file} {what}", exit_code=2)
        sort = checked_kind(kind, file.name)
        meta = {} if sort == "tacho" and channel is None else {"channel": channel or 1}
        outgoing.append((file, About(sort, moment(created, "--created") if created else None, meta=meta)))
    api = connect(config, url, token)
    stored: list[Any] = []
    with bar() as progress:
        for file, about in outgoing:
            task = progress.add_task(shown(file.name), total=file.stat().st_size)
            stored += send(api, device, file, about, partial(progress.advance, task))
    if as_json:
        print_json(stored)
        return
    for item in stored:
        typer.echo(item.get("url") or f"{api.url}/media/{item['uuid']}")


def _move(
    api: Api, folder: Path, metadata: Path | None, state: Path | None, device: str, defaults: dict[str, Any],
    parallel: int, patience: int, again: bool, as_json: bool,
) -> None:  # fmt: skip
    from .archive import STATE_NAME, Archive
    from .moving import FAILED, GONE, STORED, THERE, Move
    from .transfers import bar

    archive = Archive(folder, metadata, device, defaults)

    def report(outcome: Outcome) -> None:
        if as_json:
            told = {name: getattr(outcome, name) for name in outcome.__slots__}
            print_line({**told, "file": shown(outcome.file)})
        elif outcome.error:
            typer.echo(f"wayframe: {shown(outcome.file)}: {outcome.error}", err=True)

    with bar() as progress:
        move = Move(api, archive, parallel=parallel, patience_s=patience, again=again, progress=progress, report=report)
        try:
            tally = move.run(state or folder / STATE_NAME)
        except KeyboardInterrupt:
            raise CommandError("stopped; the same command goes on from here", exit_code=130) from None
    if not as_json:
        gone = f", {tally[GONE]} put before and gone since (--again puts them back)" if tally[GONE] else ""
        typer.echo(f"{tally[STORED]} stored, {tally[THERE]} there already{gone}, {tally[FAILED]} failed")
        if archive.left_out:
            typer.echo(f"{archive.left_out} other files left out: no media, hidden, or links", err=True)
    if tally[FAILED]:
        raise typer.Exit(1)


# --- remove -----------------------------------------------------------------------------------------------------------


@media.command("rm")
def remove(
    files: Annotated[list[str] | None, typer.Argument(help="Links or uuids.")] = None,
    device: _DeviceOption = "",
    condition: FilterOption = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Remove files for good: the named ones, or those of --device that --filter leaves (`--filter true` for all)."""
    if bool(files) == bool(condition) or (condition and not device):
        raise CommandError("name files (links or uuids), or --device and --filter", exit_code=2)
    uuids = [_link(text)[1] for text in files or []]
    api = connect(config, url, token)
    path = f"/gw/devices/{segment(device or 'all')}/media"
    if condition:
        uuids = [file["uuid"] for file in api.ask(path, filter=condition, fields="uuid")]
    if not yes and uuids:
        if not sys.stdin.isatty():
            raise CommandError(f"{len(uuids)} files would be removed; say so with --yes", exit_code=2)
        typer.confirm(f"Remove {len(uuids)} files for good?", abort=True, err=True)
    gone = api.call("DELETE", path, body={"uuid": uuids}) if uuids else []
    if as_json:
        print_json(gone)
    else:
        typer.echo(f"{len(gone)} removed")
