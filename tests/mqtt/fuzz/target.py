"""A fuzz target for MQTT: `python tests/mqtt/fuzz/target.py [--seconds N] [--seed N]`.

With atheris installed it is driven by coverage, otherwise by a mutator of its own that starts from the corpus and does
the same for one seed. An input is the protocol level (first byte), the place of a cut (second byte), then what a
client sends. A crash is any exception out of the connection, and what it must never do: a second end, bytes after the
end, a wait for more than it received. `--write` makes the corpus anew from the vectors.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
sys.path.insert(0, str(HERE.parent))

from mqtt_hosting import Desk, Peer  # noqa: E402  the folder of the tests comes first
from mqtt_vectors import ACCEPTED, EXACT, REFUSED  # noqa: E402

from wayframe.mqtt import V5, V31, V311, Connect  # noqa: E402
from wayframe.mqtt.packets import encode  # noqa: E402

LEVELS = (V5, V311, V31)
MOST = 4096
"""Bytes of one input."""


def run(data: bytes) -> None:
    """One input. Raises what should never be raised."""
    if len(data) < 2:
        return
    level, cut, stream = LEVELS[data[0] % 3], data[1], data[2 : MOST + 2]
    desk = Desk(receive_maximum=3, packet_bytes=2048, topic_aliases=3)
    peer = Peer(desk, level)
    if data[0] & 4:  # as a client that is welcome already
        peer.connection.receive(encode(Connect(level, "c"), level))
    place = len(stream) * cut // 255
    peer.connection.receive(stream[:place])
    peer.connection.receive(stream[place:])
    desk.send("a", b"x", 1)
    peer.connection.durable(1 << 30)
    assert len(desk.gone_with) == peer.connection.closing
    assert peer.connection.framer.waiting <= len(stream)
    if peer.connection.closing:
        before = len(peer.connection.pending)
        peer.connection.receive(stream)
        assert len(peer.connection.pending) == before


def corpus() -> list[bytes]:
    """Inputs to start from."""
    return [path.read_bytes() for path in sorted(CORPUS.iterdir())]


def mutated(parents: list[bytes], chance: random.Random) -> bytes:
    """A child of one or two inputs."""
    data = bytearray(chance.choice(parents))
    for _ in range(chance.randint(1, 6)):
        what = chance.randrange(7)
        place = chance.randrange(len(data) + 1)
        if what == 0 and data:
            data[min(place, len(data) - 1)] ^= 1 << chance.randrange(8)
        elif what == 1:
            data[place:place] = chance.randbytes(chance.randint(1, 8))
        elif what == 2:
            del data[place : place + chance.randint(1, 8)]
        elif what == 3 and data:
            data[min(place, len(data) - 1)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif what == 4:
            data += chance.choice(parents)[2:]  # one conversation after another
        elif what == 5:
            other = chance.choice(parents)
            data[place:] = other[chance.randrange(len(other) + 1) :]
        else:
            end = place + chance.randint(1, 16)
            data[place:place] = data[place:end]
    return bytes(data[: MOST + 2])


def write() -> None:
    """The corpus, from the vectors: each alone to a client that is welcome, and the conversations they make."""
    CORPUS.mkdir(exist_ok=True)
    kinds = {V5: 4, V311: 5, V31: 6}
    for number, (name, version, raw, _) in enumerate([*EXACT, *ACCEPTED, *REFUSED]):
        first = kinds[version] & 3 if name.startswith("connect") else kinds[version]
        label = "".join(letter if letter.isalnum() else "-" for letter in name)
        (CORPUS / f"{number:03d}-{label}").write_bytes(bytes((first, number % 256)) + bytes.fromhex(raw))
    for version in LEVELS:
        talk = b"".join(bytes.fromhex(raw) for _, level, raw, _ in EXACT if level == version)
        (CORPUS / f"talk-{version}").write_bytes(bytes((kinds[version], 128)) + talk)


def search(seconds: float, seed: int) -> int:
    """Mutate until the time is over. Returns the number of inputs; a crash is raised with its input in hex."""
    chance = random.Random(seed)
    parents = corpus()
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        data = mutated(parents, chance)
        try:
            run(data)
        except Exception:
            print(f"crash, seed {seed}, input {count}: {data.hex()}", file=sys.stderr)
            raise
        count += 1
    return count


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    said, rest = parser.parse_known_args()
    if said.write:
        write()
        return
    try:
        import atheris
    except ImportError:
        print(f"{search(said.seconds, said.seed)} inputs, no crash")
        return
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], str(CORPUS), f"-max_total_time={said.seconds:.0f}", *rest], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
