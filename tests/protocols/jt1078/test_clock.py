"""Device timestamps to the output clock: differences only, each of them checked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wayframe.protocols.jt1078 import MediaKind, StreamClock

VIDEO, AUDIO = MediaKind.VIDEO, MediaKind.AUDIO


def run(clock: StreamClock, *frames: tuple[MediaKind, int, float, int | None]) -> list[int]:
    return [clock.output_ms(kind, ts, now, frame_interval_ms=interval) for kind, ts, now, interval in frames]


def test_first_frame_is_zero_and_differences_count() -> None:
    clock = StreamClock(live=False)
    start = 607_775_195_621
    out = run(clock, (VIDEO, start, 0, None), (VIDEO, start + 40, 0, None), (VIDEO, start + 320, 9, None))
    assert out == [0, 40, 320]
    assert clock.timestamp_jumps == 0


def test_audio_and_video_interleave_on_one_clock() -> None:
    clock = StreamClock(live=False)
    out = run(clock, (VIDEO, 1000, 0, 0), (AUDIO, 1060, 0, None), (VIDEO, 1040, 0, 40), (AUDIO, 1080, 0, None))
    assert out == [0, 60, 40, 80]
    assert clock.timestamp_jumps == 0


def test_audio_before_the_first_picture_does_not_push_it_below_zero() -> None:
    clock = StreamClock(live=False)
    assert run(clock, (AUDIO, 1010, 0, None), (VIDEO, 1000, 0, 0), (VIDEO, 1040, 0, 40)) == [0, 0, 30]


def test_jump_takes_the_interval_field_if_it_is_sane() -> None:
    clock = StreamClock(live=False)
    out = run(clock, (VIDEO, 100_000, 0, 0), (VIDEO, 95_000, 7, 80), (VIDEO, 95_040, 8, 40))
    assert out == [0, 80, 120]
    assert clock.timestamp_jumps == 1


def test_jump_without_interval_takes_the_time_between_arrivals() -> None:
    for interval in (None, 0, 1001):
        clock = StreamClock(live=False)
        out = run(clock, (VIDEO, 0, 5.0, 0), (VIDEO, 5001, 5.2, interval), (VIDEO, 5041, 5.24, 40))
        assert out == [0, 200, 240]
        assert clock.timestamp_jumps == 1


def test_five_seconds_are_no_jump() -> None:
    clock = StreamClock(live=False)
    assert run(clock, (VIDEO, 0, 0, 0), (VIDEO, 5000, 0, 0)) == [0, 5000]


def test_both_kinds_stay_in_step_after_a_jump() -> None:
    clock = StreamClock(live=False)
    run(clock, (VIDEO, 1000, 0, 0), (AUDIO, 1000, 0, None))
    out = run(clock, (VIDEO, 901_040, 0.04, 40), (AUDIO, 901_020, 0.09, None), (AUDIO, 901_040, 0.1, None))
    assert out == [40, 20, 40]
    assert clock.timestamp_jumps == 2


def test_clock_that_stands_still() -> None:
    clock = StreamClock(live=False)
    out = [clock.output_ms(VIDEO, 77, n * 0.04, frame_interval_ms=40) for n in range(14)]
    assert out == [0] * 10 + [40, 80, 120, 160]
    assert clock.timestamp_jumps == 1


def test_audio_on_a_clock_of_its_own_is_put_beside_the_video() -> None:
    clock = StreamClock(live=False)
    out = run(clock, (VIDEO, 0, 0, 0), (VIDEO, 40, 0.04, 40), (AUDIO, 1_600_000_000_000, 0.05, None))
    assert out == [0, 40, 50]


def test_live_stream_that_fell_behind_steps_forward() -> None:
    clock = StreamClock(live=True)
    assert run(clock, (VIDEO, 0, 0, 0), (VIDEO, 40, 2.9, 40)) == [0, 40]
    assert run(clock, (VIDEO, 80, 3.2, 40), (VIDEO, 120, 3.24, 40)) == [3200, 3240]
    assert clock.reanchors == 1


def test_live_stream_that_runs_ahead_keeps_its_pace() -> None:
    clock = StreamClock(live=True)
    out = [clock.output_ms(VIDEO, n * 1000, n * 0.1, frame_interval_ms=None) for n in range(9)]
    assert out == [n * 1000 for n in range(9)]
    assert clock.reanchors == 2


def test_recording_may_arrive_at_any_speed() -> None:
    clock = StreamClock(live=False)
    out = [clock.output_ms(VIDEO, n * 1000, n * 0.1) for n in range(100)]
    assert out[-1] == 99_000
    assert clock.reanchors == 0


@given(
    st.booleans(),
    st.lists(
        st.tuples(st.sampled_from([VIDEO, AUDIO]), st.integers(0, 2**64 - 1), st.integers(0, 65_535)), max_size=60
    ),
)
def test_never_backwards_within_one_kind(live: bool, frames: list[tuple[MediaKind, int, int]]) -> None:
    clock = StreamClock(live=live)
    last = {VIDEO: 0, AUDIO: 0}
    for number, (kind, timestamp, interval) in enumerate(frames):
        out = clock.output_ms(kind, timestamp, number * 0.04, frame_interval_ms=interval)
        assert out >= last[kind]
        last[kind] = out
