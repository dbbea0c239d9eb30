"""How long the directory takes to select among 100,000 registered devices, rights and visibility included.

.venv/bin/python bench/selectors_in_place.py [--devices N] [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from wayframe.config import PORTS, Settings
from wayframe.model import Device, Token
from wayframe.node import Node
from wayframe.services import CUSTOMER, DEVICES, TOKENS

SELECTORS = (
    "all", "50000", "configuration.ident=139000050000", "{connected}", "name=Truck 9*", "{device_type_id==5&&enabled}",
    "{telemetry.position.speed > 50}", "{last_active < (now() - 86400)}",
)  # fmt: skip


async def measure(devices: int, rounds: int, folder: Path) -> None:
    ports = dict.fromkeys((port.setting for port in PORTS), 0)
    node = Node(Settings(data_dir=folder, media_workers=1, **ports))
    await node.start()
    directory = node.services.directory
    account = next(directory.entries(CUSTOMER))
    for number in range(1, devices + 1):
        device = Device(
            id=number, cid=account.id, name=f"Truck {number}", device_type_id=5, protocol_id=552,
            configuration={"ident": f"139{number:09d}"},
        )  # fmt: skip
        view = directory.place(DEVICES, device).view
        view["telemetry"] = {"position.speed": number % 100, "position.latitude": 52.5, "position.longitude": 13.4}
        view["connected"] = number % 3 == 0
    token = next(directory.entries(TOKENS)).item
    assert isinstance(token, Token)
    caller = directory.caller(token)
    print(f"{'selector':45} {'found':>7} {'ms':>9}")
    for selector in SELECTORS:
        times = []
        for _ in range(rounds):
            begun = time.perf_counter()
            found = await directory.select(caller, DEVICES, selector, "GET")
            times.append(time.perf_counter() - begun)
        print(f"{selector:45} {len(found):7} {statistics.median(times) * 1000:9.3f}")
    await node.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(options.devices, options.rounds, Path(folder)))


if __name__ == "__main__":
    main()
