"""A PostgreSQL server of the tests' own, from Debian's binaries: private folder, socket and port, once a session.

`server()` starts it; `Server.create()` makes a fresh database and gives its URL. PostgreSQL refuses to run as root, so
then it runs as the user `postgres`.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_PORT = 5499
"""Only the name of the socket file; nothing listens on the network."""


def binaries() -> Path | None:
    """The folder with initdb and pg_ctl of the newest installed version, None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    return found[-1].parent if found else None


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    binaries: Path
    """Folder of PostgreSQL's programs."""
    home: Path
    """Its private folder, which also holds the socket."""
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as the server's user; raises with its output if it fails."""
        done = subprocess.run(
            [str(self.binaries / program), *arguments],
            user=_user(),
            group=_group(),
            extra_groups=[] if os.getuid() == 0 else None,
            cwd=self.home,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout}")

    def create(self) -> str:
        """Make an empty database and give its URL."""
        name = f"test{next(self.numbers)}"
        self.run("createdb", "-h", str(self.home), "-p", str(_PORT), "-U", "wayframe", "-E", "UTF8", name)
        return f"postgresql://wayframe@/{name}?host={self.home}&port={_PORT}"

    def drop(self, url: str) -> None:
        """Remove a database made by `create`, whoever is still connected."""
        name = url.split("@/")[1].split("?")[0]
        self.run("dropdb", "-h", str(self.home), "-p", str(_PORT), "-U", "wayframe", "--force", name)


@contextmanager
def server() -> Iterator[Server]:
    """A server for the length of the block. Raises `FileNotFoundError` if PostgreSQL is not installed."""
    programs = binaries()
    if programs is None:
        raise FileNotFoundError("PostgreSQL is not installed (apt-get install postgresql)")
    home = Path(tempfile.mkdtemp(prefix="wfpg"))  # short: a socket's path has at most 107 bytes
    try:
        if os.getuid() == 0:
            shutil.chown(home, "postgres", "postgres")
        here = Server(programs, home)
        data = str(home / "data")
        here.run("initdb", "-D", data, "-U", "wayframe", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        # No fsync: these tests kill clients, never the server.
        options = (
            f"-c listen_addresses= -c unix_socket_directories={home} -p {_PORT} -c fsync=off -c max_connections=60"
        )
        log = str(home / "log")
        here.run("pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start")
        try:
            yield here
        finally:
            here.run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _user() -> int | None:
    return pwd.getpwnam("postgres").pw_uid if os.getuid() == 0 else None


def _group() -> int | None:
    return pwd.getpwnam("postgres").pw_gid if os.getuid() == 0 else None
