"""One live stream as its viewers see it: playlists, segments, FLV, limits."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from media_clips import FolderSpool, encode, play

from wayframe.media import AccessUnit, AudioConfig, LiveStream, LlStatus, MediaError

pytestmark = pytest.mark.anyio
START = 1_790_000_000.0


class Clock:
    """A clock the test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def feed(
    stream: LiveStream, units: Iterable[AccessUnit], clock: Clock | None = None, shift_ms: int = 0, speed: float = 1.0
) -> None:
    for unit in units:
        pts = int(unit.pts_ms * speed) + shift_ms
        if clock is not None:
            clock.now = START + pts / 1000
        stream.video(unit.data, pts, unit.key, START + pts / 1000)


def tag(text: str, name: str) -> str:
    found = re.search(rf"^#EXT-X-{name}:(.*)$", text, re.M)
    assert found is not None, f"{name} missing in\n{text}"
    return found.group(1)


def uris(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def durations(text: str) -> list[float]:
    return [float(value) for value in re.findall(r"#EXTINF:([\d.]+),", text)]


def names(text: str) -> list[str]:
    return [uri.removeprefix("u/") for uri in uris(text)]


def segments(stream: LiveStream, wanted: list[str]) -> list[bytes]:
    data = [stream.segment(name) for name in wanted]
    assert all(data)
    return [piece for piece in data if piece is not None]


# --- classic HLS ----------------------------------------------------------------------------------------------------


def test_no_playlist_before_the_first_segment(h264: list[AccessUnit]) -> None:
    stream = LiveStream()
    assert stream.playlist() is None
    assert stream.poster_source() is None
    assert stream.facts is None
    feed(stream, h264[:15])
    assert stream.playlist() is None
    feed(stream, h264[15:16])
    assert stream.playlist() is not None


def test_playlist_follows_the_rules(h264: list[AccessUnit]) -> None:
    stream = LiveStream(base="u/")
    feed(stream, h264)
    text = stream.playlist() or ""
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    assert tag(text, "VERSION") == "3"
    assert tag(text, "TARGETDURATION") == "2"
    assert "ENDLIST" not in text
    assert "EXT-X-PART" not in text
    assert "DISCONTINUITY" not in text
    assert all(uri.startswith("u/") for uri in uris(text))
    assert all(round(duration) <= 2 for duration in durations(text))
    assert sum(durations(text)) >= 3 * 2
    number = int(tag(text, "MEDIA-SEQUENCE"))
    assert number + len(uris(text)) == 9
    moment = datetime.fromtimestamp(START + number, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert tag(text, "PROGRAM-DATE-TIME") == moment
    stream.end()
    assert (stream.playlist() or "").endswith("#EXT-X-ENDLIST\n")
    assert len(uris(stream.playlist() or "")) + int(tag(stream.playlist() or "", "MEDIA-SEQUENCE")) == 10


def test_target_and_sequence_only_move_forward(h264: list[AccessUnit]) -> None:
    stream = LiveStream()
    seen: list[tuple[str, int, list[str]]] = []
    for unit in h264:
        feed(stream, [unit])
        if text := stream.playlist():
            seen.append((tag(text, "TARGETDURATION"), int(tag(text, "MEDIA-SEQUENCE")), uris(text)))
    assert {target for target, _, _ in seen} == {"2"}
    for (_, before, older), (_, after, newer) in itertools.pairwise(seen):
        assert 0 <= after - before <= 1
        assert newer[: len(older) - (after - before)] == older[after - before :]


def test_segments_play_alone_and_together(h264: list[AccessUnit]) -> None:
    stream = LiveStream(base="u/")
    feed(stream, h264)
    stream.end()
    parts = segments(stream, names(stream.playlist() or ""))
    first = 150 - 15 * len(parts)
    for index, part in enumerate(parts):
        assert len(part) % 188 == 0
        video = play(part, "mpegts")["video"]
        assert len(video.times) == 15
        assert video.size == (320, 180)
        assert video.times[0] == pytest.approx(1 + first / 15 + index, abs=0.001)
    whole = play(b"".join(parts), "mpegts")["video"]
    assert [round((time - 1) * 1000) for time in whole.times] == pytest.approx(
        [unit.pts_ms for unit in h264[first:]], abs=1
    )


def test_continuity_counters_run_on_across_segments(h264: list[AccessUnit]) -> None:
    stream = LiveStream(base="u/")
    feed(stream, h264)
    counters: dict[int, int] = {}
    data = b"".join(segments(stream, names(stream.playlist() or "")))
    for at in range(0, len(data), 188):
        assert data[at] == 0x47
        pid, counter = int.from_bytes(data[at + 1 : at + 3], "big") & 0x1FFF, data[at + 3] & 15
        assert counters.get(pid, (counter - 1) & 15) == (counter - 1) & 15
        counters[pid] = counter
    assert set(counters) == {0, 0x1000, 0x100}


def test_sound_stands_in_the_same_segments(h264: list[AccessUnit], aac: tuple[list[bytes], AudioConfig]) -> None:
    frames, config = aac
    stream = LiveStream(base="u/")
    position = 0
    for unit in h264:
        feed(stream, [unit])
        while position < len(frames) and position * 128 <= unit.pts_ms:
            stream.aac(frames[position], position * 128 + position % 3, config)
            position += 1
    stream.end()
    assert stream.audio_config == config
    tracks = play(b"".join(segments(stream, names(stream.playlist() or ""))), "mpegts")
    assert len(tracks["video"].times) >= 120
    steps = {round((b - a) * 1000) for a, b in zip(tracks["audio"].times, tracks["audio"].times[1:], strict=False)}
    assert steps == {128}


def test_late_sound_is_left_out_and_video_goes_on(h264: list[AccessUnit], aac: tuple[list[bytes], AudioConfig]) -> None:
    frames, config = aac
    stream = LiveStream()
    feed(stream, h264[:60])
    stream.aac(frames[0], 4000, config)
    assert stream.audio_config is None
    assert stream.late_audio == 1


def test_waits_for_a_key_frame(h264: list[AccessUnit]) -> None:
    stream = LiveStream()
    feed(stream, h264[5:20])
    assert (stream.frames, stream.dropped) == (5, 10)


def test_key_frames_without_parameter_sets_get_them(h264: list[AccessUnit]) -> None:
    stream = LiveStream(base="u/")
    feed(stream, h264[:15])
    bare = h264[15].data[h264[15].data.rindex(b"\x00\x00\x01\x65") :]
    feed(stream, [AccessUnit("h264", True, 1000, bare), *h264[16:31]])
    assert len(play(segments(stream, names(stream.playlist() or ""))[1], "mpegts")["video"].times) == 15


def test_time_jump_marks_a_discontinuity(h264: list[AccessUnit]) -> None:
    stream = LiveStream(base="u/")
    feed(stream, h264[:40])
    feed(stream, h264[40:90], shift_ms=100_000)
    text = stream.playlist() or ""
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    assert stream.dropped == 5
    assert all(duration < 2.5 for duration in durations(text))
    feed(stream, h264[75:150], shift_ms=200_000)
    feed(stream, h264[:150], shift_ms=220_000)
    assert int(tag(stream.playlist() or "", "DISCONTINUITY-SEQUENCE")) >= 1


def test_new_parameters_mark_a_discontinuity(h264: list[AccessUnit]) -> None:
    stream = LiveStream(base="u/")
    feed(stream, h264[:30])
    feed(stream, encode("h264", 31, width=640, height=360), shift_ms=2000)
    text = stream.playlist() or ""
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    sizes = [play(part, "mpegts")["video"].size for part in segments(stream, names(text))]
    assert sizes == [(320, 180)] * 2 + [(640, 360)] * 2
    assert stream.facts is not None
    assert stream.facts.width == 640


def test_stretched_key_frames_force_a_cut() -> None:
    stream = LiveStream(base="u/")
    feed(stream, encode("h264", 31, gop=15))
    feed(stream, encode("h264", 180, gop=1000), shift_ms=2067)
    stream.end()
    text = stream.playlist() or ""
    assert all(round(duration) <= int(tag(text, "TARGETDURATION")) for duration in durations(text))
    whole = play(b"".join(segments(stream, names(text))), "mpegts")["video"]
    assert len(whole.times) >= 60


def test_long_first_group_sets_a_larger_target() -> None:
    stream = LiveStream()
    feed(stream, encode("h264", 130, gop=60))
    assert tag(stream.playlist() or "", "TARGETDURATION") == "5"


def test_equal_timestamps_are_made_rising(h264: list[AccessUnit]) -> None:
    stream = LiveStream(base="u/")
    for unit in h264[:60]:
        stream.video(unit.data, unit.pts_ms // 200 * 200, unit.key, START)
    times = play(b"".join(segments(stream, names(stream.playlist() or ""))), "mpegts")["video"].times
    assert times == sorted(set(times))


# --- spool and expiry -----------------------------------------------------------------------------------------------


def test_old_segments_move_to_the_spool_and_expire(h264: list[AccessUnit], spool: FolderSpool) -> None:
    clock = Clock()
    stream = LiveStream(base="u/", spool=spool, clock=clock)
    feed(stream, h264[:46], clock)
    first = names(stream.playlist() or "")[0]
    before = stream.segment(first)
    feed(stream, h264[46:], clock)
    feed(stream, h264, clock, shift_ms=10_000)
    folder = spool.folder
    assert first not in names(stream.playlist() or "")
    assert (folder / first).exists()
    assert stream.segment(first) == before
    held = stream.bytes_held
    clock.now += 119
    stream.segment(first)
    clock.now += 2
    assert stream.expire(clock.now) > 0
    assert stream.segment(first) == before
    assert stream.bytes_held < held
    clock.now += 121
    stream.expire(clock.now)
    assert stream.segment(first) is None
    assert list(folder.iterdir()) == []
    assert all(stream.segment(name) for name in names(stream.playlist() or ""))
    stream.end()
    clock.now += 121
    stream.expire(clock.now)
    assert stream.bytes_held == 0


def test_a_segment_is_the_same_whenever_it_is_first_asked_for(
    h264: list[AccessUnit], aac: tuple[list[bytes], AudioConfig], spool: FolderSpool
) -> None:
    frames, config = aac
    asked: list[list[bytes]] = []
    for at_once in (True, False):
        clock = Clock()
        stream = LiveStream(base="u/", spool=spool, clock=clock)
        found: dict[str, bytes | None] = {}
        for turn in range(3):
            for index, unit in enumerate(h264):
                feed(stream, [unit], clock, shift_ms=turn * 10_000)
                stream.aac(frames[index % len(frames)], turn * 10_000 + unit.pts_ms, config)
                for name in names(stream.playlist() or ""):
                    if name not in found:
                        found[name] = stream.segment(name) if at_once else None
        assert any((spool.folder / name).exists() for name in found)
        asked.append([found[name] or stream.segment(name) or b"" for name in found])
    assert asked[0] == asked[1]
    assert all(asked[0])


def test_memory_stays_close_to_the_window(h264: list[AccessUnit], spool: FolderSpool) -> None:
    clock = Clock()
    stream = LiveStream(base="u/", spool=spool, clock=clock)
    for turn in range(5):
        feed(stream, h264, clock, shift_ms=turn * 10_000)
    window = sum(map(len, segments(stream, names(stream.playlist() or ""))))
    spooled = sum(path.stat().st_size for path in spool.folder.iterdir())
    assert stream.bytes_held - spooled <= 1.3 * window


def test_a_full_disk_costs_old_segments_only(h264: list[AccessUnit]) -> None:
    class Full:
        def put(self, name: str, data: bytes) -> None:
            raise OSError("disk full")

        def get(self, name: str) -> bytes | None:
            return None

        def delete(self, name: str) -> None:
            """Nothing was kept."""

    stream = LiveStream(base="u/", spool=Full())
    feed(stream, h264)
    assert stream.spool_failures > 0
    assert all(stream.segment(name) for name in names(stream.playlist() or ""))


def test_names_never_repeat_across_streams(h264: list[AccessUnit]) -> None:
    streams = [LiveStream(), LiveStream()]
    for stream in streams:
        feed(stream, h264[:20])
    assert not set(uris(streams[0].playlist() or "")) & set(uris(streams[1].playlist() or ""))


# --- H.265, posters, hostile input ----------------------------------------------------------------------------------


async def test_h265_passes_as_fmp4(h265: list[AccessUnit]) -> None:
    stream = LiveStream("h265", base="u/")
    feed(stream, h265)
    stream.end()
    assert await stream.playlist_ready(0.1)
    text = stream.playlist() or ""
    assert "EXT-X-PART" not in text
    init = re.search(r'#EXT-X-MAP:URI="u/(.*)"', text)
    assert init is not None
    data = b"".join(segments(stream, [init.group(1), *names(text)]))
    assert b"hvc1" in data
    assert len(play(data, "mp4")["video"].times) == len(h265)
    with pytest.raises(MediaError, match="H\\.264"):
        stream.subscribe_flv()


def test_poster_is_the_newest_key_frame(h264: list[AccessUnit]) -> None:
    stream = LiveStream()
    feed(stream, h264[:40])
    assert stream.poster_source() == ("h264", h264[30].data)


async def test_hostile_bytes_never_raise(h264: list[AccessUnit]) -> None:
    stream = LiveStream()
    viewer = stream.subscribe_flv()
    for index, unit in enumerate(h264):
        for data in (unit.data[: index * 7], b"", b"\x00\x00\x01", bytes(100), unit.data):
            stream.video(data, index * 67 * (-1 if index % 40 == 7 else 1), index % 3 == 0, START + index)
        if index == 50:
            watcher = asyncio.create_task(stream.ll_playlist())
            await asyncio.sleep(0)
    stream.end()
    assert (await watcher).status in LlStatus
    assert stream.playlist()
    async for _ in viewer:
        pass


# --- HTTP-FLV -------------------------------------------------------------------------------------------------------


async def test_flv_starts_from_the_cached_group(h264: list[AccessUnit]) -> None:
    stream = LiveStream()
    feed(stream, h264[:40])
    viewer = stream.subscribe_flv()
    assert stream.flv_viewers == 1
    feed(stream, h264[40:])
    stream.end()
    video = play(b"".join([data async for data in viewer]), "flv")["video"]
    assert [round(time * 1000) for time in video.times] == [unit.pts_ms for unit in h264[30:]]
    assert video.size == (320, 180)
    assert stream.flv_viewers == 0


async def test_flv_before_the_first_picture(h264: list[AccessUnit], aac: tuple[list[bytes], AudioConfig]) -> None:
    frames, config = aac
    stream = LiveStream(expects_audio=True)
    viewer = stream.subscribe_flv()
    for index, unit in enumerate(h264):
        feed(stream, [unit])
        if index % 2 == 0 and index // 2 < len(frames):
            stream.aac(frames[index // 2], index // 2 * 128, config)
    stream.end()
    tracks = play(b"".join([data async for data in viewer]), "flv")
    assert len(tracks["video"].times) == 150
    assert len(tracks["audio"].times) >= 70


async def test_slow_flv_viewer_falls_back_to_the_next_key_frame(h264: list[AccessUnit]) -> None:
    stream = LiveStream()
    feed(stream, h264[:1])
    size = sum(len(unit.data) for unit in h264[:20])
    viewer = stream.subscribe_flv(queue_bytes=size)
    head = await anext(viewer)
    feed(stream, h264[1:135])
    stream.end()
    assert viewer.overflows > 0
    rest = b"".join([data async for data in viewer])
    assert len(rest) <= size + 4096
    video = play(head + rest, "flv")["video"]
    assert round(video.times[-1] * 1000) == h264[134].pts_ms
    assert len(video.times) == 1 + 15


async def test_closed_flv_viewer_ends(h264: list[AccessUnit]) -> None:
    stream = LiveStream()
    feed(stream, h264[:20])
    viewer = stream.subscribe_flv()
    viewer.close()
    assert [data async for data in viewer] == []
    assert stream.flv_viewers == 0
