"""Recordings become MP4 files that play everywhere."""

from __future__ import annotations

import io
from pathlib import Path

import av
import pytest
from media_clips import encode, play

from wayframe.media import AccessUnit, AudioConfig, Codec, EmptyRecording, MediaError, Mp4Recorder
from wayframe.media.aac import adts_header


def record(folder: Path, units: list[AccessUnit]) -> Mp4Recorder:
    recorder = Mp4Recorder(folder / "scratch")
    for unit in units:
        recorder.video(unit.codec, unit.data, unit.pts_ms, unit.key)
    return recorder


def atoms(data: bytes) -> list[bytes]:
    names, at = [], 0
    while at < len(data):
        names.append(data[at + 4 : at + 8])
        at += int.from_bytes(data[at : at + 4], "big")
    return names


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_every_picture_comes_back(codec: Codec, h264: list[AccessUnit], h265: list[AccessUnit], tmp_path: Path) -> None:
    units = h264 if codec == "h264" else h265
    facts = record(tmp_path, units).finish(tmp_path / "clip.mp4")
    data = (tmp_path / "clip.mp4").read_bytes()
    video = play(data, "mp4")["video"]
    assert [round(time * 1000) for time in video.times] == [unit.pts_ms for unit in units]
    assert video.size == (facts.width, facts.height) == (320, 180)
    assert facts.frames == len(units)
    assert facts.size == len(data)
    assert facts.video_codec == codec
    assert not facts.has_audio
    assert facts.duration_s == pytest.approx(len(units) / 15, abs=0.002)
    assert atoms(data) == [b"ftyp", b"moov", b"mdat"]
    with av.open(io.BytesIO(data)) as container:
        assert container.duration == pytest.approx(len(units) / 15 * 1_000_000, abs=2000)
        assert container.streams.video[0].codec_context.codec_tag == ("avc1" if codec == "h264" else "hvc1")


def test_scratch_files_are_gone_afterwards(h264: list[AccessUnit], tmp_path: Path) -> None:
    recorder = record(tmp_path, h264)
    recorder.audio("g711a", b"\xd5" * 160, 10)
    recorder.finish(tmp_path / "clip.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    with pytest.raises(MediaError):
        recorder.finish(tmp_path / "again.mp4")
    abandoned = record(tmp_path, h264[:20])
    abandoned.abandon()
    abandoned.abandon()
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_starts_at_the_first_complete_key_frame(h264: list[AccessUnit], tmp_path: Path) -> None:
    recorder = record(tmp_path, h264[7:40])
    assert recorder.dropped == 8
    facts = recorder.finish(tmp_path / "clip.mp4")
    assert facts.frames == 25
    assert play((tmp_path / "clip.mp4").read_bytes(), "mp4")["video"].times[0] == 0


def test_nothing_playable_is_an_error(h264: list[AccessUnit], tmp_path: Path) -> None:
    recorder = record(tmp_path, h264[1:10])
    with pytest.raises(EmptyRecording, match="9 frames"):
        recorder.finish(tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


def test_equal_and_falling_times_are_made_rising(h264: list[AccessUnit], tmp_path: Path) -> None:
    recorder = Mp4Recorder(tmp_path / "scratch")
    for unit, pts in zip(h264, (1000, 1000, 900, 1067, 1134), strict=False):
        recorder.video("h264", unit.data, pts, unit.key)
    recorder.finish(tmp_path / "clip.mp4")
    times = play((tmp_path / "clip.mp4").read_bytes(), "mp4")["video"].times
    assert [round(time * 1000) for time in times] == [0, 1, 2, 67, 134]


def test_huge_first_timestamp(h264: list[AccessUnit], tmp_path: Path) -> None:
    recorder = Mp4Recorder(tmp_path / "scratch")
    for unit in h264[:15]:
        recorder.video("h264", unit.data, unit.pts_ms + 1_700_000_000_000, unit.key)
    assert recorder.finish(tmp_path / "clip.mp4").duration_s == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("adts", [False, True])
def test_aac_goes_in_beside_the_pictures(
    adts: bool, h264: list[AccessUnit], aac: tuple[list[bytes], AudioConfig], tmp_path: Path
) -> None:
    frames, config = aac
    recorder = Mp4Recorder(tmp_path / "scratch")
    for unit in h264:
        recorder.video("h264", unit.data, unit.pts_ms, unit.key)
    for index, frame in enumerate(frames[4:]):
        if adts:
            recorder.audio("aac", adts_header(config, len(frame)) + frame, (index + 4) * 128)
        else:
            recorder.audio("aac", frame, (index + 4) * 128, config=config)
    assert recorder.pending_audio() is None
    assert recorder.finish(tmp_path / "clip.mp4").has_audio
    tracks = play((tmp_path / "clip.mp4").read_bytes(), "mp4")
    assert len(tracks["video"].times) == 150
    assert len(tracks["audio"].times) == len(frames) - 4
    assert tracks["audio"].times[0] == pytest.approx(0.512, abs=0.002)


def test_a_gap_in_the_sound_is_kept(
    h264: list[AccessUnit], aac: tuple[list[bytes], AudioConfig], tmp_path: Path
) -> None:
    frames, config = aac
    recorder = record(tmp_path, h264)
    for index in (*range(10), *range(40, 60)):
        recorder.audio("aac", frames[index], index * 128, config=config)
    recorder.finish(tmp_path / "clip.mp4")
    times = play((tmp_path / "clip.mp4").read_bytes(), "mp4")["audio"].times
    assert times[10] - times[9] == pytest.approx(31 * 0.128, abs=0.01)


def test_foreign_sound_waits_and_is_left_out_without_workers(h264: list[AccessUnit], tmp_path: Path) -> None:
    recorder = record(tmp_path, h264)
    recorder.audio("g711a", b"\xd5" * 160, 0)
    recorder.audio("g711a", b"\xd5" * 160, 20)
    recorder.audio("g726", b"\x00" * 80, 40)
    pending = recorder.pending_audio()
    assert pending is not None
    assert (pending.codec, list(pending.sizes), list(pending.pts_ms)) == ("g711a", [160, 160], [0, 20])
    assert pending.path.read_bytes() == b"\xd5" * 320
    assert recorder.dropped == 1
    assert not recorder.finish(tmp_path / "clip.mp4").has_audio


def test_a_change_of_size_gets_its_own_description(h264: list[AccessUnit], tmp_path: Path) -> None:
    later = encode("h264", 15, width=640, height=360)
    recorder = record(tmp_path, h264[:15])
    for unit in later:
        recorder.video("h264", unit.data, unit.pts_ms + 1000, unit.key)
    assert recorder.finish(tmp_path / "clip.mp4").frames == 30
    with av.open(str(tmp_path / "clip.mp4")) as container:
        widths = [frame.width for frame in container.decode(video=0)]
    assert widths == [320] * 15 + [640] * 15
