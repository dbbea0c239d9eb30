"""`wayframe tls`: the certificate authority of this node's own."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from wayframe.config import load

from .errors import CommandError
from .options import ConfigOption, JsonOption, print_json

tls = typer.Typer(name="tls", help="The certificate of the TLS ports.", no_args_is_help=True)


@tls.callback()
def _group() -> None:
    """Keeps `init` a word of its own while it is the only one."""


@tls.command()
def init(
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Further host name or IP address the certificate is for; may be repeated."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a local certificate authority and a certificate for this node, or add names to it.

    The names are those of public_url and of this machine, and localhost. A running node takes the certificate up by
    itself. It is renewed by the node; the authority stays.
    """
    from wayframe.certificates import LocalAuthority, names_of, read  # loads the storage, which takes a second

    settings = load(config).settings
    if settings.tls_certificate:
        raise CommandError(f"the certificate comes from {settings.tls_certificate} (tls_certificate); unset it first")
    local = LocalAuthority(settings.tls_dir, [*settings.tls_names, *(name or [])])
    local.prepare(time.time())
    server = read(local.certificate)
    names, ends = names_of(server), server.not_valid_after_utc.date().isoformat()
    if as_json:
        print_json({"authority": str(local.authority.absolute()), "names": names, "valid_until": ends})
        return
    typer.echo(f"The certificate is for {', '.join(names)}; it is renewed before {ends}.")
    typer.echo(f"Install {local.authority.absolute()} where browsers and applications run (docs/how-to/tls.md);")
    typer.echo(f"keep {local.authority_key.absolute()} to yourself: who has it can pretend to be any host to them.")
