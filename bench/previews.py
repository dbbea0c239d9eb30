"""1,000 previews served to a gallery: CPU of the server, against nginx with the same pictures as static files.

Run: .venv/bin/python bench/previews.py [--previews 1000] [--files 50] [--rounds 5] [--out FILE]
Photos are uploaded, their previews made by the server; then six kept-open connections, as a browser has them, fetch
`?preview=jpeg` again and again, and nothing else is asked for. The median of the rounds is shown. For orientation also
the first time each is fetched after a restart, when neither row nor picture is in the server's memory (nginx: in the
system's), and the answer 304 to a browser that has the picture.
"""

from __future__ import annotations

import contextlib
import io
import re
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from _bench import SERVER_CORE, CpuMeter, Row, end, finish, house, median, on_core, options, pid_of, register, spawn
from live_cpu import free_ports
from PIL import Image
from transfer import configure_nginx, upload

from e2e.house import House

_CONNECTIONS = 6
_LENGTH = re.compile(rb"(?i)content-length: (\d+)")


def fetch(port: int, paths: Sequence[str], count: int, more: str = "", status: bytes = b"200") -> None:
    """Get the paths in turn over as many connections as a browser opens, with `more` header lines."""
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(_CONNECTIONS)]
        answers = [stack.enter_context(link.makefile("rb")) for link in links]
        for turn in range(-(-count // _CONNECTIONS)):
            for number, link in enumerate(links, turn * _CONNECTIONS):
                link.sendall(f"GET {paths[number % len(paths)]} HTTP/1.1\r\nHost: bench\r\n{more}\r\n".encode())
            for answer in answers:
                read_one(answer, status)


def read_one(answer: BinaryIO, status: bytes) -> None:
    """One response, its body thrown away."""
    assert answer.readline().split()[1] == status
    size = 0
    while (line := answer.readline()) != b"\r\n":
        if match := _LENGTH.match(line):
            size = int(match[1])
    assert len(answer.read(size)) == size
    assert size > 0 or status == b"304"


def photo(number: int) -> bytes:
    """A picture that no other is."""
    picture = Image.effect_noise((1280, 720), 40).convert("RGB")
    picture.putpixel((number % 1280, 0), (255, 0, 0))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=80)
    return out.getvalue()


def used(
    pid: int, port: int, paths: Sequence[str], count: int, rounds: int, more: str = "", status: int = 200
) -> float:
    """Median CPU milliseconds of a round."""
    asked = str(status).encode()
    fetch(port, paths, count, more, asked)
    costs = []
    for _ in range(rounds):
        meter = CpuMeter(pid)
        fetch(port, paths, count, more, asked)
        costs.append(meter.read()[0] * 1000)
    return median(costs)


def first(server: House, paths: Sequence[str], listing: str = "") -> float:
    """CPU milliseconds of fetching each path once from a server that was just started, per path; `listing` before."""
    server.stop()
    with on_core(SERVER_CORE):
        server.start()
    one, port = paths[:1], server.ports["http"]
    if listing:
        server.result("GET", listing)
    fetch(port, one, 1)  # what a first request loads is not what a picture costs
    time.sleep(1)
    meter = CpuMeter(pid_of(server))
    fetch(port, paths[1:], len(paths) - 1)
    return meter.read()[0] * 1000 / (len(paths) - 1)


def main() -> None:
    """Run and print."""
    parser = options(__doc__)
    parser.add_argument("--previews", type=int, default=1000)
    parser.add_argument("--files", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wayframe-bench-") as name, house() as server:
        folder, (port,) = Path(name), free_ports(1)
        nginx = spawn(["nginx", "-c", str(configure_nginx(folder, port)), "-p", name], folder)
        try:
            (device,) = register(server, ["013900000001"])
            uuids = [upload(server, device, photo(number))[0] for number in range(chosen.files)]
            for number, uuid in enumerate(uuids):
                path = f"/media/{uuid}?preview=jpeg"
                found = server.until(lambda path=path: _picture(server.client.get(path)), "a preview is made")
                (folder / "files" / f"{number}.jpg").write_bytes(found)
            own_paths = [f"/media/{uuid}?preview=jpeg" for uuid in uuids]
            cold = first(server, own_paths) * chosen.previews
            listed = first(server, own_paths, f"/gw/devices/{device}/media?fields=uuid,url") * chosen.previews
            time.sleep(1)
            asked = (pid_of(server), server.ports["http"], own_paths, chosen.previews, chosen.rounds)
            own = used(*asked)
            unchanged = used(*asked, more="If-None-Match: *\r\n", status=304)
            paths = [f"/{number}.jpg" for number in range(chosen.files)]
            peer = used(nginx.pid, port, paths, chosen.previews, chosen.rounds)
        finally:
            end(nginx)
    rows = [
        Row("wayframe, CPU", own, "ms", 80 * chosen.previews / 1000),
        Row("nginx, CPU", peer, "ms"),
        Row("wayframe / nginx", own / peer, "×"),
        Row("wayframe, CPU, each for the first time since the start", cold, "ms"),
        Row("wayframe, CPU, the same after a list of the files", listed, "ms"),
        Row("wayframe, CPU, answers 304", unchanged, "ms"),
    ]
    finish(f"previews: {chosen.previews} served", rows, chosen.out)


def _picture(answer: object) -> bytes:
    content: bytes = getattr(answer, "content", b"")
    return content if content.startswith(b"\xff\xd8") else b""


if __name__ == "__main__":
    main()
