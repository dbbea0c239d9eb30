"""Servers over TLS, browsers that trust their own certificate authority, and somebody else's pages."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, Playwright
from screen import FLAGS, chromium_program

from e2e.house import House, Server, free_ports


class SecureHouse(House):
    """A server whose links name its TLS door, with a certificate made by `wayframe tls init` at its first start."""

    def __init__(self, folder: Path, **settings: object) -> None:
        port = free_ports(1)[0]
        super().__init__(folder, https_port=port, public_url=f"https://localhost:{port}", **settings)
        self.at = f"https://localhost:{port}"
        """The one origin of everything."""
        self.authority = folder / "data" / "tls" / "ca.pem"


class Running(Server):
    """A server that somebody else started, such as `make demo`."""

    def __init__(self, at: str, key: str, authority: Path) -> None:
        super().__init__(key, base_url=at, verify=ssl.create_default_context(cafile=authority))
        self.at = at
        self.authority = authority


Secure = SecureHouse | Running


def trusting_browser(playwright: Playwright, home: Path, authority: Path) -> Browser:
    """Chromium of a user who installed a server's `ca.pem`, as docs/how-to/tls.md says."""
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    for wanted in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "wayframe", "-i", str(authority)]):
        subprocess.run(["certutil", "-d", f"sql:{database}", *wanted], check=True)
    environment = {**os.environ, "HOME": str(home)}
    # A page that is put in by `Page.route` has no address, and Chromium would take it for one of the public internet.
    arguments = [*FLAGS, "--disable-features=LocalNetworkAccessChecks"]
    return playwright.chromium.launch(executable_path=chromium_program(), args=arguments, env=environment)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder served on an origin of its own; its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
