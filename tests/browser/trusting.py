"""A server over TLS, a browser that trusts the server's own certificate authority, and somebody else's page."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, Playwright
from screen import FLAGS, chromium_program

from e2e.house import House


def secure_house(folder: Path, **settings: object) -> House:
    """A server whose links name its TLS door, with a certificate made by `wayframe tls init` at its first start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return House(folder, https_port=port, public_url=f"https://localhost:{port}", **settings)


def origin(house: House) -> str:
    """The one origin of everything."""
    return str(house.settings["public_url"])


def trusting_browser(playwright: Playwright, home: Path, house: House) -> Browser:
    """Chromium of a user who installed the server's `ca.pem`, as docs/how-to/tls.md says."""
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    authority = house.folder / "data" / "tls" / "ca.pem"
    for arguments in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "wayframe", "-i", str(authority)]):
        subprocess.run(["certutil", "-d", f"sql:{database}", *arguments], check=True)
    environment = {**os.environ, "HOME": str(home)}
    return playwright.chromium.launch(executable_path=chromium_program(), args=FLAGS, env=environment)


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
