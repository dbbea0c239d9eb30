"""A real OpenSSH server of the tests' own: generated keys, one port of loopback, one process."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = Path("/usr/sbin/sshd")


@dataclass(slots=True)
class Sshd:
    """One server, which serves the files of this machine."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def private_key(self) -> str:
        """What logs in."""
        return (self.folder / "client").read_text()

    @property
    def host_key(self) -> str:
        """The server's own public key, without its comment."""
        return " ".join((self.folder / "host.pub").read_text().split()[:2])

    def source(self, root: Path, **more: object) -> dict[str, object]:
        """The body that tells a gallery of it."""
        return {
            "host": "127.0.0.1", "port": self.port, "user": getpass.getuser(), "private_key": self.private_key,
            "host_key": self.host_key, "roots": [str(root)], **more,
        }  # fmt: skip

    @property
    def logins(self) -> int:
        """How often somebody logged in since it was made."""
        return (self.folder / "log").read_text(errors="replace").count("Accepted publickey")

    def configure(self, *, read_only: bool = False) -> None:
        """Write what the next start reads."""
        (self.folder / "config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.folder}/host\n"
            f"AuthorizedKeysFile {self.folder}/authorized\nStrictModes no\nPermitRootLogin yes\n"
            "PasswordAuthentication no\nUsePAM no\nPidFile none\n"
            f"Subsystem sftp internal-sftp{' -R' if read_only else ''}\nMaxStartups 100\n"
        )

    def start(self) -> None:
        """Listen, and wait until it does."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        command = [str(_PROGRAM), "-D", "-e", "-f", str(self.folder / "config")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "log").read_text())

    def stop(self) -> None:
        """End it, and the connections it has."""
        if self.process is not None:
            children = subprocess.run(
                ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False
            )
            self.process.kill()
            self.process.wait()
            for pid in map(int, children.stdout.split()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            self.process = None


@contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    """A server for the length of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host", "client"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    (folder / "authorized").write_text((folder / "client.pub").read_text())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Sshd(folder, port)
    server.configure()
    server.start()
    try:
        yield server
    finally:
        server.stop()
