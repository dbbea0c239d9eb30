"""1,000 previews served to a gallery: CPU of the server, against nginx with the same pictures as static files.

Run: .venv/bin/python bench/previews.py [--previews 1000] [--files 50] [--rounds 5] [--out FILE]
Photos are uploaded, their previews made by the server; then six kept-open connections, as a browser has them, fetch
`?preview=jpeg` again and again. The median of the rounds is shown.
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

from _bench import CpuMeter, Row, end, finish, house, median, options, pid_of, register, spawn
from live_cpu import free_ports
from PIL import Image
from transfer import configure_nginx, upload

_CONNECTIONS = 6
_LENGTH = re.compile(rb"(?i)content-length: (\d+)")


def fetch(port: int, paths: Sequence[str], count: int) -> None:
    """Get the paths in turn over as many connections as a browser opens."""
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(_CONNECTIONS)]
        answers = [stack.enter_context(link.makefile("rb")) for link in links]
        for turn in range(-(-count // _CONNECTIONS)):
            for number, link in enumerate(links, turn * _CONNECTIONS):
                link.sendall(f"GET {paths[number % len(paths)]} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
            for answer in answers:
                read_one(answer)


def read_one(answer: BinaryIO) -> None:
    """One response, its body thrown away."""
    assert answer.readline().split()[1] == b"200"
    size = 0
    while (line := answer.readline()) != b"\r\n":
        if match := _LENGTH.match(line):
            size = int(match[1])
    assert len(answer.read(size)) == size > 0


def photo(number: int) -> bytes:
    """A picture that no other is."""
    picture = Image.effect_noise((1280, 720), 40).convert("RGB")
    picture.putpixel((number % 1280, 0), (255, 0, 0))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=80)
    return out.getvalue()


def used(pid: int, port: int, paths: Sequence[str], count: int, rounds: int) -> float:
    """Median CPU milliseconds of a round."""
    fetch(port, paths, count)
    costs = []
    for _ in range(rounds):
        meter = CpuMeter(pid)
        fetch(port, paths, count)
        costs.append(meter.read()[0] * 1000)
    return median(costs)


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
            time.sleep(1)
            own = used(
                pid_of(server),
                server.ports["http"],
                [f"/media/{uuid}?preview=jpeg" for uuid in uuids],
                chosen.previews,
                chosen.rounds,
            )
            paths = [f"/{number}.jpg" for number in range(chosen.files)]
            peer = used(nginx.pid, port, paths, chosen.previews, chosen.rounds)
        finally:
            end(nginx)
    rows = [
        Row("wayframe, CPU", own, "ms", 80 * chosen.previews / 1000),
        Row("nginx, CPU", peer, "ms"),
        Row("wayframe / nginx", own / peer, "×"),
    ]
    finish(f"previews: {chosen.previews} served", rows, chosen.out)


def _picture(answer: object) -> bytes:
    content: bytes = getattr(answer, "content", b"")
    return content if content.startswith(b"\xff\xd8") else b""


if __name__ == "__main__":
    main()
