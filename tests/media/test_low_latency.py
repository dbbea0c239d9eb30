"""Low-latency HLS: parts, blocking reload, hints, and no cost when nobody watches that way."""

from __future__ import annotations

import asyncio
import re

import pytest
from media_clips import encode, play

from wayframe.media import AccessUnit, AudioConfig, LiveStream, LlPlaylist, LlStatus

pytestmark = pytest.mark.anyio
START = 1_790_000_000.0


class Clock:
    """A clock the test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def feed(stream: LiveStream, units: list[AccessUnit], clock: Clock, shift_ms: int = 0) -> None:
    for unit in units:
        clock.now = START + (unit.pts_ms + shift_ms) / 1000
        stream.video(unit.data, unit.pts_ms + shift_ms, unit.key, clock.now)


async def started(h264: list[AccessUnit]) -> tuple[LiveStream, Clock]:
    """A stream of 53 pictures: the first part of the fourth second exists."""
    clock = Clock()
    stream = LiveStream(base="u/", clock=clock)
    feed(stream, h264[:53], clock)
    assert (await stream.ll_playlist()).status is LlStatus.OK
    return stream, clock


async def asked(stream: LiveStream) -> asyncio.Task[LlPlaylist]:
    """Somebody asks for the playlist, and waits until there is one."""
    task = asyncio.create_task(stream.ll_playlist())
    await asyncio.sleep(0)
    return task


async def text_of(stream: LiveStream, msn: int | None = None, part: int | None = None) -> str:
    answer = await stream.ll_playlist(msn, part)
    assert answer.status is LlStatus.OK, answer.text
    return answer.text


def hint(text: str) -> str:
    found = re.search(r'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="u/(.*)"', text)
    assert found is not None
    return found.group(1)


def parts(text: str) -> list[tuple[float, str, bool]]:
    lines = re.findall(r'#EXT-X-PART:DURATION=([\d.]+),URI="u/(.*?)"(.*)', text)
    return [(float(duration), name, "INDEPENDENT=YES" in rest) for duration, name, rest in lines]


async def test_playlist_follows_the_rules(h264: list[AccessUnit]) -> None:
    stream, clock = await started(h264)
    feed(stream, h264[53:100], clock)
    text = await text_of(stream)
    target = float(re.search(r"PART-TARGET=([\d.]+)", text).group(1))
    hold_back = float(re.search(r"PART-HOLD-BACK=([\d.]+)", text).group(1))
    assert "CAN-BLOCK-RELOAD=YES" in text
    assert 0.4 <= target < 0.45
    assert hold_back >= 3 * target - 0.001
    by_segment: dict[str, list[float]] = {}
    for duration, name, _ in parts(text):
        by_segment.setdefault(name.rsplit(".", 2)[0], []).append(duration)
    for durations in by_segment.values():
        assert all(duration <= target for duration in durations)
        assert all(duration >= 0.85 * target for duration in durations[:-1])
    assert all(independent == name.endswith(".0.m4s") for _, name, independent in parts(text))
    assert hint(text) not in [name for _, name, _ in parts(text)]


async def test_init_and_parts_play_to_the_last_picture(
    h264: list[AccessUnit], aac: tuple[list[bytes], AudioConfig]
) -> None:
    frames, config = aac
    clock = Clock()
    stream = LiveStream(base="u/", clock=clock)
    position = 0
    for index, unit in enumerate(h264[:90]):
        feed(stream, [unit], clock)
        while position * 128 <= unit.pts_ms:
            stream.aac(frames[position], position * 128, config)
            position += 1
        if index == 5:
            watcher = await asked(stream)
    stream.end()
    assert (await watcher).status is LlStatus.OK
    text = await text_of(stream)
    init = re.search(r'#EXT-X-MAP:URI="u/(.*)"', text)
    assert init is not None
    names = [init.group(1), *(line[2:] for line in text.splitlines() if line.startswith("u/"))]
    data = b"".join([stream.segment(name) or b"" for name in names])
    tracks = play(data, "mp4")
    assert [round(time * 1000) for time in tracks["video"].times] == [unit.pts_ms for unit in h264[:90]]
    assert len(tracks["audio"].times) >= 40
    assert "#EXT-X-ENDLIST" in text
    assert "PRELOAD-HINT" not in text


async def test_blocking_reload_answers_when_the_part_exists(h264: list[AccessUnit]) -> None:
    stream, clock = await started(h264)
    text = await text_of(stream)
    sequence, index = map(int, re.search(r"-l(\d+)\.(\d+)\.m4s", hint(text)).groups())
    waiting = asyncio.create_task(text_of(stream, sequence, index))
    hinted = asyncio.create_task(stream.resource(hint(text)))
    await asyncio.sleep(0)
    assert not waiting.done()
    feed(stream, h264[53:62], clock)
    later = await asyncio.wait_for(waiting, 5)
    assert hint(text) in [name for _, name, _ in parts(later)]
    assert await asyncio.wait_for(hinted, 5) == stream.segment(hint(text))


async def test_a_part_beyond_its_segment_means_the_next_segment(h264: list[AccessUnit]) -> None:
    stream, clock = await started(h264)
    text = await text_of(stream)
    sequence = int(re.search(r"-l(\d+)\.\d+\.m4s", hint(text)).group(1))
    waiting = asyncio.create_task(text_of(stream, sequence, 9))
    await asyncio.sleep(0)
    feed(stream, h264[53:61], clock)
    await asyncio.sleep(0)
    assert not waiting.done()
    feed(stream, h264[61:70], clock)
    assert f"-l{sequence + 1}.0.m4s" in await asyncio.wait_for(waiting, 5)


async def test_bad_requests(h264: list[AccessUnit]) -> None:
    stream, _ = await started(h264)
    assert (await stream.ll_playlist(None, 0)).status is LlStatus.BAD_REQUEST
    assert (await stream.ll_playlist(-1)).status is LlStatus.BAD_REQUEST
    assert (await stream.ll_playlist(1000)).status is LlStatus.BAD_REQUEST


async def test_gives_up_when_the_device_is_silent(h264: list[AccessUnit]) -> None:
    clock = Clock()

    def leaping() -> float:
        clock.now += 20.0
        return clock.now

    stream = LiveStream(base="u/", clock=leaping)
    assert (await stream.ll_playlist()).status is LlStatus.GAVE_UP


async def test_end_wakes_everybody(h264: list[AccessUnit]) -> None:
    stream, _ = await started(h264)
    text = await text_of(stream)
    waiting = asyncio.create_task(stream.ll_playlist(0, 1))
    hinted = asyncio.create_task(stream.resource(hint(text)))
    await asyncio.sleep(0)
    stream.end()
    assert "#EXT-X-ENDLIST" in (await asyncio.wait_for(waiting, 5)).text
    await asyncio.wait_for(hinted, 5)


async def test_unknown_names_are_gone(h264: list[AccessUnit]) -> None:
    stream, _ = await started(h264)
    assert await stream.resource("nothing.m4s") is None


async def test_costs_nothing_when_nobody_asked_for_a_minute(h264: list[AccessUnit]) -> None:
    clock = Clock()
    watched, plain = LiveStream(base="u/", clock=clock), LiveStream(base="u/", clock=clock)
    for stream in (watched, plain):
        feed(stream, h264[:53], clock)
    first = await text_of(watched)
    assert watched.bytes_held > plain.bytes_held
    for turn in range(1, 21):
        for stream in (watched, plain):
            feed(stream, h264, clock, shift_ms=turn * 10_000)
            stream.expire(clock.now)
    assert watched.bytes_held == plain.bytes_held
    for name in [name for _, name, _ in parts(first)]:
        assert watched.segment(name) is None
    again = await text_of(watched)
    assert "#EXT-X-DISCONTINUITY" in again
    before = max(int(number) for number in re.findall(r"-l(\d+)", first))
    assert min(int(number) for number in re.findall(r"-l(\d+)", again)) > before


async def test_new_parameters_get_a_new_map(h264: list[AccessUnit]) -> None:
    stream, clock = await started(h264)
    await text_of(stream)
    feed(stream, encode("h264", 40, width=640, height=360), clock, shift_ms=3000)
    text = await text_of(stream)
    assert text.count("#EXT-X-MAP") == 2
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1


@pytest.mark.parametrize("fps", [2, 5, 7, 10, 12, 25, 30])
async def test_parts_at_other_frame_rates(fps: int, h264: list[AccessUnit]) -> None:
    clock = Clock()
    stream = LiveStream(base="u/", clock=clock)
    for index, unit in enumerate(h264):
        clock.now = START + index / fps
        stream.video(unit.data, round(index * 1000 / fps), unit.key, clock.now)
        if index == 80:
            watcher = await asked(stream)
    assert (await watcher).status is LlStatus.OK
    text = await text_of(stream)
    target = float(re.search(r"PART-TARGET=([\d.]+)", text).group(1))
    by_segment: dict[str, list[float]] = {}
    for duration, name, _ in parts(text):
        by_segment.setdefault(name.rsplit(".", 2)[0], []).append(duration)
    assert by_segment
    for durations in by_segment.values():
        assert all(duration <= target + 0.001 for duration in durations)
        assert all(duration >= 0.85 * target for duration in durations[:-1])
