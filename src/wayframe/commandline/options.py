"""Options that several commands share, how their values are read, and the ways to print."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from .completion import complete_device
from .errors import CommandError

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file (also WAYFRAME_CONFIG; otherwise ./wayframe.toml if there is one)."),
]
UrlOption = Annotated[
    str,
    typer.Option("--url", envvar="WAYFRAME_URL", help="Address of the server; empty means the one on this machine."),
]
TokenOption = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="WAYFRAME_TOKEN",
        show_envvar=True,
        help="Token to use; empty takes a master token from this machine's database.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
DeviceArgument = Annotated[
    str,
    typer.Argument(
        help="Device id, or a selector: configuration.ident=0138…, name=Truck*, {expression}, all.",
        autocompletion=complete_device,
    ),
]
FilterOption = Annotated[str, typer.Option("--filter", help="Expression over each item, such as meta.channel==2.")]
FromOption = Annotated[
    str, typer.Option("--from", help="Earliest: Unix seconds, 2026-11-21T08:00:00Z, or 2h for two hours ago.")
]
ToOption = Annotated[str, typer.Option("--to", help="Latest, written the same way.")]
PatienceOption = Annotated[
    int, typer.Option("--patience", min=0, help="Seconds to keep trying while the server does not answer.")
]

_AGO = re.compile(r"(\d+)\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


# --- in ---------------------------------------------------------------------------------------------------------------


def moment(text: str, name: str) -> float:
    """Unix seconds of a time: seconds, ISO 8601 (without a zone: this machine's), or so long ago (`90m`).

    Raises CommandError, which calls the value by `name`.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return time.time() - int(ago[1]) * _SECONDS[ago[2]]
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError, OSError):
            raise CommandError(
                f"{name} must be Unix seconds or a time such as 2026-11-21T08:00:00Z, got {text!r}", exit_code=2
            ) from None
    if not 0 <= seconds < 1e11:
        raise CommandError(f"{name} must be Unix seconds, not milliseconds and not before 1970, got {text!r}", 2)
    return seconds


def span(earliest: str, latest: str) -> dict[str, float]:
    """`from` and `to` of a history query, as far as they are given."""
    given = {"from": earliest, "to": latest}
    return {key: moment(text, f"--{key}") for key, text in given.items() if text}


def value_of(text: str) -> Any:
    """A value as JSON where it is JSON (numbers, true, null, objects), otherwise the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def asked_password(*, confirm: bool) -> str:
    """A password from the terminal, or a line of stdin. Raises CommandError."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=confirm))
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        raise CommandError("no password: give --password, WAYFRAME_PASSWORD or a line on stdin", exit_code=2)
    return line


# --- out --------------------------------------------------------------------------------------------------------------


def shown(value: Any) -> str:
    """A value for a terminal: nothing in it can move the cursor or turn the writing around."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def when(value: Any) -> str:
    """A time for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value)) if value else "never"


def size_of(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def print_line(value: Any) -> None:
    """One line of JSON on stdout, at once: for what goes on and on."""
    typer.echo(msgspec.json.encode(value).decode())
    sys.stdout.flush()


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Rows on stdout, the first one the heads: a table on a terminal; elsewhere columns aligned, the last one free, so
    that nothing is cut."""
    if not rows:
        return
    rows = [[shown(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_table(rows)
        return
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*cells, row[-1]]).rstrip())


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    from rich import box  # rich takes a tenth of a second to load
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in rows[0]:
        table.add_column(head, overflow="fold")
    for row in rows[1:]:
        table.add_row(*(Text(cell) for cell in row))
    Console(soft_wrap=False).print(table)


def print_fields(items: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Items as a table of the named fields (dotted paths go into objects)."""
    print_columns([list(names), *([_cell(item, name) for name in names] for item in items)])


def _cell(item: Mapping[str, Any], path: str) -> str:
    value: Any = item
    measured = path.startswith("telemetry.")
    while isinstance(value, Mapping) and path not in value and "." in path:
        head, _, path = path.partition(".")
        value = value.get(head)
    value = value.get(path) if isinstance(value, Mapping) else None
    if measured and isinstance(value, Mapping):
        value = value.get("value")  # beside it `ts`, when it was measured
    return "" if value is None else shown(value)
