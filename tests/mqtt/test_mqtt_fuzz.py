"""The fuzz target's corpus again, and some thousands of mutations of it that are always the same."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "fuzz"))

from target import corpus, mutated, run


def test_corpus() -> None:
    inputs = corpus()
    assert len(inputs) > 100
    for data in inputs:
        run(data)


@pytest.mark.parametrize("seed", range(4))
def test_mutations(seed: int) -> None:
    chance = random.Random(seed)
    parents = corpus()
    for _ in range(1500):
        data = mutated(parents, chance)
        try:
            run(data)
        except Exception as error:
            raise AssertionError(f"crash with {data.hex()}") from error
