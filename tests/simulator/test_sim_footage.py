"""Rendered video: decodable, on the time line, and its time readable in the picture and beside it."""

from __future__ import annotations

import io
from pathlib import Path

import av
import pytest
from PIL import Image

from wayframe.simulator import clips, scene, timecode
from wayframe.simulator.footage import Codec, Render, VideoFormat, VideoFrame, frame_at, frame_time_ms, open_source

NAMES = {Codec.H264: "h264", Codec.H265: "hevc"}
SLICES = {Codec.H264: range(1, 6), Codec.H265: range(32)}
TITLE = "TEST CH1"
START = frame_at(1_760_000_000.4, 15)


def small(codec: Codec, gop: int = 15) -> VideoFormat:
    return VideoFormat(codec, 480, 272, 15, 300, gop)


def decode(frames: list[VideoFrame], codec: Codec) -> list[Image.Image]:
    decoder = av.CodecContext.create(NAMES[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    pictures = [picture for frame in frames for picture in decoder.decode(av.Packet(frame.data))]
    return [picture.to_image() for picture in pictures + decoder.decode(None)]


def units(data: bytes, codec: Codec) -> list[int]:
    heads = [unit[0] for unit in data.split(b"\0\0\1")[1:]]
    return [head >> 1 & 63 if codec is Codec.H265 else head & 31 for head in heads]


@pytest.mark.parametrize("codec", list(Codec))
def test_live_footage_shows_its_own_time(codec: Codec, tmp_path: Path) -> None:
    source = open_source(small(codec), 1, TITLE, START, Render.LIVE, align=False, cache=tmp_path)
    frames = [source.next() for _ in range(40)]
    assert [frame.number for frame in frames] == list(range(START, START + 40))
    pictures = decode(frames, codec)
    assert [timecode.read_strip(picture) for picture in pictures] == [frame.timestamp_ms for frame in frames]
    assert [timecode.read_sei(frame.data) for frame in frames] == [frame.timestamp_ms for frame in frames]


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("render", list(Render))
def test_key_frames_carry_parameter_sets_and_others_one_slice(codec: Codec, render: Render, tmp_path: Path) -> None:
    source = open_source(small(codec), 1, TITLE, START, render, align=True, cache=tmp_path)
    frames = [source.next() for _ in range(40)]
    sets = {7, 8} if codec is Codec.H264 else {32, 33, 34}
    assert [frame.number for frame in frames if frame.key] == [n for n in range(START - 14, START + 40) if n % 15 == 0][
        :3
    ]
    for frame in frames:
        kinds = units(frame.data, codec)
        assert sets <= set(kinds) if frame.key else not sets & set(kinds)
        assert len([kind for kind in kinds if kind in SLICES[codec]]) == 1
        assert frame.data.startswith(b"\0\0\0\1")


@pytest.mark.parametrize("codec", list(Codec))
def test_loops_are_kept_on_disk_and_carry_true_time_beside_the_picture(codec: Codec, tmp_path: Path) -> None:
    video = small(codec)
    first = open_source(video, 2, TITLE, START, Render.LOOP, align=False, cache=tmp_path)
    frames = [first.next() for _ in range(400)]
    assert len(list(tmp_path.iterdir())) == 1
    assert frames[0].key
    assert [timecode.read_sei(frame.data) for frame in frames] == [
        frame_time_ms(number, 15) for number in range(START, START + 400)
    ]
    pictures = decode(frames, codec)
    assert len(pictures) == 400
    assert [timecode.read_strip(picture) for picture in pictures[:3]] == [0, 66, 133]


def test_recorded_footage_is_the_same_whenever_it_is_read(tmp_path: Path) -> None:
    video = small(Codec.H264)
    runs = [
        [open_source(video, 1, TITLE, START + late, render, align=True, cache=tmp_path).next() for late in (0, 1)]
        for render in (Render.LIVE, Render.LIVE, Render.LOOP, Render.LOOP)
    ]
    assert runs[0] == runs[1]
    assert runs[2] == runs[3]


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (704, 576), (640, 360), (352, 288), (176, 144)])
@pytest.mark.parametrize("view", list(scene.View))
def test_strip_is_readable_in_all_sizes_also_scaled_and_compressed(view: scene.View, size: tuple[int, int]) -> None:
    moment = 1_760_000_123_456
    picture = scene.draw(view, size, moment, TITLE)
    assert timecode.read_strip(picture) == moment
    squeezed = io.BytesIO()
    picture.save(squeezed, "JPEG", quality=50)
    assert timecode.read_strip(Image.open(squeezed)) == moment
    half = picture.resize((size[0] // 2 + 32, size[1] // 2 + 32))
    assert timecode.read_strip(half, size[1]) == moment


def test_pictures_without_a_strip_have_no_time() -> None:
    assert timecode.read_strip(Image.new("RGB", (640, 360), (90, 90, 90))) is None
    assert timecode.read_sei(b"\0\0\0\1\x65\x88\x80") is None


def test_sei_times_with_zeros_are_protected() -> None:
    slice_ = b"\0\0\0\1\x65\x88\x84"
    for moment in (0, 1, 0x300, 0x01000000_0000, 0x19A0000_0301):
        unit = timecode.with_sei(slice_, moment, hevc=False)
        assert timecode.read_sei(unit) == moment
        assert b"\0\0\0" not in unit[5 : -len(slice_)]
        assert unit.endswith(slice_)


@pytest.mark.parametrize("codec", list(Codec))
def test_clips_are_playable_mp4(codec: Codec, tmp_path: Path) -> None:
    video = small(codec)
    frames = clips.frames(video, 3, TITLE, 1_760_000_000.0, 3.0, Render.LIVE, tmp_path)
    with av.open(io.BytesIO(clips.mp4(frames, video))) as container:
        times = [timecode.read_strip(frame.to_image()) for frame in container.decode(video=0)]
        assert container.duration == 3_000_000
    assert times == [frame.timestamp_ms for frame in frames]
    assert clips.raw(frames).count(timecode.UUID) == 45


def test_cameras_look_different_ways() -> None:
    assert [scene.view_of(channel).name for channel in (1, 2, 3, 4, 5)] == ["AHEAD", "DRIVER", "SIDE", "REAR", "AHEAD"]
    assert (scene.view_of(0x64).name, scene.view_of(0x65).name) == ("AHEAD", "DRIVER")


def test_photos_are_jpeg_of_the_asked_size() -> None:
    data = scene.jpeg(scene.View.AHEAD, (1024, 768), 1_760_000_000_000, TITLE, 5)
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "JPEG"
    assert picture.size == (1024, 768)
