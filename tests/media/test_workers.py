"""Worker processes: facts, previews, conversions, live sessions, and what hostile media cannot do."""

from __future__ import annotations

import asyncio
import io
import math
import os
import signal
import struct
import zlib
from array import array
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest
from media_clips import play
from PIL import Image

from wayframe.media import (
    AccessUnit,
    AudioConfig,
    Kind,
    LiveStream,
    MediaError,
    MediaLimits,
    MediaUnavailable,
    MediaWorkers,
    Mp4Recorder,
    NoConversionSlot,
    PendingAudio,
    UnreadableMedia,
    WorkerFailed,
    WorkersBusy,
    is_key,
)
from wayframe.media._worker_codecs import decode_ima

pytestmark = pytest.mark.anyio
WAIT_S = 30.0


@pytest.fixture
async def workers(anyio_backend: str) -> AsyncIterator[MediaWorkers]:
    """A running pool."""
    pool = MediaWorkers()
    await pool.start()
    yield pool
    await pool.stop()


@pytest.fixture
def clip(h264: list[AccessUnit], tmp_path: Path) -> Path:
    """Ten seconds of H.264 in an MP4."""
    return finished(h264, tmp_path / "clip.mp4")


def finished(units: list[AccessUnit], path: Path) -> Path:
    recorder = Mp4Recorder(path.with_suffix(".scratch"))
    for unit in units:
        recorder.video(unit.codec, unit.data, unit.pts_ms, unit.key)
    recorder.finish(path)
    return path


def content(path: Path) -> bytes:
    return path.read_bytes()


def photo(path: Path, size: tuple[int, int] = (1280, 720)) -> Path:
    Image.effect_mandelbrot(size, (-2, -1, 1, 1), 50).convert("RGB").save(path, "JPEG")
    return path


def tone_alaw(samples: int) -> bytes:
    """A 400 Hz tone at 8 kHz in G.711 A-law (ITU-T G.711), loud."""
    out = bytearray()
    for index in range(samples):
        value = int(16000 * math.sin(2 * math.pi * 400 * index / 8000))
        magnitude, sign = min(abs(value) >> 3, 4095), 0x80 if value >= 0 else 0
        exponent = max(magnitude.bit_length() - 5, 0)
        mantissa = magnitude >> max(exponent, 1) & 15
        out.append((sign | exponent << 4 | mantissa) ^ 0x55)
    return bytes(out)


async def test_probe_of_a_clip(workers: MediaWorkers, clip: Path) -> None:
    assert workers.available
    facts = await workers.probe(clip)
    assert (facts.kind, facts.mime, facts.width, facts.height) == (Kind.VIDEO, "video/mp4", 320, 180)
    assert facts.duration_s == pytest.approx(10, abs=0.01)
    assert (facts.video_codec, facts.has_audio) == ("h264", False)
    assert facts.fps == pytest.approx(15, abs=0.1)


async def test_probe_believes_content_not_names(workers: MediaWorkers, tmp_path: Path) -> None:
    facts = await workers.probe(photo(tmp_path / "movie.mp4"))
    assert (facts.kind, facts.mime, facts.width, facts.height) == (Kind.IMAGE, "image/jpeg", 1280, 720)
    (tmp_path / "page.jpg").write_bytes(b"<html><script>")
    assert (await workers.probe(tmp_path / "page.jpg")).mime == "application/octet-stream"


async def test_photo_previews_also_of_cut_off_files(workers: MediaWorkers, tmp_path: Path) -> None:
    path = photo(tmp_path / "photo.jpg")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for source in (path, cut):
        with Image.open(io.BytesIO(await workers.preview(source, Kind.IMAGE))) as image:
            assert (image.format, image.size) == ("JPEG", (320, 180))


async def test_clip_preview(workers: MediaWorkers, clip: Path) -> None:
    with Image.open(io.BytesIO(await workers.preview(clip, Kind.VIDEO, width=160))) as image:
        assert (image.format, image.size) == ("JPEG", (160, 90))


async def test_key_frame_previews(workers: MediaWorkers, h264: list[AccessUnit], h265: list[AccessUnit]) -> None:
    for unit in (h264[0], h265[0]):
        with Image.open(io.BytesIO(await workers.key_frame_preview(unit.codec, unit.data))) as image:
            assert image.size == (320, 180)


