"""`wayframe doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from wayframe.config import load

from .options import ConfigOption, JsonOption, print_json

if TYPE_CHECKING:
    from wayframe.doctor import Check

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Look whether this machine is ready: ports, disk, clock, codecs, database, addresses. Exit code 1 if not."""
    from wayframe.doctor import State, examine  # loads the database, which takes a second

    checks: list[Check] = []
    for check in examine(load(config)):
        checks.append(check)
        if not as_json:
            _show(check)
    if as_json:
        print_json([_described(check) for check in checks])
    if any(check.state is State.FAIL for check in checks):
        raise typer.Exit(1)


def _show(check: Check) -> None:
    typer.secho(f"{check.state:5}", fg=_COLOURS[check.state], nl=False)
    typer.echo(f"{check.name}: {check.found}")
    if check.advice:
        typer.echo(f"     → {check.advice}")


def _described(check: Check) -> dict[str, Any]:
    return {"name": check.name, "state": check.state.value, "found": check.found, "advice": check.advice}
