"""Fetching files from hosts over SFTP (asyncssh, the extra [sftp]): with resume, a pinned host key, and an end to
everything: time, names, folders, sizes.

The host's name is resolved here and the address checked before it is dialled, and that very address is dialled. No
agent, no configuration file and no key of this machine takes part.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import asyncssh
import structlog

from wayframe.model.addresses import Network, may_dial
from wayframe.services.fetching import FetchFailed, FetchOrder, RemoteFile, plain_name
from wayframe.services.pull_hosts import HostAccess
from wayframe.services.tab_list import MAX_LIST, listed_files

log = structlog.get_logger(__name__)

_RESOLVE_S = 10.0
_CONNECT_S = 15.0
_LOGIN_S = 20.0
_STALL_S = 60.0
"""Longest time for one piece: slower than 4 KiB/s is a transfer that stands still."""
_LISTING_S = 120.0
_PIECE = 256 * 1024
_SAFE = 4 << 20
"""After so many bytes they are made durable; a resumed transfer goes back to the last such mark."""
_ADDRESSES = 3
"""Addresses of one host that are tried."""
_MAX_FILES = 10_000
_MAX_FOLDERS = 1000
_MAX_DEPTH = 6

Learned = Callable[[str], Awaitable[None]]


class _Client(asyncssh.SSHClient):
    """Is asked about a host key that is not the pinned one: takes the first that is shown, where none is pinned."""

    def __init__(self, pinned: bool) -> None:
        self._pinned = pinned
        self.shown = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: Any) -> bool:
        if self._pinned:
            return False
        self.shown = key.export_public_key("openssh").decode().strip()
        return True


class SftpFetcher:
    """Speaks SFTP for `services.Pulls`."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        """`allowed`: networks that may be dialled although they are not public."""
        self._allowed = allowed

    async def fetch(self, transfer: FetchOrder) -> None:
        """Fetch a file whole: go on where a part of the same version ends. Raises `FetchFailed`."""
        async with self._session(transfer.access, transfer.learned) as sftp:
            remote, mark = await _look(sftp, transfer.path)
            await transfer.accept(remote, mark)
            offset = await asyncio.to_thread(_begin, transfer.target, mark == transfer.mark, remote.size)
            transfer.progress(offset)
            await _copy(sftp, transfer, offset, remote.size)
            after, mark_after = await _look(sftp, transfer.path)
            if mark_after != mark:
                raise FetchFailed(f"the file changed while it was fetched ({remote.size} to {after.size} bytes)")

    async def listing(self, access: HostAccess, learned: Learned) -> list[RemoteFile]:
        """The regular files below the roots, at most 10,000; names that are no names are left out."""
        found: list[RemoteFile] = []
        async with self._connection(access, learned) as connection:
            try:
                async with asyncio.timeout(_LISTING_S):
                    if access.list_command:
                        return _listed(await _printed(connection, access.list_command), access)
                    sftp = await connection.start_sftp_client(path_encoding=None)
                    if access.list_file:
                        return _listed(await _whole(sftp, access.list_file), access)
                    await _walk(sftp, access.roots, found)
            except TimeoutError:
                raise FetchFailed(f"the host did not list its files within {_LISTING_S:g} s") from None
        return found

    async def remove(self, access: HostAccess, path: str, mark: str) -> None:
        """Delete a file, if it is there and of this version. Raises `FetchFailed`."""

        async def nothing(host_key: str) -> None:
            """It was learned when the file was fetched."""

        async with self._session(access, nothing) as sftp:
            with contextlib.suppress(asyncssh.SFTPNoSuchFile):
                if (await _look(sftp, path))[1] == mark:
                    await _within(sftp.remove(path.encode()))

    @asynccontextmanager
    async def _session(self, access: HostAccess, learned: Learned) -> AsyncIterator[Any]:
        """An SFTP session. Raises `FetchFailed`; what goes wrong inside becomes one too."""
        async with self._connection(access, learned) as connection:
            yield await _within(connection.start_sftp_client(path_encoding=None))

    @asynccontextmanager
    async def _connection(self, access: HostAccess, learned: Learned) -> AsyncIterator[Any]:
        """A connection that is logged in. Raises as `_session`."""
        connection = await self._connect(access, learned)
        try:
            async with connection:
                yield connection
        except asyncssh.SFTPNoSuchFile:
            raise FetchFailed("the host has no such file any more", retry=False) from None
        except asyncssh.SFTPPermissionDenied:
            raise FetchFailed("the host does not let this user read it", retry=False) from None
        except (asyncssh.Error, ConnectionError, EOFError) as error:
            raise FetchFailed(f"the connection to the host broke off ({type(error).__name__})") from None
        finally:
            connection.abort()

    async def _connect(self, access: HostAccess, learned: Learned) -> Any:
        options = _options(access)
        last = FetchFailed("the host does not answer")
        for host in access.hosts:
            for address in await self._resolved(host, access.port):
                client = _Client(bool(access.host_key))
                try:
                    async with asyncio.timeout(_CONNECT_S + _LOGIN_S):
                        connection = await asyncssh.connect(
                            address, access.port, client_factory=lambda client=client: client, **options
                        )
                except asyncssh.HostKeyNotVerifiable:
                    raise FetchFailed(
                        "the host shows another key than the one pinned: somebody else may have answered", retry=False
                    ) from None
                except asyncssh.PermissionDenied:
                    raise FetchFailed("the host refuses this user and password or key", retry=False) from None
                except (asyncssh.Error, OSError, TimeoutError, EOFError):
                    last = FetchFailed("the host does not answer as an SSH server")
                    continue
                if client.shown:
                    await learned(client.shown)
                return connection
        raise last

    async def _resolved(self, host: str, port: int) -> list[str]:
        """Addresses of a host that may be dialled. Raises `FetchFailed` where there are only others."""
        try:
            async with asyncio.timeout(_RESOLVE_S):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError):
            return []
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        good = [text for text in addresses if may_dial(ip_address(text.partition("%")[0]), self._allowed)]
        if addresses and not good:
            raise FetchFailed(
                "the host has no public address; private networks must be named in the setting pull_networks",
                retry=False,
            )
        return good[:_ADDRESSES]


def _options(access: HostAccess) -> dict[str, Any]:
    """Options of a connection that uses nothing of this machine. Raises `FetchFailed` for an unusable key."""
    try:
        keys = [asyncssh.import_private_key(access.opening.private_key)] if access.opening.private_key else []
        pinned = [asyncssh.import_public_key(access.host_key)] if access.host_key else []
    except (asyncssh.KeyImportError, ValueError) as error:
        raise FetchFailed(f"the private key or host key cannot be read: {error}", retry=False) from None
    return {
        "username": access.user, "password": access.opening.password or None, "client_keys": keys or None,
        "known_hosts": (pinned, [], []), "config": None, "agent_path": None, "agent_forwarding": False,
        "gss_host": None, "x509_trusted_certs": None, "connect_timeout": _CONNECT_S, "login_timeout": _LOGIN_S,
        "keepalive_interval": 15, "keepalive_count_max": 4, "preferred_auth": ("publickey", "password"),
    }  # fmt: skip


async def _within(work: Awaitable[Any]) -> Any:
    """Wait for one answer of the host. Raises `FetchFailed` where it takes too long."""
    try:
        async with asyncio.timeout(_STALL_S):
            return await work
    except TimeoutError:
        raise FetchFailed(f"the host was silent for {_STALL_S:g} s") from None


async def _look(sftp: Any, path: str) -> tuple[RemoteFile, str]:
    """A file's size and version. Raises `FetchFailed` for what is no regular file."""
    about = await _within(sftp.lstat(path.encode()))
    if not stat.S_ISREG(about.permissions or 0) or about.size is None:
        raise FetchFailed("this is no regular file on the host", retry=False)
    remote = RemoteFile(path, int(about.size), float(about.mtime or 0))
    return remote, f"{remote.size}:{int(remote.modified)}"


