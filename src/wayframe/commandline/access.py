"""Which server a command talks to, and with which token."""

from __future__ import annotations

from pathlib import Path

from wayframe.config import load

from .client import Api, local_url
from .errors import CommandError


def connect(config: Path | None, url: str, token: str) -> Api:
    """The API at `url`, or at this machine's own server; without a token, with a master token of this machine.

    Raises CommandError where no token can be had.
    """
    settings = load(config).settings
    if not token:
        raise CommandError("no token: name one with --token or WAYFRAME_TOKEN", exit_code=2)
    return Api(url or local_url(settings), token)
