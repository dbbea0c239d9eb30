"""`wayframe demo`: a server, three simulated vehicles on real sockets, and links that play.

The vehicles run in a process of their own and know nothing but the signalling port. Everything the demo asks for goes
through the public REST API, as any application would.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
from collections.abc import AsyncIterator
from typing import Any

import httpx
import structlog
from rich.console import Console

from wayframe import logs
from wayframe.bus import Subscription
from wayframe.config import Settings
from wayframe.model import Conflict
from wayframe.node import Node
from wayframe.protocols.registry import PROTOCOLS
from wayframe.services import CUSTOMER, DEVICES
from wayframe.wiring import JT808, with_free_ports

log = structlog.get_logger("wayframe.demo")

_ONLINE_WAIT_S = 60.0
_WATCH_EVERY_S = 20.0
_CLIP_S = 10
_CLIP_AGO_S = 120


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    from wayframe.simulator import DEMO_IDENTS, DEMO_NAMES

    settings = with_free_ports(settings)
    settings = settings.model_copy(
        update={
            "data_dir": settings.data_dir / "demo",
            "database_url": "",
            "blobs_dir": "",
            "public_url": settings.public_url or f"http://localhost:{settings.http_port}",
        }
    )
    logs.configure(settings.log_format, "warning")  # the links are what one wants to see here
    node = Node(settings)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await node.start()
    console = Console(soft_wrap=True, highlight=False)
    key = await _demo_token(node)
    devices = await _register(node, DEMO_IDENTS, DEMO_NAMES)
    console.print(f"\n  [bold]Wayframe demo[/bold] at {node.services.links.base}   (Ctrl-C ends it)")
    console.print(f"  Token for the API: {key}")
    console.print(f"  API documentation: {node.services.links.base}/docs")
    console.print(f"  The fleet, live over MQTT: {node.services.links.base}/fleet#token={key}")
    if settings.tls == "on":
        authority = node.settings.tls_dir / "ca.pem"
        console.print(f"  Over TLS, for flespi's web applications: {node.settings.secure_url} (trust {authority})")
    console.print()
    show = asyncio.create_task(_run_show(node, key, devices, console))
    try:
        with _fleet(node.gateway.ports()):
            await ended.wait()
    finally:
        show.cancel()
        await asyncio.gather(show, return_exceptions=True)
        async with asyncio.timeout(settings.stop_grace_s):
            await node.stop()


async def _demo_token(node: Node) -> str:
    """A master token of this run."""
    account = next(node.services.directory.entries(CUSTOMER))
    body = {"info": "demo", "ttl": 86_400, "access": {"type": 1}}
    entry = await node.services.directory.create_token(account.id, body)
    return str(entry.view["key"])


async def _register(node: Node, idents: tuple[str, ...], names: tuple[str, ...]) -> list[int]:
    """Make sure the vehicles are registered. Returns their device ids."""
    directory = node.services.directory
    account = next(directory.entries(CUSTOMER))
    kind = next(protocol for protocol in PROTOCOLS if protocol.id == JT808).device_types[0]
    ids = []
    for ident, name in zip(idents, names, strict=True):
        entry = directory.device_by_ident(JT808, [ident])
        if entry is None:
            body = {"name": name, "device_type_id": kind.id, "configuration": {"ident": ident}}
            with contextlib.suppress(Conflict):
                entry = await directory.create_device(account.id, body)
        if entry is not None:
            ids.append(entry.id)
    return ids


@contextlib.contextmanager
def _fleet(ports: dict[str, int]) -> Any:
    """The simulated vehicles, in a process of their own."""
    port = next(number for name, number in ports.items() if name.startswith("channel-"))
    process = multiprocessing.get_context("spawn").Process(target=_drive, args=(port,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join(5)


def _drive(port: int) -> None:
    """Body of the vehicles' process."""
    from wayframe.simulator import run_demo_fleet

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(run_demo_fleet("127.0.0.1", port))


