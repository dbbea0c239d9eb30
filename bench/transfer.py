"""100 MB up and down against nginx: our multipart upload (hashed, synced, in the database) against its WebDAV PUT,
our download against its static file.

Run: .venv/bin/python bench/transfer.py [--megabytes 100] [--rounds 7] [--out FILE]
One connection, client and server on different cores. Ours and nginx take turns; medians of megabytes a second are
compared. nginx neither hashes nor syncs what it takes. --sync-peer makes the client sync nginx's file, as a fair upper
bound of what this disk allows a durable upload.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from _bench import CpuMeter, Row, end, finish, house, median, options, pid_of, register, spawn
from live_cpu import free_ports

from e2e.house import House

_EDGE = "b3nch"
_READ = 1 << 20


def exchange(port: int, head: str, body: Sequence[bytes | memoryview] = ()) -> tuple[int, bytes, int, float]:
    """One request on its own connection: status, the first 64 KiB of the answer's body, its size, seconds."""
    with socket.create_connection(("127.0.0.1", port)) as link:
        begin = time.perf_counter()
        link.sendall(head.encode())
        for piece in body:
            link.sendall(piece)
        buffer = bytearray(_READ)
        data = b""
        while b"\r\n\r\n" not in data:
            got = link.recv(65536)
            assert got, data
            data += got
        header, _, start = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", header)
        expected = int(length[1]) if length else 0
        size = len(start)
        while size < expected:
            got_size = link.recv_into(buffer)
            assert got_size, "cut off"
            if size < 65536:
                start += buffer[:got_size]
            size += got_size
        return int(header.split()[1]), start, size, time.perf_counter() - begin


def upload(server: House, device: int, data: bytes) -> tuple[str, float]:
    """Our door: the file's uuid, and seconds until it is durable."""
    start = f'--{_EDGE}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'.encode()
    stop = f"\r\n--{_EDGE}--\r\n".encode()
    head = (
        f"POST /gw/devices/{device}/media HTTP/1.1\r\nHost: bench\r\nAuthorization: FlespiToken {server.key}\r\n"
        f"Content-Type: multipart/form-data; boundary={_EDGE}\r\n"
        f"Content-Length: {len(start) + len(data) + len(stop)}\r\n\r\n"
    )
    status, answer, _, seconds = exchange(server.ports["http"], head, [start, memoryview(data), stop])
    assert status == 200, answer
    found = re.search(rb'"uuid": ?"(\w{64})"', answer)
    assert found is not None, answer
    return found[1].decode(), seconds


def download(port: int, path: str, size: int) -> float:
    """Seconds of a GET."""
    status, _, got, seconds = exchange(port, f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
    assert (status, got) == (200, size), (status, got)
    return seconds


def put(port: int, path: str, data: bytes) -> float:
    """Seconds of nginx's PUT."""
    head = f"PUT {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    status, answer, _, seconds = exchange(port, head, [memoryview(data)])
    assert status in (201, 204), answer
    return seconds


def configure_nginx(folder: Path, port: int) -> Path:
    """nginx as it comes, with a folder to read from and write to."""
    (folder / "files").mkdir()
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        "events {}\n"
        f"http {{ access_log off; keepalive_requests 1000000; sendfile on; tcp_nopush on; client_max_body_size 0; "
        f"client_body_temp_path {folder}/body; server {{ listen 127.0.0.1:{port}; root {folder}/files; "
        "dav_methods PUT; } }\n"
    )
    return path


def synced(path: Path) -> float:
    """Seconds of an fsync."""
    begin = time.perf_counter()
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
    return time.perf_counter() - begin


def main() -> None:
    """Run and print."""
    parser = options(__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sync-peer", action="store_true", help="add an fsync to each of nginx's uploads")
    chosen = parser.parse_args()
    size = chosen.megabytes * 1_000_000
    up, down, peer_up, peer_down, cpu = [], [], [], [], []
    with tempfile.TemporaryDirectory(prefix="wayframe-bench-") as name, house() as server:
        folder, (port,) = Path(name), free_ports(1)
        nginx = spawn(["nginx", "-c", str(configure_nginx(folder, port)), "-p", name], folder)
        try:
            (device,) = register(server, ["013900000001"])
            time.sleep(1)
            for _ in range(chosen.rounds + 1):
                data = os.urandom(size)
                meter = CpuMeter(pid_of(server))
                uuid, seconds = upload(server, device, data)
                up.append(seconds)
                cpu.append(meter.read()[0])
                down.append(download(server.ports["http"], f"/media/{uuid}", size))
                seconds = put(port, "/file.bin", data)
                peer_up.append(seconds + (synced(folder / "files" / "file.bin") if chosen.sync_peer else 0))
                peer_down.append(download(port, "/file.bin", size))
        finally:
            end(nginx)
    # The first round warms caches.
    rates = [chosen.megabytes / median(times[1:]) for times in (down, peer_down, up, peer_up)]
    rows = [
        Row("download, wayframe", rates[0], "MB/s"),
        Row("download, nginx", rates[1], "MB/s"),
        Row("download, wayframe / nginx", rates[0] / rates[1], "×", 0.6, at_least=True),
        Row("upload, wayframe: hashed, durable, in the database", rates[2], "MB/s"),
        Row("upload, nginx PUT" + (", then synced" if chosen.sync_peer else ""), rates[3], "MB/s"),
        Row("upload, wayframe / nginx", rates[2] / rates[3], "×", 0.6, at_least=True),
        Row("upload, CPU of the server", median(cpu[1:]) * 1000, "ms"),
    ]
    finish(f"transfer: {chosen.megabytes} MB on one connection", rows, chosen.out)


if __name__ == "__main__":
    main()
