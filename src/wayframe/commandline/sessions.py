"""`wayframe token jwt`: a session for the gallery, as its documentation calls it."""

from __future__ import annotations

from typing import Annotated

import typer

from wayframe.config import load

from .access import connect
from .client import Api
from .options import ConfigOption, JsonOption, TokenOption, UrlOption, asked_password, print_json


def jwt(
    user: Annotated[
        str, typer.Option("--user", help="Log in as this person, with a password; without it, --token counts.")
    ] = "",
    password: Annotated[
        str,
        typer.Option(
            "--password",
            envvar="WAYFRAME_PASSWORD",
            show_envvar=True,
            help="Their password; without it, it is asked for, or read from stdin.",
        ),
    ] = "",
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Print a JWT that opens the gallery for an hour: with the rights of the token in use, or of a person."""
    if user:
        api = Api(url or load(config).settings.local_url, "")
        body = {"identity": user, "password": password or asked_password(confirm=False)}
        made = api.post("/api/auth/login", body)
    else:
        made = connect(config, url, token).post("/api/auth/session", {})
    if as_json:
        print_json(made)
    else:
        typer.echo(made["token"])