async def _run_show(node: Node, key: str, devices: list[int], console: Console) -> None:
    """Ask the vehicles for photos, clips and live video, and print the links that come."""
    base = node.settings.local_url
    links = node.services.links
    headers = {"Authorization": f"FlespiToken {key}"}
    client = httpx.AsyncClient(base_url=base, headers=headers, timeout=90, trust_env=False)
    with node.bus.subscribe(f"flespi/log/{DEVICES}/+/media_file_uploaded", limit=100) as uploads:
        async with client, asyncio.TaskGroup() as tasks:
            tasks.create_task(_print_uploads(uploads, links.base, console))
            await _online(node, devices)
            names = {entry.id: entry.view["name"] for entry in node.services.directory.entries(DEVICES)}
            for device_id, channel in ((devices[0], 1), (devices[1], 1)):
                tasks.create_task(_live(client, device_id, channel, names[device_id], links.base, console))
            for device_id in devices:
                tasks.create_task(_ask(client, device_id, node.clock.now()))


async def _online(node: Node, devices: list[int]) -> None:
    """Wait until every vehicle is connected."""
    entries = [node.services.directory.device(device_id) for device_id in devices]
    async with asyncio.timeout(_ONLINE_WAIT_S):
        with node.bus.subscribe(f"flespi/log/{DEVICES}/+/connected") as connected:
            while not all(entry is not None and entry.view["connected"] for entry in entries):
                await connected.get()


async def _ask(client: httpx.AsyncClient, device_id: int, now: float) -> None:
    """Queue a photo and a clip."""
    commands = [
        {"name": "take_photo", "properties": {"channel": 1}, "ttl": 600},
        {
            "name": "request_video",
            "properties": {"channel": 1, "from": int(now) - _CLIP_AGO_S, "duration": _CLIP_S},
            "ttl": 600,
        },
    ]
    answer = await client.post(f"/gw/devices/{device_id}/commands-queue", json=commands)
    for error in answer.json().get("errors", []):
        log.error("demo_command_refused", device=device_id, reason=error["reason"])


async def _live(
    client: httpx.AsyncClient, device_id: int, channel: int, name: str, public: str, console: Console
) -> None:
    """Start a live stream and keep watching it, so that its link stays alive as long as the demo runs."""
    while True:
        body = [{"name": "start_videostream", "properties": {"channel": channel}, "timeout": 60}]
        answer = await client.post(f"/gw/devices/{device_id}/commands", json=body)
        result = answer.json()["result"][0] if answer.json().get("result") else {}
        if result.get("executed"):
            uuid = result["response"]["uuid"]
            console.print(f"  live   {name}, camera {channel}: {public}/watch/{uuid}")
            await _watch(client, uuid)
            log.warning("demo_live_ended", device=device_id, camera=channel)
        else:
            log.error("demo_live_failed", device=device_id, answer=answer.text[:300])
        await asyncio.sleep(5)


async def _watch(client: httpx.AsyncClient, uuid: str) -> None:
    """Be a viewer until the stream ends."""
    answer = await client.get(f"/media/{uuid}")
    while answer.status_code == httpx.codes.OK:
        _, answer = await asyncio.gather(asyncio.sleep(_WATCH_EVERY_S), client.get(f"/media/{uuid}"))


async def _print_uploads(uploads: Subscription, public: str, console: Console) -> None:
    async for event in _stream(uploads):
        file = event.payload
        kind = {"video": "clip ", "image": "photo"}.get(file["meta"]["type"], "file ")
        detail = f", {file['meta']['duration']:.0f} s" if file["meta"].get("duration") else ""
        console.print(f"  {kind}  device {file['device_id']}, {file['name']}{detail}: {public}/watch/{file['uuid']}")


async def _stream(uploads: Subscription) -> AsyncIterator[Any]:
    while True:
        yield await uploads.get()
