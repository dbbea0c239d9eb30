"""Sound, road and memory card as functions of time."""

from __future__ import annotations

import io
import itertools

import av
import pytest

from wayframe.simulator.config import CameraConfig, VehicleConfig
from wayframe.simulator.mass import Histogram
from wayframe.simulator.recordings import recordings
from wayframe.simulator.road import City, road
from wayframe.simulator.sound import Sound, alaw, frame, frame_ms, hisilicon
from wayframe.simulator.wire1078 import RecordingQuery

NOW = 1_760_000_000.0


def test_alaw_codes_of_the_standard() -> None:
    # G.711 table 1a: the first code of each segment, and silence on both sides of zero.
    assert [alaw(sample) for sample in (0, -1, 16, -17)] == [0xD5, 0x55, 0xD4, 0x54]
    assert [alaw(1 << shift) ^ 0x55 for shift in range(8, 15)] == [0x90, 0xA0, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0]
    assert alaw(32767) ^ 0x55 == 0xFF
    assert alaw(-32768) ^ 0x55 == 0x7F


def test_alaw_is_what_libav_decodes() -> None:
    decoder = av.CodecContext.create("pcm_alaw", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout, decoder.format = 8000, "mono", "s16"
    samples = list(range(-32768, 32768, 97))
    (block,) = decoder.decode(av.Packet(bytes(alaw(sample) for sample in samples)))
    decoded = memoryview(bytes(block.planes[0])).cast("h")[: len(samples)]
    for sample, found in zip(samples, decoded, strict=True):
        assert abs(sample - found) <= max(8, abs(sample) // 16)


def test_sound_frames_follow_each_other() -> None:
    assert [frame(Sound.G711A, n).timestamp_ms for n in range(3)] == [0, 20, 40]
    assert [len(frame(Sound.G711A, n).data) for n in range(100)] == [160] * 100
    assert [frame(Sound.AAC, n).timestamp_ms for n in range(3)] == [0, 128, 256]
    assert frame_ms(Sound.AAC) == 128
    data = b"".join(frame(Sound.AAC, n).data for n in range(125))
    with av.open(io.BytesIO(data), format="aac") as container:
        assert container.streams.audio[0].rate == 8000
        assert sum(block.samples for block in container.decode(audio=0)) == 16 * 8000
    with pytest.raises(ValueError, match="silent"):
        frame(Sound.NONE, 1)


def test_chip_head_counts_words() -> None:
    assert hisilicon(bytes(160))[:4].hex() == "00015000"


@pytest.mark.parametrize("city", list(City))
def test_roads_are_driven_like_roads(city: City) -> None:
    way = road(city, 3)
    motions = [way.at(NOW + second) for second in range(int(way.period_s))]
    assert all(0 <= motion.speed_kmh <= 56 for motion in motions)
    assert all(abs(b.speed_kmh - a.speed_kmh) < 8 for a, b in itertools.pairwise(motions))
    assert all(0 <= b.distance_km - a.distance_km < 0.02 for a, b in itertools.pairwise(motions))
    assert any(not motion.acc for motion in motions)
    assert any(motion.acc and motion.speed_kmh == 0 for motion in motions)
    assert all(motion.speed_kmh == 0 for motion in motions if not motion.acc)
    latitude, longitude, _ = city.value
    assert all(abs(m.latitude - latitude) < 0.1 and abs(m.longitude - longitude) < 0.15 for m in motions)


def test_a_round_trip_closes() -> None:
    way = road(City.BERLIN, 1)
    first, last = way.at(0.0), way.at(way.period_s - 0.001)
    assert first.latitude == pytest.approx(last.latitude, abs=1e-4)
    assert first.longitude == pytest.approx(last.longitude, abs=1e-4)


def test_the_card_is_full_of_recordings_without_gaps() -> None:
    config = VehicleConfig("1", cameras=(CameraConfig(1), CameraConfig(2)), card_hours=2)
    everything = recordings(config, RecordingQuery(0, None, None, 0, 3, 0, 0), NOW)
    for channel in (1, 2):
        mine = [entry for entry in everything if entry.channel == channel]
        assert mine[0].begin <= NOW - 7200
        assert mine[-1].end == NOW
        assert all(a.end == b.begin for a, b in itertools.pairwise(mine))
    window = recordings(config, RecordingQuery(2, NOW - 700, NOW - 650, 0, 0, 1, 1), NOW)
    assert all(entry.channel == 2 and entry.end > NOW - 700 and entry.begin < NOW - 650 for entry in window)
    assert window


@pytest.mark.parametrize(
    "query",
    [
        RecordingQuery(1, NOW + 60, NOW + 120, 0, 0, 0, 0),
        RecordingQuery(1, NOW - 90_000_000, NOW - 80_000_000, 0, 0, 0, 0),
        RecordingQuery(9, None, None, 0, 0, 0, 0),
        RecordingQuery(1, None, None, 0, 0, 2, 0),
        RecordingQuery(1, None, None, 0, 1, 0, 0),
    ],
)
def test_nothing_is_found_where_nothing_was_recorded(query: RecordingQuery) -> None:
    assert recordings(VehicleConfig("1"), query, NOW) == []


def test_histogram_percentiles_are_right_to_five_percent() -> None:
    histogram = Histogram()
    for value in range(1, 1001):
        histogram.add(value / 1000)
    for share in (0.5, 0.9, 0.99):
        assert histogram.percentile(share) == pytest.approx(share, rel=0.06)
    assert histogram.longest == 1.0
    assert Histogram().percentile(0.5) == 0
