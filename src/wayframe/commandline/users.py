"""`wayframe user …`: people who log in to the gallery with a password."""

from __future__ import annotations

from typing import Annotated

import typer

from .access import connect
from .client import segment
from .options import (
    ConfigOption,
    JsonOption,
    TokenOption,
    UrlOption,
    asked_password,
    print_columns,
    print_json,
    when,
)

users = typer.Typer(no_args_is_help=True, help="People who log in to the gallery with a password.")

IdentityArgument = Annotated[str, typer.Argument(help="What they type at the login, such as an e-mail address.")]
PasswordOption = Annotated[
    str,
    typer.Option(
        "--password",
        envvar="WAYFRAME_PASSWORD",
        show_envvar=True,
        help="Their password, 10 characters or more; without it, it is asked for, or read from stdin.",
    ),
]
_PATH = "/platform/users"


@users.command("add")
def add(
    identity: IdentityArgument,
    name: Annotated[str, typer.Option("--name", help="Their name, for people.")] = "",
    password: PasswordOption = "",
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add a person who may log in."""
    body = {"identity": identity, "name": name, "password": password or asked_password(confirm=True)}
    (made,) = connect(config, url, token).call("POST", _PATH, body=[body])
    if as_json:
        print_json(made)
    else:
        typer.echo(f"user {made['id']}: {made['identity']}")


@users.command("list")
def listed(
    config: ConfigOption = None, url: UrlOption = "", token: TokenOption = "", as_json: JsonOption = False
) -> None:
    """List the people who may log in."""
    found = connect(config, url, token).call("GET", f"{_PATH}/all")
    if as_json:
        print_json(found)
        return
    rows = [["ID", "IDENTITY", "STATE", "ADDED", "NAME"]]
    for user in found:
        state = "enabled" if user["enabled"] else "disabled"
        rows.append([str(user["id"]), user["identity"], state, when(user["created"]), user["name"]])
    print_columns(rows)


@users.command("remove")
def remove(
    identity: IdentityArgument,
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Remove a person; their sessions end at once."""
    gone = connect(config, url, token).call("DELETE", f"{_PATH}/{segment(identity)}")
    if as_json:
        print_json(gone)
    else:
        typer.echo(f"removed {identity}")


@users.command("passwd")
def passwd(
    identity: IdentityArgument,
    password: PasswordOption = "",
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Give a person another password; their sessions end at once."""
    path = f"{_PATH}/{segment(identity)}"
    changed = connect(config, url, token).call("PUT", path, body={"password": password or asked_password(confirm=True)})
    if as_json:
        print_json(changed)
    else:
        typer.echo(f"changed the password of {identity}")
