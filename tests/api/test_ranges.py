"""Ranges and conditions of one file (RFC 9110)."""

from __future__ import annotations

import pytest

from wayframe.api.ranges import Unsatisfiable, byte_range, not_modified, range_holds

TAG, DATE = '"abc"', "Wed, 01 Oct 2025 00:00:00 GMT"
MODIFIED = 1_759_276_800.5


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("bytes=0-", 10, (0, 10)),
        (f"bytes={'1' * 5000}-", 10, None),
        (f"bytes=0-{'1' * 5000}", 10, None),
        ("bytes=0-" + "9" * 30, 10, (0, 10)),
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=3-5", 10, (3, 6)),
        ("bytes=5-100", 10, (5, 10)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-100", 10, (0, 10)),
        ("Bytes = 1-2", 10, (1, 3)),
        ("bytes=5-3", 10, None),
        ("bytes=-", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("lines=0-1", 10, None),
        ("bytes=a-b", 10, None),
    ],
)
def test_a_range(text: str, size: int, expected: tuple[int, int] | None) -> None:
    assert byte_range(text, size) == expected


@pytest.mark.parametrize(("text", "size"), [("bytes=10-", 10), ("bytes=0-", 0), ("bytes=-0", 10), ("bytes=-1", 0)])
def test_a_range_outside_the_file(text: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        byte_range(text, size)


@pytest.mark.parametrize(
    ("headers", "good"),
    [
        ({}, False),
        ({"if-none-match": TAG}, True),
        ({"if-none-match": f'"x", W/{TAG}'}, True),
        ({"if-none-match": "*"}, True),
        ({"if-none-match": '"x"', "if-modified-since": DATE}, False),
        ({"if-modified-since": DATE}, True),
        ({"if-modified-since": "Tue, 30 Sep 2025 00:00:00 GMT"}, False),
        ({"if-modified-since": "yesterday"}, False),
    ],
)
def test_a_copy_is_good(headers: dict[str, str], good: bool) -> None:
    assert not_modified(headers, TAG, MODIFIED) is good


@pytest.mark.parametrize(
    ("headers", "holds"),
    [({}, True), ({"if-range": TAG}, True), ({"if-range": '"x"'}, False), ({"if-range": f"W/{TAG}"}, False),
     ({"if-range": DATE}, True), ({"if-range": "Thu, 02 Oct 2025 00:00:00 GMT"}, False)],
)  # fmt: skip
def test_a_range_is_for_this_version(headers: dict[str, str], holds: bool) -> None:
    assert range_holds(headers, TAG, MODIFIED) is holds
