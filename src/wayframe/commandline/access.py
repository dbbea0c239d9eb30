"""Which server a command talks to, and with which token."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from wayframe.config import load

from .client import Api
from .errors import CommandError
from .local import master_token

_LINK = re.compile(r"(?:(https?://[^/]+).*?/)?([0-9A-Fa-f]{64})(?:[/?#].*)?")


def connect(config: Path | None, url: str, token: str) -> Api:
    """The API at `url`, or at this machine's own server; without a token, with a master token of this machine.

    Raises CommandError where no token can be had. A master token of this machine never goes to another one.
    """
    if token:
        return Api(url or load(config).settings.local_url, token)
    if url and urlsplit(url).hostname not in ("localhost", "127.0.0.1", "::1"):
        raise CommandError(f"a token for {url} is wanted: name it with --token or WAYFRAME_TOKEN", exit_code=2)
    settings = load(config).settings
    return Api(url or settings.local_url, master_token(settings))


def link_parts(text: str) -> tuple[str, str] | None:
    """Origin (empty where only the uuid stands) and uuid of a media link; None for anything else."""
    found = _LINK.fullmatch(text.strip())
    return (found[1] or "", found[2].upper()) if found else None


def reach(origin: str, config: Path | None, url: str, token: str) -> Api:
    """The API behind a link: a link of the server in use gets the token, one of another server none."""
    if not origin or origin == (url.rstrip("/") or load(config).settings.local_url):
        return connect(config, url, token)
    return Api(origin, "")
