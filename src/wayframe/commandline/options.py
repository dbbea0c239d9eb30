"""Options that several commands share, and the two ways to print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

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


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Rows on stdout, columns aligned; the last one runs free, so nothing is cut where stdout is no terminal."""
    if not rows:
        return
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*cells, row[-1]]).rstrip())
