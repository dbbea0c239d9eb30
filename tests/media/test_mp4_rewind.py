"""A recording that broke off goes on from an earlier point: what is recorded twice is kept once."""

from __future__ import annotations

from pathlib import Path

import av

from wayframe.media import AccessUnit, Mp4Recorder


def test_rewind_replaces_the_end(tmp_path: Path, h264: list[AccessUnit]) -> None:
    recorder = Mp4Recorder(tmp_path / "scratch")
    for unit in h264:
        recorder.video(unit.codec, unit.data, unit.pts_ms, unit.key)
    whole, size = recorder.frames, recorder.size
    again = next(unit for unit in h264[1:] if unit.key)
    recorder.rewind(again.pts_ms)
    assert recorder.frames == h264.index(again) and recorder.size < size
    for unit in h264[h264.index(again) :]:
        recorder.video(unit.codec, unit.data, unit.pts_ms, unit.key)
    assert (recorder.frames, recorder.size) == (whole, size)
    facts = recorder.finish(tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == facts.frames == whole


def test_rewind_to_the_beginning_leaves_nothing(tmp_path: Path, h264: list[AccessUnit]) -> None:
    recorder = Mp4Recorder(tmp_path / "scratch")
    for unit in h264:
        recorder.video(unit.codec, unit.data, unit.pts_ms, unit.key)
    recorder.rewind(h264[0].pts_ms)
    assert (recorder.frames, recorder.size) == (0, 0)
    recorder.abandon()
