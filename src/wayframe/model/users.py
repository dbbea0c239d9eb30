"""People who log in with a password, and hosts that files are pulled from."""

from __future__ import annotations

from msgspec import Struct

from .nouns import Json


class User(Struct, frozen=True, kw_only=True):
    """A person of an account."""

    id: int
    cid: int
    """Account; a user may do in it what a standard token may."""
    identity: str
    """What is typed at the login, such as an e-mail address; lower case, unique on this server."""
    name: str = ""
    """For people."""
    enabled: bool = True
    created: float = 0.0
    changed: float = 0.0
    """Last change of the password; sessions that are older have ended."""
    password: str = ""
    """Argon2 hash."""


class PullHost(Struct, frozen=True, kw_only=True):
    """Where the files of a device are pulled from by SFTP."""

    device_id: int
    settings: dict[str, Json]
    """What may be shown: host, port, user, roots and so on."""
    sealed: bytes
    """Password or private key, encrypted with the node's secret."""
    host_key: str = ""
    """The key the host must show (one line, as in known_hosts without the name); empty: learned at the first use."""
    last_run: float = 0.0
    """When the files were last looked for."""
    last_error: str = ""
    """Why that failed."""
