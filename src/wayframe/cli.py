"""The `wayframe` command: mounts what `commandline` holds and turns failures into one line and an exit code."""

from __future__ import annotations

import sys

import typer

from wayframe import __version__
from wayframe.commandline import CommandError, items, keeping, logs, media, running, sessions
from wayframe.commandline.checkup import doctor
from wayframe.commandline.commands import commands
from wayframe.commandline.live import live
from wayframe.commandline.reference import reference
from wayframe.commandline.rights import rights
from wayframe.commandline.settings import settings
from wayframe.commandline.tls import tls
from wayframe.commandline.users import users
from wayframe.config import SettingsError
from wayframe.model import WayframeError

app = typer.Typer(
    name="wayframe",
    help="A self-hosted video-telematics backend, wire-compatible with flespi.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


app.command()(running.serve)
app.command()(running.demo)
app.command(context_settings=_PASSED_ON, add_help_option=False)(running.simulate)
app.command()(settings)
app.command()(rights)
app.command()(doctor)
app.command()(keeping.migrate)
app.command()(keeping.backup)
app.command()(keeping.restore)
app.add_typer(tls)
items.tokens.command("jwt")(sessions.jwt)
app.add_typer(items.tokens, name="token")
app.add_typer(items.devices, name="device")
app.add_typer(users, name="user")
app.command("devices")(items.list_devices)
app.add_typer(media.media, name="media")
app.command("upload", help="Same as `wayframe media put`.")(media.put)
app.add_typer(commands, name="command")
app.command()(live)
app.command()(logs.logs)
app.add_typer(logs.tail, name="tail")
app.command(hidden=True)(reference)


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Exit code: 0 done, 1 failed, 2 used wrongly (arguments, settings)."""
    try:
        app(arguments)
    except CommandError as error:
        _fail(str(error), error.exit_code)
    except SettingsError as error:
        _fail(str(error), 2)
    except WayframeError as error:
        _fail(str(error), 1)


def _fail(text: str, exit_code: int) -> None:
    for line in text.splitlines():
        typer.echo(f"wayframe: {line}", err=True)
    sys.exit(exit_code)