async def _copy(sftp: Any, transfer: FetchOrder, offset: int, size: int) -> None:
    handle = os.open(transfer.target, os.O_WRONLY | os.O_CLOEXEC)
    try:
        async with await _within(sftp.open(transfer.path.encode(), "rb", block_size=32 * 1024)) as source:
            while offset < size:
                piece = await _within(source.read(min(_PIECE, size - offset), offset))
                if not piece:
                    raise FetchFailed("the file became shorter while it was fetched")
                await asyncio.to_thread(_write, handle, piece, offset)
                offset += len(piece)
                transfer.progress(offset)
    finally:
        os.close(handle)


def _begin(target: Path, resume: bool, size: int) -> int:
    """Make the part ready, and say from which byte on it is wanted."""
    handle = os.open(target, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        there = os.fstat(handle).st_size
        # What is behind the last mark may be less than it seems after a loss of power.
        offset = 0 if not resume or there > size else there if there == size else there // _SAFE * _SAFE
        os.ftruncate(handle, offset)
        return offset
    finally:
        os.close(handle)


def _write(handle: int, piece: bytes, offset: int) -> None:
    view = memoryview(piece)
    end = offset + len(piece)
    while view:
        written = os.pwrite(handle, view, end - len(view))
        view = view[written:]
    if end // _SAFE != offset // _SAFE:
        os.fsync(handle)


def _listed(text: bytes, access: HostAccess) -> list[RemoteFile]:
    """The files of a list that lie below the roots."""
    return [file for file in listed_files(text, _MAX_FILES) if access.within(file.path)]


async def _printed(connection: Any, command: str) -> bytes:
    """What a command prints that the host's owner wrote down; nothing is pasted into it.

    Raises `FetchFailed` where it fails or prints too much.
    """
    process = await connection.create_process(command, encoding=None, stdin=asyncssh.DEVNULL, stderr=asyncssh.DEVNULL)
    printed = bytearray()
    try:
        while piece := await process.stdout.read(_PIECE):
            printed += piece
            if len(printed) > MAX_LIST:
                raise FetchFailed(f"`list_command` prints more than {MAX_LIST} bytes", retry=False)
        done = await process.wait()
    finally:
        process.close()
    if done.exit_status != 0:
        raise FetchFailed(f"`list_command` ended with status {done.exit_status}")
    return bytes(printed)


async def _whole(sftp: Any, path: str) -> bytes:
    """A small file. Raises `FetchFailed` where it is not small."""
    remote, _ = await _look(sftp, path)
    async with await sftp.open(path.encode(), "rb") as source:
        content = await source.read(MAX_LIST + 1)
    if max(remote.size, len(content)) > MAX_LIST:
        raise FetchFailed(f"`list_file` has more than {MAX_LIST} bytes", retry=False)
    return bytes(content)


async def _walk(sftp: Any, roots: Sequence[str], found: list[RemoteFile]) -> None:
    """Regular files, breadth first; links are not followed."""
    folders = [(root, 1) for root in roots]
    seen = 0
    while folders and seen < _MAX_FOLDERS and len(found) < _MAX_FILES:
        folder, depth = folders.pop(0)
        seen += 1
        try:
            async for entry in sftp.scandir(folder.encode()):
                name = _name(entry.filename)
                if name is None:
                    continue
                path, kind = f"{folder.rstrip('/')}/{name}", entry.attrs.permissions or 0
                if stat.S_ISDIR(kind) and depth < _MAX_DEPTH and len(folders) < _MAX_FOLDERS:
                    folders.append((path, depth + 1))
                elif stat.S_ISREG(kind):
                    found.append(RemoteFile(path, int(entry.attrs.size or 0), float(entry.attrs.mtime or 0)))
                if len(found) >= _MAX_FILES:
                    return
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPPermissionDenied):
            log.info("folder_left_out", folder=folder[:200])


def _name(raw: bytes | str) -> str | None:
    """A name out of a listing; None for what is no plain, visible name."""
    try:
        name = raw.decode() if isinstance(raw, bytes) else raw
    except UnicodeDecodeError:
        return None
    return name if plain_name(name) else None