async def test_conversion_keeps_pictures_and_times(
    workers: MediaWorkers, h265: list[AccessUnit], tmp_path: Path
) -> None:
    source = finished(h265, tmp_path / "h265.mp4")
    facts = await workers.convert(source, tmp_path / "made.mp4")
    assert (facts.video_codec, facts.mime, facts.width, facts.height) == ("h264", "video/mp4", 320, 180)
    data = (tmp_path / "made.mp4").read_bytes()
    video = play(data, "mp4")["video"]
    assert [round(time * 1000) for time in video.times] == pytest.approx([unit.pts_ms for unit in h265], abs=1)
    assert data.index(b"moov") < data.index(b"mdat")


async def test_conversion_scales_down_and_keeps_sound(
    workers: MediaWorkers, h264: list[AccessUnit], aac: tuple[list[bytes], AudioConfig], tmp_path: Path
) -> None:
    recorder = Mp4Recorder(tmp_path / "scratch")
    for unit in h264:
        recorder.video("h264", unit.data, unit.pts_ms, unit.key)
    for index, frame in enumerate(aac[0]):
        recorder.audio("aac", frame, index * 128, config=aac[1])
    recorder.finish(tmp_path / "source.mp4")
    facts = await workers.convert(tmp_path / "source.mp4", tmp_path / "made.mp4", max_side=160)
    assert (facts.width, facts.height, facts.audio_codec) == (160, 90, "aac")
    tracks = play((tmp_path / "made.mp4").read_bytes(), "mp4")
    assert len(tracks["video"].times) == 150
    assert len(tracks["audio"].times) >= 78


async def test_failed_conversion_leaves_nothing(workers: MediaWorkers, clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content(clip)[:600])
    with pytest.raises(UnreadableMedia):
        await workers.convert(broken, tmp_path / "made.mp4")
    assert not (tmp_path / "made.mp4").exists()


# --- sound ----------------------------------------------------------------------------------------------------------


async def test_recorded_sound_becomes_aac(workers: MediaWorkers, h264: list[AccessUnit], tmp_path: Path) -> None:
    recorder = Mp4Recorder(tmp_path / "scratch")
    tone = tone_alaw(80_000)
    for index, unit in enumerate(h264):
        recorder.video("h264", unit.data, unit.pts_ms, unit.key)
        start, end = index * 8000 // 15, (index + 1) * 8000 // 15
        if not 60 <= index < 90:  # two seconds are missing
            recorder.audio("g711a", tone[start:end], unit.pts_ms)
    pending = recorder.pending_audio()
    assert pending is not None
    encoded = await workers.encode_audio(pending, tmp_path / "sound")
    assert recorder.finish(tmp_path / "clip.mp4", encoded).has_audio
    tracks = play((tmp_path / "clip.mp4").read_bytes(), "mp4")
    assert len(tracks["video"].times) == 150
    assert tracks["audio"].times[0] == pytest.approx(0, abs=0.13)
    assert tracks["audio"].times[-1] == pytest.approx(9.9, abs=0.15)


def pending_of(codec: str, payloads: list[bytes], step_ms: int, folder: Path) -> PendingAudio:
    (folder / "payloads").write_bytes(b"".join(payloads))
    sizes = array("I", [len(payload) for payload in payloads])
    times = array("q", [index * step_ms for index in range(len(payloads))])
    return PendingAudio(folder / "payloads", codec, 8000, 1, sizes, times)


PAYLOADS = {
    "g711a": (bytes([0xD5] * 160), 20),
    "g711u": (bytes([0xFF] * 160), 20),
    "g726": (bytes(160), 40),
    "g726-16": (bytes(80), 40),
    "g726-24": (bytes(120), 40),
    "g726-40": (bytes(200), 40),
    "adpcm_ima": (bytes(4 + 160), 40),
    "amr": (b"\x3c" + bytes(31), 20),
    "pcm_s16le": (bytes(320), 20),
}


