"""Files beyond 4 GiB use 64-bit offsets; only the header is built here, the samples are claimed."""

from __future__ import annotations

from array import array

from wayframe.media._sample_table import MovieTrack, movie_header, runs_by_time


def test_offsets_widen_only_when_needed() -> None:
    for size, wide in ((1_000_000, False), (60_000_000, True)):
        count = 100
        track = MovieTrack(
            number=1, timescale=1000, sizes=array("I", [size] * count), durations=array("I", [1000] * count),
            entries=[b"\x00\x00\x00\x08avc1"], keys=array("B", [1] * count), width=16, height=16,
        )  # fmt: skip
        runs = runs_by_time([track])
        head = movie_header([track], runs, "h264")
        assert (b"co64" in head) is wide
        assert (b"stco" in head) is not wide
        last = (len(head) + 99 * size).to_bytes(8 if wide else 4, "big")
        assert last in head
        assert head.endswith((100 * size + 16).to_bytes(8, "big") if wide else b"mdat")
