"""Hosts that files of devices are pulled from by SFTP: where they are, what opens them, and which key they must show.

What opens a host is kept sealed with the node's secret and never shown. The key of a host is pinned.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from wayframe.model import BadRequest, Json, NotFound
from wayframe.model.users import PullHost
from wayframe.storage import PullHostTable
from wayframe.storage.secret import SecretError, seal, unseal

from .bodies import parse_body
from .entries import Entry

_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}", re.ASCII)
_HOST_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)|ssh-rsa) [A-Za-z0-9+/=]{40,2000}", re.ASCII)

Secret = Annotated[str, Meta(max_length=16_384)]


class SourceBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of PUT /api/gallery/{device}/source."""

    host: Annotated[str, Meta(min_length=1, max_length=253)]
    second_host: Annotated[str, Meta(max_length=253)] = ""
    port: Annotated[int, Meta(ge=1, le=65535)] = 22
    user: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[^\\x00-\\x1f]+$")]
    password: Annotated[str, Meta(max_length=256)] = ""
    private_key: Secret = ""
    host_key: Annotated[str, Meta(max_length=2100)] = ""
    learn_host_key: bool = False
    roots: Annotated[list[Annotated[str, Meta(min_length=1, max_length=1024)]], Meta(min_length=1, max_length=8)]
    after_pull: str = "keep"
    list_file: Annotated[str, Meta(max_length=1024)] = ""
    list_command: Annotated[str, Meta(max_length=1024, pattern="^[^\\x00-\\x1f\\x7f]*$")] = ""


_WHERE = ("host", "second_host", "port", "user", "list_command")
"""What a password or key is told to, or used for: whoever changes it must know the password or key."""


class Opening(Struct, frozen=True):
    """What opens a host."""

    password: str = ""
    private_key: str = ""


@dataclass(frozen=True, slots=True)
class HostAccess:
    """Everything that a transfer needs to know."""

    device_id: int
    hosts: tuple[str, ...]
    """The host, and the one to try when it does not answer."""
    port: int
    user: str
    opening: Opening
    host_key: str
    """The only key the host may show; empty: whichever it shows first is learned."""
    roots: tuple[str, ...]
    """Folders whose files may be pulled, absolute, without `.` and `..`."""
    delete_after: bool
    list_file: str = ""
    """A file on the host that lists its files, a line each; empty: the folders are looked through."""
    list_command: str = ""
    """A command that prints such a list, run on the host as it is written; empty: none."""

    def within(self, path: str) -> bool:
        """Whether a path lies below one of the roots, as it is written."""
        return (
            path == posixpath.normpath(path)
            and "\0" not in path
            and any(path.startswith(root.rstrip("/") + "/") for root in self.roots)
        )


class PullHosts:
    """The hosts of all devices."""

    def __init__(self, table: PullHostTable, secret: bytes) -> None:
        self._table = table
        self._secret = secret

    async def view(self, entry: Entry) -> dict[str, Json]:
        """A device's host as the API shows it. Raises `NotFound`."""
        host = await self._table.get(entry.id)
        if host is None:
            raise NotFound(f"device {entry.id} has no host to pull from: PUT one")
        return {
            **host.settings, "host_key": host.host_key, "last_run": host.last_run, "last_error": host.last_error
        }  # fmt: skip

    async def write(self, entry: Entry, body: Json) -> dict[str, Json]:
        """Set a device's host. A body without password and key keeps those there are. Raises `BadRequest`."""
        asked = parse_body(SourceBody, body)
        for host in (asked.host, asked.second_host):
            if host and not _HOST.fullmatch(host):
                raise BadRequest("`host` and `second_host` must be a host name or IP address")
        for root in asked.roots:
            if not _is_path(root):
                raise BadRequest(f"`roots`: an absolute path without `.` and `..` is wanted, got {root[:100]!r}")
        if asked.list_file and asked.list_command:
            raise BadRequest("`list_file` and `list_command`: one of them, not both")
        if asked.list_file and not _is_path(asked.list_file):
            raise BadRequest(f"`list_file`: an absolute path without `.` and `..`, got {asked.list_file[:100]!r}")
        key = asked.host_key.strip()
        if key and not _HOST_KEY.fullmatch(key):
            raise BadRequest("`host_key` must be a line such as `ssh-ed25519 AAAA…` (ssh-keyscan shows it)")
        if not key and not asked.learn_host_key:
            raise BadRequest("`host_key` is required, or `learn_host_key`: true to pin the one shown at the first use")
        if asked.after_pull not in ("keep", "delete"):
            raise BadRequest("`after_pull` must be keep or delete")
        before = await self._table.get(entry.id)
        if "ENCRYPTED" in asked.private_key:
            raise BadRequest("`private_key` must not need a passphrase: it is kept sealed here")
        if asked.password or asked.private_key:
            opening = Opening(asked.password, asked.private_key)
            sealed = seal(self._secret, msgspec.json.encode(opening), str(entry.id).encode())
        elif before is None:
            raise BadRequest("`password` or `private_key` is required")
        elif any(getattr(asked, name) != before.settings.get(name, "") for name in _WHERE):
            raise BadRequest(f"`password` or `private_key` is required where one of {', '.join(_WHERE)} changes")
        else:
            sealed = before.sealed
        shown = msgspec.to_builtins(asked)
        for hidden in ("password", "private_key", "host_key"):
            del shown[hidden]
        if before is not None and not key and before.settings.get("host") == asked.host:
            key = before.host_key
        made = PullHost(device_id=entry.id, settings=shown, sealed=sealed, host_key=key)
        await (self._table.insert(made) if before is None else self._table.update(made))
        return await self.view(entry)

    async def delete(self, entry: Entry) -> None:
        """Forget a device's host."""
        await self.view(entry)
        await self._table.delete([entry.id])

    async def access(self, device_id: int) -> HostAccess | None:
        """What a transfer needs; None where the device has no host, or it cannot be opened any more."""
        host = await self._table.get(device_id)
        if host is None:
            return None
        try:
            opening = msgspec.json.decode(unseal(self._secret, host.sealed, str(device_id).encode()), type=Opening)
        except (SecretError, msgspec.DecodeError):
            return None
        settings = msgspec.convert({**host.settings}, SourceBody)
        return HostAccess(
            device_id=device_id, hosts=tuple(filter(None, (settings.host, settings.second_host))), port=settings.port,
            user=settings.user, opening=opening, host_key=host.host_key, roots=tuple(settings.roots),
            delete_after=settings.after_pull == "delete", list_file=settings.list_file,
            list_command=settings.list_command,
        )  # fmt: skip

    async def learned(self, device_id: int, host_key: str) -> None:
        """Pin the key that a host showed at its first use."""
        host = await self._table.get(device_id)
        if host is not None and not host.host_key:
            await self._table.update(msgspec.structs.replace(host, host_key=host_key))

    async def looked(self, device_id: int, when: float, error: str) -> None:
        """Note that the files of a host were looked at."""
        host = await self._table.get(device_id)
        if host is not None:
            await self._table.update(msgspec.structs.replace(host, last_run=when, last_error=error))


def _is_path(text: str) -> bool:
    return text.startswith("/") and posixpath.normpath(text) == text and "\0" not in text