@pytest.mark.parametrize(("codec", "payload", "step_ms"), [(name, *value) for name, value in PAYLOADS.items()])
async def test_every_sound_codec_lasts_as_long_as_it_says(
    codec: str, payload: bytes, step_ms: int, workers: MediaWorkers, tmp_path: Path
) -> None:
    pending = pending_of(codec, [payload] * (4000 // step_ms), step_ms, tmp_path)
    encoded = await workers.encode_audio(pending, tmp_path / "sound")
    assert len(encoded.sizes) * 0.128 == pytest.approx(4.1, abs=0.2)
    assert encoded.config.rate == 8000


def test_ima_blocks_agree_with_ffmpeg() -> None:
    """FFmpeg reads the same block with the nibbles of each byte swapped, and shows the predictor first."""
    block = struct.pack("<hBB", -1234, 20, 0) + bytes(index * 37 & 0xFF for index in range(160))
    swapped = block[:4] + bytes(byte >> 4 | (byte & 15) << 4 for byte in block[4:])
    decoder = av.CodecContext.create("adpcm_ima_wav", "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    decoder.options = {"bits_per_coded_sample": "4", "block_align": str(len(block))}
    (frame,) = decoder.decode(av.Packet(swapped))
    theirs = bytes(frame.planes[0])[: frame.samples * 2]
    ours = decode_ima(block)
    assert len(ours) == 640
    assert theirs[2 : 2 + 600] == ours[:600]


async def test_unknown_sound_is_refused(workers: MediaWorkers, tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia, match="g729"):
        await workers.encode_audio(pending_of("g729", [b"x"], 20, tmp_path), tmp_path / "sound")


async def test_live_sound_sessions_share_one_process(workers: MediaWorkers, h264: list[AccessUnit]) -> None:
    stream = LiveStream(expects_audio=True)
    got: dict[str, list[int]] = {"a": [], "b": []}
    enough = asyncio.Event()

    def into(name: str) -> None:
        if all(len(times) >= 10 for times in got.values()):
            enough.set()

    def first(frame: bytes, pts_ms: int, config: AudioConfig) -> None:
        got["a"].append(pts_ms)
        stream.aac(frame, pts_ms, config)
        into("a")

    def second(frame: bytes, pts_ms: int, config: AudioConfig) -> None:
        got["b"].append(pts_ms)
        into("b")

    stream.video(h264[0].data, 0, True, 0.0)
    one = workers.audio_stream("g711a", 8000, 1, first, pytest.fail)
    two = workers.audio_stream("adpcm_ima", 8000, 1, second, pytest.fail)
    for index in range(100):
        one.push(bytes([0xD5] * 160), index * 20)
        two.push(bytes(4 + 80), 5000 + index * 20)
    await asyncio.wait_for(enough.wait(), WAIT_S)
    assert got["a"] == sorted(got["a"])
    assert got["b"][0] >= 5000 - 128
    assert stream.audio_config is not None
    await one.close()
    await two.close()


async def test_a_bad_session_ends_alone(workers: MediaWorkers) -> None:
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    good = asyncio.Event()
    bad = workers.audio_stream("g729", 8000, 1, lambda *_: None, ended.set_result)
    fine = workers.audio_stream("g711u", 8000, 1, lambda *_: good.set(), pytest.fail)
    assert "g729" in await asyncio.wait_for(ended, WAIT_S)
    for index in range(50):
        fine.push(b"\xff" * 160, index * 20)
    await asyncio.wait_for(good.wait(), WAIT_S)
    await bad.close()
    await fine.close()


# --- live pictures --------------------------------------------------------------------------------------------------


async def test_live_conversion_of_h265(workers: MediaWorkers, h265: list[AccessUnit]) -> None:
    units: list[AccessUnit] = []
    enough = asyncio.Event()

    def take(unit: AccessUnit) -> None:
        units.append(unit)
        if len(units) >= len(h265) - 2:
            enough.set()

    stream = workers.video_stream("h265", take, pytest.fail)
    with pytest.raises(NoConversionSlot, match="slot"):
        workers.video_stream("h265", take, pytest.fail)
    for unit in h265:
        stream.push(unit.data, unit.pts_ms, unit.key)
    await asyncio.wait_for(enough.wait(), WAIT_S)
    assert [unit.pts_ms for unit in units] == [unit.pts_ms for unit in h265[: len(units)]]
    assert [unit.pts_ms for unit in units if unit.key] == [0, 2000]
    live = LiveStream()
    for unit in units:
        assert is_key("h264", unit.data) == unit.key
        live.video(unit.data, unit.pts_ms, unit.key, unit.pts_ms / 1000)
    assert live.facts is not None
    assert (live.facts.width, live.facts.height) == (320, 180)
    await stream.close()
    assert workers.live_conversions == 0
    await workers.video_stream("h265", take, pytest.fail).close()


async def test_live_conversion_survives_the_death_of_its_process(workers: MediaWorkers, h265: list[AccessUnit]) -> None:
    came = asyncio.Queue[AccessUnit](1000)
    stream = workers.video_stream("h265", came.put_nowait, pytest.fail)
    for unit in h265[:10]:
        stream.push(unit.data, unit.pts_ms, unit.key)
    await asyncio.wait_for(came.get(), WAIT_S)
    first = stream.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)

    async def again() -> AccessUnit:
        turn = 0
        while True:
            turn += 1
            for unit in h265[:15]:
                stream.push(unit.data, unit.pts_ms + turn * 10_000, unit.key)
            try:
                unit = await asyncio.wait_for(came.get(), 1)
            except TimeoutError:
                continue
            if unit.pts_ms >= 10_000 and stream.pid not in (None, first):
                return unit

    assert (await asyncio.wait_for(again(), WAIT_S)).codec == "h264"
    await stream.close()


# --- limits and hostile media ---------------------------------------------------------------------------------------


async def test_hostile_files_are_answered(workers: MediaWorkers, clip: Path, tmp_path: Path) -> None:
    whole = content(clip)
    noise = bytes((index * 7919 + (index >> 3)) & 0xFF for index in range(20_000))
    cases = [
        whole[:100],
        whole[: len(whole) // 2],
        whole[:40] + noise,
        whole[:2000] + noise + whole[4000:],
        b"\x00\x00\x00\x01\x67" + noise,
        b"\x1a\x45\xdf\xa3" + noise,
        b"FLV\x01\x05\x00\x00\x00\x09" + noise,
        b"RIFF\x10\x00\x00\x00AVI " + noise,
        b"OggS" + noise,
        b"\xff\xd8\xff" + noise,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"",
    ]
    for index, case in enumerate(cases):
        path = tmp_path / f"case{index}"
        path.write_bytes(case)
        for kind in (Kind.VIDEO, Kind.IMAGE):
            try:
                assert (await workers.preview(path, kind)).startswith(b"\xff\xd8")
            except MediaError:
                pass
        try:
            await workers.probe(path)
        except MediaError:
            pass
    assert (await workers.probe(clip)).width == 320


async def test_claimed_sizes_are_limited(workers: MediaWorkers, tmp_path: Path) -> None:
    """A PNG that claims 60,000 x 60,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    with pytest.raises(UnreadableMedia):
        await workers.probe(tmp_path / "bomb.png")
    with pytest.raises(UnreadableMedia):
        await workers.preview(tmp_path / "bomb.png", Kind.IMAGE)


async def test_limits_of_the_settings(clip: Path) -> None:
    for limits in (MediaLimits(max_pixels=1000), MediaLimits(max_duration_s=5)):
        pool = MediaWorkers(limits=limits)
        await pool.start()
        with pytest.raises(UnreadableMedia, match="limit"):
            await pool.probe(clip)
        await pool.stop()


async def test_a_stuck_job_is_killed_and_the_pool_goes_on(h264: list[AccessUnit], clip: Path, tmp_path: Path) -> None:
    """A named pipe nobody writes to blocks its reader for ever."""
    os.mkfifo(tmp_path / "pipe")
    pool = MediaWorkers(limits=MediaLimits(probe_s=1.0))
    await pool.start()
    with pytest.raises(WorkerFailed, match="longer than its limit"):
        await pool.probe(tmp_path / "pipe")
    assert len(await pool.preview(clip, Kind.VIDEO)) > 100
    await pool.stop()
    assert pool.pids == set()


async def test_a_killed_worker_costs_one_job(clip: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    pool = MediaWorkers()
    await pool.start()
    await pool.probe(clip)
    job = asyncio.create_task(pool.probe(tmp_path / "pipe"))
    await asyncio.sleep(0)
    (pid,) = pool.pids
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerFailed):
        await asyncio.wait_for(job, WAIT_S)
    assert (await pool.probe(clip)).width == 320
    await pool.stop()


async def test_memory_is_limited(tmp_path: Path) -> None:
    """A picture of 48 million pixels does not fit into 220 MB, the next small one does."""
    Image.new("RGB", (8000, 6000)).save(tmp_path / "large.png")
    pool = MediaWorkers(limits=MediaLimits(memory_bytes=220_000_000))
    await pool.start()
    with pytest.raises(MediaError):
        await pool.preview(tmp_path / "large.png", Kind.IMAGE)
    assert (await pool.preview(photo(tmp_path / "small.jpg"), Kind.IMAGE)).startswith(b"\xff\xd8")
    await pool.stop()


async def test_the_queue_is_bounded(clip: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    pool = MediaWorkers(limits=MediaLimits(queue=2))
    await pool.start()
    jobs = [asyncio.create_task(pool.probe(tmp_path / "pipe")) for _ in range(4)]
    done, _ = await asyncio.wait(jobs, timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(WorkersBusy):
        await done.pop()
    await pool.stop()
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert {type(result) for result in results} == {WorkersBusy, MediaUnavailable}


async def test_nothing_runs_before_start(clip: Path) -> None:
    pool = MediaWorkers()
    assert not pool.available
    with pytest.raises(MediaUnavailable):
        await pool.probe(clip)
    with pytest.raises(MediaUnavailable):
        pool.audio_stream("g711a", 8000, 1, lambda *_: None, lambda _: None)
