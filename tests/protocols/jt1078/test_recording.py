"""The decisions of a recording: done, once more, partial, failed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wayframe.protocols.jt1078 import Action, Recording

START = 1_773_908_102.0


def filled(seconds: float, *, duration: float = 60.0) -> Recording:
    """A recording that has got `seconds`, the last frame at the same time after 0."""
    recording = Recording(START, duration, 0.0)
    for step in range(int(seconds * 10) + 1):
        assert recording.frame(step * 100, step / 10).action is Action.CONTINUE
    return recording


def test_clock_reaches_the_duration() -> None:
    recording = filled(59.9)
    assert recording.frame(60_000, 60.0).action is Action.DONE
    assert not recording.partial
    assert recording.tick(99.0).action is Action.DONE
    assert recording.closed(99.0).action is Action.DONE


def test_terminal_closes_near_the_end() -> None:
    assert filled(54.0).closed(55.0).action is Action.DONE


def test_silence_near_the_end() -> None:
    recording = filled(54.0)
    assert recording.tick(63.9).action is Action.CONTINUE
    assert recording.tick(64.0).action is Action.DONE


def test_silence_early_asks_once_more_from_there() -> None:
    recording = filled(20.5)
    decision = recording.tick(31.0)
    assert (decision.action, decision.from_s) == (Action.RETRY, START + 20)
    assert recording.offset_ms == 20_000
    assert recording.tick(32.0).action is Action.CONTINUE
    assert recording.frame(0, 35.0).action is Action.CONTINUE
    assert recording.reached_ms == 20_500
    assert recording.frame(30_000, 65.0).action is Action.CONTINUE
    assert recording.reached_ms == 50_000
    assert recording.frame(40_000, 75.0).action is Action.DONE


def test_second_silence_is_partial() -> None:
    recording = filled(20.0)
    assert recording.closed(20.0).action is Action.RETRY
    recording.frame(5_000, 30.0)
    decision = recording.tick(40.0)
    assert decision.action is Action.PARTIAL and "25 s" in decision.reason
    assert recording.partial


def test_nothing_after_the_retry_is_partial() -> None:
    recording = filled(20.0)
    assert recording.closed(20.0).action is Action.RETRY
    assert recording.tick(49.9).action is Action.CONTINUE
    assert recording.tick(50.0).action is Action.PARTIAL


def test_retry_refused_is_partial() -> None:
    recording = filled(20.0)
    recording.closed(20.0)
    decision = recording.refused("result 1")
    assert decision.action is Action.PARTIAL and "result 1" in decision.reason


def test_nothing_in_thirty_seconds_fails() -> None:
    recording = Recording(START, 60.0, 0.0)
    assert recording.closed(5.0).action is Action.CONTINUE
    assert recording.tick(29.9).action is Action.CONTINUE
    assert recording.tick(30.0).action is Action.FAILED
    assert recording.frame(0, 31.0).action is Action.FAILED


def test_refused_at_once_fails() -> None:
    assert Recording(START, 60.0, 0.0).refused("no recording").action is Action.FAILED


@given(st.lists(st.tuples(st.sampled_from("fct"), st.integers(0, 70_000), st.integers(0, 20)), max_size=60))
def test_at_most_one_retry_and_one_end(steps: list[tuple[str, int, int]]) -> None:
    recording = Recording(START, 60.0, 0.0)
    now, seen = 0.0, []
    for what, pts, wait in steps:
        now += wait
        if what == "f":
            decision = recording.frame(pts, now)
        else:
            decision = recording.closed(now) if what == "c" else recording.tick(now)
        seen.append(decision.action)
    assert seen.count(Action.RETRY) <= 1
    ends = [action for action in seen if action not in (Action.CONTINUE, Action.RETRY)]
    assert len(set(ends)) <= 1
    assert seen[len(seen) - len(ends) :] == ends
